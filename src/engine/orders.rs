//! Open orders of every market: what is folded in, and what can be asked. The judgement of a new order is
//! in [`trading`](super::trading).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::book::Book;
use super::caller::ServiceCaller;
use super::client_ids::ClientIds;
use super::command::OrderRef;
use super::event::Event;
use super::ledger::Ledger;
use super::reference::Reference;
use crate::domain::ids::{AccountId, AssetId, MarketId, OrderId, ServiceUserId};
use crate::domain::markets::Market;
use crate::domain::money::Amount;
use crate::domain::orders::{Order, Side};
use crate::domain::text::ClientOrderId;
use crate::domain::time::Moment;

/// Open orders, their books and the recent client ids.
#[derive(Clone, Debug, Default)]
pub struct Orders {
    books: Vec<Book>,
    trades: Vec<u64>,
    by_account: BTreeMap<AccountId, BTreeMap<OrderId, MarketId>>,
    client_ids: ClientIds,
}

impl Orders {
    /// Opens the book of a new market.
    pub fn add_market(&mut self, _market: &Market) {
        self.books.push(Book::default());
        self.trades.push(0);
    }

    /// Folds an event in; holds follow the orders' `held`.
    pub fn apply(&mut self, at: Moment, event: &Event, reference: &Reference, ledger: &mut Ledger) {
        match event {
            Event::OrderPlaced { order, rests } => {
                ledger.hold(order.account, held_asset(order, reference), order.held);
                self.by_account.entry(order.account).or_default().insert(order.id, order.market);
                self.client_ids.placed(order, at);
                self.books[order.market.index()].insert((**order).clone(), *rests);
            }
            Event::Traded(trade) => {
                self.trades[trade.market.index()] = trade.trade_id;
                self.replace(at, &trade.maker.order, reference, ledger);
                self.replace(at, &trade.taker.order, reference, ledger);
            }
            Event::OrderRested(id) => self.books.iter_mut().for_each(|book| book.rest(*id)),
            Event::OrderCanceled { order, .. } => self.replace(at, order, reference, ledger),
            _ => {}
        }
    }

    /// The book of a market.
    pub fn book(&self, market: MarketId) -> &Book {
        &self.books[market.index()]
    }

    /// The id that the market's next trade will have.
    pub fn next_trade_id(&self, market: MarketId) -> u64 {
        self.trades[market.index()] + 1
    }

    /// Open orders of an account, oldest first.
    pub fn open(&self, account: AccountId, market: Option<MarketId>) -> Vec<Order> {
        let all = self.by_account.get(&account).into_iter().flatten();
        let wanted = all.filter(|(_, of)| market.is_none_or(|market| market == **of));
        wanted.filter_map(|(id, of)| self.book(*of).get(*id).cloned()).collect()
    }

    /// Open orders placed by a Service User, oldest first.
    pub fn open_of(&self, account: AccountId, owner: ServiceUserId) -> Vec<Order> {
        let mut orders = self.open(account, None);
        orders.retain(|order| order.owner == owner);
        orders
    }

    /// Every open order, oldest first.
    pub fn all(&self) -> Vec<Order> {
        let ids: BTreeSet<(OrderId, MarketId)> =
            self.by_account.values().flatten().map(|(id, market)| (*id, *market)).collect();
        ids.iter().filter_map(|(id, market)| self.book(*market).get(*id).cloned()).collect()
    }

    /// How many open orders an account has.
    pub fn open_count(&self, account: AccountId) -> usize {
        self.by_account.get(&account).map_or(0, BTreeMap::len)
    }

    /// The open orders that a caller means: by order id any of the account, by client id only the caller's own.
    pub fn find(&self, caller: ServiceCaller, which: &OrderRef) -> Vec<Order> {
        let mut orders = self.open(caller.account, None);
        match which {
            OrderRef::Id(id) => return self.get(caller.account, *id).cloned().into_iter().collect(),
            OrderRef::ClientId(id) => orders.retain(|order| order.owner == caller.id && order.cl_ord_id == Some(*id)),
            OrderRef::UserRef(group) => orders.retain(|order| order.userref == Some(*group)),
        }
        orders
    }

    /// The order that a client id still answers with, as it was placed.
    pub fn named(&self, owner: ServiceUserId, id: ClientOrderId, now: Moment) -> Option<&Order> {
        self.client_ids.get(owner, id, now)
    }

    fn get(&self, account: AccountId, id: OrderId) -> Option<&Order> {
        let market = self.by_account.get(&account)?.get(&id)?;
        self.book(*market).get(id)
    }

    fn replace(&mut self, at: Moment, order: &Order, reference: &Reference, ledger: &mut Ledger) {
        let Some(before) = self.books[order.market.index()].replace(order) else { return };
        let released = Amount(order.held.0 - before.held.0);
        ledger.hold(order.account, held_asset(order, reference), released);
        if order.is_open() {
            return;
        }
        if let Some(orders) = self.by_account.get_mut(&order.account) {
            orders.remove(&order.id);
        }
        self.client_ids.ended(order, at);
    }
}

/// What an order holds: quote for a buy, base for a sell.
pub fn held_asset(order: &Order, reference: &Reference) -> AssetId {
    let market = reference.market(order.market);
    match order.side {
        Side::Buy => market.quote,
        Side::Sell => market.base,
    }
}

/// The stored form: every open order rests between two commands, and its id is its place in time, so the
/// books are rebuilt from the orders and the slab's layout never shows.
#[derive(Serialize, Deserialize)]
struct Stored<O> {
    orders: Vec<O>,
    trades: Vec<u64>,
    client_ids: ClientIds,
}

impl Serialize for Orders {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ids: BTreeSet<(OrderId, MarketId)> =
            self.by_account.values().flatten().map(|(id, market)| (*id, *market)).collect();
        let orders: Vec<&Order> = ids.iter().filter_map(|(id, market)| self.book(*market).get(*id)).collect();
        Stored { orders, trades: self.trades.clone(), client_ids: self.client_ids.clone() }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Orders {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Orders, D::Error> {
        let Stored { orders, trades, client_ids } = Stored::<Order>::deserialize(deserializer)?;
        let mut all =
            Orders { books: vec![Book::default(); trades.len()], trades, by_account: BTreeMap::new(), client_ids };
        for order in orders {
            let book = all.books.get_mut(order.market.index());
            let book = book.ok_or_else(|| serde::de::Error::custom("an order of no market"))?;
            all.by_account.entry(order.account).or_default().insert(order.id, order.market);
            book.insert(order, true);
        }
        Ok(all)
    }
}
