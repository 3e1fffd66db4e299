//! The load client against servers that misbehave: what it must notice.

#![allow(clippy::unwrap_used, reason = "all of this is test code")]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use load_tests::arrival::Arrival;
use load_tests::caller::{Caller, subscribe};
use load_tests::connection::{Connection, Proof};
use load_tests::credentials::{MemberLogin, ReadyFile, ServiceUser};
use load_tests::endpoint::Endpoint;
use load_tests::error::LoadError;
use load_tests::figures::to_f64;
use load_tests::in_flight::MatchError;
use load_tests::load::{LoadTiming, Outcome, Plan, run};
use load_tests::member::Session;
use load_tests::mix::{Mix, MixSettings};
use load_tests::signature::{Nonces, sign};
use load_tests::target::Target;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::{interval, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

const DUTY: LoadTiming =
    LoadTiming { warm_up: Duration::ZERO, window: Duration::from_millis(300), grace: Duration::from_secs(2) };

async fn listen() -> (TcpListener, Endpoint) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::plain(listener.local_addr().unwrap());
    (listener, endpoint)
}

/// One connection, two in flight, against a server that answers the n-th request with `replies(n, request)`.
async fn load(replies: impl Fn(u64, &Value) -> Vec<Message> + Send + 'static) -> Result<Outcome, LoadError> {
    load_mix(None, replies).await
}

async fn load_mix(
    keep: Option<usize>,
    replies: impl Fn(u64, &Value) -> Vec<Message> + Send + 'static,
) -> Result<Outcome, LoadError> {
    let (listener, endpoint) = listen().await;
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        socket.send(Message::text(r#"{"channel":"status","type":"update","data":[{}]}"#)).await.unwrap();
        let mut number = 0;
        while let Some(Ok(message)) = socket.next().await {
            let Message::Text(request) = message else { continue };
            for reply in replies(number, &serde_json::from_str(&request).unwrap()) {
                if socket.send(reply).await.is_err() {
                    return;
                }
            }
            number += 1;
        }
    });
    let settings = MixSettings { levels: 1, keep, ..MixSettings::default() };
    let connection = Connection::open(&endpoint, Proof::Bare, 1_024).await?;
    let arrival = Arrival::Closed { in_flight: 2 };
    let plan = Plan { arrival, mix: Arc::new(Mix::new(&settings)?), timing: DUTY, run: 1 };
    let outcome = run(vec![connection], &plan).await;
    server.abort();
    outcome
}

fn accepted(request: &Value) -> Message {
    Message::text(
        json!({"method": request["method"], "req_id": request["req_id"], "result": {}, "success": true}).to_string(),
    )
}

