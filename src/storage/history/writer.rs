//! The only writer of the history tables: a batch and its checkpoint in one transaction, many rows in one statement,
//! because every statement costs a switch between threads or a round trip.

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Database, Executor, PgConnection, Postgres, Sqlite,
    SqliteConnection,
};

use super::tables::{Column, Table, names, tables};
use super::{BLOCK_EVENTS, HistoryBatch, HistoryError, time};
use crate::storage::journal::Head;
use crate::storage::postgres::{ANSWER_TIMEOUT, CONNECT_TIMEOUT, answered};

/// A local SQLite file always answers eventually, so there is no time limit.
const UNLIMITED: Duration = Duration::MAX;

/// How new rows are added in SQLite, except candles. A failed transaction is rolled back as a whole, so a failed
/// statement may leave its partial work: otherwise SQLite would copy each page that it changes, to be able to undo it.
const SQLITE_INSERT: &str = "INSERT OR FAIL";

/// Reads the checkpoint.
const FOUND: &str = "SELECT seq, digest FROM checkpoint";

/// Advances the checkpoint from where this writer left it. This statement comes first: of two writers, the second waits
/// here for the first, and then finds the checkpoint elsewhere.
const CHECKPOINT: &str = "UPDATE checkpoint SET seq = $1, digest = $2 WHERE seq = $3";

/// Nothing has been added, and nothing deleted.
const BEGUN: [&str; 2] = ["UPDATE checkpoint SET seq = 0", "UPDATE streams_since SET seq = 0"];

/// Rows in one statement of SQLite, which needs a placeholder for each value and allows 32,766. There are few sizes, so
/// that the statements stay prepared, each four times the next, so that few statements make any number of rows.
const SQLITE_ROWS: [usize; 6] = [2_048, 512, 128, 32, 8, 2];

/// About how many rows are deleted at once: even after days without a deletion the database must answer in time.
const FORGOTTEN_AT_ONCE: u32 = 1_000_000;

/// Blocks before one that has begun have ended: of those begun before `before_us`, the last stays, the others go.
fn forget(before_us: i64) -> [String; 2] {
    let oldest = format!(
        "SELECT block, at_us FROM stream_blocks WHERE at_us < {before_us} ORDER BY at_us LIMIT {FORGOTTEN_AT_ONCE}"
    );
    let last = format!("SELECT block FROM ({oldest}) AS oldest ORDER BY at_us DESC, block LIMIT 1");
    [
        format!(
            "UPDATE streams_since SET seq = last.block * {BLOCK_EVENTS} - 1 FROM ({last}) AS last
             WHERE streams_since.seq < last.block * {BLOCK_EVENTS} - 1"
        ),
        format!("DELETE FROM stream_blocks WHERE at_us < {before_us} AND block < ({last})"),
    ]
}

/// The only writer of the history tables.
#[derive(Debug)]
pub struct HistoryWriter {
    connection: Connection,
    /// The checkpoint, as it was found or set.
    checkpoint: Head,
}

/// A connection, and how to make another one.
#[derive(Debug)]
enum Connection {
    Sqlite(Box<(SqliteConnection, SqliteConnectOptions)>),
    Postgres(Box<(PgConnection, PgConnectOptions)>),
}

impl HistoryWriter {
    pub(super) async fn sqlite(options: SqliteConnectOptions) -> Result<HistoryWriter, HistoryError> {
        let mut open = options.connect().await?;
        sqlx::migrate!("src/storage/migrations/sqlite/history").run(&mut open).await?;
        HistoryWriter::of(Connection::Sqlite(Box::new((open, options)))).await
    }

    pub(super) async fn postgres(options: PgConnectOptions) -> Result<HistoryWriter, HistoryError> {
        let mut open = answered(CONNECT_TIMEOUT, options.connect()).await?;
        sqlx::query("CREATE SCHEMA IF NOT EXISTS history").execute(&mut open).await?;
        sqlx::migrate!("src/storage/migrations/postgres/history").run(&mut open).await?;
        HistoryWriter::of(Connection::Postgres(Box::new((open, options)))).await
    }

    async fn of(mut connection: Connection) -> Result<HistoryWriter, HistoryError> {
        let (seq, chain): (i64, Option<Vec<u8>>) = match &mut connection {
            Connection::Sqlite(sqlite) => sqlx::query_as(FOUND).fetch_one(&mut sqlite.0).await?,
            Connection::Postgres(postgres) => {
                answered(ANSWER_TIMEOUT, sqlx::query_as(FOUND).fetch_one(&mut postgres.0)).await?
            }
        };
        // A value of another length is the chain of no journal.
        let chain = chain.and_then(|bytes| bytes.try_into().ok()).unwrap_or_default();
        Ok(HistoryWriter { connection, checkpoint: Head { seq: i64::cast_unsigned(seq), chain } })
    }

