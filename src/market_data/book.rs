//! The resting orders of one market as clients see them: summed by price for `book`, one by one for `level3`, each
//! with its checksum (protocol 4.4, 4.5). Built from events alone.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::domain::decimal::write_units;
use crate::domain::ids::OrderId;
use crate::domain::money::{Price, Quantity};
use crate::domain::orders::{Order, Side};
use crate::domain::time::Moment;
use crate::engine::event::{Event, Place};

/// Levels that the checksum covers on each side.
const CHECKSUM_LEVELS: usize = 10;

/// An order in its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queued {
    /// Which.
    pub id: OrderId,
    /// What it shows.
    pub qty: Quantity,
    /// When it came into the queue or was amended.
    pub at: Moment,
}

/// What happened to an order of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It came, at the end of its level.
    Add,
    /// It shows another quantity.
    Modify,
    /// It is gone.
    Delete,
}

/// A change, and where.
#[derive(Clone, Copy, Debug)]
pub struct Changed {
    /// What.
    pub change: Change,
    /// On which side.
    pub side: Side,
    /// At which price.
    pub price: Price,
    /// The order afterwards; as it was, when it is gone.
    pub order: Queued,
}

/// The orders of one price, by their turn, and what they show together.
#[derive(Clone, Debug, Default)]
struct Level {
    total: i64,
    queue: BTreeMap<u64, Queued>,
}

/// The resting orders of a market.
#[derive(Debug, Default)]
pub struct Levels {
    bids: BTreeMap<Price, Level>,
    asks: BTreeMap<Price, Level>,
    /// Where each order stands: its price and its turn.
    places: HashMap<OrderId, (Side, Price, u64)>,
    turns: u64,
    /// Orders that trade before they rest.
    arriving: HashMap<OrderId, Order>,
    changes: Vec<Changed>,
}

/// The best levels of one side: price and quantity, best first.
pub type Ladder = Vec<(Price, Quantity)>;

impl Levels {
    /// Follows an event of this market.
    pub fn apply(&mut self, event: &Event, at: Moment) {
        match event {
            Event::OrderPlaced { order, rests } | Event::OrderActivated { order, rests } => {
                self.arrive(order, *rests, at);
            }
            Event::OrderAmended { order, place: Place::Kept } => self.resize(order, Some(at)),
            Event::OrderAmended { order, place } => self.arrive(order, *place == Place::Back, at),
            Event::Traded(trade) => {
                self.resize(&trade.maker.order, None);
                self.arrive(&trade.taker.order, false, at);
            }
            Event::OrderRested(id) => {
                if let Some(order) = self.arriving.remove(id) {
                    self.show(&order, at);
                }
            }
            Event::OrderRefilled(order) => self.show(order, at),
            Event::OrderCanceled { order, .. } => {
                self.arriving.remove(&order.id);
                self.hide(order.id);
            }
            _ => {}
        }
    }

    fn arrive(&mut self, order: &Order, rests: bool, at: Moment) {
        self.arriving.remove(&order.id);
        if rests {
            return self.show(order, at);
        }
        self.hide(order.id);
        if order.is_open() && !order.waits() {
            self.arriving.insert(order.id, order.clone());
        }
    }

    /// Shows an order as it stands at the end of its level; nothing of one that waits or has ended.
    pub fn show(&mut self, order: &Order, at: Moment) {
        self.hide(order.id);
        let (id, qty) = (order.id, order.visible());
        let Some(price) = order.limit.filter(|_| order.is_open() && !order.waits() && qty > Quantity::ZERO) else {
            return;
        };
        self.turns += 1;
        let (turn, queued) = (self.turns, Queued { id, qty, at });
        let level = self.side_mut(order.side).entry(price).or_default();
        level.total += qty.0;
        level.queue.insert(turn, queued);
        self.places.insert(id, (order.side, price, turn));
        self.changes.push(Changed { change: Change::Add, side: order.side, price, order: queued });
    }

