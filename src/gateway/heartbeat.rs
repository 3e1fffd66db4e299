//! What a session looks at each second: whether it is time to end, whether the peer is there, and heartbeats.

use std::time::Duration;

use tokio::time::Instant;

use super::frame;
use super::session::{End, PATIENCE, Session};

/// A socket without a message or a subscription is closed after this (rule 6).
const IDLE: Duration = Duration::from_secs(60);
/// How often it is looked at.
pub(super) const BEAT: Duration = Duration::from_secs(1);

impl Session {
    /// Looks at all of it; the end that is due.
    pub(super) fn beat(&mut self) -> Option<End> {
        let follows = self.follows_status || !self.subscriptions.is_empty() || !self.topics.is_empty();
        let idle = self.last_message.elapsed();
        if self.stopping && self.last_act.elapsed() >= PATIENCE {
            match self.queue.in_flight() {
                0 => return Some(self.restart()),
                // The sequencer answers all that it took, unless it died.
                _ if !self.gateway.handle.is_open() => return Some(End::Close(1011, "the outcome is not known")),
                // After 1012 a client takes what was not answered as never done.
                _ => {}
            }
        }
        // With the sequencer gone or the server stopping, what is under way decides how the socket ends, above.
        let goes_on = !self.stopping && self.gateway.handle.is_open();
        if goes_on && !self.topics.is_empty() && !self.gateway.market_data.is_running() {
            return Some(End::Close(1013, "market data has stopped"));
        }
        if idle >= IDLE && !follows && self.queue.in_flight() == 0 {
            return Some(End::Close(1000, "idle"));
        }
        if !self.is_there() {
            return Some(End::Gone);
        }
        if self.out.bytes.is_empty() && !self.wrote {
            // A session at rest keeps no room for the burst before.
            (self.out, self.items, self.submissions) = Default::default();
        }
        if follows && !self.wrote {
            frame::push_text(&mut self.out.bytes, br#"{"channel":"heartbeat"}"#);
        }
        None
    }

    /// How a session ends with its server once nothing is under way.
    pub(super) fn restart(&self) -> End {
        // The sequencer outlasts the sessions, unless it died.
        End::Close(1012, if self.gateway.handle.is_open() { "planned restart" } else { "the server failed" })
    }

    /// How long a peer may be silent before it is pinged, and then before it counts as gone.
    pub(super) fn ping(&self) -> Duration {
        Duration::from_secs(self.gateway.limits.ping_s as u64)
    }

    /// Pings a silent peer; `false` once it has not answered for as long again.
    fn is_there(&mut self) -> bool {
        match self.pinged {
            // What is not read cannot be heard.
            _ if !self.reads() => true,
            Some(pinged) => pinged.elapsed() < self.ping(),
            None => {
                if self.last_heard.elapsed() >= self.ping() {
                    frame::push_ping(&mut self.out.bytes);
                    self.pinged = Some(Instant::now());
                }
                true
            }
        }
    }
}

#[cfg(test)]
mod tests;
