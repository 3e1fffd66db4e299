//! A book that is easy to follow: flat lists searched from end to end. It does what the protocol says, in the plainest
//! way; `reference_play.rs` fuzzes the engine against it.

use countersign::domain::orders::TimeInForce;
use countersign::domain::terms::SelfTrade;

/// Maker, taker, quantity, price.
pub type Fill = (u64, u64, i64, i64);

#[derive(Clone, Debug)]
pub struct Trigger {
    pub rising: bool,
    pub at: i64,
    /// The distance of a trailing stop, and the best price since it began.
    pub trail: Option<(i64, i64)>,
    /// The distance of a trailing stop-limit's limit from the price at which it fires.
    pub limit: Option<i64>,
}

/// The Organization of a trader, counted from 1: those from the third on share one, each with an account of its own.
pub fn organization(who: u32) -> u32 {
    who.min(3)
}

#[derive(Clone, Debug)]
pub struct Entry {
    pub id: u64,
    pub who: u32,
    pub buys: bool,
    pub limit: Option<i64>,
    pub left: i64,
    pub filled: i64,
    /// The slice size, and what is left of the current slice.
    pub slice: Option<(i64, i64)>,
    pub trigger: Option<Trigger>,
    pub patience: TimeInForce,
    pub ends: Option<u64>,
    pub self_trade: SelfTrade,
    /// Its position within its price; `None` while it is in no queue.
    pub turn: Option<u64>,
}

impl Entry {
    fn shows(&self) -> i64 {
        self.slice.map_or(self.left, |(_, shown)| shown)
    }

    fn admits(&self, price: i64) -> bool {
        self.limit.is_none_or(|limit| if self.buys { price <= limit } else { price >= limit })
    }
}

#[derive(Clone, Default)]
pub struct Naive {
    pub orders: Vec<Entry>,
    pub last: Option<i64>,
    pub turns: u64,
    pub now: u64,
    pub fills: Vec<Fill>,
    /// Trades whose consequences have not been processed yet.
    pub news: Vec<i64>,
}

impl Naive {
    fn at(&self, id: u64) -> usize {
        self.orders.iter().position(|order| order.id == id).unwrap()
    }

    /// The order that an order of this side meets first.
    fn best_against(&self, buys: bool) -> Option<usize> {
        let queued = self.orders.iter().enumerate().filter(|(_, order)| {
            order.buys != buys && order.turn.is_some() && order.ends.is_none_or(|end| end > self.now)
        });
        queued
            .min_by_key(|(_, order)| {
                let price = order.limit.unwrap();
                (if buys { price } else { -price }, order.turn)
            })
            .map(|(at, _)| at)
    }

    fn meets(&self, order: &Entry) -> bool {
        self.best_against(order.buys).is_some_and(|at| order.admits(self.orders[at].limit.unwrap()))
    }

    fn next_turn(&mut self) -> Option<u64> {
        self.turns += 1;
        Some(self.turns)
    }

    /// Whether it could be filled completely without meeting an own order that would stop it. Tried on a copy: an
    /// iceberg's later slices may come after what ends the order.
    fn fills_whole(&self, order: &Entry) -> bool {
        let mut trial = self.clone();
        let at = trial.at(order.id);
        trial.orders[at].patience = TimeInForce::Ioc;
        let seen = trial.fills.len();
        trial.go_live(order.id);
        let filled: i64 = trial.fills[seen..].iter().filter(|fill| fill.1 == order.id).map(|fill| fill.2).sum();
        filled == order.left
    }

    /// Whether the order was accepted.
    pub fn place(&mut self, order: Entry, post_only: bool) -> bool {
        let mut order = order;
        if let Some(trigger) = &mut order.trigger {
            if let Some((distance, peak)) = &mut trigger.trail {
                let Some(last) = self.last else { return false };
                *peak = last;
                trigger.at = if order.buys { last + *distance } else { last - *distance };
                if trigger.at <= 0 {
                    return false;
                }
            }
            let news = self.last;
            self.orders.push(order);
            self.news.extend(news);
            self.settle();
            return true;
        }
        let meets = self.meets(&order);
        if (post_only && meets) || (order.limit.is_none() && !meets) {
            return false;
        }
        let id = order.id;
        self.orders.push(order);
        self.go_live(id);
        self.settle();
        true
    }

