//! Funding: the life of deposits, pools of addresses, what remains of ended withdrawals (rules 10, 21, 30, 36, 37, 40).

use countersign::access::operation::Operation;
use countersign::access::scope::ScopeSet;
use countersign::access::workflow::Workflow;
use countersign::domain::cursor::Cursor;
use countersign::domain::ids::{AccountId, AssetId, WithdrawalId};
use countersign::domain::limits::{
    ACCOUNT_DEPOSIT_ADDRESSES_MAX, DEPOSIT_POOL_LOW, RECENT_TRANSFERS_MAX, WITHDRAWALS_OPEN_MAX,
};
use countersign::domain::money::Amount;
use countersign::domain::time::Period;
use countersign::engine::Engine;
use countersign::engine::approvals::Decision;
use countersign::engine::command::{Command, Credit, CustodyResult, Withdraw};
use countersign::engine::deposits::{DepositAddress, DepositStatus, OwnAddress};
use countersign::engine::event::Event;
use countersign::engine::ledger::Party;
use countersign::engine::policy::{PolicyTerms, Rule};
use countersign::engine::query::{Items, Query, View};
use countersign::engine::reject::Code;
use countersign::engine::reply::Reply;
use countersign::engine::transfers::TransferFilter;
use countersign::engine::withdrawals::{Withdrawal, WithdrawalAddress, WithdrawalStatus};
use countersign::engine::workflows::Change;
use countersign::engine::workflows::addresses::AddressChange;
use countersign::engine::workflows::withdrawal::WithdrawalChange;

use super::freezes::{Neighbour, neighbour};
use super::genesis::{key, other};
use super::governance::set;
use super::world::{DAY, SECOND, Stage, asset, bot, decimal, member, to_cold, venue, withdraw, withdraw_to};

const ACME: AccountId = AccountId(1);
const BTC: AssetId = AssetId(2);

fn pooled(number: usize) -> DepositAddress {
    DepositAddress { address: format!("bc1qpool{number}"), tag: None }
}

/// Acme's key and Other's, and a pool of so many addresses of BTC.
fn stage(addresses: usize) -> Stage {
    let mut stage = Stage::new(&[key(ScopeSet::ALL), other()], false);
    if addresses > 0 {
        fill(&mut stage, 0..addresses);
    }
    stage
}

fn fill(stage: &mut Stage, numbers: std::ops::Range<usize>) {
    let pool = Command::AddDepositAddresses { asset: asset("BTC"), addresses: numbers.map(pooled).collect() };
    stage.run(&venue(), pool).unwrap();
}

fn addresses(new: bool) -> Command {
    Command::DepositAddresses { asset: asset("BTC"), method: None, new }
}

fn own(stage: &mut Stage, number: u32, new: bool) -> Vec<OwnAddress> {
    match stage.run(&bot(number), addresses(new)).unwrap() {
        Reply::DepositAddresses(own) => own,
        other => panic!("{other:?}"),
    }
}

fn credit(txid: &str, number: usize, amount: &str, status: DepositStatus) -> Command {
    let (asset, amount) = (asset("BTC"), decimal(amount));
    Command::CreditDeposit(Credit { asset, address: pooled(number), amount, txid: txid.to_owned(), status })
}

fn finish(withdrawal: WithdrawalId, result: CustodyResult) -> Command {
    Command::FinishWithdrawal { withdrawal, result }
}

fn paid(txid: Option<&str>) -> CustodyResult {
    CustodyResult::Settled { txid: txid.map(str::to_owned) }
}

fn all() -> TransferFilter {
    TransferFilter { limit: 500, ..TransferFilter::default() }
}

