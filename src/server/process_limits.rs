//! The system's limits on the process (getrlimit(2)): the limit on open files is raised, and reaching the limit on a
//! file's size becomes an error of the write.

use std::io;

use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

/// Open files besides connections: the storage, the log, the runtimes' own, the few exports in progress.
const OTHER_FILES: u64 = 64;

/// Allows the process a file for each of `max_connections`, or logs that this is not possible.
pub(super) fn open_files(max_connections: usize) {
    let needed = max_connections as u64 + OTHER_FILES;
    let limit = getrlimit(Resource::Nofile);
    let Some(raised) = raised(limit, needed) else { return };
    if setrlimit(Resource::Nofile, raised).is_err() || raised.current < Some(needed) {
        let allowed = getrlimit(Resource::Nofile).current;
        tracing::warn!(allowed, needed, "too few open files for limits.max_connections: raise `ulimit -n`");
    }
}

/// The limit closest to what is needed; `None` if the present one is high enough.
fn raised(Rlimit { current, maximum }: Rlimit, needed: u64) -> Option<Rlimit> {
    let low = current.is_some_and(|current| current < needed);
    low.then(|| Rlimit { current: Some(maximum.map_or(needed, |maximum| maximum.min(needed))), maximum })
}

/// Makes a write beyond the file size limit fail, as on a full disk; by default the system would end the process
/// without a message.
///
/// # Errors
/// When the system takes no handler.
pub(super) fn file_size() -> io::Result<()> {
    // The handler stays installed; nobody needs to receive the signal.
    signal(SignalKind::from_raw(Signal::XFSZ.as_raw())).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_raised_as_far_as_it_may_and_never_lowered() {
        let limit = |current, maximum| Rlimit { current, maximum };
        assert_eq!(raised(limit(Some(63), None), 64), Some(limit(Some(64), None)));
        assert_eq!(raised(limit(Some(8), Some(32)), 64), Some(limit(Some(32), Some(32))));
        for enough in [limit(Some(64), Some(64)), limit(Some(65), None), limit(None, None)] {
            assert_eq!(raised(enough, 64), None);
        }
    }
}
