//! What the fuzz targets do with bytes. `tests/repository/corpora.rs` puts every file of the corpora through the same
//! functions, so that neither can rot.

#[path = "../../tests/support/genesis.rs"]
#[allow(dead_code, reason = "the suites use the rest")]
mod genesis;
mod requests;
pub mod seeds;
mod world;

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request};
use countersign::access::operation::Operation;
use countersign::engine::state::State;
use countersign::gateway::untrusted::{self, Bodies, Claim};
use countersign::gateway::upgrade;
use countersign::sequencer::codec::{self, Entry};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocket};

/// A socket whose other end has sent these bytes and reads nothing back.
struct Sent<'a>(&'a [u8]);

impl Read for Sent<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl Write for Sent<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes as a socket brings them, or one message as it stands when they begin like one: read, understood, judged by
/// an engine on a small world, and answered. The operations that were understood.
pub fn frame_dispatch_inbound(bytes: &[u8]) -> BTreeSet<Operation> {
    if bytes.first() == Some(&b'{') {
        let text = std::str::from_utf8(bytes).ok();
        return text.and_then(requests::dispatch).into_iter().collect();
    }
    let mut socket = WebSocket::from_raw_socket(Sent(bytes), Role::Server, Some(upgrade::config()));
    let mut understood = BTreeSet::new();
    while let Ok(message) = socket.read() {
        if let Message::Text(text) = message {
            understood.extend(requests::dispatch(&text));
        }
    }
    understood
}

/// The first line is the request's, header lines follow; after an empty line comes the body.
fn head(bytes: &[u8]) -> (HeaderMap, &str, Bytes) {
    let end = bytes.windows(2).position(|pair| pair == b"\n\n");
    let (head, body) = end.map_or((bytes, &[][..]), |end| (&bytes[..end], &bytes[end + 2..]));
    let mut lines = head.split(|byte| *byte == b'\n');
    let first = lines.next().and_then(|line| std::str::from_utf8(line).ok()).unwrap_or("");
    let mut headers = HeaderMap::new();
    // As many as the listener takes.
    for line in lines.take(64) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    (headers, first, Bytes::copy_from_slice(body))
}

/// The head of a request for `/v2`; what stands after it is a WebSocket token. The claim, and whether the token is
/// one of this server's.
pub fn handshake(bytes: &[u8]) -> (Claim, bool) {
    let (headers, method, body) = head(bytes);
    let Ok(mut request) = Request::builder().method(method).uri("/v2").body(()) else { return Default::default() };
    *request.headers_mut() = headers;
    let claim = untrusted::handshake(&request.into_parts().0, &world::SECRET);
    let token = std::str::from_utf8(&body).is_ok_and(|token| world::tokens().verify(token, world::NOW).is_ok());
    (claim, token)
}

/// The first byte says what the rest is. Whatever is read must be written, and read again, as the same. Whether
/// anything was read.
pub fn journal(bytes: &[u8]) -> bool {
    let Some((kind, body)) = bytes.split_first() else { return false };
    if kind % 2 == 0 {
        let Ok(entries) = codec::decode(codec::FORMAT, body) else { return false };
        let mut written = Vec::new();
        entries.iter().for_each(|Entry { at, by, events }| codec::encode(&mut written, *at, *by, events));
        assert_eq!(codec::decode(codec::FORMAT, &written), Ok(entries));
        return !body.is_empty();
    }
    let Ok(state) = postcard::from_bytes::<State>(body) else { return false };
    let written = postcard::to_allocvec(&state).expect("the state is plain data");
    let again: State = postcard::from_bytes(&written).expect("what was written is read");
    assert_eq!(again.digest(), state.digest());
    // A snapshot is only taken with its digest, yet one that lies must not do more than fail the check.
    let _ = state.ledger.check();
    true
}

/// A head and the body of a REST call.
pub fn rest(bytes: &[u8]) -> Bodies {
    let (headers, _, body) = head(bytes);
    untrusted::rest(&headers, &body)
}

/// An input that takes longer three times in a row is a finding.
const SLOW: Duration = Duration::from_millis(100);

/// Runs a target on an input, and again when it was slow: another process may have had the processor.
pub fn soon(run: impl Fn()) {
    let slow = |_| {
        let start = Instant::now();
        run();
        start.elapsed() > SLOW
    };
    assert!(!(0..3).all(slow), "the input takes longer than {SLOW:?}");
}
