//! Journal files that are not as they were written: the start refuses and names the place, or recovers exactly.

use std::path::PathBuf;

use super::*;
use crate::domain::ids::{AccountId, DepositId, MarketId};
use crate::domain::markets::MarketStatus;
use crate::engine::deposits::{Deposit, DepositAddress, DepositStatus};
use crate::engine::ledger::{Party, Posting};
use crate::storage::head::{check_head, write_head};
use crate::storage::journal::Row;

/// Rows of the journal, each of one asset.
const ROWS: u16 = 12;

/// A closed journal, the digest of its state, and where it ends.
async fn closed() -> (tempfile::TempDir, Digest, Head) {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = storage(dir.path()).journal().await.unwrap();
    for row in 1..=ROWS {
        append(&mut journal, row).await;
    }
    let state = recover(&reader(dir.path()).await, &snapshots(dir.path())).await.unwrap();
    let head = journal.head();
    journal.close().await.unwrap();
    (dir, state.digest(), head)
}

async fn append(journal: &mut Journal, row: u16) {
    let mut body = Vec::new();
    codec::encode(&mut body, Moment(u64::from(row)), Actor::Server, &[asset(row)]);
    journal.append(u64::from(row), 1, codec::FORMAT, &body).await.unwrap();
}

/// A state as of a part of the journal's rows.
fn first_rows() -> Replay {
    let mut replay = Replay::default();
    for row in 1..=ROWS / 2 {
        replay.state.apply(Moment(u64::from(row)), &asset(row));
    }
    replay
}

fn file(dir: &Path) -> PathBuf {
    dir.join("journal.db")
}

fn log(dir: &Path) -> PathBuf {
    dir.join("journal.db-wal")
}

/// Starts on a journal that ended at `head` and whose file contains `bytes`; returns the state's digest, or the error
/// message for the operator.
async fn started(bytes: &[u8], head: Head) -> Result<Digest, String> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(file(dir.path()), bytes).unwrap();
    write_head(dir.path(), head).unwrap();
    started_in(dir.path()).await
}

/// Starts like the server, which checks the head file before it opens the journal for writing.
async fn started_in(dir: &Path) -> Result<Digest, String> {
    let storage = storage(dir);
    checked(dir, &storage.reader().await.map_err(|error| error.to_string())?).await?;
    let journal = storage.journal().await.map_err(|error| error.to_string())?;
    let reader = storage.reader().await.map_err(|error| error.to_string())?;
    begin(dir, journal, reader).await
}

async fn checked(dir: &Path, reader: &JournalReader) -> Result<(), String> {
    check_head(dir, reader).await.map_err(|error| error.to_string())
}

async fn begin(dir: &Path, journal: Journal, reader: JournalReader) -> Result<Digest, String> {
    let recovered = Recovered::of(journal, &reader, &snapshots(dir)).await;
    recovered.map(|recovered| recovered.state().digest()).map_err(|error| error.to_string())
}

/// Whether a refusal says where to look.
fn names_the_place(refusal: &str) -> bool {
    ["sequence", "journal.db", "column"].iter().any(|place| refusal.contains(place))
}

fn position(bytes: &[u8], part: &[u8]) -> usize {
    bytes.windows(part.len()).position(|window| window == part).expect("the file holds it as it is")
}

#[tokio::test]
async fn d6_69_a_flipped_byte_at_each_record_boundary_and_elsewhere_is_refused_or_changes_nothing() {
    let (dir, digest, head) = closed().await;
    let bytes = std::fs::read(file(dir.path())).unwrap();
    let rows = reader(dir.path()).await.rows(1, u64::MAX, 100).await.unwrap();
    let boundaries = rows.iter().flat_map(|row| {
        let (body, chain) = (position(&bytes, &row.body), position(&bytes, &row.chain));
        [body, body + row.body.len(), chain, chain + row.chain.len()]
    });
    let near = boundaries.flat_map(|at| [at - 1, at, at + 1]);
    let mut refused = 0;
    for at in near.chain((0..bytes.len()).step_by(331)).filter(|at| *at < bytes.len()) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        match started(&damaged, head).await {
            Ok(recovered) => assert_eq!(recovered, digest, "a flip at {at} is believed"),
            Err(refusal) => {
                assert!(names_the_place(&refusal), "a flip at {at}: {refusal}");
                refused += 1;
            }
        }
    }
    assert!(refused >= 2 * usize::from(ROWS), "{refused} of the flips inside rows were found");
}

#[tokio::test]
async fn d6_69_a_file_cut_at_any_length_is_refused_unless_nothing_was_in_what_is_gone() {
    let (dir, digest, head) = closed().await;
    let bytes = std::fs::read(file(dir.path())).unwrap();
    let pages = (0..bytes.len()).step_by(4_096);
    for length in pages.flat_map(|page| [page, page + 1, page + 100, page + 2_048, page + 4_095]) {
        match started(&bytes[..length], head).await {
            Ok(recovered) => assert_eq!(recovered, digest, "{length} bytes are believed"),
            Err(refusal) => assert!(names_the_place(&refusal), "{length} bytes: {refusal}"),
        }
    }
}

