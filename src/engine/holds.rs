//! What an order holds, and what of it a fill leaves (rules 31, 34).

use std::ops::ControlFlow;

use super::book::Book;
use super::event::Fill;
use super::reject::{Code, Reject};
use crate::domain::markets::Market;
use crate::domain::money::{Amount, Price, Quantity};
use crate::domain::orders::{Order, OrderStatus, Side};
use crate::domain::terms::{FeeCurrency, SelfTrade};
use crate::domain::time::Moment;

/// Whether `order` would meet `price` on the other side.
pub(super) fn reaches(order: &Order, price: Price) -> bool {
    match (order.limit, order.side) {
        (None, _) => true,
        (Some(limit), Side::Buy) => price <= limit,
        (Some(limit), Side::Sell) => price >= limit,
    }
}

/// The fills that `order` would have as things stand, one after the other and each as large as its maker has it, until
/// `each` has seen enough or the order would meet its own Organization and end. An iceberg's next slice waits behind
/// whatever else is at its price, as it does in the book.
pub(super) fn walk(
    book: &Book,
    order: &Order,
    now: Moment,
    mut each: impl FnMut(Quantity, Price) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let own = |maker: &Order| maker.organization == order.organization;
    let passes_own = order.self_trade() == SelfTrade::CancelOldest;
    for (price, _, queue) in book.levels(order.side.opposite()) {
        if !reaches(order, price) {
            break;
        }
        let live = queue.filter(|maker| !maker.is_expired(now));
        let mut hides = false;
        for maker in live.clone() {
            match (own(maker), passes_own) {
                (true, true) => continue,
                (true, false) => return ControlFlow::Break(()),
                (false, _) => {}
            }
            each(maker.visible(), price)?;
            hides |= maker.visible() < maker.remaining();
        }
        let mut round = 0;
        while std::mem::take(&mut hides) {
            for maker in live.clone().filter(|maker| !own(maker)) {
                let Some((behind, size)) = hidden(maker, round) else { continue };
                each(Quantity(behind.min(size)), price)?;
                hides |= behind > size;
            }
            round += 1;
        }
    }
    ControlFlow::Continue(())
}

/// What an iceberg still hides when its present slice and `round` more are used up, and the size of a slice.
fn hidden(maker: &Order, round: i64) -> Option<(i64, i64)> {
    let display = maker.terms.as_ref()?.display?;
    let size = display.size.0.max(1);
    let behind = maker.remaining().0.saturating_sub(display.shown.0).saturating_sub(size.saturating_mul(round));
    (behind > 0).then_some((behind, size))
}

/// What the order must hold: a sell its base, a limit buy its limit, a market buy what walking the book costs,
/// with the taker's fee where that is paid in the same currency. The walk goes no further than `funds`.
pub(super) fn needed(
    book: &Book,
    market: &Market,
    order: &Order,
    now: Moment,
    funds: Amount,
) -> Result<Amount, Reject> {
    let sum = match (order.side, order.limit) {
        (Side::Buy, None) => walked(book, market, order, now, funds),
        (Side::Buy, Some(_)) | (Side::Sell, _) => wanted(market, order, order.remaining()),
    };
    let sum = sum.ok_or_else(|| Reject::invalid("order_qty", "out of range"))?;
    if sum > funds { Err(Reject::of(Code::InsufficientFunds)) } else { Ok(sum) }
}

/// What a market buy costs, fill by fill, each rounded as it will be; or more than `funds`.
fn walked(book: &Book, market: &Market, order: &Order, now: Moment, funds: Amount) -> Option<Amount> {
    let (mut left, mut sum) = (order.remaining(), Some(Amount::ZERO));
    let with_fee = fee_is_held(order);
    let cost = |price, qty| {
        let cost = market.cost(price, qty)?;
        if with_fee { cost.checked_add(cost.fee(market.taker_ppm)?) } else { Some(cost) }
    };
    let _ = walk(book, order, now, |slice, price| {
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

/// The quantity that a quote amount buys as the book stands: `cash_order_qty`. Where it is plainly more than `funds`
/// buy, no further than that.
pub(super) fn bought_for(
    cash: Amount,
    book: &Book,
    market: &Market,
    order: &Order,
    now: Moment,
    funds: Amount,
) -> Quantity {
    let (mut left, mut qty) = (cash, Quantity::ZERO);
    let _ = walk(book, order, now, |slice, price| {
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
