//! The one queue of governed work. It knows no workflow by name: a workflow file judges and carries out.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::members::Members;
use super::policy::Policy;
use super::query::Can;
use super::reject::{Code, Reject};
use super::state::State;
use super::workflows::Action;
use crate::access::workflow::{Permission, Workflow};
use crate::domain::canonical::Canonical;
use crate::domain::ids::{MemberId, OrganizationId, RequestId, ServiceUserId};
use crate::domain::limits::PAGE_MAX;
use crate::domain::text::ClientId;
use crate::domain::time::Moment;

/// Who asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Initiator {
    /// A Member, with the name at that time.
    Member(MemberId, String),
    /// A Service User, with the name at that time.
    ServiceUser(ServiceUserId, String),
}

/// Where a request is. All but `Pending` are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RequestState {
    /// Waiting for votes.
    Pending,
    /// Completed by votes.
    Approved,
    /// Completed by Execute, or because no policy governs.
    Executed,
    /// Ended by votes against it.
    Rejected,
    /// Taken back by its initiator, or its initiator left.
    Canceled,
    /// Its time ran out.
    Expired,
    /// It could not be carried out any more.
    Failed,
}

/// For or against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Decision {
    /// For.
    Approve,
    /// Against.
    Reject,
}

/// A vote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// Whose.
    pub member: MemberId,
    /// The name at that time.
    pub name: String,
    /// Which way.
    pub decision: Decision,
    /// When.
    pub at: Moment,
    /// Comment or reason.
    pub comment: Option<String>,
    /// Struck when its Member lost the right to vote (rule 22).
    pub struck: bool,
}

/// A request as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Its id.
    pub id: RequestId,
    /// Whose queue.
    pub organization: OrganizationId,
    /// Which workflow governs it.
    pub workflow: Workflow,
    /// What will be done.
    pub action: Action,
    /// Who asked.
    pub initiator: Initiator,
    /// The initiator's own id for it, kept for ever (rule 30).
    pub client_id: Option<ClientId>,
    /// When.
    pub created_at: Moment,
    /// When its time runs out.
    pub expires_at: Moment,
    /// What an approver sees of it.
    pub payload: Canonical,
    /// Lower-case hex SHA-256 of what an approver must see (rule 24).
    pub digest: String,
    /// The policy pinned when it was made; `None` when none governed.
    pub pinned: Option<Policy>,
    /// What counts: the stricter of the pinned and the present policy (rule 20).
    pub policy: Option<Policy>,
    /// Votes in order.
    pub votes: Vec<Vote>,
    /// Where it is.
    pub state: RequestState,
    /// Why it failed or was rejected.
    pub reason: Option<String>,
}

/// The queue. Requests are kept for ever: their initiators' `client_id`s are, too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approvals {
    all: BTreeMap<RequestId, Request>,
    by_organization: BTreeMap<OrganizationId, Vec<RequestId>>,
    pending: BTreeMap<OrganizationId, BTreeSet<RequestId>>,
    expiries: BTreeSet<(Moment, RequestId)>,
    by_client_id: BTreeMap<(MemberId, ClientId), RequestId>,
}

impl Approvals {
    /// Folds a request in.
    pub fn apply(&mut self, request: &Request) {
        let pending = self.pending.entry(request.organization).or_default();
        if let Some(before) = self.all.insert(request.id, request.clone()) {
            self.expiries.remove(&(before.expires_at, before.id));
        } else {
            self.by_organization.entry(request.organization).or_default().push(request.id);
            if let (Initiator::Member(member, _), Some(id)) = (&request.initiator, request.client_id) {
                self.by_client_id.insert((*member, id), request.id);
            }
        }
        if request.state == RequestState::Pending {
            pending.insert(request.id);
            self.expiries.insert((request.expires_at, request.id));
        } else {
            pending.remove(&request.id);
        }
    }

    /// A request of that Organization.
    pub fn find(&self, organization: OrganizationId, id: RequestId) -> Result<&Request, Reject> {
        let found = self.all.get(&id).filter(|request| request.organization == organization);
        found.ok_or_else(|| {
            Reject::field(Code::UnknownRequest, "request_id", "name a request of your Organization that you may view")
        })
    }

    /// The request that a Member's own id was given to.
    pub fn named(&self, member: MemberId, id: ClientId) -> Option<&Request> {
        self.by_client_id.get(&(member, id)).and_then(|id| self.all.get(id))
    }

    /// Pending requests of an Organization, oldest first.
    pub fn pending(&self, organization: OrganizationId) -> Vec<Request> {
        let ids = self.pending.get(&organization).into_iter().flatten();
        ids.filter_map(|id| self.all.get(id).cloned()).collect()
    }

    /// How many requests of an Organization are pending.
    pub fn pending_count(&self, organization: OrganizationId) -> usize {
        self.pending.get(&organization).map_or(0, BTreeSet::len)
    }

    /// Pending requests whose time has run out, the earliest first.
    pub fn expired(&self, now: Moment) -> Vec<RequestId> {
        self.expiries.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| *id).collect()
    }

    /// A request by its id.
    pub fn get(&self, id: RequestId) -> Option<&Request> {
        self.all.get(&id)
    }

    /// Requests that a Member may view, newest first, with what the Member may do with each now.
    pub fn visible(
        &self,
        state: &State,
        member: MemberId,
        only: Option<RequestState>,
        workflow: Option<Workflow>,
    ) -> Vec<(Request, Can)> {
        let organization = state.members.member(member).organization;
        let ids = self.by_organization.get(&organization).into_iter().flatten().rev();
        let wanted = |request: &&Request| {
            only.is_none_or(|only| only == request.state)
                && workflow.is_none_or(|workflow| workflow == request.workflow)
                && may_view(&state.members, request, member)
        };
        let found = ids.filter_map(|id| self.all.get(id)).filter(wanted).take(PAGE_MAX);
        found.map(|request| (request.clone(), can(state, request, member))).collect()
    }
}