#[tokio::test]
async fn d6_69_a_last_row_that_says_it_holds_nothing_is_refused() {
    let disk = Disk::default();
    let mut journal = Journal::Memory(disk.journal().unwrap());
    append(&mut journal, 1).await;
    append(&mut journal, 2).await;
    drop(journal);
    disk.damage(|rows, _| rows[1].count = 0);
    let refused = recovered(&disk).await.err().unwrap().to_string();
    assert!(refused.contains("sequence 2"), "{refused}");
}

#[tokio::test]
async fn d6_69_a_row_that_is_damaged_before_a_snapshot_is_not_told_again() {
    let damages: [fn(&mut Row); 4] =
        [|row| row.count = 0, |row| row.count = 2, |row| row.body = vec![], |row| row.chain[0] ^= 1];
    for damage in damages {
        let disk = Disk::default();
        let mut journal = Journal::Memory(disk.journal().unwrap());
        for row in 1..=ROWS {
            append(&mut journal, row).await;
        }
        drop(journal);
        let (reader, snapshots) = (JournalReader::Memory(disk.clone()), Snapshots::Memory(disk.clone()));
        let mut replay = Replay::default();
        replay.follow(&reader, u64::MAX, |_| Ok(())).await.unwrap();
        snapshots.save(&snapshot(&replay)).unwrap();
        assert_eq!(recovered(&disk).await.unwrap().recent(3).await.unwrap().len(), 3);
        disk.damage(|rows, _| damage(&mut rows[9]));
        let refused = recovered(&disk).await.unwrap().recent(3).await.unwrap_err().to_string();
        assert!(refused.contains("sequence 10"), "{refused}");
    }
}

#[tokio::test]
async fn d6_69_missing_rows_are_refused_where_they_are_missing() {
    for (missing, place) in [(5, "sequence 6"), (1, "sequence 2"), (ROWS, "sequence 12")] {
        let disk = Disk::default();
        let mut journal = Journal::Memory(disk.journal().unwrap());
        for row in 1..=ROWS {
            append(&mut journal, row).await;
        }
        let dir = tempfile::tempdir().unwrap();
        write_head(dir.path(), journal.head()).unwrap();
        drop(journal);
        disk.damage(|rows, _| rows.retain(|row| row.first_seq != u64::from(missing)));
        let (journal, reader) = (Journal::Memory(disk.journal().unwrap()), JournalReader::Memory(disk));
        let started = match checked(dir.path(), &reader).await {
            Ok(()) => begin(dir.path(), journal, reader).await,
            Err(refusal) => Err(refusal),
        };
        assert!(started.as_ref().is_err_and(|why| why.contains(place)), "{missing}: {started:?}");
    }
}

/// The rows are still in the log, as after a kill. SQLite reads a log up to the first frame that is not intact, so by
/// itself it would treat the rest as never written.
#[tokio::test]
async fn d6_69_a_flipped_byte_in_the_log_is_refused_and_the_log_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = storage(dir.path()).journal().await.unwrap();
    for row in 1..=ROWS {
        append(&mut journal, row).await;
    }
    let (bytes, frames) = (std::fs::read(file(dir.path())).unwrap(), std::fs::read(log(dir.path())).unwrap());
    let head = journal.head();
    assert!(frames.len() > usize::from(ROWS) * 4_096, "{} bytes do not hold the rows", frames.len());
    for at in (0..32).chain((32..frames.len()).step_by(1_009)).chain([frames.len() - 1]) {
        let dir = tempfile::tempdir().unwrap();
        let mut damaged = frames.clone();
        damaged[at] ^= 1 << (at % 8);
        std::fs::write(file(dir.path()), &bytes).unwrap();
        std::fs::write(log(dir.path()), &damaged).unwrap();
        write_head(dir.path(), head).unwrap();
        let refusal = started_in(dir.path()).await.expect_err("a flip in the log is believed");
        assert!(names_the_place(&refusal), "a flip at {at}: {refusal}");
        assert!(std::fs::read(log(dir.path())).unwrap() == damaged, "a flip at {at}: somebody wrote");
    }
}

#[tokio::test]
async fn d6_69_a_head_file_of_another_journal_is_refused_until_it_is_removed() {
    let (dir, digest, head) = closed().await;
    let written = |text: String| std::fs::write(dir.path().join("head"), text).unwrap();
    for (other, place) in [
        (format!("{} {}\n", head.seq, "ab".repeat(32)), "sequence 12"),
        (format!("{} {}\n", head.seq + 1, hex::encode(head.chain)), "sequence 13"),
        ("12\n".to_owned(), "is not a head"),
    ] {
        written(other);
        let refusal = started_in(dir.path()).await.unwrap_err();
        assert!(refusal.contains(place) && refusal.contains("/head"), "{refusal}");
    }
    std::fs::remove_file(dir.path().join("head")).unwrap();
    assert_eq!(started_in(dir.path()).await, Ok(digest));
}

