//! The checklist's items that need a server and have no other place: origins, expiry under open sockets, replayed
//! nonces, the time that a revocation takes.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::Stdio;

use countersign::access::key::KeySettings;
use countersign::access::scope::{Scope, ScopeSet};
use countersign::config::Config;
use countersign::domain::time::Moment;
use countersign::gateway::credentials::Signed;
use countersign::server::wall_clock;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::client::{Client, PASSWORD, Refused, code, cookie, http, next_nonce, soon};
use super::faults::trade_until_closed;
use super::operation::{handed_over, metrics, value};
use super::served::Served;
use super::settings::token_of;
use super::world::{Governors, World, api_key, key, secret, with};

/// A handshake of a key with this nonce.
async fn open(address: SocketAddr, number: u8, nonce: u64) -> Result<Client, Refused> {
    let (nonce, name) = (nonce.to_string(), api_key(number));
    let sign = Signed::handshake(&nonce).sign(&secret(number));
    Client::open(address, &[("API-Key", &name), ("API-Nonce", &nonce), ("API-Sign", &sign)]).await
}

/// Sets the one origin of the Members' page.
pub fn serve_page_from(config: &mut Config, origin: &str) {
    let chosen = Config::parse(&format!("origins = ['{origin}']")).unwrap();
    let before = std::mem::replace(config, chosen);
    (config.listen, config.data_dir, config.rates) = (before.listen, before.data_dir, before.rates);
}

#[tokio::test]
async fn d1_05_a_cookie_opens_a_socket_from_exactly_our_origins() {
    let ours = "https://trade.example.com";
    let world = World::configured(&[], |config| serve_page_from(config, ours)).await;
    let body = json!({"email": "alice@acme.test", "password": PASSWORD, "otp": code(0)}).to_string();
    let headers = [("Origin", ours), ("Content-Type", "application/json")];
    let (status, head, _) = http(world.address, "POST", "/session", &headers, &body).await;
    assert_eq!(status, 200, "{head}");
    let cookie = cookie(&head);
    let own = format!("http://{}", world.address);
    for origin in [
        "https://other.example",
        "null",
        "",
        "https://trade.example.com.evil.test",
        "https://evil-trade.example.com",
        "https://trade.example.com:8443",
        "http://trade.example.com",
        "https://TRADE.example.com",
        "https://trade.example.com/",
        "https://trade.example.com https://other.example",
        own.as_str(),
    ] {
        let refused = Client::open(world.address, &[("Cookie", cookie), ("Origin", origin)]).await.err();
        assert_eq!(refused.unwrap_or_else(|| panic!("{origin} was let in")).status, 403, "{origin}");
    }
    assert_eq!(Client::open(world.address, &[("Cookie", cookie)]).await.err().unwrap().status, 403, "no origin at all");
    Client::open(world.address, &[("Cookie", cookie), ("Origin", ours)]).await.unwrap();
}

#[tokio::test]
async fn d1_13_a_key_that_expires_takes_its_open_sockets_along() {
    // On a busy machine the sockets may not be open before the first end.
    for seconds in [10, 60] {
        let expiry = wall_clock().plus_us(seconds * 1_000_000);
        let soon = KeySettings { expires_at: Some(expiry), ..KeySettings::default() };
        let world = World::new(&[with(soon), key(ScopeSet::ALL)]).await;
        if seconds == 10 && wall_clock().plus_us(5_000_000) > expiry {
            continue;
        }
        let (mut following, mut still, mut bare) =
            (world.bot(1).await, world.bot(1).await, Client::bare(world.address).await);
        following.subscribe("executions").await;
        let token = token_of(world.address, (&api_key(1), &secret(1)), &next_nonce()).await["result"]["token"].take();
        bare.call("key_info", json!({"token": token})).await;
        // Whatever the sockets do, and however they were opened.
        for socket in [&mut following, &mut still, &mut bare] {
            assert_eq!(socket.closed().await, (4002, "key expired".to_owned()));
            assert!(wall_clock() >= expiry, "not before its time");
        }
        let error = Client::bare(world.address).await.refused("key_info", json!({"token": token})).await;
        assert!(error.starts_with("EGeneral:Permission denied"), "{error}");
        let refused = open(world.address, 1, wall_clock().0).await.err().unwrap();
        assert_eq!(refused.status, 403, "{refused:?}");
        world.bot(2).await.call("key_info", json!({})).await;
        return;
    }
}

