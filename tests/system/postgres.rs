//! The same server on Postgres, and the writer's fence with two processes on either storage.

use std::fs::Permissions;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use countersign::access::scope::ScopeSet;
use countersign::config::DatabaseUrl;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::client::{Client, http, limit, soon};
use super::disk::{assert_open, order, order_again, order_until_refused, stop, system};
use super::served::Served;
use super::support::postgres::{self as server, cut_others, cut_writer, database, database_on, lock, sql};
use super::volume::Volume;
use super::world::{MASTER, World, api_key, key, other, secret};

async fn world(url: &str) -> World {
    world_in(DatabaseUrl::parse(url)).await
}

/// In this database, or else in SQLite.
async fn world_in(database: Option<DatabaseUrl>) -> World {
    let keys = [key(ScopeSet::ALL), other()];
    World::configured(&keys, |config| config.database = database).await
}

/// Everything that queries return of the past and the present, to compare across a restart.
async fn told(world: &World) -> Value {
    let mut bot = world.bot(1).await;
    let mut all = json!({});
    for method in ["open_orders", "closed_orders", "trades_history", "ledgers", "withdraw_status"] {
        all[method] = bot.call(method, json!({})).await;
    }
    all
}

#[tokio::test]
async fn orders_withdrawals_and_history_are_there_after_a_restart_and_streams_resume() {
    let url = database();
    let mut world = world(&url).await;
    let (mut bot, mut maker) = (world.bot(1).await, world.bot(2).await);
    bot.subscribe("executions").await;
    maker.call("add_order", limit("sell", "1", "1000")).await;
    bot.call("add_order", limit("buy", "0.4", "1000")).await;
    let filled = bot.item("executions", |item| item["exec_type"] == "filled").await;
    let resting = bot.call("add_order", limit("buy", "0.1", "10")).await["order_id"].clone();
    let withdrawn = bot.call("withdraw", json!({"asset": "BTC", "key": "cold-1", "amount": "1"})).await;
    drop((bot, maker));
    let before = told(&world).await;
    assert_eq!(before["withdraw_status"]["withdrawals"][0]["refid"], withdrawn["refid"]);
    assert_eq!(before["trades_history"]["trades"].as_array().unwrap().len(), 1, "{before}");
    assert_eq!(before["closed_orders"]["orders"].as_array().unwrap().len(), 1, "{before}");
    world.restart().await;
    assert_eq!(told(&world).await, before);
    let mut back = world.bot(1).await;
    let from = json!({"channel": "executions", "from_offset": filled["offset"]});
    let resumed = back.call("subscribe", from).await;
    assert!(resumed.get("warnings").is_none(), "{resumed}");
    let frame = back.frame("executions").await;
    assert_eq!((&frame["type"], &frame["data"][0]["order_id"]), (&json!("update"), &resting), "{frame}");
    assert!(!world.dir().join("journal.db").exists() && !world.dir().join("history.db").exists());
    let rows: u64 = sql(&url, "SELECT count(*) FROM journal.journal").parse().unwrap();
    assert!(rows > 4, "{rows}");
}

/// Postgres cannot store NUL in a text, and fails if a query has one.
#[tokio::test]
async fn rule_45_a_text_that_the_database_cannot_hold_is_refused_by_its_field() {
    let world = world(&database()).await;
    let mut bot = world.bot(1).await;
    for (method, field) in [
        ("closed_orders", "cl_ord_id"),
        ("open_orders", "cl_ord_id"),
        ("deposit_status", "method"),
        ("withdraw_status", "method"),
    ] {
        let error = bot.refused(method, json!({field: "a\0b"})).await;
        assert!(error.starts_with(&format!("EGeneral:Invalid arguments:{field}: ")), "{method}: {error}");
    }
}

