//! Earn by scripts: stages and their times, rewards, caps and refusals (rules 30, 33, 36, 39), and the halt.

use countersign::access::scope::ScopeSet;
use countersign::domain::ids::{AccountId, AssetId, OrganizationId, StrategyId};
use countersign::domain::money::Amount;
use countersign::domain::orders::Side;
use countersign::domain::text::ClientId;
use countersign::engine::Engine;
use countersign::engine::approvals::Decision;
use countersign::engine::command::{Command, EarnMove, NewStrategy};
use countersign::engine::earn::{AutoCompound, EarnStep, LockType, Periods, Position, YieldSource};
use countersign::engine::entries::{Source, entries};
use countersign::engine::event::Event;
use countersign::engine::holdings::{EarnFilter, Valuation};
use countersign::engine::ledger::{Party, Posting, Wallet};
use countersign::engine::query::{Query, View};
use countersign::engine::reject::Code;
use countersign::engine::reply::Reply;
use countersign::engine::state::State;

use super::genesis::{key, other};
use super::world::{DAY, SECOND, Stage, asset, bot, cancel, decimal, limit, member, venue, withdraw};

const ACME: AccountId = AccountId(1);
const OTHER: AccountId = AccountId(2);
const ETH: AssetId = AssetId(3);
const HOUR: u64 = 3_600 * SECOND;

/// An hour of bonding, two in the exit queue, three of unbonding.
const SLOW: LockType = LockType::Bonded(Periods { bonding_s: 3_600, exit_queue_s: 7_200, unbonding_s: 10_800 });

fn strategy(lock: LockType) -> NewStrategy {
    NewStrategy {
        asset: asset("ETH"),
        lock,
        min: decimal("1"),
        user_cap: None,
        total_cap: None,
        apr: (decimal("3"), decimal("4.5")),
        auto_compound: AutoCompound::Disabled,
        yield_source: YieldSource::Staking,
        payout_frequency_s: None,
        organizations: None,
    }
}

/// Acme's bot is the first, Other's the second; the strategy asked for is the third.
fn stage(wanted: NewStrategy) -> Stage {
    let mut stage = Stage::new(&[key(ScopeSet::ALL), other()], true);
    stage.run(&venue(), Command::AddEarnStrategy { strategy: wanted }).unwrap();
    stage
}

fn moved(amount: &str, allocate: bool) -> Command {
    let (strategy, amount) = (StrategyId(3), decimal(amount));
    Command::Earn(EarnMove { strategy, amount, allocate, auto_compound: None, client_id: None })
}

fn into(amount: &str) -> Command {
    moved(amount, true)
}

fn out(amount: &str) -> Command {
    moved(amount, false)
}

fn pay(amount: &str, id: &str) -> Command {
    let (strategy, client_id) = (StrategyId(3), ClientId::from(id).unwrap());
    Command::PayEarnReward { strategy, amount: decimal(amount), client_id }
}

/// Spot, flexible and bonded, in whole ETH.
fn wallets(stage: &Stage, account: AccountId) -> [i64; 3] {
    let ledger = &stage.state().ledger;
    [Wallet::Main, Wallet::Flex, Wallet::Bonded].map(|wallet| ledger.balance(account, ETH, wallet).0 / 100_000_000)
}

fn position(stage: &Stage, account: AccountId) -> Position {
    stage.state().earn.position(StrategyId(3), account).cloned().unwrap_or_default()
}

fn earning(stage: &Stage) -> i64 {
    position(stage, ACME).allocated.0 / 100_000_000
}

fn staged(stage: &Stage) -> Vec<EarnStep> {
    position(stage, ACME).stages.values().map(|operation| operation.step).collect()
}

