//! What an idle authenticated connection costs the server in memory.

use std::time::Instant;

use futures::future::join_all;
use tokio::sync::watch;

use crate::caller::{Caller, subscription};
use crate::checks::Check;
use crate::connection::Received;
use crate::error::LoadError;
use crate::figures::{Figures, latency_histogram, nanoseconds, ratio, to_f64};
use crate::machine::{require_open_files, resident_kib};
use crate::record::Series;
use crate::scenario::Idle;
use crate::stage::Stage;

/// The read buffer of an idle client, for the answer to the handshake and little else.
const READ_BUFFER_BYTES: usize = 512;
/// The first connections also pay for what all share (pools, lazily created tables) and are not counted.
const FIRST_CONNECTIONS: u16 = 50;
const KIB: &str = "KiB per connection";

/// Opens all connections, holds them until the measure is taken, and concludes.
///
/// # Errors
/// Too low a limit of open files, a refused connection, or a server whose process is not known.
pub async fn play(stage: &mut Stage, settings: &Idle) -> Result<(), LoadError> {
    let total = settings.connections.saturating_add(FIRST_CONNECTIONS);
    require_open_files(u64::from(total))?;
    let target = stage.target()?.clone();
    let process = target.process;
    let process = process.ok_or_else(|| LoadError::Setup("memory needs --server or --process".into()))?;
    for round in 1..=stage.scenario.general.rounds {
        let (release, released) = watch::channel(());
        let mut held = Vec::with_capacity(usize::from(total));
        let mut latencies = latency_histogram();
        let mut resident_before = 0;
        let bar = stage.progress.count(&format!("round {round}: sockets opened"), u64::from(total));
        let start = Instant::now();
        for number in 0..total {
            if number == FIRST_CONNECTIONS {
                resident_before = resident_kib(process)?;
            }
            let asked = Instant::now();
            let mut caller = Caller::new(target.open(&mut stage.nonces, usize::from(number), READ_BUFFER_BYTES).await?);
            if let Some(channel) = &settings.subscribe {
                caller.subscribe(subscription(channel, "BTC/USD"), |_| Ok(())).await?;
            }
            latencies.saturating_record(nanoseconds(asked.elapsed()));
            held.push(tokio::spawn(hold(caller, released.clone())));
            bar.advance();
        }
        drop(bar);
        let growth = to_f64(resident_kib(process)?) - to_f64(resident_before);
        drop(release);
        let ended =
            join_all(held).await.into_iter().map(|joined| joined.expect("a holder neither panics nor is cancelled"));
        let name = format!("round {round}: every connection open until the memory was taken");
        stage.record.checks.push(Check::of_each(name, ended));
        let figures = Figures::new(&latencies, start.elapsed());
        let mut series = Series::of_latencies("opening, one after another", round, figures, &latencies);
        // A later round would reuse the memory of the previous one.
        if round == 1 {
            series.extra.extend(ratio(growth, f64::from(settings.connections)).map(|kib| (KIB.to_owned(), kib)));
        }
        stage.add(series);
    }
    stage.conclude_once(KIB);
    Ok(())
}

/// Holds a connection, answering the server's pings, and checks that it still exists when released.
async fn hold(mut caller: Caller, mut released: watch::Receiver<()>) -> Result<(), LoadError> {
    loop {
        while let Received::Text(_) = caller.connection.next_message()? {}
        caller.connection.flush().await?;
        tokio::select! {
            result = caller.connection.receive() => result?,
            _ = released.changed() => return caller.ping().await,
        }
    }
}
