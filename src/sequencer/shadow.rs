//! The shadow: a second state that follows the journal on a thread of its own and saves the snapshots, so that no
//! command ever waits for one. It only reads what is on disk, from the newest snapshot on; if that is not what was
//! written, the server stops. If at an orderly stop the engine's state is different, one of the two is wrong, and all
//! snapshots are removed.

#[cfg(test)]
mod tests;

use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use super::recovery::{self, RecoveryError};
use super::replay::Replay;
use crate::background;
use crate::engine::state::State;
use crate::storage::journal::{Head, JournalError};
use crate::storage::snapshots::Snapshots;
use crate::storage::{Digest, JournalReader};

/// How often it checks for new rows.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The engine's result at an orderly stop, for comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FinalState {
    /// The last event's sequence.
    pub seq: u64,
    /// The digest of the state.
    pub state_digest: Digest,
}

impl FinalState {
    /// The result of a state that is final.
    pub fn of(state: &State) -> FinalState {
        FinalState { seq: state.seq.0, state_digest: state.digest() }
    }
}

/// A state that follows the journal.
pub struct Shadow {
    /// `None` until it has read the newest snapshot, which it does by itself: a start does not wait for it.
    replay: Option<Replay>,
    reader: JournalReader,
    snapshots: Snapshots,
    head: watch::Receiver<Head>,
    /// Events after which it saves a snapshot, at least.
    every: u64,
    /// The sequence at which it saves the next.
    due: u64,
}

impl Shadow {
    /// A shadow that saves a snapshot after `every` events, or after as many as there are open orders, if those are
    /// more.
    pub(super) fn new(reader: JournalReader, snapshots: Snapshots, head: watch::Receiver<Head>, every: u64) -> Shadow {
        Shadow { replay: None, reader, snapshots, head, every, due: 0 }
    }

    /// Follows up to the journal's current head and saves the snapshots that fall due on the way.
    ///
    /// # Errors
    /// When the journal cannot be read, or does not hold what was written.
    pub async fn catch_up(&mut self) -> Result<(), RecoveryError> {
        let head = *self.head.borrow();
        let Replay { state, chain } = self.follow(head.seq).await?;
        if state.seq.0 == head.seq && *chain != head.chain {
            let why = "it is not the row that was written".to_owned();
            return Err(JournalError::Corrupt { at: head.seq, why }.into());
        }
        Ok(())
    }

    async fn follow(&mut self, until: u64) -> Result<&Replay, RecoveryError> {
        let Shadow { replay, reader, snapshots, every, due, .. } = self;
        // The cost of a snapshot is its size: after this many events it is never more work than they were.
        let next = |State { seq, orders, .. }: &State| seq.0 + (*every).max(orders.count() as u64);
        let replay = match replay {
            Some(replay) => replay,
            None => {
                let resumed = recovery::resume(reader, snapshots).await?;
                *due = next(&resumed.state);
                replay.insert(resumed)
            }
        };
        let save_due = |replay: &Replay| {
            if replay.state.seq.0 >= *due {
                // If saving fails, it is tried again when the next one is due.
                *due = next(&replay.state);
                save(snapshots, replay);
            }
            Ok(())
        };
        replay.follow(reader, until, save_due).await?;
        Ok(replay)
    }

    /// Follows to the end, compares, and saves the last snapshot.
    ///
    /// # Errors
    /// [`RecoveryError::Diverged`] when the engine's state is not what the journal gives; then all snapshots are
    /// removed. Also as [`catch_up`](Shadow::catch_up).
    pub async fn finish(mut self, ending: FinalState) -> Result<(), RecoveryError> {
        let snapshots = self.snapshots.clone();
        let replay = self.follow(ending.seq).await?;
        let last = FinalState::of(&replay.state);
        if last == ending {
            save(&snapshots, replay);
            return Ok(());
        }
        let (engine, shadow) = (hex::encode(ending.state_digest), hex::encode(last.state_digest));
        tracing::error!(
            seq = ending.seq,
            engine,
            shadow,
            "the state in memory is not what the journal gives; the snapshots are dropped and the next start replays it"
        );
        if let Err(error) = snapshots.clear() {
            tracing::error!(%error, "the snapshots cannot be dropped: remove them before the next start");
        }
        Err(RecoveryError::Diverged { at: ending.seq })
    }

    /// Starts a thread that follows until it gets the ending, with low priority: a late snapshot costs the next start
    /// some time, a late order costs its owner.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(self) -> std::io::Result<ShadowThread> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        ShadowThread::start(move |ending| runtime.block_on(self.run(ending)))
    }

    async fn run(mut self, mut ending: oneshot::Receiver<FinalState>) -> Result<(), RecoveryError> {
        // While this thread makes a snapshot, it serves no connection.
        self.reader = self.reader.apart();
        let mut looks = tokio::time::interval(POLL_INTERVAL);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let look = async {
                looks.tick().await;
                self.catch_up().await
            };
            tokio::select! {
                biased;
                ending = &mut ending => return match ending {
                    Ok(ending) => self.finish(ending).await,
                    // The journal failed: only a restart can find out what is on disk.
                    Err(_) => Ok(()),
                },
                looked = look => match looked {
                    Ok(()) => {}
                    Err(RecoveryError::Journal(JournalError::Unavailable(error))) => {
                        tracing::warn!(error, "the shadow cannot read the journal; it tries again");
                    }
                    Err(error) => {
                        tracing::error!(%error, "the journal does not hold what was written");
                        return Err(error);
                    }
                }
            }
        }
    }
}

/// Saves a snapshot; without one the next start takes longer, so a failure is only a warning.
fn save(snapshots: &Snapshots, replay: &Replay) {
    let seq = replay.state.seq.0;
    match snapshots.save(&recovery::snapshot(replay)) {
        Ok(()) => tracing::info!(seq, "a snapshot was saved"),
        Err(error) => tracing::warn!(seq, %error, "a snapshot could not be saved"),
    }
}

/// A shadow on its thread. If dropped, it ends by itself and saves nothing more.
pub struct ShadowThread {
    ended: oneshot::Sender<FinalState>,
    broken: oneshot::Receiver<()>,
    thread: JoinHandle<Result<(), RecoveryError>>,
}

impl ShadowThread {
    fn start(
        follow: impl FnOnce(oneshot::Receiver<FinalState>) -> Result<(), RecoveryError> + Send + 'static,
    ) -> std::io::Result<ShadowThread> {
        let (ended, ending) = oneshot::channel();
        let (running, broken) = oneshot::channel::<()>();
        let thread = background::spawn("shadow", move || {
            // Nothing is ever sent: it is dropped when this thread ends, even by a panic.
            let _running = running;
            follow(ending)
        })?;
        Ok(ShadowThread { ended, broken, thread })
    }

    /// Waits until the thread has ended by itself: the journal does not have what was written, or the shadow panicked
    /// on an event that the engine applied; [`finish`](ShadowThread::finish) says which. Whatever is acknowledged after
    /// that lies behind rows that no start could replay.
    pub async fn broken(&mut self) {
        let _ = (&mut self.broken).await;
    }

    /// Sends it the ending, if it has not ended by itself, and waits until it has followed, compared and saved.
    ///
    /// # Errors
    /// As [`Shadow::finish`], or what ended it before.
    pub fn finish(self, ending: Option<FinalState>) -> Result<(), RecoveryError> {
        // If it has ended by itself, the error is returned below.
        let _ = ending.map(|ending| self.ended.send(ending));
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}
