//! A start: how fast the journal is replayed, and how long a start takes with the snapshots of a killed server.

use std::time::Instant;

use countersign::access::principal::Actor;
use countersign::sequencer::codec;
use countersign::sequencer::recovery::{recent, recover, snapshot};
use countersign::sequencer::replay::Replay;
use countersign::storage::snapshots::Snapshots;
use countersign::storage::{Journal, Storage};

use crate::mix::Mix;

/// Orders that rest in the book while the journal is written.
const RESTING: usize = 10_000;
/// Events of a row: a group commit under load.
const ROW: u64 = 1_000;
/// Events after which a server saves a snapshot, unless it is set otherwise.
const SNAPSHOT_EVENTS: u64 = 1_000_000;
/// What a server reads so that streams can resume.
const RECENT: u64 = 100_000;

/// Writes a journal of `events`, then starts on it without and with snapshots.
pub fn print(events: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("there are threads");
    runtime.block_on(measure(events));
}

async fn measure(events: u64) {
    let dir = tempfile::tempdir().expect("there is a place for files");
    let storage = Storage::Sqlite(dir.path().to_owned());
    write(storage.journal().await.expect("it is new"), events).await;
    let reader = storage.reader().await.expect("it is there");
    let snapshots = Snapshots::under(dir.path());

    let began = Instant::now();
    let state = recover(&reader, &snapshots).await.expect("the journal is sound");
    let (took, events) = (began.elapsed().as_secs_f64(), state.seq.0);
    println!("replay of {events} events: {took:.2} s, {:.0} a second", events as f64 / took);

    // As if killed right before the next snapshot was due.
    let mut replay = Replay::default();
    let until = events.saturating_sub(SNAPSHOT_EVENTS).max(1);
    replay.follow(&reader, until, |_| Ok(())).await.expect("the journal is sound");
    let began = Instant::now();
    let saved = snapshot(&replay);
    println!("a snapshot of {} bytes: {:.3} s", saved.body.len(), began.elapsed().as_secs_f64());
    snapshots.save(&saved).expect("there is room");
    let began = Instant::now();
    let recovered = recover(&reader, &snapshots).await.expect("the journal is sound");
    println!("start from a snapshot {} events ago: {:.2} s", events - saved.seq, began.elapsed().as_secs_f64());
    assert_eq!(recovered.digest(), state.digest());

    let began = Instant::now();
    let events = recent(&reader, RECENT).await.expect("the journal is sound");
    println!("the last {} events for streams: {:.2} s", events.len(), began.elapsed().as_secs_f64());
}

async fn write(mut journal: Journal, events: u64) {
    let mut mix = Mix::new(RESTING, false);
    // The world is the first row.
    let (mut at, mut by, mut row) = (mix.engine.state().at, Actor::Server, 0);
    let mut body = Vec::new();
    while journal.head().seq + row < events {
        row += mix.engine.events().len() as u64;
        codec::encode(&mut body, at, by, mix.engine.events());
        if row >= ROW {
            let first = journal.head().seq + 1;
            let count = u32::try_from(row).expect("a row is small");
            journal.append(first, count, codec::FORMAT, &body).await.expect("the disk takes it");
            (row, body) = (0, Vec::new());
        }
        let step = mix.step();
        (at, by) = (step.at, step.by.actor);
    }
    journal.close().await.expect("the disk takes it");
}
