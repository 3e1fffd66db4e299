//! Snapshots: the state at a sequence, so that a start need not read the whole journal. They are files beside the
//! journal, whatever stores that: written by a thread of their own, synced by themselves, and never in the way of a
//! commit. They can all be derived from the journal again.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::chain::Digest;
use super::memory::Disk;

/// A state saved at a sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The last event applied to it.
    pub seq: u64,
    /// How the body is encoded.
    pub format: u16,
    /// The journal's chain at that event, which identifies the journal.
    pub chain: Digest,
    /// Digest of the state.
    pub state_digest: Digest,
    /// The state.
    pub body: Vec<u8>,
}

/// How many are kept.
const KEPT: usize = 2;
/// Bytes of a snapshot that are written before they are synced. A commit at the same time waits for them on the disk,
/// so a large state is not synced in one go.
const SYNC_BYTES: usize = 1 << 20;
/// The header: format, sequence, chain and state digest, and a digest over these.
const HEADER_BYTES: usize = 2 + 8 + 32 + 32 + 32;

/// Where snapshots are kept.
#[derive(Clone, Debug)]
pub enum Snapshots {
    /// In this directory, each in a file named by its sequence.
    Files(PathBuf),
    /// In memory, for the simulation.
    Memory(Disk),
}

impl Snapshots {
    /// Snapshots that lie in `snapshots` under a data directory.
    pub fn under(data_dir: &Path) -> Snapshots {
        Snapshots::Files(data_dir.join("snapshots"))
    }

    /// The stored snapshots, newest first, each read when needed. Unreadable ones are skipped with a warning.
    pub fn newest_first(&self) -> impl Iterator<Item = Snapshot> {
        let (files, kept) = match self {
            Snapshots::Files(dir) => (files(dir), Vec::new()),
            Snapshots::Memory(disk) => (Ok(Vec::new()), disk.snapshots()),
        };
        let files = files.unwrap_or_else(|error| {
            tracing::warn!(%error, "the snapshots cannot be listed");
            Vec::new()
        });
        let read = |(seq, path): (u64, PathBuf)| match File::open(path).and_then(Snapshot::read) {
            Ok(snapshot) => Some(snapshot),
            Err(error) => {
                tracing::warn!(seq, %error, "a snapshot cannot be read");
                None
            }
        };
        files.into_iter().filter_map(read).chain(kept)
    }

    /// Saves a snapshot, and removes all others but the newest of an earlier event. Those of later events cannot be used:
    /// the state was resumed from the newest that can. Waits for the disk.
    ///
    /// # Errors
    /// When the disk refuses; the existing ones stay.
    pub fn save(&self, snapshot: &Snapshot) -> io::Result<()> {
        match self {
            Snapshots::Files(dir) => {
                // Not its parents: a data directory that was removed stays removed.
                match fs::create_dir(dir) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    made => made?,
                }
                write(dir, snapshot)?;
                let (later, others): (Vec<_>, Vec<_>) =
                    files(dir)?.into_iter().partition(|(seq, _)| *seq > snapshot.seq);
                let useless = later.into_iter().chain(others.into_iter().skip(KEPT));
                useless.map(|(_, path)| path).try_for_each(fs::remove_file)
            }
            Snapshots::Memory(disk) => disk.save_snapshot(snapshot, KEPT),
        }
    }

    /// Removes all, so that the next start replays the journal.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn clear(&self) -> io::Result<()> {
        match self {
            Snapshots::Files(dir) => files(dir)?.into_iter().try_for_each(|(_, path)| fs::remove_file(path)),
            Snapshots::Memory(disk) => {
                disk.damage(|_, snapshots| snapshots.clear());
                Ok(())
            }
        }
    }
}

/// The snapshots in a directory, newest first; none if there is no directory.
fn files(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        // Unfinished ones have a different name.
        if let Some(seq) = entry.file_name().to_str().and_then(|name| name.parse().ok()) {
            found.push((seq, entry.path()));
        }
    }
    found.sort_by_key(|(seq, _)| std::cmp::Reverse(*seq));
    Ok(found)
}

/// Even after a power cut readers find the whole file or none.
fn write(dir: &Path, snapshot: &Snapshot) -> io::Result<()> {
    let fresh = dir.join("new");
    let whole = fill(&fresh, snapshot).and_then(|()| fs::rename(&fresh, dir.join(snapshot.seq.to_string())));
    if whole.is_err() {
        // On a full disk the journal needs the space. If this fails, the next one overwrites the file.
        let _ = fs::remove_file(&fresh);
    }
    whole?;
    File::open(dir)?.sync_all()
}

fn fill(fresh: &Path, snapshot: &Snapshot) -> io::Result<()> {
    let mut pieces = Pieces { file: File::create(fresh)?, unsynced: 0 };
    snapshot.write(&mut pieces)?;
    pieces.file.sync_all()
}

