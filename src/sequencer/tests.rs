//! The sequencer over a real journal: what was released survives, what was not is never shown.

mod damage;
mod disk;

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::FutureExt as _;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::handle::{Handle, Outcome, Submission, Work};
use super::recovery::{RecoveryError, SNAPSHOT_FORMAT, recover, snapshot, verify};
use super::replay::Replay;
use super::*;
use crate::access::key::KeySettings;
use crate::access::principal::Credential;
use crate::access::tier::Tiers;
use crate::domain::assets::Asset;
use crate::domain::ids::{AssetId, MemberId, OrganizationId, Seq, VenueKeyId};
use crate::domain::money::Amount;
use crate::domain::text::AssetCode;
use crate::engine::event::Event;
use crate::engine::keys::{KeyRef, VenueKey};
use crate::engine::reject::Code;
use crate::engine::sessions::MemberSession;
use crate::storage::memory::Disk;
use crate::storage::snapshots::Snapshot;
use crate::storage::{Digest, Storage};

/// Passes every batch on to the test.
struct Probe(UnboundedSender<Released<usize>>);

impl Release for Probe {
    type Ticket = usize;

    fn release(&mut self, batch: Released<usize>) {
        let _ = self.0.send(batch);
    }

    fn failed(&mut self, tickets: Vec<usize>) {
        let refused = |ticket| (ticket, Err(Code::Halted.into()));
        let answers = tickets.into_iter().map(refused).collect();
        let _ = self.0.send(Released { events: Arc::default(), answers, waiting: 0 });
    }

    fn accepting(&mut self, _accepts: bool) {}
}

fn clock() -> Moment {
    Moment(1_000_000)
}

fn asset(number: u16) -> Event {
    Event::AssetAdded(Asset {
        id: AssetId(number),
        code: AssetCode::from(&format!("A{number}")).unwrap(),
        decimals: 8,
        display_decimals: 4,
        method: String::new(),
        network: String::new(),
        withdrawal_min: Amount::ZERO,
        withdrawal_fee: Amount::ZERO,
        deposit_min: Amount::ZERO,
    })
}

fn venue_key() -> Event {
    Event::VenueKeyChanged(VenueKey {
        id: VenueKeyId(1),
        name: String::new(),
        api_key: "venue".to_owned(),
        secret_sealed: Vec::new(),
        credential: 1,
        settings: KeySettings::default(),
        expired: false,
    })
}

/// Sent with [`venue_key`]; the ticket is its nonce.
fn open_session(ticket: usize) -> Submission<usize> {
    let by = Principal { credential: Credential::Key(1), ..Principal::public(Ipv4Addr::LOCALHOST.into()) };
    let command = Command::OpenSession { key: KeyRef::Venue(VenueKeyId(1)), nonce: ticket as u64 };
    Submission { by, work: Work::Command(command), ticket }
}

/// Sent by nobody in particular, and refused.
fn cancel_all(ticket: usize) -> Submission<usize> {
    let by = Principal::public(Ipv4Addr::LOCALHOST.into());
    Submission { by, work: Work::Command(Command::CancelAll), ticket }
}

fn storage(dir: &Path) -> Storage {
    Storage::Sqlite(dir.to_owned())
}

async fn reader(dir: &Path) -> JournalReader {
    storage(dir).reader().await.unwrap()
}

fn snapshots(dir: &Path) -> Snapshots {
    Snapshots::under(dir)
}

async fn opened(dir: &Path) -> (Sequencer<Probe>, Handle<usize>, UnboundedReceiver<Released<usize>>) {
    let (sender, receiver) = unbounded_channel();
    let (journal, reader) = (storage(dir).journal().await.unwrap(), reader(dir).await);
    let recovered = Recovered::of(journal, &reader, &snapshots(dir)).await.unwrap();
    let (sequencer, handle) = recovered.open(clock, 1_000, Tiers::default(), Probe(sender));
    (sequencer, handle, receiver)
}

async fn recovered(disk: &Disk) -> Result<Recovered, RecoveryError> {
    let (reader, snapshots) = (JournalReader::Memory(disk.clone()), Snapshots::Memory(disk.clone()));
    Recovered::of(Journal::Memory(disk.journal().unwrap()), &reader, &snapshots).await
}

async fn on(disk: &Disk) -> (Sequencer<Probe>, Handle<usize>, UnboundedReceiver<Released<usize>>) {
    let (sender, receiver) = unbounded_channel();
    let (sequencer, handle) = recovered(disk).await.unwrap().open(clock, 1_000, Tiers::default(), Probe(sender));
    (sequencer, handle, receiver)
}

