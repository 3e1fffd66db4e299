//! Entries of `balances` held against the channel that tells what caused them: each deposit, withdrawal and movement of Earn
//! is told there as an item of the same event.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use super::Check;

/// An offset is the number of an event times this, plus that of the item (rule 41).
const ITEMS_PER_EVENT: u64 = 256;

/// An event, and the id of what it is about.
type Cause = (u64, String);

/// What one channel had to tell, and what it told.
#[derive(Debug, Default)]
struct Told {
    due: HashSet<Cause>,
    told: HashSet<Cause>,
}

/// What moved funds, by channel.
#[derive(Debug, Default)]
pub struct Causes {
    channels: BTreeMap<String, Told>,
}

impl Causes {
    /// `balances` tells an entry, of whose cause this channel has to tell.
    pub fn due(&mut self, channel: &str, offset: u64, id: &str) {
        self.of(channel).due.insert((offset / ITEMS_PER_EVENT, id.to_owned()));
    }

    /// The channel tells an item.
    pub fn told(&mut self, channel: &str, offset: u64, id: Cow<'_, str>) {
        self.of(channel).told.insert((offset / ITEMS_PER_EVENT, id.into_owned()));
    }

    fn of(&mut self, channel: &str) -> &mut Told {
        self.channels.entry(channel.to_owned()).or_default()
    }

    /// Whether all that was due was told. What a channel tells besides has moved nothing.
    pub fn is_even(&self) -> bool {
        self.channels.values().all(|channel| channel.due.is_subset(&channel.told))
    }

    /// The verdicts on `owner`'s channels; there is none on one of which nothing was due.
    pub fn checks(self, owner: &str) -> Vec<Check> {
        let due = self.channels.into_iter().filter(|(_, channel)| !channel.due.is_empty());
        due.map(|(name, Told { due, told })| {
            let mut check = Check::new(format!("{owner} {name}: what moved on balances is told"));
            check.looked_at = due.len() as u64;
            due.difference(&told).for_each(|(event, id)| check.violated(format!("{id} at event {event} is not")));
            check
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_asks_for_an_item_of_its_event_about_the_same_thing_and_an_item_for_no_entry() {
        let mut causes = Causes::default();
        causes.told("deposits", 256, "pending".into());
        assert!(causes.is_even());
        for (offset, id) in [(513, "A"), (514, "A"), (768, "B"), (1_024, "C")] {
            causes.due("deposits", offset, id);
        }
        causes.told("deposits", 512, "A".into());
        causes.told("deposits", 768, "other".into());
        causes.told("deposits", 1_280, "C".into());
        assert!(!causes.is_even());
        let checks = causes.checks("Bot");
        let [check] = &checks[..] else { panic!("{checks:?}") };
        assert_eq!((check.looked_at, check.violations), (3, 2), "{check}");
    }
}
