//! Balances, deposits and withdrawals: requesting them, looking them up, and their methods.

use super::change::withdrawal_change;
use super::request::{Body, Parsed, params};
use super::values::{
    client_id, cursor, deposit, limit, method, optional_decimal, optional_short, owned, period, short, withdrawal,
};
use super::{Message, WireError};
use crate::access::operation::Operation;
use crate::domain::cursor::Cursor;
use crate::engine::command::{Command, Withdraw};
use crate::engine::query::{AddressFilter, MethodFilter, Query};
use crate::engine::transfers::TransferFilter;
use crate::wire::params as p;

pub(super) fn get_balances<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::GetBalances<'_> = params(e)?;
    match asked.account.as_deref() {
        None | Some("main") => Ok((asked.token, Body::Query(Query::Balances))),
        Some(_) => Err(WireError::field("account", "give main, or leave it out")),
    }
}

pub(super) fn deposit_methods<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::ByAsset<'_> = params(e)?;
    let asset = optional_short("asset", asked.asset.as_deref())?;
    let filter = MethodFilter { asset, method: owned(&asked.method), network: None };
    Ok((asked.token, Body::Query(Query::Methods(Operation::DepositMethods, filter))))
}

pub(super) fn withdraw_methods<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::WithdrawMethods<'_> = params(e)?;
    let asset = optional_short("asset", asked.asset.as_deref())?;
    let filter = MethodFilter { asset, method: None, network: owned(&asked.network) };
    Ok((asked.token, Body::Query(Query::Methods(Operation::WithdrawMethods, filter))))
}

/// `withdraw_addresses`, and `addresses`, the same for Members.
pub(super) fn addresses<'a>(operation: Operation, e: &Message<'a>) -> Parsed<'a> {
    let asked: p::WithdrawAddresses<'_> = params(e)?;
    let filter = AddressFilter {
        asset: optional_short("asset", asked.asset.as_deref())?,
        method: owned(&asked.method),
        key: owned(&asked.key),
        verified: asked.verified,
    };
    Ok((asked.token, Body::Query(Query::Addresses(operation, filter))))
}

pub(super) fn deposit_addresses<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::DepositAddresses<'_> = params(e)?;
    let (asset, method) = (short("asset", &asked.asset)?, owned(&asked.method));
    let new = asked.new.unwrap_or(false);
    Ok((asked.token, Body::Command(Command::DepositAddresses { asset, method, new })))
}

pub(super) fn withdraw_info<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::WithdrawInfo<'_> = params(e)?;
    let change = withdrawal_change(&asked.asset, &asked.key, asked.amount)?;
    Ok((asked.token, Body::Query(Query::WithdrawInfo(change))))
}

pub(super) fn withdraw<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::Withdraw<'_> = params(e)?;
    let command = Command::Withdraw(Withdraw {
        change: withdrawal_change(&asked.asset, &asked.key, asked.amount)?,
        client_id: client_id(asked.client_id.as_deref())?,
        max_fee: optional_decimal("max_fee", asked.max_fee)?,
        address: owned(&asked.address),
    });
    Ok((asked.token, Body::Command(command)))
}

pub(super) fn withdraw_cancel<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::WithdrawCancel<'_> = params(e)?;
    Ok((asked.token, Body::Command(Command::CancelWithdrawal(withdrawal(&asked.refid)?))))
}

pub(super) fn deposit_status<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::TransferStatus<'_> = params(e)?;
    let id = asked.refid.as_deref().map(deposit).transpose()?.map(|id| id.0);
    let filter = transfer_filter(&asked, id)?;
    Ok((asked.token, Body::Query(Query::Deposits(filter))))
}

pub(super) fn withdraw_status<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::TransferStatus<'_> = params(e)?;
    let id = asked.refid.as_deref().map(withdrawal).transpose()?.map(|id| id.0);
    let filter = transfer_filter(&asked, id)?;
    Ok((asked.token, Body::Query(Query::Withdrawals(filter))))
}

fn transfer_filter(asked: &p::TransferStatus<'_>, id: Option<u64>) -> Result<TransferFilter, WireError> {
    Ok(TransferFilter {
        asset: optional_short("asset", asked.asset.as_deref())?,
        method: method(&asked.method)?,
        id,
        period: period(asked.start.as_deref(), asked.end.as_deref())?,
        before: cursor(&asked.cursor, Cursor::parse)?,
        limit: limit(asked.limit)?,
    })
}
