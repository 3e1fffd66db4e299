//! Orders: what is accepted, what it holds, how it trades and what it costs.

use countersign::domain::money::Amount;
use countersign::domain::orders::{CancelReason, OrderStatus, Side, TimeInForce};
use countersign::engine::caller::ServiceCaller;
use countersign::engine::command::{OrderRef, PlaceOrder, RequestedTerms};
use countersign::engine::event::Event;
use countersign::engine::ledger::{Party, Posting, Wallet};
use countersign::engine::query::OrderFilter;
use countersign::engine::reject::{Code, Reject};
use countersign::engine::reply::{Placed, Reply};
use countersign::engine::state::State;
use countersign::engine::trading::{cancel, cancel_all, place, place_batch};
use countersign::engine::triggers;
use proptest::prelude::*;

use crate::venue::{BTC, MARKET, USD, Venue, limit, market, named};

/// A venue with three funded Organizations: 100,000.00 USD and 10 BTC each.
fn funded() -> (Venue, [ServiceCaller; 3]) {
    let mut venue = Venue::new();
    let traders = [1, 2, 3].map(|number| venue.trader(number));
    for trader in traders {
        venue.fund(trader, USD, 10_000_000);
        venue.fund(trader, BTC, 1_000_000_000);
    }
    (venue, traders)
}

fn placed(venue: &mut Venue, who: ServiceCaller, order: &PlaceOrder) -> countersign::domain::ids::OrderId {
    match venue.run(|t| place(t, who, order)) {
        Ok(Placed { order: Some(id), repeated: false }) => id,
        other => panic!("not placed: {other:?}"),
    }
}

fn refused(venue: &mut Venue, who: ServiceCaller, order: &PlaceOrder) -> Reject {
    let (before, happened) = (venue.state.digest(), venue.events.len());
    let refusal = venue.run(|t| place(t, who, order)).unwrap_err();
    assert_eq!((venue.state.digest(), venue.events.len()), (before, happened), "a refusal changes nothing");
    refusal
}

/// Quantity, price in whole units and taker side of every trade so far.
fn trades(venue: &Venue) -> Vec<(i64, i64, Side)> {
    let trade = |event: &Event| match event {
        Event::Traded(trade) => Some((trade.qty.0, trade.price.0, trade.taker_side)),
        _ => None,
    };
    venue.events.iter().filter_map(|(_, event)| trade(event)).collect()
}

#[test]
fn a_resting_buy_holds_its_limit_and_the_takers_fee_and_gives_it_back() {
    let (mut venue, [alice, ..]) = funded();
    let id = placed(&mut venue, alice, &limit(Side::Buy, "0.5", "30001"));
    // 15,000.50 USD and 0.2 % of it, rounded up to 30.01.
    assert_eq!(venue.balance(alice, USD), (10_000_000 - 1_503_051, 1_503_051, 10_000_000));
    venue.run(|t| cancel(t, alice, &OrderRef::Id(id))).unwrap();
    assert_eq!(venue.balance(alice, USD), (10_000_000, 0, 10_000_000));
    assert_eq!(venue.run(|t| cancel(t, alice, &OrderRef::Id(id))), Err(Code::UnknownOrder.into()));
}

#[test]
fn a_trade_is_at_the_makers_price_and_each_side_pays_its_fee() {
    let (mut venue, [alice, bob, _]) = funded();
    placed(&mut venue, alice, &limit(Side::Sell, "1", "30000"));
    placed(&mut venue, bob, &limit(Side::Buy, "0.4", "31000"));
    // 12,000.00 USD: the maker pays 12.00 of it, the taker 24.00 on top.
    assert_eq!(venue.balance(alice, USD), (11_198_800, 0, 11_198_800));
    assert_eq!(venue.balance(alice, BTC), (900_000_000, 60_000_000, 960_000_000));
    assert_eq!(venue.balance(bob, USD), (8_797_600, 0, 8_797_600));
    assert_eq!(venue.balance(bob, BTC), (1_040_000_000, 0, 1_040_000_000));
    assert_eq!(venue.state.ledger.counter(Party::Fees, USD), Amount(3_600));
    assert_eq!(venue.state.ledger.check(), Ok(()));
}

