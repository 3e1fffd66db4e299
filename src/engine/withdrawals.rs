//! Withdrawal addresses and withdrawals: held, queued, decided, released to custody, settled or failed.

use serde::{Deserialize, Serialize};

use super::event::Event;
use super::ledger::Ledger;
use crate::domain::ids::{AccountId, AssetId, OrganizationId, RequestId, ServiceUserId, WithdrawalId};
use crate::domain::money::Amount;
use crate::domain::text::ClientId;
use crate::domain::time::Moment;

/// An approved withdrawal address; its name (`key`) is unique per asset and Organization (rule 26).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WithdrawalAddress {
    /// Its name, v2's withdraw key.
    pub key: String,
    /// The method it is for.
    pub method: String,
    /// The address itself.
    pub address: String,
    /// Tag or memo.
    pub tag: Option<String>,
}

/// Where a withdrawal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WithdrawalStatus {
    /// In the approval queue; funds held.
    Initial,
    /// Released to custody; debited.
    Pending,
    /// Paid.
    Success,
    /// Ended before its release: canceled, rejected, expired or failed to carry out. The hold is gone.
    Canceled,
    /// Custody could not pay; the debit was reversed.
    Returned,
}

/// A withdrawal as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawal {
    /// Its `refid`.
    pub id: WithdrawalId,
    /// Whose.
    pub organization: OrganizationId,
    /// From which account.
    pub account: AccountId,
    /// The Service User that asked, if one did.
    pub service_user: Option<ServiceUserId>,
    /// Of which asset.
    pub asset: AssetId,
    /// Gross: what is held and debited (rule 32).
    pub amount: Amount,
    /// The fee within `amount`.
    pub fee: Amount,
    /// The address as it was resolved when asked for.
    pub address: WithdrawalAddress,
    /// The network of the asset's method.
    pub network: String,
    /// The asker's own id, kept for ever.
    pub client_id: Option<ClientId>,
    /// The request in the approval queue.
    pub request: Option<RequestId>,
    /// When it was asked for.
    pub created_at: Moment,
    /// Where it is.
    pub status: WithdrawalStatus,
    /// Why it ended, for `info`.
    pub reason: Option<String>,
    /// Still held for it.
    pub held: Amount,
}

/// All addresses and withdrawals.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Withdrawals {}

impl Withdrawals {
    /// Folds an event in; holds follow the withdrawal's `held`.
    pub fn apply(&mut self, _event: &Event, _ledger: &mut Ledger) {}
}
