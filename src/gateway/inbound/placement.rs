//! Placing and changing orders: `add_order`, `batch_add`, `amend_order`, `edit_order`.

use super::orders::order_id;
use super::request::{Body, Parsed, parse_params};
use super::values::{
    client_order_id, decimal, moment, optional_cl_ord_id, optional_decimal, optional_named, optional_word, short, word,
};
use super::{Message, WireError};
use crate::domain::named::Named;
use crate::domain::orders::{OrderType, TimeInForce};
use crate::domain::terms::PriceType;
use crate::domain::text::Symbol;
use crate::domain::time::Moment;
use crate::engine::command::{
    AmendOrder, Command, EditOrder, OrderRef, PlaceOrder, RequestedConditional, RequestedTerms, RequestedTrigger,
};
use crate::engine::reject::Code;
use crate::wire::leaf::{Number, SETTLE_POSITION, Word};
use crate::wire::params as p;

/// Orders in one `batch_add`.
const BATCH: std::ops::RangeInclusive<usize> = 2..=15;

/// What the orders of a batch share.
struct Shared {
    symbol: Symbol,
    validate: bool,
    deadline: Option<Moment>,
}

pub(super) fn add_order<'a>(e: &Message<'a>) -> Parsed<'a> {
    let read;
    let params: &p::AddOrder<'_> = match &e.order {
        Some(params) => params,
        None => {
            read = parse_params(e)?;
            &read
        }
    };
    if &*params.order_type == SETTLE_POSITION {
        return Ok((params.token.clone(), Body::Command(Command::SettlePosition)));
    }
    let symbol = params.symbol.as_deref().ok_or_else(|| WireError::field("symbol", "name a pair"))?;
    let shared = Shared {
        symbol: short("symbol", symbol)?,
        validate: params.validate.unwrap_or(false),
        deadline: moment("deadline", params.deadline.as_deref())?,
    };
    let order = place_order(&shared, params)?;
    Ok((params.token.clone(), Body::Command(Command::PlaceOrder(order))))
}

pub(super) fn batch_add<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::BatchAdd<'_> = parse_params(e)?;
    if !BATCH.contains(&params.orders.len()) {
        return Err(WireError::field("orders", "give 2 to 15 orders"));
    }
    let orders = params.orders.iter().map(|order| -> &p::AddOrder<'_> { order });
    let beside =
        |order: &p::AddOrder<'_>| order.symbol.is_some() || order.validate.is_some() || order.deadline.is_some();
    if orders.clone().any(beside) {
        return Err(WireError::field("orders", "symbol, validate and deadline stand beside the orders"));
    }
    let shared = Shared {
        symbol: short("symbol", &params.symbol)?,
        validate: params.validate.unwrap_or(false),
        deadline: moment("deadline", params.deadline.as_deref())?,
    };
    let read = |(index, order)| place_order(&shared, order).map_err(|refusal| refusal.in_batch(index));
    let orders = orders.enumerate().map(read).collect::<Result<_, _>>()?;
    Ok((params.token, Body::Command(Command::PlaceBatch(orders))))
}

fn place_order(shared: &Shared, params: &p::AddOrder<'_>) -> Result<PlaceOrder, WireError> {
    let time_in_force = params.time_in_force.as_deref();
    let time_in_force =
        optional_named("time_in_force", time_in_force, TimeInForce::in_any_case, "give gtc, gtd, ioc or fok");
    Ok(PlaceOrder {
        symbol: shared.symbol,
        side: word("side", &params.side)?,
        order_type: word("order_type", &params.order_type)?,
        time_in_force: time_in_force?.unwrap_or(TimeInForce::Gtc),
        post_only: params.post_only.unwrap_or(false),
        order_qty: optional_decimal("order_qty", params.order_qty)?,
        limit_price: optional_decimal("limit_price", params.limit_price)?,
        cl_ord_id: optional_cl_ord_id(&params.cl_ord_id)?,
        order_userref: params.order_userref,
        validate: shared.validate,
        deadline: shared.deadline,
        terms: terms(params)?.map(Box::new),
    })
}

/// `None` for an order without special terms, like most.
fn terms(params: &p::AddOrder<'_>) -> Result<Option<RequestedTerms>, WireError> {
    let terms = RequestedTerms {
        trigger: params.triggers.as_deref().map(trigger).transpose()?,
        // A plain limit is static whether or not it says so; stock clients do say so.
        limit_price_type: price_type("limit_price_type", &params.limit_price_type, params.limit_price)?
            .filter(|kind| *kind != PriceType::Static || params.triggers.is_some()),
        display_qty: optional_decimal("display_qty", params.display_qty)?,
        cash_order_qty: optional_decimal("cash_order_qty", params.cash_order_qty)?,
        effective_time: moment("effective_time", params.effective_time.as_deref())?,
        expire_time: moment("expire_time", params.expire_time.as_deref())?,
        fee_preference: optional_word("fee_preference", params.fee_preference.as_deref())?.unwrap_or_default(),
        stp_type: optional_word("stp_type", params.stp_type.as_deref())?.unwrap_or_default(),
        conditional: params.conditional.as_deref().map(conditional).transpose()?,
        reduce_only: params.reduce_only.unwrap_or(false),
        margin: params.margin.unwrap_or(false),
        sender_sub_id: params.sender_sub_id.as_deref().map(|id| client_order_id("sender_sub_id", id)).transpose()?,
    };
    Ok(Some(terms).filter(|terms| *terms != RequestedTerms::default()))
}

