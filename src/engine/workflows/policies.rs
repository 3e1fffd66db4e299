//! Manage Policies: how many Members a workflow's requests need.

use super::Action;
use crate::access::workflow::{Permission, Workflow};
use crate::domain::canonical::Canonical;
use crate::domain::ids::OrganizationId;
use crate::engine::approvals::{Request, can_pass};
use crate::engine::decisions;
use crate::engine::event::Event;
use crate::engine::policy::{Policy, PolicyTerms};
use crate::engine::reject::{Code, Reject};
use crate::engine::state::State;
use crate::engine::transition::Transition;

/// The longest life of a request: 90 days.
const EXPIRES_AFTER_MAX_S: u64 = 90 * 86_400;

pub(super) fn check(
    state: &State,
    organization: OrganizationId,
    workflow: Workflow,
    terms: &PolicyTerms,
    strand_pending: bool,
) -> Result<(Action, Canonical), Reject> {
    let bad = |field, advice: &str| Err(Reject::field(Code::InvalidArguments, field, advice));
    if terms.quorum == 0 {
        return bad("quorum", "give at least 1");
    }
    if terms.reject_quorum == 0 {
        return bad("reject_quorum", "give at least 1");
    }
    if !(1..=EXPIRES_AFTER_MAX_S).contains(&terms.expires_after_s) {
        return bad("expires_after_s", "give 1 second to 90 days");
    }
    satisfiable(state, organization, workflow, terms)?;
    if !strand_pending {
        strands_nothing(state, organization, workflow, terms)?;
    }
    let action = Action::SetPolicy { workflow, terms: terms.clone() };
    Ok((action, payload(state, organization, workflow, terms)))
}

fn payload(state: &State, organization: OrganizationId, workflow: Workflow, terms: &PolicyTerms) -> Canonical {
    let present = state.policies.get(organization, workflow);
    Canonical::object([
        ("workflow", Canonical::text(workflow.name())),
        ("from", present.map_or(Canonical::Null, |policy| terms_object(&policy.terms))),
        ("to", terms_object(terms)),
    ])
}

fn terms_object(terms: &PolicyTerms) -> Canonical {
    Canonical::object([
        ("quorum", Canonical::count(terms.quorum.into())),
        ("reject_quorum", Canonical::count(terms.reject_quorum.into())),
        ("allow_execute", Canonical::Bool(terms.allow_execute)),
        ("expires_after_s", Canonical::count(terms.expires_after_s)),
        ("exclude_key_managers", Canonical::Bool(terms.exclude_key_managers)),
    ])
}

/// A policy that no set of eligible Members could satisfy is refused (rule 23).
fn satisfiable(
    state: &State,
    organization: OrganizationId,
    workflow: Workflow,
    terms: &PolicyTerms,
) -> Result<(), Reject> {
    let mut eligible = 0;
    for member in state.members.of(organization) {
        eligible += u32::from(state.members.may(member.id, workflow, Permission::Approve));
    }
    match eligible >= terms.quorum {
        true => Ok(()),
        false => {
            let advice = format!("only {eligible} Members with Approve and verified KYC could vote");
            Err(Reject::field(Code::ImpossibleQuorum, "quorum", advice))
        }
    }
}

/// Pending requests must keep enough approvers, unless the change says otherwise (rule 23).
fn strands_nothing(
    state: &State,
    organization: OrganizationId,
    workflow: Workflow,
    terms: &PolicyTerms,
) -> Result<(), Reject> {
    for request in state.approvals.pending(organization) {
        let Some(policy) = request.policy.as_ref().filter(|policy| policy.workflow == workflow) else { continue };
        let both = Policy { terms: policy.terms.stricter(terms), ..policy.clone() };
        if can_pass(state, &request, policy) && !can_pass(state, &request, &both) {
            let advice = format!("request {} would lack approvers; decide it first or set strand_pending", request.id);
            return Err(Reject::field(Code::ImpossibleQuorum, "strand_pending", advice));
        }
    }
    Ok(())
}

/// Loosening the Initiate Withdrawal policy while Manage Policies has none of its own is judged under the
/// former, without Execute (rule 23).
pub(super) fn judged_by_subject(
    state: &State,
    organization: OrganizationId,
    workflow: Workflow,
    terms: &PolicyTerms,
) -> Option<Policy> {
    if workflow != Workflow::InitiateWithdrawal {
        return None;
    }
    let mut policy = state.policies.get(organization, workflow)?.clone();
    let loosens = policy.terms.loosened_by(terms);
    policy.terms.allow_execute = false;
    loosens.then_some(policy)
}

pub(super) fn recheck(state: &State, request: &Request, workflow: Workflow, terms: &PolicyTerms) -> Result<(), Reject> {
    satisfiable(state, request.organization, workflow, terms)?;
    match payload(state, request.organization, workflow, terms) == request.payload {
        true => Ok(()),
        false => Err(Reject::field(Code::DigestChanged, "policy", "it changed since this was asked for")),
    }
}

pub(super) fn carry_out(t: &mut Transition<'_>, request: &Request, workflow: Workflow, terms: &PolicyTerms) {
    let organization = request.organization;
    let version = t.state().policies.get(organization, workflow).map_or(0, |policy| policy.version) + 1;
    t.emit(Event::PolicySet(Policy { organization, workflow, version, terms: terms.clone() }));
    decisions::restate(t, organization, request.id);
}
