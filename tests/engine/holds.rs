//! Funds: holds, withdrawals, Earn, the halt (rules 26, 30 to 37).

use countersign::access::scope::ScopeSet;
use countersign::domain::ids::{AccountId, AssetId, StrategyId, WithdrawalId};
use countersign::domain::money::Amount;
use countersign::domain::orders::Side;
use countersign::domain::text::{ClientId, ClientOrderId};
use countersign::engine::approvals::Decision;
use countersign::engine::command::{Command, CustodyResult, EarnMove, Initiation, PlaceOrder, Withdraw};
use countersign::engine::event::Event;
use countersign::engine::ledger::{Party, Wallet};
use countersign::engine::reject::Code;
use countersign::engine::reply::Reply;
use countersign::engine::withdrawals::WithdrawalStatus;
use countersign::engine::workflows::Change;
use countersign::engine::workflows::withdrawal::WithdrawalChange;

use super::genesis::key;
use super::world::{SECOND, Stage, bot, cancel, decimal, limit, member, to_cold, venue, withdraw, withdraw_to};

const ACME: AccountId = AccountId(1);
const BTC: AssetId = AssetId(2);
const ETH: AssetId = AssetId(3);

fn finish(withdrawal: WithdrawalId, failure: Option<&str>) -> Command {
    let settled = CustodyResult::Settled { txid: None };
    let result = failure.map_or(settled, |reason| CustodyResult::Failed { reason: reason.to_owned() });
    Command::FinishWithdrawal { withdrawal, result }
}

fn earn(strategy: u16, amount: &str, allocate: bool) -> Command {
    let (strategy, amount) = (StrategyId(strategy), decimal(amount));
    Command::Earn(EarnMove { strategy, amount, allocate, auto_compound: None, client_id: None })
}

#[test]
fn rule_26_an_unknown_name_and_rule_31_funds_that_are_held_are_refused() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], true);
    let change = WithdrawalChange { key: "nowhere".to_owned(), ..to_cold("1") };
    assert_eq!(stage.refused(&bot(1), withdraw_to(change, None)), Code::UnknownWithdrawKey);
    stage.withdrawal(&bot(1), withdraw("60", None));
    assert_eq!(stage.state().ledger.available(ACME, BTC), Amount(4_000_000_000));
    assert_eq!(stage.refused(&bot(1), withdraw("60", None)), Code::FundingInsufficient);
    assert_eq!(stage.refused(&bot(1), limit(Side::Sell, "50", "100", None)), Code::InsufficientFunds);
}

#[test]
fn rule_32_a_withdrawal_debits_at_its_release_and_a_failure_reverses_it() {
    for failure in [None, Some("wrong network")] {
        let mut stage = Stage::new(&[key(ScopeSet::ALL)], true);
        let asked = stage.withdrawal(&bot(1), withdraw("1", None));
        assert_eq!(stage.state().ledger.total(ACME, BTC), Amount(10_000_000_000), "only held");
        stage.vote(&member(2), Decision::Approve, asked.request.unwrap()).unwrap();
        assert_eq!(stage.state().ledger.total(ACME, BTC), Amount(9_900_000_000));
        assert_eq!(stage.state().ledger.counter(Party::InTransit, BTC), Amount(99_999_000));
        assert_eq!(stage.state().ledger.counter(Party::Fees, BTC), Amount(1_000));
        let late = stage.run(&bot(1), Command::CancelWithdrawal(asked.id)).unwrap();
        assert_eq!(late, Reply::WithdrawalCanceled { id: asked.id, canceled: false }, "too late");
        stage.run(&venue(), finish(asked.id, failure)).unwrap();
        assert_eq!(stage.state().ledger.counter(Party::InTransit, BTC), Amount::ZERO);
        let left = if failure.is_none() { 9_900_000_000 } else { 10_000_000_000 };
        assert_eq!(stage.state().ledger.total(ACME, BTC), Amount(left));
        // Rule 37: the same result again changes nothing, the other one is refused.
        let before = stage.state().seq;
        stage.run(&venue(), finish(asked.id, failure)).unwrap();
        assert_eq!(stage.state().seq, before);
        let other = if failure.is_none() { Some("late") } else { None };
        assert_eq!(stage.refused(&venue(), finish(asked.id, other)), Code::AlreadyFinished);
    }
}

