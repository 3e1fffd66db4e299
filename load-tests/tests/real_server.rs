//! Every kind of scenario, shortened, against a Countersign started for it: each runs to its end, and every check
//! holds.

#![allow(clippy::unwrap_used, reason = "all of this is test code")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;

use load_tests::checks::Check;
use load_tests::children::{CountersignChild, RunDirectory};
use load_tests::record::Record;
use load_tests::scenario::Scenario;
use load_tests::timeline::Slice;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

const BINARY: &str = env!("CARGO_BIN_EXE_load-tests");

/// The server is built by the same workspace, beside this program.
fn server() -> PathBuf {
    let path = Path::new(BINARY).with_file_name("countersign");
    assert!(path.exists(), "{} is missing: run `cargo build -p countersign` first", path.display());
    path
}

fn scenarios() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

fn directory(test: &str) -> RunDirectory {
    RunDirectory::create(&Path::new(env!("CARGO_TARGET_TMPDIR")).join(test)).unwrap()
}

/// Runs a committed scenario with these settings changed; returns how it ended, and its record.
fn run(directory: &RunDirectory, name: &str, settings: &[&str], more: &[&str]) -> (Output, Record) {
    let (saved, page) = (directory.path().join(format!("{name}.json")), directory.path().join(format!("{name}.html")));
    let mut command = Command::new(BINARY);
    command.arg("run").arg(scenarios().join(format!("{name}.toml"))).args(more);
    command.arg("--directory").arg(directory.path()).arg("--save").arg(&saved).arg("--html").arg(&page);
    for setting in [&["rounds=1", "seconds=0.5", "warm_up=0.1"], settings].concat() {
        command.args(["--set", setting]);
    }
    let output = command.output().unwrap();
    assert!(std::fs::read_to_string(&page).unwrap().ends_with("</html>\n"), "{output:?}");
    (output, Record::read(&saved).unwrap())
}

/// The same; it must succeed.
fn play(directory: &RunDirectory, name: &str, settings: &[&str], more: &[&str]) -> Record {
    let (Output { status, stdout, stderr }, record) = run(directory, name, settings, more);
    let (reported, report) = (String::from_utf8_lossy(&stderr), String::from_utf8_lossy(&stdout));
    assert!(status.success(), "{name}: {reported}\n{report}");
    assert_eq!(reported, "", "without a terminal there is nothing to tell but the report");
    assert!(record.series.iter().all(|series| series.count > 0), "{report}");
    record
}

fn names(record: &Record) -> Vec<&str> {
    record.series.iter().map(|series| series.name.as_str()).collect()
}

#[test]
fn every_committed_scenario_is_sound() {
    let mut count = 0;
    for entry in std::fs::read_dir(scenarios()).unwrap() {
        let path = entry.unwrap().path();
        let scenario = Scenario::read(&path, &[]).unwrap();
        assert!(!scenario.general.about.is_empty(), "{path:?}");
        count += 1;
    }
    assert!(count >= 12, "{count}");
    let guide = std::fs::read_to_string(scenarios().with_file_name("README.md")).unwrap();
    let example = guide.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    assert_eq!(Scenario::parse("example", example, &[]).unwrap().general.goals.len(), 1);
}

