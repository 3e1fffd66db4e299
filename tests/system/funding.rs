//! Deposits and withdrawals over real sockets: their lists, their dates, the pool of addresses (rules 10, 36, 37, 40).

use countersign::access::scope::{Scope, ScopeSet};
use serde_json::{Value, json};

use super::client::{Client, ballot, code, limit};
use super::world::{World, key};

/// Fills the pool of BTC and gives the account one of it.
pub async fn funded(world: &World, addresses: usize) -> (Client, Client) {
    let (mut bot, mut venue) = (world.bot(1).await, world.venue().await);
    let addresses: Vec<Value> = (0..addresses).map(|number| json!({"address": format!("bc1q{number}")})).collect();
    venue.call("add_deposit_addresses", json!({"asset": "BTC", "addresses": addresses})).await;
    bot.call("deposit_addresses", json!({"asset": "BTC"})).await;
    (bot, venue)
}

pub fn credit(txid: &str, status: &str) -> Value {
    json!({"asset": "BTC", "address": "bc1q0", "amount": "0.5", "txid": txid, "status": status})
}

fn refids(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|of| of["refid"].as_str().unwrap().to_owned()).collect()
}

/// Follows the cursor to the end; `between` runs between two pages.
async fn paged(bot: &mut Client, method: &str, list: &str, mut between: impl AsyncFnMut(usize)) -> Vec<String> {
    let (mut seen, mut cursor) = (Vec::new(), Value::Null);
    for number in 0.. {
        let mut params = json!({"asset": "BTC", "limit": 3});
        if !cursor.is_null() {
            params["cursor"] = cursor;
        }
        let page = bot.call(method, params).await;
        seen.extend(refids(&page[list]));
        cursor = page["cursor"].clone();
        if cursor.is_null() {
            break;
        }
        between(number).await;
    }
    seen
}

#[tokio::test]
async fn withdrawals_open_and_ended_are_one_list_without_gap_or_double_while_they_change() {
    let mut world = World::new(&[key(ScopeSet::ALL), key(ScopeSet::of(&[Scope::Query]))]).await;
    let (mut bot, mut reader) = (world.bot(1).await, world.bot(2).await);
    let asked = json!({"asset": "BTC", "key": "cold-1", "amount": "0.01"});
    let mut expected = Vec::new();
    for number in 0..10 {
        let refid = bot.call("withdraw", asked.clone()).await["refid"].clone();
        if number % 2 == 0 {
            bot.call("withdraw_cancel", json!({"refid": refid})).await;
            let status = reader.call("withdraw_status", json!({"refid": refid})).await;
            let ended = (&status["withdrawals"][0]["status"], &status["withdrawals"][0]["status-prop"]);
            assert_eq!(ended, (&json!("Failure"), &json!("canceled")), "who asks after the answer finds it");
        }
        expected.insert(0, refid.as_str().unwrap().to_owned());
    }
    let open: Vec<String> = expected.iter().step_by(2).cloned().collect();
    let seen = paged(&mut reader, "withdraw_status", "withdrawals", async |page| {
        // A new one is added, and the oldest open one becomes history, which the pages have not reached.
        bot.call("withdraw", asked.clone()).await;
        bot.call("withdraw_cancel", json!({"refid": open[open.len() - 1 - page % 2]})).await;
    })
    .await;
    assert_eq!(seen, expected);
    for (params, error) in [
        (json!({"asset": "XXX"}), "EFunding:Unknown asset"),
        (json!({"refid": "nonsense"}), "EFunding:Invalid reference id"),
        (json!({"cursor": "nonsense"}), "EGeneral:Invalid arguments:cursor"),
        (json!({"limit": 501}), "EGeneral:Invalid arguments:limit"),
        (json!({"start": "yesterday"}), "EGeneral:Invalid arguments:start"),
    ] {
        let refused = reader.refused("withdraw_status", params).await;
        assert!(refused.starts_with(error), "{refused}");
    }
    assert_eq!(reader.call("withdraw_status", json!({"asset": "ETH"})).await, json!({"withdrawals": []}));
    assert_eq!(reader.call("withdraw_status", json!({"method": "ETH"})).await, json!({"withdrawals": []}));
    let told = reader.call("withdraw_status", json!({"limit": 500})).await;
    world.stop().await;
    for file in ["history.db", "history.db-wal", "history.db-shm"] {
        // The last two are removed by a server that stops in order.
        let _ = std::fs::remove_file(world.dir().join(file));
    }
    world.start().await;
    let again = world.bot(2).await.call("withdraw_status", json!({"limit": 500})).await;
    assert_eq!(again, told, "told again from the journal");
}

