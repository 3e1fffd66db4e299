//! Which Service Users have a socket open, for cancel on disconnect: a key that asked for it and has had no socket for
//! the grace period loses its orders. A planned stop is no disconnect; each start begins the period again.
//!
//! A key asks by its setting, which counts as it is when the period ends, or by a socket's subscription.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::context::{Gateway, Unanswered};
use crate::access::principal::{Actor, Principal};
use crate::domain::ids::ServiceUserId;
use crate::engine::command::Command;
use crate::engine::keys::KeyRef;
use crate::engine::query::Query;
use crate::engine::service_users::KeyStatus;
use crate::sequencer::handle::Work;

/// The pause before a command that was not accepted is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// The sockets of each Service User that has had one since the start.
#[derive(Debug)]
pub struct Presence {
    of: Mutex<HashMap<ServiceUserId, Sockets>>,
    grace: Duration,
}

#[derive(Debug)]
struct Sockets {
    open: usize,
    /// A closed socket had asked for it; forgotten when a socket opens after a whole grace period without one.
    by_socket: bool,
    /// When the last one closed.
    left: Instant,
}

impl Presence {
    /// Nobody is connected yet; a disconnected key has `grace` to come back.
    pub fn new(grace: Duration) -> Presence {
        Presence { of: Mutex::default(), grace }
    }

    /// A socket of this Service User is open. After a whole grace period without one, what earlier ones asked for is
    /// forgotten.
    pub fn enter(&self, id: ServiceUserId) {
        let mut of = self.of.lock();
        let sockets = of.entry(id).or_insert_with(|| Sockets { open: 0, by_socket: false, left: Instant::now() });
        sockets.by_socket &= !sockets.are_gone(self.grace);
        sockets.open += 1;
    }

    /// A socket of this Service User has closed. Whether it had asked for cancel on disconnect is `by_socket`, whether
    /// the key's setting is on is `by_setting`. `true` if the orders are to be canceled unless a socket opens within the
    /// grace period: this was the last one, and it or an earlier one had asked, or the setting is on.
    fn leave(&self, id: ServiceUserId, by_socket: bool, by_setting: bool) -> bool {
        let mut of = self.of.lock();
        let Some(sockets) = of.get_mut(&id) else { return false };
        sockets.open -= 1;
        sockets.by_socket |= by_socket;
        sockets.left = Instant::now();
        sockets.open == 0 && (sockets.by_socket || by_setting)
    }

    /// Whether the orders are to be canceled now: there has been no socket for the grace period, and one had asked or
    /// the setting is on.
    fn is_due(&self, id: ServiceUserId, by_setting: bool) -> bool {
        let of = self.of.lock();
        // A key that has not connected since the start is gone once the grace period after the start is over.
        let Some(sockets) = of.get(&id) else { return by_setting };
        sockets.are_gone(self.grace) && (sockets.by_socket || by_setting)
    }
}

impl Sockets {
    /// None has been open for the grace period.
    fn are_gone(&self, grace: Duration) -> bool {
        self.open == 0 && self.left.elapsed() >= grace
    }
}

/// Whether the setting of this Service User's key is on, as of the last release.
fn is_set(gateway: &Gateway, id: ServiceUserId) -> bool {
    gateway.directory.keys(|keys| keys.service_user(id).settings.cancel_on_disconnect)
}

/// A socket of this Service User has closed; `by_socket` is whether it had asked for cancel on disconnect.
pub fn left(gateway: &Arc<Gateway>, id: ServiceUserId, by_socket: bool) {
    if gateway.presence.leave(id, by_socket, is_set(gateway, id)) {
        tokio::spawn(cancel_unless_back(Arc::clone(gateway), vec![id]));
    }
}

