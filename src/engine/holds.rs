//! What an order holds, and what is left of that after a fill (rules 31, 34).

use std::ops::ControlFlow;

use super::book_walk::walk;
use super::event::Fill;
use super::reject::{Code, Reject};
use super::state::State;
use crate::domain::markets::Market;
use crate::domain::money::{Amount, Quantity};
use crate::domain::orders::{Order, OrderStatus, Side};
use crate::domain::terms::FeeCurrency;
use crate::domain::time::Moment;

/// What the order must hold: a sell its base, a limit buy its cost at the limit, a market buy the cost of walking the
/// book, plus the taker's fee where that is paid in the same currency. The walk stops beyond `funds`.
pub(super) fn needed(
    state: &State,
    market: &Market,
    order: &Order,
    now: Moment,
    funds: Amount,
) -> Result<Amount, Reject> {
    let sum = match (order.side, order.limit) {
        (Side::Buy, None) => walked(state, market, order, now, funds),
        (Side::Buy, Some(_)) | (Side::Sell, _) => wanted(market, order, order.remaining()),
    };
    let sum = sum.ok_or_else(|| Reject::invalid("order_qty", "the cost is too large; give less"))?;
    if sum > funds { Err(Reject::of(Code::InsufficientFunds)) } else { Ok(sum) }
}

/// What a market buy costs, each fill rounded as it will be; the sum may stop at any value above `funds`.
fn walked(state: &State, market: &Market, order: &Order, now: Moment, funds: Amount) -> Option<Amount> {
    let (mut left, mut sum) = (order.remaining(), Some(Amount::ZERO));
    let with_fee = fee_is_held(order);
    let cost = |price, qty| {
        let cost = market.cost(price, qty)?;
        if with_fee { cost.checked_add(cost.fee(market.taker_ppm)?) } else { Some(cost) }
    };
    let _ = walk(state, order, now, |slice, price| {
        let qty = left.min(slice);
        left = left.minus(qty);
        sum = sum.zip(cost(price, qty)).and_then(|(sum, cost)| sum.checked_add(cost));
        match sum.is_some_and(|sum| sum <= funds) && left > Quantity::ZERO {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    });
    sum
}

/// The quantity that a quote amount (`cash_order_qty`) buys in the current book. The walk stops once the cost is
/// clearly above `funds`.
pub(super) fn bought_for(
    cash: Amount,
    state: &State,
    market: &Market,
    order: &Order,
    now: Moment,
    funds: Amount,
) -> Quantity {
    let (mut left, mut qty) = (cash, Quantity::ZERO);
    let _ = walk(state, order, now, |slice, price| {
        let part = market.affordable(price, left).map_or(slice, |affordable| affordable.min(slice));
        let Some(cost) = market.cost(price, part).filter(|_| part > Quantity::ZERO) else {
            return ControlFlow::Break(());
        };
        left = Amount(left.0 - cost.0);
        qty = Quantity(qty.0.saturating_add(part.0));
        match part == slice && (cash.0 - left.0 <= funds.0 || qty < market.qty_min) {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    });
    Quantity(qty.0 - qty.0 % market.qty_increment.0)
}

/// Whether the fee is paid in what the order holds: quote for a buy, base for a sell.
fn fee_is_held(order: &Order) -> bool {
    match order.side {
        Side::Buy => order.fee_in() == FeeCurrency::Quote,
        Side::Sell => order.fee_in() == FeeCurrency::Base,
    }
}

/// What `qty` of an order uses of its hold, at worst and before fees; `None` for a buy without a limit.
fn principal(market: &Market, order: &Order, qty: Quantity) -> Option<Amount> {
    match (order.side, order.limit) {
        (Side::Sell, _) => market.base_amount(qty),
        (Side::Buy, Some(limit)) => market.cost_up(limit, qty),
        (Side::Buy, None) => None,
    }
}

/// What `qty` of an order holds: its principal, and the taker's fee if it is paid in the same currency.
pub(super) fn wanted(market: &Market, order: &Order, qty: Quantity) -> Option<Amount> {
    let principal = principal(market, order, qty)?;
    match fee_is_held(order) {
        true => principal.checked_add(principal.fee(market.taker_ppm)?),
        false => Some(principal),
    }
}

/// An order after a fill. A fee paid from the hold is capped at what the remaining quantity does not need, so that
/// every later fill is paid for too (rule 34).
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
