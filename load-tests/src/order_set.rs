//! Sets of orders by connection and number: what was acknowledged, what was seen on a stream.
//!
//! The numbers of a connection count up, so one bit each is enough for a run of any length.

use std::collections::BTreeMap;

/// A set of orders of one run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OrderSet {
    connections: BTreeMap<u16, Vec<u64>>,
}

impl OrderSet {
    /// Adds an order; `false` if it was there already.
    pub fn insert(&mut self, connection: u16, order: u32) -> bool {
        let words = self.connections.entry(connection).or_default();
        let (word, bit) = (order as usize / 64, 1_u64 << (order % 64));
        if words.len() <= word {
            words.resize(word + 1, 0);
        }
        let is_new = words[word] & bit == 0;
        words[word] |= bit;
        is_new
    }

    /// Adds all of another set.
    pub fn merge(&mut self, other: Self) {
        for (connection, words) in other.connections {
            let mine = self.connections.entry(connection).or_default();
            if mine.len() < words.len() {
                mine.resize(words.len(), 0);
            }
            for (mine, theirs) in mine.iter_mut().zip(words) {
                *mine |= theirs;
            }
        }
    }

    /// How many orders it holds.
    pub fn len(&self) -> u64 {
        self.connections.values().flatten().map(|word| u64::from(word.count_ones())).sum()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many of its orders `other` lacks.
    pub fn missing_in(&self, other: &Self) -> u64 {
        let lacking = self.connections.iter().flat_map(|(connection, words)| {
            let theirs = other.connections.get(connection).map_or(&[][..], Vec::as_slice);
            words.iter().enumerate().map(|(at, word)| word & !theirs.get(at).copied().unwrap_or(0))
        });
        lacking.map(|word| u64::from(word.count_ones())).sum()
    }

    /// The orders of the connections for which `keep` is true.
    pub fn filtered(&self, keep: impl Fn(u16) -> bool) -> Self {
        let kept = self.connections.iter().filter(|(connection, _)| keep(**connection));
        Self { connections: kept.map(|(connection, words)| (*connection, words.clone())).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_set_has_and_the_other_lacks_is_counted() {
        let (mut acknowledged, mut seen) = (OrderSet::default(), OrderSet::default());
        for order in [0, 63, 64, 10_000] {
            assert!(acknowledged.insert(1, order));
            assert!(!acknowledged.insert(1, order));
        }
        acknowledged.insert(2, 5);
        seen.insert(1, 63);
        seen.insert(3, 7);
        assert_eq!((acknowledged.len(), acknowledged.missing_in(&seen)), (5, 4));
        seen.merge(acknowledged.clone());
        assert_eq!(acknowledged.missing_in(&seen), 0);
        assert_eq!(acknowledged.filtered(|connection| connection == 2).len(), 1);
    }
}
