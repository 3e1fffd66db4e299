//! Orders that wait for a price or a start. The price of each trade moves trailing stops and reaches triggers, and
//! orders that go live trade in turn. `run_triggers` repeats this until nothing more happens; it ends, since every order
//! goes live once.

use super::conditional_closes::close;
use super::event::Event;
use super::matching::{end, run};
use super::reject::{Code, Reject};
use super::state::State;
use super::trading::{ready, rests};
use super::transition::Transition;
use crate::domain::ids::{MarketId, OrderId};
use crate::domain::limits::TICK_EVENTS_MAX;
use crate::domain::markets::Market;
use crate::domain::money::{Amount, Price};
use crate::domain::orders::{CancelReason, Order, OrderStatus, Side};
use crate::domain::terms::{PriceSpec, Trigger, TriggerDirection};

/// An order whose trigger, if it has one, is measured from the price `last`, or if it trails already, from the best
/// price since it began. Before its start an order is left as it is.
pub(super) fn armed(state: &State, market: &Market, order: Order, last: Option<Price>) -> Result<Order, Reject> {
    if order.status == OrderStatus::PendingNew {
        return Ok(order);
    }
    let Some(trigger) = order.trigger().copied() else { return Ok(order) };
    if order.order_type.trails() && !state.orders.triggers().has_room_for(&order) {
        return Err(Reject::of(Code::OrdersLimit));
    }
    if matches!(trigger.level, PriceSpec::Static(_)) {
        return Ok(order);
    }
    let none = || Reject::invalid("triggers", "there is no trade yet to measure from; give a static price");
    let from = trigger.peak.or(last).ok_or_else(none)?;
    let peak = order.order_type.trails().then_some(from);
    let price = trigger_price(market, &order, trigger.level, from);
    let price = price.ok_or_else(|| Reject::invalid("triggers", "the resulting trigger price must be above zero"))?;
    Ok(with_trigger(&order, Trigger { price, peak, ..trigger }))
}

/// The price of a trigger, measured from `from`. A trailing stop keeps its distance on the losing side.
fn trigger_price(market: &Market, order: &Order, level: PriceSpec, from: Price) -> Option<Price> {
    let level = match (order.order_type.trails(), order.side) {
        (true, Side::Sell) => level.reversed(),
        (true, Side::Buy) | (false, _) => level,
    };
    level.resolve_from(from, market.price_increment)
}

fn with_trigger(order: &Order, trigger: Trigger) -> Order {
    let mut order = order.clone();
    if let Some(terms) = &mut order.terms {
        terms.trigger = Some(trigger);
    }
    order
}

/// Carries out everything that the events from index `seen` on cause; they are all of one market.
pub(super) fn run_triggers(t: &mut Transition<'_>, mut seen: usize) {
    // The price of the last trade that was looked at: the market's own may be that of a later one.
    let mut last = None;
    while let Some(event) = t.event(seen) {
        seen += 1;
        let mut closing = Vec::new();
        let (id, price) = match event {
            Event::Traded(trade) => {
                let sides = [&trade.maker.order, &trade.taker.order].into_iter();
                let closes = |order: &&Order| order.terms.as_ref().is_some_and(|terms| terms.conditional.is_some());
                closing.extend(sides.filter(closes).map(|order| (order.clone(), trade.qty)));
                last = Some(trade.price);
                (trade.market, trade.price)
            }
            // Its trigger may already be reached.
            Event::OrderPlaced { order, .. } | Event::OrderAmended { order, .. } if order.waits() => {
                let Some(price) = last.or_else(|| t.state().orders.last_price(order.market)) else { continue };
                (order.market, price)
            }
            _ => continue,
        };
        if closing.is_empty() && t.state().orders.triggers().is_idle(id) {
            continue;
        }
        let market = t.state().reference.market(id).clone();
        for (order, qty) in closing {
            close(t, &market, &order, price, qty);
        }
        trail(t, &market, price, next_price(t, id, seen));
        while let Some(order) = t.state().orders.triggers().reached(id, price) {
            fire(t, &market, order, price);
        }
    }
}

/// The price of the market's next trade among the events from index `from` on; `None` if an order that waits comes first,
/// for which the last price at that time counts.
fn next_price(t: &Transition<'_>, market: MarketId, from: usize) -> Option<Price> {
    let judged = |event: &&Event| match event {
        Event::Traded(_) => true,
        Event::OrderPlaced { order, .. } | Event::OrderAmended { order, .. } => order.waits(),
        _ => false,
    };
    match (from..).map_while(|at| t.event(at)).find(judged)? {
        Event::Traded(trade) if trade.market == market => Some(trade.price),
        _ => None,
    }
}

