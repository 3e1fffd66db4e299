//! Section D3 of the checklist: approvals, each item by its number. What needs sockets or a browser is in the other
//! suites under the same numbers.

use std::collections::BTreeSet;

use countersign::access::scope::ScopeSet;
use countersign::access::workflow::{Permission, Workflow};
use countersign::domain::ids::{AccountId, AssetId, MemberId, OrganizationId, RequestId, ServiceUserId};
use countersign::domain::money::Amount;
use countersign::engine::Engine;
use countersign::engine::approvals::{Decision, Request, RequestState, digest};
use countersign::engine::command::{Ballot, Command, Initiation};
use countersign::engine::event::Event;
use countersign::engine::freezes::FreezeScope;
use countersign::engine::members::{CodePurpose, Kyc};
use countersign::engine::policy::{PolicyTerms, Rule};
use countersign::engine::query::Query;
use countersign::engine::reject::Code;
use countersign::engine::reply::Reply;
use countersign::engine::state::State;
use countersign::engine::withdrawals::{WithdrawalAddress, WithdrawalStatus};
use countersign::engine::workflows::Change;
use countersign::engine::workflows::addresses::AddressChange;
use countersign::engine::workflows::keys::KeyChange;
use countersign::engine::workflows::members::{MemberChange, PermissionSets};
use countersign::engine::workflows::policies::PolicyChange;
use countersign::engine::workflows::withdrawal::WithdrawalChange;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use super::genesis::key;
use super::governance::{edit, everywhere, invite, joined, set};
use super::world::{DAY, SECOND, Stage, asset, bot, member, to_cold, venue, withdraw, withdraw_to};

/// How long a request waits under the usual terms.
const LIFE: u64 = 7 * DAY;

fn stage() -> Stage {
    Stage::new(&[key(ScopeSet::ALL)], true)
}

fn quorum(stage: &mut Stage, workflow: Workflow, quorum: u32) {
    let request = stage.initiate(&member(1), set(workflow, PolicyTerms::of(quorum))).unwrap();
    assert_eq!(request.state, RequestState::Executed);
}

fn status(stage: &Stage, request: RequestId) -> WithdrawalStatus {
    stage.state().withdrawals.summary(stage.request(request).withdrawal.unwrap()).unwrap().status
}

/// How often the account was debited for a withdrawal.
fn releases(stage: &Stage, request: RequestId) -> usize {
    let id = stage.request(request).withdrawal;
    let released = |event: &Event| match event {
        Event::WithdrawalChanged { withdrawal, postings } => {
            Some(withdrawal.id) == id && withdrawal.status == WithdrawalStatus::Pending && !postings.is_empty()
        }
        _ => false,
    };
    stage.events.iter().filter(|(_, event)| released(event)).count()
}

fn ballots(stage: &Stage, ids: &[RequestId]) -> Vec<Ballot> {
    ids.iter().map(|id| Ballot { request: *id, digest: stage.request(*id).digest.clone() }).collect()
}

fn seed() -> u64 {
    let seed = rand::random();
    println!("seed {seed}");
    seed
}