#[test]
fn rule_32_a_withdrawal_that_waits_can_be_canceled() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], true);
    let asked = stage.withdrawal(&bot(1), withdraw("1", None));
    stage.run(&bot(1), Command::CancelWithdrawal(asked.id)).unwrap();
    let ended = stage.state().withdrawals.summary(asked.id).unwrap();
    assert_eq!((ended.status, stage.state().ledger.held(ACME, BTC)), (WithdrawalStatus::Canceled, Amount::ZERO));
    assert_eq!(stage.refused(&venue(), finish(asked.id, None)), Code::UnknownReference);
}

#[test]
fn rule_32_a_members_withdrawal_is_canceled_by_that_member_alone() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL), key(ScopeSet::ALL)], true);
    let of_a_key = stage.withdrawal(&bot(2), withdraw("1", None)).id;
    let asked = stage.initiate(&member(1), Change::Withdrawal(to_cold("1"))).unwrap();
    let refid = asked.withdrawal.unwrap();
    assert_eq!(stage.refused(&bot(1), Command::CancelWithdrawal(refid)), Code::PermissionDenied);
    let canceled = |stage: &mut Stage, id| stage.run(&bot(1), Command::CancelWithdrawal(id)).unwrap();
    assert_eq!(
        canceled(&mut stage, of_a_key),
        Reply::WithdrawalCanceled { id: of_a_key, canceled: true },
        "any of the account's keys may"
    );
    stage.run(&member(1), Command::CancelRequest(asked.id)).unwrap();
    assert_eq!(canceled(&mut stage, refid), Reply::WithdrawalCanceled { id: refid, canceled: false });
}

#[test]
fn rule_30_a_withdrawals_client_id_is_the_withdrawal_for_ever() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL), key(ScopeSet::ALL)], true);
    let first = stage.withdrawal(&bot(1), withdraw("1", Some("w")));
    stage.tick(400 * 86_400 * SECOND);
    assert_eq!(stage.withdrawal(&bot(1), withdraw("1", Some("w"))).id, first.id);
    assert_eq!(stage.refused(&bot(1), withdraw("2", Some("w"))), Code::ClientIdNotUnique);
    assert_ne!(stage.withdrawal(&bot(2), withdraw("1", Some("w"))).id, first.id, "ids belong to their Service User");
}

#[test]
fn d5_63_a_repeated_withdrawal_is_refused_by_another_address_and_by_a_limit_below_its_fee() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], true);
    let asked = |max_fee: &str, address: &str| {
        let (client_id, max_fee) = (ClientId::from("w").ok(), Some(decimal(max_fee)));
        Command::Withdraw(Withdraw { change: to_cold("1"), client_id, max_fee, address: Some(address.to_owned()) })
    };
    let first = stage.withdrawal(&bot(1), asked("0.00001", "bc1qcold")).id;
    for ends in [true, false] {
        assert_eq!(stage.withdrawal(&bot(1), asked("0.00001", "bc1qcold")).id, first);
        assert_eq!(stage.withdrawal(&bot(1), withdraw("1", Some("w"))).id, first, "it may name neither");
        assert_eq!(stage.refused(&bot(1), asked("0.00001", "bc1qother")), Code::OtherAddress);
        assert_eq!(stage.refused(&bot(1), asked("0.00000999", "bc1qcold")), Code::MaxFee);
        if ends {
            stage.run(&bot(1), Command::CancelWithdrawal(first)).unwrap();
        }
    }
}

#[test]
fn rule_33_earn_moves_at_once_and_bonded_funds_come_back_after_their_time() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], true);
    stage.run(&bot(1), earn(1, "5", true)).unwrap();
    stage.run(&bot(1), earn(2, "7", true)).unwrap();
    let wallet = |stage: &Stage, of| stage.state().ledger.balance(ACME, ETH, of).0 / 100_000_000;
    let wallets = |stage: &Stage| [Wallet::Main, Wallet::Flex, Wallet::Bonded].map(|of| wallet(stage, of));
    assert_eq!(wallets(&stage), [988, 5, 7]);
    stage.run(&bot(1), earn(1, "5", false)).unwrap();
    stage.run(&bot(1), earn(2, "3", false)).unwrap();
    assert_eq!(wallets(&stage), [993, 0, 7], "what unbonds is still bonded");
    stage.tick(3_599 * SECOND);
    assert_eq!(wallets(&stage), [993, 0, 7]);
    stage.tick(SECOND);
    assert_eq!(wallets(&stage), [996, 0, 4]);
    assert_eq!(stage.refused(&bot(1), earn(1, "0.001", true)), Code::EarnBelowMinimum);
    assert_eq!(stage.refused(&bot(1), earn(1, "10000", true)), Code::EarnInsufficientFunds);
    assert_eq!(stage.refused(&bot(1), earn(3, "1", true)), Code::UnknownStrategy);
}

