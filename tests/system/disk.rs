//! A data directory on a disk that is full, becomes read-only or does not sync, each for real: the answers, what is
//! still served, and what is stored afterwards.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use countersign::access::scope::ScopeSet;
use countersign::config::Config;
use countersign::gateway::secrets::MasterKey;
use countersign::server::{Plan, Server};
use countersign::storage::Storage;
use countersign::storage::history::{self, AuditRow, HistoryBatch, Page, Stored};
use countersign::storage::journal::Head;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::{Value, json};

use super::client::{Client, http, next_nonce, soon};
use super::operation::handed_over;
use super::served::Served;
use super::settings::token;
use super::volume::{Device, Volume};
use super::world::{MASTER, World, api_key, key, secret};

/// Bytes of a small disk.
const SIZE: usize = 24 << 20;

/// Orders that are listed together: fewer than a list may have.
const GROUP: usize = 400;

pub(super) fn order(number: usize) -> Value {
    json!({"order_type": "limit", "side": "buy", "symbol": "BTC/USD", "order_qty": "0.1",
        "limit_price": 1_000 + number % 100, "order_userref": number / GROUP})
}

/// Places orders until one is not acknowledged; collects those that were, returns the answer to the first other one.
pub(super) async fn order_until_refused(bot: &mut Client, acknowledged: &mut Vec<Value>) -> String {
    loop {
        let reply = bot.reply("add_order", order(acknowledged.len())).await;
        match reply["success"] == json!(true) {
            true => acknowledged.push(reply["result"]["order_id"].clone()),
            false => return reply["error"].as_str().unwrap().to_owned(),
        }
    }
}

/// Whether exactly these orders are open.
pub(super) async fn assert_open(bot: &mut Client, orders: &[Value]) {
    let mut open = BTreeSet::new();
    for group in 0..=orders.len() / GROUP {
        let told = bot.call("open_orders", json!({"order_userref": group, "limit": 500})).await;
        open.extend(told["orders"].as_array().unwrap().iter().map(|order| order["order_id"].to_string()));
    }
    let acknowledged: BTreeSet<String> = orders.iter().map(ToString::to_string).collect();
    let lost: Vec<_> = acknowledged.difference(&open).collect();
    let invented: Vec<_> = open.difference(&acknowledged).collect();
    let counts = (acknowledged.len(), open.len(), lost.len());
    assert!(lost.is_empty() && invented.is_empty(), "acknowledged, open, lost: {counts:?}; invented: {invented:?}");
}

pub(super) async fn system(bot: &mut Client) -> Value {
    bot.frame("status").await["data"][0]["system"].clone()
}

/// A world whose data is on what `mount` creates, and a bot there with its acknowledged orders.
async fn begun<D>(mount: impl FnOnce(&Path) -> D) -> (World, D, Client, Vec<Value>) {
    let mut mounted = None;
    let configure = |config: &mut Config| mounted = Some(mount(&config.data_dir));
    let world = World::configured(&[key(ScopeSet::ALL)], configure).await;
    let mut bot = world.bot(1).await;
    assert_eq!(system(&mut bot).await, "online");
    let mut acknowledged = Vec::new();
    for number in 0..20 {
        acknowledged.push(bot.call("add_order", order(number)).await["order_id"].clone());
    }
    // The history tables may be a tenth of a second behind the burst at a start. A query waits until they have all of
    // it: on a failed disk they would stay behind, and queries of the past be refused.
    bot.call("closed_orders", json!({})).await;
    (world, mounted.unwrap(), bot, acknowledged)
}

/// A stream of the orders, beginning with the open ones.
async fn watching(world: &World) -> Client {
    let mut watcher = world.bot(1).await;
    watcher.subscribe("executions").await;
    watcher
}

/// Places orders until the disk fails, which is reported.
async fn order_until_it_fails(world: &World, bot: &mut Client, acknowledged: &mut Vec<Value>) {
    let refused = order_until_refused(bot, acknowledged).await;
    assert!(refused.starts_with("EService:Unavailable: the outcome is not known"), "{refused}");
    assert_eq!(system(bot).await, "maintenance");
    assert_reads_only(world, bot, acknowledged).await;
}

/// Waits until commands are accepted again, and sends one.
pub(super) async fn order_again(world: &World, bot: &mut Client, acknowledged: &mut Vec<Value>) {
    assert_eq!(system(bot).await, "online");
    let (status, _, body) = http(world.address, "GET", "/healthz", &[], "").await;
    assert_eq!((status, body.as_str()), (200, "ok\n"));
    acknowledged.push(bot.call("add_order", order(acknowledged.len())).await["order_id"].clone());
    assert_open(bot, acknowledged).await;
}

