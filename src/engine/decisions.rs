//! All that changes a request: opening, votes, Execute, cancel, expiry. Immediate execution takes the same path without
//! waiting for votes.

use super::approvals::{
    Decision, Initiator, InitiatorId, Request, RequestState, Vote, digest, may_execute, may_view, may_vote,
    not_eligible, unknown_request,
};
use super::caller::MemberCaller;
use super::command::{Ballot, Initiation};
use super::electorate::Electorate;
use super::event::Event;
use super::fields::check_comment;
use super::members::{CodePurpose, check_code};
use super::policy::{Policies, Verdict};
use super::reject::{Code, Reject};
use super::reply::Reply;
use super::state::State;
use super::transition::Transition;
use super::withdrawals::{self, Withdrawal};
use super::workflows::{self, Change, Draft, InitiationContext};
use crate::access::workflow::Permission;
use crate::domain::ids::{MemberId, OrganizationId, RequestId};
use crate::domain::limits::{REQUEST_EXPIRY_US, VOTES_MAX};

/// A governed change asked for by a Member.
pub fn initiate(
    t: &mut Transition<'_>,
    caller: MemberCaller,
    change: &Change,
    initiation: &Initiation,
) -> Result<Reply, Reject> {
    let state = t.state();
    if let Some(first) = initiation.client_id.and_then(|id| state.approvals.find_by_client_id(caller.id, id)) {
        return match first.change == *change && first.strand_pending == initiation.strand_pending {
            true => Ok(Reply::Request(Box::new(first.clone()))),
            false => Err(Reject::field(Code::ClientIdNotUnique, "client_id", "it names another request")),
        };
    }
    let context = InitiationContext {
        organization: caller.organization,
        account: caller.account,
        initiator: Initiator::Member(caller.id, state.members.member(caller.id).name.clone()),
        client_id: initiation.client_id,
        generated: initiation.generated.clone(),
        strand_pending: initiation.strand_pending,
    };
    let (draft, verdict) = judge(t, change, &context, initiation.execute)?;
    if let Some(verdict) = verdict.as_ref().filter(|_| initiation.execute) {
        if !verdict.allow_execute {
            return Err(Reject::field(Code::ExecuteNotAllowed, "execute", "it is completed by votes"));
        }
        if !state.members.may(caller.id, verdict.workflow, Permission::Execute) {
            return Err(Reject::field(Code::NotEligible, "execute", "Execute on the workflow is needed"));
        }
    }
    if initiation.execute || verdict.is_none() {
        spend_code(t, caller.id, initiation.step, "it takes effect at once; give a one-time code")?;
    }
    Ok(Reply::Request(Box::new(open(t, change.clone(), context, draft, verdict, initiation.execute))))
}

/// Checks a change and judges it by the policy that governs it; the verdict is `None` when none does. One that would have
/// to wait while the queue is full is refused before its check, which may go through all that is pending.
pub fn judge(
    t: &Transition<'_>,
    change: &Change,
    context: &InitiationContext,
    execute: bool,
) -> Result<(Draft, Option<Verdict>), Reject> {
    let (state, change) = (t.state(), change.governed());
    let policy = change.governing(&state.policies, context.organization);
    if policy.is_some() && !execute {
        state.approvals.admit(context.organization, &context.initiator)?;
    }
    let draft = change.check(t, context)?;
    let verdict = policy.map(|policy| policy.verdict(draft.subject.as_ref()));
    Ok((draft, verdict))
}

/// Checks the action code that something needs, without spending it, and returns its step (rule 15).
fn action_code(t: &Transition<'_>, member: MemberId, step: Option<u64>, why: &'static str) -> Result<u64, Reject> {
    let step = step.ok_or_else(|| Reject::field(Code::CodeNeeded, "otp", why))?;
    check_code(t, member, CodePurpose::Action, step)?;
    Ok(step)
}

/// Spends the action code that something needs (rule 15); `why` is the advice if none was given.
pub(super) fn spend_code(
    t: &mut Transition<'_>,
    member: MemberId,
    step: Option<u64>,
    why: &'static str,
) -> Result<(), Reject> {
    let step = action_code(t, member, step, why)?;
    t.emit(Event::CodeSpent { member, purpose: CodePurpose::Action, step });
    Ok(())
}

