//! Orders: placed, canceled, asked for.

use super::request::{Body, Filter, Page, Parsed, params};
use super::values::{client_order_id, decimal, limit, moment, owned, short};
use super::{Envelope, WireError};
use crate::access::operation::Operation;
use crate::domain::ids::OrderId;
use crate::domain::limits::ORDER_IDS_MAX;
use crate::domain::orders::{OrderType, Side, TimeInForce};
use crate::domain::text::Symbol;
use crate::engine::command::{Command, OrderRef, PlaceOrder};
use crate::engine::query::Query;
use crate::wire::leaf::Names;
use crate::wire::params as p;

/// Orders in one `batch_add`.
const BATCH: std::ops::RangeInclusive<usize> = 2..=15;

pub(super) fn add_order<'a>(e: &Envelope<'a>) -> Parsed<'a> {
    let asked: p::AddOrder<'_> = params(e)?;
    if &*asked.order_type == "settle-position" {
        return Ok((asked.token, Body::Command(Command::SettlePosition)));
    }
    let symbol = short("symbol", &asked.symbol)?;
    let (token, validate) = (asked.token, asked.validate.unwrap_or(false));
    let order = p::BatchOrder {
        order_type: asked.order_type,
        side: asked.side,
        order_qty: asked.order_qty,
        limit_price: asked.limit_price,
        limit_price_type: asked.limit_price_type,
        time_in_force: asked.time_in_force,
        post_only: asked.post_only,
        cl_ord_id: asked.cl_ord_id,
        order_userref: asked.order_userref,
        no_mpp: asked.no_mpp,
    };
    Ok((token, Body::Command(Command::PlaceOrder(place_order(symbol, &order, validate)?))))
}

pub(super) fn batch_add<'a>(e: &Envelope<'a>) -> Parsed<'a> {
    let asked: p::BatchAdd<'_> = params(e)?;
    if !BATCH.contains(&asked.orders.len()) {
        return Err(WireError::field("orders", "give 2 to 15 orders"));
    }
    let (symbol, validate) = (short("symbol", &asked.symbol)?, asked.validate.unwrap_or(false));
    let orders = asked.orders.iter().map(|order| place_order(symbol, order, validate)).collect::<Result<_, _>>()?;
    Ok((asked.token, Body::Command(Command::PlaceBatch(orders))))
}

fn place_order(symbol: Symbol, asked: &p::BatchOrder<'_>, validate: bool) -> Result<PlaceOrder, WireError> {
    let side = match &*asked.side {
        "buy" => Side::Buy,
        "sell" => Side::Sell,
        _ => return Err(WireError::field("side", "give buy or sell")),
    };
    let order_type = match &*asked.order_type {
        "limit" => OrderType::Limit,
        "market" => OrderType::Market,
        _ => return Err(WireError::field("order_type", "give limit or market")),
    };
    let unknown = || WireError::field("time_in_force", "give gtc, ioc or fok");
    let time_in_force = asked.time_in_force.as_deref().map(|name| TimeInForce::parse(name).ok_or_else(unknown));
    if asked.limit_price_type.as_deref().is_some_and(|kind| kind != "static") {
        return Err(WireError::field("limit_price_type", "give static, or leave it out"));
    }
    Ok(PlaceOrder {
        symbol,
        side,
        order_type,
        time_in_force: time_in_force.transpose()?.unwrap_or(TimeInForce::Gtc),
        post_only: asked.post_only.unwrap_or(false),
        order_qty: decimal("order_qty", asked.order_qty)?,
        limit_price: asked.limit_price.map(|price| decimal("limit_price", price)).transpose()?,
        cl_ord_id: asked.cl_ord_id.as_deref().map(client_order_id).transpose()?,
        order_userref: asked.order_userref,
        validate,
    })
}