/// Stops a server whose disk fails; returns its error.
pub(super) async fn stop(world: &mut World) -> String {
    soon("end of the server", world.server.take().unwrap().stop()).await.unwrap_err().to_string()
}

/// Starts one whose disk may still report an earlier failure, and waits until it accepts commands.
async fn start(world: &mut World) {
    world.start().await;
    let mut bare = Client::bare(world.address).await;
    while system(&mut bare).await != "online" {}
}

#[tokio::test(flavor = "multi_thread")]
async fn d6_70_a_full_disk_is_told_reads_go_on_nothing_acknowledged_is_lost_and_it_goes_on_when_there_is_room() {
    let (mut world, disk, mut bot, mut acknowledged) = begun(|at| Volume::in_memory(at, SIZE)).await;
    let mut watcher = watching(&world).await;
    disk.fill();
    order_until_it_fails(&world, &mut bot, &mut acknowledged).await;
    disk.free();
    order_again(&world, &mut bot, &mut acknowledged).await;
    assert_eq!(placed(&mut watcher, acknowledged.len()).await, acknowledged, "no gap, and nothing that was not stored");

    let stays = token(&world, 1, &next_nonce()).await["result"]["token"].clone();
    disk.fill();
    order_until_it_fails(&world, &mut bot, &mut acknowledged).await;
    drop((bot, watcher));
    let stopped = stop(&mut world).await;
    assert!(stopped.contains("the storage takes no writes"), "{stopped}");
    disk.fill();
    world.start().await;
    // A nonce cannot be recorded, so a key cannot open a session; a token needs none.
    let refused = Client::signed(world.address, &api_key(1), &secret(1)).await.err().expect("a refusal");
    assert_eq!((refused.status, refused.retry_after), (503, true), "{refused:?}");
    let mut bare = Client::bare(world.address).await;
    assert_eq!(system(&mut bare).await, "maintenance");
    bare.call("key_info", json!({"token": stays})).await;
    assert_reads_only(&world, &mut bare, &acknowledged).await;
    disk.free();
    order_again(&world, &mut bare, &mut acknowledged).await;
}

