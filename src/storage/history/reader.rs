//! Queries over the history tables, on a small pool of read-only connections. Lists come newest first and
//! are paged by the last row's time and id, so rows added meanwhile neither shift nor repeat a page.

use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteRow};

use super::{AuditRow, CandleRow, HistoryError, LedgerRow, OrderRow, TradeRow, TransferRow, id, time};

/// Queries that run at the same time; further ones wait.
const CONNECTIONS_MAX: u32 = 4;

/// Where a page ended: the next one begins behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The last row's time, in µs.
    pub at_us: u64,
    /// The last row's id.
    pub id: u64,
}

/// One page of an account's rows with `start_us ≤ time < end_us`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Whose rows.
    pub account: u64,
    /// The earliest time, in µs.
    pub start_us: u64,
    /// The time before which all rows lie, in µs.
    pub end_us: u64,
    /// The end of the page before; `None` for the first.
    pub after: Option<Cursor>,
    /// Rows at most.
    pub limit: u32,
}

/// Which closed orders; `None` admits all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OrderFilter<'a> {
    /// Of this market.
    pub market: Option<u64>,
    /// With this client's id.
    pub cl_ord_id: Option<&'a str>,
    /// With this client's number.
    pub userref: Option<i64>,
}

/// Which ended deposits or withdrawals; `None` admits all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransferKey<'a> {
    /// Deposits or withdrawals.
    pub kind: &'a str,
    /// Of this asset.
    pub asset: Option<u64>,
    /// By this method.
    pub method: Option<&'a str>,
}

/// Reads the history tables; its clones share one pool.
#[derive(Clone, Debug)]
pub struct HistoryReader {
    pool: SqlitePool,
}

type Read<T> = Result<Vec<T>, HistoryError>;

impl HistoryReader {
    pub(super) async fn open(options: SqliteConnectOptions) -> Result<HistoryReader, HistoryError> {
        Ok(HistoryReader {
            pool: SqlitePoolOptions::new().max_connections(CONNECTIONS_MAX).connect_with(options).await?,
        })
    }

    /// The last event that the tables contain; 0 before the first.
    pub async fn checkpoint(&self) -> Result<u64, HistoryError> {
        let seq: i64 = sqlx::query_scalar("SELECT seq FROM checkpoint").fetch_one(&self.pool).await?;
        Ok(seq.cast_unsigned())
    }

    /// Closed orders, by the time at which they closed.
    pub async fn closed_orders(&self, page: &Page, filter: &OrderFilter<'_>) -> Read<OrderRow> {
        let rows = page_of(
            "SELECT * FROM orders
             WHERE account = $1 AND closed_us >= $2 AND closed_us < $3 AND (closed_us, order_id) < ($4, $5)
               AND ($7 IS NULL OR market = $7) AND ($8 IS NULL OR cl_ord_id = $8) AND ($9 IS NULL OR userref = $9)
             ORDER BY closed_us DESC, order_id DESC LIMIT $6",
            page,
        )
        .bind(filter.market.map(id))
        .bind(filter.cl_ord_id)
        .bind(filter.userref)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(order).collect()
    }

    /// Fills, by time; of one market if named.
    pub async fn trades(&self, page: &Page, market: Option<u64>) -> Read<TradeRow> {
        let rows = page_of(
            "SELECT * FROM trades
             WHERE account = $1 AND at_us >= $2 AND at_us < $3 AND (at_us, exec) < ($4, $5)
               AND ($7 IS NULL OR market = $7)
             ORDER BY at_us DESC, exec DESC LIMIT $6",
            page,
        )
        .bind(market.map(id))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(trade).collect()
    }

