//! How long the server takes to restart after a crash, with a journal of known length.

use std::time::Duration;

use crate::arrival::Arrival;
use crate::children::RecoverySource;
use crate::error::LoadError;
use crate::figures::{Figures, latency_histogram, nanoseconds, ratio, to_f64};
use crate::metrics::journal_events;
use crate::record::{Round, Series};
use crate::scenario::Restart;
use crate::stage::{Stage, SystemUnderTest};

const START_UP: &str = "start-up";
const REPLAY: &str = "start-up without snapshots";
const EVENTS: &str = "events in the journal";
const SECONDS: &str = "seconds until ready";

/// Fills the journal, kills the server and restarts it, then once more without its snapshots, in every round; the
/// journal grows from round to round.
///
/// # Errors
/// The server was not started for this run, does not report its events, or does not restart.
pub async fn play(stage: &mut Stage, settings: &Restart) -> Result<(), LoadError> {
    if stage.server.is_none() {
        return Err(not_started());
    }
    let arrival = Arrival::Closed { in_flight: settings.shape.in_flight };
    let mut events = 0.0;
    for round in 1..=stage.scenario.general.rounds {
        if stage.scenario.general.baselines {
            let load = stage.load(SystemUnderTest::Echo, settings.shape, arrival, &settings.mix)?;
            stage.measure(SystemUnderTest::Echo, "E", round, &load).await?;
        }
        let load = stage.load(SystemUnderTest::Countersign, settings.shape, arrival, &settings.mix)?;
        stage.measure(SystemUnderTest::Countersign, "orders before the crash", round, &load).await?;
        let reported = journal_events(stage.target()?.web()?).await;
        events += reported.ok_or_else(|| LoadError::Setup("the server's /metrics does not tell its events".into()))?;
        for (name, source) in [(START_UP, RecoverySource::Snapshot), (REPLAY, RecoverySource::Journal)] {
            let took = crash(stage, source).await?;
            let mut latencies = latency_histogram();
            latencies.saturating_record(nanoseconds(took));
            let mut series = Series::of_latencies(name, round, Figures::new(&latencies, took), &latencies);
            series.extra.insert(EVENTS.into(), events);
            series.extra.insert(SECONDS.into(), took.as_secs_f64());
            stage.add(series);
        }
    }
    let least = to_f64(settings.events);
    stage.conclude("seconds until ready after a crash", |round| {
        let extra = &round.get(START_UP)?.extra;
        extra.get(SECONDS).copied().filter(|_| extra.get(EVENTS).is_some_and(|events| *events >= least))
    });
    stage.conclude("events in the journal a second of start-up / E", |round| per_second(round, START_UP));
    stage.conclude("events replayed a second / E", |round| per_second(round, REPLAY));
    Ok(())
}

/// Events in the journal per second of the whole start-up, compared with E.
fn per_second(round: &Round<'_>, start_up: &str) -> Option<f64> {
    let extra = &round.get(start_up)?.extra;
    let rate = ratio(*extra.get(EVENTS)?, *extra.get(SECONDS)?)?;
    ratio(rate, round.get("E")?.figures.per_second)
}

fn not_started() -> LoadError {
    LoadError::Setup("this scenario kills the server: give --server".into())
}

/// Kills the server, restarts it on its data and uses its new address.
async fn crash(stage: &mut Stage, source: RecoverySource) -> Result<Duration, LoadError> {
    let (binary, child) = stage.server.take().ok_or_else(not_started)?;
    let (child, took) = child.crash_and_restart(&binary, stage.directory.path(), source).await?;
    if let Some(target) = &mut stage.target {
        target.move_to(&child)?;
    }
    stage.server = Some((binary, child));
    Ok(took)
}
