//! Durable storage of bytes: the journal, its snapshots, the history tables. Sole owner of sqlx; knows no engine type,
//! so a new event never touches SQL.
//!
//! [`Journal`] and [`JournalReader`] are the interface through which the sequencer and its followers use a journal,
//! whatever stores it.

mod chain;
mod database;
mod fence;
pub mod head;
pub mod history;
pub mod journal;
pub mod memory;
pub mod postgres;
mod reader;
pub mod snapshots;
mod sqlite;

#[cfg(test)]
mod conformance;

use std::path::{Path, PathBuf};

pub use chain::{Digest, link};
use journal::{Head, JournalError, Row};
use memory::{Disk, MemoryJournal};
use postgres::{DatabaseUrl, PostgresJournal};
use reader::SqlReader;
use sqlite::SqliteJournal;

/// Where a server stores what it must not lose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// SQLite files in this directory.
    Sqlite(PathBuf),
    /// This database.
    Postgres(DatabaseUrl),
}

impl Storage {
    /// Frees space for a start on a full disk; the first [`probe`](Journal::probe) that finds room reserves it again.
    ///
    /// # Errors
    /// [`JournalError::Locked`] while another process writes there; `Unavailable` when the disk refuses.
    pub fn make_room(&self) -> Result<(), JournalError> {
        match self {
            Storage::Sqlite(dir) => sqlite::release_reserve(dir),
            // Its data is on another machine's disk, or at least managed by others.
            Storage::Postgres(_) => Ok(()),
        }
    }

    /// Checks whether the journal has lost data that its database would not miss. So does opening it for writing.
    ///
    /// # Errors
    /// [`JournalError::Log`] if it has; `Unavailable` when it cannot be read.
    pub fn check_log(&self) -> Result<(), JournalError> {
        match self {
            Storage::Sqlite(dir) => sqlite::check_log(dir),
            // It has its own log, with its own checks.
            Storage::Postgres(_) => Ok(()),
        }
    }

    /// Opens or creates the journal and takes the writer's fence, which is held as long as the journal lives.
    ///
    /// # Errors
    /// [`JournalError::Locked`] while another process has it; [`JournalError::Log`] when its log lost data, and then
    /// nothing is changed; `Unavailable` when it cannot be opened.
    pub async fn journal(&self) -> Result<Journal, JournalError> {
        match self {
            Storage::Sqlite(dir) => Ok(Journal::Sqlite(SqliteJournal::open(dir).await?)),
            Storage::Postgres(url) => Ok(Journal::Postgres(PostgresJournal::open(url).await?)),
        }
    }

    /// Opens the journal for reading; it must exist.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be opened.
    pub async fn reader(&self) -> Result<JournalReader, JournalError> {
        match self {
            Storage::Sqlite(dir) => Ok(JournalReader::Sql(sqlite::reader(dir).await?)),
            Storage::Postgres(url) => Ok(JournalReader::Sql(postgres::reader(url).await?)),
        }
    }
}

/// The journal's only writer.
#[derive(Debug)]
pub enum Journal {
    /// In SQLite.
    Sqlite(SqliteJournal),
    /// In Postgres.
    Postgres(PostgresJournal),
    /// In memory, for the simulation.
    Memory(MemoryJournal),
}

impl Journal {
    /// Where the journal ends.
    pub fn head(&self) -> Head {
        match self {
            Journal::Sqlite(journal) => journal.head(),
            Journal::Postgres(journal) => journal.head(),
            Journal::Memory(journal) => journal.head(),
        }
    }

    /// Its files, which can be checked beside the writer.
    pub fn files(&self) -> JournalFiles {
        match self {
            Journal::Sqlite(journal) => JournalFiles(Some(journal.files())),
            Journal::Postgres(_) | Journal::Memory(_) => JournalFiles(None),
        }
    }

    /// Appends one row that begins with `first_seq`; it is on disk when this returns.
    ///
    /// # Errors
    /// `Conflict` when the journal does not end right before `first_seq`; nothing is written then.
    pub async fn append(&mut self, first_seq: u64, count: u32, format: u16, body: &[u8]) -> Result<(), JournalError> {
        match self {
            Journal::Sqlite(journal) => journal.append(first_seq, count, format, body).await,
            Journal::Postgres(journal) => journal.append(first_seq, count, format, body).await,
            Journal::Memory(journal) => journal.append(first_seq, count, format, body).await,
        }
    }

