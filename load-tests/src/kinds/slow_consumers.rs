//! What subscribers that do not read cost the others, and the server's memory.

use futures::future::join_all;

use crate::arrival::Arrival;
use crate::caller::{Caller, subscription};
use crate::checks::Check;
use crate::endpoint::Endpoint;
use crate::error::LoadError;
use crate::figures::{ratio, to_f64};
use crate::machine::{require_open_files, resident_kib};
use crate::metrics::send_queue_bytes;
use crate::scenario::SlowConsumers;
use crate::stage::{Contestant, Stage};
use crate::target::Target;

const READ_BUFFER_BYTES: usize = 4 << 10;
/// Of the system, for a socket that does not read: so little that the server soon has to wait for it.
const RECEIVE_BUFFER_BYTES: u32 = 4 << 10;
const WITHOUT: &str = "orders alone";
const WITH: &str = "orders with stalled subscribers";
const KIB: &str = "KiB per stalled subscriber";

/// Measures all rounds and concludes.
///
/// # Errors
/// The first measurement that fails.
pub async fn play(stage: &mut Stage, settings: &SlowConsumers) -> Result<(), LoadError> {
    require_open_files(u64::from(settings.stalled))?;
    let target = stage.target()?.clone();
    let ws = Endpoint { receive_buffer: Some(RECEIVE_BUFFER_BYTES), ..target.ws.clone() };
    let narrow = Target { ws, ..target.clone() };
    let arrival = Arrival::Closed { in_flight: settings.shape.in_flight };
    for round in 1..=stage.scenario.general.rounds {
        let load = stage.load(Contestant::Countersign, settings.shape, arrival, &settings.mix)?;
        stage.contest(Contestant::Countersign, WITHOUT, round, &load).await?;

        let before = target.process.map(resident_kib).transpose()?;
        let mut stalled = Vec::with_capacity(usize::from(settings.stalled));
        for number in 0..usize::from(settings.stalled) {
            let mut caller = Caller::new(narrow.open(&mut stage.nonces, number, READ_BUFFER_BYTES).await?);
            caller.subscribe(subscription(&settings.channel, &settings.mix.symbol), |_| Ok(())).await?;
            // In the end, what waits for it comes before an answer.
            caller.wait = caller.wait.max(stage.scenario.general.patience());
            stalled.push(caller);
        }
        let mut load = stage.load(Contestant::Countersign, settings.shape, arrival, &settings.mix)?;
        load.plan.duty.warm_up = settings.stall();
        stage.contest(Contestant::Countersign, WITH, round, &load).await?;
        let waiting = send_queue_bytes(target.web()?).await;
        let after = target.process.map(resident_kib).transpose()?;
        // A subscriber that the server has dropped cost nothing any more. They have to read to be asked, so only now.
        let there = join_all(stalled.iter_mut().map(Caller::ping)).await;
        let name = format!("round {round}: every stalled subscriber there to the end");
        stage.record.checks.push(Check::of_each(name, there));
        drop(stalled);
        let growth = before.zip(after).map(|(before, after)| to_f64(after) - to_f64(before));
        let each = growth.and_then(|growth| ratio(growth, f64::from(settings.stalled)));
        let series = stage.record.series.last_mut().expect("a measurement was added");
        series.extra.extend(each.map(|kib| (KIB.to_owned(), kib)));
        series.extra.extend(waiting.map(|bytes| ("bytes that wait to be sent".to_owned(), bytes)));
    }
    stage.conclude("p99 with stalled subscribers / without", |round| round.ratio(WITH, WITHOUT, |of| of.p99_us));
    stage.conclude(KIB, |round| round.get(WITH)?.extra.get(KIB).copied());
    Ok(())
}
