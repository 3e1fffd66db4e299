//! The one queue of governed work. It knows no workflow by name: workflow files check and carry out the changes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::ops::Bound;

use serde::{Deserialize, Serialize};

use super::electorate::Electorate;
use super::members::Members;
use super::policy::{Subject, Verdict};
use super::query::{AllowedActions, RequestFilter};
use super::reject::{Code, Reject};
use super::state::State;
use super::workflows::{Change, GeneratedCredential};
use crate::access::workflow::{Permission, Workflow};
use crate::domain::canonical::Canonical;
use crate::domain::ids::{AccountId, MemberId, OrganizationId, RequestId, ServiceUserId, WithdrawalId};
use crate::domain::limits::{
    REQUESTS_ENDED_MAX, REQUESTS_LOOKED_AT_MAX, REQUESTS_OPEN_MAX, SERVICE_USER_REQUESTS_OPEN_MAX,
};
use crate::domain::named::named;
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

/// Who asked, by number alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum InitiatorId {
    /// A Member.
    Member(MemberId),
    /// A Service User.
    ServiceUser(ServiceUserId),
}

impl fmt::Display for InitiatorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InitiatorId::Member(id) => id.fmt(f),
            InitiatorId::ServiceUser(id) => id.fmt(f),
        }
    }
}

impl Initiator {
    /// The number.
    pub fn id(&self) -> InitiatorId {
        match self {
            Initiator::Member(id, _) => InitiatorId::Member(*id),
            Initiator::ServiceUser(id, _) => InitiatorId::ServiceUser(*id),
        }
    }

    fn is_service_user(&self) -> bool {
        matches!(self, Initiator::ServiceUser(..))
    }
}

named! {
    /// The state of a request. All but `Pending` are final.
    pub enum RequestState {
        /// Waiting for votes.
        Pending = "pending",
        /// Completed by votes.
        Approved = "approved",
        /// Completed by Execute, or because no policy governs it.
        Executed = "executed",
        /// Ended by votes against it.
        Rejected = "rejected",
        /// Canceled by its initiator or another key of the account, or because its initiator may not ask any more.
        Canceled = "canceled",
        /// Its time ran out.
        Expired = "expired",
        /// It could not be carried out any more.
        Failed = "failed",
    }
}

named! {
    /// For or against.
    pub enum Decision {
        /// For.
        Approve = "approve",
        /// Against.
        Reject = "reject",
    }
}

/// A vote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// The Member.
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

/// A request as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Its id.
    pub id: RequestId,
    /// Whose queue.
    pub organization: OrganizationId,
    /// Which workflow governs it.
    pub workflow: Workflow,
    /// The account it is about.
    pub account: AccountId,
    /// What will be done, in the values that it was asked for with.
    pub change: Change,
    /// The credential that the gateway generated for it: a key or an invitation.
    pub generated: Option<GeneratedCredential>,
    /// The withdrawal whose funds it holds; its record has fee and resolved address.
    pub withdrawal: Option<WithdrawalId>,
    /// Whether it may leave pending requests without enough approvers.
    pub strand_pending: bool,
    /// Who asked.
    pub initiator: Initiator,
    /// The initiator's own id for it, kept for ever (rule 30).
    pub client_id: Option<ClientId>,
    /// When.
    pub created_at: Moment,
    /// When its time runs out.
    pub expires_at: Moment,
    /// What an approver is shown.
    pub payload: Canonical,
    /// Lower-case hex SHA-256 of what an approver must see (rule 24).
    pub digest: String,
    /// What the rules of a policy are matched against.
    pub subject: Option<Subject>,
    /// The verdict of the policy that governed it when it was made; `None` if none did. The policy itself, with all its
    /// rules, would make each request as large.
    pub pinned: Option<Verdict>,
    /// What applies now: the stricter of the pinned verdict and that of the present policy (rule 20).
    pub policy: Option<Verdict>,
    /// Votes in order.
    pub votes: Vec<Vote>,
    /// Its state.
    pub state: RequestState,
    /// Why it failed or was rejected, or the comment given with Execute.
    pub reason: Option<String>,
    /// The Member who ended it, with the name at that time: by Execute, by the vote that decided it, by asking for what no
    /// policy governs, or by taking it back; of one that failed, who tried. `None` while it is pending, and where a Service
    /// User, time or another change ended it.
    pub ended_by: Option<(MemberId, String)>,
}

