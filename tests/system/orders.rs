//! Orders ended in large numbers, and what history has of them, over real sockets.

use std::time::Duration;

use countersign::access::key::KeySettings;
use countersign::access::scope::ScopeSet;
use countersign::domain::time::{Moment, Period};
use serde_json::{Value, json};

use super::client::{Client, code, limit, next_nonce};
use super::settings::token;
use super::world::{World, key, other, passes, with};

#[tokio::test]
async fn batch_cancel_tells_its_count_in_both_forms() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let mut bot = world.bot(1).await;
    let first = bot.call("add_order", limit("buy", 1.0, 10.0)).await;
    let mut grouped = limit("buy", 1.0, 10.0);
    grouped["order_userref"] = json!(77);
    bot.call("add_order", grouped.clone()).await;
    bot.call("add_order", grouped).await;
    let reply = bot.reply("batch_cancel", json!({"orders": [first["order_id"], "77", "OAAAAA-AAAAA-AAAAAA"]})).await;
    assert_eq!((&reply["result"]["count"], &reply["orders_cancelled"]), (&json!(3), &json!(3)), "{reply}");
    let error = bot.refused("batch_cancel", json!({"orders": [first["order_id"]]})).await;
    assert!(error.starts_with("EGeneral:Invalid arguments:orders"), "{error}");
}

#[tokio::test]
async fn the_dead_mans_switch_answers_in_seconds_and_fires() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let mut bot = world.bot(1).await;
    bot.subscribe("executions").await;
    bot.call("add_order", limit("buy", 1.0, 10.0)).await;
    let armed = bot.call("cancel_all_orders_after", json!({"timeout": 1})).await;
    let whole = |text: &Value| text.as_str().is_some_and(|text| text.len() == 20 && text.ends_with('Z'));
    assert!(whole(&armed["currentTime"]) && whole(&armed["triggerTime"]), "{armed}");
    let ended = bot.item("executions", |item| item["exec_type"] == "canceled").await;
    assert_eq!(ended["reason"], "Cancel all orders after: the timeout was reached");
    let off = bot.call("cancel_all_orders_after", json!({"timeout": 0})).await;
    assert_eq!(off["triggerTime"], "0");
}

#[tokio::test]
async fn past_fills_and_ledger_entries_are_found_by_page_name_and_date() {
    let future = KeySettings {
        query_dates: Period { from: Moment::parse("2100-01-01T00:00:00Z"), until: None },
        ..KeySettings::default()
    };
    let world = World::new(&[key(ScopeSet::ALL), other(), with(future)]).await;
    let (mut taker, mut maker, mut blind) = (world.bot(1).await, world.bot(2).await, world.bot(3).await);
    for _ in 0..5 {
        maker.call("add_order", limit("sell", 0.1, 100.0)).await;
        taker.call("add_order", limit("buy", 0.1, 100.0)).await;
    }
    let mut seen = Vec::new();
    let mut params = json!({"symbol": "BTC/USD", "limit": 2});
    loop {
        let page = taker.call("trades_history", params.clone()).await;
        seen.extend(page["trades"].as_array().unwrap().clone());
        match page.get("cursor") {
            Some(cursor) => params["cursor"] = cursor.clone(),
            None => break,
        }
    }
    let ids: Vec<i64> = seen.iter().map(|trade| trade["trade_id"].as_i64().unwrap()).collect();
    assert_eq!(ids, [5, 4, 3, 2, 1]);
    assert!(seen.iter().all(|trade| trade["liquidity_ind"] == "t" && trade["exec_type"] == "trade"), "{seen:?}");
    assert_eq!(blind.call("trades_history", json!({})).await["trades"], json!([]), "before its query start date");
    let ledger = taker.call("ledgers", json!({"type": "trade", "limit": 2})).await;
    let names: Vec<&Value> = ledger["entries"].as_array().unwrap().iter().map(|entry| &entry["ledger_id"]).collect();
    let params = json!({"ledger_id": [names[0], names[1], "LAAAAA-AAAAA-AAAAAA"]});
    assert_eq!(taker.call("query_ledgers", params.clone()).await["entries"], ledger["entries"]);
    assert_eq!(maker.call("query_ledgers", params.clone()).await["entries"], json!([]), "another account's");
    assert_eq!(blind.call("query_ledgers", params).await["entries"], json!([]));
}

