//! Tests of the journal in SQLite beyond the list for every journal.

use std::path::Path;

use sqlx::{ConnectOptions as _, Connection as _};

use super::{SqliteJournal, checkpoint, options, reader};

async fn filled(dir: &Path, rows: u64) -> SqliteJournal {
    let mut journal = SqliteJournal::open(dir).await.unwrap();
    for row in 0..rows {
        journal.append(row * 2 + 1, 2, 1, format!("row {row}").as_bytes()).await.unwrap();
    }
    journal
}

/// Makes the disk accept or refuse writes, as if it were read-only, for the connection and for the reserve beside it.
pub async fn admit(dir: &Path, journal: &mut SqliteJournal, writes: bool) {
    let in_the_way = dir.join("reserve.new");
    if writes {
        return std::fs::remove_dir(in_the_way).unwrap();
    }
    std::fs::create_dir(in_the_way).unwrap();
    sqlx::query("PRAGMA query_only = 1").execute(&mut journal.writer).await.unwrap();
}

#[tokio::test]
async fn the_log_starts_over_under_a_writer_that_never_pauses() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = SqliteJournal::open(dir.path()).await.unwrap();
    // Small commits in quick succession: pages arrive during every pass, so passes alone never finish.
    for row in 0..5_000 {
        journal.append(row + 1, 1, 1, &[7; 4_000]).await.unwrap();
    }
    let log = std::fs::metadata(dir.path().join("journal.db-wal")).unwrap().len();
    assert!(log < 30 << 20, "about 60 MB went through the log and it is {log} bytes");
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

/// A reader prevents the end of a checkpoint, so nothing is synced yet; then the pages that it copied are lost.
#[tokio::test]
async fn d6_70_a_probe_writes_anew_what_was_copied_and_never_synced() {
    let dir = tempfile::tempdir().unwrap();
    let database = dir.path().join("journal.db");
    let mut journal = filled(dir.path(), 100).await;
    let mut looking = options(&database).connect().await.unwrap();
    let mut snapshot = looking.begin().await.unwrap();
    sqlx::query("SELECT count(*) FROM journal").execute(&mut *snapshot).await.unwrap();
    let before = std::fs::read(&database).unwrap();
    journal.append(201, 2, 1, b"unseen by who looks").await.unwrap();
    assert!(checkpoint::pass(&mut journal.writer, journal.files).await.unwrap() > 100);
    assert_ne!(std::fs::read(&database).unwrap(), before);
    snapshot.commit().await.unwrap();
    looking.close().await.unwrap();
    // In place: the open file must stay the same one.
    std::fs::write(&database, before).unwrap();
    journal.probe().await.unwrap();

    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(&database, copy.path().join("journal.db")).unwrap();
    assert_eq!(SqliteJournal::open(copy.path()).await.unwrap().head(), journal.head());
    assert_eq!(reader(copy.path()).await.unwrap().rows(1, u64::MAX, 1_000).await.unwrap().len(), 101);
}

#[tokio::test]
async fn a_close_beside_a_long_reader_leaves_the_log_and_is_no_failure() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = filled(dir.path(), 3).await;
    let mut looking = options(&dir.path().join("journal.db")).connect().await.unwrap();
    let mut snapshot = looking.begin().await.unwrap();
    sqlx::query("SELECT count(*) FROM journal").execute(&mut *snapshot).await.unwrap();
    // After what the reader sees, so that it cannot be copied.
    journal.append(7, 1, 1, b"unseen by who looks").await.unwrap();
    let head = journal.head();
    // Otherwise it would wait five seconds for the reader.
    sqlx::query("PRAGMA busy_timeout = 0").execute(&mut journal.writer).await.unwrap();
    journal.close().await.unwrap();
    let copy = copied(dir.path());
    snapshot.commit().await.unwrap();
    looking.close().await.unwrap();
    assert!(std::fs::metadata(copy.path().join("journal.db-wal")).unwrap().len() > 0, "nobody was in the way");
    for dir in [copy.path(), dir.path()] {
        assert_eq!(SqliteJournal::open(dir).await.unwrap().head(), head);
    }
}

/// What a power cut would leave of a journal: its current files, without the shared memory.
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
