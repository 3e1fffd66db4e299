//! Whether an event can follow in a state at all: what it refers to exists, and an order stays where it is. The
//! engine's own events always can, and [`apply`](State::apply) relies on it. Digests protect the rows of the journal
//! from damage, so this finds only rows with a correct digest that another build, or somebody, wrote.

use super::event::{Event, QueuePosition};
use super::ledger::Party;
use super::state::State;
use crate::domain::ids::{AccountId, AssetId, MarketId, StrategyId};
use crate::domain::money::Quantity;
use crate::domain::orders::Order;

/// Checks that `event` can follow in `state`.
///
/// # Errors
/// What is impossible about it.
pub fn check(state: &State, event: &Event) -> Result<(), &'static str> {
    for posting in event.postings() {
        asset(state, posting.asset)?;
        if let Party::Account(of, _) = posting.party {
            account(state, of)?;
        }
    }
    match event {
        Event::AssetAdded(asset) => ensure(asset.id.index() == state.reference.assets().len(), "an asset out of order"),
        Event::MarketAdded(market) => {
            asset(state, market.base)?;
            asset(state, market.quote)?;
            ensure(market.id.index() == state.reference.markets().len(), "a market out of order")
        }
        Event::MarketStatusSet { market: of, .. } => market(state, *of),
        Event::Earned { operation, .. } => strategy(state, operation.strategy),
        Event::WithdrawalChanged { withdrawal, .. } => {
            account(state, withdrawal.account)?;
            asset(state, withdrawal.asset)
        }
        Event::OrderPlaced { order, .. } => {
            ensure(state.orders.get(order.id).is_none(), "two orders of one id")?;
            possible(state, order)
        }
        Event::Traded(trade) => {
            market(state, trade.market)?;
            stays(state, &trade.maker.order)?;
            stays(state, &trade.taker.order)
        }
        Event::OrderRested(id) => ensure(!state.orders.rests(*id), "an order that rests already"),
        Event::OrderAmended { order, place: QueuePosition::Kept }
        | Event::OrderCanceled { order, .. }
        | Event::TriggerMoved(order) => stays(state, order),
        Event::OrderAmended { order, .. } | Event::OrderActivated { order, .. } | Event::OrderRefilled(order) => {
            same(state, order)
        }
        _ => Ok(()),
    }
}

fn ensure(holds: bool, otherwise: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(otherwise) }
}

fn asset(state: &State, id: AssetId) -> Result<(), &'static str> {
    ensure(id.index() < state.reference.assets().len(), "no such asset")
}

fn market(state: &State, id: MarketId) -> Result<(), &'static str> {
    ensure(id.index() < state.reference.markets().len(), "no such market")
}

fn account(state: &State, id: AccountId) -> Result<(), &'static str> {
    ensure(state.members.has_account(id), "no such account")
}

fn strategy(state: &State, id: StrategyId) -> Result<(), &'static str> {
    ensure(id.index() < state.earn.strategies().len(), "no such strategy")
}

/// Checks that its market and account exist, and that it is filled within its quantity.
fn possible(state: &State, order: &Order) -> Result<(), &'static str> {
    market(state, order.market)?;
    account(state, order.account)?;
    ensure((Quantity::ZERO..=order.qty).contains(&order.filled), "an order filled beyond its quantity")
}

/// Checks that an open order keeps its market and account.
fn same(state: &State, order: &Order) -> Result<(), &'static str> {
    possible(state, order)?;
    let kept = |before: &Order| (before.market, before.account) == (order.market, order.account);
    ensure(state.orders.get(order.id).is_none_or(kept), "an order that moves to another market or account")
}

/// Checks that a resting order keeps its level, too.
fn stays(state: &State, order: &Order) -> Result<(), &'static str> {
    same(state, order)?;
    let kept = |before: &Order| (before.side, before.limit) == (order.side, order.limit);
    let moves = state.orders.rests(order.id) && !state.orders.get(order.id).is_none_or(kept);
    ensure(!moves, "an order that leaves its level in place")
}
