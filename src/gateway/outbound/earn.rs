//! Converts Earn's records to wire types.

use super::records::{amount, code};
use crate::domain::ids::StrategyId;
use crate::domain::money::Amount;
use crate::engine::earn::{AutoCompound, EarnOperation, EarnPayout, EarnStep, LockType, Periods, Position, Strategy};
use crate::engine::holdings::{Allocations, Holding, Offer, PayoutPeriod};
use crate::engine::reference::Reference;
use crate::wire::earn as w;
use crate::wire::leaf::Exact;

/// The state of an Earn operation.
fn state(step: EarnStep) -> &'static str {
    match step {
        EarnStep::Bonding(_) => "bonding",
        EarnStep::Allocated => "allocated",
        EarnStep::ExitQueue(_) => "exit_queue",
        EarnStep::Unbonding(_) => "unbonding",
        EarnStep::Deallocated => "deallocated",
        EarnStep::Rewarded { .. } => "rewarded",
    }
}

/// An Earn operation, as it stands.
pub fn operation(reference: &Reference, of: &EarnOperation, offset: Option<u64>) -> w::EarnOperation {
    w::EarnOperation {
        operation_id: of.id.to_string(),
        strategy_id: of.strategy.to_string(),
        asset: code(reference, of.asset),
        amount: amount(reference, of.asset, of.amount),
        state: state(of.step),
        expires: of.step.until().map(|until| until.to_string()),
        auto_compounded: match of.step {
            EarnStep::Rewarded { compounded, .. } => Some(compounded),
            _ => None,
        },
        timestamp: of.at.to_string(),
        offset,
    }
}

/// The result of `earn_allocate` and `earn_deallocate`.
pub fn earned(reference: &Reference, of: &EarnOperation) -> w::Earned {
    w::Earned {
        operation_id: of.id.to_string(),
        strategy_id: of.strategy.to_string(),
        amount: amount(reference, of.asset, of.amount),
        state: state(of.step),
        expires: of.step.until().map(|until| until.to_string()),
    }
}

/// The result of `pay_earn_reward`.
pub fn paid(reference: &Reference, of: &EarnPayout) -> w::EarnPaid {
    w::EarnPaid {
        payout_id: of.id.to_string(),
        strategy_id: of.strategy.to_string(),
        amount: amount(reference, of.asset, of.amount),
        accounts: of.accounts,
    }
}

/// The result of `earn_strategies`.
pub fn strategies(reference: &Reference, all: &[Offer], next: Option<StrategyId>) -> w::Strategies {
    let strategies = all.iter().map(|of| strategy(reference, of)).collect();
    w::Strategies { strategies, cursor: next.map(|id| id.to_string()) }
}

