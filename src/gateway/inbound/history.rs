//! Pages of the past: closed orders, trades, ledger entries, the audit log.

use super::request::{Body, HistoryRequest, Page, Parsed, params};
use super::values::{cursor, entry_type, limit, optional_cl_ord_id, owned, period};
use super::{Message, WireError};
use crate::domain::cursor::Cursor;
use crate::domain::ids::LedgerId;
use crate::domain::limits::ORDER_IDS_MAX;
use crate::wire::params as p;

pub(super) fn closed_orders<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::Orders<'_> = params(e)?;
    let page = Page {
        limit: limit(asked.limit)?,
        symbol: owned(&asked.symbol),
        cl_ord_id: optional_cl_ord_id(&asked.cl_ord_id)?,
        order_userref: asked.order_userref,
        period: period(asked.start.as_deref(), asked.end.as_deref())?,
        cursor: cursor(&asked.cursor, Cursor::parse)?,
        ..Page::default()
    };
    Ok((asked.token, Body::History(HistoryRequest::ClosedOrders(page))))
}

pub(super) fn trades_history<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::Trades<'_> = params(e)?;
    let page = Page {
        symbol: owned(&asked.symbol),
        period: period(asked.start.as_deref(), asked.end.as_deref())?,
        limit: limit(asked.limit)?,
        cursor: cursor(&asked.cursor, Cursor::parse)?,
        ..Page::default()
    };
    Ok((asked.token, Body::History(HistoryRequest::Trades(page))))
}

pub(super) fn ledgers<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::Ledgers<'_> = params(e)?;
    let page = Page {
        asset: owned(&asked.asset),
        entry_type: asked.r#type.as_deref().map(entry_type).transpose()?,
        period: period(asked.start.as_deref(), asked.end.as_deref())?,
        limit: limit(asked.limit)?,
        cursor: cursor(&asked.cursor, Cursor::parse)?,
        ..Page::default()
    };
    Ok((asked.token, Body::History(HistoryRequest::Ledgers(page))))
}

pub(super) fn query_ledgers<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::QueryLedgers<'_> = params(e)?;
    let names = asked.ledger_id.list().ok_or_else(|| WireError::new("Ledger_id field must be an array"))?;
    if !(1..=ORDER_IDS_MAX).contains(&names.len()) {
        return Err(WireError::field("ledger_id", "name 1 to 50 entries"));
    }
    // A name that no server has written belongs to no entry.
    let ledger_ids = names.iter().filter_map(|name| LedgerId::parse(name)).collect();
    Ok((asked.token, Body::History(HistoryRequest::LedgersNamed(ledger_ids))))
}

pub(super) fn audit_log<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::AuditLog<'_> = params(e)?;
    let page = Page {
        period: period(asked.start.as_deref(), asked.end.as_deref())?,
        limit: limit(asked.limit)?,
        cursor: cursor(&asked.cursor, Cursor::parse)?,
        ..Page::default()
    };
    Ok((asked.token, Body::Audit(page)))
}
