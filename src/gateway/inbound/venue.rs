//! The venue operator's commands.

use super::Message;
use super::request::{Body, Parsed, params};
use super::values::{decimal, member, optional_word, owned, short, withdrawal, word};
use crate::engine::command::{Command, Credit, CustodyResult, NewAsset, NewMarket};
use crate::engine::deposits::{DepositAddress, DepositStatus};
use crate::wire::leaf::{Object, Text};
use crate::wire::params as p;

pub(super) fn create_organization<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::CreateOrganization<'_> = params(e)?;
    let named = |m: &Object<p::Invitee<'_>>| ((*m.name).to_owned(), (*m.email).to_owned());
    let members = asked.members.iter().map(named).collect();
    Ok((asked.token, Body::CreateOrganization { name: (*asked.name).to_owned(), members }))
}

pub(super) fn add_asset<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::AddAsset<'_> = params(e)?;
    let asset = NewAsset {
        code: short("asset", &asked.asset)?,
        decimals: asked.decimals,
        display_decimals: asked.display_decimals,
        method: (*asked.method).to_owned(),
        network: (*asked.network).to_owned(),
        withdrawal_min: decimal("withdrawal_min", asked.withdrawal_min)?,
        withdrawal_fee: decimal("withdrawal_fee", asked.withdrawal_fee)?,
        deposit_min: decimal("deposit_min", asked.deposit_min)?,
    };
    Ok((asked.token, Body::Command(Command::AddAsset { asset })))
}

pub(super) fn add_market<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::AddMarket<'_> = params(e)?;
    let market = NewMarket {
        symbol: short("symbol", &asked.symbol)?,
        price_decimals: asked.price_decimals,
        qty_decimals: asked.qty_decimals,
        price_increment: decimal("price_increment", asked.price_increment)?,
        qty_min: decimal("qty_min", asked.qty_min)?,
        cost_min: decimal("cost_min", asked.cost_min)?,
        maker_ppm: asked.maker_ppm,
        taker_ppm: asked.taker_ppm,
    };
    Ok((asked.token, Body::Command(Command::AddMarket { market })))
}

pub(super) fn set_market_status<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::SetMarketStatus<'_> = params(e)?;
    let status = word("status", &asked.status)?;
    let symbol = short("symbol", &asked.symbol)?;
    Ok((asked.token, Body::Command(Command::SetMarketStatus { symbol, status })))
}

pub(super) fn add_deposit_addresses<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::AddDepositAddresses<'_> = params(e)?;
    let addresses = asked.addresses.iter().map(|a| address(&a.address, &a.tag)).collect();
    let asset = short("asset", &asked.asset)?;
    Ok((asked.token, Body::Command(Command::AddDepositAddresses { asset, addresses })))
}

pub(super) fn credit_deposit<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::CreditDeposit<'_> = params(e)?;
    let (asset, amount) = (short("asset", &asked.asset)?, decimal("amount", asked.amount)?);
    let (address, txid) = (address(&asked.address, &asked.tag), (*asked.txid).to_owned());
    let status = optional_word("status", asked.status.as_deref())?.unwrap_or(DepositStatus::Success);
    Ok((asked.token, Body::Command(Command::CreditDeposit(Credit { asset, address, amount, txid, status }))))
}

pub(super) fn settle_withdrawal<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::SettleWithdrawal<'_> = params(e)?;
    let (withdrawal, result) = (withdrawal(&asked.refid)?, CustodyResult::Settled { txid: owned(&asked.txid) });
    Ok((asked.token, Body::Command(Command::FinishWithdrawal { withdrawal, result })))
}

pub(super) fn fail_withdrawal<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::FailWithdrawal<'_> = params(e)?;
    let (withdrawal, result) =
        (withdrawal(&asked.refid)?, CustodyResult::Failed { reason: (*asked.reason).to_owned() });
    Ok((asked.token, Body::Command(Command::FinishWithdrawal { withdrawal, result })))
}

pub(super) fn set_kyc<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::SetKyc<'_> = params(e)?;
    let kyc = word("kyc", &asked.kyc)?;
    Ok((asked.token, Body::Command(Command::SetKyc { member: member(&asked.member_id)?, kyc })))
}

pub(super) fn halt<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::Halt<'_> = params(e)?;
    Ok((asked.token, Body::Command(Command::Halt { reason: (*asked.reason).to_owned() })))
}

fn address(address: &Text<'_>, tag: &Option<Text<'_>>) -> DepositAddress {
    DepositAddress { address: (**address).to_owned(), tag: tag.as_deref().map(str::to_owned) }
}
