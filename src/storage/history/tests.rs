//! Tests for every kind of history storage.

mod cost;

use std::future::Future as _;
use std::pin::pin;
use std::task::{Context, Waker};

use sqlx::{Column as _, Row as _};

use crate::storage::Storage;
use crate::storage::database::Record;
use crate::storage::journal::Head;
use crate::storage::postgres::ANSWER_TIMEOUT;
pub use crate::storage::postgres::tests::storage as in_postgres;
use crate::storage::postgres::tests::{lock, sql};

use self::cost::{
    a_page_costs_no_more_where_there_are_more_rows, a_statement_that_nobody_waits_for_any_more_is_ended,
    whoever_asks_much_leaves_connections_to_others,
};
use super::tables::names;
use super::{
    AuditRow, CandleRow, HistoryBatch, HistoryError, HistoryReader, HistoryWriter, LedgerRow, OrderFilter, OrderRow,
    Page, SortKey, Stored, StreamRow, TradeRow, TransferKey, TransferRow, open,
};

/// A checkpoint of a journal without a chain.
pub fn at(seq: u64) -> Head {
    Head { seq, ..Head::default() }
}

/// Runs the list on each.
macro_rules! on_each_storage {
    ($($test:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $test() {
                let dir = tempfile::tempdir().unwrap();
                super::$test(&crate::storage::Storage::Sqlite(dir.path().to_owned())).await;
            })+
        }

        mod postgres {
            $(#[tokio::test]
            async fn $test() {
                super::$test(&super::in_postgres()).await;
            })+
        }
    };
}

on_each_storage!(
    telling_events_twice_changes_nothing_and_the_first_row_stays,
    a_batch_of_any_size_is_written_whole,
    a_candle_grows_with_what_is_new_and_not_with_what_it_has,
    a_candle_of_more_than_a_number_holds_stays_at_the_most_and_is_read_again,
    pages_at_equal_times_neither_skip_nor_repeat,
    filters_admit_what_they_name,
    a_batch_given_up_halfway_leaves_all_or_nothing,
    blocks_of_a_stream_are_noted_once_and_forgotten_by_their_time,
    cleared_tables_are_as_new,
    the_last_orders_of_each_of_ones_own_names_are_found,
    a_page_costs_no_more_where_there_are_more_rows,
    a_statement_that_nobody_waits_for_any_more_is_ended,
    whoever_asks_much_leaves_connections_to_others,
);

const ALL: Page = Page { owner: 1, start_us: 0, end_us: u64::MAX, after: None, limit: 100 };

fn order(id: u64, at_us: u64) -> OrderRow {
    OrderRow {
        stored: Stored { at_us, id, body: vec![0, 0xff, id as u8] },
        account: 1,
        market: 1 + id % 2,
        service_user: 9,
        cl_ord_id: Some(format!("it's \"{id}\" é")),
        userref: Some(-3),
    }
}

fn trade(id: u64, at_us: u64) -> TradeRow {
    let stored = Stored { at_us, id, body: id.to_be_bytes().to_vec() };
    TradeRow { stored, account: 1, market: 1 + id % 2 }
}

fn entry(id: u64, account: u64, at_us: u64) -> LedgerRow {
    let stored = Stored { at_us, id, body: vec![] };
    LedgerRow { stored, account, asset: 1 + id % 2, kind: "trade".to_owned() }
}

fn audited(id: u64, at_us: u64) -> AuditRow {
    AuditRow { stored: Stored { at_us, id, body: vec![9] }, organization: 1 }
}

fn transfer(id: u64, kind: &str, at_us: u64) -> TransferRow {
    let stored = Stored { at_us, id, body: vec![id as u8] };
    let method = if id == 3 { "wire" } else { "chain" }.to_owned();
    TransferRow { stored, kind: kind.to_owned(), account: 1, asset: 1 + id % 2, method }
}

fn candle(market: u64, seq: u64) -> CandleRow {
    let (begin_us, prices) = (seq * 300_000_000, [5, 9, 4, 6]);
    CandleRow { market, interval: 5, begin_us, prices, trades: 3, volume: 30, cost: 300, seqs: (seq, seq) }
}

