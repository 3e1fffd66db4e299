//! Turns a client's request into an order in the market's units: every check that needs neither the book nor the funds.

use super::caller::ServiceCaller;
use super::client_ids::OrderBody;
use super::command::{PlaceOrder, RequestedConditional, RequestedTerms, RequestedTrigger};
use super::fields::{positive, units};
use super::reject::{Code, Reject};
use super::transition::Transition;
use crate::domain::decimal::{Decimal, DecimalError};
use crate::domain::ids::OrderId;
use crate::domain::limits::{DEADLINE_MAX_US, DISPLAY_PARTS_MAX, SCHEDULE_MAX_US};
use crate::domain::markets::Market;
use crate::domain::money::{Amount, Price, Quantity};
use crate::domain::orders::{Order, OrderStatus, OrderType, Side, TimeInForce};
use crate::domain::terms::{Conditional, Display, PriceSpec, PriceType, Terms, Trigger};
use crate::domain::time::Moment;

/// Decimals of a percentage: its unit is a millionth of the price.
const PERCENT_DECIMALS: u8 = 4;

/// The result of reading a request to place an order.
pub(super) enum Admitted {
    /// An order that holds nothing yet. Its quantity is zero until computed if the request gave a quote amount.
    Order(Order),
    /// The order that was placed by the same request before.
    Repeat(OrderId),
    /// The client id belongs to an order that was asked for with other values.
    Other,
}

/// Reads a request. If it repeats an earlier one under the same client id, it is read as of that time: a deadline,
/// start or end that has passed since does not make it a different request (rule 30).
pub(super) fn admitted(
    t: &Transition<'_>,
    caller: ServiceCaller,
    request: &PlaceOrder,
    market: &Market,
) -> Result<Admitted, Reject> {
    let named = request.cl_ord_id.and_then(|id| t.state().find_by_client_id(caller.id, id, t.now()));
    // A request with `validate` is never a repeat: it is refused because the id is taken.
    if let Some(first) = &named
        && !request.validate
        && order(t, caller, request, market, first.at).is_ok_and(|order| *first.body == OrderBody::of(&order))
    {
        return Ok(Admitted::Repeat(first.order));
    }
    check_deadline(t, request.deadline)?;
    let order = order(t, caller, request, market, t.now())?;
    Ok(if named.is_some() { Admitted::Other } else { Admitted::Order(order) })
}

/// The order asked for, as of `now`; the deadline is not checked.
fn order(
    t: &Transition<'_>,
    caller: ServiceCaller,
    request: &PlaceOrder,
    market: &Market,
    now: Moment,
) -> Result<Order, Reject> {
    let qty = quantity_or_cash(request, market)?;
    let limit = static_limit(request, market)?;
    let needs_terms = request.order_type.is_triggered() || request.order_type == OrderType::Iceberg;
    let empty = needs_terms.then(RequestedTerms::default);
    let given = request.terms.as_deref().or(empty.as_ref());
    let terms = given.map(|given| terms(request, given, qty, market, now)).transpose()?;
    if let Some(price) = limit {
        check_cost(market, price, qty)?;
    }
    check_patience(request)?;
    let scheduled = terms.as_ref().is_some_and(|terms| terms.starts_at.is_some());
    Ok(Order {
        id: OrderId(t.next_seq().0),
        organization: caller.organization,
        account: caller.account,
        owner: caller.id,
        market: market.id,
        side: request.side,
        order_type: request.order_type,
        time_in_force: request.time_in_force,
        post_only: request.post_only,
        limit,
        qty,
        cl_ord_id: request.cl_ord_id,
        userref: request.order_userref,
        opened_at: now,
        filled: Quantity::ZERO,
        cost: Amount::ZERO,
        fee: Amount::ZERO,
        held: Amount::ZERO,
        status: if scheduled { OrderStatus::PendingNew } else { OrderStatus::New },
        terms: terms.map(Box::new),
    })
}

/// A request must arrive before its deadline, at most a minute ahead (docs.kraken.com, `add_order`). The clock decides:
/// after it was set back, the stamp would refuse every deadline until the clock caught up (rule 39).
pub(super) fn check_deadline(t: &Transition<'_>, deadline: Option<Moment>) -> Result<(), Reject> {
    match deadline {
        Some(deadline) if deadline <= t.clock() => Err(Reject::of(Code::DeadlineElapsed)),
        Some(deadline) if deadline > t.clock().plus_us(DEADLINE_MAX_US) => {
            Err(Reject::invalid("deadline", "give at most 60 s from now"))
        }
        _ => Ok(()),
    }
}

/// A quantity of at least the market's minimum, on its increment.
pub(super) fn quantity(number: Decimal, market: &Market) -> Result<Quantity, Reject> {
    let qty = Quantity(positive(number, market.qty_decimals, "order_qty")?);
    if qty < market.qty_min {
        return Err(Reject::of(Code::OrderMinimum));
    }
    if qty.0 % market.qty_increment.0 != 0 {
        return Err(Reject::invalid("order_qty", "use a multiple of the pair's qty_increment"));
    }
    Ok(qty)
}

