//! `cl_ord_id`s that still answer with their first order: while it is open, and 60 seconds from its
//! acknowledgement (rule 30).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::ids::{OrderId, ServiceUserId};
use crate::domain::limits::CLIENT_ORDER_ID_KEPT_US;
use crate::domain::orders::Order;
use crate::domain::text::ClientOrderId;
use crate::domain::time::Moment;

/// Whose id, and which.
type Key = (ServiceUserId, ClientOrderId);

/// What an id stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Named {
    /// The order as it was placed.
    placed: Arc<Order>,
    open: bool,
}

/// The ids, and when each may go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientIds {
    named: BTreeMap<Key, Named>,
    due: VecDeque<(Moment, Key, OrderId)>,
}

impl ClientIds {
    /// The order that the id was given to, as it was placed.
    pub fn get(&self, owner: ServiceUserId, id: ClientOrderId, now: Moment) -> Option<&Order> {
        let named = self.named.get(&(owner, id))?;
        (named.open || now < until(&named.placed)).then_some(&named.placed)
    }

    /// The open order that has the id.
    pub fn open(&self, owner: ServiceUserId, id: ClientOrderId) -> Option<OrderId> {
        self.named.get(&(owner, id)).filter(|named| named.open).map(|named| named.placed.id)
    }

    /// Notes a placed order, and forgets what is due by then.
    pub fn placed(&mut self, order: &Arc<Order>, now: Moment) {
        while let Some((_, key, id)) = self.due.pop_front_if(|(due, ..)| *due <= now) {
            if self.named.get(&key).is_some_and(|named| named.placed.id == id && !named.open) {
                self.named.remove(&key);
            }
        }
        if let Some(id) = order.cl_ord_id {
            let key = (order.owner, id);
            self.named.insert(key, Named { placed: Arc::clone(order), open: true });
            self.due.push_back((until(order), key, order.id));
        }
    }

    /// Notes that an order has ended.
    pub fn ended(&mut self, order: &Order, now: Moment) {
        let Some(id) = order.cl_ord_id else { return };
        let key = (order.owner, id);
        let Some(named) = self.named.get_mut(&key).filter(|named| named.placed.id == order.id) else { return };
        named.open = false;
        if until(&named.placed) <= now {
            self.named.remove(&key);
        }
    }
}

fn until(placed: &Order) -> Moment {
    placed.opened_at.plus_us(CLIENT_ORDER_ID_KEPT_US)
}