/// Uses a nonce in a handshake or in a token call; returns whether it was accepted.
async fn accepted(address: SocketAddr, nonce: u64, in_handshake: bool) -> bool {
    let refused = match in_handshake {
        true => open(address, 1, nonce).await.err().map(|refused| refused.error),
        false => {
            let answer = token_of(address, (&api_key(1), &secret(1)), &nonce.to_string()).await;
            answer["error"][0].as_str().map(str::to_owned)
        }
    };
    assert!(refused.iter().all(|error| error.starts_with("EAPI:Invalid nonce")), "{nonce}: {refused:?}");
    refused.is_none()
}

/// Each nonce is used three times at once, in any order, with others. The server is killed before it has answered all,
/// again and again; what it did not acknowledge is sent again after the next start.
#[tokio::test]
async fn d2_17_a_nonce_is_accepted_once_in_handshakes_and_token_calls_and_never_again_after_a_kill() {
    const WINDOW: u64 = 64;
    const FIRST: u64 = 1_000;
    const KILLS: usize = 8;
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut dice = StdRng::seed_from_u64(seed);
    let window = KeySettings { nonce_window: WINDOW, ..KeySettings::default() };
    let (_world, settings) = handed_over(&[with(window)], "").await;
    // No two are further apart than the window, so each is valid whatever came before it.
    let mut captured: Vec<u64> = (FIRST..=FIRST + WINDOW).collect();
    captured.shuffle(&mut dice);
    let (mut acknowledged, mut tried) = (BTreeSet::new(), Vec::new());
    for (round, part) in captured.chunks(captured.len().div_ceil(KILLS + 1)).enumerate() {
        let server = Served::start(&settings, ("warn", Stdio::inherit())).await;
        let address = server.address;
        tried.extend(part);
        let mut tries = [&tried[..]; 3].concat();
        tries.shuffle(&mut dice);
        let wanted = if round < KILLS { acknowledged.len() + dice.random_range(1..4) } else { usize::MAX };
        let attempt = async |nonce: u64, in_handshake| (nonce, accepted(address, nonce, in_handshake).await);
        let attempts = tries.into_iter().map(|nonce| attempt(nonce, dice.random()));
        let mut answers = attempts.collect::<FuturesUnordered<_>>();
        while acknowledged.len() < wanted
            && let Some((nonce, good)) = answers.next().await
        {
            assert!(!good || acknowledged.insert(nonce), "{nonce} was accepted twice");
        }
        // The rest is under way.
        server.kill();
        // The nonces of the last part are new to the server.
        assert!(round < KILLS || part.iter().all(|nonce| acknowledged.contains(nonce)), "{acknowledged:?}");
    }
    let server = Served::start(&settings, ("warn", Stdio::inherit())).await;
    for nonce in captured.into_iter().chain([FIRST - 1]) {
        for in_handshake in [true, false] {
            assert!(!accepted(server.address, nonce, in_handshake).await, "{nonce} was accepted again, or is too low");
        }
    }
    assert!(accepted(server.address, FIRST + WINDOW + 1, true).await, "a new one is good");
}

