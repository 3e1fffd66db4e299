//! The plain group commit of baseline D: an append-only file, one fdatasync per group.
//!
//! Whatever was appended while the last group was being synced is the next group, so a group ends exactly when the disk
//! is free.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::error::LoadError;
use crate::output::print_line;

/// Bytes of the file read at a time to count its records.
const CHUNK_BYTES: usize = 64 << 10;

/// Groups are numbered from 1; a record is durable once `committed` has reached its group.
#[derive(Debug)]
pub struct GroupCommit {
    shared: Arc<Shared>,
    committed: watch::Receiver<u64>,
    thread: Option<JoinHandle<Totals>>,
}

/// What went through the file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Records made durable.
    pub records: u64,
    /// Syncs that it took.
    pub syncs: u64,
}

#[derive(Debug)]
struct Shared {
    open: Mutex<Group>,
    filled: Condvar,
}

#[derive(Debug)]
struct Group {
    number: u64,
    records: u64,
    bytes: Vec<u8>,
    stop: bool,
}

impl GroupCommit {
    /// Starts the thread that writes and syncs `file`.
    pub fn start(file: File) -> Self {
        let open = Group { number: 1, records: 0, bytes: Vec::new(), stop: false };
        let shared = Arc::new(Shared { open: Mutex::new(open), filled: Condvar::new() });
        let (durable, committed) = watch::channel(0);
        let thread = std::thread::spawn({
            let shared = shared.clone();
            move || commit_groups(&shared, file, &durable)
        });
        Self { shared, committed, thread: Some(thread) }
    }

    /// Adds records to the open group and returns its number.
    pub fn append(&self, records: u64, bytes: &[u8]) -> u64 {
        let mut open = self.shared.open.lock();
        if open.bytes.is_empty() {
            self.shared.filled.notify_one();
        }
        open.records += records;
        open.bytes.extend_from_slice(bytes);
        open.number
    }

    /// A receiver for the number of the last durable group. Closed when the disk fails.
    pub fn committed(&self) -> watch::Receiver<u64> {
        self.committed.clone()
    }

    /// Commits the open group and ends the thread.
    pub fn stop(mut self) -> Totals {
        self.end().unwrap_or_default()
    }

    fn end(&mut self) -> Option<Totals> {
        let thread = self.thread.take()?;
        self.shared.open.lock().stop = true;
        self.shared.filled.notify_one();
        thread.join().ok()
    }
}

impl Drop for GroupCommit {
    fn drop(&mut self) {
        self.end();
    }
}

fn commit_groups(shared: &Shared, mut file: File, durable: &watch::Sender<u64>) -> Totals {
    let mut totals = Totals::default();
    let mut writing = Vec::new();
    loop {
        let mut open = shared.open.lock();
        shared.filled.wait_while(&mut open, |open| open.bytes.is_empty() && !open.stop);
        if open.bytes.is_empty() {
            return totals;
        }
        // The two buffers are swapped and keep their memory.
        std::mem::swap(&mut writing, &mut open.bytes);
        let records = std::mem::take(&mut open.records);
        let number = open.number;
        open.number += 1;
        drop(open);
        if let Err(error) = file.write_all(&writing).and_then(|()| file.sync_data()) {
            // Nothing more is acknowledged: dropping the sender ends every session.
            print_line(&format!("the group commit's file failed: {error}"));
            return totals;
        }
        writing.clear();
        totals.records += records;
        totals.syncs += 1;
        durable.send_replace(number);
    }
}

/// Checks D's promise: each request that it answered is a line of its file.
///
/// # Errors
/// The file holds fewer, or cannot be read.
pub fn require_records(journal: &Path, answered: u64) -> Result<(), LoadError> {
    let lines = lines(journal).map_err(LoadError::io(format!("read {}", journal.display())))?;
    if lines < answered {
        return Err(LoadError::Protocol(format!("D answered {answered} requests, and its file holds {lines}")));
    }
    Ok(())
}

/// Counts only complete lines.
fn lines(journal: &Path) -> std::io::Result<u64> {
    let (mut file, mut chunk, mut lines) = (File::open(journal)?, vec![0; CHUNK_BYTES], 0);
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(lines),
            count => lines += memchr::memchr_iter(b'\n', &chunk[..count]).count() as u64,
        }
    }
}
