//! `amend_order` changes an open order in place; `edit_order` puts another in its place
//! (docs.kraken.com, `amend_order` and `edit_order`).

use super::admission::{
    check_cost, check_deadline, check_slice, checked_price, display, price_spec, quantity, trailing_limit,
};
use super::caller::ServiceCaller;
use super::command::{AmendOrder, EditOrder, OrderRef};
use super::event::{Event, QueuePosition};
use super::fields::positive;
use super::holds::wanted;
use super::matching::{end, run, with_slice};
use super::orders::held_asset;
use super::reject::{Code, Reject};
use super::reply::Reply;
use super::trading::{check_status, launch, meets, ready, rests};
use super::transition::Transition;
use super::triggers::{armed, run_triggers};
use crate::domain::decimal::Decimal;
use crate::domain::ids::{AmendId, OrderId};
use crate::domain::markets::Market;
use crate::domain::money::{Amount, Price, Quantity};
use crate::domain::orders::{CancelReason, Order, OrderStatus};
use crate::domain::terms::{PriceSpec, PriceType, Trigger};
use crate::domain::text::Symbol;

/// The one open order that the caller names.
fn one(t: &Transition<'_>, caller: ServiceCaller, which: &OrderRef) -> Result<Order, Reject> {
    let orders = &t.state().orders;
    let last = orders.find(caller, which).pop().and_then(|id| orders.get(id));
    let open = last.filter(|order| t.state().is_live(order, t.now()));
    open.cloned().ok_or_else(|| Reject::of(Code::UnknownOrder))
}

/// `amend_order`: a smaller quantity keeps the order's place, a larger one or another limit puts it at the end of its
/// level, and a limit that crosses the book trades.
pub fn amend(t: &mut Transition<'_>, caller: ServiceCaller, request: &AmendOrder) -> Result<Reply, Reject> {
    check_deadline(t, request.deadline)?;
    let before = one(t, caller, &request.order)?;
    if let Some(symbol) = &request.symbol {
        in_market(t, &before, symbol)?;
    }
    if before.terms.as_ref().is_some_and(|terms| terms.conditional.is_some()) {
        return Err(Reject::invalid(
            "order_id",
            "an order with a conditional close cannot be amended; cancel it and place anew",
        ));
    }
    let market = t.state().reference.market(before.market).clone();
    let mut order = amended(t, &before, request, &market)?;
    if order == before {
        return Err(Reject::invalid("order_qty", "nothing would change: name a value that differs"));
    }
    order.terms.get_or_insert_default().amended = true;
    let (id, amend_id, seen) = (order.id, AmendId(t.next_seq().0), t.emitted());
    if order.qty == order.filled {
        t.emit(Event::OrderAmended { order: order.clone(), place: QueuePosition::Kept });
        end(t, order, CancelReason::AmendedToFilled);
        return Ok(Reply::Amended { order: id, amend_id });
    }
    let place = judged(t, &market, &before, &mut order, request)?;
    t.emit(Event::OrderAmended { order: order.clone(), place });
    if place == QueuePosition::Off {
        run(t, &market, order);
    }
    run_triggers(t, seen);
    Ok(Reply::Amended { order: id, amend_id })
}

/// As [`check_cost`]; if the request names no quantity, the refusal names the limit.
fn check_new_cost(market: &Market, price: Price, qty: Quantity, requested: Option<Decimal>) -> Result<(), Reject> {
    let named = |refusal: Reject| match requested {
        None => Reject { field: refusal.field.map(|_| "limit_price"), ..refusal },
        Some(_) => refusal,
    };
    check_cost(market, price, qty).map_err(named)
}

/// The order with its new values, each checked on its own; one that is to end only gets its new quantity.
fn amended(t: &Transition<'_>, before: &Order, request: &AmendOrder, market: &Market) -> Result<Order, Reject> {
    let mut order = before.clone();
    if let Some(qty) = request.order_qty {
        // A quantity of no more than is filled ends the order, even if that is below the market's minimum.
        let ends = positive(qty, market.qty_decimals, "order_qty")? <= before.filled.0;
        order.qty = if ends { before.filled } else { quantity(qty, market)? };
    }
    if let Some(price) = request.limit_price {
        relimit(&mut order, request, price, market)?;
    }
    if order.qty == order.filled {
        // It ends as it is: no slice or trigger is left to change.
        return Ok(Order { qty: order.qty, ..before.clone() });
    }
    if let Some(price) = order.limit {
        check_new_cost(market, price, order.qty, request.order_qty)?;
    }
    order = redisplay(before, order, request.display_qty, market)?;
    match request.trigger_price {
        Some(price) => retrigger(t, before, order, request, price, market),
        None => Ok(order),
    }
}