fn open_withdrawals(stage: &Stage, filter: TransferFilter) -> Vec<WithdrawalId> {
    match stage.ask(&bot(1), &Query::Withdrawals(filter)).unwrap() {
        View::OpenWithdrawals(open, _) => open.iter().map(|of| of.id).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn deposit_addresses_are_of_the_form_of_withdrawal_addresses() {
    let mut stage = Stage::new(&[], false);
    let of = |address: &str, tag: Option<&str>| Command::AddDepositAddresses {
        asset: asset("BTC"),
        addresses: vec![DepositAddress { address: address.to_owned(), tag: tag.map(str::to_owned) }],
    };
    let long = "a".repeat(129);
    for (address, tag) in [("", None), ("two words", None), ("ünï", None), (&*long, None), ("plain", Some(""))] {
        let refusal = stage.run(&venue(), of(address, tag)).unwrap_err();
        let named = (Code::InvalidArguments, Some("addresses"));
        assert_eq!((refusal.code, refusal.field), named, "{address:?} {tag:?}");
    }
    stage.run(&venue(), of("plain", Some("tag"))).unwrap();
    stage.run(&venue(), of(&long[1..], None)).expect("128 characters");
}

#[test]
fn rule_36_a_deposit_is_credited_once_to_who_was_given_the_address() {
    let mut stage = stage(2);
    let once = credit("t-1", 0, "1", DepositStatus::Success);
    assert_eq!(stage.refused(&venue(), once.clone()), Code::UnknownReference, "nobody has the address yet");
    own(&mut stage, 1, false);
    let first = stage.run(&venue(), once.clone()).unwrap();
    let seq = stage.state().seq;
    assert_eq!(stage.run(&venue(), once).unwrap(), first);
    assert_eq!(stage.run(&venue(), credit("t-1", 0, "1", DepositStatus::Pending)).unwrap(), first, "told late");
    assert_eq!(stage.state().seq, seq, "nothing happened again");
    assert_eq!(stage.state().ledger.total(ACME, BTC), Amount(10_100_000_000));
    assert_eq!(stage.refused(&venue(), credit("t-1", 0, "2", DepositStatus::Success)), Code::ClientIdNotUnique);
    assert_eq!(stage.refused(&venue(), credit("t-1", 1, "1", DepositStatus::Success)), Code::ClientIdNotUnique);
    assert_eq!(stage.refused(&venue(), credit("t-1", 0, "1", DepositStatus::Failure)), Code::AlreadyFinished);
    assert_eq!(stage.refused(&venue(), credit("t-2", 0, "0", DepositStatus::Success)), Code::InvalidFundingAmount);
    assert_eq!(stage.refused(&bot(1), credit("t-2", 0, "1", DepositStatus::Success)), Code::PermissionDenied);
    stage.run(&venue(), credit("t-2", 0, "0.00000001", DepositStatus::Success)).expect("the asset's least deposit");
}

#[test]
fn the_transaction_ids_of_ethereum_and_solana_are_taken_whole() {
    let mut stage = stage(1);
    own(&mut stage, 1, false);
    let ids = [format!("0x{}", "e".repeat(64)), "s".repeat(88), "t".repeat(128)];
    for txid in &ids {
        let withdrawal = stage.withdrawal(&bot(1), withdraw("1", None));
        stage.run(&venue(), finish(withdrawal.id, paid(Some(txid)))).unwrap();
        stage.run(&venue(), credit(txid, 0, "1", DepositStatus::Success)).unwrap();
    }
    let withdrawal = stage.withdrawal(&bot(1), withdraw("1", None));
    for txid in ["", "a\nb", &"t".repeat(129)] {
        for report in [credit(txid, 0, "1", DepositStatus::Success), finish(withdrawal.id, paid(Some(txid)))] {
            let refusal = stage.run(&venue(), report).unwrap_err();
            assert_eq!((refusal.code, refusal.field), (Code::InvalidArguments, Some("txid")));
        }
    }
}

/// A balance at its maximum would accept the credit and lose it.
#[test]
fn a_deposit_beyond_what_balances_can_hold_is_refused() {
    let mut stage = stage(1);
    own(&mut stage, 1, false);
    stage.run(&venue(), credit("t-1", 0, "90000000000", DepositStatus::Success)).unwrap();
    let more = |txid: &str, status| credit(txid, 0, "5000000000", status);
    assert_eq!(stage.refused(&venue(), more("t-2", DepositStatus::Success)), Code::InvalidFundingAmount);
    stage.run(&venue(), more("t-3", DepositStatus::Pending)).unwrap();
    assert_eq!(stage.refused(&venue(), more("t-3", DepositStatus::Success)), Code::InvalidFundingAmount);
    stage.state().ledger.check().unwrap();
    // To the last unit: one more would be 2^63.
    let left = i64::MAX + stage.state().ledger.counter(Party::Outside, BTC).0;
    let units = |units: i64| format!("{}.{:08}", units / 100_000_000, units % 100_000_000);
    let last = |txid: &str, amount: i64| credit(txid, 0, &units(amount), DepositStatus::Success);
    assert_eq!(stage.refused(&venue(), last("t-4", left + 1)), Code::InvalidFundingAmount);
    stage.run(&venue(), last("t-5", left)).unwrap();
    stage.state().ledger.check().unwrap();
}

#[test]
fn a_pending_deposit_moves_money_only_when_it_succeeds() {
    for (ending, total) in [(DepositStatus::Success, 10_100_000_000), (DepositStatus::Failure, 10_000_000_000)] {
        let mut stage = stage(1);
        own(&mut stage, 1, false);
        stage.run(&venue(), credit("t-1", 0, "1", DepositStatus::Pending)).unwrap();
        assert_eq!(stage.state().ledger.total(ACME, BTC), Amount(10_000_000_000));
        let pending = match stage.ask(&bot(1), &Query::Deposits(all())).unwrap() {
            View::OpenDeposits(open, _) => open,
            other => panic!("{other:?}"),
        };
        assert_eq!((pending.len(), pending[0].status), (1, DepositStatus::Pending));
        stage.now = stage.now.plus_us(DAY);
        stage.run(&venue(), credit("t-1", 0, "1", ending)).unwrap();
        assert_eq!(stage.state().ledger.total(ACME, BTC), Amount(total));
        assert_eq!(stage.state().deposits.transfers().get(pending[0].id.0), None, "it is history now");
        let ended = stage.state().deposits.transfers().recent(ACME).remove(0);
        assert_eq!((ended.id, ended.created_at, ended.status), (pending[0].id, pending[0].created_at, ending));
    }
}

#[test]
fn new_addresses_come_on_request_and_the_old_ones_are_still_credited() {
    let mut stage = stage(ACCOUNT_DEPOSIT_ADDRESSES_MAX + 5);
    let first = own(&mut stage, 1, false);
    assert_eq!(own(&mut stage, 1, false), first, "no new one unless asked for");
    let both = own(&mut stage, 1, true);
    assert_eq!(both.iter().map(|own| &own.address).collect::<Vec<_>>(), [&pooled(1), &pooled(0)], "newest first");
    assert_eq!(own(&mut stage, 2, false)[0].address, pooled(2), "an address belongs to one account");
    stage.run(&venue(), credit("t-1", 0, "1", DepositStatus::Success)).unwrap();
    assert_eq!(stage.state().ledger.total(ACME, BTC), Amount(10_100_000_000));
    assert_eq!(own(&mut stage, 1, false).iter().map(|own| own.used).collect::<Vec<_>>(), [false, true]);
    for _ in 2..ACCOUNT_DEPOSIT_ADDRESSES_MAX {
        own(&mut stage, 1, true);
    }
    assert_eq!(stage.refused(&bot(1), addresses(true)), Code::TooManyAddresses);
    assert_eq!(own(&mut stage, 1, false).len(), ACCOUNT_DEPOSIT_ADDRESSES_MAX);
    let other = Command::DepositAddresses { asset: asset("BTC"), method: Some("Wire".to_owned()), new: false };
    assert_eq!(stage.refused(&bot(1), other), Code::InvalidArguments);
    let unknown = Command::DepositAddresses { asset: asset("XXX"), method: None, new: false };
    assert_eq!(stage.refused(&bot(1), unknown), Code::UnknownFundingAsset);
}

#[test]
fn a_pool_that_runs_low_is_told_and_an_empty_one_refuses_until_it_is_filled() {
    let mut stage = stage(DEPOSIT_POOL_LOW + 1);
    let left = |stage: &Stage| stage.state().deposits.low_pools();
    own(&mut stage, 1, true);
    assert_eq!(left(&stage), [], "as many as the threshold are enough");
    own(&mut stage, 1, true);
    assert_eq!(left(&stage), [(BTC, DEPOSIT_POOL_LOW - 1)]);
    let custody = Query::Subscribe { channel: Operation::Custody, open_orders: true };
    let View::Snapshot(snapshot) = stage.ask(&venue(), &custody).unwrap() else { panic!("a snapshot") };
    assert_eq!(snapshot.items, Items::Custody(Vec::new(), vec![(BTC, DEPOSIT_POOL_LOW - 1)]));
    while !stage.state().deposits.low_pools().contains(&(BTC, 0)) {
        own(&mut stage, 1, true);
    }
    assert_eq!(stage.refused(&bot(1), addresses(true)), Code::NoDepositAddress);
    assert_eq!(stage.refused(&bot(2), addresses(false)), Code::NoDepositAddress);
    let counts = stage.events.iter().filter_map(|(_, event)| match event {
        Event::DepositAddressAssigned { left, .. } => Some(*left),
        _ => None,
    });
    let low = u32::try_from(DEPOSIT_POOL_LOW).unwrap();
    assert!(counts.eq((0..=low).rev()), "each event says how many are left");
    fill(&mut stage, 100..100 + DEPOSIT_POOL_LOW);
    assert_eq!(left(&stage), []);
    assert_eq!(own(&mut stage, 2, false)[0].address, pooled(100));
}

#[test]
fn rule_40_what_stays_of_an_ended_withdrawal_answers_whoever_repeats_or_contradicts_it() {
    let mut stage = stage(0);
    let withdrawal = stage.withdrawal(&bot(1), withdraw("1", Some("w")));
    assert_eq!(withdrawal.status, WithdrawalStatus::Pending, "no policy governs");
    stage.run(&venue(), finish(withdrawal.id, paid(Some("0xabc")))).unwrap();
    assert_eq!(stage.state().withdrawals.get(withdrawal.id), None, "it is history now");
    stage.tick(400 * DAY);
    let seq = stage.state().seq;
    for again in [paid(Some("0xabc")), paid(None)] {
        let Reply::Withdrawal(same) = stage.run(&venue(), finish(withdrawal.id, again)).unwrap() else { panic!() };
        assert_eq!((same.status, same.txid.as_deref()), (WithdrawalStatus::Success, Some("0xabc")));
    }
    for other in [paid(Some("0xdef")), CustodyResult::Failed { reason: "lost".to_owned() }] {
        assert_eq!(stage.refused(&venue(), finish(withdrawal.id, other)), Code::AlreadyFinished);
    }
    let same = stage.withdrawal(&bot(1), withdraw("1.0", Some("w")));
    assert_eq!((same.id, same.status, same.request), (withdrawal.id, WithdrawalStatus::Success, withdrawal.request));
    assert_eq!(stage.refused(&bot(1), withdraw("2", Some("w"))), Code::ClientIdNotUnique);
    let late = stage.run(&bot(1), Command::CancelWithdrawal(withdrawal.id)).unwrap();
    assert_eq!(late, Reply::WithdrawalCanceled { id: withdrawal.id, canceled: false });
    assert_eq!(stage.refused(&bot(2), Command::CancelWithdrawal(withdrawal.id)), Code::UnknownReference);
    assert_eq!(stage.state().seq, seq, "nothing happened again");
}

#[test]
fn rule_21_the_rolling_total_counts_what_is_not_given_up_by_creation() {
    let mut stage = stage(0);
    let rule = Rule { asset: Some(asset("BTC")), total_24h_from: Some(decimal("3")), quorum: 2, ..Rule::default() };
    let first = stage.withdrawal(&bot(1), withdraw("1", None));
    stage.tick(3_600 * SECOND);
    let second = stage.withdrawal(&bot(1), withdraw("1", None));
    let terms = PolicyTerms { rules: vec![rule], ..PolicyTerms::of(1) };
    stage.initiate(&member(1), set(Workflow::InitiateWithdrawal, terms)).unwrap();
    stage.now = first_of(&stage).plus_us(DAY - 1);
    let rule_of = |stage: &Stage| match stage.ask(&bot(1), &Query::WithdrawInfo(to_cold("1"))).unwrap() {
        View::WithdrawInfo(info) => info.verdict.unwrap().rule,
        other => panic!("{other:?}"),
    };
    assert_eq!(rule_of(&stage), Some(1), "1 + 1 + 1 in 24 hours");
    stage.run(&venue(), finish(second.id, CustodyResult::Failed { reason: "no".to_owned() })).unwrap();
    assert_eq!(rule_of(&stage), None, "what came back counts no more");
    stage.run(&venue(), finish(first.id, paid(None))).unwrap();
    let waiting = stage.withdrawal(&bot(1), withdraw("1", None));
    assert_eq!(rule_of(&stage), Some(1), "settled and waiting ones count");
    stage.run(&bot(1), Command::CancelWithdrawal(waiting.id)).unwrap();
    assert_eq!(rule_of(&stage), None, "canceled ones do not");
    stage.withdrawal(&bot(1), withdraw("1", None));
    stage.now = stage.now.plus_us(1);
    assert_eq!(rule_of(&stage), None, "the first is 24 hours old");
}

#[test]
fn rule_21_the_rolling_total_is_of_one_account_and_one_asset() {
    let mut stage = stage(0);
    let Neighbour { votes, bot: theirs, .. } = neighbour(&mut stage);
    let [key, method, address] = ["hot", "ETH", "0xhot"].map(str::to_owned);
    let address = WithdrawalAddress { key: key.clone(), method, address, tag: None };
    stage.initiate(&member(1), Change::Addresses(AddressChange::Add { asset: asset("ETH"), address })).unwrap();
    let rule = Rule { asset: Some(asset("BTC")), total_24h_from: Some(decimal("1.5")), quorum: 1, ..Rule::default() };
    let terms = PolicyTerms { rules: vec![rule], ..PolicyTerms::of(1) };
    stage.initiate(&member(1), set(Workflow::InitiateWithdrawal, terms)).unwrap();
    let rule_of = |stage: &Stage| match stage.ask(&bot(1), &Query::WithdrawInfo(to_cold("1"))).unwrap() {
        View::WithdrawInfo(info) => info.verdict.unwrap().rule,
        other => panic!("{other:?}"),
    };
    stage.withdrawal(&bot(1), withdraw_to(WithdrawalChange { asset: asset("ETH"), key, amount: decimal("5") }, None));
    let asked = stage.withdrawal(&theirs, withdraw("0.9", None));
    stage.vote(&votes, Decision::Approve, asked.request.unwrap()).unwrap();
    assert_eq!(rule_of(&stage), None, "neither of another asset nor of another account");
    stage.withdrawal(&bot(1), withdraw("0.5", None));
    assert_eq!(rule_of(&stage), Some(1));
}

/// When the first withdrawal was made.
fn first_of(stage: &Stage) -> countersign::domain::time::Moment {
    let made = |(at, event): &(_, Event)| matches!(event, Event::WithdrawalChanged { .. }).then_some(*at);
    stage.events.iter().find_map(made).unwrap()
}

#[test]
fn open_withdrawals_are_filtered_and_paged_and_the_last_ended_ones_begin_the_channel() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], true);
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.insert(0, stage.withdrawal(&bot(1), withdraw("0.01", None)).id);
        stage.tick(SECOND);
    }
    assert_eq!(open_withdrawals(&stage, all()), ids);
    let first = first_of(&stage);
    let at = |seconds| Some(first.plus_us(seconds * SECOND));
    let period = Period { from: at(1), until: at(3) };
    assert_eq!(open_withdrawals(&stage, TransferFilter { period, ..all() }), ids[2..4]);
    assert_eq!(open_withdrawals(&stage, TransferFilter { limit: 2, ..all() }), ids[..3], "one more: a page follows");
    let before = Some(Cursor { at: at(3).unwrap(), id: ids[1].0 });
    assert_eq!(open_withdrawals(&stage, TransferFilter { before, ..all() }), ids[2..]);
    for (number, id) in ids.iter().enumerate() {
        let only = TransferFilter { id: Some(id.0), before, ..all() };
        let older = if number > 1 { vec![*id] } else { Vec::new() };
        assert_eq!(open_withdrawals(&stage, only), older);
        assert_eq!(open_withdrawals(&stage, TransferFilter { id: Some(id.0), ..all() }), [*id]);
    }
    let first = Some(Cursor { at: first, id: 0 });
    assert_eq!(open_withdrawals(&stage, TransferFilter { before: first, ..all() }), []);
    assert_eq!(open_withdrawals(&stage, TransferFilter { asset: Some(asset("ETH")), ..all() }), []);
    assert_eq!(open_withdrawals(&stage, TransferFilter { method: Some("Wire".to_owned()), ..all() }), []);
    let unknown = Query::Withdrawals(TransferFilter { asset: Some(asset("XXX")), ..all() });
    assert_eq!(stage.ask(&bot(1), &unknown).unwrap_err().code, Code::UnknownFundingAsset);
    for _ in 0..RECENT_TRANSFERS_MAX + 3 {
        let ended = stage.withdrawal(&bot(1), withdraw("0.01", None)).id;
        stage.run(&bot(1), Command::CancelWithdrawal(ended)).unwrap();
    }
    let shown = stage.state().withdrawals.transfers().recent(ACME);
    assert_eq!(shown.len(), RECENT_TRANSFERS_MAX + ids.len());
    assert!(shown.is_sorted_by(|newer, older| newer.id > older.id));
    assert_eq!(open_withdrawals(&stage, all()), ids);
}

