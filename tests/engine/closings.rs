//! Closing orders (`conditional`): what each fill places, and how that stands to the trades around it.

use countersign::domain::orders::{OrderType, Side};
use countersign::domain::terms::{PriceReference, PriceType};
use countersign::engine::command::{PlaceOrder, RequestedConditional, RequestedTerms, RequestedTrigger};
use countersign::engine::reject::Code;
use countersign::engine::trading::place;

use crate::venue::{limit, market};

use super::trading_floor::*;

/// A limit order each fill of which places a stop at market, with an absolute trigger.
fn closed_by_stop(side: Side, qty: &str, price: &str, trigger: &str) -> PlaceOrder {
    let trigger = Some((decimal(trigger), PriceType::Static));
    let conditional = Some(RequestedConditional { order_type: OrderType::StopLoss, limit: None, trigger });
    with(limit(side, qty, price), RequestedTerms { conditional, ..RequestedTerms::default() })
}

#[test]
fn every_fill_places_its_closing_order() {
    let mut floor = floor();
    let (alice, bob, carol) = (floor.alice, floor.bob, floor.carol);
    let closing = RequestedConditional {
        order_type: OrderType::StopLossLimit,
        limit: Some((decimal("-10"), PriceType::Quote)),
        trigger: Some((decimal("-5"), PriceType::Pct)),
    };
    let terms = RequestedTerms { conditional: Some(closing), ..RequestedTerms::default() };
    floor.place(alice, &with(limit(Side::Buy, "0.3", "29000"), terms));
    floor.told();
    floor.place(bob, &limit(Side::Sell, "0.1", "29000"));
    floor.place(carol, &limit(Side::Sell, "0.2", "29000"));
    let told = floor.told();
    let once = ["placed limit", "traded 10000000 at 29000", "placed stop-loss-limit"];
    assert_eq!(told[..3], once);
    assert_eq!(told[4..], ["traded 20000000 at 29000", "placed stop-loss-limit"]);
    let waiting = floor.venue.state.orders.open(alice.account);
    let seen = waiting.map(|order| (order.side, order.qty.0, order.trigger().unwrap().price.0, order.limit.unwrap().0));
    // Five percent below the fill, and ten under that.
    let expected = [(Side::Sell, 10_000_000, 27_550, 27_540), (Side::Sell, 20_000_000, 27_550, 27_540)];
    assert_eq!(seen.collect::<Vec<_>>(), expected);
    floor.place(bob, &limit(Side::Buy, "1", "27000"));
    floor.print("27550");
    assert_eq!(floor.book(Side::Sell), [(27_540, 10_000_000), (27_540, 20_000_000)], "the older first");
}

#[test]
fn a_closing_trailing_stop_is_measured_from_its_fill_wherever_the_sweep_ends() {
    let mut floor = floor();
    let (alice, bob) = (floor.alice, floor.bob);
    floor.place(bob, &limit(Side::Buy, "1", "28000"));
    for price in ["29000", "29600"] {
        floor.place(bob, &limit(Side::Sell, "0.1", price));
    }
    let trigger = Some((decimal("500"), PriceType::Quote));
    let closing = RequestedConditional { order_type: OrderType::TrailingStop, limit: None, trigger };
    floor.told();
    let terms = RequestedTerms { conditional: Some(closing), ..RequestedTerms::default() };
    floor.place(alice, &with(market(Side::Buy, "0.2"), terms));
    // The first begins at 28500, and the second trade moves it.
    let swept = ["placed market", "traded 10000000 at 29000", "traded 10000000 at 29600"];
    let told = floor.told();
    assert_eq!(told[..3], swept);
    assert_eq!(told[3..], ["placed trailing-stop", "placed trailing-stop", "moved 29100"], "and none has fired");
    floor.print("29101");
    assert_eq!(floor.venue.state.orders.open(alice.account).count(), 2);
    floor.print("29100");
    assert_eq!(floor.venue.state.orders.open(alice.account).count(), 0, "both sold");
}

#[test]
fn a_distance_inside_an_object_is_refused_by_its_path() {
    let mut floor = floor();
    let alice = floor.alice;
    let stop = PlaceOrder { order_type: OrderType::StopLoss, ..market(Side::Sell, "0.1") };
    // Five decimals of a percentage.
    let (price, kind) = (decimal("0.00001"), PriceType::Pct);
    let trigger = RequestedTrigger { reference: PriceReference::Last, price, price_type: Some(kind) };
    let triggered = with(stop, RequestedTerms { trigger: Some(trigger), ..RequestedTerms::default() });
    let closing = |order_type, limited, trigger| {
        let conditional = Some(RequestedConditional { order_type, limit: limited, trigger });
        with(limit(Side::Buy, "0.1", "29000"), RequestedTerms { conditional, ..RequestedTerms::default() })
    };
    for (order, field) in [
        (triggered, "triggers.price"),
        (closing(OrderType::Limit, Some((price, kind)), None), "conditional.limit_price"),
        (closing(OrderType::StopLoss, None, Some((price, kind))), "conditional.trigger_price"),
    ] {
        let refusal = floor.venue.run(|t| place(t, alice, &order)).unwrap_err();
        assert_eq!((refusal.code, refusal.field), (Code::InvalidArguments, Some(field)), "{}", refusal.text());
    }
}

#[test]
fn a_closing_order_of_less_than_the_least_quantity_ends_at_once() {
    let mut floor = floor();
    floor.place(floor.bob, &limit(Side::Sell, "0.000015", "29000"));
    floor.place(floor.carol, &limit(Side::Buy, "0.00001", "29000"));
    floor.told();
    floor.place(floor.alice, &closed_by_stop(Side::Buy, "0.1", "29000", "28000"));
    assert_eq!(floor.told()[2..], ["rested", "placed stop-loss", "ended OutOfBounds"]);
}

/// The price goes 30100, 30200, 31000, and a closing order comes in between.
#[test]
fn a_closing_order_is_judged_by_the_price_at_which_it_was_placed_and_others_by_theirs() {
    let mut floor = floor();
    let (alice, bob, carol) = (floor.alice, floor.bob, floor.carol);
    floor.place(bob, &limit(Side::Buy, "1", "20000"));
    let trailing = triggered(OrderType::TrailingStop, Side::Sell, "0.1", "500", None);
    let trailing = floor.place(alice, &trailing);
    floor.place(alice, &triggered(OrderType::StopLoss, Side::Buy, "0.002", "30100", None));
    for price in ["30200", "31000"] {
        floor.place(bob, &limit(Side::Sell, "0.001", price));
    }
    floor.place(carol, &closed_by_stop(Side::Sell, "0.001", "30100", "40000"));
    floor.told();
    floor.place(bob, &limit(Side::Buy, "0.001", "30100"));
    let trades: Vec<String> = floor.told().into_iter().filter(|word| word.starts_with("traded")).collect();
    assert_eq!(trades, ["traded 100000 at 30100", "traded 100000 at 30200", "traded 100000 at 31000"]);
    assert_eq!(floor.order(trailing).trigger().unwrap().price.0, 30_500);
}
