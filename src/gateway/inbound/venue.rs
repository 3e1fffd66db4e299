//! The venue operator's commands.

use super::earn::new_strategy;
use super::request::{Body, Parsed, params};
use super::values::{decimal, member, owned, short, strategy, withdrawal};
use super::{Envelope, WireError};
use crate::access::operation::Operation;
use crate::domain::markets::MarketStatus;
use crate::engine::command::{Command, Credit, Invitee, NewAsset, NewMarket, Paid};
use crate::engine::deposits::{DepositAddress, DepositStatus};
use crate::engine::members::Kyc;
use crate::wire::leaf::Text;
use crate::wire::params as p;

/// What a venue operator asks for.
pub(super) fn venue<'a>(operation: Operation, e: &Envelope<'a>) -> Parsed<'a> {
    let (token, command) = match operation {
        Operation::CreateOrganization => {
            let asked: p::CreateOrganization<'_> = params(e)?;
            let invite = |m: &p::Invitee<'_>| Invitee {
                name: (*m.name).to_owned(),
                email: (*m.email).to_owned(),
                token_hash: [0; 32],
            };
            let members = asked.members.iter().map(invite).collect();
            let command = Command::CreateOrganization { name: (*asked.name).to_owned(), members };
            return Ok((asked.token, Body::Invite(command)));
        }
        Operation::AddAsset => add_asset(params(e)?)?,
        Operation::AddMarket => add_market(params(e)?)?,
        Operation::SetMarketStatus => {
            let asked: p::SetMarketStatus<'_> = params(e)?;
            let advice = "give online, cancel_only, post_only, limit_only, reduce_only or maintenance";
            let status = MarketStatus::parse(&asked.status).ok_or_else(|| WireError::field("status", advice))?;
            (asked.token, Command::SetMarketStatus { symbol: short("symbol", &asked.symbol)?, status })
        }
        Operation::AddEarnStrategy => {
            let asked: p::AddEarnStrategy<'_> = params(e)?;
            let strategy = new_strategy(&asked)?;
            (asked.token, Command::AddEarnStrategy { strategy })
        }
        Operation::AddDepositAddresses => {
            let asked: p::AddDepositAddresses<'_> = params(e)?;
            let addresses = asked.addresses.iter().map(|a| address(&a.address, &a.tag)).collect();
            (asked.token, Command::AddDepositAddresses { asset: short("asset", &asked.asset)?, addresses })
        }
        Operation::CreditDeposit => {
            let asked: p::CreditDeposit<'_> = params(e)?;
            let (asset, amount) = (short("asset", &asked.asset)?, decimal("amount", asked.amount)?);
            let (address, txid) = (address(&asked.address, &asked.tag), (*asked.txid).to_owned());
            let unknown = || WireError::field("status", "give Pending, Success or Failure");
            let status = asked.status.as_deref().map_or(Some(DepositStatus::Success), DepositStatus::parse);
            let status = status.ok_or_else(unknown)?;
            (asked.token, Command::CreditDeposit(Credit { asset, address, amount, txid, status }))
        }
        Operation::SettleWithdrawal => {
            let asked: p::SettleWithdrawal<'_> = params(e)?;
            let result = Paid::Settled { txid: owned(&asked.txid) };
            (asked.token, Command::FinishWithdrawal { withdrawal: withdrawal(&asked.refid)?, result })
        }
        Operation::FailWithdrawal => {
            let asked: p::FailWithdrawal<'_> = params(e)?;
            let result = Paid::Failed { reason: (*asked.reason).to_owned() };
            (asked.token, Command::FinishWithdrawal { withdrawal: withdrawal(&asked.refid)?, result })
        }
        Operation::PayEarnReward => {
            let asked: p::PayEarnReward<'_> = params(e)?;
            let (strategy, amount) = (strategy(&asked.strategy_id)?, decimal("amount", asked.amount)?);
            let client_id = short("client_id", &asked.client_id)?;
            (asked.token, Command::PayEarnReward { strategy, amount, client_id })
        }
        Operation::Halt => {
            let asked: p::Halt<'_> = params(e)?;
            (asked.token, Command::Halt { reason: (*asked.reason).to_owned() })
        }
        Operation::Resume => (params::<p::Nothing<'_>>(e)?.token, Command::Resume),
        _ => {
            let asked: p::SetKyc<'_> = params(e)?;
            let unknown = || WireError::field("kyc", "give pending, verified or rejected");
            let kyc = Kyc::parse(&asked.kyc).ok_or_else(unknown)?;
            (asked.token, Command::SetKyc { member: member(&asked.member_id)?, kyc })
        }
    };
    Ok((token, Body::Command(command)))
}

fn address(address: &Text<'_>, tag: &Option<Text<'_>>) -> DepositAddress {
    DepositAddress { address: (**address).to_owned(), tag: tag.as_deref().map(str::to_owned) }
}

fn add_asset(asked: p::AddAsset<'_>) -> Result<(Option<Text<'_>>, Command), WireError> {
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
    Ok((asked.token, Command::AddAsset { asset }))
}

fn add_market(asked: p::AddMarket<'_>) -> Result<(Option<Text<'_>>, Command), WireError> {
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
    Ok((asked.token, Command::AddMarket { market }))
}
