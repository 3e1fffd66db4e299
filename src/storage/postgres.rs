//! The journal in Postgres: the same table, in a schema of its own.
//!
//! The writer's fence is an advisory lock of the writer's connection, and rows are appended on that connection only: if
//! it is lost, so are the lock and the ability to write. It is not reopened; the server must be restarted.

#[cfg(test)]
pub(super) mod tests;

use std::pin::pin;
use std::str::FromStr as _;
use std::time::Duration;
use std::{fmt, io};

use serde::Deserialize;
use sqlx::error::DatabaseError;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};
use tokio::time::Instant;

use super::database::{Pool, Record};
use super::journal::{Head, JournalError};
use super::reader::{APPEND, LAST_ROW, SqlReader, head, signed};

/// The number of the advisory lock; each database has its own locks.
const FENCE: i64 = 0x0063_6f75_6e74_6572;
/// How long a start waits for the fence: the connection of a killed writer outlives it a little.
const FENCE_WAIT: &str = "SET lock_timeout = '2s'";
/// How often an idle writer checks that it still has the fence.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How long a connection may take to be made.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long reading a row, or writing history, which can be done again, may go without an answer.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the writer waits for an answer before it checks whether the database is working on it.
const APPEND_TIMEOUT: Duration = Duration::from_secs(10);
/// Makes the database drop a client whose host has not answered for 25 seconds, which frees the fence. By default it
/// would wait for hours.
const KEEPALIVE: [(&str, &str); 4] = [
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "25000"),
];
/// Identifies the database process that serves a connection.
const BACKEND: &str =
    "SELECT pid || ' ' || extract(epoch FROM backend_start) FROM pg_stat_activity WHERE pid = pg_backend_pid()";
/// Whether the process so identified is working on a statement.
const AT_WORK: &str = "SELECT count(*) > 0 FROM pg_stat_activity
    WHERE pid || ' ' || extract(epoch FROM backend_start) = $1 AND state NOT LIKE 'idle%'";
/// Creates a table of four megabytes, to check for as much free disk space as writing should start with. Unlogged:
/// filling up the log on a full disk would end the database.
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

    /// The URL with its password: for the settings file.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Why there is no connection, and to which database.
    fn unavailable(&self, error: &sqlx::Error) -> JournalError {
        JournalError::Unavailable(format!("{self}: {error}"))
    }

    /// How to connect to the tables in `schema`.
    pub(super) fn options(&self, schema: &str) -> Result<PgConnectOptions, sqlx::Error> {
        Ok(PgConnectOptions::from_str(&self.0)?
            .application_name("countersign")
            .options([("search_path", schema), ("synchronous_commit", "on")])
            // Whatever the role or the database sets: a commit behind a lock or a slow disk is waited for.
            .options([("statement_timeout", "0"), ("lock_timeout", "0")])
            .options(KEEPALIVE))
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
    watch: Watch,
    head: Head,
    /// When the writer's connection was last used.
    used: Instant,
}

impl PostgresJournal {
    pub(super) async fn open(url: &DatabaseUrl) -> Result<PostgresJournal, JournalError> {
        let mut writer = connect(&url.options("journal")?).await.map_err(|error| url.unavailable(&error))?;
        let query = sqlx::query_scalar(BACKEND).fetch_one(&mut writer);
        let backend = answered(CONNECT_TIMEOUT, query).await.map_err(|error| url.unavailable(&error))?;
        let watch = Watch { url: url.clone(), backend, patience: APPEND_TIMEOUT };
        let opened = watch.answer(async {
            take_fence(&mut writer, url).await?;
            sqlx::query("CREATE SCHEMA IF NOT EXISTS journal").execute(&mut writer).await?;
            sqlx::migrate!("src/storage/migrations/postgres/journal")
                .run(&mut writer)
                .await
                .map_err(|error| JournalError::Unavailable(error.to_string()))?;
            read_head(&mut writer).await
        });
        let head = opened.await?;
        Ok(PostgresJournal { writer, watch, head, used: Instant::now() })
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
        let PostgresJournal { writer, watch, .. } = self;
        let appended = watch.answer(async {
            let done = sqlx::query(APPEND)
                .bind(signed(first_seq))
                .bind(i64::from(count))
                .bind(i64::from(format))
                .bind(body)
                .bind(head.chain.as_slice())
                .execute(&mut *writer)
                .await
                .map_err(refused)?;
            if done.rows_affected() != 1 {
                let found = read_head(writer).await?.seq + 1;
                return Err(JournalError::Conflict { expected: first_seq, found });
            }
            Ok(())
        });
        appended.await?;
        self.head = head;
        Ok(())
    }

