//! Links, and a table far larger than a page.

use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;

use super::job::{Job, PAGE_ROWS, Stuck, part_name};
use super::{Exports, file_name};
use crate::access::principal::{Actor, Credential, Principal};
use crate::domain::exports::{Format, Report};
use crate::domain::ids::{AccountId, AssetId, DepositId, ExportId, LedgerId, OrganizationId, Seq, ServiceUserId};
use crate::domain::money::Amount;
use crate::domain::time::{Moment, Period};
use crate::engine::deposits::{Deposit, DepositAddress, DepositStatus};
use crate::engine::event::Event;
use crate::engine::exports::Export;
use crate::engine::ledger::{Party, Posting, Wallet};
use crate::engine::query::HistoryGrant;
use crate::engine::reference::Reference;
use crate::history::{self, History, HistoryFilter};
use crate::sequencer::Stamped;
use crate::storage::Storage;

/// Entries in the export: a million or more if `EXPORT_ROWS` says so.
static ROWS: LazyLock<u64> =
    LazyLock::new(|| std::env::var("EXPORT_ROWS").map_or(200_000, |rows| rows.parse().unwrap()));
/// Entries made after the export was ordered.
const LATER: u64 = 1_500;
/// Events with the same stamp.
const TOGETHER: u64 = 7;
/// Bytes that a row of the ledger takes, at most.
const ROW_BYTES: usize = 256;

fn at(seq: u64) -> Moment {
    Moment(seq / TOGETHER)
}

/// A deposit of as many units as its sequence number.
fn deposited(seq: u64) -> Arc<Stamped> {
    let (account, asset, amount) = (AccountId(1), AssetId(2), Amount(seq.cast_signed()));
    let posting = |party, delta| Posting { party, asset, delta, fee: Amount::ZERO, balance: Amount(seq.cast_signed()) };
    let deposit = Box::new(Deposit {
        id: DepositId(seq),
        organization: OrganizationId(1),
        account,
        asset,
        amount,
        address: DepositAddress { address: "=cmd".to_owned(), tag: None },
        txid: "=cmd".to_owned(),
        method: "USD".to_owned(),
        network: "USD".to_owned(),
        created_at: at(seq),
        status: DepositStatus::Success,
    });
    let postings = vec![posting(Party::Account(account, Wallet::Main), amount), posting(Party::Outside, -amount)];
    let event = Event::DepositChanged { deposit, postings };
    Arc::new(Stamped { seq: Seq(seq), at: at(seq), by: Actor::Server, rate: None, event })
}

/// The file's line for it.
fn line(seq: u64) -> String {
    let (id, refid, units) = (LedgerId(Seq(seq).offset(0)), DepositId(seq), seq.cast_signed());
    let amount = crate::domain::decimal::units_text(units, 4);
    format!("{id},{refid},{},deposit,,currency,USD,{amount},0.0000,{amount},main", at(seq))
}

fn reference() -> Reference {
    Reference::btc_usd(4, 1)
}

pub(super) fn export() -> Export {
    Export {
        id: ExportId(*ROWS),
        organization: OrganizationId(1),
        account: AccountId(1),
        service_user: ServiceUserId(1),
        report: Report::Ledgers,
        format: Format::Csv,
        columns: Report::Ledgers.columns().to_vec(),
        description: String::new(),
        from: Moment(0),
        until: at(*ROWS).plus_us(1),
        created_at: at(*ROWS),
        made: None,
    }
}

/// The tables of a server that has recorded all the deposits.
async fn filled(dir: &Path) -> History {
    let storage = Storage::Sqlite(dir.to_owned());
    let mut journal = storage.journal().await.unwrap();
    let (mut feed, incoming) = history::feed();
    let reader = storage.reader().await.unwrap();
    let (history, ..) = history::start(&storage, &reader, incoming, Duration::MAX, Seq(0)).await.unwrap();
    let all: Vec<u64> = (1..=*ROWS + LATER).collect();
    for batch in all.chunks(10_000) {
        let events = Arc::new(batch.iter().map(|seq| deposited(*seq)).collect());
        history::journal_events(&mut journal, &events).await;
        feed.feed(&events);
    }
    let (dates, reached) = (Period::ALWAYS, Seq(*ROWS + LATER));
    let all = HistoryGrant { account: AccountId(1), service_user: None, dates, reached, at: at(*ROWS + LATER) };
    // Each call waits for the tables for a while.
    let follow = async {
        while history.ledger_entries(&all, &HistoryFilter { limit: 1, ..HistoryFilter::default() }).await.is_err() {}
    };
    tokio::time::timeout(Duration::from_secs(60 + *ROWS / 2_000), follow).await.expect("the tables follow");
    history
}

