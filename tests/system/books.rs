//! `book` and `level3` as a client rebuilds them: at every depth, from wherever it joins, with every checksum.

use std::collections::BTreeMap;

use countersign::access::scope::ScopeSet;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use super::client::{Client, limit};
use super::world::{World, key, other};

/// A number without its point and leading zeros, padded to the pair's decimals as clients do.
fn digits(number: &Value, decimals: usize) -> String {
    let text = number.to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    format!("{whole}{fraction:0<decimals$}").trim_start_matches('0').to_owned()
}

/// A price as a key that sorts; prices here have one decimal.
fn tenths(price: &Value) -> i64 {
    digits(price, 1).parse().unwrap()
}

/// One side of a book by price, the best last; asks by negative price.
type Side<T> = BTreeMap<i64, T>;

/// Keeps what a frame leaves of a side: the best levels. A snapshot has no more from the start.
fn cut<T>(side: &mut Side<T>, depth: usize, frame: &Value) {
    assert!(side.len() <= depth || frame["type"] == "update", "more levels than were asked for: {frame}");
    while side.len() > depth {
        side.pop_first();
    }
}

/// Compares a frame's checksum with that of the ten best levels, as `line` writes a level.
fn check<T>(frame: &Value, bids: &Side<T>, asks: &Side<T>, line: impl Fn(i64, &T) -> String) {
    let best = [asks, bids].into_iter().flat_map(|side| side.iter().rev().take(10));
    let text: String = best.map(|(price, level)| line(price.abs(), level)).collect();
    assert_eq!(frame["data"][0]["checksum"], crc32fast::hash(text.as_bytes()), "{frame}");
}

/// A `book` of one depth.
#[derive(Default)]
pub struct Levels {
    bids: Side<Value>,
    asks: Side<Value>,
}

impl Levels {
    /// Applies a frame; a snapshot replaces everything.
    pub fn take(&mut self, frame: &Value, depth: usize) {
        if frame["type"] == "snapshot" {
            *self = Levels::default();
        }
        for (side, name, sign) in [(&mut self.bids, "bids", 1), (&mut self.asks, "asks", -1)] {
            for level in frame["data"][0][name].as_array().unwrap() {
                let price = sign * tenths(&level["price"]);
                match level["qty"].as_f64() == Some(0.0) {
                    true => drop(side.remove(&price)),
                    false => drop(side.insert(price, level["qty"].clone())),
                }
            }
            cut(side, depth, frame);
        }
        check(frame, &self.bids, &self.asks, |price, qty| format!("{price}{}", digits(qty, 8)));
    }
}

/// A `level3` book: by price, the orders in turn.
#[derive(Default)]
pub struct Queues {
    bids: Side<Vec<(String, Value)>>,
    asks: Side<Vec<(String, Value)>>,
}

impl Queues {
    /// Applies a frame; a snapshot replaces everything.
    pub fn take(&mut self, frame: &Value, depth: usize) {
        if frame["type"] == "snapshot" {
            *self = Queues::default();
        }
        for (side, name, sign) in [(&mut self.bids, "bids", 1), (&mut self.asks, "asks", -1)] {
            for order in frame["data"][0][name].as_array().unwrap() {
                let (price, id) = (sign * tenths(&order["limit_price"]), order["order_id"].as_str().unwrap());
                let held = side.values().flatten().any(|(of, _)| of == id);
                let queue = side.entry(price).or_default();
                let at = queue.iter().position(|(of, _)| of == id);
                match (order["event"].as_str(), at) {
                    (None | Some("add"), None) if !held => queue.push((id.to_owned(), order["order_qty"].clone())),
                    (Some("modify"), Some(at)) => queue[at].1 = order["order_qty"].clone(),
                    (Some("delete"), Some(at)) => drop(queue.remove(at)),
                    (event, at) => panic!("{event:?} of an order at {at:?}, held anywhere: {held}: {frame}"),
                }
                side.retain(|_, queue| !queue.is_empty());
            }
            cut(side, depth, frame);
        }
        check(frame, &self.bids, &self.asks, |price, queue| {
            queue.iter().map(|(_, qty)| format!("{price}{}", digits(qty, 8))).collect()
        });
    }
}

/// The price that ends the play; no other order is ever there.
const LAST: f64 = 5_000.0;

fn ends(frame: &Value) -> bool {
    let price = |level: &Value| level["price"].as_f64().or(level["limit_price"].as_f64());
    frame["data"][0]["asks"].as_array().unwrap().iter().any(|level| price(level) == Some(LAST))
}

/// Two Organizations that trade with each other.
struct Play {
    random: StdRng,
    bots: [Client; 2],
    open: Vec<(usize, Value)>,
}

impl Play {
    async fn new(world: &World) -> Play {
        let seed: u64 = rand::random();
        println!("seed {seed}");
        let bots = [world.bot(1).await, world.bot(2).await];
        Play { random: StdRng::seed_from_u64(seed), bots, open: Vec::new() }
    }

