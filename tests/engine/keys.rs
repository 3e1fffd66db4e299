//! Keys: nonces, settings, and what happens when one stops (rules 2, 3, 8 to 10, 22, 28, 36, 39).

use countersign::access::key::{KeySettings, OnStop, SettingsChange};
use countersign::access::operation::Operation;
use countersign::access::principal::{Credential, Principal};
use countersign::access::scope::{Scope, ScopeSet};
use countersign::access::workflow::{Permission, Workflow};
use countersign::domain::ids::{AccountId, AssetId, MemberId, ServiceUserId, StrategyId, VenueKeyId};
use countersign::domain::limits::SERVICE_USERS_MAX;
use countersign::domain::money::Amount;
use countersign::domain::orders::{CancelReason, Side};
use countersign::domain::time::{Moment, Period};
use countersign::engine::Engine;
use countersign::engine::approvals::{Decision, Request, RequestState};
use countersign::engine::command::{Command, CustodyResult, EarnMove, EditOrder, Initiation};
use countersign::engine::event::Event;
use countersign::engine::keys::{KeyRef, VenueKey};
use countersign::engine::ledger::Wallet;
use countersign::engine::policy::PolicyTerms;
use countersign::engine::query::{Query, View};
use countersign::engine::reject::{Code, Reject};
use countersign::engine::reply::Reply;
use countersign::engine::service_users::KeyStatus;
use countersign::engine::workflows::Change;
use countersign::engine::workflows::keys::KeyChange;
use countersign::engine::workflows::members::MemberChange;

use super::amendments::edit_of;
use super::genesis::{key, other, with};
use super::governance::{joined, set};
use super::world::{DAY, SECOND, Stage, bot, decimal, limit, member, public, server, venue, withdraw};

fn open(number: u32, nonce: u64) -> Command {
    Command::OpenSession { key: KeyRef::ServiceUser(ServiceUserId(number)), nonce }
}

/// Who has signed with this version of a key's secret.
fn signer(credential: u32) -> Principal {
    Principal { credential: Credential::Key(credential), ..public() }
}

/// A key with every scope and the usual settings.
pub fn create(name: &str) -> Change {
    let (name, settings) = (name.to_owned(), KeySettings::default());
    Change::Keys(KeyChange::Create { name, scopes: ScopeSet::ALL, settings })
}

pub fn rename(number: u32, name: &str) -> Change {
    let (service_user, settings, name) = (ServiceUserId(number), SettingsChange::default(), Some(name.to_owned()));
    Change::Keys(KeyChange::Edit { service_user, name, scopes: None, settings, disabled: None })
}

pub fn edit(number: u32, settings: SettingsChange, disabled: Option<bool>, scopes: Option<ScopeSet>) -> Change {
    let service_user = ServiceUserId(number);
    Change::Keys(KeyChange::Edit { service_user, name: None, scopes, settings, disabled })
}

#[test]
fn rule_2_a_nonce_is_higher_or_unused_within_the_window() {
    let window = KeySettings { nonce_window: 10, ..KeySettings::default() };
    let mut stage = Stage::new(&[key(ScopeSet::ALL), with(window)], true);
    stage.run(&public(), open(1, 100)).unwrap();
    assert_eq!(stage.refused(&public(), open(1, 100)), Code::InvalidNonce);
    assert_eq!(stage.refused(&public(), open(1, 99)), Code::InvalidNonce);
    stage.run(&public(), open(2, 100)).unwrap();
    stage.run(&public(), open(2, 90)).unwrap();
    assert_eq!(stage.refused(&public(), open(2, 90)), Code::InvalidNonce);
    assert_eq!(stage.refused(&public(), open(2, 89)), Code::InvalidNonce);
}

#[test]
fn rule_3_an_expired_key_is_refused_whether_or_not_tick_has_run() {
    let soon = KeySettings { expires_at: Some(Moment(100 * DAY + 10 * SECOND)), ..KeySettings::default() };
    let mut stage = Stage::new(&[with(soon)], true);
    stage.run(&public(), open(1, 1)).unwrap();
    stage.now = stage.now.plus_us(10 * SECOND);
    assert_eq!(stage.refused(&public(), open(1, 2)), Code::PermissionDenied);
    assert_eq!(stage.refused(&bot(1), Command::CancelAll), Code::PermissionDenied);
    // The stamp never goes back, so neither does the expiry (rule 39).
    stage.tick(0);
    stage.now = stage.now.minus_us(DAY);
    assert_eq!(stage.refused(&bot(1), Command::CancelAll), Code::PermissionDenied);
    assert_eq!(stage.ask(&bot(1), &Query::KeyInfo).unwrap_err().code, Code::PermissionDenied);
    assert_eq!(stage.state().keys.service_user(ServiceUserId(1)).status, KeyStatus::Expired);
}

