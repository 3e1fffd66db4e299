//! Lists in pages: there is a cursor while more follows, and none after the last row.

use countersign::access::scope::ScopeSet;
use serde_json::{Value, json};

use super::client::{Client, limit, units};
use super::world::{World, key, other};

/// Reads a list whole, in a page that it exactly fills, and in one that leaves its last row to the next.
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

#[tokio::test]
async fn each_page_of_the_ledger_goes_on_from_the_balance_of_the_one_before_whatever_arrives_between_them() {
    let world = World::new(&[key(ScopeSet::ALL), other()]).await;
    let (mut bot, mut maker) = (world.bot(1).await, world.bot(2).await);
    let mut trade = async |bot: &mut Client| {
        maker.call("add_order", limit("sell", "0.1", "1000.3")).await;
        bot.call("add_order", limit("buy", "0.07", "1000.3")).await;
        bot.call("earn_allocate", json!({"strategy_id": "ESTRAT1", "amount": "1"})).await;
    };
    for _ in 0..3 {
        trade(&mut bot).await;
    }
    let assets = bot.call("get_balances", json!({})).await["balances"].take();
    assert!(assets.as_array().unwrap().len() >= 3, "{assets}");
    for of in assets.as_array().unwrap() {
        let whole = bot.call("ledgers", json!({"asset": of["asset"], "limit": 500})).await["entries"].take();
        let last = whole.as_array().unwrap().iter().rev().fold(0, |before, entry| {
            assert_eq!(units(&entry["balance"]), before + units(&entry["amount"]) - units(&entry["fee"]), "{entry}");
            units(&entry["balance"])
        });
        let now = bot.call("get_balances", json!({})).await["balances"].take();
        let now = now.as_array().unwrap().iter().find(|now| now["asset"] == of["asset"]).unwrap();
        assert_eq!(last, units(&now["balance"]), "{now}");
        let (mut params, mut told) = (json!({"asset": of["asset"], "limit": 2}), Vec::new());
        loop {
            let mut page = bot.call("ledgers", params.clone()).await;
            told.append(page["entries"].as_array_mut().unwrap());
            let Some(cursor) = page.get("cursor") else { break };
            params["cursor"] = cursor.clone();
            trade(&mut bot).await;
        }
        assert_eq!(json!(told), whole, "as it was when the first page was read");
    }
}
