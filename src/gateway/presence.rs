//! Which Service Users have a socket open, for cancel on disconnect: when the last socket of a key that asked for it
//! is gone and none has come back within the grace, its orders are canceled. A planned stop is no disconnect.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::context::Gateway;
use super::release::Ticket;
use crate::access::principal::{Actor, Principal};
use crate::domain::ids::ServiceUserId;
use crate::engine::command::Command;
use crate::sequencer::handle::{Submission, Work};

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

/// Cancels the orders of a Service User unless a socket of it is back within the grace.
pub async fn cancel_unless_back(gateway: Arc<Gateway>, by: Principal, id: ServiceUserId) {
    debug_assert_eq!(by.actor, Actor::ServiceUser(id));
    tokio::time::sleep(gateway.presence.grace).await;
    if !gateway.presence.is_gone(id) || *gateway.stopping.borrow() {
        return;
    }
    let (sender, answer) = tokio::sync::oneshot::channel();
    let work = Work::Command(Command::Disconnected);
    match gateway.handle.submit(vec![Submission { by, work, ticket: Ticket::Ask(sender) }]) {
        // A key that has stopped meanwhile has had its orders canceled by that (rule 9).
        Ok(()) => drop(answer.await),
        Err(_) => tracing::warn!(service_user = %id, "its orders are not canceled on disconnect: the queue is full"),
    }
}
