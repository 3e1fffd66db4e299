//! Requests and votes (rules 14, 15, 19, 22, 25, 30, 40).

use countersign::access::key::{KeySettings, SettingsChange};
use countersign::access::scope::ScopeSet;
use countersign::access::workflow::Workflow;
use countersign::domain::ids::{AccountId, AssetId, MemberId, RequestId, ServiceUserId, WithdrawalId};
use countersign::domain::limits::REQUESTS_ENDED_MAX;
use countersign::domain::money::Amount;
use countersign::domain::text::ClientId;
use countersign::domain::time::Moment;
use countersign::engine::approvals::{Approvals, Decision, Initiator, Request, RequestState};
use countersign::engine::command::{Ballot, Command, Initiation};
use countersign::engine::freezes::FreezeScope;
use countersign::engine::members::Kyc;
use countersign::engine::policy::PolicyTerms;
use countersign::engine::query::{Query, View};
use countersign::engine::reject::Code;
use countersign::engine::reply::Reply;
use countersign::engine::withdrawals::{WithdrawalStatus, WithdrawalSummary};
use countersign::engine::workflows::Change;
use countersign::engine::workflows::keys::KeyChange;
use countersign::engine::workflows::members::PermissionSets;
use countersign::engine::workflows::policies::PolicyChange;

use super::genesis::{key, with};
use super::governance::{edit, set};
use super::world::{DAY, Stage, bot, member, to_cold, venue, withdraw};

pub fn terms(quorum: u32) -> PolicyTerms {
    PolicyTerms { expires_after_s: 3_600, ..PolicyTerms::of(quorum) }
}

pub fn outgoing(amount: &str) -> Change {
    Change::Withdrawal(to_cold(amount))
}

pub fn status(stage: &Stage, id: WithdrawalId) -> WithdrawalStatus {
    stage.state().withdrawals.summary(id).unwrap().status
}

#[test]
fn rule_19_a_vote_completes_a_service_users_request_and_execute_never_does() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], false);
    let executable = PolicyTerms { allow_execute: true, ..terms(1) };
    stage.initiate(&member(1), set(Workflow::InitiateWithdrawal, executable)).unwrap();
    let withdrawal = stage.withdrawal(&bot(1), withdraw("1", None));
    let request = withdrawal.request.unwrap();
    let ballots = vec![Ballot { request, digest: stage.request(request).digest.clone() }];
    let step = stage.step();
    let Reply::Votes(votes) =
        stage.run(&member(1), Command::Execute { ballots, step: Some(step), comment: None }).unwrap()
    else {
        panic!("votes");
    };
    assert_eq!(votes[0].1.as_ref().unwrap_err().code, Code::ExecuteNotAllowed);
    let ballots = vec![Ballot { request, digest: stage.request(request).digest.clone() }];
    let without = Command::Execute { ballots, step: None, comment: None };
    assert_eq!(stage.refused(&member(1), without), Code::CodeNeeded);
    assert_eq!(stage.vote(&member(2), Decision::Approve, request).unwrap().state, RequestState::Approved);
    assert_eq!(status(&stage, withdrawal.id), WithdrawalStatus::Pending);
    assert_eq!(stage.state().ledger.held(AccountId(1), AssetId(2)), Amount::ZERO);
}

#[test]
fn what_was_said_with_execute_stays_with_the_request() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], false);
    stage
        .initiate(&member(1), set(Workflow::InitiateWithdrawal, PolicyTerms { allow_execute: true, ..terms(1) }))
        .unwrap();
    let request = stage.initiate(&member(1), outgoing("1")).unwrap();
    let ballots = vec![Ballot { request: request.id, digest: request.digest }];
    let (step, comment) = (Some(stage.step()), Some("board resolution 12".to_owned()));
    stage.run(&member(1), Command::Execute { ballots, step, comment }).unwrap();
    let done = stage.request(request.id);
    assert_eq!((done.state, done.reason.as_deref()), (RequestState::Executed, Some("board resolution 12")));
}

#[test]
fn what_is_said_with_a_vote_is_refused_by_the_name_of_its_parameter() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], true);
    let request = stage.initiate(&member(1), outgoing("1")).unwrap();
    for (decision, field) in [(Decision::Approve, "comment"), (Decision::Reject, "reason")] {
        let ballots = vec![Ballot { request: request.id, digest: request.digest.clone() }];
        let (step, comment) = (Some(stage.step()), Some(String::new()));
        let refused = stage.run(&member(2), Command::Vote { decision, ballots, step, comment }).unwrap_err();
        assert_eq!((refused.code, refused.field), (Code::InvalidArguments, Some(field)));
    }
}

