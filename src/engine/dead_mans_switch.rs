//! The dead man's switch: an account's orders are canceled unless its bot keeps postponing that.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::caller::ServiceCaller;
use super::event::Event;
use super::reject::Reject;
use super::reply::Reply;
use super::trading;
use super::transition::Transition;
use crate::domain::ids::{AccountId, OrderId};
use crate::domain::limits::{SWITCH_MAX_S, TICK_EVENTS_MAX};
use crate::domain::orders::{CancelReason, Order};
use crate::domain::time::Moment;

/// When each armed switch fires.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Switches {
    armed: BTreeMap<AccountId, Moment>,
    /// The same, the earliest first.
    by_time: BTreeSet<(Moment, AccountId)>,
}

impl Switches {
    /// Folds a setting in.
    pub fn set(&mut self, account: AccountId, at: Option<Moment>) {
        let before = match at {
            Some(at) => self.armed.insert(account, at),
            None => self.armed.remove(&account),
        };
        self.by_time.extend(at.map(|at| (at, account)));
        if let Some(before) = before.filter(|before| Some(*before) != at) {
            self.by_time.remove(&(before, account));
        }
    }

    fn due(&self, now: Moment) -> Option<AccountId> {
        self.by_time.first().filter(|(at, _)| *at <= now).map(|(_, account)| *account)
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
        fire(t, caller.account, usize::MAX);
    }
    let at = (timeout_s > 0).then(|| t.now().plus_us(timeout_s * 1_000_000));
    t.emit(Event::SwitchSet { account: caller.account, at });
    Ok(Reply::Switch { now: t.now(), at })
}

/// Fires the switches that are due; one that has fired stays off until it is armed again.
pub fn tick(t: &mut Transition<'_>) {
    while !t.is_long()
        && let Some(account) = t.state().switches.due(t.now())
    {
        fire(t, account, TICK_EVENTS_MAX - t.emitted());
    }
}

/// Cancels the orders that an account's switch has ended, but at most so many, and turns it off after the last one.
/// Until then none of them is live (rule 39).
fn fire(t: &mut Transition<'_>, account: AccountId, most: usize) {
    let (orders, switches, now) = (&t.state().orders, &t.state().switches, t.now());
    let ended = orders.open(account).filter(|order| switches.has_ended(order, now));
    let ended: Vec<OrderId> = ended.map(|order| order.id).take(most).collect();
    let is_last = ended.len() < most;
    trading::cancel_each(t, ended, CancelReason::DeadMansSwitch);
    if is_last {
        t.emit(Event::SwitchSet { account, at: None });
    }
}