/// Puts a checked change into the queue, or carries it out if no vote is needed (rule 18).
pub fn open(
    t: &mut Transition<'_>,
    change: Change,
    context: InitiationContext,
    draft: Draft,
    verdict: Option<Verdict>,
    execute: bool,
) -> Request {
    let at_once = execute || verdict.is_none();
    let life = verdict.as_ref().map_or(REQUEST_EXPIRY_US, Verdict::life_us);
    let mut request = Request {
        id: RequestId(t.next_seq().0),
        organization: context.organization,
        workflow: change.governed().workflow(),
        account: context.account,
        change,
        generated: context.generated,
        withdrawal: draft.withdrawal.as_ref().map(|withdrawal| withdrawal.id),
        strand_pending: context.strand_pending,
        initiator: context.initiator,
        client_id: context.client_id,
        created_at: t.now(),
        expires_at: t.now().plus_us(life),
        payload: workflows::shown(draft.payload, context.strand_pending),
        digest: String::new(),
        subject: draft.subject,
        pinned: verdict.clone(),
        policy: verdict,
        votes: Vec::new(),
        state: RequestState::Pending,
        reason: None,
        ended_by: None,
    };
    request.digest = digest(&t.state().members.organization(request.organization).name, &request);
    if let Some(withdrawal) = draft.withdrawal {
        let withdrawal = Box::new(Withdrawal { request: Some(request.id), ..*withdrawal });
        t.emit(Event::WithdrawalChanged { withdrawal, postings: Vec::new() });
    }
    if at_once {
        request.change.governed().carry_out(t, &request, true);
        request.state = RequestState::Executed;
        if let Initiator::Member(id, name) = &request.initiator {
            request.ended_by = Some((*id, name.clone()));
        }
    }
    t.emit(Event::RequestChanged { request: Box::new(request.clone()), before: None });
    request
}

/// `approve` and `reject`: each ballot is judged alone; one code carries them all (rule 15).
pub fn vote(
    t: &mut Transition<'_>,
    caller: MemberCaller,
    decision: Decision,
    ballots: &[Ballot],
    step: Option<u64>,
    comment: Option<&str>,
) -> Result<Reply, Reject> {
    let field = if decision == Decision::Reject { "reason" } else { "comment" };
    check_ballots(ballots, field, comment)?;
    let mut code = None;
    if decision == Decision::Approve {
        code = Some(action_code(t, caller.id, step, "approving needs a one-time code")?);
    }
    let mut judge = |t: &mut Transition<'_>, ballot: &Ballot| {
        let request = ballot_request(t, caller, ballot)?;
        may_vote(t.state(), &request, caller.id, decision)?;
        if decision == Decision::Approve {
            request.change.governed().allowed(t.state(), request.organization)?;
        }
        spend_once(t, caller.id, &mut code);
        Ok(cast(t, caller.id, request, decision, comment))
    };
    Ok(Reply::Votes(ballots.iter().map(|ballot| (ballot.request, judge(t, ballot))).collect()))
}

/// `execute`: completes Members' requests where both policies let it (rules 19, 20).
pub fn execute(
    t: &mut Transition<'_>,
    caller: MemberCaller,
    ballots: &[Ballot],
    step: Option<u64>,
    comment: Option<&str>,
) -> Result<Reply, Reject> {
    check_ballots(ballots, "comment", comment)?;
    let mut code = Some(action_code(t, caller.id, step, "completing needs a one-time code")?);
    let mut judge = |t: &mut Transition<'_>, ballot: &Ballot| {
        let request = ballot_request(t, caller, ballot)?;
        may_execute(t.state(), &request, caller.id)?;
        request.change.governed().allowed(t.state(), request.organization)?;
        spend_once(t, caller.id, &mut code);
        if Electorate::now(t.state()).has_enough(&request, Decision::Reject) {
            return Ok(reject_late(t, request));
        }
        let ended_by = Some(member_with_name(t.state(), caller.id));
        let request = Request { reason: comment.map(str::to_owned), ended_by, ..request };
        Ok(complete(t, request, RequestState::Executed))
    };
    Ok(Reply::Votes(ballots.iter().map(|ballot| (ballot.request, judge(t, ballot))).collect()))
}

/// A Member with the name at this time.
pub(super) fn member_with_name(state: &State, member: MemberId) -> (MemberId, String) {
    (member, state.members.member(member).name.clone())
}

fn spend_once(t: &mut Transition<'_>, member: MemberId, code: &mut Option<u64>) {
    if let Some(step) = code.take() {
        t.emit(Event::CodeSpent { member, purpose: CodePurpose::Action, step });
    }
}

