//! The engine against the reference book: random orders of all types, amendments, cancels and time give the same
//! fills and the same queues.
//!
//! `REFERENCE_OPERATIONS=10000000 cargo test --test engine the_engine_trades` runs longer; a failure prints its seed,
//! and `REFERENCE_SEED=…` repeats it.

use countersign::domain::decimal::Decimal;
use countersign::domain::ids::{OrderId, OrganizationId};
use countersign::domain::orders::{OrderType, Side, TimeInForce};
use countersign::domain::terms::{PriceReference, SelfTrade};
use countersign::engine::amendments::amend;
use countersign::engine::caller::ServiceCaller;
use countersign::engine::command::{AmendOrder, OrderRef, PlaceOrder, RequestedTerms, RequestedTrigger};
use countersign::engine::event::Event;
use countersign::engine::reply::Reply;
use countersign::engine::state::State;
use countersign::engine::trading::{cancel, place, place_batch};
use countersign::engine::triggers;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::reference_book::{Entry, Fill, Naive, Trigger, organization};
use crate::venue::{BTC, MARKET, USD, Venue, limit};

/// A thousandth of a coin, in quantity units.
const MILLI: i64 = 100_000;
const SECOND: u64 = 1_000_000;
const TRADERS: u32 = 4;

struct Play {
    venue: Venue,
    naive: Naive,
    random: StdRng,
    compared: usize,
}

impl Play {
    fn new(seed: u64) -> Play {
        let venue = Venue::new();
        let naive = Naive { now: venue.now.0, ..Naive::default() };
        let mut play = Play { venue, naive, random: StdRng::seed_from_u64(seed), compared: 0 };
        for number in 1..=TRADERS {
            let trader = play.trader(number);
            play.venue.fund(trader, USD, 1_000_000_000_000_000);
            play.venue.fund(trader, BTC, 1_000_000_000_000_000);
        }
        play.compared = play.venue.events.len();
        play
    }

    fn trader(&self, number: u32) -> ServiceCaller {
        ServiceCaller { organization: OrganizationId(organization(number)), ..self.venue.trader(number) }
    }

    fn price(&mut self) -> i64 {
        self.random.random_range(980..1_020)
    }

    /// Of a limit from its trigger.
    fn distance(&mut self) -> i64 {
        self.random.random_range(-10..=10)
    }

    fn order(&mut self) -> (PlaceOrder, Entry) {
        let (buys, qty) = (self.random.random_bool(0.5), self.random.random_range(1..60) * MILLI);
        let price = self.price();
        let side = if buys { Side::Buy } else { Side::Sell };
        let order_type = OrderType::ALL[self.random.random_range(0..OrderType::ALL.len())];
        let order_type = if self.random.random_bool(0.6) { OrderType::Limit } else { order_type };
        let units = |units: i64| Decimal::from_units(units, 8);
        let mut order = PlaceOrder { order_type, order_qty: Some(units(qty)), ..limit(side, "1", &price.to_string()) };
        let mut terms = RequestedTerms::default();
        let mut entry = Entry {
            id: 0,
            who: self.random.random_range(1..=TRADERS),
            buys,
            limit: Some(price).filter(|_| order_type.is_limit()),
            left: qty,
            filled: 0,
            slice: None,
            trigger: None,
            patience: TimeInForce::Gtc,
            ends: None,
            self_trade: SelfTrade::CancelNewest,
            turn: None,
        };
        terms.stp_type =
            [SelfTrade::CancelNewest, SelfTrade::CancelOldest, SelfTrade::CancelBoth][self.random.random_range(0..3)];
        entry.self_trade = terms.stp_type;
        if !order_type.is_limit() {
            order.limit_price = None;
        }
        match order_type {
            OrderType::Limit => match self.random.random_range(0..10) {
                0 => entry.patience = TimeInForce::Ioc,
                1 => entry.patience = TimeInForce::Fok,
                2 => order.post_only = true,
                3 => {
                    let end = self.venue.now.plus_us(self.random.random_range(1..20) * SECOND);
                    (entry.patience, entry.ends, terms.expire_time) = (TimeInForce::Gtd, Some(end.0), Some(end));
                }
                _ => {}
            },
            OrderType::Iceberg => {
                let size = (qty / self.random.random_range(1..15) + 1).min(qty);
                terms.display_qty = Some(units(size));
                entry.slice = Some((size, size));
            }
            OrderType::Market => {}
            _ => {
                let trails = order_type.trails();
                let at = if trails { self.random.random_range(1..12) } else { self.price() };
                let price = Decimal::from_units(at, 0);
                terms.trigger = Some(RequestedTrigger { reference: PriceReference::Last, price, price_type: None });
                let rising = order_type.takes_profit() != buys;
                let mut trigger = Trigger { rising, at, trail: trails.then_some((at, 0)), limit: None };
                if order_type == OrderType::TrailingStopLimit {
                    let distance = self.distance();
                    order.limit_price = Some(Decimal::from_units(distance, 0));
                    (trigger.limit, entry.limit) = (Some(distance), None);
                }
                entry.trigger = Some(trigger);
            }
        }
        order.time_in_force = entry.patience;
        (PlaceOrder { terms: Some(Box::new(terms)), ..order }, entry)
    }

