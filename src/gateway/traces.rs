//! What a socket leaves behind in the log and in the numbers: its opening and its end, with who, from where, from
//! which page, and why.

use std::net::IpAddr;
use std::time::Duration;

use super::admission::counted_as;
use super::context::Gateway;
use super::session::{End, Session};
use crate::access::principal::Actor;

/// Most characters of an origin in the log: no browser's is longer, and anybody else's may be as long as a request's head.
const ORIGIN_CHARS_MAX: usize = 256;

/// What the log tells of an origin.
pub(super) fn told(origin: Option<&str>) -> &str {
    let origin = origin.unwrap_or_default();
    origin.char_indices().nth(ORIGIN_CHARS_MAX).map_or(origin, |(end, _)| &origin[..end])
}

impl Gateway {
    /// Whether the log is to tell of a refusal of `peer`: of one address it tells of so many in a minute, and with the last
    /// of them that further ones are left out.
    pub(super) fn tells_of_refusal(&self, peer: IpAddr) -> bool {
        let (from, now) = (counted_as(peer), (self.clock)());
        let tells = self.refusals_told.admit(from, now);
        if let Some(seconds) = self.refusals_told.wait_s(&from, now).filter(|_| tells) {
            tracing::info!(%peer, seconds, "more that is refused from here is left out of the log");
        }
        tells
    }
}

/// The code that stands for a client that left, as RFC 6455 has it.
const GONE: u16 = 1006;

impl Session {
    /// The socket is open.
    pub(super) fn opened(&self, origin: Option<&str>) {
        self.gateway.metrics.opened(Actor::Public);
        let (connection, who, peer) = (self.connection_id, self.principal.actor, self.principal.peer);
        tracing::info!(connection, %who, %peer, origin = told(origin), "socket opened");
    }

    /// The engine has admitted who it is.
    pub(super) fn told_bound(&self) {
        self.gateway.metrics.bound(self.principal.actor);
        tracing::info!(connection = self.connection_id, who = %self.principal.actor, "socket bound");
    }

    /// A token was not taken. Told once for a socket, which may try thousands a second.
    pub(super) fn token_refused(&mut self, error: &str) {
        if !std::mem::replace(&mut self.told_of_token, true) && self.gateway.tells_of_refusal(self.principal.peer) {
            let (connection, who, peer) = (self.connection_id, self.principal.actor, self.principal.peer);
            tracing::info!(connection, %who, %peer, error, "authentication refused");
        }
    }

    /// The socket is about to be closed.
    pub(super) fn closed(&self, end: End, open_for: Duration) {
        let (code, reason) = match end {
            End::Gone => (GONE, "the client left"),
            End::Close(code, reason) | End::Drop(code, reason) => (code, reason),
        };
        let who = if self.bound { self.principal.actor } else { Actor::Public };
        self.gateway.metrics.closed(who, code);
        if let Some(at) = self.outlet.revoked_at() {
            let us = (self.gateway.clock)().0.saturating_sub(at.0);
            self.gateway.metrics.revoked(Duration::from_micros(us));
        }
        let (connection, peer, seconds) = (self.connection_id, self.principal.peer, open_for.as_secs());
        tracing::info!(connection, %who, %peer, code, reason, seconds, "socket closed");
    }
}
