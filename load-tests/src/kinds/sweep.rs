//! Rising rates in an open loop, until the server answers less than it is sent.

use crate::arrival::Arrival;
use crate::checks::Check;
use crate::error::LoadError;
use crate::figures::ratio;
use crate::kinds::CARRIED;
use crate::load::Shape;
use crate::record::Round;
use crate::scenario::Sweep;
use crate::stage::{Stage, SystemUnderTest};

/// Requests in flight on each connection of E, a closed loop.
const BASELINE_IN_FLIGHT: u16 = 16;
/// Requests that may be under way at the end of the window, for each connection.
const UNDER_WAY: f64 = 1.0;
const CARRIED_RATE: &str = "carried";
const UNCARRIED_RATE: &str = "not carried";
const HIGHEST: &str = "highest rate carried";

/// Measures each rate and reports the highest sustained one, if the next one was not.
///
/// # Errors
/// The first measurement that fails.
pub async fn play(stage: &mut Stage, settings: &Sweep) -> Result<(), LoadError> {
    stage.target()?;
    let shape = Shape { connections: settings.connections, in_flight: 0 };
    for round in 1..=stage.scenario.general.rounds {
        if stage.scenario.general.baselines {
            let saturated = Arrival::Closed { in_flight: BASELINE_IN_FLIGHT };
            let load = stage.load(SystemUnderTest::Echo, shape, saturated, &settings.mix)?;
            stage.measure(SystemUnderTest::Echo, "E", round, &load).await?;
        }
        let (mut rate, mut steps) = (settings.from, 0);
        while steps < settings.steps {
            let load = stage.load(SystemUnderTest::Countersign, shape, Arrival::open(rate)?, &settings.mix)?;
            stage.measure(SystemUnderTest::Countersign, &format!("Countersign at {rate:.0}/s"), round, &load).await?;
            let series = stage.record.series.last_mut().expect("a measurement was added");
            let under_way = UNDER_WAY * f64::from(settings.connections) / stage.scenario.general.seconds;
            if series.figures.per_second + under_way < CARRIED * rate {
                series.extra.insert(UNCARRIED_RATE.into(), rate);
                break;
            }
            series.extra.insert(CARRIED_RATE.into(), rate);
            (rate, steps) = (rate * settings.factor, steps + 1);
        }
        if steps == 0 {
            return Err(LoadError::Setup(format!("not even {} requests a second are carried", settings.from)));
        }
        if steps == settings.steps {
            let why = format!("round {round}: {HIGHEST}: every rate was, so that it takes more steps to find a limit");
            stage.record.checks.push(Check::skipped(why));
        }
    }
    stage.conclude(HIGHEST, carried);
    stage.conclude(&format!("{HIGHEST} / E"), |round| ratio(carried(round)?, round.get("E")?.figures.per_second));
    Ok(())
}

fn carried(round: &Round<'_>) -> Option<f64> {
    let highest = |which| round.all().filter_map(|series| series.extra.get(which).copied()).max_by(f64::total_cmp);
    highest(UNCARRIED_RATE).and_then(|_| highest(CARRIED_RATE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::{Figures, latency_histogram};
    use crate::record::{Record, Series};

    #[test]
    fn the_highest_rate_is_a_result_only_where_a_higher_one_was_not_carried() {
        for (measured, reported) in [
            (&[(CARRIED_RATE, 4.0), (CARRIED_RATE, 6.0)][..], None),
            (&[(CARRIED_RATE, 4.0), (CARRIED_RATE, 6.0), (UNCARRIED_RATE, 9.0)], Some(6.0)),
        ] {
            let mut record = Record::new("sweep", "", String::new());
            record.series.extend(measured.iter().map(|(which, rate)| {
                let mut series = Series::of_latencies("server", 1, Figures::default(), &latency_histogram());
                series.extra.insert((*which).into(), *rate);
                series
            }));
            record.conclude(HIGHEST, None, carried);
            assert_eq!(record.results.pop().map(|result| result.value), reported);
        }
    }
}
