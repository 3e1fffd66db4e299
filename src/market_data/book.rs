//! The resting orders of one market as clients see them: summed by price for `book`, one by one for `level3`, each
//! with its checksum (docs.kraken.com, guides `spot-ws-book-v2` and `spot-ws-l3-v2`). Built from events alone.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::ids::OrderId;
use crate::domain::money::{Price, Quantity};
use crate::domain::orders::{Order, Side};
use crate::domain::time::Moment;
use crate::engine::book::{Book, Resting, Slot};
use crate::engine::event::{Event, QueuePosition};
use crate::engine::index::Index;

/// Levels that the checksum covers on each side.
const CHECKSUM_LEVELS: u32 = 10;

/// An order in its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queued {
    /// Its id.
    pub id: OrderId,
    /// On which side.
    pub side: Side,
    /// At which price.
    pub price: Price,
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

/// A change.
#[derive(Clone, Copy, Debug)]
pub struct Changed {
    /// What happened to it.
    pub change: Change,
    /// The order afterwards; as it was, when it is gone.
    pub order: Queued,
}

impl Resting for Queued {
    fn place(&self) -> Option<(Side, Price)> {
        Some((self.side, self.price))
    }

    fn visible(&self) -> Quantity {
        self.qty
    }
}

/// The resting orders of a market.
#[derive(Debug, Default)]
pub struct Levels {
    book: Book<Queued>,
    slots: Index<Slot>,
    /// Orders that trade before they rest.
    arriving: BTreeMap<OrderId, Order>,
    changes: Vec<Changed>,
}

/// The best levels of one side: price and quantity, best first.
pub type Ladder = Vec<(Price, Quantity)>;

impl Levels {
    /// Follows an event of this market.
    pub fn apply(&mut self, event: &Event, at: Moment) {
        match event {
            Event::OrderPlaced { order, rests: true } => self.add(order, at),
            Event::OrderPlaced { order, rests } | Event::OrderActivated { order, rests } => {
                self.arrive(order, *rests, at);
            }
            Event::OrderAmended { order, place: QueuePosition::Kept } => self.resize(order, Some(at)),
            Event::OrderAmended { order, place } => self.arrive(order, *place == QueuePosition::Back, at),
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
        self.add(order, at);
    }

    /// Shows an order that was not seen before.
    fn add(&mut self, order: &Order, at: Moment) {
        let (id, side, qty) = (order.id, order.side, order.visible());
        let Some(price) = order.limit.filter(|_| order.is_open() && !order.waits() && qty > Quantity::ZERO) else {
            return;
        };
        let queued = Queued { id, side, price, qty, at };
        self.slots.insert(id, self.book.insert(queued, true));
        self.changes.push(Changed { change: Change::Add, order: queued });
    }

    /// Shows another quantity of an order that keeps its place.
    fn resize(&mut self, order: &Order, amended: Option<Moment>) {
        let qty = order.visible();
        if !order.is_open() || qty == Quantity::ZERO {
            return self.hide(order.id);
        }
        let Some(slot) = self.slots.get(order.id) else { return };
        let Some(queued) = self.book.get(slot).filter(|queued| queued.qty != qty) else { return };
        let order = Queued { qty, at: amended.unwrap_or(queued.at), ..*queued };
        self.book.replace(slot, order);
        self.changes.push(Changed { change: Change::Modify, order });
    }

    fn hide(&mut self, id: OrderId) {
        if let Some(order) = self.slots.remove(id).and_then(|slot| self.book.remove(slot)) {
            self.changes.push(Changed { change: Change::Delete, order });
        }
    }

    /// The best `depth` levels of a side: price, quantity, and the orders in their queue.
    fn best(
        &self,
        side: Side,
        depth: u32,
    ) -> impl Iterator<Item = (Price, Quantity, impl Iterator<Item = &Queued> + Clone)> {
        self.book.levels(side).take(depth as usize)
    }

    /// The best `depth` levels of bids and asks.
    pub fn ladders(&self, depth: u32) -> (Ladder, Ladder) {
        let ladder = |side| self.best(side, depth).map(|(price, total, _)| (price, total)).collect();
        (ladder(Side::Buy), ladder(Side::Sell))
    }

    /// The prices of the best `depth` levels of bids and asks.
    pub fn prices(&self, depth: u32) -> (BTreeSet<Price>, BTreeSet<Price>) {
        let prices = |side| self.best(side, depth).map(|(price, ..)| price).collect();
        (prices(Side::Buy), prices(Side::Sell))
    }

    /// The orders of the best `depth` levels of a side, in order of price and turn.
    pub fn orders(&self, side: Side, depth: u32) -> impl Iterator<Item = &Queued> {
        self.best(side, depth).flat_map(|(_, _, queue)| queue)
    }

    /// The same without the levels at these prices.
    pub fn orders_beside(&self, side: Side, depth: u32, prices: &BTreeSet<Price>) -> impl Iterator<Item = &Queued> {
        let others = self.best(side, depth).filter(|(price, ..)| !prices.contains(price));
        others.flat_map(|(_, _, queue)| queue)
    }

    /// Whether anything rests at a price.
    pub fn has(&self, side: Side, price: Price) -> bool {
        self.book.has(side, price)
    }

    /// What happened since the last call.
    pub fn take_changes(&mut self) -> Vec<Changed> {
        std::mem::take(&mut self.changes)
    }

    /// CRC-32 over the ten best asks, then bids.
    pub fn checksum(&self) -> u32 {
        let levels = |side| self.best(side, CHECKSUM_LEVELS).map(|(price, qty, _)| (price, qty));
        crc32(levels(Side::Sell).chain(levels(Side::Buy)))
    }

    /// The same over every order of those levels, in the order of its queue.
    pub fn order_checksum(&self) -> u32 {
        let orders = |side| self.orders(side, CHECKSUM_LEVELS).map(|order| (order.price, order.qty));
        crc32(orders(Side::Sell).chain(orders(Side::Buy)))
    }
}

/// Of numbers above zero. Written with the market's decimals, but without point and leading zeros, they are their units.
fn crc32(all: impl Iterator<Item = (Price, Quantity)>) -> u32 {
    let text: String = all.flat_map(|(price, qty)| [price.0, qty.0]).map(|units| units.to_string()).collect();
    crc32fast::hash(text.as_bytes())
}

/// What takes a client from one ladder to the next: levels that are new or changed, and levels that are gone
/// with quantity zero. A level that only fell out of the depth is not sent: the client cuts it off.
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
    use crate::domain::orders::OrderStatus;