/// Its ending when nobody makes it give up.
async fn running(sequencer: Sequencer<Probe>) -> Result<FinalState, JournalError> {
    let ending = sequencer.run(std::future::pending()).await.close().await?;
    Ok(ending.expect("it gives up only when it is told to"))
}

/// Writes `assets` as the genesis of a new journal and stops without a snapshot, as a kill would.
async fn killed_after(dir: &Path, assets: u16) -> [u8; 32] {
    let (mut sequencer, _handle, mut released) = opened(dir).await;
    sequencer.start(Some(Command::Genesis((1..=assets).map(asset).collect()))).await.unwrap();
    assert_eq!(released.recv().await.unwrap().events.len(), usize::from(assets));
    sequencer.engine.state().digest()
}

/// Writes `assets` as the genesis of a new journal, with a shadow that saves a snapshot after each event, and is
/// killed. Returns the digest of the state.
async fn followed(dir: &Path, assets: u16) -> [u8; 32] {
    let (mut sequencer, _handle, _released) = opened(dir).await;
    let mut shadow = sequencer.shadow(1);
    sequencer.start(Some(Command::Genesis((1..=assets).map(asset).collect()))).await.unwrap();
    shadow.catch_up().await.unwrap();
    sequencer.engine.state().digest()
}

#[tokio::test]
async fn what_was_released_is_there_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let digest = killed_after(dir.path(), 3).await;
    let (reader, snapshots) = (reader(dir.path()).await, snapshots(dir.path()));
    let state = recover(&reader, &snapshots).await.unwrap();
    assert_eq!(state.digest(), digest);
    assert_eq!(state.reference.assets().len(), 3);
    let verified = verify(&reader, &snapshots).await.unwrap();
    assert_eq!((verified.seq, verified.state), (3, digest));
}

#[tokio::test]
async fn genesis_is_refused_once_the_journal_holds_anything() {
    let dir = tempfile::tempdir().unwrap();
    killed_after(dir.path(), 1).await;
    let (mut sequencer, _handle, _released) = opened(dir.path()).await;
    assert!(sequencer.start(Some(Command::Genesis(vec![asset(2)]))).await.is_err());
    assert_eq!(sequencer.engine.state().reference.assets().len(), 1);
}

#[tokio::test]
async fn everything_accepted_is_answered_in_order_before_a_stop() {
    let dir = tempfile::tempdir().unwrap();
    killed_after(dir.path(), 2).await;
    let (sequencer, handle, mut released) = opened(dir.path()).await;
    handle.submit((0..100).map(cancel_all).collect()).unwrap();
    handle.submit((100..150).map(cancel_all).collect()).unwrap();
    drop(handle);
    running(sequencer).await.unwrap();
    let mut answered = Vec::<(usize, Outcome)>::new();
    while let Some(batch) = released.recv().await {
        assert!(batch.events.is_empty());
        answered.extend(batch.answers);
    }
    assert_eq!(answered.iter().map(|(ticket, _)| *ticket).collect::<Vec<_>>(), (0..150).collect::<Vec<_>>());
    assert!(answered.iter().all(|(_, outcome)| outcome.is_err()), "nobody in particular may not cancel");
}

/// Found by the simulation: what was accepted while a batch was on its way to the disk was dropped when the queue
/// closed at the same moment, so the engine's final state had more than the journal.
#[tokio::test]
async fn what_is_taken_while_the_last_batch_is_on_its_way_is_journalled_and_answered() {
    let disk = Disk::default();
    let (mut sequencer, handle, mut released) = on(&disk).await;
    sequencer.start(Some(Command::Genesis(vec![venue_key()]))).await.unwrap();
    released.recv().await.unwrap();
    disk.slow(3);
    handle.submit(vec![open_session(1)]).unwrap();
    let mut run = std::pin::pin!(running(sequencer));
    assert!(run.as_mut().now_or_never().is_none(), "the first batch is on its way");
    handle.submit(vec![open_session(2)]).unwrap();
    drop(handle);
    let ending = run.await.unwrap();
    let answered = [released.recv().await, released.recv().await].map(|batch| batch.unwrap().answers[0].clone());
    assert!(answered.iter().all(|(_, outcome)| outcome.is_ok()), "{answered:?}");
    let verified = verify(&JournalReader::Memory(disk.clone()), &Snapshots::Memory(disk)).await.unwrap();
    assert_eq!((verified.seq, verified.state), (ending.seq, ending.state_digest));
}

/// A wall clock that is set forward and back.
static JUMPY: AtomicU64 = AtomicU64::new(1_000_000);

