//! The single writer: takes commands in order, journals their events in groups, then releases them.
//!
//! One thread owns the engine and awaits the journal; while batch *k* is on its way to the disk the engine works on
//! batch *k + 1*. Nothing of a batch is shown before it is durable (law 1). Queries are answered with the batch that
//! they arrived in.

mod batch;
pub mod codec;
pub mod handle;
mod read_only;
pub mod recovery;
pub mod replay;
pub mod shadow;
pub mod stages;
#[cfg(test)]
mod tests;

use std::future::Future as _;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use batch::Batch;
pub use batch::{Events, Release, Released, Stamped};
use futures::FutureExt as _;
use handle::{Answer, Group, Inbox, Submission, Work};
use recovery::RecoveryError;
use shadow::{FinalState, Shadow};
use stages::Stages;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::access::principal::{Actor, Principal};
use crate::access::tier::Tiers;
use crate::domain::limits::TICK_EVENTS_MAX;
use crate::domain::time::Moment;
use crate::engine::Engine;
use crate::engine::command::Command;
use crate::engine::state::State;
use crate::storage::journal::{Head, JournalError};
use crate::storage::snapshots::Snapshots;
use crate::storage::{Journal, JournalFiles, JournalReader};

/// How often the engine checks whether something is due. Rights with a time limit do not wait for it (rule 39).
pub const TICK: Duration = Duration::from_millis(250);

/// Submissions after which a batch is full; this limits the size of a row.
pub const BATCH_MAX: usize = 8_192;

/// Submissions that a batch collects before it is synced, if as many are waiting: a sync for fewer is too expensive.
const BATCH_MIN: usize = 128;

/// The single writer, recovered and ready to run.
pub struct Sequencer<R: Release> {
    engine: Engine,
    tiers: Tiers,
    journal: Journal,
    reader: JournalReader,
    snapshots: Snapshots,
    release: R,
    inbox: Inbox<R::Ticket>,
    clock: fn() -> Moment,
    open: Batch<R::Ticket>,
    /// On its way to the disk.
    in_flight: Batch<R::Ticket>,
    /// On disk, and released as soon as the next batch is on its way there.
    durable: Option<Durable<R::Ticket>>,
    /// Whether the last tick left something that is due.
    is_behind: bool,
    head: watch::Sender<Head>,
    stages: Arc<Stages>,
    /// Why the storage did not accept writes when it was opened.
    unwritable: Option<JournalError>,
}

/// What remains of a sequencer. While this exists, nobody else gets the fence.
#[derive(Debug)]
pub struct StoppedSequencer {
    /// Its final state, or why the journal failed; `None` when it was told to give up.
    pub outcome: Option<Result<FinalState, JournalError>>,
    journal: Journal,
}

impl StoppedSequencer {
    /// Releases the fence; closes the journal in order, unless it has failed.
    ///
    /// # Errors
    /// Why the journal failed, or cannot be closed.
    pub async fn close(self) -> Result<Option<FinalState>, JournalError> {
        let ending = self.outcome.transpose()?;
        if ending.is_some() {
            self.journal.close().await?;
        }
        Ok(ending)
    }
}

/// A batch that is on disk, and since when.
struct Durable<T> {
    batch: Batch<T>,
    since: Instant,
}

impl<T: Send + 'static> Durable<T> {
    fn release(self, release: &mut impl Release<Ticket = T>, inbox: &Inbox<T>, stages: &Stages) {
        let Batch { events, answers, .. } = self.batch;
        release.release(Released { events: Arc::new(events), answers, waiting: inbox.waiting() });
        stages.release.observe(self.since.elapsed());
    }
}

/// What was read back from storage, for a sequencer to continue from.
pub struct Recovered {
    state: State,
    journal: Journal,
    reader: JournalReader,
    snapshots: Snapshots,
    /// Why the storage did not accept writes when it was opened.
    unwritable: Option<JournalError>,
}

impl Recovered {
    /// Recovers the state from `journal`, which `reader` reads, and its `snapshots`. A journal that is not empty is
    /// opened even on a disk that does not accept writes.
    ///
    /// # Errors
    /// When the journal cannot be read or is damaged, or is empty and cannot be written.
    pub async fn of(
        mut journal: Journal,
        reader: &JournalReader,
        snapshots: &Snapshots,
    ) -> Result<Recovered, RecoveryError> {
        let state = recovery::recover(reader, snapshots).await?;
        let unwritable = match journal.probe().await {
            Err(error) if read_only::is_passing(&error) && state.seq.0 > 0 => {
                tracing::error!(%error, "no command is accepted; reads are served");
                Some(error)
            }
            probed => probed.map(|()| None)?,
        };
        let (reader, snapshots) = (reader.clone(), snapshots.clone());
        Ok(Recovered { state, journal, reader, snapshots, unwritable })
    }