    /// Adds more levels on each side than the smallest depth shows, beyond all later prices.
    async fn begin(&mut self) {
        for step in 0..12 {
            self.bots[0].call("add_order", limit("buy", "0.05", 980 - step)).await;
            self.bots[1].call("add_order", limit("sell", "0.05", 1_020 + step)).await;
        }
    }

    /// Random orders, icebergs, amendments and cancels.
    async fn go_on(&mut self, steps: usize) {
        let Play { random, bots, open } = self;
        for _ in 0..steps {
            let who = random.random_range(0..2);
            let price = f64::from(random.random_range(9_850..10_150)) / 10.0;
            if open.len() > 20 && random.random_bool(0.5) {
                let at = random.random_range(0..open.len());
                let (owner, id) = open[at].clone();
                let reply = match random.random_bool(0.5) {
                    true => bots[owner].reply("cancel_order", json!({"order_id": [id]})).await,
                    false => bots[owner].reply("amend_order", json!({"order_id": id, "limit_price": price})).await,
                };
                if reply["method"] == "cancel_order" || reply["success"] == false {
                    open.swap_remove(at);
                }
                continue;
            }
            let side = if who == 0 { "buy" } else { "sell" };
            let mut order = limit(side, "0.05", price);
            if random.random_bool(0.2) {
                (order["order_type"], order["display_qty"]) = (json!("iceberg"), json!("0.01"));
            }
            let placed = bots[who].call("add_order", order).await;
            open.push((who, placed["order_id"].clone()));
        }
    }

    /// Cancels everything; then one order far away from all.
    async fn end(mut self) {
        for bot in &mut self.bots {
            bot.call("cancel_all", json!({})).await;
        }
        self.bots[1].call("add_order", limit("sell", "0.1", LAST)).await;
    }
}

/// A follower of one of the books.
struct Watcher {
    client: Client,
    channel: &'static str,
    depth: usize,
}

impl Watcher {
    /// One for each depth of both channels.
    async fn all(world: &World) -> Vec<Watcher> {
        let mut watchers = Vec::new();
        let depths = [("book", [10, 25, 100, 500, 1_000].as_slice()), ("level3", &[10, 100, 1_000])];
        for (channel, depth) in depths.into_iter().flat_map(|(of, depths)| depths.iter().map(move |depth| (of, *depth)))
        {
            let client = if channel == "book" { Client::bare(world.address).await } else { world.bot(3).await };
            watchers.push(Watcher { client, channel, depth });
        }
        watchers
    }

    fn asked(&self) -> Value {
        json!({"channel": self.channel, "symbol": "BTC/USD", "depth": self.depth})
    }

    async fn subscribe(&mut self) {
        let acknowledged = self.client.call("subscribe", self.asked()).await;
        let Watcher { channel, depth, .. } = self;
        assert_eq!(acknowledged, json!({"channel": channel, "symbol": "BTC/USD", "depth": depth, "snapshot": true}));
    }

    /// Rebuilds the book to the end; returns how many frames there were, and how many levels of bids each snapshot had.
    async fn rebuild(&mut self) -> (usize, Vec<usize>) {
        let (mut levels, mut queues, mut frames, mut begun) = (Levels::default(), Queues::default(), 0, Vec::new());
        loop {
            let frame = self.client.frame(self.channel).await;
            match self.channel {
                "book" => levels.take(&frame, self.depth),
                _ => queues.take(&frame, self.depth),
            }
            frames += 1;
            if frame["type"] == "snapshot" {
                begun.push(levels.bids.len() + queues.bids.len());
            }
            if ends(&frame) {
                break;
            }
        }
        let left = (levels.bids.len() + queues.bids.len(), levels.asks.len() + queues.asks.len());
        assert_eq!(left, (0, 1), "{} {}", self.channel, self.depth);
        (frames, begun)
    }
}

#[tokio::test]
async fn books_and_queues_rebuilt_by_a_client_have_every_checksum_right_wherever_it_joins() {
    let world = World::new(&[key(ScopeSet::ALL), other(), key(ScopeSet::NONE)]).await;
    let mut play = Play::new(&world).await;
    let (mut early, mut late) = (Watcher::all(&world).await, Watcher::all(&world).await);
    for watcher in &mut early {
        watcher.subscribe().await;
    }
    play.begin().await;
    play.go_on(200).await;
    for watcher in &mut late {
        watcher.subscribe().await;
    }
    play.go_on(50).await;
    for watcher in &mut late {
        watcher.client.call("unsubscribe", watcher.asked()).await;
    }
    play.go_on(50).await;
    for watcher in &mut late {
        watcher.subscribe().await;
    }
    play.go_on(100).await;
    play.end().await;
    for watcher in &mut early {
        let (frames, begun) = watcher.rebuild().await;
        assert_eq!(begun, [0]);
        assert!(frames > 100, "{frames} frames of {} {}", watcher.channel, watcher.depth);
    }
    for watcher in &mut late {
        let (_, begun) = watcher.rebuild().await;
        assert!(begun.len() == 2 && begun.iter().all(|levels| *levels >= 10), "{begun:?}");
    }
}

