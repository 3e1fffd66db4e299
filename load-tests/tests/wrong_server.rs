//! A server with deliberate faults, and the check that must notice: each fault fails the run in its own way.

#![allow(clippy::unwrap_used, reason = "all of this is test code")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use load_tests::arrival::Arrival;
use load_tests::checks::Check;
use load_tests::connection::{Connection, Proof};
use load_tests::credentials::ServiceUser;
use load_tests::endpoint::Endpoint;
use load_tests::follower::{Follower, Principal};
use load_tests::load::{LoadTiming, Plan, run};
use load_tests::mix::{Mix, MixSettings};
use load_tests::signature::Nonces;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

const DUTY: LoadTiming =
    LoadTiming { warm_up: Duration::ZERO, window: Duration::from_secs(1), grace: Duration::from_secs(10) };

/// What the server does wrong, at its fifth order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Nothing.
    None,
    /// A frame of executions is lost on the way.
    FrameDropped,
    /// A frame of executions is sent twice.
    FrameDoubled,
    /// Two frames of executions change places.
    FramesSwapped,
    /// An order is sent again, as a frame of its own.
    ItemRepeated,
    /// An order is never sent.
    OrderForgotten,
    /// A ledger entry is never sent on `balances`.
    EntryForgotten,
    /// The same, but a fresh snapshot of `balances` includes it.
    EntryInSnapshot,
    /// A ledger entry on `balances` has a different amount from the one booked.
    EntryWrong,
    /// A ledger entry is never sent on `ledger`.
    LedgerForgotten,
    /// A ledger entry on `ledger` has a different amount.
    LedgerWrong,
    /// From the start, nothing is sent on `ledger`.
    LedgerSilent,
    /// A ledger entry belongs to a deposit that is never sent, though another one was.
    DepositForgotten,
    /// A deposit is sent with an id different from the ledger entry's.
    DepositWrong,
    /// A frame of each stream has no sequence.
    Unnumbered,
    /// From the start, a subscription to `ledger` is refused.
    SubscriptionRefused,
    /// The same because the key has no scope for it, which is not a fault.
    NoScope,
    /// Sockets that follow executions are closed.
    FollowerCutOff,
    /// From the start, sockets that subscribe to the book are closed.
    SubscriberCutOff,
    /// From the start, every third order is refused with a time to wait, as by a full server: then it is no fault.
    Full,
    /// The same without the time to wait.
    FullWithoutAdvice,
}

/// How many seconds to wait for what may be missing. A busy machine needs some of it even with a correct server, where
/// nothing is missing.
fn patience_s(fault: Fault) -> u64 {
    if matches!(fault, Fault::None | Fault::NoScope) { 20 } else { 2 }
}

/// A subscription: where its frames go, and how many there were.
struct Subscription {
    channel: String,
    to: mpsc::UnboundedSender<Message>,
    sequence: u64,
}

struct State {
    fault: Fault,
    asked: u64,
    orders: u64,
    cents: i64,
    subscriptions: Vec<Subscription>,
    /// A frame that another one overtakes.
    held: Option<String>,
}

impl State {
    fn offset(&self) -> u64 {
        self.orders * 256
    }

    fn balances(&self) -> String {
        let (balance, offset) = (format!("{}.{:02}", self.cents / 100, self.cents % 100), self.offset() + 255);
        format!(
            r#"[{{"asset":"USD","wallets":[{{"type":"spot","id":"main","balance":{balance}}}],"offset":{offset}}}]"#
        )
    }