#[test]
fn better_prices_go_first_and_older_orders_before_younger() {
    let (mut venue, [alice, bob, carol]) = funded();
    placed(&mut venue, alice, &limit(Side::Sell, "0.1", "30010"));
    placed(&mut venue, bob, &limit(Side::Sell, "0.2", "30000"));
    placed(&mut venue, alice, &limit(Side::Sell, "0.3", "30000"));
    placed(&mut venue, carol, &limit(Side::Buy, "0.55", "30010"));
    let expected = [(20_000_000, 30_000), (30_000_000, 30_000), (5_000_000, 30_010)];
    assert_eq!(trades(&venue), expected.map(|(qty, price)| (qty, price, Side::Buy)));
    let left = venue.state.orders.open(alice.account).map(|order| (order.filled.0, order.status));
    assert_eq!(left.collect::<Vec<_>>(), [(5_000_000, OrderStatus::PartiallyFilled)]);
}

#[test]
fn what_an_ioc_or_market_order_does_not_fill_is_canceled_and_released() {
    let (mut venue, [alice, bob, _]) = funded();
    placed(&mut venue, alice, &limit(Side::Sell, "0.1", "30000"));
    placed(&mut venue, bob, &PlaceOrder { time_in_force: TimeInForce::Ioc, ..limit(Side::Buy, "0.3", "30000") });
    placed(&mut venue, alice, &limit(Side::Buy, "0.1", "29000"));
    placed(&mut venue, bob, &market(Side::Sell, "0.2"));
    let canceled = venue
        .events
        .iter()
        .filter(|(_, event)| matches!(event, Event::OrderCanceled { reason: CancelReason::ImmediateOrCancel, .. }));
    assert_eq!(canceled.count(), 2);
    assert_eq!((venue.balance(bob, USD).1, venue.balance(bob, BTC).1), (0, 0));
    assert_eq!(refused(&mut venue, bob, &market(Side::Sell, "0.2")).code, Code::NoLiquidity);
}

#[test]
fn a_market_buy_holds_what_the_book_costs_and_is_refused_without_it() {
    let (mut venue, [alice, bob, _]) = funded();
    placed(&mut venue, alice, &limit(Side::Sell, "1", "30000"));
    placed(&mut venue, alice, &limit(Side::Sell, "5", "90000"));
    assert_eq!(refused(&mut venue, bob, &market(Side::Buy, "2")).code, Code::InsufficientFunds);
    placed(&mut venue, bob, &market(Side::Buy, "1.5"));
    // 30,000 + 45,000 and 60 + 90 of fees.
    assert_eq!(venue.balance(bob, USD), (2_485_000, 0, 2_485_000));
}

#[test]
fn post_only_is_refused_rather_than_taking() {
    let (mut venue, [alice, bob, _]) = funded();
    placed(&mut venue, alice, &limit(Side::Sell, "1", "30000"));
    let post_only = |price| PlaceOrder { post_only: true, ..limit(Side::Buy, "0.1", price) };
    assert_eq!(refused(&mut venue, bob, &post_only("30000")).code, Code::PostOnly);
    placed(&mut venue, bob, &post_only("29999"));
    assert_eq!(trades(&venue), []);
}

#[test]
fn an_organization_never_trades_with_itself() {
    let (mut venue, [alice, bob, _]) = funded();
    placed(&mut venue, alice, &limit(Side::Sell, "0.1", "30000"));
    let own = placed(&mut venue, bob, &limit(Side::Sell, "0.1", "30001"));
    placed(&mut venue, alice, &limit(Side::Sell, "0.1", "30002"));
    placed(&mut venue, bob, &limit(Side::Buy, "0.3", "31000"));
    assert_eq!(trades(&venue), [(10_000_000, 30_000, Side::Buy)]);
    assert!(matches!(venue.events.last().unwrap().1, Event::OrderCanceled { reason: CancelReason::SelfTrade, .. }));
    assert_eq!(venue.state.orders.open(bob.account).map(|order| order.id).collect::<Vec<_>>(), [own]);
    assert_eq!(venue.balance(bob, USD).1, 0);
    // Nor does another key of it, on another account (rule 7). What it would find excludes its own orders as well.
    let colleague = ServiceCaller { organization: bob.organization, ..venue.trader(4) };
    venue.fund(colleague, USD, 10_000_000);
    let whole = PlaceOrder { time_in_force: TimeInForce::Fok, ..limit(Side::Buy, "0.2", "31000") };
    for (order, why) in [(limit(Side::Buy, "0.3", "31000"), CancelReason::SelfTrade), (whole, CancelReason::FillOrKill)]
    {
        placed(&mut venue, colleague, &order);
        let Some((_, Event::OrderCanceled { reason, .. })) = venue.events.last() else { panic!("{order:?} goes on") };
        assert_eq!(*reason, why);
    }
    assert_eq!(trades(&venue).len(), 1);
    assert_eq!(venue.balance(colleague, USD), (10_000_000, 0, 10_000_000));
}

