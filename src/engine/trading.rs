//! `add_order` and the cancels: checks, holds, matching, fees and self-trade prevention.

use super::caller::ServiceCaller;
use super::command::{OrderRef, PlaceOrder};
use super::event::{Event, Fill, Trade};
use super::ledger::{Movement, Party, Wallet};
use super::query::Reply;
use super::reject::{Code, Reject};
use super::transition::Transition;
use crate::domain::decimal::{Decimal, DecimalError};
use crate::domain::ids::{AccountId, OrderId, ServiceUserId};
use crate::domain::limits::OPEN_ORDERS_MAX;
use crate::domain::markets::Market;
use crate::domain::money::{Amount, Price, Quantity};
use crate::domain::orders::{CancelReason, Order, OrderStatus, OrderType, Side, TimeInForce};
use crate::engine::book::Book;

/// Places an order, or only checks it.
pub fn place(t: &mut Transition<'_>, caller: ServiceCaller, asked: &PlaceOrder) -> Result<Reply, Reject> {
    let market = t.state().reference.find_market(&asked.symbol)?.clone();
    let mut order = checked(t, caller, asked, &market)?;
    if let Some(first) = order.cl_ord_id.and_then(|id| t.state().orders.named(caller.id, id, t.now())) {
        if same_body(first, &order) {
            return Ok(Reply::Placed { order: Some(first.id), repeated: true });
        }
        let advice = "an open or recent order has it with other terms; choose another";
        return Err(Reject::field(Code::ClientOrderIdNotUnique, "cl_ord_id", advice));
    }
    if t.state().orders.open_count(caller.account) >= OPEN_ORDERS_MAX {
        return Err(Reject::of(Code::OrdersLimit));
    }
    let book = t.state().orders.book(market.id);
    let meets = crosses(book, &order);
    if order.post_only && meets {
        return Err(Reject::field(Code::PostOnly, "post_only", "the order would take; move its limit"));
    }
    if order.order_type == OrderType::Market && !meets {
        return Err(Reject::of(Code::NoLiquidity));
    }
    order.held = needed(book, &market, &order)?;
    let asset = match order.side {
        Side::Buy => market.quote,
        Side::Sell => market.base,
    };
    if t.state().ledger.available(caller.account, asset) < order.held {
        return Err(Reject::of(Code::InsufficientFunds));
    }
    if asked.validate {
        return Ok(Reply::Placed { order: None, repeated: false });
    }
    let id = order.id;
    let waits = order.order_type == OrderType::Limit && order.time_in_force == TimeInForce::Gtc;
    t.emit(Event::OrderPlaced { order: Box::new(order.clone()), rests: waits && !meets });
    if order.time_in_force == TimeInForce::Fok && !fills_whole(t.state().orders.book(market.id), &order) {
        end(t, vec![order], CancelReason::FillOrKill);
    } else if meets || !waits {
        execute(t, &market, order, waits);
    }
    Ok(Reply::Placed { order: Some(id), repeated: false })
}

/// `batch_add`: the whole batch is refused if one of its orders is not sound in itself; past that each stands
/// alone.
pub fn place_batch(t: &mut Transition<'_>, caller: ServiceCaller, orders: &[PlaceOrder]) -> Result<Reply, Reject> {
    for asked in orders {
        let market = t.state().reference.find_market(&asked.symbol)?.clone();
        checked(t, caller, asked, &market)?;
    }
    let place_one = |asked: &PlaceOrder| match place(t, caller, asked) {
        Ok(Reply::Placed { order, repeated }) => Ok((order, repeated)),
        Ok(_) => Ok((None, false)),
        Err(refusal) => Err(refusal),
    };
    Ok(Reply::Batch(orders.iter().map(place_one).collect()))
}

