//! The six settings of a key on the socket, the token that stock clients send, and rights that change while sockets are
//! open (rules 1 to 10).

use std::net::SocketAddr;

use countersign::access::key::KeySettings;
use countersign::access::scope::{Scope, ScopeSet};
use countersign::config::Config;
use countersign::domain::time::{Moment, Period};
use countersign::gateway::credentials::{Signed, decode_secret};
use countersign::server::wall_clock;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::client::{Client, Refused, ballot, code, http, limit, next_nonce};
use super::world::{Governors, World, api_key, key, other, secret, with};

const HOUR_US: u64 = 3_600_000_000;
const TOKEN_CALL: &str = "/0/private/GetWebSocketsToken";

fn ago() -> Option<Moment> {
    Some(wall_clock().minus_us(HOUR_US))
}

async fn refused(world: &World, number: u8) -> Refused {
    Client::signed(world.address, &api_key(number), &secret(number)).await.err().expect("a refusal")
}

/// The token call, signed with `nonce`.
pub async fn token(world: &World, number: u8, nonce: &str) -> Value {
    token_of(world.address, (&api_key(number), &secret(number)), nonce).await
}

/// The answer to a signed request for a token.
pub async fn token_of(address: SocketAddr, (api_key, secret): (&str, &[u8]), nonce: &str) -> Value {
    let body = format!("nonce={nonce}");
    let sign = Signed { path: TOKEN_CALL, nonce, body: body.as_bytes() }.sign(secret);
    signed_call(address, api_key, &sign, &body).await
}

async fn signed_call(address: SocketAddr, api_key: &str, sign: &str, body: &str) -> Value {
    let headers = [("API-Key", api_key), ("API-Sign", sign), ("Content-Type", "application/x-www-form-urlencoded")];
    let (status, head, body) = http(address, "POST", TOKEN_CALL, &headers, body).await;
    assert_eq!(status, 200);
    assert!(head.contains("content-type: application/json"), "{head}");
    serde_json::from_str(&body).unwrap()
}

#[tokio::test]
async fn d1_11_d1_12_and_d1_13_expiry_address_and_allow_websocket_are_judged_before_101() {
    let expired = KeySettings { expires_at: ago(), ..KeySettings::default() };
    let elsewhere = KeySettings { ip_allowlist: vec!["192.0.2.0/24".parse().unwrap()], ..KeySettings::default() };
    let here = KeySettings {
        ip_allowlist: vec!["192.0.2.0/24".parse().unwrap(), "127.0.0.1/32".parse().unwrap()],
        ..KeySettings::default()
    };
    let silent = KeySettings { allow_websocket: false, ..KeySettings::default() };
    let world = World::new(&[with(expired), with(elsewhere), with(silent), with(here)]).await;
    for (number, why) in [(1, "expired"), (2, "allow-list"), (3, "Allow WebSocket")] {
        let refusal = refused(&world, number).await;
        assert_eq!(refusal.status, 403, "{refusal:?}");
        assert!(refusal.error.contains(why), "{refusal:?}");
        let refusal = token(&world, number, &next_nonce()).await;
        assert_eq!(refusal, json!({"error": ["EGeneral:Permission denied"]}));
    }
    world.bot(4).await.call("key_info", json!({})).await;
}

