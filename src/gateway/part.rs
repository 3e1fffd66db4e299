//! What the release step hands a socket to write.

use std::sync::{Arc, Weak};

use bytes::Bytes;

use super::call::Call;
use super::fan_out::Batch;
use super::ring::Item;
use crate::access::operation::Operation;
use crate::domain::ids::Seq;
use crate::engine::query::{HistoryGrant, Owner, View};
use crate::engine::reject::Reject;
use crate::sequencer::handle::Outcome;

/// Something for a socket to write.
#[derive(Debug)]
pub enum Part {
    /// The engine's answer to a call.
    Answer(Call, Outcome),
    /// The journal failed under a call; its outcome is not known.
    Failed(Call),
    /// A private stream begins, or its refusal.
    Started(Call, Result<Box<Started>, Reject>),
    /// An item of a private channel that the socket follows.
    Item(Item),
    /// Items of a channel that many follow, for a subscription by its number.
    Batch(Operation, u64, Arc<Batch>),
    /// A frame of market data, header included, shared with others; for a subscription, while that goes on.
    Frame(Weak<()>, Bytes),
    /// A message on `status`.
    Status(StatusChange),
    /// Close with this code and reason once everything before is written.
    Close(u16, &'static str),
}

/// What `status` announces, beside the streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusChange {
    /// A freeze of the Organization began, with its scope, or ended: `none`.
    Freeze(&'static str),
    /// The Member's permissions or KYC status changed: what was seen before may be too much or too little.
    Rights,
    /// The venue was halted, or its storage takes no writes, or it goes on: for every socket.
    System,
}

/// How a private stream begins.
#[derive(Debug)]
pub struct Started {
    /// The position of what follows.
    pub at: Seq,
    /// The items missed since the offset named, or the snapshot.
    pub first: First,
    /// What the acknowledgement warns of.
    pub warnings: Vec<&'static str>,
    /// Leave to read past fills, for `snap_trades`.
    pub fills: Option<HistoryGrant>,
}

/// What a private stream begins with.
#[derive(Debug)]
pub enum First {
    /// A snapshot.
    Snapshot(View),
    /// What was missed, in order.
    Replay(Vec<Item>),
    /// What was missed begins before the ring of this owner: history tells it first. Nobody follows yet.
    Past(Owner),
    /// What was missed begins before the ring, and the past is not to be told: the snapshot is asked for instead. Nobody
    /// follows yet.
    TooOld,
}
