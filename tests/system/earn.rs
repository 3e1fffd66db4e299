//! Earn, rewards and the halt, over real sockets (rules 33, 35, 36, 39).

use countersign::access::scope::ScopeSet;
use serde_json::{Value, json};

use super::client::{Client, http, limit, units};
use super::operation::{metrics, value};
use super::replay::items;
use super::world::{World, key, other};

/// Acme's bot is the first, Other's the second.
async fn world() -> World {
    World::new(&[key(ScopeSet::ALL), other()]).await
}

/// Adds a strategy of ETH: its id.
async fn add(venue: &mut Client, lock_type: Value, more: Value) -> String {
    let mut asked = json!({"asset": "ETH", "lock_type": lock_type, "user_min_allocation": "1",
        "apr_estimate": {"low": 3, "high": "4.5"}});
    asked.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    venue.call("add_earn_strategy", asked).await["strategy_id"].as_str().unwrap().to_owned()
}

fn of(strategy: &str, amount: &str) -> Value {
    json!({"strategy_id": strategy, "amount": amount})
}

#[tokio::test]
async fn a_bonded_allocation_lives_through_its_stages_and_a_restart() {
    let mut world = world().await;
    let mut venue = world.venue().await;
    let lock = json!({"type": "bonded", "bonding_period": 1, "exit_queue_period": 1, "unbonding_period": 1});
    let id = add(&mut venue, lock.clone(), json!({"auto_compound": {"type": "enabled"}})).await;
    let mut bot = world.bot(1).await;
    bot.subscribe("earn").await;
    let shown = bot.call("earn_strategies", json!({"limit": 1, "lock_type": ["bonded"]})).await;
    let strategy = &shown["strategies"][0];
    assert_eq!((&strategy["id"], &strategy["lock_type"], &shown["cursor"]), (&json!(id), &lock, &json!(id)));
    assert_eq!(
        (&strategy["auto_compound"]["type"], &strategy["yield_source"]["type"]),
        (&json!("enabled"), &json!("staking"))
    );
    assert_eq!(strategy["apr_estimate"]["high"].to_string(), "4.5");
    let earned = bot.call("earn_allocate", of(&id, "10")).await;
    assert_eq!(earned["state"], "bonding");
    let operation = earned["operation_id"].clone();
    let bonding = bot.item("earn", |item| item["operation_id"] == operation).await;
    assert_eq!((&bonding["state"], &bonding["expires"]), (&json!("bonding"), &earned["expires"]));
    bot.item("earn", |item| item["operation_id"] == operation && item["state"] == "allocated").await;
    bot.call("earn_deallocate", of(&id, "4")).await;
    let left = bot.item("earn", |item| item["state"] == "exit_queue").await;
    let status = bot.call("earn_status", json!({"strategy_id": id})).await;
    assert_eq!(status["allocated"].to_string(), "6.0");
    // The stages continue while the server is down: the first tick of the next start finds them over, or later ones do.
    world.restart().await;
    let mut bot = world.bot(1).await;
    bot.call("subscribe", json!({"channel": "earn", "from_offset": left["offset"]})).await;
    let mut states = Vec::new();
    while states.len() < 2 {
        // One frame may tell several steps.
        let told = bot.frame("earn").await["data"].as_array().cloned().unwrap();
        states.extend(told.into_iter().map(|item| (item["operation_id"].clone(), item["state"].clone())));
    }
    let own = |state: &str| (left["operation_id"].clone(), json!(state));
    assert_eq!(states, [own("unbonding"), own("deallocated")]);
    let balances = bot.call("get_balances", json!({})).await;
    let wallets = &balances["balances"][2]["wallets"];
    assert_eq!((wallets[0]["balance"].to_string(), wallets[1]["balance"].to_string()), ("994.0".into(), "6.0".into()));
}

#[tokio::test]
async fn what_waits_for_its_exit_is_listed_with_what_earns() {
    let world = world().await;
    let mut venue = world.venue().await;
    let lock = json!({"type": "bonded", "bonding_period": 1, "exit_queue_period": 3_600, "unbonding_period": 1});
    let id = add(&mut venue, lock, json!({})).await;
    let mut bot = world.bot(1).await;
    bot.subscribe("earn").await;
    bot.call("earn_allocate", of(&id, "10")).await;
    bot.item("earn", |item| item["state"] == "allocated").await;
    let left = bot.call("earn_deallocate", of(&id, "4")).await;
    let status = bot.call("earn_status", json!({"strategy_id": id})).await;
    let waiting = &status["exit_queue"];
    assert_eq!((status["allocated"].to_string(), waiting.as_array().unwrap().len()), ("6.0".to_owned(), 1));
    assert_eq!(waiting[0]["operation_id"], left["operation_id"]);
}

