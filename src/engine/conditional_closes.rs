//! Closing orders: every fill of an order with a conditional close places an order of the other side for what was
//! filled. From then on the two are independent (docs.kraken.com, `add_order`, `conditional`).

use super::admission::check_cost;
use super::event::Event;
use super::matching::end;
use super::reject::{Code, Reject};
use super::trading::{launch, ready};
use super::transition::Transition;
use super::triggers::{armed, reason};
use crate::domain::ids::OrderId;
use crate::domain::markets::Market;
use crate::domain::money::{Amount, Price, Quantity};
use crate::domain::orders::{Order, OrderStatus, TimeInForce};
use crate::domain::terms::{Conditional, PriceReference, PriceSpec, Terms, Trigger};

/// Places the closing order that a fill of `primary` at `price` asks for. If it cannot be placed, it is reported as
/// placed and ended, with the reason.
pub(super) fn close(t: &mut Transition<'_>, market: &Market, primary: &Order, price: Price, qty: Quantity) {
    let Some(terms) = primary.terms.as_ref() else { return };
    let Some(closing) = terms.conditional else { return };
    let order = closing_order(t, primary, terms, &closing, qty);
    let judged = || {
        let order = armed(t.state(), market, priced(market, order.clone(), &closing, price)?, Some(price))?;
        if order.waits() { Ok(order) } else { ready(t, market, order, Amount::ZERO) }
    };
    match judged() {
        Ok(order) => launch(t, market, order),
        Err(refusal) => {
            t.emit(Event::OrderPlaced { order: order.clone(), rests: false });
            end(t, order, reason(refusal.code));
        }
    }
}

fn closing_order(t: &Transition<'_>, primary: &Order, terms: &Terms, closing: &Conditional, qty: Quantity) -> Order {
    let trigger = closing.trigger.map(|level| Trigger {
        reference: PriceReference::Last,
        level,
        price: Price::default(),
        peak: None,
        fired: None,
    });
    let own = Terms { trigger, fee_in: terms.fee_in, sender_sub_id: terms.sender_sub_id, ..Terms::default() };
    Order {
        id: OrderId(t.next_seq().0),
        side: primary.side.opposite(),
        order_type: closing.order_type,
        time_in_force: TimeInForce::Gtc,
        post_only: false,
        limit: None,
        qty,
        cl_ord_id: None,
        opened_at: t.now(),
        filled: Quantity::ZERO,
        cost: Amount::ZERO,
        fee: Amount::ZERO,
        held: Amount::ZERO,
        status: OrderStatus::New,
        terms: Some(Box::new(own)),
        ..primary.clone()
    }
}

/// The order with prices computed from the fill's price; the limit of a triggered one, from its trigger.
fn priced(market: &Market, mut order: Order, closing: &Conditional, price: Price) -> Result<Order, Reject> {
    let invalid = || Reject::of(Code::InvalidPrice);
    if order.qty < market.qty_min {
        return Err(Reject::of(Code::OrderMinimum));
    }
    let seen = |level: PriceSpec, from| level.resolve_from(from, market.price_increment).ok_or_else(invalid);
    let mut from = price;
    if let (Some(level), false, Some(terms)) = (closing.trigger, order.order_type.trails(), order.terms.as_mut()) {
        from = seen(level, price)?;
        terms.trigger = terms.trigger.map(|of| Trigger { level: PriceSpec::Static(from), price: from, ..of });
    }
    match (closing.limit, order.order_type.trails()) {
        (Some(limit), true) => {
            if let Some(terms) = order.terms.as_mut() {
                terms.limit = Some(limit);
            }
        }
        (Some(limit), false) => {
            let limit = seen(limit, from)?;
            check_cost(market, limit, order.qty)?;
            order.limit = Some(limit);
        }
        (None, _) => {}
    }
    Ok(order)
}
