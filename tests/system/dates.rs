//! A key's query dates, on every path to the past: events at the very start are included, events at the very end are
//! not (rule 10).

use std::collections::BTreeSet;

use countersign::access::key::KeySettings;
use countersign::access::scope::ScopeSet;
use countersign::domain::time::{Moment, Period};
use countersign::server::wall_clock;
use serde_json::{Value, json};

use super::client::{Client, code, limit};
use super::funding::{credit, funded};
use super::replay::{RING, followed, items};
use super::world::{World, key, other, with};

/// Fills, one after the other, each of an order of its own, which it closes.
const FILLS: usize = 7;
/// The fills that the dates begin and end with.
const START: usize = 2;
const END: usize = 5;
/// The keys with dates: one with both, one with a start only.
const DATED: u8 = 3;
const BEGUN: u8 = 4;
const CUT: &str = "entries before the key's query start date are left out";

/// What a bot without dates received in a world with both keys.
struct Past {
    world: World,
    /// Fills, oldest first.
    fills: Vec<Value>,
    /// Ledger entries, newest first.
    entries: Vec<Value>,
    /// All frames of the streams.
    frames: Vec<Value>,
}

impl Past {
    async fn new() -> Past {
        let keys = [key(ScopeSet::ALL), other(), key(ScopeSet::ALL), key(ScopeSet::ALL)];
        let world = World::configured(&keys, |config| config.limits.replay_ring = RING).await;
        let (mut bot, mut maker) = (world.bot(1).await, world.bot(2).await);
        for channel in ["executions", "ledger"] {
            bot.call("subscribe", json!({"channel": channel, "snap_orders": false, "snapshot": false})).await;
        }
        for _ in 0..FILLS {
            maker.call("add_order", limit("sell", "0.1", "1000")).await;
            bot.call("add_order", limit("buy", "0.1", "1000")).await;
        }
        let frames = followed(&mut bot, ("get_balances", json!({}))).await;
        let mut fills = bot.call("trades_history", json!({})).await["trades"].as_array().unwrap().clone();
        fills.reverse();
        assert_eq!(fills.len(), FILLS);
        assert!(fills.is_sorted_by(|one, next| at(one) < at(next)), "each has a time of its own: {fills:?}");
        let entries = bot.call("ledgers", json!({})).await["entries"].as_array().unwrap().clone();
        let (start, end) = (at(&fills[START]), at(&fills[END]));
        let mut alice = world.member("alice").await;
        for (number, otp, settings) in [
            (DATED, code(0), json!({"query_start": start, "query_end": end})),
            (BEGUN, code(1), json!({"query_start": start})),
        ] {
            let edit = json!({"service_user_id": format!("SVC{number}"), "settings": settings, "otp": otp});
            assert_eq!(alice.call("edit_service_user", edit).await["state"], "executed");
        }
        Past { fills, entries, frames, world }
    }

    /// The names of the items that lie within the dates.
    fn within<'a>(&self, items: &'a [Value], name: &str, until: Option<usize>) -> BTreeSet<&'a str> {
        let start = at(&self.fills[START]);
        let end = until.map(|fill| at(&self.fills[fill]));
        let kept = items.iter().filter(|item| start <= at(item) && end.is_none_or(|end| at(item) < end));
        names(kept, name)
    }
}

/// Times are written with all their digits, so that they sort as text.
fn at(item: &Value) -> &str {
    item["timestamp"].as_str().unwrap()
}

fn names<'a>(items: impl IntoIterator<Item = &'a Value>, name: &str) -> BTreeSet<&'a str> {
    items.into_iter().map(|item| item[name].as_str().unwrap()).collect()
}

/// Everything kept of a channel, which is `count` items.
async fn replayed(bot: &mut Client, channel: &str, count: usize) -> Vec<Value> {
    let acknowledged = bot.call("subscribe", json!({"channel": channel, "from_offset": 0})).await;
    assert_eq!(acknowledged["warnings"], json!([CUT]), "{channel}");
    let mut told = Vec::new();
    while told.len() < count {
        told.extend(items(&[bot.frame(channel).await], channel));
    }
    told.extend(items(&followed(bot, ("get_balances", json!({}))).await, channel));
    told
}

