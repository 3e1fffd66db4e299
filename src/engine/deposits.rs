//! Deposits: the pool of addresses, who got which, and what was credited.

use serde::{Deserialize, Serialize};

use super::event::Event;
use crate::domain::ids::{AccountId, AssetId, DepositId, OrganizationId};
use crate::domain::money::Amount;
use crate::domain::time::Moment;

/// A deposit address of the venue operator's pool.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DepositAddress {
    /// The address.
    pub address: String,
    /// Tag or memo.
    pub tag: Option<String>,
}

/// A credited deposit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deposit {
    /// Its `refid`.
    pub id: DepositId,
    /// Whose.
    pub organization: OrganizationId,
    /// To which account.
    pub account: AccountId,
    /// Of which asset.
    pub asset: AssetId,
    /// What arrived.
    pub amount: Amount,
    /// The address it came to.
    pub address: DepositAddress,
    /// The venue operator's transaction id, its idempotency key.
    pub txid: String,
    /// When it was credited.
    pub at: Moment,
}

/// The pools and what came of them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Deposits {}

impl Deposits {
    /// Folds an event in.
    pub fn apply(&mut self, _event: &Event) {}
}
