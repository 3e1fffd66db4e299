//! The task: follows batches, tells subscribers, gives snapshots.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::book::{Change, Changed, Ladder, Levels, Queued, changes};
use super::candles::Candles;
use super::ticker::Tape;
use super::{Channel, Incoming, MarketData, REQUESTS_MAX, Request, Subscriber, Topic, frames};
use crate::domain::candles::{Candle, MINUTE_US};
use crate::domain::ids::{MarketId, Seq};
use crate::domain::markets::EventTrigger;
use crate::domain::money::Price;
use crate::domain::orders::{Order, Side};
use crate::domain::prints::{MarketPast, Print};
use crate::domain::time::Moment;
use crate::engine::event::Event;
use crate::engine::reference::Reference;
use crate::engine::state::State;
use crate::sequencer::{Events, Stamped};

/// Sends after which the task lets others run.
const YIELD_AFTER: usize = 32;
/// Trades in one frame at most.
const PRINTS_MAX: usize = 500;
/// How often a subscriber that was too slow is looked at again.
const RETRY: Duration = Duration::from_millis(250);

/// What the projection begins with: the engine's state at the start.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Assets and markets.
    pub reference: Reference,
    /// Every open order, and when it came into its queue.
    pub orders: Vec<(Order, Moment)>,
    /// The last price of each market.
    pub prices: Vec<Price>,
    /// The last trades, as far as they were read back: what is sent of them until the past is there.
    pub trades: Vec<Arc<Stamped>>,
    /// The stamp.
    pub at: Moment,
}

impl Snapshot {
    /// As of `state`; `recent` are the last events that led to it.
    pub fn of(state: &State, recent: &[Arc<Stamped>]) -> Snapshot {
        let trades = recent.iter().filter(|stamped| matches!(stamped.event, Event::Traded(_)));
        let markets = state.reference.markets().iter();
        Snapshot {
            reference: state.reference.clone(),
            orders: state.orders.queued().map(|order| (order.clone(), state.orders.queued_at(order))).collect(),
            prices: markets.map(|market| state.orders.last_price(market.id).unwrap_or_default()).collect(),
            trades: trades.cloned().collect(),
            at: state.at,
        }
    }
}

#[derive(Default)]
struct Market {
    levels: Levels,
    tape: Tape,
    /// The trades since the start alone, until the past is there to be put before them.
    since: Tape,
    candles: Candles,
    /// Trades not sent yet, and when the first of them was made.
    fresh: Vec<Print>,
    fresh_since: Moment,
    best: (Ladder, Ladder),
    sent: HashMap<u32, (Ladder, Ladder)>,
    /// The prices that followers of `level3` see, by depth.
    ranges: HashMap<u32, (BTreeSet<Price>, BTreeSet<Price>)>,
}

impl Market {
    /// Puts the past before the trades since the start; whether the figures of the day are others now, and whether the
    /// last trades are.
    fn remember(&mut self, past: Tape, now: Moment) -> (bool, bool) {
        let mut whole = std::mem::take(&mut self.since);
        whole.follow(past, self.tape.last());
        let changed = (whole.figures(now) != self.tape.figures(now), !whole.prints().eq(self.tape.prints()));
        self.tape = whole;
        changed
    }
}

struct Follower {
    subscriber: Arc<dyn Subscriber>,
    /// It asked for a snapshot to begin with.
    snapshot: bool,
}

/// Who follows a topic.
#[derive(Default)]
struct Followers {
    /// Told every change.
    current: Vec<Follower>,
    /// These missed a frame, or wait for the past. A change costs nothing for them: once they have read on, a snapshot comes.
    behind: Vec<Follower>,
}

struct Projection {
    reference: Reference,
    markets: Vec<Market>,
    followers: HashMap<Topic, Followers>,
    /// The last event folded in since the start, and its stamp.
    seq: Seq,
    at: Moment,
    /// The past is still to come; until then no candles are sent.
    awaits_past: bool,
    frame: fn(&str) -> Bytes,
    clock: fn() -> Moment,
    sends: usize,
}