    /// Ledger entries, by time; of one asset or kind if named.
    pub async fn ledger_entries(&self, page: &Page, asset: Option<u64>, kind: Option<&str>) -> Read<LedgerRow> {
        let rows = page_of(
            "SELECT * FROM ledger_entries
             WHERE account = $1 AND at_us >= $2 AND at_us < $3 AND (at_us, ledger_id) < ($4, $5)
               AND ($7 IS NULL OR asset = $7) AND ($8 IS NULL OR kind = $8)
             ORDER BY at_us DESC, ledger_id DESC LIMIT $6",
            page,
        )
        .bind(asset.map(id))
        .bind(kind)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(ledger_entry).collect()
    }

    /// Ended deposits or withdrawals, by creation.
    pub async fn transfers(&self, page: &Page, key: &TransferKey<'_>) -> Read<TransferRow> {
        let rows = page_of(
            "SELECT * FROM transfers
             WHERE account = $1 AND created_us >= $2 AND created_us < $3 AND (created_us, id) < ($4, $5)
               AND kind = $7 AND ($8 IS NULL OR asset = $8) AND ($9 IS NULL OR method = $9)
             ORDER BY created_us DESC, id DESC LIMIT $6",
            page,
        )
        .bind(key.kind)
        .bind(key.asset.map(id))
        .bind(key.method)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(transfer).collect()
    }

    /// The account's ended deposit or withdrawal of that number.
    pub async fn transfer(&self, account: u64, kind: &str, number: u64) -> Result<Option<TransferRow>, HistoryError> {
        let row = sqlx::query("SELECT * FROM transfers WHERE id = $1 AND account = $2 AND kind = $3")
            .bind(id(number))
            .bind(id(account))
            .bind(kind)
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(transfer).transpose()
    }

    /// Entries of an Organization's audit log, by time, and those that concern all (organization 0);
    /// `page.account` names the Organization.
    pub async fn audit(&self, page: &Page) -> Read<AuditRow> {
        let rows = page_of(
            "SELECT * FROM audit
             WHERE organization IN ($1, 0) AND at_us >= $2 AND at_us < $3 AND (at_us, entry_offset) < ($4, $5)
             ORDER BY at_us DESC, entry_offset DESC LIMIT $6",
            page,
        )
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(audit).collect()
    }

    /// The last candles of each market and interval, `limit` of each at most, oldest first.
    pub async fn candles(&self, limit: u32) -> Read<CandleRow> {
        let rows = sqlx::query(
            "SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY market, interval ORDER BY begin_us DESC) AS age
                            FROM candles)
             WHERE age <= $1 ORDER BY market, interval, begin_us",
        )
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(candle).collect()
    }

    /// The account's orders among these ids, open and closed, newest first.
    pub async fn orders_by_id(&self, account: u64, order_ids: &[u64]) -> Read<OrderRow> {
        let rows = sqlx::query(
            "SELECT * FROM orders WHERE account = $1 AND order_id IN (SELECT value FROM json_each($2))
             ORDER BY order_id DESC",
        )
        .bind(id(account))
        .bind(json_ids(order_ids))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(order).collect()
    }

    /// The account's orders with one of these client's ids, open and closed, newest first, `limit` at most: a
    /// client may use an id again once its order is closed.
    pub async fn orders_by_client_id(&self, account: u64, cl_ord_ids: &[&str], limit: u32) -> Read<OrderRow> {
        let rows = sqlx::query(
            "SELECT * FROM orders WHERE account = $1 AND cl_ord_id IN (SELECT value FROM json_each($2))
             ORDER BY order_id DESC LIMIT $3",
        )
        .bind(id(account))
        .bind(serde_json::to_string(cl_ord_ids).expect("texts are JSON"))
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(order).collect()
    }

    /// The account's ledger entries among these ids, newest first.
    pub async fn ledger_entries_by_id(&self, account: u64, ledger_ids: &[u64]) -> Read<LedgerRow> {
        let rows = sqlx::query(
            "SELECT * FROM ledger_entries WHERE account = $1 AND ledger_id IN (SELECT value FROM json_each($2))
             ORDER BY at_us DESC, ledger_id DESC",
        )
        .bind(id(account))
        .bind(json_ids(ledger_ids))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(ledger_entry).collect()
    }
}