#[test]
fn rule_22_nobody_votes_on_their_own_request_twice_or_without_approve() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], true);
    let own = stage.initiate(&member(1), outgoing("1")).unwrap().id;
    assert_eq!(stage.vote(&member(1), Decision::Approve, own).unwrap_err().code, Code::OwnRequest);
    assert_eq!(stage.vote(&member(1), Decision::Reject, own).unwrap_err().code, Code::OwnRequest);
    assert_eq!(stage.vote(&member(3), Decision::Approve, own).unwrap_err().code, Code::NotEligible);
    assert_eq!(stage.state_of(own), RequestState::Pending);
    assert_eq!(stage.vote(&member(2), Decision::Reject, own).unwrap().state, RequestState::Rejected);
    assert_eq!(stage.vote(&member(2), Decision::Approve, own).unwrap_err().code, Code::NotPending);
}

#[test]
fn rule_22_who_manages_the_asking_key_does_not_decide() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], true);
    let edit = Change::Keys(KeyChange::Edit {
        service_user: ServiceUserId(1),
        name: Some("Renamed".to_owned()),
        scopes: None,
        settings: SettingsChange::default(),
        disabled: None,
    });
    stage.initiate(&member(1), edit).unwrap();
    let request = stage.withdrawal(&bot(1), withdraw("1", None)).request.unwrap();
    assert_eq!(stage.vote(&member(1), Decision::Approve, request).unwrap_err().code, Code::NotEligible);
    assert_eq!(stage.vote(&member(2), Decision::Approve, request).unwrap().state, RequestState::Approved);
}

#[test]
fn rule_14_without_kyc_nobody_votes_and_rule_22_a_vote_is_struck() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], true);
    stage.initiate(&member(1), set(Workflow::InitiateWithdrawal, terms(2))).unwrap();
    let request = stage.withdrawal(&bot(1), withdraw("1", None)).request.unwrap();
    assert_eq!(stage.vote(&member(2), Decision::Approve, request).unwrap().state, RequestState::Pending);
    let struck = |stage: &Stage| stage.request(request).votes.iter().map(|vote| vote.struck).collect::<Vec<_>>();
    stage.run(&venue(), Command::SetKyc { member: MemberId(2), kyc: Kyc::Rejected }).unwrap();
    assert_eq!(struck(&stage), [true]);
    let digest = stage.request(request).digest.clone();
    let step = Some(stage.step());
    let ballots = vec![Ballot { request, digest }];
    let vote = Command::Vote { decision: Decision::Approve, ballots, step, comment: None };
    assert_eq!(stage.refused(&member(2), vote), Code::PermissionDenied);
    stage.run(&venue(), Command::SetKyc { member: MemberId(2), kyc: Kyc::Verified }).unwrap();
    assert_eq!(stage.vote(&member(1), Decision::Approve, request).unwrap().state, RequestState::Pending);
    assert_eq!(stage.vote(&member(2), Decision::Approve, request).unwrap().state, RequestState::Approved);
    assert_eq!(struck(&stage), [true, false, false], "a struck vote does not come back");
}

#[test]
fn rule_15_a_code_serves_one_action() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], true);
    let first = stage.withdrawal(&bot(1), withdraw("1", None)).request.unwrap();
    let second = stage.withdrawal(&bot(1), withdraw("1", None)).request.unwrap();
    let step = stage.step();
    let ballots = |stage: &Stage, ids: &[_]| -> Vec<Ballot> {
        ids.iter().map(|id| Ballot { request: *id, digest: stage.request(*id).digest.clone() }).collect()
    };
    let vote = |ballots| Command::Vote { decision: Decision::Approve, ballots, step: Some(step), comment: None };
    let both = ballots(&stage, &[first, second]);
    let Reply::Votes(votes) = stage.run(&member(2), vote(both)).unwrap() else { panic!("votes") };
    assert!(votes.iter().all(|(_, outcome)| outcome.is_ok()), "one action may carry many votes");
    let third = stage.withdrawal(&bot(1), withdraw("1", None)).request.unwrap();
    let again = ballots(&stage, &[third]);
    assert_eq!(stage.refused(&member(2), vote(again.clone())), Code::CodeUsed);
    let without = Command::Vote { decision: Decision::Approve, ballots: again, step: None, comment: None };
    assert_eq!(stage.refused(&member(2), without), Code::CodeNeeded);
}

