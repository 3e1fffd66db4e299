//! The tail at saturation (closed loop) and at half of it (open loop), the server compared with D at the same rate.

use crate::arrival::Arrival;
use crate::error::LoadError;
use crate::scenario::HalfLoad;
use crate::stage::{Stage, SystemUnderTest};

const CONTESTANTS: [(SystemUnderTest, &str); 2] =
    [(SystemUnderTest::DurableEcho, "D"), (SystemUnderTest::Countersign, "Countersign")];

/// Measures all rounds and concludes.
///
/// # Errors
/// The first measurement that fails.
pub async fn play(stage: &mut Stage, settings: &HalfLoad) -> Result<(), LoadError> {
    stage.target()?;
    for round in 1..=stage.scenario.general.rounds {
        let saturated = Arrival::Closed { in_flight: settings.shape.in_flight };
        for (who, name) in CONTESTANTS {
            let load = stage.load(who, settings.shape, saturated, &settings.mix)?;
            stage.measure(who, &format!("{name} at saturation"), round, &load).await?;
        }
        // Both at half of the server's throughput, so that the tails are for the same work.
        let saturation = stage.record.series.last().map_or(0.0, |series| series.figures.per_second);
        let half = Arrival::open(saturation / 2.0)?;
        for (who, name) in CONTESTANTS {
            let load = stage.load(who, settings.shape, half, &settings.mix)?;
            stage.measure(who, &format!("{name} at half saturation"), round, &load).await?;
        }
    }
    for state in ["at saturation", "at half saturation"] {
        let (server, d) = (format!("Countersign {state}"), format!("D {state}"));
        stage.conclude(&format!("p99 / D {state}"), |round| round.ratio(&server, &d, |of| of.p99_us));
    }
    Ok(())
}
