//! The sequencer's thread, which has the journal from opening to closing.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use super::port::Port;
use super::{ServerError, no_thread, wall_clock};
use crate::config::Config;
use crate::domain::ids::Seq;
use crate::engine::command::Command;
use crate::gateway::directory::Directory;
use crate::gateway::metrics::Metrics;
use crate::gateway::release::{Feeds, Releaser, Ticket};
use crate::gateway::secrets::MasterKey;
use crate::gateway::send_queue::Sockets;
use crate::gateway::subscriptions::RingLimits;
use crate::market_data;
use crate::sequencer::handle::Handle;
use crate::sequencer::shadow::Shadow;
use crate::sequencer::stages::Stages;
use crate::sequencer::{Recovered, Sequencer};
use crate::storage::head::{HEAD_FILE, check_head, write_head};
use crate::storage::journal::{Head, JournalError};
use crate::storage::snapshots::Snapshots;
use crate::storage::{JournalFiles, JournalReader, Storage};

/// Events that streams may resume over after a restart (rule 42).
const RECENT_EVENTS: u64 = 100_000;
/// How often the journal's head is written to its file (rule 47), if it has moved.
const HEAD_EVERY: Duration = Duration::from_secs(1);
/// The head is logged at one in this many of these times.
const HEADS_A_LINE: u32 = 60;

/// The input of the sequencer's thread.
pub(super) struct SequencerInputs {
    /// The settings.
    pub(super) config: Config,
    /// Where the journal is.
    pub(super) storage: Storage,
    /// Opens what the journal holds, or nothing is written.
    pub(super) master: MasterKey,
    /// Written first when the journal is empty.
    pub(super) genesis: Option<Command>,
    /// The open sockets.
    pub(super) sockets: Arc<Sockets>,
    /// The other recipients of what is released.
    pub(super) feeds: Feeds,
}

/// What the sequencer's thread returns once it runs.
pub(super) struct Running {
    /// The master key, which must open the secrets of the journal.
    pub(super) master: MasterKey,
    /// The port, which nobody can reach before it listens.
    pub(super) port: Port,
    /// Names, keys and Members as released.
    pub(super) directory: Arc<Directory>,
    /// The way into the sequencer.
    pub(super) handle: Handle<Ticket>,
    /// The last event contained in `market`.
    pub(super) seq: Seq,
    /// The books and the last trades.
    pub(super) market: market_data::Snapshot,
    /// Reads the journal beside it.
    pub(super) journal: JournalReader,
    /// How long each stage takes.
    pub(super) stages: Arc<Stages>,
}

/// Starts the sequencer's thread; returns what that returns once it runs, and a receiver for how it ends.
pub(super) async fn start(
    inputs: SequencerInputs,
) -> Result<(Running, oneshot::Receiver<Result<(), ServerError>>), ServerError> {
    let (started, running) = oneshot::channel();
    let (ended, end) = oneshot::channel();
    std::thread::Builder::new()
        .name("sequencer".to_owned())
        .spawn(move || run(inputs, started, ended))
        .map_err(no_thread("sequencer"))?;
    Ok((running.await.map_err(|_| ServerError::Sequencer)??, end))
}

/// The sequencer's thread: a small runtime of its own that awaits the journal.
fn run(
    inputs: SequencerInputs,
    started: oneshot::Sender<Result<Running, ServerError>>,
    ended: oneshot::Sender<Result<(), ServerError>>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = started.send(Err(no_thread("sequencer")(error)));
            return;
        }
    };
    let (data_dir, metrics) = (inputs.config.data_dir.clone(), Arc::clone(&inputs.feeds.metrics));
    runtime.block_on(async move {
        match open(inputs).await {
            Ok((sequencer, shadow, running)) => {
                // The starting task waits for this; if it is gone, so is the handle, and the sequencer ends.
                let _ = started.send(Ok(running));
                let _ = ended.send(run_beside(sequencer, shadow, data_dir, metrics).await);
            }
            Err(error) => {
                let _ = started.send(Err(error));
            }
        }
    });
}