#[test]
fn a_bonded_allocation_goes_through_all_its_stages_at_their_times() {
    let mut stage = stage(strategy(SLOW));
    stage.run(&bot(1), into("10")).unwrap();
    let start = stage.now;
    assert_eq!((wallets(&stage, ACME), earning(&stage)), ([990, 0, 10], 0), "out of spot at once, not earning yet");
    assert_eq!(staged(&stage), [EarnStep::Bonding(start.plus_us(HOUR))]);
    assert_eq!(stage.refused(&bot(1), out("10")), Code::EarnInProgress);
    stage.tick(HOUR - 1);
    assert_eq!(earning(&stage), 0);
    stage.tick(1);
    assert_eq!((earning(&stage), staged(&stage)), (10, Vec::new()));
    stage.run(&bot(1), out("4")).unwrap();
    assert_eq!((earning(&stage), staged(&stage)), (6, vec![EarnStep::ExitQueue(stage.now.plus_us(2 * HOUR))]));
    stage.tick(2 * HOUR);
    assert_eq!(staged(&stage), [EarnStep::Unbonding(stage.now.plus_us(3 * HOUR))]);
    assert_eq!(wallets(&stage, ACME), [990, 0, 10], "what unbonds is bonded still");
    stage.tick(3 * HOUR);
    assert_eq!((wallets(&stage, ACME), staged(&stage)), ([994, 0, 6], Vec::new()));
    let ids: Vec<_> = stage
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::Earned { operation, .. } => Some(operation.id),
            _ => None,
        })
        .collect();
    assert_eq!((ids.len(), ids[0], ids[2]), (5, ids[1], ids[4]), "an operation keeps its id");
}

#[test]
fn after_a_long_stop_each_stage_counts_from_when_the_one_before_was_over() {
    let mut stage = stage(strategy(SLOW));
    stage.run(&bot(1), into("10")).unwrap();
    stage.tick(DAY);
    stage.run(&bot(1), out("10")).unwrap();
    let left = stage.now;
    stage.tick(2 * HOUR + HOUR);
    assert_eq!(staged(&stage), [EarnStep::Unbonding(left.plus_us(5 * HOUR))], "an hour of unbonding has gone by");
    stage.tick(10 * DAY);
    stage.run(&bot(1), into("10")).unwrap();
    stage.tick(DAY);
    stage.run(&bot(1), out("10")).unwrap();
    stage.tick(10 * DAY);
    assert_eq!((wallets(&stage, ACME), staged(&stage)), ([1_000, 0, 0], Vec::new()), "two steps by one tick");
}

#[test]
fn rule_39_what_is_over_counts_before_tick_has_run() {
    let mut stage =
        stage(strategy(LockType::Bonded(Periods { bonding_s: 3_600, exit_queue_s: 0, unbonding_s: 3_600 })));
    stage.run(&bot(1), into("1000")).unwrap();
    stage.now = stage.now.plus_us(HOUR);
    stage.run(&bot(1), out("1000")).unwrap();
    assert_eq!(stage.refused(&bot(1), into("1000")), Code::EarnInsufficientFunds);
    stage.now = stage.now.plus_us(HOUR);
    stage.run(&bot(1), into("1000")).unwrap();
    assert_eq!((wallets(&stage, ACME), staged(&stage).len()), ([0, 0, 1_000], 1));
}

#[test]
fn rule_39_a_reward_counts_what_has_bonded_by_now() {
    let mut stage = stage(strategy(SLOW));
    stage.run(&bot(1), into("10")).unwrap();
    assert_eq!(stage.refused(&venue(), pay("1", "0")), Code::InvalidArguments, "nothing earns yet");
    stage.tick(HOUR);
    stage.run(&bot(2), into("10")).unwrap();
    stage.now = stage.now.plus_us(HOUR);
    stage.run(&venue(), pay("4", "1")).unwrap();
    let spot = [ACME, OTHER].map(|account| wallets(&stage, account)[0]);
    assert_eq!(spot, [992, 992], "as much was earning of both, whether or not Tick has run");
    stage.tick(0);
    assert_eq!(position(&stage, OTHER).allocated, Amount(1_000_000_000));
}

