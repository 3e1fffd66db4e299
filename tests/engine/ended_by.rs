//! Who ended a request: each way in which a Member does, and each in which nobody is named.

use countersign::access::scope::ScopeSet;
use countersign::access::workflow::{Permission, Workflow};
use countersign::domain::ids::{RequestId, ServiceUserId};
use countersign::engine::approvals::{Decision, RequestState};
use countersign::engine::command::{Ballot, Command, Initiation};
use countersign::engine::policy::PolicyTerms;
use countersign::engine::reject::Code;
use countersign::engine::reply::Reply;
use countersign::engine::workflows::Change;
use countersign::engine::workflows::addresses::AddressChange;
use countersign::engine::workflows::keys::KeyChange;

use super::genesis::key;
use super::governance::{invite, joined, set};
use super::world::{DAY, SECOND, Stage, asset, bot, member, to_cold, withdraw};

/// Two votes, or Execute.
fn pair() -> PolicyTerms {
    PolicyTerms { allow_execute: true, reject_quorum: 2, ..PolicyTerms::of(2) }
}

/// Alice, Bob, Carol and Eve, who may do everything, as Alice may; her number.
fn stage() -> (Stage, u32) {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], false);
    let eve = joined(&mut stage, "Eve", &Permission::ALL);
    (stage, eve)
}

/// Where a request is, and the number of who ended it.
fn ending(stage: &Stage, id: RequestId) -> (RequestState, Option<u32>) {
    let request = stage.request(id);
    let ended_by = request.ended_by.as_ref().map(|(member, name)| {
        assert_eq!(*name, stage.state().members.member(*member).name);
        member.0
    });
    (request.state, ended_by)
}

fn execute(stage: &mut Stage, by: u32, id: RequestId) {
    let ballots = vec![Ballot { request: id, digest: stage.request(id).digest.clone() }];
    let step = Some(stage.step());
    stage.run(&member(by), Command::Execute { ballots, step, comment: None }).unwrap();
}

#[test]
fn rule_19_a_request_names_the_member_who_ended_it() {
    let (mut stage, eve) = stage();
    let at_once = stage.initiate(&member(1), set(Workflow::InitiateWithdrawal, pair())).unwrap();
    assert_eq!(ending(&stage, at_once.id), (RequestState::Executed, Some(1)), "no policy governs");
    let mut asked = || stage.initiate(&member(1), Change::Withdrawal(to_cold("0.1"))).unwrap().id;
    let (executed, approved, rejected, canceled) = (asked(), asked(), asked(), asked());
    for (id, decision) in [(executed, Decision::Approve), (approved, Decision::Approve), (rejected, Decision::Reject)] {
        stage.vote(&member(2), decision, id).unwrap();
        assert_eq!(ending(&stage, id), (RequestState::Pending, None), "it waits for the second vote");
    }
    execute(&mut stage, eve, executed);
    stage.vote(&member(eve), Decision::Approve, approved).unwrap();
    stage.vote(&member(eve), Decision::Reject, rejected).unwrap();
    stage.run(&member(1), Command::CancelRequest(canceled)).unwrap();
    assert_eq!(ending(&stage, executed), (RequestState::Executed, Some(eve)));
    assert_eq!(ending(&stage, approved), (RequestState::Approved, Some(eve)));
    assert_eq!(ending(&stage, rejected), (RequestState::Rejected, Some(eve)));
    assert_eq!(ending(&stage, canceled), (RequestState::Canceled, Some(1)));
    let change = Change::Withdrawal(to_cold("0.1"));
    let initiation = Initiation { execute: true, ..stage.asked(&change) };
    let Reply::Request(own) = stage.run(&member(eve), Command::Initiate(Box::new(change), initiation)).unwrap() else {
        panic!("a request")
    };
    assert_eq!(ending(&stage, own.id), (RequestState::Executed, Some(eve)));
}

