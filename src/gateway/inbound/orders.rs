//! Canceling orders, and querying open ones.

use super::request::{Body, Parsed, parse_params};
use super::values::{client_order_id, cursor, limit, optional_cl_ord_id, optional_short, period};
use super::{Message, WireError};
use crate::domain::ids::OrderId;
use crate::domain::limits::ORDER_IDS_MAX;
use crate::engine::command::{Command, OrderRef};
use crate::engine::query::{OrderFilter, Query};
use crate::wire::leaf::Names;
use crate::wire::params as p;

/// The order of that id. A text that no server wrote names no order, with the same answer as for one that is gone.
pub(super) fn order_id(text: &str) -> OrderId {
    OrderId::parse(text).unwrap_or(OrderId(0))
}

fn order_refs(order_ids: Option<Names<'_>>, cl_ord_ids: Option<Names<'_>>) -> Result<Vec<OrderRef>, WireError> {
    let mut found = Vec::new();
    if let Some(list) = order_ids {
        for text in list.list().ok_or_else(|| WireError::new("Order_id field must be an array"))? {
            found.push(OrderRef::Id(order_id(&text)));
        }
    }
    if let Some(list) = cl_ord_ids {
        for text in list.list().ok_or_else(|| WireError::new("Cl_ord_id field must be an array"))? {
            found.push(OrderRef::ClientId(client_order_id("cl_ord_id", &text)?));
        }
    }
    Ok(found)
}

pub(super) fn cancel_order<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::CancelOrder<'_> = parse_params(e)?;
    let kinds = [params.order_id.is_some(), params.cl_ord_id.is_some(), params.order_userref.is_some()];
    if kinds.iter().filter(|given| **given).count() != 1 {
        return Err(WireError::field("order_id", "give exactly one of order_id, cl_ord_id and order_userref"));
    }
    let mut orders = order_refs(params.order_id, params.cl_ord_id)?;
    orders.extend(params.order_userref.into_iter().flatten().map(OrderRef::UserRef));
    bounded(&orders)?;
    Ok((params.token, Body::Cancel(orders)))
}

pub(super) fn batch_cancel<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::BatchCancel<'_> = parse_params(e)?;
    let mut orders = order_refs(None, params.cl_ord_id)?;
    let names =
        params.orders.map(|orders| orders.list().ok_or_else(|| WireError::new("Orders field must be an array")));
    for text in names.transpose()?.unwrap_or_default() {
        // An order's id, or a group number: text (docs.kraken.com, `batch_cancel`) or not (kraken-async-rs).
        let group = text.parse().ok().map(OrderRef::UserRef);
        orders.push(group.unwrap_or_else(|| OrderRef::Id(order_id(&text))));
    }
    match (2..=ORDER_IDS_MAX).contains(&orders.len()) {
        true => Ok((params.token, Body::Command(Command::CancelBatch(orders)))),
        false => Err(WireError::field("orders", "name 2 to 50 orders")),
    }
}

pub(super) fn cancel_all_orders_after<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::CancelAllOrdersAfter<'_> = parse_params(e)?;
    Ok((params.token, Body::Command(Command::CancelAllAfter(params.timeout.get()))))
}

pub(super) fn query_orders<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::QueryOrders<'_> = parse_params(e)?;
    let orders = order_refs(params.order_id, params.cl_ord_id)?;
    bounded(&orders)?;
    Ok((params.token, Body::Query(Query::Orders(orders))))
}

fn bounded(orders: &[OrderRef]) -> Result<(), WireError> {
    match (1..=ORDER_IDS_MAX).contains(&orders.len()) {
        true => Ok(()),
        false => Err(WireError::field("order_id", "name 1 to 50 orders")),
    }
}

pub(super) fn open_orders<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::Orders<'_> = parse_params(e)?;
    let filter = OrderFilter {
        limit: Some(limit(params.limit)?),
        symbol: optional_short("symbol", params.symbol.as_deref())?,
        cl_ord_id: optional_cl_ord_id(&params.cl_ord_id)?,
        order_userref: params.order_userref,
        period: period(params.start.as_deref(), params.end.as_deref())?,
        after: cursor(&params.cursor, OrderId::parse)?,
    };
    Ok((params.token, Body::Query(Query::OpenOrders(filter))))
}
