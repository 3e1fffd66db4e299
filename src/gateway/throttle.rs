//! Slows down failed sign-ins with a bounded table of recent failures. They are counted by account *and* address, and
//! by address, wrong codes by session, but never by account alone, so that nobody can lock out somebody else. Other
//! things that are limited per minute are counted in the same way.

use std::collections::HashMap;
use std::hash::Hash;

use parking_lot::Mutex;

use crate::domain::time::Moment;

/// How long failures count.
const WINDOW_US: u64 = 60_000_000;
/// Entries in the table. When it is full, expired ones are dropped; if that is not enough, a new one is not counted.
const ENTRIES_MAX: usize = 10_000;

#[derive(Debug, Clone, Copy)]
struct Failures {
    since: Moment,
    count: u32,
}

/// Recent failures.
#[derive(Debug)]
pub struct Throttle<K> {
    failures: Mutex<HashMap<K, Failures>>,
    failures_max: u32,
}

impl<K: Hash + Eq> Throttle<K> {
    /// Further attempts wait after `failures_max` failures in a minute.
    pub fn new(failures_max: u32) -> Throttle<K> {
        Throttle { failures: Mutex::default(), failures_max }
    }

    /// The seconds to wait, when there were too many failures.
    pub fn wait_s(&self, who: &K, now: Moment) -> Option<u64> {
        self.wait(&self.failures.lock(), who, now)
    }

    /// Counts one more.
    pub fn count(&self, who: K, now: Moment) {
        count(&mut self.failures.lock(), who, now);
    }

    /// Counts one more if there were not too many; `false` when there were, or when there is no room for `who`: for
    /// things that must stay bounded whoever does them.
    pub fn admit(&self, who: K, now: Moment) -> bool {
        let mut failures = self.failures.lock();
        self.wait(&failures, &who, now).is_none() && count(&mut failures, who, now)
    }

    /// Counts an attempt as a failure before it is judged, so that concurrent attempts get no more tries than
    /// successive ones; [`Throttle::take_back`] if it was none.
    ///
    /// # Errors
    /// The seconds to wait, when there were too many failures; this one is not counted then.
    pub fn attempt(&self, who: K, now: Moment) -> Result<(), u64> {
        let mut failures = self.failures.lock();
        match self.wait(&failures, &who, now) {
            Some(wait) => Err(wait),
            None => {
                count(&mut failures, who, now);
                Ok(())
            }
        }
    }

    /// Takes back an attempt that did not fail.
    pub fn take_back(&self, who: &K) {
        let mut failures = self.failures.lock();
        if let Some(found) = failures.get_mut(who) {
            found.count -= 1;
            if found.count == 0 {
                failures.remove(who);
            }
        }
    }

    /// Forgets the failures of who succeeded.
    pub fn succeeded(&self, who: &K) {
        self.failures.lock().remove(who);
    }

    fn wait(&self, failures: &HashMap<K, Failures>, who: &K, now: Moment) -> Option<u64> {
        let found = failures.get(who).filter(|failures| failures.count >= self.failures_max)?;
        let left = found.since.plus_us(WINDOW_US).0.saturating_sub(now.0).min(WINDOW_US);
        now.is_near(found.since, WINDOW_US).then(|| left.div_ceil(1_000_000))
    }
}

/// `false` when there is no room to count `who`.
fn count<K: Hash + Eq>(failures: &mut HashMap<K, Failures>, who: K, now: Moment) -> bool {
    if failures.len() >= ENTRIES_MAX {
        failures.retain(|_, failures| now.is_near(failures.since, WINDOW_US));
    }
    if failures.len() >= ENTRIES_MAX && !failures.contains_key(&who) {
        return false;
    }
    let entry = failures.entry(who).or_insert(Failures { since: now, count: 0 });
    if !now.is_near(entry.since, WINDOW_US) {
        *entry = Failures { since: now, count: 0 };
    }
    entry.count += 1;
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_failures_in_a_minute_make_one_wait_and_nobody_else() {
        let throttle = Throttle::new(10);
        let at = |s: u64| Moment(s * 1_000_000);
        (0..10).for_each(|s| throttle.count("eve", at(s)));
        assert_eq!(throttle.wait_s(&"eve", at(10)), Some(50));
        assert_eq!(throttle.wait_s(&"alice", at(10)), None);
        assert_eq!(throttle.wait_s(&"eve", at(60)), None);
        throttle.count("eve", at(61));
        assert_eq!(throttle.wait_s(&"eve", at(61)), None, "a new minute counts from one");
    }

    #[test]
    fn d6_74_a_clock_that_is_set_locks_nobody_out_for_longer() {
        let throttle = Throttle::new(10);
        let at = |s: u64| Moment(s * 1_000_000);
        (0..10).for_each(|_| throttle.count("alice", at(90_000)));
        assert_eq!(throttle.wait_s(&"alice", at(90_001)), Some(59));
        for set in [at(0), at(86_000), at(180_000)] {
            assert_eq!(throttle.wait_s(&"alice", set), None);
        }
        throttle.count("alice", at(0));
        assert_eq!(throttle.wait_s(&"alice", at(1)), None, "a new minute counts from one");
        (1..10).for_each(|_| throttle.count("alice", at(1)));
        assert_eq!(throttle.wait_s(&"alice", at(1)), Some(59), "and bounds what is guessed in it");
    }

    #[test]
    fn failures_of_the_same_moment_count_in_whatever_order_they_are_noted() {
        let throttle = Throttle::new(10);
        (0..10).rev().for_each(|us| throttle.count("eve", Moment(90_000_000 + us)));
        assert_eq!(throttle.wait_s(&"eve", Moment(90_000_000)), Some(60));
    }

    #[test]
    fn success_forgets() {
        let throttle = Throttle::new(10);
        (0..10).for_each(|_| throttle.count("alice", Moment(0)));
        throttle.succeeded(&"alice");
        assert_eq!(throttle.wait_s(&"alice", Moment(1)), None);
    }

    #[test]
    fn an_attempt_counts_until_it_is_taken_back() {
        let throttle = Throttle::new(2);
        let now = Moment(0);
        throttle.attempt("alice", now).unwrap();
        throttle.attempt("alice", now).unwrap();
        assert_eq!(throttle.attempt("alice", now), Err(60));
        throttle.take_back(&"alice");
        throttle.attempt("alice", now).unwrap();
        assert_eq!(throttle.attempt("alice", now), Err(60), "the one that was refused was not noted");
        (0..3).for_each(|_| throttle.take_back(&"alice"));
        assert!(throttle.failures.lock().is_empty(), "who has no failures takes no room");
    }

    #[test]
    fn the_table_is_bounded() {
        let throttle = Throttle::new(10);
        (0..ENTRIES_MAX * 2).for_each(|who| throttle.count(who, Moment(0)));
        assert_eq!(throttle.failures.lock().len(), ENTRIES_MAX);
        assert!(!throttle.admit(usize::MAX, Moment(0)), "whom there is no room for");
        throttle.count(usize::MAX, Moment(WINDOW_US));
        assert_eq!(throttle.failures.lock().len(), 1);
    }
}
