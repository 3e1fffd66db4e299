//! Queries over the history tables, on a small pool of read-only connections, of which one owner's take a part. Lists
//! come newest first and are paged by the last row's time and id, so rows added meanwhile neither shift nor repeat a
//! page.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::places::Places;
use super::{CONNECTIONS_OF_ONE_MAX, CandleRow, HistoryError, Stored, id, time};
use crate::storage::database::{Pool, Record, Value};

/// What lists are ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SortKey {
    /// The row's time, in µs.
    pub at_us: u64,
    /// The row's id.
    pub id: u64,
}

/// One page of somebody's rows with `start_us ≤ time < end_us`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// The owner of the rows: an account, or for the audit log an Organization.
    pub owner: u64,
    /// The earliest time, in µs.
    pub start_us: u64,
    /// The time before which all rows lie, in µs.
    pub end_us: u64,
    /// The last row of the previous page; `None` for the first.
    pub after: Option<SortKey>,
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
    /// With this client's number; 0 also admits orders without one, which are shown with 0.
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
    pub(super) pool: Pool,
    /// By account, or by Organization for its audit log. In this version an Organization has one account, of the same
    /// number, so it has no more by asking for both.
    pub(super) places: Places<u64>,
}

type Read<T> = Result<Vec<T>, HistoryError>;

impl HistoryReader {
    pub(super) fn new(pool: Pool) -> HistoryReader {
        HistoryReader { pool, places: Places::new(CONNECTIONS_OF_ONE_MAX) }
    }

    /// A reader whose queries do not count with what their owners ask for themselves. It is for the server's own work,
    /// one query at a time.
    #[must_use]
    pub fn apart(&self) -> HistoryReader {
        HistoryReader::new(self.pool.clone())
    }

    /// Takes every connection of the pool until the returned guard is dropped.
    #[cfg(test)]
    pub async fn occupy(&self) -> impl Sized + use<> {
        let Pool::Sqlite(pool) = &self.pool else { panic!("the tests that need it use SQLite") };
        futures::future::try_join_all((0..super::CONNECTIONS_MAX).map(|_| pool.acquire())).await.unwrap()
    }

    /// The places of owners.
    #[cfg(test)]
    pub fn places(&self) -> &Places<u64> {
        &self.places
    }

    /// The last event that the tables contain; 0 before the first.
    pub async fn checkpoint(&self) -> Result<u64, HistoryError> {
        self.seq("SELECT seq FROM checkpoint").await
    }

    async fn seq(&self, statement: &'static str) -> Result<u64, HistoryError> {
        let seqs = self.pool.all(statement, &[], |record| unsigned(record, "seq")).await?;
        Ok(seqs.first().copied().unwrap_or(0))
    }

