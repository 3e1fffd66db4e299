//! The history tables: orders, trades, ledger entries, deposits, withdrawals and the audit log. In SQLite they are
//! in a file of their own, because a file has one writer and history must never hold up the journal; in Postgres in
//! a schema and on connections of their own.
//!
//! Everything here can be derived from the journal again. So a commit need not wait for the disk: after a power cut the
//! tables and their checkpoint fall back together, and the projector continues from there.

mod places;
mod reader;
mod tables;
#[cfg(test)]
pub mod tests;
mod writer;

use std::time::{Duration, Instant};

use sqlx::SqliteConnection;
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use super::Storage;
use super::database::Pool;
use super::journal::JournalError;

pub use places::Places;
pub use reader::{HistoryReader, OrderFilter, Page, SortKey, TransferKey};
pub use writer::HistoryWriter;

/// The common part of all rows, and the items of lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The time that lists are ordered by, in µs.
    pub at_us: u64,
    /// Its id; no two rows of a table share one.
    pub id: u64,
    /// Its contents, as the caller encodes them.
    pub body: Vec<u8>,
}

/// An order that closed, by the time at which it was filled, canceled or expired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRow {
    /// Its id, time and body.
    pub stored: Stored,
    /// Whose it is.
    pub account: u64,
    /// Where it was placed.
    pub market: u64,
    /// Who placed it.
    pub service_user: u64,
    /// The client's own id.
    pub cl_ord_id: Option<String>,
    /// The client's own number.
    pub userref: Option<i64>,
}

/// One side of a fill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TradeRow {
    /// Its time and body; the id is the offset of the fill's item on the account's channel.
    pub stored: Stored,
    /// Whose side it is.
    pub account: u64,
    /// Where it happened.
    pub market: u64,
}

/// One entry of an account's ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerRow {
    /// Its id, time and body.
    pub stored: Stored,
    /// Whose it is.
    pub account: u64,
    /// In what.
    pub asset: u64,
    /// Its type on the wire.
    pub kind: String,
}

/// An entry of an Organization's audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// Its time and body; the id is its offset.
    pub stored: Stored,
    /// Whose it is; 0 is everybody's.
    pub organization: u64,
}

/// A deposit or a withdrawal that has ended, by the time at which it began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferRow {
    /// Its id, time and body.
    pub stored: Stored,
    /// Which of the two.
    pub kind: String,
    /// Whose it is.
    pub account: u64,
    /// Of what.
    pub asset: u64,
    /// By which method.
    pub method: String,
}

/// A candle, or what some trades add to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CandleRow {
    /// Of which market.
    pub market: u64,
    /// Its length, in minutes.
    pub interval: u32,
    /// Where it begins, in µs.
    pub begin_us: u64,
    /// First, highest, lowest and last price, in the market's units.
    pub prices: [i64; 4],
    /// How many trades.
    pub trades: u64,
    /// Base traded, in quantity units.
    pub volume: i64,
    /// Quote paid for it, in the quote asset's units.
    pub cost: i64,
    /// The first and the last event that contribute to it.
    pub seqs: (u64, u64),
}

/// Says that a block of events has items of a private stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamRow {
    /// Which stream, as the caller names it.
    pub stream: String,
    /// The block: a sequence divided by [`BLOCK_EVENTS`].
    pub block: u64,
    /// When its first item of that stream was, in µs.
    pub at_us: u64,
}

/// Events in one block of a [`StreamRow`].
pub const BLOCK_EVENTS: u64 = 256;

/// What some events add to the tables. Rows are final, so of two with the same id, or block, the first one stays:
/// adding events twice changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryBatch {
    /// Orders that closed.
    pub orders: Vec<OrderRow>,
    /// Fills.
    pub trades: Vec<TradeRow>,
    /// Ledger entries.
    pub ledger_entries: Vec<LedgerRow>,
    /// Entries of the audit log.
    pub audit: Vec<AuditRow>,
    /// Deposits and withdrawals that ended.
    pub transfers: Vec<TransferRow>,
    /// What was traded, by interval; added to the existing candle, unless that has these events already.
    pub candles: Vec<CandleRow>,
    /// The positions of private streams' items.
    pub streams: Vec<StreamRow>,
}

