//! Members, sessions, invitations and the venue operator's limits (rules 7, 14, 16, 17, 36, 39).

use countersign::access::operation::Operation;
use countersign::access::principal::{Actor, Credential, Principal};
use countersign::access::scope::ScopeSet;
use countersign::access::workflow::{Permissions, Workflow};
use countersign::domain::ids::{AccountId, MemberId, OrganizationId};
use countersign::domain::orders::Side;
use countersign::engine::Engine;
use countersign::engine::command::{Command, Initiation, Invitee, OrderRef};
use countersign::engine::members::{Kyc, Member, MemberStatus, Members};
use countersign::engine::query::{Query, RequestFilter, View};
use countersign::engine::reject::Code;
use countersign::engine::reply::Reply;
use countersign::engine::roster::Roster;
use countersign::engine::state::State;
use countersign::engine::workflows::Change;
use countersign::engine::workflows::members::{MemberChange, PermissionSets};

use super::genesis::key;
use super::governance::{edit, invite, sign_up};
use super::world::{DAY, SECOND, Stage, bot, limit, member, public, to_cold, venue, withdraw};

const HOUR: u64 = 3_600 * SECOND;

pub fn organization(names: &[&str]) -> Command {
    let invitee = |(at, name): (usize, &&str)| Invitee {
        name: (*name).to_owned(),
        email: format!("{name}@new.test"),
        token_hash: [u8::try_from(at + 1).unwrap(); 32],
    };
    Command::CreateOrganization { name: "New".to_owned(), members: names.iter().enumerate().map(invitee).collect() }
}

#[test]
fn rule_7_orders_are_the_accounts_and_client_ids_the_callers() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL), key(ScopeSet::ALL)], true);
    let first = stage.placed(&bot(1), limit(Side::Buy, "1", "10", Some("a")));
    let by_name = OrderRef::ClientId(countersign::domain::text::ClientOrderId::from("a").unwrap());
    assert_eq!(stage.refused(&bot(2), Command::CancelOrder(by_name)), Code::UnknownOrder);
    stage.run(&bot(2), Command::CancelOrder(OrderRef::Id(first))).unwrap();
    stage.placed(&bot(1), limit(Side::Buy, "1", "10", None));
    stage.run(&bot(2), Command::CancelAll).unwrap();
    assert!(stage.state().orders.open(AccountId(1)).next().is_none());
}

#[test]
fn members_are_found_by_their_organization_before_and_after_a_snapshot() {
    let mut stage = Stage::new(&[], true);
    stage.run(&venue(), organization(&["dora", "emil"])).unwrap();
    let bytes = postcard::to_allocvec(&stage.state().members).unwrap();
    let restored: Members = postcard::from_bytes(&bytes).unwrap();
    assert_eq!(restored, stage.state().members);
    for of in restored.all().iter().map(|member| member.organization) {
        let listed: Vec<_> = restored.of(of).collect();
        let all = restored.all().iter().filter(|member| member.organization == of);
        assert_eq!(listed, all.collect::<Vec<_>>());
    }
    assert_eq!(restored.of(OrganizationId(99)).count(), 0);
    let records = stage.state().members.all();
    let swapped: Vec<_> = records.iter().rev().collect();
    assert_eq!(
        postcard::from_bytes::<Roster<Member>>(&postcard::to_allocvec(records).unwrap()).unwrap().all(),
        records
    );
    assert!(postcard::from_bytes::<Roster<Member>>(&postcard::to_allocvec(&swapped).unwrap()).is_err(), "out of order");
}

#[test]
fn rule_16_a_session_survives_a_snapshot_and_ends_after_twelve_hours() {
    let mut stage = Stage::new(&[], true);
    let cookie_hash = [9; 32];
    let step = stage.step();
    let open = Command::OpenMemberSession { member: MemberId(1), step, cookie_hash };
    stage.run(&public(), open.clone()).unwrap();
    assert_eq!(stage.refused(&public(), open), Code::CodeUsed, "a code serves one sign-in");
    let bytes = postcard::to_allocvec(stage.state()).unwrap();
    stage.engine = Engine::new(postcard::from_bytes::<State>(&bytes).unwrap());
    let Ok(View::Bound(bound)) = stage.ask(&public(), &Query::BindMember(cookie_hash)) else { panic!("a principal") };
    assert_eq!(bound.actor, Actor::Member(MemberId(1)));
    stage.now = stage.now.plus_us(12 * HOUR - 1);
    assert!(stage.ask(&public(), &Query::BindMember(cookie_hash)).is_ok(), "to the end of its time");
    stage.now = stage.now.plus_us(1);
    assert_eq!(stage.ask(&public(), &Query::BindMember(cookie_hash)).unwrap_err().code, Code::InvalidSession);
    stage.tick(0);
    assert!(stage.state().members.sessions().all().all(|session| session.cookie_hash != cookie_hash));
}