#[tokio::test]
async fn d4_53_rewards_are_split_exactly_and_told_in_balances_ledger_and_allocations() {
    let world = world().await;
    let (mut venue, mut acme, mut other) = (world.venue().await, world.bot(1).await, world.bot(2).await);
    let choice = json!({"auto_compound": {"type": "optional", "default": false}});
    let lock = json!({"type": "flex", "payout_frequency": 86_400});
    let id = add(&mut venue, lock, choice).await;
    for bot in [&mut acme, &mut other] {
        bot.subscribe("earn").await;
        bot.subscribe("ledger").await;
        bot.subscribe("balances").await;
    }
    let chosen = json!({"strategy_id": id, "amount": "1", "auto_compound": true, "client_id": "a"});
    let first = acme.call("earn_allocate", chosen.clone()).await;
    assert_eq!(acme.call("earn_allocate", chosen).await, first, "the same again is the same operation");
    other.call("earn_allocate", of(&id, "2")).await;
    let reward = json!({"strategy_id": id, "amount": "0.0000001", "client_id": "week-1"});
    let paid = venue.call("pay_earn_reward", reward.clone()).await;
    assert_eq!((paid["accounts"].as_u64(), paid["amount"].to_string()), (Some(2), "1e-7".into()));
    assert_eq!(venue.call("pay_earn_reward", reward.clone()).await, paid, "and paid once");
    let more = json!({"strategy_id": id, "amount": "1", "client_id": "week-1"});
    assert!(venue.refused("pay_earn_reward", more).await.starts_with("EGeneral:client_id not unique"));
    let mut parts = 0;
    for (bot, compounded, wallet) in [(&mut acme, true, "flex"), (&mut other, false, "main")] {
        let item = bot.item("earn", |item| item["state"] == "rewarded").await;
        assert_eq!((&item["auto_compounded"], &item["strategy_id"]), (&json!(compounded), &json!(id)));
        let entry = bot.call("ledgers", json!({"type": "staking"})).await["entries"].take();
        assert_eq!((entry.as_array().unwrap().len(), &entry[0]["ref_id"]), (1, &item["operation_id"]));
        assert_eq!((&entry[0]["category"], &entry[0]["wallet_id"]), (&json!("staking-rewards"), &json!(wallet)));
        let told = items(&bot.kept(), "balances");
        let [told] = &told[..] else { panic!("one change of a balance: {told:?}") };
        assert_eq!((&told["type"], &told["amount"]), (&json!("staking"), &entry[0]["amount"]));
        parts += units(&entry[0]["amount"]);
        let shown = bot.call("earn_allocations", json!({"converted_asset": "ETH"})).await;
        let mine = &shown["allocations"][0];
        assert_eq!(mine["total_rewarded"]["native"], entry[0]["amount"]);
        assert_eq!(mine["payout"]["accumulated_reward"]["native"], entry[0]["amount"]);
        assert_eq!((&shown["converted_asset"], &shown["total_rewarded"]), (&json!("ETH"), &entry[0]["amount"]));
    }
    assert_eq!(parts, units(&paid["amount"]));
    let mut alice = world.member("alice").await;
    let log = alice.call("audit_log", json!({})).await.to_string();
    assert!(log.contains("pay_earn_reward") && log.contains("week-1"), "{log}");
}

