//! What open orders wait for: a price of their market, a start, an end. [`Orders`](super::orders::Orders) keeps this up
//! to date; no decisions are made here.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use crate::domain::ids::{AccountId, MarketId, OrderId};
use crate::domain::limits::{TRAILING_ACCOUNT_MAX, TRAILING_MAX};
use crate::domain::money::Price;
use crate::domain::orders::{Order, OrderStatus, Side};
use crate::domain::terms::TriggerDirection;
use crate::domain::time::Moment;

/// The waiting orders of a market, by the price that they wait for.
#[derive(Clone, Debug, Default)]
struct Triggers {
    rising: BTreeSet<(Price, OrderId)>,
    falling: BTreeSet<(Price, OrderId)>,
    /// Trailing stops by their side and the best price since they began.
    trailing: BTreeSet<(Side, Price, OrderId)>,
    /// How many trailing stops each account has.
    trailing_of: BTreeMap<AccountId, usize>,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub struct TriggerIndex {
    triggers: Vec<Triggers>,
    /// Orders that have not started, by their start.
    starts: BTreeSet<(Moment, MarketId, OrderId)>,
    /// Open orders, by their end.
    ends: BTreeSet<(Moment, MarketId, OrderId)>,
}

impl TriggerIndex {
    /// Makes room for a new market.
    pub fn add_market(&mut self) {
        self.triggers.push(Triggers::default());
    }

    /// Records what an order waits for.
    pub fn insert(&mut self, order: &Order) {
        let (start, end) = times(order);
        self.starts.extend(start.map(|at| (at, order.market, order.id)));
        self.ends.extend(end.map(|at| (at, order.market, order.id)));
        let Some((watch, price)) = price(order) else { return };
        let of = &mut self.triggers[order.market.index()];
        match watch {
            TriggerDirection::Rising => of.rising.insert((price, order.id)),
            TriggerDirection::Falling => of.falling.insert((price, order.id)),
        };
        if let Some(stop) = trailing(order)
            && of.trailing.insert(stop)
        {
            *of.trailing_of.entry(order.account).or_default() += 1;
        }
    }

    /// Removes what an order waited for.
    pub fn remove(&mut self, order: &Order) {
        let (start, end) = times(order);
        if let Some(at) = start {
            self.starts.remove(&(at, order.market, order.id));
        }
        if let Some(at) = end {
            self.ends.remove(&(at, order.market, order.id));
        }
        let Some((watch, price)) = price(order) else { return };
        let of = &mut self.triggers[order.market.index()];
        match watch {
            TriggerDirection::Rising => of.rising.remove(&(price, order.id)),
            TriggerDirection::Falling => of.falling.remove(&(price, order.id)),
        };
        if let Some(stop) = trailing(order)
            && of.trailing.remove(&stop)
            && let Entry::Occupied(mut count) = of.trailing_of.entry(order.account)
        {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    /// An order whose trigger `last` reaches: the one that the moving price meets first; at equal prices, the oldest.
    pub fn reached(&self, market: MarketId, last: Price) -> Option<OrderId> {
        let of = &self.triggers[market.index()];
        let rising = of.rising.first().filter(|(price, _)| TriggerDirection::Rising.reached(last, *price));
        // At equal prices the one with the lowest id, so not simply the last of the set.
        let falling = of.falling.last().filter(|(price, _)| TriggerDirection::Falling.reached(last, *price));
        let falling = falling.and_then(|(price, _)| of.falling.range((*price, OrderId(0))..).next());
        rising.or(falling).map(|(_, id)| *id)
    }

    /// Whether no order of a market waits for a price.
    pub fn is_idle(&self, market: MarketId) -> bool {
        let of = &self.triggers[market.index()];
        of.rising.is_empty() && of.falling.is_empty()
    }

    /// Whether there is room for a trailing stop in its market; it may be there already.
    pub fn has_room_for(&self, order: &Order) -> bool {
        let of = &self.triggers[order.market.index()];
        let own = of.trailing_of.get(&order.account).copied().unwrap_or_default();
        trailing(order).is_some_and(|stop| of.trailing.contains(&stop))
            || of.trailing.len() < TRAILING_MAX && own < TRAILING_ACCOUNT_MAX
    }

    /// The trailing stops of a side of a market for which `price` would be a new best price.
    pub fn overtaken(&self, market: MarketId, side: Side, price: Price) -> impl Iterator<Item = OrderId> + '_ {
        let (from, to) = match side {
            Side::Buy => ((price, OrderId(u64::MAX)), (Price(i64::MAX), OrderId(u64::MAX))),
            Side::Sell => ((Price(0), OrderId(0)), (price, OrderId(0))),
        };
        let stops = self.triggers[market.index()].trailing.range((side, from.0, from.1)..(side, to.0, to.1));
        stops.map(|(.., id)| *id)
    }

    /// The order whose start or end is due first.
    pub fn due(&self, now: Moment) -> Option<(MarketId, OrderId)> {
        let first = [self.starts.first(), self.ends.first()].into_iter().flatten().min();
        first.filter(|(at, ..)| *at <= now).map(|(_, market, id)| (*market, *id))
    }

    /// The orders whose end is due, earliest first.
    pub fn over(&self, now: Moment) -> impl Iterator<Item = OrderId> + '_ {
        self.ends.iter().take_while(move |(at, ..)| *at <= now).map(|(.., id)| *id)
    }
}

/// The trigger that an order waits for; none before its start.
fn price(order: &Order) -> Option<(TriggerDirection, Price)> {
    let trigger = order.trigger().filter(|trigger| trigger.fired.is_none())?;
    let waits = order.is_open() && order.status != OrderStatus::PendingNew;
    waits.then(|| (TriggerDirection::of(order.order_type, order.side), trigger.price))
}

/// Where the index has a trailing stop; `None` for other orders.
fn trailing(order: &Order) -> Option<(Side, Price, OrderId)> {
    let peak = order.trigger()?.peak?;
    Some((order.side, peak, order.id))
}

/// The start of an order that waits for it, and the end of an open one.
fn times(order: &Order) -> (Option<Moment>, Option<Moment>) {
    let Some(terms) = order.terms.as_ref().filter(|_| order.is_open()) else { return (None, None) };
    (terms.starts_at.filter(|_| order.status == OrderStatus::PendingNew), terms.expires_at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::terms::Terms;

    #[test]
    fn orders_whose_start_is_due_are_not_among_those_whose_end_is() {
        let timed = |id, start, end: Option<u64>| {
            let terms = Terms { starts_at: Some(Moment(start)), expires_at: end.map(Moment), ..Terms::default() };
            Order { terms: Some(Box::new(terms)), ..Order::waiting(id) }
        };
        let mut index = TriggerIndex::default();
        index.add_market();
        let (started, ended) = (timed(1, 5, None), timed(2, 9, Some(7)));
        [&started, &ended, &timed(3, 6, Some(20))].into_iter().for_each(|order| index.insert(order));
        assert_eq!(index.over(Moment(10)).collect::<Vec<_>>(), [OrderId(2)]);
        assert_eq!(index.due(Moment(4)), None);
        assert_eq!(index.due(Moment(10)), Some((MarketId::at(0), OrderId(1))));
        index.remove(&started);
        assert_eq!(index.due(Moment(10)), Some((MarketId::at(0), OrderId(3))));
        index.remove(&ended);
        assert_eq!(index.over(Moment(19)).count(), 0);
        assert_eq!(index.over(Moment(20)).collect::<Vec<_>>(), [OrderId(3)]);
    }
}
