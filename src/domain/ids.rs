//! Identifiers. Small records count from 1; everything that a command makes takes its number from the
//! journal's sequence, so that ids need no randomness and never repeat.
//!
//! Ids made from a sequence are written in Kraken's style: a letter and sixteen symbols, `OQCLML-BW3P3-BUCMWZ`. The
//! text is a bijection on 80 bits, so a mistyped id is almost certainly invalid.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A position in the journal: the number of an event, counted from 1; below [`END`](Seq::END).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Seq(pub u64);

impl Seq {
    /// Above every sequence. The bound keeps offsets exact integers in JSON.
    pub const END: Seq = Seq(1 << 45);

    /// The offset of item `index` (0–254) that the event at this sequence yields on one channel (rule 41).
    pub fn offset(self, index: u8) -> u64 {
        self.0 * 256 + u64::from(index)
    }

    /// The offset that a snapshot taken at this sequence carries.
    pub fn snapshot_offset(self) -> u64 {
        self.offset(u8::MAX)
    }

    /// The sequence and the index that an offset is made of.
    pub fn of_offset(offset: u64) -> (Seq, u8) {
        (Seq(offset / 256), (offset % 256) as u8)
    }

    /// Whether an offset is one of a snapshot, and so of no item.
    pub fn is_snapshot_offset(offset: u64) -> bool {
        let (_, index) = Seq::of_offset(offset);
        index == u8::MAX
    }

    /// The sequence after this one.
    pub fn next(self) -> Seq {
        Seq(self.0 + 1)
    }
}

macro_rules! counted {
    ($($(#[$doc:meta])* $name:ident($int:ty), $letter:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub $int);

        impl $name {
            /// The index in a table kept in order of creation. The id 0, which only damaged data can contain, gives an
            /// index beyond every table.
            pub fn index(self) -> usize {
                (self.0 as usize).wrapping_sub(1)
            }

            /// The id of the record that will stand at `index`.
            pub fn at(index: usize) -> Self {
                $name(<$int>::try_from(index + 1).expect("every table has a maximum below its id's range"))
            }

            /// Reads the id's text; `None` for anything else.
            pub fn parse(text: &str) -> Option<Self> {
                let digits = text.strip_prefix($letter)?;
                let plain = digits.starts_with(|c: char| matches!(c, '1'..='9'));
                plain.then(|| digits.parse().ok()).flatten().map($name)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}", $letter, self.0)
            }
        }
    )*};
}

counted! {
    /// An Organization.
    OrganizationId(u32), "ORG";
    /// An account of an Organization; balances and orders belong to one.
    AccountId(u32), "ACC";
    /// A Member.
    MemberId(u32), "MEM";
    /// A Service User.
    ServiceUserId(u32), "SVC";
    /// A venue operator's key.
    VenueKeyId(u32), "VEN";
    /// An asset.
    AssetId(u16), "AST";
    /// A market.
    MarketId(u16), "MKT";
    /// An Earn strategy.
    StrategyId(u16), "ESTRAT";
}