#[test]
fn every_refusal_has_the_text_of_v2() {
    let capped = NewStrategy {
        user_cap: Some(decimal("20")),
        total_cap: Some(decimal("30")),
        organizations: Some(vec![OrganizationId(1), OrganizationId(2)]),
        ..strategy(LockType::Flex)
    };
    let mut stage = stage(capped);
    assert_eq!(stage.refused(&bot(1), into("0.5")), Code::EarnBelowMinimum);
    assert_eq!(stage.refused(&bot(1), into("20.1")), Code::EarnAboveUserCap);
    stage.run(&bot(1), into("20")).unwrap();
    assert_eq!(stage.refused(&bot(2), into("10.1")), Code::EarnAboveTotalCap);
    stage.run(&bot(2), into("10")).unwrap();
    assert_eq!(stage.refused(&bot(1), out("20.1")), Code::EarnInsufficientFunds);
    assert_eq!(stage.refused(&bot(1), out("0.5")), Code::EarnBelowMinimum);
    stage.run(&bot(1), out("19.5")).unwrap();
    stage.run(&bot(1), out("0.5")).unwrap();
    let only = NewStrategy { organizations: Some(vec![OrganizationId(2)]), ..strategy(LockType::Flex) };
    stage.run(&venue(), Command::AddEarnStrategy { strategy: only }).unwrap();
    let fourth = |choice| EarnMove {
        strategy: StrategyId(4),
        amount: decimal("1"),
        allocate: true,
        auto_compound: choice,
        client_id: None,
    };
    assert_eq!(stage.refused(&bot(1), Command::Earn(fourth(None))), Code::EarnTier);
    assert_eq!(
        stage.refused(&bot(2), Command::Earn(fourth(Some(true)))),
        Code::InvalidArguments,
        "it leaves no choice"
    );
    stage.run(&bot(2), Command::Earn(fourth(None))).unwrap();
    let unknown = EarnMove { strategy: StrategyId(9), ..fourth(None) };
    assert_eq!(stage.refused(&bot(1), Command::Earn(unknown)), Code::UnknownStrategy);
}

#[test]
fn an_account_has_at_most_a_hundred_operations_on_their_way_in_and_as_many_out() {
    let mut stage = stage(strategy(SLOW));
    for _ in 0..100 {
        stage.run(&bot(1), into("1")).unwrap();
    }
    assert_eq!(stage.refused(&bot(1), into("1")), Code::EarnBusy);
    stage.now = stage.now.plus_us(HOUR);
    stage.run(&bot(1), into("1")).unwrap();
    assert_eq!((earning(&stage), staged(&stage).len()), (100, 1));
    for _ in 1..100 {
        stage.run(&bot(1), into("1")).unwrap();
    }
    for _ in 0..100 {
        stage.run(&bot(1), out("1")).unwrap();
    }
    assert_eq!(stage.refused(&bot(1), out("1")), Code::EarnBusy);
    assert_eq!((earning(&stage), staged(&stage).len()), (0, 200));
}

#[test]
fn what_is_on_its_way_in_does_not_keep_in_what_leaves_at_once() {
    let mut stage = stage(strategy(LockType::Bonded(Periods { bonding_s: 3_600, ..Periods::default() })));
    stage.run(&bot(1), into("2")).unwrap();
    stage.tick(HOUR);
    for _ in 0..100 {
        stage.run(&bot(1), into("1")).unwrap();
    }
    stage.run(&bot(1), out("2")).unwrap();
    assert_eq!((earning(&stage), staged(&stage).len()), (0, 100));
}

#[test]
fn rule_30_a_client_id_answers_with_its_first_operation_for_ever() {
    let mut stage = stage(strategy(SLOW));
    let choosing = |amount: &str, allocate, auto_compound| {
        let (strategy, amount) = (StrategyId(3), decimal(amount));
        let client_id = Some(ClientId::from("a").unwrap());
        Command::Earn(EarnMove { strategy, amount, allocate, auto_compound, client_id })
    };
    let named = |amount: &str, allocate| choosing(amount, allocate, None);
    let first = stage.run(&bot(1), named("10", true)).unwrap();
    stage.tick(DAY);
    assert_eq!(stage.run(&bot(1), named("10", true)).unwrap(), first, "though it is long done");
    assert_eq!(wallets(&stage, ACME), [990, 0, 10]);
    assert_eq!(stage.refused(&bot(1), named("11", true)), Code::ClientIdNotUnique);
    assert_eq!(stage.refused(&bot(1), named("10", false)), Code::ClientIdNotUnique);
    assert_eq!(stage.refused(&bot(1), choosing("10", true, Some(false))), Code::ClientIdNotUnique);
    assert_ne!(stage.run(&bot(2), named("10", true)).unwrap(), first, "ids belong to their Service User");
}

