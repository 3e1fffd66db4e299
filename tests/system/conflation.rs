//! A reader of market data that stops reading: what waits for it is bounded, and once it reads again it gets snapshots
//! instead of what it missed and continues from there.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use countersign::access::scope::ScopeSet;
use serde_json::{Value, json};
use tokio::net::TcpSocket;

use super::books::{Levels, Queues};
use super::client::{Client, soon};
use super::operation::{metrics, value};
use super::world::{World, api_key, key, other, secret};

const CHANNELS: [&str; 4] = ["book", "level3", "trade", "ticker"];
const DEPTH: usize = 100;
/// The market data that a socket's queue can hold, minus what is not a frame, plus what its session may have taken from
/// it for one write.
const QUEUED: u64 = 60;
const TAKEN: u64 = 4 + 64;
/// The size that the server assumes for a waiting message; a frame counts as several, according to its length.
const MESSAGE_BYTES: u64 = 512;
/// Of the bots, who read.
const OTHERS: u64 = 16;

/// A client whose socket has small buffers.
pub async fn narrow(address: SocketAddr) -> Client {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let stream = socket.connect(address).await.unwrap();
    Client::signed_over(stream, &api_key(3), &secret(3)).await.unwrap()
}

/// Two bots: one quotes, the other takes some of it.
struct Market {
    maker: Client,
    taker: Client,
    changes: u64,
}

impl Market {
    async fn new(world: &World) -> Market {
        Market { maker: world.bot(1).await, taker: world.bot(2).await, changes: 0 }
    }

    /// Replaces all quotes and trades with one of them; this changes every channel, and the books much.
    async fn change(&mut self) {
        self.changes += 1;
        let first = 1_000 + self.changes % 40;
        let order = |side: &str, qty: &str, price: u64| json!({"order_type": "limit", "side": side, "order_qty": qty, "limit_price": price});
        let quotes: Vec<Value> = (first..first + 15).map(|price| order("sell", "0.002", price)).collect();
        self.maker.call("cancel_all", json!({})).await;
        self.maker.call("batch_add", json!({"symbol": "BTC/USD", "orders": quotes})).await;
        let mut taken = order("buy", "0.001", first);
        taken["symbol"] = "BTC/USD".into();
        self.taker.call("add_order", taken).await;
    }
}

/// What a client builds from the frames of all channels.
#[derive(Default)]
struct Picture {
    levels: Levels,
    queues: Queues,
    /// The last trade's id, and the last price in `trade` and `ticker`.
    trade_id: u64,
    prices: [Value; 2],
    snapshots: BTreeMap<String, usize>,
    /// Bytes of the longest frame.
    longest: u64,
}

impl Picture {
    /// Applies a frame: a snapshot replaces everything, an update must follow without a gap.
    fn take(&mut self, frame: &Value) {
        let (channel, snapshot) = (frame["channel"].as_str().unwrap(), frame["type"] == "snapshot");
        if snapshot {
            *self.snapshots.entry(channel.to_owned()).or_default() += 1;
        }
        self.longest = self.longest.max(frame.to_string().len() as u64);
        match channel {
            "book" => self.levels.take(frame, DEPTH),
            "level3" => self.queues.take(frame, DEPTH),
            "ticker" => self.prices[1] = frame["data"][0]["last"].clone(),
            "trade" => {
                for (at, trade) in frame["data"].as_array().unwrap().iter().enumerate() {
                    let id = trade["trade_id"].as_u64().unwrap();
                    assert!(id == self.trade_id + 1 || snapshot && at == 0, "trade {id} after {}", self.trade_id);
                    self.trade_id = id;
                    self.prices[0] = trade["price"].clone();
                }
            }
            _ => {}
        }
    }

    /// Reads until every channel has begun `begun` times, and all frames of the last change have arrived.
    async fn read(&mut self, client: &mut Client, begun: usize, last_trade: u64) {
        let all = |picture: &Picture| {
            let snapshots = CHANNELS.map(|channel| picture.snapshots.get(channel).copied().unwrap_or(0));
            snapshots.iter().all(|count| *count >= begun)
                && picture.trade_id == last_trade
                && picture.prices[0] == picture.prices[1]
        };
        while !all(self) {
            let frame = client.next().await;
            if frame["channel"].as_str().is_some_and(|channel| CHANNELS.contains(&channel)) {
                self.take(&frame);
            }
        }
    }
}

async fn parts_waiting(world: &World) -> u64 {
    value(&metrics(world.address).await, "countersign_send_queue_bytes") / MESSAGE_BYTES
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_of_market_data_that_stood_still_gets_snapshots_and_goes_on() {
    let keys = [key(ScopeSet::ALL), other(), key(ScopeSet::NONE)];
    // A client that reads nothing answers no ping either.
    let world = World::configured(&keys, |config| config.limits.ping_s = 300).await;
    let mut market = Market::new(&world).await;
    // Before there is a trade, `trade` has no snapshot.
    market.change().await;
    let mut still = narrow(world.address).await;
    for channel in CHANNELS {
        let mut asked = json!({"channel": channel, "symbol": ["BTC/USD"], "snapshot": true});
        if ["book", "level3"].contains(&channel) {
            asked["depth"] = DEPTH.into();
        }
        still.call("subscribe", asked).await;
    }
    let filled = async {
        while parts_waiting(&world).await < QUEUED {
            for _ in 0..20 {
                market.change().await;
            }
        }
    };
    soon("queue that is full", filled).await;
    for _ in 0..100 {
        market.change().await;
    }
    let waiting = parts_waiting(&world).await;
    let mut picture = Picture::default();
    picture.read(&mut still, 2, market.changes).await;
    let most = (QUEUED + TAKEN) * picture.longest.div_ceil(MESSAGE_BYTES) + OTHERS;
    assert!((QUEUED..=most).contains(&waiting), "{waiting} messages of {most} wait for one that reads nothing");
    // From here on it reads, and each change reaches it as a change.
    let before = picture.snapshots.clone();
    for _ in 0..20 {
        market.change().await;
        picture.read(&mut still, 2, market.changes).await;
    }
    assert_eq!(picture.snapshots, before);
    assert!(parts_waiting(&world).await <= OTHERS, "nothing of it is left waiting");
}
