//! The cost of requests, as in the protocol's tables.

use countersign::access::scope::ScopeSet;
use countersign::access::tier::{Tier, Tiers};
use countersign::domain::ids::OrderId;
use countersign::domain::orders::Side;
use countersign::engine::Engine;
use countersign::engine::command::{AmendOrder, Command, EditOrder, OrderRef, PlaceOrder};
use countersign::engine::reject::Code;

use super::amendments::edit_of;
use super::genesis::{key, other};
use super::trading_floor::amendment;
use super::venue::market;
use super::world::{SECOND, Stage, bot, cancel, decimal, limit};

/// The extra cost of an amendment, an edit and a cancel, in hundredths, from this age of the order in seconds on.
const COSTS: [(u64, [u64; 3]); 7] = [
    (0, [400, 700, 800]),
    (5, [300, 600, 600]),
    (10, [200, 500, 500]),
    (15, [100, 300, 400]),
    (45, [100, 200, 200]),
    (90, [100, 100, 100]),
    (300, [100, 100, 0]),
];

fn stage(tier: Tier) -> Stage {
    let mut stage = Stage::new(&[key(ScopeSet::ALL), other()], true);
    stage.engine = Engine::new(stage.state().clone()).with_tiers(Tiers::all(tier));
    stage
}

#[test]
fn a_change_of_an_order_costs_by_its_age() {
    for (at, (from, costs)) in COSTS.into_iter().enumerate() {
        let last = COSTS.get(at + 1).map_or(from * SECOND, |(next, _)| next * SECOND - 1);
        for age in [from * SECOND, last] {
            for (act, cost) in costs.into_iter().enumerate() {
                let mut stage = stage(Tier::Pro);
                let id = stage.placed(&bot(1), limit(Side::Buy, "1", "10", None));
                assert_eq!(stage.engine.rate().unwrap().cost, 100);
                stage.now = stage.now.plus_us(age);
                let command = match act {
                    0 => Command::AmendOrder(AmendOrder { order_qty: Some(decimal("2")), ..amendment(id) }),
                    1 => Command::EditOrder(EditOrder { order_qty: Some(decimal("2")), ..edit_of(id) }),
                    _ => cancel(id),
                };
                stage.run(&bot(1), command).unwrap();
                assert_eq!(stage.engine.rate().unwrap().cost, cost, "act {act} after {age} us");
            }
        }
    }
}

#[test]
fn d6_74_a_counter_falls_with_a_clock_that_was_set_back() {
    let mut stage = stage(Tier::Pro);
    let order = || limit(Side::Buy, "1", "10", None);
    let before = stage.now;
    stage.now = before.plus_us(3_600 * SECOND);
    for _ in 0..180 {
        stage.placed(&bot(1), order());
    }
    stage.now = before;
    let refusal = stage.run(&bot(1), order()).unwrap_err().text();
    assert!(refusal.ends_with("retry in 267 ms"), "{refusal}");
    stage.now = before.plus_us(267_000);
    stage.placed(&bot(1), order());
}

#[test]
fn a_batch_of_cancels_costs_what_they_cost_one_by_one() {
    let mut stage = stage(Tier::Pro);
    let ids = [(); 3].map(|()| stage.placed(&bot(1), limit(Side::Buy, "1", "10", None)));
    stage.run(&bot(1), Command::CancelBatch(ids.map(OrderRef::Id).into())).unwrap();
    assert_eq!(stage.engine.rate().unwrap().cost, 2_400);
}

#[test]
fn what_would_take_a_counter_beyond_its_threshold_is_refused_by_all_that_it_costs() {
    let twice = Some(decimal("2"));
    let amend = |id| Command::AmendOrder(AmendOrder { order_qty: twice, ..amendment(id) });
    let edit = |id| Command::EditOrder(EditOrder { order_qty: twice, ..edit_of(id) });
    for (change, cost) in [(&amend as &dyn Fn(OrderId) -> Command, 400), (&edit, 700)] {
        let mut stage = stage(Tier::Pro);
        let order = stage.placed(&bot(1), limit(Side::Buy, "1", "10", None));
        for _ in 0..180 - cost / 100 {
            stage.placed(&bot(1), limit(Side::Buy, "1", "10", None));
        }
        let refusal = stage.run(&bot(1), change(order)).unwrap_err();
        assert_eq!(refusal.code, Code::RateLimit, "one order is too many");
        assert!(refusal.text().ends_with("retry in 267 ms"), "{}", refusal.text());
        stage.now = stage.now.plus_us(267_000);
        stage.run(&bot(1), change(order)).unwrap();
        assert_eq!(stage.engine.rate().map(|rate| (rate.cost, rate.count)), Some((cost, 18_000)));
    }
}

#[test]
fn a_counter_falls_as_its_tier_says() {
    for (tier, threshold, decay, open_orders) in
        [(Tier::Starter, 6_000, 100, 60), (Tier::Intermediate, 12_500, 234, 80), (Tier::Pro, 18_000, 375, 225)]
    {
        let allowance = tier.allowance().unwrap();
        assert_eq!((allowance.threshold, allowance.open_orders), (threshold, open_orders), "{tier:?}");
        let mut stage = stage(tier);
        for _ in 0..10 {
            stage.placed(&bot(1), limit(Side::Buy, "1", "10", None));
        }
        stage.now = stage.now.plus_us(SECOND);
        stage.placed(&bot(1), limit(Side::Buy, "1", "10", None));
        let rate = stage.engine.rate().unwrap();
        assert_eq!((rate.count, rate.threshold), (1_100 - decay, threshold), "{tier:?}");
    }
}

/// To find out that the funds do not pay a market buy, the engine goes through the book.
#[test]
fn a_market_buy_that_the_funds_do_not_pay_costs_as_much_as_one_that_is_placed() {
    let mut stage = stage(Tier::Pro);
    stage.placed(&bot(2), limit(Side::Sell, "100", "20000000", None));
    let (buy, before) = (market(Side::Buy, "10"), limit(Side::Buy, "1", "10", Some("before")));
    stage.placed(&bot(1), before.clone());
    let Command::PlaceOrder(repeated) = before else { panic!("an order") };
    let batch = Command::PlaceBatch(vec![buy.clone(), repeated, buy.clone()]);
    stage.run(&bot(1), batch).unwrap();
    assert_eq!(stage.engine.rate().map(|rate| (rate.cost, rate.count)), Some((100, 200)), "half for each of two");
    for _ in 2..180 {
        assert_eq!(stage.refused(&bot(1), Command::PlaceOrder(buy.clone())), Code::InsufficientFunds);
    }
    assert_eq!(stage.refused(&bot(1), Command::PlaceOrder(buy.clone())), Code::RateLimit);
    let checked = Command::PlaceOrder(PlaceOrder { validate: true, ..buy });
    assert_eq!(stage.refused(&bot(1), checked), Code::InsufficientFunds, "a check costs nothing");
}
