//! The only writer of the history tables: a batch and its checkpoint in one transaction, one statement a
//! table however many rows, because every statement costs two hand-offs between threads.

use sqlx::migrate::MigrateError;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};

use super::{CandleRow, HistoryBatch, HistoryError, id, time};

/// The only writer of the history tables.
#[derive(Debug)]
pub struct HistoryWriter {
    connection: SqliteConnection,
}

impl HistoryWriter {
    pub(super) async fn open(options: SqliteConnectOptions) -> Result<HistoryWriter, HistoryError> {
        let mut connection = options.connect().await?;
        sqlx::migrate!("src/storage/migrations/sqlite/history")
            .run(&mut connection)
            .await
            .map_err(|error: MigrateError| HistoryError(error.to_string()))?;
        Ok(HistoryWriter { connection })
    }

    /// Adds a batch and moves the checkpoint to `seq`, the last event that the batch comes from; all of it or
    /// nothing. The checkpoint never goes back.
    ///
    /// # Errors
    /// When nothing was written, or it is not known to be; the checkpoint tells.
    pub async fn apply(&mut self, batch: &HistoryBatch, seq: u64) -> Result<(), HistoryError> {
        let mut transaction = self.connection.begin().await?;
        for (statement, table) in [
            (ORDERS, orders(batch)),
            (TRADES, trades(batch)),
            (LEDGER_ENTRIES, ledger_entries(batch)),
            (AUDIT, audit(batch)),
            (TRANSFERS, transfers(batch)),
        ] {
            if let Some((columns, bodies)) = table {
                sqlx::query(statement).bind(columns).bind(bodies).execute(&mut *transaction).await?;
            }
        }
        if !batch.candles.is_empty() {
            sqlx::query(CANDLES).bind(candles(batch)).execute(&mut *transaction).await?;
        }
        sqlx::query("UPDATE checkpoint SET seq = max(seq, $1)").bind(time(seq)).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Ends the writing.
    ///
    /// # Errors
    /// When the file cannot be closed in order; what was applied stays.
    pub async fn close(self) -> Result<(), HistoryError> {
        Ok(self.connection.close().await?)
    }
}

// $1 holds the rows' columns as arrays of JSON, $2 their bodies end to end; a row's last two columns say
// where its body begins, from 1, and how long it is.
const ORDERS: &str = "INSERT OR REPLACE INTO orders
    (order_id, account, market, service_user, cl_ord_id, userref, opened_us, closed_us, event_offset, body)
    SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, value->>7, value->>8,
           substr($2, value->>9, value->>10) FROM json_each($1)";
const TRADES: &str = "INSERT OR REPLACE INTO trades (exec, account, market, order_id, at_us, body)
    SELECT value->>0, value->>1, value->>2, value->>3, value->>4, substr($2, value->>5, value->>6) FROM json_each($1)";
const LEDGER_ENTRIES: &str = "INSERT OR REPLACE INTO ledger_entries (ledger_id, account, asset, kind, at_us, body)
    SELECT value->>0, value->>1, value->>2, value->>3, value->>4, substr($2, value->>5, value->>6) FROM json_each($1)";

const AUDIT: &str = "INSERT OR REPLACE INTO audit (entry_offset, organization, at_us, body)
    SELECT value->>0, value->>1, value->>2, substr($2, value->>3, value->>4) FROM json_each($1)";

const TRANSFERS: &str = "INSERT OR REPLACE INTO transfers (id, kind, account, asset, method, created_us, body)
    SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, substr($2, value->>6, value->>7)
    FROM json_each($1)";

// A stretch that has these events already stays as it is.
const CANDLES: &str = "INSERT INTO candles
    (market, interval, begin_us, open, high, low, close, trades, volume, cost, seq)
    SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, value->>7, value->>8,
           value->>9, value->>11 FROM json_each($1)
    WHERE NOT EXISTS (SELECT 1 FROM candles AS old WHERE old.market = value->>0 AND old.interval = value->>1
                      AND old.begin_us = value->>2 AND old.seq >= value->>10)
    ON CONFLICT (market, interval, begin_us) DO UPDATE SET
        high = max(high, excluded.high), low = min(low, excluded.low), close = excluded.close,
        trades = trades + excluded.trades, volume = volume + excluded.volume, cost = cost + excluded.cost,
        seq = excluded.seq";

fn candles(batch: &HistoryBatch) -> String {
    let row = |row: &CandleRow| {
        let [open, high, low, close] = row.prices;
        let place = (id(row.market), row.interval, time(row.begin_us));
        let sums = (time(row.trades), row.volume, row.cost, time(row.seqs.0), time(row.seqs.1));
        (place.0, place.1, place.2, open, high, low, close, sums.0, sums.1, sums.2, sums.3, sums.4)
    };
    let rows: Vec<_> = batch.candles.iter().map(row).collect();
    serde_json::to_string(&rows).expect("tuples of integers are JSON")
}

/// What one statement takes; `None` when there is nothing to write.
type Table = Option<(String, Vec<u8>)>;

fn orders(batch: &HistoryBatch) -> Table {
    table(
        &batch.orders,
        |row| &row.body,
        |row, begin, length| {
            (
                id(row.order_id),
                id(row.account),
                id(row.market),
                id(row.service_user),
                row.cl_ord_id.as_deref(),
                row.userref,
                time(row.opened_us),
                row.closed_us.map(time),
                time(row.offset),
                begin,
                length,
            )
        },
    )
}

fn trades(batch: &HistoryBatch) -> Table {
    table(
        &batch.trades,
        |row| &row.body,
        |row, begin, length| {
            (id(row.exec), id(row.account), id(row.market), id(row.order_id), time(row.at_us), begin, length)
        },
    )
}

fn ledger_entries(batch: &HistoryBatch) -> Table {
    table(
        &batch.ledger_entries,
        |row| &row.body,
        |row, begin, length| {
            (id(row.ledger_id), id(row.account), id(row.asset), row.kind.as_str(), time(row.at_us), begin, length)
        },
    )
}

fn audit(batch: &HistoryBatch) -> Table {
    table(
        &batch.audit,
        |row| &row.body,
        |row, begin, length| (id(row.entry_offset), id(row.organization), time(row.at_us), begin, length),
    )
}

fn transfers(batch: &HistoryBatch) -> Table {
    table(
        &batch.transfers,
        |row| &row.body,
        |row, begin, length| {
            let (kind, method) = (row.kind.as_str(), row.method.as_str());
            (id(row.id), kind, id(row.account), id(row.asset), method, time(row.created_us), begin, length)
        },
    )
}

fn table<'a, R, C: serde::Serialize>(
    rows: &'a [R],
    body: impl Fn(&'a R) -> &'a [u8],
    columns: impl Fn(&'a R, usize, usize) -> C,
) -> Table {
    if rows.is_empty() {
        return None;
    }
    // Never empty, since SQLite takes bytes of length zero for a null.
    let mut bodies = vec![0];
    let columns: Vec<C> = rows
        .iter()
        .map(|row| {
            let begin = bodies.len() + 1;
            bodies.extend_from_slice(body(row));
            columns(row, begin, body(row).len())
        })
        .collect();
    Some((serde_json::to_string(&columns).expect("tuples of integers and texts are JSON"), bodies))
}