/// Whether a Member may see a request: View on its workflow or on the one whose policy judges it, or it is
/// the Member's own.
pub fn may_view(members: &Members, request: &Request, member: MemberId) -> bool {
    let judged = request.policy.as_ref().map(|policy| policy.workflow);
    let views = |workflow| members.may(member, workflow, Permission::View);
    views(request.workflow) || judged.is_some_and(views) || own(request, member)
}

fn own(request: &Request, member: MemberId) -> bool {
    matches!(request.initiator, Initiator::Member(initiator, _) if initiator == member)
}

/// What a Member may do with a request now.
pub fn can(state: &State, request: &Request, member: MemberId) -> Can {
    if request.state != RequestState::Pending {
        return Can::default();
    }
    let votes = may_vote(state, request, member).is_ok();
    Can {
        approve: votes,
        reject: votes,
        execute: may_execute(state, request, member).is_ok(),
        cancel: own(request, member),
    }
}

/// Whether a Member may vote on a pending request, and if not, why (rules 22, 23).
pub fn may_vote(state: &State, request: &Request, member: MemberId) -> Result<(), Reject> {
    if own(request, member) {
        return Err(Reject::field(Code::OwnRequest, "request_id", "another Member has to decide"));
    }
    let policy = request.policy.as_ref().ok_or(Code::NotPending)?;
    if !state.members.may(member, policy.workflow, Permission::Approve) {
        return Err(not_eligible("Approve on the workflow and verified KYC are needed"));
    }
    if excluded(state, request, policy, member) {
        return Err(not_eligible("who manages the asking key does not decide on its requests"));
    }
    if request.votes.iter().any(|vote| vote.member == member && !vote.struck) {
        return Err(not_eligible("one vote per Member"));
    }
    Ok(())
}

/// Whether a Member may complete a pending request at once (rule 19).
pub fn may_execute(state: &State, request: &Request, member: MemberId) -> Result<(), Reject> {
    let policy = request.policy.as_ref().ok_or(Code::NotPending)?;
    let asked_by_member = matches!(request.initiator, Initiator::Member(..));
    if !asked_by_member || !policy.terms.allow_execute {
        return Err(Reject::field(Code::ExecuteNotAllowed, "request_id", "it is completed by votes"));
    }
    if !state.members.may(member, policy.workflow, Permission::Execute) {
        return Err(not_eligible("Execute on the workflow and verified KYC are needed"));
    }
    Ok(())
}

fn not_eligible(why: &str) -> Reject {
    Reject::field(Code::NotEligible, "request_id", why)
}

fn excluded(state: &State, request: &Request, policy: &Policy, member: MemberId) -> bool {
    match request.initiator {
        Initiator::ServiceUser(id, _) => {
            policy.terms.exclude_key_managers && state.keys.service_user(id).managers.contains(&member)
        }
        Initiator::Member(..) => false,
    }
}

/// Votes of that kind that count now: not struck, and their Members still eligible.
pub fn counted(state: &State, request: &Request, policy: &Policy, decision: Decision) -> u32 {
    let counts = |vote: &&Vote| {
        vote.decision == decision
            && !vote.struck
            && state.members.may(vote.member, policy.workflow, Permission::Approve)
            && !excluded(state, request, policy, vote.member)
    };
    u32::try_from(request.votes.iter().filter(counts).count()).unwrap_or(u32::MAX)
}

/// Whether the eligible Members could still bring a request to the quorum of `policy`.
pub fn can_pass(state: &State, request: &Request, policy: &Policy) -> bool {
    let eligible = |member: &&super::members::Member| {
        !own(request, member.id)
            && state.members.may(member.id, policy.workflow, Permission::Approve)
            && !excluded(state, request, policy, member.id)
            && !request.votes.iter().any(|vote| vote.member == member.id && !vote.struck)
    };
    let open = state.members.of(request.organization).filter(eligible).count();
    let have = counted(state, request, policy, Decision::Approve);
    u32::try_from(open).unwrap_or(u32::MAX).saturating_add(have) >= policy.terms.quorum
}

/// The digest of what an approver must see (rule 24).
pub fn digest(organization: &str, request: &Request) -> String {
    let (kind, id) = match &request.initiator {
        Initiator::Member(id, _) => ("member", id.to_string()),
        Initiator::ServiceUser(id, _) => ("service_user", id.to_string()),
    };
    let policy = request.policy.as_ref().map_or(Canonical::Null, |policy| {
        Canonical::object([
            ("version", Canonical::count(policy.version.into())),
            ("quorum", Canonical::count(policy.terms.quorum.into())),
        ])
    });
    Canonical::object([
        ("organization", Canonical::text(organization)),
        ("request_id", Canonical::text(request.id)),
        ("workflow", Canonical::text(request.workflow.name())),
        ("action", Canonical::text(request.action.name())),
        ("initiator", Canonical::object([("type", Canonical::text(kind)), ("id", Canonical::text(id))])),
        ("created_at", Canonical::text(request.created_at)),
        ("expires_at", Canonical::text(request.expires_at)),
        ("payload", request.payload.clone()),
        ("policy", policy),
    ])
    .digest()
}
