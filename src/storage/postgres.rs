//! The journal in Postgres: the same table, in a schema of its own.
//!
//! The writer's fence is an advisory lock of the writer's connection, on which alone rows are appended: with the
//! connection the lock is gone and so is the way to write. It is never opened again by itself; a restart is.

#[cfg(test)]
pub(super) mod tests;

use std::fmt;
use std::str::FromStr as _;
use std::time::Duration;

use serde::Deserialize;
use sqlx::error::DatabaseError;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};
use tokio::time::Instant;

use super::database::{Pool, Record};
use super::journal::{Head, JournalError};
use super::reader::{APPEND, LAST_ROW, SqlReader, head, signed};

/// The number of the advisory lock; locks are told apart by database.
const FENCE: i64 = 0x0063_6f75_6e74_6572;
/// How long a start waits for the fence: the connection of a writer that was killed outlives it a little.
const FENCE_WAIT: &str = "2s";
/// How often a writer at rest looks whether it still has the fence.
const LOOK: Duration = Duration::from_secs(1);
/// Makes a table of four megabytes, which is free disk space with which writing begins. Unlogged: on a disk that is full,
/// filling the log up would end the database.
const ROOM: &str = "CREATE UNLOGGED TABLE room AS SELECT repeat('.', 1000) AS filler FROM generate_series(1, 4096)";

/// Where a Postgres database is; prints without its password.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// A URL such as `postgres://user:password@host/database`, or none if this is not one.
    pub fn parse(url: &str) -> Option<DatabaseUrl> {
        let url = DatabaseUrl(url.to_owned());
        url.is_sound().then_some(url)
    }

    /// Whether it can be connected to at all.
    pub fn is_sound(&self) -> bool {
        let schemed = self.0.starts_with("postgres://") || self.0.starts_with("postgresql://");
        schemed && PgConnectOptions::from_str(&self.0).is_ok()
    }

    /// As given, with its password: for the settings file.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Why there is no connection, and to what.
    fn unavailable(&self, error: &sqlx::Error) -> JournalError {
        JournalError::Unavailable(format!("{self}: {error}"))
    }

    /// How to connect to the tables in `schema`.
    pub(super) fn options(&self, schema: &str) -> Result<PgConnectOptions, sqlx::Error> {
        Ok(PgConnectOptions::from_str(&self.0)?
            .application_name("countersign")
            .options([("search_path", schema), ("synchronous_commit", "on")]))
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(options) = PgConnectOptions::from_str(&self.0) else { return f.write_str("postgres://***") };
        let host = options.get_socket().map_or(options.get_host().to_owned(), |socket| socket.display().to_string());
        let database = options.get_database().unwrap_or_default();
        write!(f, "postgres://{}:***@{host}:{}/{database}", options.get_username(), options.get_port())
    }
}

/// The journal's only writer.
#[derive(Debug)]
pub struct PostgresJournal {
    writer: PgConnection,
    head: Head,
    /// When the writer's connection was last used.
    used: Instant,
}

impl PostgresJournal {
    pub(super) async fn open(url: &DatabaseUrl) -> Result<PostgresJournal, JournalError> {
        let mut writer = url.options("journal")?.connect().await.map_err(|error| url.unavailable(&error))?;
        take_fence(&mut writer, url).await?;
        sqlx::query("CREATE SCHEMA IF NOT EXISTS journal").execute(&mut writer).await?;
        sqlx::migrate!("src/storage/migrations/postgres/journal")
            .run(&mut writer)
            .await
            .map_err(|error| JournalError::Unavailable(error.to_string()))?;
        let head = read_head(&mut writer).await?;
        Ok(PostgresJournal { writer, head, used: Instant::now() })
    }

    pub(super) fn head(&self) -> Head {
        self.head
    }

    pub(super) async fn append(
        &mut self,
        first_seq: u64,
        count: u32,
        format: u16,
        body: &[u8],
    ) -> Result<(), JournalError> {
        let head = self.head.then(first_seq, count, format, body)?;
        self.used = Instant::now();
        let done = sqlx::query(APPEND)
            .bind(signed(first_seq))
            .bind(i64::from(count))
            .bind(i64::from(format))
            .bind(body)
            .bind(head.digest.as_slice())
            .execute(&mut self.writer)
            .await
            .map_err(refused)?;
        if done.rows_affected() != 1 {
            let found = read_head(&mut self.writer).await?.seq + 1;
            return Err(JournalError::Conflict { expected: first_seq, found });
        }
        self.head = head;
        Ok(())
    }

    /// Tries whether the database takes writes, with room to spare; nothing of it stays. What was acknowledged needs no
    /// second look: the database ends rather than go on after a failed sync.
    pub(super) async fn probe(&mut self) -> Result<(), JournalError> {
        self.used = Instant::now();
        self.head.confirm(read_head(&mut self.writer).await?)?;
        let mut tried = self.writer.begin().await?;
        sqlx::query(ROOM).execute(&mut *tried).await.map_err(refused)?;
        Ok(tried.rollback().await?)
    }

    /// Waits until the connection, and so the fence, is gone: it is tried whenever it was not used for a while.
    pub(super) async fn fence_lost(&mut self) -> JournalError {
        loop {
            tokio::time::sleep_until(self.used + LOOK).await;
            // Noted first: who drops this and asks again does not make it look more often. An answer that nobody
            // waited for is read before the next statement's.
            self.used = Instant::now();
            if let Err(error) = self.writer.ping().await {
                return error.into();
            }
        }
    }

    pub(super) async fn close(self) -> Result<(), JournalError> {
        Ok(self.writer.close().await?)
    }
}

/// Opens the journal for reading.
pub(super) async fn reader(url: &DatabaseUrl) -> Result<SqlReader, JournalError> {
    let options = url.options("journal")?.options([("default_transaction_read_only", "on")]);
    // First by itself: the pool would try for half a minute, and then not say why it failed.
    options.connect().await.map_err(|error| url.unavailable(&error))?.close().await?;
    let pool = PgPoolOptions::new().max_connections(2).connect_with(options).await?;
    Ok(SqlReader::new(Pool::Postgres(pool)))
}

async fn take_fence(writer: &mut PgConnection, url: &DatabaseUrl) -> Result<(), JournalError> {
    let wait = sqlx::AssertSqlSafe(format!("SET lock_timeout = '{FENCE_WAIT}'"));
    sqlx::query(wait).execute(&mut *writer).await?;
    let taken = sqlx::query("SELECT pg_advisory_lock($1)").bind(FENCE).execute(&mut *writer).await;
    match taken {
        // 55P03: lock_not_available.
        Err(error) if error.as_database_error().and_then(|error| error.code()).as_deref() == Some("55P03") => {
            Err(JournalError::Locked(url.to_string()))
        }
        Err(error) => Err(error.into()),
        Ok(_) => {
            sqlx::query("RESET lock_timeout").execute(writer).await?;
            Ok(())
        }
    }
}

/// What a statement that writes was refused with. It was taken back whole, and the connection, with the fence, is there.
fn refused(error: sqlx::Error) -> JournalError {
    match error.as_database_error().and_then(DatabaseError::code).as_deref() {
        // disk_full, out_of_memory, read_only_sql_transaction.
        Some("53100" | "53200" | "25006") => JournalError::Unwritable(error.to_string()),
        _ => error.into(),
    }
}

async fn read_head(writer: &mut PgConnection) -> Result<Head, JournalError> {
    let last = sqlx::query(LAST_ROW).fetch_optional(writer).await?;
    head(last.as_ref().map(Record::Postgres))
}