impl Request {
    /// Whether it can still be decided at `now`, even if Tick has not run yet (rule 39).
    pub fn is_open(&self, now: Moment) -> bool {
        self.state == RequestState::Pending && now < self.expires_at
    }

    /// Whether the Member asked for it.
    pub fn is_by(&self, member: MemberId) -> bool {
        self.initiator.id() == InitiatorId::Member(member)
    }
}

/// The queue, and the last [`REQUESTS_ENDED_MAX`] ended requests of each Organization. Requests to which a Member gave
/// a `client_id` are kept for ever, as the id is (rule 30).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approvals {
    all: BTreeMap<RequestId, Request>,
    by_organization: BTreeMap<OrganizationId, BTreeSet<RequestId>>,
    pending: BTreeMap<OrganizationId, BTreeSet<RequestId>>,
    expiries: BTreeSet<(Moment, RequestId)>,
    by_client_id: BTreeMap<(MemberId, ClientId), RequestId>,
    /// Ended ones without a `client_id`, in the order in which they ended.
    ended: BTreeMap<OrganizationId, VecDeque<RequestId>>,
    /// How many of the pending ones Service Users asked for.
    pending_of_service_users: BTreeMap<OrganizationId, usize>,
}

impl Approvals {
    /// Applies a request.
    pub fn apply(&mut self, request: &Request) {
        let pending = self.pending.entry(request.organization).or_default();
        if let Some(before) = self.all.insert(request.id, request.clone()) {
            self.expiries.remove(&(before.expires_at, before.id));
        } else {
            self.by_organization.entry(request.organization).or_default().insert(request.id);
            if let Some(name) = name(request) {
                self.by_client_id.insert(name, request.id);
            }
        }
        let of_service_users = self.pending_of_service_users.entry(request.organization).or_default();
        let counted = usize::from(request.initiator.is_service_user());
        if request.state == RequestState::Pending {
            if pending.insert(request.id) {
                *of_service_users += counted;
            }
            self.expiries.insert((request.expires_at, request.id));
        } else {
            if pending.remove(&request.id) {
                *of_service_users -= counted;
            }
            self.end(request);
        }
    }

    /// Records that a request has ended; if too many have, forgets the one that ended first.
    fn end(&mut self, request: &Request) {
        if name(request).is_some() {
            return;
        }
        let ended = self.ended.entry(request.organization).or_default();
        ended.push_back(request.id);
        if ended.len() > REQUESTS_ENDED_MAX
            && let Some(first) = ended.pop_front()
        {
            self.all.remove(&first);
            self.by_organization.entry(request.organization).or_default().remove(&first);
        }
    }

    /// A request of that Organization.
    pub fn find(&self, organization: OrganizationId, id: RequestId) -> Result<&Request, Reject> {
        let found = self.all.get(&id).filter(|request| request.organization == organization);
        found.ok_or_else(unknown_request)
    }

    /// The request that has this `client_id` of a Member.
    pub fn find_by_client_id(&self, member: MemberId, id: ClientId) -> Option<&Request> {
        self.by_client_id.get(&(member, id)).and_then(|id| self.all.get(id))
    }

    /// Pending requests of an Organization, oldest first.
    pub fn pending(&self, organization: OrganizationId) -> impl DoubleEndedIterator<Item = &Request> {
        let ids = self.pending.get(&organization).into_iter().flatten();
        ids.filter_map(|id| self.all.get(id))
    }

