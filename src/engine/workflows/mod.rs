//! The governed workflows. Each file gives `check` (sound now?), `payload` (what an approver sees) and
//! `carry_out` (which events); this one chooses among them.

use serde::{Deserialize, Serialize};

use super::policy::PolicyTerms;
use super::withdrawals::WithdrawalAddress;
use crate::access::key::KeySettings;
use crate::access::scope::ScopeSet;
use crate::access::workflow::Workflow;
use crate::domain::ids::{AccountId, AssetId, ServiceUserId, WithdrawalId};

/// What a request will do once it is completed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Release a withdrawal, whose funds are held meanwhile.
    Withdraw {
        /// The withdrawal; its record has account, amount, fee and the resolved address.
        withdrawal: WithdrawalId,
    },
    /// Create a Service User.
    CreateServiceUser {
        /// Its name.
        name: String,
        /// The account it acts on.
        account: AccountId,
        /// Its scopes.
        scopes: ScopeSet,
        /// Its settings.
        settings: KeySettings,
        /// The public part of its key.
        api_key: String,
        /// Its secret, sealed by the gateway.
        secret_sealed: Vec<u8>,
    },
    /// Change a Service User; fields that are `None` stay.
    EditServiceUser {
        /// Which.
        service_user: ServiceUserId,
        /// New name.
        name: Option<String>,
        /// New scopes.
        scopes: Option<ScopeSet>,
        /// New settings, whole.
        settings: Option<KeySettings>,
        /// Turn off or on.
        disabled: Option<bool>,
    },
    /// Remove a Service User.
    RemoveServiceUser {
        /// Which.
        service_user: ServiceUserId,
    },
    /// Set the policy of a workflow.
    SetPolicy {
        /// Of which workflow.
        workflow: Workflow,
        /// The new terms.
        terms: PolicyTerms,
    },
    /// Add a withdrawal address.
    AddAddress {
        /// Of which asset.
        asset: AssetId,
        /// The address and its name.
        address: WithdrawalAddress,
    },
}