#[test]
fn rule_39_what_an_expired_key_takes_along_is_gone_before_an_edit_revives_it() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], false);
    stage.initiate(&member(1), set(Workflow::InitiateWithdrawal, PolicyTerms::of(2))).unwrap();
    let expiry = |at| SettingsChange { expires_at: Some(Some(at)), ..SettingsChange::default() };
    let end = stage.now.plus_us(60 * SECOND);
    stage.initiate(&member(1), edit(1, expiry(end), None, None)).unwrap();
    stage.placed(&bot(1), limit(Side::Buy, "1", "10", None));
    let withdrawal = stage.withdrawal(&bot(1), withdraw("1", None));
    stage.now = end;
    // It leaves no request without approvers, since none is left.
    stage.initiate(&member(1), edit(1, expiry(end.plus_us(DAY)), None, None)).unwrap();
    assert_eq!(stage.state().keys.service_user(ServiceUserId(1)).status, KeyStatus::Active);
    assert_eq!(stage.state().orders.open(AccountId(1)).count(), 0);
    assert_eq!(stage.state_of(withdrawal.request.unwrap()), RequestState::Canceled);
}

#[test]
fn rule_36_the_end_of_a_venue_key_is_told_once() {
    let mut stage = Stage { engine: Engine::default(), now: Moment(100 * DAY), events: Vec::new() };
    let key = VenueKey {
        id: VenueKeyId(1),
        name: "venue".to_owned(),
        api_key: "venue".to_owned(),
        secret_sealed: Vec::new(),
        credential: 1,
        settings: KeySettings { expires_at: Some(stage.now.plus_us(SECOND)), ..KeySettings::default() },
        expired: false,
    };
    stage.run(&server(), Command::Genesis(vec![Event::VenueKeyChanged(key.clone())])).unwrap();
    let open = |nonce| Command::OpenSession { key: KeyRef::Venue(VenueKeyId(1)), nonce };
    stage.run(&public(), open(1)).unwrap();
    stage.events.clear();
    stage.tick(SECOND);
    stage.tick(SECOND);
    let told: Vec<&Event> = stage.events.iter().map(|(_, event)| event).collect();
    assert_eq!(told, [&Event::VenueKeyChanged(VenueKey { expired: true, ..key })]);
    assert_eq!(stage.refused(&public(), open(2)), Code::PermissionDenied);
}

#[test]
fn rule_9_a_key_that_stops_takes_its_orders_and_requests_along_in_one_entry() {
    for on_stop in [OnStop::Cancel, OnStop::Keep] {
        let settings = KeySettings { on_stop, ..KeySettings::default() };
        let mut stage = Stage::new(&[with(settings), key(ScopeSet::ALL)], true);
        let order = stage.placed(&bot(1), limit(Side::Buy, "1", "10", None));
        stage.placed(&bot(2), limit(Side::Buy, "1", "11", None));
        let withdrawal = stage.withdrawal(&bot(1), withdraw("1", None));
        stage.events.clear();
        stage.initiate(&member(1), edit(1, SettingsChange::default(), Some(true), None)).unwrap();
        let ended = |event: &Event| matches!(event, Event::OrderCanceled { order: of, reason: CancelReason::KeyStopped } if of.id == order);
        let canceled = stage.events.iter().any(|(_, event)| ended(event));
        assert_eq!(canceled, on_stop == OnStop::Cancel);
        assert_eq!(stage.state_of(withdrawal.request.unwrap()), RequestState::Canceled);
        let held = stage.state().ledger.held(AccountId(1), AssetId(2));
        assert_eq!(held, Amount::ZERO, "the withdrawal's hold is released");
        let open = stage.state().orders.open(AccountId(1)).count();
        assert_eq!(open, if on_stop == OnStop::Cancel { 1 } else { 2 }, "the other key's order stays");
    }
}

