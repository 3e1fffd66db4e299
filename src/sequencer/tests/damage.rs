//! A journal's files that are not as they were written: the start refuses and names the place, or recovers exactly.

use std::path::PathBuf;

use super::*;
use crate::storage::head::{check_head, write_head};

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
    codec::encode(&mut body, Moment(u64::from(row)), SERVER.actor, &[asset(row)]);
    journal.append(u64::from(row), 1, codec::FORMAT, &body).await.unwrap();
}

fn file(dir: &Path) -> PathBuf {
    dir.join("journal.db")
}

/// Starts as the server does on a journal that ended at `head` and whose file holds `bytes`: the state's digest, or what
/// the operator is told.
async fn started(bytes: &[u8], head: Head) -> Result<Digest, String> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(file(dir.path()), bytes).unwrap();
    write_head(dir.path(), head).unwrap();
    let storage = storage(dir.path());
    let journal = storage.journal().await.map_err(|error| error.to_string())?;
    let reader = storage.reader().await.map_err(|error| error.to_string())?;
    begin(dir.path(), journal, reader).await
}

async fn begin(dir: &Path, journal: Journal, reader: JournalReader) -> Result<Digest, String> {
    check_head(dir, &reader).await.map_err(|error| error.to_string())?;
    let (sender, _released) = unbounded_channel();
    let opened = open(journal, &reader, &snapshots(dir), clock, 1, Tiers::default(), |_| Probe(sender)).await;
    opened.map(|(sequencer, _)| sequencer.engine.state().digest()).map_err(|error| error.to_string())
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
    let rows = reader(dir.path()).await.rows(1, 100).await.unwrap();
    let boundaries = rows.iter().flat_map(|row| {
        let (body, chain) = (position(&bytes, &row.body), position(&bytes, &row.digest));
        [body, body + row.body.len(), chain, chain + row.digest.len()]
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
        let journal = Journal::Memory(disk.journal().unwrap());
        let started = begin(dir.path(), journal, JournalReader::Memory(disk)).await;
        assert!(started.as_ref().is_err_and(|why| why.contains(place)), "{missing}: {started:?}");
    }
}