/// Cancels the open orders that the caller means.
pub fn cancel(t: &mut Transition<'_>, caller: ServiceCaller, which: &OrderRef) -> Result<Reply, Reject> {
    let found = t.state().orders.find(caller, which);
    if found.is_empty() {
        return Err(Reject::of(Code::UnknownOrder));
    }
    Ok(Reply::Canceled(end(t, found, CancelReason::UserRequested)))
}

/// `batch_cancel`: whatever is open of the orders named; the others are left out of the count.
pub fn cancel_batch(t: &mut Transition<'_>, caller: ServiceCaller, orders: &[OrderRef]) -> Result<Reply, Reject> {
    let mut canceled = Vec::new();
    for which in orders {
        let found = t.state().orders.find(caller, which);
        canceled.extend(end(t, found, CancelReason::UserRequested));
    }
    Ok(Reply::Canceled(canceled))
}

/// `cancel_all`
pub fn cancel_all(t: &mut Transition<'_>, caller: ServiceCaller) -> Result<Reply, Reject> {
    Ok(Reply::Canceled(cancel_account(t, caller.account, CancelReason::UserRequested)))
}

/// Cancels every open order of an account.
pub fn cancel_account(t: &mut Transition<'_>, account: AccountId, reason: CancelReason) -> Vec<OrderId> {
    let found = t.state().orders.open(account, None);
    end(t, found, reason)
}

/// Cancels the open orders of a Service User: its key stopped, or a Member wants it (rule 9).
pub fn cancel_owned_by(
    t: &mut Transition<'_>,
    account: AccountId,
    service_user: ServiceUserId,
    reason: CancelReason,
) -> Vec<OrderId> {
    let found = t.state().orders.open_of(account, service_user);
    end(t, found, reason)
}

fn end(t: &mut Transition<'_>, orders: Vec<Order>, reason: CancelReason) -> Vec<OrderId> {
    let ids = orders.iter().map(|order| order.id).collect();
    for order in orders {
        let order = Order { status: OrderStatus::Canceled, held: Amount::ZERO, ..order };
        t.emit(Event::OrderCanceled { order: Box::new(order), reason });
    }
    ids
}

/// The order that was asked for, its numbers in the market's units, nothing held yet.
fn checked(t: &Transition<'_>, caller: ServiceCaller, asked: &PlaceOrder, market: &Market) -> Result<Order, Reject> {
    let qty = Quantity(units(asked.order_qty, market.qty_decimals, "order_qty")?);
    if qty < market.qty_min {
        return Err(Reject::of(Code::OrderMinimum));
    }
    if qty.0 % market.qty_increment.0 != 0 {
        return Err(Reject::field(Code::InvalidArguments, "order_qty", "use a multiple of the pair's qty_increment"));
    }
    let limit = match (asked.order_type, asked.limit_price) {
        (OrderType::Limit, Some(price)) => Some(checked_price(price, market)?),
        (OrderType::Limit, None) => {
            return Err(Reject::field(Code::InvalidArguments, "limit_price", "a limit order needs one"));
        }
        (OrderType::Market, Some(_)) => {
            return Err(Reject::field(Code::InvalidArguments, "limit_price", "a market order has none"));
        }
        (OrderType::Market, None) => None,
    };
    if let Some(price) = limit
        && market.cost(price, qty).is_none_or(|cost| cost < market.cost_min)
    {
        return Err(Reject::of(Code::CostMinimum));
    }
    if asked.time_in_force == TimeInForce::Fok && limit.is_none() {
        return Err(Reject::field(Code::InvalidArguments, "time_in_force", "only a limit order can be fill or kill"));
    }
    if asked.post_only && (limit.is_none() || asked.time_in_force != TimeInForce::Gtc) {
        return Err(Reject::field(Code::InvalidArguments, "post_only", "only a resting limit order can have it"));
    }
    Ok(Order {
        id: OrderId(t.next_seq().0),
        organization: caller.organization,
        account: caller.account,
        owner: caller.id,
        market: market.id,
        side: asked.side,
        order_type: asked.order_type,
        time_in_force: asked.time_in_force,
        post_only: asked.post_only,
        limit,
        qty,
        cl_ord_id: asked.cl_ord_id,
        userref: asked.order_userref,
        opened_at: t.now(),
        filled: Quantity::ZERO,
        cost: Amount::ZERO,
        fee: Amount::ZERO,
        held: Amount::ZERO,
        status: OrderStatus::New,
    })
}

