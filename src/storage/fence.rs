//! The writer's fence: an OS lock on `DIR/lock`, held for the life of the writer. The kernel releases it when the
//! process ends, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use super::journal::JournalError;

/// Proof that only this process writes to the data directory.
#[derive(Debug)]
pub(super) struct Fence {
    lock: File,
}

impl Fence {
    /// Takes the fence of a data directory; refused while another process has it.
    pub(super) fn take(dir: &Path) -> Result<Fence, JournalError> {
        let unavailable = |error: std::io::Error| JournalError::Unavailable(format!("{}/lock: {error}", dir.display()));
        let lock =
            OpenOptions::new().write(true).create(true).truncate(false).open(dir.join("lock")).map_err(unavailable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Fence { lock }),
            Err(TryLockError::WouldBlock) => Err(JournalError::Locked(dir.display().to_string())),
            Err(TryLockError::Error(error)) => Err(unavailable(error)),
        }
    }
}

impl Drop for Fence {
    fn drop(&mut self) {
        // Closing alone is not enough: a child process that was just forked may still have this file open.
        let _ = self.lock.unlock();
    }
}
