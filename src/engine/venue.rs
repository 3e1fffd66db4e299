//! What the venue operator sets up: assets, markets, Earn strategies and pools of deposit addresses.

use std::collections::BTreeSet;

use super::command::{NewAsset, NewMarket, NewStrategy};
use super::deposits::DepositAddress;
use super::earn::{LockType, Periods, Strategy};
use super::event::Event;
use super::fields::{check_address, check_name, not_negative, positive};
use super::reject::{Code, Reject};
use super::reply::Reply;
use super::transition::Transition;
use crate::domain::assets::Asset;
use crate::domain::decimal::Decimal;
use crate::domain::ids::{AssetId, MarketId};
use crate::domain::limits::{
    ASSETS_MAX, DECIMALS_MAX, DEPOSIT_ADDRESSES_MAX, EARN_ORGANIZATIONS_MAX, EARN_PERIOD_MAX_S, EARN_STRATEGIES_MAX,
    MARKETS_MAX, PRICE_DECIMALS_MAX,
};
use crate::domain::markets::{Market, MarketStatus};
use crate::domain::money::{Amount, Price, Quantity};
use crate::domain::text::{AssetCode, Symbol};

/// `add_asset`.
pub fn add_asset(t: &mut Transition<'_>, request: &NewAsset) -> Result<Reply, Reject> {
    let reference = &t.state().reference;
    if reference.assets().len() >= ASSETS_MAX {
        return Err(Reject::advised(Code::LimitReached, format!("at most {ASSETS_MAX} assets")));
    }
    let upper = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    if request.code.is_empty() || !request.code.bytes().all(upper) {
        return Err(Reject::invalid("asset", "give 1 to 11 capital letters and digits"));
    }
    if reference.find_asset(&request.code).is_ok() {
        return Err(Reject::field(Code::Exists, "asset", "choose another code"));
    }
    if request.decimals > DECIMALS_MAX {
        return Err(Reject::invalid("decimals", "give at most 12"));
    }
    if request.display_decimals > request.decimals {
        return Err(Reject::invalid("display_decimals", "give no more than decimals"));
    }
    check_name("method", &request.method)?;
    check_name("network", &request.network)?;
    let asset = Asset {
        id: AssetId::at(reference.assets().len()),
        code: request.code,
        decimals: request.decimals,
        display_decimals: request.display_decimals,
        method: request.method.clone(),
        network: request.network.clone(),
        withdrawal_min: not_negative(request.withdrawal_min, request.decimals, "withdrawal_min")?,
        withdrawal_fee: not_negative(request.withdrawal_fee, request.decimals, "withdrawal_fee")?,
        deposit_min: not_negative(request.deposit_min, request.decimals, "deposit_min")?,
    };
    t.emit(Event::AssetAdded(asset.clone()));
    Ok(Reply::Asset(Box::new(asset)))
}

/// `add_market`.
pub fn add_market(t: &mut Transition<'_>, request: &NewMarket) -> Result<Reply, Reject> {
    let market = checked_market(t, request)?;
    t.emit(Event::MarketAdded(market.clone()));
    Ok(Reply::Market(Box::new(market)))
}

fn checked_market(t: &Transition<'_>, request: &NewMarket) -> Result<Market, Reject> {
    let reference = &t.state().reference;
    if reference.markets().len() >= MARKETS_MAX {
        return Err(Reject::advised(Code::LimitReached, format!("at most {MARKETS_MAX} markets")));
    }
    if reference.find_market(&request.symbol).is_ok() {
        return Err(Reject::field(Code::Exists, "symbol", "choose another pair"));
    }
    let (base, quote) = parts(&request.symbol).ok_or_else(|| Reject::invalid("symbol", "give BASE/QUOTE"))?;
    let (base, quote) = (reference.find_asset(&base)?, reference.find_asset(&quote)?);
    if base.id == quote.id {
        return Err(Reject::invalid("symbol", "give two different assets"));
    }
    if request.qty_decimals > base.decimals {
        return Err(Reject::invalid("qty_decimals", "give no more than the base asset has"));
    }
    if request.price_decimals > PRICE_DECIMALS_MAX {
        return Err(Reject::invalid("price_decimals", "give at most 12"));
    }
    for (ppm, field) in [(request.maker_ppm, "maker_ppm"), (request.taker_ppm, "taker_ppm")] {
        if ppm > 1_000_000 {
            return Err(Reject::invalid(field, "give at most 1000000"));
        }
    }
    Ok(Market {
        id: MarketId::at(reference.markets().len()),
        symbol: request.symbol,
        base: base.id,
        quote: quote.id,
        base_decimals: base.decimals,
        quote_decimals: quote.decimals,
        price_decimals: request.price_decimals,
        qty_decimals: request.qty_decimals,
        price_increment: Price(positive(request.price_increment, request.price_decimals, "price_increment")?),
        qty_increment: Quantity(1),
        qty_min: Quantity(positive(request.qty_min, request.qty_decimals, "qty_min")?),
        cost_min: not_negative(request.cost_min, quote.decimals, "cost_min")?,
        maker_ppm: request.maker_ppm,
        taker_ppm: request.taker_ppm,
    })
}