    /// Answers a request; what it causes on the streams comes after the answer.
    fn answer(&mut self, request: &Value, to: &mpsc::UnboundedSender<Message>) {
        let method = request["method"].as_str().unwrap();
        let is_order = method == "add_order";
        self.asked += u64::from(is_order);
        let (to_ledger, third) = (request["params"]["channel"] == "ledger", is_order && self.asked.is_multiple_of(3));
        let refusal = match self.fault {
            Fault::SubscriptionRefused if to_ledger => Some("EService:Unavailable"),
            Fault::NoScope if to_ledger => Some("EGeneral:Permission denied"),
            Fault::Full if third => Some("EService:Unavailable: retry in 100 ms"),
            Fault::FullWithoutAdvice if third => Some("EService:Unavailable"),
            _ => None,
        };
        if let Some(error) = refusal {
            let reply = json!({"method": method, "req_id": request["req_id"], "success": false, "error": error});
            return to.send(Message::text(reply.to_string())).unwrap();
        }
        let reply = json!({"method": method, "req_id": request["req_id"], "success": true, "result": {}});
        to.send(Message::text(reply.to_string())).unwrap();
        match method {
            "subscribe" => {
                let channel = request["params"]["channel"].as_str().unwrap().to_owned();
                let mut subscription = Subscription { channel, to: to.clone(), sequence: 0 };
                if subscription.channel == "balances" {
                    subscription.sequence = 1;
                    let data = self.balances();
                    let frame = format!(r#"{{"channel":"balances","type":"snapshot","sequence":1,"data":{data}}}"#);
                    to.send(Message::text(frame)).unwrap();
                }
                if self.fault == Fault::SubscriberCutOff && subscription.channel == "book" {
                    to.send(slow_consumer()).unwrap();
                }
                self.subscriptions.push(subscription);
            }
            "add_order" => self.place(request["params"]["cl_ord_id"].as_str().unwrap()),
            _ => {}
        }
    }

    fn place(&mut self, cl_ord_id: &str) {
        self.orders += 1;
        self.cents -= 1;
        let fault = if self.orders == 5 { self.fault } else { Fault::None };
        let offset = self.offset();
        let order = format!(r#"[{{"exec_type":"new","cl_ord_id":"{cl_ord_id}","offset":{offset}}}]"#);
        if fault != Fault::OrderForgotten {
            self.tell("executions", &order, fault);
        }
        if fault == Fault::ItemRepeated {
            self.tell("executions", &order, Fault::None);
        }
        let is_deposit = self.orders == 3 || [Fault::DepositForgotten, Fault::DepositWrong].contains(&fault);
        let kind = if is_deposit { "deposit" } else { "trade" };
        if is_deposit && fault != Fault::DepositForgotten {
            let id = if fault == Fault::DepositWrong { 0 } else { self.orders };
            self.tell("deposits", &format!(r#"[{{"refid":"D{id}","offset":{offset}}}]"#), Fault::Unnumbered);
        }
        let id = self.orders;
        let entry = |is_wrong| {
            let amount = if is_wrong { "-0.02" } else { "-0.01" };
            format!(
                r#"[{{"asset":"USD","type":"{kind}","ref_id":"D{id}","amount":{amount},"fee":0.00,"wallet_type":"spot","wallet_id":"main","offset":{offset}}}]"#
            )
        };
        match fault {
            Fault::EntryForgotten => {}
            Fault::EntryInSnapshot => self.tell("balances", &self.balances(), fault),
            Fault::Unnumbered => self.tell("balances", &entry(false), fault),
            _ => self.tell("balances", &entry(fault == Fault::EntryWrong), Fault::None),
        }
        if fault != Fault::LedgerForgotten && self.fault != Fault::LedgerSilent {
            // Which is not a fault on this channel.
            self.tell("ledger", &entry(fault == Fault::LedgerWrong), Fault::Unnumbered);
        }
    }

    fn tell(&mut self, channel: &str, data: &str, fault: Fault) {
        let kind = if channel == "balances" && fault == Fault::EntryInSnapshot { "snapshot" } else { "update" };
        for subscription in self.subscriptions.iter_mut().filter(|subscription| subscription.channel == channel) {
            subscription.sequence += 1;
            let sequence = subscription.sequence;
            let frame = format!(r#"{{"channel":"{channel}","type":"{kind}","sequence":{sequence},"data":{data}}}"#);
            // A reader that has left does not concern the others.
            let send = |frame: String| drop(subscription.to.send(Message::text(frame)));
            match fault {
                Fault::FrameDropped => {}
                Fault::Unnumbered => send(format!(r#"{{"channel":"{channel}","type":"update","data":{data}}}"#)),
                Fault::FollowerCutOff => drop(subscription.to.send(slow_consumer())),
                Fault::FramesSwapped => self.held = Some(frame),
                Fault::FrameDoubled => {
                    send(frame.clone());
                    send(frame);
                }
                _ => {
                    send(frame);
                    if channel == "executions"
                        && let Some(held) = self.held.take()
                    {
                        send(held);
                    }
                }
            }
        }
    }
}

fn slow_consumer() -> Message {
    Message::Close(Some(CloseFrame { code: 4008.into(), reason: "slow consumer".into() }))
}

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::spawn(serve_one(stream, state.clone()));
    }
}

async fn serve_one(stream: TcpStream, state: Arc<Mutex<State>>) {
    let socket = tokio_tungstenite::accept_async(stream).await.unwrap();
    let (mut write, mut read) = socket.split();
    let (to, mut frames) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(frame) = frames.recv().await {
            if write.send(frame).await.is_err() {
                return;
            }
        }
    });
    while let Some(Ok(message)) = read.next().await {
        if let Message::Text(request) = message {
            state.lock().unwrap().answer(&serde_json::from_str(&request).unwrap(), &to);
        }
    }
}

async fn start(fault: Fault) -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::plain(listener.local_addr().unwrap());
    let state = State { fault, asked: 0, orders: 0, cents: 100_000_000, subscriptions: Vec::new(), held: None };
    tokio::spawn(serve(listener, Arc::new(Mutex::new(state))));
    endpoint
}

fn bot() -> ServiceUser {
    ServiceUser { name: "Bot".into(), api_key: "k".into(), api_secret: "cw==".into(), organization: None }
}

/// Orders on one connection with a follower: the follower's verdicts by subject.
async fn followed(fault: Fault) -> BTreeMap<String, Check> {
    let ws = start(fault).await;
    let (bot, nonce) = (Principal::ServiceUser(bot()), Nonces::default().next_nonce());
    let patience = Duration::from_secs(patience_s(fault));
    let follower = Follower::start(&ws, bot, nonce, 1, patience).await.unwrap();
    let connection = Connection::open(&ws, Proof::Bare, 4_096).await.unwrap();
    let mix = Arc::new(Mix::new(&MixSettings::default()).unwrap());
    let plan = Plan { arrival: Arrival::Closed { in_flight: 4 }, mix, timing: DUTY, run: 1 };
    let outcome = run(vec![connection], &plan).await.unwrap();
    assert!(outcome.tally.acknowledged.len() > 10, "{outcome:?}");
    let checks = follower.finish(outcome.tally.acknowledged).await.unwrap();
    checks.into_iter().map(|check| (check.name.clone(), check)).collect()
}

const GAPS: &str = "Bot executions: sequence without gap or repetition";
const BALANCES_GAPS: &str = "Bot balances: sequence without gap or repetition";
const BALANCES_ORDER: &str = "Bot balances: offsets strictly increasing";
const ORDER: &str = "Bot executions: offsets strictly increasing";
const ONCE: &str = "Bot executions: each order new once";
const SEEN: &str = "Bot executions: each acknowledged order seen";
const LEDGER_ORDER: &str = "Bot ledger: offsets strictly increasing";
const SAME: &str = "Bot ledger: the same entries as on balances";
const DEPOSITS: &str = "Bot deposits: what moved on balances is told";
const REBUILT: &str = "Bot balances: rebuilt from deltas = fresh snapshot";

#[tokio::test]
async fn a_right_server_passes_every_check() {
    let checks = followed(Fault::None).await;
    for name in [GAPS, ORDER, ONCE, SEEN, LEDGER_ORDER, SAME, DEPOSITS, REBUILT] {
        assert!(checks[name].holds(), "{}", checks[name]);
    }
    assert_eq!(checks.len(), 11, "{checks:?}");
}

async fn fails(fault: Fault, expected: &[&str]) {
    let checks = followed(fault).await;
    let failed: Vec<&str> = checks.values().filter(|check| !check.holds()).map(|check| check.name.as_str()).collect();
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(failed, expected, "{fault:?}: {checks:#?}");
}

#[tokio::test]
async fn a_lost_frame_is_a_gap_and_an_order_that_was_never_seen() {
    fails(Fault::FrameDropped, &[GAPS, SEEN]).await;
}

#[tokio::test]
async fn a_frame_that_comes_twice_repeats_its_numbers_and_its_orders() {
    fails(Fault::FrameDoubled, &[GAPS, ORDER, ONCE]).await;
}

#[tokio::test]
async fn frames_that_change_places_break_both_numberings() {
    fails(Fault::FramesSwapped, &[GAPS, ORDER]).await;
}

#[tokio::test]
async fn an_order_that_is_told_again_is_noticed_although_the_sequence_is_whole() {
    fails(Fault::ItemRepeated, &[ORDER, ONCE]).await;
}

#[tokio::test]
async fn an_order_that_is_never_told_is_noticed_although_all_numbers_are_right() {
    fails(Fault::OrderForgotten, &[SEEN]).await;
}

#[tokio::test]
async fn a_frame_without_a_sequence_is_noticed() {
    fails(Fault::Unnumbered, &[GAPS, BALANCES_GAPS]).await;
}

#[tokio::test]
async fn a_channel_is_left_out_only_where_the_key_has_no_scope_and_is_named() {
    let (record, reported, succeeded) = program(Fault::SubscriptionRefused).await;
    assert!(!succeeded && reported.contains("subscribe to ledger was refused: EService:Unavailable"), "{reported}");
    assert!(record["failed"].is_string(), "{record}");
    let checks = followed(Fault::NoScope).await;
    let skipped: Vec<&str> = checks.values().filter(|check| check.skipped).map(|check| check.name.as_str()).collect();
    assert_eq!(skipped, ["Bot ledger: not followed: EGeneral:Permission denied"]);
    assert!(checks.values().all(Check::holds), "{checks:?}");
}

#[tokio::test]
async fn balances_that_do_not_add_up_are_noticed() {
    fails(Fault::EntryForgotten, &[SAME, REBUILT]).await;
    fails(Fault::EntryWrong, &[SAME, REBUILT]).await;
}

#[tokio::test]
async fn a_snapshot_that_makes_up_for_a_lost_entry_is_noticed_although_balances_are_right() {
    fails(Fault::EntryInSnapshot, &[BALANCES_ORDER]).await;
}

#[tokio::test]
async fn a_ledger_that_lacks_an_entry_or_tells_another_is_noticed_although_balances_are_right() {
    fails(Fault::LedgerForgotten, &[SAME]).await;
    fails(Fault::LedgerWrong, &[SAME]).await;
}

#[tokio::test]
async fn a_channel_that_is_silent_about_what_moved_on_balances_is_noticed() {
    fails(Fault::LedgerSilent, &[LEDGER_ORDER, SAME]).await;
    fails(Fault::DepositForgotten, &[DEPOSITS]).await;
    fails(Fault::DepositWrong, &[DEPOSITS]).await;
}

/// The whole program against a faulty server: its output, and whether it succeeded.
async fn program(fault: Fault) -> (Value, String, bool) {
    let patience = format!("patience={}.0", patience_s(fault));
    play("orders", fault, &["--set", &patience, "--set", "shapes=[\"2x2\"]"]).await
}

/// The same with another scenario and other options.
async fn play(scenario: &str, fault: Fault, more: &[&str]) -> (Value, String, bool) {
    let ws = start(fault).await;
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("wrong-{scenario}-{fault:?}"));
    std::fs::create_dir_all(&directory).unwrap();
    let keys = directory.join("keys.json");
    let ready = json!({"ws": format!("ws://{}/v2", ws.authority), "service_users": [bot()]});
    std::fs::write(&keys, ready.to_string()).unwrap();
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("scenarios/{scenario}.toml"));
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_load-tests"));
    command.arg("run").arg(scenario).arg("--keys").arg(keys).arg("--directory").arg(&directory);
    command.args(["--set", "seconds=0.3", "--set", "rounds=1", "--json"]).args(more);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let reported = String::from_utf8_lossy(&output.stderr).into_owned();
    (serde_json::from_slice(&output.stdout).unwrap(), reported, output.status.success())
}

