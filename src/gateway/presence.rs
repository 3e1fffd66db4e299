//! Which Service Users have a socket open, for cancel on disconnect: a key that asked for it and has had no socket for
//! the grace period loses its orders. A planned stop is no disconnect; each start begins the period again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::context::{Gateway, Unanswered};
use crate::access::principal::{Actor, Principal};
use crate::domain::ids::ServiceUserId;
use crate::engine::command::Command;
use crate::engine::query::Query;
use crate::engine::service_users::{KeyRef, KeyStatus};
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
    /// A closed socket had asked for it, and since then the key has not been without a socket for the grace period.
    asked: bool,
    /// When the last one closed.
    left: Instant,
}

impl Presence {
    /// Nobody is connected yet; a disconnected key has `grace` to come back.
    pub fn new(grace: Duration) -> Presence {
        Presence { of: Mutex::default(), grace }
    }

    /// A socket of this Service User is open.
    pub fn enter(&self, id: ServiceUserId) {
        let mut of = self.of.lock();
        of.entry(id).or_insert_with(|| Sockets { open: 0, asked: false, left: Instant::now() }).open += 1;
    }

    /// A socket of this Service User has closed; `asked` is whether it had asked for cancel on disconnect, `set`
    /// whether the key has that setting. `true` if the orders are to be canceled unless a socket opens within the grace
    /// period: this was the last one, and it or an earlier one had asked, or the setting is on.
    fn leave(&self, id: ServiceUserId, asked: bool, set: bool) -> bool {
        let mut of = self.of.lock();
        let Some(sockets) = of.get_mut(&id) else { return false };
        sockets.open -= 1;
        sockets.asked |= asked;
        sockets.left = Instant::now();
        sockets.open == 0 && (sockets.asked || set)
    }

    /// Whether there has been no socket for the grace period; if so, forgets that its sockets had asked.
    fn is_gone(&self, id: ServiceUserId) -> bool {
        let mut of = self.of.lock();
        // A key that has not connected since the start is gone once the grace period after the start is over.
        let Some(sockets) = of.get_mut(&id) else { return true };
        let gone = sockets.open == 0 && sockets.left.elapsed() >= self.grace;
        sockets.asked &= !gone;
        gone
    }
}

/// A socket of this Service User has closed; `asked` is whether it had asked for cancel on disconnect.
pub fn left(gateway: &Arc<Gateway>, id: ServiceUserId, asked: bool) {
    let set = gateway.directory.keys(|keys| keys.service_user(id).settings.cancel_on_disconnect);
    if gateway.presence.leave(id, asked, set) {
        tokio::spawn(cancel_unless_back(Arc::clone(gateway), vec![id]));
    }
}

/// A socket has closed before the engine judged its token, which claims this Service User: the engine may have accepted
/// orders sent after the token. So it is asked again whether what `by` claims is true.
pub fn left_early(gateway: &Arc<Gateway>, by: Principal, id: ServiceUserId, asked: bool) {
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
            left(&gateway, id, asked);
        }
    });
}

/// The server starts: nobody is connected yet, and keys with the setting have the grace period to connect.
pub fn started(gateway: &Arc<Gateway>) {
    let set = gateway.directory.keys(|keys| {
        let set = keys.all().iter().filter(|user| user.settings.cancel_on_disconnect);
        set.filter(|user| user.status == KeyStatus::Active).map(|user| user.id).collect::<Vec<_>>()
    });
    if !set.is_empty() {
        tokio::spawn(cancel_unless_back(Arc::clone(gateway), set));
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
        while gateway.presence.is_gone(id) {
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
        assert!(!presence.is_gone(ID));
        assert!(presence.leave(ID, false, false));
        tokio::time::advance(GRACE).await;
        assert!(presence.is_gone(ID));
        presence.enter(ID);
        assert!(!presence.leave(ID, false, false), "nobody has asked since");
        presence.enter(ID);
        assert!(presence.leave(ID, false, true), "the key is set so");
    }

    #[tokio::test(start_paused = true)]
    async fn d4_57_the_grace_counts_from_when_the_last_socket_went() {
        let presence = presence(1);
        assert!(presence.leave(ID, true, false));
        tokio::time::advance(GRACE / 2).await;
        presence.enter(ID);
        assert!(presence.leave(ID, false, false), "what was asked for holds over a gap within the grace");
        tokio::time::advance(GRACE / 2).await;
        assert!(!presence.is_gone(ID), "the timer of the first gap ends here");
        tokio::time::advance(GRACE / 2).await;
        assert!(presence.is_gone(ID));
    }
}
