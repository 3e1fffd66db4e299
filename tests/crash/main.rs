//! `kill -9` under load, again and again on the same data: nothing acknowledged is lost, nothing is invented (D6-68).
//!
//! `CRASH_ROUNDS` is how often the server is killed, 20 when it is not set; `SEED` repeats a run's dice.
#![allow(clippy::unwrap_used)]

#[path = "../support/client.rs"]
#[allow(dead_code, reason = "the system tests use the rest")]
mod client;
#[path = "../support/demo.rs"]
mod demo;
#[path = "../support/postgres.rs"]
mod postgres;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::process::Command;

use client::Client;
use countersign::gateway::credentials::decode_secret;
use demo::Demo;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

const ROUNDS: u64 = 20;
const SOCKETS: usize = 4;
/// Requests under way on one socket.
const IN_FLIGHT: usize = 16;

/// What the load has learned.
#[derive(Default)]
struct Told {
    /// Every client id that was ever sent.
    sent: BTreeSet<String>,
    /// Acknowledged orders by client id.
    placed: BTreeMap<String, String>,
    /// Orders whose cancel was acknowledged.
    canceled: BTreeSet<String>,
    /// Acknowledged withdrawals by client id.
    withdrawals: BTreeMap<String, String>,
    /// Acknowledged Earn operations by client id.
    earned: BTreeMap<String, String>,
}

fn message(round: u64, number: usize, kind: u32, told: &Told) -> (String, Value) {
    let id = format!("r{round}-{number}");
    let order = |order_type: &str| json!({"order_type": order_type, "side": "buy", "symbol": "BTC/USD", "order_qty": "0.0001", "cl_ord_id": id});
    match kind {
        0..70 => {
            let mut order = order("limit");
            order["limit_price"] = json!(1_000 + number % 100);
            (id, json!({"method": "add_order", "params": order}))
        }
        70..80 => (id.clone(), json!({"method": "add_order", "params": order("market")})),
        80..85 => {
            let params = json!({"asset": "BTC", "key": "cold-1", "amount": "0.0002", "client_id": id});
            (id, json!({"method": "withdraw", "params": params}))
        }
        85..90 => {
            let params = json!({"strategy_id": "ESTRAT1", "amount": "0.01", "client_id": id});
            (id, json!({"method": "earn_allocate", "params": params}))
        }
        _ => {
            let open = told.placed.values().next_back().cloned().unwrap_or_else(|| "OAAAAA-AAAAA-AAAAAA".to_owned());
            (id, json!({"method": "cancel_order", "params": {"order_id": [open]}}))
        }
    }
}

/// Sends until `acknowledgements` have come, then leaves the rest under way.
async fn load(bots: &mut [Client], round: u64, acknowledgements: usize, random: &mut StdRng, told: &mut Told) {
    let mut ids: Vec<String> = Vec::new();
    let mut under_way = vec![0; bots.len()];
    let mut come = 0;
    while come < acknowledgements {
        for (bot, under_way) in bots.iter_mut().zip(&mut under_way) {
            while *under_way < IN_FLIGHT {
                let (id, mut sent) = message(round, ids.len(), random.random_range(0..100), told);
                sent["req_id"] = json!(ids.len());
                told.sent.insert(id.clone());
                ids.push(id);
                bot.send(sent.to_string()).await;
                *under_way += 1;
            }
            let reply = loop {
                let frame = bot.next().await;
                if frame["req_id"].is_number() {
                    break frame;
                }
            };
            *under_way -= 1;
            come += 1;
            note(&reply, &ids[reply["req_id"].as_u64().unwrap() as usize], told);
        }
    }
}

fn note(reply: &Value, id: &str, told: &mut Told) {
    let text = |member: &str| reply["result"][member].as_str().unwrap().to_owned();
    if reply["success"] != json!(true) {
        return;
    }
    match reply["method"].as_str().unwrap() {
        "add_order" => drop(told.placed.insert(id.to_owned(), text("order_id"))),
        "withdraw" => drop(told.withdrawals.insert(id.to_owned(), text("refid"))),
        "earn_allocate" => drop(told.earned.insert(id.to_owned(), text("operation_id"))),
        "cancel_order" => drop(told.canceled.insert(text("order_id"))),
        other => panic!("{other} was not asked for"),
    }
}

