//! The single-threaded model that histories are checked against: one engine, no queue, no batches, no disk, no crash.
//!
//! The order is known, because there is one writer and answers come in its order; only the server's own ticks may lie
//! anywhere between requests. So the check need not search: each answered request is given to the model at its place
//! and must get the same answer and the same events. After a crash, what the journal has beyond what was shown must
//! come from the first of the unanswered requests: nothing acknowledged is lost, nothing is done twice, and nothing
//! exists that nobody asked for.

use std::collections::VecDeque;
use std::sync::Arc;

use countersign::access::principal::Actor;
use countersign::access::tier::Tiers;
use countersign::domain::orders::CancelReason;
use countersign::domain::time::Moment;
use countersign::engine::Engine;
use countersign::engine::command::Command;
use countersign::engine::event::Event;
use countersign::engine::exports::ExportChange;
use countersign::engine::reject::Code;
use countersign::engine::state::State;
use countersign::sequencer::codec::{self, Entry};
use countersign::sequencer::handle::{Answer, Outcome, Work};
use countersign::sequencer::{Released, Stamped};
use countersign::storage::journal::Row;

use super::history::{History, Invocation};
use super::world::SERVER;

/// One in this many refusals is checked with the state's digest, which takes long.
const DIGESTED: u64 = 512;

pub struct Model {
    engine: Engine,
    tiers: Tiers,
    /// Events that were shown and not matched yet.
    shown: VecDeque<Arc<Stamped>>,
    refusals: u64,
}

impl Model {
    pub fn new(tiers: Tiers) -> Model {
        Model { engine: Engine::default(), tiers, shown: VecDeque::new(), refusals: 0 }
    }

    pub fn state(&self) -> &State {
        self.engine.state()
    }

    /// Models a restart, which loses what no event contains: the counters of keys. Returns the previous engine.
    pub fn restart(&mut self) -> Engine {
        let anew = Engine::new(self.state().clone()).with_tiers(self.tiers.clone());
        std::mem::replace(&mut self.engine, anew)
    }

    /// Restores the engine of before a restart that no event followed.
    pub fn go_back(&mut self, engine: Engine) {
        assert_eq!(engine.state().seq, self.state().seq);
        self.engine = engine;
    }

    /// Matches a batch: every answer, and every event.
    pub fn released(&mut self, batch: &Released<usize>, history: &mut History) {
        self.shown.extend(batch.events.iter().cloned());
        for (ticket, outcome) in &batch.answers {
            let invocation = history.answer(*ticket);
            if outcome.as_ref().is_err_and(|reject| reject.code == Code::ReadOnly) {
                assert!(matches!(invocation.work, Work::Command(_)), "{invocation:?} only reads");
                continue;
            }
            self.answered(&invocation, outcome);
        }
        while let Some(next) = self.shown.front() {
            assert!(ticked(next), "{next:?} was shown and nobody asked for it");
            self.server();
        }
    }

    fn answered(&mut self, invocation: &Invocation, told: &Outcome) {
        let now = invocation.taken_at.expect("what is answered was taken");
        let Work::Command(command) = &invocation.work else { return self.queried(invocation, now, told) };
        // The answer may depend on a tick before it. A tick that could also come later stays there.
        while let Some(next) = self.shown.front().filter(|next| ticked(next)) {
            let mut trial = self.engine.clone();
            let outcome = put(&mut trial, now, invocation, command);
            match trial.events().first() {
                // Even a refusal brings a key's counter to the clock at which it was judged.
                None if outcome == *told => return self.engine = trial,
                // A disconnect ends an order whose time is over as expired, as a tick would.
                Some(first) if outcome == *told && invocation.by == SERVER && *first == next.event => break,
                _ => self.server(),
            }
        }
        self.refusals += u64::from(told.is_err());
        let before = (told.is_err() && self.refusals.is_multiple_of(DIGESTED)).then(|| self.state().digest());
        let outcome = put(&mut self.engine, now, invocation, command);
        assert_eq!(outcome, *told, "the model answers otherwise (left) to {invocation:?}");
        assert!(before.is_none_or(|before| before == self.state().digest()), "a refusal changed something");
        self.account(invocation.by.actor);
    }

