//! What the operator sees: `/metrics`, `/healthz`, the log, and which parts must never contain a secret.

use std::fs::Permissions;
use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use countersign::access::scope::ScopeSet;
use countersign::config::Config;
use countersign::domain::ids::Seq;
use countersign::gateway::credentials::decode_secret;
use countersign::gateway::secrets::MasterKey;
use countersign::server::{Plan, Server, wall_clock};
use countersign::storage::Storage;
use countersign::storage::head::read_head;
use serde_json::{Value, json};

use super::client::{Client, ballot, code, code_of, cookie, http, limit, next_nonce, soon};
use super::exports::{link, ordered, processed};
use super::served::Served;
use super::settings::token_of;
use super::world::{MASTER, Wanted, World, genesis, key};

pub async fn metrics(address: SocketAddr) -> String {
    let (status, _, text) = http(address, "GET", "/metrics", &[], "").await;
    assert_eq!(status, 200);
    text
}

/// The value of a series, by its name with labels.
pub fn value(metrics: &str, series: &str) -> u64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{series} is not in\n{metrics}")).parse().unwrap()
}

#[tokio::test]
async fn metrics_count_what_happens_and_every_documented_one_is_there() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let mut bot = world.bot(1).await;
    let bare = Client::bare(world.address).await;
    let order = limit("buy", 1, 10);
    bot.call("add_order", order.clone()).await;
    let mut too_much = order;
    too_much["order_qty"] = json!(99_999_999);
    bot.refused("add_order", too_much).await;
    bot.send("{").await;
    bot.call("key_info", json!({})).await;
    Client::signed(world.address, "nobody", b"secret").await.err().unwrap();
    let half = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")];
    for (method, path, headers, status) in [
        ("POST", "/0/private/GetWebSocketsToken", &[][..], 200),
        ("GET", "/v2", &half[..], 400),
        ("GET", "/v2", &[][..], 426),
    ] {
        assert_eq!(http(world.address, method, path, headers, "").await.0, status);
    }

    let text = metrics(world.address).await;
    for (series, expected) in [
        ("countersign_orders_accepted_total", 1),
        ("countersign_commands_refused_total{code=\"EOrder:Insufficient funds (insufficient user funds)\"}", 1),
        ("countersign_messages_malformed_total", 1),
        ("countersign_sockets{kind=\"service_user\"}", 1),
        ("countersign_sockets{kind=\"public\"}", 1),
        ("countersign_handshakes_refused_total{status=\"401\"}", 2),
        ("countersign_handshakes_refused_total{status=\"400\"}", 1),
        ("countersign_handshakes_refused_total{status=\"0\"}", 1),
        ("countersign_send_queue_bytes", 0),
        ("countersign_revocation_seconds_count", 0),
    ] {
        assert_eq!(value(&text, series), expected, "{series}");
    }
    assert!(value(&text, "countersign_data_bytes{file=\"journal.db\"}") > 0);
    let stamp = value(&text, "countersign_journal_head_seconds");
    assert!(wall_clock().0 / 1_000_000 - stamp < 60, "{stamp} is now");
    let head = value(&text, "countersign_journal_head_offset");
    for stage in ["queue", "engine", "journal", "release"] {
        assert!(value(&text, &format!("countersign_stage_seconds_count{{stage=\"{stage}\"}}")) >= 2, "{stage}");
    }
    let documented = std::fs::read_to_string("docs/operations.md").unwrap();
    let mut rows = 0;
    for name in documented.lines().filter_map(|line| line.strip_prefix("| `countersign_")?.split('`').next()) {
        assert!(text.contains(&format!("# TYPE countersign_{name} ")), "countersign_{name} is documented only");
        rows += 1;
    }
    assert!(rows > 20, "{rows}");
    drop(bare);
    let mut alice = world.member("alice").await;
    alice.call("edit_service_user", json!({"service_user_id": "SVC1", "disabled": true, "otp": code(1)})).await;
    assert_eq!(bot.closed().await.0, 4001);
    let text = metrics(world.address).await;
    assert_eq!(value(&text, "countersign_revocation_seconds_count"), 1);
    assert_eq!(value(&text, "countersign_sockets_closed_total{code=\"4001\"}"), 1);
    assert_eq!(value(&text, "countersign_sockets{kind=\"service_user\"}"), 0);
    let mut world = world;
    world.restart().await;
    let text = metrics(world.address).await;
    assert!(value(&text, "countersign_journal_head_offset") > head, "a start knows where the journal ends");
    assert!(value(&text, "countersign_journal_head_seconds") >= stamp);
    assert!(value(&text, "countersign_data_bytes{file=\"snapshots\"}") > 0);
}

