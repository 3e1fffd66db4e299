//! Private streams from offsets older than the rings: what history delivers, and where it meets the live items (rules
//! 10, 12, 41, 42).

use countersign::access::scope::{Scope, ScopeSet};
use serde_json::{Value, json};

use super::client::{Client, code, limit, soon};
use super::conflation::narrow;
use super::streams::lock_history;
use super::world::{Wanted, World, key, other};

/// Items that the servers under test keep in memory; the rest is in the journal.
pub const RING: usize = 4;
const ACCOUNT: [&str; 6] = ["executions", "balances", "ledger", "earn", "deposits", "withdrawals"];

/// Places `count` batches of 15 orders and cancels them.
async fn churn(bot: &mut Client, count: usize) {
    for _ in 0..count {
        let order = json!({"order_type": "limit", "side": "buy", "order_qty": "1", "limit_price": "10"});
        bot.call("batch_add", json!({"symbol": "BTC/USD", "orders": vec![order; 15]})).await;
        bot.call("cancel_all", json!({})).await;
    }
}

/// The items of a channel among frames.
pub fn items(frames: &[Value], channel: &str) -> Vec<Value> {
    let own = frames.iter().filter(|frame| frame["channel"] == channel);
    own.flat_map(|frame| frame["data"].as_array().unwrap().clone()).collect()
}

fn offset(item: &Value) -> u64 {
    item["offset"].as_u64().unwrap()
}

/// What a client that follows channels has received so far; `barrier` is answered by the engine.
pub async fn followed(client: &mut Client, barrier: (&str, Value)) -> Vec<Value> {
    client.reply(barrier.0, barrier.1).await;
    client.kept()
}

/// Subscribes from an offset, reads `count` items and checks that nothing follows them.
async fn replayed(client: &mut Client, channel: &str, from: u64, count: usize, barrier: (&str, Value)) -> Vec<Value> {
    let acknowledged = client.call("subscribe", json!({"channel": channel, "from_offset": from})).await;
    let plain = acknowledged.get("from_offset").is_none() && acknowledged.get("warnings").is_none();
    assert!(plain, "{channel} from {from}: {acknowledged}");
    let mut found = Vec::new();
    let mut sequence = 0;
    while found.len() < count {
        let frame = client.frame(channel).await;
        assert_eq!(frame["type"], "update");
        sequence += 1;
        assert!(frame.get("sequence").is_none_or(|of| *of == json!(sequence)), "{frame}");
        found.extend(items(&[frame], channel));
    }
    found.extend(items(&followed(client, barrier).await, channel));
    client.call("unsubscribe", json!({"channel": channel})).await;
    found
}

/// Does some of everything that appears on a private channel.
async fn live(world: &World, bot: &mut Client, venue: &mut Client) {
    let mut maker = world.bot(2).await;
    for _ in 0..3 {
        maker.call("add_order", limit("sell", "0.3", "1000")).await;
        bot.call("add_order", limit("buy", "0.3", "1000")).await;
        churn(bot, 3).await;
    }
    venue.call("add_deposit_addresses", json!({"asset": "BTC", "addresses": [{"address": "bc1q0"}]})).await;
    bot.call("deposit_addresses", json!({"asset": "BTC"})).await;
    let strategy = json!({"asset": "ETH", "lock_type": {"type": "flex"}, "user_min_allocation": "1",
        "apr_estimate": {"low": 3, "high": "4.5"}});
    let strategy = venue.call("add_earn_strategy", strategy).await["strategy_id"].clone();
    let mut ballot = Vec::new();
    let mut refids = Vec::new();
    for number in 0..6 {
        let credit = json!({"asset": "BTC", "address": "bc1q0", "amount": "0.5", "txid": format!("tx-{number}")});
        venue.call("credit_deposit", credit).await;
        bot.call("earn_allocate", json!({"strategy_id": strategy, "amount": "1"})).await;
        let withdrawal = bot.call("withdraw", json!({"asset": "BTC", "key": "cold-1", "amount": "0.1"})).await;
        refids.push(withdrawal["refid"].clone());
        ballot.push(withdrawal["request_id"].clone());
    }
    let mut bob = world.member("bob").await;
    let pending = bob.call("requests", json!({"state": "pending"})).await;
    let of =
        |id: &Value| pending["requests"].as_array().unwrap().iter().find(|of| of["request_id"] == *id).unwrap().clone();
    let ballot: Vec<Value> = ballot.iter().map(|id| json!({"request_id": id, "digest": of(id)["digest"]})).collect();
    let mut approved = Value::Null;
    for steps in [0, 1] {
        approved = bob.reply("approve", json!({"requests": ballot, "otp": code(steps)})).await;
        if approved["success"] == true {
            break;
        }
    }
    assert_eq!(approved["success"], true, "{approved}");
    for refid in refids {
        venue.call("settle_withdrawal", json!({"refid": refid})).await;
    }
    churn(bot, 3).await;
}