#[test]
fn rule_9_what_custody_has_and_what_is_in_earn_stays_when_a_key_stops() {
    let remove = Change::Keys(KeyChange::Remove { service_user: ServiceUserId(1) });
    for stop in [edit(1, SettingsChange::default(), Some(true), None), remove] {
        let mut stage = Stage::new(&[key(ScopeSet::ALL)], true);
        let (strategy, amount) = (StrategyId(1), decimal("5"));
        let earn = EarnMove { strategy, amount, allocate: true, auto_compound: None, client_id: None };
        stage.run(&bot(1), Command::Earn(earn)).unwrap();
        let released = stage.withdrawal(&bot(1), withdraw("1", None));
        stage.vote(&member(2), Decision::Approve, released.request.unwrap()).unwrap();
        stage.initiate(&member(1), stop).unwrap();
        assert_eq!(stage.state().withdrawals.pending_custody().len(), 1);
        let in_earn = stage.state().ledger.balance(AccountId(1), AssetId(3), Wallet::Flex);
        assert_eq!(in_earn, Amount(500_000_000));
        let paid = CustodyResult::Settled { txid: None };
        stage.run(&venue(), Command::FinishWithdrawal { withdrawal: released.id, result: paid }).unwrap();
    }
}

#[test]
fn rule_9_an_order_that_an_edit_places_goes_with_the_key_that_edited() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL), key(ScopeSet::ALL)], true);
    let first = stage.placed(&bot(1), limit(Side::Buy, "1", "10", None));
    let twice = EditOrder { order_qty: Some(decimal("2")), ..edit_of(first) };
    stage.run(&bot(2), Command::EditOrder(twice)).unwrap();
    for (stopped, left) in [(1, 1), (2, 0)] {
        stage.initiate(&member(1), edit(stopped, SettingsChange::default(), Some(true), None)).unwrap();
        assert_eq!(stage.state().orders.open(AccountId(1)).count(), left, "once key {stopped} has stopped");
    }
}

#[test]
fn d4_57_who_is_gone_loses_its_orders_whatever_kept_it_away_but_on_stop_says_what_becomes_of_a_stopped_keys() {
    let keep = KeySettings { on_stop: OnStop::Keep, ..KeySettings::default() };
    let mut stage = Stage::new(&[key(ScopeSet::ALL), with(keep)], true);
    let orders = [1, 2].map(|number| stage.placed(&bot(number), limit(Side::Buy, "1", "10", None)));
    let off = SettingsChange { allow_websocket: Some(false), ..SettingsChange::default() };
    stage.initiate(&member(1), edit(1, off, None, None)).unwrap();
    stage.initiate(&member(1), edit(2, SettingsChange::default(), Some(true), None)).unwrap();
    assert_eq!(stage.refused(&bot(1), Command::Disconnected(ServiceUserId(1))), Code::PermissionDenied);
    for number in [1, 2, 9] {
        stage.run(&server(), Command::Disconnected(ServiceUserId(number))).unwrap();
    }
    let reason = |event: &Event| match event {
        Event::OrderCanceled { order, reason } => Some((order.id, *reason)),
        _ => None,
    };
    let canceled: Vec<_> = stage.events.iter().filter_map(|(_, event)| reason(event)).collect();
    assert_eq!(canceled, [(orders[0], CancelReason::Disconnected)]);
}

#[test]
fn rule_9_losing_withdraw_cancels_requests_and_losing_create_leaves_orders() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], true);
    stage.placed(&bot(1), limit(Side::Buy, "1", "10", None));
    let withdrawal = stage.withdrawal(&bot(1), withdraw("1", None));
    let left = ScopeSet::of(&[Scope::Query, Scope::CancelOrders]);
    stage.initiate(&member(1), edit(1, SettingsChange::default(), None, Some(left))).unwrap();
    assert_eq!(stage.state_of(withdrawal.request.unwrap()), RequestState::Canceled);
    assert_eq!(stage.state().orders.open(AccountId(1)).count(), 1);
    assert_eq!(stage.refused(&bot(1), limit(Side::Buy, "1", "10", None)), Code::PermissionDenied);
    stage.run(&bot(1), Command::CancelAll).unwrap();
}