/// A server process on a directory of `init`'s, with its log in a file, and the first venue key and its secret.
pub async fn serve(dir: &Path) -> (Served, (String, String)) {
    serve_as(dir, &[]).await
}

/// The same, with arguments to `init`.
async fn serve_as(dir: &Path, arguments: &[&str]) -> (Served, (String, String)) {
    let mut init = Command::new(env!("CARGO_BIN_EXE_countersign"));
    let made = init.arg("init").arg("--dir").arg(dir).args(arguments).output().unwrap();
    let made = String::from_utf8(made.stdout).unwrap();
    let shown = |name: &str| {
        let line = made.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().to_owned()
    };
    let settings = dir.join("countersign.toml");
    let text = std::fs::read_to_string(&settings).unwrap();
    let text = text.replace("127.0.0.1:8080", "127.0.0.1:0").replace("format = \"text\"", "format = \"json\"");
    std::fs::write(&settings, text).unwrap();
    let log = std::fs::File::create(dir.join("log")).unwrap();
    (
        Served::start(&settings, ("trace,tungstenite::protocol=trace", log.into())).await,
        (shown("venue key"), shown("secret")),
    )
}

/// The data of a stopped world with these keys, and a settings file for a process that continues with them.
pub async fn handed_over(keys: &[Wanted], limits: &str) -> (World, PathBuf) {
    let mut world = World::configured(keys, |config| config.data_dir.push("data")).await;
    world.stop().await;
    world.unlocked().await;
    let (master, settings) = (world.dir().join("master.key"), world.dir().join("countersign.toml"));
    std::fs::write(&master, MASTER).unwrap();
    std::fs::set_permissions(&master, Permissions::from_mode(0o600)).unwrap();
    let text = format!("listen = '127.0.0.1:0'\n[rates]\ntier = 'unlimited'\n[limits]\n{limits}");
    std::fs::write(&settings, text).unwrap();
    (world, settings)
}

/// What was shown to those without a right to a secret, and the secrets.
#[derive(Default)]
struct Canaries {
    shown: String,
    secrets: Vec<String>,
}

impl Canaries {
    fn secret(&mut self, text: impl Into<String>) -> String {
        self.secrets.push(text.into());
        self.secrets.last().unwrap().clone()
    }

    /// Posts and keeps the answer: status and body.
    async fn post(&mut self, address: SocketAddr, path: &str, body: Value) -> (u16, String, Value) {
        let origin = format!("http://{address}");
        let headers = [("Origin", origin.as_str()), ("Content-Type", "application/json")];
        let (status, head, body) = http(address, "POST", path, &headers, &body.to_string()).await;
        if status != 200 {
            self.shown += &format!("{head}\n{body}\n");
        }
        (status, head, serde_json::from_str(&body).unwrap_or_default())
    }
}

/// An invited Member sets password and second factor, signs in and opens a socket; returns it and the factor's secret.
async fn joined(address: SocketAddr, invited: &Value, email: &str, canaries: &mut Canaries) -> (Client, String) {
    let path = format!("/invitations/{}", canaries.secret(invited["invitation"].as_str().unwrap()));
    let password = canaries.secret(format!("canary password of {email}"));
    let short = canaries.secret("shortcana");
    assert_eq!(canaries.post(address, &path, json!({"password": short})).await.0, 400);
    let (_, _, answer) = canaries.post(address, &path, json!({"password": password})).await;
    let totp = canaries.secret(answer["totp_secret"].as_str().unwrap());
    assert_eq!(canaries.post(address, &path, json!({"otp": code_of(&totp, 0)})).await.0, 200);
    let wrong = canaries.secret("canary password of nobody");
    let sign_in = |password: &str| json!({"email": email, "password": password, "otp": code_of(&totp, 1)});
    assert_eq!(canaries.post(address, "/session", sign_in(&wrong)).await.0, 401);
    let (status, head, _) = canaries.post(address, "/session", sign_in(&password)).await;
    assert_eq!(status, 200, "{head}");
    let cookie = cookie(&head);
    canaries.secret(cookie.split_once('=').unwrap().1);
    (Client::with_cookie(address, cookie).await.unwrap(), totp)
}

