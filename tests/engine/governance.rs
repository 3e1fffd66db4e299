//! Members, keys, addresses, policies and freezes as governed changes (rules 9, 17, 20 to 23, 26 to 28, 38).

use std::collections::{BTreeMap, BTreeSet};

use countersign::access::principal::{Credential, Principal};
use countersign::access::scope::ScopeSet;
use countersign::access::workflow::{Permission, Workflow};
use countersign::domain::ids::{AccountId, MemberId, OrganizationId, ServiceUserId};
use countersign::domain::limits::ADDRESSES_MAX;
use countersign::domain::orders::Side;
use countersign::domain::text::AssetCode;
use countersign::engine::Engine;
use countersign::engine::approvals::{Decision, InitiatorId, RequestState};
use countersign::engine::command::{Command, Initiation};
use countersign::engine::event::Event;
use countersign::engine::freezes::FreezeScope;
use countersign::engine::keys::KeyRef;
use countersign::engine::members::{Kyc, MemberStatus};
use countersign::engine::policy::{PolicyTerms, Rule};
use countersign::engine::query::{Query, View};
use countersign::engine::reject::Code;
use countersign::engine::reply::Reply;
use countersign::engine::service_users::KeyStatus;
use countersign::engine::state::State;
use countersign::engine::withdrawals::{WithdrawalAddress, WithdrawalStatus};
use countersign::engine::workflows::Change;
use countersign::engine::workflows::addresses::AddressChange;
use countersign::engine::workflows::keys::KeyChange;
use countersign::engine::workflows::members::{MemberChange, PermissionSets};
use countersign::engine::workflows::policies::PolicyChange;
use countersign::engine::workflows::unfreeze::Unfreeze;

use super::genesis::key;
use super::keys::rename;
use super::world::{
    DAY, SECOND, Stage, asset, bot, decimal, limit, member, public, to_cold, token_hash, venue, withdraw, withdraw_to,
};

pub fn set(workflow: Workflow, terms: PolicyTerms) -> Change {
    Change::Policies(PolicyChange::Set { workflow, terms })
}

pub fn everywhere(permissions: &[Permission]) -> PermissionSets {
    let all: BTreeSet<Permission> = permissions.iter().copied().collect();
    Workflow::ALL.into_iter().map(|workflow| (workflow, all.clone())).collect()
}

pub fn edit(member: u32, permissions: PermissionSets, suspended: Option<bool>) -> Change {
    Change::Members(MemberChange::Edit { member: MemberId(member), name: None, permissions, suspended })
}

pub fn invite(name: &str, permissions: PermissionSets) -> Change {
    let (name, email) = (name.to_owned(), format!("{name}@acme.test"));
    Change::Members(MemberChange::Invite { name, email, permissions })
}

/// Invites a Member who accepts, confirms and is verified; returns the Member's number.
pub fn joined(stage: &mut Stage, name: &str, permissions: &[Permission]) -> u32 {
    let request = stage.initiate(&member(1), invite(name, everywhere(permissions))).unwrap();
    assert_eq!(request.state, RequestState::Executed, "no policy governs");
    let id = stage.state().members.by_email(&format!("{name}@acme.test")).unwrap().id;
    sign_up(stage, id);
    stage.run(&venue(), Command::SetKyc { member: id, kyc: Kyc::Verified }).unwrap();
    id.0
}

pub fn sign_up(stage: &mut Stage, id: MemberId) {
    let token_hash = stage.state().members.member(id).invitation.as_ref().unwrap().token_hash;
    let accept = Command::AcceptInvitation { token_hash, password_hash: "hash".to_owned(), totp_sealed: vec![1] };
    stage.run(&public(), accept).unwrap();
    let step = stage.step();
    stage.run(&public(), Command::ConfirmInvitation { token_hash, totp_sealed: vec![1], step }).unwrap();
}