/// Signs Alice in; she in that session.
fn signed_in(stage: &mut Stage, cookie_hash: [u8; 32]) -> Principal {
    let step = stage.step();
    stage.run(&public(), Command::OpenMemberSession { member: MemberId(1), step, cookie_hash }).unwrap();
    Principal { credential: Credential::Session(cookie_hash), ..member(1) }
}

fn withdrawal() -> Command {
    Command::Initiate(Box::new(Change::Withdrawal(to_cold("1"))), Initiation::default())
}

#[test]
fn rule_39_a_session_is_over_at_its_end_before_tick_has_run() {
    let mut stage = Stage::new(&[], true);
    let alice = signed_in(&mut stage, [9; 32]);
    let end = stage.now.plus_us(12 * HOUR);
    stage.now = end.minus_us(1);
    stage.run(&alice, withdrawal()).unwrap();
    assert!(stage.ask(&alice, &Query::MemberInfo).is_ok());
    stage.now = end;
    assert_eq!(stage.refused(&alice, withdrawal()), Code::InvalidSession);
    assert_eq!(stage.ask(&alice, &Query::MemberInfo).unwrap_err().code, Code::InvalidSession);
}

#[test]
fn rule_16_a_closed_session_admits_no_more_and_another_of_the_same_member_goes_on() {
    let mut stage = Stage::new(&[], true);
    // Only their last bytes differ.
    let hashes = [9, 8].map(|last| std::array::from_fn(|at| if at == 31 { last } else { 9 }));
    let [closed, other] = hashes.map(|cookie_hash| signed_in(&mut stage, cookie_hash));
    stage.run(&public(), Command::CloseMemberSession { cookie_hash: hashes[0] }).unwrap();
    assert_eq!(stage.refused(&closed, withdrawal()), Code::InvalidSession);
    assert_eq!(stage.ask(&closed, &Query::MemberInfo).unwrap_err().code, Code::InvalidSession);
    stage.run(&other, withdrawal()).unwrap();
    assert!(stage.ask(&other, &Query::MemberInfo).is_ok());
    let of_bob = Principal { credential: other.credential, ..member(2) };
    assert_eq!(stage.ask(&of_bob, &Query::MemberInfo).unwrap_err().code, Code::InvalidSession, "it is Alice's");
}

#[test]
fn rule_17_two_first_members_govern_each_other_and_one_alone_does_not() {
    for (names, governed) in [(&["dora", "emil"][..], true), (&["dora"][..], false)] {
        let mut stage = Stage::new(&[], true);
        let Reply::Organization(made, members) = stage.run(&venue(), organization(names)).unwrap() else {
            panic!("an Organization");
        };
        for workflow in Workflow::ALL {
            let quorum = stage.state().policies.get(made.id, workflow).map(|policy| policy.terms.quorum);
            assert_eq!(quorum, governed.then_some(1));
        }
        assert_eq!((members[0].status, members[0].kyc), (MemberStatus::Invited, Kyc::Pending));
        assert!(members.iter().all(|member| member.permissions == Permissions::all()));
        let again = stage.run(&venue(), organization(names)).unwrap_err();
        assert_eq!((again.code, again.field), (Code::Exists, Some("name")));
        assert_eq!(stage.refused(&bot(1), organization(names)), Code::InvalidKey);
    }
}

#[test]
fn an_address_without_an_at_sign_is_not_said_to_exist_already() {
    let mut stage = Stage::new(&[], true);
    let organization = |name: &str, email: &str| Command::CreateOrganization {
        name: name.to_owned(),
        members: vec![Invitee { name: "dora".to_owned(), email: email.to_owned(), token_hash: [1; 32] }],
    };
    let mut run = |command| stage.run(&venue(), command).map_err(|refused| (refused.code, refused.field));
    assert_eq!(run(organization("New", "dora.new.test")), Err((Code::InvalidArguments, Some("email"))));
    run(organization("New", "dora@new.test")).unwrap();
    assert_eq!(run(organization("Newer", "dora@new.test")), Err((Code::Exists, Some("email"))));
    let invitee = |email: &str| Invitee { name: "emil".to_owned(), email: email.to_owned(), token_hash: [2; 32] };
    let members = ["emil@new.test", "Emil@new.test"].map(invitee).to_vec();
    let twice = Command::CreateOrganization { name: "Newer".to_owned(), members };
    assert_eq!(run(twice), Err((Code::Exists, Some("email"))), "the same in upper case");
}

