//! Logs as a writer, a power cut and a failing disk leave them.

use super::super::SqliteJournal;
use super::*;

const PAGE: usize = 512;
const FRAME: usize = FRAME_HEADER_BYTES + PAGE;
/// The frame size of SQLite's own logs.
const USUAL_FRAME: usize = FRAME_HEADER_BYTES + USUAL_PAGE_BYTES as usize;
const SALTS: [u32; 2] = [7, 0xdead_beef];

/// A log being written, as SQLite writes it.
struct Log {
    bytes: Vec<u8>,
    order: fn([u8; 4]) -> u32,
    salts: [u32; 2],
    sum: Sum,
}

impl Log {
    fn new(big_endian: bool, salts: [u32; 2]) -> Log {
        let order = if big_endian { u32::from_be_bytes } else { u32::from_le_bytes };
        let mut bytes = Vec::new();
        for word in [MAGIC | u32::from(big_endian), VERSION, PAGE as u32, 0, salts[0], salts[1]] {
            bytes.extend(word.to_be_bytes());
        }
        let sum = Sum(0, 0).over(&bytes, order);
        bytes.extend(sum.0.to_be_bytes());
        bytes.extend(sum.1.to_be_bytes());
        Log { bytes, order, salts, sum }
    }

    /// A commit of this many pages.
    fn commit(&mut self, pages: u32) {
        for page in 1..=pages {
            let data = [page as u8; PAGE];
            let begins = self.bytes.len();
            for word in [page, if page == pages { 99 } else { 0 }] {
                self.bytes.extend(word.to_be_bytes());
            }
            self.sum = self.sum.over(&self.bytes[begins..], self.order).over(&data, self.order);
            for word in [self.salts[0], self.salts[1], self.sum.0, self.sum.1] {
                self.bytes.extend(word.to_be_bytes());
            }
            self.bytes.extend(data);
        }
    }

    /// With these commits.
    fn of(commits: &[u32]) -> Log {
        let mut log = Log::new(false, SALTS);
        commits.iter().for_each(|pages| log.commit(*pages));
        log
    }
}

fn frame(number: usize) -> usize {
    HEADER_BYTES + number * FRAME
}

fn found(bytes: &[u8]) -> Option<Damage> {
    damage(bytes).unwrap()
}

#[test]
fn a_whole_log_is_sound_in_either_byte_order() {
    for big_endian in [false, true] {
        let mut log = Log::new(big_endian, SALTS);
        for _ in 0..4 {
            log.commit(3);
            assert_eq!(found(&log.bytes), None);
        }
        log.bytes[frame(1) + 100] ^= 1;
        assert_eq!(found(&log.bytes), Some(Damage { at: frame(1) as u64, commits: 4 }));
    }
    assert_eq!(found(&[]), None);
    assert_eq!(found(&Log::new(true, SALTS).bytes), None);
}

#[test]
fn any_flip_before_the_last_commit_but_one_is_found_at_its_frame() {
    let log = Log::of(&[2, 1, 3, 2]);
    // The field that marks the last commit but one as a commit must not be hit itself.
    for at in (0..frame(5)).chain(frame(5) + 16..frame(6)).filter(|at| !(8..12).contains(at)) {
        let mut bytes = log.bytes.clone();
        bytes[at] ^= 1 << (at % 8);
        let begins = at.checked_sub(HEADER_BYTES).map_or(0, |behind| frame(behind / FRAME));
        assert_eq!(found(&bytes).map(|damage| damage.at), Some(begins as u64), "a flip at {at}");
    }
}

/// Each frame of the commit under way may be on disk, or not, or in part.
#[test]
fn whatever_a_power_cut_leaves_of_the_last_commit_is_no_damage() {
    const PAGES: usize = 8;
    let synced = Log::of(&[2, 1]);
    let (whole, begins) = (Log::of(&[2, 1, PAGES as u32]), frame(3));
    // Empty space, or an earlier log in which every frame was a commit.
    let mut older = Log::new(false, [6, 1]);
    (0..20).for_each(|_| older.commit(1));
    for before in [vec![0; whole.bytes.len()], older.bytes] {
        for there in 0..1 << PAGES {
            let mut bytes = before.clone();
            bytes[..begins].copy_from_slice(&synced.bytes);
            for page in (0..PAGES).filter(|page| there >> page & 1 == 1) {
                let at = frame(3 + page);
                bytes[at..at + FRAME].copy_from_slice(&whole.bytes[at..at + FRAME]);
            }
            assert_eq!(found(&bytes), None, "frames {there:b}");
        }
    }
    for length in 0..whole.bytes.len() {
        assert_eq!(found(&whole.bytes[..length]), None, "cut to {length} bytes");
    }
}

