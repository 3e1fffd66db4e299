//! Orders to a server on SQLite and to one on Postgres, in turn.

use std::fs;

use crate::arrival::Arrival;
use crate::children::CountersignChild;
use crate::error::LoadError;
use crate::kinds::orders::measure_sync_loop;
use crate::postgres::Postgres;
use crate::prepare::started;
use crate::scenario::Storages;
use crate::stage::{Stage, SystemUnderTest};
use crate::target::{Overrides, Target};

const SQLITE: &str = "on SQLite";
const POSTGRES: &str = "on Postgres";

/// Measures all rounds and concludes.
///
/// # Errors
/// The server was not started for this run, there is no Postgres, or a measurement fails.
pub async fn play(stage: &mut Stage, settings: &Storages) -> Result<(), LoadError> {
    let missing = || LoadError::Setup("this scenario starts a second server: give --server".into());
    let binary = stage.server.as_ref().map(|(binary, _)| binary.clone()).ok_or_else(missing)?;
    let directory = stage.directory.path().join("postgres");
    fs::create_dir_all(&directory).map_err(LoadError::io(format!("create {}", directory.display())))?;
    // It takes a while to be ready, and a signal may come in the meantime.
    let database = tokio::task::spawn_blocking(Postgres::start).await;
    let database = database.map_err(|error| LoadError::Setup(error.to_string()))??;
    let mut child = CountersignChild::start_on(&binary, &directory, Some(&database.url())).await?;
    let second = started(&child, stage.scenario.general.keys, &Overrides::default(), stage.progress).await?;
    let second = Target { database: Some(database.process()), ..second };
    let first = stage.target()?.clone();
    if let Err(error) = measure(stage, settings, &[(SQLITE, first), (POSTGRES, second)]).await {
        return Err(child.explain(error).await);
    }
    stage.conclude("throughput, Postgres / SQLite", |round| round.throughput(POSTGRES, SQLITE));
    stage.conclude("p99, Postgres / SQLite", |round| round.ratio(POSTGRES, SQLITE, |of| of.p99_us));
    // The server has connections to the database: it ends first.
    drop(child);
    Ok(())
}

async fn measure(stage: &mut Stage, settings: &Storages, targets: &[(&str, Target)]) -> Result<(), LoadError> {
    let arrival = Arrival::Closed { in_flight: settings.shape.in_flight };
    for round in 1..=stage.scenario.general.rounds {
        measure_sync_loop(stage, round)?;
        for (name, target) in targets {
            stage.target = Some(target.clone());
            let load = stage.load(SystemUnderTest::Countersign, settings.shape, arrival, &settings.mix)?;
            stage.measure(SystemUnderTest::Countersign, name, round, &load).await?;
        }
    }
    Ok(())
}
