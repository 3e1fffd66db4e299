//! Who sees a request, and who completes it at once (rules 14, 15, 19, 20, 22, 23).

use countersign::access::scope::{Scope, ScopeSet};
use countersign::access::workflow::{Permission, Workflow};
use countersign::domain::ids::{MemberId, RequestId};
use countersign::engine::approvals::{Decision, Request, RequestState};
use countersign::engine::command::{Ballot, Command, Initiation};
use countersign::engine::event::Event;
use countersign::engine::members::Kyc;
use countersign::engine::policy::PolicyTerms;
use countersign::engine::query::Query;
use countersign::engine::reject::{Code, Reject};
use countersign::engine::reply::Reply;
use countersign::engine::workflows::Change;
use countersign::engine::workflows::members::{MemberChange, PermissionSets};

use super::genesis::key;
use super::governance::{edit, everywhere, joined, set};
use super::world::{Stage, bot, member, to_cold, venue, withdraw};

fn stage() -> Stage {
    Stage::new(&[key(ScopeSet::ALL)], false)
}

fn executable() -> PolicyTerms {
    PolicyTerms { allow_execute: true, ..PolicyTerms::of(1) }
}

fn withdrawal() -> Change {
    Change::Withdrawal(to_cold("1"))
}

/// Completes a request at once.
fn execute(stage: &mut Stage, by: u32, id: RequestId) -> Result<Request, Reject> {
    let ballots = vec![Ballot { request: id, digest: stage.request(id).digest.clone() }];
    let step = Some(stage.step());
    match stage.run(&member(by), Command::Execute { ballots, step, comment: None })? {
        Reply::Votes(mut votes) => votes.remove(0).1,
        other => panic!("{other:?}"),
    }
}

/// How often a request ended.
fn ends(stage: &Stage, id: RequestId) -> usize {
    let ended = |event: &Event| matches!(event, Event::RequestChanged { request, .. } if request.id == id && request.state != RequestState::Pending);
    stage.events.iter().filter(|(_, event)| ended(event)).count()
}

#[test]
fn rule_19_to_ask_and_complete_at_once_takes_the_permission_and_a_code() {
    let mut stage = stage();
    let dora = joined(&mut stage, "dora", &[Permission::Initiate]);
    stage.initiate(&member(1), set(Workflow::InitiateWithdrawal, executable())).unwrap();
    let mut ask = |by: u32, coded: bool| {
        let step = coded.then(|| stage.step());
        let initiation = Initiation { execute: true, step, ..Initiation::default() };
        let outcome = stage.run(&member(by), Command::Initiate(Box::new(withdrawal()), initiation));
        outcome.map_err(|refusal| (refusal.code, refusal.field))
    };
    assert_eq!(ask(dora, true), Err((Code::NotEligible, Some("execute"))));
    assert_eq!(ask(1, false), Err((Code::CodeNeeded, Some("otp"))), "it takes effect at once");
    let Ok(Reply::Request(request)) = ask(1, true) else { panic!("a request") };
    assert_eq!(request.state, RequestState::Executed);
}

#[test]
fn rule_23_nobody_completes_what_is_about_them_but_for_their_own_request() {
    let mut stage = stage();
    let dora = joined(&mut stage, "dora", &Permission::ALL);
    stage.initiate(&member(1), set(Workflow::ManageAccess, executable())).unwrap();
    let suspension = stage.initiate(&member(1), edit(dora, PermissionSets::new(), Some(true))).unwrap().id;
    assert_eq!(execute(&mut stage, dora, suspension).unwrap_err().code, Code::NotEligible);
    assert_eq!(stage.state_of(suspension), RequestState::Pending);
    let less = edit(dora, [(Workflow::ManageAddresses, Default::default())].into(), None);
    let own = stage.initiate(&member(dora), less).unwrap().id;
    assert_eq!(execute(&mut stage, dora, own).unwrap().state, RequestState::Executed);
}