#[test]
fn rule_17_an_invitation_serves_once_and_for_a_week() {
    let mut stage = Stage::new(&[], true);
    stage.run(&venue(), organization(&["dora", "emil"])).unwrap();
    let accept = |at: u8, secret: u8| Command::AcceptInvitation {
        token_hash: [at; 32],
        password_hash: "hash".to_owned(),
        totp_sealed: vec![secret],
    };
    let step = stage.step();
    let confirm =
        |at: u8, secret: u8| Command::ConfirmInvitation { token_hash: [at; 32], totp_sealed: vec![secret], step };
    assert_eq!(stage.refused(&public(), confirm(1, 1)), Code::InvalidArguments);
    stage.run(&public(), accept(1, 1)).unwrap();
    assert_eq!(stage.refused(&member(4), Command::CancelAll), Code::InvalidSession, "not confirmed yet");
    stage.run(&public(), accept(1, 2)).unwrap();
    assert_eq!(stage.refused(&public(), confirm(1, 1)), Code::InvalidArguments, "nobody proved the second secret");
    stage.run(&public(), confirm(1, 2)).unwrap();
    assert_eq!(stage.refused(&public(), accept(1, 2)), Code::UnknownSubject);
    let sign_in = |step| Command::OpenMemberSession { member: MemberId(4), step, cookie_hash: [4; 32] };
    assert_eq!(stage.refused(&public(), sign_in(step)), Code::CodeUsed, "it was spent on the confirmation");
    stage.run(&public(), sign_in(step + 1)).unwrap();
    stage.tick(7 * DAY);
    assert_eq!(stage.refused(&public(), accept(2, 1)), Code::UnknownSubject);
}

/// Whether it comes from the venue operator or from a Member.
#[test]
fn rule_17_an_invitation_is_good_until_its_week_is_over() {
    let mut stage = Stage::new(&[], false);
    stage.run(&venue(), organization(&["dora"])).unwrap();
    let mut ends = vec![stage.now.plus_us(7 * DAY)];
    stage.initiate(&member(1), invite("fay", PermissionSets::new())).unwrap();
    ends.push(stage.now.plus_us(7 * DAY));
    let invited = stage.state().members.all().iter().filter_map(|member| member.invitation.clone());
    let tokens: Vec<[u8; 32]> = invited.map(|invitation| invitation.token_hash).collect();
    assert_eq!(tokens.len(), ends.len());
    for (token_hash, end) in tokens.into_iter().zip(ends) {
        let totp_sealed = vec![1];
        let (password_hash, confirmed) = ("hash".to_owned(), totp_sealed.clone());
        let accept = Command::AcceptInvitation { token_hash, password_hash, totp_sealed };
        stage.run(&public(), accept.clone()).unwrap();
        let confirm = Command::ConfirmInvitation { token_hash, totp_sealed: confirmed, step: end.0 / (30 * SECOND) };
        for (now, refusal) in [(end.minus_us(1), None), (end, Some(Code::UnknownSubject))] {
            for command in [&accept, &confirm] {
                let answer = stage.engine.clone().handle(now, &public(), command);
                assert_eq!(answer.err().map(|refused| refused.code), refusal, "{command:?}");
            }
        }
    }
}

#[test]
fn rule_38_a_link_is_void_once_another_was_drawn_for_the_member() {
    let mut stage = Stage::new(&[], false);
    let mut links = Vec::new();
    for _ in 0..2 {
        stage.initiate(&member(1), Change::Members(MemberChange::Reset { member: MemberId(3) })).unwrap();
        links.push(stage.state().members.member(MemberId(3)).invitation.as_ref().unwrap().token_hash);
    }
    let accept =
        |token_hash| Command::AcceptInvitation { token_hash, password_hash: "hash".to_owned(), totp_sealed: vec![1] };
    assert_eq!(stage.refused(&public(), accept(links[0])), Code::UnknownSubject);
    stage.run(&public(), accept(links[1])).unwrap();
}