#[tokio::test]
async fn d4_49_and_d4_51_each_private_channel_replays_exactly_what_its_ring_let_go_across_a_restart_too() {
    let mut world = World::configured(&[key(ScopeSet::ALL), other()], |config| config.limits.replay_ring = RING).await;
    let now = ("get_balances", json!({}));
    let unknown = ("settle_withdrawal", json!({"refid": "nonsense"}));
    let info = ("member_info", json!({}));
    let (mut bot, mut venue) = (world.bot(1).await, world.venue().await);
    let mut carol = world.member("carol").await;
    for channel in ACCOUNT {
        bot.call("subscribe", json!({"channel": channel, "snapshot": false, "snap_orders": false})).await;
    }
    venue.call("subscribe", json!({"channel": "custody", "snapshot": false})).await;
    carol.call("subscribe", json!({"channel": "approvals", "snapshot": false})).await;
    live(&world, &mut bot, &mut venue).await;
    let mut uncut: Vec<(&str, Vec<Value>)> = Vec::new();
    let frames = followed(&mut bot, now.clone()).await;
    uncut.extend(ACCOUNT.map(|channel| (channel, items(&frames, channel))));
    uncut.push(("custody", items(&followed(&mut venue, unknown.clone()).await, "custody")));
    uncut.push(("approvals", items(&followed(&mut carol, info.clone()).await, "approvals")));
    carol.call("unsubscribe", json!({"channel": "approvals"})).await;
    drop((bot, venue));
    for restarted in [false, true] {
        if restarted {
            world.restart().await;
            carol = Client::member(world.address, "carol@acme.test", 1).await.unwrap();
        }
        let (mut bot, mut venue) = (world.bot(1).await, world.venue().await);
        for (channel, all) in &uncut {
            assert!(all.len() > RING + 1, "{channel} told only {} items", all.len());
            for seen in [0, 1, all.len() / 2, all.len() - RING - 1, all.len() - 1] {
                let (client, barrier) = match *channel {
                    "custody" => (&mut venue, unknown.clone()),
                    "approvals" => (&mut carol, info.clone()),
                    _ => (&mut bot, now.clone()),
                };
                let missed = &all[seen + 1..];
                let found = replayed(client, channel, offset(&all[seen]), missed.len(), barrier).await;
                assert_eq!(found, missed, "{channel} after item {seen}, restarted: {restarted}");
            }
        }
    }
}

#[tokio::test]
async fn a_replay_meets_what_is_live_without_gap_or_double_while_orders_pour_in() {
    let world = World::configured(&[key(ScopeSet::ALL)], |config| config.limits.replay_ring = RING).await;
    let (mut uncut, mut writer) = (world.bot(1).await, world.bot(1).await);
    uncut.call("subscribe", json!({"channel": "executions", "snap_orders": false})).await;
    churn(&mut writer, 3).await;
    let first = followed(&mut uncut, ("get_balances", json!({}))).await;
    let from = offset(&items(&first, "executions")[0]);
    let mut followers = Vec::new();
    for _ in 0..4 {
        let mut follower = world.bot(1).await;
        let params = json!({"channel": "executions", "from_offset": from});
        follower.send(json!({"method": "subscribe", "req_id": 99, "params": params}).to_string()).await;
        churn(&mut writer, 5).await;
        followers.push(follower);
    }
    // The last item, for which all wait.
    let last = writer.call("add_order", limit("buy", "2", "20")).await["order_id"].clone();
    let until_last = async |client: &mut Client, mut found: Vec<Value>| {
        while found.last().is_none_or(|item| item["order_id"] != last || item["exec_type"] != "new") {
            found.extend(items(&[client.frame("executions").await], "executions"));
        }
        found
    };
    let all = until_last(&mut uncut, items(&first, "executions")).await;
    for follower in &mut followers {
        let found = until_last(follower, Vec::new()).await;
        assert_eq!(found.len(), all.len() - 1);
        assert_eq!(found, all[1..]);
    }
}

