//! What stock clients rely on, fact by fact, where no other test covers it: acknowledgements, frames, numbers, texts.

use std::time::Duration;

use countersign::access::scope::ScopeSet;
use countersign::domain::time::Moment;
use countersign::engine::reject::Code;
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::client::{Client, limit, soon};
use super::world::{World, key, other};

/// How every reply ends.
const TIMES: &str = r#""time_in":"T","time_out":"T"}"#;

async fn plain(world: &World) -> WebSocketStream<TcpStream> {
    let stream = TcpStream::connect(world.address).await.unwrap();
    client_async(format!("ws://{}/v2", world.address), stream).await.unwrap().0
}

/// The next text that begins with this, with `T` in place of each time with microseconds.
async fn text(socket: &mut WebSocketStream<TcpStream>, begins: &str) -> String {
    let told = async {
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Text(text) = message
                && text.starts_with(begins)
            {
                return text.to_string();
            }
        }
        panic!("it has ended before {begins}");
    };
    let text = tokio::time::timeout(Duration::from_secs(20), told).await.expect(begins);
    let is_time = |part: &&str| part.len() == 27 && Moment::parse(part).is_some();
    text.split('"').map(|part| if is_time(&part) { "T" } else { part }).collect::<Vec<_>>().join("\"")
}

