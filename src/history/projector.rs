//! The task that writes the tables: released batches as they come, or from the journal if any are missing.

#[cfg(test)]
mod tests;

use std::mem;
use std::pin::pin;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use super::audit::SeenVotes;
use super::streams::{BlockStreams, Turns};
use super::{History, Incoming, queries, rows};
use crate::domain::ids::Seq;
use crate::domain::prints::MarketPast;
use crate::sequencer::{Events, Stamped, codec};
use crate::storage::history::{self, HistoryBatch, HistoryError, HistoryReader, HistoryWriter};
use crate::storage::journal::Head;
use crate::storage::{Digest, JournalReader, Storage};

/// Journal rows read at a time.
const ROWS: u32 = 64;
/// Events after which a batch of rows is written.
const EVENTS_MAX: usize = 20_000;
/// How long batches that nobody waits for are collected: one transaction writes the pages that they share once.
const PILING: Duration = Duration::from_millis(100);
/// Batches are collected only after a transaction of this many events. Single ones are written as they come: if the
/// disk becomes full, collected ones would keep queries of the past waiting.
const PILED_MIN: usize = 16;
/// How many times entries are deleted during their retention: every minute, if that is a week.
const FORGETS: u64 = 10_000;
/// The pause before something that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How often a start tries to read the past of the markets. A slow disk gets further each time, a damaged one never.
const PAST_TRIES: u32 = 30;

struct Projector {
    writer: HistoryWriter,
    reader: HistoryReader,
    journal: JournalReader,
    seen: SeenVotes,
    noted: BlockStreams,
    /// How long the positions of private streams' items are kept, in µs, and the stamp of the last event when old ones
    /// were last deleted.
    kept_us: u64,
    forgot_us: u64,
    /// The last event processed: the checkpoint in the tables, or later, if the events since add no row.
    seq: u64,
    reached: watch::Sender<u64>,
    /// The last event that somebody has waited for.
    awaited: watch::Sender<u64>,
    piling: Duration,
}

/// Opens the tables and starts the task; it first catches up with the journal, which ends at `until` or later. Tables
/// that do not match the journal, as after a restore, are emptied and rebuilt. The past of the markets is sent once the
/// tables have reached the event at `until`, and is as of it. The task ends once the feed is closed and everything fed
/// is written.
///
/// # Errors
/// When the tables or the journal cannot be opened.
pub async fn start(
    storage: &Storage,
    journal: &JournalReader,
    incoming: Incoming,
    kept: Duration,
    until: Seq,
) -> Result<(History, oneshot::Receiver<MarketPast>, JoinHandle<()>), HistoryError> {
    // Replays have their own, beside the projector's.
    let (journal, streams) = (journal.apart(), journal.apart());
    let projector = Projector::open(storage, journal.clone(), kept, until).await?;
    let (reader, reached) = (projector.reader.clone(), projector.reached.subscribe());
    let awaited = projector.awaited.clone();
    let (telling, past) = oneshot::channel();
    let projecting = tokio::spawn(projector.run(incoming, until, telling));
    Ok((History { reader, journal, streams, turns: Turns::default(), reached, awaited }, past, projecting))
}

impl Projector {
    /// Opens the tables, and empties them if they contain more than `until` or belong to another journal; writing
    /// continues from there.
    async fn open(
        storage: &Storage,
        journal: JournalReader,
        kept: Duration,
        until: Seq,
    ) -> Result<Projector, HistoryError> {
        let (mut writer, reader) = history::open(storage).await?;
        let Head { seq, chain } = writer.checkpoint();
        if seq > until.0 {
            tracing::warn!(
                seq,
                journal = until.0,
                "the history tables are ahead of the journal; they are emptied and rebuilt"
            );
            writer.clear().await?;
        } else if seq > 0 && chain_of(&journal, seq).await? != chain {
            // As after a restore, if a start wrote rows before it was refused.
            tracing::warn!(seq, "the history tables are of another journal; they are emptied and rebuilt");
            writer.clear().await?;
        }
        let (seen, seq) = (SeenVotes::behind(&reader.last_audited().await?), writer.checkpoint().seq);
        Ok(Projector {
            writer,
            reader,
            journal,
            seen,
            noted: BlockStreams::default(),
            kept_us: u64::try_from(kept.as_micros()).unwrap_or(u64::MAX),
            forgot_us: 0,
            seq,
            reached: watch::Sender::new(seq),
            awaited: watch::Sender::new(0),
            piling: PILING,
        })
    }