    /// Whether there was something to do.
    fn step(&mut self) -> bool {
        match self.random.random_range(0..100) {
            0..62 => {
                let (order, entry) = self.order();
                let trader = self.trader(entry.who);
                let post_only = order.post_only;
                let id = self.venue.state.seq.next().0;
                let taken = self.venue.run(|t| place(t, trader, &order));
                let expected = self.naive.place(Entry { id, ..entry }, post_only);
                assert_eq!(taken.is_ok(), expected, "{order:?}: {taken:?}");
            }
            62..80 => {
                let Some(entry) = self.any() else { return false };
                let trader = self.trader(entry.who);
                self.venue.run(|t| cancel(t, trader, &OrderRef::Id(OrderId(entry.id)))).unwrap();
                self.naive.orders.retain(|order| order.id != entry.id);
            }
            80..94 => {
                let Some(entry) = self.any() else { return false };
                let whole = self.random.random_bool(0.6).then(|| self.random.random_range(1..60) * MILLI);
                let whole = whole.filter(|_| entry.slice.is_none());
                let from_trigger = entry.trigger.as_ref().is_some_and(|trigger| trigger.limit.is_some());
                let price = (whole.is_none() || self.random.random_bool(0.3))
                    .then(|| if from_trigger { self.distance() } else { self.price() });
                let asked = AmendOrder {
                    order: OrderRef::Id(OrderId(entry.id)),
                    symbol: None,
                    order_qty: whole.map(|units| Decimal::from_units(units, 8)),
                    display_qty: None,
                    limit_price: price.map(|price| Decimal::from_units(price, 0)),
                    limit_price_type: None,
                    trigger_price: None,
                    trigger_price_type: None,
                    post_only: false,
                    deadline: None,
                };
                let trader = self.trader(entry.who);
                // A post-only order keeps its promise; the reference leaves amending those alone.
                if self.venue.state.orders.get(OrderId(entry.id)).unwrap().post_only && price.is_some() {
                    return false;
                }
                let taken = self.venue.run(|t| amend(t, trader, &asked));
                let expected = self.naive.amend(entry.id, whole, price);
                assert_eq!(taken.is_ok(), expected, "{entry:?} {asked:?}: {taken:?}");
                assert!(taken.is_err() || matches!(taken, Ok(Reply::Amended { .. })));
            }
            _ => {
                self.venue.now = self.venue.now.plus_us(self.random.random_range(1..4) * SECOND);
                self.venue.run(triggers::tick);
                self.naive.pass(self.venue.now.0);
            }
        }
        true
    }

    fn any(&mut self) -> Option<Entry> {
        let count = self.naive.orders.len();
        (count > 0).then(|| self.naive.orders[self.random.random_range(0..count)].clone())
    }

    /// Checks that the fills since the last check are equal, and the queues.
    fn compare(&mut self, whole: bool) {
        let fills: Vec<Fill> = self.venue.events[self.compared..]
            .iter()
            .filter_map(|(_, event)| match event {
                Event::Traded(trade) => {
                    Some((trade.maker.order.id.0, trade.taker.order.id.0, trade.qty.0, trade.price.0))
                }
                _ => None,
            })
            .collect();
        assert_eq!(fills, std::mem::take(&mut self.naive.fills));
        self.compared = self.venue.events.len();
        assert_eq!(self.venue.state.halted, None);
        if !whole {
            return;
        }
        for buys in [true, false] {
            let side = if buys { Side::Sell } else { Side::Buy };
            let book = self.venue.state.orders.book(MARKET).against(side);
            let queue: Vec<_> = book.map(|order| (order.id.0, order.limit.unwrap().0, order.visible().0)).collect();
            assert_eq!(queue, self.naive.queue(buys));
        }
        self.sound();
    }

    /// Checks that holds are those of the open orders, and that no money is missing.
    fn sound(&self) {
        let state = &self.venue.state;
        state.ledger.check().unwrap();
        for number in 1..=TRADERS {
            let trader = self.trader(number);
            for (asset, side) in [(USD, Side::Buy), (BTC, Side::Sell)] {
                let open = state.orders.open(trader.account).filter(|order| order.side == side);
                let held: i64 = open.map(|order| order.held.0).sum();
                assert_eq!(self.venue.balance(trader, asset).1, held);
            }
        }
    }