#[tokio::test]
async fn d1_07_keys_signatures_and_nonces_are_judged_before_101() {
    let window = KeySettings { nonce_window: 100, ..KeySettings::default() };
    let world = World::new(&[key(ScopeSet::ALL), with(window)]).await;
    let open = async |number: u8, nonce: u64, secret: &[u8]| {
        let (nonce, name) = (nonce.to_string(), api_key(number));
        let sign = Signed::handshake(&nonce).sign(secret);
        Client::open(world.address, &[("API-Key", &name), ("API-Nonce", &nonce), ("API-Sign", &sign)]).await
    };
    let unknown = open(99, 1, &secret(99)).await.err().unwrap();
    assert_eq!((unknown.status, unknown.error.as_str()), (401, "EAPI:Invalid key"));
    let forged = open(1, 1_000, &secret(2)).await.err().unwrap();
    assert_eq!((forged.status, forged.error.as_str()), (401, "EAPI:Invalid signature"));
    let (name, [sign, plus]) = (api_key(1), ["1e3", "+1000"].map(|nonce| Signed::handshake(nonce).sign(&secret(1))));
    for (headers, error) in [
        (vec![("API-Nonce", &name), ("API-Sign", &sign)], "EAPI:Invalid key:API-Key: this header is needed"),
        (vec![("API-Nonce", &name)], "EAPI:Invalid key:API-Key: this header is needed"),
        (vec![("API-Sign", &sign)], "EAPI:Invalid key:API-Key: this header is needed"),
        (vec![("API-Key", &name), ("API-Sign", &sign)], "EAPI:Invalid nonce:API-Nonce: this header is needed"),
        (vec![("API-Key", &name), ("API-Nonce", &name)], "EAPI:Invalid signature:API-Sign: this header is needed"),
        (
            vec![("API-Key", &name), ("API-Nonce", &"1e3".to_owned()), ("API-Sign", &sign)],
            "EAPI:Invalid nonce:nonce: give an integer below 2^64",
        ),
        (
            vec![("API-Key", &name), ("API-Nonce", &"+1000".to_owned()), ("API-Sign", &plus)],
            "EAPI:Invalid nonce:nonce: give an integer below 2^64",
        ),
    ] {
        let headers: Vec<_> = headers.into_iter().map(|(header, value)| (header, value.as_str())).collect();
        let refused = Client::open(world.address, &headers).await.err().unwrap();
        assert_eq!((refused.status, refused.error.as_str()), (401, error));
    }
    open(1, 1_000, &secret(1)).await.unwrap();
    let replayed = open(1, 1_000, &secret(1)).await.err().unwrap();
    assert_eq!(replayed.status, 401);
    assert!(replayed.error.starts_with("EAPI:Invalid nonce:nonce: use one above 1000"), "{replayed:?}");
    open(2, 1_000, &secret(2)).await.unwrap();
    open(2, 950, &secret(2)).await.unwrap();
    assert_eq!(open(2, 950, &secret(2)).await.err().unwrap().status, 401);
    assert_eq!(open(2, 899, &secret(2)).await.err().unwrap().status, 401);
    for _ in 0..10 {
        assert_eq!(open(1, 2_000, b"wrong").await.err().unwrap().status, 401);
    }
    let throttled = open(1, 3_000, &secret(1)).await.err().unwrap();
    assert_eq!((throttled.status, throttled.retry_after), (429, true));
}

/// As an attacker in between could change it, each part alone.
#[tokio::test]
async fn d2_16_what_is_sent_is_what_was_signed() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let invalid = json!(["EAPI:Invalid signature"]);
    for (path, signed, sent, error) in [
        (TOKEN_CALL, "12", "nonce=12&otp=1", &json!([])),
        (TOKEN_CALL, "13", "nonce=13", &invalid),
        (TOKEN_CALL, "13", "nonce=13&otp=2", &invalid),
        (TOKEN_CALL, "13", "otp=1&nonce=13", &invalid),
        (TOKEN_CALL, "13", "nonce=14&otp=1", &invalid),
        ("/v2", "13", "nonce=13&otp=1", &invalid),
        ("/0/private/Balance", "13", "nonce=13&otp=1", &invalid),
    ] {
        let body = format!("nonce={signed}&otp=1");
        let sign = Signed { path, nonce: signed, body: body.as_bytes() }.sign(&secret(1));
        let answer = signed_call(world.address, &api_key(1), &sign, sent).await;
        assert_eq!(&answer["error"], error, "{path} {sent}");
    }
    let (name, sign) = (api_key(1), Signed::handshake("13").sign(&secret(1)));
    let open = async |nonce| {
        let headers = [("API-Key", name.as_str()), ("API-Nonce", nonce), ("API-Sign", &sign)];
        Client::open(world.address, &headers).await
    };
    for sent in ["14", "013"] {
        assert_eq!(open(sent).await.err().unwrap().error, "EAPI:Invalid signature", "{sent}");
    }
    open("13").await.unwrap();
}

