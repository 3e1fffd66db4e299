//! Every request of a run: when it was sent, by whom, and what became of it.

use std::collections::VecDeque;

use countersign::access::principal::Principal;
use countersign::domain::time::Moment;
use countersign::sequencer::handle::Work;

#[derive(Debug)]
pub struct Invocation {
    pub ticket: usize,
    pub by: Principal,
    pub work: Work,
    /// The clock when the sequencer took it from the queue; `None` while it waits there.
    pub taken_at: Option<Moment>,
}

/// Requests in the order of their tickets. One that was answered, or is known to be lost, is dropped.
#[derive(Default)]
pub struct History {
    given: usize,
    invocations: VecDeque<Invocation>,
    /// How many of them the sequencer has taken.
    taken: usize,
    pub answered: u64,
    pub lost: u64,
    pub survived: u64,
}

impl History {
    /// Records a request that is about to be sent; returns its ticket.
    pub fn invoke(&mut self, by: Principal, work: Work) -> usize {
        let ticket = self.given;
        self.given += 1;
        self.invocations.push_back(Invocation { ticket, by, work, taken_at: None });
        ticket
    }

    /// Removes these again: there was no room for them.
    pub fn revoke(&mut self, refused: &[usize]) {
        self.invocations.retain(|of| of.taken_at.is_some() || !refused.contains(&of.ticket));
    }

    /// The sequencer has run: it has taken everything in the queue except the last `waiting`.
    pub fn take(&mut self, now: Moment, waiting: usize) {
        let taken = self.invocations.len() - waiting;
        self.invocations.range_mut(self.taken..taken).for_each(|of| of.taken_at = Some(now));
        self.taken = taken;
    }

    /// The request that is answered next. Answers come in the order in which requests were accepted: one answered
    /// before another was sent comes before it, which is the real-time order of linearizability.
    pub fn answer(&mut self, ticket: usize) -> Invocation {
        let invocation = self.next().expect("an answer to nothing");
        assert_eq!(ticket, invocation.ticket, "an answer out of order, or a second one");
        self.answered += 1;
        invocation
    }

    /// The next request without an answer, whose outcome is in the journal.
    pub fn next(&mut self) -> Option<Invocation> {
        let next = self.invocations.pop_front()?;
        self.taken = self.taken.saturating_sub(1);
        Some(next)
    }

    /// Removes the next `count` requests, whose outcome only a start can show.
    pub fn set_aside(&mut self, count: usize) -> Vec<Invocation> {
        (0..count).map(|_| self.next().expect("a request without an answer")).collect()
    }

    /// Puts such requests back, before all others.
    pub fn put_back(&mut self, invocations: Vec<Invocation>) {
        self.taken += invocations.len();
        invocations.into_iter().rev().for_each(|invocation| self.invocations.push_front(invocation));
    }

    pub fn is_empty(&self) -> bool {
        self.invocations.is_empty()
    }

    /// The requests without an answer, in order.
    pub fn open(&self) -> impl Iterator<Item = &Invocation> {
        self.invocations.iter()
    }

    pub fn tickets(&self) -> impl Iterator<Item = usize> {
        self.open().map(|of| of.ticket)
    }
}
