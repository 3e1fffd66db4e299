//! Peers that vanish or send more than there is room for, and a stop in the middle of it (features D4 and D6).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use countersign::access::key::KeySettings;
use countersign::access::scope::ScopeSet;
use serde_json::{Value, json};

use super::client::{Client, ballot, code, next_nonce};
use super::operation::{metrics, value};
use super::settings;
use super::world::{World, key, with};

const BOTS_SOCKETS: &str = "countersign_sockets{kind=\"service_user\"}";
const UNAVAILABLE: &str = "EService:Unavailable: retry in 100 ms";

fn limit(id: &str) -> Value {
    json!({"order_type": "limit", "side": "buy", "symbol": "BTC/USD", "order_qty": "0.1", "limit_price": 10,
        "cl_ord_id": id})
}

fn message(method: &str, req_id: usize, params: Value) -> Value {
    json!({"method": method, "req_id": req_id, "params": params})
}

/// D4-55. A socket that is not read answers no ping, like a peer that vanished.
#[tokio::test]
async fn d4_55_a_vanished_peer_is_gone_after_two_pings_and_its_orders_are_canceled_once() {
    let keys = [key(ScopeSet::ALL), key(ScopeSet::ALL)];
    let change = |config: &mut countersign::config::Config| {
        (config.limits.ping_s, config.limits.disconnect_grace_s) = (1, 0);
    };
    let world = World::configured(&keys, change).await;
    let (mut watcher, mut vanished) = (world.bot(2).await, world.bot(1).await);
    watcher.subscribe("executions").await;
    let control = watcher.call("add_order", limit("control")).await;
    vanished.call("subscribe", json!({"channel": "executions", "cancel_on_disconnect": true})).await;
    assert_eq!(value(&metrics(world.address).await, BOTS_SOCKETS), 2);
    let began = Instant::now();
    let order = vanished.call("add_order", limit("vanished")).await;
    let canceled = canceled_within_beats(&mut watcher, &order["order_id"]).await;
    assert_eq!(canceled["reason"], "Canceled on disconnect");
    assert!(began.elapsed() >= Duration::from_secs(2), "a second of silence, and one for the answer to a ping");
    let stays = async {
        let left = async { while value(&metrics(world.address).await, BOTS_SOCKETS) != 1 {} };
        tokio::time::timeout(Duration::from_secs(20), left).await.expect("one socket is left");
        let mut back = world.bot(1).await;
        back.call("subscribe", json!({"channel": "executions", "cancel_on_disconnect": true})).await;
        let order = back.call("add_order", limit("back")).await;
        // A client that answers pings stays, for longer than the other one did.
        for _ in 0..4 {
            back.frame("heartbeat").await;
        }
        let open = back.call("open_orders", json!({})).await;
        let open: Vec<&Value> = open["orders"].as_array().unwrap().iter().map(|order| &order["order_id"]).collect();
        assert_eq!(open, [&control["order_id"], &order["order_id"]]);
    };
    let canceled_again = async { while canceled_of(&watcher.next().await).is_empty() {} };
    tokio::select! {
        () = stays => {}
        () = canceled_again => panic!("one order was canceled, once"),
    }
    assert_eq!(vanished.closed().await.0, 1006, "nobody says good-bye to who is gone");
}

/// The canceled orders in a frame.
fn canceled_of(frame: &Value) -> Vec<&Value> {
    let items = frame["data"].as_array().filter(|_| frame["channel"] == "executions");
    items.into_iter().flatten().filter(|item| item["exec_type"] == "canceled").collect()
}

/// Waits for the cancel of this order, which must be the first one. Time is counted in the watcher's own heartbeats,
/// one a second: a slow machine is slow for both sockets.
async fn canceled_within_beats(watcher: &mut Client, order: &Value) -> Value {
    let mut beats = 0;
    loop {
        let frame = watcher.next().await;
        if let [canceled, more @ ..] = &canceled_of(&frame)[..] {
            assert_eq!((&canceled["order_id"], more.len()), (order, 0), "{frame}");
            return (*canceled).clone();
        }
        beats += usize::from(frame["channel"] == "heartbeat");
        // Silence is checked every second, so there is a ping after two and the end after four; then comes the cancel.
        assert!(beats <= 8, "a peer that answers no ping is there still");
    }
}

