//! Who could vote on a request: now, or after a change of a Member that is only being considered.

use std::collections::BTreeMap;

use super::approvals::{Decision, InitiatorId, Request, Vote, not_eligible};
use super::members::Member;
use super::policy::{Policy, Verdict};
use super::reject::{Code, Reject};
use super::service_users::ServiceUser;
use super::state::State;
use crate::access::workflow::{Permission, Workflow};
use crate::domain::ids::{MemberId, OrganizationId};

/// The Members, optionally with one of them or a key changed.
#[derive(Clone, Copy)]
pub struct Electorate<'a> {
    state: &'a State,
    changed: Option<&'a Member>,
    /// A key as it would be after a change.
    key: Option<&'a ServiceUser>,
}

/// What decides whose votes on a request count. Most pending requests of an Organization are alike in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Criteria<'a> {
    organization: OrganizationId,
    workflow: Workflow,
    initiator: InitiatorId,
    exclude_key_managers: bool,
    about: Option<MemberId>,
    last_resort: &'a [MemberId],
}

impl<'a> Electorate<'a> {
    /// The Members as they are.
    pub fn now(state: &'a State) -> Electorate<'a> {
        Electorate { state, changed: None, key: None }
    }

    fn record(&self, id: MemberId) -> &Member {
        self.changed.filter(|changed| changed.id == id).unwrap_or_else(|| self.state.members.member(id))
    }

    /// Members whose Approve in a workflow counts.
    fn approvers(&self, organization: OrganizationId, workflow: Workflow) -> Vec<MemberId> {
        let all = self.state.members.of(organization).map(|member| member.id);
        all.filter(|id| self.record(*id).may(workflow, Permission::Approve)).collect()
    }

    fn criteria(&self, request: &Request, verdict: &Verdict) -> Criteria<'a> {
        let (organization, change) = (request.organization, request.change.governed());
        Criteria {
            organization,
            workflow: verdict.workflow,
            initiator: request.initiator.id(),
            exclude_key_managers: verdict.exclude_key_managers,
            about: change.about(),
            last_resort: change.last_resort(self.state, organization),
        }
    }

    /// Whether a Member's vote on a request counts, and if not, why (rules 22, 23, 27).
    pub fn admits(&self, request: &Request, verdict: &Verdict, member: MemberId) -> Result<(), Reject> {
        self.admits_by(&self.criteria(request, verdict), member)
    }

    fn admits_by(&self, criteria: &Criteria<'_>, member: MemberId) -> Result<(), Reject> {
        if criteria.initiator == InitiatorId::Member(member) {
            return Err(Reject::field(Code::OwnRequest, "request_id", "another Member must decide"));
        }
        if !self.record(member).may(criteria.workflow, Permission::Approve) {
            return Err(not_eligible("Approve on the workflow and verified KYC are needed"));
        }
        if criteria.about == Some(member) {
            return Err(not_eligible("a Member cannot decide on a request about themselves"));
        }
        if criteria.exclude_key_managers && self.manages(criteria.initiator, member) {
            return Err(not_eligible("a Member who manages the asking key cannot decide on its requests"));
        }
        if self.is_last_resort(criteria, member) && self.others(criteria) {
            return Err(not_eligible(
                "a Member who froze, or widened the freeze, cannot decide while another approver exists",
            ));
        }
        Ok(())
    }

    fn manages(&self, initiator: InitiatorId, member: MemberId) -> bool {
        match initiator {
            InitiatorId::ServiceUser(id) => {
                let key = self.key.filter(|key| key.id == id);
                key.unwrap_or_else(|| self.state.keys.service_user(id)).is_managed_by(&self.state.members, member)
            }
            InitiatorId::Member(_) => false,
        }
    }

    fn is_last_resort(&self, criteria: &Criteria<'_>, member: MemberId) -> bool {
        criteria.last_resort.iter().any(|id| self.state.members.are_one_person(*id, member))
    }

