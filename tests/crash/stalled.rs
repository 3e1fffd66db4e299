//! Subscribers that do not read: the server's memory stays bounded, and others are not delayed.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};

use super::client::{Client, http};
use super::scenario::{settings_with, start, world};
use super::world::{api_key, secret};

/// Sockets of each kind that do not read.
const STALLED: usize = 100;
/// What they may cost in total, in KiB. A queue holds 256 items once its socket is behind, and what comes in the 50 ms
/// before; all sockets share the items.
const GROWTH_MAX_KIB: u64 = 32 * 1024;
/// Batches of 15 orders in one round, all placed and reported, then canceled.
const BATCHES: usize = 4;
/// Rounds before the memory is measured, and rounds by which every private stream must have been closed.
const ROUNDS: usize = 60;
const ROUNDS_MAX: usize = 500;
/// What waits for a public socket that is behind: 60 items, as the server counts them. Its queue has room for few more,
/// as the socket will get a snapshot instead.
const WAITING_BYTES: usize = 60 * 512;
/// How long a round may take, twenty times as long as without stalled sockets: half of the time in which a socket must
/// read what waits for it. Nobody else waits for that.
const ROUND_MAX: Duration = Duration::from_millis(2_500);
/// How long it may take on the slowest machine: less than that time.
const ROUND_LIMIT: Duration = Duration::from_secs(4);
/// Depths of the book that a public socket follows.
const DEPTHS: [u32; 5] = [10, 25, 100, 500, 1_000];

/// A connection with small buffers.
async fn narrow(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 << 10).unwrap();
    socket.connect(address).await.unwrap()
}

async fn metric(address: SocketAddr, series: &str) -> usize {
    let (_, _, text) = http(address, "GET", "/metrics", &[], "").await;
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map_or(0, |value| value.parse().unwrap())
}

/// A connection that stops reading once it is subscribed: private or public.
async fn stalled(address: SocketAddr, private: bool) -> Client {
    let stream = narrow(address).await;
    if private {
        let mut client = Client::signed_over(stream, &api_key(1), &secret(1)).await.unwrap();
        client.call("subscribe", json!({"channel": "executions", "snap_orders": false})).await;
        return client;
    }
    let mut client = Client::over(stream, &[]).await.unwrap();
    for depth in DEPTHS {
        client.call("subscribe", json!({"channel": "book", "symbol": ["BTC/USD"], "depth": depth})).await;
        assert_eq!(client.frame("book").await["type"], "snapshot");
    }
    client
}

/// Places batches of orders, each at its own price, and cancels them; returns the ids.
async fn churn(bot: &mut Client) -> Vec<String> {
    let order = |price: usize| json!({"order_type": "limit", "side": "buy", "order_qty": "0.01", "limit_price": price});
    let batch = |number: usize| {
        let orders: Vec<Value> = (0..15).map(|at| order(800 + 15 * number + at)).collect();
        json!({"method": "batch_add", "req_id": 1_000 + number, "params": {"symbol": "BTC/USD", "orders": orders}})
    };
    assert!(bot.burst((0..BATCHES).map(batch)).await);
    let mut placed = Vec::new();
    for number in 0..BATCHES {
        let reply = bot.answer(1_000 + number as i64).await;
        let rows = reply["result"].as_array().unwrap_or_else(|| panic!("{reply}"));
        placed.extend(rows.iter().map(|row| row["order_id"].as_str().unwrap().to_owned()));
    }
    bot.call("cancel_all", json!({})).await;
    placed
}

/// The orders whose end a follower has received so far.
fn canceled(follower: &mut Client) -> Vec<String> {
    let frames = follower.kept();
    let items = frames
        .iter()
        .filter(|frame| frame["channel"] == "executions")
        .flat_map(|frame| frame["data"].as_array().unwrap());
    items
        .filter(|item| item["exec_type"] == "canceled")
        .map(|item| item["order_id"].as_str().unwrap().to_owned())
        .collect()
}

/// D4-54. A socket that does not read cannot be told why it is closed, but the operator is.
#[tokio::test]
async fn d4_54_sockets_that_stand_still_cost_little_memory_and_nobody_elses_time() {
    let world = world(None).await;
    let settings = settings_with(world.dir(), None, "send_queue_bytes = 131072\nping_s = 300\n");
    let served = start(&settings).await;
    let address = served.address;
    let (mut bot, mut follower) = (bot(address).await, bot(address).await);
    // The first call loads the schemas that the client checks against.
    churn(&mut bot).await;
    let began = Instant::now();
    churn(&mut bot).await;
    let round_max = ROUND_MAX.max(20 * began.elapsed()).min(ROUND_LIMIT);
    follower.call("subscribe", json!({"channel": "executions", "snap_orders": false})).await;
    let private = join_all((0..STALLED).map(|_| stalled(address, true))).await;
    let public = join_all((0..STALLED).map(|_| stalled(address, false))).await;
    churn(&mut bot).await;
    let before = served.resident_kib();
    let (mut placed, mut told) = (BTreeSet::new(), BTreeSet::new());
    for round in 1.. {
        let began = Instant::now();
        placed.extend(churn(&mut bot).await);
        let took = began.elapsed();
        assert!(took < round_max, "{took:?} for a round beside sockets that stand still");
        // The engine answers this, so everything sent before has arrived.
        follower.call("get_balances", json!({})).await;
        told.extend(canceled(&mut follower));
        let closed = metric(address, "countersign_sockets_closed_total{code=\"4008\"}").await;
        let waiting = metric(address, "countersign_send_queue_bytes").await;
        if closed == STALLED && waiting >= STALLED * WAITING_BYTES && round >= ROUNDS {
            break;
        }
        assert!(round < ROUNDS_MAX, "{closed} private streams were closed, and {waiting} bytes wait for public ones");
    }
    let growth = served.resident_kib().saturating_sub(before);
    assert!(growth < GROWTH_MAX_KIB, "{growth} KiB more");
    assert!(placed.is_subset(&told), "who reads is told everything");
    assert_eq!(metric(address, "countersign_sockets{kind=\"service_user\"}").await, 2);
    assert_eq!(metric(address, "countersign_sockets{kind=\"public\"}").await, STALLED, "market data waits for them");
    drop((private, public));
}

async fn bot(address: SocketAddr) -> Client {
    Client::signed(address, &api_key(1), &secret(1)).await.unwrap()
}