#[tokio::test]
async fn fill_or_kill_is_told_as_a_cancel_with_its_reason() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let mut bot = world.bot(1).await;
    bot.subscribe("executions").await;
    let mut order = limit("buy", 1.0, 100.0);
    order["time_in_force"] = json!("fok");
    bot.call("add_order", order.clone()).await;
    let ended = bot.item("executions", |item| item["exec_type"] == "canceled").await;
    assert_eq!((&ended["time_in_force"], ended["cum_qty"].to_string()), (&json!("FOK"), "0.0".to_owned()), "{ended}");
    assert_eq!(ended["reason"], "Fill or kill: not enough to fill it whole");
    order["order_type"] = json!("market");
    order.as_object_mut().unwrap().remove("limit_price");
    assert!(bot.refused("add_order", order).await.starts_with("EGeneral:Invalid arguments:time_in_force"));
}

#[tokio::test]
async fn open_orders_come_in_pages_oldest_first_and_by_time() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let mut bot = world.bot(1).await;
    let mut placed = Vec::new();
    for at in 1..=5 {
        placed.push(bot.call("add_order", limit("buy", 1, at)).await["order_id"].clone());
    }
    let mut seen = Vec::new();
    let mut params = json!({"limit": 2});
    loop {
        let page = bot.call("open_orders", params.clone()).await;
        let orders = page["orders"].as_array().unwrap().clone();
        seen.push(orders.len());
        let ids: Vec<&Value> = orders.iter().map(|order| &order["order_id"]).collect();
        assert_eq!(ids, placed.iter().skip(seen.len() * 2 - 2).take(2).collect::<Vec<_>>());
        let Some(cursor) = page.get("cursor") else { break };
        params["cursor"] = cursor.clone();
    }
    assert_eq!(seen, [2, 2, 1]);
    let whole = bot.call("open_orders", json!({"limit": 5})).await;
    assert!(whole.get("cursor").is_none(), "nothing more follows: {whole}");
    let third = whole["orders"][2]["timestamp"].clone();
    let early = bot.call("open_orders", json!({"end": third})).await["orders"].clone();
    let late = bot.call("open_orders", json!({"start": third})).await["orders"].clone();
    assert_eq!((early.as_array().unwrap().len(), late.as_array().unwrap().len()), (2, 3));
    let error = bot.refused("open_orders", json!({"cursor": "nowhere"})).await;
    assert!(error.starts_with("EGeneral:Invalid arguments:cursor"), "{error}");
}

#[tokio::test]
async fn a_batch_is_sound_as_a_whole_and_then_each_order_stands_alone() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let mut bot = world.bot(1).await;
    let order = |qty: f64, id: &str| json!({"order_type": "limit", "side": "buy", "order_qty": qty, "limit_price": 10.0, "cl_ord_id": id});
    let batch =
        |orders: Vec<Value>, validate: bool| json!({"symbol": "BTC/USD", "orders": orders, "validate": validate});
    let checked = bot.call("batch_add", batch(vec![order(1.0, "a"), order(2.0, "b")], true)).await;
    assert!(checked.as_array().unwrap().iter().all(|row| row["order_id"] == ""), "none, as of `add_order`: {checked}");
    for (field, value, expected) in [
        ("limit_price", json!(10.05), "EOrder:Tick size check failed"),
        ("order_qty", json!(0), "EGeneral:Invalid arguments:order_qty: must be above zero (orders[1])"),
        ("side", json!("up"), "EGeneral:Invalid arguments:side: give buy or sell (orders[1])"),
    ] {
        let mut unsound = order(1.0, "b");
        unsound[field] = value;
        let error = bot.refused("batch_add", batch(vec![order(1.0, "a"), unsound], false)).await;
        assert_eq!(error, expected);
    }
    assert_eq!(bot.call("open_orders", json!({})).await["orders"], json!([]), "none of it was placed");
    // More than the funds: the second is refused, the others are live.
    let orders = vec![order(1.0, "a"), order(1e9, "b"), order(2.0, "c")];
    let reply = bot.reply("batch_add", batch(orders, false)).await;
    assert_eq!((&reply["success"], &reply["error"]), (&json!(false), &reply["result"][1]["error"]), "{reply}");
    assert!(reply["error"].as_str().unwrap().starts_with("EOrder:Insufficient funds"), "{reply}");
    // A client that cannot parse this row without it would not learn of the others.
    assert_eq!(reply["result"][1]["order_id"], "");
    assert_eq!((&reply["result"][0]["cl_ord_id"], &reply["result"][2]["cl_ord_id"]), (&json!("a"), &json!("c")));
    assert_eq!(bot.call("open_orders", json!({})).await["orders"].as_array().unwrap().len(), 2);
    let again = bot.call("batch_add", batch(vec![order(1.0, "a"), order(2.0, "c")], false)).await;
    assert_eq!((&again[0]["order_id"], again[0]["warnings"].is_array()), (&reply["result"][0]["order_id"], true));
    let one = bot.refused("batch_add", batch(vec![order(1.0, "d")], false)).await;
    assert!(one.starts_with("EGeneral:Invalid arguments:orders"), "{one}");
}

