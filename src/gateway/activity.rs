//! The last activity of each Member, by session: an idle session ends, with all its sockets (rule 16). Its end is a
//! journal entry and may have to wait; until then the session is refused (rule 39).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::context::{Gateway, Unanswered};
use crate::access::principal::Principal;
use crate::domain::time::Moment;
use crate::engine::command::Command;
use crate::sequencer::handle::Work;

/// The longest time between two searches for idle sessions.
const SWEEP: Duration = Duration::from_secs(10);

/// The last use of each session, by the hash of its cookie.
#[derive(Debug)]
pub struct Activity {
    last: Mutex<HashMap<[u8; 32], Moment>>,
    idle: Duration,
}

impl Activity {
    /// An `Activity` for sessions that end after `idle`; those of `open` count as used at `now`.
    pub fn new(idle: Duration, open: impl Iterator<Item = [u8; 32]>, now: Moment) -> Activity {
        Activity { last: Mutex::new(open.map(|hash| (hash, now)).collect()), idle }
    }

    /// Records a use; `false` for a session that was idle too long: it is not revived, however long its end takes.
    pub fn touch(&self, cookie_hash: [u8; 32], now: Moment) -> bool {
        let mut last = self.last.lock();
        let at = last.entry(cookie_hash).or_insert(now);
        let in_time = !self.has_idled(*at, now);
        if in_time {
            *at = now;
        }
        in_time
    }

    /// Refuses a session whose end could not be journalled, as one that was idle too long.
    pub fn revoke(&self, cookie_hash: &[u8; 32]) {
        self.last.lock().entry(*cookie_hash).and_modify(|at| *at = Moment(0));
    }

    /// Whether a session was idle too long, or is revoked, and has not been ended yet.
    pub fn is_over(&self, cookie_hash: &[u8; 32], now: Moment) -> bool {
        self.last.lock().get(cookie_hash).is_some_and(|at| self.has_idled(*at, now))
    }

    /// The sessions that were idle too long. A last use that lies in the future, because the clock was set back, counts
    /// as now.
    fn idled(&self, now: Moment) -> Vec<[u8; 32]> {
        let mut last = self.last.lock();
        last.values_mut().for_each(|at| *at = (*at).min(now));
        last.iter().filter(|(_, at)| self.has_idled(**at, now)).map(|(cookie_hash, _)| *cookie_hash).collect()
    }

    fn has_idled(&self, at: Moment, now: Moment) -> bool {
        at.plus_us(u64::try_from(self.idle.as_micros()).unwrap_or(u64::MAX)) <= now
    }

    /// Forgets a session that has ended.
    fn forget(&self, cookie_hash: &[u8; 32]) {
        self.last.lock().remove(cookie_hash);
    }
}

/// Ends idle sessions until the server stops.
pub async fn sweep(gateway: Arc<Gateway>) {
    let mut every = tokio::time::interval(SWEEP.min(gateway.activity.idle / 2).max(Duration::from_millis(100)));
    loop {
        tokio::select! {
            _ = every.tick() => {}
            () = gateway.stopping() => return,
        }
        end_idled(&gateway).await;
    }
}

async fn end_idled(gateway: &Gateway) {
    for cookie_hash in gateway.activity.idled((gateway.clock)()) {
        let command = Command::CloseMemberSession { cookie_hash };
        match gateway.ask(Principal::SERVER, Work::Command(command)).await {
            // Closed now, or signed out earlier.
            Ok(_) | Err(Unanswered::Refused(_)) => gateway.activity.forget(&cookie_hash),
            // It will be asked for again.
            Err(Unanswered::Unavailable) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::passwords::bearer_hash;
    use super::super::sign_in::session_hash;
    use super::super::test_gateway::{CLOCK, TestGateway};
    use super::*;

    #[test]
    fn only_what_was_not_used_for_the_whole_time_has_idled() {
        let at = |s: u64| Moment(s * 1_000_000);
        let activity = Activity::new(Duration::from_secs(10), [[1; 32], [2; 32]].into_iter(), at(0));
        assert!(activity.touch([2; 32], at(5)));
        assert!(activity.idled(at(9)).is_empty());
        assert_eq!(activity.idled(at(10)), [[1; 32]]);
        assert!(!activity.touch([1; 32], at(10)), "it was used too late");
        assert_eq!(activity.idled(at(10)), [[1; 32]]);
        assert_eq!([[1; 32], [2; 32], [3; 32]].map(|hash| activity.is_over(&hash, at(10))), [true, false, false]);
        activity.forget(&[1; 32]);
        assert!(activity.idled(at(14)).is_empty());
        assert_eq!(activity.idled(at(15)), [[2; 32]]);
    }

    #[test]
    fn rule_16_a_session_that_was_replaced_admits_nothing_while_its_end_waits_for_the_disk() {
        let now = Moment(1_700_000_000_000_000);
        let activity = Activity::new(Duration::from_secs(10), [[1; 32], [2; 32]].into_iter(), now);
        activity.revoke(&[1; 32]);
        activity.revoke(&[3; 32]);
        assert_eq!([[1; 32], [2; 32], [3; 32]].map(|hash| activity.is_over(&hash, now)), [true, false, false]);
        assert!(!activity.touch([1; 32], now));
        assert_eq!(activity.idled(now), [[1; 32]], "its end is asked for again");
    }

    #[test]
    fn d6_74_a_clock_that_is_set_back_keeps_no_session_for_longer() {
        let at = |s: u64| Moment(s * 1_000_000);
        let activity = Activity::new(Duration::from_secs(10), [[1; 32]].into_iter(), at(7_200));
        assert!(activity.idled(at(100)).is_empty());
        assert_eq!(activity.idled(at(110)), [[1; 32]]);
    }

    #[tokio::test]
    async fn rule_39_a_session_that_has_idled_opens_nothing_before_it_is_ended() {
        let server = TestGateway::new().await;
        let (gateway, began) = (&server.gateway, Moment(0));
        let end = began.plus_us(u64::try_from(gateway.activity.idle.as_micros()).unwrap());
        gateway.activity.touch(bearer_hash("token"), began);
        for (now, opens) in [(end.minus_us(1), true), (end, false)] {
            CLOCK.set(Some(now));
            assert_eq!(session_hash(gateway, "token").is_ok(), opens, "{now:?}");
        }
    }

    #[tokio::test]
    async fn rule_16_a_session_that_cannot_be_ended_yet_is_not_revived() {
        let mut server = TestGateway::new().await;
        // Nothing is taken.
        server.sequencer = None;
        let (gateway, began) = (Arc::clone(&server.gateway), Moment(0));
        let idle = began.plus_us(u64::try_from(gateway.activity.idle.as_micros()).unwrap());
        gateway.activity.touch([1; 32], began);
        CLOCK.set(Some(idle));
        for _ in 0..2 {
            end_idled(&gateway).await;
            gateway.activity.touch([1; 32], idle);
            assert_eq!(gateway.activity.idled(idle), [[1; 32]]);
        }
    }
}