/// All rows of all tables, each as a text that is the same for both databases.
pub async fn everything(reader: &HistoryReader) -> Vec<String> {
    let mut rows = Vec::new();
    for table in names() {
        let of_table = reader.pool.all(format!("SELECT * FROM {table}"), &[], row_text).await.unwrap();
        rows.extend(of_table.into_iter().map(|row| format!("{table}: {row}")));
    }
    rows.sort_unstable();
    rows
}

fn row_text(record: &Record<'_>) -> Result<String, HistoryError> {
    let mut names: Vec<&str> = match record {
        Record::Sqlite(row) => row.columns().iter().map(|column| column.name()).collect(),
        Record::Postgres(row) => row.columns().iter().map(|column| column.name()).collect(),
    };
    names.sort_unstable();
    let value = |name: &str| {
        let number = record.get::<Option<i64>>(name).map(|number| format!("{number:?}"));
        let text = number.or_else(|_| record.get::<Option<String>>(name).map(|text| format!("{text:?}")));
        text.or_else(|_| record.get::<Vec<u8>>(name).map(|bytes| format!("{bytes:02x?}")))
    };
    let values = names.iter().map(|name| Ok(format!("{name} {}", value(name)?)));
    Ok(values.collect::<Result<Vec<String>, sqlx::Error>>()?.join(", "))
}

fn ids(rows: Vec<Stored>) -> Vec<u64> {
    rows.into_iter().map(|row| row.id).collect()
}

fn of_kind(kind: &str) -> TransferKey<'_> {
    TransferKey { kind, asset: None, method: None }
}

async fn telling_events_twice_changes_nothing_and_the_first_row_stays(storage: &Storage) {
    let (mut writer, reader) = open(storage).await.unwrap();
    let batch = HistoryBatch {
        orders: vec![order(1, 30), order(2, 20), order(1, 40)],
        trades: vec![trade(256, 20), trade(257, 20)],
        ledger_entries: vec![entry(1, 1, 20)],
        audit: vec![audited(1, 20)],
        transfers: vec![transfer(1, "deposit", 20)],
        candles: vec![],
        streams: vec![],
    };
    for seq in [7, 7, 3] {
        writer.apply(&batch, at(seq)).await.unwrap();
        assert_eq!(reader.checkpoint().await.unwrap(), 7, "the checkpoint never goes back");
        let closed = reader.closed_orders(&ALL, &OrderFilter::default()).await.unwrap();
        assert_eq!(closed, [order(1, 30).stored, order(2, 20).stored]);
        assert_eq!(reader.trades(&ALL, None).await.unwrap(), [trade(257, 20).stored, trade(256, 20).stored]);
        assert_eq!(reader.ledger_entries(&ALL, None, None).await.unwrap(), [entry(1, 1, 20).stored]);
        assert_eq!(reader.audit(&ALL).await.unwrap(), [audited(1, 20).stored]);
        assert_eq!(reader.transfers(&ALL, &of_kind("deposit")).await.unwrap(), [transfer(1, "deposit", 20).stored]);
    }
    writer.close().await.unwrap();
    drop(reader);
    let (_writer, reader) = open(storage).await.unwrap();
    assert_eq!(reader.checkpoint().await.unwrap(), 7, "kept over a restart");
}

async fn a_batch_of_any_size_is_written_whole(storage: &Storage) {
    let (mut writer, reader) = open(storage).await.unwrap();
    // The second batch uses a statement of each size that SQLite's rows are written with.
    for (seq, count) in [(1, 3), (2, 2_048 + 512 + 128 + 32 + 8 + 2 + 1), (3, 4_096)] {
        let orders: Vec<OrderRow> = (1..=count).map(|id| order(seq * 10_000 + id, seq * 100)).collect();
        writer.apply(&HistoryBatch { orders: orders.clone(), ..HistoryBatch::default() }, at(seq)).await.unwrap();
        let page = Page { start_us: seq * 100, limit: 10_000, ..ALL };
        let written = reader.closed_orders(&page, &OrderFilter::default()).await.unwrap();
        assert!(written.into_iter().rev().eq(orders.into_iter().map(|row| row.stored)), "{count} orders");
    }
}