#[test]
fn rule_15_what_takes_effect_at_once_needs_a_code_and_what_waits_or_only_stops_something_does_not() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], true);
    let executable = PolicyTerms { allow_execute: true, ..terms(1) };
    stage.initiate(&member(1), set(Workflow::ManageAccess, executable)).unwrap();
    let uncoded =
        |change: Change, execute| Command::Initiate(Box::new(change), Initiation { execute, ..Initiation::default() });
    let suspend = || edit(3, PermissionSets::new(), Some(true));
    let remove = Change::Policies(PolicyChange::Remove { workflow: Workflow::ManageAccess });
    for command in [uncoded(remove, false), uncoded(suspend(), true)] {
        let refused = stage.run(&member(1), command).unwrap_err();
        assert_eq!((refused.code, refused.field), (Code::CodeNeeded, Some("otp")));
    }
    let mut queued = [(); 2].map(|()| match stage.run(&member(1), uncoded(suspend(), false)).unwrap() {
        Reply::Request(request) => *request,
        other => panic!("{other:?}"),
    });
    assert!(queued.iter().all(|request| request.state == RequestState::Pending));
    let ballots = vec![Ballot { request: queued[0].id, digest: std::mem::take(&mut queued[0].digest) }];
    let comment = Some("no".to_owned());
    let reject = Command::Vote { decision: Decision::Reject, ballots, step: None, comment };
    let Reply::Votes(votes) = stage.run(&member(2), reject).unwrap() else { panic!("votes") };
    assert_eq!(votes[0].1.as_ref().unwrap().state, RequestState::Rejected);
    stage.run(&member(1), Command::CancelRequest(queued[1].id)).unwrap();
    stage.run(&member(1), Command::CancelOrders(ServiceUserId(1))).unwrap();
    stage.run(&member(1), Command::Freeze { scope: FreezeScope::All, reason: "odd".to_owned() }).unwrap();
}

#[test]
fn rule_25_what_no_longer_holds_ends_in_failed_and_expiry_releases_the_hold() {
    let end = Moment(101 * DAY);
    let mut stage = Stage::new(&[with(KeySettings { expires_at: Some(end), ..KeySettings::default() })], true);
    let [in_time, failed, stopped] = [(); 3].map(|()| stage.withdrawal(&bot(1), withdraw("1", None)));
    let held = |stage: &Stage| stage.state().ledger.held(AccountId(1), AssetId(2));
    assert_eq!(held(&stage), Amount(300_000_000));
    let vote = |stage: &mut Stage, withdrawal: &WithdrawalSummary| {
        stage.vote(&member(2), Decision::Approve, withdrawal.request.unwrap()).unwrap()
    };
    assert_eq!(vote(&mut stage, &in_time).state, RequestState::Approved);
    // The key that asked is over before a tick has stopped it.
    stage.now = end;
    let done = vote(&mut stage, &failed);
    let why = "EGeneral:Permission denied:initiator: the initiator may no longer ask for this";
    assert_eq!((done.state, done.reason.as_deref()), (RequestState::Failed, Some(why)));
    assert_eq!((status(&stage, failed.id), held(&stage)), (WithdrawalStatus::Canceled, Amount(100_000_000)));
    stage.tick(0);
    assert_eq!(stage.state_of(stopped.request.unwrap()), RequestState::Canceled, "its key has stopped");

    let mut stage = Stage::new(&[key(ScopeSet::ALL)], true);
    let withdrawal = stage.withdrawal(&bot(1), withdraw("1", None));
    stage.tick(8 * DAY);
    assert_eq!(stage.state_of(withdrawal.request.unwrap()), RequestState::Expired);
    assert_eq!((status(&stage, withdrawal.id), held(&stage)), (WithdrawalStatus::Canceled, Amount::ZERO));
}

