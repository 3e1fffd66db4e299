//! The lives of orders, event by event. `tests/system/order_types.rs` has every type as clients see it.

use countersign::domain::orders::{OrderType, Side, TimeInForce};
use countersign::domain::terms::{FeeCurrency, PriceReference, PriceType, SelfTrade};
use countersign::engine::command::{AmendOrder, OrderRef, PlaceOrder, RequestedTerms, RequestedTrigger};
use countersign::engine::ledger::Party;
use countersign::engine::reject::Code;
use countersign::engine::trading::{cancel, cancel_all};

use crate::venue::{BTC, USD, limit, market};

use super::trading_floor::*;

#[test]
fn a_stop_loss_waits_without_a_hold_and_sells_at_market_once_reached() {
    let mut floor = floor();
    let (alice, bob) = (floor.alice, floor.bob);
    floor.place(bob, &limit(Side::Buy, "1", "28000"));
    floor.told();
    floor.place(alice, &triggered(OrderType::StopLoss, Side::Sell, "0.5", "29000", None));
    assert_eq!(floor.venue.balance(alice, BTC).1, 0, "it holds nothing");
    assert_eq!(floor.told(), ["placed stop-loss"]);
    floor.print("29001");
    assert_eq!(floor.told(), [""; 0], "not yet");
    let sell = floor.place(bob, &limit(Side::Sell, "0.001", "29000"));
    floor.told();
    let carol = floor.carol;
    floor.place(carol, &limit(Side::Buy, "0.001", "29000"));
    let told = floor.told();
    assert_eq!(told[..2], ["placed limit", "traded 100000 at 29000"], "{told:?}");
    assert_eq!(told[2..], ["live stop-loss", "traded 50000000 at 28000"]);
    assert!(floor.venue.state.orders.get(sell).is_none());
}

#[test]
fn every_triggered_type_goes_live_on_its_own_side_of_the_price() {
    for (order_type, side, trigger, before, reaches) in [
        (OrderType::StopLossLimit, Side::Sell, "29000", "29500", "28999"),
        (OrderType::StopLossLimit, Side::Buy, "31000", "30500", "31000"),
        (OrderType::TakeProfitLimit, Side::Sell, "31000", "30500", "31500"),
        (OrderType::TakeProfitLimit, Side::Buy, "29000", "29500", "29000"),
    ] {
        let mut floor = floor();
        let alice = floor.alice;
        let rests_at = if side == Side::Sell { "35000" } else { "20000" };
        let id = floor.place(alice, &triggered(order_type, side, "0.1", trigger, Some(rests_at)));
        floor.print(before);
        assert!(floor.order(id).waits(), "{order_type:?} {side:?}");
        floor.print(reaches);
        let order = floor.order(id);
        assert!(!order.waits() && order.held > Default::default(), "{order_type:?} {side:?}: {order:?}");
        assert_eq!(floor.book(side), [(order.limit.unwrap().0, 10_000_000)]);
        floor.venue.run(|t| cancel(t, alice, &OrderRef::Id(id))).unwrap();
        assert_eq!((floor.venue.balance(alice, BTC).1, floor.venue.balance(alice, USD).1), (0, 0));
    }
}

#[test]
fn a_trigger_that_a_trade_reaches_fires_wherever_the_sweep_ends() {
    let mut floor = floor();
    let (alice, bob) = (floor.alice, floor.bob);
    floor.place(bob, &limit(Side::Buy, "1", "28000"));
    let fires = [("29000", 29_000), ("29001", 29_000), ("28999", 0)];
    let stops = fires.map(|(price, by)| {
        (floor.place(alice, &triggered(OrderType::StopLossLimit, Side::Sell, "0.1", price, Some("35000"))), by)
    });
    for price in ["29000", "29600"] {
        floor.place(bob, &limit(Side::Sell, "0.001", price));
    }
    floor.told();
    floor.place(floor.carol, &market(Side::Buy, "0.002"));
    let stop = "live stop-loss-limit rests";
    assert_eq!(floor.told(), ["placed market", "traded 100000 at 29000", "traded 100000 at 29600", stop, stop]);
    for (stop, by) in stops {
        let fired = floor.order(stop).trigger().unwrap().fired;
        assert_eq!(fired.map_or(0, |(_, last)| last.0), by, "the price that was the last then");
    }
}

