//! A state that follows the journal row by row, each checked against the one before it: a start, a verification
//! and the shadow all read like this.

use super::codec;
use super::recovery::RecoveryError;
use crate::engine::state::State;
use crate::storage::journal::{JournalError, Row};
use crate::storage::{Digest, JournalReader, link};

/// Rows read at a time.
const PAGE: u32 = 256;

/// A state and the journal's chain at its last event.
#[derive(Clone, Debug, Default)]
pub struct Replay {
    /// The state.
    pub state: State,
    /// The digest of the row that ends with its last event; all zero before the first.
    pub chain: Digest,
}

impl Replay {
    /// Applies rows until the state has reached `until` or the journal ends, and calls `after` after each.
    ///
    /// # Errors
    /// When the journal cannot be read, or a row does not follow from the rows before it; and what `after` says.
    pub async fn follow(
        &mut self,
        reader: &JournalReader,
        until: u64,
        mut after: impl FnMut(&Replay) -> Result<(), RecoveryError>,
    ) -> Result<(), RecoveryError> {
        while self.state.seq.0 < until {
            let rows = reader.rows(self.state.seq.next().0, PAGE).await?;
            if rows.is_empty() {
                break;
            }
            for row in &rows {
                self.apply(row)?;
                after(self)?;
            }
        }
        Ok(())
    }

    fn apply(&mut self, row: &Row) -> Result<(), RecoveryError> {
        let Row { first_seq: at, count, format, ref body, digest } = *row;
        let damaged = |why: &str| RecoveryError::from(JournalError::Corrupt { at, why: why.to_owned() });
        if at != self.state.seq.next().0 {
            return Err(damaged("rows are missing before it"));
        }
        self.chain = link(&self.chain, at, count, format, body);
        if self.chain != digest {
            return Err(damaged("its digest does not follow from the rows before it"));
        }
        let entries = codec::decode(format, body).map_err(|error| RecoveryError::Codec { at, error })?;
        for entry in &entries {
            entry.events.iter().for_each(|event| self.state.apply(entry.at, event));
        }
        if self.state.seq.next().0 != row.next_seq() {
            return Err(damaged("it does not hold as many events as it says"));
        }
        Ok(())
    }
}
