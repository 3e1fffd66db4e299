//! What can go wrong in a load run, distinguished by what the reader of the report does next.

use std::io;

/// Why a run has no result.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The operating system refused something; `what` names the attempt.
    #[error("{what}: {source}")]
    Io {
        /// The attempt, as a verb phrase.
        what: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The server answered the upgrade with something other than 101.
    #[error("{at} refused the handshake of {who} with HTTP {status}: {body}")]
    Handshake {
        /// The address, without its scheme.
        at: String,
        /// The client: a key by its first characters.
        who: String,
        /// HTTP status.
        status: u16,
        /// The response body, as far as it arrived.
        body: String,
    },
    /// The server closed the socket in the middle of a run.
    #[error("the server closed a connection: {code} {reason}")]
    Closed {
        /// WebSocket close code; 1006 where the socket ended without a close frame.
        code: u16,
        /// The server's reason.
        reason: String,
    },
    /// The server sent something that the protocol does not allow.
    #[error("protocol: {0}")]
    Protocol(String),
    /// A reply to no outstanding request: the server invented it or sent it twice.
    #[error(transparent)]
    Matching(#[from] crate::in_flight::MatchError),
    /// An order that was acknowledged but not placed: the server has it from an earlier request.
    #[error(
        "an order is doubled: the server has one with its cl_ord_id already, perhaps of another load on the same key"
    )]
    Repeated,
    /// Requests that never got an answer.
    #[error("{missing} of the requests sent were never answered")]
    Unanswered {
        /// How many, over all connections.
        missing: u64,
    },
    /// Events that did not reach all their receivers.
    #[error("{missing} deliveries were missing after ten seconds")]
    Undelivered {
        /// How many, over all sockets.
        missing: u64,
    },
    /// Events that were not published for this run, or came twice.
    #[error("{surplus} deliveries were more than what was published: doubled, or caused by another client")]
    Surplus {
        /// How many, over all sockets.
        surplus: u64,
    },
    /// A single request that the server refused.
    #[error("{method} was refused: {error}")]
    Refused {
        /// Which method.
        method: String,
        /// The server's `error`.
        error: String,
    },
    /// Somebody ended the run with a signal.
    #[error("ended by {signal} before all was done")]
    Ended {
        /// By its name.
        signal: &'static str,
    },
    /// Anything else, in words that say what is to be mended: the command line, a file, the machine, or a part of the run that
    /// ended early. Nobody tells these apart but who reads the words.
    #[error("{0}")]
    Setup(String),
}

impl LoadError {
    /// Adds context to an `io::Error`; for use with `map_err`.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
