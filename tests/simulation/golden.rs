//! The golden journal: a file that an earlier build wrote, and the state that each later build must derive from it. It
//! reveals an event changed without a new format, and a format that is no longer read.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use countersign::engine::event::Event;
use countersign::sequencer::recovery::{SNAPSHOT_FORMAT, Verified, recent, verify};
use countersign::storage::snapshots::Snapshots;
use countersign::storage::{JournalReader, Storage};

use super::kinds::Kind as _;
use super::run::{Faults, Plan, play};

/// The run that generates the journal when it is written again: it has every kind of event.
const PLAN: Plan = Plan { seed: 13, requests: 40_000, faults: Faults::Bounded };
/// Its last event, the chain there, and the digest of the state, which changes with each snapshot format.
const SEQ: u64 = 16538;
const CHAIN: &str = "bfb16d6bae0623c9bfb529068b7df5e5aed18efebbd5f475a24320945acdb8d8";
const STATE: (u16, &str) = (11, "3fd1b066b2aad680d55bfa430e454489c6ec2bd80ed7fbdb361759da01b533ea");

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/simulation/golden/format-7.sqlite")
}

/// `WRITE_GOLDEN=1` first writes the file again, which is right only for a new journal format.
#[test]
fn the_golden_journal_replays_to_the_state_that_it_was_written_of() {
    let written = std::env::var_os("WRITE_GOLDEN").map(|_| play(PLAN).journal);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (verified, kinds) = runtime.block_on(async {
        if let Some(journal) = written {
            write(&journal).await;
        }
        let dir = tempfile::tempdir().unwrap();
        std::fs::copy(golden(), dir.path().join("journal.db")).unwrap();
        let reader = Storage::Sqlite(dir.path().to_owned()).reader().await.unwrap();
        let events = recent(&reader, u64::MAX).await.unwrap();
        let kinds: BTreeSet<&str> = events.iter().map(|stamped| stamped.event.kind()).collect();
        (verify(&reader, &Snapshots::under(dir.path())).await.unwrap(), kinds)
    });
    let Verified { seq, chain, state, .. } = verified;
    assert_eq!((seq, hex::encode(chain).as_str()), (SEQ, CHAIN));
    assert_eq!((SNAPSHOT_FORMAT, hex::encode(state).as_str()), STATE);
    let missing: Vec<&str> = Event::ALL.iter().copied().filter(|kind| !kinds.contains(kind)).collect();
    assert!(missing.is_empty(), "kinds of events that are not in it: {missing:?}");
}

async fn write(journal: &JournalReader) {
    let dir = tempfile::tempdir().unwrap();
    let mut copy = Storage::Sqlite(dir.path().to_owned()).journal().await.unwrap();
    for row in journal.rows(1, u64::MAX, u32::MAX).await.unwrap() {
        copy.append(row.first_seq, row.count, row.format, &row.body).await.unwrap();
    }
    copy.close().await.unwrap();
    std::fs::copy(dir.path().join("journal.db"), golden()).unwrap();
}