#[test]
fn d3_29_no_path_lets_the_requester_complete_a_request() {
    let mut stage = stage();
    let own = stage.initiate(&member(1), Change::Withdrawal(to_cold("1"))).unwrap().id;
    let step = Some(stage.step());
    let vote = |stage: &Stage, decision, step| Command::Vote {
        decision,
        ballots: ballots(stage, &[own, own]),
        step,
        comment: Some("mine".to_owned()),
    };
    let approve = vote(&stage, Decision::Approve, step);
    let execute = Command::Execute { ballots: ballots(&stage, &[own]), step: Some(stage.step()), comment: None };
    for (command, code) in [(approve.clone(), Code::OwnRequest), (execute, Code::ExecuteNotAllowed)] {
        let Reply::Votes(votes) = stage.run(&member(1), command).unwrap() else { panic!("votes") };
        assert!(votes.iter().all(|(_, vote)| vote.as_ref().is_err_and(|refusal| refusal.code == code)), "{votes:?}");
        assert_eq!(stage.state_of(own), RequestState::Pending);
    }
    assert_eq!(stage.refused(&bot(1), approve), Code::PermissionDenied);
    assert!(stage.request(own).votes.is_empty());
    // Not by raising one's own permissions.
    let dora = joined(&mut stage, "dora", &[Permission::Initiate]);
    let raise = stage.initiate(&member(dora), edit(dora, everywhere(&Permission::ALL), None));
    assert_eq!(raise.unwrap_err().code, Code::OwnRequest);
    // Not by asking again with Execute, nor by loosening the policy first.
    let again = Change::Withdrawal(to_cold("1"));
    let initiation = Initiation { execute: true, ..stage.asked(&again) };
    let at_once = stage.run(&member(1), Command::Initiate(Box::new(again), initiation)).unwrap_err();
    assert_eq!(at_once.code, Code::ExecuteNotAllowed);
    let loosen = PolicyTerms { allow_execute: true, ..PolicyTerms::of(1) };
    let loosening = stage.initiate(&member(1), set(Workflow::InitiateWithdrawal, loosen)).unwrap();
    assert_eq!(stage.vote(&member(1), Decision::Approve, loosening.id).unwrap_err().code, Code::OwnRequest);
    assert_eq!((stage.state_of(own), status(&stage, own)), (RequestState::Pending, WithdrawalStatus::Initial));
}

/// A Member edits the first key, and so counts as one of its managers.
pub fn rename_key(stage: &mut Stage, by: u32) {
    let (name, settings) = (Some("Renamed".to_owned()), Default::default());
    let edit = KeyChange::Edit { service_user: ServiceUserId(1), name, scopes: None, settings, disabled: None };
    stage.initiate(&member(by), Change::Keys(edit)).unwrap();
}

#[test]
fn d3_30_whoever_had_a_hand_in_a_key_does_not_decide_on_its_requests() {
    type Hand = fn(&mut Stage) -> u32;
    let created: Hand = |stage| {
        let (name, scopes) = ("Made".to_owned(), ScopeSet::ALL);
        let create = Change::Keys(KeyChange::Create { name, scopes, settings: Default::default() });
        stage.initiate(&member(1), create).unwrap();
        2
    };
    let edited: Hand = |stage| {
        rename_key(stage, 1);
        1
    };
    let rotated: Hand = |stage| {
        let rotate = KeyChange::Rotate { service_user: ServiceUserId(1), overlap_s: 600 };
        stage.initiate(&member(1), Change::Keys(rotate)).unwrap();
        1
    };
    let claimed: Hand = |stage| {
        quorum(stage, Workflow::ManageAccess, 1);
        let rotate = KeyChange::Rotate { service_user: ServiceUserId(1), overlap_s: 600 };
        let request = stage.initiate(&member(1), Change::Keys(rotate)).unwrap().id;
        stage.vote(&member(2), Decision::Approve, request).unwrap();
        let step = Some(stage.step());
        stage.run(&member(1), Command::ClaimSecret { request, step }).unwrap();
        1
    };
    for (name, hand) in [("created", created), ("edited", edited), ("rotated", rotated), ("claimed", claimed)] {
        let mut stage = stage();
        let number = hand(&mut stage);
        let request = stage.withdrawal(&bot(number), withdraw("1", None)).request.unwrap();
        let refusal = stage.vote(&member(1), Decision::Approve, request).unwrap_err();
        assert_eq!(refusal.code, Code::NotEligible, "{name}");
        assert_eq!(stage.vote(&member(2), Decision::Approve, request).unwrap().state, RequestState::Approved, "{name}");
    }
}

