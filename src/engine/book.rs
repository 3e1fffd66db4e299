//! One market's book: open orders in price-time priority. Orders live in a slab and are linked within
//! their price level, so a cancel by id costs the same whatever rests, and matching allocates nothing.

use std::collections::BTreeMap;

use super::index::Index;
use crate::domain::ids::OrderId;
use crate::domain::money::Price;
use crate::domain::orders::{Order, Side};

/// No slot.
const NONE: u32 = u32::MAX;

/// An open order and its neighbours in the level it rests in.
#[derive(Clone, Debug)]
struct Slot {
    order: Option<Order>,
    rests: bool,
    before: u32,
    after: u32,
}

/// The orders of one price, oldest first.
#[derive(Clone, Copy, Debug)]
struct Level {
    first: u32,
    last: u32,
}

/// Open orders of a market.
#[derive(Clone, Debug, Default)]
pub struct Book {
    slots: Vec<Slot>,
    free: Vec<u32>,
    index: Index,
    bids: BTreeMap<Price, Level>,
    asks: BTreeMap<Price, Level>,
}

impl Book {
    /// An open order.
    pub fn get(&self, id: OrderId) -> Option<&Order> {
        self.index.get(id).and_then(|slot| self.slots[slot as usize].order.as_ref())
    }

    /// The order that an incoming order of `side` meets first.
    pub fn best_against(&self, side: Side) -> Option<&Order> {
        self.against(side).next()
    }

    /// The orders that an incoming order of `side` meets, in price-time priority.
    pub fn against(&self, side: Side) -> impl Iterator<Item = &Order> {
        let (asks, bids) = match side {
            Side::Buy => (Some(self.asks.values()), None),
            Side::Sell => (None, Some(self.bids.values().rev())),
        };
        let levels = asks.into_iter().flatten().chain(bids.into_iter().flatten());
        levels.flat_map(move |level| {
            let next = move |slot: u32| (slot != NONE).then_some(slot);
            std::iter::successors(next(level.first), move |slot| next(self.slots[*slot as usize].after))
                .filter_map(|slot| self.slots[slot as usize].order.as_ref())
        })
    }

    /// Takes a new open order in; it rests at the end of its level if `rests`.
    pub fn insert(&mut self, order: Order, rests: bool) {
        let id = order.id;
        let fresh = Slot { order: Some(order), rests: false, before: NONE, after: NONE };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = fresh;
                slot
            }
            None => {
                self.slots.push(fresh);
                u32::try_from(self.slots.len() - 1).expect("open orders are limited far below 2^32")
            }
        };
        self.index.insert(id, slot);
        if rests {
            self.rest(id);
        }
    }

    /// Puts an open order at the end of its level.
    pub fn rest(&mut self, id: OrderId) {
        let Some(slot) = self.index.get(id) else { return };
        let Some((side, price)) = self.place(slot) else { return };
        let levels = self.levels(side);
        let last = match levels.get_mut(&price) {
            Some(level) => std::mem::replace(&mut level.last, slot),
            None => {
                levels.insert(price, Level { first: slot, last: slot });
                NONE
            }
        };
        if last != NONE {
            self.slots[last as usize].after = slot;
        }
        let node = &mut self.slots[slot as usize];
        (node.before, node.after, node.rests) = (last, NONE, true);
    }

    /// Replaces an open order by what it is after an event, or takes it out when that is its end. Returns it
    /// as it was.
    pub fn replace(&mut self, order: &Order) -> Option<Order> {
        let slot = self.index.get(order.id)?;
        if order.is_open() {
            return self.slots[slot as usize].order.replace(order.clone());
        }
        if self.slots[slot as usize].rests {
            self.unlink(slot);
        }
        self.index.remove(order.id);
        self.free.push(slot);
        self.slots[slot as usize].order.take()
    }

    /// Replaces an open order whose place in the book changes with it: taken out, and put at the end of its
    /// level if `rests`. Returns it as it was.
    pub fn move_to(&mut self, order: &Order, rests: bool) -> Option<Order> {
        let slot = self.index.get(order.id)?;
        if self.slots[slot as usize].rests {
            self.unlink(slot);
        }
        let before = self.slots[slot as usize].order.replace(order.clone());
        if rests {
            self.rest(order.id);
        }
        before
    }

    fn unlink(&mut self, slot: u32) {
        let Some((side, price)) = self.place(slot) else { return };
        let Slot { before, after, .. } = self.slots[slot as usize];
        self.slots[slot as usize].rests = false;
        if before != NONE {
            self.slots[before as usize].after = after;
        }
        if after != NONE {
            self.slots[after as usize].before = before;
        }
        let levels = self.levels(side);
        if before == NONE && after == NONE {
            levels.remove(&price);
        } else if let Some(level) = levels.get_mut(&price) {
            if before == NONE {
                level.first = after;
            }
            if after == NONE {
                level.last = before;
            }
        }
    }

    fn place(&self, slot: u32) -> Option<(Side, Price)> {
        let order = self.slots[slot as usize].order.as_ref()?;
        Some((order.side, order.limit?))
    }

    fn levels(&mut self, side: Side) -> &mut BTreeMap<Price, Level> {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }
}
