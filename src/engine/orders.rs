//! Open orders of every market: what is folded in, and what can be asked. The judgement of a new order is
//! in [`trading`](super::trading).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::book::Book;
use super::caller::ServiceCaller;
use super::client_ids::ClientIds;
use super::command::OrderRef;
use super::event::{Event, Place};
use super::ledger::Ledger;
use super::reference::Reference;
use super::watches::Watches;
use crate::domain::ids::{AccountId, AssetId, MarketId, OrderId, ServiceUserId};
use crate::domain::money::{Amount, Price};
use crate::domain::orders::{Order, Side};
use crate::domain::text::ClientOrderId;
use crate::domain::time::Moment;

/// Open orders, their books and the recent client ids.
#[derive(Clone, Debug, Default)]
pub struct Orders {
    books: Vec<Book>,
    prints: Vec<Print>,
    watches: Watches,
    by_account: BTreeMap<AccountId, BTreeMap<OrderId, MarketId>>,
    client_ids: ClientIds,
}

/// What a market's trades have come to.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Print {
    /// How many there were.
    trades: u64,
    /// The price of the last.
    last: Option<Price>,
}

impl Orders {
    /// Opens the book of a new market.
    pub fn add_market(&mut self) {
        self.books.push(Book::default());
        self.prints.push(Print::default());
        self.watches.add_market();
    }

    /// Folds an event in; holds follow the orders' `held`.
    pub fn apply(&mut self, at: Moment, event: &Event, reference: &Reference, ledger: &mut Ledger) {
        match event {
            Event::OrderPlaced { order, rests } => {
                ledger.hold(order.account, held_asset(order, reference), order.held);
                self.client_ids.placed(order, at);
                self.insert(Arc::clone(order), *rests);
            }
            Event::Traded(trade) => {
                self.prints[trade.market.index()] = Print { trades: trade.trade_id, last: Some(trade.price) };
                self.replace(at, &trade.maker.order, reference, ledger);
                self.replace(at, &trade.taker.order, reference, ledger);
            }
            Event::OrderRested(id) => self.books.iter_mut().for_each(|book| book.rest(*id)),
            Event::OrderCanceled { order, .. } => self.replace(at, order, reference, ledger),
            Event::OrderActivated { order, rests } => self.move_to(order, *rests, reference, ledger),
            Event::OrderAmended { order, place } => match place {
                Place::Kept => self.replace(at, order, reference, ledger),
                Place::Back => self.move_to(order, true, reference, ledger),
                Place::Off => self.move_to(order, false, reference, ledger),
            },
            Event::OrderRefilled(order) => self.move_to(order, true, reference, ledger),
            Event::TriggerMoved(order) => self.replace(at, order, reference, ledger),
            _ => {}
        }
    }

    fn insert(&mut self, order: Arc<Order>, rests: bool) {
        self.by_account.entry(order.account).or_default().insert(order.id, order.market);
        if order.terms.is_some() {
            self.watches.insert(&order);
        }
        self.books[order.market.index()].insert(order, rests);
    }

    /// The book of a market.
    pub fn book(&self, market: MarketId) -> &Book {
        &self.books[market.index()]
    }

    /// The id that the market's next trade will have.
    pub fn next_trade_id(&self, market: MarketId) -> u64 {
        self.prints[market.index()].trades + 1
    }

    /// The price of the market's last trade.
    pub fn last_price(&self, market: MarketId) -> Option<Price> {
        self.prints[market.index()].last
    }

    /// What open orders wait for.
    pub fn watches(&self) -> &Watches {
        &self.watches
    }

    /// Open orders of an account, oldest first.
    pub fn open(&self, account: AccountId, market: Option<MarketId>) -> Vec<Order> {
        self.open_orders(account).filter(|order| market.is_none_or(|market| market == order.market)).cloned().collect()
    }

    fn open_orders(&self, account: AccountId) -> impl Iterator<Item = &Order> {
        let all = self.by_account.get(&account).into_iter().flatten();
        all.filter_map(|(id, market)| self.book(*market).get(*id).map(Arc::as_ref))
    }

    /// Open orders placed by a Service User, oldest first.
    pub fn open_of(&self, account: AccountId, owner: ServiceUserId) -> Vec<Order> {
        self.open_orders(account).filter(|order| order.owner == owner).cloned().collect()
    }

