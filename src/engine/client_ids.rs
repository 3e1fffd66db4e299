//! `cl_ord_id`s that still stand for their first order: while it is open, and for 60 seconds from its acceptance (rule
//! 30).

use std::collections::VecDeque;

use arrayvec::ArrayVec;
use serde::{Deserialize, Deserializer, Serialize};

use super::index::{KeyedSlab, PREFETCH_MAX, SlabIndex};
use crate::domain::ids::{MarketId, OrderId, ServiceUserId};
use crate::domain::limits::CLIENT_ORDER_ID_KEPT_US;
use crate::domain::money::{Price, Quantity};
use crate::domain::orders::{Order, OrderType, Side, TimeInForce};
use crate::domain::terms::Terms;
use crate::domain::text::ClientOrderId;
use crate::domain::time::Moment;

/// Ids that one order may forget. More than the one that it can add, so that a backlog shrinks; few, so that no order
/// pays for all of them.
const FORGOTTEN_PER_ORDER: usize = 8;

/// A Service User, and the id that it chose.
type Key = (ServiceUserId, ClientOrderId);

/// What was asked for: the part of a placed order that its client chose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderBody {
    market: MarketId,
    side: Side,
    order_type: OrderType,
    time_in_force: TimeInForce,
    post_only: bool,
    limit: Option<Price>,
    qty: Quantity,
    userref: Option<i64>,
    terms: Option<Box<Terms>>,
}

impl OrderBody {
    /// The request behind an order that was just placed, or would be.
    pub fn of(order: &Order) -> OrderBody {
        let Order { market, side, order_type, time_in_force, post_only, limit, qty, userref, .. } = *order;
        let terms = order.terms.as_ref().map(|terms| Box::new(terms.requested()));
        // A quantity computed from a quote amount depends on the book; the amount is among the terms.
        let qty = if terms.as_ref().is_none_or(|terms| terms.cash.is_none()) { qty } else { Quantity::ZERO };
        let limit = limit.filter(|_| terms.as_ref().is_none_or(|terms| terms.limit.is_none()));
        OrderBody { market, side, order_type, time_in_force, post_only, limit, qty, userref, terms }
    }
}

/// The order that an id was given to.
#[derive(Clone, Copy, Debug)]
pub struct GivenOrder<'a> {
    /// The order.
    pub order: OrderId,
    /// The request that it was placed with.
    pub body: &'a OrderBody,
    /// When it was accepted.
    pub at: Moment,
}

/// The order of an id. There is one for every order of the last minute, so it is kept small.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Given {
    order: OrderId,
    body: OrderBody,
    /// From this moment the id is free, if the order has ended.
    until: Moment,
}

/// The ids, and when each may be forgotten.
#[derive(Clone, Debug, Default)]
pub struct ClientIds {
    given: KeyedSlab<Key, Given>,
    /// From when an id may be forgotten, in this order, and its position, which a later id may have taken since.
    due: VecDeque<(Moment, SlabIndex)>,
    /// When the last order was placed. An id that was due by then counts only while its order is open, whether it has
    /// been forgotten or not.
    at: Moment,
}

impl ClientIds {
    /// The order that the id was given to, with its request and time.
    pub fn get(
        &self,
        owner: ServiceUserId,
        id: ClientOrderId,
        now: Moment,
        is_open: impl Fn(OrderId) -> bool,
    ) -> Option<GivenOrder<'_>> {
        let given = self.given.get(&(owner, id))?;
        let at = given.until.minus_us(CLIENT_ORDER_ID_KEPT_US);
        (now < given.until || is_open(given.order)).then_some(GivenOrder { order: given.order, body: &given.body, at })
    }

    /// Prefetches what [`get`](ClientIds::get) will read.
    pub fn prefetch(&self, keys: impl Iterator<Item = Key>) {
        self.given.prefetch(keys);
    }

    /// The last order that had the id.
    pub fn last(&self, owner: ServiceUserId, id: ClientOrderId) -> Option<OrderId> {
        self.given.get(&(owner, id)).map(|given| given.order)
    }

    /// Records a placed order, and forgets a few of the ids that are due by then.
    pub fn placed(&mut self, order: &Order, now: Moment, is_open: impl Fn(OrderId) -> bool) {
        let ClientIds { given, due, at } = self;
        *at = now;
        for _ in 0..FORGOTTEN_PER_ORDER {
            let Some((_, index)) = due.pop_front_if(|(until, _)| *until <= now) else { break };
            if given.at(index).is_some_and(|given| given.until <= now && !is_open(given.order)) {
                given.remove(index);
            }
        }
        if let Some(id) = order.cl_ord_id {
            let new = Given { order: order.id, body: OrderBody::of(order), until: until(order) };
            let (index, _) = given.insert((order.owner, id), new);
            due.push_back((until(order), index));
        }
    }

    /// Records that an order has ended. Ids of younger orders are forgotten when they are due.
    pub fn ended(&mut self, order: &Order, now: Moment) {
        if let Some(id) = order.cl_ord_id.filter(|_| until(order) <= now)
            && let Some(index) = self.given.find(&(order.owner, id))
            // Another order may have taken the id since.
            && self.given.at(index).is_some_and(|given| given.order == order.id)
        {
            self.given.remove(index);
        }
    }

    /// The stored form: in the order in which they fall due, and without those that are due and not forgotten yet, so
    /// that the layout in memory never shows.
    pub fn stored(&self, is_open: impl Fn(OrderId) -> bool) -> impl Serialize {
        let mut all = self.given.sorted_by_key(|given| (given.until, given.order));
        all.retain(|(_, given)| given.until > self.at || is_open(given.order));
        all
    }
}

impl<'de> Deserialize<'de> for ClientIds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ClientIds, D::Error> {
        let mut ids = ClientIds::default();
        let mut all = Vec::<(Key, Given)>::deserialize(deserializer)?.into_iter().peekable();
        while all.peek().is_some() {
            let some: ArrayVec<(Key, Given), PREFETCH_MAX> = all.by_ref().take(PREFETCH_MAX).collect();
            ids.prefetch(some.iter().map(|(key, _)| *key));
            for (key, given) in some {
                let until = given.until;
                let (index, before) = ids.given.insert(key, given);
                if before.is_some() {
                    return Err(serde::de::Error::custom("two orders of one client id"));
                }
                // An id that was already due is handled with the next orders, and stays as long as its order is open.
                ids.due.push_back((until, index));
            }
        }
        Ok(ids)
    }
}

/// When the id of an order that has ended is free again.
fn until(order: &Order) -> Moment {
    order.opened_at.plus_us(CLIENT_ORDER_ID_KEPT_US)
}
