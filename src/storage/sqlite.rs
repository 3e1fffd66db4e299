//! The journal in SQLite: WAL, full sync, one row per group commit.
//!
//! The writer's automatic checkpoints are off. SQLite starts the log over only at a commit that finds every
//! page of it copied into the database, which a checkpoint beside a busy writer never reaches: pages
//! arrive while it copies. So it has two phases: passes on a connection of its own until one is short, then
//! the writer copies the small rest between two commits. The log stays bounded and is overwritten rather
//! than appended to, which syncs faster.

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, Row as _, SqliteConnection};
use tokio::task::JoinHandle;

use super::database::{Pool, Record};
use super::fence::Fence;
use super::journal::{Head, JournalError};
use super::make_private;
use super::reader::{APPEND, LAST_ROW, SqlReader, head, signed};

/// Appended bytes after which a checkpoint is asked for.
const CHECKPOINT_BYTES: usize = 8 << 20;
/// What a commit costs in the log beside its body: the pages it fills only in part.
const COMMIT_OVERHEAD_BYTES: usize = 8 << 10;
/// A pass that copied no more pages than this leaves a rest that the writer may copy itself.
const SHORT_PASS_PAGES: i64 = 128;
/// Passes after which the writer takes the rest, however long the last one was.
const PASSES_MAX: u32 = 8;

/// Free bytes with which writing begins again on a disk that was full.
const ROOM_BYTES: usize = 4 << 20;

/// The journal's only writer.
#[derive(Debug)]
pub struct SqliteJournal {
    writer: SqliteConnection,
    path: PathBuf,
    head: Head,
    appended: usize,
    checkpoint: Option<JoinHandle<Result<(), JournalError>>>,
    /// A sync of the database file failed, see [`note`](SqliteJournal::note).
    lost_sync: bool,
    _fence: Fence,
}

impl SqliteJournal {
    /// Opens or creates the journal of a data directory, which is made private to its owner.
    ///
    /// # Errors
    /// [`JournalError::Locked`] while another process has it; `Unavailable` when it cannot be opened.
    pub async fn open(dir: &Path) -> Result<SqliteJournal, JournalError> {
        make_private(dir).map_err(|error| JournalError::Unavailable(format!("{}: {error}", dir.display())))?;
        let fence = Fence::take(dir)?;
        let path = dir.join("journal.db");
        let mut writer = options(&path).create_if_missing(true).connect().await?;
        sqlx::migrate!("src/storage/migrations/sqlite/journal")
            .run(&mut writer)
            .await
            .map_err(|error| JournalError::Unavailable(format!("journal.db: {error}")))?;
        let head = read_head(&mut writer).await?;
        Ok(SqliteJournal { writer, path, head, appended: 0, checkpoint: None, lost_sync: false, _fence: fence })
    }

    /// Where the journal ends.
    pub fn head(&self) -> Head {
        self.head
    }

    /// Appends one row in one transaction; it is on disk when this returns.
    ///
    /// # Errors
    /// `Conflict` when the journal does not end right before `first_seq`; nothing is written then. After `Unwritable`
    /// and `Unsynced` [`probe`](SqliteJournal::probe) comes before the next append.
    pub async fn append(&mut self, first_seq: u64, count: u32, format: u16, body: &[u8]) -> Result<(), JournalError> {
        let head = self.head.then(first_seq, count, format, body)?;
        if self.checkpoint.as_ref().is_some_and(JoinHandle::is_finished) {
            self.checkpointed().await;
        }
        self.synced()?;
        let done = sqlx::query(APPEND)
            .bind(signed(first_seq))
            .bind(count)
            .bind(format)
            .bind(body)
            .bind(head.digest.as_slice())
            .execute(&mut self.writer)
            .await?;
        if done.rows_affected() != 1 {
            let found = read_head(&mut self.writer).await?.seq + 1;
            return Err(JournalError::Conflict { expected: first_seq, found });
        }
        self.head = head;
        self.appended += body.len() + COMMIT_OVERHEAD_BYTES;
        if self.appended >= CHECKPOINT_BYTES && self.checkpoint.is_none() {
            self.appended = 0;
            self.checkpoint = Some(tokio::spawn(checkpoint(self.path.clone())));
        }
        Ok(())
    }

    /// Tries whether the disk takes writes: on a new connection, since what the old one has in memory may not be in the
    /// journal, and with room to spare, so that it does not fail at once.
    ///
    /// After a failed sync of the log, be it an earlier process's, the system takes the pages that it could not write
    /// for written: syncing again would succeed and prove nothing. So none of them is relied upon. Every row of the log
    /// is written into the database file and synced there, which are other pages; then the log is begun anew under
    /// another salt, and that is synced. From there on nothing of the old log can come back, least of all the batch that
    /// failed: what readers do not find now was not done. The caller reads the rows back before it takes a command.
    ///
    /// # Errors
    /// `Unwritable` or `Unsynced` while it does not; `Conflict` when the journal does not end where this writer left it.
    pub async fn probe(&mut self) -> Result<(), JournalError> {
        self.synced()?;
        self.writer = options(&self.path).connect().await?;
        let there = read_head(&mut self.writer).await?;
        if there != self.head {
            return Err(JournalError::Conflict { expected: self.head.seq + 1, found: there.seq + 1 });
        }
        let file = self.path.with_file_name("probe");
        tokio::task::spawn_blocking(move || try_room(&file))
            .await
            .map_err(|error| JournalError::Unavailable(error.to_string()))?
            .map_err(|error| JournalError::Unwritable(error.to_string()))?;
        if let Err(error) = fold(&mut self.writer).await {
            return Err(self.note(error).await);
        }
        // A commit of one page; the number itself is nobody's.
        sqlx::query("PRAGMA user_version = 0").execute(&mut self.writer).await?;
        Ok(())
    }

