//! What an account is shown of Earn: the strategies open to it, and its allocations with their value.

use super::caller::ServiceCaller;
use super::earn::{Position, Strategy};
use super::ledger::Wallet;
use super::reference::Reference;
use super::reject::Reject;
use super::state::State;
use crate::domain::ids::{AccountId, AssetId, MarketId, StrategyId};
use crate::domain::money::{Amount, Price};
use crate::domain::text::AssetCode;
use crate::domain::time::Moment;

/// The asset that amounts are converted to by default, as in v2.
const CONVERTED: &str = "USD";
const YEAR_S: i128 = 365 * 86_400;

/// Which strategies or allocations; by strategy, the newest first unless `ascending`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EarnFilter {
    /// Only this asset.
    pub asset: Option<AssetCode>,
    /// Only lock types with one of these wallets.
    pub wallets: Option<Vec<Wallet>>,
    /// What amounts are converted to; allocations only.
    pub converted: Option<AssetCode>,
    /// Leave out strategies in which the account has nothing; allocations only.
    pub hide_zero: bool,
    /// The oldest first.
    pub ascending: bool,
    /// Where the page before ended.
    pub after: Option<StrategyId>,
    /// At most this many.
    pub limit: usize,
}

impl EarnFilter {
    /// Whether it admits a strategy; `asset` is the one that it names.
    fn admits(&self, asset: Option<AssetId>, strategy: &Strategy) -> bool {
        let wallet = strategy.lock.wallet();
        asset.is_none_or(|asset| asset == strategy.asset)
            && self.wallets.as_ref().is_none_or(|wallets| wallets.contains(&wallet))
    }
}

/// A strategy as an account may use it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The strategy.
    pub strategy: Strategy,
    /// What keeps the account from allocating: `tier`, `user_cap`, `total_cap` or `halted`.
    pub restrictions: Vec<&'static str>,
    /// Whether it may deallocate.
    pub can_deallocate: bool,
}

/// How amounts of one asset are valued in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Valuation {
    /// There is no market for it, or nothing was traded there yet.
    Unknown,
    /// It is the same asset.
    Same,
    /// By the last trade, rounded down.
    LastTrade(MarketId, Price),
}

/// The current payout period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayoutPeriod {
    /// Its beginning.
    pub start: Moment,
    /// Its end.
    pub end: Moment,
    /// Rewards paid in it so far.
    pub accumulated: Amount,
    /// What the lower rate estimate would pay over the whole period on what earns now.
    pub estimated: Amount,
}

/// What an account has in a strategy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// The strategy.
    pub strategy: Strategy,
    /// What is in it.
    pub position: Position,
    /// How it is valued.
    pub valuation: Valuation,
    /// The payout period, if the strategy has any.
    pub payout: Option<PayoutPeriod>,
}

/// `earn_allocations`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocations {
    /// What amounts are converted to; `None` if there is no such asset here.
    pub converted: Option<AssetId>,
    /// One page.
    pub holdings: Vec<Holding>,
    /// The value of all that the filter admits, on any page, as far as it can be valued.
    pub total_allocated: Amount,
    /// The value of all its rewards, likewise.
    pub total_rewarded: Amount,
    /// Where the next page begins.
    pub next: Option<StrategyId>,
}

impl Valuation {
    fn of(state: &State, asset: AssetId, converted: Option<AssetId>) -> Valuation {
        let Some(converted) = converted else { return Valuation::Unknown };
        if asset == converted {
            return Valuation::Same;
        }
        let market = state.reference.find_pair(asset, converted);
        let last = market.and_then(|market| Some((market.id, state.orders.last_price(market.id)?)));
        last.map_or(Valuation::Unknown, |(market, price)| Valuation::LastTrade(market, price))
    }

    /// The value of an amount.
    pub fn value(self, reference: &Reference, amount: Amount) -> Option<Amount> {
        match self {
            Valuation::Unknown => None,
            Valuation::Same => Some(amount),
            Valuation::LastTrade(market, price) => reference.market(market).value(price, amount),
        }
    }
}

impl PayoutPeriod {
    fn at(now: Moment, strategy: &Strategy, position: &Position) -> Option<PayoutPeriod> {
        let (start, end) = strategy.payout_period(now)?;
        let accumulated = if position.paid.0 == start { position.paid.1 } else { Amount::ZERO };
        let yearly = i128::from(position.allocated.0) * i128::from(strategy.apr_ppm.0) / 1_000_000;
        let seconds = i128::from((end.0 - start.0) / 1_000_000);
        let estimated = Amount(i64::try_from(yearly.saturating_mul(seconds) / YEAR_S).unwrap_or(i64::MAX));
        Some(PayoutPeriod { start, end, accumulated, estimated })
    }
}