async fn a_candle_grows_with_what_is_new_and_not_with_what_it_has(storage: &Storage) {
    let (mut writer, reader) = open(storage).await.unwrap();
    let part = |prices, trades, seqs| CandleRow {
        market: 1,
        interval: 5,
        begin_us: 300_000_000,
        prices,
        trades,
        volume: 10 * trades as i64,
        cost: 100 * trades as i64,
        seqs,
    };
    let next = CandleRow { begin_us: 600_000_000, ..part([7, 7, 7, 7], 1, (9, 9)) };
    let batches = [vec![part([5, 9, 4, 6], 3, (1, 6))], vec![part([3, 8, 3, 8], 2, (7, 8)), next]];
    for reported in [0, 0, 1, 0, 1] {
        let candles = batches[reported].clone();
        writer.apply(&HistoryBatch { candles, ..HistoryBatch::default() }, at(1)).await.unwrap();
    }
    assert_eq!(reader.traded_markets().await.unwrap(), [1]);
    let candles = [9, 300].map(|market| CandleRow { market, ..next }).to_vec();
    writer.apply(&HistoryBatch { candles, ..HistoryBatch::default() }, at(1)).await.unwrap();
    assert_eq!(reader.traded_markets().await.unwrap(), [1, 9, 300]);
    assert_eq!(reader.last_candles(1, 5, 10).await.unwrap(), [next, part([5, 9, 3, 8], 5, (8, 8))]);
    assert_eq!(reader.last_candles(1, 5, 1).await.unwrap(), [next]);
    assert_eq!(reader.last_candles(1, 1, 10).await.unwrap(), [], "of another interval");
    assert_eq!(reader.last_candles(2, 5, 10).await.unwrap(), [], "of another market");
}

async fn a_candle_of_more_than_a_number_holds_stays_at_the_most_and_is_read_again(storage: &Storage) {
    let (mut writer, reader) = open(storage).await.unwrap();
    let part = |seq, volume, cost| CandleRow {
        market: 1,
        interval: 5,
        begin_us: 300_000_000,
        prices: [1; 4],
        trades: 1,
        volume,
        cost,
        seqs: (seq, seq),
    };
    let reported = async |writer: &mut HistoryWriter, candles| {
        writer.apply(&HistoryBatch { candles, ..HistoryBatch::default() }, at(1)).await.unwrap();
        let [candle] = reader.last_candles(1, 5, 10).await.unwrap()[..] else { panic!("one candle") };
        (candle.trades, candle.volume, candle.cost)
    };
    // Exact to the last unit; then at the limit in the table, and then in a batch of its own.
    assert_eq!(reported(&mut writer, vec![part(1, i64::MAX - 2, 5)]).await, (1, i64::MAX - 2, 5));
    assert_eq!(reported(&mut writer, vec![part(2, 2, i64::MAX - 5)]).await, (2, i64::MAX, i64::MAX));
    assert_eq!(reported(&mut writer, vec![part(3, 1, i64::MAX)]).await, (3, i64::MAX, i64::MAX));
    assert_eq!(reported(&mut writer, vec![part(4, i64::MAX, 1), part(5, 1, i64::MAX)]).await, (5, i64::MAX, i64::MAX));
}

async fn pages_at_equal_times_neither_skip_nor_repeat(storage: &Storage) {
    let (mut writer, reader) = open(storage).await.unwrap();
    let trades = (1..=7).map(|exec| trade(exec, if exec < 6 { 50 } else { 60 })).collect();
    writer.apply(&HistoryBatch { trades, ..HistoryBatch::default() }, at(1)).await.unwrap();
    let (mut page, mut seen) = (Page { limit: 2, ..ALL }, Vec::new());
    loop {
        let rows = reader.trades(&page, None).await.unwrap();
        let Some(last) = rows.last() else { break };
        page.after = Some(SortKey { at_us: last.at_us, id: last.id });
        seen.extend(rows.iter().map(|row| row.id));
        let added = HistoryBatch { trades: vec![trade(100 + last.id, 70)], ..HistoryBatch::default() };
        writer.apply(&added, at(1)).await.unwrap();
    }
    assert_eq!(seen, [7, 6, 5, 4, 3, 2, 1]);
    let last = reader.last_trades(1, 3).await.unwrap();
    assert_eq!(last, [106, 104, 102].map(|id| trade(id, 70).stored), "of one market, newest first");
}

