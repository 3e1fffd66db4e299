//! The contents of one group commit: the encoded entries for the journal, the events and answers for release.

use std::sync::Arc;

use super::codec;
use super::handle::Outcome;
use crate::access::principal::Actor;
use crate::domain::ids::Seq;
use crate::domain::time::Moment;
use crate::engine::Engine;
use crate::engine::event::Event;

/// An event with its position and its stamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamped {
    /// Its sequence.
    pub seq: Seq,
    /// The stamp of its command.
    pub at: Moment,
    /// The principal of the command.
    pub by: Actor,
    /// The rate counter of the key that sent the command, in hundredths, as `ratecounter` shows it. Not journaled:
    /// events read back have none.
    pub rate: Option<u64>,
    /// What happened.
    pub event: Event,
}

/// The events of a batch, shared by all followers.
pub type Events = Arc<Vec<Arc<Stamped>>>;

/// A batch that is on disk. Nothing of it was shown before.
#[derive(Debug)]
pub struct Released<T> {
    /// Its events, in order.
    pub events: Events,
    /// Answers in the order in which the engine gave them. Each is as of the events before it.
    pub answers: Vec<(T, Outcome)>,
    /// Submissions that wait for the engine in the meantime.
    pub waiting: usize,
}

/// Where released batches go: the gateway's releaser.
pub trait Release: Send + 'static {
    /// Says whom to answer.
    type Ticket: Send + 'static;

    /// Receives a batch that is durable. Must not block: it runs on the sequencer's thread.
    fn release(&mut self, batch: Released<Self::Ticket>);

    /// The journal failed while these calls were under way; whether they took effect is not known.
    fn failed(&mut self, tickets: Vec<Self::Ticket>);

    /// The storage does not accept writes, so commands are refused from now on; or it does again.
    fn accepting(&mut self, accepts: bool);
}

/// A batch: being filled, on its way to the disk, or waiting to be released.
pub(super) struct Batch<T> {
    pub(super) body: Vec<u8>,
    pub(super) events: Vec<Arc<Stamped>>,
    pub(super) answers: Vec<(T, Outcome)>,
}

impl<T> Default for Batch<T> {
    fn default() -> Batch<T> {
        Batch { body: Vec::new(), events: Vec::new(), answers: Vec::new() }
    }
}

impl<T> Batch<T> {
    /// Takes the batch that was filled. The next one gets as much capacity, so that it does not grow by copying.
    pub(super) fn take(&mut self) -> Batch<T> {
        let room = Batch {
            body: Vec::with_capacity(self.body.len()),
            events: Vec::with_capacity(self.events.len()),
            answers: Vec::with_capacity(self.answers.len()),
        };
        std::mem::replace(self, room)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.answers.is_empty() && self.events.is_empty()
    }

    /// Takes the events of the command that the engine has just handled.
    pub(super) fn record(&mut self, engine: &mut Engine, by: Actor) {
        if engine.events().is_empty() {
            return;
        }
        let (at, last) = (engine.state().at, engine.state().seq);
        codec::encode(&mut self.body, at, by, engine.events());
        let first = last.0 + 1 - engine.events().len() as u64;
        let rate = engine.rate().map(|rate| rate.count);
        let stamped = |(seq, event)| Arc::new(Stamped { seq: Seq(seq), at, by, rate, event });
        self.events.extend((first..).zip(engine.take_events()).map(stamped));
    }
}