/// Frames cross sectors; the 42nd has its commit mark in one sector and its salts in the next.
#[test]
fn a_sector_that_is_missing_or_alone_of_the_last_commit_is_no_damage() {
    let mut synced = vec![1; 40];
    let begins = Log::of(&synced).bytes.len();
    synced.push(4);
    let whole = Log::of(&synced).bytes;
    // Over an earlier log in which every frame was a commit.
    let mut older = Log::new(false, [6, 1]);
    (0..50).for_each(|_| older.commit(1));
    for sector in begins / 512..=whole.len() / 512 {
        for missing in [true, false] {
            let mut bytes = older.bytes.clone();
            bytes[..begins].copy_from_slice(&whole[..begins]);
            for at in (begins..whole.len()).filter(|at| (at / 512 == sector) != missing) {
                bytes[at] = whole[at];
            }
            assert_eq!(found(&bytes), None, "sector {sector}, missing: {missing}");
        }
    }
}

/// A restarted log overwrites the one before, whose frames were copied and synced.
#[test]
fn frames_of_an_earlier_log_do_not_count() {
    let mut older = Log::new(false, [6, 1]);
    (0..9).for_each(|_| older.commit(2));
    for commits in 0..4 {
        let mut bytes = older.bytes.clone();
        let newer = Log::of(&vec![3; commits]).bytes;
        bytes[..newer.len()].copy_from_slice(&newer);
        assert_eq!(found(&bytes), None, "{commits} newer commits");
    }
}

#[tokio::test]
async fn d6_69_a_flip_in_the_midst_of_the_log_of_a_killed_journal_is_refused_and_changes_nothing() {
    const ROWS: u64 = 50;
    let dir = tempfile::tempdir().unwrap();
    let mut journal = SqliteJournal::open(dir.path()).await.unwrap();
    for row in 1..=ROWS {
        journal.append(row, 1, 1, &[7; 3_000]).await.unwrap();
    }
    let (database, log) = ("journal.db", "journal.db-wal");
    let bytes = std::fs::read(dir.path().join(log)).unwrap();
    // What a kill leaves, with this log.
    let killed = |bytes: &[u8]| {
        let copy = tempfile::tempdir().unwrap();
        std::fs::copy(dir.path().join(database), copy.path().join(database)).unwrap();
        std::fs::write(copy.path().join(log), bytes).unwrap();
        copy
    };
    let whole = killed(&bytes);
    assert_eq!(SqliteJournal::open(whole.path()).await.unwrap().head().seq, ROWS, "the kill itself loses nothing");
    let frames = (bytes.len() - HEADER_BYTES) / USUAL_FRAME;
    let inside = [0, frames / 2, frames - 10].map(|bad| HEADER_BYTES + bad * USUAL_FRAME);
    for (place, at) in (0..HEADER_BYTES).map(|at| (0, at)).chain(inside.map(|place| (place, place + 2_000))) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        let copy = killed(&damaged);
        let refused = SqliteJournal::open(copy.path()).await.unwrap_err();
        assert!(matches!(refused, JournalError::Log { at, .. } if at == place as u64), "a flip at {at}: {refused}");
        assert!(refused.to_string().contains(&format!("journal.db-wal at byte {place}:")), "{refused}");
        assert!(super::super::check_log(copy.path()).is_err(), "whoever only looks is told as well");
        assert!(std::fs::read(copy.path().join(log)).unwrap() == damaged, "somebody wrote");
    }
    // The purpose: SQLite would report nothing.
    let mut damaged = bytes.clone();
    damaged[HEADER_BYTES + frames / 2 * USUAL_FRAME + 2_000] ^= 4;
    let left = super::super::reader(killed(&damaged).path()).await.unwrap().last_seq().await.unwrap();
    assert!(left < ROWS, "{left}");
}

/// The check relies on this: one frame marks a commit, however large that is, and it is the last of its row.
#[tokio::test]
async fn a_row_is_one_commit_in_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = SqliteJournal::open(dir.path()).await.unwrap();
    let commits = || {
        let bytes = std::fs::read(dir.path().join("journal.db-wal")).unwrap();
        let frames = bytes[HEADER_BYTES..].chunks_exact(USUAL_FRAME);
        frames.filter(|frame| words::<2>(frame)[1] != 0).count()
    };
    let before = commits();
    for (row, bytes) in (1..).zip([10, 100_000, 5_000_000, 10]) {
        journal.append(row, 1, 1, &vec![7; bytes]).await.unwrap();
        assert_eq!(commits(), before + row as usize, "{bytes} bytes");
    }
}
