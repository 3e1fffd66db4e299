//! A batch as columns, and the statement for each table, written once for both databases.

use std::collections::BTreeMap;

use super::{CandleRow, HistoryBatch, StreamRow, id, time};

/// The new rows of one table.
pub(super) struct Table<'a> {
    name: &'static str,
    columns: Vec<(&'static str, Column<'a>)>,
}

/// A column's values in the new rows.
pub(super) enum Column<'a> {
    Integers(Vec<Option<i64>>),
    Texts(Vec<Option<&'a str>>),
    Bodies(Vec<&'a [u8]>),
}

/// The tables that a batch adds to.
pub(super) fn tables(batch: &HistoryBatch) -> impl Iterator<Item = Table<'_>> {
    all(batch).into_iter().filter(|table| table.rows() > 0)
}

/// The names of all tables that a batch may add to.
pub(super) fn names() -> [&'static str; 7] {
    all(&HistoryBatch::default()).map(|table| table.name)
}

fn all(batch: &HistoryBatch) -> [Table<'_>; 7] {
    [
        orders(batch),
        trades(batch),
        ledger_entries(batch),
        audit(batch),
        transfers(batch),
        candles(&batch.candles),
        stream_blocks(&batch.streams),
    ]
}

impl Table<'_> {
    /// How many rows are new.
    pub(super) fn rows(&self) -> usize {
        self.columns.first().map_or(0, |(_, column)| match column {
            Column::Integers(values) => values.len(),
            Column::Texts(values) => values.len(),
            Column::Bodies(values) => values.len(),
        })
    }

    /// The columns and their names.
    pub(super) fn columns(&self) -> &[(&'static str, Column<'_>)] {
        &self.columns
    }

    /// The statement that adds the rows of `new`, given after `FROM`; `insert` is its beginning, except for candles.
    pub(super) fn statement(&self, insert: &str, new: &str) -> String {
        let Table { name: table, columns } = self;
        if *table == "candles" {
            return CANDLES.replace("{new}", new).replace("{most}", &i64::MAX.to_string());
        }
        let names = columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        // The condition shows SQLite that `ON` does not belong to a join.
        format!("{insert} INTO {table} ({names}) SELECT {names} FROM {new} WHERE true ON CONFLICT DO NOTHING")
    }
}

// A candle that has these events already stays as it is. Sums beyond the maximum of a column are set to it, as in
// memory: the databases would refuse the row, or store something other than an integer.
const CANDLES: &str = "INSERT INTO candles
    (market, interval, begin_us, open, high, low, close, trades, volume, cost, seq)
    SELECT market, interval, begin_us, open, high, low, close, trades, volume, cost, seq FROM {new}
    WHERE NOT EXISTS (SELECT 1 FROM candles AS old WHERE old.market = new.market AND old.interval = new.interval
                      AND old.begin_us = new.begin_us AND old.seq >= new.first_seq)
    ON CONFLICT (market, interval, begin_us) DO UPDATE SET
        high = CASE WHEN candles.high > excluded.high THEN candles.high ELSE excluded.high END,
        low = CASE WHEN candles.low < excluded.low THEN candles.low ELSE excluded.low END,
        close = excluded.close, trades = candles.trades + excluded.trades,
        volume = CASE WHEN candles.volume > {most} - excluded.volume THEN {most}
                      ELSE candles.volume + excluded.volume END,
        cost = CASE WHEN candles.cost > {most} - excluded.cost THEN {most} ELSE candles.cost + excluded.cost END,
        seq = excluded.seq";

fn orders(batch: &HistoryBatch) -> Table<'_> {
    let rows = &batch.orders;
    let columns = vec![
        ("order_id", integers(rows, |row| id(row.stored.id))),
        ("account", integers(rows, |row| id(row.account))),
        ("market", integers(rows, |row| id(row.market))),
        ("service_user", integers(rows, |row| id(row.service_user))),
        ("cl_ord_id", texts(rows, |row| row.cl_ord_id.as_deref())),
        ("userref", integers(rows, |row| row.userref)),
        ("closed_us", integers(rows, |row| time(row.stored.at_us))),
        ("body", bodies(rows, |row| &row.stored.body)),
    ];
    Table { name: "orders", columns }
}

fn trades(batch: &HistoryBatch) -> Table<'_> {
    let rows = &batch.trades;
    let columns = vec![
        ("exec", integers(rows, |row| id(row.stored.id))),
        ("account", integers(rows, |row| id(row.account))),
        ("market", integers(rows, |row| id(row.market))),
        ("at_us", integers(rows, |row| time(row.stored.at_us))),
        ("body", bodies(rows, |row| &row.stored.body)),
    ];
    Table { name: "trades", columns }
}

