//! What an order holds, and what of it a fill leaves (rules 31, 34).

use super::book::Book;
use super::reject::{Code, Reject};
use crate::domain::markets::Market;
use crate::domain::money::{Amount, Price, Quantity};
use crate::domain::orders::{Order, OrderStatus, Side};
use crate::domain::terms::{FeeCurrency, SelfTrade};
use crate::domain::time::Moment;
use crate::engine::event::Fill;

/// Whether `order` would meet `price` on the other side.
pub(super) fn reaches(order: &Order, price: Price) -> bool {
    match (order.limit, order.side) {
        (None, _) => true,
        (Some(limit), Side::Buy) => price <= limit,
        (Some(limit), Side::Sell) => price >= limit,
    }
}

/// The orders that `order` would trade with as things stand, in order: live ones at prices that it reaches, up to
/// where it would meet its own Organization and end.
pub(super) fn makers<'a>(book: &'a Book, order: &'a Order, now: Moment) -> impl Iterator<Item = (&'a Order, Price)> {
    let own = |maker: &Order| maker.organization == order.organization;
    let passes_own = order.self_trade() == SelfTrade::CancelOldest;
    book.against(order.side)
        .filter(move |maker| !maker.is_expired(now))
        .map_while(move |maker| maker.limit.filter(|price| reaches(order, *price)).map(|price| (maker, price)))
        .take_while(move |(maker, _)| passes_own || !own(maker))
        .filter(move |(maker, _)| !own(maker))
}

/// What the order must hold: a sell its base, a limit buy its limit, a market buy what walking the book costs,
/// with the taker's fee where that is paid in the same currency.
pub(super) fn needed(book: &Book, market: &Market, order: &Order, now: Moment) -> Result<Amount, Reject> {
    let sum = match (order.side, order.limit) {
        (Side::Buy, None) => walked(book, market, order, now),
        (Side::Buy, Some(_)) | (Side::Sell, _) => wanted(market, order, order.remaining()),
    };
    sum.ok_or_else(|| Reject::field(Code::InvalidArguments, "order_qty", "out of range"))
}

/// What a market buy costs, fill by fill. An iceberg trades in slices, each of which rounds its fee up: one unit
/// for each is enough.
fn walked(book: &Book, market: &Market, order: &Order, now: Moment) -> Option<Amount> {
    let (mut left, mut sum) = (order.remaining(), Amount::ZERO);
    for (maker, price) in makers(book, order, now) {
        if left == Quantity::ZERO {
            break;
        }
        let qty = left.min(maker.remaining());
        let cost = market.cost(price, qty)?;
        sum = sum.checked_add(cost)?;
        if fee_is_held(order) {
            let display = maker.terms.as_ref().and_then(|terms| terms.display);
            let slices = display.map_or(0, |display| qty.0 / display.size.0.max(1) + 1);
            sum = sum.checked_add(cost.fee(market.taker_ppm)?)?.checked_add(Amount(slices))?;
        }
        left = left.minus(qty);
    }
    Some(sum)
}

/// The quantity that a quote amount buys as the book stands: `cash_order_qty`.
pub(super) fn bought_for(cash: Amount, book: &Book, market: &Market, order: &Order, now: Moment) -> Quantity {
    let (mut left, mut qty) = (cash, Quantity::ZERO);
    for (maker, price) in makers(book, order, now) {
        let Some(affordable) = market.affordable(price, left) else { break };
        let part = affordable.min(maker.remaining());
        let (Some(cost), false) = (market.cost(price, part), part == Quantity::ZERO) else { break };
        left = Amount(left.0 - cost.0);
        qty = Quantity(qty.0.saturating_add(part.0));
    }
    Quantity(qty.0 - qty.0 % market.qty_increment.0)
}

/// Whether the fee is paid in what the order holds: quote for a buy, base for a sell.
fn fee_is_held(order: &Order) -> bool {
    match order.side {
        Side::Buy => order.fee_in() == FeeCurrency::Quote,
        Side::Sell => order.fee_in() == FeeCurrency::Base,
    }
}

/// What `qty` of an order takes from what it holds, at worst and before fees; not for a buy without a limit.
fn principal(market: &Market, order: &Order, qty: Quantity) -> Option<Amount> {
    match (order.side, order.limit) {
        (Side::Sell, _) => market.base_amount(qty),
        (Side::Buy, Some(limit)) => market.cost_up(limit, qty),
        (Side::Buy, None) => None,
    }
}

/// What `qty` of an order holds: its principal, and the taker's fee on it where that is paid from the same.
pub(super) fn wanted(market: &Market, order: &Order, qty: Quantity) -> Option<Amount> {
    let principal = principal(market, order, qty)?;
    match fee_is_held(order) {
        true => principal.checked_add(principal.fee(market.taker_ppm)?),
        false => Some(principal),
    }
}

/// An order after a fill. A fee that comes out of the hold is never above what is left beyond the remainder's own
/// need, so that every later fill is paid for too (rule 34).
pub(super) fn after_fill(market: &Market, mut order: Order, qty: Quantity, cost: Amount, ppm: u32) -> Fill {
    let base = market.base_amount(qty).expect("the seller holds it, so it fits");
    let charged = if order.fee_in() == FeeCurrency::Quote { cost } else { base };
    let mut fee = charged.fee(ppm).expect("a fee is at most what it is charged on");
    let spent = if order.side == Side::Buy { cost } else { base };
    order.filled = Quantity(order.filled.0 + qty.0);
    let left = order.remaining();
    let beyond = order.held.0 - spent.0;
    let (from_hold, reserved) = (fee_is_held(&order), principal(market, &order, left));
    if from_hold {
        fee = fee.min(Amount(beyond - reserved.map_or(0, |reserved| reserved.0)));
    }
    let rest = Amount(beyond - if from_hold { fee.0 } else { 0 });
    order.held = match reserved {
        Some(_) => wanted(market, &order, left).expect("less than was held").min(rest),
        None => rest,
    };
    order.cost = Amount(order.cost.0 + cost.0);
    order.fee = Amount(order.fee.0 + fee.0);
    order.status = if left == Quantity::ZERO { OrderStatus::Filled } else { OrderStatus::PartiallyFilled };
    if left == Quantity::ZERO {
        order.held = Amount::ZERO;
    }
    Fill { order, fee }
}
