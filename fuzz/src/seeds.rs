//! What fuzzing starts from: every kind of message as clients write it, heads, bodies, journal rows.

use std::ops::Range;

use countersign::access::operation::Operation;
use countersign::domain::ids::ServiceUserId;
use countersign::engine::keys::KeyRef;
use countersign::engine::query::{Query, RequestFilter, View};
use countersign::gateway::credentials::Signed;
use countersign::gateway::token::Claims;
use countersign::sequencer::replay::Replay;
use countersign::sequencer::{codec, recovery};
use tokio_tungstenite::tungstenite::Message;

use super::session::framed;
use super::world::{self, NOW};

/// A message and its params, for each operation; `@…` is an id of the world. An empty line has no params.
const MESSAGES: &str = include_str!("messages.txt");

/// The corpus of a target.
pub fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    match target {
        "frame_dispatch_inbound" => frames(),
        "handshake" => handshakes(),
        "journal" => journal(),
        "rest" => bodies(),
        "session" => conversations(),
        _ => Vec::new(),
    }
}

/// The messages of `messages.txt`, whole.
fn messages() -> Vec<(String, String)> {
    let engine = world::engine();
    let [bot, member, ..] = world::principals();
    let Ok(View::Requests(requests, _)) = engine.query(NOW, &member, &Query::Requests(RequestFilter::default())) else {
        panic!("the Member sees the request");
    };
    let Ok(View::OpenOrders(orders, _)) = engine.query(NOW, &bot, &Query::OpenOrders(Default::default())) else {
        panic!("the Service User sees its order");
    };
    let asked = Query::Exports(Operation::ExportStatus, None);
    let Ok(View::Exports(exports)) = engine.query(NOW, &bot, &asked) else {
        panic!("the Service User sees its export")
    };
    let request = &requests[0].0;
    let withdrawal = request.withdrawal.expect("it is about a withdrawal");
    let claims = Claims { key: KeyRef::ServiceUser(ServiceUserId(1)), credential_version: 1, issued_at: NOW };
    let filled = MESSAGES
        .replace("@ORDER", &orders[0].id.to_string())
        .replace("@REQUEST", &request.id.to_string())
        .replace("@DIGEST", &request.digest)
        .replace("@REFID", &withdrawal.to_string())
        .replace("@EXPORT", &exports[0].id.to_string())
        .replace("@OTP", &world::code())
        .replace("@TOKEN", &world::tokens().mint(&claims));
    let whole = |(at, line): (usize, &str)| {
        let (method, params) = line.split_once(' ').unwrap_or((line, ""));
        let params = if params.is_empty() { String::new() } else { format!(r#","params":{params}"#) };
        (format!("{at:03}-{method}"), format!(r#"{{"method":"{method}"{params},"req_id":{at}}}"#))
    };
    filled.lines().enumerate().map(whole).collect()
}

fn frames() -> Vec<(String, Vec<u8>)> {
    let messages = messages();
    let first = messages.iter().take(3).map(|(_, text)| Message::text(text.as_str()));
    let wire = framed(first.chain([Message::Ping(b"alive"[..].into()), Message::Close(None)]));
    let mut all: Vec<_> = messages.into_iter().map(|(name, text)| (name, text.into_bytes())).collect();
    all.push(("frames".to_owned(), wire));
    all
}

/// All messages one after the other, in the order of `messages.txt` and the other way round, and half a message.
fn conversations() -> Vec<(String, Vec<u8>)> {
    let texts: Vec<String> = messages().into_iter().map(|(_, text)| text).collect();
    let backwards: Vec<String> = texts.iter().rev().cloned().collect();
    let half = framed([Message::text(texts[0].as_str())]);
    let named = |name: &str, bytes: Vec<u8>| (name.to_owned(), bytes);
    vec![
        named("all", texts.join("\n").into_bytes()),
        named("backwards", backwards.join("\n").into_bytes()),
        named("binary", framed([Message::text(texts[0].as_str()), Message::Binary(b"no text"[..].into())])),
        named("half", [half.as_slice(), &half[..half.len() / 2]].concat()),
    ]
}

fn handshakes() -> Vec<(String, Vec<u8>)> {
    let nonce = "1700000000000000";
    let sign = Signed::handshake(nonce).sign(&world::SECRET);
    let claims = Claims { key: KeyRef::ServiceUser(ServiceUserId(1)), credential_version: 1, issued_at: NOW };
    let upgrade = "GET\nHost: 127.0.0.1\nConnection: keep-alive, Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    let token = world::tokens().mint(&claims);
    [
        ("bare", upgrade.to_owned()),
        ("signed", format!("{upgrade}\nAPI-Key: key-1\nAPI-Nonce: {nonce}\nAPI-Sign: {sign}")),
        ("cookie", format!("{upgrade}\nOrigin: http://localhost\nCookie: a=b; countersign_session=abc")),
        ("token", format!("{upgrade}\n\n{token}")),
    ]
    .into_iter()
    .map(|(name, text)| (name.to_owned(), text.into_bytes()))
    .collect()
}

fn bodies() -> Vec<(String, Vec<u8>)> {
    let json = "POST\nContent-Type: application/json; charset=utf-8\n";
    [
        (
            "token-form",
            "POST\nContent-Type: application/x-www-form-urlencoded\n\na=b&nonce=1700000000000000".to_owned(),
        ),
        ("token-json", "POST\nContent-Type: application/json\n\n{\"nonce\": 1700000000000000}".to_owned()),
        ("sign-in", format!("{json}\n{{\"email\":\"a@acme.test\",\"password\":\"0123456789\",\"otp\":\"123456\"}}")),
        ("password", format!("{json}\n{{\"password\":\"0123456789\"}}")),
        ("otp", format!("{json}\n{{\"otp\":\"123456\"}}")),
    ]
    .into_iter()
    .map(|(name, text)| (name.to_owned(), text.into_bytes()))
    .collect()
}

/// The first event of each kind as a row that follows on those before it, a row of several, the world as a snapshot, and
/// both as they lie on a disk.
fn journal() -> Vec<(String, Vec<u8>)> {
    let events = world::events();
    let row = |range: Range<usize>| {
        let mut bytes = vec![u8::try_from(4 * range.start).expect("the world is small")];
        for (at, event) in &events[range] {
            codec::encode(&mut bytes, *at, world::principals()[0].actor, std::slice::from_ref(event));
        }
        bytes
    };
    let kinds = events.iter().map(|(_, event)| std::mem::discriminant(event)).collect::<Vec<_>>();
    let first = |at: &usize| !kinds[..*at].contains(&kinds[*at]);
    let mut all: Vec<_> =
        (0..events.len()).filter(first).map(|at| (format!("event-{at:02}"), row(at..at + 1))).collect();
    let last = events.len() - 4..events.len();
    let mut damaged = vec![2];
    damaged.extend(codec::FORMAT.to_be_bytes());
    damaged.extend(4_u32.to_be_bytes());
    damaged.extend([0; 32]);
    damaged.extend(&row(last.clone())[1..]);
    let saved = recovery::snapshot(&Replay { state: world::engine().state().clone(), chain: [7; 32] });
    let mut file = vec![3];
    saved.write(&mut file).expect("it is written to memory");
    let snapshot = [&[1], saved.body.as_slice()].concat();
    let named = [("row", row(last)), ("snapshot", snapshot), ("damaged-row", damaged), ("damaged-snapshot", file)];
    all.extend(named.map(|(name, bytes)| (name.to_owned(), bytes)));
    all
}
