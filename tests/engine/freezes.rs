//! Freezes: who decides on the end of one that was widened, and whom one does not touch (rule 27).

use countersign::access::principal::Principal;
use countersign::access::scope::ScopeSet;
use countersign::access::workflow::{Permission, Workflow};
use countersign::domain::ids::{AccountId, AssetId, MemberId, OrganizationId, RequestId, ServiceUserId};
use countersign::domain::orders::Side;
use countersign::engine::approvals::{Decision, RequestState};
use countersign::engine::command::{Ballot, Command, Credit};
use countersign::engine::deposits::{DepositAddress, DepositStatus};
use countersign::engine::freezes::FreezeScope;
use countersign::engine::keys::KeyRef;
use countersign::engine::members::Kyc;
use countersign::engine::policy::PolicyTerms;
use countersign::engine::query::{Query, View};
use countersign::engine::reject::Code;
use countersign::engine::reply::Reply;
use countersign::engine::withdrawals::{WithdrawalAddress, WithdrawalStatus};
use countersign::engine::workflows::Change;
use countersign::engine::workflows::addresses::AddressChange;
use countersign::engine::workflows::keys::KeyChange;
use countersign::engine::workflows::members::MemberChange;
use countersign::engine::workflows::policies::PolicyChange;
use countersign::engine::workflows::unfreeze::Unfreeze;

use super::genesis::{key, other};
use super::governance::{invite, joined, sign_up};
use super::keys::create;
use super::members::organization;
use super::world::{DAY, Stage, asset, bot, decimal, limit, member, public, to_cold, venue, withdraw};

#[test]
fn rule_27_who_froze_and_who_widened_it_decide_on_the_end_only_while_nobody_else_could() {
    let mut stage = Stage::new(&[], false);
    let [cora, dora] = ["cora", "dora"].map(|name| joined(&mut stage, name, &Permission::ALL));
    let freeze = |scope| Command::Freeze { scope, reason: "odd".to_owned() };
    let end = || Change::Unfreeze(Unfreeze { reason: "looked at".to_owned() });
    stage.run(&member(cora), freeze(FreezeScope::Withdrawals)).unwrap();
    stage.run(&member(dora), freeze(FreezeScope::All)).unwrap();
    let request = stage.initiate(&member(1), end()).unwrap().id;
    for froze in [cora, dora] {
        assert_eq!(stage.vote(&member(froze), Decision::Approve, request).unwrap_err().code, Code::NotEligible);
    }
    stage.run(&venue(), Command::SetKyc { member: MemberId(2), kyc: Kyc::Rejected }).unwrap();
    assert_eq!(stage.vote(&member(cora), Decision::Approve, request).unwrap().state, RequestState::Approved);
    // The next freeze is Dora's alone.
    stage.run(&member(dora), freeze(FreezeScope::All)).unwrap();
    let request = stage.initiate(&member(1), end()).unwrap().id;
    assert_eq!(stage.vote(&member(dora), Decision::Approve, request).unwrap_err().code, Code::NotEligible);
    assert_eq!(stage.vote(&member(cora), Decision::Approve, request).unwrap().state, RequestState::Approved);
}

#[test]
fn rule_27_who_froze_was_removed_and_invited_again_still_froze() {
    let mut stage = Stage::new(&[], false);
    let dora = joined(&mut stage, "dora", &Permission::ALL);
    let freeze = Command::Freeze { scope: FreezeScope::Withdrawals, reason: "odd".to_owned() };
    stage.run(&member(dora), freeze).unwrap();
    stage.initiate(&member(1), Change::Members(MemberChange::Remove { member: MemberId(dora) })).unwrap();
    let again = joined(&mut stage, "dora", &Permission::ALL);
    let end = Change::Unfreeze(Unfreeze { reason: "looked at".to_owned() });
    let request = stage.initiate(&member(1), end).unwrap().id;
    assert_eq!(stage.vote(&member(again), Decision::Approve, request).unwrap_err().code, Code::NotEligible);
    assert_eq!(stage.vote(&member(2), Decision::Approve, request).unwrap().state, RequestState::Approved);
}

#[test]
fn a_reason_holds_line_breaks_and_no_other_control_characters() {
    let mut stage = Stage::new(&[], false);
    let freeze = |reason: &str| Command::Freeze { scope: FreezeScope::Withdrawals, reason: reason.to_owned() };
    for reason in ["", " \n", "a\0b", "a\u{1b}[2J", &"x".repeat(501)] {
        let refusal = stage.run(&member(1), freeze(reason)).unwrap_err();
        assert_eq!((refusal.code, refusal.field), (Code::InvalidArguments, Some("reason")), "{reason:?}");
    }
    stage.run(&member(1), freeze("a key leaked:\r\n\tbot 7")).unwrap();
}