    fn go_live(&mut self, id: u64) {
        let order = self.orders[self.at(id)].clone();
        if order.patience == TimeInForce::Fok && !self.fills_whole(&order) {
            self.orders.retain(|order| order.id != id);
            return;
        }
        while let Some(maker) = self.best_against(order.buys) {
            let taker = self.at(id);
            let price = self.orders[maker].limit.unwrap();
            if self.orders[taker].left == 0 || !self.orders[taker].admits(price) {
                break;
            }
            let Entry { id: maker_id, who, .. } = self.orders[maker];
            if organization(who) == organization(order.who) {
                let (ends_maker, ends_taker) = match order.self_trade {
                    SelfTrade::CancelNewest => (false, true),
                    SelfTrade::CancelOldest => (true, false),
                    SelfTrade::CancelBoth => (true, true),
                };
                self.orders.retain(|order| !(ends_maker && order.id == maker_id || ends_taker && order.id == id));
                if ends_taker {
                    return;
                }
                continue;
            }
            let qty = self.orders[maker].shows().min(self.orders[taker].left);
            self.fills.push((maker_id, id, qty, price));
            self.last = Some(price);
            self.news.push(price);
            for at in [maker, taker] {
                self.orders[at].left -= qty;
                self.orders[at].filled += qty;
            }
            if let Some((size, shown)) = self.orders[maker].slice {
                self.orders[maker].slice = Some((size, shown - qty));
                if shown == qty && self.orders[maker].left > 0 {
                    self.orders[maker].slice = Some((size, size.min(self.orders[maker].left)));
                    self.orders[maker].turn = self.next_turn();
                }
            }
            let left = self.orders[taker].left;
            if let Some((size, _)) = self.orders[taker].slice {
                self.orders[taker].slice = Some((size, size.min(left)));
            }
            self.orders.retain(|order| order.left > 0 || order.id == id);
        }
        let taker = self.at(id);
        let order = &self.orders[taker];
        if order.left == 0 || order.limit.is_none() || !order.patience.waits() {
            self.orders.remove(taker);
        } else {
            self.orders[taker].turn = self.next_turn();
        }
    }

    /// Lets trades move trailing stops and reach triggers; orders that go live trade in turn.
    fn settle(&mut self) {
        let mut seen = 0;
        while seen < self.news.len() {
            let price = self.news[seen];
            seen += 1;
            for order in &mut self.orders {
                let Some(Trigger { at, trail: Some((distance, peak)), .. }) = &mut order.trigger else { continue };
                let better = if order.buys { price < *peak } else { price > *peak };
                let moved = if order.buys { price + *distance } else { price - *distance };
                if better && moved > 0 {
                    (*peak, *at) = (price, moved);
                }
            }
            while let Some(id) = self.reached(price) {
                let at = self.at(id);
                let fired = self.orders[at].trigger.take().unwrap();
                self.orders[at].limit = fired.limit.map(|distance| fired.at + distance).or(self.orders[at].limit);
                let order = self.orders[at].clone();
                let ends = order.limit.map_or_else(|| !self.meets(&order), |limit| limit <= 0);
                if ends {
                    self.orders.remove(at);
                } else {
                    self.go_live(id);
                }
            }
        }
        self.news.clear();
    }

    fn reached(&self, last: i64) -> Option<u64> {
        let watched = self.orders.iter().filter_map(|order| order.trigger.as_ref().map(|trigger| (trigger, order.id)));
        let rising = watched.clone().filter(|(trigger, _)| trigger.rising && last >= trigger.at);
        let falling = watched.filter(|(trigger, _)| !trigger.rising && last <= trigger.at);
        let rising = rising.min_by_key(|(trigger, id)| (trigger.at, *id));
        let falling = falling.min_by_key(|(trigger, id)| (-trigger.at, *id));
        rising.or(falling).map(|(_, id)| id)
    }

    /// Whether the amendment was accepted: a new quantity, a new limit or a new distance of the limit.
    pub fn amend(&mut self, id: u64, whole: Option<i64>, limit: Option<i64>) -> bool {
        let at = self.at(id);
        let before = self.orders[at].clone();
        let mut order = before.clone();
        if let Some(whole) = whole {
            order.left = whole.max(order.filled) - order.filled;
        }
        match &mut order.trigger {
            Some(trigger) if trigger.limit.is_some() => trigger.limit = limit.or(trigger.limit),
            _ if limit.is_some() && before.limit.is_none() => return false,
            _ => order.limit = limit.or(order.limit),
        }
        if let Some((size, shown)) = order.slice {
            order.slice = Some((size, shown.min(order.left)));
        }
        let asked = |order: &Entry| (order.left, order.limit, order.trigger.as_ref().and_then(|trigger| trigger.limit));
        if asked(&order) == asked(&before) {
            return false;
        }
        if order.left == 0 {
            self.orders.remove(at);
            return true;
        }
        let waits = order.trigger.is_some();
        let moved = order.limit != before.limit;
        if !waits && moved && self.meets(&order) {
            order.turn = None;
            self.orders[at] = order;
            self.go_live(id);
        } else {
            if !waits && (moved || order.left > before.left) {
                order.turn = self.next_turn();
            }
            self.orders[at] = order;
            self.news.extend(self.last.filter(|_| waits));
        }
        self.settle();
        true
    }

    pub fn pass(&mut self, now: u64) {
        self.now = now;
        self.orders.retain(|order| order.ends.is_none_or(|end| end > now));
    }

    /// The visible queue of a side: id, price and quantity, best first.
    pub fn queue(&self, buys: bool) -> Vec<(u64, i64, i64)> {
        let mut queue: Vec<&Entry> =
            self.orders.iter().filter(|order| order.buys == buys && order.turn.is_some()).collect();
        queue.sort_by_key(|order| (if buys { -order.limit.unwrap() } else { order.limit.unwrap() }, order.turn));
        queue.iter().map(|order| (order.id, order.limit.unwrap(), order.shows())).collect()
    }
}