fn checked_price(price: Decimal, market: &Market) -> Result<Price, Reject> {
    let price = match price.units(market.price_decimals) {
        Ok(units) if units > 0 => Price(units),
        Err(DecimalError::ExcessDecimals) => return Err(Reject::of(Code::TickSize)),
        _ => return Err(Reject::of(Code::InvalidPrice)),
    };
    if price.0 % market.price_increment.0 == 0 { Ok(price) } else { Err(Reject::of(Code::TickSize)) }
}

/// A decimal of a request in units of `decimals`, positive.
pub(super) fn units(number: Decimal, decimals: u8, field: &'static str) -> Result<i64, Reject> {
    match number.units(decimals) {
        Ok(units) if units > 0 => Ok(units),
        Ok(_) => Err(Reject::field(Code::InvalidArguments, field, "must be above zero")),
        Err(DecimalError::ExcessDecimals) => {
            Err(Reject::field(Code::InvalidArguments, field, format!("at most {decimals} decimals")))
        }
        Err(_) => Err(Reject::field(Code::InvalidArguments, field, "out of range")),
    }
}

/// Whether two orders were asked for in the same words.
fn same_body(first: &Order, second: &Order) -> bool {
    let body = |order: &Order| {
        let Order { market, side, order_type, time_in_force, post_only, limit, qty, userref, .. } = *order;
        (market, side, order_type, time_in_force, post_only, limit, qty, userref)
    };
    body(first) == body(second)
}

/// Whether `order` would meet `price` on the other side.
fn reaches(order: &Order, price: Price) -> bool {
    match (order.limit, order.side) {
        (None, _) => true,
        (Some(limit), Side::Buy) => price <= limit,
        (Some(limit), Side::Sell) => price >= limit,
    }
}

fn crosses(book: &Book, order: &Order) -> bool {
    book.best_against(order.side).and_then(|maker| maker.limit).is_some_and(|price| reaches(order, price))
}

/// Whether the book would fill an order whole, without an order of its own Organization in the way.
fn fills_whole(book: &Book, order: &Order) -> bool {
    let makers = book.against(order.side).take_while(|maker| {
        maker.organization != order.organization && maker.limit.is_some_and(|price| reaches(order, price))
    });
    let mut left = order.qty;
    for maker in makers {
        left = left.minus(left.min(maker.remaining()));
        if left == Quantity::ZERO {
            return true;
        }
    }
    false
}

/// What the order must hold: a sell its base, a limit buy its limit with the taker's fee, a market buy what
/// walking the book costs.
fn needed(book: &Book, market: &Market, order: &Order) -> Result<Amount, Reject> {
    let too_large = || Reject::field(Code::InvalidArguments, "order_qty", "out of range");
    let sum = match (order.side, order.limit) {
        (Side::Sell, _) => market.base_amount(order.qty),
        (Side::Buy, Some(limit)) => held_for(market, limit, order.qty),
        (Side::Buy, None) => {
            let (mut left, mut sum) = (order.qty, Some(Amount::ZERO));
            for maker in book.against(order.side).take_while(|maker| maker.organization != order.organization) {
                let (Some(price), false) = (maker.limit, left == Quantity::ZERO) else { break };
                let qty = left.min(maker.remaining());
                let cost = market.cost(price, qty);
                let paid = cost.and_then(|cost| cost.checked_add(cost.fee(market.taker_ppm)?));
                sum = sum.and_then(|sum| sum.checked_add(paid?));
                left = left.minus(qty);
            }
            sum
        }
    };
    sum.ok_or_else(too_large)
}

