//! What the release step gives a socket to write.

use std::sync::{Arc, Weak};

use bytes::Bytes;

use super::call::Call;
use super::close::Close;
use super::fan_out::Batch;
use super::ring::Item;
use crate::access::operation::Operation;
use crate::domain::ids::Seq;
use crate::engine::query::{HistoryGrant, Items, Owner};
use crate::engine::reject::Reject;
use crate::sequencer::handle::Outcome;

/// A message for a socket to write.
#[derive(Debug)]
pub enum Outgoing {
    /// The engine's answer to a call.
    Answer(Call, Outcome),
    /// The journal failed during a call; its outcome is not known.
    Failed(Call),
    /// A private stream begins, or its refusal.
    Started(Call, Result<Box<Started>, Reject>),
    /// An item of a private channel that the socket follows.
    Item(Item),
    /// Items of a channel that many follow, for a subscription, given by its number.
    Batch(Operation, u64, Arc<Batch>),
    /// A frame of market data, header included, shared with others; valid while its subscription lasts.
    Frame(Weak<()>, Bytes),
    /// A message on `status`.
    Status(StatusChange),
    /// Close for this once everything before is written and, where it may be, every call answered.
    Close(Close),
}

/// What `status` announces beside the streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusChange {
    /// A freeze of the Organization began, with its scope, or ended: `none`.
    Freeze(&'static str),
    /// The Member's permissions or KYC status changed: what the client shows may be too much or too little.
    Rights,
    /// Another Member's record changed by no request of the Organization: for those who may list its Members.
    Members,
    /// The venue was halted or resumed, or its storage refuses or accepts writes again: for every socket.
    System,
}

/// How a private stream begins.
#[derive(Debug)]
pub struct Started {
    /// The position of what follows.
    pub at: Seq,
    /// The items missed since the given offset, or the snapshot.
    pub first: StreamStart,
    /// The warnings in the acknowledgement.
    pub warnings: Vec<&'static str>,
    /// Permission to read past fills, for `snap_trades`.
    pub fills: Option<HistoryGrant>,
    /// Whether changes follow; not after the query end date (rule 10).
    pub live: bool,
}

/// What a private stream begins with.
#[derive(Debug)]
pub enum StreamStart {
    /// A snapshot.
    Snapshot(Items),
    /// What was missed, in order.
    Replay(Vec<Item>),
    /// What was missed begins before this owner's ring: history must deliver it first. The socket does not follow yet.
    Past(Owner),
    /// What was missed begins before the ring, and the past may not be shown: the client must get a snapshot instead.
    /// The socket does not follow yet.
    TooOld,
}