#[test]
fn an_account_whose_custody_stands_still_has_at_most_ten_thousand_open_withdrawals() {
    let mut stage = stage(0);
    let released = stage.withdrawal(&bot(1), withdraw("0.1", None));
    assert_eq!(released.status, WithdrawalStatus::Pending, "no policy governs");
    let mut state = stage.state().clone();
    let one = state.withdrawals.get(released.id).unwrap().clone();
    for number in 1..WITHDRAWALS_OPEN_MAX as u64 {
        let withdrawal = Box::new(Withdrawal { id: WithdrawalId(released.id.0 << 32 | number), ..one.clone() });
        state.apply(stage.now, &Event::WithdrawalChanged { withdrawal, postings: Vec::new() });
    }
    stage.engine = Engine::new(state);
    assert_eq!(stage.refused(&bot(1), withdraw("0.1", None)), Code::LimitReached);
    stage.run(&venue(), finish(released.id, paid(None))).unwrap();
    stage.withdrawal(&bot(1), withdraw("0.1", None));
    assert_eq!(stage.refused(&bot(1), withdraw("0.1", None)), Code::LimitReached);
}

#[test]
fn a_withdrawal_is_refused_by_its_fee_its_amount_and_another_address() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], true);
    let to = |amount: &str, max_fee: Option<&str>, address: Option<&str>| {
        let (max_fee, address) = (max_fee.map(decimal), address.map(str::to_owned));
        Command::Withdraw(Withdraw { change: to_cold(amount), client_id: None, max_fee, address })
    };
    assert_eq!(stage.refused(&bot(1), to("1", Some("0.00000999"), None)), Code::MaxFee);
    assert_eq!(stage.refused(&bot(1), to("1", Some("0.000000001"), None)), Code::InvalidArguments);
    assert_eq!(stage.refused(&bot(1), to("0.00009999", None, None)), Code::InvalidFundingAmount);
    assert_eq!(stage.refused(&bot(1), to("0", None, None)), Code::InvalidFundingAmount);
    assert_eq!(stage.refused(&bot(1), to("1.000000001", None, None)), Code::InvalidFundingAmount);
    assert_eq!(stage.refused(&bot(1), to("1", None, Some("bc1qother"))), Code::OtherAddress);
    assert_eq!(stage.refused(&bot(1), to("101", None, None)), Code::FundingInsufficient);
    let withdrawal = stage.withdrawal(&bot(1), to("0.0001", Some("0.00001"), Some("bc1qcold")));
    assert_eq!(withdrawal.status, WithdrawalStatus::Initial);
    stage.vote(&member(2), Decision::Approve, withdrawal.request.unwrap()).unwrap();
    assert_eq!(stage.state().withdrawals.pending_custody().len(), 1);
}

#[test]
fn d3_45_an_approver_is_shown_all_that_is_asked_for() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], true);
    let [key, method, address, tag] = ["memo", "BTC", "bc1qmemo", "777"].map(str::to_owned);
    let listed = WithdrawalAddress { key: key.clone(), method, address, tag: Some(tag) };
    let add = AddressChange::Add { asset: asset("BTC"), address: listed };
    stage.initiate(&member(1), Change::Addresses(add)).unwrap();
    let withdrawal = stage.withdrawal(&bot(1), withdraw_to(WithdrawalChange { key, ..to_cold("1") }, None));
    let shown = stage.request(withdrawal.request.unwrap()).payload.to_json();
    let what = r#""account":"main","address":"bc1qmemo","amount":"1.00000000","asset":"BTC","fee":"0.00001000""#;
    let how = format!(r#""key":"memo","network":"BTC","refid":"{}","tag":"777""#, withdrawal.id);
    assert_eq!(shown, format!("{{{what},{how}}}"));
}