    /// Whether an approver exists besides those whose votes are the last resort.
    fn others(&self, criteria: &Criteria<'_>) -> bool {
        let approvers = self.approvers(criteria.organization, criteria.workflow);
        let besides =
            |id: &MemberId| !self.is_last_resort(criteria, *id) && criteria.initiator != InitiatorId::Member(*id);
        approvers.iter().any(besides)
    }

    /// The Members whose votes count under these criteria.
    fn admitted(&self, criteria: &Criteria<'_>) -> Vec<MemberId> {
        let mut all = self.approvers(criteria.organization, criteria.workflow);
        all.retain(|member| self.admits_by(criteria, *member).is_ok());
        all
    }

    /// The Members who could vote on a withdrawal not asked for yet.
    pub fn voters_for(&self, organization: OrganizationId, initiator: InitiatorId, verdict: &Verdict) -> Vec<MemberId> {
        let mut all = self.approvers(organization, verdict.workflow);
        all.retain(|member| self.could_vote(*member, initiator, verdict.exclude_key_managers));
        all
    }

    /// Whether an approver could vote on something not asked for yet.
    fn could_vote(&self, member: MemberId, initiator: InitiatorId, exclude_key_managers: bool) -> bool {
        InitiatorId::Member(member) != initiator && !(exclude_key_managers && self.manages(initiator, member))
    }

    /// Who may ask in a workflow: Members with Initiate and, for withdrawals, keys with Withdraw.
    fn askers(&self, organization: OrganizationId, workflow: Workflow) -> Vec<InitiatorId> {
        let members = self.state.members.of(organization).map(|member| member.id);
        let members = members.filter(|id| self.record(*id).may(workflow, Permission::Initiate));
        let keys = self.state.keys.of(organization);
        let keys = keys.filter(|user| workflow == Workflow::InitiateWithdrawal && user.may_have_requests());
        members.map(InitiatorId::Member).chain(keys.map(|user| InitiatorId::ServiceUser(user.id))).collect()
    }

    /// How many votes a policy lacks: the widest gap between one of its quorums and the votes that a request could get,
    /// if it comes from the initiator who leaves the most. At zero each quorum can be reached (rules 22, 23). A rule
    /// none of whose initiators may ask lacks nothing.
    pub fn lacking(&self, policy: &Policy) -> u32 {
        let terms = &policy.terms;
        let approvers = self.approvers(policy.organization, policy.workflow);
        let votes = |asker: InitiatorId| {
            let voters = approvers.iter().filter(|id| self.could_vote(**id, asker, terms.exclude_key_managers));
            (asker, u32::try_from(voters.count()).unwrap_or(u32::MAX))
        };
        let askers = self.askers(policy.organization, policy.workflow);
        let reach: Vec<(InitiatorId, u32)> = askers.into_iter().map(votes).collect();
        let most = reach.iter().map(|(_, votes)| *votes).max().unwrap_or(0);
        let of_rules = terms.rules.iter().filter_map(|rule| {
            let named = |asker| rule.initiators.as_ref().is_none_or(|all| all.contains(asker));
            let most = reach.iter().filter(|(asker, _)| named(asker)).map(|(_, votes)| *votes).max()?;
            Some(rule.quorum.saturating_sub(most))
        });
        of_rules.fold(terms.quorum.saturating_sub(most), u32::max)
    }

    /// Votes of that kind that count: not struck, and their Members still eligible.
    pub fn counted(&self, request: &Request, verdict: &Verdict, decision: Decision) -> u32 {
        let counts = |vote: &&Vote| {
            vote.decision == decision && !vote.struck && self.admits(request, verdict, vote.member).is_ok()
        };
        u32::try_from(request.votes.iter().filter(counts).count()).unwrap_or(u32::MAX)
    }

    /// Whether the votes for, or those against, are enough by the verdict on a request now; never without one.
    pub fn has_enough(&self, request: &Request, decision: Decision) -> bool {
        let Some(verdict) = &request.policy else { return false };
        let needed = match decision {
            Decision::Approve => verdict.quorum,
            Decision::Reject => verdict.reject_quorum,
        };
        self.counted(request, verdict, decision) >= needed
    }