fn check_ballots(ballots: &[Ballot], field: &'static str, comment: Option<&str>) -> Result<(), Reject> {
    if !(1..=VOTES_MAX).contains(&ballots.len()) {
        return Err(Reject::invalid("requests", "name 1 to 50 requests"));
    }
    check_comment(field, comment)
}

/// The request that a ballot names, if it is still pending and exactly as the Member saw it.
fn ballot_request(t: &Transition<'_>, caller: MemberCaller, ballot: &Ballot) -> Result<Request, Reject> {
    let request = t.state().approvals.find(caller.organization, ballot.request)?;
    if !may_view(&t.state().members, request, caller.id) {
        return Err(unknown_request());
    }
    if !request.is_open(t.now()) {
        return Err(Reject::field(Code::NotPending, "request_id", "it is decided already"));
    }
    if request.digest != ballot.digest {
        return Err(Reject::field(Code::DigestChanged, "digest", "look at the request again and send its digest"));
    }
    Ok(request.clone())
}

/// Records a vote, replacing an earlier one of the same Member, and completes or rejects the request if its quorum is
/// now reached.
fn cast(
    t: &mut Transition<'_>,
    member: MemberId,
    mut request: Request,
    decision: Decision,
    comment: Option<&str>,
) -> Request {
    let (member, name) = member_with_name(t.state(), member);
    let comment = comment.map(str::to_owned);
    request.votes.retain(|vote| vote.member != member || vote.struck);
    let vote = Vote { member, name: name.clone(), decision, at: t.now(), comment: comment.clone(), struck: false };
    request.votes.push(vote);
    let ended_by = Some((member, name));
    let has_enough = |decision| Electorate::now(t.state()).has_enough(&request, decision);
    match decision {
        Decision::Reject if has_enough(Decision::Reject) => {
            let reason = comment.unwrap_or_else(|| "rejected".to_owned());
            finish(t, Request { ended_by, ..request }, RequestState::Rejected, reason)
        }
        Decision::Approve if has_enough(Decision::Reject) => reject_late(t, request),
        Decision::Approve if has_enough(Decision::Approve) => {
            complete(t, Request { ended_by, ..request }, RequestState::Approved)
        }
        Decision::Approve | Decision::Reject => changed(t, request),
    }
}

/// Ends a request that has had enough votes against it since something else than a vote changed: under another policy
/// fewer are enough, and votes count again once their Member manages the asking key no longer.
fn reject_late(t: &mut Transition<'_>, request: Request) -> Request {
    finish(t, request, RequestState::Rejected, "rejected: by now the votes against it are enough".to_owned())
}

/// Carries a request out if it is still sound, else ends it as failed, with the reason (rule 25).
fn complete(t: &mut Transition<'_>, mut request: Request, state: RequestState) -> Request {
    match workflows::recheck(t.state(), &request, t.now()) {
        Ok(()) => {
            request.change.governed().carry_out(t, &request, false);
            request.state = state;
            changed(t, request)
        }
        Err(reject) => finish(t, request, RequestState::Failed, reject.text()),
    }
}

/// Ends a request that was not carried out. If its time is over it has expired, whatever ends it before Tick does
/// (rule 39).
fn finish(t: &mut Transition<'_>, request: Request, state: RequestState, reason: String) -> Request {
    match request.is_open(t.now()) {
        true => release(t, request, state, reason),
        false => expire(t, request),
    }
}

fn expire(t: &mut Transition<'_>, request: Request) -> Request {
    release(t, request, RequestState::Expired, "its time ran out".to_owned())
}

/// Releases what a request held, and ends it.
fn release(t: &mut Transition<'_>, mut request: Request, state: RequestState, reason: String) -> Request {
    if let Some(withdrawal) = request.withdrawal {
        withdrawals::cancel_unreleased(t, withdrawal, &reason);
    }
    request.state = state;
    request.reason = Some(reason);
    // A sealed secret is kept only if its key is created (rule 28).
    request.generated = None;
    changed(t, request)
}

fn changed(t: &mut Transition<'_>, request: Request) -> Request {
    t.emit(Event::RequestChanged { request: Box::new(request.clone()), before: Some(RequestState::Pending) });
    request
}

