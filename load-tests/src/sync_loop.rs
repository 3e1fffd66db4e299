//! The plain sync loop: what one fdatasync of a small append costs on this disk now.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::error::LoadError;
use crate::figures::{Figures, latency_histogram, nanoseconds};

const APPEND_BYTES: usize = 4_096;

/// Appends 4 KiB and syncs, again and again for `window`, into a new file in `directory` that is removed afterwards.
///
/// # Errors
/// The file cannot be written.
pub fn run(directory: &Path, window: Duration) -> Result<(Figures, Histogram<u32>), LoadError> {
    let path = directory.join(format!("sync-loop-{}", std::process::id()));
    let what = || format!("append to {}", path.display());
    let mut file = OpenOptions::new().create_new(true).append(true).open(&path).map_err(LoadError::io(what()))?;
    let mut latencies = latency_histogram();
    let block = [0x5A_u8; APPEND_BYTES];
    let start = Instant::now();
    let mut now = start;
    let looped = loop {
        if let Err(error) = file.write_all(&block).and_then(|()| file.sync_data()) {
            break Err(error);
        }
        let before = std::mem::replace(&mut now, Instant::now());
        latencies.saturating_record(nanoseconds(now - before));
        if now - start >= window {
            break Ok(Figures::new(&latencies, now - start));
        }
    };
    let removed = std::fs::remove_file(&path);
    looped.and_then(|figures| removed.map(|()| (figures, latencies))).map_err(LoadError::io(what()))
}