#[tokio::test]
async fn d2_18_a_refused_nonce_says_what_to_use_and_never_locks_the_key() {
    let window = KeySettings { nonce_window: 64, ..KeySettings::default() };
    let world = World::new(&[key(ScopeSet::ALL), with(window)]).await;
    for (number, window, bad, good) in [(1, 0, 1..=1_000, [5_001, 5_002]), (2, 64, 4_836..=4_935, [4_936, 5_001])] {
        open(world.address, number, 5_000).await.unwrap();
        for nonce in bad {
            let refused = open(world.address, number, nonce).await.err().unwrap();
            assert_eq!(refused.status, 401, "not 429: the signature was right");
            let beginning = format!(
                "EAPI:Invalid nonce:nonce: use one above 5000, or unused within {window} below it; server time is "
            );
            let time = refused.error.strip_prefix(&beginning).unwrap_or_else(|| panic!("{refused:?}"));
            let apart = wall_clock().0.abs_diff(Moment::parse(time).unwrap().0);
            assert!(apart < 60_000_000, "{time}");
        }
        for nonce in good {
            open(world.address, number, nonce).await.unwrap();
            assert_eq!(open(world.address, number, nonce).await.err().unwrap().status, 401, "it is used");
        }
    }
}

/// A clock in seconds, one that is slow or fast, and one in nanoseconds.
#[tokio::test]
async fn d2_19_a_nonce_is_as_good_whatever_clock_it_was_read_from() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let (now, day) = (wall_clock().0, 86_400_000_000);
    for nonce in [now / 1_000_000, now - day, now + day, now * 1_000, u64::MAX] {
        open(world.address, 1, nonce).await.unwrap_or_else(|refused| panic!("{nonce}: {refused:?}"));
    }
}

#[tokio::test]
async fn d2_27_a_disabled_key_loses_all_its_sockets_within_a_second() {
    const SOCKETS: usize = 100;
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let mut sockets = Vec::new();
    for _ in 0..SOCKETS {
        sockets.push(world.bot(1).await);
    }
    let mut alice = world.member("alice").await;
    alice.call("edit_service_user", json!({"service_user_id": "SVC1", "disabled": true, "otp": code(1)})).await;
    for socket in &mut sockets {
        assert_eq!(socket.closed().await.0, 4001);
    }
    let (_, _, metrics) = http(world.address, "GET", "/metrics", &[], "").await;
    let within_a_second = format!("countersign_revocation_seconds_bucket{{le=\"1\"}} {SOCKETS}\n");
    assert!(metrics.contains(&within_a_second), "{metrics}");
}

#[tokio::test]
async fn rule_8_an_edit_that_ends_no_right_leaves_the_socket_and_its_channels() {
    let world = World::new(&[key(ScopeSet::of(&[Scope::Query, Scope::ModifyOrders, Scope::QueryOpenOrders]))]).await;
    let (mut alice, mut bot) = (world.member("alice").await, world.bot(1).await);
    for channel in ["executions", "balances", "deposits"] {
        bot.subscribe(channel).await;
    }
    let later = wall_clock().plus_us(3_600_000_000).to_string();
    let all = json!({"name": "Renamed", "scopes": ["query", "query_open_orders", "cancel_orders", "deposit"],
        "settings": {"expires_at": later, "query_end": later, "nonce_window": 5, "ip_allowlist": ["127.0.0.0/8"],
        "on_stop": "keep", "cancel_on_disconnect": true}});
    let none = json!({"settings": {"expires_at": null, "query_end": null, "ip_allowlist": []}});
    for (steps, mut params) in (0..).zip([all, none]) {
        (params["service_user_id"], params["otp"]) = (json!("SVC1"), json!(code(steps)));
        assert_eq!(alice.call("edit_service_user", params).await["state"], "executed");
        // The next message is judged by the new rights.
        let error = bot
            .refused(
                "add_order",
                json!({"order_type": "limit", "side": "buy", "symbol": "BTC/USD",
            "order_qty": 1, "limit_price": 10}),
            )
            .await;
        assert_eq!(error, "EGeneral:Permission denied");
        assert_eq!(bot.call("cancel_all", json!({})).await["count"], 0);
        for channel in ["executions", "balances", "deposits"] {
            assert_eq!(bot.refused("subscribe", json!({"channel": channel})).await, "Already subscribed");
        }
    }
    assert_eq!(bot.call("key_info", json!({})).await["service_user"], "Renamed");
}

