//! Checkpoints: pages of the log are copied into the database file.
//!
//! SQLite starts the log over only at a commit that finds every page of it copied, which a checkpoint beside a busy
//! writer never reaches: pages arrive while it copies. So it has two phases: passes on a connection of its own until
//! one is short, then the writer copies the small rest between two commits. The log stays bounded and is overwritten
//! rather than appended to, which syncs faster.

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

/// A pass that copied no more pages than this leaves a rest that the writer may copy itself.
const SHORT_PASS_PAGES: i64 = 128;
/// Passes after which the writer takes the rest, however long the last one was.
const PASSES_MAX: u32 = 8;

/// Where `journal.db-shm` counts the pages of the log that were copied: four bytes (SQLite's "WAL-mode File Format",
/// 2.1).
const COPIED_AT: u64 = 96;

/// The largest piece, in bytes, in which ext4 keeps a file in memory; pieces lie at multiples of their size.
const PIECE_BYTES: u64 = 8 << 20;

/// The files that a checkpoint reads and writes.
#[derive(Debug)]
pub struct Files {
    path: PathBuf,
    database: File,
    /// Bytes of the database file, which only grows, as of the last look.
    longest: AtomicU64,
    log: File,
    index: File,
}

impl Files {
    /// Those of an open journal. They are never closed: closing a file lets go of every lock that the process has on
    /// it, those of SQLite as well.
    pub(super) fn of(path: &Path) -> io::Result<&'static Files> {
        let (database, log) = (File::open(path)?, File::open(beside(path, "-wal"))?);
        let index = File::options().write(true).open(beside(path, "-shm"))?;
        let longest = AtomicU64::new(database.metadata()?.len());
        Ok(Box::leak(Box::new(Files { path: path.to_owned(), database, longest, log, index })))
    }

    /// Looks whether these are the files that a start would find, and the database file was not cut. SQLite makes each of
    /// them once, as the journal is opened, and goes on with it whatever becomes of its name.
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
                // A disk that cannot tell is noticed by who writes to it.
                _ => {}
            }
        }
        match self.database.metadata() {
            Ok(now) if now.len() < self.longest.fetch_max(now.len(), Ordering::Relaxed) => changed("", "cut"),
            _ => Ok(()),
        }
    }

    /// Makes the next checkpoint copy all of the log, and forgets what the system has in memory of the pages that the
    /// log added: they lie in the database file from the byte that is returned on. Not while a checkpoint is under way.
    ///
    /// When somebody reads or writes beside a checkpoint, SQLite counts what it copied and leaves the sync to the one
    /// that copies the rest. When that sync fails, the system has pages in memory as if they were written. The next
    /// checkpoint, be it the one that the last connection makes as it closes, would go on behind them and let go of the
    /// log; and ext4 never puts a new block on the disk that was written over in memory after it failed. So nothing
    /// counts as copied, and no new block is kept in memory.
    pub(super) fn distrust(&self) -> Result<u64, JournalError> {
        let distrust = || {
            self.index.write_all_at(&[0; 4], COPIED_AT)?;
            // Each page that was added is in the log at least once.
            let added = self.database.metadata()?.len().saturating_sub(self.log.metadata()?.len());
            Ok(added - added % PIECE_BYTES)
        };
        let added = distrust().map_err(still_in_memory)?;
        self.forget(added)?;
        Ok(added)
    }

    /// Makes readers read the disk from this byte of the database file on.
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

/// Copies what it can without waiting for anybody, and returns how many pages of the log are copied now.
pub(super) async fn pass(connection: &mut SqliteConnection, files: &Files) -> Result<i64, JournalError> {
    Ok(run(connection, files, "PRAGMA wal_checkpoint(PASSIVE)").await?.try_get("checkpointed")?)
}

/// Copies what the log holds, syncs it and empties the log; `false` when somebody has read it for too long, and it stays.
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
        // At once, before anybody makes another checkpoint.
        files.distrust()?;
    }
    done
}
