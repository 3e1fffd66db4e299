//! What is logged and counted of a socket: its opening and its end, or why it was refused, with who, from where and
//! from which page.

use std::net::IpAddr;
use std::time::Duration;

use axum::http::HeaderMap;

use super::admission::counted_as;
use super::close::GONE;
use super::context::Gateway;
use super::http_request::origin;
use super::refusal::Refusal;
use super::session::{End, Session};
use crate::access::principal::Actor;

/// Most characters of an origin in the log: no browser's is longer, but others can be as long as a request's head.
const ORIGIN_CHARS_MAX: usize = 256;

/// The part of an origin that is logged.
fn origin_for_log(origin: Option<&str>) -> &str {
    let origin = origin.unwrap_or_default();
    origin.char_indices().nth(ORIGIN_CHARS_MAX).map_or(origin, |(end, _)| &origin[..end])
}

impl Gateway {
    /// Counts and logs a refused handshake or token call.
    pub(super) fn handshake_refused(&self, headers: &HeaderMap, peer: IpAddr, refusal: &Refusal) {
        self.metrics.handshake_refused(refusal.status.as_u16());
        self.log_refusal(headers, peer, refusal);
    }

    /// Counts and logs a failed sign-in.
    pub(super) fn sign_in_refused(&self, headers: &HeaderMap, peer: IpAddr, refusal: &Refusal) {
        self.metrics.sign_in_refused();
        self.log_refusal(headers, peer, refusal);
    }

    /// A key is logged only if it is known: any other text may be a secret that was put there by mistake.
    fn log_refusal(&self, headers: &HeaderMap, peer: IpAddr, refusal: &Refusal) {
        let given = headers.get("api-key").and_then(|value| value.to_str().ok());
        let known = given.and_then(|given| self.directory.keys(|keys| keys.verification(given)));
        let who = known.map_or(Actor::Public, |(key, ..)| key.actor()).to_string();
        let (origin, status, error) = (origin_for_log(origin(headers)), refusal.status.as_u16(), &refusal.error);
        if self.should_log_refusal(peer) {
            tracing::info!(who, %peer, origin, status, error, "authentication refused");
        } else {
            tracing::debug!(who, %peer, origin, status, error, "authentication refused");
        }
    }

    /// Whether to log a refusal of `peer`: a limited number in a minute for each address, the last one with a note that
    /// further ones are left out.
    fn should_log_refusal(&self, peer: IpAddr) -> bool {
        let (from, now) = (counted_as(peer), (self.clock)());
        let tells = self.refusal_log_limit.admit(from, now);
        if let Some(seconds) = self.refusal_log_limit.wait_s(&from, now).filter(|_| tells) {
            tracing::info!(%peer, seconds, "further refusals from this address are not logged");
        }
        tells
    }
}

impl Session {
    /// The socket is open.
    pub(super) fn opened(&self, origin: Option<&str>) {
        self.gateway.metrics.opened(Actor::Public);
        let (connection, who, peer) = (self.connection_id, self.principal.actor, self.principal.peer);
        tracing::info!(connection, %who, %peer, origin = origin_for_log(origin), "socket opened");
    }

    /// The engine has admitted who it is.
    pub(super) fn log_bound(&self) {
        self.gateway.metrics.bound(self.principal.actor);
        tracing::info!(connection = self.connection_id, who = %self.principal.actor, "socket bound");
    }

    /// A token was refused. Logged once per socket, which may try thousands a second.
    pub(super) fn token_refused(&mut self, error: &str) {
        if !std::mem::replace(&mut self.token_refusal_logged, true)
            && self.gateway.should_log_refusal(self.principal.peer)
        {
            let (connection, who, peer) = (self.connection_id, self.principal.actor, self.principal.peer);
            tracing::info!(connection, %who, %peer, error, "authentication refused");
        }
    }

    /// The socket is about to be closed.
    pub(super) fn closed(&self, end: End, open_for: Duration) {
        let why = match end {
            End::Gone | End::Closed => None,
            End::Close(why) | End::Drop(why) => Some(why),
        };
        let (code, reason) = why.map_or((GONE, "the client left"), |why| (why.code(), why.reason()));
        let who = if self.bound { self.principal.actor } else { Actor::Public };
        self.gateway.metrics.closed(who, why);
        if let Some(at) = self.queue.revoked_at() {
            let us = (self.gateway.clock)().0.saturating_sub(at.0);
            self.gateway.metrics.revoked(Duration::from_micros(us));
        }
        let (connection, peer, seconds) = (self.connection_id, self.principal.peer, open_for.as_secs());
        tracing::info!(connection, %who, %peer, code, reason, seconds, "socket closed");
    }
}
