//! One market's book: open orders in price-time priority. They are stored in the slots of a slab and linked within
//! their price level, so the cost of a cancel does not depend on the size of the book, and matching allocates nothing.
//! The engine stores whole orders in it, market data what is shown of them; both map order ids to slots.

use std::collections::BTreeMap;
use std::hint::black_box;

use crate::domain::money::{Price, Quantity};
use crate::domain::orders::{Order, Side};

/// No slot.
const NONE: u32 = u32::MAX;

/// The position of an open order in a book until it is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(u32);

/// What a book needs to know of an order.
pub trait Resting {
    /// The level it rests in; `None` without a limit. It does not change while the order rests.
    fn place(&self) -> Option<(Side, Price)>;
    /// What it shows.
    fn visible(&self) -> Quantity;
}

impl Resting for Order {
    fn place(&self) -> Option<(Side, Price)> {
        Some((self.side, self.limit?))
    }

    fn visible(&self) -> Quantity {
        Order::visible(self)
    }
}

/// An order and its neighbours in the level it rests in.
#[derive(Clone, Debug)]
struct Entry<T> {
    order: Option<T>,
    rests: bool,
    before: u32,
    after: u32,
}

/// The orders of one price, oldest first, and what they show together.
#[derive(Clone, Copy, Debug)]
struct Level {
    first: u32,
    last: u32,
    /// In units of the market, like a [`Quantity`]; together they may be more than one holds.
    total: i128,
}

impl Level {
    /// Adds `more` to what it shows, subtracts `less`.
    fn change(&mut self, more: Quantity, less: Quantity) {
        self.total += i128::from(more.0) - i128::from(less.0);
    }

    /// What it shows, as far as a number holds that.
    fn shown(&self) -> Quantity {
        Quantity(i64::try_from(self.total).unwrap_or(i64::MAX))
    }
}

/// Open orders of a market.
#[derive(Clone, Debug)]
pub struct Book<T = Order> {
    entries: Vec<Entry<T>>,
    free: Vec<u32>,
    bids: BTreeMap<Price, Level>,
    asks: BTreeMap<Price, Level>,
}

impl<T> Default for Book<T> {
    fn default() -> Book<T> {
        let (bids, asks) = (BTreeMap::new(), BTreeMap::new());
        Book { entries: Vec::new(), free: Vec::new(), bids, asks }
    }
}

impl<T: Resting> Book<T> {
    /// The order in a slot.
    pub fn get(&self, slot: Slot) -> Option<&T> {
        self.entries[slot.0 as usize].order.as_ref()
    }

    /// Reads into the cache everything that removing the order will touch.
    pub fn prefetch(&self, slot: Slot) {
        let entry = &self.entries[slot.0 as usize];
        let rests = |slot: u32| self.entries.get(slot as usize).is_some_and(|entry| entry.rests);
        let order = |order: &T| order.place().is_some() && order.visible() != Quantity::ZERO;
        black_box(rests(entry.before) ^ rests(entry.after) ^ entry.order.as_ref().is_some_and(order));
    }

    /// The orders that an incoming order of `side` meets, in price-time priority.
    pub fn against(&self, side: Side) -> impl Iterator<Item = &T> {
        self.side(side.opposite()).flat_map(|(_, level)| self.queue(level))
    }

    /// The levels of a side, best first: the price, the total that its orders show, and the orders in time priority.
    pub fn levels(&self, side: Side) -> impl Iterator<Item = (Price, Quantity, impl Iterator<Item = &T> + Clone)> {
        self.side(side).map(|(price, level)| (price, level.shown(), self.queue(level)))
    }

    /// Whether anything rests at a price.
    pub fn has(&self, side: Side, price: Price) -> bool {
        match side {
            Side::Buy => self.bids.contains_key(&price),
            Side::Sell => self.asks.contains_key(&price),
        }
    }

