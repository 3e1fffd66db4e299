//! What an audience of Members costs the orders: their latency without and with dashboards that hear of withdrawals and votes.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::time::{MissedTickBehavior, interval};

use crate::arrival::Arrival;
use crate::audience::{Audience, Numbers};
use crate::caller::{Caller, subscription};
use crate::error::LoadError;
use crate::figures::to_f64;
use crate::machine::require_open_files;
use crate::member::Session;
use crate::publisher::{Approvals, Publisher};
use crate::scenario::Dashboards;
use crate::stage::{Contestant, Stage};

const READ_BUFFER_BYTES: usize = 4 << 10;
const WITHOUT: &str = "orders without dashboards";
const WITH: &str = "orders with dashboards";

/// Measures all rounds and concludes.
///
/// # Errors
/// The first measurement that fails, or an event that does not reach a dashboard.
pub async fn play(stage: &mut Stage, settings: &Dashboards) -> Result<(), LoadError> {
    require_open_files(u64::from(settings.dashboards))?;
    let target = stage.target()?.clone();
    let every = Duration::try_from_secs_f64(1.0 / settings.events);
    let every = every.map_err(|_| LoadError::Setup("events must be above 0".into()))?;
    let session = Session::sign_in(&target, Approvals::voter(&target)?).await?;
    let arrival = Arrival::Closed { in_flight: settings.shape.in_flight };
    for round in 1..=stage.scenario.general.rounds {
        let load = stage.load(Contestant::Countersign, settings.shape, arrival, &settings.mix)?;
        stage.contest(Contestant::Countersign, WITHOUT, round, &load).await?;

        let mut readers = Vec::with_capacity(usize::from(settings.dashboards));
        for _ in 0..settings.dashboards {
            let mut caller = Caller::new(session.open(READ_BUFFER_BYTES).await?);
            caller.subscribe(subscription("approvals", ""), |_| Ok(())).await?;
            readers.push(caller.connection);
        }
        let mut audience = Audience::new(readers, Numbers::Offsets);
        let approvals = Approvals::open(&target, &mut stage.nonces, &session, &settings.withdrawal).await?;
        let mut publisher = Publisher::Approvals(Box::new(approvals));
        let (stop, mut stopped) = oneshot::channel::<()>();
        let publishing = tokio::spawn(async move {
            let mut wanted = audience.delivered();
            let mut next = interval(every);
            next.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                next.tick().await;
                audience.publish();
                wanted += publisher.publish(1).await? * audience.readers();
                audience.wait_for(wanted).await?;
                if !matches!(stopped.try_recv(), Err(TryRecvError::Empty)) {
                    return Ok::<_, LoadError>(audience.finish());
                }
            }
        });
        let load = stage.load(Contestant::Countersign, settings.shape, arrival, &settings.mix)?;
        stage.contest(Contestant::Countersign, WITH, round, &load).await?;
        drop(stop);
        let check = publishing.await.map_err(|error| LoadError::Setup(format!("the dashboards ended: {error}")))??;
        let series = stage.record.series.last_mut().expect("a measurement was added");
        series.extra.insert("deliveries to dashboards".into(), to_f64(check.looked_at));
        let name = format!("round {round}: {}", check.name);
        stage.record.checks.push(crate::checks::Check { name, ..check });
    }
    stage.conclude("order p50 with dashboards / without", |round| round.ratio(WITH, WITHOUT, |of| of.p50_us));
    stage.conclude("order p99 with dashboards / without", |round| round.ratio(WITH, WITHOUT, |of| of.p99_us));
    Ok(())
}
