//! The baselines over real sockets, in this process and as child processes.

#![allow(clippy::unwrap_used, reason = "all of this is test code")]

use std::collections::HashSet;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use load_tests::arrival::Arrival;
use load_tests::children::{Baseline, BaselineChild, CountersignChild, RunDirectory};
use load_tests::connection::{Connection, Proof, Received};
use load_tests::echo::EchoServer;
use load_tests::endpoint::Endpoint;
use load_tests::frames::text;
use load_tests::group_commit::require_records;
use load_tests::load::{LoadTiming, Plan, run};
use load_tests::mix::{Mix, MixSettings, Request, RequestSource};
use load_tests::publisher::Publisher;
use load_tests::readers::{Numbers, Readers};
use load_tests::sync_loop;
use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_load-tests");
const ANY_PORT: std::net::SocketAddr =
    std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
const SHORT: LoadTiming = LoadTiming {
    warm_up: Duration::from_millis(20),
    window: Duration::from_millis(100),
    grace: Duration::from_secs(5),
};

fn directory(test: &str) -> RunDirectory {
    RunDirectory::create(&Path::new(env!("CARGO_TARGET_TMPDIR")).join(test)).unwrap()
}

fn mix() -> Mix {
    Mix::new(&MixSettings::default()).unwrap()
}

async fn connect(address: std::net::SocketAddr) -> Connection {
    let endpoint = Endpoint::plain(address);
    Connection::open(&endpoint, Proof::Bare, 4_096).await.unwrap()
}

/// Sends `count` orders in one write and returns the replies, which may arrive in any number of reads.
async fn exchange(
    connection: &mut Connection,
    source: &mut RequestSource<'_>,
    req_ids: std::ops::Range<u64>,
) -> Vec<Value> {
    let count = req_ids.clone().count();
    for req_id in req_ids {
        let request = source.next_request();
        text(&mut connection.out, |out| source.render(request, req_id, out));
    }
    connection.flush().await.unwrap();
    let mut replies = Vec::new();
    while replies.len() < count {
        connection.receive().await.unwrap();
        while let Received::Text(reply) = connection.next_message().unwrap() {
            replies.push(serde_json::from_slice(reply).unwrap());
        }
    }
    replies
}

#[tokio::test]
async fn e_answers_each_order_in_v2_form() {
    let server = EchoServer::start(ANY_PORT, None).unwrap();
    let mix = mix();
    let mut source = RequestSource::new(&mix, 1, 0);
    let replies = exchange(&mut connect(server.address).await, &mut source, 100..140).await;
    for (reply, req_id) in replies.iter().zip(100..) {
        assert_eq!(reply["method"], "add_order");
        assert_eq!(reply["req_id"], req_id);
        assert_eq!(reply["success"], true);
        assert_eq!(reply["result"]["cl_ord_id"].as_str().unwrap().len(), 18);
        let length = reply.to_string().len();
        assert!((150..=230).contains(&length), "{length} bytes");
    }
}