/// Its end cannot be journaled, and nobody waits for that (rule 39).
#[tokio::test(flavor = "multi_thread")]
async fn rule_16_a_session_that_idles_on_a_full_disk_admits_nothing_and_ends_when_there_is_room() {
    let mut mounted = None;
    let configure = |config: &mut Config| {
        config.limits.member_idle_s = 5;
        mounted = Some(Volume::in_memory(&config.data_dir, SIZE));
    };
    let world = World::configured(&[key(ScopeSet::ALL)], configure).await;
    let disk = mounted.unwrap();
    let mut bot = world.bot(1).await;
    let cookie = Client::sign_in(world.address, "carol@acme.test", 0).await;
    let mut carol = Client::with_cookie(world.address, &cookie).await.unwrap();
    carol.subscribe("approvals").await;
    disk.fill();
    order_until_refused(&mut bot, &mut Vec::new()).await;
    carol.call("member_info", json!({})).await;
    // Neither these nor a check of the session count as its use.
    let signed_in = async || http(world.address, "GET", "/session", &[("Cookie", &cookie)], "").await.0;
    for _ in 0..30 {
        if signed_in().await == 401 {
            break;
        }
        carol.frame("heartbeat").await;
    }
    assert_eq!(carol.refused("member_info", json!({})).await, "ESession:Invalid session");
    let refused = Client::with_cookie(world.address, &cookie).await.err().expect("a refusal");
    assert_eq!((refused.status, refused.error.as_str()), (401, "ESession:Invalid session"));
    disk.free();
    assert_eq!(carol.closed().await, (4005, "session ended".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn d6_70_history_that_finds_no_room_says_so_each_time_and_has_all_of_it_once_there_is() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Volume::in_memory(dir.path(), SIZE);
    let (mut writer, reader) = history::open(&Storage::Sqlite(dir.path().to_owned())).await.unwrap();
    let row = |id| AuditRow { stored: Stored { at_us: id, id, body: vec![7; 1_000] }, organization: 1 };
    let batch = |seq| HistoryBatch { audit: (seq * 10..(seq + 1) * 10).map(row).collect(), ..HistoryBatch::default() };
    disk.fill();
    let (mut seq, mut failed) = (1, 0);
    // After two failures a third write over the same connection would be reported as done, but never committed.
    while failed < 3 {
        let applied = writer.apply(&batch(seq), Head { seq, ..Head::default() }).await;
        assert_eq!(reader.checkpoint().await.unwrap() == seq, applied.is_ok(), "{applied:?}");
        if applied.is_err() {
            writer.reopen().await.unwrap();
        }
        failed += u64::from(applied.is_err());
        seq += u64::from(applied.is_ok());
    }
    disk.free();
    writer.apply(&batch(seq), Head { seq, ..Head::default() }).await.unwrap();
    let page = Page { owner: 1, start_us: 0, end_us: u64::MAX, after: None, limit: 10_000 };
    let told: Vec<u64> = reader.audit(&page).await.unwrap().iter().map(|row| row.id).collect();
    assert_eq!(told, (10..(seq + 1) * 10).rev().collect::<Vec<_>>());
}

/// `ulimit -f`: the system reports it by a signal, which ends a process that does not handle it.
#[tokio::test(flavor = "multi_thread")]
async fn d6_70_files_that_may_not_grow_are_told_as_a_full_disk_and_the_process_goes_on() {
    let (_world, settings) = handed_over(&[key(ScopeSet::ALL)], "").await;
    let server = Served::start(&settings, ("off", Stdio::null())).await;
    let limit = |current| {
        let process = Pid::from_raw(server.id() as i32);
        prlimit(process, Resource::Fsize, Rlimit { current, maximum: None }).unwrap();
    };
    let mut bot = Client::signed(server.address, &api_key(1), &secret(1)).await.unwrap();
    assert_eq!(system(&mut bot).await, "online");
    limit(Some(0));
    let mut acknowledged = Vec::new();
    order_until_refused(&mut bot, &mut acknowledged).await;
    assert_eq!(system(&mut bot).await, "maintenance");
    assert_open(&mut bot, &acknowledged).await;
    limit(None);
    assert_eq!(system(&mut bot).await, "online");
    acknowledged.push(bot.call("add_order", order(0)).await["order_id"].clone());
    assert_open(&mut bot, &acknowledged).await;
}

/// Checks that commands are refused, that this is announced, and that queries are answered from what is stored.
async fn assert_reads_only(world: &World, bot: &mut Client, acknowledged: &[Value]) {
    let refused = bot.refused("add_order", order(1)).await;
    assert!(refused.starts_with("EService:Unavailable: nothing was done"), "{refused}");
    assert_open(bot, acknowledged).await;
    let (status, ..) = http(world.address, "GET", "/healthz", &[], "").await;
    assert_eq!(status, 503);
    bot.call("closed_orders", json!({})).await;
    let mut bare = Client::bare(world.address).await;
    assert_eq!(system(&mut bare).await, "maintenance");
    bare.call("subscribe", json!({"channel": "book", "symbol": ["BTC/USD"]})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d6_70_a_file_system_that_turns_read_only_is_told_reads_go_on_and_the_next_boot_has_what_was_acknowledged() {
    let (mut world, device, mut bot, mut acknowledged) = begun(Device::mount).await;
    device.turn_read_only();
    order_until_it_fails(&world, &mut bot, &mut acknowledged).await;
    let disk = device.cut_power();
    drop(bot);
    let stopped = stop(&mut world).await;
    assert!(stopped.contains("journal.db"), "{stopped}");
    let _booted = device.boot(&disk);
    world.start().await;
    assert_open(&mut world.bot(1).await, &acknowledged).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d6_70_after_a_failed_sync_nothing_is_taken_until_all_was_written_anew_and_a_power_cut_then_loses_nothing() {
    let (mut world, device, mut bot, mut acknowledged) = begun(Device::mount).await;
    let mut watcher = watching(&world).await;
    device.fail();
    order_until_it_fails(&world, &mut bot, &mut acknowledged).await;
    device.mend();
    order_again(&world, &mut bot, &mut acknowledged).await;
    assert_eq!(placed(&mut watcher, acknowledged.len()).await, acknowledged, "no gap, and nothing that was not stored");
    let disk = device.cut_power();
    device.fail();
    order_until_it_fails(&world, &mut bot, &mut acknowledged.clone()).await;
    drop((bot, watcher));
    let stopped = stop(&mut world).await;
    assert!(stopped.contains("the disk did not confirm what was written"), "{stopped}");
    let _booted = device.boot(&disk);
    world.start().await;
    assert_open(&mut world.bot(1).await, &acknowledged).await;
}

/// As [`begun`], with room in the log but none for the database file: a checkpoint's sync fails.
async fn failed_at_a_checkpoint() -> (World, Device, Client, Vec<Value>) {
    let (world, device, mut bot, mut acknowledged) = begun(Device::mount).await;
    device.grow("journal.db-wal", 16 << 20);
    device.fail();
    order_until_it_fails(&world, &mut bot, &mut acknowledged).await;
    assert!(acknowledged.len() > 500, "{} orders are no checkpoint", acknowledged.len());
    (world, device, bot, acknowledged)
}

#[tokio::test(flavor = "multi_thread")]
async fn d6_70_after_a_failed_sync_of_the_database_file_all_is_copied_anew_and_a_power_cut_loses_nothing() {
    let (mut world, device, mut bot, mut acknowledged) = failed_at_a_checkpoint().await;
    device.mend();
    order_again(&world, &mut bot, &mut acknowledged).await;
    let disk = device.cut_power();
    drop(bot);
    world.stop().await;
    let _booted = device.boot(&disk);
    world.start().await;
    assert_open(&mut world.bot(1).await, &acknowledged).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d6_70_a_power_cut_or_a_stop_after_a_failed_sync_of_the_database_file_loses_nothing() {
    let (mut world, device, bot, acknowledged) = failed_at_a_checkpoint().await;
    let cut_while_it_failed = device.cut_power();
    drop(bot);
    let stopped = stop(&mut world).await;
    assert!(stopped.contains("the disk did not confirm what was written"), "{stopped}");
    device.mend();
    start(&mut world).await;
    assert_open(&mut world.bot(1).await, &acknowledged).await;
    let cut_after_a_start = device.cut_power();
    world.stop().await;
    for disk in [cut_while_it_failed, cut_after_a_start] {
        let _booted = device.boot(&disk);
        world.start().await;
        assert_open(&mut world.bot(1).await, &acknowledged).await;
        world.stop().await;
    }
}

/// The next so many orders that a stream tells of.
async fn placed(watcher: &mut Client, count: usize) -> Vec<Value> {
    let mut placed = Vec::new();
    while placed.len() < count {
        let frame = watcher.frame("executions").await;
        let items = frame["data"].as_array().unwrap().iter();
        placed.extend(items.filter(|item| item["exec_type"] == "new").map(|item| item["order_id"].clone()));
    }
    placed
}

#[tokio::test]
async fn d6_69_a_journal_shorter_than_its_head_file_says_is_refused_by_the_server() {
    let mut world = World::new(&[]).await;
    std::fs::write(world.dir().join("head"), format!("99999 {}\n", "ab".repeat(32))).unwrap();
    let refused = world.restart_with(MASTER).await;
    assert!(refused.contains("the journal is damaged at sequence 99999"), "{refused}");
    assert!(refused.contains("if that is meant, remove"), "{refused}");
    std::fs::remove_file(world.dir().join("head")).unwrap();
    world.start().await;
}

/// As after a kill, within the second in which the head file does not have it yet.
#[tokio::test(flavor = "multi_thread")]
async fn d6_69_a_log_damaged_in_its_midst_is_refused_by_the_server_and_by_verify() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let mut bot = world.bot(1).await;
    for number in 0..40 {
        bot.call("add_order", order(number)).await;
    }
    let killed = tempfile::tempdir().unwrap();
    for file in ["journal.db", "journal.db-wal"] {
        std::fs::copy(world.dir().join(file), killed.path().join(file)).unwrap();
    }
    let log = killed.path().join("journal.db-wal");
    let mut bytes = std::fs::read(&log).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&log, &bytes).unwrap();
    let place = format!("the journal is damaged: journal.db-wal at byte {}:", middle - (middle - 32) % 4_120);

    let mut verify = Command::new(env!("CARGO_BIN_EXE_countersign"));
    verify.arg("verify").arg("--data").arg(killed.path());
    let verified = tokio::task::block_in_place(|| verify.output().unwrap());
    let said = String::from_utf8_lossy(&verified.stderr);
    assert!(!verified.status.success() && said.contains(&place), "{said}");

    let config = Config::at(world.address, killed.path().to_owned());
    let plan = Plan { config, master: MasterKey::from_text(MASTER).unwrap(), genesis: None };
    let refused = Server::start(plan).await.unwrap_err().to_string();
    assert!(refused.starts_with(&place), "{refused}");
    assert!(std::fs::read(&log).unwrap() == bytes, "somebody wrote");
}
