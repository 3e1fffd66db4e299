//! Earn: the strategies, and what each account has in them. Allocating and deallocating are in `allocations.rs`,
//! rewards in `rewards.rs` (rule 33).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::event::Event;
use super::ledger::Wallet;
use super::reject::{Code, Reject};
use crate::domain::ids::{AccountId, AssetId, EarnOperationId, OrganizationId, ServiceUserId, StrategyId};
use crate::domain::money::Amount;
use crate::domain::named::named;
use crate::domain::text::ClientId;
use crate::domain::time::Moment;

const SECOND_US: u64 = 1_000_000;

/// How allocated funds are bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LockType {
    /// Earning at once, back in spot at once.
    Flex,
    /// Bound for as long as these times say.
    Bonded(Periods),
}

/// How long funds take to enter and to leave a bonded strategy, in seconds; zero is at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Periods {
    /// On the way in, before they earn.
    pub bonding_s: u64,
    /// On the way out, first: waiting for the turn to unbond.
    pub exit_queue_s: u64,
    /// On the way out, then: unbonding.
    pub unbonding_s: u64,
}

/// Whether rewards are added to the allocation, or paid to spot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AutoCompound {
    /// Always added.
    Enabled,
    /// Always paid to spot.
    Disabled,
    /// As the account chooses with an allocation.
    Optional {
        /// What applies until it has chosen.
        default: bool,
    },
}

named! {
    /// Where rewards come from.
    pub enum YieldSource {
        /// Staking on the asset's own network.
        Staking = "staking",
        /// Anything else.
        OffChain = "off_chain",
    }
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
    /// Most that one account may have earning and bonding in it; rewards may exceed it.
    pub user_cap: Option<Amount>,
    /// Most that all accounts together may.
    pub total_cap: Option<Amount>,
    /// Estimated yearly rate in parts per million, low and high; for information only.
    pub apr_ppm: (u32, u32),
    /// What happens to rewards.
    pub auto_compound: AutoCompound,
    /// Where rewards come from.
    pub yield_source: YieldSource,
    /// How long a payout period is, in seconds; the first begins when the strategy is added.
    pub payout_frequency_s: Option<u64>,
    /// The Organizations that it is open to; all when `None`.
    pub organizations: Option<BTreeSet<OrganizationId>>,
    /// When it was added.
    pub added_at: Moment,
}

/// The step that an Earn operation is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EarnStep {
    /// Taken from spot, earning from the moment named.
    Bonding(Moment),
    /// Earning.
    Allocated,
    /// On its way back, waiting for its turn until the moment named.
    ExitQueue(Moment),
    /// On its way back until the moment named.
    Unbonding(Moment),
    /// Back in spot.
    Deallocated,
    /// A reward was paid.
    Rewarded {
        /// Added to the allocation, or paid to spot.
        compounded: bool,
        /// Where it comes from.
        source: YieldSource,
    },
}

/// An Earn operation, or a reward.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarnOperation {
    /// Its id, which it keeps through all its steps.
    pub id: EarnOperationId,
    /// The Organization.
    pub organization: OrganizationId,
    /// Of which account.
    pub account: AccountId,
    /// The Service User that asked; nobody asks for a reward.
    pub service_user: Option<ServiceUserId>,
    /// In which strategy.
    pub strategy: StrategyId,
    /// Its asset.
    pub asset: AssetId,
    /// The amount.
    pub amount: Amount,
    /// The step it is at.
    pub step: EarnStep,
    /// The choice that came with it, where the strategy leaves one.
    pub auto_compound: Option<bool>,
    /// The asker's own id, or the payout's; kept for ever.
    pub client_id: Option<ClientId>,
    /// When it got to this step.
    pub at: Moment,
}

/// A reward of a strategy, paid to all who had funds earning in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarnPayout {
    /// Its id.
    pub id: EarnOperationId,
    /// Of which strategy.
    pub strategy: StrategyId,
    /// Its asset.
    pub asset: AssetId,
    /// What was split.
    pub amount: Amount,
    /// How many accounts got a part.
    pub accounts: u64,
    /// The venue operator's own id, kept for ever.
    pub client_id: ClientId,
    /// When.
    pub at: Moment,
}

/// What an account has in a strategy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// What earns.
    pub allocated: Amount,
    /// Operations on their way in or out.
    pub stages: BTreeMap<EarnOperationId, EarnOperation>,
    /// The account's choice, where the strategy leaves one.
    pub auto_compound: Option<bool>,
    /// All rewards so far.
    pub rewarded: Amount,
    /// The start of the payout period of the last reward, and the sum of the rewards in it.
    pub paid: (Moment, Amount),
}

/// Every account's position in each strategy, and what all have earning and bonding in one, so that no allocation adds
/// up all positions. Stored without these sums.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<(StrategyId, AccountId), Position>")]
struct Positions {
    all: BTreeMap<(StrategyId, AccountId), Position>,
    #[serde(skip_serializing)]
    committed: BTreeMap<StrategyId, i128>,
}

