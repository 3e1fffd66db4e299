//! Thousands of requests: who may fill the queue, that those alike are told apart by their votes (rules 22, 23), and how
//! many of them a page looks at.

use countersign::access::key::SettingsChange;
use countersign::access::operation::Operation;
use countersign::access::principal::Principal;
use countersign::access::scope::ScopeSet;
use countersign::access::workflow::{Permission, Workflow};
use countersign::domain::ids::{MemberId, OrganizationId, RequestId, ServiceUserId};
use countersign::domain::limits::{REQUESTS_LOOKED_AT_MAX, REQUESTS_OPEN_MAX, SERVICE_USER_REQUESTS_OPEN_MAX};
use countersign::engine::Engine;
use countersign::engine::approvals::{Decision, Request, RequestState};
use countersign::engine::command::Command;
use countersign::engine::policy::PolicyTerms;
use countersign::engine::query::{Items, Query, RequestFilter, View};
use countersign::engine::reject::Code;
use countersign::engine::state::State;
use countersign::engine::workflows::Change;
use countersign::engine::workflows::keys::KeyChange;
use countersign::engine::workflows::members::MemberChange;

use super::approvals::outgoing;
use super::genesis::key;
use super::governance::{edit, everywhere, joined, set};
use super::world::{Stage, bot, member, withdraw};

fn disable(service_user: u32) -> Change {
    let (service_user, settings) = (ServiceUserId(service_user), SettingsChange::default());
    Change::Keys(KeyChange::Edit { service_user, name: None, scopes: None, settings, disabled: Some(true) })
}

/// Starts again with so many copies of a request, which are newer and hold no funds.
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

/// The pages that a Member is given, one after the other, by the ids of their requests.
fn pages(stage: &Stage, by: &Principal, mut filter: RequestFilter) -> Vec<Vec<RequestId>> {
    let mut pages = Vec::new();
    loop {
        let answer = stage.ask(by, &Query::Requests(filter));
        let Ok(View::Requests(page, next)) = answer else { panic!("{answer:?}") };
        pages.push(page.into_iter().map(|(request, _)| request.id).collect());
        let Some(next) = next else { return pages };
        assert!(filter.before.is_none_or(|before| next < before), "each page begins further back");
        filter.before = Some(next);
    }
}

/// A withdrawal that a Member without View asked for while she might, and canceled, and after it so many of a key that
/// wait: her number, and her request's id.
fn buried(stage: &mut Stage, count: usize) -> (u32, RequestId) {
    let dora = joined(stage, "dora", &[Permission::Initiate]);
    let own = stage.initiate(&member(dora), outgoing("1")).unwrap().id;
    stage.run(&member(dora), Command::CancelRequest(own)).unwrap();
    stage.initiate(&member(1), edit(dora, everywhere(&[]), None)).unwrap();
    let asked = stage.withdrawal(&bot(1), withdraw("1", None)).request.unwrap();
    let of_key = stage.request(asked).clone();
    copies(stage, &of_key, count);
    (dora, own)
}

#[test]
fn a_page_looks_at_so_many_requests_and_says_where_the_next_one_begins_also_if_it_is_empty() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], true);
    let (dora, own) = buried(&mut stage, 2 * REQUESTS_LOOKED_AT_MAX);
    let filter = RequestFilter { limit: Some(50), ..RequestFilter::default() };
    assert_eq!(pages(&stage, &member(dora), filter), [vec![], vec![], vec![own]], "she may view her own");
    let canceled = RequestFilter { state: Some(RequestState::Canceled), ..filter };
    assert_eq!(pages(&stage, &member(2), canceled), [vec![], vec![], vec![own]]);
    let of_access = RequestFilter { workflow: Some(Workflow::ManageAccess), ..filter };
    let found = pages(&stage, &member(2), of_access);
    assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [0, 0, 2], "the invitation and the edit");
}

#[test]
fn pages_have_every_request_once_newest_first() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], true);
    buried(&mut stage, REQUESTS_LOOKED_AT_MAX + 100);
    let of_limit = |limit| pages(&stage, &member(2), RequestFilter { limit, ..RequestFilter::default() });
    let [long, short] = [of_limit(None), of_limit(Some(500))];
    let count = REQUESTS_LOOKED_AT_MAX + 104;
    assert_eq!(long.iter().map(Vec::len).collect::<Vec<_>>(), [REQUESTS_LOOKED_AT_MAX, 104]);
    assert_eq!(short.iter().map(Vec::len).collect::<Vec<_>>(), [500, 500, 500, 500, count - 2_000]);
    assert!(short.concat() == long.concat(), "the same, whatever the limit");
    assert!(long.concat().is_sorted_by(|newer, older| newer > older));
}

#[test]
fn who_asks_for_what_is_pending_does_not_page_through_what_has_ended() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], true);
    let waiting = stage.withdrawal(&bot(1), withdraw("1", None)).request.unwrap();
    let ended = Request { state: RequestState::Canceled, ..stage.request(waiting).clone() };
    copies(&mut stage, &ended, REQUESTS_LOOKED_AT_MAX);
    let pending = RequestFilter { state: Some(RequestState::Pending), ..RequestFilter::default() };
    assert_eq!(pages(&stage, &member(2), pending), [[waiting]]);
}

#[test]
fn the_snapshot_of_approvals_has_all_that_is_pending_and_may_be_viewed_newest_first() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], true);
    let (dora, _) = buried(&mut stage, REQUESTS_LOOKED_AT_MAX);
    stage.sign_in(&member(dora));
    let shown = |number| {
        let query = Query::Subscribe { channel: Operation::Approvals, open_orders: false };
        let Ok(View::Snapshot(snapshot)) = stage.ask(&member(number), &query) else { panic!("a snapshot") };
        let Items::Requests(shown) = snapshot.items else { panic!("requests") };
        shown.iter().map(|request| request.id).collect::<Vec<_>>()
    };
    let pending: Vec<RequestId> = stage.state().approvals.pending(OrganizationId(1)).map(|of| of.id).collect();
    assert_eq!(pending.len(), REQUESTS_LOOKED_AT_MAX + 1);
    let (all, told) = (pending.into_iter().rev().collect::<Vec<_>>(), shown(2));
    assert!(told == all, "{} of {}", told.len(), all.len());
    assert_eq!(shown(dora), []);
}