/// Two Members of an Organization of their own, its number, and its key, which has a BTC and an approved address.
pub struct Neighbour {
    pub asks: Principal,
    pub votes: Principal,
    pub id: OrganizationId,
    pub bot: Principal,
}

/// What one asks for and the other approves.
fn approved(stage: &mut Stage, (asks, votes): (&Principal, &Principal), change: Change) -> RequestId {
    let request = stage.initiate(asks, change).unwrap().id;
    assert_eq!(stage.vote(votes, Decision::Approve, request).unwrap().state, RequestState::Approved);
    request
}

pub fn neighbour(stage: &mut Stage) -> Neighbour {
    let Reply::Organization(made, invited) = stage.run(&venue(), organization(&["dora", "emil"])).unwrap() else {
        panic!("an Organization")
    };
    for invited in &invited {
        sign_up(stage, invited.id);
        stage.run(&venue(), Command::SetKyc { member: invited.id, kyc: Kyc::Verified }).unwrap();
    }
    let [asks, votes] = [0, 1].map(|at| member(invited[at].id.0));
    let request = approved(stage, (&asks, &votes), create("Bot"));
    let step = Some(stage.step());
    let Reply::Claimed(user) = stage.run(&asks, Command::ClaimSecret { request, step }).unwrap() else {
        panic!("a key")
    };
    let [key, method, address] = ["cold-1", "BTC", "bc1qtheirs"].map(str::to_owned);
    let address = WithdrawalAddress { key, method, address, tag: None };
    approved(stage, (&asks, &votes), Change::Addresses(AddressChange::Add { asset: asset("BTC"), address }));
    let (bot, address) = (bot(user.id.0), DepositAddress { address: "bc1qpool".to_owned(), tag: None });
    let (asset, amount, txid) = (asset("BTC"), decimal("1"), "t-1".to_owned());
    stage.run(&venue(), Command::AddDepositAddresses { asset, addresses: vec![address.clone()] }).unwrap();
    stage.run(&bot, Command::DepositAddresses { asset, method: None, new: false }).unwrap();
    let credit = Credit { asset, address, amount, txid, status: DepositStatus::Success };
    stage.run(&venue(), Command::CreditDeposit(credit)).unwrap();
    Neighbour { asks, votes, id: made.id, bot }
}

#[test]
fn rule_27_a_freeze_of_one_organization_leaves_its_neighbours_as_they_are() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL), other()], true);
    let Neighbour { asks, votes, id, bot: theirs } = neighbour(&mut stage);
    let own = stage.placed(&bot(1), limit(Side::Sell, "1", "100", None));
    let resting = stage.placed(&theirs, limit(Side::Sell, "0.1", "100", None));
    let asked = stage.withdrawal(&theirs, withdraw("0.1", None)).request.unwrap();
    stage.run(&member(1), Command::Freeze { scope: FreezeScope::All, reason: "a key leaked".to_owned() }).unwrap();
    assert_eq!(stage.state().orders.get(own), None);
    assert_eq!(stage.refused(&bot(1), Command::CancelAll), Code::PermissionDenied);

    assert!(stage.state().orders.get(resting).is_some(), "it rests on");
    stage.placed(&bot(2), limit(Side::Buy, "0.1", "100", None));
    assert_eq!(stage.state().orders.get(resting), None, "two others trade");
    let open = |number| Command::OpenSession { key: KeyRef::ServiceUser(ServiceUserId(number)), nonce: 9 };
    assert_eq!(stage.refused(&public(), open(1)), Code::PermissionDenied);
    for number in [2, 3] {
        stage.run(&public(), open(number)).unwrap();
    }
    assert_eq!(stage.vote(&votes, Decision::Approve, asked).unwrap().state, RequestState::Approved);
    let later = stage.withdrawal(&theirs, withdraw("0.1", None));
    stage.vote(&votes, Decision::Approve, later.request.unwrap()).unwrap();
    assert_eq!(stage.state().withdrawals.summary(later.id).unwrap().status, WithdrawalStatus::Pending);
    approved(&mut stage, (&asks, &votes), Change::Withdrawal(to_cold("0.1")));
    approved(&mut stage, (&asks, &votes), invite("fay", Default::default()));
    let View::Member(_, _, freeze) = stage.ask(&asks, &Query::MemberInfo).unwrap() else { panic!("a Member") };
    assert_eq!(freeze, None);

    // Nor do they end it, and theirs is not Acme's.
    let end = || Change::Unfreeze(Unfreeze { reason: "looked at".to_owned() });
    assert_eq!(stage.initiate(&asks, end()).unwrap_err().code, Code::NotFrozen);
    let acmes = stage.initiate(&member(1), end()).unwrap();
    assert_eq!(stage.vote(&votes, Decision::Approve, acmes.id).unwrap_err().code, Code::UnknownRequest);
    stage.run(&votes, Command::Freeze { scope: FreezeScope::Withdrawals, reason: "odd".to_owned() }).unwrap();
    assert_eq!(stage.vote(&member(2), Decision::Approve, acmes.id).unwrap().state, RequestState::Approved);
    stage.run(&bot(1), Command::CancelAll).unwrap();
    assert!(stage.state().freezes.get(id).is_some(), "the end of one is not the end of the other");
    assert_eq!(stage.refused(&theirs, withdraw("0.1", None)), Code::Frozen);
}