#[test]
fn what_traded_before_an_order_starts_moves_and_reaches_nothing_of_it() {
    let mut floor = floor();
    let (alice, bob) = (floor.alice, floor.bob);
    for price in ["29000", "29600"] {
        floor.place(bob, &limit(Side::Sell, "0.001", price));
    }
    let starts = |order: PlaceOrder, floor: &Floor, seconds: u64| {
        let start = Some(floor.venue.now.plus_us(seconds * SECOND));
        let terms = order.terms.as_deref().cloned().unwrap_or_default();
        with(order, RequestedTerms { effective_time: start, ..terms })
    };
    let sweep = starts(market(Side::Buy, "0.002"), &floor, 1);
    floor.place(floor.carol, &sweep);
    let stop = starts(triggered(OrderType::StopLossLimit, Side::Sell, "0.1", "29000", Some("35000")), &floor, 2);
    let trailing = starts(triggered(OrderType::TrailingStop, Side::Buy, "0.1", "500", None), &floor, 2);
    let (stop, trailing) = (floor.place(alice, &stop), floor.place(alice, &trailing));
    floor.wait(2 * SECOND);
    assert!(floor.order(stop).waits(), "{:?}", floor.told());
    assert_eq!(floor.order(trailing).trigger().unwrap().price.0, 30_100, "seen from 29600");
}

#[test]
fn a_stop_beyond_the_price_already_fires_at_once_and_one_without_funds_ends_with_the_reason() {
    let mut floor = floor();
    let alice = floor.alice;
    floor.place(alice, &triggered(OrderType::StopLoss, Side::Sell, "0.5", "30000", None));
    assert_eq!(floor.told(), ["placed stop-loss", "live stop-loss", "ended NoLiquidity"]);
    floor.place(alice, &triggered(OrderType::StopLossLimit, Side::Sell, "11", "30001", Some("33000")));
    assert_eq!(floor.told(), ["placed stop-loss-limit", "live stop-loss-limit", "ended InsufficientFunds"]);
}

#[test]
fn an_order_that_cannot_go_live_at_its_start_ends_without_having_been_live() {
    let mut floor = floor();
    let start = floor.venue.now.plus_us(SECOND);
    let later = RequestedTerms { effective_time: Some(start), ..RequestedTerms::default() };
    floor.place(floor.alice, &with(limit(Side::Sell, "11", "31000"), later));
    assert_eq!(floor.told(), ["placed limit"]);
    floor.wait(SECOND);
    assert_eq!(floor.told(), ["ended InsufficientFunds"]);
}

#[test]
fn a_trailing_stop_follows_the_price_up_and_never_down() {
    let mut floor = floor();
    let (alice, bob) = (floor.alice, floor.bob);
    floor.place(bob, &limit(Side::Buy, "1", "20000"));
    let id = floor.place(alice, &triggered(OrderType::TrailingStop, Side::Sell, "0.5", "500", None));
    assert_eq!(floor.order(id).trigger().unwrap().price.0, 29_500);
    for (price, trigger) in [("30800", 30_300), ("30400", 30_300), ("31000", 30_500), ("30501", 30_500)] {
        floor.print(price);
        assert_eq!(floor.order(id).trigger().unwrap().price.0, trigger, "after {price}");
    }
    floor.print("30500");
    assert!(floor.venue.state.orders.get(id).is_none(), "sold");
    // One percent below, as a limit 50 under the trigger.
    let terms = RequestedTerms {
        trigger: Some(RequestedTrigger {
            reference: PriceReference::Index,
            price: decimal("1"),
            price_type: Some(PriceType::Pct),
        }),
        limit_price_type: Some(PriceType::Quote),
        ..RequestedTerms::default()
    };
    let order = PlaceOrder {
        order_type: OrderType::TrailingStopLimit,
        limit_price: Some(decimal("-50")),
        ..market(Side::Sell, "0.2")
    };
    floor.print("40000");
    let id = floor.place(alice, &with(order, terms));
    assert_eq!((floor.order(id).trigger().unwrap().price.0, floor.order(id).limit), (39_600, None));
    floor.print("39600");
    assert_eq!(floor.book(Side::Sell), [(39_550, 20_000_000)]);
}