impl From<BTreeMap<(StrategyId, AccountId), Position>> for Positions {
    fn from(all: BTreeMap<(StrategyId, AccountId), Position>) -> Positions {
        let mut committed = BTreeMap::new();
        for ((strategy, _), position) in &all {
            *committed.entry(*strategy).or_default() += i128::from(position.committed().0);
        }
        Positions { all, committed }
    }
}

/// All strategies and positions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Earn {
    strategies: Vec<Strategy>,
    positions: Positions,
    /// Stages by the moment at which they end.
    due: BTreeSet<(Moment, StrategyId, AccountId, EarnOperationId)>,
    by_client_id: BTreeMap<(ServiceUserId, ClientId), EarnOperation>,
    payouts: BTreeMap<ClientId, EarnPayout>,
}

impl EarnStep {
    /// When this step ends by itself.
    pub fn until(self) -> Option<Moment> {
        match self {
            EarnStep::Bonding(until) | EarnStep::ExitQueue(until) | EarnStep::Unbonding(until) => Some(until),
            EarnStep::Allocated | EarnStep::Deallocated | EarnStep::Rewarded { .. } => None,
        }
    }
}

impl LockType {
    /// The wallet of what is allocated, bonding and unbonding included.
    pub fn wallet(self) -> Wallet {
        match self {
            LockType::Flex => Wallet::Flex,
            LockType::Bonded(_) => Wallet::Bonded,
        }
    }

    fn periods(self) -> Periods {
        match self {
            LockType::Flex => Periods::default(),
            LockType::Bonded(periods) => periods,
        }
    }

    /// The first step of an allocation.
    pub fn first_allocation_step(self, at: Moment) -> EarnStep {
        match self.periods().bonding_s {
            0 => EarnStep::Allocated,
            bonding_s => EarnStep::Bonding(after(at, bonding_s)),
        }
    }

    /// The first step of a deallocation.
    pub fn first_deallocation_step(self, at: Moment) -> EarnStep {
        match self.periods().exit_queue_s {
            0 => self.unbonding(at),
            exit_queue_s => EarnStep::ExitQueue(after(at, exit_queue_s)),
        }
    }

    fn unbonding(self, at: Moment) -> EarnStep {
        match self.periods().unbonding_s {
            0 => EarnStep::Deallocated,
            unbonding_s => EarnStep::Unbonding(after(at, unbonding_s)),
        }
    }

    /// The step after `step`, which has ended. Its time is counted from that end, whenever that is noticed.
    pub fn next(self, step: EarnStep) -> EarnStep {
        match step {
            EarnStep::Bonding(_) => EarnStep::Allocated,
            EarnStep::ExitQueue(until) => self.unbonding(until),
            EarnStep::Unbonding(_) => EarnStep::Deallocated,
            EarnStep::Allocated | EarnStep::Deallocated | EarnStep::Rewarded { .. } => step,
        }
    }

    /// The step reached by `now`, even if Tick has not run yet (rule 39).
    pub fn by(self, step: EarnStep, now: Moment) -> EarnStep {
        let mut step = step;
        while step.until().is_some_and(|until| until <= now) {
            step = self.next(step);
        }
        step
    }
}

fn after(at: Moment, seconds: u64) -> Moment {
    at.plus_us(seconds.saturating_mul(SECOND_US))
}

impl Strategy {
    /// A staking strategy without caps or rate estimates that is open to all and pays rewards to spot.
    pub fn of(id: StrategyId, asset: AssetId, lock: LockType, min: Amount) -> Strategy {
        Strategy {
            id,
            asset,
            lock,
            min,
            user_cap: None,
            total_cap: None,
            apr_ppm: (0, 0),
            auto_compound: AutoCompound::Disabled,
            yield_source: YieldSource::Staking,
            payout_frequency_s: None,
            organizations: None,
            added_at: Moment::default(),
        }
    }

    /// Whether a position's rewards are added to it.
    pub fn compounds(&self, position: &Position) -> bool {
        match self.auto_compound {
            AutoCompound::Enabled => true,
            AutoCompound::Disabled => false,
            AutoCompound::Optional { default } => position.auto_compound.unwrap_or(default),
        }
    }

    /// Whether an account may choose what becomes of its rewards.
    pub fn leaves_a_choice(&self) -> bool {
        matches!(self.auto_compound, AutoCompound::Optional { .. })
    }

    /// The payout period that `at` lies in: its beginning and its end.
    pub fn payout_period(&self, at: Moment) -> Option<(Moment, Moment)> {
        let length_us = self.payout_frequency_s.filter(|seconds| *seconds > 0)?.saturating_mul(SECOND_US);
        let since_us = at.0.saturating_sub(self.added_at.0);
        let begin = self.added_at.plus_us(since_us - since_us % length_us);
        Some((begin, begin.plus_us(length_us)))
    }

    /// Whether an Organization may use it.
    pub fn admits(&self, organization: OrganizationId) -> bool {
        self.organizations.as_ref().is_none_or(|named| named.contains(&organization))
    }
}

impl Position {
    /// The sum of the stages that are `wanted`.
    pub fn staged(&self, wanted: impl Fn(EarnStep) -> bool) -> Amount {
        let all = self.stages.values().filter(|operation| wanted(operation.step));
        all.fold(Amount::ZERO, |sum, operation| sum.saturating_add(operation.amount))
    }

