//! Earn: strategies, allocations, the items of its channel, with the field names of Kraken's REST calls
//! (docs.kraken.com, guide `spot-rest-earn`).
#![allow(missing_docs, reason = "fields are the wire's; v2's pages and those in docs/ say what they mean")]

use schemars::JsonSchema;
use serde::Serialize;

use super::items::records;
use super::leaf::Exact;

records! {
    /// How funds of a strategy are locked; periods are in seconds, and absent where there is none.
    LockType {
        r#type: &'static str,
        bonding_period?: u64,
        unbonding_period?: u64,
        exit_queue_period?: u64,
        payout_frequency?: u64,
    }
    /// A low and a high estimate of the yearly rate, in per cent.
    Estimate { low: Exact, high: Exact }
    /// Whether rewards are added to the allocation: `enabled`, `disabled` or `optional`.
    AutoCompound { r#type: &'static str, default?: bool }
    /// The source of rewards: `staking` or `off_chain`.
    YieldSource { r#type: &'static str }
    /// An Earn strategy, as the calling account may use it now.
    Strategy {
        id: String,
        asset: String,
        lock_type: LockType,
        apr_estimate: Estimate,
        user_min_allocation: Exact,
        user_cap?: Exact,
        total_cap?: Exact,
        allocation_fee: u8,
        deallocation_fee: u8,
        auto_compound: AutoCompound,
        yield_source: YieldSource,
        can_allocate: bool,
        can_deallocate: bool,
        /// Why the account cannot allocate: `tier`, `user_cap`, `total_cap`, `halted`.
        allocation_restriction_info: Vec<&'static str>,
    }
    /// `earn_strategies`.
    Strategies { strategies: Vec<Strategy>, cursor?: String }
    /// `add_earn_strategy`.
    StrategyAdded { strategy_id: String }
    /// An amount, and its value in the requested asset, if it has one.
    Value { native: Exact, converted?: Exact }
    /// One operation in a stage that ends at `expires`.
    Staged { created_at: String, expires: String, native: Exact, converted?: Exact }
    /// The operations in one stage, and their total.
    Stage { native: Exact, converted?: Exact, allocation_count: usize, allocations: Vec<Staged> }
    /// The amounts in a strategy, in total and by stage; empty stages are absent.
    AmountAllocated { total: Value, bonding?: Stage, exit_queue?: Stage, unbonding?: Stage }
    /// The current payout period: the reward paid in it so far, and the one expected for all of it at the low estimate.
    Payout {
        period_start: String,
        period_end: String,
        accumulated_reward: Value,
        estimated_reward: Value,
    }
    /// The allocation of an account to a strategy.
    Allocation {
        strategy_id: String,
        native_asset: String,
        amount_allocated: AmountAllocated,
        payout?: Payout,
        total_rewarded: Value,
        /// Whether rewards are added to it.
        auto_compound: bool,
    }
    /// `earn_allocations`; totals cover every allocation that has a value, not only those of this page.
    Allocations {
        converted_asset?: String,
        total_allocated?: Exact,
        total_rewarded?: Exact,
        allocations: Vec<Allocation>,
        cursor?: String,
    }
    /// `earn_status`; `pending` is always false, because operations are carried out before their reply.
    EarnStatus {
        pending: bool,
        allocated: Exact,
        bonding: Vec<EarnOperation>,
        exit_queue: Vec<EarnOperation>,
        unbonding: Vec<EarnOperation>,
    }
    /// `earn_allocate`, `earn_deallocate`.
    Earned { operation_id: String, strategy_id: String, amount: Exact, state: &'static str, expires?: String }
    /// `pay_earn_reward`: the amount paid, and the number of accounts that it was split among.
    EarnPaid { payout_id: String, strategy_id: String, amount: Exact, accounts: u64 }
    /// An update of `earn`, or an operation in a stage. `state` is `bonding`, `allocated`, `exit_queue`, `unbonding`,
    /// `deallocated` or `rewarded`.
    EarnOperation {
        operation_id: String,
        strategy_id: String,
        asset: String,
        amount: Exact,
        state: &'static str,
        expires?: String,
        /// For a reward: whether it was added to the allocation; otherwise it was paid to the spot wallet.
        auto_compounded?: bool,
        timestamp: String,
        offset?: u64,
    }
    /// A snapshot item of `earn`.
    EarnPosition {
        strategy_id: String,
        asset: String,
        allocated: Exact,
        bonding: Vec<EarnOperation>,
        exit_queue: Vec<EarnOperation>,
        unbonding: Vec<EarnOperation>,
        total_rewarded: Exact,
        auto_compound: bool,
        offset: u64,
    }
}