#[test]
fn a_sweep_moves_a_trailing_stop_once_unless_it_turns() {
    let mut floor = floor();
    let (alice, bob, carol) = (floor.alice, floor.bob, floor.carol);
    for _ in 0..20 {
        floor.place(alice, &triggered(OrderType::TrailingStop, Side::Sell, "0.01", "500", None));
    }
    // It begins at 30000, and the first trade of the sweep is its lowest price.
    let buy = floor.place(alice, &triggered(OrderType::TrailingStop, Side::Buy, "0.001", "500", None));
    for at in 0..50 {
        floor.place(bob, &limit(Side::Sell, "0.001", &(29_980 + at).to_string()));
    }
    floor.told();
    floor.place(carol, &market(Side::Buy, "0.05"));
    let told = floor.told();
    let moved = told.iter().filter(|word| word.starts_with("moved")).map(String::as_str);
    assert_eq!(moved.collect::<Vec<_>>(), [&["moved 30480"][..], &["moved 29529"; 20]].concat());
    assert_eq!(floor.order(buy).trigger().unwrap().price.0, 30_480);
    // The first of two trades fires an order that drops the price again.
    floor.place(alice, &triggered(OrderType::TakeProfit, Side::Sell, "0.002", "30100", None));
    floor.place(bob, &limit(Side::Buy, "0.002", "29700"));
    for price in ["30100", "30150"] {
        floor.place(bob, &limit(Side::Sell, "0.001", price));
    }
    floor.told();
    floor.place(carol, &market(Side::Buy, "0.002"));
    let told = floor.told();
    let moved = told.iter().filter(|word| word.starts_with("moved")).map(String::as_str);
    let expected = [&["moved 29650"; 20][..], &["moved 30200"]].concat();
    assert_eq!(moved.collect::<Vec<_>>(), expected, "up with the second trade, and down with the third");
}

#[test]
fn no_account_takes_the_room_that_a_market_has_for_trailing_stops() {
    let mut floor = floor();
    let alice = floor.alice;
    let stop = triggered(OrderType::TrailingStop, Side::Sell, "0.1", "500", None);
    let own: Vec<_> = (0..100).map(|_| floor.place(alice, &stop)).collect();
    assert_eq!(floor.refused(alice, &stop), Code::OrdersLimit);
    let wider = AmendOrder { trigger_price: Some(decimal("600")), ..amendment(own[0]) };
    floor.amend(alice, &wider).expect("one of those that are there");
    floor.venue.run(|t| cancel(t, alice, &OrderRef::Id(own[0]))).unwrap();
    floor.place(alice, &stop);
    for number in 2..=10 {
        let trader = floor.venue.trader(number);
        for _ in 0..100 {
            floor.place(trader, &stop);
        }
    }
    assert_eq!(floor.refused(floor.venue.trader(11), &stop), Code::OrdersLimit, "a thousand in all");
}