#[test]
fn rule_17_who_was_invited_may_still_come_after_an_edit_of_their_rights() {
    let mut stage = Stage::new(&[], false);
    stage.initiate(&member(1), invite("dora", everywhere(&[Permission::View]))).unwrap();
    let id = stage.state().members.by_email("dora@acme.test").unwrap().id;
    stage.initiate(&member(1), edit(id.0, everywhere(&[Permission::View, Permission::Initiate]), None)).unwrap();
    sign_up(&mut stage, id);
}

/// Two approvers, Alice and Bob; Carol views.
fn stage(policy: bool) -> Stage {
    Stage::new(&[key(ScopeSet::ALL)], policy)
}

#[test]
fn rule_17_an_invited_member_signs_up_and_counts_once_verified() {
    let mut stage = stage(true);
    stage.initiate(&member(1), set(Workflow::ManageAccess, PolicyTerms::of(1))).unwrap();
    let invited = stage.initiate(&member(1), invite("dora", everywhere(&[Permission::Approve]))).unwrap();
    assert_eq!(invited.state, RequestState::Pending);
    assert!(stage.state().members.by_email("dora@acme.test").is_none(), "nobody is there before the vote");
    stage.vote(&member(2), Decision::Approve, invited.id).unwrap();
    let dora = stage.state().members.by_email("dora@acme.test").unwrap().clone();
    assert_eq!((dora.status, dora.kyc), (MemberStatus::Invited, Kyc::Pending));
    sign_up(&mut stage, dora.id);
    let request = stage.withdrawal(&bot(1), withdraw("1", None)).request.unwrap();
    assert_eq!(stage.vote(&member(dora.id.0), Decision::Approve, request).unwrap_err().code, Code::PermissionDenied);
    stage.run(&venue(), Command::SetKyc { member: dora.id, kyc: Kyc::Verified }).unwrap();
    assert_eq!(stage.vote(&member(dora.id.0), Decision::Approve, request).unwrap().state, RequestState::Approved);
    assert_eq!(stage.initiate(&member(1), invite("DORA", PermissionSets::new())).unwrap_err().code, Code::Exists);
}

#[test]
fn rule_22_a_demoted_members_vote_is_struck_and_does_not_come_back() {
    let mut stage = stage(false);
    joined(&mut stage, "dora", &[Permission::Approve]);
    stage.initiate(&member(1), set(Workflow::InitiateWithdrawal, PolicyTerms::of(2))).unwrap();
    let request = stage.withdrawal(&bot(1), withdraw("1", None)).request.unwrap();
    stage.vote(&member(2), Decision::Approve, request).unwrap();
    let views = BTreeMap::from([(Workflow::InitiateWithdrawal, BTreeSet::from([Permission::View]))]);
    stage.initiate(&member(1), edit(2, views, None)).unwrap();
    assert!(stage.request(request).votes[0].struck);
    let again = BTreeMap::from([(Workflow::InitiateWithdrawal, BTreeSet::from([Permission::Approve]))]);
    stage.initiate(&member(1), edit(2, again, None)).unwrap();
    let after = stage.vote(&member(1), Decision::Approve, request).unwrap();
    assert_eq!(after.state, RequestState::Pending, "one vote counts, one was struck");
    assert_eq!(stage.vote(&member(2), Decision::Approve, request).unwrap().state, RequestState::Approved);
}

#[test]
fn rule_22_a_leaving_members_own_requests_are_canceled_and_sessions_end() {
    let mut stage = stage(true);
    let dora = joined(&mut stage, "dora", &Permission::ALL);
    let own = stage.initiate(&member(dora), Change::Withdrawal(to_cold("1"))).unwrap();
    let step = stage.step();
    let open = Command::OpenMemberSession { member: MemberId(dora), step, cookie_hash: [7; 32] };
    stage.run(&public(), open).unwrap();
    stage.initiate(&member(1), Change::Members(MemberChange::Remove { member: MemberId(dora) })).unwrap();
    assert_eq!(stage.state_of(own.id), RequestState::Canceled);
    assert!(stage.state().members.sessions().all().all(|session| session.member != MemberId(dora)));
    assert_eq!(stage.refused(&member(dora), Command::CancelRequest(own.id)), Code::InvalidSession);
    stage.initiate(&member(1), invite("dora", PermissionSets::new())).expect("the address is free again");
}