/// A change that Dora asks for and Emil approves: the key and the secret that Dora claims.
async fn claimed(
    [(dora, dora_totp), (emil, emil_totp)]: &mut [(Client, String); 2],
    (method, params, steps): (&str, Value, i64),
    canaries: &mut Canaries,
) -> (String, Vec<u8>) {
    let request = dora.call(method, params).await;
    emil.call("approve", json!({"requests": ballot(&request), "otp": code_of(emil_totp, steps)})).await;
    let claim = json!({"request_id": request["request_id"], "otp": code_of(dora_totp, steps)});
    let claimed = dora.call("claim_secret", claim).await;
    let secret = canaries.secret(claimed["api_secret"].as_str().unwrap());
    (claimed["api_key"].as_str().unwrap().to_owned(), decode_secret(&secret).unwrap().to_vec())
}

/// Secrets that are shown once: those of a created and of a rotated key, a token, the link of an export.
async fn issued(address: SocketAddr, mut members: [(Client, String); 2], canaries: &mut Canaries) {
    let params = json!({"name": "Bot", "scopes": ["export_data"]});
    let (api_key, secret) = claimed(&mut members, ("create_service_user", params, 0), canaries).await;
    let mut bot = Client::signed(address, &api_key, &secret).await.unwrap();
    let token = token_of(address, (&api_key, &secret), &next_nonce()).await;
    let token = canaries.secret(token["result"]["token"].as_str().unwrap());
    Client::bare(address).await.call("key_info", json!({"token": token})).await;
    let export = ordered(&mut bot, json!({"report": "ledgers", "format": "csv"})).await;
    processed(&mut bot, &export).await;
    let url = link(&mut bot, &export).await;
    canaries.secret(url.rsplit('/').next().unwrap());
    assert_eq!(http(address, "GET", &url, &[], "").await.0, 200);
    let (status, head, body) = http(address, "GET", &url, &[], "").await;
    assert_eq!(status, 404, "a link serves once");
    canaries.shown += &format!("{head}\n{body}\n");

    bot.refused("get_balances", json!({})).await;
    let id = bot.call("key_info", json!({})).await["service_user_id"].take();
    let params = json!({"service_user_id": id});
    let (api_key, secret) = claimed(&mut members, ("rotate_service_user_key", params, 1), canaries).await;
    Client::signed(address, &api_key, &secret).await.unwrap();
    for method in ["audit_log", "service_users", "requests"] {
        canaries.shown += &members[0].0.call(method, json!({})).await.to_string();
    }
}

/// Two Members join and have secrets made; others fail at each step, with data that must not be logged.
async fn lives(address: SocketAddr, (api_key, secret): &(String, String), canaries: &mut Canaries) {
    canaries.secret(secret);
    let mut venue = Client::signed(address, api_key, &decode_secret(secret).unwrap()).await.unwrap();
    let members = json!([{"name": "Dora", "email": "dora@new.test"}, {"name": "Emil", "email": "emil@new.test"}]);
    let made = venue.call("create_organization", json!({"name": "New", "members": members})).await;
    let [dora, emil] = [&made["members"][0], &made["members"][1]];
    for member in [dora, emil] {
        venue.call("set_kyc", json!({"member_id": member["member_id"], "kyc": "verified"})).await;
    }
    let dora = joined(address, dora, "dora@new.test", canaries).await;
    let emil = joined(address, emil, "emil@new.test", canaries).await;
    issued(address, [dora, emil], canaries).await;

    let forged = canaries.secret("Y2FuYXJ5IHNpZ25hdHVyZQ==");
    let misplaced = canaries.secret("Y2FuYXJ5IHNlY3JldA==");
    for key in [api_key.as_str(), misplaced.as_str()] {
        let nonce = next_nonce();
        let headers = [("API-Key", key), ("API-Nonce", nonce.as_str()), ("API-Sign", forged.as_str())];
        canaries.shown += &Client::open(address, &headers).await.err().unwrap().error;
    }
    let foreign = [("Cookie", "countersign_session=canarycookie"), ("Origin", "http://evil.test")];
    canaries.secret("canarycookie");
    canaries.shown += &Client::open(address, &foreign).await.err().unwrap().error;
    let token = canaries.secret("canarytoken");
    let mut bare = Client::bare(address).await;
    canaries.shown += &bare.refused("key_info", json!({"token": token})).await;
    canaries.shown += &bare.refused("key_info", json!({"token": token, "nothing": token})).await;
    canaries.shown += &metrics(address).await;
}