#[test]
fn rule_10_past_the_query_end_only_present_state_is_left() {
    let end = Moment(100 * DAY + SECOND);
    let settings = KeySettings { query_dates: Period { from: None, until: Some(end) }, ..KeySettings::default() };
    let mut stage = Stage::new(&[with(settings)], true);
    for channel in
        [Operation::Executions, Operation::Ledger, Operation::Earn, Operation::Deposits, Operation::Withdrawals]
    {
        assert!(stage.ask(&bot(1), &Query::Subscribe { channel, open_orders: true }).is_ok());
    }
    stage.tick(SECOND);
    assert!(stage.state().keys.service_user(ServiceUserId(1)).query_ended);
    for channel in
        [Operation::Executions, Operation::Ledger, Operation::Earn, Operation::Deposits, Operation::Withdrawals]
    {
        assert_eq!(
            stage.ask(&bot(1), &Query::Subscribe { channel, open_orders: true }).unwrap_err().code,
            Code::PermissionDenied
        );
    }
    let balances = stage.ask(&bot(1), &Query::Subscribe { channel: Operation::Balances, open_orders: true }).unwrap();
    assert!(matches!(&balances, View::Snapshot(snapshot) if !snapshot.live), "{balances:?}");
    stage.run(&bot(1), limit(Side::Buy, "1", "10", None)).unwrap();
}

fn rotate(number: u32) -> Change {
    Change::Keys(KeyChange::Rotate { service_user: ServiceUserId(number), overlap_s: 60 })
}

#[test]
fn rule_39_the_key_before_is_good_to_the_end_of_its_overlap_and_no_longer() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], false);
    stage.initiate(&member(1), rotate(1)).unwrap();
    let end = stage.now.plus_us(60 * SECOND);
    stage.now = end.minus_us(1);
    stage.run(&bot(1), Command::CancelAll).unwrap();
    stage.now = end;
    assert_eq!(stage.refused(&bot(1), Command::CancelAll), Code::InvalidKey, "before any tick");
}

/// Alice asks for a change that may leave pending requests without enough approvers.
fn stranding(stage: &mut Stage, change: Change) -> Result<Request, Reject> {
    let initiation = Initiation { strand_pending: true, ..stage.asked(&change) };
    match stage.run(&member(1), Command::Initiate(Box::new(change), initiation))? {
        Reply::Request(request) => Ok(*request),
        other => panic!("{other:?}"),
    }
}

#[test]
fn rule_23_who_takes_a_key_in_hand_leaves_its_requests_enough_approvers_or_says_that_they_may_be_stranded() {
    for change in [rename(1, "Renamed"), rotate(1)] {
        let mut stage = Stage::new(&[key(ScopeSet::ALL), key(ScopeSet::ALL)], false);
        stage.initiate(&member(1), set(Workflow::InitiateWithdrawal, PolicyTerms::of(2))).unwrap();
        let asked = stage.withdrawal(&bot(1), withdraw("1", None)).request.unwrap();
        let refusal = stage.initiate(&member(1), change.clone()).unwrap_err();
        assert_eq!((refusal.code, refusal.field), (Code::ImpossibleQuorum, Some("strand_pending")), "{change:?}");
        stage.initiate(&member(1), rename(2, "Other")).expect("the key of no pending request");
        assert_eq!(stranding(&mut stage, change.clone()).unwrap().state, RequestState::Executed);
        assert_eq!(stage.vote(&member(1), Decision::Approve, asked).unwrap_err().code, Code::NotEligible);
        stage.initiate(&member(1), rename(1, "Again")).expect("it makes nothing worse");
        assert_eq!(stage.state_of(asked), RequestState::Pending);
    }
    // What happens between asking and approving counts too; removing Withdraw strands nothing, since it cancels.
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], false);
    stage.initiate(&member(1), set(Workflow::InitiateWithdrawal, PolicyTerms::of(2))).unwrap();
    stage.initiate(&member(1), set(Workflow::ManageAccess, PolicyTerms::of(1))).unwrap();
    let renaming = stage.initiate(&member(1), rename(1, "Renamed")).unwrap();
    let asked = stage.withdrawal(&bot(1), withdraw("1", None)).request.unwrap();
    assert_eq!(stage.vote(&member(2), Decision::Approve, renaming.id).unwrap().state, RequestState::Failed);
    let scopes = Some(ScopeSet::of(&[Scope::Query]));
    let narrowed = stage.initiate(&member(1), edit(1, SettingsChange::default(), None, scopes)).unwrap();
    assert_eq!(stage.vote(&member(2), Decision::Approve, narrowed.id).unwrap().state, RequestState::Approved);
    assert_eq!(stage.state_of(asked), RequestState::Canceled);
}

