//! The request signature of the Kraken key scheme, which also signs Countersign's WebSocket handshake.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};

use crate::error::LoadError;

/// `API-Sign`: base64(HMAC-SHA512(base64-decoded secret, path ‖ SHA-256(nonce ‖ body))).
///
/// For a handshake `path` is the socket's path without its query and `body` is empty.
///
/// # Errors
/// `Setup` if the secret is not base64.
pub fn sign(secret: &str, path: &str, nonce: &str, body: &str) -> Result<String, LoadError> {
    let secret = BASE64.decode(secret).map_err(|_| LoadError::Setup("the API secret is not base64".into()))?;
    let inner = Sha256::new().chain_update(nonce).chain_update(body).finalize();
    let mut outer = Hmac::<Sha512>::new_from_slice(&secret).expect("HMAC takes a key of any length");
    outer.update(path.as_bytes());
    outer.update(&inner);
    Ok(BASE64.encode(outer.finalize().into_bytes()))
}

/// Issues strictly increasing nonces: nanoseconds since 1970, or one more than the last if the clock has not advanced.
/// One source serves all connections of a key.
#[derive(Debug, Default)]
pub struct Nonces {
    last: u64,
}

impl Nonces {
    /// The next nonce.
    pub fn next_nonce(&mut self) -> u64 {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX);
        self.last = now.max(self.last + 1);
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg==";

    #[test]
    fn the_published_rest_vector_is_reproduced() {
        let body = "nonce=1616492376594&ordertype=limit&pair=XBTUSD&price=37500&type=buy&volume=1.25";
        let signature = sign(SECRET, "/0/private/AddOrder", "1616492376594", body).unwrap();
        assert_eq!(
            signature,
            "4/dpxb3iT4tp/ZCVEwSnEsLxx0bqyhLpdfOpc6fn7OR8+UClSV5n9E6aSS8MPtnRfp32bAb0nmbRn6H8ndwLUQ=="
        );
    }

    /// The expected value was computed with Python's hmac and hashlib, so that it does not rest on this code.
    #[test]
    fn a_handshake_signs_the_path_and_the_bare_nonce() {
        let signature = sign(SECRET, "/v2", "1700000000000000000", "").unwrap();
        assert_eq!(
            signature,
            "WAAJUw6HOzZNf36pFI0yLlyoYZ3M5nMD/3SxGcRv8lThKbQmM5gmE6lMvc9vZL+B0Q1nC23Dl2f0Q7PYVz/ejA=="
        );
    }

    #[test]
    fn a_secret_that_is_not_base64_is_refused() {
        assert!(matches!(sign("not base64!", "/v2", "1", ""), Err(LoadError::Setup(_))));
    }

    #[test]
    fn nonces_increase_even_within_one_clock_reading() {
        let mut nonces = Nonces::default();
        let drawn: Vec<u64> = (0..10_000).map(|_| nonces.next_nonce()).collect();
        assert!(drawn.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
