//! Open orders of every market: applying events, and look-ups. New orders are judged in [`trading`](super::trading).

use std::collections::{BTreeMap, BTreeSet};

use arrayvec::ArrayVec;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::book::{Book, Slot};
use super::caller::ServiceCaller;
use super::client_ids::{ClientIds, GivenOrder};
use super::command::OrderRef;
use super::event::{Event, QueuePosition};
use super::index::{Index, PREFETCH_MAX};
use super::ledger::Ledger;
use super::query::OrderFilter;
use super::reference::Reference;
use super::trigger_index::TriggerIndex;
use crate::domain::ids::{AccountId, AssetId, MarketId, OrderId, ServiceUserId};
use crate::domain::limits::ORGANIZATIONS_MAX;
use crate::domain::money::{Price, Quantity};
use crate::domain::orders::{Order, Side};
use crate::domain::text::ClientOrderId;
use crate::domain::time::Moment;

/// Ended orders that an account's list may always keep.
const ENDED_KEPT: usize = 64;

/// Open orders, their books and the recent client ids.
#[derive(Clone, Debug, Default)]
pub struct Orders {
    books: Vec<Book>,
    last_trades: Vec<LastTrade>,
    triggers: TriggerIndex,
    /// The market of each open order, and its slot in that market's book.
    places: Index<(MarketId, Slot)>,
    /// When an order was queued or amended in its queue, if that was after its acceptance; such an order has terms.
    requeued: Index<Moment>,
    by_account: Vec<Opened>,
    /// The open orders that have an `order_userref`, by account and that group.
    by_group: BTreeSet<(AccountId, i64, OrderId)>,
    client_ids: ClientIds,
}

/// The orders that an account has opened, oldest first. Ended ones stay until they are the majority, so that ending an
/// order needs no search.
#[derive(Clone, Debug, Default)]
struct Opened {
    ids: Vec<OrderId>,
    /// How many are open.
    count: usize,
    /// How many are open in each market.
    open: BTreeMap<MarketId, usize>,
}

/// The last trade of a market.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct LastTrade {
    /// Its number, counted from 1; 0 before the first.
    id: u64,
    /// Its price.
    price: Option<Price>,
}

impl Orders {
    /// Opens the book of a new market.
    pub fn add_market(&mut self) {
        self.books.push(Book::default());
        self.last_trades.push(LastTrade::default());
        self.triggers.add_market();
    }

    /// Applies an event; holds follow the orders' `held`.
    pub fn apply(&mut self, at: Moment, event: &Event, reference: &Reference, ledger: &mut Ledger) {
        match event {
            Event::OrderPlaced { order, rests } => {
                ledger.hold(order.account, held_asset(order, reference), order.held);
                self.client_ids.placed(order, at, |id| self.places.get(id).is_some());
                self.insert(order.clone(), *rests);
            }
            Event::Traded(trade) => {
                self.last_trades[trade.market.index()] = LastTrade { id: trade.trade_id, price: Some(trade.price) };
                self.replace(at, &trade.maker.order, reference, ledger);
                self.replace(at, &trade.taker.order, reference, ledger);
            }
            Event::OrderRested(id) => {
                if let Some((market, slot)) = self.places.get(*id) {
                    self.books[market.index()].rest(slot);
                }
            }
            Event::OrderCanceled { order, .. } | Event::TriggerMoved(order) => {
                self.replace(at, order, reference, ledger)
            }
            Event::OrderActivated { order, rests } => self.move_to(at, order, *rests, reference, ledger),
            Event::OrderAmended { order, place: QueuePosition::Kept } => {
                // A change of what an iceberg hides is not shown to others.
                if self.get(order.id).is_some_and(|before| before.visible() != order.visible()) {
                    self.requeued.insert(order.id, at);
                }
                self.replace(at, order, reference, ledger);
            }
            Event::OrderAmended { order, place } => {
                self.move_to(at, order, *place == QueuePosition::Back, reference, ledger)
            }
            Event::OrderRefilled(order) => self.move_to(at, order, true, reference, ledger),
            _ => {}
        }
    }

    fn insert(&mut self, order: Order, rests: bool) {
        let (id, market, account) = (order.id, order.market, order.account.index());
        if self.by_account.len() <= account {
            self.by_account.resize_with(account + 1, Opened::default);
        }
        let opened = &mut self.by_account[account];
        opened.ids.push(id);
        opened.count += 1;
        *opened.open.entry(market).or_default() += 1;
        if let Some(group) = order.userref {
            self.by_group.insert((order.account, group, id));
        }
        if order.terms.is_some() {
            self.triggers.insert(&order);
        }
        let slot = self.books[market.index()].insert(order, rests);
        self.places.insert(id, (market, slot));
    }

    /// Prefetches the first of these orders, if they are open, and their neighbours: first reads all places, then what
    /// is there, so that no look-up waits for the one before it.
    pub fn prefetch(&self, ids: impl Iterator<Item = OrderId>) {
        let places: ArrayVec<_, PREFETCH_MAX> = ids.filter_map(|id| self.places.get(id)).take(PREFETCH_MAX).collect();
        for (market, slot) in places {
            self.books[market.index()].prefetch(slot);
        }
    }