macro_rules! sequenced {
    ($($(#[$doc:meta])* $name:ident, $letter:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub u64);

        impl $name {
            /// Parses the id's text; `None` for anything that no server writes.
            pub fn parse(text: &str) -> Option<Self> {
                decode($letter, text).map($name)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let text = encode($letter, self.0);
                f.write_str(std::str::from_utf8(&text).expect("ASCII"))
            }
        }
    )*};
}

sequenced! {
    /// An order: the sequence of the event that placed it.
    OrderId, b'O';
    /// An amendment: the sequence of its event.
    AmendId, b'M';
    /// One side of a fill: the offset of its execution.
    ExecId, b'T';
    /// A ledger entry: its offset.
    LedgerId, b'L';
    /// A request in the approval queue: the sequence of the event that opened it.
    RequestId, b'R';
    /// A withdrawal's `refid`: the sequence of the event that created it.
    WithdrawalId, b'F';
    /// A deposit's `refid`: the sequence of the event that first reported it.
    DepositId, b'D';
    /// An Earn operation: the sequence of its event.
    EarnOperationId, b'E';
    /// An export: the sequence of the event that ordered it; the file shows the state as of that event.
    ExportId, b'X';
}

const SYMBOLS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const MASK: u128 = (1 << 80) - 1;
const SPREAD: u128 = 0x9e37_79b9_7f4a_7c15_f39d;
const GATHER: u128 = inverse(SPREAD);
/// `X` and the groups of 5, 5 and 6 symbols with their dashes.
const TEXT_BYTES: usize = 19;

/// The inverse of an odd number modulo 2^80, by Newton's iteration (each step doubles the good bits).
const fn inverse(odd: u128) -> u128 {
    let mut guess = odd;
    let mut step = 0;
    while step < 7 {
        guess = guess.wrapping_mul(2u128.wrapping_sub(odd.wrapping_mul(guess)));
        step += 1;
    }
    guess & MASK
}

fn encode(letter: u8, value: u64) -> [u8; TEXT_BYTES] {
    let mut bits = u128::from(value).wrapping_mul(SPREAD) & MASK;
    // Reversing the bits puts the well-mixed high bits into the symbols that people compare first.
    bits = bits.reverse_bits() >> 48;
    let mut text = [b'-'; TEXT_BYTES];
    text[0] = letter;
    for at in (1..TEXT_BYTES).rev().filter(|at| !matches!(at, 6 | 12)) {
        text[at] = SYMBOLS[(bits & 31) as usize];
        bits >>= 5;
    }
    text
}

fn decode(letter: u8, text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    if bytes.len() != TEXT_BYTES || bytes[0] != letter || bytes[6] != b'-' || bytes[12] != b'-' {
        return None;
    }
    let mut bits = 0u128;
    for at in (1..TEXT_BYTES).filter(|at| !matches!(at, 6 | 12)) {
        let symbol = match bytes[at] {
            byte @ b'A'..=b'Z' => byte - b'A',
            byte @ b'2'..=b'7' => byte - b'2' + 26,
            _ => return None,
        };
        bits = bits << 5 | u128::from(symbol);
    }
    let value = (bits << 48).reverse_bits().wrapping_mul(GATHER) & MASK;
    u64::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        for value in [0, 1, 2, 255, 256, 1 << 45, u64::MAX] {
            let text = OrderId(value).to_string();
            assert_eq!(text.len(), TEXT_BYTES);
            assert_eq!(OrderId::parse(&text), Some(OrderId(value)), "{text}");
            assert_eq!(LedgerId::parse(&text), None);
        }
        assert_ne!(OrderId(1).to_string()[1..6], OrderId(2).to_string()[1..6]);
        assert_eq!(MemberId::parse("MEM7"), Some(MemberId(7)));
        for bad in ["MEM0", "MEM07", "MEM", "SVC7", "MEM-7", "MEM+7"] {
            assert_eq!(MemberId::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn rule_41_an_offset_and_back() {
        for (seq, index) in [(Seq(0), 0), (Seq(1), 254), (Seq(1), 255), (Seq::END, 255)] {
            let offset = seq.offset(index);
            assert_eq!(Seq::of_offset(offset), (seq, index));
            assert_eq!(Seq::is_snapshot_offset(offset), index == 255, "{offset}");
        }
    }

    #[test]
    fn a_mistyped_id_is_no_id() {
        let text = OrderId(123_456).to_string();
        for at in (1..TEXT_BYTES).filter(|at| !matches!(at, 6 | 12)) {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let typo = String::from_utf8(bytes).unwrap();
            assert_ne!(OrderId::parse(&typo), Some(OrderId(123_456)), "{typo}");
        }
        assert_eq!(OrderId::parse("OAAAAA-AAAAA-AAAAAB"), None);
        assert_eq!(OrderId::parse("oaaaaa-aaaaa-aaaaab"), None);
    }
}