#[tokio::test]
async fn d6_74_stamps_never_go_back_when_the_wall_clock_does() {
    let disk = Disk::default();
    let (sender, mut released) = unbounded_channel();
    let clock = || Moment(JUMPY.load(Ordering::Relaxed));
    let (mut sequencer, handle) = recovered(&disk).await.unwrap().open(clock, 1_000, Tiers::default(), Probe(sender));
    sequencer.start(Some(Command::Genesis(vec![venue_key()]))).await.unwrap();
    released.recv().await.unwrap();
    let running = tokio::spawn(running(sequencer));
    let mut stamps = Vec::new();
    for (nonce, shown) in [(1, 2_000_000), (2, 90_000_000_000), (3, 5), (4, 3_000_000), (5, 90_000_000_001)] {
        JUMPY.store(shown, Ordering::Relaxed);
        handle.submit(vec![open_session(nonce)]).unwrap();
        stamps.push(released.recv().await.unwrap().events[0].at.0);
    }
    assert_eq!(stamps, [2_000_000, 90_000_000_000, 90_000_000_000, 90_000_000_000, 90_000_000_001]);
    drop(handle);
    running.await.unwrap().unwrap();
    verify(&JournalReader::Memory(disk.clone()), &Snapshots::Memory(disk)).await.unwrap();
}

/// Submits something new at each release, so that the queue is never empty.
struct Insisting {
    handle: Option<Handle<usize>>,
    released: UnboundedSender<Released<usize>>,
}

impl Release for Insisting {
    type Ticket = usize;

    fn release(&mut self, batch: Released<usize>) {
        if let Some(handle) = &self.handle {
            handle.submit(vec![cancel_all(0)]).unwrap();
        }
        if !batch.events.is_empty() && self.released.send(batch).is_err() {
            self.handle = None;
        }
    }

    fn failed(&mut self, _tickets: Vec<usize>) {}

    fn accepting(&mut self, _accepts: bool) {}
}

/// The wall clock of a server that is never idle.
static BUSY: AtomicU64 = AtomicU64::new(1);

/// Rule 39: the load does not delay what is due.
#[tokio::test(start_paused = true)]
async fn what_falls_due_happens_while_the_queue_is_never_empty() {
    let disk = Disk::default();
    let (sender, mut released) = unbounded_channel();
    let clock = || Moment(BUSY.load(Ordering::Relaxed));
    let release = Insisting { handle: None, released: sender };
    let (mut sequencer, handle) = recovered(&disk).await.unwrap().open(clock, 1_000, Tiers::default(), release);
    let (member, organization, ends_at) = (MemberId(1), OrganizationId(1), Moment(2));
    let session = MemberSession { cookie_hash: [7; 32], member, organization, ends_at };
    let opened = Event::SessionOpened(session.clone());
    sequencer.start(Some(Command::Genesis(vec![opened.clone()]))).await.unwrap();
    handle.submit(vec![cancel_all(0)]).unwrap();
    sequencer.release.handle = Some(handle);
    BUSY.store(ends_at.0, Ordering::Relaxed);
    let running = tokio::spawn(sequencer.run(std::future::pending()));
    let mut reported = Vec::new();
    for _ in 0..100 {
        tokio::time::advance(TICK).await;
        reported.extend(released.try_recv().into_iter().flat_map(|batch| batch.events.to_vec()));
    }
    assert_eq!(
        reported.iter().map(|stamped| &stamped.event).collect::<Vec<_>>(),
        [&opened, &Event::SessionClosed(session)]
    );
    drop(released);
    running.abort();
}

/// Rule 39: the next tick comes with the next batch, not at its usual time.
#[tokio::test(start_paused = true)]
async fn what_a_tick_leaves_happens_at_once_in_batches() {
    let (mut sequencer, handle, mut released) = on(&Disk::default()).await;
    let over = |number: usize| {
        let mut cookie_hash = [0; 32];
        cookie_hash[..8].copy_from_slice(&number.to_le_bytes());
        let (member, organization) = (MemberId(1), OrganizationId(1));
        Event::SessionOpened(MemberSession { cookie_hash, member, organization, ends_at: clock() })
    };
    let sessions = 3 * TICK_EVENTS_MAX + 1;
    sequencer.start(Some(Command::Genesis((0..sessions).map(over).collect()))).await.unwrap();
    assert_eq!(released.recv().await.unwrap().events.len(), sessions + TICK_EVENTS_MAX);
    let running = tokio::spawn(running(sequencer));
    let since = Instant::now();
    for left in [TICK_EVENTS_MAX, TICK_EVENTS_MAX, 1] {
        assert_eq!(released.recv().await.unwrap().events.len(), left);
    }
    assert_eq!(since.elapsed(), Duration::ZERO);
    drop(handle);
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn d6_69_a_snapshot_that_cannot_be_read_is_passed_over_and_one_that_lies_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let digest = killed_after(dir.path(), 2).await;
    let (reader, snapshots) = (reader(dir.path()).await, snapshots(dir.path()));
    let chain = reader.chain_before(3).await.unwrap().unwrap();
    let lie = snapshot(&Replay { state: State { seq: Seq(2), ..State::default() }, chain });
    snapshots.save(&Snapshot { format: SNAPSHOT_FORMAT + 1, ..lie.clone() }).unwrap();
    assert_eq!(recover(&reader, &snapshots).await.unwrap().digest(), digest, "another format is not read");
    snapshots.save(&Snapshot { state_digest: [1; 32], ..lie }).unwrap();
    assert_eq!(recover(&reader, &snapshots).await.unwrap().digest(), digest);
    assert!(matches!(verify(&reader, &snapshots).await, Err(RecoveryError::Diverged { at: 2 })));
}