#[test]
fn rule_23_nobody_gains_rights_by_their_own_request_or_votes_on_them() {
    let mut stage = stage(false);
    let dora = joined(&mut stage, "dora", &[Permission::Initiate]);
    let more = everywhere(&[Permission::Initiate, Permission::Approve]);
    assert_eq!(stage.initiate(&member(dora), edit(dora, more.clone(), None)).unwrap_err().code, Code::OwnRequest);
    let less = stage.initiate(&member(dora), edit(dora, everywhere(&[Permission::View]), None)).unwrap();
    assert_eq!(less.state, RequestState::Executed, "giving rights up is no gain");
    stage.initiate(&member(1), set(Workflow::ManageAccess, PolicyTerms::of(1))).unwrap();
    let raise = stage.initiate(&member(1), edit(2, everywhere(&Permission::ALL), None)).unwrap();
    assert_eq!(stage.vote(&member(2), Decision::Approve, raise.id).unwrap_err().code, Code::NotEligible);
    assert_eq!(stage.state_of(raise.id), RequestState::Pending);
}

#[test]
fn rule_23_the_last_approver_stays() {
    let mut stage = stage(true);
    stage.initiate(&member(1), set(Workflow::InitiateWithdrawal, PolicyTerms::of(2))).unwrap();
    for change in [
        Change::Members(MemberChange::Remove { member: MemberId(2) }),
        edit(2, everywhere(&[Permission::View]), None),
        edit(2, PermissionSets::new(), Some(true)),
        Change::Members(MemberChange::Reset { member: MemberId(2) }),
    ] {
        assert_eq!(stage.initiate(&member(1), change).unwrap_err().code, Code::ImpossibleQuorum);
    }
    let dora = joined(&mut stage, "dora", &[Permission::Approve]);
    let request = stage.withdrawal(&bot(1), withdraw("1", None)).request.unwrap();
    stage.initiate(&member(1), edit(2, PermissionSets::new(), Some(true))).expect("two are left");
    assert_eq!(stage.vote(&member(dora), Decision::Approve, request).unwrap().state, RequestState::Pending);
}

#[test]
fn rule_23_pending_requests_keep_their_approvers_unless_stranding_is_accepted() {
    let mut stage = stage(false);
    let dora = joined(&mut stage, "dora", &Permission::ALL);
    stage.initiate(&member(1), set(Workflow::InitiateWithdrawal, PolicyTerms::of(2))).unwrap();
    let own = stage.initiate(&member(1), Change::Withdrawal(to_cold("1"))).unwrap();
    // Alice asked, so Bob and Dora have to vote; without Dora nobody could complete it.
    let remove = Change::Members(MemberChange::Remove { member: MemberId(dora) });
    let refusal = stage.initiate(&member(1), remove.clone()).unwrap_err();
    assert_eq!((refusal.code, refusal.field), (Code::ImpossibleQuorum, Some("strand_pending")));
    let initiation = Initiation { strand_pending: true, ..stage.asked(&remove) };
    stage.run(&member(1), Command::Initiate(Box::new(remove), initiation)).unwrap();
    assert_eq!(stage.state_of(own.id), RequestState::Pending);
}

#[test]
fn rule_38_a_reset_member_signs_up_anew_and_is_verified_again() {
    let mut stage = stage(true);
    let dora = joined(&mut stage, "dora", &[Permission::Approve]);
    let reset = Change::Members(MemberChange::Reset { member: MemberId(dora) });
    assert_eq!(
        stage.refused(&venue(), Command::Initiate(Box::new(reset.clone()), Initiation::default())),
        Code::PermissionDenied
    );
    stage.initiate(&member(1), reset).unwrap();
    let record = stage.state().members.member(MemberId(dora)).clone();
    assert_eq!((record.status, record.kyc, record.password_hash), (MemberStatus::Invited, Kyc::Pending, None));
    sign_up(&mut stage, MemberId(dora));
    let request = stage.withdrawal(&bot(1), withdraw("1", None)).request.unwrap();
    assert_eq!(stage.vote(&member(dora), Decision::Approve, request).unwrap_err().code, Code::PermissionDenied);
}