/// Starts the task; `incoming` has every batch after `from`, and `past` will have what was traded as of it.
/// `frame` makes a text what subscribers are sent, once for all of them; `clock` is the server's.
pub fn start(
    from: Snapshot,
    past: oneshot::Receiver<MarketPast>,
    incoming: Incoming,
    frame: fn(&str) -> Bytes,
    clock: fn() -> Moment,
) -> MarketData {
    let (requests, inbox) = mpsc::channel(REQUESTS_MAX);
    tokio::spawn(Projection::new(from, frame, clock).run(past, incoming, inbox));
    MarketData { requests }
}

impl Projection {
    fn new(from: Snapshot, frame: fn(&str) -> Bytes, clock: fn() -> Moment) -> Projection {
        let Snapshot { reference, orders, prices, trades, at } = from;
        let traded = |price| Market { tape: Tape::of(price), ..Market::default() };
        let mut markets: Vec<Market> = prices.into_iter().map(traded).collect();
        orders.iter().for_each(|(order, at)| markets[order.market.index()].levels.show(order, *at));
        for stamped in &trades {
            if let Event::Traded(trade) = &stamped.event {
                markets[trade.market.index()].tape.traded(trade, stamped.at);
            }
        }
        for market in &mut markets {
            market.best = market.levels.ladders(1);
            market.levels.take_changes();
        }
        let (followers, seq) = (HashMap::new(), Seq::default());
        Projection { reference, markets, followers, seq, at, awaits_past: true, frame, clock, sends: 0 }
    }