#[test]
fn a_reward_is_split_exactly_by_what_earns_and_paid_once() {
    let mut stage = stage(strategy(LockType::Bonded(Periods { bonding_s: 3_600, ..Periods::default() })));
    assert_eq!(stage.refused(&venue(), pay("1", "early")), Code::InvalidArguments, "nobody earns");
    stage.run(&bot(1), into("1")).unwrap();
    stage.run(&bot(2), into("2")).unwrap();
    stage.tick(HOUR);
    stage.run(&bot(1), into("500")).unwrap();
    let paid = stage.run(&venue(), pay("0.00000010", "week-1")).unwrap();
    let Reply::EarnPaid(payout) = &paid else { panic!("{paid:?}") };
    assert_eq!((payout.amount, payout.accounts), (Amount(10), 2));
    let rewarded = |stage: &Stage| [ACME, OTHER].map(|account| position(stage, account).rewarded.0);
    assert_eq!(rewarded(&stage), [3, 7], "3.3 and 6.7: what bonds does not earn");
    assert_eq!(stage.state().ledger.counter(Party::EarnPool, ETH), Amount(0));
    assert_eq!(stage.run(&venue(), pay("0.00000010", "week-1")).unwrap(), paid);
    assert_eq!(rewarded(&stage), [3, 7], "the same payout is paid once");
    assert_eq!(stage.refused(&venue(), pay("0.00000011", "week-1")), Code::ClientIdNotUnique);
    assert_eq!(stage.refused(&bot(1), pay("1", "mine")), Code::PermissionDenied);
    let (at, event) = stage.events.last().unwrap();
    let entry = entries(stage.state().seq, *at, event).next().unwrap();
    assert!(matches!(entry.source, Source::Reward(_, YieldSource::Staking)));
    assert_eq!((entry.account, entry.wallet, entry.posting.delta), (OTHER, Wallet::Main, Amount(7)));
}

#[test]
fn a_reward_is_added_to_the_allocation_where_the_account_chose_that() {
    let optional = AutoCompound::Optional { default: false };
    let mut stage = stage(NewStrategy { auto_compound: optional, ..strategy(LockType::Flex) });
    let chosen = |choice| {
        let (strategy, amount) = (StrategyId(3), decimal("10"));
        Command::Earn(EarnMove { strategy, amount, allocate: true, auto_compound: choice, client_id: None })
    };
    stage.run(&bot(1), chosen(Some(true))).unwrap();
    stage.run(&bot(2), chosen(None)).unwrap();
    stage.run(&venue(), pay("20", "1")).unwrap();
    assert_eq!([wallets(&stage, ACME), wallets(&stage, OTHER)], [[990, 20, 0], [1_000, 10, 0]]);
    stage.run(&venue(), pay("30", "2")).unwrap();
    assert_eq!(
        [wallets(&stage, ACME), wallets(&stage, OTHER)],
        [[990, 40, 0], [1_010, 10, 0]],
        "20 of 30 earned by 20"
    );
    stage.run(&bot(1), chosen(Some(false))).unwrap();
    stage.run(&venue(), pay("60", "3")).unwrap();
    assert_eq!([wallets(&stage, ACME), wallets(&stage, OTHER)], [[1_030, 50, 0], [1_020, 10, 0]]);
    assert_eq!(position(&stage, ACME).rewarded, Amount(8_000_000_000));
}