    /// Rows of an owner, who waits in turn for a connection while as many as one may have are in use for them.
    pub(super) async fn owned<T>(
        &self,
        owner: u64,
        statement: impl Into<Cow<'static, str>>,
        values: &[Value<'_>],
        read: fn(&Record<'_>) -> Result<T, HistoryError>,
    ) -> Read<T> {
        let place = self.places.take(owner).await;
        self.pool.all_holding(place, statement, values, read).await
    }

    /// A page of a list. In its statement $1 is the owner, $2 and $3 the times, $4 and $5 the cursor, $6 the limit, and
    /// from $7 on come the filters.
    async fn page(&self, statement: impl Into<Cow<'static, str>>, page: &Page, filters: &[Value<'_>]) -> Read<Stored> {
        let (at, last) = page.after.map_or((i64::MAX, i64::MAX), |after| (time(after.at_us), id(after.id)));
        let bounds = [id(page.owner), time(page.start_us), time(page.end_us), at, last];
        let mut values: Vec<Value<'_>> = bounds.into_iter().map(Value::from).collect();
        values.push(page.limit.into());
        values.extend(filters);
        self.owned(page.owner, statement, &values, stored).await
    }

    /// The blocks from `from` on with items of this stream, in order, at most `limit`; and the event after which the
    /// table has every such block.
    pub async fn stream_blocks(&self, stream: &str, from: u64, limit: u32) -> Result<(Vec<u64>, u64), HistoryError> {
        let statement = "SELECT block FROM stream_blocks WHERE stream = $1 AND block >= $2 ORDER BY block LIMIT $3";
        let values = [Some(stream).into(), id(from).into(), limit.into()];
        let blocks = self.pool.all(statement, &values, |record| unsigned(record, "block")).await?;
        // Queried last, so that a deletion between the two is noticed.
        Ok((blocks, self.seq("SELECT seq FROM streams_since").await?))
    }

    /// Closed orders, by the time at which they closed.
    pub async fn closed_orders(&self, page: &Page, filter: &OrderFilter<'_>) -> Read<Stored> {
        let statement = "SELECT closed_us AS at_us, order_id AS id, body FROM orders
             WHERE account = $1 AND closed_us >= $2 AND closed_us < $3 AND (closed_us, order_id) < ($4, $5)
               AND ($7 IS NULL OR market = $7) AND ($8 IS NULL OR cl_ord_id = $8)
               AND ($9 IS NULL OR coalesce(userref, 0) = $9)
             ORDER BY closed_us DESC, order_id DESC LIMIT $6";
        let filters = [filter.market.map(id).into(), filter.cl_ord_id.into(), filter.userref.into()];
        self.page(statement, page, &filters).await
    }

    /// Fills, by time; of one market if named.
    pub async fn trades(&self, page: &Page, market: Option<u64>) -> Read<Stored> {
        let statement = "SELECT at_us, exec AS id, body FROM trades
             WHERE account = $1 AND at_us >= $2 AND at_us < $3 AND (at_us, exec) < ($4, $5)
               AND ($7 IS NULL OR market = $7)
             ORDER BY at_us DESC, exec DESC LIMIT $6";
        self.page(statement, page, &[market.map(id).into()]).await
    }

    /// Ledger entries, by time; of one asset or kind if named.
    pub async fn ledger_entries(&self, page: &Page, asset: Option<u64>, kind: Option<&str>) -> Read<Stored> {
        let statement = "SELECT at_us, ledger_id AS id, body FROM ledger_entries
             WHERE account = $1 AND at_us >= $2 AND at_us < $3 AND (at_us, ledger_id) < ($4, $5)
               AND ($7 IS NULL OR asset = $7) AND ($8 IS NULL OR kind = $8)
             ORDER BY at_us DESC, ledger_id DESC LIMIT $6";
        self.page(statement, page, &[asset.map(id).into(), kind.into()]).await
    }

    /// Ended deposits or withdrawals, by creation.
    pub async fn transfers(&self, page: &Page, key: &TransferKey<'_>) -> Read<Stored> {
        let statement = "SELECT created_us AS at_us, id, body FROM transfers
             WHERE account = $1 AND created_us >= $2 AND created_us < $3 AND (created_us, id) < ($4, $5)
               AND kind = $7 AND ($8 IS NULL OR asset = $8) AND ($9 IS NULL OR method = $9)
             ORDER BY created_us DESC, id DESC LIMIT $6";
        let filters = [Some(key.kind).into(), key.asset.map(id).into(), key.method.into()];
        self.page(statement, page, &filters).await
    }

    /// The account's ended deposit or withdrawal of that number.
    pub async fn transfer(&self, account: u64, kind: &str, number: u64) -> Result<Option<Stored>, HistoryError> {
        let statement =
            "SELECT created_us AS at_us, id, body FROM transfers WHERE id = $1 AND account = $2 AND kind = $3";
        let values = [id(number).into(), id(account).into(), Some(kind).into()];
        let mut found = self.owned(account, statement, &values, stored).await?;
        Ok(found.pop())
    }

    /// Entries of an Organization's audit log, by time, and those that concern all (organization 0).
    pub async fn audit(&self, page: &Page) -> Read<Stored> {
        // Each part is in the order of an index, so that no more is read than may be shown.
        let [own, everybodys] = ["$1", "0"].map(|organization| {
            format!(
                "SELECT * FROM (SELECT at_us, entry_offset AS id, body FROM audit
                     WHERE organization = {organization} AND at_us >= $2 AND at_us < $3 AND (at_us, entry_offset) < ($4, $5)
                     ORDER BY at_us DESC, entry_offset DESC LIMIT $6) AS part"
            )
        });
        let statement = format!("{own} UNION ALL {everybodys} ORDER BY at_us DESC, id DESC LIMIT $6");
        self.page(statement, page, &[]).await
    }

    /// The audit log entries of its latest moment, of every Organization.
    pub async fn last_audited(&self) -> Read<Stored> {
        let statement = "SELECT at_us, entry_offset AS id, body FROM audit
             WHERE entry_offset > coalesce((SELECT entry_offset FROM audit
                 WHERE at_us < (SELECT at_us FROM audit ORDER BY entry_offset DESC LIMIT 1)
                 ORDER BY entry_offset DESC LIMIT 1), 0)";
        self.pool.all(statement, &[], stored).await
    }