/// `cancel_request`: by its initiator.
pub fn cancel(t: &mut Transition<'_>, caller: MemberCaller, id: RequestId) -> Result<Reply, Reject> {
    let request = t.state().approvals.find(caller.organization, id)?.clone();
    if !may_view(&t.state().members, &request, caller.id) {
        return Err(unknown_request());
    }
    if !request.is_by(caller.id) {
        return Err(not_eligible("only its initiator can cancel it"));
    }
    if !request.is_open(t.now()) {
        return Err(Reject::field(Code::NotPending, "request_id", "it is decided already"));
    }
    let request = Request { ended_by: Some(member_with_name(t.state(), caller.id)), ..request };
    let request = finish(t, request, RequestState::Canceled, "canceled by its initiator".to_owned());
    Ok(Reply::Request(Box::new(request)))
}

/// Ends a pending request for a reason that lies in its subject.
pub fn end(t: &mut Transition<'_>, organization: OrganizationId, id: RequestId, state: RequestState, reason: &str) {
    let pending = t.state().approvals.find(organization, id).ok().cloned();
    if let Some(request) = pending.filter(|request| request.state == RequestState::Pending) {
        finish(t, request, state, reason.to_owned());
    }
}

/// Cancels the requests of an initiator who has left or may ask no more (rules 9, 22), except `by`, which causes it.
pub fn cancel_of(
    t: &mut Transition<'_>,
    organization: OrganizationId,
    asker: InitiatorId,
    by: Option<RequestId>,
    why: &str,
) {
    let is_theirs = |request: &&Request| Some(request.id) != by && request.initiator.id() == asker;
    let pending: Vec<Request> = t.state().approvals.pending(organization).filter(is_theirs).cloned().collect();
    for request in pending {
        finish(t, request, RequestState::Canceled, why.to_owned());
    }
}

/// Strikes the votes of Members who may no longer vote; struck votes do not come back (rule 22).
pub fn strike_votes(t: &mut Transition<'_>, organization: OrganizationId) {
    let members = &t.state().members;
    let with_struck = |request: &Request| {
        let workflow = request.policy.as_ref()?.workflow;
        let lost = |vote: &Vote| !vote.struck && !members.may(vote.member, workflow, Permission::Approve);
        request.votes.iter().any(lost).then(|| {
            let mut request = request.clone();
            request.votes.iter_mut().filter(|vote| lost(vote)).for_each(|vote| vote.struck = true);
            request
        })
    };
    let pending: Vec<Request> = t.state().approvals.pending(organization).filter_map(with_struck).collect();
    for request in pending {
        changed(t, request);
    }
}

/// What applies to a pending request under these policies: the stricter of the verdict pinned when it was made and that
/// of the one that governs it in `policies` (rule 20).
pub fn verdict_under(request: &Request, policies: &Policies) -> Option<Verdict> {
    let pinned = request.pinned.as_ref()?;
    Some(match request.change.governed().governing(policies, request.organization) {
        None => pinned.clone(),
        Some(present) => pinned.stricter(&present.verdict(request.subject.as_ref())),
    })
}

/// After a policy changed: judges pending requests again and, where the verdict differs, pushes them with their new
/// digest (rules 20, 24). One with enough votes against it now ends; one with enough votes for it waits for one more,
/// because nobody gave a code for it in its new form. `by` is the request that changed the policy.
pub fn reevaluate_pending(t: &mut Transition<'_>, organization: OrganizationId, by: RequestId) {
    let pending: Vec<Request> = t.state().approvals.pending(organization).cloned().collect();
    for mut request in pending {
        // A request whose time is over ends with the next tick, whatever the policy says by then.
        let stands = request.id != by && request.is_open(t.now());
        let Some(verdict) = verdict_under(&request, &t.state().policies).filter(|_| stands) else { continue };
        let same = request.policy.as_ref() == Some(&verdict);
        if !same {
            request.expires_at = request.created_at.plus_us(verdict.life_us());
            request.policy = Some(verdict);
            request.digest = digest(&t.state().members.organization(organization).name, &request);
        }
        if Electorate::now(t.state()).has_enough(&request, Decision::Reject) {
            reject_late(t, request);
        } else if !same {
            changed(t, request);
        }
    }
}

/// Ends the requests whose time has run out.
pub fn tick(t: &mut Transition<'_>) {
    while !t.is_long()
        && let Some(request) = t.state().approvals.expired(t.now()).cloned()
    {
        expire(t, request);
    }
}
