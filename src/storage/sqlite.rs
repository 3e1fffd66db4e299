//! The journal in SQLite: WAL, full sync, one row per group commit. The writer's automatic checkpoints are off, see
//! [`checkpoint`].

mod checkpoint;
#[cfg(test)]
pub(super) mod tests;
mod wal;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use tokio::task::JoinHandle;

pub(super) use checkpoint::Files;

use super::database::{Pool, Record};
use super::fence::Fence;
use super::journal::{Head, JournalError};
use super::make_private;
use super::reader::{APPEND, LAST_ROW, SqlReader, head, signed};

/// Appended bytes after which a checkpoint is asked for.
const CHECKPOINT_BYTES: usize = 8 << 20;
/// What a commit takes in the log besides its body: the partly filled pages.
const COMMIT_OVERHEAD_BYTES: usize = 8 << 10;
/// Free bytes needed for writing to begin, also on a disk that was full.
const ROOM_BYTES: usize = 4 << 20;
/// The file that reserves space for the next start: without any, SQLite cannot even read.
const RESERVE: &str = "reserve";
const RESERVE_BYTES: usize = 1 << 20;

/// The journal's only writer.
#[derive(Debug)]
pub struct SqliteJournal {
    writer: SqliteConnection,
    path: PathBuf,
    files: &'static Files,
    head: Head,
    appended: usize,
    checkpoint: Option<JoinHandle<Result<(), JournalError>>>,
    /// A sync of the database file failed: nothing is appended until all of the log was copied again.
    lost_sync: bool,
    _fence: Fence,
}

impl SqliteJournal {
    /// Opens or creates the journal of a data directory, which is made private to its owner.
    pub(super) async fn open(dir: &Path) -> Result<SqliteJournal, JournalError> {
        make_private(dir).map_err(|error| JournalError::Unavailable(format!("{}: {error}", dir.display())))?;
        let fence = Fence::take(dir)?;
        wal::check(dir)?;
        let path = dir.join("journal.db");
        let mut writer = options(&path).create_if_missing(true).connect().await?;
        sqlx::migrate!("src/storage/migrations/sqlite/journal")
            .run(&mut writer)
            .await
            .map_err(|error| JournalError::Unavailable(format!("journal.db: {error}")))?;
        let head = read_head(&mut writer).await?;
        let files = Files::of(&path).map_err(|error| JournalError::Unavailable(format!("journal.db: {error}")))?;
        Ok(SqliteJournal { writer, path, files, head, appended: 0, checkpoint: None, lost_sync: false, _fence: fence })
    }

    pub(super) fn head(&self) -> Head {
        self.head
    }

    pub(super) fn files(&self) -> &'static Files {
        self.files
    }

    pub(super) async fn append(
        &mut self,
        first_seq: u64,
        count: u32,
        format: u16,
        body: &[u8],
    ) -> Result<(), JournalError> {
        let head = self.head.then(first_seq, count, format, body)?;
        if self.checkpoint.as_ref().is_some_and(JoinHandle::is_finished) {
            self.checkpointed().await;
        }
        if self.lost_sync {
            return Err(JournalError::Unsynced("journal.db: it is to be written anew from its log".to_owned()));
        }
        let done = sqlx::query(APPEND)
            .bind(signed(first_seq))
            .bind(count)
            .bind(format)
            .bind(body)
            .bind(head.chain.as_slice())
            .execute(&mut self.writer)
            .await;
        if done.is_err() {
            // If the caller gives up now, no checkpoint may be left unfinished in the background.
            self.checkpointed().await;
        }
        let done = done?;
        if done.rows_affected() != 1 {
            let found = read_head(&mut self.writer).await?.seq + 1;
            return Err(JournalError::Conflict { expected: first_seq, found });
        }
        self.head = head;
        self.appended += body.len() + COMMIT_OVERHEAD_BYTES;
        if self.appended >= CHECKPOINT_BYTES && self.checkpoint.is_none() {
            self.appended = 0;
            self.checkpoint = Some(tokio::spawn(checkpoint::passes(self.path.clone(), self.files)));
        }
        Ok(())
    }

    /// Tests whether the disk accepts writes: on a new connection, since the old one may have things in memory that are
    /// not in the journal, and with room to spare, so that writing does not fail at once.
    ///
    /// After a failed sync, even an earlier process's, the system treats the pages that it could not write as written:
    /// another sync would succeed and prove nothing. So none of them is trusted, neither in the log nor in the database
    /// file. Every row of the log is written into the database file again and synced there; then the log is restarted
    /// with another salt, and that is synced. After that nothing of the old log can come back, in particular not the
    /// failed batch: what readers do not find now was not done. Before accepting a command, the caller reads the rows
    /// back from the disk.
    ///
    /// # Errors
    /// `Unwritable` or `Unsynced` while it does not; `Conflict` when the journal does not end where this writer left it.
    pub(super) async fn probe(&mut self) -> Result<(), JournalError> {
        self.checkpointed().await;
        let added = self.files.distrust()?;
        self.writer = options(&self.path).connect().await?;
        let path = self.path.clone();
        tokio::task::spawn_blocking(move || keep_reserve(&path))
            .await
            .map_err(|error| JournalError::Unavailable(error.to_string()))?
            .map_err(|error| JournalError::Unwritable(error.to_string()))?;
        self.head.confirm(read_head(&mut self.writer).await?)?;
        if !checkpoint::fold(&mut self.writer, self.files).await? {
            let why = "somebody reads journal.db, so its log cannot be folded in";
            return Err(JournalError::Unwritable(why.to_owned()));
        }
        // A commit of one page; the number itself is not used.
        sqlx::query("PRAGMA user_version = 0").execute(&mut self.writer).await?;
        self.files.forget(added)?;
        self.lost_sync = false;
        Ok(())
    }

    /// Ends the checkpoint under way, if there is one: waits for its passes and copies what they left, so that the next
    /// commit restarts the log. A failed sync ends writing until [`probe`](SqliteJournal::probe) has copied all of it
    /// again; most other failures cost only log space, and the next checkpoint tries again.
    async fn checkpointed(&mut self) {
        let Some(passes) = self.checkpoint.take() else { return };
        let mut done = passes.await.unwrap_or_else(|error| Err(JournalError::Unavailable(error.to_string())));
        if done.is_ok() {
            done = checkpoint::pass(&mut self.writer, self.files).await.map(drop);
        }
        if let Err(error) = done {
            self.lost_sync |= matches!(error, JournalError::Unsynced(_));
            tracing::warn!(%error, "the journal's checkpoint failed; the log grows until one succeeds");
        }
    }

    /// Ends the last transaction and copies the log into the database file. If somebody is reading, the log stays
    /// beside it for the next start: nothing is lost by that.
    ///
    /// # Errors
    /// When the disk refuses; what was appended stays.
    pub(super) async fn close(mut self) -> Result<(), JournalError> {
        self.checkpointed().await;
        if !checkpoint::fold(&mut self.writer, self.files).await? {
            tracing::warn!("journal.db is being read, so its log stays beside it: keep the two files together");
        }
        self.writer.close().await?;
        Ok(())
    }
}

