//! Earn: the requests of a Service User, and the strategies and rewards of a venue operator.

use super::request::{Body, Parsed, params};
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
    let asked: p::EarnStrategies<'_> = params(e)?;
    let filter = EarnFilter {
        asset: optional_short("asset", asked.asset.as_deref())?,
        wallets: asked.lock_type.map(wallets).transpose()?,
        ascending: asked.ascending.unwrap_or(false),
        after: cursor(&asked.cursor, StrategyId::parse)?,
        limit: limit(asked.limit)?,
        ..EarnFilter::default()
    };
    Ok((asked.token, Body::Query(Query::EarnStrategies(filter))))
}

pub(super) fn earn_allocations<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::EarnAllocations<'_> = params(e)?;
    let filter = EarnFilter {
        asset: optional_short("asset", asked.asset.as_deref())?,
        converted: optional_short("converted_asset", asked.converted_asset.as_deref())?,
        hide_zero: asked.hide_zero_allocations.unwrap_or(false),
        ascending: asked.ascending.unwrap_or(false),
        after: cursor(&asked.cursor, StrategyId::parse)?,
        limit: limit(asked.limit)?,
        wallets: None,
    };
    Ok((asked.token, Body::Query(Query::EarnAllocations(filter))))
}

pub(super) fn earn_allocate<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::EarnAllocate<'_> = params(e)?;
    let command = EarnMove {
        strategy: strategy(&asked.strategy_id)?,
        amount: decimal("amount", asked.amount)?,
        allocate: true,
        auto_compound: asked.auto_compound,
        client_id: client_id(asked.client_id.as_deref())?,
    };
    Ok((asked.token, Body::Command(Command::Earn(command))))
}

pub(super) fn earn_deallocate<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::EarnDeallocate<'_> = params(e)?;
    let command = EarnMove {
        strategy: strategy(&asked.strategy_id)?,
        amount: decimal("amount", asked.amount)?,
        allocate: false,
        auto_compound: None,
        client_id: client_id(asked.client_id.as_deref())?,
    };
    Ok((asked.token, Body::Command(Command::Earn(command))))
}

pub(super) fn earn_status<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::EarnStatus<'_> = params(e)?;
    Ok((asked.token, Body::Query(Query::EarnStatus(strategy(&asked.strategy_id)?))))
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
    let asked: p::AddEarnStrategy<'_> = params(e)?;
    let ids = asked.organizations.as_ref().map(|ids| ids.iter().map(|id| organization(id)).collect());
    let yield_source = asked.yield_source.as_deref().map(|source| &*source.r#type);
    let strategy = NewStrategy {
        asset: short("asset", &asked.asset)?,
        lock: lock_type(&asked.lock_type)?,
        min: decimal("user_min_allocation", asked.user_min_allocation)?,
        user_cap: optional_decimal("user_cap", asked.user_cap)?,
        total_cap: optional_decimal("total_cap", asked.total_cap)?,
        apr: (decimal("apr_estimate", asked.apr_estimate.low)?, decimal("apr_estimate", asked.apr_estimate.high)?),
        auto_compound: asked.auto_compound.as_deref().map_or(Ok(AutoCompound::Disabled), auto_compound)?,
        yield_source: optional_word("yield_source", yield_source)?.unwrap_or(YieldSource::Staking),
        payout_frequency_s: asked.lock_type.payout_frequency,
        organizations: ids.transpose()?,
    };
    Ok((asked.token, Body::Command(Command::AddEarnStrategy { strategy })))
}

pub(super) fn pay_earn_reward<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::PayEarnReward<'_> = params(e)?;
    let command = Command::PayEarnReward {
        strategy: strategy(&asked.strategy_id)?,
        amount: decimal("amount", asked.amount)?,
        client_id: short("client_id", &asked.client_id)?,
    };
    Ok((asked.token, Body::Command(command)))
}

fn lock_type(asked: &p::LockType<'_>) -> Result<LockType, WireError> {
    let periods = [asked.bonding_period, asked.unbonding_period, asked.exit_queue_period];
    match &*asked.r#type {
        "flex" if periods.iter().all(Option::is_none) => Ok(LockType::Flex),
        "flex" => Err(WireError::field("lock_type", "only bonded has periods")),
        "bonded" => {
            let [bonding_s, unbonding_s, exit_queue_s] = periods.map(Option::unwrap_or_default);
            Ok(LockType::Bonded(Periods { bonding_s, exit_queue_s, unbonding_s }))
        }
        _ => Err(WireError::field("lock_type", "give flex or bonded")),
    }
}

fn auto_compound(asked: &p::AutoCompound<'_>) -> Result<AutoCompound, WireError> {
    match (&*asked.r#type, asked.default) {
        ("enabled", None) => Ok(AutoCompound::Enabled),
        ("disabled", None) => Ok(AutoCompound::Disabled),
        ("optional", default) => Ok(AutoCompound::Optional { default: default.unwrap_or(false) }),
        ("enabled" | "disabled", Some(_)) => Err(WireError::field("auto_compound", "only optional has a default")),
        _ => Err(WireError::field("auto_compound", "give enabled, disabled or optional")),
    }
}
