//! The write-ahead log, looked at before SQLite opens it.
//!
//! SQLite reads a log up to the first frame that is not whole and takes the rest for never written. That is right for the
//! commit that a power cut met, and wrong for a damaged one with others behind it: these were acknowledged. Its format is
//! described in SQLite's "Database File Format", 4, and "WAL-mode File Format".
//!
//! The two are told apart by the commits that still stand in the log from the first bad frame on. The journal syncs each
//! commit before it begins the next one, and after one that failed it begins the log anew, under other salts, before it
//! goes on; so a power cut leaves at most one commit behind a frame that is not whole. Where there are two, the disk has
//! lost what it had confirmed. Old frames do not count, since their salts are others; nor does the log's header, which
//! SQLite syncs before the first frame behind it. What cannot be told is whether the last commit was damaged or never
//! finished; the head file tells it after a second.

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::Path;

use super::super::journal::JournalError;

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// The header's first four bytes; the lowest bit says that its checksums are made of big-endian words.
const MAGIC: u32 = 0x377f_0682;
const VERSION: u32 = 3_007_000;
/// What SQLite makes pages of unless it is told otherwise.
const USUAL_PAGE_BYTES: u32 = 4_096;
/// The least that a disk writes whole.
const SECTOR_BYTES: u64 = 512;
/// Commits behind a frame that is not whole which a power cut cannot leave.
const COMMITS_MIN: u32 = 2;

/// A log that lost commits which were synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Damage {
    /// The byte at which the first frame begins that is not whole; 0 is the header.
    at: u64,
    /// How many commits SQLite would take for never written.
    commits: u32,
}

/// Refuses the log of a data directory if it lost commits which were synced. Not while somebody writes to it.
///
/// # Errors
/// `Log` where it did; `Unavailable` when it cannot be read.
pub(super) fn check(dir: &Path) -> Result<(), JournalError> {
    let found = match File::open(dir.join("journal.db-wal")) {
        Ok(log) => damage(BufReader::with_capacity(1 << 16, log)),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => Err(error),
    };
    match found.map_err(|error| JournalError::Unavailable(format!("journal.db-wal: {error}")))? {
        None => Ok(()),
        Some(Damage { at, commits }) => {
            let why = format!("{commits} commits from there on were on disk and could not be read any more");
            Err(JournalError::Log { at, why })
        }
    }
}

/// Walks a log from its beginning, frame by frame.
fn damage(mut log: impl Read) -> io::Result<Option<Damage>> {
    let mut header = [0; HEADER_BYTES];
    if !filled(&mut log, &mut header)? {
        return Ok(None);
    }
    let [magic, version, page, _, salt, other, first, second] = words(&header);
    let order = if magic & 1 == 1 { u32::from_be_bytes } else { u32::from_le_bytes };
    let sized = page.is_power_of_two() && (512..=65_536).contains(&page);
    let mut sum = Sum(0, 0).over(&header[..24], order);
    let sound = magic | 1 == MAGIC | 1 && version == VERSION && sized && sum == Sum(first, second);
    let mut salts = [salt, other];
    let mut bad = (!sound).then_some(0);
    let (mut at, mut commits) = (HEADER_BYTES as u64, 0);
    let mut frame = vec![0; FRAME_HEADER_BYTES + if sized { page } else { USUAL_PAGE_BYTES } as usize];
    while filled(&mut log, &mut frame)? {
        let (head, data) = frame.split_at(FRAME_HEADER_BYTES);
        let [number, size, salt, other, first, second] = words(head);
        if !sound && at == HEADER_BYTES as u64 {
            // The header may be wrong in these as well.
            salts = [salt, other];
        }
        if bad.is_none() {
            sum = sum.over(&head[..8], order).over(data, order);
            let whole = number != 0 && [salt, other] == salts && sum == Sum(first, second);
            bad = (!whole).then_some(at);
        }
        if bad.is_some() && size != 0 && [salt, other] == salts && lies_in_one_sector(at) {
            commits += 1;
        }
        at += frame.len() as u64;
    }
    Ok(bad.filter(|_| commits >= COMMITS_MIN).map(|at| Damage { at, commits }))
}

/// Whether what a frame that begins here says of its commit and its salts is of one time: of two sectors, one may be on
/// disk and the other not.
fn lies_in_one_sector(frame: u64) -> bool {
    frame % SECTOR_BYTES + 16 <= SECTOR_BYTES
}

/// The big-endian words at the beginning of `bytes`, of which there are enough.
fn words<const N: usize>(bytes: &[u8]) -> [u32; N] {
    let chunks = bytes.as_chunks().0;
    std::array::from_fn(|index| u32::from_be_bytes(chunks[index]))
}

/// Fills `buffer`; `false` when there is not as much left.
fn filled(log: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match log.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// SQLite's checksum of a log, which each frame carries on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sum(u32, u32);

impl Sum {
    fn over(self, bytes: &[u8], order: fn([u8; 4]) -> u32) -> Sum {
        let Sum(mut even, mut odd) = self;
        for [a, b, c, d, e, f, g, h] in bytes.as_chunks().0 {
            even = even.wrapping_add(order([*a, *b, *c, *d])).wrapping_add(odd);
            odd = odd.wrapping_add(order([*e, *f, *g, *h])).wrapping_add(even);
        }
        Sum(even, odd)
    }
}