#[tokio::test]
async fn an_order_that_goes_from_the_last_level_shown_to_the_best_is_told_to_have_left() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let (mut bot, mut reader) = (world.bot(1).await, world.bot(1).await);
    for price in 91..=100 {
        bot.call("add_order", limit("buy", "0.1", price)).await;
    }
    let moved = bot.call("add_order", limit("buy", "0.1", 91)).await["order_id"].clone();
    reader.call("subscribe", json!({"channel": "level3", "symbol": ["BTC/USD"], "depth": 10})).await;
    let mut queues = Queues::default();
    queues.take(&reader.frame("level3").await, 10);
    bot.call("amend_order", json!({"order_id": moved, "limit_price": 101})).await;
    let update = reader.frame("level3").await;
    queues.take(&update, 10);
    let bids = update["data"][0]["bids"].as_array().unwrap().iter();
    let told: Vec<_> =
        bids.map(|of| (of["event"].clone(), of["order_id"].clone(), tenths(&of["limit_price"]))).collect();
    assert_eq!(told, [(json!("delete"), moved.clone(), 910), (json!("add"), moved, 1_010)]);
}

/// The snapshots of three channels, each with its client, and all their contents but the time.
async fn shown(world: &World) -> (Vec<(Client, Value)>, Vec<Value>) {
    let (mut told, mut said) = (Vec::new(), Vec::new());
    for channel in ["book", "level3", "ticker"] {
        let mut reader = world.bot(1).await;
        reader.call("subscribe", json!({"channel": channel, "symbol": ["BTC/USD"]})).await;
        let frame = reader.frame(channel).await;
        let mut item = frame["data"][0].clone();
        item.as_object_mut().unwrap().remove("timestamp");
        told.push((reader, frame));
        said.push(item);
    }
    (told, said)
}

#[tokio::test]
async fn rule_44_books_are_the_same_after_a_restart_and_go_on_from_there() {
    let mut world = World::new(&[key(ScopeSet::ALL), other()]).await;
    let (mut bot, mut maker) = (world.bot(1).await, world.bot(2).await);
    let order = |kind: &str, side: &str, price: u64| {
        let mut order = limit(side, "0.5", price);
        order["order_type"] = json!(kind);
        order
    };
    let mut iceberg = order("iceberg", "sell", 1_005);
    iceberg["display_qty"] = json!("0.1");
    maker.call("add_order", iceberg).await;
    maker.call("add_order", limit("sell", "0.1", 1_005)).await;
    // The iceberg's next slice comes after that.
    bot.call("add_order", limit("buy", "0.1", 1_005)).await;
    let first = maker.call("add_order", order("limit", "sell", 1_010)).await["order_id"].clone();
    maker.call("add_order", order("limit", "sell", 1_010)).await;
    maker.call("amend_order", json!({"order_id": first, "order_qty": "0.4"})).await;
    let raised = bot.call("add_order", order("limit", "buy", 980)).await["order_id"].clone();
    bot.call("add_order", order("limit", "buy", 985)).await;
    bot.call("amend_order", json!({"order_id": raised, "limit_price": 985})).await;
    bot.call("add_order", order("limit", "buy", 970)).await;
    // One stop goes live, the other waits.
    for trigger in [1_000, 900] {
        let mut stop = order("stop-loss-limit", "sell", 1_030);
        stop["triggers"] = json!({"reference": "last", "price": trigger});
        bot.call("add_order", stop).await;
    }
    maker.call("add_order", limit("sell", "0.1", 1_000)).await;
    bot.call("add_order", limit("buy", "0.1", 1_000)).await;
    let (_, before) = shown(&world).await;
    let levels = |name: &str| before[0][name].as_array().unwrap().len();
    assert_eq!((levels("bids"), levels("asks")), (2, 3), "{}", before[0]);
    for _ in 0..2 {
        world.restart().await;
        assert_eq!(shown(&world).await.1, before);
    }
    let (readers, _) = shown(&world).await;
    world.bot(2).await.call("cancel_order", json!({"order_id": [first]})).await;
    let (mut levels, mut queues) = (Levels::default(), Queues::default());
    for (mut reader, snapshot) in readers {
        match snapshot["channel"].as_str() {
            Some("book") => [snapshot, reader.frame("book").await].iter().for_each(|frame| levels.take(frame, 10)),
            Some("level3") => [snapshot, reader.frame("level3").await].iter().for_each(|frame| queues.take(frame, 10)),
            _ => {}
        }
    }
}
