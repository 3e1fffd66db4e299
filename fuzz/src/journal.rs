//! What bytes do that lie where the journal and its snapshots should be. They are put to what a start reads them with,
//! which looks at digests first; so some get the right ones, as if whoever wrote them had known how.

use std::sync::LazyLock;

use countersign::engine::state::State;
use countersign::sequencer::codec::{self, Entry};
use countersign::sequencer::recovery::{self, SNAPSHOT_FORMAT};
use countersign::sequencer::replay::Replay;
use countersign::storage::journal::Row;
use countersign::storage::link;
use countersign::storage::snapshots::Snapshot;

use super::world;

/// The first byte says what the rest is, and on which beginning of the world it follows. Whether anything was read.
pub fn journal(bytes: &[u8]) -> bool {
    let Some((first, rest)) = bytes.split_first() else { return false };
    let before = &BEGINNINGS[usize::from(first / 4) % BEGINNINGS.len()];
    match first % 4 {
        0 => row(before.clone(), rest),
        1 => snapshot(rest),
        2 => damaged_row(before.clone(), rest),
        _ => damaged_snapshot(rest),
    }
}

/// The world before the first of its events, and after each.
static BEGINNINGS: LazyLock<Vec<Replay>> = LazyLock::new(|| {
    let mut all = vec![Replay::default()];
    for (at, event) in world::events() {
        let mut next = all[all.len() - 1].clone();
        next.state.apply(*at, event);
        all.push(next);
    }
    all
});

/// The body of a row that follows by its chain. What is read must be written, and read again, as the same; events that
/// cannot follow must be refused, and the others give a state that can be saved.
fn row(mut replay: Replay, body: &[u8]) -> bool {
    let Ok(entries) = codec::decode(codec::FORMAT, body) else { return false };
    let mut written = Vec::new();
    entries.iter().for_each(|Entry { at, by, events }| codec::encode(&mut written, *at, *by, events));
    assert_eq!(codec::decode(codec::FORMAT, &written).as_ref(), Ok(&entries));
    let (before, first_seq) = (replay.state.seq.0, replay.state.seq.next().0);
    let count = entries.iter().map(|entry| entry.events.len() as u32).sum();
    let chain = link(&replay.chain, first_seq, count, codec::FORMAT, body);
    if replay.take(&Row { first_seq, count, format: codec::FORMAT, body: body.to_vec(), chain }).is_ok() {
        assert_eq!(replay.state.seq.0, before + u64::from(count), "each event has its place");
        let _ = recovery::restore(&recovery::snapshot(&replay));
    }
    count > 0
}

/// The body of a snapshot that has the right digest. What is read must be written, and read again, as the same.
fn snapshot(body: &[u8]) -> bool {
    let Ok((seq, _)) = postcard::take_from_bytes(body) else { return false };
    let (format, state_digest) = (SNAPSHOT_FORMAT, State::digest_of(body));
    let saved = Snapshot { seq, format, chain: Default::default(), state_digest, body: body.to_vec() };
    let Some(replay) = recovery::restore(&saved) else { return false };
    let written = recovery::snapshot(&replay);
    let again = recovery::restore(&written).expect("what was written is read");
    assert_eq!(again.state.digest(), written.state_digest);
    let _ = replay.state.ledger.check();
    true
}

/// A row as it may lie there: format, count, chain and body.
fn damaged_row(mut replay: Replay, bytes: &[u8]) -> bool {
    let Some((format, rest)) = bytes.split_first_chunk() else { return false };
    let Some((count, rest)) = rest.split_first_chunk() else { return false };
    let Some((chain, body)) = rest.split_first_chunk() else { return false };
    let (format, count) = (u16::from_be_bytes(*format), u32::from_be_bytes(*count));
    let row = Row { first_seq: replay.state.seq.next().0, count, format, body: body.to_vec(), chain: *chain };
    assert!(replay.take(&row).is_err(), "a row is taken whose chain is wrong");
    true
}

/// A snapshot's file as it may lie there.
fn damaged_snapshot(file: &[u8]) -> bool {
    let Ok(snapshot) = Snapshot::read(file) else { return false };
    let _ = recovery::restore(&snapshot);
    true
}
