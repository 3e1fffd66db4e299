//! Public market data as a client follows it: how topics begin and end, trades, tickers, candles and instruments.

use countersign::access::principal::Actor;
use countersign::access::scope::ScopeSet;
use countersign::domain::candles::INTERVALS;
use countersign::domain::ids::OrderId;
use countersign::engine::event::Event;
use countersign::sequencer::codec;
use countersign::server::wall_clock;
use countersign::storage::Storage;
use serde_json::{Value, json};

use super::client::{Client, http, limit};
use super::world::{World, key, other};

/// Rule 50, on a socket that follows a book, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_comes_before_the_market_data_that_its_request_caused() {
    let world = World::new(&[key(ScopeSet::ALL), other()]).await;
    let mut others = Vec::new();
    for _ in 0..32 {
        others.push(world.bot(2).await);
    }
    let mut bot = world.bot(1).await;
    bot.call("subscribe", json!({"channel": "book", "symbol": ["BTC/USD"]})).await;
    assert_eq!(bot.frame("book").await["type"], "snapshot");
    for price in 101..=120 {
        // Answers for many sockets, which are written one after another.
        for other in &mut others {
            other.send(json!({"method": "cancel_all"}).to_string()).await;
        }
        let order = limit("buy", "0.01", price);
        bot.send(json!({"method": "add_order", "params": order}).to_string()).await;
        let first = bot.next().await;
        assert_eq!((&first["method"], &first["success"]), (&"add_order".into(), &true.into()), "{first}");
        let bids = &bot.frame("book").await["data"][0]["bids"];
        assert_eq!(bids[0]["price"].as_f64(), Some(f64::from(price)));
    }
}

#[tokio::test]
async fn orders_one_by_one_are_for_who_has_a_key_and_at_one_depth() {
    let world = World::new(&[key(ScopeSet::NONE)]).await;
    let asked = |depth: u64| json!({"channel": "level3", "symbol": ["BTC/USD"], "depth": depth});
    let mut bare = Client::bare(world.address).await;
    assert_eq!(bare.refused("subscribe", asked(10)).await, "Token(s) not found");
    assert_eq!(world.member("alice").await.refused("subscribe", asked(10)).await, "EGeneral:Permission denied");
    let mut bot = world.bot(1).await;
    bot.call("subscribe", asked(100)).await;
    let error = bot.refused("subscribe", asked(10)).await;
    assert!(error.starts_with("EGeneral:Invalid arguments:depth: one depth"), "{error}");
    let error = bot.refused("subscribe", asked(25)).await;
    assert_eq!(error, "EGeneral:Invalid arguments:depth: give 10, 100 or 1000");
    bot.call("unsubscribe", asked(100)).await;
    bot.call("subscribe", asked(10)).await;
}

/// How stock clients unsubscribe: nautilus_trader leaves out the depth, the venue's Rust SDK the trigger.
#[tokio::test]
async fn an_unsubscribe_without_values_ends_what_the_socket_follows_and_one_with_values_only_that() {
    let world = World::new(&[key(ScopeSet::NONE)]).await;
    let mut bot = world.bot(1).await;
    let on =
        |channel: &str, field: &str, value: Value| json!({"channel": channel, "symbol": ["BTC/USD"], field: value});
    let off = |channel: &str| json!({"channel": channel, "symbol": ["BTC/USD"]});
    for (channel, field, value) in [
        ("level3", "depth", json!(1_000)),
        ("book", "depth", json!(25)),
        ("ohlc", "interval", json!(5)),
        ("ticker", "event_trigger", json!("bbo")),
    ] {
        bot.call("subscribe", on(channel, field, value.clone())).await;
        let ended = bot.call("unsubscribe", off(channel)).await;
        assert_eq!((&ended["symbol"], &ended[field]), (&json!("BTC/USD"), &value), "{channel}");
        let over = bot.refused("unsubscribe", off(channel)).await;
        assert!(over.ends_with("not subscribed"), "{channel}: {over}");
        bot.call("subscribe", on(channel, field, value)).await;
    }
    // A request with a value means that topic alone, even if it is the default one.
    let other = bot.refused("unsubscribe", on("book", "depth", json!(10))).await;
    assert!(other.ends_with("not subscribed"), "{other}");
    // The default topic is followed, so it is the one meant.
    bot.call("subscribe", off("book")).await;
    assert_eq!(bot.call("unsubscribe", off("book")).await["depth"], 10);
    // Each of the remaining ones is acknowledged.
    bot.call("subscribe", on("book", "depth", json!(100))).await;
    bot.send(json!({"method": "unsubscribe", "req_id": 100, "params": off("book")}).to_string()).await;
    let depths = [bot.answer(100).await["result"]["depth"].clone(), bot.answer(100).await["result"]["depth"].clone()];
    assert_eq!(depths, [25, 100]);
}