fn strategy(reference: &Reference, offer: &Offer) -> w::Strategy {
    let of = &offer.strategy;
    let cap = |cap: Option<Amount>| cap.map(|cap| amount(reference, of.asset, cap));
    let per_cent = |ppm: u32| Exact::new(ppm.into(), 4);
    w::Strategy {
        id: of.id.to_string(),
        asset: code(reference, of.asset),
        lock_type: lock_type(of),
        apr_estimate: w::Estimate { low: per_cent(of.apr_ppm.0), high: per_cent(of.apr_ppm.1) },
        user_min_allocation: amount(reference, of.asset, of.min),
        user_cap: cap(of.user_cap),
        total_cap: cap(of.total_cap),
        allocation_fee: 0,
        deallocation_fee: 0,
        auto_compound: match of.auto_compound {
            AutoCompound::Enabled => w::AutoCompound { r#type: "enabled", default: None },
            AutoCompound::Disabled => w::AutoCompound { r#type: "disabled", default: None },
            AutoCompound::Optional { default } => w::AutoCompound { r#type: "optional", default: Some(default) },
        },
        yield_source: w::YieldSource { r#type: of.yield_source.name() },
        can_allocate: offer.restrictions.is_empty(),
        can_deallocate: offer.can_deallocate,
        allocation_restriction_info: offer.restrictions.clone(),
    }
}

fn lock_type(of: &Strategy) -> w::LockType {
    let (r#type, periods) = match of.lock {
        LockType::Flex => ("flex", Periods::default()),
        LockType::Bonded(periods) => ("bonded", periods),
    };
    let some = |seconds: u64| Some(seconds).filter(|seconds| *seconds > 0);
    w::LockType {
        r#type,
        bonding_period: some(periods.bonding_s),
        unbonding_period: some(periods.unbonding_s),
        exit_queue_period: some(periods.exit_queue_s),
        payout_frequency: of.payout_frequency_s,
    }
}

/// Which stage a step belongs to.
type Stage = fn(EarnStep) -> bool;

const BONDING: Stage = |step| matches!(step, EarnStep::Bonding(_));
const EXIT_QUEUE: Stage = |step| matches!(step, EarnStep::ExitQueue(_));
const UNBONDING: Stage = |step| matches!(step, EarnStep::Unbonding(_));

fn staged(position: &Position, stage: Stage) -> impl Iterator<Item = &EarnOperation> {
    position.stages.values().filter(move |operation| stage(operation.step))
}

fn operations(reference: &Reference, position: &Position, stage: Stage) -> Vec<w::EarnOperation> {
    staged(position, stage).map(|of| operation(reference, of, None)).collect()
}

/// The result of `earn_status`.
pub fn status(reference: &Reference, of: &Holding) -> w::EarnStatus {
    let Holding { strategy, position, .. } = of;
    w::EarnStatus {
        pending: false,
        allocated: amount(reference, strategy.asset, position.allocated),
        bonding: operations(reference, position, BONDING),
        exit_queue: operations(reference, position, EXIT_QUEUE),
        unbonding: operations(reference, position, UNBONDING),
    }
}

/// A snapshot item of `earn`.
pub fn position(reference: &Reference, of: &Holding, offset: u64) -> w::EarnPosition {
    let Holding { strategy, position, .. } = of;
    w::EarnPosition {
        strategy_id: strategy.id.to_string(),
        asset: code(reference, strategy.asset),
        allocated: amount(reference, strategy.asset, position.allocated),
        bonding: operations(reference, position, BONDING),
        exit_queue: operations(reference, position, EXIT_QUEUE),
        unbonding: operations(reference, position, UNBONDING),
        total_rewarded: amount(reference, strategy.asset, position.rewarded),
        auto_compound: strategy.compounds(position),
        offset,
    }
}

/// The result of `earn_allocations`.
pub fn allocations(reference: &Reference, of: &Allocations) -> w::Allocations {
    let total = |value: Amount| of.converted.map(|asset| amount(reference, asset, value));
    let allocations = of.holdings.iter().map(|holding| Valued { reference, holding, of }.allocation()).collect();
    w::Allocations {
        converted_asset: of.converted.map(|asset| code(reference, asset)),
        total_allocated: total(of.total_allocated),
        total_rewarded: total(of.total_rewarded),
        allocations,
        cursor: of.next.map(|id| id.to_string()),
    }
}

/// A holding that is shown with its value.
struct Valued<'a> {
    reference: &'a Reference,
    holding: &'a Holding,
    of: &'a Allocations,
}

impl Valued<'_> {
    fn native(&self, native: Amount) -> Exact {
        amount(self.reference, self.holding.strategy.asset, native)
    }

    fn converted(&self, native: Amount) -> Option<Exact> {
        let value = self.holding.valuation.value(self.reference, native)?;
        Some(amount(self.reference, self.of.converted?, value))
    }

    fn value(&self, native: Amount) -> w::Value {
        w::Value { native: self.native(native), converted: self.converted(native) }
    }

    fn stage(&self, stage: Stage) -> Option<w::Stage> {
        let position = &self.holding.position;
        let sum = position.staged(stage);
        let staged = |of: &EarnOperation| w::Staged {
            created_at: of.at.to_string(),
            expires: of.step.until().unwrap_or(of.at).to_string(),
            native: self.native(of.amount),
            converted: self.converted(of.amount),
        };
        let allocations: Vec<w::Staged> = self::staged(position, stage).map(staged).collect();
        let (native, converted) = (self.native(sum), self.converted(sum));
        let all = w::Stage { native, converted, allocation_count: allocations.len(), allocations };
        Some(all).filter(|all| all.allocation_count > 0)
    }

    fn allocation(&self) -> w::Allocation {
        let Holding { strategy, position, payout, .. } = self.holding;
        w::Allocation {
            strategy_id: strategy.id.to_string(),
            native_asset: code(self.reference, strategy.asset),
            amount_allocated: w::AmountAllocated {
                total: self.value(position.total()),
                bonding: self.stage(BONDING),
                exit_queue: self.stage(EXIT_QUEUE),
                unbonding: self.stage(UNBONDING),
            },
            payout: payout.map(|PayoutPeriod { start, end, accumulated, estimated }| w::Payout {
                period_start: start.to_string(),
                period_end: end.to_string(),
                accumulated_reward: self.value(accumulated),
                estimated_reward: self.value(estimated),
            }),
            total_rewarded: self.value(position.rewarded),
            auto_compound: strategy.compounds(position),
        }
    }
}
