//! What an idle authenticated connection costs the server in memory.

use serde::Serialize;

use crate::error::LoadError;
use crate::figures::{ratio, to_f64};
use crate::load::subscribe;
use crate::machine::{open_files_max, resident_kib};
use crate::orders::{Target, open};
use crate::signature::Nonces;

/// An idle client needs room for a handshake's answer and little else.
const READ_BUFFER_BYTES: usize = 512;
/// Files that either process has open besides the sockets.
const OTHER_FILES: u64 = 100;
/// The first connections pay for what all share (pools, lazily made tables) and are not counted.
const FIRST_CONNECTIONS: u32 = 50;

/// The result.
#[derive(Debug, Clone, Serialize)]
pub struct IdleReport {
    /// Connections counted.
    pub connections: u32,
    /// Server RSS before them.
    pub resident_before_kib: u64,
    /// Server RSS with them.
    pub resident_after_kib: u64,
    /// The difference for each.
    pub kib_per_connection: f64,
    /// Seconds that opening them took, one after another.
    pub opening_seconds: f64,
}

/// Opens `count` connections, all held until the measure is taken.
///
/// # Errors
/// Too low a limit of open files, or a refused connection.
pub async fn measure(
    target: &Target,
    process: u32,
    count: u32,
    channel: Option<&str>,
) -> Result<IdleReport, LoadError> {
    let needed = u64::from(count + FIRST_CONNECTIONS) + OTHER_FILES;
    if let Some(limit) = open_files_max().filter(|limit| *limit < needed) {
        return Err(LoadError::Setup(format!(
            "{needed} open files are needed and {limit} allowed: run `ulimit -n {needed}` in this shell first"
        )));
    }
    let mut nonces = Nonces::default();
    let mut held = Vec::new();
    let open_one = async |nonces: &mut Nonces| -> Result<_, LoadError> {
        let mut connection = open(target, nonces, READ_BUFFER_BYTES).await?;
        if let Some(channel) = channel {
            subscribe(&mut connection, channel).await?;
        }
        Ok(connection)
    };
    for _ in 0..FIRST_CONNECTIONS {
        held.push(open_one(&mut nonces).await?);
    }
    let resident_before_kib = resident_kib(process)?;
    let start = std::time::Instant::now();
    for _ in 0..count {
        held.push(open_one(&mut nonces).await?);
    }
    let opening_seconds = start.elapsed().as_secs_f64();
    let resident_after_kib = resident_kib(process)?;
    drop(held);
    let growth = to_f64(resident_after_kib) - to_f64(resident_before_kib);
    Ok(IdleReport {
        connections: count,
        resident_before_kib,
        resident_after_kib,
        kib_per_connection: ratio(growth, f64::from(count)).unwrap_or(0.0),
        opening_seconds,
    })
}

impl std::fmt::Display for IdleReport {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "{} idle authenticated connections, opened in {:.1} s: server RSS {} -> {} KiB, {:.1} KiB per connection",
            self.connections,
            self.opening_seconds,
            self.resident_before_kib,
            self.resident_after_kib,
            self.kib_per_connection
        )
    }
}