#[test]
fn d3_31_and_d3_32_votes_in_any_order_release_once_and_later_ones_are_refused() {
    let mut rng = StdRng::seed_from_u64(seed());
    // The orders are ninety in all.
    for _ in 0..50 {
        let mut stage = stage();
        let third = joined(&mut stage, "dora", &[Permission::Approve]);
        quorum(&mut stage, Workflow::InitiateWithdrawal, 2);
        for _ in 0..10 {
            let request = stage.withdrawal(&bot(1), withdraw("0.001", None)).request.unwrap();
            // Everybody votes, some twice, as from two devices.
            let mut order = vec![1, 2, third, 1, 2, third];
            order.shuffle(&mut rng);
            let mut counted = BTreeSet::new();
            for voter in order {
                let before = stage.state_of(request);
                let outcome = stage.vote(&member(voter), Decision::Approve, request);
                match (before, outcome) {
                    (RequestState::Pending, Ok(_)) => assert!(counted.insert(voter), "{voter} counts twice"),
                    (RequestState::Pending, Err(refusal)) => {
                        assert!(counted.contains(&voter), "{refusal:?}");
                        assert_eq!(refusal.code, Code::NotEligible);
                    }
                    (_, outcome) => assert_eq!(outcome.unwrap_err().code, Code::NotPending),
                }
            }
            assert_eq!((counted.len(), releases(&stage, request)), (2, 1));
            assert_eq!(stage.state_of(request), RequestState::Approved);
            stage.events.clear();
        }
    }
}

#[test]
fn d3_32_a_member_who_came_back_under_the_same_address_does_not_count_twice() {
    let mut stage = stage();
    let first = joined(&mut stage, "dora", &[Permission::Approve]);
    quorum(&mut stage, Workflow::InitiateWithdrawal, 2);
    let request = stage.withdrawal(&bot(1), withdraw("1", None)).request.unwrap();
    stage.vote(&member(first), Decision::Approve, request).unwrap();
    stage.initiate(&member(1), Change::Members(MemberChange::Remove { member: MemberId(first) })).unwrap();
    let second = joined(&mut stage, "dora", &[Permission::Approve]);
    assert_ne!(first, second);
    assert_eq!(stage.vote(&member(second), Decision::Approve, request).unwrap().state, RequestState::Pending);
    assert_eq!(stage.vote(&member(2), Decision::Approve, request).unwrap().state, RequestState::Approved);
}

#[test]
fn d3_33_approve_reject_cancel_and_expire_racing_end_in_one_state() {
    let mut rng = StdRng::seed_from_u64(seed());
    let mut ends = BTreeSet::new();
    for _ in 0..400 {
        let mut stage = stage();
        let withdrawal = stage.withdrawal(&bot(1), withdraw("1", None));
        let request = withdrawal.request.unwrap();
        let mut racers = [0, 1, 2, 3];
        racers.shuffle(&mut rng);
        for racer in racers {
            match racer {
                0 => drop(stage.vote(&member(2), Decision::Approve, request)),
                1 => drop(stage.vote(&member(1), Decision::Reject, request)),
                2 => drop(stage.run(&bot(1), Command::CancelWithdrawal(withdrawal.id))),
                _ => stage.tick(LIFE * u64::from(rng.random::<bool>()) + SECOND),
            }
        }
        let terminal = |event: &Event| matches!(event, Event::RequestChanged { request: of, .. } if of.id == request && of.state != RequestState::Pending);
        let finals: Vec<_> = stage.events.iter().filter(|(_, event)| terminal(event)).collect();
        assert_eq!(finals.len(), 1, "one end, told once");
        let (state, status) = (stage.state_of(request), status(&stage, request));
        let released = state == RequestState::Approved;
        assert_eq!(status, if released { WithdrawalStatus::Pending } else { WithdrawalStatus::Canceled });
        assert_eq!(stage.state().ledger.held(AccountId(1), AssetId(2)), Amount::ZERO, "{state:?}");
        ends.insert(state.name());
    }
    assert_eq!(
        ends.into_iter().collect::<Vec<_>>(),
        ["approved", "canceled", "expired", "rejected"],
        "all four happen"
    );
}