#[tokio::test]
async fn without_a_policy_withdraw_info_and_the_audit_log_say_null() {
    let world = World::governed(&[key(ScopeSet::ALL)], false).await;
    let asked = json!({"asset": "BTC", "key": "cold-1", "amount": 2});
    let info = world.bot(1).await.call("withdraw_info", asked).await;
    assert_eq!(info["approval"], json!({"required": false, "quorum": null, "policy_version": null}));
    let log = world.member("alice").await.call("audit_log", json!({})).await;
    assert_eq!((&log["entries"][0]["action"], &log["entries"][0]["policy_version"]), (&json!("sign_in"), &Value::Null));
    assert!(log["entries"][0].get("policy_version").is_some(), "{log}");
}

#[tokio::test]
async fn a_deposit_is_followed_over_its_life_and_listed_with_all_that_ended() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let (mut bot, mut venue) = funded(&world, 1).await;
    let mut narrow = world.bot(1).await;
    narrow.call("subscribe", json!({"channel": "deposits", "asset": ["ETH"]})).await;
    assert_eq!(refids(&narrow.frame("deposits").await["data"]).len(), 1);
    bot.subscribe("deposits").await;
    let begun = bot.frame("deposits").await;
    assert_eq!(
        (&begun["type"], begun["data"].as_array().unwrap().len()),
        (&json!("snapshot"), 3),
        "the last ended ones"
    );
    let pending = venue.call("credit_deposit", credit("t-0", "Pending")).await;
    assert_eq!(pending["status"], "Pending");
    let told = bot.item("deposits", |item| item["refid"] == pending["refid"]).await;
    assert_eq!((&told["status"], &told["info"], &told["txid"]), (&json!("Pending"), &json!("bc1q0"), &json!("t-0")));
    let balances = bot.call("get_balances", json!({})).await;
    assert_eq!(balances["balances"][1]["balance"].to_string(), "100.0", "nothing is credited yet");
    let open = bot.call("deposit_status", json!({"refid": pending["refid"]})).await;
    assert_eq!(open["deposits"][0]["status"], "Pending");
    let credited = venue.call("credit_deposit", credit("t-0", "Success")).await;
    assert_eq!((&credited["refid"], &credited["status"]), (&pending["refid"], &json!("Success")));
    let told = bot.item("deposits", |item| item["status"] == "Success").await;
    assert_eq!((&told["refid"], &told["time"]), (&pending["refid"], &open["deposits"][0]["time"]));
    let refused = venue.refused("credit_deposit", credit("t-0", "Failure")).await;
    assert!(refused.starts_with("EFunding:Already finished"), "{refused}");
    venue.call("add_deposit_addresses", json!({"asset": "ETH", "addresses": [{"address": "0x0"}]})).await;
    bot.call("deposit_addresses", json!({"asset": "ETH"})).await;
    let eth = json!({"asset": "ETH", "address": "0x0", "amount": "1", "txid": "t-0"});
    let eth = venue.call("credit_deposit", eth).await;
    assert_eq!(narrow.frame("deposits").await["data"][0]["refid"], eth["refid"], "the filter holds for updates too");
    let mut expected = vec![credited["refid"].as_str().unwrap().to_owned()];
    for number in 1..8 {
        let status = ["Success", "Pending", "Failure"][number % 3];
        let made = venue.call("credit_deposit", credit(&format!("t-{number}"), status)).await;
        expected.insert(0, made["refid"].as_str().unwrap().to_owned());
    }
    let seen = paged(&mut bot, "deposit_status", "deposits", async |page| {
        venue.call("credit_deposit", credit(&format!("later-{page}"), "Success")).await;
        venue.call("credit_deposit", credit("t-1", "Success")).await;
    })
    .await;
    assert_eq!(seen[..expected.len()], expected);
    assert_eq!(seen.len(), expected.len() + 1, "and the opening balance");
}

