//! All clients disconnect at once and reconnect at once.

use countersign::access::key::KeySettings;
use futures::future::join_all;
use serde_json::{Value, json};

use super::client::{Client, http, next_nonce};
use super::replay::items;
use super::settings::token;
use super::world::{World, with};

const CLIENTS: usize = 250;
/// Handshakes judged at once: far fewer than arrive.
const JUDGED: usize = 8;
/// A cookie of no session.
const COOKIE: [(&str, &str); 1] = [("Cookie", "countersign_session=none")];

/// Reads until the order with this client id appears.
async fn until(client: &mut Client, last: &str) -> Vec<Value> {
    let mut told = Vec::new();
    while !told.last().is_some_and(|item: &Value| item["cl_ord_id"] == last && item["exec_type"] == "new") {
        told.extend(items(&[client.frame("executions").await], "executions"));
    }
    told
}

async fn place(bot: &mut Client, id: &str) {
    let order = json!({"order_type": "limit", "side": "buy", "symbol": "BTC/USD", "order_qty": "0.01", "limit_price": 900,
        "cl_ord_id": id});
    bot.call("add_order", order).await;
}

/// One client reconnects, gets what it missed, and reads on up to the last order.
async fn come_back(world: &World, from: u64, last: &str) -> Vec<Value> {
    let mut client = world.bot(1).await;
    let result = client.call("subscribe", json!({"channel": "executions", "from_offset": from})).await;
    assert!(result.get("warnings").is_none(), "{result}");
    until(&mut client, last).await
}

/// D4-56. Each gets in when it is its turn and receives exactly what it missed, while a bot keeps trading; with the
/// server up all the time, and after it was down.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d4_56_all_clients_come_back_at_once_and_miss_nothing() {
    // Handshakes of one key arrive in any order.
    let wide = KeySettings { nonce_window: u64::MAX, ..KeySettings::default() };
    let change = |config: &mut countersign::config::Config| config.limits.pending_handshakes = JUDGED;
    let mut world = World::configured(&[with(wide), with(KeySettings::default())], change).await;
    let (mut uncut, mut bot) = (world.bot(2).await, world.bot(2).await);
    uncut.call("subscribe", json!({"channel": "executions", "snap_orders": false})).await;
    place(&mut bot, "first").await;
    let mut all = until(&mut uncut, "first").await;
    for (round, restarted) in [false, true].into_iter().enumerate() {
        let last = format!("last-{round}");
        // Everybody had got to a different place.
        let places: Vec<usize> = (0..CLIENTS).map(|number| number % all.len()).collect();
        let offsets = places.iter().map(|place| all[*place]["offset"].as_u64().unwrap());
        let offsets: Vec<u64> = offsets.collect();
        if restarted {
            world.restart().await;
            (uncut, bot) = (world.bot(2).await, world.bot(2).await);
            let from = all.last().unwrap()["offset"].clone();
            uncut.call("subscribe", json!({"channel": "executions", "from_offset": from})).await;
        }
        let trade = async {
            for number in 0..50 {
                place(&mut bot, &format!("r{round}-{number}")).await;
            }
            place(&mut bot, &last).await;
        };
        let back = join_all(offsets.iter().map(|from| come_back(&world, *from, &last)));
        let (told, ()) = tokio::join!(back, trade);
        all.extend(until(&mut uncut, &last).await);
        for (place, told) in places.iter().zip(told) {
            assert_eq!(told, all[place + 1..], "from item {place}, restarted: {restarted}");
        }
    }
}

/// The engine has few places, and clients that must wait take none.
#[tokio::test]
async fn d4_56_handshakes_token_calls_and_questions_of_pages_wait_their_turn() {
    let wide = KeySettings { nonce_window: u64::MAX, ..KeySettings::default() };
    let world = World::configured(&[with(wide)], |config| {
        (config.limits.pending_handshakes, config.limits.submit_queue) = (1, 4);
    })
    .await;
    let asked = join_all((0..CLIENTS).map(|_| http(world.address, "GET", "/session", &COOKIE, "")));
    let origin = format!("http://{}", world.address);
    let leaves = [COOKIE[0], ("Origin", origin.as_str())];
    let left = join_all((0..CLIENTS).map(|_| http(world.address, "DELETE", "/session", &leaves, "")));
    for (status, _, body) in asked.await.into_iter().chain(left.await) {
        assert_eq!(status, 401, "{body}");
    }
    let nonces: Vec<String> = (0..CLIENTS).map(|_| next_nonce()).collect();
    for answer in join_all(nonces.iter().map(|nonce| token(&world, 1, nonce))).await {
        assert_eq!(answer["error"], json!([]));
    }
    join_all((0..CLIENTS).map(|_| world.bot(1))).await;
}
