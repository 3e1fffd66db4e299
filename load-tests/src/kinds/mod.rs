//! The kinds of scenarios, one file each.

pub mod dashboards;
pub mod fan_out;
pub mod half_load;
pub mod idle;
pub mod orders;
pub mod overload;
pub mod reconnect;
pub mod restart;
pub mod slow_consumers;
pub mod storages;
pub mod sweep;

use crate::error::LoadError;
use crate::scenario::Kind;
use crate::stage::Stage;

/// A rate counts as sustained if at least this share of it is achieved, apart from what may still be under way.
const CARRIED: f64 = 0.98;

/// Plays the stage's scenario.
///
/// # Errors
/// The first thing that prevents a measurement. Wrong results are in the record.
pub async fn play(stage: &mut Stage) -> Result<(), LoadError> {
    match stage.scenario.kind.clone() {
        Kind::Orders(settings) => orders::play(stage, &settings).await,
        Kind::Sweep(settings) => sweep::play(stage, &settings).await,
        Kind::HalfLoad(settings) => half_load::play(stage, &settings).await,
        Kind::Overload(settings) => overload::play(stage, &settings).await,
        Kind::Dashboards(settings) => dashboards::play(stage, &settings).await,
        Kind::FanOut(settings) => fan_out::play(stage, &settings).await,
        Kind::Reconnect(settings) => reconnect::play(stage, &settings).await,
        Kind::Idle(settings) => idle::play(stage, &settings).await,
        Kind::Restart(settings) => restart::play(stage, &settings).await,
        Kind::SlowConsumers(settings) => slow_consumers::play(stage, &settings).await,
        Kind::Storages(settings) => storages::play(stage, &settings).await,
    }
}