    /// Shows another quantity of an order that keeps its place.
    fn resize(&mut self, order: &Order, amended: Option<Moment>) {
        let qty = order.visible();
        if !order.is_open() || qty == Quantity::ZERO {
            return self.hide(order.id);
        }
        let Some((side, price, turn)) = self.places.get(&order.id).copied() else { return };
        let Some(level) = self.side_mut(side).get_mut(&price) else { return };
        let Some(queued) = level.queue.get_mut(&turn).filter(|queued| queued.qty != qty) else { return };
        level.total += qty.0 - queued.qty.0;
        *queued = Queued { qty, at: amended.unwrap_or(queued.at), ..*queued };
        let order = *queued;
        self.changes.push(Changed { change: Change::Modify, side, price, order });
    }

    fn hide(&mut self, id: OrderId) {
        let Some((side, price, turn)) = self.places.remove(&id) else { return };
        let levels = self.side_mut(side);
        let Some(level) = levels.get_mut(&price) else { return };
        let Some(order) = level.queue.remove(&turn) else { return };
        level.total -= order.qty.0;
        if level.queue.is_empty() {
            levels.remove(&price);
        }
        self.changes.push(Changed { change: Change::Delete, side, price, order });
    }

    fn side_mut(&mut self, side: Side) -> &mut BTreeMap<Price, Level> {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    /// The best `depth` levels of a side, best first.
    fn best(&self, side: Side, depth: usize) -> impl Iterator<Item = (Price, &Level)> {
        let (bids, asks) = match side {
            Side::Buy => (Some(self.bids.iter().rev()), None),
            Side::Sell => (None, Some(self.asks.iter())),
        };
        let levels = bids.into_iter().flatten().chain(asks.into_iter().flatten());
        levels.take(depth).map(|(price, level)| (*price, level))
    }

    /// The best `depth` bids.
    pub fn bids(&self, depth: usize) -> Ladder {
        self.best(Side::Buy, depth).map(|(price, level)| (price, Quantity(level.total))).collect()
    }

    /// The best `depth` asks.
    pub fn asks(&self, depth: usize) -> Ladder {
        self.best(Side::Sell, depth).map(|(price, level)| (price, Quantity(level.total))).collect()
    }

    /// The prices of the best `depth` levels of a side.
    pub fn prices(&self, side: Side, depth: usize) -> BTreeSet<Price> {
        self.best(side, depth).map(|(price, _)| price).collect()
    }

    /// The orders of the best `depth` levels of a side, in order of price and turn.
    pub fn orders(&self, side: Side, depth: usize) -> impl Iterator<Item = (Price, Queued)> + '_ {
        self.best(side, depth).flat_map(|(price, level)| level.queue.values().map(move |order| (price, *order)))
    }

    /// Whether anything rests at a price.
    pub fn has(&self, side: Side, price: Price) -> bool {
        match side {
            Side::Buy => self.bids.contains_key(&price),
            Side::Sell => self.asks.contains_key(&price),
        }
    }

    /// What happened since the last call.
    pub fn take_changes(&mut self) -> Vec<Changed> {
        std::mem::take(&mut self.changes)
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

    /// The same over every order of those levels, in the order of its queue.
    pub fn order_checksum(&self, price_decimals: u8, qty_decimals: u8) -> u32 {
        let mut text = String::with_capacity(2_048);
        let orders = |side| self.orders(side, CHECKSUM_LEVELS);
        for (price, order) in orders(Side::Sell).chain(orders(Side::Buy)) {
            digits(&mut text, price.0, price_decimals);
            digits(&mut text, order.qty.0, qty_decimals);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The example that the venue whose protocol we speak publishes.
    #[test]
    fn the_published_checksum_is_reproduced() {
        let level = |(price, total): (i64, i64)| (Price(price), Level { total, queue: BTreeMap::new() });
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