#[test]
fn allocations_are_valued_by_the_last_trade_and_paged() {
    let mut stage = stage(NewStrategy { payout_frequency_s: Some(86_400), ..strategy(LockType::Flex) });
    let begin = stage.now;
    let btc = NewStrategy { asset: asset("BTC"), ..strategy(LockType::Flex) };
    stage.run(&venue(), Command::AddEarnStrategy { strategy: btc }).unwrap();
    stage.run(&bot(1), into("10")).unwrap();
    let into_btc = EarnMove {
        strategy: StrategyId(4),
        amount: decimal("2"),
        allocate: true,
        auto_compound: None,
        client_id: None,
    };
    stage.run(&bot(1), Command::Earn(into_btc)).unwrap();
    let shown = |stage: &Stage, filter: EarnFilter| match stage.ask(&bot(1), &Query::EarnAllocations(filter)).unwrap() {
        View::Allocations(all) => *all,
        other => panic!("{other:?}"),
    };
    let all = || EarnFilter { limit: 10, ..EarnFilter::default() };
    assert_eq!(shown(&stage, all()).total_allocated, Amount(0), "nothing was traded yet");
    stage.placed(&bot(1), limit(Side::Sell, "1", "100.5", None));
    stage.placed(&bot(2), limit(Side::Buy, "1", "100.5", None));
    stage.run(&venue(), pay("1", "1")).unwrap();
    let view = shown(&stage, all());
    assert_eq!(view.total_allocated, Amount(2_010_000), "2 BTC at 100.5; ETH has no market");
    assert_eq!(view.holdings.iter().map(|of| of.strategy.id.0).collect::<Vec<_>>(), [4, 3], "the newest first");
    assert_eq!(view.holdings[1].valuation, Valuation::Unknown);
    let payout = view.holdings[1].payout.unwrap();
    assert_eq!((payout.start, payout.end, payout.accumulated), (begin, begin.plus_us(DAY), Amount(100_000_000)));
    assert_eq!(payout.estimated, Amount(82_191), "10 ETH at 3 % for a day");
    stage.tick(DAY);
    assert_eq!(shown(&stage, all()).holdings[1].payout.unwrap().accumulated, Amount(0), "a new period");
    let first = shown(&stage, EarnFilter { limit: 1, ascending: true, ..all() });
    assert_eq!((first.holdings[0].strategy.id, first.next), (StrategyId(3), Some(StrategyId(3))));
    let second = shown(&stage, EarnFilter { after: first.next, ascending: true, ..all() });
    assert_eq!((second.holdings.len(), second.holdings[0].strategy.id, second.next), (1, StrategyId(4), None));
    stage.run(&bot(1), out("10")).unwrap();
    let native = EarnFilter { hide_zero: true, converted: Some(asset("BTC")), ..all() };
    let view = shown(&stage, native);
    assert_eq!((view.holdings.len(), view.total_allocated), (1, Amount(200_000_000)));
}