/// Moves the trailing stops of a market for which `price` is a new best price. Those for which the price of the `next`
/// trade is as good or better are left for that trade, so that an order that sweeps the book moves each of them once, not
/// at every level. Until then the price moves away from their triggers, so none is missed; only a percentage that shrinks
/// to less than the price increment on the way down fires at the end of the run instead of within it.
fn trail(t: &mut Transition<'_>, market: &Market, price: Price, next: Option<Price>) {
    let orders = &t.state().orders;
    let waits = |side: &Side| match side {
        Side::Buy => next.is_some_and(|next| next <= price),
        Side::Sell => next.is_some_and(|next| next >= price),
    };
    let sides = [Side::Buy, Side::Sell].into_iter().filter(|side| !waits(side));
    let mut stops: Vec<OrderId> = sides.flat_map(|side| orders.triggers().overtaken(market.id, side, price)).collect();
    stops.sort_unstable();
    let moved = |id| {
        let order = orders.get(id)?;
        let trigger = order.trigger()?;
        let to = trigger_price(market, order, trigger.level, price)?;
        Some(with_trigger(order, Trigger { price: to, peak: Some(price), ..*trigger }))
    };
    let moved: Vec<Order> = stops.into_iter().filter_map(moved).collect();
    moved.into_iter().for_each(|order| t.emit(Event::TriggerMoved(order)));
}

/// Makes an order whose trigger `last` has reached go live; if its time is over or its account's switch has ended it, it
/// ends, even if Tick has not run yet (rule 39).
fn fire(t: &mut Transition<'_>, market: &Market, id: OrderId, last: Price) {
    let Some(order) = t.state().orders.get(id) else { return };
    if !t.state().is_live(order, t.now()) {
        let order = order.clone();
        end(t, order, CancelReason::DeadMansSwitch);
        return;
    }
    let Some(trigger) = order.trigger().copied() else { return };
    let mut order = with_trigger(order, Trigger { fired: Some((t.now(), last)), ..trigger });
    if let Some(distance) = order.terms.as_ref().and_then(|terms| terms.limit) {
        order.limit = distance.resolve_from(trigger.price, market.price_increment);
        if order.limit.is_none() {
            end(t, order, CancelReason::OutOfBounds);
            return;
        }
    }
    activate(t, market, order);
}

/// Makes a waiting order go live, or ends it with the reason why it cannot.
fn activate(t: &mut Transition<'_>, market: &Market, order: Order) {
    match ready(t, market, order.clone(), Amount::ZERO) {
        Ok(order) => {
            let rests = rests(t, market, &order);
            t.emit(Event::OrderActivated { order: order.clone(), rests });
            if !rests {
                run(t, market, order);
            }
        }
        Err(refusal) => {
            // The order is reported as triggered; one that only waited for its start was never live.
            if order.trigger().is_some() {
                t.emit(Event::OrderActivated { order: order.clone(), rests: false });
            }
            end(t, order, reason(refusal.code));
        }
    }
}

/// Why an order ended that was refused when it was to go live.
pub(super) fn reason(code: Code) -> CancelReason {
    match code {
        Code::InsufficientFunds => CancelReason::InsufficientFunds,
        Code::NoLiquidity => CancelReason::NoLiquidity,
        Code::PostOnly => CancelReason::PostOnly,
        Code::MarketCancelOnly
        | Code::MarketPostOnly
        | Code::MarketLimitOnly
        | Code::MarketMaintenance
        | Code::ReduceOnly => CancelReason::MarketStatus,
        _ => CancelReason::OutOfBounds,
    }
}

/// Starts and ends the orders that are due.
pub fn tick(t: &mut Transition<'_>) {
    let next = |t: &Transition<'_>| t.state().orders.triggers().due(t.now());
    while !t.is_long()
        && let Some((market, id)) = next(t)
    {
        let seen = t.emitted();
        let market = t.state().reference.market(market).clone();
        let Some(order) = t.state().orders.get(id).cloned() else { return };
        if order.is_expired(t.now()) {
            end(t, order, CancelReason::Expired);
        } else {
            start(t, &market, order);
        }
        // Before the next order starts: trades before its start must not move or reach its trigger.
        run_triggers(t, seen);
    }
}

/// Ends the orders whose time is over, and starts none.
pub fn expire(t: &mut Transition<'_>) {
    let (orders, now) = (&t.state().orders, t.now());
    let over = orders.triggers().over(now).take(TICK_EVENTS_MAX).filter_map(|id| orders.get(id));
    let over: Vec<Order> = over.cloned().collect();
    over.into_iter().for_each(|order| end(t, order, CancelReason::Expired));
}

/// Starts a scheduled order: it goes live, or from now on watches for its trigger.
fn start(t: &mut Transition<'_>, market: &Market, order: Order) {
    let order = Order { status: OrderStatus::New, ..order };
    let last = t.state().orders.last_price(market.id);
    match armed(t.state(), market, order.clone(), last) {
        Ok(order) if order.waits() => {
            let due = last.zip(order.trigger().map(|trigger| trigger.price));
            t.emit(Event::OrderActivated { order: order.clone(), rests: false });
            if let Some((last, price)) = due
                && TriggerDirection::of(order.order_type, order.side).reached(last, price)
            {
                fire(t, market, order.id, last);
            }
        }
        Ok(order) => activate(t, market, order),
        Err(refusal) => {
            end(t, order, reason(refusal.code));
        }
    }
}
