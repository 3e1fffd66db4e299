//! What the fuzz targets do with bytes. `tests/repository/corpora.rs` puts every file of the corpora through the same
//! functions, so that neither can rot.

#[path = "../../tests/support/genesis.rs"]
#[allow(dead_code, reason = "the suites use the rest")]
mod genesis;
mod journal;
mod requests;
pub mod seeds;
mod server;
mod session;
mod world;

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request};
use countersign::access::operation::Operation;
use countersign::gateway::untrusted::{self, Bodies, Claim};
use countersign::gateway::upgrade;
pub use journal::journal;
pub use session::session;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocket};

/// The end of a connection whose other end has sent these bytes and reads nothing back.
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

/// A head and the body of a REST call.
pub fn rest(bytes: &[u8]) -> Bodies {
    let (headers, _, body) = head(bytes);
    untrusted::rest(&headers, &body)
}

/// An input that takes longer is a finding.
const SLOW: Duration = Duration::from_millis(100);

/// Runs a target on an input, and again when it was slow: another process may have had the processor, so what this one
/// used of it counts then.
pub fn soon(run: impl Fn()) {
    let start = Instant::now();
    run();
    if start.elapsed() > SLOW {
        let (start, before) = (Instant::now(), processor_time());
        run();
        let used = processor_time().zip(before).map_or_else(|| start.elapsed(), |(after, before)| after - before);
        assert!(used <= SLOW, "the input takes {used:?}");
    }
}

/// What all threads of this process used so far, where `/proc` tells it, in hundredths of a second.
fn processor_time() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // Behind the name, which is in brackets, these are the twelfth field and the one after.
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().ok());
    Some(Duration::from_millis(10 * ticks.sum::<Option<u64>>()?))
}