#[test]
fn rule_21_the_first_rule_that_matches_decides_and_explain_says_which() {
    let mut stage = stage(true);
    joined(&mut stage, "dora", &[Permission::Approve]);
    let btc = AssetCode::from("BTC").ok();
    let rule = |quorum| Rule { asset: btc, quorum, ..Rule::default() };
    let rules = vec![
        Rule { amount_from: Some(decimal("5")), ..rule(3) },
        Rule { total_24h_from: Some(decimal("6")), ..rule(2) },
        Rule { initiators: Some(vec![InitiatorId::Member(MemberId(1))]), allow_execute: Some(true), ..rule(1) },
    ];
    let terms = PolicyTerms { rules, ..PolicyTerms::of(1) };
    let changed = stage.initiate(&member(1), set(Workflow::InitiateWithdrawal, terms)).unwrap();
    stage.vote(&member(2), Decision::Approve, changed.id).unwrap();
    let found = |stage: &mut Stage, amount: &str| {
        let request = stage.withdrawal(&bot(1), withdraw(amount, None)).request.unwrap();
        let verdict = stage.request(request).policy.clone().unwrap();
        (verdict.rule, verdict.quorum)
    };
    assert_eq!(found(&mut stage, "5"), (Some(1), 3));
    assert_eq!(found(&mut stage, "0.5"), (None, 1));
    assert_eq!(found(&mut stage, "0.5"), (Some(2), 2), "5 + 0.5 + 0.5 in 24 hours");
    let explain = |service_user| Query::Explain { change: to_cold("0.1"), service_user };
    let View::Explained(Some(verdict), eligible) = stage.ask(&member(3), &explain(Some(ServiceUserId(1)))).unwrap()
    else {
        panic!("an explanation")
    };
    assert_eq!((verdict.rule, verdict.quorum, eligible.len()), (Some(2), 2, 3));
    stage.tick(DAY);
    let View::Explained(Some(verdict), eligible) = stage.ask(&member(1), &explain(None)).unwrap() else {
        panic!("an explanation")
    };
    assert_eq!((verdict.rule, verdict.allow_execute), (Some(3), true), "yesterday's total is over");
    assert!(eligible.iter().all(|(id, _)| *id != MemberId(1)), "the asker could not vote");
}

#[test]
fn d3_41_the_rolling_total_cannot_be_split_around() {
    let mut stage = stage(true);
    let rule = Rule { asset: Some(asset("BTC")), total_24h_from: Some(decimal("10")), quorum: 2, ..Rule::default() };
    let terms = PolicyTerms { rules: vec![rule], ..PolicyTerms::of(1) };
    let changed = stage.initiate(&member(1), set(Workflow::InitiateWithdrawal, terms)).unwrap();
    stage.vote(&member(2), Decision::Approve, changed.id).unwrap();
    let needed = |stage: &mut Stage| {
        let request = stage.withdrawal(&bot(1), withdraw("1", None)).request.unwrap();
        let quorum = stage.request(request).policy.as_ref().unwrap().quorum;
        if quorum == 1 {
            stage.vote(&member(2), Decision::Approve, request).unwrap();
        }
        quorum
    };
    let begun = stage.now;
    let first: Vec<u32> = (0..11).map(|_| needed(&mut stage)).collect();
    assert_eq!(first, [1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2], "released ones count like pending ones");
    let bytes = postcard::to_allocvec(stage.state()).unwrap();
    stage.engine = Engine::new(postcard::from_bytes::<State>(&bytes).unwrap());
    // The wall clock is set back: the stamp does not go back, nor does the window.
    let now = stage.now;
    stage.now = now.minus_us(2 * DAY);
    assert_eq!(needed(&mut stage), 2, "over a restart and a clock that went back");
    stage.now = begun.plus_us(DAY - 1);
    assert_eq!(needed(&mut stage), 2, "to the end of the day");
    stage.now = now.plus_us(DAY);
    assert_eq!(needed(&mut stage), 1, "a day later the window is empty");
}