async fn filters_admit_what_they_name(storage: &Storage) {
    let (mut writer, reader) = open(storage).await.unwrap();
    let batch = HistoryBatch {
        orders: vec![order(1, 10), order(2, 20), OrderRow { userref: None, ..order(3, 30) }],
        trades: vec![],
        ledger_entries: vec![entry(1, 1, 10), entry(2, 1, 20), entry(3, 2, 30)],
        audit: vec![],
        transfers: vec![transfer(1, "deposit", 10), transfer(2, "withdrawal", 20), transfer(3, "withdrawal", 30)],
        candles: vec![],
        streams: vec![],
    };
    writer.apply(&batch, at(1)).await.unwrap();
    let between = Page { start_us: 10, end_us: 30, ..ALL };
    assert_eq!(ids(reader.closed_orders(&between, &OrderFilter::default()).await.unwrap()), [2, 1], "start ≤ t < end");
    let of_market = OrderFilter { market: Some(2), ..OrderFilter::default() };
    assert_eq!(ids(reader.closed_orders(&ALL, &of_market).await.unwrap()), [3, 1]);
    let cl_ord_id = order(2, 20).cl_ord_id.unwrap();
    let of_client = OrderFilter { cl_ord_id: Some(&cl_ord_id), userref: Some(-3), ..OrderFilter::default() };
    assert_eq!(ids(reader.closed_orders(&ALL, &of_client).await.unwrap()), [2]);
    let of_none = OrderFilter { userref: Some(0), ..OrderFilter::default() };
    assert_eq!(ids(reader.closed_orders(&ALL, &of_none).await.unwrap()), [3]);

    assert_eq!(ids(reader.orders_by_id(1, &[1, 2, 99]).await.unwrap()), [2, 1]);
    assert_eq!(ids(reader.orders_by_id(2, &[2, 1]).await.unwrap()), [0u64; 0], "not another account's");
    assert_eq!(ids(reader.orders_by_client_id(&ALL, 9, &[&cl_ord_id]).await.unwrap()), [2]);

    assert_eq!(reader.ledger_entries(&ALL, Some(1), Some("trade")).await.unwrap(), [entry(2, 1, 20).stored]);
    assert_eq!(reader.ledger_entries(&ALL, None, Some("deposit")).await.unwrap(), []);
    assert_eq!(reader.ledger_entries_by_id(1, &[1, 3]).await.unwrap(), [entry(1, 1, 10).stored]);

    let all = of_kind("withdrawal");
    let found =
        async |page: &Page, key: TransferKey<'_>| -> Vec<u64> { ids(reader.transfers(page, &key).await.unwrap()) };
    assert_eq!(found(&ALL, all).await, [3, 2]);
    assert_eq!(found(&between, all).await, [2], "start ≤ t < end");
    assert_eq!(found(&Page { after: Some(SortKey { at_us: 30, id: 3 }), ..ALL }, all).await, [2]);
    assert_eq!(found(&ALL, TransferKey { asset: Some(2), ..all }).await, [3]);
    assert_eq!(found(&ALL, TransferKey { method: Some("wire"), ..all }).await, [3]);
    assert_eq!(reader.transfer(1, "withdrawal", 2).await.unwrap(), Some(transfer(2, "withdrawal", 20).stored));
    assert_eq!(reader.transfer(1, "deposit", 2).await.unwrap(), None, "not of the other kind");
    assert_eq!(reader.transfer(2, "withdrawal", 2).await.unwrap(), None, "not another account's");
    assert_eq!(found(&Page { owner: 2, ..ALL }, all).await, [0u64; 0], "not another account's");
}

