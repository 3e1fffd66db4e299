//! What dashboards of Members cost the orders: their latency without and with dashboards that are sent withdrawals
//! and votes. For comparison, D with a raw fan-out: the minimum cost of as many frames on this machine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::time::interval;

use crate::arrival::Arrival;
use crate::caller::subscribe;
use crate::checks::Check;
use crate::children::{Baseline, BaselineChild};
use crate::error::LoadError;
use crate::figures::to_f64;
use crate::kinds::CARRIED;
use crate::kinds::fan_out::raw;
use crate::machine::require_open_files;
use crate::member::Session;
use crate::orders::Load;
use crate::publisher::{Approvals, Publisher};
use crate::readers::{Numbers, Readers};
use crate::scenario::Dashboards;
use crate::side_thread::Beside;
use crate::signature::Nonces;
use crate::stage::{Stage, SystemUnderTest};
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
        let load = stage.load(SystemUnderTest::Countersign, settings.shape, arrival, &settings.mix)?;
        stage.measure(SystemUnderTest::Countersign, WITHOUT, round, &load).await?;
        let readers = members(target.clone(), Arc::clone(&session), settings.clone());
        let beside = publish_beside(readers, every).await?;
        let load = stage.load(SystemUnderTest::Countersign, settings.shape, arrival, &settings.mix)?;
        stage.measure(SystemUnderTest::Countersign, WITH, round, &load).await?;
        let published = beside.stop().await?;
        let bytes = published.frame_bytes;
        add(stage, published);
        if stage.scenario.general.baselines {
            let load = stage.load(SystemUnderTest::DurableEcho, settings.shape, arrival, &settings.mix)?;
            stage.measure(SystemUnderTest::DurableEcho, D_WITHOUT, round, &load).await?;
            let child = BaselineChild::start(&stage.program, Baseline::RawFanOut { bytes })?;
            let readers = raw(child.address, settings.dashboards);
            let beside = publish_beside(readers, every).await?;
            let load = stage.load(SystemUnderTest::DurableEcho, settings.shape, arrival, &settings.mix)?;
            let load = Load { fan_out: Some(child.process()), ..load };
            stage.measure(SystemUnderTest::DurableEcho, D_WITH, round, &load).await?;
            add(stage, beside.stop().await?);
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

/// The result of publishing during a load.
#[derive(Debug)]
struct Published {
    /// Over all deliveries.
    deliveries: Check,
    events: u64,
    elapsed: Duration,
    /// The interval between events that was asked for.
    every: Duration,
    /// Size of each event's frame.
    frame_bytes: usize,
}

impl Published {
    /// If fewer events were published than asked for, except for one under way, the measured cost is too low.
    fn rate(&self) -> Check {
        let mut check = Check { looked_at: self.events, ..Check::new("events come at the rate asked for") };
        let due = self.elapsed.as_secs_f64() / self.every.as_secs_f64();
        if to_f64(self.events + 1) < CARRIED * due {
            check.violated(format!("{} events came where {due:.0} were due", self.events));
        }
        check
    }
}

/// Adds what was published to the measurement made at the same time.
fn add(stage: &mut Stage, published: Published) {
    let series = stage.record.series.last_mut().expect("a measurement was added");
    let reported = [
        ("deliveries to dashboards", to_f64(published.deliveries.looked_at)),
        ("events/s", to_f64(published.events) / published.elapsed.as_secs_f64()),
    ];
    series.extra.extend(reported.map(|(name, value)| (name.to_owned(), value)));
    let measured = format!("round {}: {}", series.round, series.name);
    let checks = [published.rate(), published.deliveries];
    stage.record.checks.extend(checks.map(|check| Check { name: format!("{measured}: {}", check.name), ..check }));
}

/// Dashboards on the server, and a source of withdrawals and votes.
async fn members(
    target: Target,
    session: Arc<Session>,
    settings: Dashboards,
) -> Result<(Readers, Publisher), LoadError> {
    let mut readers = Vec::with_capacity(usize::from(settings.dashboards));
    for _ in 0..settings.dashboards {
        readers.push(subscribe(session.open(READ_BUFFER_BYTES).await?, "approvals", "").await?);
    }
    // Later than every nonce used by the orders' connections.
    let approvals = Approvals::open(&target, &mut Nonces::default(), &session, &settings.withdrawal).await?;
    Ok((Readers::new(readers, Numbers::Offsets), Publisher::Approvals(Box::new(approvals))))
}

/// Starts publishing to readers during a load.
async fn publish_beside(
    readers: impl Future<Output = Result<(Readers, Publisher), LoadError>> + Send + 'static,
    every: Duration,
) -> Result<Beside<Published>, LoadError> {
    let go_on = |(readers, publisher), stopped| publish(readers, publisher, every, stopped);
    Beside::start("readers", readers, go_on).await
}

/// Publishes events one by one, each when the previous one has reached all; delays are made up for.
async fn publish(
    mut readers: Readers,
    mut publisher: Publisher,
    every: Duration,
    mut stopped: oneshot::Receiver<()>,
) -> Result<Published, LoadError> {
    let (start, mut next, mut events) = (Instant::now(), interval(every), 0);
    loop {
        next.tick().await;
        readers.publish();
        let published = publisher.publish(1).await?;
        readers.wait_for(published).await?;
        events += published;
        if !matches!(stopped.try_recv(), Err(TryRecvError::Empty)) {
            let (elapsed, frame_bytes) = (start.elapsed(), readers.take_frame_bytes());
            return Ok(Published { deliveries: readers.finish(), events, elapsed, every, frame_bytes });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw_fan_out;

    #[tokio::test]
    async fn events_that_come_at_a_lower_rate_than_asked_for_are_noticed() {
        for (every, holds) in [(Duration::from_secs(60), true), (Duration::from_micros(1), false)] {
            let (listener, address) = raw_fan_out::listen().await.unwrap();
            let serving = tokio::spawn(raw_fan_out::serve(listener, 200));
            let (readers, publisher) = raw(address, 3).await.unwrap();
            let (stop, stopped) = oneshot::channel();
            drop(stop);
            let published = publish(readers, publisher, every, stopped).await.unwrap();
            assert_eq!((published.events, published.deliveries.looked_at), (1, 3));
            assert_eq!(published.rate().holds(), holds, "{published:?}");
            serving.abort();
        }
    }

    #[test]
    fn one_event_may_be_under_way_and_two_in_a_hundred_may_be_late() {
        let (every, elapsed) = (Duration::from_millis(10), Duration::from_secs(1));
        for (events, holds) in [(100, true), (97, true), (96, false)] {
            let deliveries = Check::new("deliveries");
            let published = Published { deliveries, events, elapsed, every, frame_bytes: 0 };
            assert_eq!(published.rate().holds(), holds, "{events}");
        }
    }
}
