//! The real sequencer on a simulated disk and clock: moved only when the run says so, and killed at any point.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use countersign::access::tier::{Tier, Tiers};
use countersign::domain::time::Moment;
use countersign::engine::Engine;
use countersign::engine::command::Command;
use countersign::sequencer::handle::{Handle, Submission};
use countersign::sequencer::recovery::RecoveryError;
use countersign::sequencer::shadow::{Ending, Shadow};
use countersign::sequencer::{self, Release, Released};
use countersign::storage::journal::JournalError;
use countersign::storage::memory::Disk;
use countersign::storage::snapshots::Snapshots;
use countersign::storage::{Digest, Journal, JournalReader};

thread_local! {
    static CLOCK: Cell<Moment> = const { Cell::new(Moment(0)) };
}

/// Events after which the shadow saves a snapshot.
const SNAPSHOT_EVENTS: u64 = 50;
/// How often the sequencer asks whether something is due.
const TICK: Duration = Duration::from_millis(250);

/// Keys trade as fast as they like: the rates have tests of their own.
pub fn tiers() -> Tiers {
    Tiers::all(Tier::Unlimited)
}

/// What was let out, in order.
pub enum Told {
    Released(Released<usize>),
    Failed(Vec<usize>),
    /// Whether commands are taken from now on.
    Accepting(bool),
}

struct Probe(Arc<Mutex<Vec<Told>>>);

impl Release for Probe {
    type Ticket = usize;

    fn release(&mut self, batch: Released<usize>) {
        self.0.lock().unwrap().push(Told::Released(batch));
    }

    fn failed(&mut self, tickets: Vec<usize>) {
        self.0.lock().unwrap().push(Told::Failed(tickets));
    }

    fn accepting(&mut self, accepts: bool) {
        self.0.lock().unwrap().push(Told::Accepting(accepts));
    }
}

/// How it goes after a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    Running,
    /// Every handle is gone, everything accepted was answered, a snapshot is saved.
    Stopped,
    /// The journal failed.
    Failed,
}

type Running = Pin<Box<dyn Future<Output = Result<Ending, JournalError>>>>;

pub struct Server {
    pub disk: Disk,
    told: Arc<Mutex<Vec<Told>>>,
    handle: Option<Handle<usize>>,
    run: Option<Running>,
    shadow: Option<Shadow>,
    recovered: Option<Digest>,
}

impl Server {
    pub fn new() -> Server {
        Server { disk: Disk::default(), told: Arc::default(), handle: None, run: None, shadow: None, recovered: None }
    }

    /// The digest of the state that the last start began with; `None` if it did not get so far.
    pub fn recovered(&self) -> Option<Digest> {
        self.recovered
    }

    pub fn set_clock(&self, now: Moment) {
        CLOCK.set(now);
    }

    /// Recovers from the disk, and asks for what was due, as the program does before it listens.
    pub async fn start(&mut self, queue_max: usize, genesis: Option<Command>) -> Result<(), RecoveryError> {
        let journal = Journal::Memory(self.disk.journal()?);
        let (reader, snapshots) = (self.reader(), self.snapshots());
        let told = Probe(Arc::clone(&self.told));
        let recovered = &mut self.recovered;
        *recovered = None;
        let release = |engine: &Engine| {
            *recovered = Some(engine.state().digest());
            told
        };
        let opened = sequencer::open(journal, &reader, &snapshots, || CLOCK.get(), queue_max, tiers(), release);
        let (mut sequencer, handle) = opened.await?;
        sequencer.start(genesis).await?;
        self.shadow = Some(sequencer.shadow(reader, snapshots, SNAPSHOT_EVENTS));
        self.handle = Some(handle);
        self.run = Some(Box::pin(sequencer.run()));
        Ok(())
    }

    pub fn reader(&self) -> JournalReader {
        JournalReader::Memory(self.disk.clone())
    }

    pub fn snapshots(&self) -> Snapshots {
        Snapshots::Memory(self.disk.clone())
    }

    /// False when the queue has no room: nothing was taken then.
    pub fn submit(&self, submissions: Vec<Submission<usize>>) -> bool {
        self.handle.as_ref().is_some_and(|handle| handle.submit(submissions).is_ok())
    }

    /// Moves the sequencer as far as it gets by itself.
    pub async fn turn(&mut self) -> Life {
        let Some(run) = self.run.as_mut() else { return Life::Stopped };
        let mut run = tokio::task::unconstrained(run);
        let done = poll_fn(|context| {
            Poll::Ready(match Pin::new(&mut run).poll(context) {
                Poll::Ready(outcome) => Some(outcome),
                Poll::Pending => None,
            })
        });
        let life = match done.await {
            None => return Life::Running,
            Some(Ok(ending)) => {
                if let Some(shadow) = self.shadow.take() {
                    shadow.finish(ending).await.expect("law 4: the journal replays to the engine's state");
                }
                Life::Stopped
            }
            Some(Err(_)) => Life::Failed,
        };
        self.kill();
        life
    }

    /// Lets the time of the next tick come, at which the shadow looks too.
    pub async fn tick(&mut self) {
        if let Some(shadow) = &mut self.shadow {
            shadow.catch_up().await.expect("the journal holds what was written");
        }
        tokio::time::advance(TICK).await;
    }

    /// What was let out since the last time.
    pub fn told(&self) -> Vec<Told> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }

    /// Lets go of the queue: an orderly stop, once it has been turned far enough.
    pub fn stop(&mut self) {
        self.handle = None;
    }

    /// Gone at once, whatever was on its way.
    pub fn kill(&mut self) {
        self.handle = None;
        self.run = None;
        self.shadow = None;
    }
}