/// A socket has closed before the engine judged its token, which claims this Service User: the engine may have accepted
/// orders sent after the token. So it is asked again whether what `by` claims is true.
pub fn left_early(gateway: &Arc<Gateway>, by: Principal, id: ServiceUserId, by_socket: bool) {
    let (gateway, by) = (Arc::clone(gateway), Principal { actor: Actor::Public, ..by });
    tokio::spawn(async move {
        let admitted = async {
            loop {
                match gateway.ask(by, Work::Query(Query::Bind(KeyRef::ServiceUser(id)))).await {
                    Ok(_) => return true,
                    Err(Unanswered::Refused(_)) => return false,
                    Err(Unanswered::Unavailable) => tokio::time::sleep(RETRY).await,
                }
            }
        };
        let was_here = tokio::select! {
            biased;
            () = gateway.stopping() => false,
            admitted = admitted => admitted,
        };
        if was_here {
            gateway.presence.enter(id);
            left(&gateway, id, by_socket);
        }
    });
}

/// Gives active keys whose setting is on the grace period to connect: at the start, when nobody is connected yet, and
/// when the setting is switched on. Runs until the server stops.
pub async fn follow_settings(gateway: Arc<Gateway>) {
    let mut before = HashSet::new();
    let begin = async {
        loop {
            let set: HashSet<ServiceUserId> = gateway.directory.keys(|keys| {
                let active = keys.all().iter().filter(|user| user.status == KeyStatus::Active);
                active.filter(|user| user.settings.cancel_on_disconnect).map(|user| user.id).collect()
            });
            let fresh: Vec<ServiceUserId> = set.difference(&before).copied().collect();
            if !fresh.is_empty() {
                tokio::spawn(cancel_unless_back(Arc::clone(&gateway), fresh));
            }
            before = set;
            gateway.directory.keys_changed().await;
        }
    };
    tokio::select! {
        biased;
        () = gateway.stopping() => {}
        () = begin => {}
    }
}

/// Cancels the orders of those that have no socket when the grace period is over, unless the server stops before.
async fn cancel_unless_back(gateway: Arc<Gateway>, ids: Vec<ServiceUserId>) {
    tokio::select! {
        biased;
        () = gateway.stopping() => {}
        () = cancel_after_grace(&gateway, ids) => {}
    }
}

/// Tries again while commands are not accepted.
async fn cancel_after_grace(gateway: &Gateway, ids: Vec<ServiceUserId>) {
    tokio::time::sleep(gateway.presence.grace).await;
    for id in ids {
        while gateway.presence.is_due(id, is_set(gateway, id)) {
            match gateway.ask(Principal::SERVER, Work::Command(Command::Disconnected(id))).await {
                Ok(_) | Err(Unanswered::Refused(_)) => break,
                Err(Unanswered::Unavailable) => tokio::time::sleep(RETRY).await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: ServiceUserId = ServiceUserId(1);
    const GRACE: Duration = Duration::from_secs(5);

    /// With this many sockets open.
    fn presence(sockets: usize) -> Presence {
        let presence = Presence::new(GRACE);
        (0..sockets).for_each(|_| presence.enter(ID));
        presence
    }

    #[tokio::test(start_paused = true)]
    async fn d4_57_what_one_socket_asked_for_holds_until_the_last_one_is_gone() {
        let presence = presence(2);
        assert!(!presence.leave(ID, true, false), "the other one is there");
        tokio::time::advance(10 * GRACE).await;
        assert!(!presence.is_due(ID, true));
        assert!(presence.leave(ID, false, false));
        tokio::time::advance(GRACE).await;
        assert!(presence.is_due(ID, false));
        presence.enter(ID);
        assert!(!presence.leave(ID, false, false), "nobody has asked since");
        presence.enter(ID);
        assert!(presence.leave(ID, false, true), "the key is set so");
        tokio::time::advance(GRACE).await;
        assert!(presence.is_due(ID, true));
        assert!(!presence.is_due(ID, false), "it was set otherwise meanwhile");
    }

    #[tokio::test(start_paused = true)]
    async fn d4_57_the_grace_counts_from_when_the_last_socket_went() {
        let presence = presence(1);
        assert!(presence.leave(ID, true, false));
        tokio::time::advance(GRACE / 2).await;
        presence.enter(ID);
        assert!(presence.leave(ID, false, false), "what was asked for holds over a gap within the grace");
        tokio::time::advance(GRACE / 2).await;
        assert!(!presence.is_due(ID, false), "the timer of the first gap ends here");
        tokio::time::advance(GRACE / 2).await;
        assert!(presence.is_due(ID, false));
    }
}
