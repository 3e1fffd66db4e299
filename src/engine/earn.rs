//! Earn: flexible and bonded strategies, allocations and unbonding (rule 33).

use serde::{Deserialize, Serialize};

use super::event::Event;
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
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Earn {}

impl Earn {
    /// Folds an event in.
    pub fn apply(&mut self, _event: &Event) {}
}