#[test]
fn rule_14_a_request_is_seen_with_view_on_its_workflow_or_its_policys_or_by_who_asked() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], true);
    let dora = joined(&mut stage, "dora", &[Permission::Initiate]);
    let only = |workflow: Option<Workflow>| {
        let mut sets = everywhere(&[]);
        sets.extend(workflow.map(|workflow| (workflow, [Permission::View].into())));
        edit(dora, sets, None)
    };
    let own = stage.initiate(&member(dora), withdrawal()).unwrap().id;
    let looser = set(Workflow::InitiateWithdrawal, executable());
    let policies = stage.initiate(&member(1), looser).unwrap();
    assert_eq!(policies.policy.unwrap().workflow, Workflow::InitiateWithdrawal, "it is judged by that");
    let sees = |stage: &Stage, id| stage.ask(&member(dora), &Query::Request(id)).map(drop).map_err(|why| why.code);
    for (workflow, seen) in [
        (Some(Workflow::ManagePolicies), Ok(())),
        (Some(Workflow::InitiateWithdrawal), Ok(())),
        (Some(Workflow::ManageAccess), Err(Code::UnknownRequest)),
        (None, Err(Code::UnknownRequest)),
    ] {
        stage.initiate(&member(1), only(workflow)).unwrap();
        assert_eq!((sees(&stage, policies.id), sees(&stage, own)), (seen, Ok(())), "{workflow:?}");
    }
    // What is not seen is not there to be decided on or canceled either.
    let vote = stage.vote(&member(dora), Decision::Reject, policies.id);
    assert_eq!(vote.unwrap_err().code, Code::UnknownRequest);
    assert_eq!(stage.refused(&member(dora), Command::CancelRequest(policies.id)), Code::UnknownRequest);
    stage.run(&member(dora), Command::CancelRequest(own)).unwrap();
}

#[test]
fn rule_22_who_asked_to_be_removed_leaves_with_one_end_of_each_request() {
    let mut stage = stage();
    let dora = joined(&mut stage, "dora", &Permission::ALL);
    for workflow in [Workflow::InitiateWithdrawal, Workflow::ManageAccess] {
        stage.initiate(&member(1), set(workflow, PolicyTerms::of(1))).unwrap();
    }
    let pending = stage.initiate(&member(dora), withdrawal()).unwrap().id;
    let remove = Change::Members(MemberChange::Remove { member: MemberId(dora) });
    let leaving = stage.initiate(&member(dora), remove).unwrap().id;
    assert_eq!(stage.vote(&member(2), Decision::Approve, leaving).unwrap().state, RequestState::Approved);
    assert_eq!((stage.state_of(leaving), ends(&stage, leaving)), (RequestState::Approved, 1));
    assert_eq!((stage.state_of(pending), ends(&stage, pending)), (RequestState::Canceled, 1));
}

#[test]
fn rule_20_a_policy_that_is_approved_does_not_reject_the_request_for_itself() {
    let mut stage = stage();
    let dora = joined(&mut stage, "dora", &Permission::ALL);
    let patient = PolicyTerms { reject_quorum: 2, ..PolicyTerms::of(1) };
    stage.initiate(&member(1), set(Workflow::ManagePolicies, patient)).unwrap();
    let request = stage.initiate(&member(1), set(Workflow::ManagePolicies, PolicyTerms::of(1))).unwrap().id;
    assert_eq!(stage.vote(&member(2), Decision::Reject, request).unwrap().state, RequestState::Pending);
    assert_eq!(stage.vote(&member(dora), Decision::Approve, request).unwrap().state, RequestState::Approved);
    assert_eq!((stage.state_of(request), ends(&stage, request)), (RequestState::Approved, 1));
}

#[test]
fn rule_22_without_the_exclusion_who_manages_the_asking_key_votes() {
    let mut stage = stage();
    let open = PolicyTerms { exclude_key_managers: false, ..PolicyTerms::of(1) };
    stage.initiate(&member(1), set(Workflow::InitiateWithdrawal, open)).unwrap();
    super::checklist::rename_key(&mut stage, 1);
    let request = stage.withdrawal(&bot(1), withdraw("1", None)).request.unwrap();
    assert_eq!(stage.vote(&member(1), Decision::Approve, request).unwrap().state, RequestState::Approved);
}

#[test]
fn rule_23_a_key_without_withdraw_asks_for_nothing_that_a_policy_could_let_pass() {
    let two = || set(Workflow::InitiateWithdrawal, PolicyTerms::of(2));
    let mut stage = Stage::new(&[key(ScopeSet::of(&[Scope::Query]))], false);
    assert_eq!(stage.initiate(&member(1), two()).unwrap_err().code, Code::ImpossibleQuorum, "Bob alone votes on hers");
    let mut stage = Stage::new(&[key(ScopeSet::of(&[Scope::Withdraw]))], false);
    stage.initiate(&member(1), two()).expect("both vote on the key's");
}

#[test]
fn rule_23_a_policy_that_lacks_votes_already_holds_up_no_change_that_takes_none() {
    let mut stage = stage();
    stage.initiate(&member(1), set(Workflow::InitiateWithdrawal, PolicyTerms::of(2))).unwrap();
    stage.run(&venue(), Command::SetKyc { member: MemberId(2), kyc: Kyc::Rejected }).unwrap();
    let remove = |of| Change::Members(MemberChange::Remove { member: MemberId(of) });
    stage.initiate(&member(1), remove(3)).expect("Carol only views");
}