/// kraken-async-rs sends numbers of groups as numbers, others send them as text (docs.kraken.com, `batch_cancel`).
#[tokio::test]
async fn a_batch_is_canceled_by_ids_and_by_numbers_of_groups_in_either_form() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let mut bot = world.bot(1).await;
    let mut ids = Vec::new();
    for group in [7, 8, -9, 10] {
        let mut order = limit("buy", 1.0, 10.0);
        order["order_userref"] = json!(group);
        ids.push(bot.call("add_order", order).await["order_id"].clone());
    }
    let canceled = bot.call("batch_cancel", json!({"orders": [7, "8", -9]})).await;
    assert_eq!(canceled["count"], 3);
    assert_eq!(open(&mut bot).await, ids[3..]);
    let canceled = bot.call("batch_cancel", json!({"orders": [7, ids[3]]})).await;
    assert_eq!(canceled["count"], 1);
    for orders in [
        json!([7, 1.5]),
        json!([7, null]),
        json!([7, [8]]),
        json!([7, 1e3]),
        json!(7),
        json!([7, 9223372036854775808_u64]),
    ] {
        assert_eq!(
            bot.refused("batch_cancel", json!({"orders": orders})).await,
            "Orders field must be an array",
            "{orders}"
        );
    }
}

#[tokio::test]
async fn a_batch_is_canceled_by_client_ids_beside_order_ids() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let mut bot = world.bot(1).await;
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        let mut order = limit("buy", 1.0, 10.0);
        order["cl_ord_id"] = json!(name);
        ids.push(bot.call("add_order", order).await["order_id"].clone());
    }
    assert_eq!(bot.call("batch_cancel", json!({"cl_ord_id": ["a", "nobody"]})).await["count"], 1);
    assert_eq!(open(&mut bot).await, ids[1..]);
    assert_eq!(bot.call("batch_cancel", json!({"orders": [ids[1]], "cl_ord_id": ["c"]})).await["count"], 2);
    assert_eq!(open(&mut bot).await, ids[3..]);
}