/// D6-76. What arrives in one read is submitted together: twenty orders are more than the queue of eight has room for.
#[tokio::test]
async fn d6_76_a_full_queue_refuses_with_a_time_and_lets_cancels_and_votes_through() {
    let world = World::configured(&[key(ScopeSet::ALL)], |config| config.limits.submit_queue = 8).await;
    let (mut bot, mut bob) = (world.bot(1).await, world.member("bob").await);
    for round in 0..20 {
        let resting = bot.call("add_order", limit(&format!("resting-{round}"))).await["order_id"].clone();
        let mut asked: Vec<Value> =
            (0..20).map(|number| message("add_order", 1_000 + number, limit(&format!("r{round}-{number}")))).collect();
        asked.insert(10, message("cancel_order", 2_000, json!({"order_id": [resting]})));
        assert!(bot.burst(asked).await);
        let mut refused = 0;
        for _ in 0..21 {
            let reply = loop {
                let frame = bot.next().await;
                if frame["req_id"].as_u64().is_some_and(|id| id >= 1_000) {
                    break frame;
                }
            };
            if reply["success"] == false {
                assert_eq!((&reply["method"], &reply["error"]), (&json!("add_order"), &json!(UNAVAILABLE)), "{reply}");
                refused += 1;
            }
        }
        assert!(refused > 0, "twenty at once fit into a queue of eight");
        bot.call("cancel_all", json!({})).await;
    }
    let mut alice = world.member("alice").await;
    bob.subscribe("approvals").await;
    // What became of each, and what policy says to Execute, is the engine's word.
    for (method, further, told) in [
        ("reject", json!({"reason": "not ours"}), json!("rejected")),
        ("approve", json!({"otp": code(0)}), json!("approved")),
        (
            "execute",
            json!({"otp": code(0)}),
            json!("EGovernance:Execute not allowed:request_id: it is completed by votes"),
        ),
    ] {
        let withdrawal = bot.call("withdraw", json!({"asset": "BTC", "key": "cold-1", "amount": "1"})).await;
        let request = bob.item("approvals", |item| item["request_id"] == withdrawal["request_id"]).await;
        let voter = if method == "execute" { &mut alice } else { &mut bob };
        let mut params = further;
        params["requests"] = ballot(&request);
        let decided = behind_twenty(voter, "member_info", method, params).await;
        let row = &decided["result"]["requests"][0];
        assert!(row["request"]["state"] == told || row["error"] == told, "{method}: {decided}");
    }
}

/// The answer to a message that arrives in one read after twenty queries, more than the queue has room for.
async fn behind_twenty(client: &mut Client, question: &str, method: &str, params: Value) -> Value {
    let mut asked: Vec<Value> = (0..20).map(|number| message(question, 1_000 + number, json!({}))).collect();
    asked.push(message(method, 2_000, params));
    assert!(client.burst(asked).await);
    let answer = client.answer(2_000).await;
    let full = client.kept().iter().filter(|frame| frame["error"] == UNAVAILABLE).count();
    assert!(full > 0, "{method}: twenty at once fit into a queue of eight");
    answer
}

#[tokio::test]
async fn d6_76_whatever_ends_or_stops_something_goes_through_a_full_queue() {
    let world = World::configured(&[key(ScopeSet::ALL)], |config| config.limits.submit_queue = 8).await;
    let (mut bot, mut alice, mut venue) = (world.bot(1).await, world.member("alice").await, world.venue().await);
    let resting = bot.call("add_order", limit("resting")).await["order_id"].take();
    let asked = json!({"asset": "BTC", "key": "cold-1", "amount": "1"});
    let refid = bot.call("withdraw", asked.clone()).await["refid"].take();
    let request = alice.call("initiate_withdrawal", asked).await["request_id"].take();
    for (method, params) in [
        ("batch_cancel", json!({"orders": [resting, "1"]})),
        ("cancel_all", json!({})),
        ("cancel_all_orders_after", json!({"timeout": 60})),
        ("withdraw_cancel", json!({"refid": refid})),
    ] {
        let answer = behind_twenty(&mut bot, "key_info", method, params).await;
        assert_eq!(answer["success"], true, "{answer}");
    }
    for (method, params) in [
        ("cancel_request", json!({"request_id": request})),
        ("cancel_orders", json!({"service_user_id": "SVC1"})),
        ("freeze", json!({"scope": "withdrawals", "reason": "drill"})),
    ] {
        let answer = behind_twenty(&mut alice, "member_info", method, params).await;
        assert_eq!(answer["success"], true, "{answer}");
    }
    let answer = behind_twenty(&mut venue, "key_info", "halt", json!({"reason": "drill"})).await;
    assert_eq!(answer["success"], true, "{answer}");
}

