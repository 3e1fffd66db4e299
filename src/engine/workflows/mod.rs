//! The governed workflows. Each file gives `check` (sound now?), `payload` (what an approver sees) and
//! `carry_out` (which events); this one chooses among them.

use serde::{Deserialize, Serialize};

mod access;
mod addresses;
mod policies;
mod withdrawal;

use super::approvals::{Initiator, Request};
use super::caller::MemberCaller;
use super::command::{Change, Initiation};
use super::policy::{Policy, PolicyTerms};
use super::reject::Reject;
use super::state::State;
use super::transition::Transition;
use super::withdrawals::{Withdrawal, WithdrawalAddress};
use crate::access::key::{KeySettings, SettingsChange};
use crate::access::scope::ScopeSet;
use crate::access::workflow::{Permission, Workflow};
use crate::domain::canonical::Canonical;
use crate::domain::ids::{AccountId, AssetId, OrganizationId, ServiceUserId, WithdrawalId};
use crate::domain::text::ClientId;
use crate::domain::time::Moment;

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
        /// The settings to change.
        settings: SettingsChange,
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

impl Action {
    /// The workflow that governs it.
    pub fn workflow(&self) -> Workflow {
        match self {
            Action::Withdraw { .. } => Workflow::InitiateWithdrawal,
            Action::CreateServiceUser { .. } | Action::EditServiceUser { .. } | Action::RemoveServiceUser { .. } => {
                Workflow::ManageAccess
            }
            Action::SetPolicy { .. } => Workflow::ManagePolicies,
            Action::AddAddress { .. } => Workflow::ManageAddresses,
        }
    }

    /// Its name on the wire: the method that asks for it.
    pub fn name(&self) -> &'static str {
        match self {
            Action::Withdraw { .. } => "withdraw",
            Action::CreateServiceUser { .. } => "create_service_user",
            Action::EditServiceUser { .. } => "edit_service_user",
            Action::RemoveServiceUser { .. } => "remove_service_user",
            Action::SetPolicy { .. } => "set_policy",
            Action::AddAddress { .. } => "add_address",
        }
    }
}

/// A request that was checked and is not in the queue yet.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Whose queue.
    pub organization: OrganizationId,
    /// Who asks.
    pub initiator: Initiator,
    /// The initiator's own id.
    pub client_id: Option<ClientId>,
    /// What will be done.
    pub action: Action,
    /// What an approver sees of it.
    pub payload: Canonical,
    /// The withdrawal whose funds are held from here on.
    pub withdrawal: Option<Box<Withdrawal>>,
}

impl Draft {
    /// The request for a withdrawal.
    pub fn withdrawal(
        state: &State,
        withdrawal: Withdrawal,
        initiator: Initiator,
        client_id: Option<ClientId>,
    ) -> Draft {
        Draft {
            organization: withdrawal.organization,
            initiator,
            client_id,
            action: Action::Withdraw { withdrawal: withdrawal.id },
            payload: withdrawal::payload(state, &withdrawal),
            withdrawal: Some(Box::new(withdrawal)),
        }
    }
}

/// Whether a Member's change is sound now, and what it comes to.
pub fn check(
    t: &Transition<'_>,
    caller: MemberCaller,
    initiator: Initiator,
    change: &Change,
    initiation: &Initiation,
) -> Result<Draft, Reject> {
    let state = t.state();
    if let Change::Withdraw { asset, key, amount } = change {
        return withdrawal::check(t, caller, initiator, initiation, asset, key, *amount);
    }
    let (action, payload) = match change {
        Change::CreateServiceUser { .. } | Change::EditServiceUser { .. } | Change::RemoveServiceUser { .. } => {
            access::check(state, caller, change)?
        }
        Change::SetPolicy { workflow, terms } => {
            policies::check(state, caller.organization, *workflow, terms, initiation.strand_pending)?
        }
        Change::AddAddress { asset, address } => addresses::check(state, caller.organization, asset, address)?,
        Change::Withdraw { .. } => unreachable!("answered above"),
    };
    let (organization, client_id) = (caller.organization, initiation.client_id);
    Ok(Draft { organization, initiator, client_id, action, payload, withdrawal: None })
}

