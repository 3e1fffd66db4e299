//! Earn: the requests of a Service User, and the strategies and rewards of a venue operator.

use super::request::{Body, Parsed, parse_params};
use super::values::{
    client_id, cursor, decimal, limit, optional_decimal, optional_short, optional_word, organization, short, strategy,
};
use super::{Message, WireError};
use crate::domain::ids::StrategyId;
use crate::engine::command::{Command, EarnMove, NewStrategy};
use crate::engine::earn::{AutoCompound, LockType, Periods, YieldSource};
use crate::engine::holdings::EarnFilter;
use crate::engine::ledger::Wallet;
use crate::engine::query::Query;
use crate::wire::leaf::Names;
use crate::wire::params as p;

pub(super) fn earn_strategies<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::EarnStrategies<'_> = parse_params(e)?;
    let filter = EarnFilter {
        asset: optional_short("asset", params.asset.as_deref())?,
        wallets: params.lock_type.map(wallets).transpose()?,
        ascending: params.ascending.unwrap_or(false),
        after: cursor(&params.cursor, StrategyId::parse)?,
        limit: limit(params.limit)?,
        ..EarnFilter::default()
    };
    Ok((params.token, Body::Query(Query::EarnStrategies(filter))))
}

pub(super) fn earn_allocations<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::EarnAllocations<'_> = parse_params(e)?;
    let filter = EarnFilter {
        asset: optional_short("asset", params.asset.as_deref())?,
        converted: optional_short("converted_asset", params.converted_asset.as_deref())?,
        hide_zero: params.hide_zero_allocations.unwrap_or(false),
        ascending: params.ascending.unwrap_or(false),
        after: cursor(&params.cursor, StrategyId::parse)?,
        limit: limit(params.limit)?,
        wallets: None,
    };
    Ok((params.token, Body::Query(Query::EarnAllocations(filter))))
}

pub(super) fn earn_allocate<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::EarnAllocate<'_> = parse_params(e)?;
    let command = EarnMove {
        strategy: strategy(&params.strategy_id)?,
        amount: decimal("amount", params.amount)?,
        allocate: true,
        auto_compound: params.auto_compound,
        client_id: client_id(params.client_id.as_deref())?,
    };
    Ok((params.token, Body::Command(Command::Earn(command))))
}

pub(super) fn earn_deallocate<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::EarnDeallocate<'_> = parse_params(e)?;
    let command = EarnMove {
        strategy: strategy(&params.strategy_id)?,
        amount: decimal("amount", params.amount)?,
        allocate: false,
        auto_compound: None,
        client_id: client_id(params.client_id.as_deref())?,
    };
    Ok((params.token, Body::Command(Command::Earn(command))))
}

pub(super) fn earn_status<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::EarnStatus<'_> = parse_params(e)?;
    Ok((params.token, Body::Query(Query::EarnStatus(strategy(&params.strategy_id)?))))
}

/// The wallets of the lock types named; v2's other two are accepted, but no strategy here has them.
fn wallets(names: Names<'_>) -> Result<Vec<Wallet>, WireError> {
    let mut wallets = Vec::new();
    for name in names.list().ok_or_else(|| WireError::new("Lock_type field must be an array"))? {
        match &*name {
            "flex" => wallets.push(Wallet::Flex),
            "bonded" => wallets.push(Wallet::Bonded),
            "timed" | "instant" => {}
            _ => return Err(WireError::field("lock_type", "give flex, bonded, timed or instant")),
        }
    }
    Ok(wallets)
}

pub(super) fn add_earn_strategy<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::AddEarnStrategy<'_> = parse_params(e)?;
    let ids = params.organizations.as_ref().map(|ids| ids.iter().map(|id| organization(id)).collect());
    let yield_source = params.yield_source.as_deref().map(|source| &*source.r#type);
    let strategy = NewStrategy {
        asset: short("asset", &params.asset)?,
        lock: lock_type(&params.lock_type)?,
        min: decimal("user_min_allocation", params.user_min_allocation)?,
        user_cap: optional_decimal("user_cap", params.user_cap)?,
        total_cap: optional_decimal("total_cap", params.total_cap)?,
        apr: (decimal("apr_estimate", params.apr_estimate.low)?, decimal("apr_estimate", params.apr_estimate.high)?),
        auto_compound: params.auto_compound.as_deref().map_or(Ok(AutoCompound::Disabled), auto_compound)?,
        yield_source: optional_word("yield_source", yield_source)?.unwrap_or(YieldSource::Staking),
        payout_frequency_s: params.lock_type.payout_frequency,
        organizations: ids.transpose()?,
    };
    Ok((params.token, Body::Command(Command::AddEarnStrategy { strategy })))
}

pub(super) fn pay_earn_reward<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::PayEarnReward<'_> = parse_params(e)?;
    let command = Command::PayEarnReward {
        strategy: strategy(&params.strategy_id)?,
        amount: decimal("amount", params.amount)?,
        client_id: short("client_id", &params.client_id)?,
    };
    Ok((params.token, Body::Command(command)))
}

fn lock_type(lock: &p::LockType<'_>) -> Result<LockType, WireError> {
    let periods = [lock.bonding_period, lock.unbonding_period, lock.exit_queue_period];
    match &*lock.r#type {
        "flex" if periods.iter().all(Option::is_none) => Ok(LockType::Flex),
        "flex" => Err(WireError::field("lock_type", "only bonded has periods")),
        "bonded" => {
            let [bonding_s, unbonding_s, exit_queue_s] = periods.map(Option::unwrap_or_default);
            Ok(LockType::Bonded(Periods { bonding_s, exit_queue_s, unbonding_s }))
        }
        _ => Err(WireError::field("lock_type", "give flex or bonded")),
    }
}

fn auto_compound(choice: &p::AutoCompound<'_>) -> Result<AutoCompound, WireError> {
    match (&*choice.r#type, choice.default) {
        ("enabled", None) => Ok(AutoCompound::Enabled),
        ("disabled", None) => Ok(AutoCompound::Disabled),
        ("optional", default) => Ok(AutoCompound::Optional { default: default.unwrap_or(false) }),
        ("enabled" | "disabled", Some(_)) => Err(WireError::field("auto_compound", "only optional has a default")),
        _ => Err(WireError::field("auto_compound", "give enabled, disabled or optional")),
    }
}
