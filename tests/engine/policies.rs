//! Policies: what they ask for, which of two counts, and that they can be met (rules 18, 20, 23, 39).

use countersign::access::scope::ScopeSet;
use countersign::access::workflow::{Permission, Workflow};
use countersign::domain::ids::{MemberId, ServiceUserId};
use countersign::domain::limits::{RULE_NAMES_MAX, RULES_MAX};
use countersign::engine::approvals::{Decision, InitiatorId, RequestState};
use countersign::engine::command::{Ballot, Command, Initiation};
use countersign::engine::event::Event;
use countersign::engine::policy::{PolicyTerms, Rule};
use countersign::engine::reject::Code;
use countersign::engine::reply::Reply;
use countersign::engine::withdrawals::WithdrawalStatus;
use countersign::engine::workflows::Change;
use countersign::engine::workflows::members::{MemberChange, PermissionSets};
use countersign::engine::workflows::policies::PolicyChange;

use super::approvals::{status, terms};
use super::genesis::key;
use super::governance::{edit, joined, set};
use super::world::{SECOND, Stage, bot, member, withdraw};

#[test]
fn rule_18_without_a_policy_the_right_to_ask_suffices() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], false);
    let withdrawal = stage.withdrawal(&bot(1), withdraw("1", None));
    let request = stage.request(withdrawal.request.unwrap()).clone();
    assert_eq!((request.state, request.policy, request.votes.len()), (RequestState::Executed, None, 0));
    assert_eq!(status(&stage, withdrawal.id), WithdrawalStatus::Pending);
}

#[test]
fn rule_20_the_stricter_policy_counts_and_its_digest_is_new() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], true);
    let request = stage.withdrawal(&bot(1), withdraw("1", None)).request.unwrap();
    let before = stage.request(request).digest.clone();
    // There are two eligible Members: Alice and Bob.
    stage.initiate(&member(1), set(Workflow::InitiateWithdrawal, terms(2))).unwrap();
    assert_ne!(stage.request(request).digest, before);
    let stale = vec![Ballot { request, digest: before }];
    let step = Some(stage.step());
    let vote = Command::Vote { decision: Decision::Approve, ballots: stale, step, comment: None };
    let Reply::Votes(votes) = stage.run(&member(2), vote).unwrap() else { panic!("votes") };
    assert_eq!(votes[0].1.as_ref().unwrap_err().code, Code::DigestChanged);
    assert_eq!(stage.vote(&member(2), Decision::Approve, request).unwrap().state, RequestState::Pending);
    assert_eq!(stage.vote(&member(1), Decision::Approve, request).unwrap().state, RequestState::Approved);
}

/// Ten thousand may wait, and each is in memory, in the journal and with all who follow `approvals`.
#[test]
fn rule_20_a_request_keeps_the_verdict_of_a_policy_and_not_all_its_rules() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], false);
    let keys = Some((0..RULE_NAMES_MAX).map(|number| format!("warm-{number}")).collect());
    let rules = vec![Rule { keys, quorum: 1, ..Rule::default() }; RULES_MAX];
    stage.initiate(&member(1), set(Workflow::InitiateWithdrawal, PolicyTerms { rules, ..terms(1) })).unwrap();
    let request = stage.withdrawal(&bot(1), withdraw("1", None)).request.unwrap();
    assert_eq!(stage.state_of(request), RequestState::Pending);
    let of_it = |event: &&Event| matches!(event, Event::RequestChanged { request: of, .. } if of.id == request);
    let made = stage.events.iter().map(|(_, event)| event).find(of_it).unwrap();
    let bytes = postcard::to_allocvec(made).unwrap().len();
    assert!(bytes < 4_096, "{bytes}");
}

