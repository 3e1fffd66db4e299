//! How many a message may name, and how long what it gives may be: at the bound it is taken, one beyond it is refused
//! by its name. The engine's own bounds are in `tests/engine/bounds.rs`.

use countersign::access::scope::ScopeSet;
use countersign::config::Config;
use serde_json::{Value, json};

use super::client::{Client, PASSWORD, ballot, code, http};
use super::world::{World, key};

const REQUEST: &str = "RAAAAA-AAAAA-AAAAAA";

/// Takes each of the first params and refuses each of the others, by this field.
async fn bounds(client: &mut Client, (method, field): (&str, &str), taken: Vec<Value>, refused: Vec<Value>) {
    let named = format!("EGeneral:Invalid arguments:{field}: ");
    for params in taken {
        let reply = client.reply(method, params.clone()).await;
        let error = reply["error"].as_str().unwrap_or_default();
        assert!(!error.starts_with("EGeneral:Invalid arguments"), "{method} {params:.300}: {error}");
    }
    for params in refused {
        let error = client.refused(method, params.clone()).await;
        assert!(error.starts_with(&named), "{method} {params:.300}: {error}");
    }
}

/// Params that name `count` things under `field`, for each count.
fn of(field: &str, thing: &Value, counts: &[usize]) -> Vec<Value> {
    counts.iter().map(|count| json!({field: vec![thing; *count]})).collect()
}

/// The same beside other params.
fn with(others: &Value, all: Vec<Value>) -> Vec<Value> {
    let joined = |mut params: Value| {
        params.as_object_mut().unwrap().extend(others.as_object().unwrap().clone());
        params
    };
    all.into_iter().map(joined).collect()
}

#[tokio::test]
async fn a_message_names_as_many_as_it_may() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let (mut bot, mut bob) = (world.bot(1).await, world.member("bob").await);
    let (order, name) = (json!("OAAAAA-AAAAA-AAAAAA"), json!("mine"));
    for (method, field, thing, refused) in [
        ("cancel_order", "order_id", &order, "order_id"),
        ("cancel_order", "cl_ord_id", &name, "order_id"),
        ("cancel_order", "order_userref", &json!(7), "order_id"),
        ("query_orders", "order_id", &order, "order_id"),
        ("query_orders", "cl_ord_id", &name, "order_id"),
        ("query_ledgers", "ledger_id", &json!("LAAAAA-AAAAA-AAAAAA"), "ledger_id"),
    ] {
        if method != "cancel_order" {
            bounds(&mut bot, (method, refused), of(field, thing, &[1, 50]), vec![]).await;
        }
        bounds(&mut bot, (method, refused), vec![], of(field, thing, &[0, 51])).await;
    }
    // It is answered once for each.
    for count in [1, 50] {
        let asked = json!({"method": "cancel_order", "req_id": 900, "params": {"order_id": vec![&order; count]}});
        bot.send(asked.to_string()).await;
        for _ in 0..count {
            assert_eq!(bot.answer(900).await["error"], "EOrder:Unknown order");
        }
    }
    for (field, thing) in [("orders", &order), ("orders", &json!(7)), ("cl_ord_id", &name)] {
        let cancel = ("batch_cancel", "orders");
        bounds(&mut bot, cancel, of(field, thing, &[2, 50]), of(field, thing, &[0, 1, 51])).await;
    }
    let order = json!({"order_type": "limit", "side": "buy", "order_qty": 1, "limit_price": 10});
    let orders = |counts: &[usize]| with(&json!({"symbol": "BTC/USD", "validate": true}), of("orders", &order, counts));
    bounds(&mut bot, ("batch_add", "orders"), orders(&[2, 15]), orders(&[0, 1, 16])).await;
    let vote = json!({"request_id": REQUEST, "digest": "0"});
    for (method, others) in [
        ("approve", json!({"otp": code(0)})),
        ("execute", json!({"otp": code(0)})),
        ("reject", json!({"reason": "no"})),
    ] {
        let votes = |counts: &[usize]| with(&others, of("requests", &vote, counts));
        bounds(&mut bob, (method, "requests"), votes(&[1, 50]), votes(&[0, 51])).await;
    }
}

#[tokio::test]
async fn one_code_carries_fifty_votes() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let (mut bot, mut bob) = (world.bot(1).await, world.member("bob").await);
    let mut ballots = Vec::new();
    for _ in 0..51 {
        let asked = bot.call("withdraw", json!({"asset": "BTC", "key": "cold-1", "amount": "0.01"})).await;
        let request = bob.call("request_info", json!({"request_id": asked["request_id"]})).await;
        ballots.push(ballot(&request)[0].take());
    }
    let otp = code(0);
    let votes = |ballots: &[Value]| json!({"requests": ballots, "otp": otp});
    let error = bob.refused("approve", votes(&ballots)).await;
    assert_eq!(error, "EGeneral:Invalid arguments:requests: name 1 to 50 requests");
    let decided = bob.call("approve", votes(&ballots[..50])).await;
    let approved = |vote: &&Value| vote["request"]["state"] == "approved";
    assert_eq!(decided["requests"].as_array().unwrap().iter().filter(approved).count(), 50);
    let error = bob.refused("approve", votes(&ballots[50..])).await;
    assert!(error.starts_with("EGovernance:One-time code used"), "{error}");
}