    /// The state as of the last event.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The last events, oldest first, about `max` of them: what streams can resume over.
    ///
    /// # Errors
    /// When the journal cannot be read, or its rows do not follow from each other.
    pub async fn recent(&self, max: u64) -> Result<Vec<Arc<Stamped>>, RecoveryError> {
        recovery::recent(&self.reader, max).await
    }

    /// A sequencer that continues from here, and its handle. `clock` is read once for each drain of the queue, which
    /// can hold `queue_max` submissions; keys trade as fast as their `tiers` allow.
    pub fn open<R: Release>(
        self,
        clock: fn() -> Moment,
        queue_max: usize,
        tiers: Tiers,
        release: R,
    ) -> (Sequencer<R>, handle::Handle<R::Ticket>) {
        let Recovered { state, journal, reader, snapshots, unwritable } = self;
        let engine = Engine::new(state).with_tiers(tiers.clone());
        let stages = Arc::new(Stages::default());
        let (handle, inbox) = handle::queue(queue_max, Arc::clone(&stages));
        let head = watch::Sender::new(journal.head());
        let sequencer = Sequencer {
            engine,
            tiers,
            journal,
            reader,
            snapshots,
            release,
            inbox,
            clock,
            open: Batch::default(),
            in_flight: Batch::default(),
            durable: None,
            is_behind: false,
            head,
            stages,
            unwritable,
        };
        (sequencer, handle)
    }
}

impl<R: Release> Sequencer<R> {
    /// Runs commands of the server itself before the port opens: genesis, and the first tick (rule 39). The events are
    /// on disk when this returns. While the disk does not accept writes, nothing falls due.
    ///
    /// # Errors
    /// When the engine refuses the genesis command, or the journal fails.
    pub async fn start(&mut self, genesis: Option<Command>) -> Result<(), JournalError> {
        if self.unwritable.is_some() {
            self.release.accepting(false);
            return Ok(());
        }
        if let Some(genesis) = genesis {
            if let Err(reject) = self.engine.handle((self.clock)(), &Principal::SERVER, &genesis) {
                return Err(JournalError::Unavailable(reject.text()));
            }
            self.open.record(&mut self.engine, Actor::Server);
        }
        self.tick();
        self.commit().await?;
        self.release_durable();
        Ok(())
    }

    /// The end of the journal, as of the last release.
    pub fn head(&self) -> watch::Receiver<Head> {
        self.head.subscribe()
    }

    /// The journal's files.
    pub fn files(&self) -> JournalFiles {
        self.journal.files()
    }

    /// How long commands take at each stage.
    pub fn stages(&self) -> Arc<Stages> {
        Arc::clone(&self.stages)
    }

    /// A second state that follows the journal and saves a snapshot after every `every` events.
    pub fn shadow(&self, every: u64) -> Shadow {
        Shadow::new(self.reader.clone(), self.snapshots.clone(), self.head(), every)
    }

    /// Runs until every handle is dropped, and answers all that was accepted. While the storage does not accept writes,
    /// it answers queries only.
    ///
    /// It ends early when the journal fails for good, or once `broken` completes: then nothing more is acknowledged,
    /// and accepted calls are answered that the outcome is not known or nothing was done. The caller stops the server.
    pub async fn run(mut self, broken: impl Future<Output = ()>) -> StoppedSequencer {
        let served = tokio::select! {
            biased;
            () = broken => None,
            served = self.serve() => Some(served),
        };
        if !matches!(served, Some(Ok(()))) {
            self.give_up().await;
        }
        let outcome = served.map(|served| served.map(|()| FinalState::of(self.engine.state())));
        StoppedSequencer { outcome, journal: self.journal }
    }

    async fn serve(&mut self) -> Result<(), JournalError> {
        if let Some(cause) = self.unwritable.take() {
            self.until_writable(cause).await?;
        }
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut running = true;
        // The queue may close while a batch is on its way: what was accepted in the meantime is committed as well.
        while running || !self.open.is_empty() {
            // What is due must not wait until there are no more submissions.
            if self.is_behind || ticks.tick().now_or_never().is_some() {
                self.tick();
            }
            if self.open.is_empty() {
                self.release_durable();
                tokio::select! {
                    biased;
                    next = self.inbox.next() => match next {
                        Some(group) => self.take(group),
                        None => running = false,
                    },
                    _ = ticks.tick() => self.tick(),
                    () = self.journal.fence_due() => if let Err(error) = self.journal.check_fence().await {
                        tracing::error!(%error, "the writer's fence is gone; no command is accepted");
                        return Err(error);
                    },
                }
            }
            match self.commit().await {
                Ok(more) => running &= more,
                Err(error) => self.read_only(error).await?,
            }
        }
        self.release_durable();
        Ok(())
    }