/// Compares what the restarted server says with what was told.
async fn check(bot: &mut Client, told: &Told) {
    let mut found = BTreeMap::new();
    let ids: Vec<&String> = told.sent.iter().collect();
    for ids in ids.chunks(50) {
        let orders = bot.call("query_orders", json!({"cl_ord_id": ids})).await;
        for order in orders["orders"].as_array().unwrap() {
            let id = order["cl_ord_id"].as_str().unwrap().to_owned();
            let order_id = order["order_id"].as_str().unwrap().to_owned();
            if told.canceled.contains(&order_id) {
                assert_eq!(order["order_status"], "canceled", "{order}");
            }
            assert_eq!(found.insert(id, order_id), None, "{order} is there twice");
        }
    }
    for (id, order_id) in &told.placed {
        assert_eq!(found.get(id), Some(order_id), "order {id} was acknowledged and is lost");
    }
    assert!(found.keys().all(|id| told.sent.contains(id)));
    let (mut withdrawals, mut params) = (BTreeMap::new(), json!({"limit": 500}));
    loop {
        let page = bot.call("withdraw_status", params.clone()).await;
        let named = |of: &Value| Some((of["client_id"].as_str()?.to_owned(), of["refid"].as_str()?.to_owned()));
        withdrawals.extend(page["withdrawals"].as_array().unwrap().iter().filter_map(named));
        match page.get("cursor") {
            Some(cursor) => params["cursor"] = cursor.clone(),
            None => break,
        }
    }
    for (id, refid) in &told.withdrawals {
        assert_eq!(withdrawals.get(id), Some(refid), "withdrawal {id} was acknowledged and is lost");
    }
    assert!(withdrawals.keys().all(|id| told.sent.contains(id)));
    // The same Earn operation again answers with the first, so it can be asked for without effect.
    if let Some((id, operation)) = told.earned.iter().next_back() {
        let params = json!({"strategy_id": "ESTRAT1", "amount": "0.01", "client_id": id});
        assert_eq!(bot.call("earn_allocate", params).await["operation_id"], json!(operation));
    }
}

#[tokio::test]
async fn d6_68_kills_lose_nothing_that_was_acknowledged() {
    kill_again_and_again(None).await;
}

#[tokio::test]
async fn d6_68_nor_do_they_on_postgres() {
    kill_again_and_again(Some(&postgres::database())).await;
}

/// A number that whoever runs the test may give.
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
}

async fn kill_again_and_again(database: Option<&str>) {
    let seed = setting("SEED").unwrap_or_else(rand::random);
    let rounds = setting("CRASH_ROUNDS").unwrap_or(ROUNDS);
    println!("SEED={seed} CRASH_ROUNDS={rounds}");
    let mut random = StdRng::seed_from_u64(seed);
    let dir = tempfile::tempdir().unwrap();
    let mut told = Told::default();
    for round in 0..=rounds {
        let mut demo = Demo::start(dir.path(), database);
        let address: SocketAddr = demo.text("/http").trim_start_matches("http://").parse().unwrap();
        let [key, secret] = demo.treasury_bot();
        let secret = decode_secret(&secret).unwrap();
        let mut bots = Vec::new();
        for _ in 0..SOCKETS {
            bots.push(Client::signed(address, &key, &secret).await.unwrap());
        }
        check(&mut bots[0], &told).await;
        if round == rounds {
            let second = Command::new(env!("CARGO_BIN_EXE_countersign"))
                .args(["demo", "--once", "--port", "0", "--data"])
                .arg(dir.path().join("world"))
                .args(database.map(|url| ["--database", url]).into_iter().flatten())
                .output()
                .unwrap();
            assert!(!second.status.success(), "a second process on the same data must be refused");
            let said = String::from_utf8_lossy(&second.stderr);
            assert!(said.contains("in use by another process"), "{said}");
            break;
        }
        let acknowledgements = random.random_range(20..200);
        load(&mut bots, round, acknowledgements, &mut random, &mut told).await;
        demo.child.kill().unwrap();
    }
    assert!(told.placed.len() as u64 > 25 * rounds && !told.withdrawals.is_empty() && !told.earned.is_empty());
    assert!(!told.canceled.is_empty());
    let settings = dir.path().join("countersign.toml");
    let database = database.map(|url| format!("database = {url:?}")).unwrap_or_default();
    std::fs::write(&settings, format!("data_dir = 'world/data'\n{database}")).unwrap();
    let verified =
        Command::new(env!("CARGO_BIN_EXE_countersign")).args(["verify", "--config"]).arg(&settings).output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}