/// Opens the journal of a data directory for reading; it must exist.
pub(super) async fn reader(dir: &Path) -> Result<SqlReader, JournalError> {
    let file = dir.join("journal.db");
    // SQLite would only say that it cannot be opened.
    fs::metadata(&file).map_err(|error| JournalError::Unavailable(format!("{}: {error}", file.display())))?;
    let options = SqliteConnectOptions::new().filename(file).read_only(true);
    let pool = SqlitePoolOptions::new().max_connections(2).connect_with(options).await?;
    Ok(SqlReader::new(Pool::Sqlite(pool)))
}

async fn read_head(connection: &mut SqliteConnection) -> Result<Head, JournalError> {
    let last = sqlx::query(LAST_ROW).fetch_optional(connection).await?;
    head(last.as_ref().map(Record::Sqlite))
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("wal_autocheckpoint", "0")
}

/// Removes the reserve of a data directory that nobody writes to.
///
/// # Errors
/// [`JournalError::Locked`] while another process does; `Unavailable` when the disk refuses.
pub(super) fn release_reserve(dir: &Path) -> Result<(), JournalError> {
    let _fence = Fence::take(dir)?;
    match fs::remove_file(dir.join(RESERVE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(JournalError::Unavailable(format!("{}/{RESERVE}: {error}", dir.display())))
        }
        _ => Ok(()),
    }
}

/// Checks the log of a data directory that nobody writes to; otherwise its writer has checked it.
///
/// # Errors
/// [`JournalError::Log`] if it has lost data; `Unavailable` when it cannot be read.
pub(super) fn check_log(dir: &Path) -> Result<(), JournalError> {
    // Does not create the lock file: a copy that is only inspected stays as it is.
    let written = dir.join("lock").exists().then(|| Fence::take(dir));
    match written {
        Some(Err(JournalError::Locked(_))) => Ok(()),
        _held => wal::check(dir),
    }
}

/// Writes the reserve beside the journal, replacing the old one, and syncs it: this fails unless the disk has room for
/// it and for a few batches.
fn keep_reserve(journal: &Path) -> io::Result<()> {
    let fresh = journal.with_file_name("reserve.new");
    let write = || {
        let mut file = File::create(&fresh)?;
        file.write_all(&vec![0; ROOM_BYTES + RESERVE_BYTES])?;
        file.sync_all()?;
        file.set_len(RESERVE_BYTES as u64)?;
        fs::rename(&fresh, journal.with_file_name(RESERVE))
    };
    let kept = write();
    if kept.is_err() {
        // It may not exist.
        let _ = fs::remove_file(&fresh);
    }
    kept
}
