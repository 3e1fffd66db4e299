//! What a session checks every second: whether it must end, whether the peer still answers, and heartbeats.

use std::time::Duration;

use tokio::time::Instant;

use super::close::Close;
use super::frame;
use super::session::{End, Session};

/// A socket without a message or a subscription is closed after this (rule 6).
const IDLE: Duration = Duration::from_secs(60);
/// The time between two checks.
pub(super) const BEAT: Duration = Duration::from_secs(1);

impl Session {
    /// Does all checks; returns how the session ends, if it must.
    pub(super) fn beat(&mut self) -> Option<End> {
        let follows = self.follows_status || !self.subscriptions.is_empty() || !self.topics.is_empty();
        let idle = self.last_message.elapsed();
        // If the sequencer is gone or the socket is being closed, calls under way decide how it ends (`Session::end`).
        let goes_on = self.closing.is_none() && self.gateway.handle.is_open();
        if goes_on && !self.topics.is_empty() && !self.gateway.market_data.is_running() {
            return Some(End::Close(Close::MarketDataStopped));
        }
        if idle >= IDLE && !follows && self.queue.in_flight() == 0 {
            return Some(End::Close(Close::Idle));
        }
        if !self.is_there() {
            return Some(End::Gone);
        }
        if self.out.bytes.is_empty() && !self.wrote {
            // An idle session gives back the buffers that grew in a burst.
            (self.out, self.items, self.submissions) = Default::default();
        }
        if follows && !self.wrote {
            frame::push_text(&mut self.out.bytes, br#"{"channel":"heartbeat"}"#);
        }
        None
    }

    /// How long a peer may be silent before it is pinged, and again as long before it counts as gone.
    pub(super) fn ping(&self) -> Duration {
        Duration::from_secs(self.gateway.limits.ping_s as u64)
    }

    /// Pings a silent peer; `false` once it has not answered for as long again.
    fn is_there(&mut self) -> bool {
        match self.pinged {
            // While the session does not read, it cannot receive a pong.
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