#[tokio::test]
async fn d2_22_each_query_shows_what_happened_at_the_start_and_not_what_happened_at_the_end() {
    let past = Past::new().await;
    let orders = names(&past.fills, "order_id");
    let entries = names(&past.entries, "ledger_id");
    let (first, last) = (at(&past.fills[0]), at(&past.fills[FILLS - 1]));
    for (method, params, list, name, of) in [
        ("trades_history", json!({}), "trades", "exec_id", &past.fills),
        ("trades_history", json!({"start": first, "end": last}), "trades", "exec_id", &past.fills),
        ("closed_orders", json!({}), "orders", "order_id", &past.fills),
        ("query_orders", json!({"order_id": orders}), "orders", "order_id", &past.fills),
        ("ledgers", json!({}), "entries", "ledger_id", &past.entries),
        ("query_ledgers", json!({"ledger_id": entries}), "entries", "ledger_id", &past.entries),
    ] {
        for (number, until) in [(DATED, Some(END)), (BEGUN, None)] {
            let mut bot = past.world.bot(number).await;
            // If the question has its own dates, its end is that of the last fill, which is not included either.
            let until = until.or(params.get("end").map(|_| FILLS - 1));
            let told = bot.call(method, params.clone()).await;
            let told = told[list].as_array().unwrap();
            let expected = past.within(of, name, until);
            assert!(expected.len() >= 3 && expected.len() < of.len() - 1);
            assert_eq!(names(told, name), expected, "{method} {params} of key {number}");
            assert_eq!(told.len(), expected.len(), "each once");
        }
    }
}

/// Once the end is over these streams are refused, so nobody receives what comes after it.
#[tokio::test]
async fn d2_22_past_fills_and_replays_begin_with_what_happened_at_the_start() {
    let past = Past::new().await;
    let mut dated = past.world.bot(DATED).await;
    for params in [
        json!({"channel": "executions", "snap_trades": true}),
        json!({"channel": "executions", "from_offset": 0}),
        json!({"channel": "ledger", "from_offset": 0}),
    ] {
        let error = dated.refused("subscribe", params).await;
        assert!(error.contains("query end date"), "{error}");
    }
    let mut bot = past.world.bot(BEGUN).await;
    let asked = json!({"channel": "executions", "snap_orders": false, "snap_trades": true});
    assert_eq!(bot.call("subscribe", asked).await["warnings"], json!([CUT]));
    let shown = bot.frame("executions").await;
    assert_eq!(names(shown["data"].as_array().unwrap(), "exec_id"), past.within(&past.fills, "exec_id", None));
    bot.call("unsubscribe", json!({"channel": "executions"})).await;
    for channel in ["executions", "ledger"] {
        let all = items(&past.frames, channel);
        let expected: Vec<&Value> = all.iter().filter(|item| at(&past.fills[START]) <= at(item)).collect();
        assert!(expected.len() > RING && expected.len() < all.len(), "{channel}: {} of {}", expected.len(), all.len());
        let told = replayed(&mut bot, channel, expected.len()).await;
        assert_eq!(told.iter().collect::<Vec<_>>(), expected, "{channel}");
    }
}

