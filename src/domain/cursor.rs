//! The position where a page of a list ended; clients get it and send it back for the next page.

use std::fmt;

use super::time::Moment;

/// The position of a page's last row in a list ordered newest first; the next page begins after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// The row's time.
    pub at: Moment,
    /// The row's number, which tells apart rows of one time.
    pub id: u64,
}

impl Cursor {
    /// Reads what `Display` writes.
    pub fn parse(text: &str) -> Option<Cursor> {
        let (at, id) = text.split_once('.')?;
        Some(Cursor { at: Moment(at.parse().ok()?), id: id.parse().ok()? })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.at.0, self.id)
    }
}
