//! Price levels of one market, what a subscriber of some depth sees of them, and the checksum (protocol 4.4).

use std::collections::{BTreeMap, HashMap};

use crate::domain::decimal::write_units;
use crate::domain::ids::OrderId;
use crate::domain::money::{Price, Quantity};
use crate::domain::orders::{Order, Side};
use crate::engine::event::{Event, Place};

/// Levels that the checksum covers on each side.
const CHECKSUM_LEVELS: usize = 10;

/// The resting orders of a market, summed by price.
#[derive(Debug, Default)]
pub struct Levels {
    bids: BTreeMap<Price, i64>,
    asks: BTreeMap<Price, i64>,
    /// What each order adds, and where.
    shown: HashMap<OrderId, (Price, i64)>,
    /// Orders that trade before they rest.
    arriving: HashMap<OrderId, Order>,
}

/// The best levels of one side: price and quantity, best first.
pub type Ladder = Vec<(Price, Quantity)>;

impl Levels {
    /// Follows an event of this market.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::OrderPlaced { order, rests } | Event::OrderActivated { order, rests } => self.arrive(order, *rests),
            Event::OrderAmended { order, place } => self.arrive(order, *place != Place::Off),
            Event::Traded(trade) => {
                self.show(&trade.maker.order);
                self.arrive(&trade.taker.order, false);
            }
            Event::OrderRested(id) => {
                if let Some(order) = self.arriving.remove(id) {
                    self.show(&order);
                }
            }
            Event::OrderRefilled(order) => self.show(order),
            Event::OrderCanceled { order, .. } => {
                self.arriving.remove(&order.id);
                self.show(order);
            }
            _ => {}
        }
    }

    fn arrive(&mut self, order: &Order, rests: bool) {
        self.arriving.remove(&order.id);
        if rests {
            return self.show(order);
        }
        self.hide(order);
        if order.is_open() && !order.waits() {
            self.arriving.insert(order.id, order.clone());
        }
    }

    fn hide(&mut self, order: &Order) {
        if let Some((price, qty)) = self.shown.remove(&order.id) {
            self.add(order.side, price, -qty);
        }
    }

    /// Shows an order as it stands: what it has visible, at its limit; nothing of one that waits or has ended.
    pub fn show(&mut self, order: &Order) {
        self.hide(order);
        let Some(price) = order.limit.filter(|_| order.is_open() && !order.waits()) else { return };
        let qty = order.visible().0;
        self.shown.insert(order.id, (price, qty));
        self.add(order.side, price, qty);
    }

    fn add(&mut self, side: Side, price: Price, change: i64) {
        let levels = match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        };
        let level = levels.entry(price).or_default();
        *level += change;
        if *level == 0 {
            levels.remove(&price);
        }
    }

    /// The best `depth` bids.
    pub fn bids(&self, depth: usize) -> Ladder {
        self.bids.iter().rev().take(depth).map(|(price, qty)| (*price, Quantity(*qty))).collect()
    }

    /// The best `depth` asks.
    pub fn asks(&self, depth: usize) -> Ladder {
        self.asks.iter().take(depth).map(|(price, qty)| (*price, Quantity(*qty))).collect()
    }

    /// CRC-32 over the ten best asks, then bids, written with the market's decimals.
    pub fn checksum(&self, price_decimals: u8, qty_decimals: u8) -> u32 {
        let mut text = String::with_capacity(512);
        for (price, qty) in self.asks(CHECKSUM_LEVELS).into_iter().chain(self.bids(CHECKSUM_LEVELS)) {
            digits(&mut text, price.0, price_decimals);
            digits(&mut text, qty.0, qty_decimals);
        }
        crc32fast::hash(text.as_bytes())
    }
}

/// A number without its point and leading zeros.
fn digits(out: &mut String, units: i64, decimals: u8) {
    let mut written = String::new();
    write_units(&mut written, units, decimals);
    written.retain(|c| c != '.');
    out.push_str(written.trim_start_matches('0'));
}

/// What takes a client from one ladder to the next: levels that are new or changed, and levels that are gone
/// with quantity zero. A level that only fell out of the depth is not told: the client cuts it off.
pub fn changes(before: &Ladder, after: &Ladder, exists: impl Fn(Price) -> bool) -> Ladder {
    let old: BTreeMap<Price, Quantity> = before.iter().copied().collect();
    let new: BTreeMap<Price, Quantity> = after.iter().copied().collect();
    let gone = before.iter().filter(|(price, _)| !new.contains_key(price) && !exists(*price));
    let mut changes: Ladder = gone.map(|(price, _)| (*price, Quantity::ZERO)).collect();
    changes.extend(after.iter().filter(|(price, qty)| old.get(price) != Some(qty)));
    changes
}

impl Levels {
    /// Whether anything rests at a price.
    pub fn has(&self, side: Side, price: Price) -> bool {
        match side {
            Side::Buy => self.bids.contains_key(&price),
            Side::Sell => self.asks.contains_key(&price),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example that the venue whose protocol we speak publishes.
    #[test]
    fn the_published_checksum_is_reproduced() {
        let level = |(price, qty): (i64, i64)| (Price(price), qty);
        let asks = [
            (452_852, 100_000),
            (452_864, 154_571_953),
            (452_866, 154_571_109),
            (452_896, 154_560_911),
            (452_902, 15_890_660),
            (452_918, 154_553_491),
            (452_947, 4_454_749),
            (452_961, 35_380_000),
            (452_975, 9_945_542),
            (452_995, 18_772_827),
        ];
        let bids = [
            (452_835, 10_000_000),
            (452_834, 154_582_015),
            (452_821, 10_000_000),
            (452_810, 10_000_000),
            (452_803, 154_592_586),
            (452_790, 7_990_000),
            (452_776, 3_310_103),
            (452_775, 30_000_000),
            (452_773, 154_602_737),
            (452_766, 15_445_238),
        ];
        let (asks, bids) = (asks.map(level).into(), bids.map(level).into());
        let levels = Levels { asks, bids, ..Levels::default() };
        assert_eq!(levels.checksum(1, 8), 3_310_070_434);
    }

    #[test]
    fn a_level_that_falls_out_of_the_depth_is_not_told_and_one_that_is_gone_is() {
        let ladder =
            |levels: &[(i64, i64)]| -> Ladder { levels.iter().map(|(p, q)| (Price(*p), Quantity(*q))).collect() };
        let before = ladder(&[(10, 1), (11, 1)]);
        let better = ladder(&[(9, 5), (10, 1)]);
        assert_eq!(changes(&before, &better, |_| true), ladder(&[(9, 5)]));
        let without = ladder(&[(11, 1), (12, 3)]);
        assert_eq!(changes(&before, &without, |price| price.0 != 10), ladder(&[(10, 0), (12, 3)]));
    }
}