#[tokio::test]
async fn a_server_whose_database_goes_away_acknowledges_nothing_more_and_says_that_it_stopped() {
    let url = database();
    let mut world = world(&url).await;
    let mut bot = world.bot(1).await;
    bot.call("add_order", limit("buy", "0.1", "10")).await;
    cut_writer(&url);
    let refused = bot.refused("add_order", limit("buy", "0.1", "11")).await;
    assert!(refused.starts_with("EService:"), "{refused}");
    let mut server = world.server.take().unwrap();
    let why = server.failed().await.to_string();
    assert!(why.contains("the journal is unavailable"), "{why}");
    let (stopped, closed) = tokio::join!(server.stop(), bot.closed());
    assert_eq!((stopped.is_err(), closed), (true, (1012, "the server failed".to_owned())));
    world.start().await;
    let open = world.bot(1).await.call("open_orders", json!({})).await;
    assert_eq!(open["orders"].as_array().unwrap().len(), 1, "what was not acknowledged is not there: {open}");
}

#[tokio::test]
async fn a_server_at_rest_whose_fence_is_gone_stops_by_itself() {
    let url = database();
    let mut world = world(&url).await;
    let mut bot = world.bot(1).await;
    bot.call("add_order", limit("buy", "0.1", "10")).await;
    cut_writer(&url);
    let mut server = world.server.take().unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(20), server.failed()).await;
    let why = ended.expect("it notices though nobody asks it for anything").to_string();
    assert!(why.contains("the journal is unavailable"), "{why}");
    let refused = bot.refused("add_order", limit("buy", "0.1", "11")).await;
    assert!(refused.starts_with("EService:"), "{refused}");
}

/// D4-59. A stop waits as long as the storage does: after 1012, what was not answered was never executed.
#[tokio::test]
async fn d4_59_a_stop_while_the_storage_stands_still_leaves_no_unknown_outcome() {
    let url = database();
    let mut world = world(&url).await;
    let mut bot = world.bot(1).await;
    bot.subscribe("executions").await;
    let stalled = lock(&url, "journal.journal");
    let order = json!({"method": "add_order", "req_id": 1_000, "params": limit("buy", "0.1", "10")});
    bot.send(order.to_string()).await;
    // It is read before the stop is announced: messages after it are answered at once.
    bot.send(json!({"method": "ping"}).to_string()).await;
    bot.pong().await;
    let stopping = tokio::spawn(world.server.take().unwrap().stop());
    while bot.frame("status").await["data"][0]["system"] != "maintenance" {}
    // Later messages are not accepted any more.
    bot.send(order.to_string().replace("1000", "1001")).await;
    // At most one a second: for longer than a stop waits for anything else.
    for _ in 0..7 {
        bot.frame("heartbeat").await;
    }
    drop(stalled);
    let placed = bot.answer(1_000).await;
    assert_eq!(placed["success"], true, "{placed}");
    assert_eq!(bot.closed().await, (1012, "planned restart".to_owned()));
    soon("end of the server", stopping).await.unwrap().unwrap();
    world.start().await;
    let open = world.bot(1).await.call("open_orders", json!({})).await;
    assert_eq!(open["orders"][0]["order_id"], placed["result"]["order_id"], "{open}");
    assert_eq!(open["orders"].as_array().unwrap().len(), 1, "{open}");
}

/// What history returns; it may be behind, and each answer that says so takes two seconds.
async fn closed_orders(bot: &mut Client) -> Value {
    let mut told = Value::Null;
    for _ in 0..10 {
        told = bot.reply("closed_orders", json!({})).await;
        if told["success"] == json!(true) {
            return told["result"].take();
        }
    }
    panic!("{told}")
}

#[tokio::test]
async fn history_whose_connections_are_cut_catches_up_by_itself() {
    let url = database();
    let world = world(&url).await;
    let mut bot = world.bot(1).await;
    let mut closed = Vec::new();
    for cut in [false, true] {
        if cut {
            cut_others(&url);
        }
        let order = bot.call("add_order", limit("buy", "0.1", "10")).await["order_id"].clone();
        bot.call("cancel_order", json!({"order_id": [order]})).await;
        closed.insert(0, order);
        let told = closed_orders(&mut bot).await;
        let orders = told["orders"].as_array().unwrap();
        let ids: Vec<Value> = orders.iter().map(|order| order["order_id"].clone()).collect();
        assert_eq!(ids, closed);
    }
}

/// A bot in a new world, and its acknowledged orders.
async fn begun(url: &str) -> (World, Client, Vec<Value>) {
    let world = world(url).await;
    let mut bot = world.bot(1).await;
    assert_eq!(system(&mut bot).await, "online");
    let mut acknowledged = Vec::new();
    for number in 0..20 {
        acknowledged.push(bot.call("add_order", order(number)).await["order_id"].clone());
    }
    (world, bot, acknowledged)
}