#[test]
fn each_wrong_number_is_refused_by_name() {
    let (mut venue, [alice, ..]) = funded();
    let of_quantity = (Code::InvalidArguments, Some("order_qty"));
    for (qty, price, named) in [
        ("0.00000001", "30000", (Code::OrderMinimum, None)),
        ("0", "30000", of_quantity),
        ("-1", "30000", of_quantity),
        ("0.000000001", "30000", of_quantity),
        ("1e15", "30000", of_quantity),
        ("1", "30000.5", (Code::TickSize, None)),
        ("1", "0", (Code::InvalidPrice, None)),
        ("1", "-5", (Code::InvalidPrice, None)),
        ("0.00001", "1", (Code::CostMinimum, None)),
        ("11", "30000", (Code::InsufficientFunds, None)),
        ("90000000000", "9000000000000000000", of_quantity),
    ] {
        let refusal = refused(&mut venue, alice, &limit(Side::Buy, qty, price));
        assert_eq!((refusal.code, refusal.field), named, "{qty} at {price}: {}", refusal.text());
    }
    let unpriced = PlaceOrder { limit_price: None, ..limit(Side::Buy, "1", "1") };
    assert_eq!(refused(&mut venue, alice, &unpriced).field, Some("limit_price"));
    let elsewhere = PlaceOrder { symbol: "DOGE/USD".parse().unwrap(), ..limit(Side::Buy, "1", "1") };
    assert_eq!(refused(&mut venue, alice, &elsewhere).code, Code::UnknownMarket);
}

#[test]
fn validate_checks_and_places_nothing() {
    let (mut venue, [alice, ..]) = funded();
    let happened = venue.events.len();
    let order = PlaceOrder { validate: true, ..limit(Side::Buy, "0.1", "30000") };
    assert_eq!(venue.run(|t| place(t, alice, &order)), Ok(Placed { order: None, repeated: false }));
    assert_eq!(venue.events.len(), happened);
    let dear = PlaceOrder { validate: true, ..limit(Side::Buy, "9", "30000") };
    assert_eq!(refused(&mut venue, alice, &dear).code, Code::InsufficientFunds);
}

#[test]
fn validate_repeats_no_order_and_finds_its_client_id_taken() {
    let (mut venue, [alice, ..]) = funded();
    let order = named(limit(Side::Buy, "0.1", "20000"), "mine");
    placed(&mut venue, alice, &order);
    let checked = PlaceOrder { validate: true, ..order };
    assert_eq!(refused(&mut venue, alice, &checked).code, Code::ClientOrderIdNotUnique);
}

/// Deposits of five units: sound, one unit from nowhere, one below zero or below the hold, one too many reported.
#[test]
fn d5_61_one_unit_that_is_wrong_halts_in_the_same_entry() {
    let (venue, [seller, ..]) = funded();
    let stranger = venue.trader(9).account;
    let (main, flex) = (Party::Account(stranger, Wallet::Main), Party::Account(stranger, Wallet::Flex));
    let line = |party, asset, delta: i64, balance: i64| {
        let (delta, balance) = (Amount(delta), Amount(balance));
        Posting { party, asset, delta, fee: Amount::ZERO, balance }
    };
    let outside = |asset, delta| line(Party::Outside, asset, delta, 0);
    let own = line(main, BTC, 5, 5);
    for (postings, broken) in [
        (vec![own, outside(BTC, -5)], None),
        (vec![own, outside(BTC, -4)], Some("do not sum to zero")),
        (vec![own, outside(BTC, -5), line(main, USD, 5, 5), outside(USD, -4)], Some("do not sum to zero")),
        (vec![line(main, BTC, -1, -1), outside(BTC, 1)], Some("is overdrawn")),
        (vec![line(main, BTC, 1, 0), line(flex, BTC, -1, 0)], Some("is overdrawn")),
        (
            vec![line(Party::Account(seller.account, Wallet::Main), BTC, -1, 999_999_999), outside(BTC, 1)],
            Some("is overdrawn"),
        ),
        (vec![line(main, BTC, 5, 6), outside(BTC, -5)], Some("is told a wrong balance")),
    ] {
        let (mut venue, [seller, ..]) = funded();
        let Some((_, Event::DepositChanged { deposit, .. })) = venue.events.last().cloned() else {
            panic!("a deposit")
        };
        placed(&mut venue, seller, &limit(Side::Sell, "10", "30000"));
        let before = venue.events.len();
        venue.run(|t| t.emit(Event::DepositChanged { deposit, postings }));
        match (&venue.events[before + 1..], broken) {
            ([], None) => assert_eq!(venue.state.halted, None),
            ([(_, Event::Halted { reason })], Some(broken)) => {
                assert!(reason.contains(broken), "{reason}");
                assert_eq!(venue.state.halted.as_ref(), Some(reason));
            }
            (more, broken) => panic!("{broken:?}: {more:?}"),
        }
    }
}