/// The type of a price; refused if there is no price, except `static`, which stock clients send with any order.
fn price_type(
    field: &str,
    name: &Option<Word<'_, PriceType>>,
    price: Option<Number<'_>>,
) -> Result<Option<PriceType>, WireError> {
    let price_type = optional_word(field, name.as_deref())?;
    if price.is_none() && price_type.is_some_and(|given| given != PriceType::Static) {
        return Err(WireError::field(field, "give it with its price"));
    }
    Ok(price_type)
}

fn trigger(trigger: &p::Triggers<'_>) -> Result<RequestedTrigger, WireError> {
    let reference = optional_word("triggers.reference", trigger.reference.as_deref())?.unwrap_or_default();
    let price_type = price_type("triggers.price_type", &trigger.price_type, Some(trigger.price))?;
    Ok(RequestedTrigger { reference, price: decimal("triggers.price", trigger.price)?, price_type })
}

fn conditional(conditional: &p::Conditional<'_>) -> Result<RequestedConditional, WireError> {
    let order_type: OrderType = word("conditional.order_type", &conditional.order_type)?;
    let price = |[field, type_field]: [&str; 2], given: Option<Number<'_>>, kind| {
        let kind = price_type(type_field, kind, given)?;
        let given = optional_decimal(field, given)?;
        Ok::<_, WireError>(given.map(|price| (price, kind.unwrap_or(order_type.usual_price_type()))))
    };
    let limit_fields = ["conditional.limit_price", "conditional.limit_price_type"];
    let trigger_fields = ["conditional.trigger_price", "conditional.trigger_price_type"];
    Ok(RequestedConditional {
        order_type,
        limit: price(limit_fields, conditional.limit_price, &conditional.limit_price_type)?,
        trigger: price(trigger_fields, conditional.trigger_price, &conditional.trigger_price_type)?,
    })
}

pub(super) fn amend_order<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::AmendOrder<'_> = parse_params(e)?;
    let order = match (&params.order_id, &params.cl_ord_id) {
        (Some(id), None) => OrderRef::Id(order_id(id)),
        (None, Some(id)) => OrderRef::ClientId(client_order_id("cl_ord_id", id)?),
        _ => return Err(WireError::field("order_id", "give exactly one of order_id and cl_ord_id")),
    };
    let amend = AmendOrder {
        order,
        symbol: params.symbol.as_deref().map(|symbol| short("symbol", symbol)).transpose()?,
        order_qty: optional_decimal("order_qty", params.order_qty)?,
        display_qty: optional_decimal("display_qty", params.display_qty)?,
        limit_price: optional_decimal("limit_price", params.limit_price)?,
        limit_price_type: price_type("limit_price_type", &params.limit_price_type, params.limit_price)?,
        trigger_price: optional_decimal("trigger_price", params.trigger_price)?,
        trigger_price_type: price_type("trigger_price_type", &params.trigger_price_type, params.trigger_price)?,
        post_only: params.post_only.unwrap_or(false),
        deadline: moment("deadline", params.deadline.as_deref())?,
    };
    Ok((params.token, Body::Command(Command::AmendOrder(amend))))
}

pub(super) fn edit_order<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::EditOrder<'_> = parse_params(e)?;
    if params.reduce_only == Some(true) {
        return Err(Code::ReduceOnly.into());
    }
    // v2 edits no orders with triggers (docs.kraken.com, `edit_order`).
    if params.triggers.is_some() {
        let advice = "an edit cannot give or change them; amend_order takes trigger_price";
        return Err(WireError::field("triggers", advice));
    }
    let edit = EditOrder {
        order: order_id(&params.order_id),
        symbol: short("symbol", &params.symbol)?,
        order_qty: optional_decimal("order_qty", params.order_qty)?,
        limit_price: optional_decimal("limit_price", params.limit_price)?,
        display_qty: optional_decimal("display_qty", params.display_qty)?,
        order_userref: params.order_userref,
        fee_preference: optional_word("fee_preference", params.fee_preference.as_deref())?,
        post_only: params.post_only,
        validate: params.validate.unwrap_or(false),
        deadline: moment("deadline", params.deadline.as_deref())?,
    };
    Ok((params.token, Body::Command(Command::EditOrder(edit))))
}
