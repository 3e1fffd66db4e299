//! The real sequencer on a simulated disk and clock: runs only when told to, and may be killed at any point.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use countersign::access::tier::{Tier, Tiers};
use countersign::domain::ids::OrganizationId;
use countersign::domain::time::Moment;
use countersign::engine::command::Command;
use countersign::sequencer::handle::{Handle, Submission, Unavailable};
use countersign::sequencer::recovery::RecoveryError;
use countersign::sequencer::shadow::{FinalState, Shadow};
use countersign::sequencer::{Recovered, Release, Released, TICK};
use countersign::storage::journal::JournalError;
use countersign::storage::memory::Disk;
use countersign::storage::snapshots::Snapshots;
use countersign::storage::{Digest, Journal, JournalReader};

use super::dice::Dice;

thread_local! {
    static CLOCK: Cell<Moment> = const { Cell::new(Moment(0)) };
}

/// What a server is started with: the same for a whole run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How fast keys may trade.
    pub tiers: Tiers,
    /// Events after which the shadow saves a snapshot.
    pub snapshot_events: u64,
    /// Items that each private channel keeps for clients that reconnect.
    pub ring_items: usize,
    /// The clock hardly advances between requests.
    pub hurried: bool,
}

impl Settings {
    pub fn draw(dice: &mut Dice) -> Settings {
        let tier = |dice: &mut Dice| dice.of(&[Tier::Unlimited, Tier::Unlimited, Tier::Pro, Tier::Starter]);
        let mut tiers = Tiers::all(tier(dice));
        if dice.one_in(2) {
            tiers.organizations.insert(OrganizationId(2), tier(dice));
        }
        Settings {
            tiers,
            snapshot_events: dice.of(&[1, 50, 50, 400]),
            ring_items: dice.of(&[5, 100, 4_096]),
            hurried: dice.one_in(4),
        }
    }
}

/// What was released, in order.
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

/// The state of the sequencer after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    Running,
    /// Every handle is gone, everything accepted was answered, a snapshot is saved.
    Stopped,
    /// The journal failed.
    Failed,
}

type Running = Pin<Box<dyn Future<Output = Result<Option<FinalState>, JournalError>>>>;

pub struct Server {
    pub disk: Disk,
    settings: Settings,
    told: Arc<Mutex<Vec<Told>>>,
    handle: Option<Handle<usize>>,
    run: Option<Running>,
    shadow: Option<Shadow>,
    recovered: Option<Digest>,
}

impl Server {
    pub fn new(settings: Settings) -> Server {
        let disk = Disk::default();
        Server { disk, settings, told: Arc::default(), handle: None, run: None, shadow: None, recovered: None }
    }

    /// The digest of the state of the last start; `None` if it did not get that far.
    pub fn recovered(&self) -> Option<Digest> {
        self.recovered
    }

    pub fn set_clock(&self, now: Moment) {
        CLOCK.set(now);
    }

    /// Recovers from the disk and runs the first tick, as the program does before it listens.
    pub async fn start(&mut self, queue_max: usize, genesis: Option<Command>) -> Result<(), RecoveryError> {
        let journal = Journal::Memory(self.disk.journal()?);
        let (reader, snapshots) = (self.reader(), self.snapshots());
        self.recovered = None;
        let recovered = Recovered::of(journal, &reader, &snapshots).await?;
        self.recovered = Some(recovered.state().digest());
        let (tiers, told) = (self.settings.tiers.clone(), Probe(Arc::clone(&self.told)));
        let (mut sequencer, handle) = recovered.open(|| CLOCK.get(), queue_max, tiers, told);
        sequencer.start(genesis).await?;
        self.shadow = Some(sequencer.shadow(self.settings.snapshot_events));
        self.handle = Some(handle);
        self.run = Some(Box::pin(async { sequencer.run(std::future::pending()).await.close().await }));
        Ok(())
    }

    pub fn reader(&self) -> JournalReader {
        JournalReader::Memory(self.disk.clone())
    }

    pub fn snapshots(&self) -> Snapshots {
        Snapshots::Memory(self.disk.clone())
    }

    /// Returns the tickets of those for which the queue had no room.
    pub fn submit(&self, submissions: Vec<Submission<usize>>) -> Vec<usize> {
        let refused = match &self.handle {
            Some(handle) => handle.submit(submissions).map_or_else(|Unavailable(refused)| refused, |()| Vec::new()),
            None => submissions,
        };
        refused.iter().map(|of| of.ticket).collect()
    }

    /// How many requests the sequencer has not taken yet.
    pub fn waiting(&self) -> usize {
        self.handle.as_ref().map_or(0, Handle::waiting)
    }

    /// Runs the sequencer as far as it gets by itself.
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
                if let (Some(shadow), Some(ending)) = (self.shadow.take(), ending) {
                    shadow.finish(ending).await.expect("law 4: the journal replays to the engine's state");
                }
                Life::Stopped
            }
            Some(Err(_)) => Life::Failed,
        };
        self.kill();
        life
    }

    /// Advances the time to the next tick, at which the shadow checks, too.
    pub async fn tick(&mut self) {
        if let Some(shadow) = &mut self.shadow {
            shadow.catch_up().await.expect("the journal holds what was written");
        }
        tokio::time::advance(TICK).await;
    }

    /// What was released since the last call.
    pub fn told(&self) -> Vec<Told> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }

    /// Closes the queue: an orderly stop, once it has run far enough.
    pub fn stop(&mut self) {
        self.handle = None;
    }

    /// Kills it at once, whatever is under way.
    pub fn kill(&mut self) {
        self.handle = None;
        self.run = None;
        self.shadow = None;
    }
}