#[tokio::test]
async fn d2_22_query_dates_bound_deposits_and_withdrawals_by_creation_on_every_path() {
    let world = World::new(&vec![key(ScopeSet::ALL); 3]).await;
    let (mut bot, mut venue) = funded(&world, 1).await;
    let waiting = bot.call("withdraw", json!({"asset": "BTC", "key": "cold-1", "amount": "1"})).await;
    venue.call("credit_deposit", credit("t-early", "Pending")).await;
    let mut made = Vec::new();
    for number in 0..4 {
        let refid = venue.call("credit_deposit", credit(&format!("t-{number}"), "Success")).await["refid"].clone();
        let shown = bot.call("deposit_status", json!({"refid": refid})).await["deposits"][0].clone();
        made.push((refid.as_str().unwrap().to_owned(), shown["time"].clone()));
    }
    // Its creation counts, not its end.
    let early = venue.call("credit_deposit", credit("t-early", "Success")).await["refid"].clone();
    let newest_first = |range: std::ops::Range<usize>| -> Vec<String> {
        made[range].iter().rev().map(|(refid, _)| refid.clone()).collect()
    };
    let btc = |mut params: Value| {
        params["asset"] = json!("BTC");
        params
    };
    let asked = bot.call("deposit_status", btc(json!({"start": made[1].1, "end": made[3].1}))).await;
    assert_eq!(refids(&asked["deposits"]), newest_first(1..3), "start ≤ t < end");
    // The same edges as dates of a key.
    let mut alice = world.member("alice").await;
    for (steps, (number, settings)) in
        (0..).zip([(2, json!({"query_start": made[1].1})), (3, json!({"query_end": made[3].1}))])
    {
        let params = json!({"service_user_id": format!("SVC{number}"), "settings": settings, "otp": code(steps)});
        assert_eq!(alice.call("edit_service_user", params).await["state"], "executed");
    }
    let (mut late, mut past) = (world.bot(2).await, world.bot(3).await);
    assert_eq!(refids(&late.call("deposit_status", btc(json!({}))).await["deposits"]), newest_first(1..4));
    let shown = past.call("deposit_status", btc(json!({"start": made[0].1}))).await;
    assert_eq!(refids(&shown["deposits"]), newest_first(0..3));
    late.subscribe("deposits").await;
    assert_eq!(refids(&late.frame("deposits").await["data"]), newest_first(1..4), "snapshot");
    late.call("unsubscribe", json!({"channel": "deposits"})).await;
    late.call("subscribe", json!({"channel": "deposits", "from_offset": 0})).await;
    let mut replayed = refids(&late.frame("deposits").await["data"]);
    assert_eq!(replayed.pop(), early.as_str().map(str::to_owned), "it was open at the start, and its end came after");
    replayed.reverse();
    assert_eq!(replayed, newest_first(1..4), "replay");
    // A waiting withdrawal is present state; once it has ended, its creation counts.
    let refid = json!({"refid": waiting["refid"]});
    let statuses = late.call("withdraw_status", refid.clone()).await;
    assert_eq!(refids(&statuses["withdrawals"]), [waiting["refid"].as_str().unwrap()]);
    bot.call("withdraw_cancel", refid.clone()).await;
    assert_eq!(late.call("withdraw_status", refid.clone()).await, json!({"withdrawals": []}));
    late.subscribe("withdrawals").await;
    assert_eq!(late.frame("withdrawals").await["data"], json!([]));
    late.call("unsubscribe", json!({"channel": "withdrawals"})).await;
    late.call("subscribe", json!({"channel": "withdrawals", "from_offset": 0})).await;
    let after = bot.call("withdraw", json!({"asset": "BTC", "key": "cold-1", "amount": "1"})).await;
    let first = late.frame("withdrawals").await["data"].clone();
    assert_eq!(refids(&first), [waiting["refid"].as_str().unwrap()], "its end alone was replayed");
    assert_eq!(first[0]["status"], "Failure");
    late.item("withdrawals", |item| item["refid"] == after["refid"]).await;
    assert_eq!(refids(&bot.call("withdraw_status", refid).await["withdrawals"]), [waiting["refid"].as_str().unwrap()]);
}

