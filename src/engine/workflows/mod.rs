//! The governed workflows. Each kind of change has a file that defines its parameters, its checks, what an approver is
//! shown and which events it emits; the queue knows them only as [`Governed`].

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

pub mod addresses;
pub mod keys;
pub mod members;
pub mod policies;
pub mod unfreeze;
pub mod withdrawal;

use super::approvals::{Initiator, Request};
use super::policy::{Policies, Policy, Subject};
use super::reject::{Code, Reject};
use super::state::State;
use super::transition::Transition;
use super::withdrawals::Withdrawal;
use crate::access::operation::Operation;
use crate::access::workflow::{Permission, Workflow};
use crate::domain::canonical::Canonical;
use crate::domain::ids::{AccountId, MemberId, OrganizationId};
use crate::domain::text::ClientId;
use crate::domain::time::Moment;

/// A governed change, with its values as they were asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// Of Service Users.
    Keys(keys::KeyChange),
    /// Of Members.
    Members(members::MemberChange),
    /// Of policies.
    Policies(policies::PolicyChange),
    /// Of withdrawal addresses.
    Addresses(addresses::AddressChange),
    /// A withdrawal.
    Withdrawal(withdrawal::WithdrawalChange),
    /// The end of a freeze.
    Unfreeze(unfreeze::Unfreeze),
}

impl Change {
    /// The interface through which the queue sees it.
    pub fn governed(&self) -> &dyn Governed {
        match self {
            Change::Keys(change) => change,
            Change::Members(change) => change,
            Change::Policies(change) => change,
            Change::Addresses(change) => change,
            Change::Withdrawal(change) => change,
            Change::Unfreeze(change) => change,
        }
    }
}

/// A credential that the gateway generated for a change that may create one (rules 17, 28).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GeneratedCredential {
    /// A key.
    Key {
        /// Its public part.
        api_key: String,
        /// Its secret, sealed under the master key.
        secret_sealed: Vec<u8>,
    },
    /// An invitation.
    Invitation {
        /// SHA-256 of its token.
        token_hash: [u8; 32],
    },
}

/// What the gateway must generate for a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialKind {
    /// Nothing.
    Nothing,
    /// A key.
    Key,
    /// An invitation.
    Invitation,
}

/// Who asks, and with what.
#[derive(Clone, Debug)]
pub struct InitiationContext {
    /// Whose queue.
    pub organization: OrganizationId,
    /// The account it is about.
    pub account: AccountId,
    /// Who asks.
    pub initiator: Initiator,
    /// The initiator's own id for it.
    pub client_id: Option<ClientId>,
    /// What the gateway generated.
    pub generated: Option<GeneratedCredential>,
    /// Whether pending requests may be left without enough approvers.
    pub strand_pending: bool,
}

/// The result of checking a change.
#[derive(Clone, Debug)]
pub struct Draft {
    /// What an approver is shown.
    pub payload: Canonical,
    /// What the rules of a policy are matched against.
    pub subject: Option<Subject>,
    /// The withdrawal whose funds are held from here on.
    pub withdrawal: Option<Box<Withdrawal>>,
}

impl From<Canonical> for Draft {
    fn from(payload: Canonical) -> Draft {
        Draft { payload, subject: None, withdrawal: None }
    }
}

/// What the queue must know about a kind of change.
pub trait Governed {
    /// The workflow whose permissions and policy count.
    fn workflow(&self) -> Workflow;

    /// The method by which it is asked for.
    fn operation(&self) -> Operation;

    /// Its name on the wire.
    fn name(&self) -> &'static str {
        self.operation().name()
    }

    /// What the gateway must generate for it.
    fn needs(&self) -> CredentialKind {
        CredentialKind::Nothing
    }

    /// The Member whom it is about: cannot vote on it, nor gain rights by asking for it (rule 23).
    fn about(&self) -> Option<MemberId> {
        None
    }

    /// The Members whose votes count only while nobody else could vote (rule 27).
    fn last_resort<'a>(&self, _state: &'a State, _organization: OrganizationId) -> &'a [MemberId] {
        &[]
    }

    /// The one of these policies that governs it, if any (rules 18, 23).
    fn governing<'p>(&self, policies: &'p Policies, organization: OrganizationId) -> Option<Cow<'p, Policy>> {
        policies.get(organization, self.workflow()).map(Cow::Borrowed)
    }

    /// Whether it may be asked for and decided at all right now; a freeze says no (rule 27).
    fn allowed(&self, _state: &State, _organization: OrganizationId) -> Result<(), Reject> {
        Ok(())
    }

    /// Checks that it is sound now, and what it would do.
    fn check(&self, t: &Transition<'_>, context: &InitiationContext) -> Result<Draft, Reject>;

    /// Whether what was approved still holds (rule 25).
    fn recheck(&self, state: &State, request: &Request, now: Moment) -> Result<(), Reject>;

    /// Carries it out. `at_once`: in the same command that asked for it.
    fn carry_out(&self, t: &mut Transition<'_>, request: &Request, at_once: bool);
}

/// Whether a request that was approved still holds (rule 25).
pub fn recheck(state: &State, request: &Request, now: Moment) -> Result<(), Reject> {
    let entitled = match request.initiator {
        Initiator::Member(id, _) => state.members.may(id, request.workflow, Permission::Initiate),
        Initiator::ServiceUser(id, _) => state.keys.may_withdraw(id, now),
    };
    if !entitled {
        return Err(Reject::field(Code::PermissionDenied, "initiator", "the initiator may no longer ask for this"));
    }
    request.change.governed().recheck(state, request, now)
}

/// What approvers are shown of a change: its payload, and whether it may leave pending requests without approvers.
pub fn shown(payload: Canonical, strand_pending: bool) -> Canonical {
    match payload {
        Canonical::Object(mut members) if strand_pending => {
            members.insert("strand_pending".to_owned(), Canonical::Bool(true));
            Canonical::Object(members)
        }
        payload => payload,
    }
}

/// The approval was for what approvers saw; if the change would do something else now, it is not done.
fn unchanged(payload: Canonical, request: &Request) -> Result<(), Reject> {
    match shown(payload, request.strand_pending) == request.payload {
        true => Ok(()),
        false => Err(Reject::field(Code::DigestChanged, "payload", "its effect would no longer be what was approved")),
    }
}

/// A change of one field, as approvers see it.
fn difference(field: &str, from: Canonical, to: Canonical) -> Option<Canonical> {
    let differs = from != to;
    differs.then(|| Canonical::object([("field", Canonical::text(field)), ("from", from), ("to", to)]))
}