    /// Continues from the checkpoint over a new connection. That is made before the old one is closed: without one, the
    /// first connection on a read-only disk would be a query's, and all connections of a process share its index of
    /// SQLite's log, so none could write once the disk can.
    ///
    /// # Errors
    /// When there is no connection; try again then.
    pub async fn reopen(&mut self) -> Result<(), HistoryError> {
        let connection = match &self.connection {
            Connection::Sqlite(sqlite) => {
                let options = sqlite.1.clone();
                Connection::Sqlite(Box::new((options.connect().await?, options)))
            }
            Connection::Postgres(postgres) => {
                let options = postgres.1.clone();
                Connection::Postgres(Box::new((answered(CONNECT_TIMEOUT, options.connect()).await?, options)))
            }
        };
        *self = HistoryWriter::of(connection).await?;
        Ok(())
    }

    /// The last event that the tables contain, as far as this writer knows, 0 before the first; and the chain of its
    /// journal row.
    pub fn checkpoint(&self) -> Head {
        self.checkpoint
    }

    /// Adds a batch and moves the checkpoint to the last event that the batch comes from, all or nothing. The
    /// checkpoint never goes back.
    ///
    /// # Errors
    /// When nothing was written, or that is not known, or the checkpoint is not where this writer left it, because of
    /// another writer or a crash of the database.
    ///
    /// After a failure, [reopen](HistoryWriter::reopen) it, which reads the checkpoint: the connection may have failed;
    /// and for the driver, an SQLite connection whose commit failed is still in a transaction: after a second failure
    /// that would never end, and nothing more would be committed.
    pub async fn apply(&mut self, batch: &HistoryBatch, last: Head) -> Result<(), HistoryError> {
        let to = if last.seq > self.checkpoint.seq { last } else { self.checkpoint };
        let checkpoint = [self.checkpoint, to];
        match &mut self.connection {
            Connection::Sqlite(sqlite) => apply_to_sqlite(&mut sqlite.0, batch, checkpoint).await?,
            Connection::Postgres(postgres) => apply_to_postgres(&mut postgres.0, batch, checkpoint).await?,
        }
        self.checkpoint = to;
        Ok(())
    }

    /// Deletes the positions of private streams' items older than `before_us`, block by block, and records up to where.
    /// The events themselves stay as they are.
    ///
    /// # Errors
    /// When nothing was deleted, or that is not known; as for [`apply`](HistoryWriter::apply).
    pub async fn forget_streams(&mut self, before_us: u64) -> Result<(), HistoryError> {
        self.run(&forget(time(before_us))).await
    }

    /// Empties the tables, so that everything is written again.
    ///
    /// # Errors
    /// When they are unchanged, or that is not known; as for [`apply`](HistoryWriter::apply).
    pub async fn clear(&mut self) -> Result<(), HistoryError> {
        let emptied = match &self.connection {
            Connection::Sqlite(_) => names().map(|table| format!("DELETE FROM {table}")).to_vec(),
            // Fast, whatever the size.
            Connection::Postgres(_) => vec![format!("TRUNCATE {}", names().join(", "))],
        };
        self.run(&[emptied, BEGUN.map(str::to_owned).to_vec()].concat()).await?;
        self.checkpoint = Head::default();
        Ok(())
    }

    /// All of the statements or none.
    async fn run(&mut self, statements: &[String]) -> Result<(), HistoryError> {
        match &mut self.connection {
            Connection::Sqlite(sqlite) => run::<Sqlite>(&mut sqlite.0, UNLIMITED, statements).await,
            Connection::Postgres(postgres) => run::<Postgres>(&mut postgres.0, ANSWER_TIMEOUT, statements).await,
        }
    }

    /// Ends the writing.
    ///
    /// # Errors
    /// When the database cannot be closed in order; what was applied stays.
    pub async fn close(self) -> Result<(), HistoryError> {
        match self.connection {
            Connection::Sqlite(sqlite) => sqlite.0.close().await?,
            Connection::Postgres(postgres) => postgres.0.close().await?,
        }
        Ok(())
    }
}

/// Checks that the checkpoint has moved, that is, was where this writer left it.
fn moved(rows: u64, [from, to]: [Head; 2]) -> Result<(), HistoryError> {
    if rows == 1 {
        return Ok(());
    }
    Err(HistoryError::Tables(format!("their checkpoint is not at {}, from where it is to go to {}", from.seq, to.seq)))
}