#[test]
fn d5_63_the_same_client_id_answers_with_the_first_order_for_a_while() {
    let (mut venue, [alice, bob, _]) = funded();
    let order = named(limit(Side::Buy, "0.1", "20000"), "mine");
    let first = placed(&mut venue, alice, &order);
    let again = Ok(Placed { order: Some(first), repeated: true });
    assert_eq!(venue.run(|t| place(t, alice, &order)), again);
    let other = named(limit(Side::Buy, "0.2", "20000"), "mine");
    assert_eq!(refused(&mut venue, alice, &other).code, Code::ClientOrderIdNotUnique);
    assert_ne!(placed(&mut venue, bob, &order), first, "an id belongs to one Service User");

    venue.now = venue.now.plus_us(59_999_999);
    venue.run(|t| cancel(t, alice, &OrderRef::ClientId("mine".parse().unwrap()))).unwrap();
    assert_eq!(venue.run(|t| place(t, alice, &order)), again, "closed, but within a minute");
    venue.now = venue.now.plus_us(1);
    assert_ne!(placed(&mut venue, alice, &other), first, "a minute after its acknowledgement the id is free");
    venue.now = venue.now.plus_us(3_600_000_000);
    assert_eq!(refused(&mut venue, alice, &order).code, Code::ClientOrderIdNotUnique, "an open order keeps it");
}

#[test]
fn a_client_id_or_group_reaches_only_what_it_may() {
    let (mut venue, [alice, bob, _]) = funded();
    let order = named(limit(Side::Buy, "0.1", "20000"), "mine");
    let id = placed(&mut venue, alice, &PlaceOrder { order_userref: Some(7), ..order });
    let colleague = ServiceCaller { id: bob.id, ..alice };
    let by_name = OrderRef::ClientId("mine".parse().unwrap());
    assert_eq!(venue.run(|t| cancel(t, colleague, &by_name)), Err(Code::UnknownOrder.into()));
    assert_eq!(venue.run(|t| cancel(t, bob, &OrderRef::Id(id))), Err(Code::UnknownOrder.into()));
    assert_eq!(venue.run(|t| cancel(t, colleague, &OrderRef::UserRef(7))), Ok(Reply::Canceled(vec![id])));
    let others = placed(&mut venue, bob, &limit(Side::Buy, "0.1", "20000"));
    assert_eq!(venue.run(|t| cancel_all(t, alice)), Ok(Reply::Canceled(Vec::new())));
    assert_eq!(venue.state.orders.open(bob.account).next().unwrap().id, others);
}

#[test]
fn the_open_orders_of_a_group_are_found_oldest_first() {
    let (mut venue, [alice, ..]) = funded();
    let of = |group| PlaceOrder { order_userref: group, ..limit(Side::Buy, "0.01", "20000") };
    let groups = [Some(7), Some(8), None, Some(7), Some(0), Some(7), Some(-7)];
    let ids = groups.map(|group| placed(&mut venue, alice, &of(group)));
    venue.run(|t| cancel(t, alice, &OrderRef::Id(ids[3]))).unwrap();
    for state in [venue.replayed(), postcard::from_bytes(&postcard::to_allocvec(&venue.state).unwrap()).unwrap()] {
        let page = |order_userref, after, limit| {
            let filter = OrderFilter { order_userref, after, limit, ..OrderFilter::default() };
            let (page, next) = state.orders.page(alice.account, None, &filter);
            (page.iter().map(|order| order.id).collect::<Vec<_>>(), next)
        };
        assert_eq!(state.orders.find(alice, &OrderRef::UserRef(7)), [ids[0], ids[5]]);
        assert_eq!(state.orders.find(alice, &OrderRef::UserRef(0)), [ids[4]]);
        assert_eq!(page(Some(7), None, Some(1)), (vec![ids[0]], Some(ids[0])));
        assert_eq!(page(Some(7), Some(ids[0]), Some(1)), (vec![ids[5]], None));
        assert_eq!(page(Some(0), None, None), (vec![ids[2], ids[4]], None), "an order of no group shows 0");
        assert_eq!(page(Some(9), None, None), (vec![], None));
    }
    let found = venue.run(|t| cancel(t, alice, &OrderRef::UserRef(7)));
    assert_eq!(found, Ok(Reply::Canceled(vec![ids[0], ids[5]])));
    assert_eq!(venue.run(|t| cancel(t, alice, &OrderRef::UserRef(7))), Err(Code::UnknownOrder.into()));
}

