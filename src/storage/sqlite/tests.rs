//! What the journal in SQLite does beside the list that every journal keeps to.

use std::path::Path;

use super::{SqliteJournal, reader};

async fn filled(dir: &Path, rows: u64) -> SqliteJournal {
    let mut journal = SqliteJournal::open(dir).await.unwrap();
    for row in 0..rows {
        journal.append(row * 2 + 1, 2, 1, format!("row {row}").as_bytes()).await.unwrap();
    }
    journal
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
    let rows = reader(copy.path()).await.unwrap().rows(1, 10).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.first_seq).collect::<Vec<_>>(), [1, 3, 5, 7]);
}

#[tokio::test]
async fn d6_69_a_row_torn_by_a_power_cut_leaves_nothing() {
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
