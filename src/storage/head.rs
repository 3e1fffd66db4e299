//! The head file (rule 47): where the journal ended a moment ago, stored apart from it. A hash chain cannot show that
//! its tail was cut off; an earlier copy of the head, kept elsewhere, can.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use super::JournalReader;
use super::journal::{Head, JournalError};

/// Sequences stay below this; a file with a higher one is not a head.
const END: u64 = 1 << 45;

/// Its name in the data directory.
pub const HEAD_FILE: &str = "head";

/// Replaces the head file of a data directory atomically: even after a power cut, readers find the old head or the new
/// one. Waits for the disk, so do not call it on the sequencer's thread.
///
/// # Errors
/// When the disk refuses; the old head stays.
pub fn write_head(dir: &Path, head: Head) -> io::Result<()> {
    let fresh = dir.join("head.new");
    let mut file = File::create(&fresh)?;
    writeln!(file, "{} {}", head.seq, hex::encode(head.chain))?;
    file.sync_all()?;
    fs::rename(&fresh, dir.join(HEAD_FILE))?;
    File::open(dir)?.sync_all()
}

/// Reads a head file; `None` when there is none.
///
/// # Errors
/// `InvalidData` when the file is not a head.
pub fn read_head(file: &Path) -> io::Result<Option<Head>> {
    match fs::read_to_string(file) {
        Ok(text) => match parse(&text) {
            Some(head) => Ok(Some(head)),
            None => Err(io::Error::new(io::ErrorKind::InvalidData, format!("{} is not a head", file.display()))),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io::Error::new(error.kind(), format!("{}: {error}", file.display()))),
    }
}

/// Compares the journal with the head file of a data directory, if there is one: a journal that was cut off or
/// exchanged for another looks sound by itself.
///
/// # Errors
/// `Corrupt` when the journal no longer has what it had when the file was written.
pub async fn check_head(dir: &Path, journal: &JournalReader) -> Result<(), JournalError> {
    let file = dir.join(HEAD_FILE);
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::InvalidData => format!("{error}; if the journal is right, remove that file"),
        _ => error.to_string(),
    };
    let unreadable = |error| JournalError::Unavailable(unreadable(error));
    let Some(head) = read_head(&file).map_err(unreadable)? else { return Ok(()) };
    if journal.chain_before(head.seq + 1).await? == Some(head.chain) {
        return Ok(());
    }
    let file = file.display();
    let why = format!("it is not the one of {file}: it was cut, changed or exchanged; if that is meant, remove {file}");
    Err(JournalError::Corrupt { at: head.seq, why })
}

fn parse(text: &str) -> Option<Head> {
    let (seq, hash) = text.strip_suffix('\n')?.split_once(' ')?;
    let mut chain = [0; 32];
    hex::decode_to_slice(hash, &mut chain).ok()?;
    let seq = seq.parse().ok().filter(|seq| *seq < END)?;
    Some(Head { seq, chain })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_comes_back_and_the_newest_replaces_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(HEAD_FILE);
        assert_eq!(read_head(&file).unwrap(), None);
        for seq in [0, 7, END - 1] {
            let head = Head { seq, chain: [seq as u8; 32] };
            write_head(dir.path(), head).unwrap();
            assert_eq!(read_head(&file).unwrap(), Some(head));
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left behind");
    }

    #[test]
    fn what_is_no_head_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(HEAD_FILE);
        let whole = format!("7 {}\n", "ab".repeat(32));
        let beyond = [END, i64::MAX as u64, u64::MAX].map(|seq| format!("{seq} {}\n", "00".repeat(32)));
        let texts = ["", "7", "7 abcd\n", "x 00\n", &whole[..whole.len() - 1], &format!("-{whole}")];
        for text in texts.into_iter().chain(beyond.iter().map(String::as_str)) {
            fs::write(&file, text).unwrap();
            assert_eq!(read_head(&file).unwrap_err().kind(), io::ErrorKind::InvalidData, "{text:?}");
        }
    }
}