    /// How many requests of an Organization are pending.
    pub fn pending_count(&self, organization: OrganizationId) -> usize {
        self.pending.get(&organization).map_or(0, BTreeSet::len)
    }

    /// Refuses another pending request of an initiator for whom the queue is full.
    pub fn admit(&self, organization: OrganizationId, initiator: &Initiator) -> Result<(), Reject> {
        let of_service_users = self.pending_of_service_users.get(&organization).copied().unwrap_or(0);
        let full = |whose: &str, max: usize| {
            let advice = format!("at most {max} pending requests{whose}; decide or cancel some first");
            Err(Reject::advised(Code::LimitReached, advice))
        };
        if self.pending_count(organization) >= REQUESTS_OPEN_MAX {
            full("", REQUESTS_OPEN_MAX)
        } else if initiator.is_service_user() && of_service_users >= SERVICE_USER_REQUESTS_OPEN_MAX {
            full(" of Service Users", SERVICE_USER_REQUESTS_OPEN_MAX)
        } else {
            Ok(())
        }
    }

    /// The pending request whose time ran out first, if one's has.
    pub fn expired(&self, now: Moment) -> Option<&Request> {
        let (_, id) = self.expiries.first().filter(|(at, _)| *at <= now)?;
        self.all.get(id)
    }

    /// A request by its id.
    pub fn get(&self, id: RequestId) -> Option<&Request> {
        self.all.get(&id)
    }

    /// Requests of an Organization from the newest on, or from where the previous page ended. If only pending ones are
    /// wanted, the others are not looked at.
    fn newest_first(&self, organization: OrganizationId, filter: &RequestFilter) -> impl Iterator<Item = &Request> {
        let only_pending = filter.state == Some(RequestState::Pending);
        let ids = if only_pending { &self.pending } else { &self.by_organization };
        let end = filter.before.map_or(Bound::Unbounded, Bound::Excluded);
        let ids = ids.get(&organization).into_iter().flat_map(move |ids| ids.range((Bound::Unbounded, end)).rev());
        ids.filter_map(|id| self.all.get(id))
    }

    /// A page of the requests that a Member may view, newest first, with what the Member may do with each now, and
    /// where the next page begins. It looks at no more than [`REQUESTS_LOOKED_AT_MAX`], so it may be short, or empty, and
    /// the next one go on all the same.
    pub fn page(
        &self,
        state: &State,
        member: MemberId,
        filter: &RequestFilter,
        now: Moment,
    ) -> (Vec<(Request, AllowedActions)>, Option<RequestId>) {
        let organization = state.members.member(member).organization;
        let mut all = self.newest_first(organization, filter);
        let mut last_looked_at = None;
        let looked_at = all.by_ref().take(REQUESTS_LOOKED_AT_MAX).inspect(|request| last_looked_at = Some(request.id));
        let mut wanted =
            looked_at.filter(|request| filter.admits(request) && may_view(&state.members, request, member));
        let shown = |request: &Request| (request.clone(), can(state, request, member, now));
        let page: Vec<_> = wanted.by_ref().take(filter.limit.unwrap_or(usize::MAX)).map(shown).collect();
        let next = match wanted.next() {
            Some(_) => page.last().map(|(last, _)| last.id),
            None => all.next().and(last_looked_at),
        };
        (page, next)
    }
}

/// The Member and the `client_id` that it gave the request.
fn name(request: &Request) -> Option<(MemberId, ClientId)> {
    match request.initiator {
        Initiator::Member(member, _) => Some((member, request.client_id?)),
        Initiator::ServiceUser(..) => None,
    }
}

/// The refusal for a request that does not exist or may not be seen.
pub fn unknown_request() -> Reject {
    Reject::field(Code::UnknownRequest, "request_id", "name a request of your Organization that you may view")
}

