//! Orders changed after they were placed, markets closed to some orders, and invalid changes.

use countersign::domain::ids::OrderId;
use countersign::domain::markets::MarketStatus;
use countersign::domain::money::Price;
use countersign::domain::orders::{OrderType, Side, TimeInForce};
use countersign::domain::terms::{PriceReference, PriceSpec, PriceType};
use countersign::engine::amendments::edit;
use countersign::engine::command::{AmendOrder, EditOrder, OrderRef, PlaceOrder, RequestedTerms, RequestedTrigger};
use countersign::engine::event::QueuePosition;
use countersign::engine::reject::Code;
use countersign::engine::reply::Reply;
use countersign::engine::trading::cancel;

use crate::venue::{USD, limit, market};

use super::trading_floor::*;

#[test]
fn an_amendment_keeps_or_loses_its_place_as_the_protocol_says() {
    let mut floor = floor();
    let (alice, bob) = (floor.alice, floor.bob);
    let first = floor.place(alice, &limit(Side::Buy, "0.3", "29000"));
    floor.place(bob, &limit(Side::Buy, "0.2", "29000"));
    floor.told();
    let less = AmendOrder { order_qty: Some(decimal("0.25")), ..amendment(first) };
    assert!(matches!(floor.amend(alice, &less), Ok(Reply::Amended { order, .. }) if order == first));
    assert_eq!(
        (floor.told(), floor.book(Side::Buy)),
        (vec!["amended Kept".to_owned()], vec![(29_000, 25_000_000), (29_000, 20_000_000)])
    );
    assert_eq!(floor.venue.balance(alice, USD).1, 726_450, "7,250.00 and 14.50 of fee");
    let more = AmendOrder { order_qty: Some(decimal("0.4")), ..amendment(first) };
    floor.amend(alice, &more).unwrap();
    assert_eq!(
        (floor.told(), floor.book(Side::Buy)),
        (vec!["amended Back".to_owned()], vec![(29_000, 20_000_000), (29_000, 40_000_000)])
    );
    let higher = AmendOrder { limit_price: Some(decimal("29001")), ..amendment(first) };
    floor.amend(alice, &higher).unwrap();
    assert_eq!(
        (floor.told(), floor.book(Side::Buy)),
        (vec!["amended Back".to_owned()], vec![(29_001, 40_000_000), (29_000, 20_000_000)])
    );
    assert_eq!(floor.amend(alice, &higher).unwrap_err().code, Code::InvalidArguments, "nothing to amend");
    let dear = AmendOrder { order_qty: Some(decimal("5")), ..amendment(first) };
    assert_eq!(floor.amend(alice, &dear).unwrap_err().code, Code::InsufficientFunds);
    assert_eq!(floor.amend(bob, &less).unwrap_err().code, Code::UnknownOrder);

    floor.place(bob, &limit(Side::Sell, "0.1", "29500"));
    floor.told();
    let crossing = AmendOrder { limit_price: Some(decimal("29500")), ..amendment(first) };
    let careful = AmendOrder { post_only: true, ..crossing.clone() };
    assert_eq!(floor.amend(alice, &careful).unwrap_err().code, Code::PostOnly);
    floor.amend(alice, &crossing).unwrap();
    assert_eq!(
        floor.told(),
        [format!("amended {:?}", QueuePosition::Off), "traded 10000000 at 29500".into(), "rested".into()]
    );
    assert_eq!(floor.book(Side::Buy)[0], (29_500, 30_000_000));
    let below =
        AmendOrder { order_qty: Some(decimal("0.05")), limit_price: Some(decimal("29000")), ..amendment(first) };
    floor.amend(alice, &below).unwrap();
    assert_eq!(floor.told(), ["amended Kept", "ended AmendedToFilled"]);
    assert_eq!(floor.venue.balance(alice, USD).1, 0);
}