/// `set_market_status`.
pub fn set_market_status(t: &mut Transition<'_>, symbol: &Symbol, status: MarketStatus) -> Result<Reply, Reject> {
    let reference = &t.state().reference;
    let market = reference.find_market(symbol)?.id;
    if reference.status(market) != status {
        t.emit(Event::MarketStatusSet { market, status });
    }
    Ok(Reply::Done)
}

fn parts(symbol: &Symbol) -> Option<(AssetCode, AssetCode)> {
    let (base, quote) = symbol.split_once('/')?;
    Some((AssetCode::from(base).ok()?, AssetCode::from(quote).ok()?))
}

/// `add_earn_strategy`.
pub fn add_strategy(t: &mut Transition<'_>, request: &NewStrategy) -> Result<Reply, Reject> {
    let strategy = checked_strategy(t, request)?;
    t.emit(Event::StrategyAdded(strategy.clone()));
    Ok(Reply::Strategy(Box::new(strategy)))
}

fn checked_strategy(t: &Transition<'_>, request: &NewStrategy) -> Result<Strategy, Reject> {
    let state = t.state();
    if state.earn.strategies().len() >= EARN_STRATEGIES_MAX {
        return Err(Reject::advised(Code::LimitReached, format!("at most {EARN_STRATEGIES_MAX} strategies")));
    }
    let asset = state.reference.find_asset(&request.asset)?;
    let periods = match request.lock {
        LockType::Flex => Periods::default(),
        LockType::Bonded(periods) => periods,
    };
    let all =
        [Some(periods.bonding_s), Some(periods.exit_queue_s), Some(periods.unbonding_s), request.payout_frequency_s];
    if all.into_iter().flatten().any(|seconds| seconds > EARN_PERIOD_MAX_S) {
        return Err(Reject::invalid("lock_type", "give at most ten years"));
    }
    let amount = |number, field| positive(number, asset.decimals, field).map(Amount);
    let min = amount(request.min, "user_min_allocation")?;
    let cap = |cap: Option<Decimal>, field| match cap.map(|cap| amount(cap, field)).transpose()? {
        Some(cap) if cap < min => Err(Reject::invalid(field, "give no less than the minimum")),
        cap => Ok(cap),
    };
    let (low, high) = (per_cent(request.apr.0)?, per_cent(request.apr.1)?);
    if low > high {
        return Err(Reject::invalid("apr_estimate", "give a low estimate no higher than the high one"));
    }
    if request.organizations.as_ref().is_some_and(|named| named.len() > EARN_ORGANIZATIONS_MAX) {
        return Err(Reject::field(Code::LimitReached, "organizations", "name at most 255, or leave it open to all"));
    }
    let named = request.organizations.iter().flatten();
    if let Some(unknown) = named.clone().find(|id| !state.members.has(**id)) {
        return Err(Reject::field(Code::UnknownSubject, "organizations", format!("there is no {unknown}")));
    }
    Ok(Strategy {
        user_cap: cap(request.user_cap, "user_cap")?,
        total_cap: cap(request.total_cap, "total_cap")?,
        apr_ppm: (low, high),
        auto_compound: request.auto_compound,
        yield_source: request.yield_source,
        payout_frequency_s: request.payout_frequency_s.filter(|seconds| *seconds > 0),
        organizations: request.organizations.as_ref().map(|_| named.copied().collect()),
        added_at: t.now(),
        ..Strategy::of(state.earn.next_id(), asset.id, request.lock, min)
    })
}

/// A percentage in parts per million.
fn per_cent(number: Decimal) -> Result<u32, Reject> {
    let advice = "give per cent, at most 1000 and with at most 4 decimals";
    let ppm = number.units(4).ok().and_then(|ppm| u32::try_from(ppm).ok()).filter(|ppm| *ppm <= 10_000_000);
    ppm.ok_or_else(|| Reject::invalid("apr_estimate", advice))
}

/// `add_deposit_addresses`.
pub fn add_deposit_addresses(
    t: &mut Transition<'_>,
    asset: &AssetCode,
    addresses: &[DepositAddress],
) -> Result<Reply, Reject> {
    let asset = t.state().reference.find_asset(asset)?.id;
    if !(1..=DEPOSIT_ADDRESSES_MAX).contains(&addresses.len()) {
        return Err(Reject::invalid("addresses", "give 1 to 1000"));
    }
    let mut given = BTreeSet::new();
    for new in addresses {
        check_address("addresses", &new.address, new.tag.as_deref())?;
        if !given.insert(new) || t.state().deposits.knows(asset, new) {
            return Err(Reject::field(Code::Exists, "addresses", "give each address once"));
        }
    }
    t.emit(Event::DepositAddressesAdded { asset, addresses: addresses.to_vec() });
    Ok(Reply::Done)
}