#[tokio::test]
async fn a_sound_server_with_pings_and_streams_in_between_gives_a_sound_outcome() {
    let outcome = load(|_, request| {
        vec![Message::Ping("are you there".into()), Message::text(r#"{"channel":"heartbeat"}"#), accepted(request)]
    })
    .await
    .unwrap();
    assert!(outcome.tally.orders > 0 && outcome.tally.stream_frames > 0);
    assert_eq!((outcome.tally.sent, outcome.tally.refused(), outcome.tally.cancels), (outcome.tally.answered, 0, 0));
}

#[tokio::test]
async fn kept_orders_are_canceled_by_their_own_id_once_each() {
    let seen = Arc::new(std::sync::Mutex::new((Vec::new(), Vec::new())));
    let by_server = seen.clone();
    let outcome = load_mix(Some(3), move |_, request| {
        let id = |value: &Value| value.as_str().unwrap().to_owned();
        let mut seen = by_server.lock().unwrap();
        match request["method"].as_str().unwrap() {
            "add_order" => seen.0.push(id(&request["params"]["cl_ord_id"])),
            _ => seen.1.push(id(&request["params"]["cl_ord_id"][0])),
        }
        vec![accepted(request)]
    })
    .await
    .unwrap();
    let (placed, canceled) = &*seen.lock().unwrap();
    assert!(outcome.tally.cancels > 0);
    assert_eq!(canceled[..], placed[..canceled.len()]);
    // Three kept, one about to be canceled, at most two in flight.
    assert!(placed.len() - canceled.len() <= 6, "{} {}", placed.len(), canceled.len());
}

#[tokio::test]
async fn a_missing_reply_is_noticed() {
    let lost = load(|number, request| if number == 3 { vec![] } else { vec![accepted(request)] }).await;
    assert!(matches!(lost, Err(LoadError::Unanswered { missing: 1 })), "{lost:?}");
}

#[tokio::test]
async fn a_doubled_reply_is_noticed() {
    let doubled = load(|number, request| vec![accepted(request); if number == 3 { 2 } else { 1 }]).await;
    assert!(matches!(doubled, Err(LoadError::Matching(MatchError::Doubled(_)))), "{doubled:?}");
}

#[tokio::test]
async fn an_order_that_was_placed_before_is_noticed_although_it_is_acknowledged() {
    // The second form is from servers that put spaces between their tokens.
    for success in ["\"success\":true", "\"success\": true"] {
        let repeated = load(move |_, request| {
            let warning = "the order was placed before by a request with this cl_ord_id";
            let (method, req_id) = (&request["method"], &request["req_id"]);
            vec![Message::text(format!(
                r#"{{"method":{method},"req_id":{req_id},"result":{{"order_id":"O","warnings":["{warning}"]}},{success}}}"#
            ))]
        })
        .await;
        assert!(matches!(repeated, Err(LoadError::Repeated)), "{repeated:?}");
    }
}

#[tokio::test]
async fn a_reply_to_nothing_is_noticed() {
    let invented =
        load(|_, request| vec![accepted(&json!({"method": "add_order", "req_id": 999_999_999})), accepted(request)])
            .await;
    assert!(matches!(invented, Err(LoadError::Matching(MatchError::Unknown(999_999_999)))), "{invented:?}");
}

/// Answers the first requests at once and then nothing, until no request has come for a while.
async fn stalls_after(listener: TcpListener, answered_at_once: usize) {
    let (stream, _) = listener.accept().await.unwrap();
    let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
    let (mut number, mut held) = (0, Vec::new());
    loop {
        match timeout(QUIET, socket.next()).await {
            Ok(Some(Ok(Message::Text(request)))) => {
                held.push(accepted(&serde_json::from_str(&request).unwrap()));
                number += 1;
                if number > answered_at_once {
                    continue;
                }
            }
            Ok(_) => return,
            Err(_) => {}
        }
        for reply in held.drain(..) {
            if socket.send(reply).await.is_err() {
                return;
            }
        }
    }
}

/// Longer than a busy machine delays requests that are due.
const QUIET: Duration = Duration::from_secs(1);
/// Waits for what is answered after that, batch by batch.
const PATIENT: LoadTiming = LoadTiming { grace: Duration::from_secs(10), ..DUTY };

/// A stall across the end of an open loop's window: all that was due in it counts, even what is sent only after it.
#[tokio::test]
async fn a_stall_over_the_end_of_the_window_is_in_the_latency() {
    // The second is more than may be in flight.
    for (rate, answered_at_once) in [(200.0, 20), (20_000.0, 0)] {
        let (listener, endpoint) = listen().await;
        let server = tokio::spawn(stalls_after(listener, answered_at_once));
        let connection = Connection::open(&endpoint, Proof::Bare, 1_024).await.unwrap();
        let mix = Arc::new(Mix::new(&MixSettings::default()).unwrap());
        let plan = Plan { arrival: Arrival::open(rate).unwrap(), mix, timing: PATIENT, run: 1 };
        let outcome = run(vec![connection], &plan).await.unwrap();
        server.abort();
        let (due, counted) = (rate * DUTY.window.as_secs_f64(), to_f64(outcome.latencies.len()));
        assert!((due - 20.0..=due).contains(&counted), "{counted} of {due}");
        assert_eq!((outcome.tally.sent, outcome.tally.unsent), (outcome.latencies.len(), 0));
        let (figures, stall_us) = (outcome.timeline.figures(), to_f64(QUIET.as_micros() as u64));
        assert!(figures.max_us >= Some(stall_us), "{figures:?}");
        assert!(figures.per_second <= 25.0 / DUTY.window.as_secs_f64(), "replies after the window: {figures:?}");
    }
}

/// The same for a closed loop: what was under way in the window counts, whether sent before it or answered after it.
#[tokio::test]
async fn a_closed_loops_stall_over_the_end_of_the_window_is_in_the_latency() {
    let (warm_up, window, none) = (Duration::from_millis(50), Duration::from_millis(100), Duration::ZERO);
    for (warm_up, answered_at_once) in [(none, 4), (none, 0), (warm_up, 0)] {
        let (listener, endpoint) = listen().await;
        let server = tokio::spawn(stalls_after(listener, answered_at_once));
        let connection = Connection::open(&endpoint, Proof::Bare, 1_024).await.unwrap();
        let mix = Arc::new(Mix::new(&MixSettings::default()).unwrap());
        let timing = LoadTiming { warm_up, window, ..PATIENT };
        let plan = Plan { arrival: Arrival::Closed { in_flight: 2 }, mix, timing, run: 1 };
        let outcome = run(vec![connection], &plan).await.unwrap();
        server.abort();
        assert_eq!(outcome.latencies.len(), outcome.tally.sent, "{outcome:?}");
        assert!(outcome.latencies.max() >= QUIET.as_nanos() as u64, "{outcome:?}");
        assert!(outcome.tally.orders <= answered_at_once as u64, "replies after the window: {outcome:?}");
    }
}

/// What a server leaves no room for, even after the window, counts with its age.
#[tokio::test]
async fn what_is_never_sent_counts_at_its_age_and_is_told() {
    let (listener, endpoint) = listen().await;
    let server = tokio::spawn(stalls_after(listener, 0));
    let connection = Connection::open(&endpoint, Proof::Bare, 1_024).await.unwrap();
    let mix = Arc::new(Mix::new(&MixSettings::default()).unwrap());
    // A batch of 4,096 each second: about four of the fifteen are sent by three seconds after the window.
    let timing = LoadTiming { window: Duration::from_millis(150), grace: Duration::from_secs(3), ..DUTY };
    let plan = Plan { arrival: Arrival::open(400_000.0).unwrap(), mix, timing, run: 1 };
    let outcome = run(vec![connection], &plan).await.unwrap();
    server.abort();
    let counted = outcome.latencies.len();
    assert!(outcome.tally.unsent > 10_000 && (59_000..=60_000).contains(&counted), "{outcome:?}");
    assert_eq!((outcome.tally.sent, outcome.tally.sent + outcome.tally.unsent), (outcome.tally.answered, counted));
    assert!(outcome.timeline.figures().p99_us >= Some(1_000_000.0), "{:?}", outcome.timeline.figures());
}

#[tokio::test]
async fn refusals_are_counted_by_their_text_whatever_numbers_are_in_it() {
    let outcome = load(|number, request| {
        let busy = format!("EService:Unavailable: retry in {number} ms, or {number}.{number}5 s");
        let error = ["EOrder:Insufficient funds", &busy][usize::from(number % 3 == 0)];
        vec![Message::text(
            json!({"method": "add_order", "req_id": request["req_id"], "success": false, "error": error}).to_string(),
        )]
    })
    .await
    .unwrap();
    assert_eq!((outcome.tally.orders, outcome.latencies.len()), (0, 0));
    assert_eq!(outcome.tally.refused(), outcome.tally.sent);
    let texts: BTreeMap<_, _> = outcome.tally.refusals;
    assert_eq!(
        texts.keys().collect::<Vec<_>>(),
        ["EOrder:Insufficient funds", "EService:Unavailable: retry in N ms, or N s"]
    );
}

#[tokio::test]
async fn refusals_of_before_the_window_are_told_apart() {
    let (listener, endpoint) = listen().await;
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        while let Some(Ok(Message::Text(request))) = socket.next().await {
            let request: Value = serde_json::from_str(&request).unwrap();
            let reply = json!({"method": "add_order", "req_id": request["req_id"], "success": false, "error": "full"});
            socket.send(Message::text(reply.to_string())).await.unwrap();
        }
    });
    let connection = Connection::open(&endpoint, Proof::Bare, 1_024).await.unwrap();
    let mix = Arc::new(Mix::new(&MixSettings::default()).unwrap());
    let timing = LoadTiming { warm_up: Duration::from_millis(200), window: Duration::from_millis(100), ..DUTY };
    let plan = Plan { arrival: Arrival::open(200.0).unwrap(), mix, timing, run: 1 };
    let outcome = run(vec![connection], &plan).await.unwrap();
    server.abort();
    // 200 a second for 0.1 s, and for 0.2 s before.
    assert!((19..=21).contains(&outcome.tally.refused_in_window), "{outcome:?}");
    assert!((57..=61).contains(&outcome.tally.refused()), "{outcome:?}");
}