#[tokio::test]
async fn rule_1_a_handshake_is_signed_for_its_path_whatever_the_query_string() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    for (signed, status) in [("/v2", 101), ("/v2?from=here", 401), ("/", 401)] {
        let nonce = next_nonce();
        let sign = Signed { path: signed, nonce: &nonce, body: b"" }.sign(&secret(1));
        let upgrade = [("connection", "Upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13")];
        let proof = [("api-key", api_key(1)), ("api-nonce", nonce), ("api-sign", sign)];
        let headers = upgrade.into_iter().chain([("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")]);
        let headers = headers.chain(proof.iter().map(|(name, value)| (*name, value.as_str())));
        let headers: String = headers.map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let mut socket = TcpStream::connect(world.address).await.unwrap();
        let request = format!("GET /v2?from=here HTTP/1.1\r\nhost: {}\r\n{headers}\r\n", world.address);
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        socket.read_exact(&mut answer).await.unwrap();
        assert_eq!(std::str::from_utf8(&answer).unwrap(), format!("HTTP/1.1 {status}"), "{signed}");
    }
}

/// Rules 5 and 8, for sockets that a signature opened and that a token bound.
#[tokio::test]
async fn d2_27_a_key_that_stops_is_told_why_and_neither_its_signature_nor_its_tokens_serve_any_more() {
    let (world, mut governors) = Governors::with(&vec![key(ScopeSet::ALL); 3]).await;
    let past = wall_clock().minus_us(1).to_string();
    let expires = json!({"expires_at": past});
    let denied = "EGeneral:Permission denied:api_key: the key ";
    for (number, change, close, error) in [
        (1, json!({}), (4001, "key removed"), "EAPI:Invalid key".to_owned()),
        (2, json!({"disabled": true}), (4001, "key disabled"), format!("{denied}is disabled")),
        (3, json!({"settings": expires}), (4002, "key expired"), format!("{denied}has expired")),
    ] {
        let token = async || token_of(world.address, (&api_key(number), &secret(number)), &next_nonce()).await;
        let [used, unused] = [token().await["result"]["token"].take(), token().await["result"]["token"].take()];
        let (mut signed, mut bound) = (world.bot(number).await, Client::bare(world.address).await);
        signed.subscribe("executions").await;
        bound.call("key_info", json!({"token": used})).await;
        let method = if number == 1 { "remove_service_user" } else { "edit_service_user" };
        let mut params = change;
        params["service_user_id"] = json!(format!("SVC{number}"));
        governors.act(method, params).await;
        for socket in [&mut signed, &mut bound] {
            assert_eq!(socket.closed().await, (close.0, close.1.to_owned()));
        }
        let mut bare = Client::bare(world.address).await;
        for token in [used, unused] {
            let order = json!({"order_type": "limit", "side": "buy", "symbol": "BTC/USD", "order_qty": 1,
                "limit_price": 10, "token": token});
            let stream = json!({"channel": "executions", "token": token});
            for (method, params) in [("key_info", json!({"token": token})), ("add_order", order), ("subscribe", stream)]
            {
                assert_eq!(bare.refused(method, params).await, error, "{method}");
            }
        }
        let bare_code = error.splitn(3, ':').take(2).collect::<Vec<_>>().join(":");
        assert_eq!(token().await, json!({"error": [bare_code]}));
        let refused = open(world.address, number, wall_clock().0).await.err().unwrap();
        assert_eq!((refused.status, refused.error), (if number == 1 { 401 } else { 403 }, error));
    }
}