#[test]
fn a_trigger_and_a_slice_can_be_amended() {
    let mut floor = floor();
    let alice = floor.alice;
    let stop = floor.place(alice, &triggered(OrderType::StopLossLimit, Side::Sell, "0.5", "29000", Some("28900")));
    floor.told();
    let raised = AmendOrder { trigger_price: Some(decimal("29500")), ..amendment(stop) };
    floor.amend(alice, &raised).unwrap();
    assert_eq!(floor.told(), ["amended Kept"]);
    floor.print("29500");
    assert_eq!(floor.book(Side::Sell), [(28_900, 50_000_000)]);
    assert_eq!(floor.amend(alice, &raised).unwrap_err().field, Some("trigger_price"), "it has fired");

    let order = PlaceOrder { order_type: OrderType::Iceberg, ..limit(Side::Buy, "1", "20000") };
    let terms = RequestedTerms { display_qty: Some(decimal("0.2")), ..RequestedTerms::default() };
    let iceberg = floor.place(alice, &with(order, terms));
    let slice = |size: &str| AmendOrder { display_qty: Some(decimal(size)), ..amendment(iceberg) };
    floor.amend(alice, &slice("0.5")).unwrap();
    assert_eq!(floor.book(Side::Buy), [(20_000, 20_000_000)], "more is shown from the next slice on");
    floor.amend(alice, &slice("0.1")).unwrap();
    assert_eq!(floor.book(Side::Buy), [(20_000, 10_000_000)], "less at once");

    // Each slice is a fill of its own: increasing the quantity must not create thousands of them.
    let grown = |size: Option<&str>| AmendOrder {
        order_qty: Some(decimal("2")),
        display_qty: size.map(decimal),
        ..amendment(iceberg)
    };
    assert_eq!(floor.amend(alice, &grown(None)).unwrap_err().field, Some("display_qty"));
    let edited = EditOrder { order_qty: Some(decimal("2")), ..edit_of(iceberg) };
    assert_eq!(floor.venue.run(|t| edit(t, alice, &edited)).unwrap_err().field, Some("display_qty"));
    floor.amend(alice, &grown(Some("0.2"))).unwrap();

    // An overflow is blamed on the field that was given.
    let dear = Some(decimal("900000000000000000"));
    let amended = AmendOrder { limit_price: dear, ..amendment(iceberg) };
    assert_eq!(floor.amend(alice, &amended).unwrap_err().field, Some("limit_price"));
    let edited = EditOrder { limit_price: dear, ..edit_of(iceberg) };
    assert_eq!(floor.venue.run(|t| edit(t, alice, &edited)).unwrap_err().field, Some("limit_price"));
}

#[test]
fn an_amended_trailing_stop_is_measured_from_the_best_price_since_it_began() {
    let mut floor = floor();
    let (alice, bob) = (floor.alice, floor.bob);
    floor.place(bob, &limit(Side::Buy, "1", "20000"));
    let stop = floor.place(alice, &triggered(OrderType::TrailingStop, Side::Sell, "0.5", "500", None));
    floor.print("30800");
    floor.print("30400");
    let to = |distance: &str| AmendOrder { trigger_price: Some(decimal(distance)), ..amendment(stop) };
    for (distance, trigger) in [("450", 30_350), ("600", 30_200), ("401", 30_399)] {
        floor.amend(alice, &to(distance)).unwrap();
        assert_eq!(floor.order(stop).trigger().unwrap().price.0, trigger, "{distance} below 30800");
    }
    floor.print("30801");
    assert_eq!(floor.order(stop).trigger().unwrap().price.0, 30_400, "it trails on");
    floor.print("30700");
    floor.amend(alice, &to("101")).unwrap();
    assert_eq!(floor.told(), ["amended Kept", "live trailing-stop", "traded 50000000 at 20000"], "30700 is there");
}

