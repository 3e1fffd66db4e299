//! The venue operator's commands.

use super::Message;
use super::request::{Body, Parsed, parse_params};
use super::values::{decimal, member, optional_word, owned, short, withdrawal, word};
use crate::engine::command::{Command, Credit, CustodyResult, NewAsset, NewMarket};
use crate::engine::deposits::{DepositAddress, DepositStatus};
use crate::wire::leaf::{Object, Text};
use crate::wire::params as p;

pub(super) fn create_organization<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::CreateOrganization<'_> = parse_params(e)?;
    let named = |m: &Object<p::Invitee<'_>>| ((*m.name).to_owned(), (*m.email).to_owned());
    let members = params.members.iter().map(named).collect();
    Ok((params.token, Body::CreateOrganization { name: (*params.name).to_owned(), members }))
}

pub(super) fn add_asset<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::AddAsset<'_> = parse_params(e)?;
    let asset = NewAsset {
        code: short("asset", &params.asset)?,
        decimals: params.decimals,
        display_decimals: params.display_decimals,
        method: (*params.method).to_owned(),
        network: (*params.network).to_owned(),
        withdrawal_min: decimal("withdrawal_min", params.withdrawal_min)?,
        withdrawal_fee: decimal("withdrawal_fee", params.withdrawal_fee)?,
        deposit_min: decimal("deposit_min", params.deposit_min)?,
    };
    Ok((params.token, Body::Command(Command::AddAsset { asset })))
}

pub(super) fn add_market<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::AddMarket<'_> = parse_params(e)?;
    let market = NewMarket {
        symbol: short("symbol", &params.symbol)?,
        price_decimals: params.price_decimals,
        qty_decimals: params.qty_decimals,
        price_increment: decimal("price_increment", params.price_increment)?,
        qty_min: decimal("qty_min", params.qty_min)?,
        cost_min: decimal("cost_min", params.cost_min)?,
        maker_ppm: params.maker_ppm,
        taker_ppm: params.taker_ppm,
    };
    Ok((params.token, Body::Command(Command::AddMarket { market })))
}

pub(super) fn set_market_status<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::SetMarketStatus<'_> = parse_params(e)?;
    let status = word("status", &params.status)?;
    let symbol = short("symbol", &params.symbol)?;
    Ok((params.token, Body::Command(Command::SetMarketStatus { symbol, status })))
}

pub(super) fn add_deposit_addresses<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::AddDepositAddresses<'_> = parse_params(e)?;
    let addresses = params.addresses.iter().map(|a| address(&a.address, &a.tag)).collect();
    let asset = short("asset", &params.asset)?;
    Ok((params.token, Body::Command(Command::AddDepositAddresses { asset, addresses })))
}

pub(super) fn credit_deposit<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::CreditDeposit<'_> = parse_params(e)?;
    let (asset, amount) = (short("asset", &params.asset)?, decimal("amount", params.amount)?);
    let (address, txid) = (address(&params.address, &params.tag), (*params.txid).to_owned());
    let status = optional_word("status", params.status.as_deref())?.unwrap_or(DepositStatus::Success);
    Ok((params.token, Body::Command(Command::CreditDeposit(Credit { asset, address, amount, txid, status }))))
}

pub(super) fn settle_withdrawal<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::SettleWithdrawal<'_> = parse_params(e)?;
    let (withdrawal, result) = (withdrawal(&params.refid)?, CustodyResult::Settled { txid: owned(&params.txid) });
    Ok((params.token, Body::Command(Command::FinishWithdrawal { withdrawal, result })))
}

pub(super) fn fail_withdrawal<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::FailWithdrawal<'_> = parse_params(e)?;
    let (withdrawal, result) =
        (withdrawal(&params.refid)?, CustodyResult::Failed { reason: (*params.reason).to_owned() });
    Ok((params.token, Body::Command(Command::FinishWithdrawal { withdrawal, result })))
}

pub(super) fn set_kyc<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::SetKyc<'_> = parse_params(e)?;
    let kyc = word("kyc", &params.kyc)?;
    Ok((params.token, Body::Command(Command::SetKyc { member: member(&params.member_id)?, kyc })))
}

pub(super) fn halt<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::Halt<'_> = parse_params(e)?;
    Ok((params.token, Body::Command(Command::Halt { reason: (*params.reason).to_owned() })))
}

fn address(address: &Text<'_>, tag: &Option<Text<'_>>) -> DepositAddress {
    DepositAddress { address: (**address).to_owned(), tag: tag.as_deref().map(str::to_owned) }
}
