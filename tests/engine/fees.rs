//! Fees and holds of orders without a limit, in random books of orders so small that every rounding is visible (rule
//! 34). A failure prints its seed, and `FEES_SEED=…` repeats it.

use countersign::domain::decimal::Decimal;
use countersign::domain::markets::Market;
use countersign::domain::money::{Amount, Quantity};
use countersign::domain::orders::{OrderStatus, OrderType, Side};
use countersign::domain::terms::{FeeCurrency, SelfTrade};
use countersign::engine::command::{PlaceOrder, RequestedTerms};
use countersign::engine::event::Event;
use countersign::engine::trading::place;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::venue::{BTC, USD, Venue, limit, market, usual};

const TRADERS: u32 = 4;

/// One price unit times one quantity unit is a hundredth of a quote unit, so most fills lose a fraction by rounding.
fn coarse(taker_ppm: u32) -> Market {
    let (qty_min, cost_min) = (Quantity(1), Amount(0));
    Market { price_decimals: 1, qty_decimals: 3, qty_min, cost_min, maker_ppm: taker_ppm / 2, taker_ppm, ..usual() }
}

/// A maker's order, or one that takes whatever it finds.
fn order(random: &mut StdRng) -> PlaceOrder {
    let side = if random.random_bool(0.3) { Side::Sell } else { Side::Buy };
    let lots = |lots: i64| Decimal::from_units(lots, 3);
    let qty = random.random_range(1..60);
    let mut terms = RequestedTerms {
        fee_preference: if random.random_bool(0.7) { FeeCurrency::Quote } else { FeeCurrency::Base },
        stp_type: [SelfTrade::CancelNewest, SelfTrade::CancelOldest, SelfTrade::CancelBoth][random.random_range(0..3)],
        ..RequestedTerms::default()
    };
    let order = if random.random_bool(0.3) {
        let mut order = PlaceOrder { order_qty: Some(lots(qty)), ..market(side, "1") };
        if side == Side::Buy && random.random_bool(0.4) {
            terms.cash_order_qty = Some(Decimal::from_units(random.random_range(1..40), 2));
            order.order_qty = None;
        }
        order
    } else {
        let price = random.random_range(20..24) * 5 + if side == Side::Sell { 15 } else { 0 };
        let mut order = PlaceOrder { side: side.opposite(), ..limit(side, "1", "1") };
        (order.order_qty, order.limit_price) = (Some(lots(qty)), Some(Decimal::from_units(price, 1)));
        if random.random_bool(0.5) {
            order.order_type = OrderType::Iceberg;
            terms.display_qty = Some(lots((qty / random.random_range(1..15) + 1).min(qty)));
        }
        order
    };
    PlaceOrder { terms: Some(Box::new(terms)), ..order }
}

/// Every fill of the last order pays its fee, and no hold becomes negative.
fn judge(events: &[Event], of: &Market) -> usize {
    let mut taken = Vec::new();
    let mut held = None;
    for event in events {
        match event {
            Event::OrderPlaced { order, .. } => held = Some((order.id, order.held)),
            Event::Traded(trade) => {
                for (fill, ppm) in [(&trade.maker, of.maker_ppm), (&trade.taker, of.taker_ppm)] {
                    let base = of.base_amount(trade.qty).unwrap();
                    let charged = if fill.order.fee_in() == FeeCurrency::Quote { trade.cost } else { base };
                    let whole = charged.fee(ppm).unwrap();
                    assert!((Amount::ZERO..=whole).contains(&fill.fee), "a fee of {:?}: {trade:?}", fill.fee);
                    let free = fill.order.order_type == OrderType::Market && fill.order.side == Side::Buy;
                    assert!(!free || fill.fee == whole, "{:?} instead of {whole:?}: {trade:?}", fill.fee);
                    assert!(fill.order.held >= Amount::ZERO, "{trade:?}");
                }
                taken.push(&trade.taker.order);
            }
            _ => {}
        }
    }
    let Some(last) = taken.last().filter(|of| of.order_type == OrderType::Market && of.side == Side::Buy) else {
        return 0;
    };
    let paid = if last.fee_in() == FeeCurrency::Quote { last.cost.0 + last.fee.0 } else { last.cost.0 };
    assert_eq!(held, Some((last.id, Amount(paid))), "it holds what it pays, no more: {last:?}");
    let cash = last.terms.as_ref().and_then(|terms| terms.cash);
    assert!(cash.is_none_or(|cash| last.cost <= cash), "more than was given: {last:?}");
    usize::from(last.status == OrderStatus::Filled)
}

#[test]
fn rule_34_a_market_buy_pays_every_fee_out_of_what_it_holds() {
    let from = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seed: u64 = from("FEES_SEED").unwrap_or_else(rand::random);
    println!("FEES_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut filled = 0;
    for taker_ppm in [0, 2_000, 100_000, 500_000].into_iter().cycle().take(200) {
        let of = coarse(taker_ppm);
        let mut venue = Venue::of(of.clone());
        for number in 1..=TRADERS {
            for asset in [USD, BTC] {
                venue.fund(venue.trader(number), asset, 1_000_000_000_000);
            }
        }
        for _ in 0..200 {
            let trader = venue.trader(random.random_range(1..=TRADERS));
            let (asked, seen) = (order(&mut random), venue.events.len());
            if venue.run(|t| place(t, trader, &asked)).is_err() {
                continue;
            }
            let events: Vec<Event> = venue.events[seen..].iter().map(|(_, event)| event.clone()).collect();
            filled += judge(&events, &of);
            venue.state.ledger.check().unwrap();
            assert_eq!(venue.state.halted, None);
        }
    }
    assert!(filled > 1_000, "{filled} market buys are too few to tell anything");
}