/// `ceil(limit × qty)` and the taker's fee on it.
fn held_for(market: &Market, limit: Price, qty: Quantity) -> Option<Amount> {
    let cost = market.cost_up(limit, qty)?;
    cost.checked_add(cost.fee(market.taker_ppm)?)
}

/// Trades an accepted order against the book, then lets the remainder rest or ends it.
fn execute(t: &mut Transition<'_>, market: &Market, mut order: Order, waits: bool) {
    while order.is_open() {
        let Some(maker) = t.state().orders.book(market.id).best_against(order.side) else { break };
        let Some(price) = maker.limit.filter(|price| reaches(&order, *price)) else { break };
        if maker.organization == order.organization {
            end(t, vec![order], CancelReason::SelfTrade);
            return;
        }
        let trade = fill(t, market, maker.clone(), order, price);
        order = trade.taker.order.clone();
        t.emit(Event::Traded(Box::new(trade)));
    }
    if order.is_open() && waits {
        t.emit(Event::OrderRested(order.id));
    } else if order.is_open() {
        end(t, vec![order], CancelReason::ImmediateOrCancel);
    }
}

/// The trade of `taker` with `maker` at the maker's price.
fn fill(t: &Transition<'_>, market: &Market, maker: Order, taker: Order, price: Price) -> Trade {
    let qty = maker.remaining().min(taker.remaining());
    let cost = market.cost(price, qty).expect("a hold covers it, so it fits");
    let base = market.base_amount(qty).expect("the seller holds it, so it fits");
    let taker_side = taker.side;
    let maker = after_fill(market, maker, qty, cost, market.maker_ppm);
    let taker = after_fill(market, taker, qty, cost, market.taker_ppm);
    let mut movement = Movement::new(&t.state().ledger);
    for Fill { order, fee } in [&taker, &maker] {
        let spot = Party::Account(order.account, Wallet::Main);
        let (bought, paid) = match order.side {
            Side::Buy => (base, -cost),
            Side::Sell => (-base, cost),
        };
        movement = movement.post(spot, market.base, bought, Amount::ZERO);
        movement = movement.post(spot, market.quote, Amount(paid.0 - fee.0), *fee);
    }
    let fees = Amount(taker.fee.0 + maker.fee.0);
    let postings = movement.post(Party::Fees, market.quote, fees, Amount::ZERO).postings();
    let trade_id = t.state().orders.next_trade_id(market.id);
    Trade { trade_id, market: market.id, price, qty, cost, taker_side, maker, taker, postings }
}

/// An order after a fill. A buy's fee is never above what is held beyond the cost and the remainder's own
/// cost, so that every later fill is paid for too (rule 34).
fn after_fill(market: &Market, mut order: Order, qty: Quantity, cost: Amount, ppm: u32) -> Fill {
    let mut fee = cost.fee(ppm).expect("a fee is at most its cost");
    order.filled = Quantity(order.filled.0 + qty.0);
    let left = order.remaining();
    order.held = match (order.side, order.limit) {
        (Side::Sell, _) => market.base_amount(left).expect("less than was held"),
        (Side::Buy, None) => Amount(order.held.0 - cost.0 - fee.0),
        (Side::Buy, Some(limit)) => {
            let reserved = market.cost_up(limit, left).expect("less than was held");
            fee = fee.min(Amount(order.held.0 - cost.0 - reserved.0));
            let wanted = held_for(market, limit, left).expect("less than was held");
            wanted.min(Amount(order.held.0 - cost.0 - fee.0))
        }
    };
    order.cost = Amount(order.cost.0 + cost.0);
    order.fee = Amount(order.fee.0 + fee.0);
    order.status = if left == Quantity::ZERO { OrderStatus::Filled } else { OrderStatus::PartiallyFilled };
    if left == Quantity::ZERO {
        order.held = Amount::ZERO;
    }
    Fill { order, fee }
}
