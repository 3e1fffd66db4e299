//! Balances, deposits and withdrawals: requesting them, looking them up, and their methods.

use super::change::withdrawal_change;
use super::request::{Body, Parsed, parse_params};
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
    let params: p::GetBalances<'_> = parse_params(e)?;
    match params.account.as_deref() {
        None | Some("main") => Ok((params.token, Body::Query(Query::Balances))),
        Some(_) => Err(WireError::field("account", "give main, or leave it out")),
    }
}

pub(super) fn deposit_methods<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::ByAsset<'_> = parse_params(e)?;
    let asset = optional_short("asset", params.asset.as_deref())?;
    let filter = MethodFilter { asset, method: owned(&params.method), network: None };
    Ok((params.token, Body::Query(Query::Methods(Operation::DepositMethods, filter))))
}

pub(super) fn withdraw_methods<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::WithdrawMethods<'_> = parse_params(e)?;
    let asset = optional_short("asset", params.asset.as_deref())?;
    let filter = MethodFilter { asset, method: None, network: owned(&params.network) };
    Ok((params.token, Body::Query(Query::Methods(Operation::WithdrawMethods, filter))))
}

/// `withdraw_addresses`, and `addresses`, the same for Members.
pub(super) fn addresses<'a>(operation: Operation, e: &Message<'a>) -> Parsed<'a> {
    let params: p::WithdrawAddresses<'_> = parse_params(e)?;
    let filter = AddressFilter {
        asset: optional_short("asset", params.asset.as_deref())?,
        method: owned(&params.method),
        key: owned(&params.key),
        verified: params.verified,
    };
    Ok((params.token, Body::Query(Query::Addresses(operation, filter))))
}

pub(super) fn deposit_addresses<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::DepositAddresses<'_> = parse_params(e)?;
    let (asset, method) = (short("asset", &params.asset)?, owned(&params.method));
    let new = params.new.unwrap_or(false);
    Ok((params.token, Body::Command(Command::DepositAddresses { asset, method, new })))
}

pub(super) fn withdraw_info<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::WithdrawInfo<'_> = parse_params(e)?;
    let change = withdrawal_change(&params.asset, &params.key, params.amount)?;
    Ok((params.token, Body::Query(Query::WithdrawInfo(change))))
}

pub(super) fn withdraw<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::Withdraw<'_> = parse_params(e)?;
    let command = Command::Withdraw(Withdraw {
        change: withdrawal_change(&params.asset, &params.key, params.amount)?,
        client_id: client_id(params.client_id.as_deref())?,
        max_fee: optional_decimal("max_fee", params.max_fee)?,
        address: owned(&params.address),
    });
    Ok((params.token, Body::Command(command)))
}

pub(super) fn withdraw_cancel<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::WithdrawCancel<'_> = parse_params(e)?;
    Ok((params.token, Body::Command(Command::CancelWithdrawal(withdrawal(&params.refid)?))))
}

pub(super) fn deposit_status<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::TransferStatus<'_> = parse_params(e)?;
    let id = params.refid.as_deref().map(deposit).transpose()?.map(|id| id.0);
    let filter = transfer_filter(&params, id)?;
    Ok((params.token, Body::Query(Query::Deposits(filter))))
}

pub(super) fn withdraw_status<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::TransferStatus<'_> = parse_params(e)?;
    let id = params.refid.as_deref().map(withdrawal).transpose()?.map(|id| id.0);
    let filter = transfer_filter(&params, id)?;
    Ok((params.token, Body::Query(Query::Withdrawals(filter))))
}

fn transfer_filter(params: &p::TransferStatus<'_>, id: Option<u64>) -> Result<TransferFilter, WireError> {
    Ok(TransferFilter {
        asset: optional_short("asset", params.asset.as_deref())?,
        method: method(&params.method)?,
        id,
        period: period(params.start.as_deref(), params.end.as_deref())?,
        before: cursor(&params.cursor, Cursor::parse)?,
        limit: limit(params.limit)?,
    })
}