#[tokio::test]
async fn orders_of_every_kind_are_played_on_a_server_that_runs() {
    let directory = directory("real-orders");
    let child = CountersignChild::start(&server(), directory.path()).await.unwrap();
    let keys = directory.path().join("ready.json");
    let process = child.process().to_string();
    let at = ["--keys", keys.to_str().unwrap(), "--process", &process];
    let mix = play(&directory, "order-mix", &["shapes=[\"4x4\"]", "mix.keep=3", "seconds=2"], &at);
    let extra = &mix.series[0].extra;
    for counted in ["orders", "cancels", "amends"] {
        assert!(extra[counted] > 0.0, "{counted}: {extra:?}");
    }
    let build = mix.server.unwrap();
    assert!(build.starts_with("version ") && build.contains(", program "), "{build}");
    for made in ["rebuilt from deltas = fresh snapshot", "the same entries as on balances"] {
        assert!(mix.checks.iter().any(|check| check.name.ends_with(made)), "{made}");
    }
    assert!(mix.checks.iter().all(|check| !check.skipped), "{:?}", mix.checks);
    let open = play(&directory, "orders", &["shapes=[\"4x1\"]", "rate=100.0", "seconds=1"], &at);
    assert!(open.series[0].figures.per_second <= 110.0, "{:?}", open.series[0].figures);
    // The market maker's orders do not belong to this load.
    let nowhere = ["shapes=[\"2x2\"]", "mix.symbol=NO/WHERE", "follow=false", "allow_refusals=true"];
    let (_, refused) = run(&directory, "orders", &nowhere, &at);
    let extra = &refused.series[0].extra;
    assert!(extra["orders"] == 0.0 && !extra.contains_key("syncs per order"), "{extra:?}");
    // Enough requests for a p99, even on a busy machine.
    let half = play(&directory, "half-load", &["shape=8x8", "mix.keep=3"], &at);
    assert_eq!(half.results.len(), 2, "{:?}", half.results);
    for series in &half.series {
        // Whatever the mix, a baseline answers as many requests, but all of them are orders.
        assert_eq!(series.extra.contains_key("cancels"), series.name.starts_with("Countersign"), "{}", series.name);
    }
    let sweep = play(&directory, "sweep", &["connections=2", "from=4", "steps=2"], &at);
    assert_eq!(names(&sweep), ["E", "Countersign at 4/s", "Countersign at 6/s"]);
    overloaded(&directory, &at);
    let short = ["rounds=2", "shape=8x4", "stalled=5", "stall=0.1", "fill=0.1"];
    let slow = play(&directory, "slow-consumers", &short, &at);
    assert_eq!(slow.results.len(), 4, "{:?}", slow.results);
    // So short that the queue of a private stream can take it all: beyond that a subscriber would be closed, correctly.
    let private =
        ["shape=1x1", "stalled=5", "stall=0", "fill=0.05", "seconds=0.1", "warm_up=0.01", "channel=executions"];
    play(&directory, "slow-consumers", &private, &at);
    let idle = play(&directory, "idle", &["rounds=2", "connections=5"], &at);
    // In the first round only, since a later one reuses memory, and other processes may be busy.
    for (record, memory) in [(&slow, "KiB per stalled subscriber"), (&idle, "KiB per connection")] {
        let taken = record.results.iter().find(|result| result.name == memory).unwrap();
        assert!(taken.rounds == 1 && !taken.disturbed, "{taken:?}");
    }
}