#[test]
fn the_distances_of_an_amended_trailing_stop_stay_of_their_type() {
    let mut floor = floor();
    let alice = floor.alice;
    let by_percent = Some(PriceType::Pct);
    let trigger =
        Some(RequestedTrigger { reference: PriceReference::Last, price: decimal("2"), price_type: by_percent });
    let order = PlaceOrder {
        order_type: OrderType::TrailingStopLimit,
        limit_price: Some(decimal("-1")),
        ..market(Side::Sell, "0.2")
    };
    let terms = RequestedTerms { trigger, limit_price_type: by_percent, ..RequestedTerms::default() };
    let stop = floor.place(alice, &with(order, terms));
    let to = |trigger: &str, limit: &str| AmendOrder {
        trigger_price: Some(decimal(trigger)),
        limit_price: Some(decimal(limit)),
        ..amendment(stop)
    };
    floor.amend(alice, &to("1.5", "-0.5")).unwrap();
    let terms = floor.order(stop).terms.clone().unwrap();
    let trigger = terms.trigger.unwrap();
    assert_eq!((trigger.level, trigger.price.0), (PriceSpec::Pct(15_000), 29_550));
    assert_eq!(terms.limit, Some(PriceSpec::Pct(-5_000)));
    let in_quote = Some(PriceType::Quote);
    let retyped = AmendOrder { trigger_price_type: in_quote, limit_price_type: in_quote, ..to("300", "-50") };
    floor.amend(alice, &retyped).unwrap();
    let terms = floor.order(stop).terms.clone().unwrap();
    assert_eq!((terms.trigger.unwrap().price.0, terms.limit), (29_700, Some(PriceSpec::Quote(-50))));

    // Of another stop, the trigger is a price again.
    let terms = RequestedTerms {
        trigger: Some(RequestedTrigger {
            reference: PriceReference::Last,
            price: decimal("-2"),
            price_type: by_percent,
        }),
        ..RequestedTerms::default()
    };
    let order = PlaceOrder { order_type: OrderType::StopLoss, ..market(Side::Sell, "0.2") };
    let stop = floor.place(alice, &with(order, terms));
    floor.amend(alice, &AmendOrder { trigger_price: Some(decimal("29500")), ..amendment(stop) }).unwrap();
    assert_eq!(floor.order(stop).trigger().unwrap().level, PriceSpec::Static(Price(29_500)));
}

#[test]
fn an_amendment_to_no_more_than_is_filled_ends_the_order_whatever_else_it_asks() {
    let mut floor = floor();
    let (alice, bob) = (floor.alice, floor.bob);
    let order = PlaceOrder { order_type: OrderType::Iceberg, ..limit(Side::Buy, "1", "29000") };
    let terms = RequestedTerms { display_qty: Some(decimal("0.2")), ..RequestedTerms::default() };
    let iceberg = floor.place(alice, &with(order, terms));
    floor.place(bob, &limit(Side::Sell, "0.1", "29000"));
    floor.told();
    let ending = AmendOrder {
        order_qty: Some(decimal("0.1")),
        display_qty: Some(decimal("0.1")),
        limit_price: Some(decimal("28000")),
        ..amendment(iceberg)
    };
    let unsound = AmendOrder { limit_price: Some(decimal("28000.05")), ..ending.clone() };
    assert_eq!(floor.amend(alice, &unsound).unwrap_err().code, Code::TickSize);
    floor.amend(alice, &ending).unwrap();
    assert_eq!(floor.told(), ["amended Kept", "ended AmendedToFilled"]);
    assert_eq!(floor.venue.balance(alice, USD).1, 0);
}

#[test]
fn an_order_that_filled_less_than_a_new_one_may_have_is_amended_down_to_that() {
    let mut floor = floor();
    let (alice, bob, carol) = (floor.alice, floor.bob, floor.carol);
    for qty in ["0.000005", "0.000001"] {
        floor.place(bob, &limit(Side::Sell, "0.000015", "29000"));
        floor.place(carol, &limit(Side::Buy, "0.00001", "29000"));
        let order = floor.place(alice, &limit(Side::Buy, "0.1", "29000"));
        floor.told();
        let to = |qty: &str| AmendOrder { order_qty: Some(decimal(qty)), ..amendment(order) };
        assert_eq!(floor.amend(alice, &to("0.000006")).unwrap_err().code, Code::OrderMinimum);
        floor.amend(alice, &to(qty)).unwrap();
        assert_eq!(floor.told(), ["amended Kept", "ended AmendedToFilled"]);
    }
}

#[test]
fn a_trigger_that_cannot_be_measured_is_refused_by_the_name_that_an_amendment_has_for_it() {
    let mut floor = floor();
    let alice = floor.alice;
    let stop = floor.place(alice, &triggered(OrderType::StopLoss, Side::Sell, "0.5", "29000", None));
    let below = AmendOrder {
        trigger_price: Some(decimal("-100")),
        trigger_price_type: Some(PriceType::Pct),
        ..amendment(stop)
    };
    let refusal = floor.amend(alice, &below).unwrap_err();
    assert_eq!((refusal.code, refusal.field), (Code::InvalidArguments, Some("trigger_price")), "{}", refusal.text());
}

