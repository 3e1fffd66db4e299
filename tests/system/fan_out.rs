//! One channel that many sockets follow: each gets every item once and in order, whatever else happens on the socket.

use countersign::access::scope::ScopeSet;
use serde_json::{Value, json};

use super::client::{Client, code};
use super::world::{World, key};

/// Withdrawals under way at once, so that items wait together.
const AHEAD: i64 = 6;

fn offsets(frames: &[Value]) -> Vec<u64> {
    let live = frames.iter().filter(|frame| frame["channel"] == "approvals" && frame["type"] == "update");
    live.flat_map(|frame| frame["data"].as_array().unwrap()).map(|item| item["offset"].as_u64().unwrap()).collect()
}

/// Reads up to the item with this offset.
async fn read_to(client: &mut Client, last: u64, told: &mut Vec<u64>) {
    while told.last() != Some(&last) {
        let frame = client.next().await;
        told.extend(offsets(&[frame]));
    }
}

#[tokio::test]
async fn every_dashboard_is_told_every_item_once_and_in_order() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let (mut bot, mut alice) = (world.bot(1).await, world.member("alice").await);
    let cookie = Client::sign_in(world.address, "bob@acme.test", 0).await;
    let mut dashboards = Vec::new();
    for _ in 0..40 {
        let mut dashboard = Client::with_cookie(world.address, &cookie).await.unwrap();
        dashboard.subscribe("approvals").await;
        dashboards.push((dashboard, Vec::new()));
    }
    let mut policies = Client::with_cookie(world.address, &cookie).await.unwrap();
    policies.call("subscribe", json!({"channel": "approvals", "workflow": "manage_policies"})).await;
    for round in 0..10 {
        let ids = round * AHEAD + 1_000..(round + 1) * AHEAD + 1_000;
        let params = json!({"asset": "BTC", "key": "cold-1", "amount": "0.01"});
        bot.burst(ids.clone().map(|id| json!({"method": "withdraw", "req_id": id, "params": params}))).await;
        for (number, (dashboard, told)) in dashboards.iter_mut().enumerate() {
            match (number + round as usize) % 4 {
                // Busy when an item comes.
                0 => drop(dashboard.burst((0..5).map(|_| json!({"method": "ping"}))).await),
                // Unsubscribed for a moment: nothing comes after the acknowledgement, and nothing is missed.
                1 if round > 0 => {
                    dashboard.call("unsubscribe", json!({"channel": "approvals"})).await;
                    told.extend(offsets(&dashboard.kept()));
                    let from = told.last().copied().unwrap_or(0);
                    dashboard.call("subscribe", json!({"channel": "approvals", "from_offset": from})).await;
                    let early: Vec<Value> = dashboard.kept();
                    assert_eq!(offsets(&early), [0_u64; 0], "after the end of the subscription");
                }
                _ => {}
            }
        }
        for id in ids {
            assert_eq!(bot.answer(id).await["success"], true);
        }
    }
    let asked = json!({"workflow": "manage_access", "quorum": 1, "otp": code(0)});
    let changed = alice.call("set_policy", asked).await;
    let mut uncut = Client::with_cookie(world.address, &cookie).await.unwrap();
    uncut.call("subscribe", json!({"channel": "approvals", "from_offset": 0})).await;
    let mut expected = Vec::new();
    let last = policies.item("approvals", |item| item["request_id"] == changed["request_id"]).await;
    let last = last["offset"].as_u64().unwrap();
    read_to(&mut uncut, last, &mut expected).await;
    assert!(expected.len() > 60 && expected.is_sorted_by(|one, other| one < other), "{expected:?}");
    for (number, (dashboard, told)) in dashboards.iter_mut().enumerate() {
        read_to(dashboard, last, told).await;
        assert_eq!(*told, expected, "dashboard {number}");
    }
}
