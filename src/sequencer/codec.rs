//! Encodes and decodes events. A journal row has the entries of one group commit, and a format number, so that a later
//! release can read what this one wrote.

use serde::{Deserialize, Serialize};

use super::Stamped;
use crate::access::principal::Actor;
use crate::domain::ids::Seq;
use crate::domain::time::Moment;
use crate::engine::event::Event;
use crate::storage::journal::Row;

/// The format that this release writes: postcard, entry after entry.
pub const FORMAT: u16 = 7;

/// The result of one command: its stamp, who sent it and its events, all or nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The stamp of the command.
    pub at: Moment,
    /// Who sent it.
    pub by: Actor,
    /// Never empty.
    pub events: Vec<Event>,
}

/// Why a row's body cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Written by another release.
    #[error("format {0} is not known to this release, which reads {FORMAT}")]
    UnknownFormat(u16),
    /// Not what this format writes.
    #[error("the body is not format {FORMAT}: {0}")]
    Malformed(String),
}

/// Appends an entry to the body of a row.
pub fn encode(body: &mut Vec<u8>, at: Moment, by: Actor, events: &[Event]) {
    // A tuple is encoded like the [`Entry`] that it is decoded as.
    *body = postcard::to_extend(&(at, by, events), std::mem::take(body)).expect("events are plain data");
}

/// The events of a row's entries with their positions, starting at `first`.
pub fn stamped(entries: Vec<Entry>, first: u64) -> impl Iterator<Item = Stamped> {
    let events =
        entries.into_iter().flat_map(|Entry { at, by, events }| events.into_iter().map(move |event| (at, by, event)));
    (first..).zip(events).map(|(seq, (at, by, event))| Stamped { seq: Seq(seq), at, by, rate: None, event })
}

/// The events of a row with their positions.
///
/// # Errors
/// As [`decode`].
pub fn events(row: &Row) -> Result<impl Iterator<Item = Stamped>, CodecError> {
    Ok(stamped(decode(row.format, &row.body)?, row.first_seq))
}

/// Reads the body of a row.
///
/// # Errors
/// When another release wrote it, or it is damaged.
pub fn decode(format: u16, mut body: &[u8]) -> Result<Vec<Entry>, CodecError> {
    if format != FORMAT {
        return Err(CodecError::UnknownFormat(format));
    }
    let mut entries = Vec::new();
    while !body.is_empty() {
        let (entry, rest) =
            postcard::take_from_bytes(body).map_err(|error| CodecError::Malformed(error.to_string()))?;
        entries.push(entry);
        body = rest;
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_and_back() {
        let halt = |reason: &str| Event::Halted { reason: reason.to_owned() };
        let first = Entry { at: Moment(7), by: Actor::Server, events: vec![halt("a"), halt("b")] };
        let second = Entry { at: Moment(8), by: Actor::Public, events: vec![halt("c")] };
        let mut body = Vec::new();
        encode(&mut body, first.at, first.by, &first.events);
        encode(&mut body, second.at, second.by, &second.events);
        assert_eq!(decode(FORMAT, &body), Ok(vec![first, second]));
        body.pop();
        assert!(matches!(decode(FORMAT, &body), Err(CodecError::Malformed(_))));
        assert_eq!(decode(FORMAT + 1, &body), Err(CodecError::UnknownFormat(FORMAT + 1)));
    }
}