#[tokio::test]
async fn d7_81_a_large_export_is_whole_exact_and_never_more_than_a_page_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let (history, reference) = (filled(dir.path()).await, reference());
    // An attempt cut short by a restart leaves a partial file; the next one starts over.
    let mut cut = Job::begin(dir.path(), export(), at(*ROWS)).await.unwrap();
    for _ in 0..3 {
        assert!(cut.page(&history, &reference).await.unwrap());
    }
    drop(cut);
    let mut job = Job::begin(dir.path(), export(), at(*ROWS)).await.unwrap();
    let (mut before, mut more) = (0, true);
    // While history is busy, the file waits and then continues.
    let occupied = history.occupy().await;
    tokio::time::pause();
    assert!(matches!(job.page(&history, &reference).await, Err(Stuck::Busy)));
    tokio::time::resume();
    drop(occupied);
    while more {
        more = job.page(&history, &reference).await.unwrap();
        assert!(job.progress.rows - before <= PAGE_ROWS as u64);
        assert!(job.buffer_bytes() <= PAGE_ROWS * ROW_BYTES * 2, "{} bytes", job.buffer_bytes());
        before = job.progress.rows;
    }
    let whole = dir.path().join(file_name(&export()));
    assert!(!whole.exists(), "it has no name before it is on disk");
    let (_, progress) = job.finish(dir.path()).await.unwrap();
    assert_eq!(progress.rows, *ROWS);
    assert!(!dir.path().join(part_name(&export())).exists());
    assert_eq!(std::fs::metadata(&whole).unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(&whole).unwrap();
    let mut lines = text.split("\r\n");
    assert_eq!(lines.next(), Some("txid,refid,time,type,subtype,aclass,asset,amount,fee,balance,wallet"));
    // The export was ordered among events of the same stamp: later ones, even at that very time, are not in it.
    for seq in (1..=*ROWS).rev() {
        assert_eq!(lines.next(), Some(line(seq).as_str()), "{seq}");
    }
    assert_eq!((lines.next(), lines.next()), (Some(""), None));
}

#[tokio::test]
async fn d6_70_a_file_for_which_there_is_no_room_gives_back_what_it_took() {
    let dir = tempfile::tempdir().unwrap();
    let part = dir.path().join(part_name(&export()));
    std::os::unix::fs::symlink("/dev/full", &part).unwrap();
    let mut job = Job::begin(dir.path(), export(), at(*ROWS)).await.unwrap();
    job.file.write_all(b"a row").await.unwrap();
    job.finish(dir.path()).await.unwrap_err();
    assert!(!part.is_symlink());
}

#[test]
fn a_link_works_once_for_a_minute_and_voids_the_one_before() {
    let exports = Exports::under(Path::new("nowhere"));
    let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let by = Principal { actor: Actor::ServiceUser(ServiceUserId(1)), peer, credential: Credential::Key(3) };
    let at = |s: u64| Moment(s * 1_000_000);
    let (token, until) = exports.link(ExportId(7), by, at(0));
    assert_eq!((token.len(), until), (43, at(60)), "256 bits");
    assert_eq!(exports.redeem("nonsense", at(1)), None);
    assert_eq!(exports.redeem(&token, at(1)), Some((ExportId(7), by)));
    assert_eq!(exports.redeem(&token, at(1)), None, "only once");
    let (late, _) = exports.link(ExportId(7), by, at(0));
    assert_eq!(exports.redeem(&late, at(60)), None, "no longer");
    let (ahead, _) = exports.link(ExportId(7), by, at(7_200));
    assert_eq!(exports.redeem(&ahead, at(100)), None, "the clock was set back");
    let (old, new) = (exports.link(ExportId(7), by, at(0)).0, exports.link(ExportId(7), by, at(0)).0);
    assert_eq!(exports.redeem(&old, at(1)), None, "voided");
    assert!(exports.redeem(&new, at(1)).is_some());
    let other = Principal { actor: Actor::ServiceUser(ServiceUserId(2)), ..by };
    let (own, _others) = (exports.link(ExportId(7), by, at(0)).0, exports.link(ExportId(7), other, at(0)).0);
    assert!(exports.redeem(&own, at(1)).is_some(), "another key's voids nothing of this one");
    for export in 0..1_000 {
        exports.link(ExportId(export), by, at(export * 60));
    }
    assert_eq!(exports.links.lock().len(), 1, "those past their time are forgotten");
}