#[tokio::test]
async fn d4_50_an_offset_that_is_too_old_foreign_or_of_the_future_gets_an_explicit_answer() {
    // Nothing is kept except the current block of events, and the ring.
    let few = |config: &mut countersign::config::Config| {
        config.limits.replay_ring = RING;
        config.limits.replay_s = 0;
    };
    let mut world = World::configured(&[key(ScopeSet::ALL), other()], few).await;
    let (mut bot, mut maker) = (world.bot(1).await, world.bot(2).await);
    for client in [&mut bot, &mut maker] {
        client.call("subscribe", json!({"channel": "executions", "snap_orders": false})).await;
    }
    maker.call("add_order", limit("sell", "1", "1000")).await;
    let theirs = maker.item("executions", |item| item["exec_type"] == "pending_new").await;
    // Old table entries are deleted when more is added, and a query of the past waits until that is there.
    for count in [20, 1] {
        churn(&mut bot, count).await;
        bot.call("closed_orders", json!({"limit": 1})).await;
    }
    let all = items(&followed(&mut bot, ("get_balances", json!({}))).await, "executions");
    assert!(all.len() > 600, "more than two blocks of events");
    bot.call("unsubscribe", json!({"channel": "executions"})).await;
    for restarted in [false, true] {
        if restarted {
            world.restart().await;
            bot = world.bot(1).await;
        }
        for old in [offset(&theirs), offset(&all[0]), offset(&all[300])] {
            let params = json!({"channel": "executions", "from_offset": old});
            let acknowledged = bot.call("subscribe", params).await;
            assert_eq!(acknowledged["warnings"], json!(["EQuery:Offset too old: snapshot follows"]), "{old}");
            assert_eq!(bot.frame("executions").await["type"], "snapshot");
            bot.call("unsubscribe", json!({"channel": "executions"})).await;
        }
        // An event of an order has one or two items: no item has this offset, neither in the ring nor before it.
        let (new, late) = (all.len() - 40, all.len() - 1);
        for unknown in [offset(&all[new]) + 7, offset(&all[late]) + 7, offset(&all[late]) + (1 << 30), (1 << 53) - 1] {
            let error = bot.refused("subscribe", json!({"channel": "executions", "from_offset": unknown})).await;
            assert!(error.starts_with("EGeneral:Invalid arguments:from_offset"), "{unknown}: {error}");
        }
        // Everything that is kept, without a warning about what is not.
        let acknowledged = bot.call("subscribe", json!({"channel": "executions", "from_offset": 0})).await;
        assert!(acknowledged.get("warnings").is_none(), "{acknowledged}");
        let mut found = Vec::new();
        while found.last() != all.last() {
            found.extend(items(&[bot.frame("executions").await], "executions"));
        }
        assert!(found.len() > RING && found.len() < 600, "{}", found.len());
        assert_eq!(found, all[all.len() - found.len()..]);
        bot.call("unsubscribe", json!({"channel": "executions"})).await;
    }
}

#[tokio::test]
async fn rule_42_a_snapshot_that_is_announced_comes_though_none_was_asked_for() {
    let keys = [key(ScopeSet::ALL), key(ScopeSet::of(&[Scope::Query]))];
    let few = |config: &mut countersign::config::Config| {
        config.limits.replay_ring = RING;
        config.limits.replay_s = 0;
    };
    let world = World::configured(&keys, few).await;
    let (mut bot, mut narrow) = (world.bot(1).await, world.bot(2).await);
    bot.call("subscribe", json!({"channel": "executions", "snap_orders": false})).await;
    bot.call("subscribe", json!({"channel": "balances", "snapshot": false})).await;
    let strategies = bot.call("earn_strategies", json!({})).await;
    let flex =
        strategies["strategies"].as_array().unwrap().iter().find(|of| of["lock_type"]["type"] == "flex").unwrap();
    bot.call("earn_allocate", json!({"strategy_id": flex["id"], "amount": "1"})).await;
    churn(&mut bot, 20).await;
    let now = ("get_balances", json!({}));
    let frames = followed(&mut bot, now.clone()).await;
    let [executions, balances] = ["executions", "balances"].map(|channel| offset(&items(&frames, channel)[0]));
    for _ in 0..RING {
        bot.call("earn_allocate", json!({"strategy_id": flex["id"], "amount": "1"})).await;
    }
    let open = bot.call("add_order", limit("buy", "1", "10")).await["order_id"].clone();
    // Before the tables take what is new they forget what is too old of what they have.
    for _ in 0..2 {
        bot.call("earn_allocate", json!({"strategy_id": flex["id"], "amount": "1"})).await;
        bot.call("ledgers", json!({})).await;
    }
    bot.call("unsubscribe", json!({"channel": "executions"})).await;
    bot.kept();
    for none in ["snap_orders", "snapshot"] {
        let params = json!({"channel": "executions", none: false, "from_offset": executions});
        let acknowledged = bot.call("subscribe", params).await;
        assert_eq!(acknowledged["warnings"], json!(["EQuery:Offset too old: snapshot follows"]), "{none}");
        let frames = followed(&mut bot, now.clone()).await;
        let frame = frames.iter().find(|frame| frame["channel"] == "executions").unwrap_or(&Value::Null);
        assert_eq!((&frame["type"], &frame["data"][0]["order_id"]), (&json!("snapshot"), &open), "{none}");
        bot.call("unsubscribe", json!({"channel": "executions"})).await;
    }
    // For a key that may not read the ledger only the ring is used.
    let params = json!({"channel": "balances", "snapshot": false, "from_offset": balances});
    let acknowledged = narrow.call("subscribe", params).await;
    assert_eq!(acknowledged["warnings"], json!(["EQuery:Offset too old: snapshot follows"]));
    let frames = followed(&mut narrow, now).await;
    assert!(frames.iter().any(|frame| frame["channel"] == "balances" && frame["type"] == "snapshot"), "{frames:?}");
}

