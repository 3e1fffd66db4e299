//! Manage Policies: how many Members a workflow's requests need.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{Draft, Governed, InitiationContext, unchanged};
use crate::access::operation::Operation;
use crate::access::workflow::Workflow;
use crate::domain::canonical::Canonical;
use crate::domain::ids::{OrganizationId, RequestId};
use crate::domain::limits::{POLICY_PERIOD_MAX_S, RULE_NAMES_MAX, RULES_MAX};
use crate::domain::time::Moment;
use crate::engine::approvals::Request;
use crate::engine::decisions;
use crate::engine::electorate::{Electorate, Prospects, strands_nothing};
use crate::engine::event::Event;
use crate::engine::policy::{Policies, Policy, PolicyTerms, Rule};
use crate::engine::reject::{Code, Reject};
use crate::engine::state::State;
use crate::engine::transition::Transition;

/// A change of policies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PolicyChange {
    /// `set_policy`
    Set {
        /// Of which workflow.
        workflow: Workflow,
        /// The new terms.
        terms: PolicyTerms,
    },
    /// `remove_policy`
    Remove {
        /// Of which workflow.
        workflow: Workflow,
    },
}

impl Governed for PolicyChange {
    fn workflow(&self) -> Workflow {
        Workflow::ManagePolicies
    }

    fn operation(&self) -> Operation {
        match self {
            PolicyChange::Set { .. } => Operation::SetPolicy,
            PolicyChange::Remove { .. } => Operation::RemovePolicy,
        }
    }

    /// While Manage Policies has no policy of its own, removing or loosening the Initiate Withdrawal policy is judged
    /// under that policy, without Execute (rule 23).
    fn governing<'p>(&self, policies: &'p Policies, organization: OrganizationId) -> Option<Cow<'p, Policy>> {
        if let Some(own) = policies.get(organization, Workflow::ManagePolicies) {
            return Some(Cow::Borrowed(own));
        }
        let policy = policies.get(organization, Workflow::InitiateWithdrawal)?;
        let loosens = match self {
            PolicyChange::Set { workflow: Workflow::InitiateWithdrawal, terms } => policy.terms.loosened_by(terms),
            PolicyChange::Remove { workflow: Workflow::InitiateWithdrawal } => true,
            PolicyChange::Set { .. } | PolicyChange::Remove { .. } => false,
        };
        let terms = || PolicyTerms { allow_execute: false, ..policy.terms.clone() };
        loosens.then(|| Cow::Owned(Policy { terms: terms(), ..*policy }))
    }

    fn check(&self, t: &Transition<'_>, context: &InitiationContext) -> Result<Draft, Reject> {
        let (state, organization) = (t.state(), context.organization);
        if let PolicyChange::Set { workflow, terms } = self {
            check_terms(state, organization, *workflow, terms)?;
        }
        let payload = self.payload(state, organization)?;
        self.strands_nothing(state, organization, context.strand_pending, None)?;
        Ok(Draft::from(payload))
    }

    fn recheck(&self, state: &State, request: &Request, _now: Moment) -> Result<(), Reject> {
        if let PolicyChange::Set { workflow, terms } = self {
            check_terms(state, request.organization, *workflow, terms)?;
        }
        self.strands_nothing(state, request.organization, request.strand_pending, Some(request.id))?;
        unchanged(self.payload(state, request.organization)?, request)
    }

    fn carry_out(&self, t: &mut Transition<'_>, request: &Request, _at_once: bool) {
        let organization = request.organization;
        t.emit(match self {
            PolicyChange::Set { workflow, terms } => Event::PolicySet(Policy {
                organization,
                workflow: *workflow,
                version: t.state().policies.next_version(organization, *workflow),
                terms: terms.clone(),
            }),
            PolicyChange::Remove { workflow } => Event::PolicyRemoved { organization, workflow: *workflow },
        });
        decisions::reevaluate_pending(t, organization, request.id);
    }
}

impl PolicyChange {
    /// The policies of an Organization after the change.
    fn applied(&self, state: &State, organization: OrganizationId) -> Policies {
        let mut policies = Policies::default();
        state.policies.of(organization).iter().for_each(|policy| policies.set(policy));
        match self.clone() {
            PolicyChange::Set { workflow, terms } => {
                policies.set(&Policy { organization, workflow, version: 0, terms });
            }
            PolicyChange::Remove { workflow } => policies.remove(organization, workflow),
        }
        policies
    }

    /// Refuses to leave a pending request other than `by`, which makes the change, without enough approvers unless that
    /// is accepted (rule 23). A policy may judge another workflow's request: that of withdrawals judges its loosening.
    fn strands_nothing(
        &self,
        state: &State,
        organization: OrganizationId,
        strand_pending: bool,
        by: Option<RequestId>,
    ) -> Result<(), Reject> {
        let (mut prospects, policies) = (Prospects::new(Electorate::now(state)), self.applied(state, organization));
        strands_nothing(state, organization, strand_pending, |request, _| {
            by == Some(request.id)
                || decisions::verdict_under(request, &policies).is_none_or(|after| prospects.can_pass(request, &after))
        })
    }

