//! Compares the entries on `ledger` with the updates of `balances`: both must have the same ones in the same order, so
//! that neither can lose one, or fall silent, unnoticed.

use std::collections::VecDeque;

use super::Check;
use super::balances::Entry;

/// The channel that an entry is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// As an update.
    Balances,
    /// As an item.
    Ledger,
}

/// The entries that one of the two has sent and the other not yet.
#[derive(Debug)]
pub struct Entries {
    waiting: VecDeque<Entry>,
    /// Which side has sent the waiting entries.
    ahead: Side,
    /// Entries up to this offset are in the snapshot of `balances`.
    from: u64,
    check: Check,
}

impl Entries {
    /// Nothing sent yet to `owner`.
    pub fn new(owner: &str) -> Self {
        let check = Check::new(format!("{owner} ledger: the same entries as on balances"));
        Self { waiting: VecDeque::new(), ahead: Side::Balances, from: 0, check }
    }

    /// Takes a snapshot of `balances` as of this offset, which includes all entries before.
    pub fn snapshot(&mut self, offset: u64) {
        self.from = self.from.max(offset);
        self.waiting.retain(|entry| entry.offset > offset);
    }

    /// Takes an entry of one of the two.
    pub fn reported(&mut self, side: Side, entry: Entry) {
        if entry.offset <= self.from {
            return;
        }
        if side != self.ahead {
            // Entries that the other has sent before this one are missing on this side.
            while self.waiting.front().is_some_and(|other| other.offset < entry.offset) {
                self.waiting.pop_front().into_iter().for_each(|other| self.alone(&other));
            }
            match self.waiting.front() {
                None => self.ahead = side,
                Some(other) if other.offset > entry.offset => return self.alone(&entry),
                Some(other) => {
                    self.check.looked_at += 1;
                    if *other != entry {
                        self.check.violated(format!("{entry} on one and {other} on the other"));
                    }
                    self.waiting.pop_front();
                    return;
                }
            }
        }
        self.waiting.push_back(entry);
    }

    /// Whether both have sent the same so far.
    pub fn is_even(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The verdict; none if there were no entries.
    pub fn check(mut self) -> Option<Check> {
        std::mem::take(&mut self.waiting).iter().for_each(|entry| self.alone(entry));
        (self.check.looked_at > 0).then_some(self.check)
    }

    fn alone(&mut self, entry: &Entry) {
        self.check.looked_at += 1;
        self.check.violated(format!("only one of the two tells {entry}"));
    }
}

#[cfg(test)]
mod tests {
    use super::Side::{Balances, Ledger};
    use super::*;
    use crate::checks::balances::Item;

    /// How many entries were checked, and how many were wrong, for entries with these offsets and amounts.
    fn verdict(reported: &[(Side, u64, i64)]) -> (u64, u64) {
        let mut entries = Entries::new("Bot");
        entries.snapshot(255);
        for (side, offset, amount) in reported {
            let text = format!(
                r#"{{"asset":"USD","amount":{amount},"fee":0.5,"wallet_type":"spot","wallet_id":"main","offset":{offset}}}"#
            );
            entries.reported(*side, serde_json::from_str::<Item<'_>>(&text).unwrap().entry().unwrap());
        }
        entries.check().map_or((0, 0), |check| (check.looked_at, check.violations))
    }

    #[test]
    fn either_may_be_ahead_and_what_a_snapshot_holds_is_not_asked_for() {
        assert_eq!(verdict(&[]), (0, 0));
        assert_eq!(verdict(&[(Ledger, 255, 9)]), (0, 0));
        let both = [(Balances, 256, 1), (Ledger, 256, 1), (Ledger, 257, 2), (Ledger, 512, 3), (Balances, 257, 2)];
        assert_eq!(verdict(&[&both[..], &[(Balances, 512, 3)]].concat()), (3, 0));
        assert_eq!(verdict(&both), (3, 1), "balances never tells the last one");
    }

    #[test]
    fn an_entry_that_is_missing_doubled_invented_or_different_is_noticed_on_either_side() {
        for (one, other) in [(Balances, Ledger), (Ledger, Balances)] {
            assert_eq!(verdict(&[(one, 256, 1), (one, 257, 2), (other, 257, 2)]), (2, 1), "missing");
            assert_eq!(verdict(&[(one, 256, 1), (other, 256, 1), (other, 256, 1)]), (2, 1), "doubled");
            assert_eq!(verdict(&[(one, 257, 2), (other, 256, 1), (other, 257, 2)]), (2, 1), "invented");
            assert_eq!(verdict(&[(one, 256, 1), (other, 256, 2)]), (1, 1), "different");
            assert_eq!(verdict(&[(one, 256, 1), (one, 257, 2)]), (2, 2), "silent");
        }
    }
}