#[test]
fn rule_9_members_cancel_what_a_removed_key_left_resting() {
    let keep = KeySettings { on_stop: OnStop::Keep, ..KeySettings::default() };
    let mut stage = Stage::new(&[with(keep), other()], true);
    let order = stage.placed(&bot(1), limit(Side::Buy, "1", "10", None));
    stage.initiate(&member(1), Change::Keys(KeyChange::Remove { service_user: ServiceUserId(1) })).unwrap();
    let cancel = |number| Command::CancelOrders(ServiceUserId(number));
    assert_eq!(stage.run(&member(1), cancel(1)).unwrap(), Reply::Canceled(vec![order]));
    assert_eq!(stage.refused(&member(1), cancel(2)), Code::UnknownSubject, "another Organization's");
}

#[test]
fn rule_28_a_key_that_nobody_claimed_is_not_disabled() {
    let mut stage = Stage::new(&[], false);
    stage.initiate(&member(1), set(Workflow::ManageAccess, PolicyTerms::of(1))).unwrap();
    let made = stage.initiate(&member(1), create("Fresh")).unwrap();
    stage.vote(&member(2), Decision::Approve, made.id).unwrap();
    let scopes = Some(ScopeSet::of(&[Scope::Query]));
    let refusal = stage.initiate(&member(1), edit(1, SettingsChange::default(), Some(true), scopes)).unwrap_err();
    assert_eq!((refusal.code, refusal.field), (Code::InvalidArguments, Some("disabled")));
    stage.initiate(&member(1), edit(1, SettingsChange::default(), Some(false), scopes)).expect("it is not disabled");
}

/// As when the answer that had the new secret was lost.
#[test]
fn rule_28_a_rotation_after_one_that_nobody_used_keeps_the_key_in_use() {
    let rotate = || Change::Keys(KeyChange::Rotate { service_user: ServiceUserId(1), overlap_s: 600 });
    let by = |credential| Principal { credential: Credential::Key(credential), ..bot(1) };
    for used in [false, true] {
        let mut stage = Stage::new(&[key(ScopeSet::ALL)], false);
        stage.run(&signer(1), open(1, 1)).unwrap();
        stage.initiate(&member(1), rotate()).unwrap();
        stage.now = stage.now.plus_us(60 * SECOND);
        if used {
            stage.run(&signer(2), open(1, 1)).unwrap();
        }
        stage.initiate(&member(1), rotate()).unwrap();
        let (stays, gone) = if used { (2, 1) } else { (1, 2) };
        stage.run(&by(stays), Command::CancelAll).unwrap();
        assert_eq!(stage.refused(&by(gone), Command::CancelAll), Code::InvalidKey, "used: {used}");
        stage.tick(600 * SECOND);
        assert_eq!(stage.refused(&by(stays), Command::CancelAll), Code::InvalidKey, "used: {used}");
        stage.run(&by(3), Command::CancelAll).unwrap();
    }
    // Without an overlap none of them stays.
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], false);
    stage.initiate(&member(1), rotate()).unwrap();
    let at_once = Change::Keys(KeyChange::Rotate { service_user: ServiceUserId(1), overlap_s: 0 });
    stage.initiate(&member(1), at_once).unwrap();
    assert_eq!([1, 2].map(|before| stage.refused(&by(before), Command::CancelAll)), [Code::InvalidKey; 2]);
}

/// A vote counts again once its Member is not the last who edited the key.
#[test]
fn rule_22_votes_against_that_count_again_end_a_request_and_release_nothing() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], true);
    let [carol, dora, erin] = ["cora", "dora", "erin"].map(|name| joined(&mut stage, name, &Permission::ALL));
    let policy = PolicyTerms { reject_quorum: 2, ..PolicyTerms::of(1) };
    let request = stage.initiate(&member(1), set(Workflow::InitiateWithdrawal, policy)).unwrap().id;
    stage.vote(&member(2), Decision::Approve, request).unwrap();
    let asked = stage.withdrawal(&bot(1), withdraw("1", None)).request.unwrap();
    let vote = |stage: &mut Stage, by, decision| stage.vote(&member(by), decision, asked).unwrap().state;
    assert_eq!(vote(&mut stage, carol, Decision::Reject), RequestState::Pending);
    stage.initiate(&member(carol), rename(1, "Hers")).unwrap();
    assert_eq!(vote(&mut stage, dora, Decision::Reject), RequestState::Pending, "one of them does not count");
    stage.initiate(&member(1), rename(1, "His")).unwrap();
    assert_eq!(vote(&mut stage, erin, Decision::Approve), RequestState::Rejected);
    assert_eq!(stage.state().approvals.get(asked).unwrap().ended_by, None, "no vote decided it");
}

