//! Which rare paths a run took, which kinds of command, query and event it saw, and which refusals.

use std::collections::BTreeMap;

use countersign::engine::command::Command;
use countersign::engine::event::Event;
use countersign::engine::query::Query;
use countersign::engine::reject::Code;

use super::kinds::Kind;

/// Paths that faults and small sizes open; the suite fails if one was not taken.
pub const RARE: [&str; 25] = [
    "append refused",
    "append unanswered",
    "append unsynced",
    "disk full",
    "only reads served",
    "writes taken again",
    "slow append",
    "kill",
    "kill with a batch on its way",
    "unanswered request took effect",
    "unanswered request was lost",
    "queue full",
    "queue takes a part",
    "batch full",
    "key too fast",
    "stop with a snapshot",
    "start from a snapshot",
    "start from the first row",
    "snapshot damaged",
    "snapshot of an unknown format",
    "stream resumed",
    "stream too old",
    "stream outran its ring",
    "clock set back",
    "clock set forward by days",
];

/// What no run brings about: there are no positions to settle (rule 13).
const NEVER: &str = "SettlePosition";

type Counts = BTreeMap<&'static str, u64>;

#[derive(Clone, Debug, Default)]
pub struct Hooks {
    rare: Counts,
    /// Those that were done.
    commands: Counts,
    /// Those that were answered with what was asked for.
    queries: Counts,
    events: Counts,
    refusals: BTreeMap<Code, u64>,
}

impl Hooks {
    pub fn hit(&mut self, rare: &'static str) {
        assert!(RARE.contains(&rare), "{rare} is not in the list");
        *self.rare.entry(rare).or_default() += 1;
    }

    pub fn event(&mut self, event: &Event) {
        *self.events.entry(event.kind()).or_default() += 1;
    }

    pub fn command(&mut self, done: &Command) {
        *self.commands.entry(done.kind()).or_default() += 1;
    }

    pub fn query(&mut self, answered: &Query) {
        *self.queries.entry(answered.kind()).or_default() += 1;
    }

    pub fn refusal(&mut self, code: Code) {
        *self.refusals.entry(code).or_default() += 1;
    }

    pub fn add(&mut self, other: &Hooks) {
        let pairs = [
            (&mut self.rare, &other.rare),
            (&mut self.commands, &other.commands),
            (&mut self.queries, &other.queries),
            (&mut self.events, &other.events),
        ];
        for (all, more) in pairs {
            more.iter().for_each(|(name, count)| *all.entry(name).or_default() += count);
        }
        other.refusals.iter().for_each(|(code, count)| *self.refusals.entry(*code).or_default() += count);
    }

    /// Everything listed that was not seen.
    pub fn missed(&self) -> Vec<&'static str> {
        let lists = [
            (&RARE[..], &self.rare),
            (Command::ALL, &self.commands),
            (Query::ALL, &self.queries),
            (Event::ALL, &self.events),
        ];
        let missing = |(all, seen): (&'static [&'static str], &Counts)| {
            all.iter().copied().filter(|name| !seen.contains_key(name) && *name != NEVER).collect::<Vec<_>>()
        };
        lists.into_iter().flat_map(missing).collect()
    }

    pub fn print(&self) {
        println!("rare paths: {:?}", self.rare);
        println!("commands done: {:?}", self.commands);
        println!("queries answered: {:?}", self.queries);
        println!("events: {:?}", self.events);
        println!("refusals: {:?}", self.refusals);
    }
}