fn order_refs(order_id: Option<Names<'_>>, cl_ord_id: Option<Names<'_>>) -> Result<Vec<OrderRef>, WireError> {
    let mut found = Vec::new();
    if let Some(list) = order_id {
        for text in list.list().ok_or_else(|| WireError::new("Order_id field must be an array"))? {
            // Whatever no server wrote names no order: the same answer as for an order that is gone.
            found.push(OrderRef::Id(OrderId::parse(&text).unwrap_or(OrderId(0))));
        }
    }
    if let Some(list) = cl_ord_id {
        for text in list.list().ok_or_else(|| WireError::new("Cl_ord_id field must be an array"))? {
            found.push(OrderRef::ClientId(client_order_id(&text)?));
        }
    }
    Ok(found)
}

pub(super) fn cancel_order<'a>(e: &Envelope<'a>) -> Parsed<'a> {
    let asked: p::CancelOrder<'_> = params(e)?;
    let kinds = [asked.order_id.is_some(), asked.cl_ord_id.is_some(), asked.order_userref.is_some()];
    if kinds.iter().filter(|given| **given).count() != 1 {
        return Err(WireError::field("order_id", "give exactly one of order_id, cl_ord_id and order_userref"));
    }
    let mut orders = order_refs(asked.order_id, asked.cl_ord_id)?;
    orders.extend(asked.order_userref.into_iter().flatten().map(OrderRef::UserRef));
    bounded(&orders)?;
    Ok((asked.token, Body::Cancel(orders)))
}

pub(super) fn batch_cancel<'a>(e: &Envelope<'a>) -> Parsed<'a> {
    let asked: p::BatchCancel<'_> = params(e)?;
    let mut orders = order_refs(None, asked.cl_ord_id)?;
    let names = asked.orders.map(|orders| orders.list().ok_or_else(|| WireError::new("Orders field must be an array")));
    for text in names.transpose()?.unwrap_or_default() {
        // An order's id, or the number of a group written as text (protocol 6.4).
        let group = text.parse().ok().map(OrderRef::UserRef);
        orders.push(group.unwrap_or_else(|| OrderRef::Id(OrderId::parse(&text).unwrap_or(OrderId(0)))));
    }
    match (2..=ORDER_IDS_MAX).contains(&orders.len()) {
        true => Ok((asked.token, Body::Command(Command::CancelBatch(orders)))),
        false => Err(WireError::field("orders", "name 2 to 50 orders")),
    }
}

pub(super) fn query_orders<'a>(e: &Envelope<'a>) -> Parsed<'a> {
    let asked: p::QueryOrders<'_> = params(e)?;
    let orders = order_refs(asked.order_id, asked.cl_ord_id)?;
    bounded(&orders)?;
    Ok((asked.token, Body::Query(Query::Orders(orders), Filter::default())))
}

fn bounded(orders: &[OrderRef]) -> Result<(), WireError> {
    match (1..=ORDER_IDS_MAX).contains(&orders.len()) {
        true => Ok(()),
        false => Err(WireError::field("order_id", "name 1 to 50 orders")),
    }
}

pub(super) fn orders<'a>(operation: Operation, e: &Envelope<'a>) -> Parsed<'a> {
    let asked: p::Orders<'_> = params(e)?;
    let limit = limit(asked.limit)?;
    let body = if operation == Operation::OpenOrders {
        let symbol = asked.symbol.as_deref().map(|symbol| short("symbol", symbol)).transpose()?;
        let filter = Filter {
            asset: None,
            cl_ord_id: owned(&asked.cl_ord_id),
            order_userref: asked.order_userref,
            limit: Some(limit),
        };
        Body::Query(Query::OpenOrders { symbol }, filter)
    } else {
        Body::History(Page {
            symbol: owned(&asked.symbol),
            cl_ord_id: owned(&asked.cl_ord_id),
            order_userref: asked.order_userref,
            start: moment("start", asked.start.as_deref())?,
            end: moment("end", asked.end.as_deref())?,
            limit,
            cursor: owned(&asked.cursor),
            ..Page::default()
        })
    };
    Ok((asked.token, body))
}