/// Live items of present state are tested in `d2_22_a_start_date_bounds_no_live_item_of_present_state`.
#[tokio::test]
async fn d2_22_a_start_date_bounds_live_what_has_a_time_and_no_end_of_what_was_open() {
    let hour = Some(wall_clock().plus_us(3_600_000_000));
    let later = KeySettings { query_dates: Period { from: hour, until: None }, ..KeySettings::default() };
    let world = World::new(&[key(ScopeSet::ALL), with(later), other()]).await;
    let (mut bot, mut venue) = funded(&world, 1).await;
    let (mut late, mut maker) = (world.bot(2).await, world.bot(3).await);
    for channel in ["executions", "ledger", "deposits", "withdrawals"] {
        late.call("subscribe", json!({"channel": channel, "snapshot": false, "snap_orders": false})).await;
    }
    venue.call("credit_deposit", credit("t-0", "Pending")).await;
    late.item("deposits", |item| item["status"] == "Pending").await;
    let asked = bot.call("withdraw", json!({"asset": "BTC", "key": "cold-1", "amount": "1"})).await;
    late.item("withdrawals", |item| item["status"] == "Initial").await;
    let placed = bot.call("add_order", limit("buy", "0.1", "1000")).await;
    late.item("executions", |item| item["order_id"] == placed["order_id"] && item["exec_type"] == "new").await;
    late.kept();

    venue.call("credit_deposit", credit("t-0", "Success")).await;
    venue.call("credit_deposit", credit("t-1", "Success")).await;
    bot.call("withdraw_cancel", json!({"refid": asked["refid"]})).await;
    maker.call("add_order", limit("sell", "0.1", "1000")).await;
    late.call("get_balances", json!({})).await;
    let told = late.kept();
    assert_eq!(items(&told, "ledger"), Vec::<Value>::new());
    let ended = |channel| -> Vec<[Value; 2]> {
        items(&told, channel).iter().map(|item| [item["txid"].clone(), item["status"].clone()]).collect()
    };
    assert_eq!(ended("deposits"), [["t-0", "Success"]], "the other was never open");
    assert_eq!(ended("withdrawals"), [[Value::Null, json!("Failure")]]);
    let kinds = items(&told, "executions");
    let kinds: Vec<&Value> = kinds.iter().map(|item| &item["exec_type"]).collect();
    assert_eq!(kinds, ["filled"], "where the order stands, and not the fill");
}

#[tokio::test]
async fn d2_22_at_the_end_date_streams_of_the_past_are_closed_and_balances_say_no_more() {
    let world = World::new(&[key(ScopeSet::ALL), other()]).await;
    let mut streams = Vec::new();
    for channel in ["executions", "ledger", "earn", "deposits", "withdrawals"] {
        let mut bot = world.bot(1).await;
        bot.subscribe(channel).await;
        streams.push(bot);
    }
    let (mut bot, mut maker) = (world.bot(1).await, world.bot(2).await);
    bot.subscribe("balances").await;
    let mut alice = world.member("alice").await;
    let ends = |at: Moment, otp: i64| json!({"service_user_id": "SVC1", "settings": {"query_end": at.to_string()}, "otp": code(otp)});
    maker.call("add_order", limit("sell", "0.1", "1000")).await;
    bot.call("add_order", limit("buy", "0.1", "1000")).await;
    alice.call("edit_service_user", ends(wall_clock(), 0)).await;
    for mut stream in streams {
        assert_eq!(stream.closed().await, (4001, "query end date".to_owned()));
    }
    bot.call("get_balances", json!({})).await;
    bot.kept();
    let mut late = world.bot(1).await;
    late.subscribe("balances").await;
    assert_eq!(late.frame("balances").await["type"], "snapshot");
    let mut resumed = world.bot(1).await;
    resumed.call("subscribe", json!({"channel": "balances", "from_offset": 0})).await;
    assert_eq!(resumed.frame("balances").await["type"], "update", "what came before the end");
    for later in [Some(wall_clock().plus_us(3_600_000_000)), None] {
        maker.call("add_order", limit("sell", "0.1", "1000")).await;
        bot.call("add_order", limit("buy", "0.1", "1000")).await;
        bot.call("get_balances", json!({})).await;
        assert_eq!(items(&bot.kept(), "balances"), Vec::<Value>::new(), "it trades on");
        // A later end brings nothing back: what came before it was not told (law 8).
        if let Some(later) = later {
            alice.call("edit_service_user", ends(later, 1)).await;
        }
    }
    for stopped in [&mut bot, &mut late] {
        stopped.subscribe("balances").await;
        assert_eq!(stopped.frame("balances").await["type"], "snapshot");
        assert_eq!(stopped.refused("subscribe", json!({"channel": "balances"})).await, "Already subscribed");
    }
    maker.call("add_order", limit("sell", "0.1", "1000")).await;
    bot.call("add_order", limit("buy", "0.1", "1000")).await;
    for again in [&mut bot, &mut late] {
        assert_eq!(again.frame("balances").await["type"], "update");
    }
}