/// An edit that changes nothing yet.
pub fn edit_of(order: OrderId) -> EditOrder {
    EditOrder {
        order,
        symbol: "BTC/USD".parse().unwrap(),
        order_qty: None,
        limit_price: None,
        display_qty: None,
        order_userref: None,
        fee_preference: None,
        post_only: None,
        validate: false,
        deadline: None,
    }
}

#[test]
fn an_edit_replaces_an_order_whole_or_not_at_all() {
    let mut floor = floor();
    let (alice, bob) = (floor.alice, floor.bob);
    let first = floor.place(alice, &limit(Side::Buy, "3", "29000"));
    floor.place(bob, &limit(Side::Sell, "1", "29000"));
    floor.told();
    let edit_of = |order, qty: Option<&str>, price: Option<&str>| EditOrder {
        order_qty: qty.map(decimal),
        limit_price: price.map(decimal),
        ..edit_of(order)
    };
    let digest = floor.venue.state.digest();
    for (request, code) in [
        (edit_of(first, Some("1"), None), Code::InvalidArguments),
        (edit_of(first, Some("9"), None), Code::InsufficientFunds),
        (edit_of(OrderId(7), None, None), Code::UnknownOrder),
    ] {
        assert_eq!(floor.venue.run(|t| edit(t, alice, &request)).unwrap_err().code, code);
        assert_eq!(floor.venue.state.digest(), digest);
    }
    // It could not hold both at once.
    let reply = floor.venue.run(|t| edit(t, alice, &edit_of(first, Some("3.2"), Some("28000"))));
    assert!(matches!(reply, Ok(Reply::Edited { order: Some(id), original }) if original == first && id != first));
    assert_eq!(floor.told(), ["ended Edited", "placed limit rests"]);
    assert_eq!(floor.book(Side::Buy), [(28_000, 220_000_000)], "what was left of it");
}

#[test]
fn an_order_that_an_edit_places_was_not_amended() {
    let mut floor = floor();
    let alice = floor.alice;
    let order = floor.place(alice, &limit(Side::Buy, "1", "29000"));
    floor.amend(alice, &AmendOrder { limit_price: Some(decimal("28000")), ..amendment(order) }).unwrap();
    let larger = EditOrder { order_qty: Some(decimal("2")), ..edit_of(order) };
    let Ok(Reply::Edited { order: Some(id), .. }) = floor.venue.run(|t| edit(t, alice, &larger)) else {
        panic!("an order");
    };
    assert!(!floor.order(id).terms.as_ref().is_some_and(|terms| terms.amended));
}

/// Fees are rounded up, so that small fills leave less than the taker's fee on what remains (rule 34).
#[test]
fn rule_34_who_asks_for_less_needs_no_more_than_the_order_holds() {
    let mut floor = floor();
    let (bob, dave) = (floor.bob, floor.venue.trader(4));
    floor.venue.fund(dave, USD, 101);
    let order = floor.place(dave, &limit(Side::Buy, "0.001", "1000"));
    floor.place(bob, &limit(Side::Sell, "0.00001", "1000"));
    assert_eq!(floor.venue.balance(dave, USD), (0, 99, 99));
    let less = |qty: &str| AmendOrder { order_qty: Some(decimal(qty)), ..amendment(order) };
    floor.amend(dave, &less("0.00099999")).unwrap();
    assert_eq!(floor.venue.balance(dave, USD), (0, 99, 99));
    assert_eq!(floor.amend(dave, &less("0.001")).unwrap_err().code, Code::InsufficientFunds);
    floor.amend(dave, &less("0.0005")).unwrap();
    assert_eq!(floor.venue.balance(dave, USD), (49, 50, 99), "49 and a fee of 1");
    floor.place(bob, &limit(Side::Sell, "0.00049", "1000"));
    assert_eq!(floor.venue.balance(dave, USD), (49, 0, 49));
}

