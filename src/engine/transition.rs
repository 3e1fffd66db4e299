//! The handle through which a command changes the state: `emit` applies an event at once and records it.

use super::event::Event;
use super::state::State;
use crate::domain::ids::Seq;
use crate::domain::limits::TICK_EVENTS_MAX;
use crate::domain::time::Moment;

/// A command in progress. All checks come before the first [`emit`](Transition::emit).
pub struct Transition<'a> {
    state: &'a mut State,
    events: &'a mut Vec<Event>,
    now: Moment,
    clock: Moment,
}

impl<'a> Transition<'a> {
    /// A command that arrives when the wall clock is at `clock`; its events are appended to `events`.
    pub fn new(state: &'a mut State, events: &'a mut Vec<Event>, clock: Moment) -> Transition<'a> {
        Transition { now: clock.max(state.at), state, events, clock }
    }

    /// The state as of the last event emitted.
    pub fn state(&self) -> &State {
        self.state
    }

    /// The command's stamp.
    pub fn now(&self) -> Moment {
        self.now
    }

    /// The wall clock, which may be behind the stamp. No right is compared with it (rule 39).
    pub fn clock(&self) -> Moment {
        self.clock
    }

    /// The sequence that the next event will have; ids derive from it.
    pub fn next_seq(&self) -> Seq {
        self.state.seq.next()
    }

    /// How many events the command has emitted so far.
    pub fn emitted(&self) -> usize {
        self.events.len()
    }

    /// Whether the command has emitted so much that a Tick leaves what else is due to the next one.
    pub fn is_long(&self) -> bool {
        self.emitted() >= TICK_EVENTS_MAX
    }

    /// One of the events that the command has emitted, counted from 0.
    pub fn event(&self, at: usize) -> Option<&Event> {
        self.events.get(at)
    }

    /// Applies `event` at once and records it. If it breaks a money law, a halt follows in the same journal entry (rule
    /// 35).
    pub fn emit(&mut self, event: Event) {
        self.state.apply(self.now, &event);
        let breach = self.state.ledger.breach(event.postings());
        self.events.push(event);
        if let Some(reason) = breach {
            let halt = Event::Halted { reason };
            self.state.apply(self.now, &halt);
            self.events.push(halt);
        }
    }
}
