//! Rate limits: counted as in v2 (docs.kraken.com, guide `spot-ratelimits`), announced before they refuse, and never in
//! the way of a cancel.

use countersign::access::scope::ScopeSet;
use countersign::access::tier::{Tier, Tiers};
use countersign::domain::ids::OrganizationId;
use serde_json::json;

use super::client::limit;
use super::world::{World, key, other};

async fn world(tier: Tier) -> World {
    let keys = [key(ScopeSet::ALL), key(ScopeSet::ALL), other()];
    World::configured(&keys, |config| {
        config.rates = Tiers { tier, organizations: [(OrganizationId(2), Tier::Unlimited)].into() };
    })
    .await
}

#[tokio::test]
async fn d7_78_a_counter_is_told_refuses_and_lets_cancels_through() {
    let world = world(Tier::Starter).await;
    let mut bot = world.bot(1).await;
    let asked = json!({"channel": "executions", "ratecounter": true});
    let acknowledged = bot.call("subscribe", asked).await;
    assert_eq!((&acknowledged["maxratecount"], &acknowledged["ratecounter"]), (&json!(60), &json!(true)));
    // Stock clients send this back unchanged when they reconnect, and expect the same.
    let mut again = world.bot(1).await;
    assert_eq!(again.call("subscribe", acknowledged.clone()).await, acknowledged);
    let first = bot.call("add_order", limit("buy", "0.1", "100")).await;
    assert_eq!(
        (first["rate"]["cost"].to_string(), first["rate"]["maxratecount"].to_string()),
        ("1.0".into(), "60".into())
    );
    let [count, remaining] = ["count", "remaining"].map(|name| first["rate"][name].as_f64().unwrap());
    assert!((1.0..=60.0).contains(&count) && (count + remaining - 60.0).abs() < 0.001, "{first}");
    let told = bot.item("executions", |item| item["exec_type"] == "pending_new").await;
    assert_eq!(told["ratecount"], first["rate"]["count"], "{told}");
    // A cancel within five seconds costs eight: seven of them and eight orders are more than sixty.
    let mut refused = None;
    for _ in 0..12 {
        let reply = bot.reply("add_order", limit("buy", "0.1", "100")).await;
        if reply["success"] == false {
            refused = Some(reply);
            break;
        }
        let canceled = bot.call("cancel_order", json!({"order_id": [reply["result"]["order_id"]]})).await;
        assert_eq!(canceled["rate"]["cost"].to_string(), "8.0");
    }
    let refused = refused.expect("a refusal")["error"].as_str().unwrap().to_owned();
    assert!(refused.starts_with("EOrder:Rate limit exceeded:symbol: the counter of this pair is at "), "{refused}");
    assert!(refused.ends_with(" ms") && refused.contains(" of 60; retry in "), "{refused}");
    let amend = json!({"order_id": first["order_id"], "order_qty": "0.02"});
    assert!(bot.refused("amend_order", amend).await.starts_with("EOrder:Rate limit exceeded"));
    bot.call("cancel_order", json!({"order_id": [first["order_id"]]})).await;
    // Another pair, and another key, have counters of their own.
    let market = json!({"symbol": "ETH/USD", "price_decimals": 2, "qty_decimals": 8, "price_increment": "0.01",
        "qty_min": "0.001", "cost_min": "0.5", "maker_ppm": 1_000, "taker_ppm": 2_000});
    world.venue().await.call("add_market", market).await;
    let mut elsewhere = limit("buy", "0.1", "100");
    elsewhere["symbol"] = json!("ETH/USD");
    bot.call("add_order", elsewhere).await;
    world.bot(2).await.call("add_order", limit("buy", "0.1", "100")).await;
}

#[tokio::test]
async fn a_counter_is_told_to_its_own_key_alone() {
    let world = world(Tier::Starter).await;
    let (mut taker, mut colleague, mut maker) = (world.bot(1).await, world.bot(2).await, world.bot(3).await);
    for bot in [&mut taker, &mut colleague, &mut maker] {
        bot.call("subscribe", json!({"channel": "executions", "ratecounter": true})).await;
    }
    maker.call("add_order", limit("sell", "0.1", "100")).await;
    taker.call("add_order", limit("buy", "0.1", "100")).await;
    for (bot, told) in [(&mut taker, true), (&mut colleague, false), (&mut maker, false)] {
        let fill = bot.item("executions", |item| item["exec_type"] == "filled").await;
        assert_eq!(fill.get("ratecount").is_some(), told, "{fill}");
    }
}

#[tokio::test]
async fn an_unlimited_organization_is_not_counted_and_open_orders_have_a_number() {
    let world = world(Tier::Intermediate).await;
    let (mut bot, mut free) = (world.bot(1).await, world.bot(3).await);
    assert!(free.subscribe("executions").await.get("maxratecount").is_none());
    for _ in 0..100 {
        let placed = free.call("add_order", limit("buy", "0.1", "100")).await;
        assert!(placed.get("rate").is_none(), "{placed}");
    }
    let order = json!({"order_type": "limit", "side": "buy", "order_qty": "0.1", "limit_price": "100"});
    for batch in 0..5 {
        let rows = bot.call("batch_add", json!({"symbol": "BTC/USD", "orders": vec![order.clone(); 15]})).await;
        assert_eq!(rows[0]["rate"]["cost"].to_string(), "7.5", "batch {batch}: {rows}");
    }
    for _ in 0..5 {
        bot.call("add_order", limit("buy", "0.1", "100")).await;
    }
    let error = bot.refused("add_order", limit("buy", "0.1", "100")).await;
    assert_eq!(error, "EOrder:Orders limit exceeded:symbol: at most 80 open orders in a pair; cancel some");
    bot.call("cancel_all", json!({})).await;
    bot.call("add_order", limit("buy", "0.1", "100")).await;
}