    /// Tests whether the database accepts writes, with room to spare; nothing of it stays. What was acknowledged needs
    /// no check: after a failed sync the database ends rather than continue.
    pub(super) async fn probe(&mut self) -> Result<(), JournalError> {
        self.used = Instant::now();
        let PostgresJournal { writer, watch, head, .. } = self;
        let tried = watch.answer(async {
            head.confirm(read_head(writer).await?)?;
            let mut tried = writer.begin().await?;
            sqlx::query(ROOM).execute(&mut *tried).await.map_err(refused)?;
            Ok(tried.rollback().await?)
        });
        tried.await
    }

    /// Waits until the connection was not used for a while, so that it should be checked.
    pub(super) async fn fence_due(&self) {
        tokio::time::sleep_until(self.used + POLL_INTERVAL).await;
    }

    /// Checks that the connection, and so the fence, still exists.
    pub(super) async fn check_fence(&mut self) -> Result<(), JournalError> {
        self.used = Instant::now();
        Ok(self.watch.answer(self.writer.ping()).await?)
    }

    pub(super) async fn close(self) -> Result<(), JournalError> {
        Ok(self.writer.close().await?)
    }
}

/// Opens the journal for reading.
pub(super) async fn reader(url: &DatabaseUrl) -> Result<SqlReader, JournalError> {
    let options = url.options("journal")?.options([("default_transaction_read_only", "on")]);
    // A single connection first: the pool would try for half a minute, and then not say why it failed.
    connect(&options).await.map_err(|error| url.unavailable(&error))?.close().await?;
    let pool = PgPoolOptions::new().max_connections(2).connect_with(options).await?;
    Ok(SqlReader::new(Pool::Postgres(pool)))
}

/// Connects, with a time limit.
pub(super) async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    answered(CONNECT_TIMEOUT, options.connect()).await
}

/// Waits for an answer for at most `wait`: a host that has vanished gives none.
pub(super) async fn answered<T, E: From<sqlx::Error>>(
    wait: Duration,
    query: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    tokio::time::timeout(wait, query).await.unwrap_or_else(|_| {
        let why = format!("no answer within {} s", wait.as_secs());
        Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, why)).into())
    })
}

/// Distinguishes a slow database, whose answer is awaited, from one that will never answer: on a connection gone silent
/// nothing else would show it.
#[derive(Debug)]
struct Watch {
    /// Where to make another connection.
    url: DatabaseUrl,
    /// The database process that serves the writer, and when it began: its number may be reused.
    backend: String,
    /// How long an answer may take before the database is checked.
    patience: Duration,
}

impl Watch {
    /// Waits for an answer as long as the database is working on it: the statement may yet be stored.
    async fn answer<T, E: From<sqlx::Error>>(&self, query: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let mut query = pin!(query);
        loop {
            let looked = async {
                tokio::time::sleep(self.patience).await;
                self.is_at_work().await
            };
            let at_work = tokio::select! {
                biased;
                answer = &mut query => return answer,
                at_work = looked => at_work?,
            };
            if !at_work {
                // It may have finished during the check, and its answer be on the way.
                return answered(self.patience, query).await;
            }
        }
    }

    /// Whether the writer's statement is still running, according to another connection.
    async fn is_at_work(&self) -> Result<bool, sqlx::Error> {
        let mut other = match connect(&self.url.options("journal")?).await {
            // A database without room for another connection is still there, so it can answer.
            Err(sqlx::Error::Database(_)) => return Ok(true),
            connected => connected?,
        };
        let query = sqlx::query_scalar(AT_WORK).bind(&self.backend).fetch_one(&mut other);
        answered(CONNECT_TIMEOUT, query).await
    }
}

async fn take_fence(writer: &mut PgConnection, url: &DatabaseUrl) -> Result<(), JournalError> {
    sqlx::query(FENCE_WAIT).execute(&mut *writer).await?;
    let taken = sqlx::query("SELECT pg_advisory_lock($1)").bind(FENCE).execute(&mut *writer).await;
    match taken {
        // 55P03: lock_not_available.
        Err(error) if error.as_database_error().and_then(DatabaseError::code).as_deref() == Some("55P03") => {
            Err(JournalError::Locked(url.to_string()))
        }
        Err(error) => Err(error.into()),
        Ok(_) => {
            sqlx::query("RESET lock_timeout").execute(writer).await?;
            Ok(())
        }
    }
}

/// The error of a refused write. It was rolled back completely, and the connection, with the fence, still exists.
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
