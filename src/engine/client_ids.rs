//! `cl_ord_id`s that still answer with their first order: while it is open, and 60 seconds from its
//! acknowledgement (rule 30).

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::index::Names;
use crate::domain::ids::{MarketId, OrderId, ServiceUserId};
use crate::domain::limits::CLIENT_ORDER_ID_KEPT_US;
use crate::domain::money::{Price, Quantity};
use crate::domain::orders::{Order, OrderType, Side, TimeInForce};
use crate::domain::terms::Terms;
use crate::domain::text::ClientOrderId;
use crate::domain::time::Moment;

/// Whose id, and which.
type Key = (ServiceUserId, ClientOrderId);

/// What was asked for: as much of a placed order as its client chose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
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

impl Asked {
    /// The words of an order that was just placed, or would be.
    pub fn of(order: &Order) -> Asked {
        let Order { market, side, order_type, time_in_force, post_only, limit, qty, userref, .. } = *order;
        let terms = order.terms.as_ref().map(|terms| Box::new(terms.asked()));
        // The quantity of an order in quote depends on the book; its cash is among the terms.
        let qty = if terms.as_ref().is_none_or(|terms| terms.cash.is_none()) { qty } else { Quantity::ZERO };
        let limit = limit.filter(|_| terms.as_ref().is_none_or(|terms| terms.limit.is_none()));
        Asked { market, side, order_type, time_in_force, post_only, limit, qty, userref, terms }
    }
}

/// What an id stands for. There is one for each order of the last minute, so it holds no more than it must.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Named {
    order: OrderId,
    asked: Asked,
    /// The id is free from here on, if the order has ended.
    until: Moment,
}

/// The ids, and when each may go.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ClientIds {
    named: Names<Key, Named>,
    due: VecDeque<(Moment, Key, OrderId)>,
}

impl ClientIds {
    /// The order that the id was given to, and in which words.
    pub fn get(
        &self,
        owner: ServiceUserId,
        id: ClientOrderId,
        now: Moment,
        is_open: impl Fn(OrderId) -> bool,
    ) -> Option<(OrderId, &Asked)> {
        let named = self.named.get(&(owner, id))?;
        (now < named.until || is_open(named.order)).then_some((named.order, &named.asked))
    }

    /// The last order that had the id.
    pub fn last(&self, owner: ServiceUserId, id: ClientOrderId) -> Option<OrderId> {
        self.named.get(&(owner, id)).map(|named| named.order)
    }

    /// Notes a placed order, and forgets what is due by then.
    pub fn placed(&mut self, order: &Order, now: Moment, is_open: impl Fn(OrderId) -> bool) {
        while let Some((_, key, id)) = self.due.pop_front_if(|(due, ..)| *due <= now) {
            if !is_open(id) {
                self.forget(&key, id);
            }
        }
        if let Some(id) = order.cl_ord_id {
            let (key, until) = ((order.owner, id), until(order));
            self.named.insert(key, Named { order: order.id, asked: Asked::of(order), until });
            self.due.push_back((until, key, order.id));
        }
    }

    /// Notes that an order has ended. Ids of younger ones are forgotten when they are due.
    pub fn ended(&mut self, order: &Order, now: Moment) {
        if let Some(id) = order.cl_ord_id.filter(|_| until(order) <= now) {
            self.forget(&(order.owner, id), order.id);
        }
    }

    /// Forgets an id, unless another order has it by now.
    fn forget(&mut self, key: &Key, order: OrderId) {
        if self.named.get(key).is_some_and(|named| named.order == order) {
            self.named.remove(key);
        }
    }
}

/// When the id of an order that has ended is free again.
fn until(order: &Order) -> Moment {
    order.opened_at.plus_us(CLIENT_ORDER_ID_KEPT_US)
}