#[test]
fn rule_20_what_has_its_quorum_once_all_have_voted_takes_an_approval_given_anew() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], false);
    let number = joined(&mut stage, "dora", &[Permission::Approve]);
    let dora = member(number);
    let of_withdrawals = |quorum| set(Workflow::InitiateWithdrawal, PolicyTerms { reject_quorum: 2, ..terms(quorum) });
    stage.initiate(&member(1), of_withdrawals(2)).unwrap();
    stage.initiate(&member(1), set(Workflow::ManagePolicies, terms(1))).unwrap();
    let request = stage.withdrawal(&bot(1), withdraw("1", None)).request.unwrap();
    let changed = |stage: &mut Stage, quorum| {
        let change = stage.initiate(&member(1), of_withdrawals(quorum)).unwrap();
        assert_eq!(stage.vote(&member(2), Decision::Approve, change.id).unwrap().state, RequestState::Approved);
    };
    changed(&mut stage, 3);
    for (voter, decision) in [(member(1), Decision::Approve), (member(2), Decision::Approve), (dora, Decision::Reject)]
    {
        assert_eq!(stage.vote(&voter, decision, request).unwrap().state, RequestState::Pending);
    }
    let again = |stage: &mut Stage, voter, decision| stage.vote(&voter, decision, request).map_err(|why| why.code);
    assert_eq!(again(&mut stage, member(1), Decision::Approve), Err(Code::NotEligible), "one vote each");
    changed(&mut stage, 2);
    assert_eq!(stage.state_of(request), RequestState::Pending, "nobody gave a code for what it is now");
    for (voter, decision) in [(member(1), Decision::Reject), (dora, Decision::Approve), (dora, Decision::Reject)] {
        assert_eq!(again(&mut stage, voter, decision), Err(Code::NotEligible), "one vote each");
    }
    let done = again(&mut stage, member(1), Decision::Approve).unwrap();
    assert_eq!(done.state, RequestState::Approved);
    let votes: Vec<_> = done.votes.iter().map(|vote| (vote.member.0, vote.decision)).collect();
    assert_eq!(votes, [(2, Decision::Approve), (number, Decision::Reject), (1, Decision::Approve)]);
}

/// Rule 39: its time is over, even if no tick has run since.
#[test]
fn rule_20_a_looser_policy_does_not_bring_back_what_has_expired() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], false);
    let lasting = |expires_after_s| set(Workflow::InitiateWithdrawal, PolicyTerms { expires_after_s, ..terms(1) });
    stage.initiate(&member(1), lasting(600)).unwrap();
    let request = stage.withdrawal(&bot(1), withdraw("1", None)).request.unwrap();
    stage.initiate(&member(1), lasting(60)).unwrap();
    stage.now = stage.now.plus_us(60 * SECOND);
    stage.initiate(&member(1), lasting(600)).unwrap();
    assert_eq!(stage.vote(&member(2), Decision::Approve, request).unwrap_err().code, Code::NotPending);
    stage.tick(0);
    assert_eq!(stage.state_of(request), RequestState::Expired);
}

#[test]
fn rule_23_an_impossible_quorum_is_refused() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], true);
    let refusal = stage.initiate(&member(1), set(Workflow::ManageAddresses, terms(4))).unwrap_err();
    assert_eq!(refusal.code, Code::ImpossibleQuorum);
    assert_eq!(
        stage.initiate(&member(1), set(Workflow::ManageAddresses, terms(0))).unwrap_err().code,
        Code::InvalidArguments
    );
}