#[test]
fn rule_35_a_halt_stops_money_and_leaves_cancels() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], true);
    let order = stage.placed(&bot(1), limit(Side::Buy, "1", "10", None));
    let mut state = stage.state().clone();
    let at = state.at;
    state.apply(at, &Event::Halted { reason: "a test".to_owned() });
    stage.engine = countersign::engine::Engine::new(state);
    assert_eq!(stage.refused(&bot(1), limit(Side::Buy, "1", "10", None)), Code::Halted);
    assert_eq!(stage.refused(&bot(1), withdraw("1", None)), Code::Halted);
    assert_eq!(stage.refused(&bot(1), earn(1, "5", true)), Code::Halted);
    stage.run(&bot(1), cancel(order)).unwrap();
}

/// A repeated command must show that the first one stands; a refusal by the halt would read as if nothing was done.
#[test]
fn rule_30_what_repeats_a_client_id_is_answered_during_a_halt() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], true);
    let order = |qty| limit(Side::Buy, qty, "10", Some("a"));
    let Command::PlaceOrder(asked) = order("1") else { unreachable!() };
    let of = |number: &str| PlaceOrder { cl_ord_id: Some(ClientOrderId::from(number).unwrap()), ..asked.clone() };
    let earned = Command::Earn(EarnMove {
        strategy: StrategyId(1),
        amount: decimal("5"),
        allocate: true,
        auto_compound: None,
        client_id: Some(ClientId::from("e").unwrap()),
    });
    let paid = |amount| {
        let client_id = ClientId::from("p").unwrap();
        Command::PayEarnReward { strategy: StrategyId(1), amount: decimal(amount), client_id }
    };
    let asked_before = stage.asked(&Change::Withdrawal(to_cold("1")));
    let initiation = Initiation { client_id: Some(ClientId::from("m").unwrap()), ..asked_before };
    let initiated = Command::Initiate(Box::new(Change::Withdrawal(to_cold("1"))), initiation);
    let all = [
        (bot(1), order("1")),
        (bot(1), Command::PlaceBatch(vec![of("a"), of("b")])),
        (bot(1), withdraw("1", Some("w"))),
        (bot(1), earned),
        (venue(), paid("1")),
        (member(1), initiated),
    ];
    all.iter().for_each(|(by, command)| drop(stage.run(by, command.clone()).unwrap()));
    stage.run(&venue(), Command::Halt { reason: "drill".to_owned() }).unwrap();
    let before = stage.state().digest();
    for (by, command) in &all {
        stage.run(by, command.clone()).unwrap();
    }
    assert_eq!(stage.refused(&bot(1), order("2")), Code::ClientOrderIdNotUnique);
    assert_eq!(stage.refused(&bot(1), withdraw("2", Some("w"))), Code::ClientIdNotUnique);
    assert_eq!(stage.refused(&venue(), paid("2")), Code::ClientIdNotUnique);
    assert_eq!(stage.refused(&bot(1), Command::PlaceBatch(vec![of("a"), of("c")])), Code::Halted);
    assert_eq!(stage.refused(&bot(1), withdraw("1", Some("x"))), Code::Halted);
    assert_eq!(stage.state().digest(), before, "nothing was done");
}

#[test]
fn rule_30_a_repeated_order_is_the_first_one_while_it_is_recent() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], true);
    let first = stage.placed(&bot(1), limit(Side::Buy, "1", "10", Some("a")));
    assert_eq!(stage.placed(&bot(1), limit(Side::Buy, "1", "10", Some("a"))), first);
    assert_eq!(stage.refused(&bot(1), limit(Side::Buy, "2", "10", Some("a"))), Code::ClientOrderIdNotUnique);
    stage.run(&bot(1), cancel(first)).unwrap();
    assert_eq!(stage.placed(&bot(1), limit(Side::Buy, "1", "10", Some("a"))), first, "recent");
    stage.now = stage.now.plus_us(60 * SECOND);
    assert_ne!(stage.placed(&bot(1), limit(Side::Buy, "1", "10", Some("a"))), first, "free again");
}
