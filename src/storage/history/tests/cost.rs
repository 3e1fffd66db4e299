//! The cost of reading, and the end of statements that nobody waits for any more.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::{Either, join_all, select};
use futures::stream::FuturesUnordered;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use tokio::time::timeout;

use super::{ALL, at, audited, candle, entry, of_kind, order, trade, transfer};
use crate::storage::Storage;
use crate::storage::database::Pool;
use crate::storage::history::{
    AuditRow, CONNECTIONS_MAX, HistoryBatch, HistoryError, HistoryReader, OrderFilter, OrderRow, Page, SortKey,
    TradeRow, TransferRow, open,
};
use crate::storage::postgres::tests::sql;

const ENDLESS: &str = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT 1 FROM n) SELECT count(*) AS x FROM n";

pub async fn a_statement_that_nobody_waits_for_any_more_is_ended(storage: &Storage) {
    let (_writer, reader) = open(storage).await.unwrap();
    let asked = || reader.pool.all(ENDLESS, &[], |record| Ok::<i64, HistoryError>(record.get("x")?));
    for ended in join_all((0..CONNECTIONS_MAX).map(|_| asked())).await {
        let why = ended.unwrap_err().to_string();
        assert!(why.contains("interrupted") || why.contains("statement timeout"), "{why}");
    }
    assert_eq!(reader.checkpoint().await.unwrap(), 0);
}

/// Those whose asker gave up still have their connections, so their owner has no others.
pub async fn whoever_asks_much_leaves_connections_to_others(storage: &Storage) {
    let (_writer, reader) = open(storage).await.unwrap();
    let others = Page { owner: 2, ..ALL };
    // Connections are made once they are needed, which takes a while in Postgres.
    join_all((0..CONNECTIONS_MAX).map(async |_| reader.checkpoint().await.unwrap())).await;
    let asked = || reader.owned(1, ENDLESS, &[], |record| Ok(record.get::<i64>("x")?));
    let mut all: FuturesUnordered<_> =
        (0..2 * CONNECTIONS_MAX).map(|_| timeout(Duration::from_secs(1), asked())).collect();
    let other = pin!(reader.trades(&others, None));
    let first = select(all.next(), other).await;
    assert!(matches!(first, Either::Right((Ok(_), _))), "another is answered while they are asked");
    while let Some(told) = all.next().await {
        assert!(told.is_err(), "its asker gave up before it ended");
    }
    assert_eq!(reader.places.owners(), 1, "what nobody waits for any more counts until it ends");
    assert_eq!(reader.trades(&others, None).await.unwrap(), [], "and after that");
    assert_eq!(reader.trades(&ALL, None).await.unwrap(), [], "then the owner is answered too");
    while reader.places.owners() > 0 {
        tokio::task::yield_now().await;
    }
}

/// The cost of reading account 1's rows: in SQLite steps of its machine, in Postgres rows that were read.
pub async fn a_page_costs_no_more_where_there_are_more_rows(storage: &Storage) {
    let (mut writer, mut reader) = open(storage).await.unwrap();
    let all = || (1..=20_000).map(|id| (id, id % 10));
    let batch = HistoryBatch {
        orders: all().map(|(id, account)| OrderRow { account, ..order(id, id) }).collect(),
        trades: all().map(|(id, account)| TradeRow { account, ..trade(id, id) }).collect(),
        ledger_entries: all().map(|(id, account)| entry(id, account, id)).collect(),
        audit: all().map(|(id, organization)| AuditRow { organization, ..audited(id, id) }).collect(),
        transfers: all().map(|(id, account)| TransferRow { account, ..transfer(id, "deposit", id) }).collect(),
        candles: all().map(|(id, market)| candle(market, id)).collect(),
        streams: vec![],
    };
    writer.apply(&batch, at(1)).await.unwrap();
    writer.close().await.unwrap();
    let steps = Arc::new(AtomicUsize::new(0));
    match storage {
        Storage::Postgres(url) => drop(sql(url.reveal(), "ANALYZE")),
        Storage::Sqlite(dir) => reader.pool = counting(dir, &steps).await,
    }
    let first = Page { owner: 1, ..ALL };
    // A page after the middle, bounded as callers bound it.
    let later = Page { end_us: 10_002, after: Some(SortKey { at_us: 10_001, id: 10_001 }), ..first };
    let mut shown = 0;
    // After a few executions a database may choose a generic plan.
    for page in [first, later].repeat(8) {
        shown += pages(&reader, &page).await;
        shown += reader.traded_markets().await.unwrap().len();
        shown += reader.last_candles(1, 5, 100).await.unwrap().len();
    }
    let (cost, most) = match (storage, &reader.pool) {
        (Storage::Postgres(url), Pool::Postgres(pool)) => (rows_read(url.reveal(), pool).await, shown * 3 / 2),
        _ => (steps.load(Ordering::Relaxed), shown * 30),
    };
    assert!(cost < most, "{cost} to show {shown} rows");
}

/// Reads a page of each list; returns how many rows that gives.
async fn pages(reader: &HistoryReader, page: &Page) -> usize {
    let pages = [
        reader.closed_orders(page, &OrderFilter::default()).await,
        reader.trades(page, None).await,
        reader.ledger_entries(page, None, None).await,
        reader.audit(page).await,
        reader.transfers(page, &of_kind("deposit")).await,
        reader.orders_by_id(1, &[1, 11]).await,
        reader.orders_by_client_id(page, 9, &["it's \"11\" é"]).await,
        reader.ledger_entries_by_id(1, &[1, 11]).await,
        reader.last_trades(1, 100).await,
        reader.last_audited().await,
    ];
    pages.into_iter().map(|page| page.unwrap().len()).sum()
}

/// A connection that counts SQLite's steps in `steps`.
async fn counting(dir: &Path, steps: &Arc<AtomicUsize>) -> Pool {
    let options = SqliteConnectOptions::new().filename(dir.join("history.db")).read_only(true);
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
    let steps = Arc::clone(steps);
    let count = move || steps.fetch_add(1, Ordering::Relaxed) < usize::MAX;
    pool.acquire().await.unwrap().lock_handle().await.unwrap().set_progress_handler(1, count);
    Pool::Sqlite(pool)
}

/// The rows that Postgres has read, which a connection reports when it ends.
async fn rows_read(url: &str, pool: &sqlx::PgPool) -> usize {
    pool.close().await;
    let open = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'countersign'";
    let ended = async {
        while sql(url, open) != "0" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), ended).await.expect("the connections end");
    let read = "SELECT (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes)
        + (SELECT sum(seq_tup_read) FROM pg_stat_user_tables)";
    sql(url, read).parse().unwrap()
}
