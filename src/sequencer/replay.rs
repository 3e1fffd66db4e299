//! A state that follows the journal row by row, each checked against the one before it: a start, a verification and the
//! shadow all use this. Rows are checked and decoded on a thread of their own, a little ahead of the state.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::codec::{self, Entry};
use super::recovery::RecoveryError;
use crate::engine::index::PREFETCH_MAX;
use crate::engine::soundness;
use crate::engine::state::State;
use crate::storage::journal::{JournalError, Row};
use crate::storage::{Digest, JournalReader, link};

/// Rows read at a time.
pub(super) const PAGE: u32 = 256;
/// Rows that may wait to be decoded: the current page and the one after it.
const GIVEN_MAX: usize = 2 * PAGE as usize;
/// Decoded rows that may wait to be applied: few, so that they are still in the processor's cache.
const DECODED_MAX: usize = 4;

/// A state and the journal's chain at its last event.
#[derive(Clone, Debug, Default)]
pub struct Replay {
    /// The state.
    pub state: State,
    /// The chain up to and with the row that ends with its last event; all zero before the first.
    pub chain: Digest,
}

impl Replay {
    /// Applies rows until the state has reached `until` or the journal ends, and calls `after` after each. If dropped
    /// early, it has applied some of them.
    ///
    /// # Errors
    /// When the journal cannot be read, or a row does not follow from the rows before it; and the errors of `after`.
    pub async fn follow(
        &mut self,
        reader: &JournalReader,
        until: u64,
        mut after: impl FnMut(&Replay) -> Result<(), RecoveryError>,
    ) -> Result<(), RecoveryError> {
        if self.state.seq.0 >= until {
            return Ok(());
        }
        let mut next = self.state.seq.next().0;
        let (decoder, mut ahead) = (Decoder::start(next, self.chain)?, 0);
        loop {
            let mut rows = if next <= until { reader.rows(next, u64::MAX, PAGE).await? } else { Vec::new() };
            // Cut here, not by the reader: a row that is not the next one must reach the decoder, which refuses it.
            rows.truncate(rows.partition_point(|row| row.first_seq <= until).max(1));
            next = rows.last().map_or(next, Row::next_seq);
            let page = rows.len();
            rows.into_iter().for_each(|row| decoder.give(row));
            // While this page is decoded, the one before it is applied.
            for _ in 0..std::mem::replace(&mut ahead, page) {
                self.apply(decoder.take()?)?;
                after(self)?;
            }
            if page == 0 {
                return Ok(());
            }
        }
    }

    /// Checks that one row follows, and applies it.
    ///
    /// # Errors
    /// When it does not follow from the rows before it.
    pub fn take(&mut self, row: &Row) -> Result<(), RecoveryError> {
        let decoded = decode(row, self.state.seq.next().0, &self.chain)?;
        Ok(self.apply(decoded)?)
    }

    fn apply(&mut self, row: Decoded) -> Result<(), JournalError> {
        for some in row.entries.chunks(PREFETCH_MAX) {
            let events = some.iter().flat_map(|entry| entry.events.iter().map(|event| (entry.at, event)));
            self.state.prefetch(events.clone().map(|(_, event)| event));
            for (at, event) in events {
                let seq = self.state.seq.next().0;
                let unsound = |why: &str| JournalError::Corrupt { at: seq, why: format!("{why}, which cannot follow") };
                soundness::check(&self.state, event).map_err(unsound)?;
                self.state.apply(at, event);
            }
        }
        self.chain = row.chain;
        Ok(())
    }
}

/// The entries of a row, and the chain up to and including it.
pub(super) struct Decoded {
    pub(super) entries: Vec<Entry>,
    pub(super) chain: Digest,
}

/// A thread that checks and decodes rows in the order in which they are given.
struct Decoder {
    rows: SyncSender<Row>,
    decoded: Receiver<Result<Decoded, RecoveryError>>,
}

impl Decoder {
    /// Starts it for rows from sequence `next` on, which follow from `chain`.
    fn start(mut next: u64, mut chain: Digest) -> Result<Decoder, RecoveryError> {
        let (rows, given) = sync_channel::<Row>(GIVEN_MAX);
        let (done, decoded) = sync_channel(DECODED_MAX);
        let work = move || {
            for row in given {
                let result = decode(&row, next, &chain);
                if let Ok(decoded) = &result {
                    (next, chain) = (row.next_seq(), decoded.chain);
                }
                // The follower has stopped at an error.
                if done.send(result).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("decoder".to_owned());
        thread.spawn(work).map_err(|error| JournalError::Unavailable(format!("no thread to read it: {error}")))?;
        Ok(Decoder { rows, decoded })
    }

    fn give(&self, row: Row) {
        // If the thread is gone, taking the decoded row fails.
        let _ = self.rows.send(row);
    }

    fn take(&self) -> Result<Decoded, RecoveryError> {
        self.decoded.recv().expect("the thread runs as long as rows are given")
    }
}

/// Checks that a row follows from what is before it, and decodes it.
///
/// # Errors
/// When it does not follow.
pub(super) fn decode(row: &Row, next: u64, chain: &Digest) -> Result<Decoded, RecoveryError> {
    let Row { first_seq: at, count, format, ref body, chain: written } = *row;
    let damaged = |why: &str| RecoveryError::from(JournalError::Corrupt { at, why: why.to_owned() });
    if at != next {
        return Err(damaged("rows are missing before it"));
    }
    let chain = link(chain, at, count, format, body);
    if chain != written {
        return Err(damaged("its chain does not follow from the rows before it"));
    }
    let entries = codec::decode(format, body).map_err(|error| RecoveryError::Codec { at, error })?;
    if entries.iter().map(|entry| entry.events.len()).sum::<usize>() != count as usize {
        return Err(damaged("it does not hold as many events as it says"));
    }
    Ok(Decoded { entries, chain })
}
