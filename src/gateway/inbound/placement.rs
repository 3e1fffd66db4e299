//! Placing and changing orders: `add_order`, `batch_add`, `amend_order`, `edit_order`.

use super::orders::order_id;
use super::request::{Body, Parsed, params};
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
    let asked: &p::AddOrder<'_> = match &e.order {
        Some(asked) => asked,
        None => {
            read = params(e)?;
            &read
        }
    };
    if &*asked.order_type == SETTLE_POSITION {
        return Ok((asked.token.clone(), Body::Command(Command::SettlePosition)));
    }
    let symbol = asked.symbol.as_deref().ok_or_else(|| WireError::field("symbol", "name a pair"))?;
    let shared = Shared {
        symbol: short("symbol", symbol)?,
        validate: asked.validate.unwrap_or(false),
        deadline: moment("deadline", asked.deadline.as_deref())?,
    };
    let order = place_order(&shared, asked)?;
    Ok((asked.token.clone(), Body::Command(Command::PlaceOrder(order))))
}

pub(super) fn batch_add<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::BatchAdd<'_> = params(e)?;
    if !BATCH.contains(&asked.orders.len()) {
        return Err(WireError::field("orders", "give 2 to 15 orders"));
    }
    let orders = asked.orders.iter().map(|order| -> &p::AddOrder<'_> { order });
    let beside =
        |order: &p::AddOrder<'_>| order.symbol.is_some() || order.validate.is_some() || order.deadline.is_some();
    if orders.clone().any(beside) {
        return Err(WireError::field("orders", "symbol, validate and deadline stand beside the orders"));
    }
    let shared = Shared {
        symbol: short("symbol", &asked.symbol)?,
        validate: asked.validate.unwrap_or(false),
        deadline: moment("deadline", asked.deadline.as_deref())?,
    };
    let read = |(index, order)| place_order(&shared, order).map_err(|refusal| refusal.in_batch(index));
    let orders = orders.enumerate().map(read).collect::<Result<_, _>>()?;
    Ok((asked.token, Body::Command(Command::PlaceBatch(orders))))
}

fn place_order(shared: &Shared, asked: &p::AddOrder<'_>) -> Result<PlaceOrder, WireError> {
    let time_in_force = asked.time_in_force.as_deref();
    let time_in_force =
        optional_named("time_in_force", time_in_force, TimeInForce::in_any_case, "give gtc, gtd, ioc or fok");
    Ok(PlaceOrder {
        symbol: shared.symbol,
        side: word("side", &asked.side)?,
        order_type: word("order_type", &asked.order_type)?,
        time_in_force: time_in_force?.unwrap_or(TimeInForce::Gtc),
        post_only: asked.post_only.unwrap_or(false),
        order_qty: optional_decimal("order_qty", asked.order_qty)?,
        limit_price: optional_decimal("limit_price", asked.limit_price)?,
        cl_ord_id: optional_cl_ord_id(&asked.cl_ord_id)?,
        order_userref: asked.order_userref,
        validate: shared.validate,
        deadline: shared.deadline,
        terms: terms(asked)?.map(Box::new),
    })
}