/// Whether a Member may see a request: with View on its workflow or on that of the policy that decides on it, or if it
/// is the Member's own.
pub fn may_view(members: &Members, request: &Request, member: MemberId) -> bool {
    let judged = request.policy.as_ref().map(|policy| policy.workflow);
    let views = |workflow| members.may(member, workflow, Permission::View);
    views(request.workflow) || judged.is_some_and(views) || request.is_by(member)
}

/// What a Member may do with a request at `now`, given a fresh code: nothing once its time is over, and in a freeze or a
/// halt only what stops money (rules 15, 27, 35, 39).
pub fn can(state: &State, request: &Request, member: MemberId, now: Moment) -> AllowedActions {
    if !request.is_open(now) {
        return AllowedActions::default();
    }
    let change = request.change.governed();
    let goes_on = state.halted.is_none() && change.allowed(state, request.organization).is_ok();
    let votes = |decision| may_vote(state, request, member, decision).is_ok();
    AllowedActions {
        approve: goes_on && votes(Decision::Approve),
        reject: votes(Decision::Reject),
        execute: goes_on && may_execute(state, request, member).is_ok(),
        cancel: request.is_by(member),
    }
}

/// Whether a Member may vote so on a pending request, and if not, why (rules 22, 23). Who approved may approve again if
/// the approvals are now enough, as under a looser policy: it waits for one more, and all may have voted (rule 20).
pub fn may_vote(state: &State, request: &Request, member: MemberId, decision: Decision) -> Result<(), Reject> {
    let verdict = request.policy.as_ref().ok_or(Code::NotPending)?;
    let electorate = Electorate::now(state);
    electorate.admits(request, verdict, member)?;
    let Some(own) = request.votes.iter().find(|vote| vote.member == member && !vote.struck) else { return Ok(()) };
    let approves = own.decision == Decision::Approve && decision == Decision::Approve;
    if approves && electorate.has_enough(request, Decision::Approve) {
        return Ok(());
    }
    Err(not_eligible("one vote per Member"))
}

/// Whether a Member may complete a pending request at once (rules 19, 23).
pub fn may_execute(state: &State, request: &Request, member: MemberId) -> Result<(), Reject> {
    let verdict = request.policy.as_ref().ok_or(Code::NotPending)?;
    let asked_by_member = matches!(request.initiator, Initiator::Member(..));
    if !asked_by_member || !verdict.allow_execute {
        return Err(Reject::field(Code::ExecuteNotAllowed, "request_id", "it is completed by votes"));
    }
    if !state.members.may(member, verdict.workflow, Permission::Execute) {
        return Err(not_eligible("Execute on the workflow and verified KYC are needed"));
    }
    if request.change.governed().about() == Some(member) && !request.is_by(member) {
        return Err(not_eligible("a Member cannot decide on a request about themselves"));
    }
    Ok(())
}

/// The refusal of a Member's decision on a request.
pub(super) fn not_eligible(why: &str) -> Reject {
    Reject::field(Code::NotEligible, "request_id", why)
}

/// The digest of what an approver must see (rule 24).
pub fn digest(organization: &str, request: &Request) -> String {
    let kind = match &request.initiator {
        Initiator::Member(..) => "member",
        Initiator::ServiceUser(..) => "service_user",
    };
    let id = request.initiator.id();
    let policy = request.policy.as_ref().map_or(Canonical::Null, Verdict::canonical);
    Canonical::object([
        ("organization", Canonical::text(organization)),
        ("request_id", Canonical::text(request.id)),
        ("workflow", Canonical::text(request.workflow.name())),
        ("action", Canonical::text(request.change.governed().name())),
        ("initiator", Canonical::object([("type", Canonical::text(kind)), ("id", Canonical::text(id))])),
        ("created_at", Canonical::text(request.created_at)),
        ("expires_at", Canonical::text(request.expires_at)),
        ("payload", request.payload.clone()),
        ("policy", policy),
    ])
    .digest()
}
