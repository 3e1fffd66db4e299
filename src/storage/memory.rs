//! A journal in memory, on a disk that fails on demand: for the simulation and for tests. It passes the same list of
//! tests as the others (`conformance`); no setting selects it.

use std::io;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::chain::Digest;
use super::journal::{Head, JournalError, Row};
use super::snapshots::Snapshot;

/// What happens to appends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The next one fails and writes nothing.
    Refused,
    /// The next one fails although its row was written, as when the answer is lost.
    Unanswered,
    /// All fail and write nothing, snapshots too, until [`Disk::heal`].
    Full,
    /// The next one fails and readers do not see its row. If it `survives`, it is there when the journal is opened
    /// again, unless the writer has continued before.
    Unsynced {
        /// Whether the disk kept what was written but not synced.
        survives: bool,
    },
}

/// Where a journal in memory is kept; clones are the same disk, and it outlives its writer.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    contents: Arc<Mutex<Contents>>,
}

#[derive(Debug, Default)]
struct Contents {
    rows: Vec<Row>,
    unsynced: Option<Row>,
    snapshots: Vec<Snapshot>,
    held: bool,
    fault: Option<Fault>,
    turns: u32,
}

impl Disk {
    /// What happens to appends from now on.
    pub fn fail(&self, fault: Fault) {
        self.contents().fault = Some(fault);
    }

    /// Appends succeed again.
    pub fn heal(&self) {
        self.contents().fault = None;
    }

    /// How often an append, or a probe, yields before it takes effect; initially never.
    pub fn slow(&self, turns: u32) {
        self.contents().turns = turns;
    }

    /// Changes rows and snapshots behind the writer's back.
    pub fn damage(&self, change: impl FnOnce(&mut Vec<Row>, &mut Vec<Snapshot>)) {
        let Contents { rows, snapshots, .. } = &mut *self.contents();
        change(rows, snapshots);
    }

    /// Opens the journal for writing.
    ///
    /// # Errors
    /// [`JournalError::Locked`] while another writer lives.
    pub fn journal(&self) -> Result<MemoryJournal, JournalError> {
        let mut contents = self.contents();
        if std::mem::replace(&mut contents.held, true) {
            return Err(JournalError::Locked("the disk in memory".to_owned()));
        }
        let unsynced = contents.unsynced.take();
        contents.rows.extend(unsynced);
        let head = contents.head();
        drop(contents);
        Ok(MemoryJournal { disk: self.clone(), head })
    }

    async fn give_way(&self) {
        let turns = self.contents().turns;
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock()
    }
}

/// What readers see, and the snapshots.
impl Disk {
    pub(super) fn rows(&self, first_seq: u64, last_seq: u64, limit: u32) -> Vec<Row> {
        let contents = self.contents();
        let from = contents.rows.iter().skip_while(|row| row.first_seq < first_seq && row.next_seq() <= first_seq);
        from.filter(|row| row.first_seq <= last_seq).take(limit as usize).cloned().collect()
    }

    pub(super) fn last_seq(&self) -> u64 {
        self.contents().head().seq
    }

    pub(super) fn chain_before(&self, seq: u64) -> Option<Digest> {
        if seq <= 1 {
            return Some(Digest::default());
        }
        let contents = self.contents();
        let last = contents.rows.iter().rev().find(|row| row.first_seq < seq)?;
        (last.next_seq() == seq).then_some(last.chain)
    }

    pub(super) fn chain_of(&self, seq: u64) -> Option<Digest> {
        self.contents().rows.iter().rev().find(|row| row.first_seq <= seq).map(|row| row.chain)
    }

    pub(super) fn snapshots(&self) -> Vec<Snapshot> {
        self.contents().snapshots.clone()
    }

    pub(super) fn save_snapshot(&self, snapshot: &Snapshot, kept: usize) -> io::Result<()> {
        let mut contents = self.contents();
        if contents.fault == Some(Fault::Full) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        contents.snapshots.retain(|kept| kept.seq < snapshot.seq);
        contents.snapshots.push(snapshot.clone());
        contents.snapshots.sort_by_key(|kept| std::cmp::Reverse(kept.seq));
        contents.snapshots.truncate(kept);
        Ok(())
    }
}