    /// What earns at `now`: bonding that has ended by then counts as done (rule 39).
    pub fn earning(&self, strategy: &Strategy, now: Moment) -> Amount {
        let bonded = self.staged(|step| strategy.lock.by(step, now) == EarnStep::Allocated);
        self.allocated.saturating_add(bonded)
    }

    /// What earns and what is bonding: the amount that the caps limit.
    pub fn committed(&self) -> Amount {
        let bonding = self.staged(|step| matches!(step, EarnStep::Bonding(_)));
        self.allocated.saturating_add(bonding)
    }

    /// Everything: the amount that its wallet holds for this strategy.
    pub fn total(&self) -> Amount {
        self.allocated.saturating_add(self.staged(|_| true))
    }
}

impl Earn {
    /// Applies an event.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::StrategyAdded(strategy) => self.strategies.push(strategy.clone()),
            Event::Earned { operation, .. } => self.earned(operation),
            Event::EarnPaid { payout, .. } => drop(self.payouts.insert(payout.client_id, (**payout).clone())),
            _ => {}
        }
    }

    fn earned(&mut self, operation: &EarnOperation) {
        let EarnOperation { id, strategy, account, amount, step, .. } = *operation;
        let period = self.strategies[strategy.index()].payout_period(operation.at);
        let position = self.positions.all.entry((strategy, account)).or_default();
        let committed = position.committed();
        let before = position.stages.remove(&id);
        if let Some(until) = before.as_ref().and_then(|before| before.step.until()) {
            self.due.remove(&(until, strategy, account, id));
        }
        let first = before.is_none();
        let allocated = &mut position.allocated;
        match step {
            EarnStep::Allocated | EarnStep::Rewarded { compounded: true, .. } => {
                *allocated = allocated.saturating_add(amount);
            }
            EarnStep::ExitQueue(_) | EarnStep::Unbonding(_) | EarnStep::Deallocated if first => {
                *allocated = allocated.saturating_sub(amount);
            }
            _ => {}
        }
        if let EarnStep::Rewarded { .. } = step {
            position.rewarded = position.rewarded.saturating_add(amount);
            let begin = period.map_or(operation.at, |(begin, _)| begin);
            let earlier = if position.paid.0 == begin { position.paid.1 } else { Amount::ZERO };
            position.paid = (begin, earlier.saturating_add(amount));
        }
        if first {
            position.auto_compound = operation.auto_compound.or(position.auto_compound);
        }
        if let Some(until) = step.until() {
            self.due.insert((until, strategy, account, id));
            position.stages.insert(id, operation.clone());
        }
        let more = i128::from(position.committed().0) - i128::from(committed.0);
        *self.positions.committed.entry(strategy).or_default() += more;
        if let (Some(asker), Some(client_id), true) = (operation.service_user, operation.client_id, first) {
            self.by_client_id.insert((asker, client_id), operation.clone());
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

    /// The strategy of a number that appears in a record.
    pub fn strategy(&self, id: StrategyId) -> &Strategy {
        &self.strategies[id.index()]
    }

    /// All strategies, by number.
    pub fn strategies(&self) -> &[Strategy] {
        &self.strategies
    }

    /// What an account has in a strategy, if it ever used it.
    pub fn position(&self, strategy: StrategyId, account: AccountId) -> Option<&Position> {
        self.positions.all.get(&(strategy, account))
    }

    /// What an account has in each strategy that it ever used.
    pub fn positions(&self, account: AccountId) -> impl DoubleEndedIterator<Item = (&Strategy, &Position)> {
        self.strategies.iter().filter_map(move |of| Some((of, self.position(of.id, account)?)))
    }

    /// Every account's position in a strategy.
    pub fn holders(&self, strategy: StrategyId) -> impl Iterator<Item = (AccountId, &Position)> {
        let all = self.positions.all.range((strategy, AccountId(0))..=(strategy, AccountId(u32::MAX)));
        all.map(|((_, account), position)| (*account, position))
    }

    /// What all accounts have earning and bonding in a strategy: the amount that its total cap limits.
    pub fn committed(&self, strategy: StrategyId) -> Amount {
        let sum = self.positions.committed.get(&strategy).copied().unwrap_or_default();
        Amount(i64::try_from(sum).unwrap_or(i64::MAX))
    }

    /// The operation that a Service User gave this id to, as it was answered.
    pub fn find_by_client_id(&self, asker: ServiceUserId, client_id: ClientId) -> Option<&EarnOperation> {
        self.by_client_id.get(&(asker, client_id))
    }

    /// The payout that the venue operator gave this id to.
    pub fn payout(&self, client_id: ClientId) -> Option<&EarnPayout> {
        self.payouts.get(&client_id)
    }

    /// The stage that ended first, if any has by `now`.
    pub fn due(&self, now: Moment) -> Option<&EarnOperation> {
        let (_, strategy, account, id) = self.due.first().filter(|(until, ..)| *until <= now)?;
        self.position(*strategy, *account)?.stages.get(id)
    }
}
