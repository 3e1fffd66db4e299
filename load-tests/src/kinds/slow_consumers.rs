//! What subscribers that have not read for minutes cost the others, and how much of the server's memory.

use std::time::Duration;

use futures::future::{FutureExt, join_all};
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::arrival::Arrival;
use crate::caller::{Caller, subscription};
use crate::checks::Check;
use crate::endpoint::Endpoint;
use crate::error::LoadError;
use crate::figures::{ratio, to_f64};
use crate::frames::text;
use crate::machine::{require_open_files, resident_kib};
use crate::metrics::send_queue_bytes;
use crate::record::Round;
use crate::scenario::SlowConsumers;
use crate::side_thread::Beside;
use crate::signature::Nonces;
use crate::stage::{Stage, SystemUnderTest};
use crate::target::Target;

const READ_BUFFER_BYTES: usize = 4 << 10;
/// The system's receive buffer of a socket that does not read: so small that the server must soon wait for it.
const RECEIVE_BUFFER_BYTES: u32 = 4 << 10;
const WITHOUT: &str = "orders alone";
const STALL: &str = "orders during the stall";
const WITH: &str = "orders with stalled subscribers";
const KIB: &str = "KiB per stalled subscriber";
const WAITING: &str = "bytes that wait to be sent";

/// Measures all rounds and concludes.
///
/// # Errors
/// The first measurement that fails.
pub async fn play(stage: &mut Stage, settings: &SlowConsumers) -> Result<(), LoadError> {
    require_open_files(u64::from(settings.stalled))?;
    let target = stage.target()?.clone();
    let (who, arrival) = (SystemUnderTest::Countersign, Arrival::Closed { in_flight: settings.shape.in_flight });
    for round in 1..=stage.scenario.general.rounds {
        let load = stage.load(who, settings.shape, arrival, &settings.mix)?;
        stage.measure(who, WITHOUT, round, &load).await?;

        // A later round finds the memory of the one before free for use again.
        let process = target.process.filter(|_| round == 1);
        let before = process.map(resident_kib).transpose()?;
        let stalled = stalled(&target, settings, stage.scenario.general.patience()).await?;
        if settings.stall > 0.0 {
            let mut load = stage.load(who, settings.shape, Arrival::open(settings.rate)?, &settings.mix)?;
            load.plan.timing.window = settings.stall();
            stage.measure(who, STALL, round, &load).await?;
        }
        let mut load = stage.load(who, settings.shape, arrival, &settings.mix)?;
        load.plan.timing.warm_up = settings.fill();
        stage.measure(who, WITH, round, &load).await?;
        let waiting = send_queue_bytes(target.web()?).await;
        let after = process.map(resident_kib).transpose()?;
        // A subscriber that the server dropped costs nothing any more. Checking that makes them read, so it comes last.
        let there = stalled.stop().await?;
        stage.record.checks.push(Check { name: format!("round {round}: {}", there.name), ..there });
        let growth = before.zip(after).map(|(before, after)| to_f64(after) - to_f64(before));
        let each = growth.and_then(|growth| ratio(growth, f64::from(settings.stalled)));
        let series = stage.record.series.last_mut().expect("a measurement was added");
        series.extra.extend(each.map(|kib| (KIB.to_owned(), kib)));
        series.extra.extend(waiting.map(|bytes| (WAITING.to_owned(), bytes)));
    }
    let waiting = |round: &Round<'_>| round.get(WITH)?.extra.get(WAITING).copied();
    stage.conclude("p99 with stalled subscribers / without", |round| round.ratio(WITH, WITHOUT, |of| of.p99_us));
    stage.conclude("throughput with stalled subscribers / without", |round| round.throughput(WITH, WITHOUT));
    stage.conclude_once(KIB);
    // In the first half, memory reaches its steady state: ids of orders are kept for a minute.
    stage.conclude("RSS at the end of the stall / in its middle", |round| {
        let samples = &round.get(STALL)?.samples;
        ratio(samples.last()?.rss_mib?, samples.get(samples.len() / 2)?.rss_mib?)
    });
    stage.conclude("bytes that wait for each", |round| ratio(waiting(round)?, f64::from(settings.stalled)));
    Ok(())
}

/// Subscribers on their own thread, which do not read until they are stopped; then the server must still answer each.
async fn stalled(target: &Target, settings: &SlowConsumers, patience: Duration) -> Result<Beside<Check>, LoadError> {
    let ws = Endpoint { receive_buffer: Some(RECEIVE_BUFFER_BYTES), ..target.ws.clone() };
    let narrow = Target { ws, ..target.clone() };
    let (count, every) = (settings.stalled, settings.ping());
    let params = subscription(&settings.channel, &settings.mix.symbol);
    let prepare = async move {
        // Later than every nonce that the orders' connections have used.
        let (mut nonces, mut all) = (Nonces::default(), Vec::with_capacity(usize::from(count)));
        for number in 0..usize::from(count) {
            let mut caller = Caller::new(narrow.open(&mut nonces, number, READ_BUFFER_BYTES).await?);
            caller.subscribe(params.clone(), |_| Ok(())).await?;
            // At the end, all that waits for it comes before an answer.
            caller.wait = caller.wait.max(patience);
            all.push(caller);
        }
        Ok(all)
    };
    Beside::start("stalled", prepare, move |all, stopped| stall(all, every, stopped)).await
}

/// All of them send a ping, one after another, within each period of length `every`.
async fn stall(all: Vec<Caller>, every: Duration, stopped: oneshot::Receiver<()>) -> Result<Check, LoadError> {
    let stopped = stopped.map(drop).shared();
    let step = every / u32::try_from(all.len().max(1)).unwrap_or(u32::MAX);
    let stalling = (0..).zip(all).map(|(number, mut caller)| {
        let stopped = stopped.clone();
        async move {
            let mut pause = step * number;
            loop {
                tokio::select! {
                    () = stopped.clone() => return caller.ping().await,
                    () = sleep(pause) => {
                        text(&mut caller.connection.out, |out| out.extend_from_slice(br#"{"method":"ping"}"#));
                        caller.connection.flush().await?;
                    }
                }
                pause = every;
            }
        }
    });
    Ok(Check::of_each("every stalled subscriber there to the end", join_all(stalling).await))
}
