//! Compares a channel with the channel of its causes: each deposit, withdrawal and movement of Earn on `balances` is an
//! item of the same event on another channel, and each withdrawal that waits or is decided is a request on `approvals`.

use std::collections::{BTreeMap, HashSet};

use super::Check;

/// What one channel should have sent, described in words, and what it did send.
#[derive(Debug, Default)]
struct Told {
    due: HashSet<String>,
    reported: HashSet<String>,
}

/// What was seen on other channels, by the channel of its cause.
#[derive(Debug, Default)]
pub struct Causes {
    channels: BTreeMap<String, Told>,
}

impl Causes {
    /// Another channel has sent something whose cause this one must send.
    pub fn due(&mut self, channel: &str, cause: String) {
        self.of(channel).due.insert(cause);
    }

    /// The channel has sent it.
    pub fn reported(&mut self, channel: &str, cause: String) {
        self.of(channel).reported.insert(cause);
    }

    fn of(&mut self, channel: &str) -> &mut Told {
        self.channels.entry(channel.to_owned()).or_default()
    }

    /// Whether everything due was sent. Additional items have changed nothing on other channels.
    pub fn is_even(&self) -> bool {
        self.channels.values().all(|channel| channel.due.is_subset(&channel.reported))
    }

    /// The verdicts on `owner`'s channels; none for a channel on which nothing was due.
    pub fn checks(self, owner: &str) -> Vec<Check> {
        let due = self.channels.into_iter().filter(|(_, channel)| !channel.due.is_empty());
        due.map(|(name, Told { due, reported })| {
            let what = if name == "approvals" { "changed on withdrawals" } else { "moved on balances" };
            let mut check = Check::new(format!("{owner} {name}: what {what} is told"));
            check.looked_at = due.len() as u64;
            due.difference(&reported).for_each(|cause| check.violated(format!("{cause} is not")));
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
        causes.reported("deposits", "pending at event 1".into());
        assert!(causes.is_even());
        for due in ["A at event 2", "A at event 2", "B at event 3", "C at event 4"] {
            causes.due("deposits", due.into());
        }
        for reported in ["A at event 2", "other at event 3", "C at event 5"] {
            causes.reported("deposits", reported.into());
        }
        assert!(!causes.is_even());
        let checks = causes.checks("Bot");
        let [check] = &checks[..] else { panic!("{checks:?}") };
        assert_eq!((check.looked_at, check.violations), (3, 2), "{check}");
    }
}