#[test]
fn a_pending_request_names_who_could_still_approve_it() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], true);
    let id = stage.initiate(&member(1), outgoing("1")).unwrap().id;
    let eligible = |stage: &Stage| match stage.ask(&member(1), &Query::Request(id)) {
        Ok(View::Request(_, _, eligible)) => {
            eligible.map(|all| all.into_iter().map(|(id, _)| id.0).collect::<Vec<_>>())
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(eligible(&stage), Some(vec![2]), "neither who asked nor who only views");
    for (kyc, left) in [(Kyc::Rejected, vec![]), (Kyc::Verified, vec![2])] {
        stage.run(&venue(), Command::SetKyc { member: MemberId(2), kyc }).unwrap();
        assert_eq!(eligible(&stage), Some(left));
    }
    stage.vote(&member(2), Decision::Approve, id).unwrap();
    assert_eq!(eligible(&stage), None, "it has ended");
}

#[test]
fn rule_22_whose_vote_was_struck_could_approve_again() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], false);
    stage.initiate(&member(1), set(Workflow::InitiateWithdrawal, terms(2))).unwrap();
    let id = stage.withdrawal(&bot(1), withdraw("1", None)).request.unwrap();
    let eligible = |stage: &Stage| match stage.ask(&member(1), &Query::Request(id)) {
        Ok(View::Request(_, _, Some(eligible))) => eligible.into_iter().map(|(id, _)| id.0).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(eligible(&stage), [1, 2]);
    stage.vote(&member(2), Decision::Approve, id).unwrap();
    assert_eq!(eligible(&stage), [1]);
    for (kyc, left) in [(Kyc::Rejected, vec![1]), (Kyc::Verified, vec![1, 2])] {
        stage.run(&venue(), Command::SetKyc { member: MemberId(2), kyc }).unwrap();
        assert_eq!(eligible(&stage), left);
    }
}

#[test]
fn rule_30_a_members_client_id_is_kept_for_ever() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], true);
    let initiation = Initiation { client_id: Some(ClientId::from("m-1").unwrap()), ..Initiation::default() };
    let ask = |amount: &str| Command::Initiate(Box::new(outgoing(amount)), initiation.clone());
    let Reply::Request(first) = stage.run(&member(1), ask("1")).unwrap() else { panic!("a request") };
    stage.tick(100 * DAY);
    let Reply::Request(again) = stage.run(&member(1), ask("1")).unwrap() else { panic!("a request") };
    assert_eq!((again.id, again.state), (first.id, RequestState::Expired));
    assert_eq!(stage.refused(&member(1), ask("2")), Code::ClientIdNotUnique);
    let stranding = Initiation { strand_pending: true, ..initiation.clone() };
    let repeated = Command::Initiate(Box::new(outgoing("1")), stranding);
    assert_eq!(stage.refused(&member(1), repeated), Code::ClientIdNotUnique, "more than was asked for");
}

#[test]
fn rule_40_of_ended_requests_the_last_can_be_looked_up_and_those_that_a_member_named() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], true);
    let request = stage.withdrawal(&bot(1), withdraw("1", None)).request.unwrap();
    let pending = Request { id: RequestId(2), ..stage.request(request).clone() };
    let ended = |id| Request { id: RequestId(id), state: RequestState::Canceled, ..pending.clone() };
    let (initiator, client_id) = (Initiator::Member(MemberId(1), String::new()), ClientId::from("m-1").ok());
    let mut approvals = Approvals::default();
    approvals.apply(&Request { initiator, client_id, ..ended(1) });
    approvals.apply(&pending);
    let last = REQUESTS_ENDED_MAX as u64 + 3;
    (3..=last).for_each(|id| approvals.apply(&ended(id)));
    let kept = |approvals: &Approvals, id| approvals.find(pending.organization, RequestId(id)).is_ok();
    assert_eq!([1, 2, 3, 4, last].map(|id| kept(&approvals, id)), [true, true, false, true, true]);
    // In the order in which they ended.
    approvals.apply(&ended(2));
    assert_eq!([1, 2, 3, 4, 5, last].map(|id| kept(&approvals, id)), [true, true, false, false, true, true]);
}

#[test]
fn d3_29_one_place_alone_turns_votes_into_an_approval() {
    let mut found = Vec::new();
    let mut folders = vec![std::path::PathBuf::from("src/engine")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let lines = text.lines().filter(|line| line.contains("RequestState::Approved") && !line.contains("=> \""));
            found.extend(lines.map(|line| (path.file_name().unwrap().to_owned(), line.trim().to_owned())));
        }
    }
    found.retain(|(_, line)| line != "RequestState::Approved,");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, "decisions.rs");
}