#[test]
fn rule_26_a_new_address_cools_down_and_a_removed_one_fails_its_requests() {
    let mut stage = stage(true);
    let terms = PolicyTerms { cool_down_s: 3_600, ..PolicyTerms::of(1) };
    stage.initiate(&member(1), set(Workflow::ManageAddresses, terms)).unwrap();
    let hot =
        WithdrawalAddress { key: "hot".to_owned(), method: "BTC".to_owned(), address: "bc1qhot".to_owned(), tag: None };
    let add = Change::Addresses(AddressChange::Add { asset: asset("BTC"), address: hot });
    let to_hot = |stage: &mut Stage| {
        let change =
            countersign::engine::workflows::withdrawal::WithdrawalChange { key: "hot".to_owned(), ..to_cold("1") };
        stage.run(&bot(1), withdraw_to(change, None))
    };
    let request = stage.initiate(&member(1), add.clone()).unwrap();
    assert_eq!(to_hot(&mut stage).unwrap_err().code, Code::UnknownWithdrawKey, "pending");
    stage.vote(&member(2), Decision::Approve, request.id).unwrap();
    assert_eq!(to_hot(&mut stage).unwrap_err().code, Code::UnknownWithdrawKey, "cooling down");
    stage.tick(3_600 * SECOND);
    let Reply::Withdrawal(made) = to_hot(&mut stage).unwrap() else { panic!("a withdrawal") };
    let remove = Change::Addresses(AddressChange::Remove { asset: asset("BTC"), key: "hot".to_owned() });
    let request = stage.initiate(&member(1), remove).unwrap();
    stage.vote(&member(2), Decision::Approve, request.id).unwrap();
    assert_eq!(stage.state_of(made.request.unwrap()), RequestState::Failed);
    assert_eq!(stage.state().withdrawals.summary(made.id).unwrap().status, WithdrawalStatus::Canceled);
    let request = stage.initiate(&member(1), add).unwrap();
    stage.vote(&member(2), Decision::Approve, request.id).unwrap();
    assert_eq!(to_hot(&mut stage).unwrap_err().code, Code::UnknownWithdrawKey, "the cool-down starts anew");
}

#[test]
fn rule_26_an_organization_has_a_thousand_addresses_at_most() {
    let mut stage = stage(false);
    let named = |number: usize| {
        let (key, method) = (format!("key {number}"), "BTC".to_owned());
        WithdrawalAddress { key, method, address: "bc1q".to_owned(), tag: None }
    };
    let add = |number| Change::Addresses(AddressChange::Add { asset: asset("BTC"), address: named(number) });
    let (mut state, organization) = (stage.state().clone(), OrganizationId(1));
    let first = state.withdrawals.addresses(organization, None).count();
    let (asset_id, usable_at) = (state.reference.find_asset("BTC").unwrap().id, stage.now);
    for number in first..ADDRESSES_MAX {
        state.apply(
            stage.now,
            &Event::AddressAdded { organization, asset: asset_id, address: named(number), usable_at },
        );
    }
    stage.engine = Engine::new(state);
    assert_eq!(stage.initiate(&member(1), add(ADDRESSES_MAX)).unwrap_err().code, Code::LimitReached);
    let key = format!("key {first}");
    stage.initiate(&member(1), Change::Addresses(AddressChange::Remove { asset: asset("BTC"), key })).unwrap();
    stage.initiate(&member(1), add(ADDRESSES_MAX)).unwrap();
}

