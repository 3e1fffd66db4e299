//! Short text stored inline, so that an order carries its symbol and client id without an allocation.

use arrayvec::ArrayString;

/// A market's symbol, `BASE/QUOTE`, at most 24 bytes.
pub type Symbol = ArrayString<24>;

/// An asset's code, such as `BTC`, at most 11 bytes.
pub type AssetCode = ArrayString<11>;

/// A client's own order id: a UUID, 32 hex digits or up to 18 ASCII characters, hence at most 36 bytes.
pub type ClientOrderId = ArrayString<36>;

/// A client's own id for a withdrawal, an Earn operation or a request: at most 64 bytes.
pub type ClientId = ArrayString<64>;

/// Whether `text` has one of the three forms that v2 admits for `cl_ord_id`.
pub fn is_client_order_id(text: &str) -> bool {
    let bytes = text.as_bytes();
    let hex = |range: &[u8]| range.iter().all(u8::is_ascii_hexdigit);
    let uuid = bytes.len() == 36
        && bytes
            .iter()
            .enumerate()
            .all(|(i, b)| if matches!(i, 8 | 13 | 18 | 23) { *b == b'-' } else { b.is_ascii_hexdigit() });
    let free = (1..=18).contains(&bytes.len()) && bytes.iter().all(|b| b.is_ascii_graphic());
    uuid || free || (bytes.len() == 32 && hex(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_of_a_client_order_id() {
        assert!(is_client_order_id("demo-1"));
        assert!(is_client_order_id("6d1b345e-2821-40e2-ad83-4ecb18a06876"));
        assert!(is_client_order_id("da8e4ad59b78481c93e589746b0cf91f"));
        for bad in [
            "",
            "nineteen-characters",
            "6d1b345e+2821-40e2-ad83-4ecb18a06876",
            "with space",
            "zz8e4ad59b78481c93e589746b0cf91f",
        ] {
            assert!(!is_client_order_id(bad), "{bad}");
        }
    }
}
