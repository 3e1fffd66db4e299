//! Why the server closes a socket: every close code with each reason that goes with it, and what a session does until
//! then. `docs/bots.md` says what a client does about a code.

use std::mem;

use tokio::time::Instant;

use super::session::{End, Session, Subscription, WRITE_TIMEOUT};

/// The code that stands for a client that left, and is never sent (RFC 6455, §7.4.1).
pub const GONE: u16 = 1006;

macro_rules! closes {
    ($($(#[doc = $doc:literal])* $Close:ident = ($code:literal, $reason:literal),)*) => {
        /// Why a socket is closed. The codes below 4000 are those of RFC 6455 and its registry, the others our own.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Close {
            $($(#[doc = $doc])* $Close,)*
        }

        impl Close {
            /// All of them, by code.
            pub const ALL: [Close; [$(Close::$Close),*].len()] = [$(Close::$Close),*];

            /// The code of the close frame; several may share one.
            pub const fn code(self) -> u16 {
                match self {
                    $(Close::$Close => $code,)*
                }
            }

            /// The text of the close frame, at most 123 bytes.
            pub const fn reason(self) -> &'static str {
                match self {
                    $(Close::$Close => $reason,)*
                }
            }
        }
    };
}

closes! {
    /// A minute without a message or a subscription (rule 6).
    Idle = (1000, "idle"),
    /// A frame is not as RFC 6455 has it.
    Malformed = (1002, "protocol error"),
    /// A text frame is not UTF-8.
    NotUtf8 = (1007, "protocol error"),
    /// A binary frame is not UTF-8.
    NotText = (1007, "text only"),
    /// A message is longer than any may be.
    TooLong = (1009, "message too big"),
    /// The server failed with requests under way.
    OutcomeUnknown = (1011, "the outcome is not known"),
    /// The session panicked. Nothing is sent, only logged.
    SessionFailed = (1011, "the session failed"),
    /// The server stops, and everything was answered.
    PlannedRestart = (1012, "planned restart"),
    /// The server failed, and what was not answered was never done.
    ServerFailed = (1012, "the server failed"),
    /// History does not deliver the past fills that it was promised in time, or too many later items wait behind them.
    FillsNotReady = (1013, "past fills are not ready: reconnect"),
    /// A replay cannot continue; the client has all up to the last offset that it saw.
    ReplayBrokenOff = (1013, "replay broken off: reconnect with from_offset"),
    /// The books and trades that the socket follows have stopped.
    MarketDataStopped = (1013, "market data has stopped"),
    /// The key has another pair now.
    KeyRotated = (4001, "key rotated"),
    /// The key's Service User is removed.
    KeyRemoved = (4001, "key removed"),
    /// The key is disabled.
    KeyDisabled = (4001, "key disabled"),
    /// The key waits for its secret to be claimed.
    KeyNotClaimed = (4001, "key not claimed"),
    /// Everything of the Organization is frozen.
    Frozen = (4001, "frozen"),
    /// An open channel needs a right that is gone.
    ScopeLost = (4001, "an open subscription lost its scope"),
    /// The key's query end date passed under an open channel of the past.
    QueryEnded = (4001, "query end date"),
    /// The key expired.
    KeyExpired = (4002, "key expired"),
    /// Allow WebSocket was taken away.
    WebSocketOff = (4003, "WebSocket not allowed any more"),
    /// The allow-list does not hold the peer's address any more.
    AddressOff = (4004, "address not allowed any more"),
    /// The Member's session ended.
    SessionEnded = (4005, "session ended"),
    /// The Member may not come back by signing in.
    MemberEnded = (4005, "session ended: you were suspended, reset or removed; ask a Member who manages access"),
    /// The peer did not take what was sent to it.
    SlowConsumer = (4008, "slow consumer"),
    /// More messages than a connection may send.
    TooManyRequests = (4009, "too many requests"),
    /// More sockets than a key or Member may have.
    TooManyConnections = (4009, "too many connections of this key"),
}

impl Close {
    /// Whether the calls under way are answered before (law 9). Not if the peer takes nothing, nor if its key or Member
    /// stopped: from then on the engine executes nothing for them.
    pub const fn answers_first(self) -> bool {
        !matches!(
            self,
            Close::KeyRotated
                | Close::KeyRemoved
                | Close::KeyDisabled
                | Close::KeyNotClaimed
                | Close::Frozen
                | Close::KeyExpired
                | Close::WebSocketOff
                | Close::AddressOff
                | Close::SessionEnded
                | Close::MemberEnded
                | Close::SlowConsumer
        )
    }
}

impl Session {
    /// Begins to close the socket: nothing more is read, and of what it follows nothing more is shown.
    pub(super) fn close(&mut self, why: Close) {
        let (_, since) = self.closing.unwrap_or((why, Instant::now()));
        self.closing = Some((why, since));
        // A write must not take longer now than in a server that stops, and a direct one may be the last answer.
        self.queue.stop();
        self.queue.allow_direct(None);
        self.topics.clear();
        for subscription in self.subscriptions.values_mut() {
            // Its options say whether to cancel on disconnect.
            let options = mem::take(&mut subscription.options);
            *subscription = Subscription { options, ..Subscription::default() };
        }
    }

    /// How a session that is closing ends, once it need not wait any longer for calls and history.
    pub(super) fn end(&self) -> Option<End> {
        let (why, since) = self.closing?;
        let (in_flight, goes_on) = (self.queue.in_flight() > 0, self.gateway.handle.is_open());
        let waits = (in_flight || !self.history.is_empty()) && since.elapsed() < WRITE_TIMEOUT;
        let why = match why {
            _ if !why.answers_first() => why,
            _ if waits => return None,
            // The sequencer answers all that it accepted, unless it died.
            _ if in_flight && !goes_on => Close::OutcomeUnknown,
            // After 1012 a client would assume that unanswered calls were not executed.
            Close::PlannedRestart if in_flight => return None,
            // The sequencer outlasts the sessions, unless it died.
            Close::PlannedRestart if !goes_on => Close::ServerFailed,
            why => why,
        };
        Some(End::Close(why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_close_says_something_of_its_own_in_a_control_frame() {
        for (at, why) in Close::ALL.into_iter().enumerate() {
            let said = |why: &Close| (why.code(), why.reason());
            assert!(why.reason().len() <= 123, "{why:?}");
            assert!(Close::ALL[..at].iter().all(|other| said(other) != said(&why)), "{why:?}");
        }
        assert!(Close::ALL.is_sorted_by_key(|why| why.code()), "by code");
    }
}
