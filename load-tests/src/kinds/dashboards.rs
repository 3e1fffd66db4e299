//! What an audience of Members costs the orders: their latency without and with dashboards that hear of withdrawals and votes.
//! Beside it, the same of D with a raw fan-out, which is what as many frames cost on this machine whoever writes them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::time::{MissedTickBehavior, interval};

use crate::arrival::Arrival;
use crate::audience::{Audience, Numbers};
use crate::caller::{Caller, subscription};
use crate::checks::Check;
use crate::children::{Baseline, BaselineChild};
use crate::error::LoadError;
use crate::figures::to_f64;
use crate::kinds::fan_out::raw;
use crate::machine::require_open_files;
use crate::member::Session;
use crate::publisher::{Approvals, Publisher};
use crate::scenario::Dashboards;
use crate::side_thread::Beside;
use crate::signature::Nonces;
use crate::stage::{Contestant, Stage};
use crate::target::Target;

const READ_BUFFER_BYTES: usize = 4 << 10;
const WITHOUT: &str = "orders without dashboards";
const WITH: &str = "orders with dashboards";
const D_WITHOUT: &str = "D without fan-out";
const D_WITH: &str = "D with raw fan-out";

/// Measures all rounds and concludes.
///
/// # Errors
/// The first measurement that fails, or an event that does not reach a dashboard.
pub async fn play(stage: &mut Stage, settings: &Dashboards) -> Result<(), LoadError> {
    require_open_files(u64::from(settings.dashboards))?;
    let target = stage.target()?.clone();
    let every = settings.every();
    let session = Arc::new(Session::sign_in(&target, Approvals::voter(&target)?).await?);
    let arrival = Arrival::Closed { in_flight: settings.shape.in_flight };
    for round in 1..=stage.scenario.general.rounds {
        let load = stage.load(Contestant::Countersign, settings.shape, arrival, &settings.mix)?;
        stage.contest(Contestant::Countersign, WITHOUT, round, &load).await?;
        let audience = members(target.clone(), Arc::clone(&session), settings.clone());
        let beside = publish_beside(audience, every).await?;
        let load = stage.load(Contestant::Countersign, settings.shape, arrival, &settings.mix)?;
        stage.contest(Contestant::Countersign, WITH, round, &load).await?;
        let (check, bytes) = beside.stop().await?;
        told(stage, &check);
        let name = format!("round {round}: {}", check.name);
        stage.record.checks.push(Check { name, ..check });
        if stage.scenario.general.baselines {
            let load = stage.load(Contestant::D, settings.shape, arrival, &settings.mix)?;
            stage.contest(Contestant::D, D_WITHOUT, round, &load).await?;
            let child = BaselineChild::start(&stage.program, Baseline::RawFanOut { bytes })?;
            let audience = raw(child.address, settings.dashboards);
            let beside = publish_beside(audience, every).await?;
            let load = stage.load(Contestant::D, settings.shape, arrival, &settings.mix)?;
            stage.contest(Contestant::D, D_WITH, round, &load).await?;
            told(stage, &beside.stop().await?.0);
            child.stop()?;
        }
    }
    stage.conclude("order p50 with dashboards / without", |round| round.ratio(WITH, WITHOUT, |of| of.p50_us));
    stage.conclude("order p99 with dashboards / without", |round| round.ratio(WITH, WITHOUT, |of| of.p99_us));
    stage.conclude("order throughput with dashboards / without", |round| round.throughput(WITH, WITHOUT));
    stage
        .conclude("D's order p50 with a raw fan-out / without", |round| round.ratio(D_WITH, D_WITHOUT, |of| of.p50_us));
    stage
        .conclude("D's order p99 with a raw fan-out / without", |round| round.ratio(D_WITH, D_WITHOUT, |of| of.p99_us));
    stage.conclude("D's order throughput with a raw fan-out / without", |round| round.throughput(D_WITH, D_WITHOUT));
    Ok(())
}

fn told(stage: &mut Stage, check: &Check) {
    let series = stage.record.series.last_mut().expect("a measurement was added");
    series.extra.insert("deliveries to dashboards".into(), to_f64(check.looked_at));
}

/// Dashboards on the server, and withdrawals and votes for them.
async fn members(
    target: Target,
    session: Arc<Session>,
    settings: Dashboards,
) -> Result<(Audience, Publisher), LoadError> {
    let mut readers = Vec::with_capacity(usize::from(settings.dashboards));
    for _ in 0..settings.dashboards {
        let mut caller = Caller::new(session.open(READ_BUFFER_BYTES).await?);
        caller.subscribe(subscription("approvals", ""), |_| Ok(())).await?;
        readers.push(caller.connection);
    }
    // Later than every nonce that the orders' connections have used.
    let approvals = Approvals::open(&target, &mut Nonces::default(), &session, &settings.withdrawal).await?;
    Ok((Audience::new(readers, Numbers::Offsets), Publisher::Approvals(Box::new(approvals))))
}

/// Starts to publish to an audience beside a load.
async fn publish_beside(
    audience: impl Future<Output = Result<(Audience, Publisher), LoadError>> + Send + 'static,
    every: Duration,
) -> Result<Beside<(Check, usize)>, LoadError> {
    let go_on = |(audience, publisher), stopped| publish(audience, publisher, every, stopped);
    Beside::start("audience", audience, go_on).await
}

/// The check over all deliveries, and the bytes of a frame.
async fn publish(
    mut audience: Audience,
    mut publisher: Publisher,
    every: Duration,
    mut stopped: oneshot::Receiver<()>,
) -> Result<(Check, usize), LoadError> {
    let mut next = interval(every);
    next.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        next.tick().await;
        audience.publish();
        audience.wait_for(publisher.publish(1).await?).await?;
        if !matches!(stopped.try_recv(), Err(TryRecvError::Empty)) {
            let bytes = audience.take_frame_bytes();
            return Ok((audience.finish(), bytes));
        }
    }
}