#[tokio::test]
async fn a_close_ends_the_run_with_its_code() {
    let closed = load(|number, request| match number {
        5 => vec![Message::Close(Some(CloseFrame { code: 4001.into(), reason: "key revoked".into() }))],
        _ => vec![accepted(request)],
    })
    .await;
    assert!(matches!(&closed, Err(LoadError::Closed { code: 4001, reason }) if reason == "key revoked"), "{closed:?}");
}

#[tokio::test]
async fn a_refused_subscription_is_an_error_and_an_accepted_one_is_awaited() {
    for (accept, name) in [(true, "executions"), (false, "balances")] {
        let (listener, endpoint) = listen().await;
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
            let request = socket.next().await.unwrap().unwrap().into_text().unwrap();
            let request: Value = serde_json::from_str(&request).unwrap();
            assert_eq!(request["method"], "subscribe");
            let error = "EGeneral:Permission denied";
            let reply = if accept {
                accepted(&request)
            } else {
                Message::text(
                    json!({"method": "subscribe", "req_id": request["req_id"], "success": false, "error": error})
                        .to_string(),
                )
            };
            socket.send(Message::text(r#"{"channel":"status","type":"update","data":[{}]}"#)).await.unwrap();
            socket.send(reply).await.unwrap();
        });
        let connection = Connection::open(&endpoint, Proof::Bare, 256).await.unwrap();
        let result = subscribe(connection, name, "BTC/USD").await;
        assert_eq!(result.is_ok(), accept, "{result:?}");
    }
}

