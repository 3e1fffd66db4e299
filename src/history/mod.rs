//! What happened, stored for queries: a projector writes released events into SQL tables with their own checkpoint, and
//! queries wait until the tables have reached what the asker has seen (rule 40).

mod audit;
mod projector;
mod queries;
mod rows;
mod streams;
mod transfers;

pub use audit::{AuditEntry, Audited};
pub use projector::start;
pub use queries::{Busy, HistoryFilter, QUERY_TIMEOUT};
pub use rows::{ClosedOrder, PastFill};
pub use streams::{Past, StreamPage};

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::sequencer::Events;
use crate::storage::JournalReader;
use crate::storage::history::HistoryReader;

/// Batches that may wait for the projector; if more come, it reads them from the journal.
const BATCHES_MAX: usize = 1_024;

/// The projector's end of the feed.
pub struct Incoming {
    batches: mpsc::Receiver<Events>,
    /// The last event of a batch for which there was no room; 0 before the first.
    dropped: watch::Receiver<u64>,
}

/// A feed and its receiver, so that the release step can exist before the projector.
pub fn feed() -> (Feed, Incoming) {
    let (batches, incoming) = mpsc::channel(BATCHES_MAX);
    let (dropped, dropped_seen) = watch::channel(0);
    (Feed { batches, dropped }, Incoming { batches: incoming, dropped: dropped_seen })
}

/// The release step's end.
pub struct Feed {
    batches: mpsc::Sender<Events>,
    dropped: watch::Sender<u64>,
}

impl Feed {
    /// Batches that wait for the projector.
    pub fn waiting(&self) -> usize {
        self.batches.max_capacity() - self.batches.capacity()
    }

    /// Hands a batch over; one for which there is no room is read from the journal later.
    pub fn feed(&mut self, batch: &Events) {
        if self.batches.try_send(Arc::clone(batch)).is_err()
            && let Some(last) = batch.last()
        {
            // A later batch would reveal the gap, but there may be none.
            self.dropped.send_replace(last.seq.0);
        }
    }
}

/// The sessions' end.
#[derive(Clone)]
pub struct History {
    reader: HistoryReader,
    journal: JournalReader,
    /// A second reader of the journal, for replays, so that they do not block the projector.
    streams: JournalReader,
    /// Who reads a page of a replay now.
    turns: streams::Turns,
    /// The last event in the tables.
    reached: watch::Receiver<u64>,
    /// The last event that somebody has waited for.
    awaited: watch::Sender<u64>,
}

impl History {
    /// Whether the tables are still being written; not once the projector has ended, for whatever reason.
    pub fn is_running(&self) -> bool {
        self.reached.has_changed().is_ok()
    }

    /// The same history for the server's own work, one query at a time: that does not wait behind what the owner of the
    /// rows asks for.
    #[must_use]
    pub fn apart(&self) -> History {
        History { reader: self.reader.apart(), ..self.clone() }
    }
}

/// Appends events as one journal row, as the sequencer does before it feeds them.
#[cfg(test)]
pub async fn journal_events(journal: &mut crate::storage::Journal, events: &Events) {
    use crate::sequencer::codec;

    let mut body = Vec::new();
    events.iter().for_each(|of| codec::encode(&mut body, of.at, of.by, std::slice::from_ref(&of.event)));
    let (first, count) = (events[0].seq.0, u32::try_from(events.len()).unwrap());
    journal.append(first, count, codec::FORMAT, &body).await.unwrap();
}