#[tokio::test]
async fn an_order_is_amended_by_either_id_and_an_edit_may_only_be_checked() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let mut bot = world.bot(1).await;
    let mut named = limit("buy", 1.0, 10.0);
    named["cl_ord_id"] = json!("mine");
    let id = bot.call("add_order", named).await["order_id"].clone();
    let amended = bot.call("amend_order", json!({"cl_ord_id": "mine", "limit_price": 11})).await;
    let expected = json!({"amend_id": amended["amend_id"], "order_id": id, "cl_ord_id": "mine"});
    assert_eq!(amended, expected);
    let again = bot.refused("amend_order", json!({"order_id": id, "limit_price": 11})).await;
    assert!(again.starts_with("EGeneral:Invalid arguments:order_qty: nothing would change"), "{again}");
    for ids in [json!({}), json!({"order_id": id, "cl_ord_id": "mine"})] {
        let error = bot.refused("amend_order", ids).await;
        assert_eq!(error, "EGeneral:Invalid arguments:order_id: give exactly one of order_id and cl_ord_id");
    }
    let plain = bot.call("add_order", limit("buy", 1.0, 10.0)).await["order_id"].clone();
    let edit = json!({"order_id": plain, "symbol": "BTC/USD", "order_qty": 2, "validate": true});
    assert_eq!(bot.call("edit_order", edit).await, json!({"order_id": "", "original_order_id": plain}));
    assert_eq!(open(&mut bot).await, [id, plain]);
}

#[tokio::test]
async fn d4_57_who_asked_for_it_loses_its_orders_with_its_last_socket() {
    let always = KeySettings { cancel_on_disconnect: true, ..KeySettings::default() };
    let keys = [key(ScopeSet::ALL), key(ScopeSet::ALL), with(always)];
    let world = World::configured(&keys, |config| config.limits.disconnect_grace_s = 0).await;
    let mut watcher = world.bot(2).await;
    let own = watcher.call("add_order", limit("buy", 1.0, 10.0)).await;
    watcher.subscribe("executions").await;
    watcher.frame("executions").await;

    let (mut first, mut second) = (world.bot(1).await, world.bot(1).await);
    let params = json!({"channel": "executions", "cancel_on_disconnect": true});
    let acknowledged = first.call("subscribe", params.clone()).await;
    assert_eq!(acknowledged["cancel_on_disconnect"], true);
    second.call("subscribe", params).await;
    let placed = first.call("add_order", limit("buy", 1.0, 11.0)).await;
    drop(first);
    // Another socket of the key is there.
    second.call("get_balances", json!({})).await;
    let before = countersign::server::wall_clock().to_string();
    drop(second);
    let item = watcher.item("executions", |item| item["exec_type"] == "canceled").await;
    assert_eq!((&item["order_id"], &item["reason"]), (&placed["order_id"], &json!("Canceled on disconnect")));
    assert!(item["timestamp"].as_str().unwrap() >= before.as_str(), "not before the last one left: {item}");

    // A stock client closes with a close frame: that is a disconnect as well.
    let mut set = Client::bare(world.address).await;
    let token = token(&world, 3, &next_nonce()).await["result"]["token"].take();
    let info = set.call("key_info", json!({"token": token})).await;
    assert_eq!(info["settings"]["cancel_on_disconnect"], true);
    let placed = set.call("add_order", limit("buy", 1.0, 12.0)).await;
    set.close().await;
    assert_eq!(canceled(&mut watcher).await, placed["order_id"]);
    let open = watcher.call("open_orders", json!({})).await;
    let left: Vec<&Value> = open["orders"].as_array().unwrap().iter().map(|order| &order["order_id"]).collect();
    assert_eq!(left, [&own["order_id"]], "others' orders stay");
}

/// Makes the server close the socket, by bytes that are no text; the session is over before its close frame is sent.
async fn leave(mut client: Client) {
    client.send_binary(vec![0xff]).await;
    assert_eq!(client.closed().await.0, 1007);
}

/// The next canceled order; the reason must be its owner's disconnect.
async fn canceled(watcher: &mut Client) -> Value {
    let item = watcher.item("executions", |item| item["exec_type"] == "canceled").await;
    assert_eq!(item["reason"], "Canceled on disconnect");
    item["order_id"].clone()
}

async fn open(bot: &mut Client) -> Vec<Value> {
    let open = bot.call("open_orders", json!({})).await;
    open["orders"].as_array().unwrap().iter().map(|order| order["order_id"].clone()).collect()
}