#[test]
fn a_strategy_tells_what_keeps_an_account_out() {
    let mut stage = stage(NewStrategy { user_cap: Some(decimal("10")), ..strategy(LockType::Flex) });
    let restrictions = |stage: &Stage| {
        let filter = EarnFilter { limit: 1, ..EarnFilter::default() };
        match stage.ask(&bot(1), &Query::EarnStrategies(filter)).unwrap() {
            View::Strategies(offers, _) => (offers[0].restrictions.clone(), offers[0].can_deallocate),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(restrictions(&stage), (Vec::new(), true));
    stage.run(&bot(1), into("9.5")).unwrap();
    assert_eq!(restrictions(&stage), (vec!["user_cap"], true), "less than the minimum is left");
    stage.run(&venue(), Command::Halt { reason: "drill".to_owned() }).unwrap();
    assert_eq!(restrictions(&stage), (vec!["user_cap", "halted"], false));
}

#[test]
fn a_strategy_that_makes_no_sense_is_not_added() {
    let mut stage = stage(strategy(SLOW));
    let bad = |change: &dyn Fn(&mut NewStrategy)| {
        let mut wanted = strategy(SLOW);
        change(&mut wanted);
        Command::AddEarnStrategy { strategy: wanted }
    };
    type Spoil = fn(&mut NewStrategy);
    let invalid: [(Spoil, &str); 6] = [
        (|of| of.min = decimal("0"), "user_min_allocation"),
        (|of| of.user_cap = Some(decimal("0.5")), "user_cap"),
        (|of| of.total_cap = Some(decimal("0.5")), "total_cap"),
        (|of| of.apr = (decimal("5"), decimal("4")), "apr_estimate"),
        (|of| of.apr = (decimal("1"), decimal("1000.1")), "apr_estimate"),
        (|of| of.payout_frequency_s = Some(u64::MAX), "lock_type"),
    ];
    for (change, field) in invalid {
        let refusal = stage.run(&venue(), bad(&change)).unwrap_err();
        assert_eq!((refusal.code, refusal.field), (Code::InvalidArguments, Some(field)));
    }
    let nobody = bad(&|of| of.organizations = Some(vec![OrganizationId(9)]));
    assert_eq!(stage.refused(&venue(), nobody), Code::UnknownSubject);
}

#[test]
fn rule_35_a_halt_stops_what_moves_money_until_the_venue_resumes() {
    let mut stage = stage(strategy(LockType::Bonded(Periods { bonding_s: 3_600, ..Periods::default() })));
    let order = stage.placed(&bot(1), limit(Side::Buy, "1", "10", None));
    let waiting = stage.withdrawal(&bot(1), withdraw("1", None)).request.unwrap();
    stage.run(&bot(1), into("10")).unwrap();
    assert_eq!(stage.refused(&bot(1), Command::Halt { reason: "no".to_owned() }), Code::PermissionDenied);
    let halted = stage.run(&venue(), Command::Halt { reason: "drill".to_owned() }).unwrap();
    assert_eq!(halted, Reply::Halted(Some("drill".to_owned())));
    let again = stage.run(&venue(), Command::Halt { reason: "other".to_owned() }).unwrap();
    assert_eq!(again, halted, "it stays halted for its first reason");
    for command in [limit(Side::Buy, "1", "10", None), withdraw("1", None), into("5"), out("5")] {
        assert_eq!(stage.refused(&bot(1), command), Code::Halted);
    }
    assert_eq!(stage.refused(&venue(), pay("1", "1")), Code::Halted);
    let vote = stage.vote(&member(2), Decision::Approve, waiting);
    assert_eq!(vote.unwrap_err().code, Code::Halted, "nothing is released to custody");
    stage.tick(DAY);
    assert_eq!((earning(&stage), staged(&stage).len()), (0, 1), "money stays where it is");
    stage.run(&bot(1), cancel(order)).unwrap();
    assert!(matches!(stage.ask(&bot(1), &Query::Balances), Ok(View::Balances(_))));
    assert_eq!(stage.run(&venue(), Command::Resume).unwrap(), Reply::Halted(None));
    assert_eq!(stage.run(&venue(), Command::Resume).unwrap(), Reply::Halted(None), "again is no fault");
    stage.tick(0);
    assert_eq!(earning(&stage), 10);
    stage.vote(&member(2), Decision::Approve, waiting).unwrap();
    stage.withdrawal(&bot(1), withdraw("1", None));
}

#[test]
fn rule_35_a_broken_law_halts_and_only_a_sound_ledger_resumes() {
    let mut stage = stage(strategy(SLOW));
    let mut state = stage.state().clone();
    let (party, delta) = (Party::Account(ACME, Wallet::Main), Amount(1));
    let wrong = Posting { party, asset: ETH, delta, fee: Amount::ZERO, balance: Amount::ZERO };
    state.ledger.post(&[wrong]);
    state.halted = Some("a test".to_owned());
    stage.engine = Engine::new(state);
    let refused = stage.engine.handle(stage.now, &venue(), &Command::Resume).unwrap_err();
    assert_eq!(refused.text(), "EService:Ledger unsound:ledger: AST3 sums to 1 units instead of zero");
    let mut state = stage.state().clone();
    state.ledger.post(&[Posting { party: Party::Outside, delta: Amount(-1), ..wrong }]);
    stage.engine = Engine::new(state);
    stage.run(&venue(), Command::Resume).unwrap();
    stage.run(&bot(1), into("10")).unwrap();
}

#[test]
fn replay_of_a_life_in_earn_gives_the_same_digest() {
    let compounding = NewStrategy { auto_compound: AutoCompound::Enabled, ..strategy(SLOW) };
    let mut stage = stage(compounding);
    stage.run(&bot(1), into("10")).unwrap();
    stage.run(&bot(2), into("7")).unwrap();
    stage.tick(DAY);
    stage.run(&venue(), pay("0.12345678", "1")).unwrap();
    stage.run(&bot(1), out("3")).unwrap();
    stage.run(&venue(), Command::Halt { reason: "drill".to_owned() }).unwrap();
    stage.tick(DAY);
    stage.run(&venue(), Command::Resume).unwrap();
    stage.tick(HOUR);
    let mut replayed = State::default();
    stage.events.iter().for_each(|(at, event)| replayed.apply(*at, event));
    assert_eq!(replayed.digest(), stage.state().digest());
    let stored: State = postcard::from_bytes(&postcard::to_allocvec(stage.state()).unwrap()).unwrap();
    assert_eq!(stored.digest(), stage.state().digest());
    assert_eq!(position(&stage, OTHER).total(), Amount(700_000_000 + 5_083_514), "7 of 17 parts");
}