/// The tables could not be read or written. Nothing is lost: answer that the query should be tried again, or make the
/// projector restart at its checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The tables themselves.
    #[error("the history tables are unavailable: {0}")]
    Tables(String),
    /// The journal, whose chain identifies the journal that the tables belong to.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl From<sqlx::Error> for HistoryError {
    fn from(error: sqlx::Error) -> HistoryError {
        HistoryError::Tables(error.to_string())
    }
}

impl From<sqlx::migrate::MigrateError> for HistoryError {
    fn from(error: sqlx::migrate::MigrateError) -> HistoryError {
        HistoryError::Tables(error.to_string())
    }
}

/// SQLite's cache for writing the tables, in KiB, negative: the pages that a batch changes, indexes included, so that
/// none is written twice for one batch.
const CACHE: &str = "-16384";
/// Queries that run at the same time; further ones wait.
const CONNECTIONS_MAX: u32 = 4;
/// Of these at most for one owner, so that others are answered whatever one asks for.
const CONNECTIONS_OF_ONE_MAX: usize = 2;
/// How long a reading statement may take. The asker does not wait that long (rule 40), and others need its connection,
/// which is in use until it ends. The past of the markets, which a start reads, is tried again, and more of it is then
/// in memory.
const READING_MAX: Duration = Duration::from_secs(3);
/// SQLite steps between two checks of the time.
const STEPS: i32 = 10_000;

/// Opens or creates the history next to a journal, whose fence the caller must hold.
///
/// # Errors
/// When the tables cannot be opened or brought up to date.
pub async fn open(storage: &Storage) -> Result<(HistoryWriter, HistoryReader), HistoryError> {
    match storage {
        Storage::Sqlite(dir) => {
            let options = SqliteConnectOptions::new()
                .filename(dir.join("history.db"))
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Normal);
            let writing =
                options.clone().create_if_missing(true).pragma("cache_size", CACHE).pragma("temp_store", "memory");
            let writer = HistoryWriter::sqlite(writing).await?;
            let pool = SqlitePoolOptions::new()
                .max_connections(CONNECTIONS_MAX)
                .after_connect(|connection, _| Box::pin(bound(connection)))
                .before_acquire(|connection, _| Box::pin(async { bound(connection).await.map(|()| true) }));
            Ok((writer, HistoryReader::new(Pool::Sqlite(pool.connect_with(options.read_only(true)).await?))))
        }
        Storage::Postgres(url) => {
            let options = url.options("history")?.options([("synchronous_commit", "off")]);
            let writer = HistoryWriter::postgres(options.clone()).await?;
            let pool = PgPoolOptions::new().max_connections(CONNECTIONS_MAX);
            // A generic plan would read and sort all of an account's rows for one page.
            let options = options
                .options([("default_transaction_read_only", "on"), ("plan_cache_mode", "force_custom_plan")])
                .options([("statement_timeout", READING_MAX.as_millis())]);
            Ok((writer, HistoryReader::new(Pool::Postgres(pool.connect_with(options).await?))))
        }
    }
}

/// Ends any statement that the connection still runs [`READING_MAX`] from now.
async fn bound(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let end = Instant::now() + READING_MAX;
    connection.lock_handle().await?.set_progress_handler(STEPS, move || Instant::now() < end);
    Ok(())
}

/// Ids keep their bits; the databases' integers are signed.
fn id(id: u64) -> i64 {
    id.cast_signed()
}

/// Times keep their order, and "no end" stays at the end.
fn time(us: u64) -> i64 {
    i64::try_from(us).unwrap_or(i64::MAX)
}