#[test]
fn d3_34_a_vote_names_what_was_seen_under_which_policy() {
    let mut stage = stage();
    let first = stage.withdrawal(&bot(1), withdraw("1", None)).request.unwrap();
    let other = stage.withdrawal(&bot(1), withdraw("2", None)).request.unwrap();
    let vote = |request, digest: String, step| Command::Vote {
        decision: Decision::Approve,
        ballots: vec![Ballot { request, digest }],
        step: Some(step),
        comment: None,
    };
    let swapped = stage.request(other).digest.clone();
    let before = stage.request(first).digest.clone();
    quorum(&mut stage, Workflow::InitiateWithdrawal, 2);
    for digest in [swapped, before] {
        let step = stage.step();
        let Reply::Votes(votes) = stage.run(&member(2), vote(first, digest, step)).unwrap() else { panic!("votes") };
        assert_eq!(votes[0].1.as_ref().unwrap_err().code, Code::DigestChanged);
    }
    assert!(stage.request(first).votes.is_empty());
    let (name, seen) = (&stage.state().members.organization(OrganizationId(1)).name, stage.request(first));
    assert_eq!(digest(name, seen), seen.digest);
    let dearer = Request { payload: stage.request(other).payload.clone(), ..seen.clone() };
    assert_ne!(digest(name, &dearer), seen.digest, "it covers what is asked for");
}

/// Alice has all rights.
fn change(stage: &mut Stage, change: Change) {
    stage.initiate(&member(1), change).unwrap();
}

#[test]
fn d3_35_a_vote_of_who_lost_the_right_no_longer_counts() {
    type Loss = fn(&mut Stage, u32);
    let demoted: Loss = |stage, of| change(stage, edit(of, everywhere(&[Permission::View]), None));
    let suspended: Loss = |stage, of| change(stage, edit(of, PermissionSets::new(), Some(true)));
    let removed: Loss = |stage, of| change(stage, Change::Members(MemberChange::Remove { member: MemberId(of) }));
    let reset: Loss = |stage, of| change(stage, Change::Members(MemberChange::Reset { member: MemberId(of) }));
    let unverified: Loss =
        |stage, of| drop(stage.run(&venue(), Command::SetKyc { member: MemberId(of), kyc: Kyc::Rejected }).unwrap());
    for lose in [demoted, suspended, removed, reset, unverified, rename_key] {
        let mut stage = stage();
        let dora = joined(&mut stage, "dora", &[Permission::Initiate, Permission::Approve]);
        quorum(&mut stage, Workflow::InitiateWithdrawal, 2);
        let request = stage.withdrawal(&bot(1), withdraw("1", None)).request.unwrap();
        stage.vote(&member(dora), Decision::Approve, request).unwrap();
        lose(&mut stage, dora);
        assert_eq!(stage.vote(&member(2), Decision::Approve, request).unwrap().state, RequestState::Pending);
        assert_eq!(stage.vote(&member(1), Decision::Approve, request).unwrap().state, RequestState::Approved);
    }
}

#[test]
fn d3_36_a_request_keeps_the_stricter_of_its_policies() {
    let mut stage = stage();
    let dora = joined(&mut stage, "dora", &[Permission::Approve]);
    let decided = |stage: &mut Stage, change| {
        let request = stage.initiate(&member(1), change).unwrap().id;
        // The second vote may be one too many.
        [2, dora].into_iter().for_each(|voter| drop(stage.vote(&member(voter), Decision::Approve, request)));
        assert_eq!(stage.state_of(request), RequestState::Approved);
    };
    let needed = |stage: &Stage, request| stage.request(request).policy.as_ref().unwrap().quorum;
    let early = stage.withdrawal(&bot(1), withdraw("1", None)).request.unwrap();
    assert_eq!(needed(&stage, early), 1);
    let rules = vec![Rule { asset: Some(asset("BTC")), quorum: 2, ..Rule::default() }];
    decided(&mut stage, set(Workflow::InitiateWithdrawal, PolicyTerms { rules, ..PolicyTerms::of(1) }));
    assert_eq!(needed(&stage, early), 2, "the present one may be the stricter, by a rule as well");
    let request = stage.withdrawal(&bot(1), withdraw("1", None)).request.unwrap();
    for change in [
        set(Workflow::InitiateWithdrawal, PolicyTerms::of(1)),
        Change::Policies(PolicyChange::Remove { workflow: Workflow::InitiateWithdrawal }),
    ] {
        decided(&mut stage, change);
        assert_eq!(needed(&stage, request), 2);
    }
    assert_eq!(stage.vote(&member(2), Decision::Approve, request).unwrap().state, RequestState::Pending);
    assert_eq!(stage.vote(&member(1), Decision::Approve, request).unwrap().state, RequestState::Approved);
}