/// A refused handshake leaves an HTTP connection, whatever happens in the meantime.
#[tokio::test]
async fn d1_07_after_a_refusal_comes_nothing_and_a_bare_socket_beside_those_who_trade_is_told_its_status_alone() {
    let world = World::new(&[key(ScopeSet::ALL), other()]).await;
    let (mut bot, mut maker) = (world.bot(1).await, world.bot(2).await);
    let mut bare = Client::bare(world.address).await;
    let mut refused = TcpStream::connect(world.address).await.unwrap();
    let upgrade = "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
        sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let (nonce, name) = (next_nonce(), api_key(1));
    let sign = Signed::handshake(&nonce).sign(&secret(2));
    let signed = format!("api-key: {name}\r\napi-nonce: {nonce}\r\napi-sign: {sign}\r\n");
    let request = format!("GET /v2 HTTP/1.1\r\nhost: {}\r\n{upgrade}{signed}\r\n", world.address);
    refused.write_all(request.as_bytes()).await.unwrap();
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        head.push(char::from(refused.read_u8().await.unwrap()));
    }
    assert!(head.starts_with("HTTP/1.1 401 "), "{head}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    refused.read_exact(&mut body).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body, json!({"error": ["EAPI:Invalid signature"]}));

    let order =
        |side| json!({"order_type": "limit", "side": side, "symbol": "BTC/USD", "order_qty": 1, "limit_price": 10});
    for _ in 0..20 {
        maker.call("add_order", order("sell")).await;
        bot.call("add_order", order("buy")).await;
    }
    refused.shutdown().await.unwrap();
    let mut more = Vec::new();
    refused.read_to_end(&mut more).await.unwrap();
    assert_eq!(more, [0_u8; 0]);
    assert_eq!(bare.reply("ping", Value::Null).await["method"], "pong");
    let frames = bare.kept();
    assert!(frames.len() == 1 && frames[0]["channel"] == "status", "{frames:?}");
}

