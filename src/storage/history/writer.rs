//! The only writer of the history tables: a batch and its checkpoint in one transaction, one statement a
//! table however many rows, because every statement costs a hand-off between threads or a round trip.

use std::fmt::Write as _;

use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, SqliteConnection};

use super::tables::{Column, Table, tables};
use super::{HistoryBatch, HistoryError, time};

/// The checkpoint never goes back.
const CHECKPOINT: &str = "UPDATE checkpoint SET seq = $1 WHERE seq < $1";

/// All blocks before one that has begun have ended: the last one that began by then stays, those before it go.
const FORGET: [&str; 2] = [
    "UPDATE streams_since SET seq = last.block * 256 - 1
     FROM (SELECT block FROM stream_blocks WHERE at_us < $1 ORDER BY at_us DESC, block LIMIT 1) AS last
     WHERE streams_since.seq < last.block * 256 - 1",
    "DELETE FROM stream_blocks WHERE at_us < $1
     AND block < (SELECT block FROM stream_blocks WHERE at_us < $1 ORDER BY at_us DESC, block LIMIT 1)",
];

/// The only writer of the history tables.
#[derive(Debug)]
pub struct HistoryWriter {
    connection: Connection,
}

#[derive(Debug)]
enum Connection {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl HistoryWriter {
    pub(super) async fn sqlite(options: SqliteConnectOptions) -> Result<HistoryWriter, HistoryError> {
        let mut connection = options.connect().await?;
        sqlx::migrate!("src/storage/migrations/sqlite/history").run(&mut connection).await?;
        Ok(HistoryWriter { connection: Connection::Sqlite(connection) })
    }

    pub(super) async fn postgres(options: PgConnectOptions) -> Result<HistoryWriter, HistoryError> {
        let mut connection = options.connect().await?;
        sqlx::query("CREATE SCHEMA IF NOT EXISTS history").execute(&mut connection).await?;
        sqlx::migrate!("src/storage/migrations/postgres/history").run(&mut connection).await?;
        Ok(HistoryWriter { connection: Connection::Postgres(connection) })
    }

    /// Adds a batch and moves the checkpoint to `seq`, the last event that the batch comes from; all of it or
    /// nothing. The checkpoint never goes back.
    ///
    /// # Errors
    /// When nothing was written, or it is not known to be; the checkpoint tells.
    pub async fn apply(&mut self, batch: &HistoryBatch, seq: u64) -> Result<(), HistoryError> {
        match &mut self.connection {
            Connection::Sqlite(connection) => {
                let mut transaction = connection.begin().await?;
                for table in tables(batch) {
                    let (rows, bodies) = packed(&table);
                    let statement = AssertSqlSafe(table.statement(&unpacked(&table)));
                    sqlx::query(statement).bind(rows).bind(bodies).execute(&mut *transaction).await?;
                }
                sqlx::query(CHECKPOINT).bind(time(seq)).execute(&mut *transaction).await?;
                transaction.commit().await?;
            }
            Connection::Postgres(connection) => {
                let mut transaction = connection.begin().await?;
                for table in tables(batch) {
                    let mut query = sqlx::query(AssertSqlSafe(table.statement(&unnested(&table))));
                    for (_, column) in table.columns() {
                        query = match column {
                            Column::Integers(values) => query.bind(values),
                            Column::Texts(values) => query.bind(values),
                            Column::Bodies(values) => query.bind(values),
                        };
                    }
                    query.execute(&mut *transaction).await?;
                }
                sqlx::query(CHECKPOINT).bind(time(seq)).execute(&mut *transaction).await?;
                transaction.commit().await?;
            }
        }
        Ok(())
    }

    /// Forgets where the items of private streams lie that are older than `before_us`, block by block, and notes up
    /// to where it has forgotten. The events between stay as they are.
    ///
    /// # Errors
    /// When nothing was forgotten.
    pub async fn forget_streams(&mut self, before_us: u64) -> Result<(), HistoryError> {
        match &mut self.connection {
            Connection::Sqlite(connection) => {
                let mut transaction = connection.begin().await?;
                for statement in FORGET {
                    sqlx::query(statement).bind(time(before_us)).execute(&mut *transaction).await?;
                }
                transaction.commit().await?;
            }
            Connection::Postgres(connection) => {
                let mut transaction = connection.begin().await?;
                for statement in FORGET {
                    sqlx::query(statement).bind(time(before_us)).execute(&mut *transaction).await?;
                }
                transaction.commit().await?;
            }
        }
        Ok(())
    }

    /// Ends the writing.
    ///
    /// # Errors
    /// When the database cannot be closed in order; what was applied stays.
    pub async fn close(self) -> Result<(), HistoryError> {
        match self.connection {
            Connection::Sqlite(connection) => connection.close().await?,
            Connection::Postgres(connection) => connection.close().await?,
        }
        Ok(())
    }
}

/// New rows for Postgres: each column is bound as an array.
fn unnested(table: &Table<'_>) -> String {
    let places: Vec<String> = (1..=table.columns().len()).map(|place| format!("${place}")).collect();
    let names: Vec<&str> = table.columns().iter().map(|(name, _)| *name).collect();
    format!("unnest({}) AS new({})", places.join(", "), names.join(", "))
}

/// New rows for SQLite, which knows no arrays: $1 holds them as arrays of JSON, $2 their bodies end to end. For
/// its body a row says where that begins, from 1, and how long it is.
fn packed(table: &Table<'_>) -> (String, Vec<u8>) {
    // Never empty, since SQLite takes bytes of length zero for a null.
    let mut bodies = vec![0];
    let mut rows = String::from("[");
    for row in 0..table.rows() {
        rows.push_str(if row == 0 { "[" } else { ",[" });
        for (number, (_, column)) in table.columns().iter().enumerate() {
            rows.push_str(if number == 0 { "" } else { "," });
            let written = match column {
                Column::Integers(values) => match values[row] {
                    Some(value) => write!(rows, "{value}"),
                    None => write!(rows, "null"),
                },
                Column::Texts(values) => {
                    write!(rows, "{}", serde_json::to_string(&values[row]).expect("a text is JSON"))
                }
                Column::Bodies(values) => {
                    let begin = bodies.len() + 1;
                    bodies.extend_from_slice(values[row]);
                    write!(rows, "{begin},{}", values[row].len())
                }
            };
            written.expect("a String takes everything");
        }
        rows.push(']');
    }
    rows.push(']');
    (rows, bodies)
}

/// What reads the rows that `packed` made.
fn unpacked(table: &Table<'_>) -> String {
    let mut place = 0;
    let columns: Vec<String> = table
        .columns()
        .iter()
        .map(|(name, column)| {
            place += 1;
            match column {
                Column::Bodies(_) => {
                    place += 1;
                    format!("substr($2, value->>{}, value->>{}) AS {name}", place - 2, place - 1)
                }
                Column::Integers(_) | Column::Texts(_) => format!("value->>{} AS {name}", place - 1),
            }
        })
        .collect();
    format!("(SELECT {} FROM json_each($1)) AS new", columns.join(", "))
}