#[tokio::test]
async fn every_refusal_of_earn_is_v2s_own_text() {
    let world = world().await;
    let (mut venue, mut acme, mut other) = (world.venue().await, world.bot(1).await, world.bot(2).await);
    let caps = json!({"user_cap": "20", "total_cap": "30"});
    let slow = add(&mut venue, json!({"type": "bonded", "bonding_period": 3_600}), caps).await;
    let closed = add(&mut venue, json!({"type": "flex"}), json!({"organizations": ["ORG2"]})).await;
    let refused = |error: String, text: &str| assert_eq!(error, text);
    refused(
        acme.refused("earn_allocate", of(&slow, "0.5")).await,
        "EEarnings:Below min:(De)allocation operation amount less than minimum",
    );
    refused(
        acme.refused("earn_allocate", of(&slow, "21")).await,
        "EEarnings:Above max:The allocation exceeds user limit for the strategy",
    );
    acme.call("earn_allocate", of(&slow, "20")).await;
    refused(
        other.refused("earn_allocate", of(&slow, "11")).await,
        "EEarnings:Above max:The allocation exceeds the total strategy limit",
    );
    refused(
        acme.refused("earn_deallocate", of(&slow, "20")).await,
        "EEarnings:Busy:Another (de)allocation for the same strategy is in progress",
    );
    refused(
        acme.refused("earn_deallocate", of(&slow, "21")).await,
        "EEarnings:Insufficient funds:Insufficient funds to complete the (de)allocation request",
    );
    refused(
        acme.refused("earn_allocate", of(&closed, "1")).await,
        "EEarnings:Permission denied:The user's tier is not high enough",
    );
    let offers = acme.call("earn_strategies", json!({"asset": "ETH"})).await;
    let told = |at: usize| offers["strategies"][at]["allocation_restriction_info"].clone();
    assert_eq!((told(0), told(1)), (json!(["tier"]), json!(["user_cap"])));
    refused(acme.refused("earn_allocate", of("ESTRAT99", "1")).await, "EGeneral:Invalid arguments:Invalid strategy ID");
    let many = add(&mut venue, json!({"type": "bonded", "bonding_period": 3_600}), json!({})).await;
    for _ in 0..100 {
        acme.call("earn_allocate", of(&many, "1")).await;
    }
    refused(acme.refused("earn_allocate", of(&many, "1")).await, "EEarnings:Busy");
}

#[tokio::test]
async fn a_halt_is_told_to_every_socket_and_lasts_until_the_venue_resumes() {
    let mut world = world().await;
    let (mut venue, mut bot, mut bare) = (world.venue().await, world.bot(1).await, Client::bare(world.address).await);
    let limit = limit("buy", 1, 10.0);
    let order = bot.call("add_order", limit.clone()).await;
    let shown = async |address| value(&metrics(address).await, "countersign_halted");
    assert_eq!(shown(world.address).await, 0);
    let halted = venue.call("halt", json!({"reason": "drill"})).await;
    assert_eq!(halted, json!({"halted": true, "reason": "drill"}));
    for socket in [&mut bot, &mut bare] {
        socket.item("status", |item| item["system"] == "cancel_only").await;
    }
    assert_eq!(bot.refused("add_order", limit.clone()).await, "EService:Market in cancel_only mode");
    assert_eq!(bot.refused("earn_allocate", of("ESTRAT1", "1")).await, "EService:Market in cancel_only mode");
    assert_eq!(bot.refused("halt", json!({"reason": "mine"})).await, "EGeneral:Permission denied");
    assert_eq!(shown(world.address).await, 1);
    world.restart().await;
    assert_eq!(shown(world.address).await, 1);
    let (mut venue, mut bot) = (world.venue().await, world.bot(1).await);
    assert_eq!(bot.frame("status").await["data"][0]["system"], "cancel_only", "over a restart too");
    let (_, _, body) = http(world.address, "GET", "/0/public/SystemStatus", &[], "").await;
    assert!(body.contains("cancel_only"), "{body}");
    bot.call("cancel_order", json!({"order_id": [order["order_id"]]})).await;
    assert_eq!(venue.call("resume", json!({})).await, json!({"halted": false}));
    assert_eq!(shown(world.address).await, 0);
    bot.item("status", |item| item["system"] == "online").await;
    bot.call("add_order", limit).await;
    let mut alice = world.member("alice").await;
    let log = alice.call("audit_log", json!({})).await["entries"].take();
    let acts: Vec<&str> = log.as_array().unwrap().iter().filter_map(|entry| entry["action"].as_str()).collect();
    assert!(acts.contains(&"halt") && acts.contains(&"resume"), "{acts:?}");
    let drill = log.as_array().unwrap().iter().find(|entry| entry["action"] == "halt").unwrap();
    assert_eq!((&drill["actor"], &drill["detail"]), (&json!("VEN1"), &json!("drill")));
}