#[test]
fn d3_37_changes_of_policies_access_and_addresses_wait_for_votes_themselves() {
    let mut stage = stage();
    // Somebody else may ask, so that two votes are possible.
    joined(&mut stage, "dora", &[Permission::Initiate]);
    for workflow in [Workflow::ManageAccess, Workflow::ManageAddresses, Workflow::ManagePolicies] {
        quorum(&mut stage, workflow, 1);
    }
    let address =
        WithdrawalAddress { key: "k".to_owned(), method: "BTC".to_owned(), address: "a".to_owned(), tag: None };
    for change in [
        set(Workflow::ManageAccess, PolicyTerms::of(2)),
        Change::Policies(PolicyChange::Remove { workflow: Workflow::ManagePolicies }),
        Change::Keys(KeyChange::Remove { service_user: ServiceUserId(1) }),
        invite("emil", PermissionSets::new()),
        Change::Addresses(AddressChange::Add { asset: asset("BTC"), address }),
        Change::Addresses(AddressChange::Remove { asset: asset("BTC"), key: "cold-1".to_owned() }),
    ] {
        let request = stage.initiate(&member(1), change).unwrap();
        assert_eq!(request.state, RequestState::Pending, "{}", request.change.governed().name());
        assert_eq!(stage.vote(&member(2), Decision::Reject, request.id).unwrap().state, RequestState::Rejected);
    }
    let impossible = stage.initiate(&member(1), set(Workflow::ManageAccess, PolicyTerms::of(3))).unwrap_err();
    assert_eq!(impossible.code, Code::ImpossibleQuorum);
    let rule = Rule { quorum: 3, ..Rule::default() };
    let terms = PolicyTerms { rules: vec![rule], ..PolicyTerms::of(1) };
    let hidden = stage.initiate(&member(1), set(Workflow::InitiateWithdrawal, terms)).unwrap_err();
    assert_eq!(hidden.code, Code::ImpossibleQuorum, "a rule counts as well");
}

#[test]
fn d3_38_a_request_expires_at_its_time_with_the_server_down_across_it() {
    let mut stage = stage();
    let step = Some(stage.step());
    let request = stage.withdrawal(&bot(1), withdraw("1", None)).request.unwrap();
    let bytes = postcard::to_allocvec(stage.state()).unwrap();
    stage.engine = Engine::new(postcard::from_bytes::<State>(&bytes).unwrap());
    stage.tick(LIFE - 1);
    assert_eq!(stage.state_of(request), RequestState::Pending, "to the end of its time");
    stage.now = stage.now.plus_us(1);
    let late = Command::Vote { decision: Decision::Approve, ballots: ballots(&stage, &[request]), step, comment: None };
    let Reply::Votes(votes) = stage.run(&member(2), late).unwrap() else { panic!("votes") };
    assert_eq!(votes[0].1.as_ref().unwrap_err().code, Code::NotPending, "before any tick");
    stage.tick(0);
    assert_eq!(stage.state_of(request), RequestState::Expired);
    stage.tick(DAY);
    let expired = |event: &Event| matches!(event, Event::RequestChanged { request, .. } if request.state == RequestState::Expired);
    assert_eq!(stage.events.iter().filter(|(_, event)| expired(event)).count(), 1);
    assert_eq!(stage.state().ledger.held(AccountId(1), AssetId(2)), Amount::ZERO);
}