    /// Prefetches the first of these client ids in the same way.
    pub fn prefetch_names(&self, names: impl Iterator<Item = (ServiceUserId, ClientOrderId)>) {
        self.client_ids.prefetch(names);
    }

    /// How many orders are open.
    pub fn count(&self) -> usize {
        self.places.count()
    }

    /// An open order.
    pub fn get(&self, id: OrderId) -> Option<&Order> {
        let (market, slot) = self.places.get(id)?;
        self.books[market.index()].get(slot)
    }

    /// Whether an order is in its market's book.
    pub fn rests(&self, id: OrderId) -> bool {
        self.places.get(id).is_some_and(|(market, slot)| self.books[market.index()].rests(slot))
    }

    /// When an open order was queued, or last amended in its queue in a way that others saw.
    pub fn queued_at(&self, order: &Order) -> Moment {
        self.requeued.get(order.id).unwrap_or(order.opened_at)
    }

    /// The book of a market.
    pub fn book(&self, market: MarketId) -> &Book {
        &self.books[market.index()]
    }

    /// The id that the market's next trade will have.
    pub fn next_trade_id(&self, market: MarketId) -> u64 {
        self.last_trades[market.index()].id + 1
    }

    /// The price of the market's last trade.
    pub fn last_price(&self, market: MarketId) -> Option<Price> {
        self.last_trades[market.index()].price
    }

    /// What open orders wait for.
    pub fn triggers(&self) -> &TriggerIndex {
        &self.triggers
    }