#[test]
fn rule_23_a_policy_needs_somebody_who_asks_and_enough_others_who_vote() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], false);
    let refused = |stage: &mut Stage, change| {
        let refusal = stage.initiate(&member(1), change).unwrap_err();
        (refusal.code, refusal.field)
    };
    let impossible = (Code::ImpossibleQuorum, Some("quorum"));
    // Alice and Bob approve, but Alice alone may ask, and never votes on her own request.
    for workflow in [Workflow::ManagePolicies, Workflow::ManageAccess, Workflow::ManageAddresses] {
        assert_eq!(refused(&mut stage, set(workflow, terms(2))), impossible);
    }
    let alice = InitiatorId::Member(MemberId(1));
    let asked_by = |initiators: &[InitiatorId]| {
        let rule = Rule { initiators: Some(initiators.to_vec()), quorum: 2, ..Rule::default() };
        set(Workflow::InitiateWithdrawal, PolicyTerms { rules: vec![rule], ..terms(1) })
    };
    assert_eq!(refused(&mut stage, asked_by(&[alice])), impossible, "Bob alone votes on hers");
    let both = [alice, InitiatorId::ServiceUser(ServiceUserId(1))];
    stage.initiate(&member(1), asked_by(&both)).expect("both vote on what the key asks for");
    let dora = joined(&mut stage, "dora", &[Permission::Initiate]);
    let second = stage.initiate(&member(1), set(Workflow::ManagePolicies, terms(2))).unwrap();
    assert_eq!(second.state, RequestState::Executed, "Dora may ask, and both vote");
    let gone = (Code::ImpossibleQuorum, Some("member_id"));
    assert_eq!(refused(&mut stage, edit(dora, PermissionSets::new(), Some(true))), gone, "nobody else could ask");
    assert_eq!(refused(&mut stage, Change::Members(MemberChange::Remove { member: MemberId(2) })), gone);
}

#[test]
fn rule_23_who_is_named_in_a_rule_may_leave() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], false);
    let dora = joined(&mut stage, "dora", &[Permission::Initiate]);
    let initiators = Some(vec![InitiatorId::Member(MemberId(dora))]);
    let rules = vec![Rule { initiators, quorum: 2, ..Rule::default() }];
    stage.initiate(&member(1), set(Workflow::InitiateWithdrawal, PolicyTerms { rules, ..terms(1) })).unwrap();
    stage.initiate(&member(1), Change::Members(MemberChange::Remove { member: MemberId(dora) })).unwrap();
}

#[test]
fn rule_20_a_stricter_reject_quorum_ends_what_has_as_many_votes_against_it() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], false);
    let patient = PolicyTerms { reject_quorum: 2, ..terms(1) };
    stage.initiate(&member(1), set(Workflow::InitiateWithdrawal, patient)).unwrap();
    let withdrawal = stage.withdrawal(&bot(1), withdraw("1", None));
    let other = stage.withdrawal(&bot(1), withdraw("1", None));
    let request = withdrawal.request.unwrap();
    assert_eq!(stage.vote(&member(2), Decision::Reject, request).unwrap().state, RequestState::Pending);
    let stricter = stage.initiate(&member(1), set(Workflow::InitiateWithdrawal, terms(1))).unwrap();
    assert_eq!(stage.vote(&member(2), Decision::Approve, stricter.id).unwrap().state, RequestState::Approved);
    assert_eq!(stage.state_of(request), RequestState::Rejected);
    assert_eq!(status(&stage, withdrawal.id), WithdrawalStatus::Canceled);
    assert_eq!(stage.vote(&member(1), Decision::Approve, request).unwrap_err().code, Code::NotPending);
    assert_eq!(
        stage.vote(&member(1), Decision::Approve, other.request.unwrap()).unwrap().state,
        RequestState::Approved
    );
}

#[test]
fn rule_39_what_a_stricter_policy_ends_has_expired_if_by_its_terms_the_time_is_over() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], false);
    let patient = PolicyTerms { reject_quorum: 2, ..PolicyTerms::of(1) };
    stage.initiate(&member(1), set(Workflow::InitiateWithdrawal, patient)).unwrap();
    let request = stage.withdrawal(&bot(1), withdraw("1", None)).request.unwrap();
    stage.vote(&member(2), Decision::Reject, request).unwrap();
    stage.tick(2 * 3_600 * SECOND);
    // An hour, and one vote against it.
    let stricter = stage.initiate(&member(1), set(Workflow::InitiateWithdrawal, terms(1))).unwrap();
    stage.vote(&member(2), Decision::Approve, stricter.id).unwrap();
    let ended = stage.request(request);
    assert_eq!((ended.state, ended.reason.as_deref()), (RequestState::Expired, Some("its time ran out")));
}

