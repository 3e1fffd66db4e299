//! What one client may use: messages, sockets, subscriptions (rule 45; settings `limits.*`).

use std::collections::HashMap;
use std::process::{Command, Stdio};
use std::time::Duration;

use countersign::access::scope::ScopeSet;
use countersign::domain::candles::INTERVALS;
use countersign::market_data::{DEPTHS, ORDER_DEPTHS};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use super::client::{Client, http, limit, soon};
use super::operation::{handed_over, metrics, value};
use super::served::Served;
use super::world::{World, api_key, key, passes, secret};

#[tokio::test]
async fn d7_78_a_socket_that_sends_too_much_is_closed_with_4009_and_harms_nobody() {
    let world = World::configured(&[key(ScopeSet::ALL)], |config| config.limits.messages_per_second = 10).await;
    let (mut loud, mut pinging, mut other) = (world.bot(1).await, world.bot(1).await, world.bot(1).await);
    for _ in 0..10 {
        loud.send(r#"{"method":"ping"}"#).await;
    }
    for _ in 0..10 {
        loud.pong().await;
    }
    for _ in 0..30 {
        // The server may close while this is on its way.
        let _ = loud.try_send(r#"{"method":"ping"}"#).await;
    }
    for _ in 0..30 {
        pinging.send_frame(Message::Ping(Default::default())).await;
    }
    for socket in [&mut loud, &mut pinging] {
        assert_eq!(socket.closed().await, (4009, "too many requests".to_owned()));
    }
    assert_eq!(other.reply("ping", Value::Null).await["method"], "pong");
}

#[tokio::test]
async fn d7_79_a_key_and_an_address_have_so_many_sockets() {
    let world = World::configured(&[key(ScopeSet::ALL), key(ScopeSet::ALL)], |config| {
        config.limits.connections_per_key = 2;
        config.limits.connections_per_address = 1;
        config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let (first, mut second) = (world.bot(1).await, world.bot(1).await);
    let mut third = world.bot(1).await;
    assert_eq!(third.closed().await, (4009, "too many connections of this key".to_owned()));
    world.bot(2).await.call("key_info", json!({})).await;
    second.call("key_info", json!({})).await;
    drop((first, third));
    // The server notices the ends a moment later.
    let mut alice = world.member("alice").await;
    let mut open = async || alice.call("service_users", json!({})).await["service_users"][0]["open_connections"].take();
    soon("end of the others", async { while open().await != 1 {} }).await;
    // Its place is free for another one.
    world.bot(1).await.call("key_info", json!({})).await;

    let from = async |address: &str| Client::open(world.address, &[("X-Forwarded-For", address)]).await;
    let _one = from("192.0.2.1").await.unwrap();
    let refused = from("192.0.2.1").await.err().unwrap();
    assert_eq!((refused.status, refused.retry_after), (429, true));
    assert!(refused.error.starts_with("EAPI:Rate limit exceeded"), "{refused:?}");
    from("192.0.2.2").await.unwrap();
}

#[tokio::test]
async fn d7_79_a_body_beyond_sixteen_kib_is_refused() {
    let world = World::configured(&[], |_| ()).await;
    let origin = format!("http://{}", world.address);
    let headers = [("Origin", origin.as_str()), ("Content-Type", "application/json")];
    for path in ["/session", "/invitations/none", "/0/private/GetWebSocketsToken"] {
        let body = json!({"email": "", "password": "", "otp": ""}).to_string();
        let padded = |bytes: usize| format!("{body:bytes$}");
        let answer = async |bytes| http(world.address, "POST", path, &headers, &padded(bytes)).await;
        assert_ne!(answer(16 * 1024).await.0, 413, "{path}");
        let (status, _, body) = answer(16 * 1024 + 1).await;
        let error = json!({"error": ["EGeneral:Invalid arguments: a body has at most 16384 bytes"]});
        assert_eq!((status, body), (413, error.to_string()), "{path}");
    }
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_refused_in_json() {
    let world = World::configured(&[], |_| ()).await;
    for path in ["/session", "/invitations/none", "/0/private/GetWebSocketsToken", "/0/public/AssetPairs"] {
        let mut socket = TcpStream::connect(world.address).await.unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n");
        socket.write_all(format!("{head}connection: close\r\n\r\nno length\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        soon("an answer", socket.read_to_string(&mut answer)).await.unwrap();
        let error = json!({"error": ["EGeneral:Invalid arguments: the request cannot be read"]});
        assert!(answer.starts_with("HTTP/1.1 400") && answer.ends_with(&error.to_string()), "{path}: {answer}");
    }
}

#[tokio::test]
async fn d7_79_a_full_server_turns_connections_away_and_counts_them() {
    let world = World::configured(&[], |config| config.limits.max_connections = 2).await;
    let told = async |mut socket: TcpStream, request: &str| {
        // One that was turned away may be closed already.
        let _ = socket.write_all(request.as_bytes()).await;
        let mut answer = String::new();
        let _ = socket.read_to_string(&mut answer).await;
        answer
    };
    let _upgraded = Client::bare(world.address).await;
    let first = TcpStream::connect(world.address).await.unwrap();
    let second = TcpStream::connect(world.address).await.unwrap();
    let answer = told(second, "").await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: 5\r\n"), "{answer}");
    let page = told(first, "GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(page.contains("countersign_handshakes_refused_total{status=\"503\"} 1"), "{page}");
}

/// Rule 40. The tables do not advance, because somebody else has locked them; so queries of them wait two seconds.
#[tokio::test]
async fn d7_80_a_socket_asks_history_for_eight_things_at_once_and_is_not_read_meanwhile() {
    let world = World::configured(&[key(ScopeSet::ALL)], |_| ()).await;
    let (mut greedy, mut modest) = (world.bot(1).await, world.bot(1).await);
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(world.dir().join("history.db"));
    let mut writer = sqlx::ConnectOptions::connect(&options).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut writer).await.unwrap();
    modest.call("add_order", limit("buy", 1, 10.0)).await;
    let asked = |queries: i64| {
        let query = |number| json!({"method": "closed_orders", "req_id": number, "params": {}});
        (1..=queries).map(query).chain([json!({"method": "ping", "req_id": 100})])
    };
    assert!(greedy.burst(asked(8)).await && modest.burst(asked(7)).await);
    let first = async |bot: &mut Client| loop {
        let reply = bot.next().await;
        if reply["req_id"].is_i64() {
            return reply;
        }
    };
    assert_eq!(first(&mut modest).await["req_id"], 100, "seven leave room for more");
    let reply = first(&mut greedy).await;
    assert!(reply["error"].as_str().is_some_and(|error| error.starts_with("EService:Busy")), "{reply}");
    assert_eq!(greedy.answer(100).await["method"], "pong");
    sqlx::Connection::close(writer).await.unwrap();
}

/// All that one read brings has the same time; calls that are answered shortly and at once are not counted.
#[tokio::test]
async fn d7_81_a_socket_asks_for_eight_lists_or_checks_at_once_and_is_not_read_meanwhile() {
    const ASKED: i64 = 100;
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let (mut bot, mut alice) = (world.bot(1).await, world.member("alice").await);
    let order = json!({"order_type": "limit", "side": "buy", "order_qty": "1", "limit_price": "10"});
    let check = json!({"symbol": "BTC/USD", "validate": true});
    let with = |more: Value| {
        let (mut params, Value::Object(more)) = (check.clone(), more) else { unreachable!("an object") };
        params.as_object_mut().unwrap().extend(more);
        params
    };
    let open = bot.call("add_order", limit("buy", 1, 10.0)).await;
    let (eight, all) = (1..=8, 9..=ASKED);
    let cases = [
        ("open_orders", json!({}), &eight),
        ("add_order", with(order.clone()), &eight),
        ("batch_add", with(json!({"orders": [order, order]})), &eight),
        ("edit_order", with(json!({"order_id": open["order_id"], "order_qty": "2"})), &eight),
        ("cancel_order", json!({"order_userref": [7]}), &all),
        ("batch_cancel", json!({"orders": ["7", "8"]}), &all),
        ("cancel_order", json!({"order_id": ["O"]}), &all),
        ("subscribe", json!({"channel": "nothing"}), &all),
    ];
    let of_member = [("requests", json!({}), &eight), ("subscribe", json!({"channel": "nothing"}), &all)];
    for (client, cases) in [(&mut bot, &cases[..]), (&mut alice, &of_member)] {
        for (method, params, most) in cases {
            let asked = |number| json!({"method": method, "req_id": 1_000 + number, "params": params});
            assert!(client.burst((0..ASKED).map(asked)).await);
            let mut at_once: HashMap<String, i64> = HashMap::new();
            for number in 0..ASKED {
                let reply = client.answer(1_000 + number).await;
                *at_once.entry(reply["time_in"].as_str().unwrap().to_owned()).or_default() += 1;
            }
            let max = at_once.into_values().max().unwrap();
            assert!(most.contains(&max), "{max} times {method}");
        }
    }
}

/// Rule 40. They request more than their sockets' buffers can hold and read nothing, each with queries under way.
#[tokio::test]
async fn d7_81_who_does_not_read_what_history_tells_keeps_it_from_nobody() {
    const SILENT: usize = 3;
    const ORDERS: usize = 10;
    // A client that reads nothing answers no ping either.
    let world = World::configured(&[key(ScopeSet::ALL)], |config| config.limits.ping_s = 300).await;
    let (mut bot, mut silent) = (world.bot(1).await, Vec::new());
    let order = json!({"order_type": "limit", "side": "buy", "order_qty": "0.1", "limit_price": "10"});
    let batch = json!({"symbol": "BTC/USD", "orders": vec![order; 15]});
    for _ in 0..34 {
        bot.call("batch_add", batch.clone()).await;
    }
    bot.call("cancel_all", json!({})).await;
    let page = json!({"method": "closed_orders", "params": {"limit": 500}});
    for _ in 0..SILENT {
        let mut client = world.bot(1).await;
        client.subscribe("executions").await;
        assert!(client.burst(vec![page.clone(); 40]).await);
        silent.push(client);
    }
    let full = async {
        let (mut waiting, mut before) = (0, 0);
        while waiting < before + SILENT * ORDERS * 512 {
            for _ in 0..ORDERS {
                bot.call("add_order", limit("buy", "0.1", "10")).await;
            }
            before = std::mem::replace(
                &mut waiting,
                value(&metrics(world.address).await, "countersign_send_queue_bytes") as usize,
            );
        }
    };
    soon("round of which none takes what is told", full).await;
    // Slow machines need more than one try.
    let mut told = Value::Null;
    for _ in 0..5 {
        told = bot.reply("closed_orders", json!({"limit": 1})).await;
        if told["success"] == true {
            break;
        }
    }
    assert_eq!(told["success"], true, "{told}");
}

/// The clock is advanced by hand, without waiting: only sockets silent for a minute that follow nothing are closed.
#[tokio::test]
async fn d7_79_a_socket_that_is_silent_for_a_minute_is_closed_unless_it_follows_a_channel() {
    let world = World::new(&[]).await;
    let mut sockets = Vec::new();
    for _ in 0..5 {
        let mut bare = Client::bare(world.address).await;
        bare.frame("status").await;
        sockets.push(bare);
    }
    let [silent, talking, following, told, left] = &mut sockets[..] else { unreachable!() };
    following.subscribe("instrument").await;
    told.subscribe("status").await;
    left.subscribe("status").await;
    left.call("unsubscribe", json!({"channel": "status"})).await;
    passes(50).await;
    // As an answer to a ping would be.
    silent.send_frame(Message::Pong(Default::default())).await;
    talking.reply("ping", Value::Null).await;
    passes(11).await;
    for silent in [silent, left] {
        let closed = tokio::time::timeout(Duration::from_secs(10), silent.closed()).await;
        assert_eq!(closed, Ok((1000, "idle".to_owned())));
    }
    for open in [talking, following, &mut *told] {
        assert_eq!(open.reply("ping", Value::Null).await["method"], "pong");
    }
    told.frame("heartbeat").await;
}

#[tokio::test]
async fn d7_80_more_names_than_a_socket_may_follow_have_one_refusal() {
    let world = World::configured(&[], |config| config.limits.subscriptions_per_connection = 3).await;
    let mut bare = Client::bare(world.address).await;
    let names = |count: usize| json!({"channel": "trade", "symbol": vec!["no/such"; count]});
    for method in ["subscribe", "unsubscribe"] {
        let error = bare.refused(method, names(4)).await;
        assert!(error.starts_with("EGeneral:Invalid arguments:symbol"), "{error}");
        assert_eq!(bare.reply("ping", Value::Null).await["method"], "pong");
        let more = bare.kept();
        assert!(more.iter().all(|frame| frame["channel"] == "status"), "{more:?}");
    }
}

/// All that one read brings has the same time, which identifies what it made the server render.
#[tokio::test]
async fn d7_80_refusals_of_many_messages_are_written_before_there_are_many() {
    let world = World::new(&[]).await;
    let mut bare = Client::bare(world.address).await;
    let (messages, names) = (20, 1_000);
    let message = json!({"method": "subscribe", "params": {"channel": "trade", "symbol": vec!["A"; names]}});
    assert!(bare.burst(vec![message; messages]).await);
    let mut rendered: HashMap<String, usize> = HashMap::new();
    let mut longest = 0;
    for _ in 0..messages * names {
        let reply = loop {
            let frame = bare.next().await;
            if frame["method"] == "subscribe" {
                break frame;
            }
        };
        assert_eq!(reply["success"], false);
        let length = reply.to_string().len();
        longest = longest.max(length);
        *rendered.entry(reply["time_in"].as_str().unwrap().to_owned()).or_default() += length;
    }
    assert!(messages * names * longest > 2 * 1024 * 1024, "more than one read may render");
    let most = rendered.into_values().max().unwrap();
    assert!(most <= 256 * 1024 + names * longest, "{most} bytes at once");
}

#[tokio::test]
async fn d7_80_subscribing_again_and_again_follows_no_more_than_the_limit() {
    let world = World::configured(&[key(ScopeSet::ALL)], |config| config.limits.subscriptions_per_connection = 3).await;
    let mut bot = world.bot(1).await;
    for depth in [10, 25, 100] {
        bot.call("subscribe", json!({"channel": "book", "symbol": ["BTC/USD"], "depth": depth})).await;
    }
    let book = |depth: u32| json!({"channel": "book", "symbol": ["BTC/USD"], "depth": depth});
    assert!(bot.refused("subscribe", book(500)).await.starts_with("EGeneral:Limit reached"));
    assert_eq!(bot.refused("subscribe", book(10)).await, "Already subscribed");
    bot.call("unsubscribe", book(10)).await;
    bot.call("subscribe", book(500)).await;
    for _ in 0..1_000 {
        assert_eq!(bot.refused("subscribe", book(500)).await, "Already subscribed");
    }
    bot.call("key_info", json!({})).await;
}

/// docs.kraken.com, `level3`.
#[tokio::test]
async fn d7_80_a_socket_follows_the_orders_of_two_hundred_symbols_and_no_more() {
    let world = World::new(&[key(ScopeSet::NONE)]).await;
    let (mut venue, mut bot) = (world.venue().await, world.bot(1).await);
    let mut symbols = Vec::new();
    for number in 0..201 {
        let asset = format!("A{number}");
        symbols.push(format!("{asset}/USD"));
        let asset = json!({"asset": asset, "decimals": 8, "display_decimals": 4, "method": asset, "network": asset,
            "withdrawal_min": "0.001", "withdrawal_fee": "0.0001", "deposit_min": "0.001"});
        venue.call("add_asset", asset).await;
        let market = json!({"symbol": symbols[number], "price_decimals": 1, "qty_decimals": 8, "price_increment": "0.1",
            "qty_min": "0.001", "cost_min": "0.5", "maker_ppm": 1_000, "taker_ppm": 2_000});
        venue.call("add_market", market).await;
    }
    let orders_of = |symbols: &[String]| json!({"channel": "level3", "symbol": symbols, "snapshot": false});
    assert!(bot.burst([json!({"method": "subscribe", "req_id": 1, "params": orders_of(&symbols)})]).await);
    for symbol in &symbols[..200] {
        let reply = bot.answer(1).await;
        assert_eq!((&reply["success"], &reply["result"]["symbol"]), (&json!(true), &json!(symbol)), "{reply}");
    }
    let refused = bot.answer(1).await;
    assert!(refused["error"].as_str().unwrap().contains("at most 200"), "{refused}");
    bot.call("unsubscribe", orders_of(&symbols[..1])).await;
    bot.call("subscribe", orders_of(&symbols[200..])).await;
}

/// Every public channel of a symbol in each of its forms, and `level3`, which a socket follows at one depth at a time.
fn streams_of(symbol: &str, order_depth: u32) -> Vec<Value> {
    let of = |channel: &str, name: &str, values: &[Value]| {
        let stream = |value: &Value| json!({"channel": channel, "symbol": [symbol], name: value});
        values.iter().map(stream).collect::<Vec<_>>()
    };
    let depths = DEPTHS.map(|depth| json!(depth));
    let intervals = INTERVALS.map(|interval| json!(interval));
    let mut all = of("book", "depth", &depths);
    all.extend(of("level3", "depth", &[json!(order_depth)]));
    all.extend(of("ohlc", "interval", &intervals));
    all.extend(of("ticker", "event_trigger", &[json!("trades"), json!("bbo")]));
    all.push(json!({"channel": "trade", "symbol": [symbol]}));
    all
}

/// Each round is one burst. In the first half the server's memory reaches its steady state.
#[tokio::test]
async fn d7_80_following_everything_and_ending_it_over_and_over_costs_no_memory_and_holds_nobody_up() {
    const ROUNDS: usize = 80;
    const GROWTH_MAX_KIB: u64 = 16 * 1024;
    let (_world, settings) = handed_over(&[key(ScopeSet::ALL), key(ScopeSet::ALL)], "").await;
    let server = Served::start(&settings, ("warn", Stdio::inherit())).await;
    let client = async |number| Client::signed(server.address, &api_key(number), &secret(number)).await.unwrap();
    let (mut greedy, mut bot, mut venue) = (client(1).await, client(2).await, client(200).await);
    for symbol in ["ETH/USD", "ETH/BTC", "BTC/ETH"] {
        let market = json!({"symbol": symbol, "price_decimals": 4, "qty_decimals": 8, "price_increment": "0.0001",
            "qty_min": "0.001", "cost_min": "0.001", "maker_ppm": 1_000, "taker_ppm": 2_000});
        venue.call("add_market", market).await;
    }
    let order = json!({"order_type": "limit", "side": "buy", "symbol": "BTC/USD", "order_qty": 1, "limit_price": 10.0});
    let mut before = 0;
    for round in 0..ROUNDS {
        if round == ROUNDS / 2 {
            before = server.resident_kib();
        }
        let order_depth = ORDER_DEPTHS[round % ORDER_DEPTHS.len()];
        let mut streams = vec![json!({"channel": "instrument"})];
        for symbol in ["BTC/USD", "ETH/USD", "ETH/BTC"] {
            streams.extend(streams_of(symbol, order_depth));
        }
        let asked = ["subscribe", "unsubscribe"].into_iter().flat_map(|method| {
            streams.iter().map(move |params| json!({"method": method, "req_id": 1, "params": params}))
        });
        assert!(greedy.burst(asked).await);
        bot.call("add_order", order.clone()).await;
        let mut answered = 0;
        while answered < 2 * streams.len() {
            let frame = greedy.next().await;
            assert_ne!(frame["success"], false, "{frame}");
            answered += usize::from(frame["req_id"] == 1);
        }
    }
    let growth = server.resident_kib().saturating_sub(before);
    assert!(growth < GROWTH_MAX_KIB, "{growth} KiB more");
    // Market data handles requests in order: pending frames come before a book that was not requested.
    let fresh = json!({"channel": "book", "symbol": ["BTC/ETH"]});
    let is_fresh = |frame: &Value| frame["data"][0]["symbol"] == "BTC/ETH";
    greedy.call("subscribe", fresh.clone()).await;
    while !is_fresh(&greedy.next().await) {}
    greedy.call("unsubscribe", fresh.clone()).await;
    bot.call("cancel_all", json!({})).await;
    greedy.call("subscribe", fresh).await;
    let mut told = greedy.next().await;
    while told["channel"] == "heartbeat" {
        told = greedy.next().await;
    }
    assert!(is_fresh(&told), "it follows nothing else: {told}");
}

/// The maximum of calls in flight, again and again; answers are written directly, except refusals and later ones.
#[tokio::test]
async fn d7_80_a_socket_with_all_under_way_that_it_may_have_reads_on_and_is_answered_in_order() {
    const ORDERS: i64 = 500;
    let world = World::configured(&[key(ScopeSet::ALL)], |config| config.limits.send_queue_bytes = 64 * 1024).await;
    let mut bot = world.bot(1).await;
    let too_dear = |number: i64| number % 7 == 0;
    let request = |number: i64| {
        let limit_price = if too_dear(number) { 9_999_999 } else { 10 };
        let order = limit("buy", 1, limit_price);
        json!({"method": "add_order", "req_id": number, "params": order})
    };
    assert!(bot.burst((1..=ORDERS).map(request)).await);
    for number in 1..=ORDERS {
        let reply = loop {
            let frame = bot.next().await;
            if frame["method"] == "add_order" {
                break frame;
            }
        };
        assert_eq!((&reply["req_id"], &reply["success"]), (&json!(number), &json!(!too_dear(number))), "{reply}");
    }
}

/// The system's limit of open files: as high as connections need, or a line in the log where it may not be.
#[tokio::test]
async fn d7_79_open_files_suffice_for_the_connections_or_the_log_says_that_they_do_not() {
    for (limit, allowed) in [("ulimit -S -n 100", 364), ("ulimit -n 100", 100)] {
        let (world, settings) = handed_over(&[], "max_connections = 300").await;
        let (serve, log) = (Served::command("serve", &settings), world.dir().join("log"));
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{limit} && exec \"$@\""), "sh"]).arg(serve.get_program()).args(serve.get_args());
        command.env_remove("COUNTERSIGN_MASTER_KEY").stderr(std::fs::File::create(&log).unwrap());
        let server = Served::spawned(command).await;
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.id())).unwrap();
        let files = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
        assert_eq!(files.split_whitespace().next(), Some(allowed.to_string().as_str()), "{limit}");
        let told = std::fs::read_to_string(&log).unwrap().contains("too few open files");
        assert_eq!(told, allowed < 364, "{limit}");
    }
}