fn ledger_entries(batch: &HistoryBatch) -> Table<'_> {
    let rows = &batch.ledger_entries;
    let columns = vec![
        ("ledger_id", integers(rows, |row| id(row.stored.id))),
        ("account", integers(rows, |row| id(row.account))),
        ("asset", integers(rows, |row| id(row.asset))),
        ("kind", texts(rows, |row| row.kind.as_str())),
        ("at_us", integers(rows, |row| time(row.stored.at_us))),
        ("body", bodies(rows, |row| &row.stored.body)),
    ];
    Table { name: "ledger_entries", columns }
}

fn audit(batch: &HistoryBatch) -> Table<'_> {
    let rows = &batch.audit;
    let columns = vec![
        ("entry_offset", integers(rows, |row| id(row.stored.id))),
        ("organization", integers(rows, |row| id(row.organization))),
        ("at_us", integers(rows, |row| time(row.stored.at_us))),
        ("body", bodies(rows, |row| &row.stored.body)),
    ];
    Table { name: "audit", columns }
}

fn transfers(batch: &HistoryBatch) -> Table<'_> {
    let rows = &batch.transfers;
    let columns = vec![
        ("id", integers(rows, |row| id(row.stored.id))),
        ("kind", texts(rows, |row| row.kind.as_str())),
        ("account", integers(rows, |row| id(row.account))),
        ("asset", integers(rows, |row| id(row.asset))),
        ("method", texts(rows, |row| row.method.as_str())),
        ("created_us", integers(rows, |row| time(row.stored.at_us))),
        ("body", bodies(rows, |row| &row.stored.body)),
    ];
    Table { name: "transfers", columns }
}

fn candles(candles: &[CandleRow]) -> Table<'_> {
    let mut stretches: BTreeMap<(u64, u32, u64), CandleRow> = BTreeMap::new();
    for candle in candles {
        let place = (candle.market, candle.interval, candle.begin_us);
        stretches.entry(place).and_modify(|before| *before = joined(before, candle)).or_insert(*candle);
    }
    let rows: Vec<CandleRow> = stretches.into_values().collect();
    let rows = &rows[..];
    let columns = vec![
        ("market", integers(rows, |row| id(row.market))),
        ("interval", integers(rows, |row| i64::from(row.interval))),
        ("begin_us", integers(rows, |row| time(row.begin_us))),
        ("open", integers(rows, |row| row.prices[0])),
        ("high", integers(rows, |row| row.prices[1])),
        ("low", integers(rows, |row| row.prices[2])),
        ("close", integers(rows, |row| row.prices[3])),
        ("trades", integers(rows, |row| time(row.trades))),
        ("volume", integers(rows, |row| row.volume)),
        ("cost", integers(rows, |row| row.cost)),
        ("first_seq", integers(rows, |row| time(row.seqs.0))),
        ("seq", integers(rows, |row| time(row.seqs.1))),
    ];
    Table { name: "candles", columns }
}

fn stream_blocks(rows: &[StreamRow]) -> Table<'_> {
    let columns = vec![
        ("stream", texts(rows, |row| row.stream.as_str())),
        ("block", integers(rows, |row| id(row.block))),
        ("at_us", integers(rows, |row| time(row.at_us))),
    ];
    Table { name: "stream_blocks", columns }
}

/// One candle from two parts of its interval, in order.
fn joined(before: &CandleRow, after: &CandleRow) -> CandleRow {
    let ([open, high, low, _], [_, other_high, other_low, close]) = (before.prices, after.prices);
    CandleRow {
        prices: [open, high.max(other_high), low.min(other_low), close],
        trades: before.trades + after.trades,
        volume: before.volume.saturating_add(after.volume),
        cost: before.cost.saturating_add(after.cost),
        seqs: (before.seqs.0, after.seqs.1),
        ..*before
    }
}

fn integers<R, I: Into<Option<i64>>>(rows: &[R], value: impl Fn(&R) -> I) -> Column<'static> {
    Column::Integers(rows.iter().map(|row| value(row).into()).collect())
}

fn texts<'a, R, T: Into<Option<&'a str>>>(rows: &'a [R], value: impl Fn(&'a R) -> T) -> Column<'a> {
    Column::Texts(rows.iter().map(|row| value(row).into()).collect())
}

fn bodies<'a, R>(rows: &'a [R], value: impl Fn(&'a R) -> &'a [u8]) -> Column<'a> {
    Column::Bodies(rows.iter().map(value).collect())
}