#[tokio::test]
async fn a_reply_that_does_not_come_is_not_waited_for_although_heartbeats_come() {
    let (listener, endpoint) = listen().await;
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        let mut beat = interval(Duration::from_secs(1));
        while socket.send(Message::text(r#"{"channel":"heartbeat"}"#)).await.is_ok() {
            beat.tick().await;
        }
    });
    let mut caller = Caller::new(Connection::open(&endpoint, Proof::Bare, 256).await.unwrap());
    tokio::time::pause();
    let (mut beats, since) = (0, tokio::time::Instant::now());
    let count = |_: &[u8]| {
        beats += 1;
        Ok(())
    };
    let error = caller.call_between("get_balances", json!({}), count).await.unwrap_err();
    assert!(error.to_string().contains("the reply to get_balances"), "{error}");
    assert!(beats > 1 && since.elapsed() < 2 * caller.wait, "{beats}");
}

/// Reads one upgrade request and answers it with these bytes; returns the request's headers.
async fn answer_once(listener: &TcpListener, answer: &str) -> BTreeMap<String, String> {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
    }
    stream.write_all(answer.as_bytes()).await.unwrap();
    let request = String::from_utf8(request).unwrap();
    assert!(request.starts_with("GET /v2 HTTP/1.1\r\n"), "{request}");
    let headers = request.lines().filter_map(|line| line.split_once(": "));
    headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect()
}