#[test]
fn who_has_not_signed_up_is_not_suspended_and_who_is_suspended_is_not_reset() {
    let mut stage = Stage::new(&[], false);
    let mut refused = |change| {
        let refusal = stage.initiate(&member(1), change).err();
        refusal.map(|refusal| (refusal.code, refusal.field))
    };
    let reset = |of| Change::Members(MemberChange::Reset { member: MemberId(of) });
    let suspend = |of| edit(of, PermissionSets::new(), Some(true));
    assert_eq!(refused(reset(3)), None);
    assert_eq!(refused(suspend(3)), Some((Code::InvalidArguments, Some("suspended"))));
    assert_eq!(refused(suspend(2)), None);
    assert_eq!(refused(reset(2)), Some((Code::InvalidArguments, Some("member_id"))));
}

#[test]
fn d6_74_the_wait_for_the_next_code_is_told_by_a_clock_that_was_set_back() {
    let mut stage = Stage::new(&[], true);
    let sign_in = |step| Command::OpenMemberSession { member: MemberId(1), step, cookie_hash: [9; 32] };
    let step = stage.step();
    stage.run(&public(), sign_in(step)).unwrap();
    stage.now = stage.now.minus_us(HOUR);
    let refused = stage.run(&public(), sign_in(step - 120)).unwrap_err();
    assert_eq!(refused.code, Code::CodeUsed);
    assert!(refused.text().ends_with("wait 3630 s for the next code"), "{}", refused.text());
}

#[test]
fn rule_38_of_two_members_neither_can_be_reset_and_of_three_each_can() {
    for (names, refusal) in
        [(&["dora", "emil"][..], Some(Code::ImpossibleQuorum)), (&["dora", "emil", "fay"][..], None)]
    {
        let mut stage = Stage::new(&[], true);
        let Reply::Organization(_, made) = stage.run(&venue(), organization(names)).unwrap() else {
            panic!("an Organization");
        };
        for made in &made {
            sign_up(&mut stage, made.id);
            stage.run(&venue(), Command::SetKyc { member: made.id, kyc: Kyc::Verified }).unwrap();
        }
        for (asks, of) in [(0, 1), (1, 0)] {
            let reset = Change::Members(MemberChange::Reset { member: made[of].id });
            let asked = stage.initiate(&member(made[asks].id.0), reset);
            assert_eq!(asked.err().map(|refused| refused.code), refusal, "{names:?}");
        }
    }
}

#[test]
fn rule_14_without_kyc_a_member_sees_and_does_not_ask() {
    let mut stage = Stage::new(&[], true);
    stage.run(&venue(), Command::SetKyc { member: MemberId(1), kyc: Kyc::Pending }).unwrap();
    let approvals = Query::Subscribe { channel: Operation::Approvals, open_orders: true };
    for query in [Query::MemberInfo, Query::Policies, Query::ServiceUsers, approvals] {
        assert!(stage.ask(&member(1), &query).is_ok(), "{query:?}");
    }
    let change = Change::Withdrawal(to_cold("1"));
    assert_eq!(stage.initiate(&member(1), change).unwrap_err().code, Code::PermissionDenied);
}

#[test]
fn rule_36_the_venue_operator_has_no_say_in_an_organization() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], true);
    let request = stage.withdrawal(&bot(1), withdraw("1", None)).request.unwrap();
    for command in [
        Command::CancelRequest(request),
        Command::ClaimSecret { request, step: Some(1) },
        Command::CancelAll,
        withdraw("1", None),
    ] {
        assert_eq!(stage.refused(&venue(), command), Code::PermissionDenied);
    }
    for query in [Query::Policies, Query::ServiceUsers, Query::Balances, Query::Requests(RequestFilter::default())] {
        assert_eq!(stage.ask(&venue(), &query).unwrap_err().code, Code::PermissionDenied);
    }
}

#[test]
fn genesis_comes_first_or_never() {
    let mut stage = Stage::new(&[], true);
    let server = Principal { actor: Actor::Server, ..public() };
    assert_eq!(stage.refused(&server, Command::Genesis(Vec::new())), Code::NotEmpty);
    assert_eq!(stage.refused(&public(), Command::Genesis(Vec::new())), Code::PermissionDenied);
    assert_eq!(stage.state().members.organization(OrganizationId(1)).name, "Acme");
}