    /// Inserts a new open order, at the end of its level if `rests`.
    pub fn insert(&mut self, order: T, rests: bool) -> Slot {
        let entry = Entry { order: Some(order), rests: false, before: NONE, after: NONE };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.entries[slot as usize] = entry;
                slot
            }
            None => {
                self.entries.push(entry);
                u32::try_from(self.entries.len() - 1).expect("open orders are limited far below 2^32")
            }
        };
        if rests {
            self.link(slot);
        }
        Slot(slot)
    }

    /// Whether the order in a slot rests in a level.
    pub fn rests(&self, slot: Slot) -> bool {
        self.entries[slot.0 as usize].rests
    }

    /// Puts an open order at the end of its level.
    pub fn rest(&mut self, slot: Slot) {
        self.link(slot.0);
    }

    /// Replaces an open order by its new version, which keeps its place.
    pub fn replace(&mut self, slot: Slot, order: T) {
        let (place, now) = (order.place(), order.visible());
        let entry = &mut self.entries[slot.0 as usize];
        let Some(before) = entry.order.replace(order) else { return };
        if let Some((side, price)) = place.filter(|_| entry.rests && before.visible() != now)
            && let Some(level) = self.side_mut(side).get_mut(&price)
        {
            level.change(now, before.visible());
        }
    }

    /// Removes an order that has ended, and returns it.
    pub fn remove(&mut self, slot: Slot) -> Option<T> {
        self.unlink(slot.0);
        let before = self.entries[slot.0 as usize].order.take()?;
        self.free.push(slot.0);
        Some(before)
    }

    /// Replaces an open order whose place in the book changes with it: taken out, and put at the end of its
    /// level if `rests`.
    pub fn move_to(&mut self, slot: Slot, order: T, rests: bool) {
        self.unlink(slot.0);
        self.entries[slot.0 as usize].order = Some(order);
        if rests {
            self.link(slot.0);
        }
    }

    fn link(&mut self, slot: u32) {
        let Some(order) = self.entries[slot as usize].order.as_ref() else { return };
        let Some((side, price)) = order.place() else { return };
        let shown = order.visible();
        let level = self.side_mut(side).entry(price).or_insert(Level { first: slot, last: NONE, total: 0 });
        level.change(shown, Quantity::ZERO);
        let before = std::mem::replace(&mut level.last, slot);
        if before != NONE {
            self.entries[before as usize].after = slot;
        }
        let entry = &mut self.entries[slot as usize];
        (entry.before, entry.after, entry.rests) = (before, NONE, true);
    }

    fn unlink(&mut self, slot: u32) {
        let Entry { order: Some(order), rests: true, before, after } = &self.entries[slot as usize] else { return };
        let (before, after, shown) = (*before, *after, order.visible());
        let Some((side, price)) = order.place() else { return };
        self.entries[slot as usize].rests = false;
        if before != NONE {
            self.entries[before as usize].after = after;
        }
        if after != NONE {
            self.entries[after as usize].before = before;
        }
        let levels = self.side_mut(side);
        if before == NONE && after == NONE {
            levels.remove(&price);
        } else if let Some(level) = levels.get_mut(&price) {
            level.change(Quantity::ZERO, shown);
            if before == NONE {
                level.first = after;
            }
            if after == NONE {
                level.last = before;
            }
        }
    }

    /// The levels of a side, best first.
    fn side(&self, side: Side) -> impl Iterator<Item = (Price, Level)> {
        let (bids, asks) = match side {
            Side::Buy => (Some(self.bids.iter().rev()), None),
            Side::Sell => (None, Some(self.asks.iter())),
        };
        let levels = bids.into_iter().flatten().chain(asks.into_iter().flatten());
        levels.map(|(price, level)| (*price, *level))
    }

    fn queue(&self, level: Level) -> impl Iterator<Item = &T> + Clone {
        let next = |slot: u32| (slot != NONE).then_some(slot);
        std::iter::successors(next(level.first), move |slot| next(self.entries[*slot as usize].after))
            .filter_map(|slot| self.entries[slot as usize].order.as_ref())
    }

    fn side_mut(&mut self, side: Side) -> &mut BTreeMap<Price, Level> {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }
}