async fn apply_to_sqlite(
    connection: &mut SqliteConnection,
    batch: &HistoryBatch,
    checkpoint @ [from, to]: [Head; 2],
) -> Result<(), HistoryError> {
    let mut transaction = connection.begin().await?;
    let moving = sqlx::query(CHECKPOINT).bind(time(to.seq)).bind(&to.chain[..]).bind(time(from.seq));
    moved(moving.execute(&mut *transaction).await?.rows_affected(), checkpoint)?;
    for table in tables(batch) {
        let mut first = 0;
        while first < table.rows() {
            let last = first + rows_at_once(table.rows() - first);
            let mut query = sqlx::query(AssertSqlSafe(table.statement(SQLITE_INSERT, &values(&table, last - first))));
            for row in first..last {
                for (_, column) in table.columns() {
                    query = match column {
                        Column::Integers(values) => query.bind(values[row]),
                        Column::Texts(values) => query.bind(values[row]),
                        Column::Bodies(values) => query.bind(values[row]),
                    };
                }
            }
            query.execute(&mut *transaction).await?;
            first = last;
        }
    }
    Ok(transaction.commit().await?)
}

async fn apply_to_postgres(
    connection: &mut PgConnection,
    batch: &HistoryBatch,
    checkpoint @ [from, to]: [Head; 2],
) -> Result<(), HistoryError> {
    let mut transaction = answered(ANSWER_TIMEOUT, connection.begin()).await?;
    let moving = sqlx::query(CHECKPOINT).bind(time(to.seq)).bind(&to.chain[..]).bind(time(from.seq));
    moved(answered(ANSWER_TIMEOUT, moving.execute(&mut *transaction)).await?.rows_affected(), checkpoint)?;
    for table in tables(batch) {
        let mut query = sqlx::query(AssertSqlSafe(table.statement("INSERT", &unnested(&table))));
        for (_, column) in table.columns() {
            query = match column {
                Column::Integers(values) => query.bind(values),
                Column::Texts(values) => query.bind(values),
                Column::Bodies(values) => query.bind(values),
            };
        }
        answered(ANSWER_TIMEOUT, query.execute(&mut *transaction)).await?;
    }
    Ok(answered(ANSWER_TIMEOUT, transaction.commit()).await?)
}

async fn run<D: Database>(
    connection: &mut D::Connection,
    wait: Duration,
    statements: &[String],
) -> Result<(), HistoryError>
where
    for<'c> &'c mut D::Connection: Executor<'c, Database = D>,
{
    let mut transaction = answered(wait, connection.begin()).await?;
    for statement in statements {
        answered(wait, transaction.execute(AssertSqlSafe(statement.as_str()))).await?;
    }
    Ok(answered(wait, transaction.commit()).await?)
}

/// New rows for Postgres: each column is bound as an array.
fn unnested(table: &Table<'_>) -> String {
    let places: Vec<String> = (1..=table.columns().len()).map(|place| format!("${place}")).collect();
    let names: Vec<&str> = table.columns().iter().map(|(name, _)| *name).collect();
    format!("unnest({}) AS new({})", places.join(", "), names.join(", "))
}

/// How many rows go into the next statement when `left` are left.
fn rows_at_once(left: usize) -> usize {
    SQLITE_ROWS.into_iter().find(|rows| *rows <= left).unwrap_or(1)
}

/// `rows` new rows for SQLite, which has no arrays: each value is bound by itself.
fn values(table: &Table<'_>, rows: usize) -> String {
    let columns = table.columns().iter().zip(1..);
    let names: Vec<String> = columns.map(|((name, _), place)| format!("column{place} AS {name}")).collect();
    let row = format!("({})", vec!["?"; names.len()].join(","));
    format!("(SELECT {} FROM (VALUES {})) AS new", names.join(", "), vec![row.as_str(); rows].join(","))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, everything};
    use super::super::{AuditRow, Stored, open};
    use super::*;
    use crate::storage::Storage;

    #[tokio::test]
    async fn a_statement_of_sqlite_that_fails_halfway_leaves_nothing_of_its_batch() {
        let dir = tempfile::tempdir().unwrap();
        let (mut writer, reader) = open(&Storage::Sqlite(dir.path().to_owned())).await.unwrap();
        // Fails at the second row of one statement.
        let trigger = "CREATE TRIGGER second BEFORE INSERT ON audit WHEN new.entry_offset = 2
                       BEGIN SELECT RAISE(FAIL, 'the second'); END";
        writer.run(&[trigger.to_owned()]).await.unwrap();
        let row = |id| AuditRow { stored: Stored { at_us: id, id, body: vec![] }, organization: 1 };
        let batch = HistoryBatch { audit: (1..=4).map(row).collect(), ..HistoryBatch::default() };
        let before = everything(&reader).await;
        let failed = writer.apply(&batch, at(4)).await.unwrap_err();
        assert!(failed.to_string().contains("the second"), "{failed}");
        // The next transaction must commit nothing of it.
        writer.reopen().await.unwrap();
        writer.apply(&HistoryBatch::default(), at(1)).await.unwrap();
        assert_eq!((everything(&reader).await, reader.checkpoint().await.unwrap()), (before, 1));
        writer.run(&["DROP TRIGGER second".to_owned()]).await.unwrap();
        writer.apply(&batch, at(4)).await.unwrap();
        assert_eq!((everything(&reader).await.len(), reader.checkpoint().await.unwrap()), (4, 4));
    }
}
