//! More than the server can carry: how late what is accepted is, and what is refused.

use crate::arrival::Arrival;
use crate::error::LoadError;
use crate::figures::{ratio, to_f64};
use crate::record::Series;
use crate::scenario::Overload;
use crate::stage::{Contestant, Stage};

const AT: &str = "at capacity";
const BEYOND: &str = "beyond capacity";

/// Measures all rounds and concludes.
///
/// # Errors
/// The first measurement that fails.
pub async fn play(stage: &mut Stage, settings: &Overload) -> Result<(), LoadError> {
    for round in 1..=stage.scenario.general.rounds {
        let (who, closed) = (Contestant::Countersign, Arrival::Closed { in_flight: settings.shape.in_flight });
        let load = stage.load(who, settings.shape, closed, &settings.mix)?;
        stage.contest(who, AT, round, &load).await?;
        let capacity = stage.record.series.last().map_or(0.0, |series| series.figures.per_second);
        let beyond = Arrival::open(capacity * settings.factor)?;
        let load = stage.load(who, settings.shape, beyond, &settings.mix)?;
        stage.contest(who, BEYOND, round, &load).await?;
    }
    stage.conclude("accepted beyond capacity / at capacity", |round| round.ratio(BEYOND, AT, |of| of.per_second));
    stage.conclude("p99 of what is accepted beyond capacity, ms", |round| {
        Some(round.get(BEYOND)?.figures.p99_us / 1_000.0)
    });
    stage.conclude("refused / accepted", |round| {
        let beyond = round.get(BEYOND)?;
        ratio(to_f64(refused(beyond)), to_f64(beyond.count))
    });
    stage.conclude("cancels refused", |round| {
        Some(round.get(BEYOND)?.extra.get("cancels refused").copied().unwrap_or(0.0))
    });
    Ok(())
}

fn refused(series: &Series) -> u64 {
    series.refusals.values().sum()
}
