//! The order load against a running server: open the sockets, run the load, compute the figures.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::caller::subscribe;
use crate::connection::Connection;
use crate::error::LoadError;
use crate::load::{Outcome, Plan, run};
use crate::machine::{CpuMeter, CpuUse, Processes};
use crate::metrics::Counters;
use crate::progress::Progress;
use crate::signature::Nonces;
use crate::target::Target;
use crate::withdrawals::Lot;

const READ_BUFFER_BYTES: usize = 64 << 10;

/// One load on one server.
#[derive(Debug, Clone)]
pub struct Load {
    /// For the progress bar.
    pub label: String,
    /// How many sockets.
    pub connections: u16,
    /// Subscribes each of them to this channel.
    pub channel: Option<String>,
    /// Of the public channels.
    pub symbol: String,
    /// Withdrawals beside it.
    pub withdrawals: Option<Lot>,
    /// The process of a raw fan-out beside it.
    pub fan_out: Option<u32>,
    /// What to send.
    pub plan: Plan,
}

/// What was measured of a run besides its outcome.
#[derive(Debug, Clone)]
pub struct Measurement {
    /// Journal syncs per accepted order, if the server reports them.
    pub syncs_per_order: Option<f64>,
    /// CPU use.
    pub cpu: CpuUse,
}

/// Opens the sockets one after another (nonces must arrive in order), subscribes each if asked, runs, and closes.
///
/// # Errors
/// The first connection or reply that is not as it must be.
pub async fn measure(
    target: &Target,
    nonces: &mut Nonces,
    load: &Load,
    progress: Progress,
) -> Result<(Measurement, Outcome), LoadError> {
    let connections = open_all(target, nonces, load).await?;
    let before = counters(target).await;
    let (server, database) = (target.process, target.database);
    let cpu = CpuMeter::start(Processes { server, database, fan_out: load.fan_out });
    let bar = progress.start(&load.label, load.plan.timing.warm_up + load.plan.timing.window);
    let outcome = run(connections, &load.plan).await?;
    drop(bar);
    let cpu = cpu.stop();
    let after = counters(target).await;
    let syncs_per_order = before.zip(after).and_then(|(before, after)| after.syncs_per_order_since(before));
    // If nothing of this load was accepted, those syncs were for others.
    let syncs_per_order = syncs_per_order.filter(|_| !outcome.tally.acknowledged.is_empty());
    let measurement = Measurement { syncs_per_order, cpu };
    Ok((measurement, outcome))
}

async fn open_all(target: &Target, nonces: &mut Nonces, load: &Load) -> Result<Vec<Connection>, LoadError> {
    let mut connections = Vec::with_capacity(usize::from(load.connections));
    for number in 0..usize::from(load.connections) {
        let mut connection = target.open(nonces, number, READ_BUFFER_BYTES).await?;
        if let Some(channel) = &load.channel {
            connection = subscribe(connection, channel, &load.symbol).await?;
        }
        connections.push(connection);
    }
    Ok(connections)
}

async fn counters(target: &Target) -> Option<Counters> {
    Counters::read(target.http.as_ref()?).await
}

/// Distinguishes loads in their `cl_ord_id`s, which contain its low 24 bits: it counts up from a random start, so that
/// no two loads of this program have the same, nor, most likely, one of another program on the same server.
pub fn run_tag() -> u64 {
    static NEXT: LazyLock<AtomicU64> = LazyLock::new(|| AtomicU64::new(RandomState::new().hash_one(0)));
    NEXT.fetch_add(1, Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mix::run_prefix;

    #[test]
    fn loads_that_follow_each_other_at_once_share_no_client_order_id() {
        let prefixes: Vec<String> = (0..100).map(|_| run_prefix(run_tag())).collect();
        assert!(prefixes.windows(2).all(|two| two[0] != two[1]), "{prefixes:?}");
    }
}