/// One step of a random run: who, buy or sell, quantity in 0.001, price, kind.
type Step = (usize, bool, i64, i64, u8);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec((0..3usize, any::<bool>(), 1..400i64, 95..105i64, 0..10u8), 1..80)
}

/// The simplest possible book: a list, searched from end to end.
#[derive(Default)]
struct Naive {
    resting: Vec<(usize, Side, i64, i64)>,
    fills: Vec<(i64, i64, Side)>,
}

impl Naive {
    fn best(&self, side: Side, limit: Option<i64>) -> Option<usize> {
        let better = |a: i64, b: i64| if side == Side::Buy { a < b } else { a > b };
        let reaches = |price: i64| limit.is_none_or(|limit| price == limit || better(price, limit));
        let mut best: Option<usize> = None;
        for (at, (_, of, _, price)) in self.resting.iter().enumerate() {
            if *of != side && reaches(*price) && best.is_none_or(|best| better(*price, self.resting[best].3)) {
                best = Some(at);
            }
        }
        best
    }

    fn place(&mut self, who: usize, side: Side, mut qty: i64, limit: Option<i64>, rests: bool) {
        while qty > 0 {
            let Some(at) = self.best(side, limit) else { break };
            let (owner, _, left, price) = self.resting[at];
            if owner == who {
                return;
            }
            let traded = qty.min(left);
            self.fills.push((traded, price, side));
            qty -= traded;
            self.resting[at].2 -= traded;
            if self.resting[at].2 == 0 {
                self.resting.remove(at);
            }
        }
        if let (true, true, Some(limit)) = (qty > 0, rests, limit) {
            self.resting.push((who, side, qty, limit));
        }
    }
}

fn play(steps: &[Step]) -> (Venue, Naive) {
    let (mut venue, traders) = funded();
    let mut naive = Naive::default();
    for (who, buys, thousandths, price, kind) in steps {
        let side = if *buys { Side::Buy } else { Side::Sell };
        let (qty, price_text) = (format!("{}e-3", thousandths), price.to_string());
        let units = thousandths * 100_000;
        let trader = traders[*who];
        let (order, bound, rests) = match kind {
            0 => {
                venue.run(|t| cancel_all(t, trader)).unwrap();
                naive.resting.retain(|(owner, ..)| owner != who);
                continue;
            }
            1 => (market(side, &qty), None, false),
            2 => {
                let order = limit(side, &qty, &price_text);
                (PlaceOrder { time_in_force: TimeInForce::Ioc, ..order }, Some(*price), false)
            }
            _ => (limit(side, &qty, &price_text), Some(*price), true),
        };
        if venue.run(|t| place(t, trader, &order)).is_ok() {
            naive.place(*who, side, units, bound, rests);
        }
        assert_eq!(venue.state.ledger.check(), Ok(()));
        assert_eq!(venue.state.halted, None);
    }
    (venue, naive)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn fills_and_book_are_those_of_the_naive_book(steps in steps()) {
        let (venue, naive) = play(&steps);
        prop_assert_eq!(trades(&venue), naive.fills);
        for side in [Side::Buy, Side::Sell] {
            let resting = venue.state.orders.book(MARKET).against(side.opposite()).map(|order| (order.remaining().0, order.limit.unwrap().0)).collect::<Vec<_>>();
            let mut expected: Vec<_> = naive.resting.iter().filter(|(_, of, ..)| *of == side).map(|(_, _, qty, price)| (*qty, *price)).collect();
            expected.sort_by_key(|(_, price)| if side == Side::Buy { -price } else { *price });
            prop_assert_eq!(resting, expected);
        }
    }

    #[test]
    fn holds_are_those_of_the_open_orders_and_nothing_is_left_held_without_them(steps in steps()) {
        let (mut venue, _) = play(&steps);
        for number in 1..=3 {
            let trader = venue.trader(number);
            for (asset, side) in [(USD, Side::Buy), (BTC, Side::Sell)] {
                let open = venue.state.orders.open(trader.account).filter(|order| order.side == side);
                let held: i64 = open.map(|order| order.held.0).sum();
                prop_assert_eq!(venue.balance(trader, asset).1, held);
            }
            venue.run(|t| cancel_all(t, trader)).unwrap();
            prop_assert_eq!((venue.balance(trader, USD).1, venue.balance(trader, BTC).1), (0, 0));
        }
    }

    #[test]
    fn d5_66_replay_and_a_stored_copy_give_the_same_state(steps in steps()) {
        let (mut venue, _) = play(&steps);
        let probe = venue.trader(9);
        venue.fund(probe, BTC, 1_000_000_000);
        placed(&mut venue, probe, &named(limit(Side::Sell, "1", "200"), "mine"));
        venue.run(|t| cancel_all(t, probe)).unwrap();
        prop_assert_eq!(venue.replayed().digest(), venue.state.digest());
        let bytes = postcard::to_allocvec(&venue.state).unwrap();
        let mut copy: State = postcard::from_bytes(&bytes).unwrap();
        prop_assert_eq!(copy.digest(), venue.state.digest());
        for number in 1..=3 {
            let account = venue.trader(number).account;
            prop_assert!(copy.orders.open(account).eq(venue.state.orders.open(account)), "oldest first");
        }
        // The client id is free by now, and is forgotten with the next order.
        venue.now = venue.now.plus_us(60_000_000);
        let at = venue.events.len();
        placed(&mut venue, probe, &limit(Side::Sell, "3", "90"));
        venue.events[at..].iter().for_each(|(at, event)| copy.apply(*at, event));
        prop_assert_eq!(copy.digest(), venue.state.digest());
    }
}