#[tokio::test]
async fn rule_12_balances_and_executions_reach_back_over_the_ring_alone_unless_the_key_may_read_the_past() {
    let keys = [key(ScopeSet::ALL), other(), key(ScopeSet::of(&[Scope::Query, Scope::QueryOpenOrders]))];
    let world = World::configured(&keys, |config| config.limits.replay_ring = RING).await;
    let (mut bot, mut narrow, mut maker) = (world.bot(1).await, world.bot(3).await, world.bot(2).await);
    bot.call("subscribe", json!({"channel": "balances", "snapshot": false})).await;
    bot.call("subscribe", json!({"channel": "executions", "snap_orders": false})).await;
    let open = bot.call("add_order", limit("buy", "0.1", "10")).await["order_id"].clone();
    maker.call("add_order", limit("sell", "1", "1000")).await;
    for _ in 0..5 {
        bot.call("add_order", limit("buy", "0.1", "1000")).await;
    }
    let now = ("get_balances", json!({}));
    let frames = followed(&mut bot, now.clone()).await;
    for channel in ["balances", "executions"] {
        let all = items(&frames, channel);
        bot.call("unsubscribe", json!({"channel": channel})).await;
        assert_eq!(replayed(&mut bot, channel, offset(&all[0]), all.len() - 1, now.clone()).await, all[1..]);
        let acknowledged = narrow.call("subscribe", json!({"channel": channel, "from_offset": offset(&all[0])})).await;
        assert_eq!(acknowledged["warnings"], json!(["EQuery:Offset too old: snapshot follows"]));
        let shown = narrow.frame(channel).await;
        assert_eq!(shown["type"], "snapshot");
        if channel == "executions" {
            let orders: Vec<&Value> = shown["data"].as_array().unwrap().iter().map(|item| &item["order_id"]).collect();
            assert_eq!(orders, [&open], "a client takes for ended what is left out");
        }
        narrow.call("unsubscribe", json!({"channel": channel})).await;
        let ring = &all[all.len() - RING..];
        for from in [0, offset(&all[all.len() - RING - 1])] {
            assert_eq!(replayed(&mut narrow, channel, from, RING, now.clone()).await, ring, "{channel} from {from}");
        }
    }
}