#[test]
fn a_keys_file_is_for_its_owner_alone_whatever_was_there_before() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("owned-keys.json");
    std::fs::write(&path, "old").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let user = ServiceUser { name: "Bot".into(), api_key: "k".into(), api_secret: "cw==".into(), organization: None };
    let ready = ReadyFile { http: None, ws: None, service_users: vec![user], members: Vec::new(), venue: None };
    ready.write(&path).unwrap();
    assert_eq!(ReadyFile::read(&path).unwrap().service_users[0].api_secret, "cw==");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn handshakes_are_signed_with_increasing_nonces_and_a_refusal_is_told() {
    let (listener, endpoint) = listen().await;
    let (api_key, api_secret) = ("a-public-key".into(), "c2VjcmV0".into());
    let user = ServiceUser { name: "Bot".into(), api_key, api_secret, organization: None };
    let mut nonces = Nonces::default();
    let mut last = 0;
    for _ in 0..3 {
        let proof = user.proof(nonces.next_nonce());
        let refusal = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 33\r\n\r\n{\"error\":[\"EAPI:Invalid nonce\"]}\n";
        let (headers, opened) = tokio::join!(answer_once(&listener, refusal), Connection::open(&endpoint, proof, 256));
        let nonce: u64 = headers["api-nonce"].parse().unwrap();
        assert!(nonce > last);
        last = nonce;
        assert_eq!(headers["api-key"], "a-public-key");
        assert_eq!(headers["api-sign"], sign("c2VjcmV0", "/v2", &headers["api-nonce"], "").unwrap());
        let error = opened.unwrap_err();
        assert!(
            matches!(&error, LoadError::Handshake { status: 401, body, .. } if body.contains("Invalid nonce")),
            "{error:?}"
        );
        let reported = error.to_string();
        assert!(
            reported.contains("the handshake of key a-public…") && !reported.contains("a-public-key"),
            "{reported}"
        );
    }
}

#[tokio::test]
async fn an_upgrade_with_the_wrong_accept_key_is_refused() {
    let (listener, endpoint) = listen().await;
    let answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                  Sec-WebSocket-Accept: bm90IHRoaXMgb25lIGF0IGFsbCE=\r\n\r\n";
    let (_, opened) = tokio::join!(answer_once(&listener, answer), Connection::open(&endpoint, Proof::Bare, 256));
    assert!(matches!(opened, Err(LoadError::Protocol(_))), "{opened:?}");
}

#[tokio::test]
async fn who_does_not_answer_as_expected_is_told_by_its_address() {
    let (listener, endpoint) = listen().await;
    for (answer, is_tls) in [("HTTP/1.1 404 Not Found\r\n\r\n", false), ("\u{15}\u{3}\u{3}", true), ("", false)] {
        let (_, opened) = tokio::join!(answer_once(&listener, answer), Connection::open(&endpoint, Proof::Bare, 256));
        let reported = opened.unwrap_err().to_string();
        assert!(reported.contains(&format!("{}/v2", endpoint.authority)), "{reported}");
        assert_eq!(reported.contains("wss://"), is_tls, "{reported}");
    }
}

#[tokio::test]
async fn a_sign_in_is_refused_only_where_the_server_says_that_the_member_may_not() {
    let (listener, endpoint) = listen().await;
    let (ws, totp_secret) = (endpoint.clone(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ".into());
    let (users, members) = (Vec::new(), Vec::new());
    let target = Target { ws, http: Some(endpoint), users, members, venue: None, process: None, database: None };
    let member = MemberLogin { name: "Bob".into(), email: "b".into(), password: "p".into(), totp_secret };
    for (status, is_refused) in [(401, true), (403, true), (429, false), (503, false), (200, false)] {
        let answer = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"}") {
                assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
            }
            stream.write_all(format!("HTTP/1.1 {status} So\r\n\r\nits words").as_bytes()).await.unwrap();
        };
        let ((), session) = tokio::join!(answer, Session::sign_in(&target, &member));
        let error = session.unwrap_err();
        assert_eq!(matches!(error, LoadError::Refused { .. }), is_refused, "{error:?}");
        assert!(error.to_string().contains("the sign-in of Bob") && error.to_string().contains("its words"), "{error}");
    }
}

#[tokio::test]
async fn the_metrics_page_is_read_over_plain_http() {
    let (listener, endpoint) = listen().await;
    let body = "countersign_journal_commits_total 4\n";
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 512];
        let read = stream.read(&mut request).await.unwrap();
        assert!(request[..read].starts_with(b"GET /metrics HTTP/1.0\r\n"));
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
    };
    let ((), page) = tokio::join!(serve, endpoint.get("/metrics"));
    assert_eq!(page.unwrap(), body);
}
