//! Bad input: a clear error or a clean close, state unchanged, server up.

use std::time::Duration;

use countersign::access::scope::ScopeSet;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::client_async;

use super::client::{Client, http, limit, soon};
use super::world::{World, api_key, key};

async fn refusal(client: &mut Client, text: &str) -> Value {
    client.send(text).await;
    loop {
        let frame = client.next().await;
        if frame.get("channel").is_none() {
            return frame;
        }
    }
}

#[tokio::test]
async fn d7_77_whatever_is_malformed_is_refused_and_changes_nothing() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let mut bot = world.bot(1).await;
    let before = bot.call("get_balances", json!({})).await;
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let order = |qty: &str, price: &str| {
        format!(
            r#"{{"method":"add_order","req_id":7,"params":{{"order_type":"limit","side":"buy","symbol":"BTC/USD","order_qty":{qty},"limit_price":{price}}}}}"#
        )
    };
    for (text, expected) in [
        ("{".to_owned(), "Malformed request"),
        ("\u{0}".to_owned(), "Malformed request"),
        ("[]".to_owned(), "Malformed request"),
        (r#"{"method":"cancel_all","req_id":7,"params":[null]}"#.to_owned(), "EGeneral:Invalid arguments:params"),
        ("{}".to_owned(), "EGeneral:Invalid arguments:method"),
        (deep.clone(), "Malformed request"),
        (format!(r#"{{"method":"add_order","params":{deep}}}"#), "EGeneral:Invalid arguments:params"),
        (r#"{"method":"nothing","req_id":7}"#.to_owned(), "EGeneral:Unknown method"),
        (r#"{"method":7,"req_id":7}"#.to_owned(), "EGeneral:Invalid arguments:method"),
        (r#"{"method":"ping","req_id":7,"x":1}"#.to_owned(), "Unsupported field: 'x' for the given msg type: ping"),
        (
            r#"{"method":"ping","req_id":7,"params":{}}"#.to_owned(),
            "Unsupported field: 'params' for the given msg type: ping",
        ),
        (
            r#"{"method":"cancel_all","req_id":7,"params":{"all":true}}"#.to_owned(),
            "Unsupported field: 'all' for the given msg type: cancel_all",
        ),
        (r#"{"method":"ping","method":"ping","req_id":7}"#.to_owned(), "EGeneral:Invalid arguments:method"),
        (r#"{"method":"subscribe","req_id":7,"params":{"channel":"nothing"}}"#.to_owned(), "Subscription name invalid"),
        (
            r#"{"method":"subscribe","req_id":7,"params":{"channel":"book","symbol":["XXX/USD"]}}"#.to_owned(),
            "Currency pair not supported XXX/USD",
        ),
        (
            r#"{"method":"subscribe","req_id":7,"params":{"channel":"book","symbol":["BTC/USD"],"depth":11}}"#
                .to_owned(),
            "EGeneral:Invalid arguments:depth",
        ),
        (
            r#"{"method":"subscribe","req_id":7,"params":{"channel":"trade","symbol":["BTC/USD"],"from_offset":0}}"#
                .to_owned(),
            "EGeneral:Invalid arguments:from_offset",
        ),
        (order("\"x\"", "1"), "Order_qty field must be a number_float"),
        (order("true", "1"), "Order_qty field must be a number_float"),
        (order("1", "1e400"), "EGeneral:Invalid arguments:limit_price"),
        (order("99999999999999999999999999", "1"), "EGeneral:Invalid arguments:order_qty"),
        (order("-1", "1"), "EGeneral:Invalid arguments:order_qty"),
        (order("1e-9", "1"), "EGeneral:Invalid arguments:order_qty"),
        (order("1e-8", "1000"), "EOrder:Order minimum not met (volume too low)"),
        (order("1", "0.001"), "EOrder:Tick size check failed"),
        (order("1", "0"), "EOrder:Invalid price"),
        (order("0.0001", "1"), "EOrder:Cost minimum not met"),
        (order("1", "99999999"), "EOrder:Insufficient funds (insufficient user funds)"),
    ] {
        let reply = refusal(&mut bot, &text).await;
        let error = reply["error"].as_str().unwrap();
        assert!(error.starts_with(expected) && !error.is_empty(), "{:.80} gave {reply}", text);
        if text.contains("\"req_id\":7") {
            assert_eq!(reply["req_id"], json!(7), "{text}");
        }
    }
    assert_eq!(bot.call("get_balances", json!({})).await, before);
    assert_eq!(bot.call("open_orders", json!({})).await, json!({"orders": []}));
}

/// It would be unclear which of the two counts.
#[tokio::test]
async fn d7_77_a_doubled_field_is_refused_by_its_name_wherever_it_stands() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let mut bot = world.bot(1).await;
    let order = r#""order_type":"limit","side":"buy","symbol":"BTC/USD","order_qty":1,"limit_price":10"#;
    let conditional = r#""conditional":{"order_type":"limit","limit_price":20,"limit_price":20}"#;
    for (method, params, doubled) in [
        ("add_order", format!(r#"{order},"order_qty":1"#), "order_qty"),
        ("add_order", format!(r#"{order},"validate":true,"validate":true"#), "validate"),
        ("add_order", format!("{order},{conditional}"), "conditional.limit_price"),
        ("add_order", format!("{order},\"\\u0073ide\":\"sell\""), "side"),
        ("cancel_all_orders_after", r#""timeout":0,"timeout":60"#.to_owned(), "timeout"),
        ("cancel_order", r#""order_id":[],"order_id":[]"#.to_owned(), "order_id"),
        ("subscribe", r#""channel":"executions","channel":"balances""#.to_owned(), "channel"),
        ("withdraw", r#""asset":"BTC","key":"cold-1","amount":1,"amount":2"#.to_owned(), "amount"),
    ] {
        let text = format!(r#"{{"method":"{method}","req_id":7,"params":{{{params}}}}}"#);
        let reply = refusal(&mut bot, &text).await;
        let error = format!("EGeneral:Invalid arguments:{doubled}: give this field once");
        assert_eq!((&reply["error"], &reply["req_id"]), (&json!(error), &json!(7)), "{text}");
    }
    assert_eq!(bot.call("open_orders", json!({})).await, json!({"orders": []}));
    assert_eq!(bot.call("withdraw_status", json!({})).await["withdrawals"], json!([]));
}

#[tokio::test]
async fn a_filter_that_a_channel_does_not_have_is_refused_by_name() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let mut bot = world.bot(1).await;
    for (channel, field, value) in [
        ("balances", "workflow", json!("initiate_withdrawal")),
        ("executions", "asset", json!(["BTC"])),
        ("earn", "asset", json!(["ETH"])),
        ("deposits", "type", json!(["deposit"])),
        ("trade", "type", json!(["trade"])),
        // Nor would these ever let an item through.
        ("ledger", "type", json!([])),
        ("withdrawals", "asset", json!([])),
    ] {
        let refused = bot.refused("subscribe", json!({"channel": channel, field: value})).await;
        assert!(refused.starts_with(&format!("EGeneral:Invalid arguments:{field}: ")), "{channel}: {refused}");
    }
    for unknown in ["XBT", "btc", "no-asset-has-so-long-a-name"] {
        let refused = bot.refused("subscribe", json!({"channel": "withdrawals", "asset": ["BTC", unknown]})).await;
        assert!(refused.contains("Unknown asset"), "{unknown}: {refused}");
    }
    let params = json!({"channel": "ledger", "asset": ["BTC"], "type": ["trade"]});
    let acknowledged = bot.call("subscribe", params).await;
    assert_eq!((&acknowledged["asset"], &acknowledged["type"]), (&json!(["BTC"]), &json!(["trade"])));
}

#[tokio::test]
async fn numbers_are_read_losslessly_in_every_form() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let mut bot = world.bot(1).await;
    for qty in ["0.0001", "1e-4", "\"0.0001\"", "100e-6", "1.0E-4"] {
        let text = format!(
            r#"{{"method":"add_order","params":{{"order_type":"limit","side":"buy","symbol":"BTC/USD","order_qty":{qty},"limit_price":1e4}}}}"#
        );
        bot.send(text).await;
    }
    let placed = async {
        loop {
            let orders = bot.call("open_orders", json!({})).await;
            if orders["orders"].as_array().unwrap().len() == 5 {
                return orders;
            }
        }
    };
    let orders = soon("five orders", placed).await;
    for order in orders["orders"].as_array().unwrap() {
        assert_eq!(
            (order["order_qty"].to_string(), order["limit_price"].to_string()),
            ("0.0001".into(), "10000.0".into())
        );
    }
}

#[tokio::test]
async fn d7_77_a_frame_that_is_too_big_or_not_text_ends_only_its_own_socket() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let mut other = world.bot(1).await;
    let mut binary = world.bot(1).await;
    binary.send_binary(vec![b'{', 0xff, b'}']).await;
    assert_eq!(binary.closed().await.0, 1007);
    let mut big = world.bot(1).await;
    big.send_binary(vec![b' '; 10 << 20]).await;
    assert_eq!(big.closed().await, (1009, "message too big".to_owned()));
    assert_eq!(other.reply("ping", Value::Null).await["method"], "pong");
}

/// A refusal is in the log.
#[tokio::test]
async fn d1_09_a_refused_body_does_not_say_what_stood_where_it_does_not_belong() {
    let world = World::new(&[]).await;
    let origin = format!("http://{}", world.address);
    let headers = [("content-type", "application/json"), ("origin", origin.as_str())];
    let (malformed, invalid) = ("Malformed request", "EGeneral:Invalid arguments:");
    for (path, body, error) in [
        (
            "session",
            r#"{"email":"alice@acme.test","password":"x","otp":135799}"#,
            format!("{invalid}otp: give a string"),
        ),
        ("session", r#"{"email":"alice@acme.test","password":"x"}"#, format!("{invalid}otp: this field is needed")),
        ("session", r#"{"135799":"x"}"#, format!("{invalid} expected one of `email`, `password`, `otp`")),
        ("session", r#"{"email":"a","email":"135799"}"#, format!("{invalid}email: give this field once")),
        // serde would take an array for a struct, member by member.
        ("session", r#"["alice@acme.test","x","135799"]"#, malformed.to_owned()),
        ("session", r#""135799""#, malformed.to_owned()),
        ("session", "135799", malformed.to_owned()),
        ("session", r#"{"email":"#, malformed.to_owned()),
        ("session", "", malformed.to_owned()),
        ("invitations/135799", r#"{"otp":135799}"#, format!("{invalid}otp: give a string")),
        ("invitations/135799", r#"{"135799":1}"#, format!("{invalid} expected `password` or `otp`")),
    ] {
        let (status, _, answer) = http(world.address, "POST", &format!("/{path}"), &headers, body).await;
        assert_eq!((status, answer), (400, json!({"error": [error]}).to_string()), "{path} {body}");
    }
}

/// RFC 9110, §8.3.1.
#[tokio::test]
async fn a_media_type_is_read_in_either_case() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let origin = format!("http://{}", world.address);
    let name = api_key(1);
    let headers = [
        ("content-type", "Application/JSON; Charset=utf-8"),
        ("origin", origin.as_str()),
        ("api-key", name.as_str()),
        ("api-sign", "AAAA"),
    ];
    for (path, body, wanted) in [
        ("/session", r#"{"email":"alice@acme.test","password":"x","otp":"1"}"#, "password or code is wrong"),
        ("/0/private/GetWebSocketsToken", r#"{"nonce":1}"#, "EAPI:Invalid signature"),
        ("/0/public/AssetPairs", r#"{"pair":"DOGE/USD"}"#, "EQuery:Unknown asset pair"),
    ] {
        let (status, _, answer) = http(world.address, "POST", path, &headers, body).await;
        assert!(answer.contains(wanted), "{path}: {status} {answer}");
    }
}

/// As kraken-async-rs sends every request; the answer must be text, which is all that this client accepts.
#[tokio::test]
async fn a_message_in_a_binary_frame_is_answered_as_one_in_a_text_frame_is() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let mut bot = world.bot(1).await;
    bot.send_binary(br#"{"method":"get_balances","req_id":7}"#.to_vec()).await;
    assert_eq!(bot.answer(7).await["success"], true);
    bot.kept();
    for bytes in [&b"{\"method\":"[..], b"", b"\x01\x02"] {
        bot.send_binary(bytes.to_vec()).await;
        let frame = bot.next().await;
        assert_eq!(frame["error"], "Malformed request", "{frame}");
    }
}

#[tokio::test]
async fn http_answers_what_it_must() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    for (method, path) in [
        ("POST", "/0/private/Balance"),
        ("POST", "/0/private/"),
        ("GET", "/0/private/Balance"),
        ("POST", "/0/private/Earn/Strategies"),
        ("GET", "/0/private/GetWebSocketsToken"),
        ("GET", "/0/public/Spread"),
        ("GET", "/0/public/Time/zone"),
    ] {
        let (status, _, body) = http(world.address, method, path, &[], "").await;
        assert_eq!((status, body.as_str()), (200, r#"{"error":["EGeneral:Unknown method"]}"#), "{method} {path}");
    }
    for (method, path, error) in [
        ("POST", "/v2", "EGeneral:Invalid arguments: a WebSocket starts with GET"),
        ("OPTIONS", "/exports/x", "EGeneral:Invalid arguments:method: use GET"),
    ] {
        let (status, head, body) = http(world.address, method, path, &[], "").await;
        assert_eq!((status, body), (405, json!({"error": [error]}).to_string()), "{method} {path}");
        assert!(head.to_lowercase().contains("\r\nallow: get\r\n"), "{head}");
    }
    let (status, _, body) = http(world.address, "POST", "/0/private/GetWebSocketsToken", &[], "nonce=1").await;
    assert_eq!((status, body.as_str()), (200, r#"{"error":["EAPI:Invalid key"]}"#));
    let mut bot = world.bot(1).await;
    bot.call("add_order", limit("buy", 1, 10)).await;
    for path in ["schemas/add_order.request.schema.json", "schemas/asyncapi.json"] {
        let (status, _, text) = http(world.address, "GET", &format!("/{path}"), &[], "").await;
        assert_eq!(status, 200, "{path}");
        assert!(text == std::fs::read_to_string(path).unwrap(), "{path} is not as committed");
    }
    let (_, _, metrics) = http(world.address, "GET", "/metrics", &[], "").await;
    assert!(metrics.contains("\ncountersign_orders_accepted_total 1\n"), "{metrics}");
}

/// RFC 6455 §5.5.1, as bytes: a masked close frame, alone, behind a message, and with one behind it.
#[tokio::test]
async fn d1_03_a_close_frame_is_answered_and_no_data_comes_behind_the_answer() {
    const CLOSE: &[u8] = &[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8];
    let world = World::new(&[]).await;
    let ping = [&[0x81, 0x80 | 17, 0, 0, 0, 0][..], br#"{"method":"ping"}"#].concat();
    for sent in [CLOSE.to_vec(), [&ping, CLOSE].concat(), [CLOSE, &ping].concat()] {
        let stream = TcpStream::connect(world.address).await.unwrap();
        let (socket, _) = client_async(format!("ws://{}/v2", world.address), stream).await.unwrap();
        let mut socket = socket.into_inner();
        socket.write_all(&sent).await.unwrap();
        let mut bytes = Vec::new();
        socket.read_to_end(&mut bytes).await.unwrap();
        assert!(bytes.ends_with(&[0x88, 2, 0x03, 0xe8]), "{}", String::from_utf8_lossy(&bytes));
    }
}

#[tokio::test]
async fn an_asset_or_market_that_cannot_be_is_refused_with_the_field_that_is_wrong() {
    let mut venue = World::new(&[]).await.venue().await;
    let asset = json!({"asset": "SOL", "decimals": 8, "display_decimals": 5, "method": "m", "network": "n",
        "withdrawal_min": "1", "withdrawal_fee": "0", "deposit_min": "1"});
    let market = json!({"symbol": "USD/BTC", "price_decimals": 2, "qty_decimals": 2, "price_increment": "0.01",
        "qty_min": "0.01", "cost_min": "0.01", "maker_ppm": 1_000, "taker_ppm": 2_000});
    for (method, right, field, wrong) in [
        ("add_asset", &asset, "decimals", 13),
        ("add_asset", &asset, "display_decimals", 9),
        ("add_market", &market, "price_decimals", 13),
        ("add_market", &market, "qty_decimals", 13),
        ("add_market", &market, "maker_ppm", 1_000_001),
        ("add_market", &market, "taker_ppm", 1_000_001),
    ] {
        let mut params = right.clone();
        params[field] = json!(wrong);
        let refused = venue.refused(method, params).await;
        assert!(refused.starts_with(&format!("EGeneral:Invalid arguments:{field}:")), "{refused}");
    }
}

/// This includes the client's own work: all of this thread's time counts.
#[tokio::test]
async fn d1_04_a_head_of_twenty_megabytes_takes_less_than_100_ms_of_processor_time() {
    let world = World::new(&[]).await;
    let head = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(20_000_000));
    let mut socket = TcpStream::connect(world.address).await.unwrap();
    let used = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap();
    let before = used();
    // The server closes before all is sent, and its answer may be lost with the connection.
    let hung_up = async {
        let _ = socket.write_all(head.as_bytes()).await;
        let _ = socket.read_to_end(&mut Vec::new()).await;
    };
    soon("end of the connection", hung_up).await;
    let took = used() - before;
    assert!(took < Duration::from_millis(100), "{took:?}");
}
