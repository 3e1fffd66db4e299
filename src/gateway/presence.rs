//! Which Service Users have a socket open, for cancel on disconnect: when the last socket of a key that asked for it
//! is gone and none has come back within the grace, its orders are canceled. A planned stop is no disconnect.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::context::{Gateway, Unanswered};
use crate::access::principal::{Actor, Principal};
use crate::domain::ids::ServiceUserId;
use crate::engine::command::Command;
use crate::sequencer::handle::Work;

/// How long a cancel that was not taken waits before it is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Open sockets by Service User.
#[derive(Debug)]
pub struct Presence {
    open: Mutex<HashMap<ServiceUserId, usize>>,
    grace: Duration,
}

impl Presence {
    /// Nobody is there yet; who leaves has `grace` to come back.
    pub fn new(grace: Duration) -> Presence {
        Presence { open: Mutex::default(), grace }
    }

    /// A socket of this Service User is open.
    pub fn enter(&self, id: ServiceUserId) {
        *self.open.lock().expect("no holder of this lock panics").entry(id).or_default() += 1;
    }

    /// A socket of this Service User is gone.
    pub fn leave(&self, id: ServiceUserId) {
        let mut open = self.open.lock().expect("no holder of this lock panics");
        if let Some(count) = open.get_mut(&id) {
            *count -= 1;
            if *count == 0 {
                open.remove(&id);
            }
        }
    }

    fn is_gone(&self, id: ServiceUserId) -> bool {
        !self.open.lock().expect("no holder of this lock panics").contains_key(&id)
    }
}

/// Cancels the orders of a Service User unless a socket of it is back within the grace. While no command is taken it
/// tries again.
pub async fn cancel_unless_back(gateway: Arc<Gateway>, by: Principal, id: ServiceUserId) {
    debug_assert_eq!(by.actor, Actor::ServiceUser(id));
    let mut wait = gateway.presence.grace;
    loop {
        tokio::time::sleep(wait).await;
        if !gateway.presence.is_gone(id) || *gateway.stopping.borrow() {
            return;
        }
        match gateway.ask_as(by, Work::Command(Command::Disconnected)).await {
            // A key that has stopped meanwhile has had its orders canceled by that (rule 9).
            Ok(_) | Err(Unanswered::Refused(_)) => return,
            Err(Unanswered::Unavailable) => wait = RETRY,
        }
    }
}