fn quantity_or_cash(request: &PlaceOrder, market: &Market) -> Result<Quantity, Reject> {
    let cash = request.terms.as_ref().and_then(|terms| terms.cash_order_qty);
    match (request.order_qty, cash) {
        (Some(qty), None) => quantity(qty, market),
        (None, Some(_)) if request.order_type == OrderType::Market && request.side == Side::Buy => Ok(Quantity::ZERO),
        (None, Some(_)) => Err(Reject::invalid("cash_order_qty", "only a market buy can have it; give order_qty")),
        (Some(_), Some(_)) => Err(Reject::invalid("cash_order_qty", "give it or order_qty, not both")),
        (None, None) => Err(Reject::invalid("order_qty", "say how much")),
    }
}

const SLICE: &str = "give at least a fifteenth of the quantity, and not more than it";

/// The slice of an iceberg: at least a fifteenth of what may fill.
pub(super) fn display(number: Decimal, whole: Quantity, market: &Market) -> Result<Quantity, Reject> {
    let size = Quantity(positive(number, market.qty_decimals, "display_qty")?);
    if size > whole || size.0 % market.qty_increment.0 != 0 {
        return Err(Reject::invalid("display_qty", SLICE));
    }
    check_slice(size, whole).map(|()| size)
}

/// Refuses a slice so small that the whole has too many of them: each is a fill of its own.
pub(super) fn check_slice(size: Quantity, whole: Quantity) -> Result<(), Reject> {
    let enough = size.0.saturating_mul(DISPLAY_PARTS_MAX) >= whole.0;
    if enough { Ok(()) } else { Err(Reject::invalid("display_qty", SLICE)) }
}

pub(super) fn check_cost(market: &Market, price: Price, qty: Quantity) -> Result<(), Reject> {
    match market.cost(price, qty) {
        Some(cost) if cost >= market.cost_min => Ok(()),
        Some(_) => Err(Reject::of(Code::CostMinimum)),
        None => Err(Reject::invalid("order_qty", "the cost is too large; give less")),
    }
}

/// The limit if it is an absolute price; a trailing stop-limit has a distance in its terms.
fn static_limit(request: &PlaceOrder, market: &Market) -> Result<Option<Price>, Reject> {
    let price_type = request.terms.as_ref().and_then(|terms| terms.limit_price_type);
    match (request.order_type.is_limit(), request.limit_price) {
        (true, Some(_)) if request.order_type == OrderType::TrailingStopLimit => Ok(None),
        (true, Some(_)) if price_type.is_some_and(|kind| kind != PriceType::Static) => Err(Reject::invalid(
            "limit_price_type",
            "only a trailing-stop-limit order may use a type other than static",
        )),
        (true, Some(price)) => checked_price(price, market).map(Some),
        (true, None) => Err(Reject::invalid("limit_price", "an order of this type needs one")),
        (false, Some(_)) => Err(Reject::invalid("limit_price", "an order of this type has none")),
        (false, None) => Ok(None),
    }
}

/// Whether time in force and post-only are allowed for the order's type.
fn check_patience(request: &PlaceOrder) -> Result<(), Reject> {
    let (kind, tif) = (request.order_type, request.time_in_force);
    let expires = request.terms.as_ref().is_some_and(|terms| terms.expire_time.is_some());
    if (tif == TimeInForce::Gtd) != expires {
        return Err(Reject::invalid("expire_time", "give it with time_in_force gtd, and only then"));
    }
    if tif == TimeInForce::Fok && kind != OrderType::Limit {
        return Err(Reject::invalid("time_in_force", "only a limit order can be fill or kill"));
    }
    if tif == TimeInForce::Gtd && kind == OrderType::Market {
        return Err(Reject::invalid("time_in_force", "a market order does not wait"));
    }
    if kind == OrderType::Iceberg && !tif.waits() {
        return Err(Reject::invalid("time_in_force", "an iceberg order waits: give gtc or gtd"));
    }
    if request.post_only && (!kind.is_limit() || !tif.waits()) {
        return Err(Reject::invalid("post_only", "only an order that rests at a limit can have it"));
    }
    Ok(())
}

fn terms(
    request: &PlaceOrder,
    more: &RequestedTerms,
    qty: Quantity,
    market: &Market,
    now: Moment,
) -> Result<Terms, Reject> {
    if more.margin {
        return Err(Reject::field(Code::Margin, "margin", "there is no margin here; leave it out"));
    }
    if more.reduce_only {
        return Err(Reject::of(Code::ReduceOnly));
    }
    let display = match (request.order_type == OrderType::Iceberg, more.display_qty) {
        (true, Some(size)) => Some(display(size, qty, market)?),
        (true, None) => return Err(Reject::invalid("display_qty", "an iceberg order needs one")),
        (false, Some(_)) => return Err(Reject::invalid("display_qty", "only an iceberg order has one")),
        (false, None) => None,
    };
    let trigger = match (request.order_type.is_triggered(), &more.trigger) {
        (true, Some(of)) => Some(trigger(request.order_type, of, market)?),
        (true, None) => return Err(Reject::invalid("triggers", "an order of this type needs a trigger")),
        (false, Some(_)) => return Err(Reject::invalid("triggers", "an order of this type has none")),
        (false, None) => None,
    };
    let limit = request.limit_price.filter(|_| request.order_type == OrderType::TrailingStopLimit);
    let limit = limit.map(|limit| trailing_limit(limit, more.limit_price_type, market)).transpose()?;
    let cash = more.cash_order_qty.map(|cash| positive(cash, market.quote_decimals, "cash_order_qty").map(Amount));
    let (starts_at, expires_at) = schedule(more, now)?;
    Ok(Terms {
        trigger,
        limit,
        display: display.map(|size| Display { size, shown: size }),
        cash: cash.transpose()?,
        starts_at,
        expires_at,
        fee_in: more.fee_preference,
        self_trade: more.stp_type,
        conditional: more.conditional.as_ref().map(|of| conditional(of, market)).transpose()?,
        sender_sub_id: more.sender_sub_id,
        amended: false,
    })
}

