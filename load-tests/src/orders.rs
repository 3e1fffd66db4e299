//! The order load against a running server: open the sockets, run the closed loop, describe the result.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::connection::{Connection, Signer};
use crate::credentials::{ReadyFile, ServiceUser};
use crate::endpoint::Endpoint;
use crate::error::LoadError;
use crate::figures::Figures;
use crate::load::{Duty, Shape, run, subscribe};
use crate::machine::{CpuMeter, CpuUse};
use crate::metrics::Counters;
use crate::mix::Mix;
use crate::signature::Nonces;

const READ_BUFFER_BYTES: usize = 64 << 10;

/// A server to load, and as whom.
#[derive(Debug, Clone)]
pub struct Target {
    /// The socket.
    pub ws: Endpoint,
    /// The web address, for `/metrics`.
    pub http: Option<Endpoint>,
    /// Signs the handshakes; `None` for the baselines.
    pub user: Option<ServiceUser>,
    /// The server's process, where it is known, for its CPU use.
    pub process: Option<u32>,
}

impl Target {
    /// A server as a ready file tells it. `http` and `ws` given by hand win over the file's.
    ///
    /// # Errors
    /// No such key, or no address.
    pub fn from_ready(
        ready: &ReadyFile,
        http: Option<&str>,
        ws: Option<&str>,
        user: Option<&str>,
    ) -> Result<Self, LoadError> {
        let ws = ws.or(ready.ws.as_deref()).ok_or_else(|| LoadError::Setup("no WebSocket address is known".into()))?;
        let http = http.or(ready.http.as_deref());
        Ok(Self {
            ws: Endpoint::parse(ws)?,
            http: http.map(Endpoint::parse).transpose()?,
            user: Some(ready.service_user(user)?.clone()),
            process: None,
        })
    }
}

/// The result of one run.
#[derive(Debug, Clone, Serialize)]
pub struct Measurement {
    /// Connections × in flight.
    pub shape: Shape,
    /// Rate and latency of accepted requests.
    #[serde(flatten)]
    pub figures: Figures,
    /// Accepted orders in the window.
    pub orders: u64,
    /// Accepted cancels in the window.
    pub cancels: u64,
    /// Refusals by error text, over the whole run.
    pub refusals: BTreeMap<String, u64>,
    /// Channel frames received in the window.
    pub stream_frames: u64,
    /// Journal syncs per accepted order, where the server tells.
    pub syncs_per_order: Option<f64>,
    /// CPU use.
    pub cpu: CpuUse,
}

impl Measurement {
    /// Refused requests.
    pub fn refused(&self) -> u64 {
        self.refusals.values().sum()
    }
}

/// Opens the sockets one after another (nonces must arrive in order), subscribes each if asked, runs, and closes.
///
/// # Errors
/// The first connection or reply that is not as it must be.
pub async fn measure(
    target: &Target,
    nonces: &mut Nonces,
    mix: &Arc<Mix>,
    shape: Shape,
    duty: Duty,
    channel: Option<&str>,
) -> Result<Measurement, LoadError> {
    let mut connections = Vec::with_capacity(usize::from(shape.connections));
    for _ in 0..shape.connections {
        let mut connection = open(target, nonces, READ_BUFFER_BYTES).await?;
        if let Some(channel) = channel {
            subscribe(&mut connection, channel).await?;
        }
        connections.push(connection);
    }
    let before = counters(target).await;
    let cpu = CpuMeter::start(target.process);
    let outcome = run(connections, shape.in_flight, mix.clone(), duty, run_tag()).await?;
    let cpu = cpu.stop();
    let after = counters(target).await;
    Ok(Measurement {
        shape,
        figures: Figures::new(&outcome.latencies, duty.window),
        orders: outcome.orders,
        cancels: outcome.cancels,
        refusals: outcome.refusals,
        stream_frames: outcome.stream_frames,
        syncs_per_order: before.zip(after).and_then(|(before, after)| after.syncs_per_order_since(before)),
        cpu,
    })
}

/// Opens one socket to the target, signed if it has a user.
///
/// # Errors
/// The handshake fails.
pub async fn open(target: &Target, nonces: &mut Nonces, buffer: usize) -> Result<Connection, LoadError> {
    let signer = target.user.as_ref().map(|user| Signer { user, nonce: nonces.next_nonce() });
    Connection::open(&target.ws, signer, buffer).await
}

async fn counters(target: &Target) -> Option<Counters> {
    Counters::read(target.http.as_ref()?).await
}

/// Tenths of seconds since 1970: differs between runs, which take longer, and in its low 24 bits for 19 days.
fn run_tag() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    since_epoch.as_secs() * 10 + u64::from(since_epoch.subsec_millis() / 100)
}

impl std::fmt::Display for Measurement {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Figures { per_second, p50_us, p99_us, p999_us } = self.figures;
        writeln!(
            formatter,
            "{}: {per_second:.0} accepted/s ({} orders, {} cancels)",
            self.shape, self.orders, self.cancels
        )?;
        writeln!(formatter, "latency: p50 {p50_us:.0} us, p99 {p99_us:.0} us, p99.9 {p999_us:.0} us")?;
        if let Some(syncs) = self.syncs_per_order {
            writeln!(formatter, "syncs per order: {syncs:.5}")?;
        }
        if self.stream_frames > 0 {
            writeln!(formatter, "channel frames: {}", self.stream_frames)?;
        }
        for (error, count) in &self.refusals {
            writeln!(formatter, "refused: {count} x {error}")?;
        }
        let server = self.cpu.server.map_or("unknown".into(), |cores| format!("{cores:.2}"));
        let CpuUse { client, others, stolen, .. } = &self.cpu;
        write!(formatter, "cores: server {server}, client {client:.2}, others {others:.2}, stolen {stolen:.2}")
    }
}
