//! The dead man's switch: an account's orders are canceled unless its bot keeps postponing that.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::caller::ServiceCaller;
use super::event::Event;
use super::reject::Reject;
use super::reply::Reply;
use super::trading;
use super::transition::Transition;
use crate::domain::ids::AccountId;
use crate::domain::limits::SWITCH_MAX_S;
use crate::domain::orders::{CancelReason, Order};
use crate::domain::time::Moment;

/// When each armed switch fires.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Switches {
    armed: BTreeMap<AccountId, Moment>,
}

impl Switches {
    /// Folds a setting in.
    pub fn set(&mut self, account: AccountId, at: Option<Moment>) {
        match at {
            Some(at) => self.armed.insert(account, at),
            None => self.armed.remove(&account),
        };
    }

    fn due(&self, now: Moment) -> Vec<AccountId> {
        self.armed.iter().filter(|(_, at)| **at <= now).map(|(account, _)| *account).collect()
    }

    fn is_due(&self, account: AccountId, now: Moment) -> bool {
        self.armed.get(&account).is_some_and(|at| *at <= now)
    }

    /// Whether its account's switch has ended an order: the switch's time is over, and the order was placed before
    /// that. Later orders stay, even if Tick has not run yet (rule 39).
    pub fn has_ended(&self, order: &Order, now: Moment) -> bool {
        self.armed.get(&order.account).is_some_and(|at| *at <= now && order.opened_at < *at)
    }
}

/// `cancel_all_orders_after`: arms the account's switch again, or disarms it with 0. A switch whose time is over fires
/// first, even if Tick has not run yet (rule 39).
pub fn arm(t: &mut Transition<'_>, caller: ServiceCaller, timeout_s: u64) -> Result<Reply, Reject> {
    if timeout_s > SWITCH_MAX_S {
        return Err(Reject::invalid("timeout", format!("give an integer from 0 to {SWITCH_MAX_S}")));
    }
    if t.state().switches.is_due(caller.account, t.now()) {
        fire(t, caller.account);
    }
    let at = (timeout_s > 0).then(|| t.now().plus_us(timeout_s * 1_000_000));
    t.emit(Event::SwitchSet { account: caller.account, at });
    Ok(Reply::Switch { now: t.now(), at })
}

/// Fires the switches that are due; one that has fired stays off until it is armed again.
pub fn tick(t: &mut Transition<'_>) {
    t.state().switches.due(t.now()).into_iter().for_each(|account| fire(t, account));
}

fn fire(t: &mut Transition<'_>, account: AccountId) {
    let (orders, switches, now) = (&t.state().orders, &t.state().switches, t.now());
    let mut ended = orders.ids(account, None);
    ended.retain(|id| orders.get(*id).is_some_and(|order| switches.has_ended(order, now)));
    t.emit(Event::SwitchSet { account, at: None });
    trading::cancel_each(t, ended, CancelReason::DeadMansSwitch);
}
