//! Rising rates in an open loop, until the server answers less than it is sent.

use crate::arrival::Arrival;
use crate::error::LoadError;
use crate::figures::ratio;
use crate::kinds::CARRIED;
use crate::load::Shape;
use crate::record::Round;
use crate::scenario::Sweep;
use crate::stage::{Contestant, Stage};

/// What E, a closed loop, is given on each connection.
const BASELINE_IN_FLIGHT: u16 = 16;
/// Requests on their way at the end of the window, for each connection.
const UNDER_WAY: f64 = 1.0;

/// Measures each rate and tells the highest that was carried.
///
/// # Errors
/// The first measurement that fails.
pub async fn play(stage: &mut Stage, settings: &Sweep) -> Result<(), LoadError> {
    stage.target()?;
    let shape = Shape { connections: settings.connections, in_flight: 0 };
    for round in 1..=stage.scenario.general.rounds {
        if stage.scenario.general.baselines {
            let saturated = Arrival::Closed { in_flight: BASELINE_IN_FLIGHT };
            let load = stage.load(Contestant::E, shape, saturated, &settings.mix)?;
            stage.contest(Contestant::E, "E", round, &load).await?;
        }
        let (mut rate, mut any) = (settings.from, false);
        for _ in 0..settings.steps {
            let load = stage.load(Contestant::Countersign, shape, Arrival::open(rate)?, &settings.mix)?;
            stage.contest(Contestant::Countersign, &format!("Countersign at {rate:.0}/s"), round, &load).await?;
            let series = stage.record.series.last_mut().expect("a measurement was added");
            let under_way = UNDER_WAY * f64::from(settings.connections) / stage.scenario.general.seconds;
            if series.figures.per_second + under_way < CARRIED * rate {
                break;
            }
            any = true;
            series.extra.insert("carried".into(), rate);
            rate *= settings.factor;
        }
        if !any {
            return Err(LoadError::Setup(format!("not even {} requests a second are carried", settings.from)));
        }
    }
    stage.conclude("highest rate carried", carried);
    stage.conclude("highest rate carried / E", |round| ratio(carried(round)?, round.get("E")?.figures.per_second));
    Ok(())
}

fn carried(round: &Round<'_>) -> Option<f64> {
    let carried = round.all().filter_map(|series| series.extra.get("carried").copied());
    carried.max_by(f64::total_cmp)
}