#[tokio::test]
async fn a_violated_check_fails_the_run_with_its_name() {
    for (fault, succeeds) in [(Fault::None, true), (Fault::OrderForgotten, false)] {
        let (record, reported, succeeded) = program(fault).await;
        assert_eq!(succeeded, succeeds, "{reported}");
        assert_eq!(reported.contains(SEEN), !succeeds, "{reported}");
        assert_eq!(record["checks"].as_array().unwrap().len(), 11);
        assert_eq!(record["failed"].as_str().is_some_and(|why| why.contains(SEEN)), !succeeds, "{}", record["failed"]);
    }
}

#[tokio::test]
async fn a_follower_that_is_cut_off_fails_the_run_and_what_was_measured_stays() {
    let (record, reported, succeeded) = program(Fault::FollowerCutOff).await;
    assert!(
        !succeeded && reported.contains("Bot: followed to the end") && reported.contains("4008 slow consumer"),
        "{reported}"
    );
    assert!(record["series"][0]["count"].as_u64().unwrap() > 0, "{record}");
}

#[tokio::test]
async fn sockets_that_should_be_idle_or_stalled_and_are_gone_fail_the_run() {
    let process = std::process::id().to_string();
    let idle = ["--process", &process, "--set", "connections=2", "--set", "subscribe=book"];
    let mix = ["--set", "mix.keep=3", "--set", "shape=2x1", "--set", "stalled=2"];
    let slow = [&["--http", "http://127.0.0.1:1", "--set", "stall=0.1", "--set", "fill=0.1"], &mix[..]].concat();
    for (scenario, more, sockets) in [("idle", &idle[..], 52), ("slow-consumers", &slow, 2)] {
        for (fault, violations) in [(Fault::None, 0), (Fault::SubscriberCutOff, sockets)] {
            let (record, reported, succeeded) = play(scenario, fault, more).await;
            let check = &record["checks"][0];
            assert_eq!(
                (&check["looked_at"], &check["violations"]),
                (&sockets.into(), &violations.into()),
                "{reported}"
            );
            assert_eq!(succeeded, violations == 0, "{scenario}: {reported}");
        }
    }
}