    async fn run(mut self, mut incoming: Incoming, until: Seq, telling: oneshot::Sender<MarketPast>) {
        self.catch_up(until.0).await;
        self.tell_past(telling).await;
        self.catch_up(u64::MAX).await;
        self.follow(&mut incoming).await;
        drop(self.reader);
        if let Err(error) = self.writer.close().await {
            tracing::warn!(%error, "history was not closed in order; nothing is lost");
        }
    }

    /// Sends the past of the markets, if anybody wants it and it can be read. Meanwhile the tables stay where they are.
    async fn tell_past(&self, telling: oneshot::Sender<MarketPast>) {
        for _ in 0..PAST_TRIES {
            if telling.is_closed() {
                return;
            }
            match queries::past(&self.reader).await {
                // The receiver may be gone.
                Ok(past) => return drop(telling.send(past)),
                Err(error) => tracing::warn!(%error, "the past of the markets cannot be read"),
            }
            sleep(RETRY).await;
        }
        tracing::error!("past trades could not be read, giving up; `ohlc` is unavailable until a restart");
    }

    /// Writes what is fed until the feed is closed.
    async fn follow(&mut self, incoming: &mut Incoming) {
        let Incoming { batches, dropped } = incoming;
        let mut due = Instant::now();
        loop {
            // Waiting batches come before those for which there was no room.
            let first = tokio::select! {
                biased;
                first = batches.recv() => first,
                Ok(()) = dropped.changed() => {
                    let last = *dropped.borrow_and_update();
                    self.catch_up(last).await;
                    continue;
                }
            };
            let Some(first) = first else { break };
            let pile = self.pile(first, batches, due).await;
            self.take(&pile).await;
            let piles = pile.iter().map(|batch| batch.len()).sum::<usize>() >= PILED_MIN;
            due = Instant::now() + if piles { self.piling } else { Duration::ZERO };
        }
        let last = *dropped.borrow();
        self.catch_up(last).await;
    }

    /// The waiting batches, and those that come until `due` or somebody waits for them, limited to one transaction.
    async fn pile(&self, first: Events, batches: &mut mpsc::Receiver<Events>, due: Instant) -> Vec<Events> {
        let mut awaited = self.awaited.subscribe();
        let mut wanted = pin!(async {
            tokio::select! {
                () = sleep_until(due) => {}
                _ = awaited.wait_for(|awaited| *awaited > self.seq) => {}
            }
        });
        let mut events = first.len();
        let mut pile = vec![first];
        while events < EVENTS_MAX {
            let next = tokio::select! {
                biased;
                next = batches.recv() => next,
                () = &mut wanted => None,
            };
            let Some(next) = next else { break };
            events += next.len();
            pile.push(next);
        }
        pile
    }

    /// Writes batches, and from the journal what is missing between the tables and them or must be written again.
    async fn take(&mut self, batches: &[Events]) {
        let Some(last) = batches.iter().rev().find_map(|batch| batch.last()) else { return };
        self.forget(last.at.0).await;
        let mut rows = HistoryBatch::default();
        let mut reached = self.seq;
        for stamped in batches.iter().flat_map(|batch| batch.iter()) {
            if stamped.seq.0 > reached + 1 {
                self.write(&mem::take(&mut rows), reached).await;
                self.catch_up(stamped.seq.0 - 1).await;
                reached = self.seq;
            }
            if stamped.seq.0 == reached + 1 {
                self.add(&mut rows, stamped);
                reached += 1;
            }
        }
        self.write(&rows, reached).await;
        self.catch_up(last.seq.0).await;
    }