/// Runs the sequencer together with the writer of the head file and the shadow, whose verdict is final.
async fn run_beside(
    sequencer: Sequencer<Releaser>,
    shadow: Shadow,
    data_dir: PathBuf,
    metrics: Arc<Metrics>,
) -> Result<(), ServerError> {
    let mut shadow = shadow.start().map_err(no_thread("shadow"))?;
    let (running, stopped) = oneshot::channel();
    let mut head = tokio::spawn(keep_head(data_dir, sequencer.head(), sequencer.files(), metrics, stopped));
    let mut headed = None;
    let broken = async {
        tokio::select! {
            () = shadow.broken() => {}
            ended = &mut head => headed = Some(ended),
        }
    };
    let ended = sequencer.run(broken).await;
    drop(running);
    let ending = ended.outcome.as_ref().and_then(|outcome| outcome.as_ref().ok()).copied();
    // Not on this thread, which still writes the head meanwhile.
    let followed = tokio::task::spawn_blocking(move || shadow.finish(ending)).await;
    // Not before these have ended: once the fence is released, another process may start.
    let headed = match headed {
        Some(headed) => headed,
        None => head.await,
    };
    let closed = ended.close().await;
    followed.map_err(|_| ServerError::Sequencer)??;
    headed.map_err(|_| ServerError::Sequencer)??;
    closed?;
    Ok(())
}

/// Recovers, checks what else a start needs, and only then writes: the first tick.
async fn open(inputs: SequencerInputs) -> Result<(Sequencer<Releaser>, Shadow, Running), ServerError> {
    let SequencerInputs { config, storage, master, genesis, sockets, feeds } = inputs;
    let Config { listen, data_dir, limits, rates, .. } = config;
    storage.check_log()?;
    storage.make_room()?;
    if data_dir.join(HEAD_FILE).exists() {
        // Before anything is written: a refused journal stays as it is.
        check_head(&data_dir, &storage.reader().await?).await?;
    }
    let writer = storage.journal().await?;
    let journal = storage.reader().await?;
    let recovered = Recovered::of(writer, &journal, &Snapshots::under(&data_dir)).await?;
    let recent = recovered.recent(RECENT_EVENTS).await?;
    let state = recovered.state();
    let directory = Arc::new(Directory::new(state));
    let (seq, market) = (state.seq, market_data::Snapshot::of(state, &recent));
    let rings = RingLimits { each: limits.replay_ring, all: limits.replay_items };
    let releaser = Releaser::new(Arc::clone(&directory), sockets, seq, &recent, rings, feeds, wall_clock);
    let (mut sequencer, handle) = recovered.open(wall_clock, limits.submit_queue, rates, releaser);
    let empty = sequencer.head().borrow().seq == 0;
    if empty && genesis.is_none() {
        return Err(JournalError::Empty.into());
    }
    try_master_key(&master, &directory)?;
    let port = Port::bind(listen)?;
    sequencer.start(genesis.filter(|_| empty)).await?;
    let stages = sequencer.stages();
    let shadow = sequencer.shadow(limits.snapshot_events as u64);
    Ok((sequencer, shadow, Running { master, port, directory, handle, seq, market, journal, stages }))
}

/// Checks that the master key opens a secret of the journal (rule 29).
fn try_master_key(master: &MasterKey, directory: &Directory) -> Result<(), ServerError> {
    let first = directory.keys(|keys| keys.venue_keys().first().cloned());
    let opens = first.is_none_or(|key| master.open(key.api_key.as_bytes(), &key.secret_sealed).is_ok());
    if opens { Ok(()) } else { Err(ServerError::MasterKey) }
}

/// Writes the journal's head to its file, logs it, and sets the metrics. A log whose last commit is damaged looks like
/// one that never had it, so such damage can only hide what was acknowledged since the last head.
///
/// It ends with the journal's final head once `ended` completes, or earlier, when `files` are no longer the journal's.
async fn keep_head(
    dir: PathBuf,
    head: watch::Receiver<Head>,
    files: JournalFiles,
    metrics: Arc<Metrics>,
    mut ended: oneshot::Receiver<()>,
) -> Result<(), JournalError> {
    let mut ticks = tokio::time::interval(HEAD_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut tried, mut kept) = (None, None);
    for tick in (0..HEADS_A_LINE).cycle() {
        let last = tokio::select! {
            _ = ticks.tick() => false,
            _ = &mut ended => true,
        };
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || files.check()).await {
            tracing::error!(%error, "the journal does not hold what was written");
            return Err(error);
        }
        let (dir, at) = (dir.clone(), *head.borrow());
        if tick == 0 || last {
            tracing::info!(seq = at.seq, digest = hex::encode(at.chain), "the journal's head");
            metrics.tell_head(at.seq, at.chain);
        }
        // If writing a head failed, it is tried again when the head has moved, and at the end.
        if tried.replace(at) != Some(at) || last && kept != Some(at) {
            match tokio::task::spawn_blocking(move || write_head(&dir, at)).await {
                Ok(Ok(())) => kept = Some(at),
                Ok(Err(error)) => tracing::warn!(%error, "the head file could not be written"),
                Err(_) => {}
            }
        }
        if last {
            break;
        }
    }
    Ok(())
}
