//! From storage to a running state: the newest snapshot that this release can read, then every row after it, checked
//! link by link. At a gap or a wrong chain it refuses to start and says where.

use std::sync::Arc;

use super::Stamped;
use super::codec::{self, CodecError};
use super::replay::{self, PAGE, Replay};
use crate::domain::ids::Seq;
use crate::engine::state::State;
use crate::storage::journal::JournalError;
use crate::storage::snapshots::{Snapshot, Snapshots};
use crate::storage::{Digest, JournalReader};

/// The snapshot format that this release writes: postcard of the whole state.
pub const SNAPSHOT_FORMAT: u16 = 11;

/// Why a start, or a verification, stops.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// The journal reports an error.
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
    /// Replay does not give an earlier digest.
    #[error("replay up to sequence {at} does not give the state that was there")]
    Diverged {
        /// Up to where.
        at: u64,
    },
    /// A snapshot's file is not as it was written; the journal is sound up to there.
    #[error("the snapshot at sequence {at} is damaged: remove it")]
    Snapshot {
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

/// The result of a successful verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The last event's sequence.
    pub seq: u64,
    /// The chain up to there.
    pub chain: Digest,
    /// The replayed state's digest.
    pub state: Digest,
    /// Snapshots that replay agreed with.
    pub snapshots: usize,
}

/// The state to start from: the newest readable snapshot and what followed it.
///
/// # Errors
/// When the journal cannot be read or is damaged, or is not the one that the snapshot was made from.
pub async fn recover(reader: &JournalReader, snapshots: &Snapshots) -> Result<State, RecoveryError> {
    let mut replay = resume(reader, snapshots).await?;
    replay.follow(reader, u64::MAX, |_| Ok(())).await?;
    Ok(replay.state)
}

/// Where a replay continues from: the newest readable snapshot, or the beginning. A snapshot of an unknown format is
/// ignored (rule 48).
///
/// # Errors
/// When the journal cannot be read, or is not the one that the snapshot was made from.
pub async fn resume(reader: &JournalReader, snapshots: &Snapshots) -> Result<Replay, RecoveryError> {
    let replay = snapshots.newest_first().find_map(|snapshot| restore(&snapshot)).unwrap_or_default();
    let at = replay.state.seq.0;
    if reader.chain_before(at + 1).await? != Some(replay.chain) {
        let why = "a snapshot was made there, and of another journal: it was cut, changed or exchanged; \
                   if the journal is right, remove the snapshots"
            .to_owned();
        return Err(JournalError::Corrupt { at, why }.into());
    }
    Ok(replay)
}

/// Replays the whole journal from its first row and compares chain, every snapshot and the ledger's sums.
///
/// # Errors
/// Says where and why the journal or a snapshot is damaged.
pub async fn verify(reader: &JournalReader, snapshots: &Snapshots) -> Result<Verified, RecoveryError> {
    let mut snapshots: Vec<_> =
        snapshots.newest_first().filter(|snapshot| snapshot.format == SNAPSHOT_FORMAT).collect();
    let mut agreed = 0;
    let mut replay = Replay::default();
    replay
        .follow(reader, u64::MAX, |replay| {
            let at = replay.state.seq.0;
            let Some(oldest) = snapshots.pop_if(|snapshot| snapshot.seq == at) else { return Ok(()) };
            agreed += 1;
            let state_digest = replay.state.digest();
            if (oldest.chain, oldest.state_digest) != (replay.chain, state_digest) {
                return Err(RecoveryError::Diverged { at });
            }
            let whole = State::digest_of(&oldest.body) == state_digest;
            if whole { Ok(()) } else { Err(RecoveryError::Snapshot { at }) }
        })
        .await?;
    if let Some(beyond) = snapshots.pop() {
        let why = "a snapshot lies beyond the journal or inside a row".to_owned();
        return Err(JournalError::Corrupt { at: beyond.seq, why }.into());
    }
    let Replay { state, chain } = replay;
    state.ledger.check().map_err(|why| RecoveryError::Ledger { at: state.seq.0, why })?;
    Ok(Verified { seq: state.seq.0, chain, state: state.digest(), snapshots: agreed })
}

/// The last events, oldest first, about `max` of them. A start from a snapshot checks no row before it, so these are
/// checked here.
///
/// # Errors
/// When the journal cannot be read, or a row does not follow from the row before it.
pub async fn recent(reader: &JournalReader, max: u64) -> Result<Vec<Arc<Stamped>>, RecoveryError> {
    let mut events = Vec::new();
    let first = reader.last_seq().await?.saturating_sub(max) + 1;
    let Some(row) = reader.rows(first, u64::MAX, 1).await?.pop() else { return Ok(events) };
    let mut next = row.first_seq;
    let nothing = || JournalError::Corrupt { at: next, why: "no row ends before it".to_owned() };
    let mut chain = reader.chain_before(next).await?.ok_or_else(nothing)?;
    loop {
        let rows = reader.rows(next, u64::MAX, PAGE).await?;
        if rows.is_empty() {
            return Ok(events);
        }
        for row in rows {
            let decoded = replay::decode(&row, next, &chain)?;
            events.extend(codec::stamped(decoded.entries, next).map(Arc::new));
            (next, chain) = (row.next_seq(), decoded.chain);
        }
    }
}

/// A snapshot of a state.
pub fn snapshot(Replay { state, chain }: &Replay) -> Snapshot {
    let body = postcard::to_allocvec(state).expect("the state is plain data");
    Snapshot { seq: state.seq.0, format: SNAPSHOT_FORMAT, chain: *chain, state_digest: State::digest_of(&body), body }
}

/// The state in a snapshot, if this release can read it and it is intact.
pub fn restore(snapshot: &Snapshot) -> Option<Replay> {
    if snapshot.format != SNAPSHOT_FORMAT {
        return None;
    }
    // The digest of the bytes first: damaged ones are not even decoded.
    let intact = State::digest_of(&snapshot.body) == snapshot.state_digest;
    let state = intact.then(|| postcard::from_bytes::<State>(&snapshot.body).ok()).flatten();
    let whole = state.filter(|state| state.seq == Seq(snapshot.seq) && state.seq < Seq::END);
    if whole.is_none() {
        tracing::warn!(seq = snapshot.seq, "a snapshot is damaged; replaying the journal instead");
    }
    whole.map(|state| Replay { state, chain: snapshot.chain })
}