type Query = sqlx::query::Query<'static, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

/// Binds what every list has: $1 account, $2 and $3 the times, $4 and $5 the cursor, $6 the limit.
fn page_of(statement: &'static str, page: &Page) -> Query {
    let (at, last) = page.after.map_or((i64::MAX, i64::MAX), |after| (time(after.at_us), id(after.id)));
    sqlx::query(statement)
        .bind(id(page.account))
        .bind(time(page.start_us))
        .bind(time(page.end_us))
        .bind(at)
        .bind(last)
        .bind(page.limit)
}

fn json_ids(ids: &[u64]) -> String {
    let ids: Vec<i64> = ids.iter().copied().map(id).collect();
    serde_json::to_string(&ids).expect("integers are JSON")
}

fn unsigned(row: &SqliteRow, column: &str) -> Result<u64, HistoryError> {
    Ok(row.try_get::<i64, _>(column)?.cast_unsigned())
}

fn order(row: &SqliteRow) -> Result<OrderRow, HistoryError> {
    Ok(OrderRow {
        order_id: unsigned(row, "order_id")?,
        account: unsigned(row, "account")?,
        market: unsigned(row, "market")?,
        service_user: unsigned(row, "service_user")?,
        cl_ord_id: row.try_get("cl_ord_id")?,
        userref: row.try_get("userref")?,
        opened_us: unsigned(row, "opened_us")?,
        closed_us: row.try_get::<Option<i64>, _>("closed_us")?.map(i64::cast_unsigned),
        offset: unsigned(row, "event_offset")?,
        body: row.try_get("body")?,
    })
}

fn trade(row: &SqliteRow) -> Result<TradeRow, HistoryError> {
    Ok(TradeRow {
        exec: unsigned(row, "exec")?,
        account: unsigned(row, "account")?,
        market: unsigned(row, "market")?,
        order_id: unsigned(row, "order_id")?,
        at_us: unsigned(row, "at_us")?,
        body: row.try_get("body")?,
    })
}

fn audit(row: &SqliteRow) -> Result<AuditRow, HistoryError> {
    Ok(AuditRow {
        entry_offset: unsigned(row, "entry_offset")?,
        organization: unsigned(row, "organization")?,
        at_us: unsigned(row, "at_us")?,
        body: row.try_get("body")?,
    })
}

fn transfer(row: &SqliteRow) -> Result<TransferRow, HistoryError> {
    Ok(TransferRow {
        id: unsigned(row, "id")?,
        kind: row.try_get("kind")?,
        account: unsigned(row, "account")?,
        asset: unsigned(row, "asset")?,
        method: row.try_get("method")?,
        created_us: unsigned(row, "created_us")?,
        body: row.try_get("body")?,
    })
}

fn candle(row: &SqliteRow) -> Result<CandleRow, HistoryError> {
    let seq = unsigned(row, "seq")?;
    Ok(CandleRow {
        market: unsigned(row, "market")?,
        interval: row.try_get("interval")?,
        begin_us: unsigned(row, "begin_us")?,
        prices: [row.try_get("open")?, row.try_get("high")?, row.try_get("low")?, row.try_get("close")?],
        trades: unsigned(row, "trades")?,
        volume: row.try_get("volume")?,
        cost: row.try_get("cost")?,
        seqs: (seq, seq),
    })
}

fn ledger_entry(row: &SqliteRow) -> Result<LedgerRow, HistoryError> {
    Ok(LedgerRow {
        ledger_id: unsigned(row, "ledger_id")?,
        account: unsigned(row, "account")?,
        asset: unsigned(row, "asset")?,
        kind: row.try_get("kind")?,
        at_us: unsigned(row, "at_us")?,
        body: row.try_get("body")?,
    })
}