#[test]
fn rule_27_a_freeze_stops_at_once_and_only_others_end_it() {
    let mut stage = stage(true);
    stage
        .initiate(&member(1), set(Workflow::ManageAccess, PolicyTerms { allow_execute: true, ..PolicyTerms::of(1) }))
        .unwrap();
    let withdrawal = stage.withdrawal(&bot(1), withdraw("1", None));
    let freeze = |scope| Command::Freeze { scope, reason: "a key leaked".to_owned() };
    assert_eq!(stage.refused(&member(2), freeze(FreezeScope::All)), Code::PermissionDenied, "needs Execute");
    stage.run(&member(1), freeze(FreezeScope::Withdrawals)).unwrap();
    assert_eq!(stage.refused(&bot(1), withdraw("1", None)), Code::Frozen);
    let own = stage.initiate(&member(1), Change::Withdrawal(to_cold("1")));
    let advice = "withdrawals are stopped; try again once Members have ended the freeze";
    assert_eq!(own.unwrap_err().text(), format!("EGovernance:Frozen:organization: {advice}"));
    assert_eq!(stage.vote(&member(2), Decision::Approve, withdrawal.request.unwrap()).unwrap_err().code, Code::Frozen);
    stage.placed(&bot(1), limit(Side::Buy, "1", "10", None));
    stage.run(&member(1), freeze(FreezeScope::All)).unwrap();
    assert!(stage.state().orders.open(AccountId(1)).next().is_none(), "orders are canceled");
    assert_eq!(stage.refused(&bot(1), Command::CancelAll), Code::PermissionDenied, "keys are refused");
    let open = Command::OpenSession { key: KeyRef::ServiceUser(ServiceUserId(1)), nonce: 9 };
    let signer = Principal { credential: Credential::Key(1), ..public() };
    assert_eq!(stage.refused(&signer, open), Code::PermissionDenied);
    let end = Change::Unfreeze(Unfreeze { reason: "the key is gone".to_owned() });
    let initiation = Initiation { execute: true, ..stage.asked(&end) };
    let at_once = stage.run(&member(1), Command::Initiate(Box::new(end.clone()), initiation));
    let text = "EGovernance:Execute not allowed:execute: it is completed by votes";
    assert_eq!(at_once.unwrap_err().text(), text, "never executable, whatever the policy allows");
    let request = stage.initiate(&member(1), end).unwrap();
    assert_eq!((request.state, request.policy.as_ref().unwrap().quorum), (RequestState::Pending, 1));
    assert_eq!(stage.vote(&member(1), Decision::Approve, request.id).unwrap_err().code, Code::OwnRequest);
    stage.vote(&member(2), Decision::Approve, request.id).unwrap();
    assert_eq!(
        stage.vote(&member(2), Decision::Approve, withdrawal.request.unwrap()).unwrap().state,
        RequestState::Approved
    );
}

#[test]
fn rule_27_who_froze_decides_on_the_end_only_while_nobody_else_could() {
    let mut stage = stage(true);
    let dora = joined(&mut stage, "dora", &Permission::ALL);
    stage.run(&member(dora), Command::Freeze { scope: FreezeScope::All, reason: "odd".to_owned() }).unwrap();
    let end = Change::Unfreeze(Unfreeze { reason: "looked at".to_owned() });
    let request = stage.initiate(&member(1), end).unwrap();
    assert_eq!(stage.vote(&member(dora), Decision::Approve, request.id).unwrap_err().code, Code::NotEligible);
    stage.run(&venue(), Command::SetKyc { member: MemberId(2), kyc: Kyc::Rejected }).unwrap();
    assert_eq!(stage.vote(&member(dora), Decision::Approve, request.id).unwrap().state, RequestState::Approved);
}