#[tokio::test]
async fn rule_42_nothing_of_a_topic_comes_after_the_acknowledgement_of_its_end() {
    let world = World::new(&[key(ScopeSet::ALL), other()]).await;
    let (mut buyer, mut seller) = (world.bot(1).await, world.bot(2).await);
    seller.call("add_order", limit("sell", "0.1", 20_000)).await;
    buyer.call("add_order", limit("buy", "0.1", 20_000)).await;
    let mut reader = Client::bare(world.address).await;
    let channels = ["book", "trade", "ticker", "instrument"].into_iter().cycle();
    for (channel, price) in channels.zip(20_000..20_020) {
        let asked = |method: &str, channel: &str| match channel {
            "instrument" => json!({"method": method, "params": {"channel": channel}}),
            _ => json!({"method": method, "params": {"channel": channel, "symbol": ["BTC/USD"], "snapshot": true}}),
        };
        let order = json!({"method": "add_order", "params": limit("sell", "0.1", price)});
        // What is requested first would be sent before the other.
        let other = if channel == "book" { "ticker" } else { "book" };
        let burst =
            [("subscribe", channel), ("unsubscribe", channel), ("subscribe", other)].map(|(how, of)| asked(how, of));
        assert!(seller.burst([order]).await && reader.burst(burst).await);
        let (mut acknowledged, mut told) = (0, Vec::new());
        while acknowledged < 3 || !told.iter().any(|name| name == other) {
            let frame = reader.next().await;
            acknowledged += usize::from(frame["method"].is_string());
            told.extend(frame["channel"].as_str().filter(|_| acknowledged >= 2).map(str::to_owned));
        }
        assert!(!told.iter().any(|name| name == channel), "{channel}: {told:?}");
        reader.call("unsubscribe", asked("", other)["params"].clone()).await;
    }
}

/// Stock clients read the first item of every frame of these two, and lose their socket if there is none.
#[tokio::test]
async fn what_has_no_trades_yet_begins_without_a_snapshot_and_its_first_item_is_an_update() {
    let world = World::new(&[key(ScopeSet::ALL), other()]).await;
    let (mut buyer, mut seller) = (world.bot(1).await, world.bot(2).await);
    let mut readers = [Client::bare(world.address).await, Client::bare(world.address).await];
    for (reader, channel) in readers.iter_mut().zip(["ohlc", "trade"]) {
        let asked = json!({"channel": channel, "symbol": ["BTC/USD"], "snapshot": true});
        assert_eq!(reader.call("subscribe", asked).await["snapshot"], true);
    }
    seller.call("add_order", limit("sell", "0.1", 20_000)).await;
    buyer.call("add_order", limit("buy", "0.1", 20_000)).await;
    for (reader, channel) in readers.iter_mut().zip(["ohlc", "trade"]) {
        let first = reader.frame(channel).await;
        assert_eq!((&first["type"], first["data"].as_array().unwrap().len()), (&json!("update"), 1), "{first}");
    }
    let mut late = Client::bare(world.address).await;
    late.call("subscribe", json!({"channel": "trade", "symbol": ["BTC/USD"], "snapshot": true})).await;
    assert_eq!(late.frame("trade").await["type"], "snapshot");
}

/// The snapshots of `ohlc`, interval by interval.
async fn candles(world: &World) -> Vec<Value> {
    let (mut reader, mut all) = (Client::bare(world.address).await, Vec::new());
    for interval in INTERVALS {
        reader.call("subscribe", json!({"channel": "ohlc", "symbol": ["BTC/USD"], "interval": interval})).await;
        all.push(reader.frame("ohlc").await["data"].take());
    }
    all
}

