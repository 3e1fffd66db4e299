//! `add_order`, `batch_add` and the cancels: which orders may go live, and the replies.

use super::admission::{self, Admitted};
use super::book_walk::reaches;
use super::caller::ServiceCaller;
use super::command::{OrderRef, PlaceOrder};
use super::event::Event;
use super::holds::{bought_for, needed};
use super::matching::{end, run};
use super::orders::held_asset;
use super::reject::{Code, Reject};
use super::reply::{Placed, Reply};
use super::transition::Transition;
use super::triggers::{armed, run_triggers};
use crate::domain::ids::{AccountId, OrderId, ServiceUserId};
use crate::domain::limits::OPEN_ORDERS_MAX;
use crate::domain::markets::{Market, MarketStatus};
use crate::domain::money::{Amount, Quantity};
use crate::domain::orders::{CancelReason, Order};

/// Places an order, or only checks it.
pub fn place(t: &mut Transition<'_>, caller: ServiceCaller, request: &PlaceOrder) -> Result<Placed, Reject> {
    let market = t.state().reference.find_market(&request.symbol)?.clone();
    let order = match admission::admitted(t, caller, request, &market)? {
        Admitted::Order(order) => order,
        Admitted::Repeat(first) => return Ok(Placed { order: Some(first), repeated: true }),
        Admitted::Other => {
            let advice = "an open or recent order has it with other terms; choose another";
            return Err(Reject::field(Code::ClientOrderIdNotUnique, "cl_ord_id", advice));
        }
    };
    if t.state().orders.open_count(caller.account) >= OPEN_ORDERS_MAX {
        return Err(Reject::of(Code::OrdersLimit));
    }
    let order = armed(t.state(), &market, order, t.state().orders.last_price(market.id))?;
    let ready = if order.waits() {
        check_status(t.state().reference.status(market.id), &order)?;
        order
    } else {
        ready(t, &market, order, Amount::ZERO)?
    };
    if request.validate {
        return Ok(Placed { order: None, repeated: false });
    }
    free_client_id(t, &ready);
    let (id, seen) = (OrderId(t.next_seq().0), t.emitted());
    launch(t, &market, Order { id, ..ready });
    run_triggers(t, seen);
    Ok(Placed { order: Some(id), repeated: false })
}

/// Ends the order that has the client id of a new one, if its time is over or its account's switch has ended it: then an
/// id has at most one open order, even if Tick has not run yet (rule 39).
fn free_client_id(t: &mut Transition<'_>, new: &Order) {
    let orders = &t.state().orders;
    if let Some(over) = new.cl_ord_id.and_then(|id| orders.named(new.owner, id)).cloned() {
        end(t, over, CancelReason::DeadMansSwitch);
    }
}

/// `batch_add`: the whole batch is refused if one of its orders is invalid on its own; after that each order is
/// accepted or refused by itself.
pub fn place_batch(t: &mut Transition<'_>, caller: ServiceCaller, orders: &[PlaceOrder]) -> Result<Reply, Reject> {
    for (index, request) in orders.iter().enumerate() {
        let market = t.state().reference.find_market(&request.symbol)?.clone();
        admission::admitted(t, caller, request, &market).map_err(|refusal| refusal.in_batch(index))?;
    }
    Ok(Reply::Batch(orders.iter().map(|request| place(t, caller, request)).collect()))
}

/// Cancels the open orders that the caller names.
pub fn cancel(t: &mut Transition<'_>, caller: ServiceCaller, which: &OrderRef) -> Result<Reply, Reject> {
    let found = t.state().orders.find(caller, which);
    if found.is_empty() {
        return Err(Reject::of(Code::UnknownOrder));
    }
    Ok(Reply::Canceled(cancel_each(t, found, CancelReason::UserRequested)))
}

/// `batch_cancel`: cancels those of the orders named that are open; the count leaves out the others.
pub fn cancel_batch(t: &mut Transition<'_>, caller: ServiceCaller, orders: &[OrderRef]) -> Result<Reply, Reject> {
    let mut canceled = Vec::new();
    for which in orders {
        let found = t.state().orders.find(caller, which);
        canceled.extend(cancel_each(t, found, CancelReason::UserRequested));
    }
    Ok(Reply::Canceled(canceled))
}

/// `cancel_all`
pub fn cancel_all(t: &mut Transition<'_>, caller: ServiceCaller) -> Result<Reply, Reject> {
    Ok(Reply::Canceled(cancel_account(t, caller.account, CancelReason::UserRequested)))
}

