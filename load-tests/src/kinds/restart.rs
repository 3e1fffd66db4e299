//! How long the server takes to come back after a crash, with a journal of a known length.

use std::time::Duration;

use crate::arrival::Arrival;
use crate::error::LoadError;
use crate::figures::{Figures, latency_histogram, nanoseconds, ratio};
use crate::metrics::journal_events;
use crate::record::Series;
use crate::scenario::Restart;
use crate::stage::{Contestant, Stage};

const START_UP: &str = "start-up";
const EVENTS: &str = "events in the journal";
const SECONDS: &str = "seconds until ready";

/// Fills the journal, kills the server and starts it again, as often as there are rounds; the journal grows from round to
/// round.
///
/// # Errors
/// The server was not started for this run, does not tell its events, or does not come back.
pub async fn play(stage: &mut Stage, settings: &Restart) -> Result<(), LoadError> {
    let arrival = Arrival::Closed { in_flight: settings.shape.in_flight };
    let mut events = 0.0;
    for round in 1..=stage.scenario.general.rounds {
        if stage.scenario.general.baselines {
            let load = stage.load(Contestant::E, settings.shape, arrival, &settings.mix)?;
            stage.contest(Contestant::E, "E", round, &load).await?;
        }
        let load = stage.load(Contestant::Countersign, settings.shape, arrival, &settings.mix)?;
        stage.contest(Contestant::Countersign, "orders before the crash", round, &load).await?;
        let told = journal_events(stage.target()?.web()?).await;
        events += told.ok_or_else(|| LoadError::Setup("the server's /metrics does not tell its events".into()))?;
        let took = crash(stage).await?;
        let mut latencies = latency_histogram();
        latencies.saturating_record(nanoseconds(took));
        let mut series = Series::of_latencies(START_UP, round, Figures::new(&latencies, took), &latencies);
        series.extra.insert(EVENTS.into(), events);
        series.extra.insert(SECONDS.into(), took.as_secs_f64());
        stage.add(series);
    }
    stage.conclude("seconds until ready after a crash", |round| round.get(START_UP)?.extra.get(SECONDS).copied());
    stage.conclude("events in the journal a second of start-up / E", |round| {
        let extra = &round.get(START_UP)?.extra;
        let rate = ratio(*extra.get(EVENTS)?, *extra.get(SECONDS)?)?;
        ratio(rate, round.get("E")?.figures.per_second)
    });
    Ok(())
}

/// Kills the server, starts it again on its data and follows it to its new address.
async fn crash(stage: &mut Stage) -> Result<Duration, LoadError> {
    let missing = || LoadError::Setup("this scenario kills the server: give --server".into());
    let (binary, child) = stage.server.take().ok_or_else(missing)?;
    let (child, took) = child.crash_and_restart(&binary, stage.directory.path()).await?;
    if let Some(target) = &mut stage.target {
        target.move_to(&child)?;
    }
    stage.server = Some((binary, child));
    Ok(took)
}