#[tokio::test]
async fn an_overload_that_is_never_refused_or_not_told_when_to_try_again_fails_the_run() {
    let more = ["--set", "shape=2x2", "--set", "factor=1.1", "--set", "mix.keep=3"];
    for (fault, wrong) in [
        (Fault::Full, None),
        (Fault::None, Some("every refusal for want of room says when to try again: there was nothing to look at")),
        (Fault::FullWithoutAdvice, Some("x EService:Unavailable")),
    ] {
        let (_, reported, succeeded) = play("overload", fault, &more).await;
        assert_eq!(succeeded, wrong.is_none(), "{fault:?}: {reported}");
        assert!(wrong.is_none_or(|wrong| reported.contains(wrong)), "{fault:?}: {reported}");
    }
}

#[tokio::test]
async fn a_server_that_was_not_started_for_the_run_is_not_loaded_before_it_is_to_be_killed() {
    let (record, reported, succeeded) = play("restart", Fault::None, &["--set", "shape=2x2"]).await;
    assert!(!succeeded && reported.contains("give --server"), "{reported}");
    assert_eq!(record["series"], json!([]));
}

#[tokio::test]
async fn where_every_rate_is_carried_no_highest_one_is_told() {
    let more = ["connections=2", "from=4", "steps=2", "baselines=false"].map(|setting| ["--set", setting]).concat();
    let (record, reported, succeeded) = play("sweep", Fault::None, &more).await;
    assert!(succeeded && record["results"] == json!([]), "{reported}{}", record["results"]);
    let skipped = record["checks"].as_array().unwrap().iter().find(|check| check["skipped"] == true).unwrap();
    assert!(skipped["name"].as_str().unwrap().contains("it takes more steps"), "{skipped}");
}
