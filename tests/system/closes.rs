//! What was sent before the server closes a socket is answered before, if it was done (law 9), and nothing of a lost
//! channel is shown with it (rule 8).

use countersign::access::scope::{Scope, ScopeSet};
use countersign::server::wall_clock;
use serde_json::{Value, json};

use super::client::{Client, code, limit};
use super::world::{World, key};

/// Orders that rest, numbered from 1.
fn orders(count: i64) -> impl Iterator<Item = Value> {
    (1..=count).map(|req_id| json!({"method": "add_order", "req_id": req_id, "params": limit("buy", "0.1", "10")}))
}

/// Reads until the server closes; returns the orders that were answered as placed, and how it closed.
async fn answered(bot: &mut Client) -> (Vec<Value>, (u16, String)) {
    let mut placed = Vec::new();
    loop {
        match bot.read().await {
            Ok(frame) if frame["method"] == "add_order" => {
                placed.extend(frame["result"].get("order_id").cloned());
            }
            Ok(_) => {}
            Err(closed) => return (placed, closed),
        }
    }
}

/// The open orders, in the order of their placing.
async fn open(bot: &mut Client) -> Vec<Value> {
    let page = bot.call("open_orders", json!({"limit": 500})).await;
    page["orders"].as_array().unwrap().iter().map(|order| order["order_id"].clone()).collect()
}

#[tokio::test]
async fn law_9_what_was_sent_before_a_fault_of_the_client_is_answered_before_the_close() {
    const CREDIT: i64 = 30;
    let world =
        World::configured(&[key(ScopeSet::ALL)], |config| config.limits.messages_per_second = CREDIT as usize).await;
    let (mut loud, mut garbled, mut other) = (world.bot(1).await, world.bot(1).await, world.bot(1).await);
    loud.burst(orders(CREDIT + 5)).await;
    let (mut placed, closed) = answered(&mut loud).await;
    assert_eq!(closed, (4009, "too many requests".to_owned()));
    assert!(placed.len() >= CREDIT as usize, "{placed:?}");
    garbled.burst(orders(CREDIT / 2)).await;
    garbled.send_binary(vec![0xff]).await;
    let (more, closed) = answered(&mut garbled).await;
    assert_eq!((more.len(), closed), (CREDIT as usize / 2, (1007, "text only".to_owned())));
    placed.extend(more);
    assert_eq!(open(&mut other).await, placed);
}

/// The orders are on their way while the right ends.
#[tokio::test]
async fn law_9_what_was_sent_before_a_right_ended_under_a_channel_is_answered_before_the_close() {
    const ORDERS: i64 = 200;
    let world = World::new(&[key(ScopeSet::ALL), key(ScopeSet::ALL)]).await;
    let (mut alice, mut other) = (world.member("alice").await, world.bot(2).await);
    let live: Vec<&str> = Scope::ALL.iter().map(|scope| scope.name()).filter(|name| *name != "query_ledger").collect();
    let edits = [
        (json!({"scopes": live, "otp": code(0)}), "an open subscription lost its scope"),
        (json!({"settings": {"query_end": wall_clock().to_string()}, "otp": code(1)}), "query end date"),
    ];
    for (at, (mut edit, reason)) in edits.into_iter().enumerate() {
        let channel = ["ledger", "executions"][at];
        let mut bot = world.bot(1).await;
        bot.subscribe(channel).await;
        bot.kept();
        edit["service_user_id"] = json!("SVC1");
        alice.send(json!({"method": "edit_service_user", "req_id": 1_000, "params": edit}).to_string()).await;
        for order in orders(ORDERS) {
            // The server may have closed already. It reads a few at a time, in commits before and after the edit's.
            bot.try_send(&order.to_string()).await;
            tokio::task::yield_now().await;
        }
        let (placed, closed) = answered(&mut bot).await;
        assert_eq!(closed, (4001, reason.to_owned()));
        assert_eq!(open(&mut other).await, placed, "{reason}");
        other.call("cancel_all", json!({})).await;
    }
}