#[tokio::test]
async fn d4_57_what_one_socket_asked_for_is_done_once_the_others_are_gone_too_unless_one_comes_back() {
    let keys = vec![key(ScopeSet::ALL); 4];
    let world = World::configured(&keys, |config| config.limits.disconnect_grace_s = 20).await;
    let mut watcher = world.bot(4).await;
    watcher.subscribe("executions").await;
    let mut bots = Vec::new();
    let mut orders = Vec::new();
    for number in 1..=3 {
        let mut bot = world.bot(number).await;
        bot.call("subscribe", json!({"channel": "executions", "cancel_on_disconnect": true})).await;
        orders.push(bot.call("add_order", limit("buy", 1.0, 10.0)).await["order_id"].clone());
        bots.push(bot);
    }
    let stays = world.bot(1).await;
    for bot in bots.drain(..2) {
        leave(bot).await;
    }
    let _back = world.bot(2).await;
    leave(bots.remove(0)).await;
    passes(20).await;
    // Its grace period began last, so those of the others are over as well.
    assert_eq!(canceled(&mut watcher).await, orders[2]);
    assert_eq!(open(&mut watcher).await, orders[..2]);
    leave(stays).await;
    passes(20).await;
    assert_eq!(canceled(&mut watcher).await, orders[0]);
    assert_eq!(open(&mut watcher).await, orders[1..2]);
}

#[tokio::test]
async fn d4_57_the_setting_counts_as_it_is_when_the_grace_is_over() {
    let always = KeySettings { cancel_on_disconnect: true, ..KeySettings::default() };
    let keys = [with(always), key(ScopeSet::ALL), key(ScopeSet::ALL)];
    let world = World::configured(&keys, |config| config.limits.disconnect_grace_s = 20).await;
    let mut watcher = world.bot(3).await;
    watcher.subscribe("executions").await;
    let mut alice = world.member("alice").await;
    let mut orders = Vec::new();
    for (number, set) in [(1, false), (2, true)] {
        let mut bot = world.bot(number).await;
        orders.push(bot.call("add_order", limit("buy", 1.0, 10.0)).await["order_id"].clone());
        leave(bot).await;
        let settings = json!({"cancel_on_disconnect": set});
        let edit =
            json!({"service_user_id": format!("SVC{number}"), "settings": settings, "otp": code(i64::from(set))});
        assert_eq!(alice.call("edit_service_user", edit).await["state"], "executed");
    }
    passes(20).await;
    // The second one's grace began with the edit, so that of the first is over as well.
    assert_eq!(canceled(&mut watcher).await, orders[1]);
    assert_eq!(open(&mut watcher).await, orders[..1]);
}

/// The orders are done before the client could learn that its token was accepted. A refused token causes nothing.
#[tokio::test]
async fn d4_57_who_leaves_before_the_first_answer_was_there_if_the_engine_took_the_token() {
    let always = KeySettings { cancel_on_disconnect: true, ..KeySettings::default() };
    let keys = [with(always), key(ScopeSet::ALL), key(ScopeSet::ALL)];
    let world = World::configured(&keys, |config| config.limits.disconnect_grace_s = 0).await;
    let mut watcher = world.bot(2).await;
    watcher.subscribe("executions").await;
    let mut stays = world.bot(3).await;
    let kept = stays.call("add_order", limit("buy", 1.0, 10.0)).await["order_id"].take();
    leave(stays).await;
    let mut tokens = Vec::new();
    for number in [3, 1] {
        tokens.push(token(&world, number, &next_nonce()).await["result"]["token"].take());
    }
    let elsewhere = json!({"service_user_id": "SVC3", "settings": {"ip_allowlist": ["192.0.2.0/24"]}, "otp": code(0)});
    assert_eq!(world.member("alice").await.call("edit_service_user", elsewhere).await["state"], "executed");

    let mut refused = Client::bare(world.address).await;
    let params = json!({"channel": "executions", "cancel_on_disconnect": true, "token": tokens[0]});
    refused.last_words([json!({"method": "subscribe", "params": params})]).await;
    let mut hasty = Client::bare(world.address).await;
    let mut order = limit("buy", 1.0, 11.0);
    order["token"] = tokens[1].clone();
    hasty.last_words([json!({"method": "add_order", "params": order})]).await;
    let placed = watcher.item("executions", |item| item["exec_type"] == "new" && item["order_id"] != kept).await;
    assert_eq!(canceled(&mut watcher).await, placed["order_id"]);
    assert_eq!(open(&mut watcher).await, [kept]);
}