/// `None` for an order without special terms, like most.
fn terms(asked: &p::AddOrder<'_>) -> Result<Option<RequestedTerms>, WireError> {
    let terms = RequestedTerms {
        trigger: asked.triggers.as_deref().map(trigger).transpose()?,
        // A plain limit is static whether or not it says so; stock clients do say so.
        limit_price_type: price_type("limit_price_type", &asked.limit_price_type, asked.limit_price)?
            .filter(|kind| *kind != PriceType::Static || asked.triggers.is_some()),
        display_qty: optional_decimal("display_qty", asked.display_qty)?,
        cash_order_qty: optional_decimal("cash_order_qty", asked.cash_order_qty)?,
        effective_time: moment("effective_time", asked.effective_time.as_deref())?,
        expire_time: moment("expire_time", asked.expire_time.as_deref())?,
        fee_preference: optional_word("fee_preference", asked.fee_preference.as_deref())?.unwrap_or_default(),
        stp_type: optional_word("stp_type", asked.stp_type.as_deref())?.unwrap_or_default(),
        conditional: asked.conditional.as_deref().map(conditional).transpose()?,
        reduce_only: asked.reduce_only.unwrap_or(false),
        margin: asked.margin.unwrap_or(false),
        sender_sub_id: asked.sender_sub_id.as_deref().map(|id| client_order_id("sender_sub_id", id)).transpose()?,
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

fn trigger(asked: &p::Triggers<'_>) -> Result<RequestedTrigger, WireError> {
    let reference = optional_word("triggers.reference", asked.reference.as_deref())?.unwrap_or_default();
    let price_type = price_type("triggers.price_type", &asked.price_type, Some(asked.price))?;
    Ok(RequestedTrigger { reference, price: decimal("triggers.price", asked.price)?, price_type })
}

fn conditional(asked: &p::Conditional<'_>) -> Result<RequestedConditional, WireError> {
    let order_type: OrderType = word("conditional.order_type", &asked.order_type)?;
    let price = |[field, type_field]: [&str; 2], given: Option<Number<'_>>, kind| {
        let kind = price_type(type_field, kind, given)?;
        let given = optional_decimal(field, given)?;
        Ok::<_, WireError>(given.map(|price| (price, kind.unwrap_or(order_type.usual_price_type()))))
    };
    let limit_fields = ["conditional.limit_price", "conditional.limit_price_type"];
    let trigger_fields = ["conditional.trigger_price", "conditional.trigger_price_type"];
    Ok(RequestedConditional {
        order_type,
        limit: price(limit_fields, asked.limit_price, &asked.limit_price_type)?,
        trigger: price(trigger_fields, asked.trigger_price, &asked.trigger_price_type)?,
    })
}

pub(super) fn amend_order<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::AmendOrder<'_> = params(e)?;
    let order = match (&asked.order_id, &asked.cl_ord_id) {
        (Some(id), None) => OrderRef::Id(order_id(id)),
        (None, Some(id)) => OrderRef::ClientId(client_order_id("cl_ord_id", id)?),
        _ => return Err(WireError::field("order_id", "give exactly one of order_id and cl_ord_id")),
    };
    let amend = AmendOrder {
        order,
        symbol: asked.symbol.as_deref().map(|symbol| short("symbol", symbol)).transpose()?,
        order_qty: optional_decimal("order_qty", asked.order_qty)?,
        display_qty: optional_decimal("display_qty", asked.display_qty)?,
        limit_price: optional_decimal("limit_price", asked.limit_price)?,
        limit_price_type: price_type("limit_price_type", &asked.limit_price_type, asked.limit_price)?,
        trigger_price: optional_decimal("trigger_price", asked.trigger_price)?,
        trigger_price_type: price_type("trigger_price_type", &asked.trigger_price_type, asked.trigger_price)?,
        post_only: asked.post_only.unwrap_or(false),
        deadline: moment("deadline", asked.deadline.as_deref())?,
    };
    Ok((asked.token, Body::Command(Command::AmendOrder(amend))))
}

pub(super) fn edit_order<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::EditOrder<'_> = params(e)?;
    if asked.reduce_only == Some(true) {
        return Err(Code::ReduceOnly.into());
    }
    // v2 edits no orders with triggers (docs.kraken.com, `edit_order`).
    if asked.triggers.is_some() {
        let advice = "an edit cannot give or change them; amend_order takes trigger_price";
        return Err(WireError::field("triggers", advice));
    }
    let edit = EditOrder {
        order: order_id(&asked.order_id),
        symbol: short("symbol", &asked.symbol)?,
        order_qty: optional_decimal("order_qty", asked.order_qty)?,
        limit_price: optional_decimal("limit_price", asked.limit_price)?,
        display_qty: optional_decimal("display_qty", asked.display_qty)?,
        order_userref: asked.order_userref,
        fee_preference: optional_word("fee_preference", asked.fee_preference.as_deref())?,
        post_only: asked.post_only,
        validate: asked.validate.unwrap_or(false),
        deadline: moment("deadline", asked.deadline.as_deref())?,
    };
    Ok((asked.token, Body::Command(Command::EditOrder(edit))))
}
