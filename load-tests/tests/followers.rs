//! Followers of a real server: what a withdrawal, a deposit and a movement of Earn look like on every private stream.

#![allow(clippy::unwrap_used, reason = "all of this is test code")]

use std::path::Path;
use std::time::Duration;

use load_tests::caller::Caller;
use load_tests::checks::Check;
use load_tests::children::{CountersignChild, RunDirectory};
use load_tests::connection::Connection;
use load_tests::follower::{Followers, Principal};
use load_tests::member::{Session, code};
use load_tests::mix::run_prefix;
use load_tests::order_set::OrderSet;
use load_tests::publisher::Approvals;
use load_tests::signature::Nonces;
use load_tests::target::{Overrides, Target};
use serde_json::json;

const BUFFER_BYTES: usize = 4_096;
const RUN: u64 = 7;

/// A deposit, a movement of Earn, an order, and a withdrawal that Alice approves and custody pays.
async fn everything_once(target: &Target, nonces: &mut Nonces) -> OrderSet {
    let mut bot = Caller::new(target.open(nonces, 0, BUFFER_BYTES).await.unwrap());
    let key = target.venue.clone().unwrap();
    let venue = Connection::open(&target.ws, key.proof(nonces.next_nonce()), BUFFER_BYTES).await.unwrap();
    let mut venue = Caller::new(venue);
    let methods = bot.call("deposit_methods", json!({"asset": "BTC"})).await.unwrap();
    let to = json!({"asset": "BTC", "method": methods["methods"][0]["method"]});
    let address = bot.call("deposit_addresses", to).await.unwrap()["addresses"][0]["address"].clone();
    let deposit = json!({"asset": "BTC", "address": address, "amount": "1", "txid": "followed"});
    venue.call("credit_deposit", deposit).await.unwrap();
    let strategies = bot.call("earn_strategies", json!({"asset": "SOL"})).await.unwrap();
    let allocation = json!({"strategy_id": strategies["strategies"][0]["id"], "amount": "1"});
    bot.call("earn_allocate", allocation).await.unwrap();
    let order = json!({"order_type": "limit", "side": "buy", "symbol": "BTC/USD", "order_qty": 0.001, "limit_price": 100.0,
        "cl_ord_id": format!("{}000000000001", run_prefix(RUN))});
    bot.call("add_order", order).await.unwrap();
    let asked = json!({"asset": "BTC", "key": "cold-1", "amount": "0.1"});
    let asked = bot.call("withdraw", asked).await.unwrap();
    let alice = target.members.iter().find(|member| member.name == "Alice").unwrap();
    let session = Session::sign_in(target, alice).await.unwrap();
    let mut member = Caller::new(session.open(BUFFER_BYTES).await.unwrap());
    let request = member.call("request_info", json!({"request_id": asked["request_id"]})).await.unwrap();
    let vote = json!([{"request_id": request["request_id"], "digest": request["digest"]}]);
    let vote = json!({"requests": vote, "otp": code(&alice.totp_secret, 0).unwrap()});
    assert_eq!(member.call("approve", vote).await.unwrap()["requests"][0]["success"], true);
    venue.call("settle_withdrawal", json!({"refid": asked["refid"]})).await.unwrap();
    let mut acknowledged = OrderSet::default();
    acknowledged.insert(0, 1);
    acknowledged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_private_stream_is_followed_and_tells_its_part() {
    let directory = RunDirectory::create(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("followers")).unwrap();
    let server = Path::new(env!("CARGO_BIN_EXE_load-tests")).with_file_name("countersign");
    let child = CountersignChild::start(&server, directory.path()).await.unwrap();
    let target = Target::from_ready(&child.ready, &Overrides::default()).unwrap();
    let carol = Session::sign_in(&target, Approvals::onlooker(&target).unwrap()).await.unwrap();
    let key = Principal::ServiceUser(target.users[0].clone());
    let principals = vec![key, Principal::Member(carol), Principal::Venue(target.venue.clone().unwrap())];
    let mut nonces = Nonces::default();
    let patience = Duration::from_secs(10);
    let followers = Followers::start(&target.ws, principals, &mut nonces, RUN, patience).await.unwrap();
    let acknowledged = everything_once(&target, &mut nonces).await;
    let checks = followers.finish(|number| if number == 0 { acknowledged.clone() } else { OrderSet::default() }).await;
    assert!(checks.iter().all(Check::holds), "{checks:#?}");
    for made in [
        "Treasury Bot executions: each acknowledged order seen",
        "Treasury Bot ledger: the same entries as on balances",
        "Treasury Bot earn: what moved on balances is told",
        "Treasury Bot deposits: what moved on balances is told",
        "Treasury Bot withdrawals: what moved on balances is told",
        "Treasury Bot balances: rebuilt from deltas = fresh snapshot",
        "Carol approvals: what changed on withdrawals is told",
        "Carol approvals: offsets strictly increasing",
        "venue custody: no withdrawal out of turn",
        "venue custody: offsets strictly increasing",
    ] {
        assert!(checks.iter().any(|check| check.name == made && check.looked_at > 0), "{made}: {checks:#?}");
    }
}