#[test]
fn rule_27_in_a_freeze_holds_stay_time_runs_on_and_what_waits_can_be_given_up() {
    for scope in [FreezeScope::Withdrawals, FreezeScope::All] {
        let mut stage = Stage::new(&[key(ScopeSet::ALL)], true);
        let terms = PolicyTerms { allow_execute: true, ..PolicyTerms::of(1) };
        let executable = Change::Policies(PolicyChange::Set { workflow: Workflow::InitiateWithdrawal, terms });
        approved(&mut stage, (&member(1), &member(2)), executable);
        let [rejected, lasting] = [(); 2].map(|()| stage.withdrawal(&bot(1), withdraw("1", None)).request.unwrap());
        let own = [(); 2].map(|()| stage.initiate(&member(1), Change::Withdrawal(to_cold("1"))).unwrap());
        stage.run(&member(1), Command::Freeze { scope, reason: "odd".to_owned() }).unwrap();
        let held = |stage: &Stage| stage.state().ledger.held(AccountId(1), AssetId(2)).0 / 100_000_000;
        assert_eq!(held(&stage), 4);
        let ballots = vec![Ballot { request: own[0].id, digest: own[0].digest.clone() }];
        let execute = Command::Execute { ballots, step: Some(stage.step()), comment: None };
        let Reply::Votes(votes) = stage.run(&member(1), execute).unwrap() else { panic!("votes") };
        assert_eq!(votes[0].1.as_ref().unwrap_err().code, Code::Frozen);
        assert_eq!(stage.vote(&member(2), Decision::Approve, lasting).unwrap_err().code, Code::Frozen);
        assert_eq!(stage.vote(&member(2), Decision::Reject, rejected).unwrap().state, RequestState::Rejected);
        stage.run(&member(1), Command::CancelRequest(own[1].id)).unwrap();
        assert_eq!(held(&stage), 2);
        stage.tick(7 * DAY);
        assert_eq!(
            (stage.state_of(lasting), stage.state_of(own[0].id)),
            (RequestState::Expired, RequestState::Expired)
        );
        assert_eq!(held(&stage), 0);
        assert!(stage.state().withdrawals.pending_custody().is_empty(), "nothing was released");
    }
}

#[test]
fn rule_7_what_ends_all_orders_of_an_account_ends_none_of_another() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL), other()], true);
    let theirs = stage.placed(&bot(2), limit(Side::Buy, "1", "10", None));
    stage.run(&bot(2), Command::CancelAllAfter(3_600)).unwrap();
    let stop = Change::Keys(KeyChange::Remove { service_user: ServiceUserId(1) });
    let ends: [&dyn Fn(&mut Stage); 4] = [
        &|stage| drop(stage.run(&bot(1), Command::CancelAll).unwrap()),
        &|stage| drop(stage.run(&member(1), Command::CancelOrders(ServiceUserId(1))).unwrap()),
        &|stage| {
            stage.run(&bot(1), Command::CancelAllAfter(60)).unwrap();
            stage.tick(60_000_000);
        },
        &|stage| drop(stage.initiate(&member(1), stop.clone()).unwrap()),
    ];
    for end in ends {
        stage.placed(&bot(1), limit(Side::Buy, "1", "10", None));
        end(&mut stage);
        assert_eq!(stage.state().orders.open(AccountId(1)).count(), 0);
        assert!(stage.state().orders.get(theirs).is_some());
    }
    stage.tick(3_600_000_000);
    assert_eq!(stage.state().orders.get(theirs), None, "its own switch is armed still");
}