    fn queried(&mut self, invocation: &Invocation, now: Moment, told: &Outcome) {
        let Work::Query(query) = &invocation.work else { unreachable!("commands are put elsewhere") };
        let ask = || self.engine.query(now, &invocation.by, query).map(Answer::View);
        let mut outcome = ask();
        while outcome != *told && self.shown.front().is_some_and(|next| ticked(next)) {
            self.server();
            outcome = self.engine.query(now, &invocation.by, query).map(Answer::View);
        }
        assert_eq!(outcome, *told, "the model answers otherwise (left) to {invocation:?}");
    }

    /// Handles a command of the server itself, if the next event shown is its own.
    fn server(&mut self) {
        let next = self.shown.front().expect("an event of the server");
        let at = next.at;
        self.engine.handle(at, &SERVER, &Command::Tick).expect("a tick is never refused");
        assert!(!self.engine.events().is_empty(), "{next:?} was shown and nothing was due");
        self.account(Actor::Server);
    }

    /// Removes the events of the model's last command from those that were shown.
    fn account(&mut self, by: Actor) {
        let (at, last) = (self.state().at, self.state().seq.0);
        let first = last + 1 - self.engine.events().len() as u64;
        for (seq, event) in (first..).zip(self.engine.take_events()) {
            let shown = self.shown.pop_front().unwrap_or_else(|| panic!("{event:?} was acknowledged and not shown"));
            assert_eq!((shown.seq.0, shown.at, shown.by), (seq, at, by), "{shown:?}");
            assert_eq!(shown.event, event, "shown (left) is not what the model does");
        }
    }

    /// The beginning of the journal, which nobody asked for.
    pub fn begin(&mut self, genesis: &Command, batch: &Released<usize>) {
        self.engine = Engine::default().with_tiers(self.tiers.clone());
        self.shown.extend(batch.events.iter().cloned());
        let at = self.shown.front().expect("genesis has events").at;
        self.engine.handle(at, &SERVER, genesis).expect("genesis is sound");
        self.account(Actor::Server);
        while !self.shown.is_empty() {
            self.server();
        }
    }

    /// Matches what the journal has beyond what was shown, after a crash, with unanswered requests, from the first one
    /// on. The later ones are lost. Returns the events, which clients learn when they resume.
    pub fn crashed(&mut self, rows: &[Row], history: &mut History) -> Vec<Arc<Stamped>> {
        assert!(self.shown.is_empty(), "everything shown is accounted for");
        let mut found = Vec::new();
        for row in rows {
            let entries = codec::decode(row.format, &row.body).expect("the journal is read");
            let mut seq = row.first_seq;
            for entry in entries {
                let count = entry.events.len() as u64;
                found.extend(codec::stamped(vec![entry.clone()], seq).map(Arc::new));
                self.survived(&entry, seq, history);
                seq += count;
            }
        }
        while let Some(_lost) = history.next() {
            history.lost += 1;
        }
        found
    }

    fn survived(&mut self, entry: &Entry, seq: u64, history: &mut History) {
        self.shown.extend(codec::stamped(vec![entry.clone()], seq).map(Arc::new));
        if self.shown.front().is_some_and(|next| ticked(next)) {
            // A disconnect, too, ends an order whose time is over as a tick would, but nothing else.
            let mut trial = self.engine.clone();
            trial.handle(entry.at, &SERVER, &Command::Tick).expect("a tick is never refused");
            if trial.events() == entry.events {
                return self.server();
            }
        }
        loop {
            let invocation = history.next().unwrap_or_else(|| panic!("{entry:?} is in the journal and nobody asked"));
            let (Work::Command(command), Some(now)) = (&invocation.work, invocation.taken_at) else { continue };
            let _ = put(&mut self.engine, now, &invocation, command);
            if !self.engine.events().is_empty() {
                history.survived += 1;
                return self.account(invocation.by.actor);
            }
        }
    }
}

/// Whether an event comes from the server's own ticks. Its only other commands report that an export is made, and
/// cancel the orders of a disconnected Service User.
fn ticked(stamped: &Stamped) -> bool {
    let asked = match &stamped.event {
        Event::ExportChanged { change, .. } => matches!(change, ExportChange::Made),
        Event::OrderCanceled { reason, .. } => *reason == CancelReason::Disconnected,
        _ => false,
    };
    stamped.by == Actor::Server && !asked
}

/// Executes it as the sequencer does.
fn put(engine: &mut Engine, now: Moment, invocation: &Invocation, command: &Command) -> Outcome {
    engine.handle(now, &invocation.by, command).map(|reply| Answer::Reply(reply, engine.rate()))
}
