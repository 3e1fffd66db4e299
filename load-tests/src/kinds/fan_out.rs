//! One event to many sockets, one at a time or several under way, compared with raw writes of a frame of equal length.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::caller::subscribe;
use crate::children::{Baseline, BaselineChild};
use crate::connection::{Connection, Proof};
use crate::endpoint::Endpoint;
use crate::error::LoadError;
use crate::figures::{Figures, latency_histogram, ratio, to_f64};
use crate::machine::{CpuMeter, Processes, require_open_files};
use crate::member::Session;
use crate::publisher::{Approvals, Publisher, Trades};
use crate::readers::{Numbers, Readers};
use crate::record::Series;
use crate::scenario::{FanOut, FanOutChannel};
use crate::stage::{Cores, Stage};
use crate::target::Target;
use crate::timeline::{Slice, Timeline};

/// The read buffer of a reader, for a few events.
const READ_BUFFER_BYTES: usize = 4 << 10;
/// The frame size if there is no server to measure it.
const RAW_FRAME_BYTES: usize = 300;

/// Measures all rounds and concludes.
///
/// # Errors
/// The first delivery that is missing, or a socket that fails.
pub async fn play(stage: &mut Stage, settings: &FanOut) -> Result<(), LoadError> {
    require_open_files(u64::from(settings.connections))?;
    let session = match (settings.channel, &stage.target) {
        (FanOutChannel::Approvals, Some(target)) => Some(Session::sign_in(target, Approvals::voter(target)?).await?),
        _ => None,
    };
    for round in 1..=stage.scenario.general.rounds {
        let mut bytes = RAW_FRAME_BYTES;
        if let Some(target) = stage.target.clone() {
            let (readers, mut publisher) = server_side(stage, settings, session.as_ref(), &target).await?;
            let numbers = match settings.channel {
                FanOutChannel::Trade => Numbers::TradeIds,
                FanOutChannel::Approvals => Numbers::Offsets,
            };
            let mut readers = Readers::new(readers, numbers);
            for ahead in settings.batches() {
                let name = format!("Countersign, {ahead} ahead");
                let mean = measure(stage, &name, round, (&mut readers, &mut publisher, ahead), target.process).await?;
                if ahead == 1 {
                    bytes = mean;
                }
            }
            let check = readers.finish();
            let name = format!("round {round}: {}", check.name);
            stage.record.checks.push(crate::checks::Check { name, ..check });
        }
        if stage.scenario.general.baselines {
            measure_raw(stage, settings, round, bytes).await?;
        }
    }
    conclude(stage, settings);
    Ok(())
}

/// Subscribed readers on the server, and the source of events.
async fn server_side(
    stage: &mut Stage,
    settings: &FanOut,
    session: Option<&Session>,
    target: &Target,
) -> Result<(Vec<Connection>, Publisher), LoadError> {
    let mut readers = Vec::with_capacity(usize::from(settings.connections));
    for _ in 0..settings.connections {
        let (connection, channel) = match session {
            Some(session) => (session.open(READ_BUFFER_BYTES).await?, "approvals"),
            None => (Connection::open(&target.ws, Proof::Bare, READ_BUFFER_BYTES).await?, "trade"),
        };
        readers.push(subscribe(connection, channel, &settings.symbol).await?);
    }
    let publisher = match session {
        Some(session) => {
            let approvals = Approvals::open(target, &mut stage.nonces, session, &settings.withdrawal).await?;
            Publisher::Approvals(Box::new(approvals))
        }
        None => Publisher::Trades(Trades::open(target, &mut stage.nonces, &settings.symbol, &settings.quantity).await?),
    };
    Ok((readers, publisher))
}

async fn measure_raw(stage: &mut Stage, settings: &FanOut, round: u32, bytes: usize) -> Result<(), LoadError> {
    let child = BaselineChild::start(&stage.program, Baseline::RawFanOut { bytes })?;
    let cores = if stage.pin { Cores::divide(child.process()) } else { None };
    let (mut readers, mut publisher) = raw(child.address, settings.connections).await?;
    for ahead in settings.batches() {
        let name = format!("raw, {ahead} ahead");
        measure(stage, &name, round, (&mut readers, &mut publisher, ahead), Some(child.process())).await?;
    }
    drop((readers, cores));
    child.stop().map(drop)
}