#[tokio::test]
async fn a_pool_runs_low_on_custody_is_empty_for_the_account_and_is_filled_again() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let (mut bot, mut venue) = funded(&world, 3).await;
    venue.subscribe("custody").await;
    let snapshot = venue.frame("custody").await;
    let low = |left: u64, item: &Value| item["notice"] == "deposit_addresses_low" && item["addresses_left"] == left;
    assert!(low(2, &snapshot["data"][0]), "{snapshot}");
    let new = json!({"asset": "BTC", "new": true});
    let own = bot.call("deposit_addresses", new.clone()).await;
    assert_eq!(own["addresses"][0], json!({"address": "bc1q1", "expiretm": 0, "new": true}));
    let told = venue.item("custody", |item| low(1, item)).await;
    assert_eq!(told["asset"], "BTC");
    bot.call("deposit_addresses", new.clone()).await;
    venue.item("custody", |item| low(0, item)).await;
    let refused = bot.refused("deposit_addresses", new.clone()).await;
    assert!(refused.starts_with("EFunding:No address available:asset: the pool is empty"), "{refused}");
    venue.call("add_deposit_addresses", json!({"asset": "BTC", "addresses": [{"address": "bc1q9"}]})).await;
    assert_eq!(bot.call("deposit_addresses", new).await["addresses"][0]["address"], "bc1q9");
    venue.call("credit_deposit", credit("t-1", "Success")).await;
    let own = bot.call("deposit_addresses", json!({"asset": "BTC", "method": "BTC"})).await;
    let used: Vec<&Value> = own["addresses"].as_array().unwrap().iter().map(|own| &own["new"]).collect();
    assert_eq!(used, [true, true, true, false], "the oldest was paid to, and still is the account's");
}

#[tokio::test]
async fn methods_addresses_and_what_a_withdrawal_needs_are_told_as_v2_does() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let (mut bot, mut venue) = (world.bot(1).await, world.venue().await);
    let methods = bot.call("deposit_methods", json!({"asset": "USD"})).await;
    let usd = json!({"asset": "USD", "method": "USD", "network": "USD", "limit": false, "fee": 0.0,
        "address-setup-fee": 0.0, "gen-address": true, "minimum": 0.0001});
    assert_eq!(methods, json!({"methods": [usd]}));
    assert_eq!(bot.call("deposit_methods", json!({"method": "ETH"})).await["methods"][0]["asset"], "ETH");
    assert_eq!(bot.call("withdraw_methods", json!({"network": "BTC"})).await["methods"].as_array().unwrap().len(), 1);
    let refused = bot.refused("deposit_methods", json!({"asset": "XXX"})).await;
    assert!(refused.starts_with("EFunding:Unknown asset:asset"), "{refused}");
    for (filter, found) in [
        (json!({"asset": "BTC"}), 1),
        (json!({"key": "cold-1", "verified": true}), 1),
        (json!({"verified": false}), 0),
        (json!({"method": "ETH"}), 0),
        (json!({"key": "cold-2"}), 0),
    ] {
        let all = bot.call("withdraw_addresses", filter.clone()).await;
        assert_eq!(all["addresses"].as_array().unwrap().len(), found, "{filter}");
    }
    let info = bot.call("withdraw_info", json!({"asset": "BTC", "key": "cold-1", "amount": 2})).await;
    assert_eq!((info["limit"].to_string(), info["amount"].to_string()), ("100.0".into(), "1.99999".into()));
    assert_eq!(info["approval"], json!({"required": true, "quorum": 1, "policy_version": 1}));
    let asked = |more: Value| {
        let mut params = json!({"asset": "BTC", "key": "cold-1", "amount": "1"});
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        params
    };
    for (more, error) in [
        (json!({"max_fee": "0.000009"}), "EFunding:Max fee exceeded:max_fee"),
        (json!({"key": "unknown"}), "EFunding:Unknown withdraw key:key"),
        (json!({"amount": "0.00001"}), "EFunding:Invalid amount:amount"),
        (json!({"amount": "1000"}), "EFunding:Insufficient funds"),
        (json!({"asset": "XXX"}), "EFunding:Unknown asset:asset"),
        (json!({"address": "bc1qother"}), "EFunding:Invalid withdrawal address:address"),
    ] {
        let refused = bot.refused("withdraw", asked(more)).await;
        assert!(refused.starts_with(error), "{refused}");
    }
    let refid = json!({"refid": bot.call("withdraw", asked(json!({"address": "bc1qcold"}))).await["refid"]});
    let refused = venue.refused("settle_withdrawal", refid.clone()).await;
    assert!(refused.starts_with("EFunding:Unknown reference id"), "it waits for approval: {refused}");
    let mut bob = world.member("bob").await;
    let request = bob.call("requests", json!({"state": "pending"})).await["requests"][0].clone();
    bob.call("approve", json!({"requests": ballot(&request), "otp": code(1)})).await;
    let mut paid = refid.clone();
    paid["txid"] = json!("0xabc");
    venue.call("settle_withdrawal", paid).await;
    let shown = bot.call("withdraw_status", refid).await["withdrawals"][0].clone();
    assert_eq!((&shown["status"], &shown["txid"]), (&json!("Success"), &json!("0xabc")));
}

