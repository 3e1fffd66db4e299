//! The shadow over a real journal: what it saves, when it is trusted, and what a difference causes.

use tokio::sync::watch;

use super::{FinalState, Shadow, ShadowThread};
use crate::access::principal::Actor;
use crate::domain::ids::{AccountId, AssetId};
use crate::domain::money::Amount;
use crate::domain::orders::Order;
use crate::domain::time::Moment;
use crate::engine::event::Event;
use crate::engine::ledger::Ledger;
use crate::engine::reference::Reference;
use crate::engine::state::State;
use crate::sequencer::codec;
use crate::sequencer::recovery::{RecoveryError, recover, verify};
use crate::sequencer::replay::Replay;
use crate::storage::journal::{Head, JournalError};
use crate::storage::memory::{Disk, Fault};
use crate::storage::snapshots::Snapshots;
use crate::storage::{Journal, JournalReader};

/// A journal, and the shadow that follows it.
struct Followed {
    disk: Disk,
    journal: Journal,
    head: watch::Sender<Head>,
    shadow: Shadow,
}

impl Followed {
    /// With a snapshot after `every` events.
    fn new(every: u64) -> Followed {
        let disk = Disk::default();
        let journal = Journal::Memory(disk.journal().unwrap());
        let (head, following) = watch::channel(Head::default());
        let snapshots = Snapshots::Memory(disk.clone());
        let reader = JournalReader::Memory(disk.clone());
        let shadow = Shadow::new(reader, snapshots, following, every);
        Followed { disk, journal, head, shadow }
    }

    /// Journals rows of two events each.
    async fn journal(&mut self, rows: u64) {
        for _ in 0..rows {
            let first = self.journal.head().seq + 1;
            let halt = |seq: u64| Event::Halted { reason: format!("event {seq}") };
            let mut body = Vec::new();
            codec::encode(&mut body, Moment(first), Actor::Server, &[halt(first), halt(first + 1)]);
            self.journal.append(first, 2, codec::FORMAT, &body).await.unwrap();
        }
        self.head.send_replace(self.journal.head());
    }

    fn reader(&self) -> JournalReader {
        JournalReader::Memory(self.disk.clone())
    }

    fn snapshots(&self) -> Snapshots {
        Snapshots::Memory(self.disk.clone())
    }

    fn saved(&self) -> Vec<u64> {
        self.snapshots().newest_first().map(|snapshot| snapshot.seq).collect()
    }

    /// The state of a shadow that has begun to follow.
    fn state(&mut self) -> &mut State {
        &mut self.shadow.replay.as_mut().unwrap().state
    }

    /// What the engine would report at the end.
    async fn ending(&self) -> FinalState {
        let mut replay = Replay::default();
        replay.follow(&self.reader(), u64::MAX, |_| Ok(())).await.unwrap();
        FinalState::of(&replay.state)
    }
}

#[tokio::test]
async fn snapshots_are_saved_as_they_fall_due_and_a_start_goes_on_from_the_newest() {
    let mut followed = Followed::new(10);
    followed.journal(4).await;
    followed.shadow.catch_up().await.unwrap();
    assert_eq!(followed.saved(), [0u64; 0], "8 events are not 10");
    followed.journal(11).await;
    assert_eq!(followed.saved(), [0u64; 0], "it is told nothing before it looks");
    followed.shadow.catch_up().await.unwrap();
    assert_eq!(followed.saved(), [30, 20]);
    followed.journal(1).await;
    // If an earlier row were read, decoding it would fail.
    followed.disk.damage(|rows, _| rows[..15].iter_mut().for_each(|row| row.format = 0));
    let recovered = recover(&followed.reader(), &followed.snapshots()).await.unwrap();
    assert_eq!(recovered.seq.0, 32);
    assert_eq!(recovered.halted.as_deref(), Some("event 32"));
}

#[tokio::test]
async fn a_snapshot_of_many_orders_is_not_saved_again_before_as_many_events() {
    let mut followed = Followed::new(10);
    let (reference, ledger) = (Reference::btc_usd(4, 1), &mut Ledger::default());
    followed.shadow.catch_up().await.unwrap();
    let orders = &mut followed.state().orders;
    orders.add_market();
    for id in 1..=24 {
        orders.apply(Moment(id), &Event::OrderPlaced { order: Order::waiting(id), rests: false }, &reference, ledger);
    }
    followed.journal(20).await;
    followed.shadow.catch_up().await.unwrap();
    assert_eq!(followed.saved(), [34, 10], "24 orders are more than 10 events");
}

#[tokio::test]
async fn damaged_snapshots_are_passed_over_and_the_journal_replayed() {
    let mut followed = Followed::new(10);
    followed.journal(10).await;
    followed.shadow.catch_up().await.unwrap();
    let whole = followed.ending().await;
    followed.disk.damage(|_, snapshots| snapshots.iter_mut().for_each(|snapshot| snapshot.body[0] ^= 1));
    let recovered = recover(&followed.reader(), &followed.snapshots()).await.unwrap();
    assert_eq!(FinalState::of(&recovered), whole);
    let verified = verify(&followed.reader(), &followed.snapshots()).await;
    assert!(matches!(verified, Err(RecoveryError::Snapshot { at: 10 })), "{verified:?}");
}

