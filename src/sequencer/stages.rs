//! How long a command takes at each of its stages; `/metrics` shows them.

use crate::telemetry::histogram::Histogram;

/// Durations by stage. The clock is read once a drain or a commit, never once a message.
#[derive(Debug, Default)]
pub struct Stages {
    /// From a session's submitting to the engine's taking.
    pub queue: Histogram,
    /// The engine's work on what one session submitted at once.
    pub engine: Histogram,
    /// From the beginning of an append until it is seen to be on disk. Between two looks the batch before is let out, or
    /// what comes next is executed.
    pub journal: Histogram,
    /// From being on disk to being with the sockets' queues.
    pub release: Histogram,
}