    /// Tests whether the storage accepts writes, and makes sure of what is stored: before the first append, and after
    /// one that was [`Unwritable`](JournalError::Unwritable) or [`Unsynced`](JournalError::Unsynced).
    ///
    /// # Errors
    /// These while it does not; `Conflict` when the journal does not end where this writer left it.
    pub async fn probe(&mut self) -> Result<(), JournalError> {
        match self {
            Journal::Sqlite(journal) => journal.probe().await,
            Journal::Postgres(journal) => journal.probe().await,
            Journal::Memory(journal) => journal.probe().await,
        }
    }

    /// Waits until the writer's fence should be checked: when it depends on something that may end, and was not used
    /// for a while. May be dropped and called again.
    pub async fn fence_due(&self) {
        match self {
            Journal::Postgres(journal) => journal.fence_due().await,
            // The system, or memory, holds theirs as long as the writer lives.
            Journal::Sqlite(_) | Journal::Memory(_) => std::future::pending().await,
        }
    }

    /// Checks that the writer's fence is still held.
    ///
    /// # Errors
    /// `Unavailable` when it is lost.
    pub async fn check_fence(&mut self) -> Result<(), JournalError> {
        match self {
            Journal::Postgres(journal) => journal.check_fence().await,
            Journal::Sqlite(_) | Journal::Memory(_) => Ok(()),
        }
    }

    /// Ends writing in order and releases the fence.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be closed in order; what was appended stays.
    pub async fn close(self) -> Result<(), JournalError> {
        match self {
            Journal::Sqlite(journal) => journal.close().await,
            Journal::Postgres(journal) => journal.close().await,
            Journal::Memory(_) => Ok(()),
        }
    }
}

/// The files of an open journal; none for Postgres, which manages its own.
#[derive(Clone, Copy, Debug)]
pub struct JournalFiles(Option<&'static sqlite::Files>);

impl JournalFiles {
    /// Checks that a start would find the files being written, and that `journal.db` was not truncated; its log may be.
    /// Waits for the disk.
    ///
    /// # Errors
    /// `Unavailable` if one was removed or replaced, or `journal.db` truncated: new rows are lost with this process.
    pub fn check(&self) -> Result<(), JournalError> {
        self.0.map_or(Ok(()), sqlite::Files::check)
    }
}

/// Reads beside the writer, for recovery, verification, the history projector and replays; clones share its
/// connections. Unreadable data is `Unavailable`, impossible data `Corrupt`.
#[derive(Clone, Debug)]
pub enum JournalReader {
    /// In SQLite or Postgres.
    Sql(SqlReader),
    /// In memory, for the simulation.
    Memory(Disk),
}

impl JournalReader {
    /// A reader with connections of its own, for what shall not wait for the users of this one. Over a connection to
    /// Postgres nothing is read while the runtime that first used it does something else, so each runtime has its own.
    #[must_use]
    pub fn apart(&self) -> JournalReader {
        match self {
            JournalReader::Sql(reader) => JournalReader::Sql(reader.apart()),
            JournalReader::Memory(disk) => JournalReader::Memory(disk.clone()),
        }
    }

    /// The rows with events from `first_seq` to `last_seq`, in order, up to `limit` of them.
    pub async fn rows(&self, first_seq: u64, last_seq: u64, limit: u32) -> Result<Vec<Row>, JournalError> {
        match self {
            JournalReader::Sql(reader) => reader.rows(first_seq, last_seq, limit).await,
            JournalReader::Memory(disk) => Ok(disk.rows(first_seq, last_seq, limit)),
        }
    }

    /// The sequence that the journal ends at; 0 when it is empty.
    pub async fn last_seq(&self) -> Result<u64, JournalError> {
        match self {
            JournalReader::Sql(reader) => reader.last_seq().await,
            JournalReader::Memory(disk) => Ok(disk.last_seq()),
        }
    }

    /// The chain up to and with the row that ends right before `seq`; all zero at the beginning, `None` if there is no
    /// such row.
    pub async fn chain_before(&self, seq: u64) -> Result<Option<Digest>, JournalError> {
        match self {
            JournalReader::Sql(reader) => reader.chain_before(seq).await,
            JournalReader::Memory(disk) => Ok(disk.chain_before(seq)),
        }
    }

    /// The chains up to and with the rows of these sequences, in that order. A sequence that no row holds is an error.
    pub async fn chains_of(&self, seqs: &[u64]) -> Result<Vec<Digest>, JournalError> {
        match self {
            JournalReader::Sql(reader) => reader.chains_of(seqs).await,
            JournalReader::Memory(disk) => {
                seqs.iter().map(|seq| disk.chain_of(*seq).ok_or_else(|| JournalError::missing(*seq))).collect()
            }
        }
    }
}

/// Makes a data directory that only its owner can enter.
///
/// # Errors
/// When the system refuses.
pub fn make_private(dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}