#[tokio::test]
async fn a_snapshot_of_another_journal_refuses_to_start_and_says_where() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let digest = followed(other.path(), 3).await;
    let (reader, others) = (reader(dir.path()), snapshots(other.path()));
    killed_after(dir.path(), 2).await;
    let refused = recover(&reader.await, &others).await.unwrap_err();
    assert!(matches!(refused, RecoveryError::Journal(JournalError::Corrupt { at: 3, .. })), "{refused}");
    assert_eq!(recover(&self::reader(other.path()).await, &others).await.unwrap().digest(), digest);
}

#[tokio::test]
async fn d6_75_a_row_of_another_format_is_refused_by_name_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    killed_after(dir.path(), 1).await;
    let mut journal = storage(dir.path()).journal().await.unwrap();
    for format in [codec::FORMAT - 1, codec::FORMAT + 1] {
        let before = journal.head();
        journal.append(before.seq + 1, 1, format, b"of another release").await.unwrap();
        let (row, head) = (before.seq + 1, journal.head());
        drop(journal);
        let opening = storage(dir.path()).journal().await.unwrap();
        let reader = reader(dir.path()).await;
        let refused = Recovered::of(opening, &reader, &snapshots(dir.path())).await.err().unwrap();
        assert!(refused.to_string().contains("is not known to this release"), "{refused}");
        assert!(matches!(refused, RecoveryError::Codec { .. }), "{refused}");
        assert_eq!(reader.last_seq().await.unwrap(), row, "nothing was written");
        journal = storage(dir.path()).journal().await.unwrap();
        assert_eq!(journal.head(), head);
    }
}

#[tokio::test]
async fn d6_69_a_damaged_row_refuses_to_start_and_says_where() {
    let dir = tempfile::tempdir().unwrap();
    killed_after(dir.path(), 1).await;
    let mut journal = storage(dir.path()).journal().await.unwrap();
    let mut body = Vec::new();
    codec::encode(&mut body, Moment(1), Actor::Server, &[asset(2)]);
    journal.append(2, 2, codec::FORMAT, &body).await.unwrap();
    let reader = reader(dir.path()).await;
    let refused = recover(&reader, &snapshots(dir.path())).await.unwrap_err();
    assert!(matches!(refused, RecoveryError::Journal(JournalError::Corrupt { at: 2, .. })), "{refused}");
}

#[tokio::test]
async fn a_batch_takes_half_of_what_waits_so_that_the_disk_and_the_engine_work_at_the_same_time() {
    let disk = Disk::default();
    let (mut sequencer, handle, mut released) = on(&disk).await;
    sequencer.start(Some(Command::Genesis(vec![venue_key()]))).await.unwrap();
    released.recv().await.unwrap();
    // As from eight sockets.
    for drain in 0..8 {
        handle.submit((1..=64).map(|ask| open_session(64 * drain + ask)).collect()).unwrap();
    }
    let running = tokio::spawn(running(sequencer));
    let tickets = |batch: Released<usize>| batch.answers.iter().map(|(ticket, _)| *ticket).collect::<Vec<_>>();
    assert_eq!(tickets(released.recv().await.unwrap()), (1..=256).collect::<Vec<_>>());
    assert_eq!(
        tickets(released.recv().await.unwrap()),
        (257..=384).collect::<Vec<_>>(),
        "no fewer, as long as they wait"
    );
    assert_eq!(tickets(released.recv().await.unwrap()), (385..=512).collect::<Vec<_>>());
    drop(handle);
    running.await.unwrap().unwrap();
}