    /// The markets with trades, each looked up after the one before.
    pub async fn traded_markets(&self) -> Read<u64> {
        let statement = "WITH RECURSIVE traded (market) AS (
                 SELECT min(market) FROM candles
                 UNION ALL
                 SELECT (SELECT min(market) FROM candles WHERE market > traded.market) FROM traded
                 WHERE market IS NOT NULL
             )
             SELECT market FROM traded WHERE market IS NOT NULL";
        self.pool.all(statement, &[], |record| unsigned(record, "market")).await
    }

    /// The last candles of a market's interval, newest first.
    pub async fn last_candles(&self, market: u64, interval: u32, limit: u32) -> Read<CandleRow> {
        let statement = "SELECT * FROM candles WHERE market = $1 AND interval = $2 ORDER BY begin_us DESC LIMIT $3";
        self.pool.all(statement, &[id(market).into(), interval.into(), limit.into()], candle).await
    }

    /// The last sides of fills in a market, of every account, newest first.
    pub async fn last_trades(&self, market: u64, limit: u32) -> Read<Stored> {
        let statement = "SELECT at_us, exec AS id, body FROM trades WHERE market = $1 ORDER BY exec DESC LIMIT $2";
        self.pool.all(statement, &[id(market).into(), limit.into()], stored).await
    }

    /// The account's closed orders among these ids, newest first. The plus keeps SQLite from reading all of the
    /// account's rows for a few of them.
    pub async fn orders_by_id(&self, account: u64, order_ids: &[u64]) -> Read<Stored> {
        let ids: Vec<i64> = order_ids.iter().copied().map(id).collect();
        let each = self.pool.each("$2");
        let statement = format!(
            "SELECT closed_us AS at_us, order_id AS id, body FROM orders
             WHERE +account = $1 AND order_id IN (SELECT value FROM {each}) ORDER BY order_id DESC"
        );
        self.owned(account, statement, &[id(account).into(), Value::Integers(&ids)], stored).await
    }

    /// Closed orders to which this Service User gave one of these ids; the last order of each id comes before the
    /// second last of any: a client may reuse an id once its order is closed.
    pub async fn orders_by_client_id(&self, page: &Page, owner: u64, cl_ord_ids: &[&str]) -> Read<Stored> {
        let cl_ord_ids: BTreeSet<&str> = cl_ord_ids.iter().copied().collect();
        // Each id has its own limit: none is lost because of another, and no more is read than is shown. Its orders are
        // of one account (rule 7); with that as a condition SQLite would read all of the account's rows.
        let named = (8..).take(cl_ord_ids.len()).map(|name| {
            format!(
                "SELECT * FROM (SELECT * FROM orders
                     WHERE service_user = $7 AND cl_ord_id = ${name}
                       AND closed_us >= $2 AND closed_us < $3 AND (closed_us, order_id) < ($4, $5)
                     ORDER BY closed_us DESC, order_id DESC LIMIT $6) AS named"
            )
        });
        let named = named.collect::<Vec<_>>().join(" UNION ALL ");
        let statement = format!(
            "SELECT closed_us AS at_us, order_id AS id, body
             FROM (SELECT *, row_number() OVER (PARTITION BY cl_ord_id ORDER BY order_id DESC) AS age
                   FROM ({named}) AS own) AS aged
             WHERE account = $1 ORDER BY age, order_id DESC LIMIT $6"
        );
        let names = cl_ord_ids.into_iter().map(|name| Some(name).into());
        let filters: Vec<Value<'_>> = std::iter::once(id(owner).into()).chain(names).collect();
        self.page(statement, page, &filters).await
    }

    /// The account's ledger entries among these ids, newest first, looked up like orders.
    pub async fn ledger_entries_by_id(&self, account: u64, ledger_ids: &[u64]) -> Read<Stored> {
        let ids: Vec<i64> = ledger_ids.iter().copied().map(id).collect();
        let each = self.pool.each("$2");
        let statement = format!(
            "SELECT at_us, ledger_id AS id, body FROM ledger_entries
             WHERE +account = $1 AND ledger_id IN (SELECT value FROM {each}) ORDER BY ledger_id DESC"
        );
        self.owned(account, statement, &[id(account).into(), Value::Integers(&ids)], stored).await
    }
}

fn unsigned(row: &Record<'_>, column: &str) -> Result<u64, HistoryError> {
    Ok(row.get::<i64>(column)?.cast_unsigned())
}

fn stored(row: &Record<'_>) -> Result<Stored, HistoryError> {
    Ok(Stored { at_us: unsigned(row, "at_us")?, id: unsigned(row, "id")?, body: row.get("body")? })
}

fn candle(row: &Record<'_>) -> Result<CandleRow, HistoryError> {
    let seq = unsigned(row, "seq")?;
    Ok(CandleRow {
        market: unsigned(row, "market")?,
        interval: u32::try_from(row.get::<i64>("interval")?).unwrap_or(u32::MAX),
        begin_us: unsigned(row, "begin_us")?,
        prices: [row.get("open")?, row.get("high")?, row.get("low")?, row.get("close")?],
        trades: unsigned(row, "trades")?,
        volume: row.get("volume")?,
        cost: row.get("cost")?,
        seqs: (seq, seq),
    })
}