#[tokio::test]
async fn all_rings_together_are_bounded_and_the_items_of_others_push_the_oldest_out() {
    let keys = [key(ScopeSet::ALL), other(), key(ScopeSet::of(&[Scope::Query]))];
    let world = World::configured(&keys, |config| config.limits.replay_items = 100).await;
    let (mut bot, mut narrow, mut maker) = (world.bot(1).await, world.bot(3).await, world.bot(2).await);
    bot.call("subscribe", json!({"channel": "balances", "snapshot": false})).await;
    maker.call("subscribe", json!({"channel": "executions", "snap_orders": false})).await;
    maker.call("add_order", limit("sell", "0.1", "1000")).await;
    bot.call("add_order", limit("buy", "0.1", "1000")).await;
    let now = ("get_balances", json!({}));
    let all = items(&followed(&mut bot, now.clone()).await, "balances");
    bot.call("unsubscribe", json!({"channel": "balances"})).await;
    assert_eq!(replayed(&mut narrow, "balances", offset(&all[0]), all.len() - 1, now.clone()).await, all[1..]);
    churn(&mut maker, 3).await;
    // The other's own items are in memory as far as the limit allows.
    let theirs = items(&followed(&mut maker, now.clone()).await, "executions");
    maker.call("unsubscribe", json!({"channel": "executions"})).await;
    let recent = theirs.len() - 80;
    assert_eq!(
        replayed(&mut maker, "executions", offset(&theirs[recent]), 79, now.clone()).await,
        theirs[recent + 1..]
    );
    // What was pushed out is in the journal, for clients that may read it.
    let acknowledged = narrow.call("subscribe", json!({"channel": "balances", "from_offset": offset(&all[0])})).await;
    assert_eq!(acknowledged["warnings"], json!(["EQuery:Offset too old: snapshot follows"]));
    assert_eq!(narrow.frame("balances").await["type"], "snapshot");
    assert_eq!(replayed(&mut bot, "balances", offset(&all[0]), all.len() - 1, now).await, all[1..]);
}

#[tokio::test]
async fn query_dates_bound_a_replay_from_history_and_the_acknowledgement_says_so() {
    let world =
        World::configured(&[key(ScopeSet::ALL), key(ScopeSet::ALL)], |config| config.limits.replay_ring = RING).await;
    let (mut bot, mut alice) = (world.bot(1).await, world.member("alice").await);
    bot.call("subscribe", json!({"channel": "executions", "snap_orders": false})).await;
    churn(&mut bot, 4).await;
    let all = items(&followed(&mut bot, ("get_balances", json!({}))).await, "executions");
    let start = all[all.len() / 2]["timestamp"].as_str().unwrap();
    let within = |item: &&Value| item["timestamp"].as_str().is_some_and(|at| start <= at);
    let (shown, before): (Vec<&Value>, Vec<&Value>) = all.iter().partition(within);
    assert!(!before.is_empty() && shown.len() > RING);
    let edit = json!({"service_user_id": "SVC2", "settings": {"query_start": start}, "otp": code(0)});
    assert_eq!(alice.call("edit_service_user", edit).await["state"], "executed");
    let mut late = world.bot(2).await;
    let from = offset(&all[0]);
    let acknowledged = late.call("subscribe", json!({"channel": "executions", "from_offset": from})).await;
    assert_eq!(acknowledged["warnings"], json!(["entries before the key's query start date are left out"]));
    let mut found = Vec::new();
    while found.len() < shown.len() {
        found.extend(items(&[late.frame("executions").await], "executions"));
    }
    assert_eq!(found.iter().collect::<Vec<_>>(), shown);
}

/// A world whose first key has more items on `executions` than fit on one page of a replay; returns all but the first.
async fn long(keys: &[Wanted]) -> (World, u64, Vec<Value>) {
    let world = World::configured(keys, |config| config.limits.replay_ring = RING).await;
    let mut bot = world.bot(1).await;
    bot.call("subscribe", json!({"channel": "executions", "snap_orders": false})).await;
    churn(&mut bot, 60).await;
    let mut all = items(&followed(&mut bot, ("get_balances", json!({}))).await, "executions");
    assert!(all.len() > 2_500, "{}", all.len());
    let from = offset(&all.remove(0));
    (world, from, all)
}

fn subscribe(req_id: u32, from: u64) -> String {
    let params = json!({"channel": "executions", "from_offset": from});
    json!({"method": "subscribe", "req_id": req_id, "params": params}).to_string()
}

#[tokio::test]
async fn a_stop_in_the_middle_of_a_replay_loses_nothing() {
    let (mut world, from, all) = long(&[key(ScopeSet::ALL)]).await;
    let mut back = world.bot(1).await;
    back.send(subscribe(9, from)).await;
    // Only the acknowledgement is read: the socket is full, or soon will be.
    back.answer(9).await;
    let server = world.server.take().unwrap();
    let stopping = tokio::spawn(server.stop());
    let mut told = Vec::new();
    loop {
        match back.read().await {
            Ok(frame) => told.extend(items(&[frame], "executions")),
            Err(closed) => {
                assert_eq!(closed, (1012, "planned restart".to_owned()));
                break;
            }
        }
    }
    soon("end of the server", stopping).await.unwrap().unwrap();
    world.start().await;
    let seen = told.last().map_or(from, offset);
    let missing = all.len() - told.len();
    let rest = replayed(&mut world.bot(1).await, "executions", seen, missing, ("get_balances", json!({}))).await;
    told.extend(rest);
    assert_eq!(told, all);
}