#[test]
fn rule_23_a_policy_is_not_removed_from_what_then_lacks_approvers_unless_that_is_accepted() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], true);
    let looser = PolicyTerms { allow_execute: true, ..terms(1) };
    let waiting = stage.initiate(&member(1), set(Workflow::InitiateWithdrawal, looser)).unwrap();
    stage.initiate(&member(1), set(Workflow::ManagePolicies, terms(1))).unwrap();
    let tighter = stage.initiate(&member(1), set(Workflow::InitiateWithdrawal, terms(2))).unwrap();
    assert_eq!(stage.vote(&member(2), Decision::Approve, tighter.id).unwrap().state, RequestState::Approved);
    // Without its own policy it is judged by that of withdrawals again, which needs two votes by now.
    let remove = Change::Policies(PolicyChange::Remove { workflow: Workflow::ManagePolicies });
    let refusal = stage.initiate(&member(1), remove.clone()).unwrap_err();
    assert_eq!((refusal.code, refusal.field), (Code::ImpossibleQuorum, Some("strand_pending")));
    let initiation = Initiation { strand_pending: true, ..stage.asked(&remove) };
    let Reply::Request(removed) = stage.run(&member(1), Command::Initiate(Box::new(remove), initiation)).unwrap()
    else {
        panic!("a request")
    };
    // Approvers are shown that this is accepted.
    assert!(removed.payload.to_json().contains(r#""strand_pending":true"#), "{:?}", removed.payload);
    assert!(!waiting.payload.to_json().contains("strand_pending"), "{:?}", waiting.payload);
    assert_eq!(stage.vote(&member(2), Decision::Approve, removed.id).unwrap().state, RequestState::Approved);
    assert_eq!(stage.request(waiting.id).policy.as_ref().unwrap().quorum, 2);
}

#[test]
fn rule_23_loosening_the_withdrawal_policy_is_judged_under_it() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], true);
    let looser = PolicyTerms { allow_execute: true, ..terms(1) };
    let request = stage.initiate(&member(1), set(Workflow::InitiateWithdrawal, looser)).unwrap();
    assert_eq!(request.state, RequestState::Pending);
    assert_eq!(request.policy.as_ref().unwrap().workflow, Workflow::InitiateWithdrawal);
    assert_eq!(stage.vote(&member(1), Decision::Approve, request.id).unwrap_err().code, Code::OwnRequest);
    assert_eq!(stage.vote(&member(2), Decision::Approve, request.id).unwrap().state, RequestState::Approved);
}

#[test]
fn rule_20_whose_votes_count_stays_as_it_was_when_the_request_was_made() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], true);
    let [of_withdrawals, of_policies] = [("dora", Workflow::InitiateWithdrawal), ("emil", Workflow::ManagePolicies)]
        .map(|(name, workflow)| {
            let id = joined(&mut stage, name, &[]);
            let approves = PermissionSets::from([(workflow, [Permission::Approve].into())]);
            stage.initiate(&member(1), edit(id, approves, None)).unwrap();
            id
        });
    let looser = PolicyTerms { allow_execute: true, ..terms(1) };
    let request = stage.initiate(&member(1), set(Workflow::InitiateWithdrawal, looser)).unwrap().id;
    // From now on this policy would judge such a request.
    let own = stage.initiate(&member(1), set(Workflow::ManagePolicies, terms(1))).unwrap();
    assert_eq!(own.state, RequestState::Executed);
    let other = stage.vote(&member(of_policies), Decision::Approve, request);
    assert_eq!(other.unwrap_err().code, Code::NotEligible);
    assert_eq!(stage.vote(&member(of_withdrawals), Decision::Approve, request).unwrap().state, RequestState::Approved);
}