    /// A page of the open orders of an account, oldest first, and where the next one begins. Only the page is copied.
    pub fn page(
        &self,
        account: AccountId,
        market: Option<MarketId>,
        filter: &OrderFilter,
    ) -> (Vec<Order>, Option<OrderId>) {
        let opened = self.by_account.get(account.index()).map_or(&[][..], |opened| &opened.ids);
        let first = filter.after.map_or(0, |after| opened.partition_point(|id| *id <= after));
        let of_market = |order: &&Order| market.is_none_or(|market| market == order.market);
        let ids: Box<dyn Iterator<Item = OrderId> + '_> = match filter.order_userref {
            // 0 also stands for orders without a group, which are in no index.
            None | Some(0) => Box::new(opened[first..].iter().copied()),
            Some(group) => Box::new(self.of_group(account, group, filter.after)),
        };
        let open = ids.filter_map(|id| self.get(id)).filter(of_market);
        let mut found = open.filter(|order| filter.admits(order));
        let page: Vec<Order> = found.by_ref().take(filter.limit.unwrap_or(usize::MAX)).cloned().collect();
        let next = found.next().and_then(|_| page.last()).map(|last| last.id);
        (page, next)
    }

    /// The open orders of a group of an account, oldest first, from the one after `after` on.
    fn of_group(&self, account: AccountId, group: i64, after: Option<OrderId>) -> impl Iterator<Item = OrderId> + '_ {
        let first = OrderId(after.map_or(0, |after| after.0.saturating_add(1)));
        self.by_group.range((account, group, first)..=(account, group, OrderId(u64::MAX))).map(|(.., id)| *id)
    }

    /// Open orders of an account, oldest first.
    pub fn open(&self, account: AccountId) -> impl Iterator<Item = &Order> {
        self.by_account.get(account.index()).into_iter().flat_map(|opened| self.still_open(opened))
    }

    fn still_open(&self, opened: &Opened) -> impl Iterator<Item = &Order> {
        opened.ids.iter().filter_map(|id| self.get(*id))
    }

    /// Open orders of an account placed by one of its Service Users, or by any, oldest first.
    pub fn ids(&self, account: AccountId, owner: Option<ServiceUserId>) -> Vec<OrderId> {
        let all = self.open(account);
        all.filter(|order| owner.is_none_or(|owner| owner == order.owner)).map(|order| order.id).collect()
    }

    /// Every open order: resting ones in the order of their queues, then waiting ones by id.
    pub fn queued(&self) -> impl Iterator<Item = &Order> {
        let resting = self.books.iter().flat_map(|book| book.against(Side::Buy).chain(book.against(Side::Sell)));
        let waiting = self.by_account.iter().flat_map(|opened| self.still_open(opened));
        resting.chain(waiting.filter(|order| order.waits()))
    }

    /// How many open orders an account has.
    pub fn open_count(&self, account: AccountId) -> usize {
        self.by_account.get(account.index()).map_or(0, |opened| opened.count)
    }

    /// How many open orders an account has in one market.
    pub fn open_in(&self, account: AccountId, market: MarketId) -> usize {
        self.by_account.get(account.index()).and_then(|opened| opened.open.get(&market)).copied().unwrap_or(0)
    }

    /// The open orders that a caller names: by order id any of the account, by client id only the caller's own.
    pub fn find(&self, caller: ServiceCaller, which: &OrderRef) -> Vec<OrderId> {
        let id = match which {
            OrderRef::Id(id) => Some(*id),
            OrderRef::ClientId(id) => self.client_ids.last(caller.id, *id),
            OrderRef::UserRef(group) => return self.of_group(caller.account, *group, None).collect(),
        };
        let own = |id: &OrderId| self.get(*id).is_some_and(|order| order.account == caller.account);
        id.filter(own).into_iter().collect()
    }

    /// The open order that a client id was last given to.
    pub fn named(&self, owner: ServiceUserId, id: ClientOrderId) -> Option<&Order> {
        self.client_ids.last(owner, id).and_then(|id| self.get(id))
    }

    /// The order that a client id stands for, if it still does; an order that is there and `is_live` keeps its id.
    pub fn find_by_client_id(
        &self,
        owner: ServiceUserId,
        id: ClientOrderId,
        now: Moment,
        is_live: impl Fn(&Order) -> bool,
    ) -> Option<GivenOrder<'_>> {
        self.client_ids.get(owner, id, now, |id| self.get(id).is_some_and(&is_live))
    }

    /// Replaces an order by its new version, in the same place.
    fn replace(&mut self, at: Moment, order: &Order, reference: &Reference, ledger: &mut Ledger) {
        let Some((market, slot)) = self.places.get(order.id) else { return };
        self.follow(slot, order, reference, ledger);
        let book = &mut self.books[market.index()];
        if order.is_open() {
            book.replace(slot, order.clone());
            return;
        }
        book.remove(slot);
        self.places.remove(order.id);
        if let Some(group) = order.userref {
            self.by_group.remove(&(order.account, group, order.id));
        }
        if order.terms.is_some() {
            self.requeued.remove(order.id);
        }
        let Opened { ids, count, open } = &mut self.by_account[order.account.index()];
        *count -= 1;
        let left = open.get_mut(&market).map_or(0, |count| {
            *count -= 1;
            *count
        });
        if left == 0 {
            open.remove(&market);
        }
        if ids.len() > 2 * *count + ENDED_KEPT {
            ids.retain(|id| self.places.get(*id).is_some());
        }
        self.client_ids.ended(order, at);
    }

    /// Replaces an order by its new version, at the end of its level or in no book; from there it trades, and may rest
    /// in the same entry.
    fn move_to(&mut self, at: Moment, order: &Order, rests: bool, reference: &Reference, ledger: &mut Ledger) {
        let Some((market, slot)) = self.places.get(order.id) else { return };
        self.requeued.insert(order.id, at);
        self.follow(slot, order, reference, ledger);
        self.books[market.index()].move_to(slot, order.clone(), rests);
    }

    /// Updates holds and triggers from the version of an order that is still in its book to the new one.
    fn follow(&mut self, slot: Slot, order: &Order, reference: &Reference, ledger: &mut Ledger) {
        let Some(before) = self.books[order.market.index()].get(slot) else { return };
        let delta = order.held.saturating_sub(before.held);
        ledger.hold(order.account, held_asset(order, reference), delta);
        if order.terms.is_some() {
            self.triggers.remove(before);
            self.triggers.insert(order);
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

/// The stored form: orders in the order of their queues, waiting ones last, so that the books can be rebuilt and the
/// slab's layout never shows; each with the time when it was queued, if that was after its acceptance.
#[derive(Serialize, Deserialize)]
struct Stored<O, T, C> {
    orders: Vec<O>,
    last_trades: T,
    client_ids: C,
}

impl Serialize for Orders {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let orders: Vec<_> = self.queued().map(|order| (order, self.requeued.get(order.id))).collect();
        let client_ids = self.client_ids.stored(|id| self.places.get(id).is_some());
        Stored { orders, last_trades: &self.last_trades, client_ids }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Orders {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Orders, D::Error> {
        let Stored { orders, last_trades, client_ids } =
            Stored::<(Order, Option<Moment>), Vec<LastTrade>, ClientIds>::deserialize(deserializer)?;
        let mut all = Orders::default();
        last_trades.iter().for_each(|_| all.add_market());
        (all.last_trades, all.client_ids) = (last_trades, client_ids);
        for (order, requeued) in orders {
            if order.market.index() >= all.books.len() {
                return Err(serde::de::Error::custom("an order of no market"));
            }
            if order.account.index() >= ORGANIZATIONS_MAX {
                return Err(serde::de::Error::custom("an order of no account"));
            }
            if !(Quantity::ZERO..=order.qty).contains(&order.filled) {
                return Err(serde::de::Error::custom("an order filled beyond its quantity"));
            }
            if all.places.get(order.id).is_some() {
                return Err(serde::de::Error::custom("two orders of one id"));
            }
            if let Some(at) = requeued {
                all.requeued.insert(order.id, at);
            }
            let rests = !order.waits();
            all.insert(order, rests);
        }
        all.by_account.iter_mut().for_each(|opened| opened.ids.sort_unstable());
        Ok(all)
    }
}