/// A start in the past is ignored; an end must be after now and the start, and both at most a month ahead.
fn schedule(more: &RequestedTerms, now: Moment) -> Result<(Option<Moment>, Option<Moment>), Reject> {
    let latest = now.plus_us(SCHEDULE_MAX_US);
    let start = more.effective_time.filter(|start| *start > now);
    if start.is_some_and(|start| start > latest) {
        return Err(Reject::invalid("effective_time", "give at most a month from now"));
    }
    if more.expire_time.is_some_and(|end| end <= start.unwrap_or(now) || end > latest) {
        return Err(Reject::invalid("expire_time", "give a time after the start and at most a month from now"));
    }
    Ok((start, more.expire_time))
}

fn trigger(order_type: OrderType, request: &RequestedTrigger, market: &Market) -> Result<Trigger, Reject> {
    let kind = request.price_type.unwrap_or(order_type.usual_price_type());
    let level = price_spec(request.price, kind, market, "triggers.price")?;
    if order_type.trails() && !level.is_distance() {
        return Err(Reject::invalid(
            "triggers",
            "a trailing stop needs a positive distance, of price_type pct or quote",
        ));
    }
    let price = if let PriceSpec::Static(price) = level { price } else { Price::default() };
    Ok(Trigger { reference: request.reference, level, price, peak: None, fired: None })
}

/// The limit of a trailing stop-limit, a distance from its trigger; in quote unless another type is given.
pub(super) fn trailing_limit(number: Decimal, kind: Option<PriceType>, market: &Market) -> Result<PriceSpec, Reject> {
    match kind.unwrap_or(PriceType::Quote) {
        PriceType::Static => Err(Reject::invalid("limit_price_type", "the limit of a trailing stop is pct or quote")),
        kind => price_spec(number, kind, market, "limit_price"),
    }
}

fn conditional(request: &RequestedConditional, market: &Market) -> Result<Conditional, Reject> {
    let kind = request.order_type;
    if matches!(kind, OrderType::Market | OrderType::Iceberg) {
        return Err(Reject::invalid("conditional", "a closing order is a limit order or has a trigger"));
    }
    if kind.is_limit() != request.limit.is_some() || kind.is_triggered() != request.trigger.is_some() {
        return Err(Reject::invalid(
            "conditional",
            "give limit_price and trigger_price as the type of the closing order needs them",
        ));
    }
    let read = |price: Option<(Decimal, PriceType)>, field| {
        price.map(|(number, kind)| price_spec(number, kind, market, field)).transpose()
    };
    let limit = read(request.limit, "conditional.limit_price")?;
    let trigger = read(request.trigger, "conditional.trigger_price")?;
    let closing = Conditional { order_type: kind, limit, trigger };
    if kind.trails() && !closing.trigger.is_some_and(PriceSpec::is_distance) {
        return Err(Reject::invalid(
            "conditional",
            "a trailing stop needs a positive trigger_price of type pct or quote",
        ));
    }
    Ok(closing)
}

/// An absolute price or a distance: percent with up to four decimals, or quote on the market's increment.
pub(super) fn price_spec(
    number: Decimal,
    kind: PriceType,
    market: &Market,
    field: &'static str,
) -> Result<PriceSpec, Reject> {
    match kind {
        PriceType::Static => checked_price(number, market).map(PriceSpec::Static),
        PriceType::Pct => units(number, PERCENT_DECIMALS, field).map(PriceSpec::Pct),
        PriceType::Quote => match units(number, market.price_decimals, field)? {
            units if units % market.price_increment.0 == 0 => Ok(PriceSpec::Quote(units)),
            _ => Err(Reject::of(Code::TickSize)),
        },
    }
}

/// A price of the market, on its increment.
pub(super) fn checked_price(price: Decimal, market: &Market) -> Result<Price, Reject> {
    let price = match price.units(market.price_decimals) {
        Ok(units) if units > 0 => Price(units),
        Err(DecimalError::ExcessDecimals) => return Err(Reject::of(Code::TickSize)),
        _ => return Err(Reject::of(Code::InvalidPrice)),
    };
    if price.0 % market.price_increment.0 == 0 { Ok(price) } else { Err(Reject::of(Code::TickSize)) }
}