    fn add(&mut self, rows: &mut HistoryBatch, stamped: &Stamped) {
        rows::add(rows, &mut self.seen, stamped);
        self.noted.add(rows, stamped);
    }

    /// From time to time deletes what is too old at `now_us`.
    async fn forget(&mut self, now_us: u64) {
        if now_us.saturating_sub(self.forgot_us) < self.kept_us / FORGETS {
            return;
        }
        self.forgot_us = now_us;
        if let Err(error) = self.writer.forget_streams(now_us.saturating_sub(self.kept_us)).await {
            tracing::warn!(%error, "expired stream entries could not be deleted");
            self.start_over().await;
        }
    }

    /// Reads the journal from the checkpoint to `until` or its end.
    async fn catch_up(&mut self, until: u64) {
        while self.seq < until {
            match self.read(until).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(error, "history cannot read the journal; trying again");
                    self.start_over().await;
                }
            }
        }
    }

    async fn read(&mut self, until: u64) -> Result<bool, String> {
        let journal = self.journal.rows(self.seq + 1, until, ROWS).await.map_err(|error| error.to_string())?;
        if journal.is_empty() {
            return Ok(false);
        }
        let mut rows = HistoryBatch::default();
        let seen = self.seq;
        let mut last = seen;
        for row in journal {
            let events = codec::events(&row).map_err(|error| error.to_string())?;
            for stamped in events.filter(|stamped| stamped.seq.0 > seen) {
                self.add(&mut rows, &stamped);
                last = stamped.seq.0;
            }
            if last - self.seq >= EVENTS_MAX as u64 {
                self.write(&mem::take(&mut rows), last).await;
                if self.seq != last {
                    return Ok(true);
                }
            }
        }
        self.write(&rows, last).await;
        Ok(true)
    }

    /// Writes what the events up to `seq` add. If that fails, `self.seq` says how far the tables are.
    async fn write(&mut self, rows: &HistoryBatch, seq: u64) {
        if seq == self.seq {
            return;
        }
        // Events that add no row need no transaction; after a restart they are processed again.
        let silent = *rows == HistoryBatch::default() && seq - self.writer.checkpoint().seq < EVENTS_MAX as u64;
        if !silent && let Err(error) = self.apply(rows, seq).await {
            tracing::warn!(%error, "history cannot be written; trying again");
            return self.start_over().await;
        }
        self.seq = seq;
        self.reached.send_replace(seq);
    }

    async fn apply(&mut self, rows: &HistoryBatch, seq: u64) -> Result<(), HistoryError> {
        let chain = chain_of(&self.journal, seq).await?;
        self.writer.apply(rows, Head { seq, chain }).await
    }

    /// Continues from where the tables are. They have what was written; or less, if the database has crashed, since
    /// commits do not wait for the disk; or more, if an answer was lost or another server has taken the fence.
    async fn start_over(&mut self) {
        loop {
            sleep(RETRY).await;
            match self.reopen().await {
                Ok(()) => break,
                Err(error) => tracing::warn!(%error, "history cannot be opened; trying again"),
            }
        }
        self.noted = BlockStreams::default();
        self.seq = self.writer.checkpoint().seq;
        self.reached.send_replace(self.seq);
    }

    async fn reopen(&mut self) -> Result<(), HistoryError> {
        self.writer.reopen().await?;
        self.seen = SeenVotes::behind(&self.reader.last_audited().await?);
        Ok(())
    }
}

/// The chain up to and with the journal row of this event.
async fn chain_of(journal: &JournalReader, seq: u64) -> Result<Digest, HistoryError> {
    Ok(journal.chains_of(&[seq]).await?[0])
}