async fn a_batch_given_up_halfway_leaves_all_or_nothing(storage: &Storage) {
    let (mut writer, reader) = open(storage).await.unwrap();
    for polls in 1..12u64 {
        let batch = HistoryBatch {
            orders: vec![order(polls, 1)],
            trades: vec![trade(polls, 1)],
            ledger_entries: vec![entry(polls, 1, 1)],
            audit: vec![audited(polls, 1)],
            transfers: vec![transfer(polls, "deposit", 1)],
            candles: vec![],
            streams: vec![],
        };
        {
            let mut apply = pin!(writer.apply(&batch, at(polls)));
            for _ in 0..polls {
                if apply.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                    break;
                }
                // Lets the database's thread answer, so that the next poll advances by one step.
                reader.checkpoint().await.unwrap();
            }
        }
        // The connection's next transaction comes after the rollback of the abandoned one.
        writer.forget_streams(0).await.unwrap();
        writer.reopen().await.unwrap();
        let reached = reader.checkpoint().await.unwrap() == polls;
        let orders = reader.orders_by_id(1, &[polls]).await.unwrap().len();
        let entries = reader.ledger_entries_by_id(1, &[polls]).await.unwrap().len();
        assert_eq!((orders == 1, entries == 1), (reached, reached), "given up after {polls} polls");
    }
}

async fn blocks_of_a_stream_are_noted_once_and_forgotten_by_their_time(storage: &Storage) {
    let (mut writer, reader) = open(storage).await.unwrap();
    let noted = |stream: &str, block, at_us| StreamRow { stream: stream.to_owned(), block, at_us };
    let streams = vec![noted("a 1", 0, 5), noted("a 1", 1, 10), noted("b 2", 1, 12), noted("a 1", 3, 20)];
    // Written again after a restart, the block seems to begin later.
    let again = vec![noted("a 1", 1, 30), noted("a 1", 4, 30)];
    for streams in [streams, again] {
        writer.apply(&HistoryBatch { streams, ..HistoryBatch::default() }, at(1_100)).await.unwrap();
    }
    assert_eq!(reader.stream_blocks("a 1", 0, 3).await.unwrap(), (vec![0, 1, 3], 0));
    assert_eq!(reader.stream_blocks("a 1", 2, 9).await.unwrap(), (vec![3, 4], 0));
    assert_eq!(reader.stream_blocks("c 3", 0, 9).await.unwrap(), (vec![], 0));
    // Block 1 has begun by 11 and may continue after it; only what is before it is certainly past.
    for (before_us, kept, since) in [(5, vec![0, 1, 3, 4], 0), (11, vec![1, 3, 4], 255), (25, vec![3, 4], 3 * 256 - 1)]
    {
        writer.forget_streams(before_us).await.unwrap();
        assert_eq!(reader.stream_blocks("a 1", 0, 9).await.unwrap(), (kept, since), "{before_us}");
    }
    assert_eq!(reader.stream_blocks("b 2", 0, 9).await.unwrap(), (vec![], 3 * 256 - 1));
}

async fn cleared_tables_are_as_new(storage: &Storage) {
    let (mut writer, reader) = open(storage).await.unwrap();
    let candle = candle(1, 6);
    let batch = HistoryBatch {
        orders: vec![order(1, 20)],
        trades: vec![trade(1, 20)],
        ledger_entries: vec![entry(1, 1, 20)],
        audit: vec![audited(1, 20)],
        transfers: vec![transfer(1, "deposit", 20)],
        candles: vec![candle],
        streams: [0, 3].map(|block| StreamRow { stream: "a 1".to_owned(), block, at_us: 20 + block }).to_vec(),
    };
    writer.apply(&batch, at(1_100)).await.unwrap();
    writer.forget_streams(30).await.unwrap();
    assert_eq!(reader.stream_blocks("a 1", 0, 9).await.unwrap(), (vec![3], 3 * 256 - 1));
    writer.clear().await.unwrap();
    assert_eq!(reader.checkpoint().await.unwrap(), 0);
    assert_eq!(reader.closed_orders(&ALL, &OrderFilter::default()).await.unwrap(), []);
    assert_eq!(reader.trades(&ALL, None).await.unwrap(), []);
    assert_eq!(reader.ledger_entries(&ALL, None, None).await.unwrap(), []);
    assert_eq!(reader.audit(&ALL).await.unwrap(), []);
    assert_eq!(reader.transfers(&ALL, &of_kind("deposit")).await.unwrap(), []);
    assert_eq!(reader.traded_markets().await.unwrap(), [0u64; 0]);
    assert_eq!(reader.stream_blocks("a 1", 0, 9).await.unwrap(), (vec![], 0));
    writer.apply(&batch, at(7)).await.unwrap();
    assert_eq!(reader.checkpoint().await.unwrap(), 7);
    assert_eq!(reader.last_candles(1, 5, 9).await.unwrap(), [candle]);
}

