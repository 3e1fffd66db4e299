//! Lists in pages: a cursor is told while there is more, and not behind the last row.

use countersign::access::scope::ScopeSet;
use serde_json::{Value, json};

use super::client::{Client, limit};
use super::world::{World, key, other};

/// Reads a list whole, in a page that it just fills, and in one that leaves its last row to the next.
async fn ends_with_its_last_row(client: &mut Client, method: &str, list: &str) {
    let whole = client.call(method, json!({"limit": 500})).await;
    let rows = whole[list].as_array().unwrap();
    assert!(rows.len() >= 2 && whole.get("cursor").is_none(), "{method}: {whole}");
    let full = client.call(method, json!({"limit": rows.len()})).await;
    assert_eq!(full, whole, "{method}");
    let mut short = client.call(method, json!({"limit": rows.len() - 1})).await;
    let rest = client.call(method, json!({"limit": 1, "cursor": short["cursor"].take()})).await;
    assert_eq!(short[list].as_array().unwrap()[..], rows[..rows.len() - 1], "{method}");
    assert_eq!(rest, json!({list: [rows.last()]}), "{method}");
}

#[tokio::test]
async fn a_page_that_ends_with_the_last_row_has_no_cursor() {
    let world = World::new(&[key(ScopeSet::ALL), other()]).await;
    let (mut bot, mut maker, mut alice) = (world.bot(1).await, world.bot(2).await, world.member("alice").await);
    let order = |side: &str, price: &str| limit(side, "0.1", price);
    maker.call("add_order", order("sell", "1000")).await;
    maker.call("add_order", order("sell", "1000")).await;
    let first = bot.call("add_order", order("buy", "10")).await;
    for price in ["10", "1000", "1000"] {
        let placed = bot.call("add_order", order("buy", price)).await;
        if price == "10" {
            bot.call("cancel_order", json!({"order_id": [placed["order_id"]]})).await;
        }
    }
    // The first order is the last to close.
    bot.call("cancel_order", json!({"order_id": [first["order_id"]]})).await;
    for (method, list) in [
        ("closed_orders", "orders"),
        ("trades_history", "trades"),
        ("ledgers", "entries"),
        ("deposit_status", "deposits"),
    ] {
        ends_with_its_last_row(&mut bot, method, list).await;
    }
    let mut refid = Value::Null;
    for _ in 0..3 {
        let asked = json!({"asset": "BTC", "key": "cold-1", "amount": "0.01"});
        refid = bot.call("withdraw", asked).await["refid"].take();
    }
    ends_with_its_last_row(&mut bot, "withdraw_status", "withdrawals").await;
    bot.call("withdraw_cancel", json!({"refid": refid})).await;
    ends_with_its_last_row(&mut bot, "withdraw_status", "withdrawals").await;
    ends_with_its_last_row(&mut alice, "requests", "requests").await;
    ends_with_its_last_row(&mut alice, "audit_log", "entries").await;
}