#[tokio::test]
async fn a_page_has_one_row_to_five_hundred() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let (mut bot, mut alice) = (world.bot(1).await, world.member("alice").await);
    let pages = |limits: [u32; 2]| limits.map(|limit| json!({"limit": limit})).to_vec();
    for method in [
        "open_orders",
        "closed_orders",
        "trades_history",
        "ledgers",
        "deposit_status",
        "withdraw_status",
        "earn_strategies",
        "earn_allocations",
    ] {
        bounds(&mut bot, (method, "limit"), pages([1, 500]), pages([0, 501])).await;
    }
    for method in ["requests", "audit_log"] {
        bounds(&mut alice, (method, "limit"), pages([1, 500]), pages([0, 501])).await;
    }
    for _ in 0..51 {
        bot.call("withdraw", json!({"asset": "BTC", "key": "cold-1", "amount": "0.01"})).await;
    }
    for (params, rows, ends) in [(json!({}), 50, false), (json!({"limit": 51}), 51, true)] {
        let page = bot.call("withdraw_status", params.clone()).await;
        let found = (page["withdrawals"].as_array().unwrap().len(), page.get("cursor").is_none());
        assert_eq!(found, (rows, ends), "{params}");
    }
}

#[tokio::test]
async fn a_client_id_has_one_byte_to_sixty_four() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let mut clients = [world.bot(1).await, world.member("alice").await, world.venue().await];
    let ids = |others: Value, lengths: [usize; 2]| {
        with(&others, lengths.map(|length| json!({"client_id": "c".repeat(length)})).to_vec())
    };
    let withdrawal = json!({"asset": "BTC", "key": "cold-1", "amount": "0.01"});
    let [two, one] = ["2", "1"].map(|amount| json!({"strategy_id": "ESTRAT1", "amount": amount}));
    for (at, method, params) in [
        (0, "withdraw", &withdrawal),
        (0, "earn_allocate", &two),
        (0, "earn_deallocate", &one),
        (1, "initiate_withdrawal", &withdrawal),
        (2, "pay_earn_reward", &one),
    ] {
        let (taken, refused) = (ids(params.clone(), [1, 64]), ids(params.clone(), [0, 65]));
        bounds(&mut clients[at], (method, "client_id"), taken, refused).await;
    }
}

#[tokio::test]
async fn a_password_has_ten_bytes_to_two_hundred_and_fifty_six() {
    let world = World::new(&[]).await;
    let members = json!([{"name": "Dora", "email": "dora@new.test"}]);
    let made = world.venue().await.call("create_organization", json!({"name": "New", "members": members})).await;
    let path = format!("/invitations/{}", made["members"][0]["invitation"].as_str().unwrap());
    let post = async |body: Value| {
        let headers = [("Content-Type", "application/json")];
        let (status, _, answer) = http(world.address, "POST", &path, &headers, &body.to_string()).await;
        (status, answer)
    };
    for (bytes, status) in [(0, 400), (9, 400), (10, 200), (256, 200), (257, 400)] {
        let (found, answer) = post(json!({"password": "p".repeat(bytes)})).await;
        assert_eq!(found, status, "{bytes}: {answer}");
        let told = answer.contains("EGeneral:Invalid arguments:password: give 10 to 256 bytes");
        assert_eq!(told, status == 400, "{bytes}: {answer}");
    }
    // Five letters of two bytes each.
    assert_eq!(post(json!({"password": "ééééé"})).await.0, 200);
    let both = post(json!({"password": PASSWORD, "otp": "123456"})).await;
    assert_eq!(both.0, 400, "one after the other: {}", both.1);
}

#[test]
fn each_limit_of_the_settings_is_within_bounds() {
    for (name, least, most) in [
        ("max_connections", 1, 1_000_000),
        ("send_queue_bytes", 65_536, 1_073_741_824),
        ("submit_queue", 1, 1_000_000),
        ("snapshot_events", 1, 1_000_000_000),
        ("connections_per_address", 1, 1_000_000),
        ("connections_per_key", 1, 1_000_000),
        ("subscriptions_per_connection", 1, 100_000),
        ("messages_per_second", 1, 1_000_000),
        ("pending_handshakes", 1, 1_000_000),
        ("member_idle_s", 1, 43_200),
        ("ping_s", 1, 300),
        ("disconnect_grace_s", 0, 600),
        ("replay_ring", 1, 1_000_000),
        ("replay_items", 1, 1_000_000_000),
        ("replay_s", 0, 31_622_400),
    ] {
        let told =
            |value: i64| Config::parse(&format!("[limits]\n{name} = {value}")).err().map(|error| error.to_string());
        assert_eq!([least, most].map(told), [None, None], "{name}");
        for beyond in [least - 1, most + 1] {
            assert!(told(beyond).is_some_and(|error| error.contains(name)), "{name} = {beyond}");
        }
    }
}
