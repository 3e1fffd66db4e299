//! The checklist's items that need a server and have no other place: origins, expiry under open sockets, replayed
//! nonces, the time that a revocation takes.

use countersign::access::key::KeySettings;
use countersign::access::scope::ScopeSet;
use countersign::config::Config;
use countersign::domain::time::Moment;
use countersign::gateway::credentials::Signed;
use countersign::server::wall_clock;
use serde_json::json;

use super::client::{Client, PASSWORD, Refused, code, http};
use super::faults::trade_until_closed;
use super::world::{World, api_key, key, secret, with};

/// A handshake of key 1 with this nonce.
async fn open(world: &World, nonce: u64) -> Result<Client, Refused> {
    let (nonce, name) = (nonce.to_string(), api_key(1));
    let sign = Signed::handshake(&nonce).sign(&secret(1));
    Client::open(world.address, &[("API-Key", &name), ("API-Nonce", &nonce), ("API-Sign", &sign)]).await
}

#[tokio::test]
async fn d1_05_a_cookie_opens_a_socket_from_exactly_our_origins() {
    let world = World::configured(&[], |config| {
        let chosen = Config::parse("origins = ['https://trade.example.com']").unwrap();
        let ours = std::mem::replace(config, chosen);
        (config.listen, config.data_dir, config.rates) = (ours.listen, ours.data_dir, ours.rates);
    })
    .await;
    let ours = "https://trade.example.com";
    let body = json!({"email": "alice@acme.test", "password": PASSWORD, "otp": code(0)}).to_string();
    let headers = [("Origin", ours), ("Content-Type", "application/json")];
    let (status, head, _) = http(world.address, "POST", "/session", &headers, &body).await;
    assert_eq!(status, 200, "{head}");
    let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap().split(';').next().unwrap();
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
    let soon = KeySettings { expires_at: Some(wall_clock().plus_us(4_000_000)), ..KeySettings::default() };
    let world = World::new(&[with(soon), key(ScopeSet::ALL)]).await;
    let mut bot = world.bot(1).await;
    bot.subscribe("executions").await;
    assert_eq!(bot.closed().await, (4002, "key expired".to_owned()));
    let refused = open(&world, wall_clock().0).await.err().unwrap();
    assert_eq!(refused.status, 403, "{refused:?}");
    world.bot(2).await.call("key_info", json!({})).await;
}

#[tokio::test]
async fn d2_17_no_captured_handshake_is_accepted_again_on_any_socket_or_after_a_restart() {
    let window = KeySettings { nonce_window: 64, ..KeySettings::default() };
    let mut world = World::new(&[with(window)]).await;
    // In an order of its own, each within the window of the highest so far; every one twice at the same time.
    let captured: Vec<u64> = (0..48).map(|n| 1_000 + n * 29 % 48).collect();
    for nonce in &captured {
        let (one, two) = tokio::join!(open(&world, *nonce), open(&world, *nonce));
        assert_ne!(one.is_ok(), two.is_ok(), "{nonce} was accepted twice or never");
    }
    for restart in [false, true] {
        if restart {
            world.restart().await;
        }
        for nonce in &captured {
            let refused = open(&world, *nonce).await.err().unwrap_or_else(|| panic!("{nonce} was accepted again"));
            assert!(refused.error.starts_with("EAPI:Invalid nonce"), "{refused:?}");
        }
    }
    open(&world, 2_000).await.unwrap();
}

#[tokio::test]
async fn d2_18_a_refused_nonce_says_what_to_use_and_never_locks_the_key() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    open(&world, 5_000).await.unwrap();
    for nonce in 1..=300 {
        let refused = open(&world, nonce).await.err().unwrap();
        assert_eq!(refused.status, 401, "not 429: the signature was right");
        let told = "EAPI:Invalid nonce:nonce: use one above 5000, or unused within 0 below it; server time is ";
        let time = refused.error.strip_prefix(told).unwrap_or_else(|| panic!("{refused:?}"));
        let apart = wall_clock().0.abs_diff(Moment::parse(time).unwrap().0);
        assert!(apart < 60_000_000, "{time}");
    }
    open(&world, 5_001).await.unwrap();
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
    for socket in bobs.iter_mut().chain(&mut carols) {
        assert_eq!(socket.closed().await.0, 4005);
    }
    for cookie in [bob, carol] {
        assert_eq!(Client::with_cookie(world.address, &cookie).await.err().unwrap().status, 401);
    }
    let (_, _, metrics) = http(world.address, "GET", "/metrics", &[], "").await;
    let within_a_second = format!("countersign_revocation_seconds_bucket{{le=\"1\"}} {}\n", 2 * SOCKETS);
    assert!(metrics.contains(&within_a_second), "{metrics}");
}

#[tokio::test]
async fn d2_27_what_a_disabled_key_had_under_way_is_dropped() {
    let world = World::new(&[key(ScopeSet::ALL), key(ScopeSet::ALL)]).await;
    let (mut watcher, mut alice) = (world.bot(2).await, world.member("alice").await);
    watcher.subscribe("executions").await;
    let trading = tokio::spawn(trade_until_closed(world.bot(1).await, 1));
    for _ in 0..20 {
        watcher.item("executions", |item| item["exec_type"] == "new").await;
    }
    alice.call("edit_service_user", json!({"service_user_id": "SVC1", "disabled": true, "otp": code(0)})).await;
    let (sent, answers) = trading.await.unwrap();
    let accepted = answers.values().filter(|answer| answer["success"] == true).count();
    assert!(accepted < sent, "{accepted} of {sent}");
    assert_eq!(watcher.call("open_orders", json!({})).await["orders"], json!([]));
    let told = watcher.kept();
    let items = told.iter().filter(|frame| frame["channel"] == "executions").flat_map(|frame| frame["data"].as_array());
    let kinds: Vec<&str> = items.flatten().map(|item| item["exec_type"].as_str().unwrap()).collect();
    let stopped = kinds.iter().position(|kind| *kind == "canceled").unwrap();
    assert!(kinds[stopped..].iter().all(|kind| *kind == "canceled"), "{kinds:?}");
}