    /// The example that the venue whose protocol we speak publishes.
    #[test]
    fn the_published_checksum_is_reproduced() {
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
        let mut levels = Levels::default();
        let both = asks.map(|of| (Side::Sell, of)).into_iter().chain(bids.map(|of| (Side::Buy, of)));
        for (id, (side, (price, qty))) in (1..).zip(both) {
            let (price, qty) = (Price(price), Quantity(qty));
            levels.book.insert(Queued { id: OrderId(id), side, price, qty, at: Moment(0) }, true);
        }
        assert_eq!(levels.checksum(), 3_310_070_434);
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

    #[test]
    fn a_level_that_shows_more_than_a_number_holds_is_told_as_much_as_one_holds() {
        let mut levels = Levels::default();
        let half = 5_000_000_000_000_000_000;
        let order = |id| Order { status: OrderStatus::New, qty: Quantity(half), ..Order::waiting(id) };
        [1, 2].into_iter().for_each(|id| levels.show(&order(id), Moment(id)));
        assert_eq!(levels.ladders(10).0, [(Price(1), Quantity(i64::MAX))]);
        levels.hide(OrderId(1));
        assert_eq!(levels.ladders(10).0, [(Price(1), Quantity(half))]);
    }

    #[test]
    fn orders_beside_known_prices_are_those_of_the_other_levels() {
        let mut levels = Levels::default();
        for (id, price) in [(1, 10), (2, 10), (3, 9), (4, 8)] {
            let order = Order { status: OrderStatus::New, limit: Some(Price(price)), ..Order::waiting(id) };
            levels.show(&order, Moment(id));
        }
        let beside = |depth, prices: &[i64]| {
            let prices = prices.iter().map(|price| Price(*price)).collect();
            levels.orders_beside(Side::Buy, depth, &prices).map(|order| order.id.0).collect::<Vec<_>>()
        };
        assert_eq!((beside(2, &[10]), beside(10, &[9]), beside(10, &[])), (vec![3], vec![1, 2, 4], vec![1, 2, 3, 4]));
    }
}