#[test]
fn a_market_takes_what_its_status_admits_and_cancels_always() {
    let mut floor = floor();
    let alice = floor.alice;
    let resting = limit(Side::Buy, "0.1", "29000");
    let post_only = PlaceOrder { post_only: true, ..resting.clone() };
    let at_market = market(Side::Buy, "0.1");
    for (status, plain, careful, taking) in [
        (MarketStatus::CancelOnly, Some(Code::MarketCancelOnly), Some(Code::MarketCancelOnly), Code::MarketCancelOnly),
        (MarketStatus::PostOnly, Some(Code::MarketPostOnly), None, Code::MarketPostOnly),
        (MarketStatus::LimitOnly, None, None, Code::MarketLimitOnly),
        (MarketStatus::ReduceOnly, Some(Code::ReduceOnly), Some(Code::ReduceOnly), Code::ReduceOnly),
        (
            MarketStatus::Maintenance,
            Some(Code::MarketMaintenance),
            Some(Code::MarketMaintenance),
            Code::MarketMaintenance,
        ),
    ] {
        floor.set_status(MarketStatus::Online);
        let id = floor.place(alice, &resting);
        floor.set_status(status);
        for (order, refusal) in [(&resting, plain), (&post_only, careful), (&at_market, Some(taking))] {
            match refusal {
                Some(code) => assert_eq!(floor.refused(alice, order), code, "{status:?}"),
                None => drop(floor.place(alice, order)),
            }
        }
        let waiting = triggered(OrderType::StopLoss, Side::Sell, "0.1", "20000", None);
        match careful {
            Some(code) => assert_eq!(floor.refused(alice, &waiting), code, "{status:?}"),
            None => {
                let waiting = floor.place(alice, &waiting);
                let moved = AmendOrder { trigger_price: Some(decimal("20001")), ..amendment(waiting) };
                floor.amend(alice, &moved).unwrap();
            }
        }
        let less = AmendOrder { order_qty: Some(decimal("0.05")), ..amendment(id) };
        assert_eq!(floor.amend(alice, &less).err().map(|refusal| refusal.code), plain, "{status:?}");
        let canceled = floor.venue.run(|t| cancel(t, alice, &OrderRef::Id(id)));
        assert_eq!(canceled, Ok(Reply::Canceled(vec![id])), "{status:?}");
    }
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let mut floor = floor();
    let alice = floor.alice;
    let plain = limit(Side::Buy, "0.1", "29000");
    let terms = |terms: RequestedTerms| with(limit(Side::Buy, "0.1", "29000"), terms);
    let late = floor.venue.now;
    let month = |more| Some(late.plus_us(31 * 86_400 * SECOND + more));
    let invalid = |field| (Code::InvalidArguments, Some(field));
    for (order, named) in [
        (PlaceOrder { deadline: Some(late), ..plain.clone() }, (Code::DeadlineElapsed, None)),
        (PlaceOrder { deadline: Some(late.plus_us(60 * SECOND + 1)), ..plain.clone() }, invalid("deadline")),
        (terms(RequestedTerms { margin: true, ..RequestedTerms::default() }), (Code::Margin, Some("margin"))),
        (terms(RequestedTerms { reduce_only: true, ..RequestedTerms::default() }), (Code::ReduceOnly, None)),
        (
            terms(RequestedTerms { display_qty: Some(decimal("0.1")), ..RequestedTerms::default() }),
            invalid("display_qty"),
        ),
        (terms(RequestedTerms { effective_time: month(1), ..RequestedTerms::default() }), invalid("effective_time")),
        (
            with(
                PlaceOrder { time_in_force: TimeInForce::Gtd, ..market(Side::Buy, "0.1") },
                RequestedTerms { expire_time: month(0), ..RequestedTerms::default() },
            ),
            invalid("time_in_force"),
        ),
        (PlaceOrder { order_type: OrderType::StopLoss, limit_price: None, ..plain.clone() }, invalid("triggers")),
        (PlaceOrder { order_type: OrderType::Iceberg, ..plain.clone() }, invalid("display_qty")),
        (PlaceOrder { order_qty: None, ..plain.clone() }, invalid("order_qty")),
    ] {
        let refusal = floor.refusal(alice, &order);
        assert_eq!((refusal.code, refusal.field), named, "{order:?}");
    }
    let latest = RequestedTerms { effective_time: month(0), ..RequestedTerms::default() };
    floor.place(alice, &PlaceOrder { deadline: Some(late.plus_us(60 * SECOND)), ..terms(latest) });
}
