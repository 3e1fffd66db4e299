//! Types of the journal: rows, and errors distinguished by what the caller does next.

use sqlx::error::DatabaseError;
use sqlx::sqlite::SqliteError;

use super::chain::{Digest, link};

/// One group commit as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The sequence of its first event, counted from 1.
    pub first_seq: u64,
    /// How many events it holds, at least 1.
    pub count: u32,
    /// How the body is encoded.
    pub format: u16,
    /// The events.
    pub body: Vec<u8>,
    /// The chain up to and with this row.
    pub chain: Digest,
}

impl Row {
    /// The sequence after its last event.
    pub fn next_seq(&self) -> u64 {
        self.first_seq + u64::from(self.count)
    }
}

/// Where the journal ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The last event's sequence; 0 when empty.
    pub seq: u64,
    /// The chain up to and with the last row; all zero when empty.
    pub chain: Digest,
}

impl Head {
    /// Checks that this is also the end of the stored journal, which is `there`.
    ///
    /// # Errors
    /// `Conflict` when it is not.
    pub(super) fn confirm(&self, there: Head) -> Result<(), JournalError> {
        if there == *self {
            return Ok(());
        }
        Err(JournalError::Conflict { expected: self.seq + 1, found: there.seq + 1 })
    }

    /// The end after a row is appended.
    ///
    /// # Errors
    /// `Conflict` when the row does not follow, or is empty.
    pub(super) fn then(&self, first_seq: u64, count: u32, format: u16, body: &[u8]) -> Result<Head, JournalError> {
        let found = self.seq + 1;
        if first_seq != found || count == 0 {
            return Err(JournalError::Conflict { expected: first_seq, found });
        }
        Ok(Head { seq: self.seq + u64::from(count), chain: link(&self.chain, first_seq, count, format, body) })
    }
}

/// What went wrong, by what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Nothing was written, or that is not known: stop accepting; a restart will find out.
    #[error("the journal is unavailable: {0}")]
    Unavailable(String),
    /// Nothing was written, since the disk is full or refuses writes: stop accepting until it works again.
    #[error("the storage takes no writes: {0}")]
    Unwritable(String),
    /// The disk did not confirm what was written. The system now treats as stored what may not be, so another sync
    /// proves nothing: stop accepting until all of it was written again.
    #[error("the disk did not confirm what was written: {0}")]
    Unsynced(String),
    /// Somebody else wrote: stop at once.
    #[error("another writer: expected to write sequence {expected}, the journal is at {found}")]
    Conflict {
        /// What this writer was about to write.
        expected: u64,
        /// What the journal would take next.
        found: u64,
    },
    /// Rows are missing, changed or reordered: stop, and say so to a person.
    #[error("the journal is damaged at sequence {at}: {why}")]
    Corrupt {
        /// The first sequence that is not as it was written.
        at: u64,
        /// What is wrong there.
        why: String,
    },
    /// The log of `journal.db` has lost what was confirmed as stored: stop, and tell a person.
    #[error("the journal is damaged: journal.db-wal at byte {at}: {why}")]
    Log {
        /// The start of the first damaged frame.
        at: u64,
        /// What is lost.
        why: String,
    },
    /// Without the venue's key, the first entry of a journal, nobody could ever sign in.
    #[error("the journal is empty: give the data directory, or the database, that `init` made its first entry in")]
    Empty,
    /// Another process writes there.
    #[error("{0} is in use by another process")]
    Locked(String),
}

impl JournalError {
    /// No row holds the sequence `at`.
    pub(super) fn missing(at: u64) -> JournalError {
        JournalError::Corrupt { at, why: "no row holds it".to_owned() }
    }
}

impl From<sqlx::Error> for JournalError {
    fn from(error: sqlx::Error) -> JournalError {
        let why = match &error {
            sqlx::Error::Database(of) if of.try_downcast_ref::<SqliteError>().is_some() => {
                format!("journal.db: {error}")
            }
            sqlx::Error::WorkerCrashed => format!("journal.db: {error}"),
            _ => error.to_string(),
        };
        match error.as_database_error().and_then(DatabaseError::code).as_deref() {
            // SQLite's READONLY, FULL, IOERR_WRITE, IOERR_TRUNCATE, IOERR_SHMSIZE.
            Some("8" | "13" | "778" | "1546" | "4874") => JournalError::Unwritable(why),
            // SQLite's IOERR_FSYNC, IOERR_DIR_FSYNC.
            Some("1034" | "1290") => JournalError::Unsynced(why),
            // Postgres's undefined_table.
            Some("42P01") => JournalError::Empty,
            _ => JournalError::Unavailable(why),
        }
    }
}