impl Contents {
    fn head(&self) -> Head {
        self.rows.last().map_or_else(Head::default, |row| Head { seq: row.next_seq() - 1, chain: row.chain })
    }

    /// The fault for the next write; a fault that happens once is cleared.
    fn strike(&mut self) -> Option<Fault> {
        let fault = self.fault;
        self.fault = fault.filter(|fault| *fault == Fault::Full);
        fault
    }
}

/// The only writer of a [`Disk`].
#[derive(Debug)]
pub struct MemoryJournal {
    disk: Disk,
    head: Head,
}

impl MemoryJournal {
    pub(super) fn head(&self) -> Head {
        self.head
    }

    pub(super) async fn append(
        &mut self,
        first_seq: u64,
        count: u32,
        format: u16,
        body: &[u8],
    ) -> Result<(), JournalError> {
        self.disk.give_way().await;
        let mut contents = self.disk.contents();
        let head = self.head.then(first_seq, count, format, body)?;
        let found = contents.head().seq + 1;
        if first_seq != found {
            return Err(JournalError::Conflict { expected: first_seq, found });
        }
        let row = Row { first_seq, count, format, body: body.to_vec(), chain: head.chain };
        let fault = contents.strike();
        match fault {
            None | Some(Fault::Unanswered) => contents.rows.push(row),
            Some(Fault::Unsynced { survives }) => contents.unsynced = survives.then_some(row),
            Some(Fault::Refused | Fault::Full) => {}
        }
        match fault {
            Some(Fault::Full) => Err(full()),
            Some(Fault::Unsynced { .. }) => Err(JournalError::Unsynced("the disk was told not to sync".to_owned())),
            Some(fault) => Err(JournalError::Unavailable(format!("the disk was told to fail: {fault:?}"))),
            None => {
                self.head = head;
                Ok(())
            }
        }
    }

    pub(super) async fn probe(&mut self) -> Result<(), JournalError> {
        self.disk.give_way().await;
        let mut contents = self.disk.contents();
        if contents.fault == Some(Fault::Full) {
            return Err(full());
        }
        self.head.confirm(contents.head())?;
        contents.unsynced = None;
        Ok(())
    }
}

fn full() -> JournalError {
    JournalError::Unwritable("the disk was told to be full".to_owned())
}

impl Drop for MemoryJournal {
    fn drop(&mut self) {
        self.disk.contents().held = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is stored after each fault, when the journal is opened again.
    #[tokio::test]
    async fn each_fault_leaves_what_it_says() {
        for (fault, kept) in [
            (Fault::Refused, 1),
            (Fault::Unanswered, 2),
            (Fault::Full, 1),
            (Fault::Unsynced { survives: true }, 2),
            (Fault::Unsynced { survives: false }, 1),
        ] {
            let disk = Disk::default();
            let mut journal = disk.journal().unwrap();
            journal.append(1, 1, 1, b"whole").await.unwrap();
            disk.fail(fault);
            let struck = journal.append(2, 1, 1, b"struck").await.unwrap_err();
            assert_eq!(matches!(struck, JournalError::Unwritable(_)), fault == Fault::Full, "{struck}");
            assert_eq!(journal.head().seq, 1, "what failed is not counted");
            drop(journal);
            assert_eq!(disk.journal().unwrap().head().seq, kept, "{fault:?}");
        }
    }

    #[tokio::test]
    async fn a_full_disk_takes_again_once_it_has_room_and_the_others_strike_once() {
        let disk = Disk::default();
        let mut journal = disk.journal().unwrap();
        disk.fail(Fault::Full);
        for _ in 0..3 {
            journal.append(1, 1, 1, b"x").await.unwrap_err();
        }
        disk.heal();
        journal.append(1, 1, 1, b"x").await.unwrap();
        disk.fail(Fault::Refused);
        journal.append(2, 1, 1, b"x").await.unwrap_err();
        journal.append(2, 1, 1, b"x").await.unwrap();
    }
}