#[tokio::test]
async fn candles_add_up_and_are_the_same_after_a_restart() {
    let mut world = World::new(&[key(ScopeSet::ALL), other()]).await;
    let (mut bot, mut maker) = (world.bot(1).await, world.bot(2).await);
    let asked = |interval: u64| json!({"channel": "ohlc", "symbol": ["BTC/USD"], "interval": interval});
    let acknowledged = bot.call("subscribe", asked(21_600)).await;
    assert_eq!(
        (&acknowledged["interval"], &acknowledged["warnings"][0]),
        (&json!(21_600), &json!("timestamp is deprecated, use interval_begin"))
    );
    assert!(bot.refused("subscribe", asked(7)).await.starts_with("EGeneral:Invalid arguments:interval"));
    let mut last = Value::Null;
    for (price, qty) in [("1000", "0.1"), ("1300", "0.2"), ("900", "0.1"), ("1100", "0.1")] {
        maker.call("add_order", limit("sell", qty, price)).await;
        bot.call("add_order", limit("buy", qty, price)).await;
        last = bot.frame("ohlc").await;
    }
    let candle = last["data"][0].clone();
    let shown = |name: &str| candle[name].to_string();
    let prices = ["open", "high", "low", "close", "volume", "trades"].map(shown);
    assert_eq!(prices, ["1000.0", "1300.0", "900.0", "1100.0", "0.5", "4"]);
    // 100 + 260 + 90 + 110 for a half.
    assert_eq!(shown("vwap"), "1120.0");
    assert!(last["timestamp"].is_string());
    let before = candles(&world).await;
    assert_eq!(before.last(), Some(&json!([candle])));
    for _ in 0..2 {
        world.restart().await;
        assert_eq!(candles(&world).await, before);
    }
}

/// Adds `count` events without effect to the journal of a server that has stopped.
async fn pad(world: &World, count: usize) {
    let mut journal = Storage::Sqlite(world.dir().to_owned()).journal().await.unwrap();
    let mut body = Vec::new();
    codec::encode(&mut body, wall_clock(), Actor::Server, &vec![Event::OrderRested(OrderId(0)); count]);
    journal.append(journal.head().seq + 1, u32::try_from(count).unwrap(), codec::FORMAT, &body).await.unwrap();
    journal.close().await.unwrap();
}

/// The snapshots of `ticker` and `trade`.
async fn traded(world: &World) -> (Value, Value) {
    let mut reader = Client::bare(world.address).await;
    // Once there are candles, the past has been read.
    reader.call("subscribe", json!({"channel": "ohlc", "symbol": ["BTC/USD"], "interval": 1})).await;
    reader.frame("ohlc").await;
    reader.call("subscribe", json!({"channel": "ticker", "symbol": ["BTC/USD"]})).await;
    let mut ticker = reader.frame("ticker").await["data"][0].take();
    ticker.as_object_mut().unwrap().remove("timestamp");
    reader.call("subscribe", json!({"channel": "trade", "symbol": ["BTC/USD"], "snapshot": true})).await;
    (ticker, reader.frame("trade").await["data"].take())
}

#[tokio::test]
async fn rule_44_the_figures_of_the_day_and_the_last_trades_are_the_same_after_a_restart_however_much_came_since() {
    let mut world = World::new(&[key(ScopeSet::ALL), other()]).await;
    let (mut bot, mut maker) = (world.bot(1).await, world.bot(2).await);
    for (price, qty) in [("1000", "0.1"), ("1300", "0.2"), ("900", "0.1")] {
        maker.call("add_order", limit("sell", qty, price)).await;
        bot.call("add_order", limit("buy", qty, price)).await;
    }
    for _ in 0..55 {
        maker.call("add_order", limit("sell", "0.01", "1100")).await;
    }
    bot.call("add_order", limit("buy", "0.55", "1100")).await;
    let before = traded(&world).await;
    let shown = |ticker: &Value| ["last", "high", "low", "volume", "change"].map(|name| ticker[name].to_string());
    assert_eq!(shown(&before.0), ["1100.0", "1300.0", "900.0", "0.95", "100.0"]);
    let ids = |trades: &Value| -> Vec<u64> {
        trades.as_array().unwrap().iter().map(|trade| trade["trade_id"].as_u64().unwrap()).collect()
    };
    assert!(ids(&before.1).into_iter().eq(9..=58), "{:?}", before.1);
    // Far more than is read back at a start.
    world.stop().await;
    pad(&world, 110_000).await;
    world.start().await;
    assert_eq!(traded(&world).await, before);
    let (mut bot, mut maker) = (world.bot(1).await, world.bot(2).await);
    maker.call("add_order", limit("sell", "0.05", "800")).await;
    bot.call("add_order", limit("buy", "0.05", "800")).await;
    let (ticker, trades) = traded(&world).await;
    assert_eq!(shown(&ticker), ["800.0", "1300.0", "800.0", "1.0", "-200.0"]);
    assert!(ids(&trades).into_iter().eq(10..=59), "{trades}");
}