async fn the_last_orders_of_each_of_ones_own_names_are_found(storage: &Storage) {
    let (mut writer, reader) = open(storage).await.unwrap();
    let named = |id: u64, service_user, name: &str| OrderRow {
        service_user,
        cl_ord_id: Some(name.to_owned()),
        ..order(id, id * 10)
    };
    let mut orders = vec![named(1, 9, "a"), named(2, 9, "b"), named(3, 9, "a"), named(4, 9, "a")];
    orders.extend([named(5, 8, "a"), OrderRow { account: 2, ..named(6, 9, "a") }, named(7, 9, "c")]);
    writer.apply(&HistoryBatch { orders, ..HistoryBatch::default() }, at(1)).await.unwrap();
    let found = async |page: &Page, names: &[&str]| -> Vec<u64> {
        ids(reader.orders_by_client_id(page, 9, names).await.unwrap())
    };
    assert_eq!(found(&ALL, &["a"]).await, [4, 3, 1]);
    assert_eq!(found(&ALL, &["a", "none", "a"]).await, [4, 3, 1], "each once");
    assert_eq!(found(&Page { start_us: 20, end_us: 40, ..ALL }, &["a"]).await, [3], "start ≤ t < end");
    let mut first = found(&Page { limit: 2, ..ALL }, &["a", "b"]).await;
    first.sort_unstable();
    assert_eq!(first, [2, 4], "the last of each name before the second last of one");
    let newest = found(&Page { limit: 1, ..ALL }, &["a", "c"]).await;
    assert_eq!(newest, [7], "of those that are equally far back the newest");
    assert_eq!(reader.orders_by_client_id(&ALL, 8, &["a", "b"]).await.unwrap(), [named(5, 8, "a").stored]);
}

/// Each statement waits for a table that somebody else has locked, none longer than it may, but all together longer.
#[tokio::test]
async fn a_batch_in_postgres_may_take_longer_than_each_of_its_statements() {
    let storage = in_postgres();
    let (Storage::Postgres(url), (mut writer, reader)) = (&storage, open(&storage).await.unwrap()) else { panic!() };
    let held = ["orders", "trades", "ledger_entries"].map(|table| format!("history.{table}"));
    let held = held.map(|table| (lock(url.reveal(), &table), table));
    let batch = HistoryBatch {
        orders: vec![order(1, 1)],
        trades: vec![trade(1, 1)],
        ledger_entries: vec![entry(1, 1, 1)],
        ..HistoryBatch::default()
    };
    // From here on time passes only where the test advances it, since some task is always running.
    tokio::time::pause();
    let telling = tokio::spawn(async move { writer.apply(&batch, at(7)).await });
    for (held, table) in held {
        let waits = format!("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = '{table}'::regclass");
        while sql(url.reveal(), &waits) == "0" {
            assert!(!telling.is_finished(), "given up before {table}");
            tokio::task::yield_now().await;
        }
        tokio::time::advance(ANSWER_TIMEOUT * 2 / 3).await;
        drop(held);
    }
    while !telling.is_finished() {
        tokio::task::yield_now().await;
    }
    telling.await.unwrap().unwrap();
    tokio::time::resume();
    assert_eq!(reader.checkpoint().await.unwrap(), 7);
}