/// Of a first key and of one that replaces another; and so long, `service_users` lists it.
#[test]
fn rule_28_a_secret_can_be_claimed_until_its_week_is_over() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], false);
    stage.initiate(&member(1), set(Workflow::ManageAccess, PolicyTerms::of(1))).unwrap();
    for change in [create("Fresh"), rotate(1)] {
        let request = stage.initiate(&member(1), change).unwrap().id;
        stage.vote(&member(2), Decision::Approve, request).unwrap();
        let end = stage.now.plus_us(7 * DAY);
        let claim = Command::ClaimSecret { request, step: Some(end.0 / (30 * SECOND)) };
        for (now, refusal) in [(end.minus_us(1), None), (end, Some(Code::NothingToClaim))] {
            let View::ServiceUsers(users) = stage.engine.query(now, &member(1), &Query::ServiceUsers).unwrap() else {
                panic!("the Service Users")
            };
            let listed = users.iter().any(|of| of.service_user.claim.is_some_and(|claim| claim.request == request));
            assert_eq!(listed, refusal.is_none(), "{claim:?}");
            let answer = stage.engine.clone().handle(now, &member(1), &claim);
            assert_eq!(answer.err().map(|refused| refused.code), refusal, "{claim:?}");
        }
    }
}

#[test]
fn rule_28_a_secret_is_claimed_by_who_asked_for_the_key_and_before_a_later_rotation() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], false);
    let dora = joined(&mut stage, "dora", &Permission::ALL);
    stage.initiate(&member(1), set(Workflow::ManageAccess, PolicyTerms::of(1))).unwrap();
    let [before, later] = [(); 2].map(|()| {
        let request = stage.initiate(&member(1), rotate(1)).unwrap().id;
        stage.vote(&member(2), Decision::Approve, request).unwrap();
        request
    });
    for (by, request, refusal) in
        [(1, before, Some(Code::NothingToClaim)), (dora, later, Some(Code::NothingToClaim)), (1, later, None)]
    {
        let step = Some(stage.step());
        let claimed = stage.run(&member(by), Command::ClaimSecret { request, step });
        assert_eq!(claimed.err().map(|refused| refused.code), refusal, "{by} {request}");
    }
}

#[test]
fn rule_25_two_keys_that_were_asked_for_do_not_both_come_into_the_last_place() {
    let mut stage = Stage::new(&[], false);
    let create = |number: usize| create(&format!("Bot {number}"));
    for number in 1..SERVICE_USERS_MAX {
        stage.initiate(&member(1), create(number)).unwrap();
    }
    stage.initiate(&member(1), set(Workflow::ManageAccess, PolicyTerms::of(1))).unwrap();
    let asked = [SERVICE_USERS_MAX, SERVICE_USERS_MAX + 1].map(|number| stage.initiate(&member(1), create(number)));
    let ended = asked.map(|request| stage.vote(&member(2), Decision::Approve, request.unwrap().id).unwrap().state);
    assert_eq!(ended, [RequestState::Approved, RequestState::Failed]);
}

#[test]
fn names_that_others_could_differ_from_in_spaces_alone_are_refused() {
    let mut stage = Stage::new(&[], false);
    for name in ["", " ", " Treasury Bot", "Treasury Bot ", "Treasury  Bot"] {
        let refused = stage.initiate(&member(1), create(name)).unwrap_err();
        assert_eq!((refused.code, refused.field), (Code::InvalidArguments, Some("name")), "{name:?}");
    }
    stage.initiate(&member(1), create("Treasury Bot")).unwrap();
}

