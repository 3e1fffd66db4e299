//! Pages of the past: closed orders, trades, ledger entries, the audit log.

use super::request::{Body, HistoryRequest, Page, Parsed, parse_params};
use super::values::{cursor, entry_type, limit, optional_cl_ord_id, owned, period};
use super::{Message, WireError};
use crate::domain::cursor::Cursor;
use crate::domain::ids::LedgerId;
use crate::domain::limits::ORDER_IDS_MAX;
use crate::wire::params as p;

pub(super) fn closed_orders<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::Orders<'_> = parse_params(e)?;
    let page = Page {
        limit: limit(params.limit)?,
        symbol: owned(&params.symbol),
        cl_ord_id: optional_cl_ord_id(&params.cl_ord_id)?,
        order_userref: params.order_userref,
        period: period(params.start.as_deref(), params.end.as_deref())?,
        cursor: cursor(&params.cursor, Cursor::parse)?,
        ..Page::default()
    };
    Ok((params.token, Body::History(HistoryRequest::ClosedOrders(page))))
}

pub(super) fn trades_history<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::Trades<'_> = parse_params(e)?;
    let page = Page {
        symbol: owned(&params.symbol),
        period: period(params.start.as_deref(), params.end.as_deref())?,
        limit: limit(params.limit)?,
        cursor: cursor(&params.cursor, Cursor::parse)?,
        ..Page::default()
    };
    Ok((params.token, Body::History(HistoryRequest::Trades(page))))
}

pub(super) fn ledgers<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::Ledgers<'_> = parse_params(e)?;
    let page = Page {
        asset: owned(&params.asset),
        entry_type: params.r#type.as_deref().map(entry_type).transpose()?,
        period: period(params.start.as_deref(), params.end.as_deref())?,
        limit: limit(params.limit)?,
        cursor: cursor(&params.cursor, Cursor::parse)?,
        ..Page::default()
    };
    Ok((params.token, Body::History(HistoryRequest::Ledgers(page))))
}

pub(super) fn query_ledgers<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::QueryLedgers<'_> = parse_params(e)?;
    let names = params.ledger_id.list().ok_or_else(|| WireError::new("Ledger_id field must be an array"))?;
    if !(1..=ORDER_IDS_MAX).contains(&names.len()) {
        return Err(WireError::field("ledger_id", "name 1 to 50 entries"));
    }
    // A name that no server has written belongs to no entry.
    let ledger_ids = names.iter().filter_map(|name| LedgerId::parse(name)).collect();
    Ok((params.token, Body::History(HistoryRequest::LedgersNamed(ledger_ids))))
}

pub(super) fn audit_log<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::AuditLog<'_> = parse_params(e)?;
    let page = Page {
        period: period(params.start.as_deref(), params.end.as_deref())?,
        limit: limit(params.limit)?,
        cursor: cursor(&params.cursor, Cursor::parse)?,
        ..Page::default()
    };
    Ok((params.token, Body::Audit(page)))
}