/// A proxy before `behind` that terminates TLS for `localhost`, and whose certificate is in `certificate`.
async fn terminator(behind: SocketAddr, certificate: &Path) -> SocketAddr {
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(certificate, issued.cert.pem()).unwrap();
    let key = PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let acceptor = TlsAcceptor::from(Arc::new(config.with_single_cert(vec![issued.cert.der().clone()], key).unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut front) = acceptor.accept(socket).await else { return };
                let mut back = TcpStream::connect(behind).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut front, &mut back).await;
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_behind_tls_is_loaded_if_its_certificate_is_trusted() {
    let directory = directory("real-tls");
    let child = CountersignChild::start(&server(), directory.path()).await.unwrap();
    let (keys, certificate) = (directory.path().join("ready.json"), directory.path().join("ca.pem"));
    let behind = child.ready.http.as_ref().unwrap().trim_start_matches("http://").parse().unwrap();
    let port = terminator(behind, &certificate).await.port();
    let (ws, http) = (format!("wss://localhost:{port}/v2"), format!("https://localhost:{port}"));
    let at = ["--keys", keys.to_str().unwrap(), "--ws", &ws, "--http", &http];
    let trusting = [&at[..], &["--ca", certificate.to_str().unwrap()]].concat();
    let closed = play(&directory, "orders", &["shapes=[\"2x8\"]"], &trusting);
    assert!(closed.series[0].extra.contains_key("syncs per order"), "its page is read: {:?}", closed.series[0].extra);
    let open = play(&directory, "orders", &["shapes=[\"2x1\"]", "rate=100.0"], &trusting);
    assert!(open.checks.iter().any(|check| check.name.ends_with("rebuilt from deltas = fresh snapshot")));
    // The server does not know the page's origin there, so no Member can sign in.
    let skipped = open.checks.iter().find(|check| check.skipped).unwrap();
    assert!(skipped.name.contains("approvals: not followed: the sign-in of Carol"), "{}", skipped.name);
    let (Output { status, stderr, .. }, _) = run(&directory, "orders", &[], &at);
    let reported = String::from_utf8_lossy(&stderr);
    assert!(
        !status.success() && reported.contains("agree on TLS with localhost") && reported.contains("UnknownIssuer"),
        "{reported}"
    );
}

/// So few sockets cannot fill the server's queue: then the run shows nothing, and says so. All else is checked.
fn overloaded(directory: &RunDirectory, at: &[&str]) {
    let (output, overload) = run(directory, "overload", &["shape=2x2", "mix.keep=3"], at);
    let (reported, checks) = (String::from_utf8_lossy(&output.stderr), &overload.checks);
    assert!(!output.status.success() && reported.contains("there was nothing to look at"), "{reported}");
    let failed: Vec<&str> = checks.iter().filter(|check| !check.holds()).map(|check| check.name.as_str()).collect();
    assert_eq!(
        (checks.len(), failed),
        (3, vec!["round 1: every refusal for want of room says when to try again"]),
        "{reported}"
    );
    assert!(checks.iter().any(|check| check.name.ends_with("votes are cast") && check.looked_at > 0), "{checks:?}");
    assert_eq!((overload.series.len(), overload.results.len()), (2, 5), "{:?}", overload.results);
}

#[test]
fn sockets_that_were_away_are_told_what_they_missed() {
    let directory = directory("real-reconnect");
    let server = server();
    let at = ["--server", server.to_str().unwrap()];
    let record = play(&directory, "reconnect-storm", &["connections=10", "waves=2", "seconds=2"], &at);
    assert_eq!(record.series[1].count, 2 * 10, "{:?}", names(&record));
}

/// Waits until a running run has created this file.
fn wait_for(file: &Path, run: &mut Child) {
    while !file.exists() {
        assert!(run.try_wait().unwrap().is_none(), "the run ended without {}", file.display());
        std::thread::yield_now();
    }
}

#[test]
fn a_run_that_is_ended_says_so_and_leaves_nothing_behind() {
    // Under `nohup` a run ignores the end of its terminal; these tests may run under it themselves.
    for (shell, signals, reported) in [
        ("exec \"$0\" \"$@\"", &["-TERM"][..], "ended by SIGTERM"),
        ("exec env --default-signal=HUP \"$0\" \"$@\"", &["-HUP"], "ended by SIGHUP"),
        ("trap '' HUP; exec \"$0\" \"$@\"", &["-HUP", "-INT"], "ended by SIGINT"),
    ] {
        let directory = directory("real-ended");
        let mut command = Command::new("sh");
        command.args(["-c", shell, BINARY, "run"]).arg(scenarios().join("orders.toml"));
        command.args(["--set", "seconds=600", "--server"]).arg(server());
        command.arg("--directory").arg(directory.path()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut run = command.spawn().unwrap();
        let own = directory.path().join(format!("run-{}", run.id()));
        wait_for(&own.join("ready.json"), &mut run);
        for signal in signals {
            assert!(Command::new("kill").arg(signal).arg(run.id().to_string()).status().unwrap().success());
        }
        let ended = run.wait_with_output().unwrap();
        assert!(String::from_utf8_lossy(&ended.stderr).contains(reported), "{ended:?}");
        assert!(!ended.status.success() && !own.exists());
    }
}

#[test]
fn withdrawals_are_played_to_their_end_beside_a_load_and_custody_is_followed() {
    let directory = directory("real-withdrawals");
    let server = server();
    let record = play(&directory, "withdrawals", &["withdrawals=3"], &["--server", server.to_str().unwrap()]);
    for (made, looked_at) in [
        ("withdrawals are approved, released and confirmed", 3),
        ("venue custody: no withdrawal out of turn", 2 * 3),
        ("venue custody: offsets strictly increasing", 2 * 3),
        ("Treasury Bot withdrawals: what moved on balances is told", 3 + 1),
        ("Carol approvals: what changed on withdrawals is told", 2 * 3),
    ] {
        let check = record.checks.iter().find(|check| check.name == format!("round 1: {made}"));
        assert_eq!(check.map(|check| check.looked_at), Some(looked_at), "{made}: {:#?}", record.checks);
    }
}

/// Only baselines, with a result to be saved.
fn baselines(directory: &RunDirectory, settings: &[&str]) -> (Command, PathBuf) {
    let saved = directory.path().join("saved.json");
    let mut command = Command::new(BINARY);
    command.args(["compare", "--set", "shapes=[\"2x2\"]", "--directory"]).arg(directory.path());
    command.arg("--save").arg(&saved).stderr(Stdio::piped());
    for setting in settings {
        command.args(["--set", setting]);
    }
    (command, saved)
}

#[test]
fn what_was_measured_before_a_run_is_ended_is_reported_and_saved() {
    let directory = directory("real-interrupted");
    let (mut command, saved) = baselines(&directory, &["seconds=1", "rounds=100"]);
    let mut run = command.stdout(Stdio::piped()).spawn().unwrap();
    let own = directory.path().join(format!("run-{}", run.id()));
    // D is measured after E.
    wait_for(&own.join("d.journal"), &mut run);
    assert!(Command::new("kill").args(["-INT", &run.id().to_string()]).status().unwrap().success());
    let ended = run.wait_with_output().unwrap();
    assert!(!ended.status.success() && !own.exists());
    let record = Record::read(&saved).unwrap();
    assert!(record.failed.is_some_and(|why| why.contains("ended by SIGINT")), "{ended:?}");
    assert_eq!(record.series[1].name, "2x2 E");
    assert!(String::from_utf8_lossy(&ended.stdout).contains("2x2 E"), "{ended:?}");
}

#[test]
fn a_report_that_cannot_be_shown_is_saved_all_the_same() {
    let directory = directory("real-full");
    let (mut command, saved) = baselines(&directory, &["seconds=0.1", "rounds=1"]);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = command.stdout(full).output().unwrap();
    let reported = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && reported.starts_with("error: write to standard output: "), "{reported}");
    assert!(!Record::read(&saved).unwrap().series.is_empty());
}

#[test]
fn both_storages_are_measured_in_turn() {
    let directory = directory("real-storages");
    let server = server();
    let settings = ["shape=4x4", "keys=2", "follow=true"];
    let record = play(&directory, "storages", &settings, &["--server", server.to_str().unwrap()]);
    assert_eq!(names(&record), ["bare sync loop", "on SQLite", "on Postgres"]);
    let keys = record.checks.iter().filter(|check| check.name.ends_with("each acknowledged order seen"));
    assert_eq!(keys.count(), 2 * 2, "each has the keys that the scenario says: {:?}", record.checks);
    assert!(record.series[2].extra.contains_key("database cores"), "{:?}", record.series[2].extra);
    assert_eq!(record.results.len(), 2, "{:?}", record.results);
}

#[test]
fn a_server_that_was_killed_comes_back_with_its_journal() {
    let directory = directory("real-restart");
    let server = server();
    let settings = ["shape=4x4", "follow=true", "rounds=2", "mix.keep=3"];
    let record = play(&directory, "restart", &settings, &["--server", server.to_str().unwrap()]);
    let round = ["E", "orders before the crash", "start-up", "start-up without snapshots"];
    assert_eq!(names(&record), [round, round].concat());
    let events: Vec<f64> =
        record.series.iter().filter_map(|series| series.extra.get("events in the journal")).copied().collect();
    assert!(events[0] == events[1] && events[1] < events[2] && events[2] == events[3], "{events:?}");
    let results: Vec<&str> = record.results.iter().map(|result| result.name.as_str()).collect();
    assert_eq!(results, ["events in the journal a second of start-up / E", "events replayed a second / E"]);
    // The journal is shorter than the one that the goal is for.
    assert!(record.goals_without_result.contains_key("seconds until ready after a crash"), "{:?}", record.results);
}

#[test]
fn trades_reach_every_socket() {
    let directory = directory("real-trades");
    let server = server();
    // The last slice of the window is so short that no batch ends in it.
    let settings = ["connections=20", "seconds=0.500001"];
    let record = play(&directory, "fan-out-1000", &settings, &["--server", server.to_str().unwrap()]);
    let expected = ["Countersign, 1 ahead", "Countersign, 16 ahead", "raw, 1 ahead", "raw, 16 ahead"];
    assert_eq!(names(&record), expected);
    for series in &record.series {
        let mut since = 0.0;
        let area = |slice: &Slice| slice.figures.per_second * (slice.at_s - std::mem::replace(&mut since, slice.at_s));
        let drawn: f64 = series.timeline.iter().map(area).sum();
        let counted = series.figures.per_second * 0.5;
        assert!(drawn > counted / 2.0, "{}: {drawn} of {counted} deliveries are in the plot", series.name);
        let stalls = series.timeline.iter().filter(|slice| slice.figures.per_second == 0.0);
        assert_eq!(stalls.count(), 0, "{}: what did not stall is not drawn as if it did", series.name);
    }
    let goals = record.results.iter().filter(|result| result.goal.is_some());
    assert_eq!(goals.count(), 2, "{:?}", record.results);
}

#[test]
fn approvals_reach_every_dashboard() {
    let directory = directory("real-approvals");
    let server = server();
    let record = play(&directory, "approvals-storm", &["connections=20"], &["--server", server.to_str().unwrap()]);
    assert_eq!(record.series.len(), 4);
    assert!(record.checks[0].looked_at > 20 * 17, "{}", record.checks[0]);
}

#[test]
fn orders_are_measured_without_and_with_dashboards() {
    let directory = directory("real-dashboards");
    let server = server();
    let settings = ["dashboards=10", "events=5.0", "shape=2x1", "follow=true"];
    let record = play(&directory, "dashboards", &settings, &["--server", server.to_str().unwrap()]);
    let expected = ["orders without dashboards", "orders with dashboards", "D without fan-out", "D with raw fan-out"];
    assert_eq!(names(&record), expected);
    for with in [1, 3] {
        let extra = &record.series[with].extra;
        assert!(extra["deliveries to dashboards"] > 0.0 && extra["events/s"] > 0.0, "{extra:?}");
        assert_eq!(extra.contains_key("fan-out cores"), with == 3, "{extra:?}");
    }
    let rate = |check: &&Check| check.name.ends_with("events come at the rate asked for") && check.looked_at > 0;
    assert_eq!(record.checks.iter().filter(rate).count(), 2, "{:?}", record.checks);
    for result in ["order throughput with dashboards / without", "D's order throughput with a raw fan-out / without"] {
        assert!(
            record.results.iter().any(|reported| reported.name == result && reported.value > 0.0),
            "{:?}",
            record.results
        );
    }
    let reported = "Carol approvals: what changed on withdrawals is told";
    assert!(
        record.checks.iter().any(|check| check.name.ends_with(reported) && check.looked_at > 0),
        "{:?}",
        record.checks
    );
}

#[test]
fn each_key_has_an_organization_of_its_own_and_hears_only_of_its_own_orders() {
    let directory = directory("real-keys");
    let server = server();
    let settings = ["keys=2", "shapes=[\"4x2\"]", "follow=true", "baselines=false"];
    let record = play(&directory, "own-executions", &settings, &["--server", server.to_str().unwrap()]);
    let seen = record.checks.iter().filter(|check| check.name.ends_with("each acknowledged order seen"));
    let seen: Vec<u64> = seen.map(|check| check.looked_at).collect();
    assert!(seen.len() == 2 && seen.iter().all(|count| *count > 0), "{seen:?}");
    let once = record.checks.iter().filter(|check| check.name.ends_with("each order new once"));
    assert_eq!(once.map(|check| check.looked_at).collect::<Vec<_>>(), seen, "others' orders were heard");
}