/// Gives an iceberg its new slice, or the one that it has room for.
fn redisplay(before: &Order, mut order: Order, size: Option<Decimal>, market: &Market) -> Result<Order, Reject> {
    if let Some(size) = size {
        let Some(now) = before.terms.as_ref().and_then(|terms| terms.display) else {
            return Err(Reject::invalid("display_qty", "only an iceberg order has one"));
        };
        let size = display(size, order.remaining(), market)?;
        // A smaller slice shows at once, a larger one when the current slice is used up.
        order = with_slice(order, size);
        if let Some(display) = order.terms.as_mut().and_then(|terms| terms.display.as_mut()) {
            display.shown = display.shown.min(now.shown);
        }
    } else if let Some(display) = order.terms.as_mut().and_then(|terms| terms.display.as_mut()) {
        let left = order.qty.minus(order.filled);
        if order.qty > before.qty {
            check_slice(display.size, left)?;
        }
        display.shown = display.shown.min(left);
    }
    Ok(order)
}

/// Gives an order that waits for its trigger a new one.
fn retrigger(
    t: &Transition<'_>,
    before: &Order,
    mut order: Order,
    request: &AmendOrder,
    price: Decimal,
    market: &Market,
) -> Result<Order, Reject> {
    let Some(trigger) = before.trigger().copied().filter(|trigger| trigger.fired.is_none()) else {
        return Err(Reject::invalid("trigger_price", "only an order that waits for its trigger has one"));
    };
    // A trailing distance keeps its type; another trigger is an absolute price unless a type is given, as in v2.
    let usual = if order.order_type.trails() { trigger.level.price_type() } else { PriceType::Static };
    let level = price_spec(price, request.trigger_price_type.unwrap_or(usual), market, "trigger_price")?;
    if order.order_type.trails() && !level.is_distance() {
        let advice = "a trailing stop needs a positive distance, of type pct or quote";
        return Err(Reject::invalid("trigger_price", advice));
    }
    let price = if let PriceSpec::Static(price) = level { price } else { trigger.price };
    let Some(terms) = order.terms.as_mut().filter(|_| level != trigger.level) else { return Ok(order) };
    terms.trigger = Some(Trigger { level, price, ..trigger });
    let of_trigger = |refusal: Reject| Reject { field: refusal.field.map(|_| "trigger_price"), ..refusal };
    armed(t.state(), market, order, t.state().orders.last_price(market.id)).map_err(of_trigger)
}

/// Gives the order its new limit: an absolute price, or the distance of a trailing stop-limit that still waits.
fn relimit(order: &mut Order, request: &AmendOrder, price: Decimal, market: &Market) -> Result<(), Reject> {
    if !order.order_type.is_limit() {
        return Err(Reject::invalid("limit_price", "an order of this type has none"));
    }
    let waiting_distance = order.terms.as_mut().filter(|terms| terms.limit.is_some());
    match waiting_distance {
        Some(terms) if order.limit.is_none() => {
            let kind = request.limit_price_type.or(terms.limit.map(PriceSpec::price_type));
            terms.limit = Some(trailing_limit(price, kind, market)?);
        }
        _ if request.limit_price_type.is_some_and(|kind| kind != PriceType::Static) => {
            return Err(Reject::invalid(
                "limit_price_type",
                "only a waiting trailing-stop-limit order may use a type other than static",
            ));
        }
        _ => order.limit = Some(checked_price(price, market)?),
    }
    Ok(())
}