#[test]
fn rule_30_a_repeat_is_answered_whatever_has_passed_of_the_times_that_it_names() {
    let mut venue = Venue::new();
    let alice = venue.trader(1);
    venue.fund(alice, USD, 1_000_000);
    let at = |seconds: u64| Some(venue.now.plus_us(seconds * 1_000_000));
    let (soon, later) = (at(5), at(20));
    let order = |id| named(limit(Side::Buy, "1", "100"), id);
    let with = |order, terms| PlaceOrder { terms: Some(Box::new(terms)), ..order };
    let timed = PlaceOrder { deadline: soon, ..order("deadline") };
    let started = with(order("start"), RequestedTerms { effective_time: soon, ..RequestedTerms::default() });
    let begun = with(order("begun"), RequestedTerms { effective_time: at(0), ..RequestedTerms::default() });
    let until = PlaceOrder { time_in_force: TimeInForce::Gtd, ..order("end") };
    let until = with(until, RequestedTerms { effective_time: soon, expire_time: later, ..RequestedTerms::default() });
    let all = [timed, started, begun, until];
    let first = all.each_ref().map(|request| venue.run(|t| place(t, alice, request)).unwrap());
    for seconds in [0, 5, 10, 20] {
        venue.now = venue.now.plus_us(seconds * 1_000_000);
        venue.run(triggers::tick);
        for (request, first) in all.iter().zip(&first) {
            let order = &first.order;
            let again = Placed { order: *order, repeated: true };
            let taken = venue.run(|t| place(t, alice, request));
            assert_eq!(taken.as_ref(), Ok(&again), "{request:?} at {:?}", venue.now);
            let batch = venue.run(|t| place_batch(t, alice, std::slice::from_ref(request)));
            assert_eq!(batch, Ok(Reply::Batch(vec![Ok(again)])), "{request:?} at {:?}", venue.now);
        }
    }
    // Another body is another body, and what is late is late.
    let [timed, started, _, until] = &all;
    let code = |venue: &mut Venue, request: &PlaceOrder| venue.run(|t| place(t, alice, request)).unwrap_err().code;
    let other = PlaceOrder { order_userref: Some(1), deadline: None, ..timed.clone() };
    assert_eq!(code(&mut venue, &other), Code::ClientOrderIdNotUnique);
    let other = PlaceOrder { cl_ord_id: started.cl_ord_id, terms: None, ..timed.clone() };
    assert_eq!(code(&mut venue, &other), Code::DeadlineElapsed);
    let other = PlaceOrder { deadline: None, ..other };
    assert_eq!(code(&mut venue, &other), Code::ClientOrderIdNotUnique, "the start is part of the body");
    let other = named(until.clone(), "other");
    assert_eq!(code(&mut venue, &other), Code::InvalidArguments);
}