#[tokio::test]
async fn d2_27_a_suspended_and_a_signed_out_member_lose_all_their_sockets_within_a_second() {
    const SOCKETS: usize = 20;
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let mut alice = world.member("alice").await;
    let (mut bobs, mut carols) = (Vec::new(), Vec::new());
    let bob = Client::sign_in(world.address, "bob@acme.test", 0).await;
    let carol = Client::sign_in(world.address, "carol@acme.test", 0).await;
    for _ in 0..SOCKETS {
        bobs.push(Client::with_cookie(world.address, &bob).await.unwrap());
        carols.push(Client::with_cookie(world.address, &carol).await.unwrap());
    }
    let suspend = json!({"member_id": "MEM2", "suspended": true, "strand_pending": true, "otp": code(0)});
    alice.call("edit_member", suspend).await;
    let origin = format!("http://{}", world.address);
    let headers = [("Cookie", carol.as_str()), ("Origin", origin.as_str())];
    assert_eq!(http(world.address, "DELETE", "/session", &headers, "").await.0, 200);
    let suspended = "session ended: you were suspended, reset or removed; ask a Member who manages access";
    for (sockets, reason) in [(bobs, suspended), (carols, "session ended")] {
        for mut socket in sockets {
            assert_eq!(socket.closed().await, (4005, reason.to_owned()));
        }
    }
    for cookie in [bob, carol] {
        assert_eq!(Client::with_cookie(world.address, &cookie).await.err().unwrap().status, 401);
    }
    let (_, _, metrics) = http(world.address, "GET", "/metrics", &[], "").await;
    let within_a_second = format!("countersign_revocation_seconds_bucket{{le=\"1\"}} {}\n", 2 * SOCKETS);
    assert!(metrics.contains(&within_a_second), "{metrics}");
}

/// The first bot, which trades until it is closed, once `watcher` has seen that it does.
async fn watched_trading(world: &World, watcher: &mut Client) -> JoinHandle<()> {
    watcher.subscribe("executions").await;
    let bot = world.bot(1).await;
    let trading = tokio::spawn(async { drop(trade_until_closed(bot, 1).await) });
    for _ in 0..20 {
        watcher.item("executions", |item| item["exec_type"] == "new").await;
    }
    trading
}

#[tokio::test]
async fn d2_27_what_a_disabled_key_had_under_way_is_dropped() {
    let world = World::new(&[key(ScopeSet::ALL), key(ScopeSet::ALL)]).await;
    let (mut watcher, mut alice) = (world.bot(2).await, world.member("alice").await);
    let trading = watched_trading(&world, &mut watcher).await;
    alice.call("edit_service_user", json!({"service_user_id": "SVC1", "disabled": true, "otp": code(0)})).await;
    soon("end of its socket", trading).await.unwrap();
    assert_eq!(watcher.call("open_orders", json!({})).await["orders"], json!([]));
    let frames = watcher.kept();
    let items =
        frames.iter().filter(|frame| frame["channel"] == "executions").flat_map(|frame| frame["data"].as_array());
    let kinds: Vec<&str> = items.flatten().map(|item| item["exec_type"].as_str().unwrap()).collect();
    let stopped = kinds.iter().position(|kind| *kind == "canceled").unwrap();
    assert!(kinds[stopped..].iter().all(|kind| *kind == "canceled"), "{kinds:?}");
}

#[tokio::test]
async fn d1_12_a_key_that_may_not_use_websockets_any_more_loses_the_socket_it_trades_on_and_gets_no_other() {
    let world = World::new(&[key(ScopeSet::ALL), key(ScopeSet::ALL)]).await;
    let (mut watcher, mut alice) = (world.bot(2).await, world.member("alice").await);
    let trading = watched_trading(&world, &mut watcher).await;
    let off = json!({"service_user_id": "SVC1", "settings": {"allow_websocket": false}, "otp": code(0)});
    assert_eq!(alice.call("edit_service_user", off).await["state"], "executed");
    soon("end of its socket", trading).await.unwrap();
    let text = metrics(world.address).await;
    assert_eq!(value(&text, "countersign_sockets_closed_total{code=\"4003\"}"), 1);
    let refused = open(world.address, 1, wall_clock().0).await.err().unwrap();
    assert_eq!(refused.status, 403, "{refused:?}");
    assert!(refused.error.contains("Allow WebSocket"), "{refused:?}");
    watcher.call("key_info", json!({})).await;
}
