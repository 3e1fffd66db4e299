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
use super::index::Index;
use super::ledger::Ledger;
use super::reference::Reference;
use super::watches::Watches;
use crate::domain::ids::{AccountId, AssetId, MarketId, OrderId, ServiceUserId};
use crate::domain::money::{Amount, Price};
use crate::domain::orders::{Order, Side};
use crate::domain::text::ClientOrderId;
use crate::domain::time::Moment;

/// Ended orders that an account's list may keep in any case.
const ENDED_KEPT: usize = 64;

/// Open orders, their books and the recent client ids.
#[derive(Clone, Debug, Default)]
pub struct Orders {
    books: Vec<Book>,
    prints: Vec<Print>,
    watches: Watches,
    /// The market that an open order is in.
    markets: Index,
    by_account: Vec<Opened>,
    client_ids: ClientIds,
}

/// The orders that an account has opened, oldest first. What has ended stays among them until it is the larger part,
/// so that an end costs no search.
#[derive(Clone, Debug, Default)]
struct Opened {
    ids: Vec<OrderId>,
    /// How many are open in each market.
    open: BTreeMap<MarketId, usize>,
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
        let account = order.account.index();
        if self.by_account.len() <= account {
            self.by_account.resize_with(account + 1, Opened::default);
        }
        let opened = &mut self.by_account[account];
        opened.ids.push(order.id);
        *opened.open.entry(order.market).or_default() += 1;
        self.markets.insert(order.id, order.market.index() as u32);
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
        self.by_account.get(account.index()).into_iter().flat_map(|opened| self.still_open(opened)).map(Arc::as_ref)
    }

    fn still_open(&self, opened: &Opened) -> impl Iterator<Item = &Arc<Order>> {
        opened.ids.iter().filter_map(|id| self.by_id(*id))
    }

    /// Open orders placed by a Service User, oldest first.
    pub fn open_of(&self, account: AccountId, owner: ServiceUserId) -> Vec<Order> {
        self.open_orders(account).filter(|order| order.owner == owner).cloned().collect()
    }

    /// Every open order: those that rest in the order of their queues, then those that wait, by id.
    pub fn queued(&self) -> impl Iterator<Item = &Order> {
        let resting = self.books.iter().flat_map(|book| book.against(Side::Buy).chain(book.against(Side::Sell)));
        let waiting = self.by_account.iter().flat_map(|opened| self.still_open(opened));
        resting.chain(waiting.filter(|order| order.waits())).map(Arc::as_ref)
    }

    /// How many open orders an account has.
    pub fn open_count(&self, account: AccountId) -> usize {
        self.by_account.get(account.index()).map_or(0, |opened| opened.open.values().sum())
    }

    /// How many open orders an account has in one market.
    pub fn open_in(&self, account: AccountId, market: MarketId) -> usize {
        self.by_account.get(account.index()).and_then(|opened| opened.open.get(&market)).copied().unwrap_or(0)
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
        self.by_id(id).map(Arc::as_ref).filter(|order| order.account == account)
    }

    fn by_id(&self, id: OrderId) -> Option<&Arc<Order>> {
        let market = self.markets.get(id)?;
        self.books[market as usize].get(id)
    }

    fn replace(&mut self, at: Moment, order: &Arc<Order>, reference: &Reference, ledger: &mut Ledger) {
        let book = &mut self.books[order.market.index()];
        let replaced = if order.is_open() { book.replace(Arc::clone(order)) } else { book.remove(order.id) };
        let Some(before) = replaced else { return };
        self.follow(&before, order, reference, ledger);
        if order.is_open() {
            return;
        }
        self.markets.remove(order.id);
        let Opened { ids, open } = &mut self.by_account[order.account.index()];
        let left = open.get_mut(&order.market).map_or(0, |count| {
            *count -= 1;
            *count
        });
        if left == 0 {
            open.remove(&order.market);
        }
        if ids.len() > 2 * open.values().sum::<usize>() + ENDED_KEPT {
            ids.retain(|id| self.markets.get(*id).is_some());
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
        all.by_account.iter_mut().for_each(|opened| opened.ids.sort_unstable());
        Ok(all)
    }
}