#[tokio::test]
async fn replies_and_frames_are_byte_for_byte_as_clients_know_them() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    world.bot(1).await.call("add_order", limit("buy", "0.1", "1000")).await;
    let mut socket = plain(&world).await;
    for (asked, reply) in [
        (r#"{"method":"ping"}"#, r#"{"method":"pong","#),
        (r#"{"method":"ping","req_id":-101}"#, r#"{"method":"pong","req_id":-101,"#),
        (r#"{"method":"nothing"}"#, r#"{"method":"nothing","success":false,"error":"EGeneral:Unknown method","#),
        // A `pong` never has `success`.
        (r#"{"method":"pong"}"#, r#"{"method":"error","success":false,"error":"EGeneral:Unknown method","#),
        (
            r#"{"method":"subscribe","params":{"channel":"book","symbol":["X/Y"]},"req_id":0}"#,
            r#"{"method":"subscribe","req_id":0,"success":false,"error":"Currency pair not supported X/Y","symbol":"X/Y","#,
        ),
        (
            r#"{"method":"subscribe","params":{"channel":"book","symbol":["BTC/USD"]},"req_id":9223372036854775807}"#,
            r#"{"method":"subscribe","req_id":9223372036854775807,"success":true,"result":{"channel":"book","symbol":"BTC/USD","depth":10,"snapshot":true},"#,
        ),
    ] {
        socket.send(Message::text(asked)).await.unwrap();
        assert_eq!(text(&mut socket, r#"{"method""#).await, format!("{reply}{TIMES}"));
    }
    // Every decimal of the pair is there, for the checksum.
    let checksum = crc32fast::hash(b"1000010000000");
    let levels = r#""bids":[{"price":1000.0,"qty":0.10000000}],"asks":[]"#;
    let expected = format!(
        r#"{{"channel":"book","type":"snapshot","data":[{{"symbol":"BTC/USD",{levels},"checksum":{checksum},"timestamp":"T"}}]}}"#
    );
    assert_eq!(text(&mut socket, r#"{"channel":"book""#).await, expected);
}

/// As the stock SDK keeps its sockets alive.
#[tokio::test]
async fn a_ping_of_the_socket_is_answered_with_what_it_brought() {
    let world = World::new(&[]).await;
    let mut socket = plain(&world).await;
    socket.send(Message::Ping("are you there".into())).await.unwrap();
    let answered = async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Pong(brought))) => return brought,
                Some(Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    assert_eq!(&*soon("pong", answered).await, b"are you there");
}

#[tokio::test]
async fn a_socket_is_told_the_status_before_it_asks_and_when_it_does() {
    let world = World::new(&[]).await;
    let (mut bare, mut other) = (Client::bare(world.address).await, Client::bare(world.address).await);
    let first = bare.next().await;
    let (number, version) = (&first["data"][0]["connection_id"], &first["data"][0]["version"]);
    let item = json!({"api_version": "v2", "connection_id": number, "system": "online", "version": version});
    assert_eq!(first, json!({"channel": "status", "type": "update", "data": [item]}));
    assert!(number.is_u64() && version.is_string(), "{first}");
    assert_ne!(&other.next().await["data"][0]["connection_id"], number);
    assert_eq!(bare.subscribe("status").await, json!({"channel": "status"}));
    assert_eq!(bare.frame("status").await, first);
    assert_eq!(bare.refused("subscribe", json!({"channel": "status"})).await, "Already subscribed");
    assert_eq!(bare.call("unsubscribe", json!({"channel": "status"})).await, json!({"channel": "status"}));
    let again = bare.refused("unsubscribe", json!({"channel": "status"})).await;
    assert_eq!(again, "EGeneral:Invalid arguments:channel: not subscribed");
}

/// The stock SDK resubscribes with the acknowledged options.
#[tokio::test]
async fn every_channel_is_acknowledged_with_its_defaults_and_takes_its_acknowledgement_back() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let mut bot = world.bot(1).await;
    let warned = json!(["timestamp is deprecated, use interval_begin"]);
    for (acknowledged, symbol, begins) in [
        (json!({"channel": "ticker", "event_trigger": "trades", "snapshot": true}), true, true),
        (json!({"channel": "book", "depth": 10, "snapshot": true}), true, true),
        (json!({"channel": "level3", "depth": 10, "snapshot": true}), true, true),
        (json!({"channel": "trade", "snapshot": false}), true, false),
        // There is no trade yet that a candle could be of.
        (json!({"channel": "ohlc", "interval": 1, "snapshot": true, "warnings": warned}), true, false),
        (json!({"channel": "instrument", "snapshot": true}), false, true),
        (json!({"channel": "executions", "snap_orders": true, "snap_trades": false}), false, true),
        (json!({"channel": "balances", "snapshot": true}), false, true),
    ] {
        let channel = acknowledged["channel"].as_str().unwrap().to_owned();
        let (mut asked, mut acknowledged) = (json!({"channel": channel}), acknowledged);
        if symbol {
            (asked["symbol"], acknowledged["symbol"]) = (json!(["BTC/USD"]), json!("BTC/USD"));
        }
        for params in [&asked, &acknowledged] {
            assert_eq!(bot.call("subscribe", params.clone()).await, acknowledged, "{params}");
            if begins {
                assert_eq!(bot.frame(&channel).await["type"], "snapshot", "{params}");
            }
            let ended = bot.call("unsubscribe", params.clone()).await;
            for (name, value) in ended.as_object().unwrap() {
                assert_eq!(*value, acknowledged[name], "{params}");
            }
            assert_eq!((&ended["channel"], &ended["symbol"]), (&acknowledged["channel"], &acknowledged["symbol"]));
        }
        assert!(bot.kept().iter().all(|frame| begins || frame["channel"] != json!(channel)), "{channel}");
    }
}

#[tokio::test]
async fn what_no_market_here_needs_is_taken_and_the_old_names_count() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let mut bot = world.bot(1).await;
    for (params, field, value) in [
        (json!({"channel": "instrument", "include_tokenized_assets": true, "execution_venue": "x"}), "snapshot", true),
        (json!({"channel": "balances", "rebased": true, "users": "all"}), "snapshot", true),
        (json!({"channel": "executions", "rebased": false, "users": "all", "snapshot": false}), "snap_orders", false),
        (json!({"channel": "executions", "snapshot_trades": true, "rate_counter": true}), "snap_trades", true),
    ] {
        assert_eq!(bot.call("subscribe", params.clone()).await[field], value, "{params}");
        bot.call("unsubscribe", json!({"channel": params["channel"]})).await;
    }
}

#[tokio::test]
async fn each_symbol_has_an_acknowledgement_of_its_own_under_the_one_number() {
    let world = World::new(&[]).await;
    let market = json!({"symbol": "ETH/USD", "price_decimals": 2, "qty_decimals": 8, "price_increment": "0.01",
        "qty_min": "0.001", "cost_min": "0.001", "maker_ppm": 1_000, "taker_ppm": 2_000});
    world.venue().await.call("add_market", market).await;
    let mut bare = Client::bare(world.address).await;
    for method in ["subscribe", "unsubscribe"] {
        let params = json!({"channel": "ticker", "symbol": ["BTC/USD", "X/Y", "ETH/USD"]});
        bare.send(json!({"method": method, "req_id": 7, "params": params}).to_string()).await;
        let replies = [bare.answer(7).await, bare.answer(7).await, bare.answer(7).await];
        let told = replies.each_ref().map(|of| (of["success"] == true, of["result"]["symbol"].as_str()));
        assert_eq!(told, [(true, Some("BTC/USD")), (false, None), (true, Some("ETH/USD"))], "{method}");
        let refused = (&replies[1]["error"], &replies[1]["symbol"]);
        assert_eq!(refused, (&json!("Currency pair not supported X/Y"), &json!("X/Y")), "{method}");
        assert!(replies.iter().all(|of| of["method"] == method), "{replies:?}");
        for _ in replies.iter().filter(|of| method == "subscribe" && of["success"] == true) {
            let snapshot = bare.frame("ticker").await;
            assert_eq!(snapshot["data"].as_array().unwrap().len(), 1, "{snapshot}");
        }
    }
    assert!(bare.kept().iter().all(|frame| frame["channel"] != "ticker"));
}

/// The types of the next `count` items on `executions`; a frame has either fills or other items.
async fn told(bot: &mut Client, sequence: &mut u64, count: usize) -> Vec<String> {
    let mut types = Vec::new();
    while types.len() < count {
        let frame = bot.frame("executions").await;
        *sequence += 1;
        assert_eq!(frame["sequence"], json!(sequence), "{frame}");
        let items = frame["data"].as_array().unwrap().iter();
        let of_frame: Vec<&str> = items.map(|item| item["exec_type"].as_str().unwrap()).collect();
        let fills = of_frame.iter().filter(|kind| **kind == "trade").count();
        assert!(fills == 0 || fills == of_frame.len(), "ccxt goes by the first alone: {frame}");
        types.extend(of_frame.into_iter().map(str::to_owned));
    }
    types
}

#[tokio::test]
async fn fills_and_states_are_in_frames_of_their_own_and_each_subscription_counts_its_frames() {
    let world = World::new(&[key(ScopeSet::ALL), other()]).await;
    let (mut bot, mut maker) = (world.bot(1).await, world.bot(2).await);
    maker.call("add_order", limit("sell", "1", "1000")).await;
    bot.call("add_order", limit("buy", "0.1", "1000")).await;
    bot.call("add_order", limit("buy", "0.1", "900")).await;
    let asked = json!({"channel": "executions", "snap_trades": true});
    for round in 0..2 {
        bot.call("subscribe", asked.clone()).await;
        let mut sequence = 0;
        assert_eq!(told(&mut bot, &mut sequence, 1).await, ["new"], "{round}");
        let past = told(&mut bot, &mut sequence, 1).await;
        assert_eq!((past.first().map(String::as_str), sequence), (Some("trade"), 2));
        bot.call("add_order", limit("buy", "0.1", "1000")).await;
        assert_eq!(told(&mut bot, &mut sequence, 4).await, ["pending_new", "new", "trade", "filled"]);
        assert_eq!(sequence, 5, "in three frames");
        bot.subscribe("balances").await;
        let balances = bot.frame("balances").await;
        assert_eq!((&balances["type"], &balances["sequence"]), (&json!("snapshot"), &json!(1)));
        bot.call("unsubscribe", json!({"channel": "balances"})).await;
        bot.call("unsubscribe", json!({"channel": "executions"})).await;
    }
}

#[tokio::test]
async fn order_status_false_leaves_the_turning_points() {
    let world = World::new(&[key(ScopeSet::ALL), other()]).await;
    let (mut bot, mut maker) = (world.bot(1).await, world.bot(2).await);
    let asked = json!({"channel": "executions", "snap_orders": false, "order_status": false});
    assert_eq!(bot.call("subscribe", asked).await["order_status"], false);
    maker.call("add_order", limit("sell", "0.1", "1000")).await;
    let first = bot.call("add_order", limit("buy", "0.3", "1000")).await;
    bot.call("amend_order", json!({"order_id": first["order_id"], "order_qty": "0.2"})).await;
    maker.call("add_order", limit("sell", "0.1", "1000")).await;
    bot.call("add_order", limit("buy", "0.1", "900")).await;
    bot.call("cancel_all", Value::Null).await;
    assert_eq!(told(&mut bot, &mut 0, 4).await, ["new", "filled", "new", "canceled"]);
}

#[tokio::test]
async fn cancels_are_answered_one_by_one_and_in_numbers() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let mut bot = world.bot(1).await;
    let mut placed = Vec::new();
    for number in 0..5 {
        let mut order = limit("buy", 1, 10);
        (order["cl_ord_id"], order["order_userref"]) = (json!(format!("mine-{number}")), json!(number));
        placed.push(bot.call("add_order", order).await);
    }
    for (at, of) in placed.iter().enumerate() {
        assert_eq!((&of["cl_ord_id"], &of["order_userref"]), (&json!(format!("mine-{at}")), &json!(at)));
    }
    let id = |at: usize| placed[at]["order_id"].clone();
    let named = json!({"order_id": [id(1), "OAAAAA-AAAAA-AAAAAA", id(0)]});
    bot.send(json!({"method": "cancel_order", "req_id": 70, "params": named}).to_string()).await;
    let replies = [bot.answer(70).await, bot.answer(70).await, bot.answer(70).await];
    assert_eq!(replies.each_ref().map(|of| of["result"]["order_id"].clone()), [id(1), Value::Null, id(0)]);
    assert_eq!(replies[1]["error"], "EOrder:Unknown order");
    assert_eq!(
        bot.call("cancel_order", json!({"cl_ord_id": ["mine-2"]})).await,
        json!({"order_id": id(2), "cl_ord_id": "mine-2"})
    );
    assert_eq!(bot.call("cancel_order", json!({"order_userref": [3]})).await, json!({"order_id": id(3)}));
    assert_eq!(bot.refused("cancel_order", json!({"order_id": [id(3)]})).await, "EOrder:Unknown order");
    assert_eq!(bot.call("cancel_all", Value::Null).await, json!({"count": 1}));
    let many = bot.refused("batch_cancel", json!({"orders": vec![id(0); 51]})).await;
    assert!(many.starts_with("EGeneral:Invalid arguments:orders"), "{many}");
    let long = bot.refused("cancel_all_orders_after", json!({"timeout": 86_400})).await;
    assert!(long.starts_with("EGeneral:Invalid arguments:timeout"), "{long}");
}

#[tokio::test]
async fn whatever_stock_clients_put_into_an_order_is_taken() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let mut bot = world.bot(1).await;
    let soon = countersign::server::wall_clock().plus_us(30_000_000).to_string();
    for (field, value) in [
        ("time_in_force", json!("gtc")),
        ("time_in_force", json!("GTC")),
        ("time_in_force", json!("Ioc")),
        ("limit_price_type", json!("static")),
        ("no_mpp", json!(true)),
        ("stp_type", json!("cancel_newest")),
        ("stp_type", json!("cancel_oldest")),
        ("stp_type", json!("cancel_both")),
        ("fee_preference", json!("base")),
        ("fee_preference", json!("quote")),
        ("post_only", json!(true)),
        ("reduce_only", json!(false)),
        ("margin", json!(false)),
        ("deadline", json!(soon)),
        ("effective_time", json!(soon)),
        ("order_userref", json!(-7)),
        ("sender_sub_id", json!("desk-7")),
        ("cl_ord_id", json!("6d1b345e-2821-40e2-ad83-4ecb18a06876")),
        ("cl_ord_id", json!("da8e4ad59b78481c93e589746b0cf91f")),
        ("cl_ord_id", json!("arb-20240509-00010")),
    ] {
        let mut order = limit("buy", 0.1, 1000);
        (order["validate"], order[field]) = (json!(true), value.clone());
        let checked = bot.call("add_order", order).await;
        assert_eq!(checked["order_id"], "", "{field}: {value}");
        if field == "cl_ord_id" {
            assert_eq!(checked[field], value);
        }
    }
    let mut order = limit("buy", 0.1, 1000);
    order["cl_ord_id"] = json!("arb-20240509-000100");
    assert!(bot.refused("add_order", order).await.starts_with("EGeneral:Invalid arguments:cl_ord_id"));
}

#[tokio::test]
async fn orders_that_cannot_be_are_refused_in_the_protocols_words() {
    let world = World::new(&[key(ScopeSet::ALL), other()]).await;
    world.bot(2).await.call("add_order", limit("sell", "1", "1000")).await;
    let mut bot = world.bot(1).await;
    for (field, value, error) in [
        ("post_only", json!(true), "EOrder:Post only order:post_only: "),
        ("reduce_only", json!(true), "EOrder:Reduce only:No position exists"),
        ("margin", json!(true), "EOrder:Cannot open position:margin: "),
        ("order_type", json!("settle-position"), "EOrder:Unknown position"),
        ("symbol", json!("X/Y"), "EQuery:Unknown asset pair:symbol: "),
        ("order_qty", json!("0.00000001"), "EOrder:Order minimum not met (volume too low)"),
        ("limit_price", json!(1000.01), "EOrder:Tick size check failed"),
        ("limit_price", json!(0), "EOrder:Invalid price"),
        ("order_qty", json!(1_000_000), "EOrder:Insufficient funds (insufficient user funds)"),
        ("leverage", json!(2), "Unsupported field: 'leverage' for the given msg type: add_order"),
    ] {
        let mut order = limit("buy", "0.1", "1000");
        order[field] = value;
        let refused = bot.refused("add_order", order).await;
        assert!(refused.starts_with(error) && (error.ends_with(' ') || refused.len() == error.len()), "{refused}");
    }
}

/// Clients rely on these.
#[test]
fn the_protocols_own_texts_are_word_for_word() {
    for (code, text) in [
        (Code::InvalidKey, "EAPI:Invalid key"),
        (Code::InvalidSignature, "EAPI:Invalid signature"),
        (Code::InvalidNonce, "EAPI:Invalid nonce"),
        (Code::InvalidSession, "ESession:Invalid session"),
        (Code::PermissionDenied, "EGeneral:Permission denied"),
        (Code::InvalidArguments, "EGeneral:Invalid arguments"),
        (Code::UnknownMarket, "EQuery:Unknown asset pair"),
        (Code::UnknownAsset, "EQuery:Unknown asset"),
        (Code::CostMinimum, "EOrder:Cost minimum not met"),
        (Code::OrdersLimit, "EOrder:Orders limit exceeded"),
        (Code::RateLimit, "EOrder:Rate limit exceeded"),
        (Code::UnknownOrder, "EOrder:Unknown order"),
        (Code::MarketCancelOnly, "EService:Market in cancel_only mode"),
        (Code::MarketPostOnly, "EService:Market in post_only mode"),
        (Code::MarketLimitOnly, "EService:Market in limit_only mode"),
        (Code::MarketMaintenance, "EService:Unavailable"),
        (Code::DeadlineElapsed, "EService:Deadline elapsed"),
        (Code::MaxFee, "EFunding:Max fee exceeded"),
        (Code::UnknownWithdrawKey, "EFunding:Unknown withdraw key"),
        (Code::InvalidFundingAmount, "EFunding:Invalid amount"),
        (Code::UnknownReference, "EFunding:Unknown reference id"),
        (Code::UnknownFundingAsset, "EFunding:Unknown asset"),
        (Code::TooManyAddresses, "EFunding:Too many addresses"),
        (Code::UnknownStrategy, "EGeneral:Invalid arguments:Invalid strategy ID"),
        (Code::EarnBelowMinimum, "EEarnings:Below min:(De)allocation operation amount less than minimum"),
        (Code::EarnBusy, "EEarnings:Busy"),
        (Code::EarnInProgress, "EEarnings:Busy:Another (de)allocation for the same strategy is in progress"),
        (Code::EarnTier, "EEarnings:Permission denied:The user's tier is not high enough"),
        (
            Code::EarnInsufficientFunds,
            "EEarnings:Insufficient funds:Insufficient funds to complete the (de)allocation request",
        ),
        (Code::EarnAboveUserCap, "EEarnings:Above max:The allocation exceeds user limit for the strategy"),
        (Code::EarnAboveTotalCap, "EEarnings:Above max:The allocation exceeds the total strategy limit"),
    ] {
        assert_eq!(code.text(), text);
    }
}

#[tokio::test]
async fn a_ticker_comes_with_each_trade_or_with_the_best_prices_too_and_says_what_the_day_was() {
    let world = World::new(&[key(ScopeSet::ALL), other()]).await;
    let (mut bot, mut maker) = (world.bot(1).await, world.bot(2).await);
    let [mut of_trades, mut of_best] = [Client::bare(world.address).await, Client::bare(world.address).await];
    for (reader, trigger) in [(&mut of_trades, "trades"), (&mut of_best, "bbo")] {
        let asked = json!({"channel": "ticker", "symbol": ["BTC/USD"], "event_trigger": trigger, "snapshot": false});
        assert_eq!(reader.call("subscribe", asked).await["event_trigger"], trigger);
    }
    bot.call("add_order", limit("buy", "0.2", "1000")).await;
    let best = of_best.frame("ticker").await["data"][0].take();
    assert_eq!((&best["bid"], &best["bid_qty"], &best["last"]), (&json!(1000.0), &json!(0.2), &json!(0.0)), "{best}");
    maker.call("add_order", limit("sell", "0.3", "1000")).await;
    // Nothing came before it.
    let mut frame = of_trades.frame("ticker").await;
    let mut day = frame["data"][0].take();
    let at = day["timestamp"].take();
    assert!(frame["type"] == "update" && at.as_str().and_then(Moment::parse).is_some(), "{at} {frame}");
    let expected = json!({"symbol": "BTC/USD", "bid": 0.0, "bid_qty": 0.0, "ask": 1000.0, "ask_qty": 0.1,
        "last": 1000.0, "volume": 0.2, "vwap": 1000.0, "low": 1000.0, "high": 1000.0, "change": 0.0,
        "change_pct": 0.0, "timestamp": null});
    assert_eq!(day, expected);
    bot.call("add_order", limit("buy", "0.1", "1000")).await;
    maker.call("add_order", limit("sell", "0.1", "1100")).await;
    bot.call("add_order", limit("buy", "0.1", "1100")).await;
    let day = of_trades.item("ticker", |item| item["last"] == json!(1100.0)).await;
    let shown = ["vwap", "change", "change_pct"].map(|name| day[name].to_string());
    // 410 over 0.4, and 1100 less 1000.
    assert_eq!(shown, ["1025.0", "100.0", "10.0"], "{day}");
}

#[tokio::test]
async fn a_trade_tells_the_taker_and_a_candle_when_it_begins_and_ends() {
    const MINUTE_US: u64 = 60_000_000;
    let world = World::new(&[key(ScopeSet::ALL), other()]).await;
    let (mut bot, mut maker) = (world.bot(1).await, world.bot(2).await);
    let [mut of_trades, mut of_candles] = [Client::bare(world.address).await, Client::bare(world.address).await];
    of_trades.call("subscribe", json!({"channel": "trade", "symbol": ["BTC/USD"]})).await;
    of_candles.call("subscribe", json!({"channel": "ohlc", "symbol": ["BTC/USD"], "interval": 5})).await;
    let at_market = |side: &str| json!({"order_type": "market", "side": side, "symbol": "BTC/USD", "order_qty": "0.1"});
    for (number, side, ord_type) in [(1, "sell", "market"), (2, "sell", "limit"), (3, "buy", "market")] {
        let resting = if side == "sell" { "buy" } else { "sell" };
        bot.call("add_order", limit(resting, "0.1", "1000")).await;
        maker.call("add_order", if ord_type == "market" { at_market(side) } else { limit(side, "0.1", "1000") }).await;
        let mut trade = of_trades.frame("trade").await["data"][0].take();
        assert!(trade["timestamp"].take().as_str().and_then(Moment::parse).is_some());
        let expected = json!({"symbol": "BTC/USD", "side": side, "price": 1000.0, "qty": 0.1, "ord_type": ord_type,
            "trade_id": number, "timestamp": null});
        assert_eq!(trade, expected);
    }
    let frame = of_candles.frame("ohlc").await;
    let (candle, told) = (&frame["data"][0], &frame["timestamp"]);
    let [begin, end, told] = [&candle["interval_begin"], &candle["timestamp"], told]
        .map(|at| Moment::parse(at.as_str().unwrap()).unwrap().0);
    assert_eq!((begin % (5 * MINUTE_US), end - begin, candle["interval"].as_u64()), (0, 5 * MINUTE_US, Some(5)));
    assert!((begin..=end).contains(&told), "{frame}");
}

/// Clients pad numbers by these, for the checksum.
#[tokio::test]
async fn a_ledger_entry_names_what_moved_the_money_in_which_wallet() {
    let world = World::governed(&[key(ScopeSet::ALL), other()], false).await;
    let (mut bot, mut maker, mut venue) = (world.bot(1).await, world.bot(2).await, world.venue().await);
    bot.subscribe("balances").await;
    let held = bot.frame("balances").await["data"][0].take();
    let wallets = json!([{"type": "spot", "id": "main", "balance": 1_000_000.0}]);
    let expected = json!({"asset": "USD", "asset_class": "currency", "balance": 1_000_000.0, "wallets": wallets,
        "offset": held["offset"]});
    assert_eq!(held, expected);
    maker.call("add_order", limit("sell", "0.1", "1000")).await;
    bot.call("add_order", limit("buy", "0.1", "1000")).await;
    let to_cold = json!({"asset": "BTC", "key": "cold-1", "amount": "0.1"});
    let withdrawn = bot.call("withdraw", to_cold).await;
    venue.call("fail_withdrawal", json!({"refid": withdrawn["refid"], "reason": "no"})).await;
    for method in ["earn_allocate", "earn_deallocate"] {
        bot.call(method, json!({"strategy_id": "ESTRAT1", "amount": "1"})).await;
    }
    let mut entries = Vec::new();
    while entries.len() < 8 {
        entries.extend(bot.frame("balances").await["data"].as_array().unwrap().clone());
    }
    let names = ["type", "subtype", "category", "asset", "wallet_type", "wallet_id"];
    let told: Vec<Value> = entries.iter().map(|of| names.iter().map(|name| of[name].clone()).collect()).collect();
    let expected = [
        json!(["trade", null, "trade", "BTC", "spot", "main"]),
        json!(["trade", null, "trade", "USD", "spot", "main"]),
        json!(["withdrawal", null, "withdrawal", "BTC", "spot", "main"]),
        json!(["withdrawal", null, "withdrawal", "BTC", "spot", "main"]),
        json!(["transfer", "spottostaking", "instant", "ETH", "spot", "main"]),
        json!(["transfer", "stakingfromspot", "instant", "ETH", "earn", "flex"]),
        json!(["transfer", "stakingtospot", "instant", "ETH", "earn", "flex"]),
        json!(["transfer", "spotfromstaking", "instant", "ETH", "spot", "main"]),
    ];
    assert_eq!(told, expected);
    assert!(entries.iter().all(|of| of["asset_class"] == "currency"), "{entries:?}");
    let fill = bot.call("trades_history", Value::Null).await["trades"][0].take();
    assert_eq!((&entries[0]["ref_id"], &entries[2]["ref_id"]), (&fill["exec_id"], &withdrawn["refid"]));
}

#[tokio::test]
async fn what_cannot_be_followed_or_ended_is_refused_in_the_protocols_words() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let mut bot = world.bot(1).await;
    for params in [json!({"channel": "ticker"}), json!({"channel": "book", "symbol": []})] {
        assert_eq!(bot.refused("subscribe", params).await, "Symbol(s) not found");
    }
    let named = json!({"channel": "executions"});
    assert!(bot.refused("unsubscribe", named.clone()).await.ends_with("not subscribed"));
    bot.call("subscribe", named.clone()).await;
    assert_eq!(bot.refused("subscribe", named).await, "Already subscribed");
    let mut order = limit("buy", "0.1", "10");
    order["time_in_force"] = json!("ioc");
    bot.call("add_order", order).await;
    let ended = bot.item("executions", |item| item["exec_type"] == "canceled").await;
    assert_eq!((&ended["reason"], &ended["order_userref"]), (&json!("Immediate or cancel"), &json!(0)), "{ended}");
}