#[test]
fn relative_triggers_are_seen_from_the_last_price() {
    let mut floor = floor();
    let alice = floor.alice;
    let relative = |price: &str, kind| {
        let trigger =
            RequestedTrigger { reference: PriceReference::Last, price: decimal(price), price_type: Some(kind) };
        let order = PlaceOrder { order_type: OrderType::StopLoss, ..market(Side::Sell, "0.1") };
        with(order, RequestedTerms { trigger: Some(trigger), ..RequestedTerms::default() })
    };
    let by_percent = floor.place(alice, &relative("-2.5", PriceType::Pct));
    let by_distance = floor.place(alice, &relative("-100", PriceType::Quote));
    assert_eq!(floor.order(by_percent).trigger().unwrap().price.0, 29_250);
    assert_eq!(floor.order(by_distance).trigger().unwrap().price.0, 29_900);
    assert_eq!(floor.refused(alice, &relative("-100", PriceType::Pct)), Code::InvalidArguments);
    let unpriced = triggered(OrderType::TrailingStop, Side::Sell, "0.1", "-5", None);
    assert_eq!(floor.refused(alice, &unpriced), Code::InvalidArguments);
}

#[test]
fn an_iceberg_shows_a_slice_at_a_time_and_queues_anew_with_each() {
    let mut floor = floor();
    let (alice, bob, carol) = (floor.alice, floor.bob, floor.carol);
    let iceberg = |display: &str| {
        let order = PlaceOrder { order_type: OrderType::Iceberg, ..limit(Side::Sell, "1", "31000") };
        with(order, RequestedTerms { display_qty: Some(decimal(display)), ..RequestedTerms::default() })
    };
    assert_eq!(floor.refused(alice, &iceberg("0.06666666")), Code::InvalidArguments, "less than a fifteenth");
    assert_eq!(floor.refused(alice, &iceberg("1.1")), Code::InvalidArguments);
    floor.place(alice, &iceberg("0.3"));
    floor.place(bob, &limit(Side::Sell, "0.5", "31000"));
    assert_eq!(floor.book(Side::Sell), [(31_000, 30_000_000), (31_000, 50_000_000)]);
    floor.told();
    floor.place(carol, &limit(Side::Buy, "0.4", "31000"));
    let expected = ["placed limit", "traded 30000000 at 31000", "refilled 30000000", "traded 10000000 at 31000"];
    assert_eq!(floor.told(), expected);
    assert_eq!(floor.book(Side::Sell), [(31_000, 40_000_000), (31_000, 30_000_000)], "behind Bob now");
    floor.place(carol, &market(Side::Buy, "1.1"));
    assert_eq!(
        floor.told()[1..],
        [
            "traded 40000000 at 31000",
            "traded 30000000 at 31000",
            "refilled 30000000",
            "traded 30000000 at 31000",
            "refilled 10000000",
            "traded 10000000 at 31000",
        ]
    );
    assert_eq!((floor.venue.balance(alice, BTC).1, floor.venue.balance(carol, USD).1), (0, 0));
}

#[test]
fn good_till_date_ends_on_time_even_before_the_tick_and_a_start_is_waited_for() {
    let mut floor = floor();
    let (alice, bob) = (floor.alice, floor.bob);
    let end = floor.venue.now.plus_us(10 * SECOND);
    let until = |at| RequestedTerms { expire_time: Some(at), ..RequestedTerms::default() };
    let gtd = PlaceOrder { time_in_force: TimeInForce::Gtd, ..limit(Side::Sell, "0.1", "31000") };
    assert_eq!(floor.refused(alice, &gtd), Code::InvalidArguments, "without a date");
    assert_eq!(floor.refused(alice, &with(gtd.clone(), until(floor.venue.now))), Code::InvalidArguments);
    let resting = floor.place(alice, &with(gtd.clone(), until(end)));
    floor.told();
    floor.venue.now = end;
    let crossing = AmendOrder { limit_price: Some(decimal("100")), ..amendment(resting) };
    assert_eq!(floor.amend(alice, &crossing).unwrap_err().code, Code::UnknownOrder, "its time is over");
    floor.place(bob, &PlaceOrder { post_only: true, ..limit(Side::Buy, "0.1", "31000") });
    let told = floor.told();
    assert_eq!(told, ["placed limit", "ended Expired", "rested"], "whoever comes later does not meet it");
    floor.wait(0);
    assert_eq!(floor.told(), [""; 0]);

    let start = floor.venue.now.plus_us(5 * SECOND);
    let later = RequestedTerms { effective_time: Some(start), ..RequestedTerms::default() };
    floor.place(alice, &with(limit(Side::Sell, "0.1", "30900"), later));
    assert_eq!((floor.told(), floor.venue.balance(alice, BTC).1), (vec!["placed limit".to_owned()], 0));
    floor.wait(5 * SECOND - 1);
    assert_eq!(floor.told(), [""; 0]);
    floor.wait(1);
    assert_eq!(floor.told(), ["live limit", "traded 10000000 at 31000"]);
}