    /// The Members who have not voted on a request and whose votes would count.
    pub fn voters(&self, request: &Request, verdict: &Verdict) -> Vec<MemberId> {
        let voted = |member: &MemberId| request.votes.iter().any(|vote| vote.member == *member && !vote.struck);
        let mut all = self.admitted(&self.criteria(request, verdict));
        all.retain(|member| !voted(member));
        all
    }
}

/// Which requests can still reach their quorums. Thousands may be pending, so whose votes count is found out once for
/// all that are alike in what decides it.
pub struct Prospects<'a> {
    electorate: Electorate<'a>,
    admitted: BTreeMap<Criteria<'a>, u32>,
}

impl<'a> Prospects<'a> {
    /// With the votes of this electorate.
    pub fn new(electorate: Electorate<'a>) -> Prospects<'a> {
        Prospects { electorate, admitted: BTreeMap::new() }
    }

    /// Whether a request can still reach its quorum: if all approve whose votes count, except those who voted against it.
    pub fn can_pass(&mut self, request: &Request, verdict: &Verdict) -> bool {
        let electorate = self.electorate;
        let criteria = electorate.criteria(request, verdict);
        let count = || u32::try_from(electorate.admitted(&criteria).len()).unwrap_or(u32::MAX);
        let admitted = *self.admitted.entry(criteria).or_insert_with(count);
        admitted.saturating_sub(electorate.counted(request, verdict, Decision::Reject)) >= verdict.quorum
    }
}

/// Refuses a change that would leave a policy that nobody can satisfy, or a pending request without enough approvers
/// unless that is accepted (rule 23). Only what the change makes worse counts.
pub fn keeps_quorums(state: &State, changed: &Member, strand_pending: bool) -> Result<(), Reject> {
    let now = Electorate::now(state);
    let after = Electorate { changed: Some(changed), ..now };
    for policy in state.policies.of(changed.organization) {
        let lacking = after.lacking(&policy);
        if lacking > now.lacking(&policy) {
            let name = policy.workflow.name();
            let advice = format!(
                "whoever asked, requests of {name} would lack {lacking} of the votes they need; change its policy first"
            );
            return Err(Reject::field(Code::ImpossibleQuorum, "member_id", advice));
        }
    }
    let mut after = Prospects::new(after);
    strands_nothing(state, changed.organization, strand_pending, |request, verdict| after.can_pass(request, verdict))
}

/// As [`keeps_quorums`], for a Member becoming a manager of a key, whose record would be `key`: from then on the
/// Member's votes on its requests do not count (rule 22).
pub fn keeps_approvers(state: &State, key: &ServiceUser, strand_pending: bool) -> Result<(), Reject> {
    let mut after = Prospects::new(Electorate { key: Some(key), ..Electorate::now(state) });
    strands_nothing(state, key.organization, strand_pending, |request, verdict| after.can_pass(request, verdict))
}

/// Refuses if a pending request that votes could complete now could not be completed afterwards, as `passes` says,
/// unless stranding is accepted.
pub fn strands_nothing(
    state: &State,
    organization: OrganizationId,
    strand_pending: bool,
    mut passes: impl FnMut(&Request, &Verdict) -> bool,
) -> Result<(), Reject> {
    if strand_pending {
        return Ok(());
    }
    let mut now = Prospects::new(Electorate::now(state));
    for request in state.approvals.pending(organization) {
        let strands = |verdict: &Verdict| !passes(request, verdict) && now.can_pass(request, verdict);
        if request.policy.as_ref().is_some_and(strands) {
            let advice = format!("request {} would lack approvers; decide it first or set strand_pending", request.id);
            return Err(Reject::field(Code::ImpossibleQuorum, "strand_pending", advice));
        }
    }
    Ok(())
}
