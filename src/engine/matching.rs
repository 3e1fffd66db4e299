//! Matches a live order with the book: fills, self-trade prevention, slices of icebergs, and what happens to the rest.

use std::ops::ControlFlow;

use super::book_walk::{reaches, walk};
use super::event::{Event, Fill, Trade};
use super::holds::after_fill;
use super::ledger::{Movement, Party, Wallet};
use super::transition::Transition;
use crate::domain::markets::Market;
use crate::domain::money::{Amount, Price, Quantity};
use crate::domain::orders::{CancelReason, Order, OrderStatus, Side, TimeInForce};
use crate::domain::terms::{Display, FeeCurrency, SelfTrade};

/// Trades an order that has just gone live and does not rest yet; then it rests or ends.
pub(super) fn run(t: &mut Transition<'_>, market: &Market, order: Order) {
    if order.time_in_force == TimeInForce::Fok && !fills_whole(t, &order) {
        end(t, order, CancelReason::FillOrKill);
        return;
    }
    let Some(order) = trade(t, market, order) else { return };
    if order.limit.is_some() && order.time_in_force.waits() {
        t.emit(Event::OrderRested(order.id));
    } else {
        end(t, order, CancelReason::ImmediateOrCancel);
    }
}

/// Ends an open order and releases its hold. If its time is over, it has expired, whatever the reason (rule 39).
pub(super) fn end(t: &mut Transition<'_>, order: Order, reason: CancelReason) {
    let (status, reason) = match order.is_expired(t.now()) {
        true => (OrderStatus::Expired, CancelReason::Expired),
        false => (OrderStatus::Canceled, reason),
    };
    t.emit(Event::OrderCanceled { order: Order { status, held: Amount::ZERO, ..order }, reason });
}

/// Whether the book would fill an order completely.
fn fills_whole(t: &Transition<'_>, order: &Order) -> bool {
    let mut left = order.remaining();
    let _ = walk(t.state(), order, t.now(), |slice, _| {
        left = left.minus(left.min(slice));
        if left > Quantity::ZERO { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    left == Quantity::ZERO
}

/// Trades until nothing in the book matches the order; returns what is left of it, unless it has ended.
fn trade(t: &mut Transition<'_>, market: &Market, mut order: Order) -> Option<Order> {
    while order.is_open() {
        let Some(maker) = t.state().orders.book(market.id).against(order.side).next() else { break };
        let Some(price) = maker.limit.filter(|price| reaches(&order, *price)) else { break };
        let maker = maker.clone();
        if !t.state().is_live(&maker, t.now()) {
            end(t, maker, CancelReason::DeadMansSwitch);
        } else if maker.organization != order.organization {
            let trade = fill(t, market, maker, order, price);
            order = trade.taker.order.clone();
            let refilled = refilled(&trade.maker.order);
            t.emit(Event::Traded(Box::new(trade)));
            if let Some(maker) = refilled {
                t.emit(Event::OrderRefilled(maker));
            }
        } else {
            let ends = order.self_trade();
            if ends != SelfTrade::CancelNewest {
                end(t, maker, CancelReason::SelfTrade);
            }
            if ends != SelfTrade::CancelOldest {
                end(t, order, CancelReason::SelfTrade);
                return None;
            }
        }
    }
    order.is_open().then_some(order)
}

/// An iceberg whose current slice is used up, with its next one showing.
fn refilled(order: &Order) -> Option<Order> {
    let display = order.terms.as_ref()?.display?;
    (order.is_open() && display.shown == Quantity::ZERO).then(|| with_slice(order.clone(), display.size))
}

/// The order, showing a new slice of at most `size`.
pub(super) fn with_slice(mut order: Order, size: Quantity) -> Order {
    let display = Display { size, shown: size.min(order.remaining()) };
    order.terms.get_or_insert_default().display = Some(display);
    order
}

/// The trade of `taker` with `maker` at the maker's price.
fn fill(t: &Transition<'_>, market: &Market, maker: Order, taker: Order, price: Price) -> Trade {
    let qty = maker.visible().min(taker.remaining());
    let cost = market.cost(price, qty).expect("a hold covers it, so it fits");
    let base = market.base_amount(qty).expect("the seller holds it, so it fits");
    let taker_side = taker.side;
    let mut maker = after_fill(market, maker, qty, cost, market.maker_ppm);
    let mut taker = after_fill(market, taker, qty, cost, market.taker_ppm);
    if let Some(display) = maker.order.terms.as_mut().and_then(|terms| terms.display.as_mut()) {
        display.shown = display.shown.minus(qty);
    }
    if let Some(display) = taker.order.terms.as_ref().and_then(|terms| terms.display) {
        taker.order = with_slice(taker.order, display.size);
    }
    let mut movement = Movement::new(&t.state().ledger);
    let mut fees = (Amount::ZERO, Amount::ZERO);
    for Fill { order, fee } in [&taker, &maker] {
        let spot = Party::Account(order.account, Wallet::Main);
        let (bought, paid) = match order.side {
            Side::Buy => (base, -cost),
            Side::Sell => (-base, cost),
        };
        let (of_base, of_quote) = match order.fee_in() {
            FeeCurrency::Base => (*fee, Amount::ZERO),
            FeeCurrency::Quote => (Amount::ZERO, *fee),
        };
        movement = movement.post(spot, market.base, Amount(bought.0 - of_base.0), of_base);
        movement = movement.post(spot, market.quote, Amount(paid.0 - of_quote.0), of_quote);
        fees = (Amount(fees.0.0 + of_base.0), Amount(fees.1.0 + of_quote.0));
    }
    movement = movement.post(Party::Fees, market.quote, fees.1, Amount::ZERO);
    if fees.0 > Amount::ZERO {
        movement = movement.post(Party::Fees, market.base, fees.0, Amount::ZERO);
    }
    let (postings, trade_id) = (movement.postings(), t.state().orders.next_trade_id(market.id));
    Trade { trade_id, market: market.id, price, qty, cost, taker_side, maker, taker, postings }
}
