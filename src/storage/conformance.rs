//! What every journal must do, whatever stores it.

use std::path::Path;

use sqlx::{ConnectOptions as _, Connection as _};

use super::journal::{Head, JournalError, Snapshot};
use super::link;
use super::sqlite::{JournalReader, SqliteJournal};

async fn filled(dir: &Path, rows: u64) -> SqliteJournal {
    let mut journal = SqliteJournal::open(dir).await.unwrap();
    for row in 0..rows {
        journal.append(row * 2 + 1, 2, 1, format!("row {row}").as_bytes()).await.unwrap();
    }
    journal
}

/// Does something to the stored rows behind the journal's back.
async fn tamper(dir: &Path, statement: &'static str) {
    let mut connection =
        sqlx::sqlite::SqliteConnectOptions::new().filename(dir.join("journal.db")).connect().await.unwrap();
    assert_ne!(sqlx::query(statement).execute(&mut connection).await.unwrap().rows_affected(), 0);
    connection.close().await.unwrap();
}

/// The first sequence whose row does not follow from the rows before it.
async fn first_break(dir: &Path) -> Option<u64> {
    let mut chain = [0; 32];
    let mut next = 1;
    for row in JournalReader::open(dir).await.unwrap().rows(1, 1_000).await.unwrap() {
        chain = link(&chain, row.first_seq, row.count, row.format, &row.body);
        if row.first_seq != next || chain != row.digest {
            return Some(row.first_seq);
        }
        next = row.next_seq();
    }
    None
}

#[tokio::test]
async fn rows_come_back_in_order_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let journal = filled(dir.path(), 5).await;
    let head = journal.head();
    drop(journal);
    let journal = SqliteJournal::open(dir.path()).await.unwrap();
    assert_eq!(journal.head(), head);
    assert_eq!(head.seq, 10);
    let reader = JournalReader::open(dir.path()).await.unwrap();
    let bodies = |rows: Vec<super::journal::Row>| rows.into_iter().map(|row| row.first_seq).collect::<Vec<_>>();
    assert_eq!(bodies(reader.rows(1, 2).await.unwrap()), [1, 3]);
    assert_eq!(bodies(reader.rows(4, 9).await.unwrap()), [3, 5, 7, 9], "the row that holds sequence 4 comes first");
    assert_eq!(bodies(reader.rows(11, 9).await.unwrap()), [0u64; 0]);
    assert_eq!(reader.digest_before(11).await.unwrap(), Some(head.digest));
    assert_eq!(reader.digest_before(1).await.unwrap(), Some([0; 32]));
    assert_eq!(reader.digest_before(4).await.unwrap(), None, "no row ends there");
}

#[tokio::test]
async fn a_wrong_sequence_is_refused_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = filled(dir.path(), 2).await;
    for wrong in [1, 4, 6, 100] {
        let refused = journal.append(wrong, 1, 1, b"x").await.unwrap_err();
        assert!(matches!(refused, JournalError::Conflict { expected, found: 5 } if expected == wrong), "{refused}");
    }
    assert!(journal.append(5, 0, 1, b"x").await.is_err(), "a row holds at least one event");
    assert_eq!(journal.head().seq, 4);
    assert_eq!(JournalReader::open(dir.path()).await.unwrap().rows(5, 1).await.unwrap(), []);
    journal.append(5, 1, 1, b"x").await.unwrap();
}

#[tokio::test]
async fn a_row_written_behind_the_writer_is_a_conflict() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = filled(dir.path(), 1).await;
    tamper(dir.path(), "INSERT INTO journal VALUES (3, 1, 1, x'00', zeroblob(32))").await;
    assert!(matches!(
        journal.append(3, 1, 1, b"x").await,
        Err(JournalError::Conflict { .. } | JournalError::Unavailable(_))
    ));
    assert_eq!(journal.head().seq, 2);
}

#[tokio::test]
async fn a_second_writer_is_refused_while_the_first_lives() {
    let dir = tempfile::tempdir().unwrap();
    let first = SqliteJournal::open(dir.path()).await.unwrap();
    assert!(matches!(SqliteJournal::open(dir.path()).await, Err(JournalError::Locked(_))));
    assert_eq!(first.head(), Head::default());
    drop(first);
    SqliteJournal::open(dir.path()).await.unwrap();
}

