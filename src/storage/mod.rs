//! Bytes in order, kept safely: the journal, its snapshots, the history tables. Sole owner of sqlx; knows no
//! engine type, so a new event never touches SQL.

mod chain;
mod fence;
pub mod head;
pub mod history;
pub mod journal;
pub mod sqlite;

#[cfg(test)]
mod conformance;

pub use chain::{Digest, link};
pub use fence::Fence;