    /// Checks that a copy restored from the stored form is the same, and behaves the same.
    fn restore(&mut self) {
        let bytes = postcard::to_allocvec(&self.venue.state).unwrap();
        let copy: State = postcard::from_bytes(&bytes).unwrap();
        assert_eq!(copy.digest(), self.venue.state.digest());
        self.venue.state = copy;
        // Only new events are compared; replay has its own test.
        self.venue.events.clear();
        self.compared = 0;
    }
}

#[test]
fn d5_65_the_engine_trades_as_the_reference_does() {
    let from = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let operations: u64 = from("REFERENCE_OPERATIONS").unwrap_or(1_000_000);
    let seed: u64 = from("REFERENCE_SEED").unwrap_or_else(rand::random);
    println!("REFERENCE_SEED={seed}");
    let mut play = Play::new(seed);
    let mut fills = 0;
    for operation in 1..=operations {
        while !play.step() {}
        fills += play.naive.fills.len();
        play.compare(true);
        if operation % 5_000 == 0 {
            play.restore();
        }
        // The reference searches everything each time, so keep it small.
        if play.naive.orders.len() > 400 {
            for order in std::mem::take(&mut play.naive.orders) {
                let trader = play.trader(order.who);
                play.venue.run(|t| cancel(t, trader, &OrderRef::Id(OrderId(order.id)))).unwrap();
            }
        }
    }
    assert!(fills as u64 > operations / 10, "{fills} fills are too few to tell anything");
}

/// How a flow of orders is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Sent {
    Plainly,
    Named,
    InBatches,
    /// Each Organization on one side, so that none meets itself, with this kind of self-trade prevention.
    Apart(SelfTrade),
}

/// What ids, tags and batches must not change: the fills by account, and each trader's final balances (available, held,
/// total) of each asset.
type Course = (Vec<(u32, u32, i64, i64)>, Vec<(i64, i64, i64)>);

fn sent(seed: u64, how: Sent) -> Course {
    let mut play = Play::new(seed);
    for round in 0..600 {
        let number = 1 + round % TRADERS;
        let trader = play.trader(number);
        let mut orders: Vec<PlaceOrder> = (0..3).map(|_| play.order().0).collect();
        if how == Sent::Named {
            for (order, number) in orders.iter_mut().zip(0..) {
                order.cl_ord_id = Some(format!("{round}-{number}").parse().unwrap());
                order.order_userref = Some(i64::from(round));
                order.terms.as_mut().unwrap().sender_sub_id = Some(format!("desk-{number}").parse().unwrap());
            }
        }
        if let Sent::Apart(way) = how {
            for order in &mut orders {
                order.side = if organization(number) < 3 { Side::Buy } else { Side::Sell };
                order.terms.as_mut().unwrap().stp_type = way;
            }
        }
        match how {
            Sent::InBatches => drop(play.venue.run(|t| place_batch(t, trader, &orders)).unwrap()),
            Sent::Plainly | Sent::Named | Sent::Apart(_) => {
                orders.iter().for_each(|order| drop(play.venue.run(|t| place(t, trader, order))));
            }
        }
    }
    let fill = |event: &Event| match event {
        Event::Traded(trade) => {
            Some((trade.maker.order.account.0, trade.taker.order.account.0, trade.qty.0, trade.price.0))
        }
        _ => None,
    };
    let fills = play.venue.events.iter().filter_map(|(_, event)| fill(event)).collect();
    let had = |number| [BTC, USD].map(|asset| play.venue.balance(play.trader(number), asset));
    (fills, (1..=TRADERS).flat_map(had).collect())
}

#[test]
fn d5_64_ids_tags_and_batches_change_no_fill_and_no_balance() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let plainly = sent(seed, Sent::Plainly);
    assert!(plainly.0.len() > 500, "{} fills", plainly.0.len());
    for how in [Sent::Named, Sent::InBatches] {
        assert_eq!(sent(seed, how), plainly, "{how:?}");
    }
}

#[test]
fn d5_64_self_trade_prevention_changes_nothing_where_nobody_meets_themselves() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let usually = sent(seed, Sent::Apart(SelfTrade::CancelNewest));
    assert!(usually.0.len() > 300, "{} fills", usually.0.len());
    for way in [SelfTrade::CancelOldest, SelfTrade::CancelBoth] {
        assert_eq!(sent(seed, Sent::Apart(way)), usually, "{way:?}");
    }
}