#[tokio::test]
async fn rule_31_what_is_held_makes_no_entry_and_no_update_and_is_not_available() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let mut bot = world.bot(1).await;
    for channel in ["balances", "ledger"] {
        bot.subscribe(channel).await;
        bot.frame(channel).await;
    }
    let order = bot.call("add_order", limit("sell", "2", "1000")).await;
    let asked = bot.call("withdraw", json!({"asset": "BTC", "key": "cold-1", "amount": "1"})).await;
    let held = async |bot: &mut Client| {
        let of = bot.call("get_balances", json!({})).await["balances"][1].take();
        ["balance", "held", "available"].map(|name| of[name].to_string())
    };
    assert_eq!(held(&mut bot).await, ["100.0", "3.0", "97.0"]);
    bot.call("cancel_order", json!({"order_id": [order["order_id"]]})).await;
    bot.call("withdraw_cancel", json!({"refid": asked["refid"]})).await;
    assert_eq!(held(&mut bot).await, ["100.0", "0.0", "100.0"]);
    let moved = bot.call("earn_allocate", json!({"strategy_id": "ESTRAT1", "amount": "1"})).await;
    // The first that either tells is what moved.
    for channel in ["balances", "ledger"] {
        let told = bot.kept().into_iter().find(|frame| frame["channel"] == channel && frame["type"] == "update");
        let told = match told {
            Some(told) => told,
            None => bot.frame(channel).await,
        };
        assert_eq!(told["data"][0]["ref_id"], moved["operation_id"], "{told}");
    }
    let past = bot.call("ledgers", json!({"asset": "BTC"})).await;
    assert_eq!(past["entries"].as_array().unwrap().len(), 1, "the opening deposit alone");
}

#[tokio::test]
async fn rule_34_a_withdrawal_that_failed_says_whether_it_was_canceled_or_returned_and_why() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let (mut bot, mut bob, mut venue) = (world.bot(1).await, world.member("bob").await, world.venue().await);
    let mut alice = world.member("alice").await;
    bot.subscribe("withdrawals").await;
    let mut asked = Vec::new();
    for _ in 0..3 {
        asked.push(bot.call("withdraw", json!({"asset": "BTC", "key": "cold-1", "amount": "1"})).await);
    }
    let mut ballots = Vec::new();
    for of in &asked {
        let request = bob.call("request_info", json!({"request_id": of["request_id"]})).await;
        ballots.push(ballot(&request));
    }
    bob.call("reject", json!({"requests": ballots[0], "reason": "not this one"})).await;
    bot.call("withdraw_cancel", json!({"refid": asked[1]["refid"]})).await;
    bob.call("approve", json!({"requests": ballots[2], "otp": code(0)})).await;
    venue.call("fail_withdrawal", json!({"refid": asked[2]["refid"], "reason": "wrong network"})).await;
    let short = json!({"workflow": "initiate_withdrawal", "quorum": 1, "expires_after_s": 1, "otp": code(0)});
    alice.call("set_policy", short).await;
    asked.push(bot.call("withdraw", json!({"asset": "BTC", "key": "cold-1", "amount": "1"})).await);
    let expected = [
        ("canceled", "not this one"),
        ("canceled", "canceled by the account"),
        ("return", "wrong network"),
        ("canceled", "its time ran out"),
    ];
    for (of, (property, info)) in asked.iter().zip(expected) {
        let ended = bot.item("withdrawals", |item| item["refid"] == of["refid"] && item["status"] == "Failure").await;
        assert_eq!((&ended["status-prop"], &ended["info"]), (&json!(property), &json!(info)));
        let listed = bot.call("withdraw_status", json!({"refid": of["refid"]})).await["withdrawals"][0].take();
        let shown = ["status", "status-prop", "info"].map(|name| listed[name].clone());
        assert_eq!(shown, ["Failure", property, info].map(|text| json!(text)));
    }
}