/// Checks an amended order against market, book and funds, and sets what it holds.
fn judged(
    t: &Transition<'_>,
    market: &Market,
    before: &Order,
    order: &mut Order,
    request: &AmendOrder,
) -> Result<QueuePosition, Reject> {
    check_status(t.state().reference.status(market.id), order)?;
    if order.waits() {
        return Ok(QueuePosition::Kept);
    }
    let moves = order.limit != before.limit;
    if moves && meets(t, market, order) && (request.post_only || order.post_only) {
        return Err(Reject::field(Code::PostOnly, "limit_price", "the order would take; choose another limit"));
    }
    order.held = wanted(market, order, order.remaining())
        .ok_or_else(|| Reject::invalid("order_qty", "the cost is too large; give less"))?;
    if !moves && order.qty <= before.qty {
        // Fees that were rounded up may have left less; an order that does not grow needs no more.
        order.held = order.held.min(before.held);
    }
    let available = t.state().ledger.available(order.account, held_asset(order, &t.state().reference));
    if available.saturating_add(before.held) < order.held {
        return Err(Reject::of(Code::InsufficientFunds));
    }
    Ok(match moves {
        true if !rests(t, market, order) => QueuePosition::Off,
        true => QueuePosition::Back,
        false if order.qty > before.qty => QueuePosition::Back,
        false => QueuePosition::Kept,
    })
}

fn in_market(t: &Transition<'_>, order: &Order, symbol: &Symbol) -> Result<Market, Reject> {
    let market = t.state().reference.find_market(symbol)?;
    match market.id == order.market {
        true => Ok(market.clone()),
        false => Err(Reject::invalid("symbol", "name the pair of the order")),
    }
}

/// `edit_order`: cancels the caller's order and places another with what is left of it, all or nothing.
pub fn edit(t: &mut Transition<'_>, caller: ServiceCaller, request: &EditOrder) -> Result<Reply, Reject> {
    check_deadline(t, request.deadline)?;
    let before = one(t, caller, &OrderRef::Id(request.order))?;
    let market = in_market(t, &before, &request.symbol)?;
    let conditional = before.terms.as_ref().is_some_and(|terms| terms.conditional.is_some());
    if before.order_type.is_triggered() || conditional || before.cl_ord_id.is_some() || before.waits() {
        let advice =
            "an order with a trigger, a start, a conditional close or a cl_ord_id cannot be edited; use amend_order";
        return Err(Reject::invalid("order_id", advice));
    }
    let order = edited(t, &before, request, &market)?;
    let order = ready(t, &market, order, before.held)?;
    if request.validate {
        return Ok(Reply::Edited { order: None, original: before.id });
    }
    let (original, seen) = (before.id, t.emitted());
    end(t, before, CancelReason::Edited);
    let order = Order { id: OrderId(t.next_seq().0), owner: caller.id, ..order };
    let id = order.id;
    launch(t, &market, order);
    run_triggers(t, seen);
    Ok(Reply::Edited { order: Some(id), original })
}

fn edited(t: &Transition<'_>, before: &Order, request: &EditOrder, market: &Market) -> Result<Order, Reject> {
    let whole = request.order_qty.map_or(Ok(before.qty), |qty| quantity(qty, market))?;
    if whole <= before.filled {
        return Err(Reject::invalid("order_qty", "give more than the order has filled, or cancel it"));
    }
    let qty = whole.minus(before.filled);
    if qty < market.qty_min {
        return Err(Reject::of(Code::OrderMinimum));
    }
    let mut order = Order {
        qty,
        filled: Quantity::ZERO,
        cost: Amount::ZERO,
        fee: Amount::ZERO,
        held: Amount::ZERO,
        status: OrderStatus::New,
        opened_at: t.now(),
        userref: request.order_userref.or(before.userref),
        post_only: request.post_only.unwrap_or(before.post_only),
        terms: before.terms.as_ref().map(|terms| Box::new(terms.requested())),
        ..before.clone()
    };
    if let Some(price) = request.limit_price {
        order.limit = Some(checked_price(price, market)?);
    }
    if let Some(limit) = order.limit {
        check_new_cost(market, limit, qty, request.order_qty)?;
    }
    if let Some(fee_in) = request.fee_preference {
        order.terms.get_or_insert_default().fee_in = fee_in;
    }
    let size = order.terms.as_ref().and_then(|terms| terms.display).map(|display| display.size);
    match (size, request.display_qty) {
        (Some(_), Some(size)) => {
            let size = display(size, qty, market)?;
            order = with_slice(order, size);
        }
        (Some(size), None) => {
            if qty > before.qty {
                check_slice(size, qty)?;
            }
            order = with_slice(order, size);
        }
        (None, Some(_)) => return Err(Reject::invalid("display_qty", "only an iceberg order has one")),
        (None, None) => {}
    }
    Ok(order)
}
