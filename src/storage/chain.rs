//! The hash chain over journal rows (rule 47): each row's chain covers the chain before it, so an
//! edit, a removal or a reorder breaks every chain that follows.

use sha2::{Digest as _, Sha256};

/// SHA-256 over a row and all rows before it; all zero before the first.
pub type Digest = [u8; 32];

/// The chain of the row that follows `before`.
pub fn link(before: &Digest, first_seq: u64, count: u32, format: u16, body: &[u8]) -> Digest {
    let mut hash = Sha256::new();
    hash.update(before);
    hash.update(first_seq.to_be_bytes());
    hash.update(count.to_be_bytes());
    hash.update(format.to_be_bytes());
    hash.update(body);
    hash.finalize().into()
}