    fn payload(&self, state: &State, organization: OrganizationId) -> Result<Canonical, Reject> {
        let (workflow, to) = match self {
            PolicyChange::Set { workflow, terms } => (*workflow, canonical_terms(terms)),
            PolicyChange::Remove { workflow } => (*workflow, Canonical::Null),
        };
        let present = state.policies.get(organization, workflow);
        if present.is_none() && to == Canonical::Null {
            return Err(Reject::field(Code::UnknownSubject, "workflow", "no policy governs it"));
        }
        let from = present.map_or(Canonical::Null, |policy| canonical_terms(&policy.terms));
        Ok(Canonical::object([("workflow", Canonical::text(workflow.name())), ("from", from), ("to", to)]))
    }
}

/// Terms as approvers are shown them; `set_policy` takes the same members.
fn canonical_terms(terms: &PolicyTerms) -> Canonical {
    Canonical::object([
        ("quorum", Canonical::count(terms.quorum.into())),
        ("reject_quorum", Canonical::count(terms.reject_quorum.into())),
        ("allow_execute", Canonical::Bool(terms.allow_execute)),
        ("expires_after_s", Canonical::count(terms.expires_after_s)),
        ("exclude_key_managers", Canonical::Bool(terms.exclude_key_managers)),
        ("cool_down_s", Canonical::count(terms.cool_down_s)),
        ("rules", Canonical::List(terms.rules.iter().map(shown_rule).collect())),
    ])
}

fn shown_rule(rule: &Rule) -> Canonical {
    let texts = |all: Vec<String>| Canonical::List(all.into_iter().map(Canonical::Text).collect());
    let initiators = rule.initiators.as_ref().map(|all| texts(all.iter().map(ToString::to_string).collect()));
    let members = [
        ("asset", rule.asset.map(Canonical::text)),
        ("amount_from", rule.amount_from.map(Canonical::text)),
        ("total_24h_from", rule.total_24h_from.map(Canonical::text)),
        ("keys", rule.keys.clone().map(texts)),
        ("initiators", initiators),
        ("quorum", Some(Canonical::count(rule.quorum.into()))),
        ("allow_execute", rule.allow_execute.map(Canonical::Bool)),
    ];
    Canonical::object(members.into_iter().filter_map(|(name, value)| Some((name, value?))))
}

/// Checks that terms are in range, fit the workflow and can be satisfied at all (rule 23).
fn check_terms(
    state: &State,
    organization: OrganizationId,
    workflow: Workflow,
    terms: &PolicyTerms,
) -> Result<(), Reject> {
    if terms.quorum == 0 {
        return Err(Reject::invalid("quorum", "give at least 1"));
    }
    if terms.reject_quorum == 0 {
        return Err(Reject::invalid("reject_quorum", "give at least 1"));
    }
    if !(1..=POLICY_PERIOD_MAX_S).contains(&terms.expires_after_s) {
        return Err(Reject::invalid("expires_after_s", "give 1 second to 90 days"));
    }
    if terms.cool_down_s > 0 && (workflow != Workflow::ManageAddresses || terms.cool_down_s > POLICY_PERIOD_MAX_S) {
        return Err(Reject::invalid("cool_down_s", "give at most 90 days, and only for manage_addresses"));
    }
    if !terms.rules.is_empty() && workflow != Workflow::InitiateWithdrawal {
        return Err(Reject::invalid("rules", "only initiate_withdrawal has rules"));
    }
    if terms.rules.len() > RULES_MAX {
        return Err(Reject::invalid("rules", "give at most 50"));
    }
    terms.rules.iter().try_for_each(|rule| check_rule(state, rule))?;
    let lacking = Electorate::now(state).lacking(&Policy { organization, workflow, version: 0, terms: terms.clone() });
    if lacking == 0 {
        return Ok(());
    }
    let advice = format!(
        "whoever asks, {lacking} more Members with Approve and verified KYC are needed; nobody votes on their own request"
    );
    Err(Reject::field(Code::ImpossibleQuorum, "quorum", advice))
}

fn check_rule(state: &State, rule: &Rule) -> Result<(), Reject> {
    let wrong = |advice| Err(Reject::invalid("rules", advice));
    if rule.quorum == 0 {
        return wrong("a rule's quorum is at least 1");
    }
    let asset = rule.asset.map(|code| state.reference.find_asset(&code)).transpose()?;
    for from in [rule.amount_from, rule.total_24h_from].into_iter().flatten() {
        let Some(asset) = asset else { return wrong("amount_from and total_24h_from need asset") };
        if !from.units(asset.decimals).is_ok_and(|units| units >= 0) {
            return wrong("an amount must fit the asset and not be negative");
        }
    }
    let named = |count: Option<usize>| count.is_none_or(|count| (1..=RULE_NAMES_MAX).contains(&count));
    if !named(rule.keys.as_ref().map(Vec::len)) || !named(rule.initiators.as_ref().map(Vec::len)) {
        return wrong("keys and initiators name 1 to 100");
    }
    Ok(())
}