/// `readers` sockets of a raw fan-out, and the source of its events.
///
/// # Errors
/// One cannot be opened.
pub async fn raw(address: SocketAddr, readers: u16) -> Result<(Readers, Publisher), LoadError> {
    let (ws, mut connections) = (Endpoint::plain(address), Vec::with_capacity(usize::from(readers)));
    for _ in 0..readers {
        connections.push(Connection::open(&ws, Proof::Bare, READ_BUFFER_BYTES).await?);
    }
    Ok((Readers::new(connections, Numbers::None), Publisher::raw(address).await?))
}

/// Publishes batch after batch, each when the previous one has reached every reader; returns the mean bytes of a frame.
async fn measure(
    stage: &mut Stage,
    name: &str,
    round: u32,
    (readers, publisher, ahead): (&mut Readers, &mut Publisher, u16),
    process: Option<u32>,
) -> Result<usize, LoadError> {
    let timing = stage.scenario.general.timing();
    // The first batch uses cold sockets and caches, and is not counted.
    readers.wait_for(publisher.publish(ahead).await?).await?;
    drop((readers.take_ages(), readers.take_frame_bytes()));
    let bar = stage.progress.start(&format!("round {round}: {name}"), timing.window);
    let cpu = CpuMeter::start(Processes { server: process, ..Processes::default() });
    let (start, before) = (Instant::now(), readers.delivered());
    let mut timeline = Timeline::new(start.into(), timing.window);
    let (mut burst, mut all) = (Duration::ZERO, latency_histogram());
    while start.elapsed() < timing.window {
        readers.publish();
        burst += readers.wait_for(publisher.publish(ahead).await?).await?;
        let ages = readers.take_ages();
        timeline.deliveries(tokio::time::Instant::now(), &ages);
        all.add(ages).expect("all latency histograms have the same bounds");
    }
    let elapsed = start.elapsed();
    let cpu = cpu.stop();
    drop(bar);
    let mut series = Series::of_latencies(name, round, Figures::new(&all, elapsed), &all).with_cpu(&cpu);
    series.timeline = spread(timeline.slices());
    let deliveries = to_f64(readers.delivered() - before);
    if let Some(rate) = ratio(deliveries, burst.as_secs_f64()) {
        series.extra.insert("deliveries/s while going out".into(), rate);
    }
    let bytes = readers.take_frame_bytes();
    series.extra.insert("frame bytes".into(), to_f64(bytes as u64));
    stage.add(series);
    Ok(bytes)
}

/// A batch is recorded at its end, and was under way since the end of the previous one.
fn spread(slices: Vec<Slice>) -> Vec<Slice> {
    let (mut end, mut complete) = (0.0, 0.0);
    let spread = slices.into_iter().filter_map(|mut slice| {
        let length = slice.at_s - std::mem::replace(&mut end, slice.at_s);
        if slice.figures.per_second == 0.0 {
            return None;
        }
        slice.figures.per_second *= length / (slice.at_s - std::mem::replace(&mut complete, slice.at_s));
        Some(slice)
    });
    spread.collect()
}

fn conclude(stage: &mut Stage, settings: &FanOut) {
    const BURST: &str = "deliveries/s while going out";
    for ahead in settings.batches() {
        let server = format!("Countersign, {ahead} ahead");
        for (baseline, words) in [(format!("raw, {ahead} ahead"), "raw"), ("raw, 1 ahead".into(), "raw singly")] {
            if ahead == 1 && words == "raw singly" {
                continue;
            }
            stage.conclude(&format!("{ahead} ahead: deliveries / {words}, from publishing"), |round| {
                round.throughput(&server, &baseline)
            });
            stage.conclude(&format!("{ahead} ahead: deliveries / {words}, while going out"), |round| {
                let rate = |name| round.get(name)?.extra.get(BURST).copied();
                ratio(rate(&server)?, rate(&baseline)?)
            });
        }
    }
}