#[test]
fn rule_39_no_order_rests_beyond_one_whose_time_is_over() {
    let mut floor = floor();
    let (alice, bob, carol) = (floor.alice, floor.bob, floor.carol);
    let end = floor.venue.now.plus_us(10 * SECOND);
    for price in ["31000", "32000", "33000"] {
        let gtd = PlaceOrder { time_in_force: TimeInForce::Gtd, ..limit(Side::Sell, "0.1", price) };
        floor.place(alice, &with(gtd, RequestedTerms { expire_time: Some(end), ..RequestedTerms::default() }));
    }
    let amended = floor.place(bob, &limit(Side::Buy, "0.1", "29000"));
    floor.venue.now = end;
    floor.told();
    floor.place(carol, &limit(Side::Buy, "0.2", "31500"));
    assert_eq!(floor.told(), ["placed limit", "ended Expired", "rested"]);
    floor.amend(bob, &AmendOrder { limit_price: Some(decimal("32000")), ..amendment(amended) }).unwrap();
    assert_eq!(floor.told(), ["amended Off", "ended Expired", "rested"]);
    assert_eq!(floor.book(Side::Buy), [(32_000, 10_000_000), (31_500, 20_000_000)]);
    assert_eq!(floor.book(Side::Sell), [(33_000, 10_000_000)], "which nobody reaches before the tick");
}

#[test]
fn rule_39_an_order_past_its_date_has_expired_whatever_ends_it() {
    let mut floor = floor();
    let alice = floor.alice;
    let end = floor.venue.now.plus_us(10 * SECOND);
    let gtd = PlaceOrder { time_in_force: TimeInForce::Gtd, ..limit(Side::Sell, "0.1", "31000") };
    let gtd = with(gtd, RequestedTerms { expire_time: Some(end), ..RequestedTerms::default() });
    let [first, _, _] = [(); 3].map(|()| floor.place(alice, &gtd));
    floor.told();
    floor.venue.now = end.minus_us(1);
    floor.venue.run(|t| cancel(t, alice, &OrderRef::Id(first))).unwrap();
    floor.venue.now = end;
    floor.venue.run(|t| cancel_all(t, alice)).unwrap();
    assert_eq!(floor.told(), ["ended UserRequested", "ended Expired", "ended Expired"]);
}

#[test]
fn rule_39_a_trigger_that_is_reached_after_an_orders_date_and_before_the_tick_sets_nothing_off() {
    let mut floor = floor();
    let (alice, bob) = (floor.alice, floor.bob);
    let end = floor.venue.now.plus_us(10 * SECOND);
    floor.place(bob, &limit(Side::Buy, "1", "28000"));
    let until = |order: PlaceOrder| {
        let terms = RequestedTerms { expire_time: Some(end), ..*order.terms.clone().unwrap() };
        with(PlaceOrder { time_in_force: TimeInForce::Gtd, ..order }, terms)
    };
    floor.place(alice, &until(triggered(OrderType::StopLoss, Side::Sell, "0.5", "29000", None)));
    floor.place(alice, &until(triggered(OrderType::StopLossLimit, Side::Sell, "0.5", "28900", Some("31000"))));
    floor.venue.now = end;
    floor.told();
    let seen = floor.seen;
    floor.print("28800");
    floor.seen = seen;
    assert_eq!(floor.told()[2..], ["traded 100000 at 28800", "ended Expired", "ended Expired"]);
    floor.wait(0);
    assert_eq!(floor.told(), [""; 0], "each ended once");
}

