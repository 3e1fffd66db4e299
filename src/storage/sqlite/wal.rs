//! Checks the write-ahead log before SQLite opens it.
//!
//! SQLite reads a log up to the first frame that is not intact and treats the rest as never written. That is right for
//! a commit interrupted by a power cut, and wrong for a damaged one with others after it: those were acknowledged. The
//! format is described in SQLite's "Database File Format", 4, and "WAL-mode File Format".
//!
//! The two are distinguished by the commits that are still in the log from the first bad frame on. The journal syncs each
//! commit before it begins the next one, and after a failed one it restarts the log with other salts before it
//! continues; so a power cut leaves at most one commit after a bad frame. If there are two, the disk has lost what it
//! had confirmed. Old frames do not count, since their salts differ; nor does the log's header, which SQLite syncs
//! before the first frame after it. It is impossible to tell whether the last commit was damaged or never finished;
//! after a second the head file shows it.

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::Path;

use super::super::journal::JournalError;

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// The header's first four bytes; if the lowest bit is set, its checksums use big-endian words.
const MAGIC: u32 = 0x377f_0682;
const VERSION: u32 = 3_007_000;
/// SQLite's default page size.
const USUAL_PAGE_BYTES: u32 = 4_096;
/// The smallest unit that a disk writes atomically.
const SECTOR_BYTES: u64 = 512;
/// More commits after a bad frame than a power cut can leave.
const COMMITS_MIN: u32 = 2;

/// A log that lost synced commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Damage {
    /// The byte at which the first bad frame starts; 0 is the header.
    at: u64,
    /// How many commits SQLite would treat as never written.
    commits: u32,
}

/// Refuses the log of a data directory if it lost synced commits. Not while somebody writes to it.
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
            // In a bad header these may be wrong as well.
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

/// Whether the commit mark and the salts of a frame that begins here are in one sector; of two sectors, only one may
/// have been written.
fn lies_in_one_sector(frame: u64) -> bool {
    frame % SECTOR_BYTES + 16 <= SECTOR_BYTES
}

/// The big-endian words at the beginning of `bytes`, which must be long enough.
fn words<const N: usize>(bytes: &[u8]) -> [u32; N] {
    let chunks = bytes.as_chunks().0;
    std::array::from_fn(|index| u32::from_be_bytes(chunks[index]))
}

/// Fills `buffer`; `false` when too little is left.
fn filled(log: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match log.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// SQLite's cumulative checksum of a log.
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