#[tokio::test]
async fn an_orderly_stop_that_agrees_leaves_a_snapshot_of_the_end() {
    let mut followed = Followed::new(1_000);
    followed.journal(3).await;
    let (ending, snapshots, reader) = (followed.ending().await, followed.snapshots(), followed.reader());
    followed.shadow.finish(ending).await.unwrap();
    let verified = verify(&reader, &snapshots).await.unwrap();
    assert_eq!((verified.snapshots, verified.seq, verified.state), (1, 6, ending.state_digest));
}

#[tokio::test]
async fn a_shadow_that_differs_is_told_at_the_stop_and_none_of_its_snapshots_is_left() {
    let mut followed = Followed::new(4);
    followed.shadow.catch_up().await.unwrap();
    // As when a bit of its memory flips: a different state from here on, with the same history.
    followed.state().ledger.hold(AccountId::at(0), AssetId::at(0), Amount(1));
    followed.journal(3).await;
    followed.shadow.catch_up().await.unwrap();
    assert_eq!(followed.saved(), [4]);
    let (ending, snapshots, reader) = (followed.ending().await, followed.snapshots(), followed.reader());
    let differs = followed.shadow.finish(ending).await.unwrap_err();
    assert!(matches!(differs, RecoveryError::Diverged { at: 6 }), "{differs}");
    assert_eq!(snapshots.newest_first().count(), 0);
    assert_eq!(FinalState::of(&recover(&reader, &snapshots).await.unwrap()), ending);
}

#[tokio::test]
async fn a_row_that_is_not_what_was_written_ends_the_snapshots() {
    let mut followed = Followed::new(2);
    followed.journal(2).await;
    followed.shadow.catch_up().await.unwrap();
    followed.journal(1).await;
    followed.disk.damage(|rows, _| rows[2].body[3] ^= 1);
    let found = followed.shadow.catch_up().await.unwrap_err();
    assert!(matches!(found, RecoveryError::Journal(JournalError::Corrupt { at: 5, .. })), "{found}");
    assert_eq!(followed.saved(), [4, 2]);
}

/// Law 1: anything acknowledged after that would lie behind a row that no start can read.
#[tokio::test]
async fn a_row_that_is_not_what_was_written_is_told_while_the_server_runs() {
    let mut followed = Followed::new(2);
    followed.journal(3).await;
    followed.disk.damage(|rows, _| rows[2].body[3] ^= 1);
    let mut thread = followed.shadow.start().unwrap();
    thread.broken().await;
    let found = thread.finish(None).unwrap_err();
    assert!(matches!(found, RecoveryError::Journal(JournalError::Corrupt { at: 5, .. })), "{found}");
}

#[tokio::test]
async fn a_shadow_that_panics_is_told_while_the_server_runs() {
    let mut thread = ShadowThread::start(|_| panic!("as when replay comes to what the engine cannot have")).unwrap();
    thread.broken().await;
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| thread.finish(None))).is_err());
}

#[tokio::test]
async fn it_begins_with_the_newest_snapshot_and_saves_the_next_as_long_after_it() {
    let mut followed = Followed::new(10);
    followed.journal(7).await;
    followed.shadow.catch_up().await.unwrap();
    assert_eq!(followed.saved(), [10]);
    // If an earlier row were read, decoding it would fail.
    followed.disk.damage(|rows, _| rows[..5].iter_mut().for_each(|row| row.format = 0));
    let (reader, snapshots) = (followed.reader(), followed.snapshots());
    followed.shadow = Shadow::new(reader, snapshots, followed.head.subscribe(), 10);
    followed.journal(2).await;
    followed.shadow.catch_up().await.unwrap();
    assert_eq!((followed.state().seq.0, followed.saved()), (18, vec![10]));
    followed.journal(1).await;
    followed.shadow.catch_up().await.unwrap();
    assert_eq!(followed.saved(), [20, 10]);
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_saved_is_tried_again_with_the_next_due() {
    let mut followed = Followed::new(4);
    followed.journal(2).await;
    followed.disk.fail(Fault::Full);
    followed.shadow.catch_up().await.unwrap();
    assert_eq!(followed.saved(), [0u64; 0]);
    followed.disk.heal();
    followed.journal(2).await;
    followed.shadow.catch_up().await.unwrap();
    assert_eq!(followed.saved(), [8]);
}

/// Rows after the head are another writer's, or not known to be on disk.
#[tokio::test]
async fn it_follows_no_further_than_the_head_and_the_ending() {
    let mut followed = Followed::new(1_000);
    followed.journal(3).await;
    let (ending, head) = (followed.ending().await, followed.journal.head());
    followed.journal(2).await;
    followed.head.send_replace(head);
    followed.shadow.catch_up().await.unwrap();
    assert_eq!(followed.state().seq.0, 6);
    let snapshots = followed.snapshots();
    followed.shadow.finish(ending).await.unwrap();
    assert_eq!(snapshots.newest_first().map(|snapshot| snapshot.seq).collect::<Vec<_>>(), [6]);
}
