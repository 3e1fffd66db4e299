//! Thousands of pending requests: who may fill the queue, and that those alike are told apart by their votes (rules 22,
//! 23).

use countersign::access::key::SettingsChange;
use countersign::access::scope::ScopeSet;
use countersign::access::workflow::{Permission, Workflow};
use countersign::domain::ids::{MemberId, OrganizationId, RequestId, ServiceUserId};
use countersign::domain::limits::{REQUESTS_OPEN_MAX, SERVICE_USER_REQUESTS_OPEN_MAX};
use countersign::engine::Engine;
use countersign::engine::approvals::{Decision, Request, RequestState};
use countersign::engine::command::Command;
use countersign::engine::policy::PolicyTerms;
use countersign::engine::reject::Code;
use countersign::engine::state::State;
use countersign::engine::workflows::Change;
use countersign::engine::workflows::keys::KeyChange;
use countersign::engine::workflows::members::MemberChange;

use super::genesis::key;
use super::governance::{joined, set};
use super::world::{Stage, bot, member, withdraw};

fn disable(service_user: u32) -> Change {
    let (service_user, settings) = (ServiceUserId(service_user), SettingsChange::default());
    Change::Keys(KeyChange::Edit { service_user, name: None, scopes: None, settings, disabled: Some(true) })
}

/// Starts again with so many copies of a pending request, which hold no funds.
fn copies(stage: &mut Stage, of: &Request, count: usize) {
    let mut state = stage.state().clone();
    for at in 1..=count as u64 {
        state.approvals.apply(&Request { id: RequestId(of.id.0 << 32 | at), withdrawal: None, ..of.clone() });
    }
    let bytes = postcard::to_allocvec(&state).unwrap();
    stage.engine = Engine::new(postcard::from_bytes::<State>(&bytes).unwrap());
}

#[test]
fn service_users_fill_half_of_the_queue_and_members_can_still_stop_them() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL), key(ScopeSet::ALL)], true);
    stage.initiate(&member(1), set(Workflow::ManageAccess, PolicyTerms::of(1))).unwrap();
    let asked = stage.withdrawal(&bot(1), withdraw("1", None));
    let of_key = stage.request(asked.request.unwrap()).clone();
    copies(&mut stage, &of_key, SERVICE_USER_REQUESTS_OPEN_MAX - 1);
    for number in [1, 2] {
        assert_eq!(stage.refused(&bot(number), withdraw("1", None)), Code::LimitReached);
    }
    stage.run(&bot(1), Command::CancelWithdrawal(asked.id)).unwrap();
    stage.withdrawal(&bot(2), withdraw("1", None));
    let of_member = stage.initiate(&member(1), disable(1)).unwrap();
    assert_eq!(of_member.state, RequestState::Pending);
    copies(&mut stage, &of_member, REQUESTS_OPEN_MAX - SERVICE_USER_REQUESTS_OPEN_MAX - 1);
    // The limit comes first: checking costs more, the more requests are pending.
    assert_eq!(stage.initiate(&member(1), disable(99)).unwrap_err().code, Code::LimitReached);
    assert_eq!(stage.vote(&member(2), Decision::Approve, of_member.id).unwrap().state, RequestState::Approved);
    assert_eq!(stage.initiate(&member(1), disable(99)).unwrap_err().code, Code::UnknownSubject);
    stage.withdrawal(&bot(2), withdraw("1", None));
    let left = stage.state().approvals.pending_count(OrganizationId(1));
    assert_eq!(left, REQUESTS_OPEN_MAX - SERVICE_USER_REQUESTS_OPEN_MAX - 1 + 2, "of Members, and of the other key");
}

#[test]
fn rule_23_of_requests_alike_one_with_a_vote_against_it_lacks_an_approver_first() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], false);
    let dora = joined(&mut stage, "dora", &[Permission::Approve]);
    let terms = PolicyTerms { reject_quorum: 2, ..PolicyTerms::of(2) };
    stage.initiate(&member(1), set(Workflow::InitiateWithdrawal, terms)).unwrap();
    let asked = [(); 3].map(|()| stage.withdrawal(&bot(1), withdraw("1", None)).request.unwrap());
    assert_eq!(stage.vote(&member(2), Decision::Reject, asked[1]).unwrap().state, RequestState::Pending);
    let remove = Change::Members(MemberChange::Remove { member: MemberId(dora) });
    let refusal = stage.initiate(&member(1), remove.clone()).unwrap_err();
    assert_eq!((refusal.code, refusal.field), (Code::ImpossibleQuorum, Some("strand_pending")));
    assert!(refusal.text().contains(&asked[1].to_string()), "{}", refusal.text());
    assert_eq!(stage.vote(&member(1), Decision::Reject, asked[1]).unwrap().state, RequestState::Rejected);
    stage.initiate(&member(1), remove).expect("two are left for the others");
}