/// `earn_strategies`: a page, and where the next one begins.
pub fn offers(
    state: &State,
    caller: ServiceCaller,
    filter: &EarnFilter,
) -> Result<(Vec<Offer>, Option<StrategyId>), Reject> {
    let asset = asset(state, filter.asset.as_ref())?;
    let wanted = state.earn.strategies().iter().filter(|of| filter.admits(asset, of)).collect();
    let (page, next) = page(wanted, filter, |of| of.id);
    Ok((page.into_iter().map(|strategy| offer(state, caller, strategy)).collect(), next))
}

fn offer(state: &State, caller: ServiceCaller, strategy: &Strategy) -> Offer {
    let halted = state.halted.is_some();
    let mine = state.earn.position(strategy.id, caller.account).map_or(Amount::ZERO, Position::committed);
    let full = |cap: Option<Amount>, committed: Amount| {
        cap.is_some_and(|cap| committed.checked_add(strategy.min).is_none_or(|least| least > cap))
    };
    let all = [
        ("tier", !strategy.admits(caller.organization)),
        ("user_cap", full(strategy.user_cap, mine)),
        ("total_cap", full(strategy.total_cap, state.earn.committed(strategy.id))),
        ("halted", halted),
    ];
    let restrictions = all.into_iter().filter(|(_, holds)| *holds).map(|(name, _)| name).collect();
    Offer { strategy: strategy.clone(), restrictions, can_deallocate: !halted }
}

/// `earn_allocations`.
pub fn allocations(state: &State, account: AccountId, filter: &EarnFilter, now: Moment) -> Result<Allocations, Reject> {
    let only = asset(state, filter.asset.as_ref())?;
    let usual = || state.reference.find_asset(CONVERTED).ok();
    let converted = match &filter.converted {
        Some(code) => asset(state, Some(code))?,
        None => usual().map(|asset| asset.id),
    };
    let shown = |(strategy, position): &(&Strategy, &Position)| {
        filter.admits(only, strategy) && !(filter.hide_zero && position.total() == Amount::ZERO)
    };
    let wanted: Vec<(&Strategy, &Position)> = state.earn.positions(account).filter(shown).collect();
    let value = |amount: fn(&Position) -> Amount| {
        let valued = wanted.iter().filter_map(|(strategy, position)| {
            Valuation::of(state, strategy.asset, converted).value(&state.reference, amount(position))
        });
        valued.fold(Amount::ZERO, Amount::saturating_add)
    };
    let (total_allocated, total_rewarded) = (value(Position::total), value(|position| position.rewarded));
    let (page, next) = page(wanted, filter, |(strategy, _)| strategy.id);
    let holding = |(strategy, position)| holding(state, strategy, position, converted, now);
    let holdings = page.into_iter().map(holding).collect();
    Ok(Allocations { converted, holdings, total_allocated, total_rewarded, next })
}

/// What an account has in each strategy that it ever used; not valued.
pub fn holdings(state: &State, account: AccountId, now: Moment) -> Vec<Holding> {
    let all = state.earn.positions(account);
    all.map(|(strategy, position)| holding(state, strategy, position, None, now)).collect()
}

/// `earn_status`: what an account has in one strategy; not valued.
pub fn status(state: &State, account: AccountId, strategy: StrategyId, now: Moment) -> Result<Holding, Reject> {
    let strategy = state.earn.find(strategy)?;
    let nothing = Position::default();
    let position = state.earn.position(strategy.id, account).unwrap_or(&nothing);
    Ok(holding(state, strategy, position, None, now))
}

fn holding(
    state: &State,
    strategy: &Strategy,
    position: &Position,
    converted: Option<AssetId>,
    now: Moment,
) -> Holding {
    Holding {
        strategy: strategy.clone(),
        position: position.clone(),
        valuation: Valuation::of(state, strategy.asset, converted),
        payout: PayoutPeriod::at(now, strategy, position),
    }
}

fn asset(state: &State, code: Option<&AssetCode>) -> Result<Option<AssetId>, Reject> {
    code.map(|code| state.reference.find_asset(code).map(|asset| asset.id)).transpose()
}

/// The requested page of `wanted`, and where the next one begins.
fn page<T>(wanted: Vec<T>, filter: &EarnFilter, id: impl Fn(&T) -> StrategyId) -> (Vec<T>, Option<StrategyId>) {
    let mut ordered = wanted;
    if !filter.ascending {
        ordered.reverse();
    }
    let beyond = |of: StrategyId, after| if filter.ascending { of > after } else { of < after };
    ordered.retain(|of| filter.after.is_none_or(|after| beyond(id(of), after)));
    let more = ordered.len() > filter.limit;
    ordered.truncate(filter.limit);
    let next = ordered.last().filter(|_| more).map(id);
    (ordered, next)
}
