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
use sqlx::{ConnectOptions as _, Connection as _, Row as _, SqliteConnection, SqlitePool};
use tokio::task::JoinHandle;

use super::chain::{Digest, link};
use super::fence::Fence;
use super::journal::{Head, JournalError, Row, Snapshot};

/// Appended bytes after which a checkpoint is asked for.
const CHECKPOINT_BYTES: usize = 8 << 20;
/// What a commit costs in the log beside its body: the pages it fills only in part.
const COMMIT_OVERHEAD_BYTES: usize = 8 << 10;
/// A pass that copied no more pages than this leaves a rest that the writer may copy itself.
const SHORT_PASS_PAGES: i64 = 128;
/// Passes after which the writer takes the rest, however long the last one was.
const PASSES_MAX: u32 = 8;

/// The journal's only writer.
#[derive(Debug)]
pub struct SqliteJournal {
    writer: SqliteConnection,
    path: PathBuf,
    head: Head,
    appended: usize,
    checkpoint: Option<JoinHandle<()>>,
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
            .map_err(|error| JournalError::Unavailable(error.to_string()))?;
        let head = read_head(&mut writer).await?;
        Ok(SqliteJournal { writer, path, head, appended: 0, checkpoint: None, _fence: fence })
    }

    /// Where the journal ends.
    pub fn head(&self) -> Head {
        self.head
    }

    /// Appends one row in one transaction; it is on disk when this returns.
    ///
    /// # Errors
    /// `Conflict` when the journal does not end right before `first_seq`; nothing is written then.
    pub async fn append(&mut self, first_seq: u64, count: u32, format: u16, body: &[u8]) -> Result<(), JournalError> {
        let found = self.head.seq + 1;
        if first_seq != found || count == 0 {
            return Err(JournalError::Conflict { expected: first_seq, found });
        }
        if self.checkpoint.as_ref().is_some_and(JoinHandle::is_finished) {
            self.checkpointed().await;
        }
        let digest = link(&self.head.digest, first_seq, count, format, body);
        // The condition makes the statement itself refuse to write behind another writer's row.
        let done = sqlx::query(
            "INSERT INTO journal (first_seq, count, format, body, digest) SELECT $1, $2, $3, $4, $5
             WHERE (SELECT coalesce(max(first_seq), 0) FROM journal) < $1",
        )
        .bind(signed(first_seq))
        .bind(count)
        .bind(format)
        .bind(body)
        .bind(digest.as_slice())
        .execute(&mut self.writer)
        .await?;
        if done.rows_affected() != 1 {
            let found = read_head(&mut self.writer).await?.seq + 1;
            return Err(JournalError::Conflict { expected: first_seq, found });
        }
        self.head = Head { seq: found + u64::from(count) - 1, digest };
        self.appended += body.len() + COMMIT_OVERHEAD_BYTES;
        if self.appended >= CHECKPOINT_BYTES && self.checkpoint.is_none() {
            self.appended = 0;
            self.checkpoint = Some(tokio::spawn(checkpoint(self.path.clone())));
        }
        Ok(())
    }

    /// Ends the checkpoint under way, if there is one: waits for its passes and copies what they left, so
    /// that the next commit starts the log over. A failure costs only log space; the next checkpoint
    /// tries again.
    pub async fn checkpointed(&mut self) {
        let Some(passes) = self.checkpoint.take() else { return };
        if let Err(error) = passes.await {
            tracing::warn!(%error, "the journal's checkpoint ended badly");
        }
        if let Err(error) = checkpoint_pass(&mut self.writer).await {
            tracing::warn!(%error, "the journal's log could not be started over");
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

    /// Saves a snapshot beside the ones there are, and drops all but the two newest.
    pub async fn save_snapshot(&mut self, snapshot: &Snapshot) -> Result<(), JournalError> {
        let mut transaction = self.writer.begin().await?;
        sqlx::query("INSERT OR REPLACE INTO snapshot (seq, format, digest, body) VALUES ($1, $2, $3, $4)")
            .bind(signed(snapshot.seq))
            .bind(snapshot.format)
            .bind(snapshot.digest.as_slice())
            .bind(snapshot.body.as_slice())
            .execute(&mut *transaction)
            .await?;
        sqlx::query("DELETE FROM snapshot WHERE seq NOT IN (SELECT seq FROM snapshot ORDER BY seq DESC LIMIT 2)")
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Ends the last transaction and folds the log into the database file.
    pub async fn close(mut self) -> Result<(), JournalError> {
        self.checkpointed().await;
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut self.writer).await?;
        self.writer.close().await?;
        Ok(())
    }
}

/// Reads beside the writer, for recovery, verification and the history projector.
#[derive(Clone, Debug)]
pub struct SqliteReader {
    pool: SqlitePool,
}

impl SqliteReader {
    /// Opens the journal of a data directory for reading; it must exist.
    pub async fn open(dir: &Path) -> Result<SqliteReader, JournalError> {
        let options = SqliteConnectOptions::new().filename(dir.join("journal.db")).read_only(true);
        Ok(SqliteReader { pool: SqlitePoolOptions::new().max_connections(2).connect_with(options).await? })
    }

    /// Up to `limit` rows in order, from the row that holds or follows `from_seq`.
    pub async fn rows(&self, from_seq: u64, limit: u32) -> Result<Vec<Row>, JournalError> {
        let rows = sqlx::query(
            "SELECT first_seq, count, format, body, digest FROM journal
             WHERE first_seq >= coalesce((SELECT max(first_seq) FROM journal WHERE first_seq <= $1), 0)
             ORDER BY first_seq LIMIT $2",
        )
        .bind(signed(from_seq))
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(row).filter(|row| !matches!(row, Ok(row) if row.next_seq() <= from_seq)).collect()
    }

    /// The sequence that the journal ends at; 0 when it is empty.
    pub async fn last_seq(&self) -> Result<u64, JournalError> {
        let last: Option<i64> = sqlx::query_scalar(
            "SELECT max(first_seq + count) - 1 FROM journal WHERE first_seq = (SELECT max(first_seq) FROM journal)",
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(last.map_or(0, unsigned))
    }

    /// The digest of the row that ends right before `seq`; all zero at the beginning, `None` if no row does.
    pub async fn digest_before(&self, seq: u64) -> Result<Option<Digest>, JournalError> {
        if seq <= 1 {
            return Ok(Some(Digest::default()));
        }
        let found = sqlx::query("SELECT digest FROM journal WHERE first_seq + count = $1 AND first_seq < $1 ORDER BY first_seq DESC LIMIT 1")
            .bind(signed(seq))
            .fetch_optional(&self.pool)
            .await?;
        found.map(|found| digest(found.try_get("digest")?, seq)).transpose()
    }

    /// The digests of the rows that hold these sequences, in that order.
    pub async fn digests_of(&self, seqs: &[u64]) -> Result<Vec<Digest>, JournalError> {
        let asked: Vec<i64> = seqs.iter().map(|seq| signed(*seq)).collect();
        let found = sqlx::query(
            "SELECT value, (SELECT digest FROM journal WHERE first_seq <= value ORDER BY first_seq DESC LIMIT 1) AS digest
             FROM json_each($1) ORDER BY key",
        )
        .bind(serde_json::to_string(&asked).expect("integers are JSON"))
        .fetch_all(&self.pool)
        .await?;
        found.iter().map(|row| digest(row.try_get("digest")?, unsigned(row.try_get("value")?))).collect()
    }

    /// The snapshots kept, newest first.
    pub async fn snapshots(&self) -> Result<Vec<Snapshot>, JournalError> {
        let rows = sqlx::query("SELECT seq, format, digest, body FROM snapshot ORDER BY seq DESC")
            .fetch_all(&self.pool)
            .await?;
        rows.iter()
            .map(|row| {
                let seq = unsigned(row.try_get("seq")?);
                Ok(Snapshot {
                    seq,
                    format: row.try_get("format")?,
                    digest: digest(row.try_get("digest")?, seq)?,
                    body: row.try_get("body")?,
                })
            })
            .collect()
    }
}

fn row(row: &sqlx::sqlite::SqliteRow) -> Result<Row, JournalError> {
    let first_seq = unsigned(row.try_get("first_seq")?);
    Ok(Row {
        first_seq,
        count: row.try_get("count")?,
        format: row.try_get("format")?,
        body: row.try_get("body")?,
        digest: digest(row.try_get("digest")?, first_seq)?,
    })
}

fn digest(bytes: Vec<u8>, at: u64) -> Result<Digest, JournalError> {
    bytes.try_into().map_err(|_| JournalError::Corrupt { at, why: "a digest is not 32 bytes".to_owned() })
}

async fn read_head(connection: &mut SqliteConnection) -> Result<Head, JournalError> {
    let last =
        sqlx::query("SELECT first_seq, count, format, body, digest FROM journal ORDER BY first_seq DESC LIMIT 1")
            .fetch_optional(connection)
            .await?;
    let Some(last) = last else { return Ok(Head::default()) };
    let last = row(&last)?;
    Ok(Head { seq: last.next_seq() - 1, digest: last.digest })
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("wal_autocheckpoint", "0")
}

/// The first phase of a checkpoint: passes beside the writer until one is short. A failure costs nothing but
/// log space; the next attempt follows.
async fn checkpoint(path: PathBuf) {
    let passes = async {
        let mut connection = options(&path).connect().await?;
        let mut before = 0;
        for _ in 0..PASSES_MAX {
            let copied = checkpoint_pass(&mut connection).await?;
            if copied - before <= SHORT_PASS_PAGES {
                break;
            }
            before = copied;
        }
        connection.close().await
    };
    if let Err(error) = passes.await {
        tracing::warn!(%error, "the journal's checkpoint failed; the log grows until one succeeds");
    }
}

/// Copies what it can without waiting for anybody, and returns how many pages of the log are copied now.
async fn checkpoint_pass(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").fetch_one(connection).await?.try_get("checkpointed")
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

fn make_private(dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Sequences stay below 2^45, so SQLite's signed integers hold them.
fn signed(seq: u64) -> i64 {
    i64::try_from(seq).expect("sequences stay below 2^45")
}

fn unsigned(seq: i64) -> u64 {
    u64::try_from(seq).unwrap_or(0)
}