/// Whether a change asks for what an earlier request of the same `client_id` asked for.
pub fn same_as(state: &State, change: &Change, request: &Request) -> bool {
    match (change, &request.action) {
        (Change::Withdraw { asset, key, amount }, Action::Withdraw { withdrawal }) => {
            withdrawal::same(state, *withdrawal, asset, key, *amount)
        }
        (
            Change::CreateServiceUser { name, scopes, settings, .. },
            Action::CreateServiceUser { name: n, scopes: s, settings: t, .. },
        ) => (name, scopes, settings) == (n, s, t),
        (
            Change::EditServiceUser { service_user, name, scopes, settings, disabled },
            Action::EditServiceUser { service_user: u, name: n, scopes: s, settings: t, disabled: d },
        ) => (service_user, name, scopes, settings, disabled) == (u, n, s, t, d),
        (Change::RemoveServiceUser { service_user }, Action::RemoveServiceUser { service_user: u }) => {
            service_user == u
        }
        (Change::SetPolicy { workflow, terms }, Action::SetPolicy { workflow: w, terms: t }) => {
            (workflow, terms) == (w, t)
        }
        (Change::AddAddress { asset, address }, Action::AddAddress { asset: of, address: a }) => {
            state.reference.asset(*of).code == *asset && address == a
        }
        _ => false,
    }
}

/// The policy that governs an action now, if any (rules 18, 23).
pub fn governing(state: &State, organization: OrganizationId, action: &Action) -> Option<Policy> {
    let own = state.policies.get(organization, action.workflow()).cloned();
    own.or_else(|| match action {
        Action::SetPolicy { workflow, terms } => policies::judged_by_subject(state, organization, *workflow, terms),
        _ => None,
    })
}

/// Whether a request that was approved still holds (rule 25).
pub fn recheck(state: &State, request: &Request, now: Moment) -> Result<(), Reject> {
    entitled(state, request, now)?;
    match &request.action {
        Action::Withdraw { withdrawal } => withdrawal::recheck(state, *withdrawal),
        Action::CreateServiceUser { .. } | Action::EditServiceUser { .. } | Action::RemoveServiceUser { .. } => {
            access::recheck(state, request)
        }
        Action::SetPolicy { workflow, terms } => policies::recheck(state, request, *workflow, terms),
        Action::AddAddress { asset, address } => addresses::recheck(state, request.organization, *asset, address),
    }
}

/// Whether who asked may still ask.
fn entitled(state: &State, request: &Request, now: Moment) -> Result<(), Reject> {
    match request.initiator {
        Initiator::Member(id, _) if state.members.may(id, request.workflow, Permission::Initiate) => Ok(()),
        Initiator::ServiceUser(id, _) if state.keys.may_withdraw(id, now) => Ok(()),
        _ => Err(Reject::field(super::reject::Code::PermissionDenied, "initiator", "may not ask for it any more")),
    }
}

/// Does what a request asks for. `at_once`: in the same command that asked.
pub fn carry_out(t: &mut Transition<'_>, request: &Request, at_once: bool) {
    match &request.action {
        Action::Withdraw { withdrawal } => super::withdrawals::release(t, *withdrawal),
        Action::CreateServiceUser { .. } | Action::EditServiceUser { .. } | Action::RemoveServiceUser { .. } => {
            access::carry_out(t, request, at_once);
        }
        Action::SetPolicy { workflow, terms } => policies::carry_out(t, request, *workflow, terms),
        Action::AddAddress { asset, address } => addresses::carry_out(t, request.organization, *asset, address),
    }
}

/// Undoes what a request held while it waited.
pub fn give_up(t: &mut Transition<'_>, request: &Request, reason: &str) {
    if let Action::Withdraw { withdrawal } = request.action {
        super::withdrawals::give_up(t, withdrawal, reason);
    }
}
