//! Untrusted input, parsed as by the routes but from plain bytes, or without the HTTP before it: for the fuzz targets
//! in `fuzz/`, and for the test that replays their corpora.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::context::Gateway;
use super::handshake::{self, Signature};
use super::http_request::{body, cookie, origin};
use super::rest_private;
use super::session;
use super::sign_in::{Acceptance, SignIn};
use super::socket::Socket;
use super::upgrade::{self, WebSocket};

/// What a request's head says about its sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    /// It may become a WebSocket.
    pub upgrades: bool,
    /// Whether the handshake's signature was made with the secret; `None` without a key, or with half of one.
    pub signed: Option<bool>,
    /// The nonce that was signed, if it is a number.
    pub nonce: Option<u64>,
    /// It carries a session cookie.
    pub cookie: bool,
    /// It names the origin of its page.
    pub origin: bool,
}

/// Runs a WebSocket from its handshake, with these headers, to its end: `stream` brings frames. `false` if the
/// handshake is refused.
pub async fn socket(gateway: Arc<Gateway>, headers: &HeaderMap, stream: TcpStream) -> bool {
    let Ok(peer) = stream.peer_addr() else { return false };
    let Ok(opened) = handshake::judge(&gateway, headers, peer.ip()).await else { return false };
    let socket = WebSocket::from_raw_socket(Socket::plain(stream), Role::Server, Some(upgrade::config())).await;
    session::run(gateway, socket, opened).await;
    true
}

/// Reads the head of a request for `/v2`.
pub fn handshake(parts: &Parts, secret: &[u8]) -> Claim {
    let headers = &parts.headers;
    let signature = Signature::of(headers).ok().flatten();
    Claim {
        upgrades: upgrade::accept_key(parts).is_ok(),
        signed: signature.as_ref().map(|by| by.signed.verify(secret, by.api_sign)),
        nonce: signature.and_then(|by| by.signed.nonce.parse().ok()),
        cookie: cookie(headers).is_some(),
        origin: origin(headers).is_some(),
    }
}

/// Which kinds of body a request's body is valid as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bodies {
    /// Of `GetWebSocketsToken`: it has a nonce.
    pub token: bool,
    /// Of `POST /session`.
    pub sign_in: bool,
    /// Of `POST /invitations/{token}`.
    pub acceptance: bool,
}

/// Parses a body as each of the routes that take one does.
pub fn rest(headers: &HeaderMap, bytes: &Bytes) -> Bodies {
    Bodies {
        token: rest_private::nonce(headers, bytes).is_some(),
        sign_in: body::<SignIn>(headers, bytes).is_ok(),
        acceptance: body::<Acceptance>(headers, bytes).is_ok(),
    }
}
