//! How fast each key trades, counted for each pair as in v2 (docs.kraken.com, guide `spot-ratelimits`). The counters
//! are not part of the state: they only cause refusals, which change nothing. After a restart they begin at zero.

use std::collections::BTreeMap;

use super::caller::ServiceCaller;
use super::command::{Command, OrderRef};
use super::event::Event;
use super::order_requests::PlaceOrder;
use super::reference::Reference;
use super::reject::{Code, Reject};
use super::reply::{Placed, Reply};
use super::state::State;
use crate::access::tier::{Allowance, Tier, Tiers};
use crate::domain::decimal::units_text;
use crate::domain::ids::{MarketId, ServiceUserId};
use crate::domain::orders::{CancelReason, Order, Side};
use crate::domain::time::Moment;

/// What a request that is not a cancel costs in any case, in hundredths.
const FIXED: u64 = 100;
/// What an order of a batch costs, in hundredths.
const OF_BATCH: u64 = 50;
const SECOND_US: u64 = 1_000_000;
/// The extra cost of an amendment, an edit and a cancel, in hundredths, for an order younger than this many seconds.
const PENALTIES: [(u64, [u64; 3]); 6] = [
    (5, [300, 600, 800]),
    (10, [200, 500, 600]),
    (15, [100, 400, 500]),
    (45, [0, 200, 400]),
    (90, [0, 100, 200]),
    (300, [0, 0, 100]),
];

#[derive(Clone, Copy)]
enum Act {
    Amend,
    Edit,
    Cancel,
}

/// Where a counter stands after a request. All in hundredths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// What the request cost.
    pub cost: u64,
    /// The counter of its pair.
    pub count: u64,
    /// What the counter may reach.
    pub threshold: u64,
}

#[derive(Clone, Copy, Debug)]
struct Counter {
    count: u64,
    at: Moment,
}

/// The counters of all keys.
#[derive(Clone, Debug)]
pub struct Rates {
    tiers: Tiers,
    counters: BTreeMap<(ServiceUserId, MarketId), Counter>,
}

impl Default for Rates {
    fn default() -> Rates {
        Rates::new(Tiers::all(Tier::Unlimited))
    }
}

/// Whose command is counted, by which allowance, and when: by the stamp `now` and by the wall clock.
#[derive(Clone, Copy)]
struct Charging {
    caller: ServiceCaller,
    allowance: Allowance,
    now: Moment,
    clock: Moment,
}

impl Rates {
    /// Counters of these tiers, all at zero.
    pub fn new(tiers: Tiers) -> Rates {
        Rates { tiers, counters: BTreeMap::new() }
    }

    /// `None` for a caller whose commands are not counted.
    fn charging(&self, caller: ServiceCaller, now: Moment, clock: Moment) -> Option<Charging> {
        let allowance = self.tiers.of(caller.organization).allowance()?;
        Some(Charging { caller, allowance, now, clock })
    }

    fn count(&mut self, charging: Charging, market: MarketId) -> u64 {
        let Charging { caller, allowance, clock, .. } = charging;
        let Some(counter) = self.counters.get_mut(&(caller.id, market)) else { return 0 };
        // From where a clock was set back to, time passes again.
        counter.at = counter.at.min(clock);
        let passed = clock.0 - counter.at.0;
        counter.count.saturating_sub(passed.saturating_mul(allowance.decay) / SECOND_US)
    }

    /// Refuses what would take the counter beyond its threshold, or the pair's open orders beyond their maximum.
    /// Cancels always pass, and so does a repeated client id: it places nothing (rule 30). Counters fall with the wall
    /// clock, even while it is behind the stamp `now`.
    pub(super) fn check(
        &mut self,
        state: &State,
        caller: ServiceCaller,
        command: &Command,
        now: Moment,
        clock: Moment,
    ) -> Result<(), Reject> {
        let Some(charging) = self.charging(caller, now, clock) else { return Ok(()) };
        let (each, orders) = match command {
            Command::PlaceOrder(order) => (FIXED, std::slice::from_ref(order)),
            Command::PlaceBatch(all) => (OF_BATCH, &all[..]),
            Command::AmendOrder(request) => {
                return self.check_change(state, charging, Act::Amend, &request.order);
            }
            Command::EditOrder(request) if !request.validate => {
                return self.check_change(state, charging, Act::Edit, &OrderRef::Id(request.order));
            }
            _ => return Ok(()),
        };
        // All orders of a batch are of one pair, and checked or placed together.
        let Some(first) = orders.first().filter(|first| !first.validate) else { return Ok(()) };
        let Ok(market) = state.reference.find_market(&first.symbol) else { return Ok(()) };
        let mut fits = |count: usize| {
            if state.orders.open_in(caller.account, market.id) + count > charging.allowance.open_orders {
                let advice = format!("at most {} open orders in a pair; cancel some", charging.allowance.open_orders);
                return Err(Reject::field(Code::OrdersLimit, "symbol", advice));
            }
            self.room(charging, market.id, each * count as u64)
        };
        // Client ids are looked up only if there is not room for all.
        fits(orders.len()).or_else(|_| {
            let places = orders.iter().filter(|order| !state.repeats(caller.id, order, now)).count();
            if places == 0 { Ok(()) } else { fits(places) }
        })
    }

