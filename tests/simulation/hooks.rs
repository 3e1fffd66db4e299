//! Which rare paths a run took, which kinds of event came of it, and which refusals.

use std::collections::{BTreeMap, HashMap};
use std::mem::{Discriminant, discriminant};

use countersign::engine::event::Event;
use countersign::engine::reject::Code;

/// Paths that faults and small sizes open; the suite fails if one was not taken.
pub const RARE: [&str; 21] = [
    "append refused",
    "append unanswered",
    "append torn",
    "disk full",
    "only reads served",
    "writes taken again",
    "slow append",
    "kill",
    "kill with a batch on its way",
    "unanswered request took effect",
    "unanswered request was lost",
    "queue full",
    "stop with a snapshot",
    "start from a snapshot",
    "start from the first row",
    "snapshot damaged",
    "snapshot of an unknown format",
    "stream resumed",
    "stream too old",
    "clock set back",
    "clock set forward by days",
];

#[derive(Clone, Debug, Default)]
pub struct Hooks {
    rare: BTreeMap<&'static str, u64>,
    events: HashMap<Discriminant<Event>, (String, u64)>,
    refusals: BTreeMap<Code, u64>,
}

impl Hooks {
    pub fn hit(&mut self, rare: &'static str) {
        assert!(RARE.contains(&rare), "{rare} is not in the list");
        *self.rare.entry(rare).or_default() += 1;
    }

    pub fn event(&mut self, event: &Event) {
        let name = || format!("{event:?}").split(|c: char| !c.is_alphanumeric()).next().unwrap_or("").to_owned();
        self.events.entry(discriminant(event)).or_insert_with(|| (name(), 0)).1 += 1;
    }

    pub fn refusal(&mut self, code: Code) {
        *self.refusals.entry(code).or_default() += 1;
    }

    pub fn add(&mut self, other: &Hooks) {
        other.rare.iter().for_each(|(name, count)| *self.rare.entry(name).or_default() += count);
        other.refusals.iter().for_each(|(code, count)| *self.refusals.entry(*code).or_default() += count);
        for (kind, (name, count)) in &other.events {
            self.events.entry(*kind).or_insert_with(|| (name.clone(), 0)).1 += count;
        }
    }

    pub fn missed(&self) -> Vec<&'static str> {
        RARE.into_iter().filter(|name| !self.rare.contains_key(name)).collect()
    }

    /// The kinds of event seen, by name.
    pub fn kinds(&self) -> BTreeMap<&str, u64> {
        self.events.values().map(|(name, count)| (name.as_str(), *count)).collect()
    }

    pub fn print(&self) {
        println!("rare paths: {:?}", self.rare);
        println!("events: {:?}", self.kinds());
        println!("refusals: {:?}", self.refusals);
    }
}