#[test]
fn rule_25_a_request_that_failed_names_who_tried_to_carry_it_out() {
    let (mut stage, eve) = stage();
    stage.initiate(&member(1), set(Workflow::ManageAccess, pair())).unwrap();
    let [first, second] = [(); 2].map(|()| stage.initiate(&member(1), invite("Dora", Default::default())).unwrap().id);
    execute(&mut stage, 1, first);
    execute(&mut stage, eve, second);
    assert_eq!(ending(&stage, first), (RequestState::Executed, Some(1)));
    assert_eq!(ending(&stage, second), (RequestState::Failed, Some(eve)), "the address is taken by now");
}

#[test]
fn what_a_service_user_time_or_another_change_ended_names_nobody() {
    let (mut stage, eve) = stage();
    let at_once = stage.withdrawal(&bot(1), withdraw("0.1", None)).request.unwrap();
    assert_eq!(ending(&stage, at_once), (RequestState::Executed, None), "no policy governs");
    stage.initiate(&member(1), set(Workflow::InitiateWithdrawal, pair())).unwrap();
    let taken_back = stage.withdrawal(&bot(1), withdraw("0.1", None));
    stage.run(&bot(1), Command::CancelWithdrawal(taken_back.id)).unwrap();
    assert_eq!(ending(&stage, taken_back.request.unwrap()), (RequestState::Canceled, None));
    let mut asked = || stage.withdrawal(&bot(1), withdraw("0.1", None)).request.unwrap();
    let (expired, restated) = (asked(), asked());
    stage.vote(&member(2), Decision::Reject, restated).unwrap();
    let one_against = PolicyTerms { reject_quorum: 1, ..pair() };
    let stricter = stage.initiate(&member(1), set(Workflow::InitiateWithdrawal, one_against)).unwrap().id;
    for voter in [2, eve] {
        stage.vote(&member(voter), Decision::Approve, stricter).unwrap();
    }
    assert_eq!(ending(&stage, restated), (RequestState::Rejected, None));
    stage.tick(8 * DAY);
    assert_eq!(ending(&stage, expired), (RequestState::Expired, None));
    let stopped = stage.withdrawal(&bot(1), withdraw("0.1", None)).request.unwrap();
    let own = stage.initiate(&member(1), Change::Withdrawal(to_cold("0.1"))).unwrap().id;
    let remove = Change::Keys(KeyChange::Remove { service_user: ServiceUserId(1) });
    stage.initiate(&member(1), remove).unwrap();
    assert_eq!(ending(&stage, stopped), (RequestState::Canceled, None));
    let remove = Change::Addresses(AddressChange::Remove { asset: asset("BTC"), key: "cold-1".to_owned() });
    stage.initiate(&member(1), remove).unwrap();
    assert_eq!(ending(&stage, own), (RequestState::Failed, None));
}

#[test]
fn rule_39_a_request_whose_time_is_over_has_expired_whatever_ends_it() {
    let remove = Change::Keys(KeyChange::Remove { service_user: ServiceUserId(1) });
    for tick in [false, true] {
        let mut stage = Stage::new(&[key(ScopeSet::ALL)], false);
        let briefly = PolicyTerms { expires_after_s: 60, ..PolicyTerms::of(1) };
        stage.initiate(&member(1), set(Workflow::InitiateWithdrawal, briefly)).unwrap();
        let own = stage.initiate(&member(1), Change::Withdrawal(to_cold("0.1"))).unwrap().id;
        let withdrawal = stage.withdrawal(&bot(1), withdraw("0.1", None));
        let asked = withdrawal.request.unwrap();
        stage.now = stage.now.plus_us(60 * SECOND);
        assert_eq!(stage.refused(&member(1), Command::CancelRequest(own)), Code::NotPending);
        let (events, id) = (stage.events.len(), withdrawal.id);
        let late = stage.run(&bot(1), Command::CancelWithdrawal(id)).unwrap();
        assert_eq!((late, stage.events.len()), (Reply::WithdrawalCanceled { id, canceled: false }, events));
        match tick {
            true => stage.tick(0),
            false => drop(stage.initiate(&member(1), remove.clone()).unwrap()),
        }
        assert_eq!(ending(&stage, asked), (RequestState::Expired, None), "tick: {tick}");
        assert_eq!(stage.request(asked).reason.as_deref(), Some("its time ran out"));
    }
}
