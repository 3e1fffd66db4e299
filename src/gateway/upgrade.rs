//! From an HTTP request to a WebSocket (RFC 6455 §4.2).
//!
//! [`Upgrade`] is an axum extractor: a handler that has one holds a request that may become a
//! WebSocket, and nothing has been answered yet, so every refusal is still plain HTTP. Extensions
//! are never agreed to: tungstenite has no compression.
//!
//! A session shares the socket with tungstenite: tungstenite reads and answers pings, while the
//! session's own frames go through `get_mut()`. Both write to the same bytes, so a session must
//! `flush()` before it writes by itself, and must not read again until its own write is complete;
//! else a pong could land inside a frame.

use std::{future::Future, time::Duration};

use axum::{
    body::Body,
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header, request::Parts},
    response::Response,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use futures::{FutureExt as _, SinkExt as _};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    runtime::Handle,
    time,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error,
        error::ProtocolError,
        handshake::derive_accept_key,
        protocol::{Role, WebSocketConfig},
    },
};

use super::{close::Close, deadline::Deadline, frame, listener::Place, refusal::Refusal, socket::Socket};

/// An open WebSocket as sessions get it.
pub type WebSocket = WebSocketStream<Socket>;

/// Most bytes of one message, and of one frame.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Tungstenite allocates this for every connection: room for seven orders. The module `socket` reads further ahead.
const READ_BUFFER: usize = 1_536;
/// Only for control frames; sessions write their own frames.
const WRITE_BUFFER: usize = 256;
const WRITE_BUFFER_MAX: usize = 64 * 1024;

/// How long, and for how many bytes, [`close`] keeps reading.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: u64 = 64 * 1024 * 1024;

/// A valid upgrade request that waits for its answer.
pub struct Upgrade {
    on_upgrade: OnUpgrade,
    accept: String,
    protocol: Option<HeaderValue>,
    place: Place,
}

impl<S: Sync> FromRequestParts<S> for Upgrade {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        let accept = accept_key(parts)?;
        let protocol = subprotocol(&parts.headers);
        let on_upgrade = parts.extensions.remove::<OnUpgrade>();
        let place = parts.extensions.get::<Place>().cloned();
        match (on_upgrade, place) {
            (Some(on_upgrade), Some(place)) => Ok(Self { on_upgrade, accept, protocol, place }),
            _ => Err(Refusal::invalid(StatusCode::BAD_REQUEST, "this connection cannot upgrade")),
        }
    }
}

impl Upgrade {
    /// The 101 answer. Once it is sent, `session` runs as a task on `sessions`, with the socket; the connection counts
    /// as open until it returns.
    pub fn accept<F>(self, sessions: Handle, session: impl FnOnce(WebSocket) -> F + Send + 'static) -> Response
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Self { on_upgrade, accept, protocol, place } = self;
        tokio::spawn(async move {
            match on_upgrade.await {
                Ok(upgraded) => {
                    let parts = upgraded.downcast::<TokioIo<Deadline<Socket>>>();
                    let parts = parts.expect("the listener serves sockets with a deadline only");
                    let early = parts.read_buf.to_vec();
                    // A session has its own limits.
                    let socket = parts.io.into_inner().into_inner();
                    let socket = WebSocket::from_partially_read(socket, early, Role::Server, Some(config())).await;
                    // A task of its own, so that what the upgrade needed is not kept as long as the session; and not an
                    // async block, which would reserve the memory for it twice.
                    sessions.spawn(session(socket).map(|()| drop(place)));
                }
                Err(error) => tracing::debug!(%error, "peer left before its upgrade"),
            }
        });
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        let accept = accept.try_into().expect("base64 is a header value");
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        headers.extend(protocol.map(|protocol| (header::SEC_WEBSOCKET_PROTOCOL, protocol)));
        response
    }
}