/// Every file under a directory.
fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let (inner, plain): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let read = |path: std::path::PathBuf| (path.display().to_string(), std::fs::read(path).unwrap());
    plain.into_iter().map(read).chain(inner.iter().flat_map(|dir| files(dir))).collect()
}

#[tokio::test]
async fn d1_09_and_d2_25_no_secret_is_in_log_metrics_errors_or_data_and_d7_82_lines_tell_who_from_where_and_why() {
    let dir = tempfile::tempdir().unwrap();
    let (mut server, key) = serve(dir.path()).await;
    let mut canaries = Canaries::default();
    canaries.secret(std::fs::read_to_string(dir.path().join("master.key")).unwrap().trim());
    lives(server.address, &key, &mut canaries).await;
    // A stop that is noticed first would close it.
    let gone = async { while value(&metrics(server.address).await, "countersign_sockets{kind=\"venue\"}") > 0 {} };
    soon("end of the venue's socket", gone).await;
    server.terminate();
    assert!(server.ended().await.success());

    let mut log = String::new();
    std::fs::File::open(dir.path().join("log")).unwrap().read_to_string(&mut log).unwrap();
    let files = files(&dir.path().join("data"));
    for secret in &canaries.secrets {
        let decoded = decode_secret(secret).unwrap_or_default();
        for (file, bytes) in &files {
            let has = |needle: &[u8]| needle.len() > 8 && bytes.windows(needle.len()).any(|window| window == needle);
            assert!(!has(secret.as_bytes()) && !has(&decoded), "{file} has {secret}");
        }
        assert!(!log.contains(secret), "the log has {secret}: {log}");
        assert!(!canaries.shown.contains(secret), "{secret} is told in {}", canaries.shown);
    }
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let lines_of = |message: &str, who: &str| -> Vec<&Value> {
        lines.iter().filter(|line| line["message"] == message && line["who"] == who).collect()
    };
    let [opened] = lines_of("socket opened", "VEN1")[..] else { panic!("one socket of the venue's: {log}") };
    assert_eq!((&opened["peer"], &opened["level"]), (&json!("127.0.0.1"), &json!("INFO")));
    let [bound] = lines_of("socket bound", "VEN1")[..] else { panic!("bound once: {log}") };
    assert_eq!(bound["connection"], opened["connection"]);
    let [closed] = lines_of("socket closed", "VEN1")[..] else { panic!("its end: {log}") };
    assert_eq!((&closed["connection"], &closed["code"]), (&opened["connection"], &json!(1006)));
    assert_eq!((&closed["reason"], closed["seconds"].is_u64()), (&json!("the client left"), true));
    let [member] = lines_of("socket opened", "MEM1")[..] else { panic!("one socket of Dora's: {log}") };
    assert!(member["origin"].as_str().unwrap().starts_with("http://127.0.0.1:"), "{member}");
    let [refused] = lines_of("refused", "SVC1")[..] else { panic!("what a key may not do: {log}") };
    assert!(refused["error"].as_str().unwrap().contains("Permission denied"), "{refused}");
    let refused = [lines_of("authentication refused", "VEN1"), lines_of("authentication refused", "public")].concat();
    let why: Vec<&str> = refused.iter().map(|line| line["error"].as_str().unwrap()).collect();
    for (status, error) in
        [(401, "EAPI:Invalid signature"), (401, "EAPI:Invalid key"), (403, "origin"), (401, "e-mail")]
    {
        let found = refused.iter().any(|line| {
            line["status"] == status && line["error"].as_str().unwrap().contains(error) && line["peer"] == "127.0.0.1"
        });
        assert!(found, "{status} {error} is not among {why:?}");
    }
    assert!(refused.iter().any(|line| line["origin"] == "http://evil.test"), "{refused:?}");
}