    /// Ends the checkpoint under way, if there is one: waits for its passes and copies what they left, so
    /// that the next commit starts the log over. Most failures cost only log space; the next checkpoint
    /// tries again.
    pub async fn checkpointed(&mut self) {
        let Some(passes) = self.checkpoint.take() else { return };
        let mut done = passes.await.unwrap_or_else(|error| Err(JournalError::Unavailable(error.to_string())));
        if done.is_ok() {
            done = checkpoint_pass(&mut self.writer).await.map(drop).map_err(JournalError::from);
        }
        if let Err(error) = done {
            let error = self.note(error).await;
            tracing::warn!(%error, "the journal's checkpoint failed; the log grows until one succeeds");
        }
    }

    /// Notes a checkpoint's failed sync, after which nothing is written any more. When a reader keeps a checkpoint from
    /// copying all, SQLite counts what it copied and leaves the sync to the checkpoint that copies the rest. If that
    /// sync fails, the pages may be lost, and a later checkpoint would go on behind them and let go of the log. Only
    /// who opens the journal alone copies the log from its beginning: the next process.
    async fn note(&mut self, error: JournalError) -> JournalError {
        if matches!(error, JournalError::Unsynced(_)) && !std::mem::replace(&mut self.lost_sync, true) {
            // The last connection to close makes a checkpoint of its own and removes the log. This one never closes.
            match options(&self.path).connect().await {
                Ok(connection) => drop(Box::leak(Box::new(connection))),
                Err(error) => tracing::error!(%error, "the journal's log may be removed: copy journal.db-wal"),
            }
        }
        error
    }

    fn synced(&self) -> Result<(), JournalError> {
        match self.lost_sync {
            true => Err(JournalError::Unsynced("journal.db: the next start writes it anew from its log".to_owned())),
            false => Ok(()),
        }
    }

    /// Gives the log its working size, in bytes, before the first commit needs it: writing over what is there
    /// syncs about twice as fast as growing a file. To be called once, before commands are taken.
    ///
    /// # Errors
    /// `Unavailable` when the disk refuses; the journal is as good as before.
    pub async fn reserve_log(&mut self, bytes: u64) -> Result<(), JournalError> {
        checkpoint_pass(&mut self.writer).await?;
        let mut log = self.path.clone().into_os_string();
        log.push("-wal");
        tokio::task::spawn_blocking(move || grow(Path::new(&log), bytes))
            .await
            .map_err(|error| JournalError::Unavailable(error.to_string()))?
            .map_err(|error| JournalError::Unavailable(format!("journal.db-wal: {error}")))
    }

    /// Ends the last transaction and folds the log into the database file.
    pub async fn close(mut self) -> Result<(), JournalError> {
        self.checkpointed().await;
        self.synced()?;
        if let Err(error) = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut self.writer).await {
            return Err(self.note(error.into()).await);
        }
        self.writer.close().await?;
        Ok(())
    }
}

/// Opens the journal of a data directory for reading; it must exist.
pub(super) async fn reader(dir: &Path) -> Result<SqlReader, JournalError> {
    let options = SqliteConnectOptions::new().filename(dir.join("journal.db")).read_only(true);
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

/// The first phase of a checkpoint: passes beside the writer until one is short.
async fn checkpoint(path: PathBuf) -> Result<(), JournalError> {
    let mut connection = options(&path).connect().await?;
    let mut before = 0;
    for _ in 0..PASSES_MAX {
        let copied = checkpoint_pass(&mut connection).await?;
        if copied - before <= SHORT_PASS_PAGES {
            break;
        }
        before = copied;
    }
    Ok(connection.close().await?)
}

/// Writes what the log holds into the database file, syncs it there and empties the log.
async fn fold(writer: &mut SqliteConnection) -> Result<(), JournalError> {
    let done = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(writer).await?;
    match done.try_get::<i64, _>("busy")? {
        0 => Ok(()),
        _ => Err(JournalError::Unwritable("somebody reads journal.db, so its log cannot be folded in".to_owned())),
    }
}

/// Copies what it can without waiting for anybody, and returns how many pages of the log are copied now.
async fn checkpoint_pass(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").fetch_one(connection).await?.try_get("checkpointed")
}

/// Whether the disk has room for a few batches: writes a file, syncs and removes it.
fn try_room(file: &Path) -> std::io::Result<()> {
    let written = std::fs::write(file, vec![0; ROOM_BYTES]).and_then(|()| std::fs::File::open(file)?.sync_all());
    match (written, std::fs::remove_file(file)) {
        (Err(error), _) | (Ok(()), Err(error)) => Err(error),
        (Ok(()), Ok(())) => Ok(()),
    }
}

/// Appends zeros up to `bytes`. SQLite ends its reading of a log at the first frame whose checksum does not
/// hold, so what lies behind its last commit is never looked at.
fn grow(log: &Path, bytes: u64) -> std::io::Result<()> {
    use std::io::{Read as _, Write as _};
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(log)?;
    let missing = bytes.saturating_sub(file.metadata()?.len());
    std::io::copy(&mut std::io::repeat(0).take(missing), &mut file)?;
    file.flush()?;
    file.sync_all()
}