/// Reduces a key's scopes during its replay; returns how its socket closes, after a part of what it missed.
async fn cut_short(scopes: &[Scope]) -> (u16, String) {
    let (world, from, all) = long(&[key(ScopeSet::ALL), key(ScopeSet::ALL), key(ScopeSet::ALL)]).await;
    let mut alice = world.member("alice").await;
    // Its buffers have no room for a page, so the next one is not read before this one.
    let mut reader = narrow(world.address).await;
    reader.send(subscribe(9, from)).await;
    reader.answer(9).await;
    let scopes: Vec<&str> = scopes.iter().map(|scope| scope.name()).collect();
    let edit = json!({"service_user_id": "SVC3", "scopes": scopes, "otp": code(0)});
    assert_eq!(alice.call("edit_service_user", edit).await["state"], "executed");
    // After the change.
    world.bot(1).await.call("add_order", limit("buy", "2", "20")).await;
    let mut told = Vec::new();
    let closed = loop {
        assert!(told.len() < all.len(), "it was told all");
        match reader.read().await {
            Ok(frame) => told.extend(items(&[frame], "executions")),
            Err(closed) => break closed,
        }
    };
    assert_eq!(told, all[..told.len()], "in order, and nothing of what came later");
    closed
}

#[tokio::test]
async fn a_right_lost_in_the_middle_of_a_replay_closes_the_socket() {
    assert_eq!(cut_short(&[Scope::Query]).await, (4001, "an open subscription lost its scope".to_owned()));
}

#[tokio::test]
async fn rule_12_a_replay_goes_no_further_once_the_key_may_not_see_the_past() {
    let live = [Scope::Query, Scope::QueryOpenOrders];
    assert_eq!(cut_short(&live).await, (1013, "replay broken off: reconnect with from_offset".to_owned()));
}

#[tokio::test]
async fn a_replay_that_is_unsubscribed_ends_and_the_next_begins_anew() {
    let (world, from, all) = long(&[key(ScopeSet::ALL)]).await;
    let mut back = world.bot(1).await;
    let unsubscribe = |req_id: u32| {
        json!({"method": "unsubscribe", "req_id": req_id, "params": {"channel": "executions"}}).to_string()
    };
    for begun in [false, true] {
        back.send(subscribe(1, from)).await;
        if begun {
            assert_eq!(back.answer(1).await["success"], true);
        }
        back.send(unsubscribe(2)).await;
        assert_eq!(back.answer(2).await["success"], true);
        let before = back.kept();
        back.send(subscribe(3, from)).await;
        if !begun {
            // Whichever came first, there is an answer.
            let answered = before.into_iter().find(|frame| frame["req_id"] == 1);
            let answered = if let Some(answered) = answered { answered } else { back.answer(1).await };
            let early = answered["error"].as_str().is_some_and(|text| text.contains("ended before it began"));
            assert!(early || answered["success"] == true, "{answered}");
        }
        back.answer(3).await;
        let mut told = items(&back.kept(), "executions");
        while told.len() < all.len() {
            told.extend(items(&[back.frame("executions").await], "executions"));
        }
        told.extend(items(&followed(&mut back, ("get_balances", json!({}))).await, "executions"));
        assert_eq!(told.len(), all.len(), "each once, begun: {begun}");
        assert_eq!(told, all);
        back.call("unsubscribe", json!({"channel": "executions"})).await;
        back.kept();
    }
}

#[tokio::test]
async fn rule_41_no_more_waits_for_past_fills_than_a_ring_holds() {
    let world = World::configured(&[key(ScopeSet::ALL), other()], |config| config.limits.replay_ring = RING).await;
    let mut bot = world.bot(1).await;
    let locked = lock_history(&world).await;
    bot.call("add_order", limit("buy", "1", "10")).await;
    bot.call("subscribe", json!({"channel": "executions", "snap_orders": false, "snap_trades": true})).await;
    // Two items each.
    for _ in 0..=RING / 2 {
        bot.call("add_order", limit("buy", "1", "10")).await;
    }
    sqlx::Connection::close(locked).await.unwrap();
    assert_eq!(items(&bot.kept(), "executions"), [Value::Null; 0]);
    assert_eq!(bot.closed().await, (1013, "past fills are not ready: reconnect".to_owned()));
}
