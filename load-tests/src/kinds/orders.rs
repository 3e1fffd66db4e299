//! Orders, and whatever else is in the mix: the server compared with E and D in alternating rounds.

use std::time::Duration;

use crate::arrival::Arrival;
use crate::error::LoadError;
use crate::figures::ratio;
use crate::load::Shape;
use crate::orders::Load;
use crate::record::{Round, Series};
use crate::sampler::LAG_MOST;
use crate::scenario::Orders;
use crate::stage::{Stage, SystemUnderTest};
use crate::sync_loop;
use crate::withdrawals::Lot;

const SYNC_LOOP_WINDOW: Duration = Duration::from_millis(200);
/// The measurement of the bare sync loop.
pub const SYNC_LOOP: &str = "bare sync loop";

/// Measures all rounds and concludes.
///
/// # Errors
/// The first measurement that fails.
pub async fn play(stage: &mut Stage, settings: &Orders) -> Result<(), LoadError> {
    for round in 1..=stage.scenario.general.rounds {
        if stage.scenario.general.baselines {
            measure_sync_loop(stage, round)?;
        }
        for shape in &settings.shapes {
            let arrival = match settings.rate {
                Some(rate) => Arrival::open(rate)?,
                None => Arrival::Closed { in_flight: shape.in_flight },
            };
            if stage.scenario.general.baselines {
                for (who, name) in [(SystemUnderTest::Echo, "E"), (SystemUnderTest::DurableEcho, "D")] {
                    let load = stage.load(who, *shape, arrival, &settings.mix)?;
                    stage.measure(who, &format!("{shape} {name}"), round, &load).await?;
                }
            }
            if stage.target.is_some() {
                let load = stage.load(SystemUnderTest::Countersign, *shape, arrival, &settings.mix)?;
                let lot = Lot { count: settings.withdrawals, each: settings.withdrawal.clone() };
                let withdrawals = Some(lot).filter(|lot| lot.count > 0);
                let load = Load { channel: settings.subscribe.clone(), withdrawals, ..load };
                stage.measure(SystemUnderTest::Countersign, &format!("{shape} Countersign"), round, &load).await?;
            }
        }
    }
    for shape in &settings.shapes {
        conclude(stage, *shape, settings.rate.is_some());
    }
    Ok(())
}

/// What one sync costs on this disk now.
///
/// # Errors
/// The file cannot be written.
pub fn measure_sync_loop(stage: &mut Stage, round: u32) -> Result<(), LoadError> {
    let (figures, latencies) = sync_loop::run(stage.directory.path(), SYNC_LOOP_WINDOW)?;
    stage.add(Series::of_latencies(SYNC_LOOP, round, figures, &latencies));
    Ok(())
}

fn conclude(stage: &mut Stage, shape: Shape, is_open: bool) {
    let (e, d, server) = (format!("{shape} E"), format!("{shape} D"), format!("{shape} Countersign"));
    // In an open loop throughput is the requested rate, whoever answers.
    if !is_open {
        stage.conclude(&format!("{shape} throughput D / E"), |round| round.throughput(&d, &e));
        stage.conclude(&format!("{shape} throughput / E"), |round| round.throughput(&server, &e));
        stage.conclude(&format!("{shape} throughput / D"), |round| round.throughput(&server, &d));
    }
    stage.conclude(&format!("{shape} p99 / D"), |round| round.ratio(&server, &d, |of| of.p99_us));
    stage.conclude(&format!("{shape} extra p50 over E in syncs, D"), |round| extra_syncs(round, &d, &e));
    stage.conclude(&format!("{shape} extra p50 over E in syncs"), |round| extra_syncs(round, &server, &e));
    for name in ["syncs per order", LAG_MOST].into_iter().chain((!is_open).then_some("last minute / first")) {
        stage.conclude(&format!("{shape} {name}"), |round| round.get(&server)?.extra.get(name).copied());
    }
}

/// How much later the median reply of `who` is than E's, in p50s of the round's sync loop.
fn extra_syncs(round: &Round<'_>, who: &str, e: &str) -> Option<f64> {
    let p50 = |name| round.get(name)?.figures.p50_us;
    ratio(p50(who)? - p50(e)?, p50(SYNC_LOOP)?)
}
