//! How long a command takes at each of its stages; `/metrics` shows them.

use crate::telemetry::histogram::Histogram;

/// Durations by stage. The clock is read once per drain or commit, never per message.
#[derive(Debug, Default)]
pub struct Stages {
    /// From a session's submission until the engine takes it.
    pub queue: Histogram,
    /// The engine's work on what one session submitted at once.
    pub engine: Histogram,
    /// From the start of an append until it is seen to be on disk. Between two checks the batch before is released, or
    /// the next submissions are executed.
    pub journal: Histogram,
    /// From being on disk until the sockets' queues have it.
    pub release: Histogram,
}
