//! Earn: flexible and bonded strategies, allocations and unbonding (rule 33).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::admission::units;
use super::caller::ServiceCaller;
use super::event::Event;
use super::ledger::{Movement, Party, Posting, Wallet};
use super::query::Reply;
use super::reject::{Code, Reject};
use super::state::State;
use super::transition::Transition;
use crate::domain::decimal::Decimal;
use crate::domain::ids::{AccountId, AssetId, EarnOperationId, OrganizationId, ServiceUserId, StrategyId};
use crate::domain::money::Amount;
use crate::domain::text::ClientId;
use crate::domain::time::Moment;

/// How allocated funds are bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LockType {
    /// Back in spot at once.
    Flex,
    /// Back in spot after the unbonding time.
    Bonded {
        /// Unbonding time, in seconds.
        unbonding_s: u64,
    },
}

/// An Earn strategy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strategy {
    /// Its number.
    pub id: StrategyId,
    /// Its asset.
    pub asset: AssetId,
    /// How funds are bound.
    pub lock: LockType,
    /// Least amount of one operation.
    pub min: Amount,
    /// Most that one account may hold in it.
    pub cap: Option<Amount>,
    /// Estimated yearly rate in parts per million; told, not promised.
    pub apr_ppm: u32,
}

/// What an Earn operation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EarnStep {
    /// Spot to Earn.
    Allocated,
    /// Earn to spot, at once.
    Deallocated,
    /// Bonded, on its way back until the moment named.
    Unbonding(Moment),
    /// Unbonding done, back in spot.
    Unbonded,
}

/// An Earn operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarnOperation {
    /// Its id; an unbonding keeps the id of the deallocation that began it.
    pub id: EarnOperationId,
    /// Whose.
    pub organization: OrganizationId,
    /// Of which account.
    pub account: AccountId,
    /// The Service User that asked.
    pub service_user: ServiceUserId,
    /// In which strategy.
    pub strategy: StrategyId,
    /// Its asset.
    pub asset: AssetId,
    /// How much.
    pub amount: Amount,
    /// What it did.
    pub step: EarnStep,
    /// The asker's own id, kept for ever.
    pub client_id: Option<ClientId>,
    /// When.
    pub at: Moment,
}

/// All strategies and allocations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Earn {
    strategies: Vec<Strategy>,
    allocated: BTreeMap<(AccountId, StrategyId), Amount>,
    /// Deallocations on their way back, by the moment they arrive.
    unbonding: BTreeMap<(Moment, EarnOperationId), EarnOperation>,
    by_client_id: BTreeMap<(ServiceUserId, ClientId), EarnOperation>,
}

impl Earn {
    /// Folds an event in.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::StrategyAdded(strategy) => self.strategies.push(strategy.clone()),
            Event::Earned { operation, .. } => self.earned(operation),
            _ => {}
        }
    }

    fn earned(&mut self, operation: &EarnOperation) {
        let allocated = self.allocated.entry((operation.account, operation.strategy)).or_default();
        match operation.step {
            EarnStep::Allocated => allocated.0 = allocated.0.saturating_add(operation.amount.0),
            EarnStep::Deallocated => allocated.0 = allocated.0.saturating_sub(operation.amount.0),
            EarnStep::Unbonding(due) => {
                allocated.0 = allocated.0.saturating_sub(operation.amount.0);
                self.unbonding.insert((due, operation.id), operation.clone());
            }
            EarnStep::Unbonded => self.unbonding.retain(|(_, id), _| *id != operation.id),
        }
        if let (Some(id), false) = (operation.client_id, operation.step == EarnStep::Unbonded) {
            self.by_client_id.insert((operation.service_user, id), operation.clone());
        }
    }

    /// The number of the strategy that is added next.
    pub fn next_id(&self) -> StrategyId {
        StrategyId::at(self.strategies.len())
    }

    /// The strategy that a client names.
    pub fn find(&self, id: StrategyId) -> Result<&Strategy, Reject> {
        self.strategies.get(id.index()).ok_or_else(|| Reject::of(Code::UnknownStrategy))
    }

    /// Strategies, of one asset or all.
    pub fn strategies(&self, asset: Option<AssetId>) -> Vec<Strategy> {
        let all = self.strategies.iter();
        all.filter(|strategy| asset.is_none_or(|asset| asset == strategy.asset)).cloned().collect()
    }

    /// What an account has in each strategy that it uses, and what is unbonding.
    pub fn allocations(&self, account: AccountId) -> Vec<(Strategy, Amount, Vec<EarnOperation>)> {
        let of = |strategy: &Strategy| {
            let allocated = self.allocated.get(&(account, strategy.id)).copied()?;
            let mine = |operation: &&EarnOperation| operation.account == account && operation.strategy == strategy.id;
            Some((strategy.clone(), allocated, self.unbonding.values().filter(mine).cloned().collect()))
        };
        self.strategies.iter().filter_map(of).collect()
    }

    fn allocated(&self, account: AccountId, strategy: StrategyId) -> Amount {
        self.allocated.get(&(account, strategy)).copied().unwrap_or_default()
    }
}