#[test]
fn d3_39_d3_47_and_d5_67_approval_and_effect_are_one_journal_entry() {
    let mut stage = stage();
    let request = stage.withdrawal(&bot(1), withdraw("1", None)).request.unwrap();
    let before = stage.events.len();
    stage.vote(&member(2), Decision::Approve, request).unwrap();
    let entry: Vec<&Event> = stage.events[before..].iter().map(|(_, event)| event).collect();
    let released = |event: &&&Event| matches!(event, Event::WithdrawalChanged { withdrawal, .. } if withdrawal.status == WithdrawalStatus::Pending);
    let decided = |event: &&&Event| matches!(event, Event::RequestChanged { request, .. } if request.state == RequestState::Approved);
    assert_eq!((entry.iter().filter(released).count(), entry.iter().filter(decided).count()), (1, 1));
}

#[test]
fn d3_40_all_of_the_balance_is_promised_once() {
    let mut stage = stage();
    let accepted = (0..20).filter(|_| stage.run(&bot(1), withdraw("100", None)).is_ok()).count();
    assert_eq!(accepted, 1);
    assert_eq!(stage.refused(&bot(1), withdraw("0.001", None)), Code::FundingInsufficient);
}

#[test]
fn d3_42_no_name_gets_around_the_cool_down() {
    let mut stage = stage();
    let terms = PolicyTerms { cool_down_s: 3_600, ..PolicyTerms::of(1) };
    stage.initiate(&member(1), set(Workflow::ManageAddresses, terms)).unwrap();
    let mut approved = |change: AddressChange| {
        let request = stage.initiate(&member(1), Change::Addresses(change)).unwrap();
        stage.vote(&member(2), Decision::Approve, request.id).unwrap();
        stage.now
    };
    let address = |key: &str| WithdrawalAddress {
        key: key.to_owned(),
        method: "BTC".to_owned(),
        address: "bc1qcold".to_owned(),
        tag: None,
    };
    // The known address once more, under a new name and under its old one.
    approved(AddressChange::Add { asset: asset("BTC"), address: address("alias") });
    approved(AddressChange::Remove { asset: asset("BTC"), key: "cold-1".to_owned() });
    let since = approved(AddressChange::Add { asset: asset("BTC"), address: address("cold-1") });
    let to = |key: &str| WithdrawalChange { key: key.to_owned(), ..to_cold("1") };
    for key in ["alias", "cold-1"] {
        assert_eq!(stage.refused(&bot(1), withdraw_to(to(key), None)), Code::UnknownWithdrawKey);
        assert_eq!(stage.ask(&bot(1), &Query::WithdrawInfo(to(key))).unwrap_err().code, Code::UnknownWithdrawKey);
        let by_member = stage.initiate(&member(1), Change::Withdrawal(to(key)));
        assert_eq!(by_member.unwrap_err().code, Code::UnknownWithdrawKey);
    }
    stage.now = since.plus_us(3_600 * SECOND - 1);
    let early = withdraw_to(to("cold-1"), None);
    assert_eq!(stage.refused(&bot(1), early), Code::UnknownWithdrawKey, "to the end of its time");
    stage.tick(1);
    for key in ["alias", "cold-1"] {
        stage.run(&bot(1), withdraw_to(to(key), None)).unwrap();
    }
}