    async fn run(
        mut self,
        mut past: oneshot::Receiver<MarketPast>,
        mut incoming: Incoming,
        mut inbox: mpsc::Receiver<Request>,
    ) {
        let mut telling = true;
        let mut retry = tokio::time::interval(RETRY);
        retry.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            // Batches, which may come faster than they can be sent, are the last: they hold up neither who asks nor who waits.
            tokio::select! {
                biased;
                past = &mut past, if telling => {
                    telling = false;
                    // Where it cannot be read, candles wait for the next start: those since this one alone would be wrong.
                    if let Ok(past) = past {
                        self.remember(past);
                        self.catch_up().await;
                    }
                }
                _ = retry.tick() => self.catch_up().await,
                request = inbox.recv() => {
                    let Some(request) = request else { return };
                    // Who asks after an answer finds what the answer reported, though its batch comes after it.
                    while self.seq.0 < incoming.announced.load(Ordering::Acquire) {
                        let Some(batch) = incoming.batches.recv().await else { return };
                        self.follow_all(&batch, &mut incoming).await;
                    }
                    self.subscribe(request).await;
                }
                batch = incoming.batches.recv() => {
                    let Some(batch) = batch else { return };
                    self.follow_all(&batch, &mut incoming).await;
                }
            }
        }
    }

    /// Puts the past before what was traded since the start.
    fn remember(&mut self, past: MarketPast) {
        self.awaits_past = false;
        let now = self.now();
        let mut before: BTreeMap<MarketId, (Candles, Tape)> = BTreeMap::new();
        for (market, interval, candle) in past.candles {
            before.entry(market).or_default().0.add(interval, candle);
        }
        for (market, minute) in past.minutes {
            before.entry(market).or_default().1.minute(minute);
        }
        for (market, print) in past.prints {
            before.entry(market).or_default().1.print(print);
        }
        for (id, (candles, tape)) in before {
            let Some(market) = self.markets.get_mut(id.index()) else { continue };
            market.candles.follow(candles);
            let (figures, prints) = market.remember(tape, now);
            // Who was sent less than there is gets a fresh snapshot; old trades are sent only to those who asked for them.
            for (topic, Followers { current, behind }) in &mut self.followers {
                match topic.channel_of(id) {
                    Some(Channel::Ticker { .. }) if figures => behind.append(current),
                    Some(Channel::Trade) if prints => behind.extend(current.extract_if(.., |of| of.snapshot)),
                    _ => {}
                }
            }
        }
        let candles = self.followers.iter_mut().filter(|(topic, _)| topic.is_ohlc());
        for (_, Followers { current, behind }) in candles {
            current.extend(behind.extract_if(.., |of| !of.snapshot));
        }
    }

    /// Folds in what is waiting, then tells it once.
    async fn follow_all(&mut self, batch: &Events, incoming: &mut Incoming) {
        let mut touched = BTreeSet::new();
        let (mut assets, mut markets) = (Vec::new(), Vec::new());
        let mut next = Some(Arc::clone(batch));
        while let Some(batch) = next {
            for stamped in batch.iter() {
                (self.seq, self.at) = (stamped.seq, stamped.at);
                match &stamped.event {
                    Event::AssetAdded(asset) => {
                        self.reference.add_asset(asset);
                        assets.push(asset.clone());
                    }
                    Event::MarketAdded(market) => {
                        self.reference.add_market(market);
                        self.markets.push(Market::default());
                        markets.push(market.clone());
                    }
                    Event::MarketStatusSet { market, status } => {
                        self.reference.set_status(*market, *status);
                        markets.push(self.reference.market(*market).clone());
                    }
                    _ => touched.extend(self.fold(stamped)),
                }
            }
            next = incoming.batches.try_recv().ok();
        }
        if !assets.is_empty() || !markets.is_empty() {
            let text = frames::instrument(&self.reference, false, &assets, &markets);
            self.send(Topic::Instrument, text).await;
        }
        for market in touched {
            self.publish(market).await;
        }
    }

    fn fold(&mut self, stamped: &Stamped) -> Option<MarketId> {
        let id = match &stamped.event {
            Event::OrderPlaced { order, .. }
            | Event::OrderCanceled { order, .. }
            | Event::OrderActivated { order, .. }
            | Event::OrderAmended { order, .. }
            | Event::OrderRefilled(order) => order.market,
            Event::Traded(trade) => trade.market,
            Event::OrderRested(_) => {
                // Its market was touched by its trades in this very entry.
                self.markets.iter_mut().for_each(|market| market.levels.apply(&stamped.event, stamped.at));
                return None;
            }
            _ => return None,
        };
        let market = self.markets.get_mut(id.index())?;
        market.levels.apply(&stamped.event, stamped.at);
        if let Event::Traded(trade) = &stamped.event {
            let print = market.tape.traded(trade, stamped.at);
            if self.awaits_past {
                market.since.traded(trade, stamped.at);
            }
            market.candles.traded(trade, stamped.at);
            if market.fresh.is_empty() {
                market.fresh_since = stamped.at;
            }
            market.fresh.push(print);
        }
        Some(id)
    }

    async fn publish(&mut self, id: MarketId) {
        let followed = self.followers.iter().filter(|(_, of)| !of.current.is_empty());
        let channels: Vec<Channel> = followed.filter_map(|(topic, _)| topic.channel_of(id)).collect();
        let market = &mut self.markets[id.index()];
        let traded = std::mem::take(&mut market.fresh);
        let best = market.levels.ladders(1);
        let moved = std::mem::replace(&mut market.best, best.clone()) != best;
        let changes = market.levels.take_changes();
        for channel in channels {
            let topic = Topic::Market(id, channel);
            let text = match channel {
                Channel::Book { depth } => self.book_update(id, depth),
                Channel::Level3 { depth } => self.level3_update(id, depth, &changes),
                Channel::Ohlc { interval } if !traded.is_empty() => Some(self.ohlc(id, interval, false)),
                Channel::Trade => {
                    for some in traded.chunks(PRINTS_MAX) {
                        let text = frames::trades(self.reference.market(id), false, some.iter());
                        self.send(topic, text).await;
                    }
                    None
                }
                Channel::Ticker { trigger } if !traded.is_empty() || trigger == EventTrigger::Bbo && moved => {
                    Some(self.ticker(id, false))
                }
                Channel::Ohlc { .. } | Channel::Ticker { .. } => None,
            };
            if let Some(text) = text {
                self.send(topic, text).await;
            }
        }
    }

    fn book_update(&mut self, id: MarketId, depth: u32) -> Option<String> {
        let market = &mut self.markets[id.index()];
        let levels = &market.levels;
        let now = levels.ladders(depth);
        let before = market.sent.insert(depth, now.clone()).unwrap_or_default();
        let bids = changes(&before.0, &now.0, |price| levels.has(Side::Buy, price));
        let asks = changes(&before.1, &now.1, |price| levels.has(Side::Sell, price));
        if bids.is_empty() && asks.is_empty() {
            return None;
        }
        let of = self.reference.market(id);
        Some(frames::book(of, false, (&bids, &asks), levels.checksum(), self.at))
    }

    /// Changes at prices that followers of this depth saw before; and every order of a level that has come into it.
    /// That a level fell out of it is not sent: the client cuts it off. What happened in it first is, since an order that
    /// left it may be in another that the client sees.
    fn level3_update(&mut self, id: MarketId, depth: u32, changes: &[Changed]) -> Option<String> {
        let (market, of) = (&mut self.markets[id.index()], self.reference.market(id));
        let levels = &market.levels;
        let before = market.ranges.insert(depth, levels.prices(depth)).unwrap_or_default();
        let side = |side: Side, before: &BTreeSet<Price>| {
            let seen = |order: &Queued| order.side == side && before.contains(&order.price);
            let reported = changes.iter().filter(|changed| seen(&changed.order));
            let reported = reported.map(|changed| frames::queued(of, &changed.order, Some(changed.change)));
            let fresh = levels.orders_beside(side, depth, before);
            let fresh = fresh.map(|order| frames::queued(of, order, Some(Change::Add)));
            reported.chain(fresh).collect::<Vec<_>>()
        };
        let sides = (side(Side::Buy, &before.0), side(Side::Sell, &before.1));
        if sides.0.is_empty() && sides.1.is_empty() {
            return None;
        }
        Some(frames::level3(of, false, sides, levels.order_checksum(), self.at))
    }

    /// All candles that are kept, or those that the last trades went into.
    fn ohlc(&self, id: MarketId, interval: u32, snapshot: bool) -> String {
        let (market, of) = (&self.markets[id.index()], self.reference.market(id));
        let stretch = u64::from(interval) * MINUTE_US;
        let wanted = |candle: &&Candle| snapshot || candle.begin.plus_us(stretch) > market.fresh_since;
        frames::ohlc(of, snapshot, interval, market.candles.of(interval).filter(wanted), self.at)
    }

    /// The day goes on where nothing happens: it ends now, and not with the last event (rule 44).
    fn ticker(&self, id: MarketId, snapshot: bool) -> String {
        let (now, market) = (self.now(), &self.markets[id.index()]);
        let figures = market.tape.figures(now);
        frames::ticker(self.reference.market(id), snapshot, (&market.best.0, &market.best.1), &figures, now)
    }

    /// The clock, or the last stamp if that is later (rule 39).
    fn now(&self) -> Moment {
        self.at.max((self.clock)())
    }

    /// Notes what followers of a book know of it: between batches, what there is.
    fn note(&mut self, topic: Topic) {
        let Topic::Market(id, channel) = topic else { return };
        let Market { levels, sent, ranges, .. } = &mut self.markets[id.index()];
        match channel {
            Channel::Book { depth } => drop(sent.insert(depth, levels.ladders(depth))),
            Channel::Level3 { depth } => drop(ranges.insert(depth, levels.prices(depth))),
            Channel::Ticker { .. } | Channel::Trade | Channel::Ohlc { .. } => {}
        }
    }

    /// What a subscription begins with; nothing where there are no trades yet, since stock clients read the first item
    /// of every `ohlc` and `trade` (Kraken.Net, ccxt).
    fn snapshot(&mut self, topic: Topic) -> Option<String> {
        self.note(topic);
        let Topic::Market(id, channel) = topic else {
            return Some(frames::instrument(&self.reference, true, self.reference.assets(), self.reference.markets()));
        };
        let (market, of) = (&self.markets[id.index()], self.reference.market(id));
        Some(match channel {
            Channel::Ohlc { interval } if market.candles.of(interval).next().is_none() => return None,
            Channel::Trade if market.tape.prints().next().is_none() => return None,
            Channel::Book { depth } => {
                let (bids, asks) = &market.sent[&depth];
                frames::book(of, true, (bids, asks), market.levels.checksum(), self.at)
            }
            Channel::Ohlc { interval } => self.ohlc(id, interval, true),
            Channel::Level3 { depth } => {
                let levels = &market.levels;
                let queued = |order| frames::queued(of, order, None);
                let side = |side| levels.orders(side, depth).map(queued).collect();
                frames::level3(of, true, (side(Side::Buy), side(Side::Sell)), levels.order_checksum(), self.at)
            }
            Channel::Trade => frames::trades(of, true, market.tape.prints()),
            Channel::Ticker { .. } => self.ticker(id, true),
        })
    }

    async fn subscribe(&mut self, Request { topic, subscriber, snapshot }: Request) {
        if subscriber.is_gone() || matches!(topic, Topic::Market(id, _) if id.index() >= self.markets.len()) {
            return;
        }
        // Who asks for candles before those of the past are there gets a snapshot then, and who has no room for one
        // once it has read what waits for it.
        let behind = self.awaits_past && topic.is_ohlc() || snapshot && !subscriber.has_room();
        if !snapshot || behind {
            self.note(topic);
        } else if let Some(text) = self.snapshot(topic) {
            // The acknowledgement is being written: whoever asks is not idle before that.
            subscriber.queue(&(self.frame)(&text));
        }
        let followers = self.followers.entry(topic).or_default();
        let follower = Follower { subscriber, snapshot };
        if behind { &mut followers.behind } else { &mut followers.current }.push(follower);
        self.yield_periodically().await;
    }

    async fn send(&mut self, topic: Topic, text: String) {
        let frame = (self.frame)(&text);
        let Some(mut followers) = self.followers.remove(&topic) else { return };
        let mut reported = Vec::with_capacity(followers.current.len());
        let mut left = followers.current.into_iter();
        while left.len() > 0 {
            let group = left.len().min(YIELD_AFTER);
            left.as_slice()[..group].iter().for_each(|of| of.subscriber.prefetch());
            for follower in left.by_ref().take(group) {
                if follower.subscriber.send(&frame) {
                    reported.push(follower);
                } else if !follower.subscriber.is_gone() {
                    followers.behind.push(follower);
                }
                self.yield_periodically().await;
            }
        }
        followers.current = reported;
        self.followers.insert(topic, followers);
    }

    /// Subscribers that were too slow and have read on get a fresh snapshot instead of what they missed. Those that are gone
    /// are forgotten.
    async fn catch_up(&mut self) {
        self.followers.retain(|_, followers| {
            followers.current.retain(|of| !of.subscriber.is_gone());
            followers.behind.retain(|of| !of.subscriber.is_gone());
            !(followers.current.is_empty() && followers.behind.is_empty())
        });
        let due = |(topic, followers): &(&Topic, &Followers)| {
            let ready = followers.behind.iter().any(|of| of.subscriber.is_reading());
            ready && !(self.awaits_past && topic.is_ohlc())
        };
        let topics: Vec<Topic> = self.followers.iter().filter(due).map(|(topic, _)| *topic).collect();
        for topic in topics {
            let frame = self.snapshot(topic).map(|text| (self.frame)(&text));
            let mut followers = self.followers.remove(&topic).unwrap_or_default();
            let (ready, behind) = followers.behind.into_iter().partition::<Vec<_>, _>(|of| of.subscriber.is_reading());
            followers.behind = behind;
            for follower in ready {
                let reported = frame.iter().all(|frame| follower.subscriber.send(frame));
                if reported { &mut followers.current } else { &mut followers.behind }.push(follower);
                self.yield_periodically().await;
            }
            self.followers.insert(topic, followers);
        }
    }

    async fn yield_periodically(&mut self) {
        self.sends += 1;
        if self.sends.is_multiple_of(YIELD_AFTER) {
            tokio::task::yield_now().await;
        }
    }
}