/// Why a socket whose read failed is closed; `None` when nobody is left to receive it.
pub fn refused(error: &Error) -> Option<Close> {
    match error {
        Error::Capacity(_) => Some(Close::TooLong),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
        Error::Protocol(_) => Some(Close::Malformed),
        Error::Utf8(_) => Some(Close::NotUtf8),
        _ => None,
    }
}

/// Ends a WebSocket and says why. Closing a TCP socket with unread input resets it, and the reset may overtake the
/// close frame, so this keeps reading for a moment until the peer has closed. The session's own frames must be complete
/// before.
pub async fn close(socket: WebSocket, why: Close) {
    let mut bytes = Vec::new();
    frame::push_close(&mut bytes, why.code(), why.reason());
    end(socket, &bytes).await;
}

/// Ends a WebSocket that the peer has closed, with tungstenite's queued answer to its close frame.
pub async fn closed(socket: WebSocket) {
    end(socket, &[]).await;
}

async fn end(mut socket: WebSocket, last: &[u8]) {
    let linger = async {
        // A pong may be half written. If this fails, so will the rest.
        let _ = socket.flush().await;
        let mut socket = socket.into_inner();
        socket.write_all(last).await?;
        socket.shutdown().await?;
        tokio::io::copy(&mut socket.take(LINGER_BYTES), &mut tokio::io::sink()).await
    };
    // Whatever happens here, the socket is gone afterwards.
    let _ = time::timeout(LINGER, linger).await;
}

/// The limits of every WebSocket.
pub fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(WRITE_BUFFER_MAX)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX))
}

/// Checks the request; returns the value of `Sec-WebSocket-Accept` if it is valid.
pub(super) fn accept_key(parts: &Parts) -> Result<String, Refusal> {
    if parts.method != Method::GET {
        return Err(Refusal::invalid(StatusCode::METHOD_NOT_ALLOWED, "a WebSocket starts with GET"));
    }
    if parts.version != Version::HTTP_11 {
        return Err(Refusal::invalid(StatusCode::BAD_REQUEST, "a WebSocket starts with HTTP/1.1"));
    }
    let upgrade_required = |what| Refusal::invalid(StatusCode::UPGRADE_REQUIRED, what);
    let headers = &parts.headers;
    if !names(headers, &header::CONNECTION, "upgrade") || !names(headers, &header::UPGRADE, "websocket") {
        return Err(upgrade_required("Connection: Upgrade and Upgrade: websocket are needed"));
    }
    if only(headers, &header::SEC_WEBSOCKET_VERSION) != Some("13") {
        return Err(upgrade_required("Sec-WebSocket-Version must be 13"));
    }
    only(headers, &header::SEC_WEBSOCKET_KEY)
        .filter(|key| key.len() == 24 && BASE64_STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == 16))
        .map(|key| derive_accept_key(key.as_bytes()))
        .ok_or_else(|| Refusal::invalid(StatusCode::BAD_REQUEST, "Sec-WebSocket-Key must be 16 bytes in base64"))
}

/// The subprotocol to answer with (RFC 6455 §4.2.2): the first one offered, since browsers and others that offer any
/// fail when none is accepted. None has a meaning here.
fn subprotocol(headers: &HeaderMap) -> Option<HeaderValue> {
    let offered = headers.get(header::SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()?;
    let first = offered.split(',').next()?.trim();
    let token = |byte: u8| byte.is_ascii_graphic() && !br#"()<>@,;:\"/[]?={}"#.contains(&byte);
    (!first.is_empty() && first.bytes().all(token)).then(|| HeaderValue::from_str(first).ok()).flatten()
}

/// Whether a header that holds a list names this token, in any case.
fn names(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|item| item.trim().eq_ignore_ascii_case(token))
}

/// The value of a header that occurs exactly once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut lines = headers.get_all(name).iter();
    let line = lines.next()?.to_str().ok()?;
    lines.next().is_none().then_some(line)
}

#[cfg(test)]
mod tests;