#[test]
fn rule_28_a_rotated_key_is_claimed_and_the_old_one_serves_out_its_overlap() {
    let mut stage = stage(false);
    stage.initiate(&member(1), set(Workflow::ManageAccess, PolicyTerms::of(1))).unwrap();
    let rotate = Change::Keys(KeyChange::Rotate { service_user: ServiceUserId(1), overlap_s: 600 });
    let request = stage.initiate(&member(1), rotate).unwrap();
    stage.vote(&member(2), Decision::Approve, request.id).unwrap();
    stage.run(&bot(1), Command::CancelAll).expect("the old key serves until the new one is claimed");
    let generated = format!("drawn-{}", stage.now.0 / (30 * SECOND) - 1);
    assert!(stage.state().keys.verification(&generated).is_none(), "an unclaimed key is no key");
    let step = Some(stage.step());
    let Reply::Claimed(user) = stage.run(&member(1), Command::ClaimSecret { request: request.id, step }).unwrap()
    else {
        panic!("a key")
    };
    assert_eq!((user.api_key.as_str(), user.credential, user.status), (generated.as_str(), 2, KeyStatus::Active));
    assert!(user.managers.contains(&MemberId(1)));
    let mut fresh = bot(1);
    fresh.credential = Credential::Key(2);
    stage.run(&fresh, Command::CancelAll).unwrap();
    stage.run(&bot(1), Command::CancelAll).expect("the overlap runs");
    let open = |nonce| Command::OpenSession { key: KeyRef::ServiceUser(ServiceUserId(1)), nonce };
    let signer = |version| Principal { credential: Credential::Key(version), ..public() };
    stage.run(&signer(1), open(1_000)).unwrap();
    stage.run(&signer(2), open(5)).expect("a new secret resets the nonce");
    stage.tick(600 * SECOND);
    assert_eq!(stage.refused(&bot(1), Command::CancelAll), Code::InvalidKey);
    assert!(stage.state().keys.verification("key-1").is_none());
    stage.run(&fresh, Command::CancelAll).unwrap();
}

#[test]
fn rule_20_a_removed_policy_leaves_what_was_pinned() {
    let mut stage = stage(true);
    let waiting = stage.withdrawal(&bot(1), withdraw("1", None)).request.unwrap();
    let remove = Change::Policies(PolicyChange::Remove { workflow: Workflow::InitiateWithdrawal });
    let request = stage.initiate(&member(1), remove).unwrap();
    assert_eq!(request.policy.as_ref().unwrap().workflow, Workflow::InitiateWithdrawal, "judged under itself");
    stage.vote(&member(2), Decision::Approve, request.id).unwrap();
    assert_eq!(stage.state_of(waiting), RequestState::Pending);
    assert_eq!(stage.request(waiting).policy.as_ref().unwrap().quorum, 1);
    let free = stage.withdrawal(&bot(1), withdraw("1", None));
    assert_eq!(free.status, WithdrawalStatus::Pending, "without a policy the scope suffices");
}

#[test]
fn rule_9_members_with_execute_cancel_a_service_users_orders() {
    let mut stage = stage(true);
    stage.placed(&bot(1), limit(Side::Buy, "1", "10", None));
    stage.placed(&bot(1), limit(Side::Buy, "1", "11", None));
    assert_eq!(stage.refused(&member(2), Command::CancelOrders(ServiceUserId(1))), Code::PermissionDenied);
    let Reply::Canceled(ids) = stage.run(&member(1), Command::CancelOrders(ServiceUserId(1))).unwrap() else {
        panic!("orders")
    };
    assert_eq!(ids.len(), 2);
    assert_eq!(stage.refused(&member(1), Command::CancelOrders(ServiceUserId(9))), Code::UnknownSubject);
}

