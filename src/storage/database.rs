//! Both databases behind one interface, so that statements are written once. They share numbered placeholders,
//! `ON CONFLICT` and row values; where they differ, there is a fragment for each here.

use std::borrow::Cow;

use futures::TryStreamExt as _;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgPool, PgRow, Postgres};
use sqlx::sqlite::{Sqlite, SqlitePool, SqliteRow};
use sqlx::{AssertSqlSafe, Connection as _, Database, Decode, Row as _, Type};

use super::postgres::{ANSWER_TIMEOUT, answered};

/// A value for `$1`, `$2` and so on in a statement.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Integer(Option<i64>),
    Text(Option<&'a str>),
    /// For [`Pool::each`].
    Integers(&'a [i64]),
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Value::Integer(Some(value))
    }
}

impl From<u32> for Value<'_> {
    fn from(value: u32) -> Self {
        Value::Integer(Some(value.into()))
    }
}

impl From<Option<i64>> for Value<'_> {
    fn from(value: Option<i64>) -> Self {
        Value::Integer(value)
    }
}

impl<'a> From<Option<&'a str>> for Value<'a> {
    fn from(value: Option<&'a str>) -> Self {
        Value::Text(value)
    }
}

/// A row of either database.
pub(super) enum Record<'r> {
    Sqlite(&'r SqliteRow),
    Postgres(&'r PgRow),
}

impl Record<'_> {
    /// The value in a column.
    pub(super) fn get<T>(&self, column: &str) -> Result<T, sqlx::Error>
    where
        T: for<'r> Decode<'r, Sqlite> + Type<Sqlite> + for<'r> Decode<'r, Postgres> + Type<Postgres>,
    {
        match self {
            Record::Sqlite(row) => row.try_get(column),
            Record::Postgres(row) => row.try_get(column),
        }
    }
}

/// Connections for reading; clones share them.
#[derive(Clone, Debug)]
pub(super) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Pool {
    /// As many connections again, made when they are first used.
    pub(super) fn apart(&self) -> Pool {
        match self {
            Pool::Sqlite(pool) => {
                Pool::Sqlite(pool.options().clone().connect_lazy_with((*pool.connect_options()).clone()))
            }
            Pool::Postgres(pool) => {
                Pool::Postgres(pool.options().clone().connect_lazy_with((*pool.connect_options()).clone()))
            }
        }
    }

    /// The expression after `FROM` that reads a list bound to `placeholder`: columns `value` and `key`, its position in
    /// the list.
    pub(super) fn each(&self, placeholder: &str) -> String {
        match self {
            Pool::Sqlite(_) => format!("json_each({placeholder})"),
            Pool::Postgres(_) => format!("unnest({placeholder}) WITH ORDINALITY AS each(value, key)"),
        }
    }

    /// Runs a statement and reads each of its rows.
    pub(super) async fn all<T, E: From<sqlx::Error>>(
        &self,
        statement: impl Into<Cow<'static, str>>,
        values: &[Value<'_>],
        read: fn(&Record<'_>) -> Result<T, E>,
    ) -> Result<Vec<T>, E> {
        self.all_holding((), statement, values, read).await
    }

    /// As [`Pool::all`]; `held` is dropped once the connection is free again, which may be after the asker gave up.
    pub(super) async fn all_holding<T, E: From<sqlx::Error>>(
        &self,
        held: impl Send + 'static,
        statement: impl Into<Cow<'static, str>>,
        values: &[Value<'_>],
        read: fn(&Record<'_>) -> Result<T, E>,
    ) -> Result<Vec<T>, E> {
        let statement = AssertSqlSafe(statement.into());
        match self {
            Pool::Sqlite(pool) => {
                let mut query = sqlx::query(statement);
                for value in values {
                    query = match value {
                        Value::Integer(value) => query.bind(*value),
                        Value::Text(value) => query.bind(*value),
                        Value::Integers(values) => query.bind(json(values)),
                    };
                }
                let mut used = Used(Some((pool.acquire().await?, held)));
                let rows = query.fetch_all(used.connection()).await?;
                used.end();
                rows.iter().map(|row| read(&Record::Sqlite(row))).collect()
            }
            Pool::Postgres(pool) => {
                let mut query = sqlx::query(statement);
                for value in values {
                    query = match value {
                        Value::Integer(value) => query.bind(*value),
                        Value::Text(value) => query.bind(*value),
                        Value::Integers(values) => query.bind(*values),
                    };
                }
                let mut used = Used(Some((pool.acquire().await?, held)));
                let (mut stream, mut rows) = (query.fetch(used.connection()), Vec::new());
                while let Some(row) = answered(ANSWER_TIMEOUT, stream.try_next()).await? {
                    rows.push(read(&Record::Postgres(&row))?);
                }
                drop(stream);
                used.end();
                Ok(rows)
            }
        }
    }
}

/// A connection in use, and what is held meanwhile.
struct Used<D: Database, H: Send + 'static>(Option<(PoolConnection<D>, H)>);

impl<D: Database, H: Send + 'static> Used<D, H> {
    fn connection(&mut self) -> &mut D::Connection {
        &mut self.0.as_mut().expect("it is in use until it ends").0
    }

    /// The statement has ended.
    fn end(mut self) {
        self.0 = None;
    }
}

impl<D: Database, H: Send + 'static> Drop for Used<D, H> {
    fn drop(&mut self) {
        let Some((mut connection, held)) = self.0.take() else { return };
        tokio::spawn(async move {
            // It is answered after the statement, which nobody waits for any more.
            let _ = connection.ping().await;
            drop((connection, held));
        });
    }
}

fn json(list: &impl serde::Serialize) -> String {
    serde_json::to_string(list).expect("integers are JSON")
}