#[test]
fn a_quote_amount_buys_what_it_pays_for() {
    let mut floor = floor();
    let (alice, bob) = (floor.alice, floor.bob);
    floor.place(bob, &limit(Side::Sell, "0.1", "31000"));
    floor.place(bob, &limit(Side::Sell, "1", "32000"));
    let cash = |amount: &str| {
        let order = PlaceOrder { order_qty: None, ..market(Side::Buy, "1") };
        with(order, RequestedTerms { cash_order_qty: Some(decimal(amount)), ..RequestedTerms::default() })
    };
    floor.told();
    // 3,100 buys 0.1, and 1,600 the twentieth of one at 32,000.
    floor.place(alice, &cash("4700"));
    assert_eq!(floor.told(), ["placed market", "traded 10000000 at 31000", "traded 5000000 at 32000"]);
    // 4,700.00 and 0.2 % of each part.
    assert_eq!(floor.venue.balance(alice, USD), (10_000_000 - 470_940, 0, 10_000_000 - 470_940));
    assert_eq!(floor.refused(alice, &cash("0.1")), Code::OrderMinimum);
    let both = PlaceOrder { order_qty: Some(decimal("1")), ..cash("10") };
    assert_eq!(floor.refused(alice, &both), Code::InvalidArguments);
}

#[test]
fn fees_in_base_come_out_of_what_is_bought_or_are_held_beside_what_is_sold() {
    let mut floor = floor();
    let (alice, bob) = (floor.alice, floor.bob);
    let in_base =
        |order| with(order, RequestedTerms { fee_preference: FeeCurrency::Base, ..RequestedTerms::default() });
    floor.place(bob, &in_base(limit(Side::Sell, "1", "30000")));
    assert_eq!(floor.venue.balance(bob, BTC).1, 100_200_000, "one and the taker's fee");
    floor.place(alice, &in_base(limit(Side::Buy, "0.5", "30000")));
    let fees = floor.venue.state.ledger.counter(Party::Fees, BTC);
    // 0.2 % and 0.1 % of a half.
    assert_eq!(fees.0, 100_000 + 50_000);
    assert_eq!(floor.venue.balance(alice, BTC).2, 1_000_000_000 + 50_000_000 - 100_000);
    assert_eq!(floor.venue.balance(alice, USD), (8_500_000, 0, 8_500_000));
    assert_eq!(floor.venue.balance(bob, BTC).1, 50_100_000);
    floor.told();
}

#[test]
fn d5_65_each_way_of_self_trade_prevention_ends_what_it_says() {
    for (stp_type, expected, left) in [
        (SelfTrade::CancelNewest, vec!["placed limit", "ended SelfTrade"], 2),
        (SelfTrade::CancelOldest, vec!["placed limit", "ended SelfTrade", "traded 10000000 at 31000", "rested"], 1),
        (SelfTrade::CancelBoth, vec!["placed limit", "ended SelfTrade", "ended SelfTrade"], 1),
    ] {
        let mut floor = floor();
        let (alice, bob) = (floor.alice, floor.bob);
        floor.place(alice, &limit(Side::Sell, "0.1", "31000"));
        floor.place(bob, &limit(Side::Sell, "0.1", "31000"));
        floor.told();
        floor.place(
            alice,
            &with(limit(Side::Buy, "0.2", "31000"), RequestedTerms { stp_type, ..RequestedTerms::default() }),
        );
        assert_eq!(floor.told(), expected);
        let resting = floor.book(Side::Sell).len() + floor.book(Side::Buy).len();
        assert_eq!(resting, left, "{stp_type:?}");
    }
}