/// Cancels every open order of an account.
pub fn cancel_account(t: &mut Transition<'_>, account: AccountId, reason: CancelReason) -> Vec<OrderId> {
    let found = t.state().orders.ids(account, None);
    cancel_each(t, found, reason)
}

/// Cancels the open orders of a Service User: its key stopped, or a Member wants it (rule 9).
pub fn cancel_owned_by(
    t: &mut Transition<'_>,
    account: AccountId,
    service_user: ServiceUserId,
    reason: CancelReason,
) -> Vec<OrderId> {
    let found = t.state().orders.ids(account, Some(service_user));
    cancel_each(t, found, reason)
}

/// Cancels these orders.
pub(super) fn cancel_each(t: &mut Transition<'_>, orders: Vec<OrderId>, reason: CancelReason) -> Vec<OrderId> {
    for id in &orders {
        if let Some(order) = t.state().orders.get(*id).cloned() {
            end(t, order, reason);
        }
    }
    orders
}

/// Judges by market, book and funds whether an order may go live now, and returns it with what it holds. `released` is
/// added to the funds.
pub(super) fn ready(t: &Transition<'_>, market: &Market, mut order: Order, released: Amount) -> Result<Order, Reject> {
    check_status(t.state().reference.status(market.id), &order)?;
    let (state, now) = (t.state(), t.now());
    if order.post_only && meets(t, market, &order) {
        return Err(Reject::field(Code::PostOnly, "post_only", "the order would take; move its limit"));
    }
    if !order.order_type.is_limit() && !meets(t, market, &order) {
        return Err(Reject::of(Code::NoLiquidity));
    }
    let available = state.ledger.available(order.account, held_asset(&order, &state.reference));
    let funds = available.saturating_add(released);
    if let Some(cash) = order.terms.as_ref().and_then(|terms| terms.cash).filter(|_| order.qty == Quantity::ZERO) {
        order.qty = bought_for(cash, state, market, &order, now, funds);
        if order.qty < market.qty_min {
            return Err(Reject::of(Code::OrderMinimum));
        }
    }
    order.held = needed(state, market, &order, now, funds)?;
    Ok(order)
}

/// Accepts an order that was judged, and trades it unless it waits.
pub(super) fn launch(t: &mut Transition<'_>, market: &Market, order: Order) {
    let waits = order.waits();
    let rests = !waits && rests(t, market, &order);
    if waits || rests {
        t.emit(Event::OrderPlaced { order, rests });
    } else {
        t.emit(Event::OrderPlaced { order: order.clone(), rests });
        run(t, market, order);
    }
}

/// Whether an order that goes live rests at once. Orders within its reach whose time is over, or that a switch has ended,
/// must leave first, so that the book never crosses.
pub(super) fn rests(t: &Transition<'_>, market: &Market, order: &Order) -> bool {
    order.limit.is_some() && order.time_in_force.waits() && in_reach(t, market, order).next().is_none()
}

/// Whether a live order, even one of the same Organization, is at a price that `order` reaches.
pub(super) fn meets(t: &Transition<'_>, market: &Market, order: &Order) -> bool {
    in_reach(t, market, order).any(|maker| t.state().is_live(maker, t.now()))
}

/// The orders of the book at prices that `order` reaches.
fn in_reach<'a>(t: &'a Transition<'_>, market: &Market, order: &'a Order) -> impl Iterator<Item = &'a Order> {
    let against = t.state().orders.book(market.id).against(order.side);
    against.take_while(|maker| maker.limit.is_some_and(|price| reaches(order, price)))
}

/// Whether a market in this status accepts such an order. For an order that waits for a trigger or a start, its type is
/// checked when it goes live.
pub(super) fn check_status(status: MarketStatus, order: &Order) -> Result<(), Reject> {
    let code = match status {
        MarketStatus::Online => return Ok(()),
        MarketStatus::CancelOnly => Code::MarketCancelOnly,
        MarketStatus::PostOnly if order.post_only || order.waits() => return Ok(()),
        MarketStatus::PostOnly => Code::MarketPostOnly,
        MarketStatus::LimitOnly if order.order_type.is_limit() || order.waits() => return Ok(()),
        MarketStatus::LimitOnly => Code::MarketLimitOnly,
        MarketStatus::ReduceOnly => Code::ReduceOnly,
        MarketStatus::Maintenance => Code::MarketMaintenance,
    };
    Err(Reject::of(code))
}