/// Any client may write anything into the header; only our own proxies are believed, and only their own entry.
#[tokio::test]
async fn d1_10_an_allow_list_decides_on_the_true_peer_whatever_a_header_says() {
    let listed = KeySettings { ip_allowlist: vec!["203.0.113.0/24".parse().unwrap()], ..KeySettings::default() };
    let direct = World::new(&[with(listed.clone())]).await;
    let proxies = |config: &mut Config| config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let proxied = World::configured(&[with(listed)], proxies).await;
    for (world, forwarded, admitted) in [
        (&direct, "203.0.113.9", false),
        (&direct, "127.0.0.1, 203.0.113.9", false),
        (&proxied, "203.0.113.9", true),
        (&proxied, "198.51.100.1, 203.0.113.9", true),
        (&proxied, "198.51.100.1", false),
        (&proxied, "203.0.113.9, 198.51.100.1", false),
    ] {
        let (nonce, name) = (next_nonce(), api_key(1));
        let sign = Signed::handshake(&nonce).sign(&secret(1));
        let signed = [("API-Key", name.as_str()), ("API-Nonce", nonce.as_str()), ("API-Sign", sign.as_str())];
        let opened = Client::open(world.address, &[&signed[..], &[("X-Forwarded-For", forwarded)]].concat()).await;
        match opened {
            Ok(_) => assert!(admitted, "{forwarded} was let in"),
            Err(refused) => {
                assert!(
                    !admitted && refused.status == 403 && refused.error.contains("allow-list"),
                    "{forwarded}: {refused:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_token_binds_a_bare_socket_to_its_key_for_good() {
    let mut world = World::new(&[key(ScopeSet::ALL), key(ScopeSet::ALL)]).await;
    let mint = async |number| {
        let answer = token(&world, number, &next_nonce()).await;
        assert_eq!((&answer["error"], &answer["result"]["expires"]), (&json!([]), &json!(900)));
        answer["result"]["token"].as_str().unwrap().to_owned()
    };
    let (first, second) = (mint(1).await, mint(2).await);
    let mut bare = Client::bare(world.address).await;
    let info = bare.call("key_info", json!({"token": first})).await;
    assert_eq!(info["service_user"], "Bot 1");
    bare.call("subscribe", json!({"channel": "executions", "token": first})).await;
    let error = bare.refused("key_info", json!({"token": second})).await;
    assert!(error.starts_with("ESession:Invalid session"), "{error}");
    let error = bare.refused("key_info", json!({"token": "nonsense"})).await;
    assert!(error.starts_with("EAPI:Invalid token"), "{error}");
    assert_eq!(bare.call("key_info", json!({})).await["service_user"], "Bot 1");
    drop(bare);
    world.restart().await;
    let mut again = Client::bare(world.address).await;
    assert_eq!(again.call("key_info", json!({"token": first})).await["service_user"], "Bot 1");
}

#[tokio::test]
async fn a_token_may_be_asked_for_with_json_whose_nonce_is_a_number_or_a_text() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    for quote in ["", "\""] {
        let nonce = next_nonce();
        let body = format!("{{\"nonce\": {quote}{nonce}{quote}}}");
        let sign = Signed { path: TOKEN_CALL, nonce: &nonce, body: body.as_bytes() }.sign(&secret(1));
        let headers = [("API-Key", "key-1"), ("API-Sign", &sign), ("Content-Type", "application/json")];
        let (status, _, answer) = http(world.address, "POST", TOKEN_CALL, &headers, &body).await;
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert!(status == 200 && answer["result"]["token"].is_string(), "{body}: {answer}");
    }
}

/// As after restoring the journal from a backup: the master key is the same, but the key does not exist.
#[tokio::test]
async fn a_token_for_a_key_that_is_not_there_is_refused_and_the_socket_goes_on() {
    let (before, after) = (World::new(&[key(ScopeSet::ALL), key(ScopeSet::ALL)]).await, World::new(&[]).await);
    let answer = token(&before, 2, &next_nonce()).await;
    let mut bare = Client::bare(after.address).await;
    for (method, params) in [("key_info", json!({})), ("subscribe", json!({"channel": "executions"}))] {
        let mut params = params;
        params["token"] = answer["result"]["token"].clone();
        assert!(bare.refused(method, params).await.starts_with("EAPI:Invalid key"));
    }
    assert_eq!(bare.reply("ping", Value::Null).await["method"], "pong");
}

/// Rotates the first key at once, and returns the new key; the old secret becomes useless.
async fn rotated(world: &World) -> (String, Vec<u8>) {
    let rotate = json!({"service_user_id": "SVC1", "overlap_s": 0, "otp": code(0)});
    let kept = world.member("alice").await.call("rotate_service_user_key", rotate).await;
    let generated = decode_secret(kept["api_secret"].as_str().unwrap()).unwrap();
    (kept["api_key"].as_str().unwrap().to_owned(), generated.to_vec())
}

/// Losing a right would never close a stream without a holder.
#[tokio::test]
async fn d2_21_a_stream_asked_for_behind_a_token_that_is_refused_is_refused_too() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let old = token(&world, 1, &next_nonce()).await["result"]["token"].clone();
    let (api_key, generated) = rotated(&world).await;
    let fresh = token_of(world.address, (&api_key, &generated), &next_nonce()).await["result"]["token"].clone();
    let mut bare = Client::bare(world.address).await;
    let messages = [
        json!({"method": "key_info", "req_id": 1, "params": {"token": old}}),
        json!({"method": "subscribe", "req_id": 2, "params": {"channel": "executions", "token": fresh}}),
    ];
    assert!(bare.burst(messages).await);
    assert_eq!(bare.answer(1).await["error"], "EAPI:Invalid key");
    let refused = bare.answer(2).await;
    assert!(refused["error"].as_str().unwrap().starts_with("ESession:Invalid session"), "{refused}");
    bare.call("subscribe", json!({"channel": "executions", "token": fresh})).await;
}

/// Each message is judged by its own token; the socket keeps its principal.
#[tokio::test]
async fn rule_5_a_token_that_is_refused_does_not_spoil_the_socket() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let old = token(&world, 1, &next_nonce()).await["result"]["token"].clone();
    let (api_key, generated) = rotated(&world).await;
    let mut bot = Client::signed(world.address, &api_key, &generated).await.unwrap();
    assert_eq!(bot.refused("key_info", json!({"token": old})).await, "EAPI:Invalid key");
    assert_eq!(bot.call("key_info", json!({})).await["service_user_id"], "SVC1");
}

#[tokio::test]
async fn a_wrong_master_key_does_not_start() {
    let mut world = World::new(&[]).await;
    let error = world.restart_with("AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").await;
    assert!(error.starts_with("the master key does not open the secrets"), "{error}");
}

fn dated(query_dates: Period) -> KeySettings {
    KeySettings { query_dates, ..KeySettings::default() }
}

#[tokio::test]
async fn d2_22_query_dates_bound_what_has_a_time_and_nothing_else() {
    let now = wall_clock();
    let later = dated(Period { from: Some(now.plus_us(HOUR_US)), until: None });
    let ended = dated(Period { from: None, until: ago() });
    let world = World::new(&[key(ScopeSet::ALL), with(later), with(ended)]).await;
    let count = |result: Value| result["entries"].as_array().unwrap().len();
    assert_eq!(count(world.bot(1).await.call("ledgers", json!({})).await), 3);
    let mut late = world.bot(2).await;
    assert_eq!(count(late.call("ledgers", json!({})).await), 0);
    let acknowledged = late.subscribe("ledger").await;
    assert_eq!(acknowledged["warnings"].as_array().unwrap().len(), 1, "{acknowledged}");
    let mut past = world.bot(3).await;
    for channel in ["executions", "ledger", "earn", "deposits", "withdrawals"] {
        let error = past.refused("subscribe", json!({"channel": channel})).await;
        assert!(error.contains("query end date"), "{error}");
    }
    assert!(past.subscribe("balances").await["warnings"].is_array());
    assert_eq!(past.frame("balances").await["type"], "snapshot");
    assert_eq!(past.call("get_balances", json!({})).await["balances"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn d2_22_a_start_date_bounds_no_live_item_of_present_state() {
    let later = dated(Period { from: Some(wall_clock().plus_us(HOUR_US)), until: None });
    let world = World::new(&[key(ScopeSet::ALL), with(later)]).await;
    let (mut bot, mut bob, mut late) = (world.bot(1).await, world.member("bob").await, world.bot(2).await);
    for channel in ["executions", "balances", "earn", "withdrawals"] {
        late.subscribe(channel).await;
    }
    let placed = bot.call("add_order", limit("buy", 1, 10)).await["order_id"].clone();
    bot.call("cancel_order", json!({"order_id": [placed]})).await;
    for kind in ["new", "canceled"] {
        assert_eq!(late.item("executions", |item| item["exec_type"] == kind).await["order_id"], placed);
    }
    let strategy = json!({"asset": "BTC", "lock_type": {"type": "flex"}, "user_min_allocation": "1",
        "apr_estimate": {"low": 3, "high": 4}});
    let strategy = world.venue().await.call("add_earn_strategy", strategy).await["strategy_id"].clone();
    bot.call("earn_allocate", json!({"strategy_id": strategy, "amount": "1"})).await;
    late.item("earn", |item| item["strategy_id"] == strategy).await;
    // The withdrawal was made before the date too, but it is open.
    let withdrawal = bot.call("withdraw", json!({"asset": "BTC", "key": "cold-1", "amount": "1"})).await;
    late.item("withdrawals", |item| item["refid"] == withdrawal["refid"] && item["status"] == "Initial").await;
    let request = bob.call("request_info", json!({"request_id": withdrawal["request_id"]})).await;
    bob.call("approve", json!({"requests": ballot(&request), "otp": code(0)})).await;
    late.item("withdrawals", |item| item["refid"] == withdrawal["refid"] && item["status"] == "Pending").await;
    late.item("balances", |item| item["type"] == "withdrawal").await;
}

#[tokio::test]
async fn d2_21_a_member_who_loses_view_loses_the_channels_that_need_it() {
    let world = World::new(&[]).await;
    let mut alice = world.member("alice").await;
    let mut streaming = world.member("carol").await;
    let mut asking = Client::member(world.address, "carol@acme.test", 1).await.unwrap();
    streaming.subscribe("balances").await;
    asking.subscribe("approvals").await;
    let mut edit = json!({"member_id": "MEM3", "permissions": {"manage_addresses": []}, "otp": code(0)});
    alice.call("edit_member", edit.clone()).await;
    streaming.call("subscribe", json!({"channel": "ledger"})).await;
    edit["permissions"] = json!({"initiate_withdrawal": []});
    edit["otp"] = json!(code(1));
    alice.call("edit_member", edit).await;
    assert_eq!(streaming.closed().await, (4001, "an open subscription lost its scope".to_owned()));
    assert_eq!(asking.refused("subscribe", json!({"channel": "balances"})).await, "EGeneral:Permission denied");
}

#[tokio::test]
async fn d1_11_an_allow_list_may_name_ipv4_as_ipv6_does() {
    let world = World::new(&[key(ScopeSet::ALL), key(ScopeSet::ALL)]).await;
    let mut alice = world.member("alice").await;
    let mut bots = [world.bot(1).await, world.bot(2).await];
    for (at, networks) in [(0, json!(["::ffff:127.0.0.1"])), (1, json!(["::ffff:127.0.0.0/104"]))] {
        let settings = json!({"ip_allowlist": networks});
        let edit = json!({"service_user_id": format!("SVC{}", at + 1), "settings": settings, "otp": code(at)});
        alice.call("edit_service_user", edit).await;
        bots[at as usize].call("get_balances", json!({})).await;
    }
}

#[tokio::test]
async fn d1_11_and_d1_12_a_changed_key_acts_on_its_open_sockets_and_says_why() {
    let (world, mut governors) = Governors::with(&vec![key(ScopeSet::ALL); 4]).await;
    let mut bots = Vec::new();
    for number in 1..=4 {
        let mut bot = world.bot(number).await;
        bot.subscribe("executions").await;
        bots.push(bot);
    }
    let resting = bots[0].call("add_order", limit("buy", 1, 10)).await;
    let edits = [
        (1, json!({"disabled": true}), 4001, "key disabled"),
        (2, json!({"settings": {"allow_websocket": false}}), 4003, "WebSocket not allowed any more"),
        (3, json!({"settings": {"ip_allowlist": ["192.0.2.1"]}}), 4004, "address not allowed any more"),
    ];
    for (number, mut params, close, reason) in edits {
        params["service_user_id"] = json!(format!("SVC{number}"));
        let request = governors.act("edit_service_user", params).await;
        assert_eq!(request["state"], "executed", "{request}");
        assert_eq!(bots[number - 1].closed().await, (close, reason.to_owned()));
    }
    let canceled = bots[3].item("executions", |item| item["exec_type"] == "canceled").await;
    assert_eq!((&canceled["order_id"], &canceled["reason"]), (&resting["order_id"], &json!("Key stopped")));
    assert_eq!(bots[3].call("open_orders", json!({})).await, json!({"orders": []}));
}

#[tokio::test]
async fn d2_21_a_lost_scope_closes_what_needed_it_and_leaves_the_rest() {
    let world = World::new(&[key(ScopeSet::ALL), key(ScopeSet::of(&[Scope::Query]))]).await;
    let mut alice = world.member("alice").await;
    let (mut streaming, mut asking) = (world.bot(1).await, world.bot(1).await);
    streaming.subscribe("executions").await;
    let otp = code(0);
    let params = json!({"service_user_id": "SVC1", "scopes": ["query", "withdraw"], "otp": otp});
    alice.call("edit_service_user", params).await;
    assert_eq!(streaming.closed().await, (4001, "an open subscription lost its scope".to_owned()));
    assert_eq!(asking.refused("open_orders", json!({})).await, "EGeneral:Permission denied");
    asking.call("get_balances", json!({})).await;
}

#[tokio::test]
async fn d1_11_and_d1_12_level3_is_for_a_key_that_still_admits() {
    let (world, mut governors) = Governors::with(&vec![key(ScopeSet::NONE); 4]).await;
    let mut params = Vec::new();
    for number in 1..=4 {
        let token = token(&world, number, &next_nonce()).await["result"]["token"].clone();
        params.push(json!({"channel": "level3", "symbol": ["BTC/USD"], "token": token}));
    }
    let edits = [
        (1, json!({"disabled": true}), "disabled"),
        (2, json!({"settings": {"allow_websocket": false}}), "Allow WebSocket"),
        (3, json!({"settings": {"ip_allowlist": ["192.0.2.1"]}}), "allow-list"),
    ];
    for (number, mut edit, why) in edits {
        edit["service_user_id"] = json!(format!("SVC{number}"));
        governors.act("edit_service_user", edit).await;
        let mut bare = Client::bare(world.address).await;
        let error = bare.refused("subscribe", params[number - 1].clone()).await;
        assert!(error.starts_with("EGeneral:Permission denied") && error.contains(why), "{error}");
        // The socket is public again, and follows nothing.
        bare.send(json!({"method": "ping"}).to_string()).await;
        let frame = bare.next().await;
        assert!(frame["channel"] == "status" || frame["method"] == "pong", "{frame}");
    }
    let mut bare = Client::bare(world.address).await;
    // The messages after it in the same write find the stream already begun.
    let message = |method: &str| json!({"method": method, "req_id": method.len(), "params": params[3]});
    assert!(bare.burst([message("subscribe"), message("unsubscribe")]).await);
    for method in ["subscribe", "unsubscribe"] {
        assert_eq!(bare.answer(method.len() as i64).await["success"], true, "{method}");
    }
    bare.call("subscribe", params[3].clone()).await;
    assert_eq!(bare.frame("level3").await["type"], "snapshot");
    let mut bob = Client::member(world.address, "bob@acme.test", 1).await.unwrap();
    bob.call("freeze", json!({"scope": "all", "reason": "drill"})).await;
    assert_eq!(bare.closed().await, (4001, "frozen".to_owned()));
    let error = Client::bare(world.address).await.refused("subscribe", params[3].clone()).await;
    assert!(error.contains("frozen"), "{error}");
}