#[tokio::test]
async fn e_refuses_what_is_not_an_order_and_goes_on() {
    let server = EchoServer::start(ANY_PORT, None).unwrap();
    let mut connection = connect(server.address).await;
    let mix = mix();
    let mut source = RequestSource::new(&mix, 1, 0);
    text(&mut connection.out, |out| source.render(Request::Cancel(1), 5, out));
    let replies = exchange(&mut connection, &mut source, 6..7).await;
    assert_eq!(replies[0]["success"], false);
    assert!(!replies[0]["error"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn every_record_that_d_acknowledged_is_in_its_file() {
    let directory = directory("d-records");
    let journal = directory.path().join("journal");
    let server = EchoServer::start(ANY_PORT, Some(&journal)).unwrap();
    let mix = mix();
    let mut acknowledged = HashSet::new();
    for number in 0..4 {
        let mut source = RequestSource::new(&mix, 1, number);
        let mut connection = connect(server.address).await;
        for batch in 0..5 {
            for reply in exchange(&mut connection, &mut source, batch * 16..(batch + 1) * 16).await {
                let id = reply["result"]["cl_ord_id"].as_str().unwrap().to_owned();
                // Checked while the server runs: an acknowledgement must not come before the write.
                acknowledged.insert(id);
            }
            let stored = stored_ids(&journal);
            assert!(acknowledged.is_subset(&stored), "acknowledged before it was written");
        }
    }
    assert_eq!(acknowledged.len(), 4 * 5 * 16);
    let totals = server.stop();
    assert_eq!(totals.records, 320);
    assert!((1..=320).contains(&totals.syncs), "{totals:?}");
    assert_eq!(stored_ids(&journal), acknowledged);
    require_records(&journal, 320).unwrap();
    // The last line loses its end.
    let file = std::fs::OpenOptions::new().write(true).open(&journal).unwrap();
    file.set_len(file.metadata().unwrap().len() - 1).unwrap();
    let error = require_records(&journal, 320).unwrap_err().to_string();
    assert!(error.contains("320") && error.contains("319"), "{error}");
}

fn stored_ids(journal: &Path) -> HashSet<String> {
    let text = std::fs::read_to_string(journal).unwrap();
    let records = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    records.map(|record| record["params"]["cl_ord_id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn both_loops_run_against_baselines_as_child_processes() {
    let directory = directory("children");
    let journal = directory.path().join("journal");
    let closed = Arrival::Closed { in_flight: 8 };
    let open = Arrival::open(2_000.0).unwrap();
    for (baseline, arrival) in
        [(Baseline::Echo, closed), (Baseline::DurableEcho(&journal), closed), (Baseline::Echo, open)]
    {
        let child = BaselineChild::start(Path::new(BINARY), baseline).unwrap();
        let mut connections = Vec::new();
        for _ in 0..4 {
            connections.push(connect(child.address).await);
        }
        let plan = Plan { arrival, mix: Arc::new(mix()), timing: SHORT, run: 1 };
        let outcome = run(connections, &plan).await.unwrap();
        let totals = child.stop().unwrap();
        // On a busy machine the window may stay empty; the first requests are always sent.
        assert!(outcome.tally.sent >= if arrival == closed { 4 * 8 } else { 1 }, "{outcome:?}");
        assert_eq!(outcome.tally.sent, outcome.tally.answered);
        // Counts those due, 2,000 a second for 0.1 s, or those under way: the last are answered after the window.
        let orders = outcome.tally.orders;
        let counted = if arrival == open { 200..=200 } else { orders..=orders + 4 * 8 };
        assert!(counted.contains(&outcome.latencies.len()) && outcome.tally.refused() == 0, "{outcome:?}");
        assert_eq!(outcome.tally.acknowledged.len(), outcome.tally.sent);
        match baseline {
            Baseline::DurableEcho(_) => assert!(totals.records == outcome.tally.sent && totals.syncs > 0, "{totals:?}"),
            Baseline::Echo | Baseline::RawFanOut { .. } => assert_eq!((totals.records, totals.syncs), (0, 0)),
        }
    }
}

#[test]
fn a_standard_stream_that_is_full_is_an_error_and_no_panic() {
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    for baseline in ["echo", "raw-fan-out"] {
        let output = std::process::Command::new(BINARY).arg(baseline).stdout(full()).output().unwrap();
        let reported = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && reported.starts_with("error: write to standard output: "), "{reported}");
    }
    let status = std::process::Command::new(BINARY).args(["run", "/no/such/scenario"]).stderr(full()).status().unwrap();
    assert_eq!(status.code(), Some(1));
}

#[test]
fn the_sync_loop_measures_and_leaves_no_file() {
    let directory = directory("sync-loop");
    let (figures, _) = sync_loop::run(directory.path(), Duration::from_millis(20)).unwrap();
    assert!(figures.per_second > 0.0 && figures.max_us > Some(0.0));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

/// A stand-in for the server's binary, started as the harness starts it.
fn stand_in(directory: &Path, script: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = directory.join("server");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[tokio::test]
async fn a_server_is_started_until_its_ready_file_is_there_and_killed_at_the_end() {
    let directory = directory("ready");
    let server = stand_in(
        directory.path(),
        r#"test "$1 $2 $3 $4 $6" = "demo --port 0 --ready-file --data" || exit 2
echo '{"ws": "ws://127.0.0.1:1/v2", "service_users": [{"name": "A", "api_key": "k", "api_secret": "cw=="}]}' > "$5"
exec sleep 60"#,
    );
    let child = CountersignChild::start(&server, directory.path()).await.unwrap();
    assert_eq!(child.ready.ws.as_deref(), Some("ws://127.0.0.1:1/v2"));
    let process = PathBuf::from(format!("/proc/{}", child.process()));
    assert!(process.exists());
    drop(child);
    assert!(!process.exists());
}

#[test]
fn what_a_run_has_left_behind_is_not_used_by_another() {
    let parent = Path::new(env!("CARGO_TARGET_TMPDIR")).join("left-behind");
    let [first, second] = [(); 2].map(|()| RunDirectory::create(&parent).unwrap());
    let kept = first.path().join("data");
    std::fs::write(&kept, "of the first").unwrap();
    assert!(std::fs::read_dir(second.path()).unwrap().next().is_none());
    drop(second);
    assert!(kept.exists());
}

#[tokio::test]
async fn a_server_that_does_not_start_is_reported_with_its_own_words() {
    let directory = directory("not-ready");
    let server = stand_in(directory.path(), "echo 'the port is taken' >&2; exit 3");
    let error = CountersignChild::start(&server, directory.path()).await.unwrap_err().to_string();
    assert!(error.contains("the port is taken") && error.contains("exit status: 3"), "{error}");
}

#[test]
fn a_server_that_dies_in_the_middle_is_reported_with_its_last_words() {
    let directory = directory("dies");
    let ready =
        r#"{"ws": "ws://127.0.0.1:1/v2", "service_users": [{"name": "A", "api_key": "k", "api_secret": "cw=="}]}"#;
    let script = format!("echo '{ready}' > \"$5\"; echo 'a password'; echo 'the disk is full' >&2; exit 3");
    let server = stand_in(directory.path(), &script);
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/orders.toml");
    let mut command = std::process::Command::new(BINARY);
    command.arg("run").arg(scenario).arg("--server").arg(server).args(["--json", "--directory"]).arg(directory.path());
    let output = command.output().unwrap();
    let reported = String::from_utf8_lossy(&output.stderr);
    assert!(reported.contains("connect to 127.0.0.1:1"), "{reported}");
    assert!(
        reported.contains("the server ended, exit status: 3") && reported.contains("the disk is full"),
        "{reported}"
    );
    let record: Value = serde_json::from_slice(&output.stdout).unwrap();
    let failed = record["failed"].as_str().unwrap();
    assert!(failed.contains("the disk is full") && !failed.contains("a password"), "{failed}");
}

#[test]
fn a_run_that_is_ended_with_all_that_it_started_tells_the_end_and_not_what_became_of_them() {
    let directory = directory("ended-together");
    let started = directory.path().join("started");
    // In place of Postgres, so that it never becomes ready.
    let bash = stand_in(directory.path(), &format!("touch '{}'; exec sleep 60", started.display()));
    std::fs::rename(bash, directory.path().join("bash")).unwrap();
    let ready =
        r#"{"ws": "ws://127.0.0.1:1/v2", "service_users": [{"name": "A", "api_key": "k", "api_secret": "cw=="}]}"#;
    let server = stand_in(directory.path(), &format!("echo '{ready}' > \"$5\"; exec sleep 60"));
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/storages.toml");
    let mut command = std::process::Command::new(BINARY);
    command.arg("run").arg(scenario).arg("--server").arg(server).arg("--directory").arg(directory.path());
    command.env("PATH", format!("{}:{}", directory.path().display(), std::env::var("PATH").unwrap()));
    command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut run = command.spawn().unwrap();
    while !started.exists() {
        assert!(run.try_wait().unwrap().is_none(), "it ended before Postgres was to be started");
        std::thread::yield_now();
    }
    let group = format!("-{}", run.id());
    assert!(std::process::Command::new("kill").args(["-INT", "--", &group]).status().unwrap().success());
    let ended = run.wait_with_output().unwrap();
    let reported = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(reported, "error: ended by SIGINT before all was done\n");
}

/// The complete scenario `compare`, with a second echo in place of the server: E against itself.
#[tokio::test]
async fn a_comparison_measures_every_system_and_concludes() {
    let directory = directory("compare");
    let server = EchoServer::start(ANY_PORT, None).unwrap();
    let keys = directory.path().join("keys.json");
    let ready = serde_json::json!({
        "ws": format!("ws://{}/v2", server.address),
        "service_users": [{"name": "Bot", "api_key": "k", "api_secret": "cw=="}],
    });
    std::fs::write(&keys, ready.to_string()).unwrap();
    let output = std::process::Command::new(BINARY)
        .args(["compare", "--set", "rounds=1", "--set", "seconds=0.15", "--set", "warm_up=0.05", "--set", "keys=1"])
        .args(["--json", "--keys"])
        .arg(&keys)
        .arg("--directory")
        .arg(directory.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let record: Value = serde_json::from_slice(&output.stdout).unwrap();
    let series = record["series"].as_array().unwrap();
    let seen: Vec<&str> = series.iter().map(|line| line["name"].as_str().unwrap()).collect();
    let shapes = ["64x16", "16x1"];
    let expected = shapes.iter().flat_map(|shape| ["E", "D", "Countersign"].map(|who| format!("{shape} {who}")));
    let expected: Vec<String> = std::iter::once("bare sync loop".to_owned()).chain(expected).collect();
    assert_eq!(seen, expected);
    assert!(series.iter().map(|line| line["figures"]["per_second"].as_f64().unwrap()).sum::<f64>() > 0.0);
    assert!(series[2]["extra"]["syncs per order"].as_f64().unwrap() <= 1.0);
    let results = record["results"].as_array().unwrap();
    let throughput = results.iter().find(|result| result["name"] == "64x16 throughput / E").unwrap();
    assert_eq!((&throughput["rounds"], &throughput["goal"]["at_least"]), (&1.into(), &0.6.into()));
}

#[tokio::test]
async fn the_raw_fan_out_writes_each_event_to_every_reader() {
    let child = BaselineChild::start(Path::new(BINARY), Baseline::RawFanOut { bytes: 200 }).unwrap();
    let mut readers = Vec::new();
    for _ in 0..5 {
        readers.push(connect(child.address).await);
    }
    let mut readers = Readers::new(readers, Numbers::None);
    let mut publisher = Publisher::raw(child.address).await.unwrap();
    readers.publish();
    assert_eq!(publisher.publish(16).await.unwrap(), 16);
    readers.wait_for(16).await.unwrap();
    assert_eq!((readers.delivered(), readers.take_frame_bytes()), (80, 200));
    drop(readers);
    child.stop().unwrap();
}
