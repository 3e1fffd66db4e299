//! Checkpoints: pages of the log are copied into the database file.
//!
//! SQLite restarts the log only at a commit that finds every page of it copied, which a checkpoint beside a busy writer
//! never achieves: pages arrive while it copies. So it has two phases: passes on a connection of its own until one is
//! short, then the writer copies the small rest between two commits. The log stays bounded and is overwritten rather
//! than appended to, which syncs faster.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{Advice, fadvise};
use sqlx::sqlite::SqliteRow;
use sqlx::{ConnectOptions as _, Connection as _, Row as _, SqliteConnection};

use super::super::journal::JournalError;
use super::options;

/// After a pass that copied no more pages than this, the writer may copy the rest itself.
const SHORT_PASS_PAGES: i64 = 128;
/// Passes after which the writer copies the rest, however long the last one was.
const PASSES_MAX: u32 = 8;

/// Where `journal.db-shm` has the count of copied pages of the log: four bytes (SQLite's "WAL-mode File Format", 2.1).
const COPIED_AT: u64 = 96;

/// The largest unit, in bytes, in which ext4 caches a file; units are aligned to their size.
const PIECE_BYTES: u64 = 8 << 20;

/// The files that a checkpoint reads and writes.
#[derive(Debug)]
pub struct Files {
    path: PathBuf,
    database: File,
    /// Bytes of the database file, which only grows, as of the last check.
    longest: AtomicU64,
    log: File,
    index: File,
}

impl Files {
    /// The files of an open journal. They are never closed: closing a file releases every lock that the process has on
    /// it, including SQLite's.
    pub(super) fn of(path: &Path) -> io::Result<&'static Files> {
        let (database, log) = (File::open(path)?, File::open(beside(path, "-wal"))?);
        let index = File::options().write(true).open(beside(path, "-shm"))?;
        let longest = AtomicU64::new(database.metadata()?.len());
        Ok(Box::leak(Box::new(Files { path: path.to_owned(), database, longest, log, index })))
    }

    /// Checks that these are the files that a start would find, and that the database file was not truncated. SQLite
    /// creates each of them once, when the journal is opened, and keeps using it whatever happens to its name.
    ///
    /// # Errors
    /// `Unavailable` when they are not.
    pub(in crate::storage) fn check(&self) -> Result<(), JournalError> {
        let changed = |suffix, how| {
            let why = format!("journal.db{suffix} was {how} while the server ran");
            Err(JournalError::Unavailable(why))
        };
        for (suffix, file) in [("", &self.database), ("-wal", &self.log), ("-shm", &self.index)] {
            match (file.metadata(), fs::metadata(beside(&self.path, suffix))) {
                (_, Err(error)) if error.kind() == io::ErrorKind::NotFound => return changed(suffix, "removed"),
                (Ok(opened), Ok(there)) if (opened.dev(), opened.ino()) != (there.dev(), there.ino()) => {
                    return changed(suffix, "replaced");
                }
                // If the disk cannot tell, the writer will notice.
                _ => {}
            }
        }
        match self.database.metadata() {
            Ok(now) if now.len() < self.longest.fetch_max(now.len(), Ordering::Relaxed) => changed("", "cut"),
            _ => Ok(()),
        }
    }

    /// Makes the next checkpoint copy all of the log, and makes the system drop cached pages that the log added: they
    /// are in the database file from the returned byte on. Not while a checkpoint is running.
    ///
    /// When somebody reads or writes during a checkpoint, SQLite counts what it copied and leaves the sync to the
    /// checkpoint that copies the rest. If that sync fails, the system has pages in memory as if they were written. The
    /// next checkpoint, even the one when the last connection closes, would continue after them and give up the log;
    /// and ext4 never writes a new block to the disk that was overwritten in memory after it failed. So nothing counts
    /// as copied, and no new block is kept in memory.
    pub(super) fn distrust(&self) -> Result<u64, JournalError> {
        let distrust = || {
            self.index.write_all_at(&[0; 4], COPIED_AT)?;
            // Each added page is in the log at least once.
            let added = self.database.metadata()?.len().saturating_sub(self.log.metadata()?.len());
            Ok(added - added % PIECE_BYTES)
        };
        let added = distrust().map_err(still_in_memory)?;
        self.forget(added)?;
        Ok(added)
    }

    /// Makes readers read the database file from the disk, from this byte on.
    pub(super) fn forget(&self, from: u64) -> Result<(), JournalError> {
        fadvise(&self.database, from, None, Advice::DontNeed).map_err(|error| still_in_memory(error.into()))
    }
}

fn beside(path: &Path, suffix: &str) -> OsString {
    let mut name = path.to_owned().into_os_string();
    name.push(suffix);
    name
}

fn still_in_memory(error: io::Error) -> JournalError {
    JournalError::Unsynced(format!("journal.db is still in memory: {error}"))
}

/// The first phase of a checkpoint: passes beside the writer until one is short.
pub(super) async fn passes(path: PathBuf, files: &Files) -> Result<(), JournalError> {
    let mut connection = options(&path).connect().await?;
    let mut before = 0;
    for _ in 0..PASSES_MAX {
        let copied = pass(&mut connection, files).await?;
        if copied - before <= SHORT_PASS_PAGES {
            break;
        }
        before = copied;
    }
    Ok(connection.close().await?)
}

/// Copies what it can without waiting, and returns how many pages of the log are copied now.
pub(super) async fn pass(connection: &mut SqliteConnection, files: &Files) -> Result<i64, JournalError> {
    Ok(run(connection, files, "PRAGMA wal_checkpoint(PASSIVE)").await?.try_get("checkpointed")?)
}

/// Copies what the log has, syncs it and empties the log; `false` if somebody has read it for too long, and it stays.
pub(super) async fn fold(writer: &mut SqliteConnection, files: &Files) -> Result<bool, JournalError> {
    Ok(run(writer, files, "PRAGMA wal_checkpoint(TRUNCATE)").await?.try_get::<i64, _>("busy")? == 0)
}

async fn run(
    connection: &mut SqliteConnection,
    files: &Files,
    statement: &'static str,
) -> Result<SqliteRow, JournalError> {
    let done = sqlx::query(statement).fetch_one(connection).await.map_err(JournalError::from);
    if let Err(JournalError::Unsynced(_)) = &done {
        // At once, before anybody starts another checkpoint.
        files.distrust()?;
    }
    done
}
