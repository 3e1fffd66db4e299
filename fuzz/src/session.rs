//! From what a client sends to what it is sent, through the whole server, over the socket of each client that may ask.

use std::collections::BTreeSet;
use std::io::Cursor;

use countersign::access::operation::{Kind, Operation};
use countersign::gateway::{inbound, upgrade};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocket};

use super::Sent;
use super::server::Client;

/// Bytes as a socket brings them, or messages, one a line, when they begin like one: read, dispatched, judged by the engine of
/// a small world, journalled, answered, and told to who follows everything. The methods that were carried out.
pub fn session(bytes: &[u8]) -> BTreeSet<String> {
    let (frames, texts) = match (bytes.first(), std::str::from_utf8(bytes)) {
        (Some(b'{'), Ok(text)) => {
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            (framed(lines.iter().map(|line| Message::text(line.as_str()))), lines)
        }
        _ => (bytes.to_owned(), texts(bytes, Role::Server)),
    };
    let understood: BTreeSet<Operation> = texts.iter().filter_map(|text| operation(text)).collect();
    let mut done = BTreeSet::new();
    for client in Client::ALL {
        let may_ask = understood.iter().any(|operation| client.may_ask(*operation));
        // Who sends what nobody understands is one as good as the other.
        if may_ask || understood.is_empty() && client == Client::Bot {
            done.extend(converse(client, &understood, &frames));
        }
    }
    done
}

/// What a message asks for, if it is understood.
fn operation(text: &str) -> Option<Operation> {
    let envelope = inbound::parse_message(text).ok()?;
    Some(inbound::parse(&envelope).ok()?.operation)
}

/// The messages in what the end of this role is sent, as far as the frames are sound.
pub fn texts(bytes: &[u8], to: Role) -> Vec<String> {
    let limits = (to == Role::Server).then(upgrade::config);
    let mut socket = WebSocket::from_raw_socket(Sent(bytes), to, limits);
    let messages = std::iter::from_fn(|| socket.read().ok());
    messages
        .filter_map(|message| if let Message::Text(text) = message { Some(text.to_string()) } else { None })
        .collect()
}

/// Messages as a client sends them.
pub fn framed(messages: impl IntoIterator<Item = Message>) -> Vec<u8> {
    let mut frames = Vec::new();
    let mut socket = WebSocket::from_raw_socket(Cursor::new(&mut frames), Role::Client, None);
    messages.into_iter().for_each(|message| socket.send(message).expect("it is written to memory"));
    drop(socket);
    frames
}

/// Of what was not in the input.
const OURS: i64 = -1;

/// Lets a client send these frames. What it is sent is sound, and money is conserved. The methods that were carried out.
fn converse(client: Client, asked: &BTreeSet<Operation>, frames: &[u8]) -> BTreeSet<String> {
    // Who subscribes to something may do so as it wants; everybody else follows all that it may, and is told what happens.
    let streams = asked.iter().any(|operation| operation.row().kind == Kind::Stream);
    let follows =
        Operation::ALL.into_iter().filter(|of| !streams && of.row().kind == Kind::Stream && client.may_ask(*of));
    let symbol = |of: Operation| if of.row().public { r#","symbol":["BTC/USD"]"# } else { "" };
    let params = |of: Operation| format!(r#""channel":"{}"{}"#, of.name(), symbol(of));
    let subscribe = |of| format!(r#"{{"method":"subscribe","req_id":{OURS},"params":{{{}}}}}"#, params(of));
    let mut all = framed(follows.map(|of| Message::text(subscribe(of))));
    all.extend_from_slice(frames);
    let (sent, state) = client.converse(&all);
    let mut done = BTreeSet::new();
    for text in texts(&sent, Role::Client) {
        let Ok(Reply { method, req_id, success }) = serde_json::from_str(&text) else { panic!("no JSON: {text}") };
        done.extend(method.filter(|_| success != Some(false) && req_id != Some(OURS)));
    }
    state.ledger.check().expect("money is conserved");
    assert!(asked.contains(&Operation::Halt) || state.halted.is_none(), "{:?}", state.halted);
    done
}

/// What tells a reply from an item of a stream, and a refusal from other replies; a pong has no `success`.
#[derive(serde::Deserialize)]
struct Reply {
    method: Option<String>,
    req_id: Option<i64>,
    success: Option<bool>,
}