#[tokio::test]
async fn d6_69_a_row_that_follows_by_its_chain_and_cannot_follow_by_what_it_says_is_refused() {
    let status = Event::MarketStatusSet { market: MarketId(1), status: MarketStatus::Online };
    for event in [asset(ROWS + 2), asset(0), status] {
        let (dir, ..) = closed().await;
        let mut journal = storage(dir.path()).journal().await.unwrap();
        let mut body = Vec::new();
        codec::encode(&mut body, Moment(99), Actor::Server, std::slice::from_ref(&event));
        let at = u64::from(ROWS) + 1;
        journal.append(at, 1, codec::FORMAT, &body).await.unwrap();
        let (reader, snapshots) = (reader(dir.path()).await, snapshots(dir.path()));
        for refused in [recover(&reader, &snapshots).await.err(), verify(&reader, &snapshots).await.err()] {
            let named =
                matches!(&refused, Some(RecoveryError::Journal(JournalError::Corrupt { at: of, .. })) if *of == at);
            assert!(named, "{event:?}: {refused:?}");
        }
    }
}

/// Every link is intact and every event can follow; only the sums reveal it.
#[tokio::test]
async fn d5_61_and_d6_69_money_out_of_nothing_is_found_by_verify() {
    let (dir, ..) = closed().await;
    let (at, amount) = (u64::from(ROWS) + 1, Amount(5));
    let deposit = Box::new(Deposit {
        id: DepositId(at),
        organization: OrganizationId(1),
        account: AccountId(1),
        asset: AssetId(1),
        amount,
        address: DepositAddress { address: "a".to_owned(), tag: None },
        txid: "t".to_owned(),
        method: String::new(),
        network: String::new(),
        created_at: Moment(99),
        status: DepositStatus::Pending,
    });
    let posting =
        Posting { party: Party::Outside, asset: AssetId(1), delta: -amount, fee: Amount::ZERO, balance: Amount::ZERO };
    let mut body = Vec::new();
    codec::encode(&mut body, Moment(99), Actor::Server, &[Event::DepositChanged { deposit, postings: vec![posting] }]);
    storage(dir.path()).journal().await.unwrap().append(at, 1, codec::FORMAT, &body).await.unwrap();
    let refused = verify(&reader(dir.path()).await, &snapshots(dir.path())).await.unwrap_err();
    assert!(matches!(refused, RecoveryError::Ledger { at: of, .. } if of == at), "{refused}");
}

#[tokio::test]
async fn d6_69_a_snapshot_of_where_the_journal_never_stood_is_found_by_verify() {
    let (dir, ..) = closed().await;
    let inside = u64::from(ROWS) + 1;
    let mut body = Vec::new();
    codec::encode(&mut body, Moment(99), Actor::Server, &[asset(ROWS + 1), asset(ROWS + 2)]);
    storage(dir.path()).journal().await.unwrap().append(inside, 2, codec::FORMAT, &body).await.unwrap();
    let (reader, snapshots) = (reader(dir.path()).await, snapshots(dir.path()));
    for seq in [inside, inside + 2] {
        snapshots.clear().unwrap();
        snapshots.save(&Snapshot { seq, ..snapshot(&Replay::default()) }).unwrap();
        let refused = verify(&reader, &snapshots).await.unwrap_err();
        let named = matches!(refused, RecoveryError::Journal(JournalError::Corrupt { at, .. }) if at == seq);
        assert!(named, "{seq}: {refused}");
    }
}

/// A snapshot that this release could decode, and that would be refused or lead elsewhere.
#[tokio::test]
async fn rule_48_a_snapshot_of_another_format_is_ignored_and_the_journal_replayed() {
    let (dir, digest, head) = closed().await;
    let foreign = |format| Snapshot { format, chain: Digest::default(), ..snapshot(&first_rows()) };
    let snapshots = snapshots(dir.path());
    snapshots.save(&foreign(SNAPSHOT_FORMAT)).unwrap();
    assert!(started_in(dir.path()).await.is_err(), "its chain is not the journal's");
    for format in [SNAPSHOT_FORMAT - 1, SNAPSHOT_FORMAT + 1] {
        snapshots.clear().unwrap();
        snapshots.save(&foreign(format)).unwrap();
        assert_eq!(started_in(dir.path()).await, Ok(digest), "format {format}");
        let verified = verify(&reader(dir.path()).await, &snapshots).await.unwrap();
        assert_eq!((verified.seq, verified.snapshots), (head.seq, 0), "format {format}");
    }
}