fn wallet(lock: LockType) -> Wallet {
    match lock {
        LockType::Flex => Wallet::Flex,
        LockType::Bonded { .. } => Wallet::Bonded,
    }
}

/// `earn_allocate` and `earn_deallocate`: at once and journalled before the reply (rule 33).
pub fn operate(
    t: &mut Transition<'_>,
    caller: ServiceCaller,
    strategy: StrategyId,
    amount: Decimal,
    allocate: bool,
    client_id: Option<ClientId>,
) -> Result<Reply, Reject> {
    let strategy = t.state().earn.find(strategy)?.clone();
    let decimals = t.state().reference.asset(strategy.asset).decimals;
    let amount = Amount(units(amount, decimals, "amount")?);
    if let Some(first) = client_id.and_then(|id| t.state().earn.by_client_id.get(&(caller.id, id))) {
        let same =
            first.strategy == strategy.id && first.amount == amount && (first.step == EarnStep::Allocated) == allocate;
        return match same {
            true => Ok(Reply::Earned(Box::new(first.clone()))),
            false => Err(Reject::field(Code::ClientIdNotUnique, "client_id", "it names another operation")),
        };
    }
    check_room(t.state(), caller.account, &strategy, amount, allocate)?;
    let step = match (allocate, strategy.lock) {
        (true, _) => EarnStep::Allocated,
        (false, LockType::Flex) => EarnStep::Deallocated,
        (false, LockType::Bonded { unbonding_s }) => {
            EarnStep::Unbonding(t.now().plus_us(unbonding_s.saturating_mul(1_000_000)))
        }
    };
    let operation = EarnOperation {
        id: EarnOperationId(t.next_seq().0),
        organization: caller.organization,
        account: caller.account,
        service_user: caller.id,
        strategy: strategy.id,
        asset: strategy.asset,
        amount,
        step,
        client_id,
        at: t.now(),
    };
    let postings = match step {
        EarnStep::Allocated => moved(t.state(), &operation, &strategy, Wallet::Main, wallet(strategy.lock)),
        EarnStep::Deallocated => moved(t.state(), &operation, &strategy, wallet(strategy.lock), Wallet::Main),
        EarnStep::Unbonding(_) | EarnStep::Unbonded => Vec::new(),
    };
    t.emit(Event::Earned { operation: Box::new(operation.clone()), postings });
    Ok(Reply::Earned(Box::new(operation)))
}

/// Minimum, cap and funds. Taking everything out is never too little.
fn check_room(
    state: &State,
    account: AccountId,
    strategy: &Strategy,
    amount: Amount,
    allocate: bool,
) -> Result<(), Reject> {
    let allocated = state.earn.allocated(account, strategy.id);
    let available = if allocate { state.ledger.available(account, strategy.asset) } else { allocated };
    if amount < strategy.min && (allocate || amount != allocated) {
        return Err(Reject::of(Code::EarnBelowMinimum));
    }
    let above = |cap: Amount| allocated.checked_add(amount).is_none_or(|sum| sum > cap);
    if allocate && strategy.cap.is_some_and(above) {
        return Err(Reject::of(Code::EarnAboveCap));
    }
    if available < amount {
        return Err(Reject::of(Code::EarnInsufficientFunds));
    }
    Ok(())
}

fn moved(state: &State, operation: &EarnOperation, strategy: &Strategy, from: Wallet, to: Wallet) -> Vec<Posting> {
    let (account, amount) = (operation.account, operation.amount);
    Movement::new(&state.ledger)
        .post(Party::Account(account, from), strategy.asset, -amount, Amount::ZERO)
        .post(Party::Account(account, to), strategy.asset, amount, Amount::ZERO)
        .postings()
}

/// Brings back to spot what has finished unbonding.
pub fn tick(t: &mut Transition<'_>) {
    let now = t.now();
    let due =
        |((due, _), operation): (&(Moment, EarnOperationId), &EarnOperation)| (*due <= now).then(|| operation.clone());
    let ready: Vec<EarnOperation> = t.state().earn.unbonding.iter().map_while(due).collect();
    for operation in ready {
        let strategy = t.state().earn.strategies[operation.strategy.index()].clone();
        let postings = moved(t.state(), &operation, &strategy, wallet(strategy.lock), Wallet::Main);
        let operation = EarnOperation { step: EarnStep::Unbonded, at: now, ..operation };
        t.emit(Event::Earned { operation: Box::new(operation), postings });
    }
}
