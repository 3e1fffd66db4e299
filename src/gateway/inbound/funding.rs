//! Deposits and withdrawals: asked for, looked up, and how they are done.

use super::change::withdrawal_change;
use super::request::{Body, Filter, Parsed, params};
use super::values::{cursor, decimal, deposit, limit, moment, optional_short, owned, short, withdrawal};
use super::{Envelope, WireError};
use crate::access::operation::Operation;
use crate::domain::cursor::Cursor;
use crate::engine::command::{Command, Withdraw};
use crate::engine::query::Query;
use crate::engine::transfers::TransferFilter;
use crate::wire::params as p;

/// What a Service User asks about deposits and withdrawals, and Members about addresses.
pub(super) fn funding<'a>(operation: Operation, e: &Envelope<'a>) -> Parsed<'a> {
    match operation {
        Operation::DepositMethods => {
            let asked: p::ByAsset<'_> = params(e)?;
            let filter = Filter { method: owned(&asked.method), ..Filter::default() };
            let asset = optional_short("asset", asked.asset.as_deref())?;
            Ok((asked.token, Body::Query(Query::Methods(operation, asset), filter)))
        }
        Operation::WithdrawMethods => {
            let asked: p::WithdrawMethods<'_> = params(e)?;
            let filter = Filter { network: owned(&asked.network), ..Filter::default() };
            let asset = optional_short("asset", asked.asset.as_deref())?;
            Ok((asked.token, Body::Query(Query::Methods(operation, asset), filter)))
        }
        Operation::WithdrawAddresses | Operation::Addresses => {
            let asked: p::WithdrawAddresses<'_> = params(e)?;
            let filter = Filter {
                method: owned(&asked.method),
                key: owned(&asked.key),
                verified: asked.verified,
                ..Filter::default()
            };
            let asset = optional_short("asset", asked.asset.as_deref())?;
            Ok((asked.token, Body::Query(Query::Addresses(operation, asset), filter)))
        }
        Operation::DepositAddresses => {
            let asked: p::DepositAddresses<'_> = params(e)?;
            let (asset, method) = (short("asset", &asked.asset)?, owned(&asked.method));
            let new = asked.new.unwrap_or(false);
            Ok((asked.token, Body::Command(Command::DepositAddresses { asset, method, new })))
        }
        Operation::WithdrawInfo => {
            let asked: p::WithdrawInfo<'_> = params(e)?;
            let change = withdrawal_change(&asked.asset, &asked.key, asked.amount)?;
            Ok((asked.token, Body::Query(Query::WithdrawInfo(change), Filter::default())))
        }
        Operation::Withdraw => {
            let asked: p::Withdraw<'_> = params(e)?;
            let command = Command::Withdraw(Withdraw {
                change: withdrawal_change(&asked.asset, &asked.key, asked.amount)?,
                client_id: optional_short("client_id", asked.client_id.as_deref())?,
                max_fee: asked.max_fee.map(|fee| decimal("max_fee", fee)).transpose()?,
                address: owned(&asked.address),
            });
            Ok((asked.token, Body::Command(command)))
        }
        Operation::WithdrawCancel => {
            let asked: p::WithdrawCancel<'_> = params(e)?;
            Ok((asked.token, Body::Command(Command::CancelWithdrawal(withdrawal(&asked.refid)?))))
        }
        _ => status(operation, e),
    }
}

/// `deposit_status` and `withdraw_status`.
fn status<'a>(operation: Operation, e: &Envelope<'a>) -> Parsed<'a> {
    let asked: p::TransferStatus<'_> = params(e)?;
    let id = |text: &str| -> Result<u64, WireError> {
        match operation {
            Operation::DepositStatus => deposit(text).map(|id| id.0),
            _ => withdrawal(text).map(|id| id.0),
        }
    };
    let filter = TransferFilter {
        asset: optional_short("asset", asked.asset.as_deref())?,
        method: owned(&asked.method),
        id: asked.refid.as_deref().map(id).transpose()?,
        start: moment("start", asked.start.as_deref())?,
        end: moment("end", asked.end.as_deref())?,
        before: cursor(&asked.cursor, Cursor::parse)?,
        limit: limit(asked.limit)?,
    };
    let query =
        if operation == Operation::DepositStatus { Query::Deposits(filter) } else { Query::Withdrawals(filter) };
    Ok((asked.token, Body::Query(query, Filter::default())))
}
