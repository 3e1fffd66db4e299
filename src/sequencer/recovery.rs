//! From what is stored to a running state: the newest snapshot that this release can read, then every row
//! after it, checked link by link. A hole or a wrong digest refuses to start and says where.

use std::sync::Arc;

use crate::domain::ids::Seq;
use crate::engine::state::State;
use crate::storage::journal::{JournalError, Snapshot};
use crate::storage::{Digest, JournalReader, link};

use super::Stamped;
use super::codec::{self, CodecError};

/// The snapshot format that this release writes: postcard of the whole state.
pub const SNAPSHOT_FORMAT: u16 = 4;

/// Rows read at a time.
const PAGE: u32 = 256;

/// Why a start, or a verification, stops.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// The journal says no.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A row's body cannot be read.
    #[error("the journal at sequence {at}: {error}")]
    Codec {
        /// The row's first sequence.
        at: u64,
        /// Why.
        error: CodecError,
    },
    /// Replay and a stored digest differ.
    #[error("replay up to sequence {at} does not give the state that was saved there")]
    Diverged {
        /// The snapshot's sequence.
        at: u64,
    },
    /// A money law does not hold in the replayed state.
    #[error("the ledger after sequence {at}: {why}")]
    Ledger {
        /// The last sequence replayed.
        at: u64,
        /// Which law.
        why: String,
    },
}

/// What a verification found sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The last event's sequence.
    pub seq: u64,
    /// The chain's digest there.
    pub chain: Digest,
    /// The replayed state's digest.
    pub state: Digest,
    /// Snapshots that replay agreed with.
    pub snapshots: usize,
}

/// The state to start from: the newest readable snapshot and what followed it. A snapshot of an unknown
/// format is ignored and the journal replayed (rule 48).
pub async fn recover(reader: &JournalReader) -> Result<State, RecoveryError> {
    let mut state = State::default();
    for snapshot in reader.snapshots().await? {
        if let Some(saved) = restore(&snapshot) {
            state = saved;
            break;
        }
    }
    let from = state.seq.next().0;
    let Some(chain) = reader.digest_before(from).await? else {
        let why = "no row ends where the snapshot does".to_owned();
        return Err(JournalError::Corrupt { at: from, why }.into());
    };
    replay(reader, &mut state, chain, |_, _| Ok(())).await?;
    Ok(state)
}

/// Replays the whole journal from its first row and compares chain, every snapshot and the ledger's sums.
pub async fn verify(reader: &JournalReader) -> Result<Verified, RecoveryError> {
    let mut snapshots = reader.snapshots().await?;
    snapshots.retain(|snapshot| snapshot.format == SNAPSHOT_FORMAT);
    let mut agreed = 0;
    let mut state = State::default();
    let chain = replay(reader, &mut state, Digest::default(), |state, seq| {
        let Some(snapshot) = snapshots.iter().find(|snapshot| snapshot.seq == seq) else { return Ok(()) };
        agreed += 1;
        if state.digest() == snapshot.digest { Ok(()) } else { Err(RecoveryError::Diverged { at: seq }) }
    })
    .await?;
    if agreed != snapshots.len() {
        let at = snapshots[0].seq;
        return Err(
            JournalError::Corrupt { at, why: "a snapshot lies beyond the journal or inside a row".to_owned() }.into()
        );
    }
    state.ledger.check().map_err(|why| RecoveryError::Ledger { at: state.seq.0, why })?;
    Ok(Verified { seq: state.seq.0, chain, state: state.digest(), snapshots: agreed })
}

/// The last events of the journal, oldest first, about `max` of them: what streams can resume over.
pub async fn recent(reader: &JournalReader, max: u64) -> Result<Vec<Arc<Stamped>>, RecoveryError> {
    let mut events = Vec::new();
    let mut next = reader.last_seq().await?.saturating_sub(max) + 1;
    loop {
        let rows = reader.rows(next, PAGE).await?;
        let Some(last) = rows.last() else { return Ok(events) };
        next = last.next_seq();
        for row in rows {
            let at = row.first_seq;
            let entries = codec::decode(row.format, &row.body).map_err(|error| RecoveryError::Codec { at, error })?;
            events.extend(codec::stamped(entries, row.first_seq).map(Arc::new));
        }
    }
}

/// A snapshot of `state`.
pub fn snapshot(state: &State) -> Snapshot {
    let body = postcard::to_allocvec(state).expect("the state is plain data");
    Snapshot { seq: state.seq.0, format: SNAPSHOT_FORMAT, digest: state.digest(), body }
}

/// The state in a snapshot, if this release can read it and it is whole.
fn restore(snapshot: &Snapshot) -> Option<State> {
    if snapshot.format != SNAPSHOT_FORMAT {
        return None;
    }
    // The bytes before their meaning: what was damaged is not even read.
    let intact = State::digest_of(&snapshot.body) == snapshot.digest;
    let state = intact.then(|| postcard::from_bytes::<State>(&snapshot.body).ok()).flatten();
    let whole = state.filter(|state| state.seq == Seq(snapshot.seq) && state.digest() == snapshot.digest);
    if whole.is_none() {
        tracing::warn!(seq = snapshot.seq, "a snapshot is damaged; replaying the journal instead");
    }
    whole
}

/// Applies every row after `state`, calling `after` with the sequence that each row ends at.
async fn replay(
    reader: &JournalReader,
    state: &mut State,
    mut chain: Digest,
    mut after: impl FnMut(&State, u64) -> Result<(), RecoveryError>,
) -> Result<Digest, RecoveryError> {
    loop {
        let next = state.seq.next().0;
        let rows = reader.rows(next, PAGE).await?;
        if rows.is_empty() {
            return Ok(chain);
        }
        for row in rows {
            let at = row.first_seq;
            let damaged = |why: &str| RecoveryError::from(JournalError::Corrupt { at, why: why.to_owned() });
            if at != state.seq.next().0 {
                return Err(damaged("rows are missing before it"));
            }
            chain = link(&chain, at, row.count, row.format, &row.body);
            if chain != row.digest {
                return Err(damaged("its digest does not follow from the rows before it"));
            }
            let entries = codec::decode(row.format, &row.body).map_err(|error| RecoveryError::Codec { at, error })?;
            for entry in &entries {
                entry.events.iter().for_each(|event| state.apply(entry.at, event));
            }
            if state.seq.next().0 != row.next_seq() {
                return Err(damaged("it does not hold as many events as it says"));
            }
            after(state, state.seq.0)?;
        }
    }
}