    /// Every open order: those that rest in the order of their queues, then those that wait, by id.
    pub fn queued(&self) -> impl Iterator<Item = &Order> {
        let resting = self.books.iter().flat_map(|book| book.against(Side::Buy).chain(book.against(Side::Sell)));
        let waiting = self.by_account.values().flatten().filter_map(|(id, market)| self.book(*market).get(*id));
        resting.chain(waiting.filter(|order| order.waits())).map(Arc::as_ref)
    }

    /// How many open orders an account has.
    pub fn open_count(&self, account: AccountId) -> usize {
        self.by_account.get(&account).map_or(0, BTreeMap::len)
    }

    /// How many open orders an account has in one market.
    pub fn open_in(&self, account: AccountId, market: MarketId) -> usize {
        self.by_account.get(&account).map_or(0, |of| of.values().filter(|in_market| **in_market == market).count())
    }

    /// The open orders that a caller means: by order id any of the account, by client id only the caller's own.
    pub fn find(&self, caller: ServiceCaller, which: &OrderRef) -> Vec<Order> {
        let id = match which {
            OrderRef::Id(id) => Some(*id),
            OrderRef::ClientId(id) => self.client_ids.open(caller.id, *id),
            OrderRef::UserRef(group) => {
                let all = self.open_orders(caller.account);
                return all.filter(|order| order.userref == Some(*group)).cloned().collect();
            }
        };
        id.and_then(|id| self.get(caller.account, id)).cloned().into_iter().collect()
    }

    /// The order that a client id still answers with, as it was placed.
    pub fn named(&self, owner: ServiceUserId, id: ClientOrderId, now: Moment) -> Option<&Order> {
        self.client_ids.get(owner, id, now)
    }

    fn get(&self, account: AccountId, id: OrderId) -> Option<&Order> {
        let market = self.by_account.get(&account)?.get(&id)?;
        self.book(*market).get(id).map(Arc::as_ref)
    }

    fn replace(&mut self, at: Moment, order: &Arc<Order>, reference: &Reference, ledger: &mut Ledger) {
        let book = &mut self.books[order.market.index()];
        let replaced = if order.is_open() { book.replace(Arc::clone(order)) } else { book.remove(order.id) };
        let Some(before) = replaced else { return };
        self.follow(&before, order, reference, ledger);
        if order.is_open() {
            return;
        }
        if let Some(orders) = self.by_account.get_mut(&order.account) {
            orders.remove(&order.id);
        }
        self.client_ids.ended(order, at);
    }

    fn move_to(&mut self, order: &Arc<Order>, rests: bool, reference: &Reference, ledger: &mut Ledger) {
        if let Some(before) = self.books[order.market.index()].move_to(Arc::clone(order), rests) {
            self.follow(&before, order, reference, ledger);
        }
    }

    /// Lets holds and watches follow an order from what it was to what it is.
    fn follow(&mut self, before: &Order, order: &Order, reference: &Reference, ledger: &mut Ledger) {
        let delta = Amount(order.held.0 - before.held.0);
        ledger.hold(order.account, held_asset(order, reference), delta);
        if order.terms.is_some() {
            self.watches.remove(before);
            self.watches.insert(order);
        }
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

/// The stored form: orders in the order of their queues, waiting ones last, so that the books are rebuilt from
/// them and the slab's layout never shows.
#[derive(Serialize, Deserialize)]
struct Stored<O> {
    orders: Vec<O>,
    prints: Vec<Print>,
    client_ids: ClientIds,
}

impl Serialize for Orders {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let orders: Vec<&Order> = self.queued().collect();
        Stored { orders, prints: self.prints.clone(), client_ids: self.client_ids.clone() }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Orders {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Orders, D::Error> {
        let Stored { orders, prints, client_ids } = Stored::<Order>::deserialize(deserializer)?;
        let mut all = Orders::default();
        prints.iter().for_each(|_| all.add_market());
        (all.prints, all.client_ids) = (prints, client_ids);
        for order in orders {
            let book = all.books.get(order.market.index());
            let book = book.ok_or_else(|| serde::de::Error::custom("an order of no market"))?;
            if book.get(order.id).is_some() {
                return Err(serde::de::Error::custom("two orders of one id"));
            }
            let rests = !order.waits();
            all.insert(Arc::new(order), rests);
        }
        Ok(all)
    }
}