/// A file that is synced piece by piece.
struct Pieces {
    file: File,
    unsynced: usize,
}

impl io::Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(&bytes[..bytes.len().min(SYNC_BYTES - self.unsynced)])?;
        self.unsynced += written;
        if self.unsynced == SYNC_BYTES {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Snapshot {
    /// Writes it in the form of its file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, mut file: impl io::Write) -> io::Result<()> {
        let mut header = Vec::with_capacity(HEADER_BYTES);
        header.extend(self.format.to_be_bytes());
        header.extend(self.seq.to_be_bytes());
        header.extend(self.chain);
        header.extend(self.state_digest);
        header.extend(Sha256::digest(&header));
        file.write_all(&header)?;
        file.write_all(&self.body)
    }

    /// Reads a snapshot's file.
    ///
    /// # Errors
    /// When the header is incomplete or damaged. The body is not checked; compare its digest.
    pub fn read(mut file: impl io::Read) -> io::Result<Snapshot> {
        let mut header = [0; HEADER_BYTES];
        file.read_exact(&mut header)?;
        let (mut fields, over_fields) = header.split_at(HEADER_BYTES - 32);
        if Sha256::digest(fields).as_slice() != over_fields {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "its header is damaged"));
        }
        let (mut format, mut seq, mut chain, mut state_digest) = ([0; 2], [0; 8], Digest::default(), Digest::default());
        for field in [format.as_mut_slice(), &mut seq, &mut chain, &mut state_digest] {
            fields.read_exact(field)?;
        }
        let mut body = Vec::new();
        file.read_to_end(&mut body)?;
        Ok(Snapshot { seq: u64::from_be_bytes(seq), format: u16::from_be_bytes(format), chain, state_digest, body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved(seq: u64) -> Snapshot {
        Snapshot { seq, format: 4, chain: [1; 32], state_digest: [2; 32], body: seq.to_string().into_bytes() }
    }

    fn kept(snapshots: &Snapshots) -> Vec<Snapshot> {
        snapshots.newest_first().collect()
    }

    #[test]
    fn snapshots_come_back_newest_first_and_old_ones_go() {
        let dir = tempfile::tempdir().unwrap();
        for snapshots in [Snapshots::under(dir.path()), Snapshots::Memory(Disk::default())] {
            assert_eq!(kept(&snapshots), []);
            // 30 and 29 could not be read, and 2 is how far a replay without them has come.
            for seq in [29, 30, 2] {
                snapshots.save(&saved(seq)).unwrap();
            }
            assert_eq!(kept(&snapshots), [saved(2)], "{snapshots:?}");
            for seq in [9, 10, 10] {
                snapshots.save(&saved(seq)).unwrap();
            }
            assert_eq!(kept(&snapshots), [saved(10), saved(9)], "{snapshots:?}");
            snapshots.clear().unwrap();
            assert_eq!(kept(&snapshots), []);
        }
    }

    #[test]
    fn one_that_is_written_in_pieces_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::under(dir.path());
        for length in [SYNC_BYTES - HEADER_BYTES, SYNC_BYTES, 3 * SYNC_BYTES + 1] {
            let large = Snapshot { body: (0..length).map(|at| (at % 251) as u8).collect(), ..saved(1) };
            snapshots.save(&large).unwrap();
            assert_eq!(kept(&snapshots), [large]);
        }
    }

    #[test]
    fn d6_70_one_that_is_not_finished_leaves_the_room_that_it_took() {
        let dir = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::under(dir.path());
        snapshots.save(&saved(1)).unwrap();
        // A non-empty directory, which no file can replace.
        fs::create_dir_all(dir.path().join("snapshots/2/x")).unwrap();
        snapshots.save(&saved(2)).unwrap_err();
        assert!(!dir.path().join("snapshots/new").exists());
    }

    #[test]
    fn a_data_directory_that_was_removed_is_not_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let removed = dir.path().join("data");
        let snapshots = Snapshots::under(&removed);
        assert_eq!(snapshots.save(&saved(1)).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(!removed.exists());
    }

    #[test]
    fn a_damaged_header_or_a_file_cut_short_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::under(dir.path());
        snapshots.save(&saved(1)).unwrap();
        snapshots.save(&saved(2)).unwrap();
        let file = dir.path().join("snapshots/2");
        let whole = fs::read(&file).unwrap();
        for at in 0..HEADER_BYTES {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            fs::write(&file, &bytes).unwrap();
            assert_eq!(kept(&snapshots), [saved(1)], "byte {at}");
            fs::write(&file, &whole[..at]).unwrap();
            assert_eq!(kept(&snapshots), [saved(1)], "{at} bytes");
        }
        fs::write(&file, &whole).unwrap();
        fs::write(dir.path().join("snapshots/new"), b"a write that was cut off").unwrap();
        assert_eq!(kept(&snapshots), [saved(2), saved(1)]);
    }
}