    fn check_change(&mut self, state: &State, charging: Charging, act: Act, which: &OrderRef) -> Result<(), Reject> {
        match state.orders.find(charging.caller, which).first().and_then(|id| state.orders.get(*id)) {
            Some(order) => self.room(charging, order.market, FIXED + penalty(act, order, charging.now)),
            None => Ok(()),
        }
    }

    fn room(&mut self, charging: Charging, market: MarketId, cost: u64) -> Result<(), Reject> {
        let (count, allowance) = (self.count(charging, market), charging.allowance);
        let Some(over) = (count + cost).checked_sub(allowance.threshold).filter(|over| *over > 0) else {
            return Ok(());
        };
        let wait_ms = (over * 1_000).div_ceil(allowance.decay);
        let (count, most) = (units_text(count.cast_signed(), 2), allowance.threshold / 100);
        let advice = format!("the counter of this pair is at {count} of {most}; retry in {wait_ms} ms");
        Err(Reject::field(Code::RateLimit, "symbol", advice))
    }

    /// Counts what a key's command has done, which led to `state`. `None` if it costs nothing.
    pub(super) fn charge(
        &mut self,
        state: &State,
        caller: ServiceCaller,
        command: &Command,
        result: &Result<Reply, Reject>,
        events: &[Event],
        clock: Moment,
    ) -> Option<Rate> {
        let now = clock.max(state.at);
        let charging = self.charging(caller, now, clock)?;
        let unpaid = || unpaid(command, result, events, &state.reference);
        let costs = || costs(command, result, events, now).chain(unpaid());
        for (market, cost) in costs() {
            let count = self.count(charging, market) + cost;
            self.counters.insert((caller.id, market), Counter { count, at: clock });
        }
        // Of several pairs only one is reported.
        let reported = costs().map(|(market, _)| market).max()?;
        let cost = costs().filter(|(market, _)| *market == reported).map(|(_, cost)| cost).sum();
        let count = self.count(charging, reported);
        Some(Rate { cost, count, threshold: charging.allowance.threshold })
    }
}

/// What a command costs, by pair, for what it does. Orders that fills cause cost nothing, and neither do refusals,
/// repetitions and commands that cancel everything.
fn costs(
    command: &Command,
    result: &Result<Reply, Reject>,
    events: &[Event],
    now: Moment,
) -> impl Iterator<Item = (MarketId, u64)> {
    let placed = match (command, result) {
        (Command::PlaceOrder(_), _) => Some(FIXED),
        (Command::PlaceBatch(_), Ok(Reply::Batch(all))) => {
            Some(OF_BATCH * all.iter().filter(|one| !repeats(one)).count() as u64)
        }
        _ => None,
    };
    let changes = matches!(
        command,
        Command::AmendOrder(_) | Command::EditOrder(_) | Command::CancelOrder(_) | Command::CancelBatch(_)
    );
    let market = events.iter().filter(move |_| placed.is_some()).find_map(|event| match event {
        Event::OrderPlaced { order, .. } => Some(order.market),
        _ => None,
    });
    let changed = events.iter().filter(move |_| changes).filter_map(move |event| match event {
        Event::OrderAmended { order, .. } => Some((order.market, FIXED + penalty(Act::Amend, order, now))),
        Event::OrderCanceled { order, reason: CancelReason::Edited } => {
            Some((order.market, FIXED + penalty(Act::Edit, order, now)))
        }
        Event::OrderCanceled { order, reason: CancelReason::UserRequested | CancelReason::AmendedToFilled } => {
            Some((order.market, penalty(Act::Cancel, order, now)))
        }
        _ => None,
    });
    market.zip(placed).into_iter().chain(changed)
}

/// What a command costs for market buys that the funds do not pay, where it places nothing: to find out, the engine
/// goes through the book.
fn unpaid(
    command: &Command,
    result: &Result<Reply, Reject>,
    events: &[Event],
    reference: &Reference,
) -> Option<(MarketId, u64)> {
    let places = || events.iter().any(|event| matches!(event, Event::OrderPlaced { .. }));
    let is_unpaid = |order: &PlaceOrder, refusal: &Reject| {
        let market_buy = order.side == Side::Buy && order.limit_price.is_none() && !order.validate;
        market_buy && refusal.code == Code::InsufficientFunds
    };
    let (order, cost) = match (command, result) {
        (Command::PlaceOrder(order), Err(refusal)) if is_unpaid(order, refusal) => (order, FIXED),
        (Command::PlaceBatch(orders), Ok(Reply::Batch(all))) if !places() => {
            let refused =
                orders.iter().zip(all).filter(|(order, one)| one.as_ref().is_err_and(|of| is_unpaid(order, of)));
            (orders.first()?, OF_BATCH * refused.count() as u64)
        }
        _ => return None,
    };
    let market = reference.find_market(&order.symbol).ok()?;
    (cost > 0).then_some((market.id, cost))
}

/// Whether an order of a batch repeated the client id of an existing one.
fn repeats(outcome: &Result<Placed, Reject>) -> bool {
    match outcome {
        Ok(placed) => placed.repeated,
        Err(refusal) => refusal.code == Code::ClientOrderIdNotUnique,
    }
}

fn penalty(act: Act, order: &Order, now: Moment) -> u64 {
    let age = now.0.saturating_sub(order.opened_at.0) / SECOND_US;
    let row = PENALTIES.iter().find(|(below, _)| age < *below);
    row.map_or(0, |(_, costs)| costs[act as usize])
}