/// Places orders until the database refuses a row, which is reported; reads of the present are served.
async fn order_until_it_fails(world: &World, bot: &mut Client, acknowledged: &mut Vec<Value>) {
    let refused = order_until_refused(bot, acknowledged).await;
    assert!(refused.starts_with("EService:Unavailable: the outcome is not known"), "{refused}");
    assert_eq!(system(bot).await, "maintenance");
    let refused = bot.refused("add_order", order(1)).await;
    assert!(refused.starts_with("EService:Unavailable: nothing was done"), "{refused}");
    assert_open(bot, acknowledged).await;
    let (status, ..) = http(world.address, "GET", "/healthz", &[], "").await;
    assert_eq!(status, 503);
    let mut bare = Client::bare(world.address).await;
    assert_eq!(system(&mut bare).await, "maintenance");
    bare.call("subscribe", json!({"channel": "book", "symbol": ["BTC/USD"]})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d6_70_a_database_that_turns_read_only_is_told_reads_go_on_and_it_goes_on_when_it_takes_writes() {
    let server = server::start();
    let url = database_on(&server, &[]);
    let (mut world, mut bot, mut acknowledged) = begun(&url).await;
    let turn = |statement| {
        sql(&url, statement);
        sql(&url, "SELECT pg_reload_conf()");
    };
    for again in [true, true, false] {
        closed_orders(&mut bot).await;
        let before = acknowledged.len();
        turn("ALTER SYSTEM SET default_transaction_read_only = on");
        order_until_it_fails(&world, &mut bot, &mut acknowledged).await;
        // History may not have had an order that was just journalled.
        if acknowledged.len() == before {
            closed_orders(&mut bot).await;
        }
        if again {
            turn("ALTER SYSTEM RESET default_transaction_read_only");
            order_again(&world, &mut bot, &mut acknowledged).await;
        }
    }
    drop(bot);
    let stopped = stop(&mut world).await;
    assert!(stopped.contains("the storage takes no writes"), "{stopped}");
    turn("ALTER SYSTEM RESET default_transaction_read_only");
    world.start().await;
    assert_open(&mut world.bot(1).await, &acknowledged).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d6_70_a_database_on_a_full_disk_is_told_reads_go_on_and_it_goes_on_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let small = dir.path().join("small");
    std::fs::create_dir(&small).unwrap();
    let disk = Volume::in_memory(&small, 64 << 20);
    let server = server::start();
    server.give(dir.path(), &small);
    sql(&database_on(&server, &[]), &format!("CREATE TABLESPACE small LOCATION '{}'", small.display()));
    let url = database_on(&server, &["--tablespace", "small"]);
    let (mut world, mut bot, mut acknowledged) = begun(&url).await;
    disk.fill();
    order_until_it_fails(&world, &mut bot, &mut acknowledged).await;
    disk.free();
    order_again(&world, &mut bot, &mut acknowledged).await;

    disk.fill();
    order_until_it_fails(&world, &mut bot, &mut acknowledged).await;
    drop(bot);
    let stopped = stop(&mut world).await;
    assert!(stopped.contains("the storage takes no writes"), "{stopped}");
    world.start().await;
    let mut bare = Client::bare(world.address).await;
    assert_eq!(system(&mut bare).await, "maintenance");
    disk.free();
    assert_eq!(system(&mut bare).await, "online");
    assert_open(&mut world.bot(1).await, &acknowledged).await;
    drop(bare);
    world.stop().await;
}

/// Copies a world's journal while no server runs; the returned function restores it, as from a backup.
fn backed_up(world: &World, url: Option<&str>) -> impl FnOnce() + use<> {
    let dir = world.dir().to_owned();
    let copy = dir.join("backup.db");
    let end = match url {
        Some(url) => sql(url, "SELECT max(first_seq) FROM journal.journal"),
        None => std::fs::copy(dir.join("journal.db"), &copy).unwrap().to_string(),
    };
    let url = url.map(str::to_owned);
    move || {
        match url {
            Some(url) => drop(sql(&url, &format!("DELETE FROM journal.journal WHERE first_seq > {end}"))),
            None => {
                std::fs::rename(copy, dir.join("journal.db")).unwrap();
                for beside in ["journal.db-wal", "journal.db-shm"] {
                    // They exist as long as the stopped server has a reader.
                    let _ = std::fs::remove_file(dir.join(beside));
                }
            }
        }
        std::fs::remove_file(dir.join("head")).unwrap();
        std::fs::remove_dir_all(dir.join("snapshots")).unwrap();
    }
}

#[tokio::test]
async fn history_that_tells_of_more_than_a_restored_journal_is_made_anew() {
    let url = database();
    for (mut world, url) in [(world_in(None).await, None), (world(&url).await, Some(url.as_str()))] {
        let trade = async |world: &World| {
            world.bot(2).await.call("add_order", limit("sell", "1", "1000")).await;
            world.bot(1).await.call("add_order", limit("buy", "1", "1000")).await;
        };
        trade(&world).await;
        let before = told(&world).await;
        world.stop().await;
        let restore = backed_up(&world, url);
        world.start().await;
        trade(&world).await;
        assert_ne!(told(&world).await["trades_history"], before["trades_history"]);
        world.stop().await;
        restore();
        world.start().await;
        assert_eq!(told(&world).await, before);
        trade(&world).await;
        let after = told(&world).await;
        assert_eq!(after["trades_history"]["trades"].as_array().unwrap().len(), 2, "{after}");
    }
}

/// Another process next to `world`, as on another machine: with a directory of its own.
async fn successor(world: &World, url: &str) -> Served {
    let (file, master) = (world.dir().join("successor.toml"), world.dir().join("master.key"));
    std::fs::write(&file, format!("listen = '127.0.0.1:0'\ndata_dir = 'successor'\ndatabase = '{url}'\n")).unwrap();
    std::fs::write(&master, MASTER).unwrap();
    std::fs::set_permissions(&master, Permissions::from_mode(0o600)).unwrap();
    Served::start(&file, ("warn", Stdio::inherit())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_fence_another_process_has_taken_writes_nothing_beside_it() {
    let url = database();
    let mut world = world(&url).await;
    let mut bot = world.bot(1).await;
    let first = bot.call("add_order", order(0)).await["order_id"].clone();
    cut_writer(&url);
    let other = successor(&world, &url).await;
    let mut there = Client::signed(other.address, &api_key(1), &secret(1)).await.unwrap();
    let second = there.call("add_order", order(1)).await["order_id"].clone();
    let rows = || sql(&url, "SELECT count(*), max(first_seq) FROM journal.journal");
    let written = rows();
    let refused = bot.refused("add_order", order(2)).await;
    assert!(refused.starts_with("EService:"), "{refused}");
    let why = world.server.take().unwrap().failed().await.to_string();
    assert!(why.contains("the journal is unavailable"), "{why}");
    assert_eq!(rows(), written, "the one without the fence wrote");
    assert_open(&mut there, &[first, second]).await;
}

#[test]
fn an_init_whose_first_entry_is_refused_leaves_no_file_and_can_be_done_again() {
    let (url, dir) = (database(), tempfile::tempdir().unwrap());
    let init = |name: &str| {
        let mut init = Command::new(env!("CARGO_BIN_EXE_countersign"));
        init.args(["init", "--database", &url, "--dir"]).arg(dir.path().join(name)).output().unwrap()
    };
    assert!(init("first").status.success());
    sql(
        &url,
        "DELETE FROM journal.journal;
         CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not now'; END $$;
         CREATE TRIGGER refuse BEFORE INSERT ON journal.journal FOR EACH ROW EXECUTE FUNCTION refuse()",
    );
    let refused = init("second");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(1) && said.contains("not now"), "{said}");
    for file in ["countersign.toml", "master.key"] {
        assert!(!dir.path().join("second").join(file).exists(), "{file}");
    }
    sql(&url, "DROP TRIGGER refuse ON journal.journal");
    let again = init("second");
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
}

/// Another process on the data of `world`.
fn second(world: &World, settings: &str) -> Output {
    let file = world.dir().join("second.toml");
    std::fs::write(&file, format!("listen = '127.0.0.1:0'\ndata_dir = '.'\n{settings}")).unwrap();
    let mut serve = Command::new(env!("CARGO_BIN_EXE_countersign"));
    serve.env("COUNTERSIGN_MASTER_KEY", MASTER).args(["serve", "--config"]).arg(&file).output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_is_refused_on_either_storage_and_disturbs_nothing() {
    let url = database();
    for (world, settings) in
        [(World::new(&[key(ScopeSet::ALL)]).await, String::new()), (world(&url).await, format!("database = '{url}'"))]
    {
        let mut bot = world.bot(1).await;
        let output = tokio::task::block_in_place(|| second(&world, &settings));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("in use by another process"), "{said}");
        bot.call("add_order", limit("buy", "0.1", "10")).await;
    }
}

/// An authority in `root.crt`, and a certificate of it for `address` in `server.crt`, with `server.key`.
fn certify(dir: &Path, address: Ipv4Addr) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, dir.display().to_string());
    let key = KeyPair::generate().unwrap();
    std::fs::write(dir.join("root.crt"), authority.self_signed(&key).unwrap().pem()).unwrap();
    let (authority, key) = (Issuer::new(authority, key), KeyPair::generate().unwrap());
    let certificate = CertificateParams::new([address.to_string()]).unwrap().signed_by(&key, &authority).unwrap();
    std::fs::write(dir.join("server.crt"), certificate.pem()).unwrap();
    std::fs::write(dir.join("server.key"), key.serialize_pem()).unwrap();
    std::fs::set_permissions(dir.join("server.key"), Permissions::from_mode(0o600)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_used_under_tls_and_only_if_the_authority_that_the_url_names_has_certified_it() {
    let (certified, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // An address of this process alone: nobody else has Postgres's port there.
    let address = Ipv4Addr::from_bits(Ipv4Addr::new(127, 128, 0, 0).to_bits() + std::process::id());
    let server = server::start_with(&["-c", &format!("listen_addresses={address}")]);
    let socket = database_on(&server, &[]);
    for dir in [&certified, &other] {
        certify(dir.path(), address);
    }
    server.give(certified.path(), &certified.path().join("server.key"));
    for file in ["ssl_cert_file = 'server.crt'", "ssl_key_file = 'server.key'"] {
        let file = file.replace("server", &certified.path().join("server").display().to_string());
        sql(&socket, &format!("ALTER SYSTEM SET {file}"));
    }
    sql(&socket, "ALTER SYSTEM SET ssl = on");
    sql(&socket, "SELECT pg_reload_conf()");
    assert!((0..1_000).any(|_| sql(&socket, "SHOW ssl") == "on"), "the database does not take its certificate");
    let database = socket.split('?').next().unwrap().replace("localhost", &address.to_string());
    let verified = |dir: &TempDir| {
        let root = dir.path().join("root.crt");
        format!("{database}?sslmode=verify-full&sslrootcert={}", root.display())
    };

    let mut world = world(&verified(&certified)).await;
    let mut bot = world.bot(1).await;
    let placed = bot.call("add_order", limit("buy", "0.1", "10")).await["order_id"].clone();
    world.restart().await;
    assert_open(&mut world.bot(1).await, &[placed]).await;
    let secured = "SELECT count(*) > 1 AND bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                   WHERE application_name = 'countersign'";
    assert_eq!(sql(&socket, secured), "t");
    world.stop().await;
    let refused = tokio::task::block_in_place(|| second(&world, &format!("database = '{}'", verified(&other))));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("invalid peer certificate: UnknownIssuer"), "{said}");
    assert!(said.contains(&address.to_string()), "{said}");
}

/// Even with a head file, which is compared first.
#[test]
fn a_database_without_a_journal_is_refused_as_empty() {
    let dir = tempfile::tempdir().unwrap();
    let settings = dir.path().join("countersign.toml");
    std::fs::write(&settings, format!("database = '{}'", database())).unwrap();
    std::fs::create_dir(dir.path().join("data")).unwrap();
    std::fs::write(dir.path().join("data/head"), format!("7 {}\n", "ab".repeat(32))).unwrap();
    for action in ["verify", "serve"] {
        let output = Served::command(action, &settings).env("COUNTERSIGN_MASTER_KEY", MASTER).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("the journal is empty"), "{action}: {said}");
    }
}