#[test]
fn rule_17_an_invitation_is_the_hash_that_was_drawn() {
    let mut stage = stage(true);
    let request = stage.initiate(&member(1), invite("dora", PermissionSets::new())).unwrap();
    let step = stage.now.0 / (30 * SECOND);
    let dora = stage.state().members.by_email("dora@acme.test").unwrap();
    assert_eq!(dora.invitation.as_ref().unwrap().token_hash, token_hash(step));
    let none = r#"{"initiate_withdrawal":[],"manage_access":[],"manage_addresses":[],"manage_policies":[]}"#;
    let shown = format!(r#"{{"email":"dora@acme.test","name":"dora","permissions":{none}}}"#);
    assert_eq!(request.payload.to_json(), shown, "approvers do not see it");
}

#[test]
fn rule_28_a_secret_whose_key_never_comes_to_be_is_not_kept() {
    let mut stage = stage(false);
    stage.initiate(&member(1), set(Workflow::ManageAccess, PolicyTerms::of(1))).unwrap();
    let rotate = Change::Keys(KeyChange::Rotate { service_user: ServiceUserId(1), overlap_s: 600 });
    let request = stage.initiate(&member(1), rotate).unwrap();
    assert!(request.generated.is_some());
    assert_eq!(stage.vote(&member(2), Decision::Reject, request.id).unwrap().state, RequestState::Rejected);
    assert_eq!(stage.request(request.id).generated, None);
}

#[test]
fn rule_28_a_secret_that_nobody_claimed_in_time_is_rotated() {
    let mut stage = stage(false);
    stage.initiate(&member(1), set(Workflow::ManageAccess, PolicyTerms::of(1))).unwrap();
    let (name, scopes) = ("Fresh".to_owned(), ScopeSet::ALL);
    let create = Change::Keys(KeyChange::Create { name, scopes, settings: Default::default() });
    let made = stage.initiate(&member(1), create).unwrap();
    stage.vote(&member(2), Decision::Approve, made.id).unwrap();
    stage.tick(7 * DAY);
    let step = stage.step();
    let claim = |request, step| Command::ClaimSecret { request, step: Some(step) };
    assert_eq!(stage.refused(&member(1), claim(made.id, step)), Code::NothingToClaim);
    let rotate = Change::Keys(KeyChange::Rotate { service_user: ServiceUserId(2), overlap_s: 600 });
    let again = stage.initiate(&member(1), rotate).unwrap();
    stage.vote(&member(2), Decision::Approve, again.id).unwrap();
    let step = stage.step();
    let Reply::Claimed(user) = stage.run(&member(1), claim(again.id, step)).unwrap() else { panic!("a key") };
    assert_eq!((user.status, user.retiring), (KeyStatus::Active, None), "nobody ever held the first key");
}

#[test]
fn rule_23_what_was_asked_for_since_counts_when_a_policy_comes_into_force() {
    let mut stage = stage(false);
    joined(&mut stage, "dora", &[Permission::Initiate]);
    stage.initiate(&member(1), rename(1, "Hers")).unwrap();
    for workflow in [Workflow::InitiateWithdrawal, Workflow::ManagePolicies] {
        stage.initiate(&member(1), set(workflow, PolicyTerms::of(1))).unwrap();
    }
    let stricter = set(Workflow::InitiateWithdrawal, PolicyTerms::of(2));
    let request = stage.initiate(&member(1), stricter.clone()).unwrap();
    let waiting = stage.withdrawal(&bot(1), withdraw("1", None)).request.unwrap();
    assert_eq!(stage.vote(&member(2), Decision::Approve, request.id).unwrap().state, RequestState::Failed);
    assert_eq!(stage.request(waiting).policy.as_ref().unwrap().quorum, 1);
    let initiation = Initiation { strand_pending: true, ..stage.asked(&stricter) };
    let Reply::Request(request) = stage.run(&member(1), Command::Initiate(Box::new(stricter), initiation)).unwrap()
    else {
        panic!("a request")
    };
    assert_eq!(stage.vote(&member(2), Decision::Approve, request.id).unwrap().state, RequestState::Approved);
    assert_eq!(stage.request(waiting).policy.as_ref().unwrap().quorum, 2);
    // A request that changes its own workflow's policy does not block itself: afterwards only Dora could ask for more.
    let own = stage.initiate(&member(1), set(Workflow::ManagePolicies, PolicyTerms::of(2))).unwrap();
    assert_eq!(stage.vote(&member(2), Decision::Approve, own.id).unwrap().state, RequestState::Approved);
}
