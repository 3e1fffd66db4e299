//! The nonce history of one key: exactly which nonces may still open a session (rule 2).
//!
//! A nonce that was forgotten is never accepted again: the floor only rises, even when the key's window is widened
//! later, so that editing a key cannot make an old signature valid.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::domain::limits::NONCES_MAX;

/// The nonces that a key has used since its secret was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nonces {
    /// Accepted nonces at or above the floor; the greatest is the highest ever accepted.
    seen: BTreeSet<u64>,
    /// Every nonce below this counts as used.
    floor: u64,
}

impl Nonces {
    /// The highest nonce accepted so far.
    pub fn highest(&self) -> Option<u64> {
        self.seen.last().copied()
    }

    /// Whether `nonce` may be used by a key whose window is `window` nonce units.
    pub fn admits(&self, nonce: u64, window: u64) -> bool {
        self.highest().is_none_or(|highest| {
            nonce > highest
                || nonce >= highest.saturating_sub(window) && nonce >= self.floor && !self.seen.contains(&nonce)
        })
    }

    /// Records that `nonce` was used, and forgets nonces that have left the window or exceed [`NONCES_MAX`].
    pub fn record(&mut self, nonce: u64, window: u64) {
        self.seen.insert(nonce);
        let highest = self.highest().unwrap_or(nonce);
        self.floor = self.floor.max(highest.saturating_sub(window));
        if self.seen.len() > NONCES_MAX {
            let oldest = self.seen.first().copied().unwrap_or(highest);
            self.floor = self.floor.max(oldest.saturating_add(1));
        }
        self.seen = self.seen.split_off(&self.floor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(nonces: &[u64], window: u64) -> Nonces {
        let mut history = Nonces::default();
        nonces.iter().for_each(|nonce| history.record(*nonce, window));
        history
    }

    #[test]
    fn without_a_window_nonces_strictly_increase() {
        let history = after(&[5, 10], 0);
        assert_eq!([5, 9, 10, 11].map(|nonce| history.admits(nonce, 0)), [false, false, false, true]);
        assert!(Nonces::default().admits(0, 0), "the first nonce may be anything");
    }

    #[test]
    fn the_window_includes_its_lower_end_and_each_nonce_once() {
        let history = after(&[100, 95], 10);
        assert_eq!([89, 90, 95, 99, 100, 101].map(|n| history.admits(n, 10)), [false, true, false, true, false, true]);
    }

    #[test]
    fn a_window_widened_later_revives_nothing() {
        let history = after(&[5, 10], 0);
        assert!(!history.admits(5, 1_000));
        assert!(!history.admits(9, 1_000));
    }

    #[test]
    fn a_full_memory_raises_the_floor() {
        let full: Vec<u64> = (1..=NONCES_MAX as u64 + 1).map(|n| n * 2).collect();
        let history = after(&full, u64::MAX);
        assert_eq!([1, 2, 3, 4].map(|nonce| history.admits(nonce, u64::MAX)), [false, false, true, false]);
        assert_eq!(history.seen.len(), NONCES_MAX);
    }
}