/// Sends orders until the server closes the socket; returns the answers by client id, and how many were sent.
pub async fn trade_until_closed(mut bot: Client, name: usize) -> (usize, BTreeMap<String, Value>) {
    const AT_ONCE: usize = 16;
    let id = |number: usize| format!("s{name}-{number}");
    let (mut sent, mut answers) = (0, BTreeMap::new());
    loop {
        // The notice may have come and the socket be closed: then writing fails.
        let orders = (sent..sent + AT_ONCE).map(|number| message("add_order", number, limit(&id(number))));
        let open = bot.burst(orders).await;
        sent += AT_ONCE;
        let wanted = answers.len() + AT_ONCE;
        while answers.len() < wanted {
            let Ok(frame) = bot.read().await else { return (sent, answers) };
            if let Some(number) = frame["req_id"].as_u64() {
                answers.insert(id(number as usize), frame);
            }
        }
        if !open {
            return (sent, answers);
        }
    }
}

/// D4-59, D6-68. Whatever was answered exists after the restart, and whatever was not was never accepted.
#[tokio::test]
async fn d4_59_a_stop_under_load_leaves_no_unknown_outcome() {
    const SOCKETS: usize = 6;
    let mut world = World::new(&vec![key(ScopeSet::ALL); SOCKETS]).await;
    let mut trading = Vec::new();
    for name in 0..SOCKETS {
        let bot = world.bot(name as u8 + 1).await;
        trading.push(tokio::spawn(trade_until_closed(bot, name)));
    }
    let mut watcher = world.bot(1).await;
    watcher.subscribe("executions").await;
    for _ in 0..20 {
        watcher.item("executions", |item| item["exec_type"] == "new").await;
    }
    world.stop().await;
    let mut told = Vec::new();
    for trading in trading {
        told.push(trading.await.unwrap());
    }
    world.start().await;
    let (mut answered, mut unanswered) = (0, 0);
    for (name, (sent, answers)) in told.into_iter().enumerate() {
        let mut bot = world.bot(name as u8 + 1).await;
        let ids: Vec<String> = (0..sent).map(|number| format!("s{name}-{number}")).collect();
        for ids in ids.chunks(50) {
            let found = bot.call("query_orders", json!({"cl_ord_id": ids})).await;
            let found = found["orders"].as_array().unwrap();
            for id in ids {
                let orders: Vec<&Value> = found.iter().filter(|order| order["cl_ord_id"] == json!(id)).collect();
                match answers.get(id).filter(|answer| answer["success"] == true) {
                    Some(answer) => {
                        let placed: Vec<&Value> = orders.iter().map(|order| &order["order_id"]).collect();
                        assert_eq!(placed, [&answer["result"]["order_id"]], "{id} was acknowledged");
                        answered += 1;
                    }
                    None => {
                        assert!(orders.is_empty(), "{id} was not acknowledged, and is there: {orders:?}");
                        unanswered += 1;
                    }
                }
            }
        }
    }
    assert!(answered >= 20, "{answered} answered, {unanswered} never taken");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_that_leave_with_answers_under_way_leave_nothing_behind() {
    let wide = KeySettings { nonce_window: u64::MAX, ..KeySettings::default() };
    let world = World::new(&[with(wide)]).await;
    let mut alice = world.member("alice").await;
    let granted = settings::token(&world, 1, &next_nonce()).await;
    let token = &granted["result"]["token"];
    for number in 0..100 {
        let mut order = limit(&format!("order-{number}"));
        order["token"] = token.clone();
        let subscribe = message("subscribe", 2, json!({"channel": "executions", "token": token}));
        Client::bare(world.address).await.burst([message("add_order", 1, order), subscribe]).await;
    }
    let mut open = u64::MAX;
    // The last ones may still be under way; one that is forgotten would stay for ever.
    for _ in 0..500 {
        open = alice.call("service_users", json!({})).await["service_users"][0]["open_connections"].as_u64().unwrap();
        if open == 0 {
            break;
        }
    }
    assert_eq!(open, 0, "sockets of the key that are gone");
}