#[tokio::test]
async fn the_chain_finds_an_edit_a_removal_and_a_reorder() {
    for (statement, at) in [
        ("UPDATE journal SET body = x'00' WHERE first_seq = 5", 5),
        ("UPDATE journal SET count = 3 WHERE first_seq = 5", 5),
        ("UPDATE journal SET digest = zeroblob(32) WHERE first_seq = 5", 5),
        ("DELETE FROM journal WHERE first_seq = 5", 7),
        ("UPDATE journal SET body = CASE first_seq WHEN 3 THEN 'row 2' ELSE 'row 1' END WHERE first_seq IN (3, 5)", 3),
    ] {
        let dir = tempfile::tempdir().unwrap();
        drop(filled(dir.path(), 5).await);
        assert_eq!(first_break(dir.path()).await, None);
        tamper(dir.path(), statement).await;
        assert_eq!(first_break(dir.path()).await, Some(at), "{statement}");
    }
}

#[tokio::test]
async fn snapshots_come_back_newest_first_and_old_ones_go() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = filled(dir.path(), 3).await;
    let saved = |seq| Snapshot { seq, format: 1, digest: [7; 32], body: vec![1, 2, 3] };
    for seq in [2, 4, 6] {
        journal.save_snapshot(&saved(seq)).await.unwrap();
    }
    journal.close().await.unwrap();
    let reader = JournalReader::open(dir.path()).await.unwrap();
    assert_eq!(reader.snapshots().await.unwrap(), [saved(6), saved(4)]);
}

#[tokio::test]
async fn the_log_starts_over_under_a_writer_that_never_pauses() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = SqliteJournal::open(dir.path()).await.unwrap();
    journal.reserve_log(1 << 20).await.unwrap();
    // Small commits in close order: pages arrive during every pass, so no pass alone ever finishes.
    for row in 0..5_000 {
        journal.append(row + 1, 1, 1, &[7; 4_000]).await.unwrap();
    }
    let log = std::fs::metadata(dir.path().join("journal.db-wal")).unwrap().len();
    assert!(log < 30 << 20, "about 60 MB went through the log and it is {log} bytes");
}

#[tokio::test]
async fn a_reserved_log_changes_nothing_that_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = filled(dir.path(), 3).await;
    journal.reserve_log(1 << 20).await.unwrap();
    assert!(std::fs::metadata(dir.path().join("journal.db-wal")).unwrap().len() >= 1 << 20);
    journal.append(7, 1, 1, b"after").await.unwrap();
    let head = journal.head();
    let copy = copied(dir.path());
    assert_eq!(SqliteJournal::open(copy.path()).await.unwrap().head(), head);
    assert_eq!(first_break(copy.path()).await, None);
}

#[tokio::test]
async fn a_row_torn_by_a_power_cut_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let log = |dir: &Path| dir.join("journal.db-wal");
    let mut journal = filled(dir.path(), 3).await;
    let (head, before) = (journal.head(), std::fs::metadata(log(dir.path())).unwrap().len());
    journal.append(7, 1, 1, &[7; 40_000]).await.unwrap();
    let after = std::fs::metadata(log(dir.path())).unwrap().len();
    for eighth in 0..8 {
        let copy = copied(dir.path());
        let file = std::fs::OpenOptions::new().write(true).open(log(copy.path())).unwrap();
        file.set_len(before + (after - before) * eighth / 8).unwrap();
        assert_eq!(SqliteJournal::open(copy.path()).await.unwrap().head(), head, "{eighth} eighths reached the disk");
    }
}

/// What a power cut would leave of a journal: its files as they are now, without the shared memory.
fn copied(dir: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in ["journal.db", "journal.db-wal"] {
        std::fs::copy(dir.join(file), copy.path().join(file)).unwrap();
    }
    copy
}

#[tokio::test]
async fn the_data_directory_is_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("data");
    let _journal = SqliteJournal::open(&dir).await.unwrap();
    assert_eq!(std::fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
}