    /// Releases the batch that is on disk, if one is.
    fn release_durable(&mut self) {
        if let Some(durable) = self.durable.take() {
            durable.release(&mut self.release, &self.inbox, &self.stages);
        }
    }

    /// Journals the open batch. `false` once the queue is closed.
    async fn commit(&mut self) -> Result<bool, JournalError> {
        if self.open.is_empty() {
            return Ok(true);
        }
        self.in_flight = self.open.take();
        let mut more = true;
        let appended = self.append(&mut more).await;
        // A batch without events did not do this in `append`.
        self.release_durable();
        if let Err(error) = appended {
            tracing::error!(%error, "the journal failed; no command is accepted");
            self.forget_unanswered();
            return Err(error);
        }
        self.head.send_replace(self.journal.head());
        let batch = std::mem::take(&mut self.in_flight);
        self.durable = Some(Durable { batch, since: Instant::now() });
        Ok(more)
    }

    /// Appends the batch under way, if it has events. Meanwhile it releases the batch before, and fills the next one
    /// until that is ripe or nothing waits. `more` turns false once the queue is closed.
    async fn append(&mut self, more: &mut bool) -> Result<(), JournalError> {
        let Sequencer { engine, journal, inbox, clock, open, in_flight, durable, release, stages, .. } = self;
        let Some(first) = in_flight.events.first() else { return Ok(()) };
        let count = u32::try_from(in_flight.events.len()).expect("BATCH_MAX bounds a batch");
        let begun = Instant::now();
        let mut append = pin!(journal.append(first.seq.0, count, codec::FORMAT, &in_flight.body));
        let mut appended = None;
        std::future::poll_fn(|context| {
            loop {
                if appended.is_none()
                    && let Poll::Ready(done) = append.as_mut().poll(context)
                {
                    stages.journal.observe(begun.elapsed());
                    appended = Some(done);
                }
                // The append has started; all three run at the same time.
                if let Some(durable) = durable.take() {
                    durable.release(release, inbox, stages);
                }
                let ends = match &appended {
                    None => open.answers.len() >= BATCH_MAX,
                    Some(Ok(())) => is_ripe(open, inbox),
                    Some(Err(_)) => true,
                };
                if ends || !*more {
                    break;
                }
                match pin!(inbox.next()).poll(context) {
                    Poll::Ready(Some(group)) => execute(engine, open, (*clock)(), group, stages),
                    Poll::Ready(None) => *more = false,
                    Poll::Pending => break,
                }
            }
            appended.take().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Executes `first`, and of what else is waiting as much as makes a batch, as one drain.
    fn take(&mut self, first: Group<R::Ticket>) {
        let now = (self.clock)();
        let mut next = Some(first);
        while let Some(group) = next {
            execute(&mut self.engine, &mut self.open, now, group, &self.stages);
            next = if is_ripe(&self.open, &self.inbox) { None } else { self.inbox.ready() };
        }
    }

    fn tick(&mut self) {
        let now = (self.clock)();
        if let Err(reject) = self.engine.handle(now, &Principal::SERVER, &Command::Tick) {
            tracing::error!(reject = reject.text(), "the engine refused a tick");
        }
        self.is_behind = self.engine.events().len() >= TICK_EVENTS_MAX;
        self.open.record(&mut self.engine, Actor::Server);
    }
}

/// Whether a batch goes to the disk although more is waiting: once it has as many submissions as are waiting. If it
/// took all, disk and engine would take turns, and clients would wait for both.
fn is_ripe<T>(open: &Batch<T>, inbox: &Inbox<T>) -> bool {
    let held = open.answers.len();
    held >= BATCH_MAX || held >= inbox.waiting().max(BATCH_MIN)
}

/// Executes submissions in order and records the answers.
fn execute<T>(engine: &mut Engine, open: &mut Batch<T>, now: Moment, group: Group<T>, stages: &Stages) {
    engine.prefetch(group.submissions.iter().filter_map(|submission| match &submission.work {
        Work::Command(command) => Some((submission.by.actor, command)),
        Work::Query(_) => None,
    }));
    for Submission { by, work, ticket } in group.submissions {
        let outcome = match work {
            Work::Command(command) => {
                let reply = engine.handle(now, &by, &command).map(|reply| Answer::Reply(reply, engine.rate()));
                open.record(engine, by.actor);
                reply
            }
            Work::Query(query) => engine.query(now, &by, &query).map(Answer::View),
        };
        open.answers.push((ticket, outcome));
    }
    stages.engine.observe(group.since.elapsed());
}