#[test]
fn rule_22_who_was_removed_and_invited_again_still_manages_their_keys() {
    let rotate = || Change::Keys(KeyChange::Rotate { service_user: ServiceUserId(1), overlap_s: 3_600 });
    // A secret that she knows stays good for the overlap when another Member has rotated the key since.
    for (hers, credential, since) in [(rename(1, "Hers"), 1, None), (rotate(), 2, None), (rotate(), 2, Some(rotate()))]
    {
        let mut stage = Stage::new(&[key(ScopeSet::ALL)], true);
        let dora = joined(&mut stage, "dora", &Permission::ALL);
        stage.initiate(&member(dora), hers).unwrap();
        stage.run(&signer(credential), open(1, 1)).unwrap();
        stage.initiate(&member(1), Change::Members(MemberChange::Remove { member: MemberId(dora) })).unwrap();
        if let Some(since) = since {
            stage.initiate(&member(1), since).unwrap();
        }
        let again = joined(&mut stage, "dora", &Permission::ALL);
        assert_ne!(again, dora);
        let bot = Principal { credential: Credential::Key(credential), ..bot(1) };
        let asked = stage.withdrawal(&bot, withdraw("1", None)).request.unwrap();
        assert_eq!(stage.vote(&member(again), Decision::Approve, asked).unwrap_err().code, Code::NotEligible);
        assert_eq!(stage.vote(&member(2), Decision::Approve, asked).unwrap().state, RequestState::Approved);
    }
}

#[test]
fn rule_22_of_those_who_edited_a_key_the_last_alone_does_not_decide_on_its_requests() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], true);
    let dora = joined(&mut stage, "dora", &Permission::ALL);
    let refused = |stage: &mut Stage, voter, request| {
        stage.vote(&member(voter), Decision::Approve, request).unwrap_err().code == Code::NotEligible
    };
    stage.initiate(&member(1), rename(1, "His")).unwrap();
    let first = stage.withdrawal(&bot(1), withdraw("1", None)).request.unwrap();
    assert!(refused(&mut stage, 1, first));
    stage.initiate(&member(dora), rename(1, "Hers")).unwrap();
    assert!(refused(&mut stage, dora, first));
    assert_eq!(stage.vote(&member(1), Decision::Approve, first).unwrap().state, RequestState::Approved);
    // Whoever rotated it stays excluded: they may know its secret.
    stage.initiate(&member(1), rotate(1)).unwrap();
    stage.initiate(&member(dora), rename(1, "Hers again")).unwrap();
    let rotated = Principal { credential: Credential::Key(2), ..bot(1) };
    let second = stage.withdrawal(&rotated, withdraw("1", None)).request.unwrap();
    assert!(refused(&mut stage, 1, second) && refused(&mut stage, dora, second));
    assert_eq!(stage.vote(&member(2), Decision::Approve, second).unwrap().state, RequestState::Approved);
}

#[test]
fn rule_23_an_edit_strands_nothing_where_it_frees_the_editor_before() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], false);
    let dora = joined(&mut stage, "dora", &Permission::ALL);
    stage.initiate(&member(1), set(Workflow::InitiateWithdrawal, PolicyTerms::of(2))).unwrap();
    stage.initiate(&member(1), rename(1, "His")).unwrap();
    let asked = stage.withdrawal(&bot(1), withdraw("1", None)).request.unwrap();
    stage.initiate(&member(dora), rename(1, "Hers")).expect("Alice may vote from then on");
    stage.vote(&member(1), Decision::Approve, asked).unwrap();
    assert_eq!(stage.vote(&member(2), Decision::Approve, asked).unwrap().state, RequestState::Approved);
}

#[test]
fn rule_28_an_unclaimed_key_is_no_key_and_its_secret_is_claimed_once() {
    let mut stage = Stage::new(&[], false);
    stage.initiate(&member(1), set(Workflow::ManageAccess, PolicyTerms::of(1))).unwrap();
    let request = stage.initiate(&member(1), create("Fresh")).unwrap();
    assert_eq!(request.state, RequestState::Pending);
    assert_eq!(stage.vote(&member(2), Decision::Approve, request.id).unwrap().state, RequestState::Approved);
    assert_eq!(stage.refused(&bot(1), Command::CancelAll), Code::InvalidKey);
    let step = Some(stage.step());
    let claim = |step| Command::ClaimSecret { request: request.id, step };
    assert_eq!(stage.refused(&member(2), claim(step)), Code::PermissionDenied);
    assert_eq!(stage.refused(&member(1), claim(None)), Code::CodeNeeded);
    assert!(matches!(stage.run(&member(1), claim(step)).unwrap(), Reply::Claimed(user) if user.secret_sealed == [7]));
    let step = Some(stage.step());
    assert_eq!(stage.refused(&member(1), claim(step)), Code::NothingToClaim);
    stage.run(&bot(1), Command::CancelAll).unwrap();
}