/// Nobody needs a key to be refused, and a request's head may be long.
#[tokio::test]
async fn d7_82_who_is_refused_again_and_again_does_not_fill_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let (mut server, _) = serve(dir.path()).await;
    let mut bare = Client::bare(server.address).await;
    for _ in 0..3 {
        bare.refused("key_info", json!({"token": "none"})).await;
    }
    let origin = format!("http://{}.test", "e".repeat(5_000));
    let headers = [("Cookie", "countersign_session=none"), ("Origin", origin.as_str())];
    for _ in 0..200 {
        assert_eq!(Client::open(server.address, &headers).await.err().unwrap().status, 403);
    }
    Client::open(server.address, &headers[1..]).await.unwrap();
    server.terminate();
    assert!(server.ended().await.success());
    let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let count = |level: &str, message: &str| {
        lines.iter().filter(|line| line["level"] == level && line["message"] == message).count()
    };
    let refused = ["INFO", "DEBUG"].map(|level| count(level, "authentication refused"));
    assert_eq!(refused, [100, 101]);
    let tokens =
        lines.iter().filter(|line| line["error"].as_str().unwrap_or_default().starts_with("EAPI:Invalid token"));
    assert_eq!(tokens.count(), 1, "a socket's tokens once");
    assert_eq!(count("INFO", "further refusals from this address are not logged"), 1);
    let origins: Vec<&str> =
        lines.iter().filter_map(|line| line["origin"].as_str()).filter(|origin| !origin.is_empty()).collect();
    assert!(origins.iter().all(|kept| kept.chars().count() == 256 && origin.starts_with(kept)), "{origins:?}");
    assert_eq!(origins.len(), 201, "that of the open socket among them");
}

#[tokio::test]
async fn rule_35_a_halt_and_its_end_are_in_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let (mut server, (api_key, generated)) = serve(dir.path()).await;
    let mut venue = Client::signed(server.address, &api_key, &decode_secret(&generated).unwrap()).await.unwrap();
    venue.call("halt", json!({"reason": "drill"})).await;
    venue.call("resume", json!({})).await;
    server.terminate();
    assert!(server.ended().await.success());
    let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let entries = lines.filter(|line| line["message"].as_str().unwrap_or_default().starts_with("the venue "));
    let entries: Vec<Value> = entries.map(|line| json!([line["level"], line["message"], line["reason"]])).collect();
    assert_eq!(entries, [json!(["ERROR", "the venue is halted", "drill"]), json!(["INFO", "the venue resumed", null])]);
}

#[tokio::test]
async fn snapshots_and_dashboards_stand_back_for_those_that_trade() {
    let dir = tempfile::tempdir().unwrap();
    let (server, _) = serve(dir.path()).await;
    let threads = server.nice_values();
    let nice =
        |name: &str| threads.iter().find(|(of, _)| of == name).unwrap_or_else(|| panic!("{name}: {threads:?}")).1;
    for (name, nicer) in [("sequencer", 0), ("shadow", 10), ("dashboards", 10)] {
        assert_eq!(nice(name), (nice("countersign") + nicer).min(19), "{name}: {threads:?}");
    }
}

/// A log damaged at its end can hide only the loss of what was acknowledged since the head file was written.
#[tokio::test]
async fn d6_69_the_head_file_follows_the_journal_within_seconds() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let mut bot = world.bot(1).await;
    for _ in 0..2 {
        bot.call("add_order", limit("buy", 1, 10)).await;
        let offset = value(&metrics(world.address).await, "countersign_journal_head_offset");
        let file = world.dir().join("head");
        let followed = async {
            // Each check waits for an answer of the server.
            while read_head(&file).unwrap().is_none_or(|head| Seq(head.seq).snapshot_offset() < offset) {
                bot.call("key_info", json!({})).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), followed).await.expect("the head file follows");
    }
}

