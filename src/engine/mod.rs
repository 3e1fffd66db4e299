//! The state machine. No I/O, no clock, no randomness, no hash-ordered iteration: the same commands give
//! the same bytes on every machine.
#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

pub mod approvals;
pub mod book;
pub mod caller;
pub mod client_ids;
pub mod command;
pub mod deposits;
pub mod earn;
pub mod event;
pub mod index;
pub mod ledger;
pub mod members;
pub mod nonces;
pub mod orders;
pub mod policy;
pub mod query;
pub mod reference;
pub mod reject;
pub mod service_users;
pub mod state;
pub mod trading;
pub mod transition;
pub mod withdrawals;
pub mod workflows;

use command::Command;
use event::Event;
use query::{Query, Reply, View};
use reject::{Code, Reject};
use state::State;
use transition::Transition;

use crate::access::principal::{Actor, Principal};
use crate::domain::time::Moment;

/// The engine: a state, and the events of the command at hand.
#[derive(Debug, Default)]
pub struct Engine {
    state: State,
    events: Vec<Event>,
}

impl Engine {
    /// An engine that goes on from `state`.
    pub fn new(state: State) -> Engine {
        Engine { state, events: Vec::new() }
    }

    /// The state as of the last event.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The events of the last command; empty after a refusal.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Judges `command` on the state as of now and, if it is sound, emits its events. `now` before the last
    /// stamp counts as the last stamp (rule 39).
    pub fn handle(&mut self, now: Moment, by: &Principal, command: &Command) -> Result<Reply, Reject> {
        self.events.clear();
        let now = now.max(self.state.at);
        let mut transition = Transition::new(&mut self.state, &mut self.events, now);
        let result = dispatch(&mut transition, by, command);
        assert!(result.is_ok() || self.events.is_empty(), "a refusal emits nothing");
        result
    }

    /// Answers `query` on the state as of now.
    pub fn query(&self, _now: Moment, _by: &Principal, _query: &Query) -> Result<View, Reject> {
        Err(Reject::of(Code::PermissionDenied))
    }
}

fn dispatch(t: &mut Transition<'_>, by: &Principal, command: &Command) -> Result<Reply, Reject> {
    match (by.actor, command) {
        (Actor::Server, Command::Genesis(events)) => {
            if t.state().seq.0 != 0 {
                return Err(Reject::of(Code::NotEmpty));
            }
            events.iter().for_each(|event| t.emit(event.clone()));
            Ok(Reply::Done)
        }
        (Actor::Server, Command::Tick) => Ok(Reply::Done),
        _ => Err(Reject::of(Code::PermissionDenied)),
    }
}