#[tokio::test]
async fn d4_57_a_planned_stop_is_no_disconnect_and_after_a_start_keys_set_so_have_the_grace_to_come() {
    let always = KeySettings { cancel_on_disconnect: true, ..KeySettings::default() };
    let keys = [key(ScopeSet::ALL), key(ScopeSet::ALL), with(always)];
    let mut world = World::configured(&keys, |config| config.limits.disconnect_grace_s = 0).await;
    let (mut asking, mut set) = (world.bot(1).await, world.bot(3).await);
    asking.call("subscribe", json!({"channel": "executions", "cancel_on_disconnect": true})).await;
    let kept = asking.call("add_order", limit("buy", 1.0, 10.0)).await;
    let placed = set.call("add_order", limit("buy", 1.0, 11.0)).await;
    world.stop().await;
    assert_eq!((asking.closed().await.0, set.closed().await.0), (1012, 1012));

    world.start().await;
    let mut watcher = world.bot(2).await;
    watcher.call("subscribe", json!({"channel": "executions", "from_offset": 0})).await;
    assert_eq!(canceled(&mut watcher).await, placed["order_id"]);
    assert_eq!(open(&mut watcher).await, [kept["order_id"].clone()]);
}

#[tokio::test]
async fn d4_57_a_planned_stop_waits_for_no_grace() {
    let always = KeySettings { cancel_on_disconnect: true, ..KeySettings::default() };
    let mut world = World::configured(&[with(always)], |config| config.limits.disconnect_grace_s = 600).await;
    let mut bot = world.bot(1).await;
    let kept = bot.call("add_order", limit("buy", 1.0, 10.0)).await;
    leave(bot).await;
    tokio::time::timeout(Duration::from_secs(60), world.restart()).await.expect("the grace is not over");
    assert_eq!(open(&mut world.bot(1).await).await, [kept["order_id"].clone()]);
}

#[tokio::test]
async fn d5_63_a_repeated_id_answers_as_at_first_on_any_socket_and_after_a_restart_and_a_refused_one_is_free() {
    let mut world = World::new(&[key(ScopeSet::ALL)]).await;
    let (mut bot, mut twin) = (world.bot(1).await, world.bot(1).await);
    let mut order = limit("buy", "1", "10");
    order["cl_ord_id"] = json!("mine");
    let withdrawal = json!({"asset": "BTC", "key": "cold-1", "amount": "1", "client_id": "mine"});
    let allocation = json!({"strategy_id": "ESTRAT1", "amount": "1", "client_id": "mine"});
    let asks = [
        ("add_order", "order_id", order, "order_qty"),
        ("withdraw", "refid", withdrawal, "amount"),
        ("earn_allocate", "operation_id", allocation, "amount"),
    ];
    let mut first = Vec::new();
    for (method, id, params, amount) in &asks {
        let of = |changed: &str| {
            let mut other = params.clone();
            other[amount] = json!(changed);
            other
        };
        let error = bot.refused(method, of("1000000")).await;
        assert!(error.contains("nsufficient funds"), "{error}");
        let (one, two) = tokio::join!(bot.call(method, params.clone()), twin.call(method, params.clone()));
        assert_eq!(one[id], two[id], "{method} at once");
        let error = twin.refused(method, of("2")).await;
        assert!(error.contains("not unique"), "{error}");
        first.push(one[id].clone());
    }
    for restart in [false, true] {
        if restart {
            world.restart().await;
        }
        let mut back = world.bot(1).await;
        for ((method, id, params, _), first) in asks.iter().zip(&first) {
            assert_eq!(back.call(method, params.clone()).await[id], *first, "{method}, restart: {restart}");
        }
    }
    let mut bot = world.bot(1).await;
    assert_eq!(bot.call("open_orders", json!({})).await["orders"].as_array().unwrap().len(), 1);
    assert_eq!(bot.call("withdraw_status", json!({})).await["withdrawals"].as_array().unwrap().len(), 1);
}