#[tokio::test]
async fn a_status_of_a_market_is_told_to_who_follows_instruments_and_to_who_asks_over_http() {
    let mut world = World::new(&[]).await;
    let asked = async |address| {
        let (_, _, body) = http(address, "GET", "/0/public/AssetPairs", &[], "").await;
        serde_json::from_str::<Value>(&body).unwrap()["result"]["BTC/USD"]["status"].clone()
    };
    let mut bare = Client::bare(world.address).await;
    bare.call("subscribe", json!({"channel": "instrument"})).await;
    assert_eq!(bare.frame("instrument").await["data"]["pairs"][0]["status"], "online");
    let again = bare.reply("subscribe", json!({"channel": "instrument"})).await;
    assert_eq!((&again["error"], again.get("symbol")), (&json!("Already subscribed"), None));
    let mut other = Client::bare(world.address).await;
    let never = other.reply("unsubscribe", json!({"channel": "instrument"})).await;
    assert_eq!((&never["success"], never.get("symbol")), (&json!(false), None));
    assert_eq!(asked(world.address).await, "online");
    world.venue().await.call("set_market_status", json!({"symbol": "BTC/USD", "status": "post_only"})).await;
    let update = bare.frame("instrument").await;
    let pair = &update["data"]["pairs"][0];
    assert_eq!(
        (&update["type"], &pair["symbol"], &pair["status"]),
        (&json!("update"), &json!("BTC/USD"), &json!("post_only"))
    );
    assert_eq!(asked(world.address).await, "post_only");
    world.restart().await;
    assert_eq!(asked(world.address).await, "post_only");
    // REST has no such status: a client that reads all pairs could not parse any.
    world.venue().await.call("set_market_status", json!({"symbol": "BTC/USD", "status": "maintenance"})).await;
    assert_eq!(asked(world.address).await, "cancel_only");
    let mut bare = Client::bare(world.address).await;
    bare.call("subscribe", json!({"channel": "instrument"})).await;
    assert_eq!(bare.frame("instrument").await["data"]["pairs"][0]["status"], "maintenance");
}

/// More than the snapshot of `trade` holds.
#[tokio::test]
async fn a_sweep_of_many_orders_tells_every_trade() {
    let world = World::new(&[key(ScopeSet::ALL), other()]).await;
    let (mut buyer, mut seller) = (world.bot(1).await, world.bot(2).await);
    let mut reader = Client::bare(world.address).await;
    reader.call("subscribe", json!({"channel": "trade", "symbol": ["BTC/USD"]})).await;
    for _ in 0..120 {
        seller.call("add_order", limit("sell", 0.01, 20_000)).await;
    }
    buyer.call("add_order", limit("buy", 1.2, 20_000)).await;
    let mut told = Vec::new();
    while told.last() != Some(&120) {
        let frame = reader.frame("trade").await;
        let ids = frame["data"].as_array().unwrap().iter().map(|print| print["trade_id"].as_u64().unwrap());
        told.extend(ids);
    }
    assert!(told.iter().copied().eq(1..=120), "{told:?}");
}

#[tokio::test]
async fn instruments_have_the_precisions_and_minima_of_their_pairs() {
    let world = World::new(&[]).await;
    let mut bare = Client::bare(world.address).await;
    bare.subscribe("instrument").await;
    let asset = |id: &str, precision: u8| {
        json!({"id": id, "status": "enabled", "precision": precision, "precision_display": 2, "borrowable": false,
            "collateral_value": 0.0, "class": "currency"})
    };
    let pair = json!({"symbol": "BTC/USD", "base": "BTC", "quote": "USD", "status": "online", "qty_precision": 8,
        "qty_increment": 0.000_000_01, "qty_min": 0.000_05, "price_precision": 1, "price_increment": 0.1,
        "cost_precision": 4, "cost_min": 0.5, "marginable": false, "has_index": false, "tick_size": 0.1});
    let data = json!({"assets": [asset("USD", 4), asset("BTC", 8), asset("ETH", 8)], "pairs": [pair]});
    assert_eq!(bare.frame("instrument").await, json!({"channel": "instrument", "type": "snapshot", "data": data}));
}