#[test]
fn d3_43_a_code_is_good_for_one_purpose_once_and_never_an_older_one() {
    let mut stage = stage();
    let first = stage.withdrawal(&bot(1), withdraw("1", None)).request.unwrap();
    let second = stage.withdrawal(&bot(1), withdraw("1", None)).request.unwrap();
    let third = stage.withdrawal(&bot(1), withdraw("1", None)).request.unwrap();
    let step = stage.step();
    let vote = |stage: &Stage, request, step| Command::Vote {
        decision: Decision::Approve,
        ballots: ballots(stage, &[request]),
        step: Some(step),
        comment: None,
    };
    let command = vote(&stage, first, step);
    stage.run(&member(2), command).unwrap();
    for replayed in [step, step - 1] {
        let command = vote(&stage, second, replayed);
        let refusal = stage.run(&member(2), command).unwrap_err();
        assert_eq!(refusal.code, Code::CodeUsed);
        assert!(refusal.advice.unwrap().starts_with("wait "), "it says how long");
    }
    let command = vote(&stage, second, step);
    stage.run(&member(1), command).expect("another Member's code is another code");
    let own = stage.initiate(&member(1), Change::Withdrawal(to_cold("1"))).unwrap().id;
    let next = stage.step();
    for request in [own, third] {
        let command = vote(&stage, request, next);
        stage.run(&member(1), command).expect("what is refused uses no code up");
    }
    let spent = |event: &Event| matches!(event, Event::CodeSpent { purpose: CodePurpose::Action, .. });
    assert_eq!(stage.events.iter().filter(|(_, event)| spent(event)).count(), 3);
    quorum(&mut stage, Workflow::ManageAccess, 1);
    let rotate = KeyChange::Rotate { service_user: ServiceUserId(1), overlap_s: 600 };
    let request = stage.initiate(&member(1), Change::Keys(rotate)).unwrap().id;
    stage.vote(&member(2), Decision::Approve, request).unwrap();
    let claim = Command::ClaimSecret { request, step: Some(step) };
    assert_eq!(stage.refused(&member(1), claim), Code::CodeUsed);
}

#[test]
fn d3_44_after_a_freeze_in_the_middle_of_a_thousand_nothing_is_released() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], false);
    let terms = PolicyTerms { allow_execute: true, ..PolicyTerms::of(1) };
    stage.initiate(&member(1), set(Workflow::InitiateWithdrawal, terms)).unwrap();
    let own = stage.initiate(&member(1), Change::Withdrawal(to_cold("1"))).unwrap().id;
    let ids: Vec<RequestId> =
        (0..1_000).map(|_| stage.withdrawal(&bot(1), withdraw("0.001", None)).request.unwrap()).collect();
    let freeze = Command::Freeze { scope: FreezeScope::Withdrawals, reason: "stop".to_owned() };
    let mut frozen_at = 0;
    for (at, some) in ids.chunks(50).enumerate() {
        if at == 10 {
            stage.run(&member(1), freeze.clone()).unwrap();
            frozen_at = stage.events.len();
            let execute =
                Command::Execute { ballots: ballots(&stage, &[own]), step: Some(stage.step()), comment: None };
            let Reply::Votes(votes) = stage.run(&member(1), execute).unwrap() else { panic!("votes") };
            assert_eq!(votes[0].1.as_ref().unwrap_err().code, Code::Frozen, "nor at once");
        }
        let (ballots, step) = (ballots(&stage, some), Some(stage.step()));
        let vote = Command::Vote { decision: Decision::Approve, ballots, step, comment: None };
        let Reply::Votes(votes) = stage.run(&member(2), vote).unwrap() else { panic!("votes") };
        let frozen = if at < 10 { None } else { Some(Code::Frozen) };
        assert!(votes.iter().all(|(_, vote)| vote.as_ref().err().map(|refusal| refusal.code) == frozen), "{votes:?}");
    }
    let released = |event: &Event| matches!(event, Event::WithdrawalChanged { withdrawal, .. } if withdrawal.status == WithdrawalStatus::Pending);
    assert_eq!(stage.events[..frozen_at].iter().filter(|(_, event)| released(event)).count(), 500);
    assert_eq!(stage.events[frozen_at..].iter().filter(|(_, event)| released(event)).count(), 0);
    stage.tick(LIFE);
    // One tick does not end them all.
    stage.tick(0);
    assert!(ids[500..].iter().all(|id| stage.state_of(*id) == RequestState::Expired), "clocks run on");
    assert_eq!(stage.state().ledger.held(AccountId(1), AssetId(2)), Amount::ZERO);
}