/// The scraper has a copy of the head, with which `verify` detects a truncated journal.
#[tokio::test]
async fn rule_47_metrics_have_the_head_that_is_in_the_head_file() {
    let world = World::new(&[]).await;
    let file = world.dir().join("head");
    let both = async {
        loop {
            // Each check waits for an answer of the server.
            let text = metrics(world.address).await;
            let line = text.lines().find(|line| line.starts_with("countersign_journal_head_info{")).map(str::to_owned);
            if let Some((line, head)) = line.zip(read_head(&file).unwrap()) {
                return (line, head);
            }
        }
    };
    let (line, head) = tokio::time::timeout(Duration::from_secs(20), both).await.expect("a head");
    let (seq, digest) = (head.seq, hex::encode(head.chain));
    assert_eq!(line, format!("countersign_journal_head_info{{seq=\"{seq}\",digest=\"{digest}\"}} 1"));
}

#[tokio::test]
async fn an_empty_rust_log_is_none() {
    let (dir, settings) = (tempfile::tempdir().unwrap(), "countersign.toml");
    let (server, _) = serve(dir.path()).await;
    drop(server);
    let log = std::fs::File::create(dir.path().join("log")).unwrap();
    let mut server = Served::start(&dir.path().join(settings), ("", log.into())).await;
    server.terminate();
    assert!(server.ended().await.success());
    let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
    assert!(log.contains(r#""level":"INFO""#) && !log.contains("DEBUG"), "{log}");
}

#[tokio::test]
async fn rule_36_the_venue_key_is_bound_to_the_networks_that_init_was_told() {
    for (network, status) in [("192.0.2.0/24", Some(403)), ("127.0.0.0/8", None), ("127.0.0.1", None)] {
        let dir = tempfile::tempdir().unwrap();
        let arguments = ["--venue-network", "198.51.100.0/24", "--venue-network", network];
        let (server, (api_key, generated)) = serve_as(dir.path(), &arguments).await;
        let opened = Client::signed(server.address, &api_key, &decode_secret(&generated).unwrap()).await;
        assert_eq!(opened.err().map(|refused| refused.status), status, "{network}");
    }
}

#[tokio::test]
async fn rule_36_the_venue_key_ends_when_init_was_told_and_takes_its_open_sockets_along() {
    // On a busy machine the server may not be ready before the first end.
    for seconds in [15, 50] {
        let dir = tempfile::tempdir().unwrap();
        let end = wall_clock().plus_us(seconds * 1_000_000);
        let (server, (api_key, generated)) = serve_as(dir.path(), &["--venue-expires", &end.to_string()]).await;
        if seconds == 15 && wall_clock().plus_us(5_000_000) > end {
            continue;
        }
        let secret = decode_secret(&generated).unwrap();
        let sign_in = async || Client::signed(server.address, &api_key, &secret).await;
        let mut venue = sign_in().await.unwrap();
        venue.subscribe("custody").await;
        assert_eq!(venue.closed().await, (4002, "key expired".to_owned()));
        let refused = sign_in().await.err().unwrap();
        assert_eq!(refused.status, 403, "{refused:?}");
        return;
    }
}

#[test]
fn rule_36_init_refuses_an_end_of_the_venue_key_that_is_no_time_to_come() {
    let dir = tempfile::tempdir().unwrap();
    for (end, advice) in [("tomorrow", "give an RFC 3339 time"), ("2020-01-01T00:00:00Z", "give a time to come")] {
        let mut init = Command::new(env!("CARGO_BIN_EXE_countersign"));
        let refused = init.args(["init", "--venue-expires", end, "--dir"]).arg(dir.path()).output().unwrap();
        let error = String::from_utf8(refused.stderr).unwrap();
        assert!(error.contains("--venue-expires") && error.contains(advice), "{error}");
        assert!(!refused.status.success() && dir.path().read_dir().unwrap().next().is_none(), "nothing was made");
    }
}

#[tokio::test]
async fn a_first_start_at_a_taken_port_is_refused_and_writes_nothing() {
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let config = Config::at(other.local_addr().unwrap(), dir.path().to_owned());
    let plan = Plan { config, master: MasterKey::from_text(MASTER).unwrap(), genesis: Some(genesis(&[], &[], false)) };
    let error = Server::start(plan).await.unwrap_err().to_string();
    assert!(error.starts_with("cannot listen on 127.0.0.1:"), "{error}");
    let journal = Storage::Sqlite(dir.path().to_owned()).reader().await.unwrap();
    assert_eq!(journal.last_seq().await.unwrap(), 0, "{error}");
}
