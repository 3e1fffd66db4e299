//! A reconnect storm: all sockets are lost at once, all reconnect at once, and each must be sent what it missed.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use crate::arrival::Arrival;
use crate::caller::Caller;
use crate::checks::Check;
use crate::connection::{Connection, Proof, Received};
use crate::credentials::ServiceUser;
use crate::endpoint::Endpoint;
use crate::error::LoadError;
use crate::figures::{Figures, latency_histogram, nanoseconds, ratio, to_f64};
use crate::load::Shape;
use crate::machine::require_open_files;
use crate::order_set::OrderSet;
use crate::orders::{Load, measure};
use crate::record::Series;
use crate::scenario::Reconnect;
use crate::signature::{Nonces, sign};
use crate::stage::{Stage, SystemUnderTest};
use crate::streams::Streams;
use crate::target::Target;

const READ_BUFFER_BYTES: usize = 4 << 10;
/// How long all sockets stay disconnected.
const AWAY: Duration = Duration::from_millis(200);
/// Before the load, sockets are opened this many at a time: the storm comes later.
const OPENED_AT_ONCE: usize = 100;
/// The pause after a socket was turned away.
const RETRY: Duration = Duration::from_millis(100);
const RETURNS: &str = "returns";
const MEANWHILE: &str = "orders meanwhile";
const SOCKETS: &str = "sockets";
const SNAPSHOTS: &str = "told to take a snapshot";
const TOKEN_PATH: &str = "/0/private/GetWebSocketsToken";

/// The phase of the storm: sockets are open during wave n, away between the waves, and settle at the end.
#[derive(Debug, Clone)]
enum Phase {
    Open(Wave),
    Away,
    Settle(Wave, Arc<OrderSet>),
}

/// A wave, and when all may reconnect: the return time counts from then on, however late the task runs.
#[derive(Debug, Clone, Copy)]
struct Wave {
    number: u32,
    since: Instant,
}

/// What the sockets share.
struct Storm {
    ws: Endpoint,
    token: String,
    run: u64,
    phase: watch::Receiver<Phase>,
    patience: Duration,
    doors: Semaphore,
    returns: Mutex<Returns>,
}

impl Storm {
    fn note(&self, what: impl FnOnce(&mut Returns)) {
        what(&mut self.returns.lock());
    }
}

/// Statistics of the returns.
struct Returns {
    latencies: hdrhistogram::Histogram<u32>,
    /// Returns that could not resume: the server no longer had what was missed.
    snapshots: u64,
    /// Attempts that the server refused, or that failed.
    turned_away: u64,
}

/// Plays all rounds and concludes.
///
/// # Errors
/// A socket that cannot come back.
pub async fn play(stage: &mut Stage, settings: &Reconnect) -> Result<(), LoadError> {
    require_open_files(u64::from(settings.connections))?;
    for round in 1..=stage.scenario.general.rounds {
        storm(stage, settings, round).await?;
    }
    stage.conclude("back and resumed / all", |round| {
        let series = round.get(RETURNS)?;
        let resumed = to_f64(series.count) - series.extra.get(SNAPSHOTS)?;
        ratio(resumed, series.extra.get(SOCKETS)? * f64::from(settings.waves))
    });
    stage.conclude("p99 of returning, ms", |round| Some(round.get(RETURNS)?.figures.p99_us? / 1_000.0));
    stage.conclude("last return, ms", |round| Some(round.get(RETURNS)?.figures.max_us? / 1_000.0));
    stage.conclude("p99 of orders meanwhile, ms", |round| Some(round.get(MEANWHILE)?.figures.p99_us? / 1_000.0));
    Ok(())
}

async fn storm(stage: &mut Stage, settings: &Reconnect, round: u32) -> Result<(), LoadError> {
    let target = stage.target()?.clone();
    let user = target.users.first().ok_or_else(|| LoadError::Setup("this scenario needs a key".into()))?;
    let token = token(&target, user, &mut stage.nonces).await?;
    let shape = Shape { connections: 4, in_flight: 1 };
    let load = stage.load(SystemUnderTest::Countersign, shape, Arrival::open(settings.rate)?, &settings.mix)?;
    let load = Load { label: format!("round {round}: {MEANWHILE}"), ..load };
    let (tell, phase) = watch::channel(Phase::Open(Wave { number: 0, since: Instant::now() }));
    let returns = Mutex::new(Returns { latencies: latency_histogram(), snapshots: 0, turned_away: 0 });
    let patience = stage.scenario.general.patience();
    let (ws, doors) = (Endpoint { wait: patience, ..target.ws.clone() }, Semaphore::new(OPENED_AT_ONCE));
    let storm = Arc::new(Storm { ws, token, run: load.plan.run, phase, patience, doors, returns });
    let mut sockets = JoinSet::new();
    let (ready, mut is_ready) = mpsc::channel(1);
    for _ in 0..settings.connections {
        let (storm, ready) = (storm.clone(), ready.clone());
        sockets.spawn(async move { socket(&storm, ready).await });
    }
    drop(ready);
    let waving = wave(&tell, settings.waves, load.plan.timing.window / settings.waves);
    let playing = async {
        // Every socket must be connected before the first order, or it would miss orders placed before.
        for _ in 0..settings.connections {
            if is_ready.recv().await.is_none() {
                return std::future::pending().await;
            }
        }
        tokio::join!(measure(&target, &mut stage.nonces, &load, stage.progress), waving)
    };
    let (measured, last) = tokio::select! {
        played = playing => played,
        lost = failed(&mut sockets) => return Err(lost),
    };
    let (measurement, outcome) = measured?;
    tell.send_replace(Phase::Settle(last, Arc::new(outcome.tally.acknowledged.clone())));
    let mut checks: Vec<Check> = Vec::new();
    while let Some(joined) = sockets.join_next().await {
        let reported = joined.map_err(|error| LoadError::Setup(format!("a socket ended early: {error}")))??;
        for check in reported {
            match checks.iter_mut().find(|known| known.name == check.name) {
                Some(known) => known.merge(check),
                None => checks.push(check),
            }
        }
    }
    let during = Series::of_outcome(MEANWHILE, round, &outcome, &measurement.cpu);
    stage.add(during);
    let returns = storm.returns.lock();
    let figures = Figures::new(&returns.latencies, load.plan.timing.window);
    let mut series = Series::of_latencies(RETURNS, round, figures, &returns.latencies).with_cpu(&measurement.cpu);
    let reported = [
        (SOCKETS, f64::from(settings.connections)),
        (SNAPSHOTS, to_f64(returns.snapshots)),
        ("turned away", to_f64(returns.turned_away)),
    ];
    series.extra.extend(reported.map(|(name, value)| (name.to_owned(), value)));
    drop(returns);
    stage.add(series);
    let named = checks.into_iter().map(|check| Check { name: format!("round {round}: {}", check.name), ..check });
    stage.record.checks.extend(named);
    Ok(())
}

/// Disconnects all sockets and lets them reconnect, wave after wave; returns the last wave.
async fn wave(tell: &watch::Sender<Phase>, waves: u32, between: Duration) -> Wave {
    let mut last = Wave { number: 0, since: Instant::now() };
    for number in 1..=waves {
        sleep((between / 2).saturating_sub(AWAY)).await;
        tell.send_replace(Phase::Away);
        sleep(AWAY).await;
        last = Wave { number, since: Instant::now() };
        tell.send_replace(Phase::Open(last));
        sleep(between / 2).await;
    }
    last
}

/// The error of the first socket that ends before it is told to.
async fn failed(sockets: &mut JoinSet<Result<Vec<Check>, LoadError>>) -> LoadError {
    match sockets.join_next().await {
        Some(Ok(Err(error))) => LoadError::Setup(format!("a socket of the storm failed: {error}")),
        Some(Err(error)) => LoadError::Setup(format!("a socket ended early: {error}")),
        Some(Ok(Ok(_))) | None => LoadError::Setup("a socket ended before the load did".into()),
    }
}

/// One socket through all waves.
async fn socket(storm: &Storm, ready: mpsc::Sender<()>) -> Result<Vec<Check>, LoadError> {
    let mut streams = Streams::new("all sockets'", storm.run);
    streams.follow("executions");
    let mut phase = storm.phase.clone();
    let door = storm.doors.acquire().await;
    let (mut caller, _) = open(storm, &mut streams, None).await?;
    drop(door);
    if ready.send(()).await.is_err() {
        return Err(LoadError::Setup("the storm was called off".into()));
    }
    drop(ready);
    let mut seen = 0;
    loop {
        while let Received::Text(frame) = caller.connection.next_message()? {
            streams.read(frame)?;
        }
        caller.connection.flush().await?;
        let now = phase.borrow_and_update().clone();
        match now {
            Phase::Open(wave) if wave.number == seen => {}
            Phase::Settle(_, acknowledged) => {
                return settle(caller, streams, &acknowledged, Instant::now() + storm.patience).await;
            }
            Phase::Away | Phase::Open(_) => {
                drop(caller);
                let wave = let_in(&mut phase).await;
                seen = wave.number;
                caller = come_back(storm, &mut streams, wave.since).await?;
                continue;
            }
        }
        tokio::select! {
            result = caller.connection.receive() => result?,
            _ = phase.changed() => {}
        }
    }
}

/// Waits until all may reconnect, and returns the wave.
async fn let_in(phase: &mut watch::Receiver<Phase>) -> Wave {
    // The sender exists until all sockets have ended.
    let _ = phase.wait_for(|phase| !matches!(phase, Phase::Away)).await;
    match *phase.borrow() {
        Phase::Open(wave) | Phase::Settle(wave, _) => wave,
        Phase::Away => unreachable!("it was waited for"),
    }
}

/// Tries to open until it succeeds, within the scenario's patience, counted from when all could reconnect.
async fn come_back(storm: &Storm, streams: &mut Streams, since: Instant) -> Result<Caller, LoadError> {
    loop {
        // A socket disconnected before it received anything starts from the key's beginning.
        let from = streams.resume("executions").unwrap_or_default();
        let opened = open(storm, streams, Some(from)).await;
        let waited = since.elapsed();
        match opened {
            Ok((caller, resumed)) => {
                storm.note(|returns| {
                    returns.latencies.saturating_record(nanoseconds(waited));
                    returns.snapshots += u64::from(!resumed);
                });
                return Ok(caller);
            }
            Err(error) if waited < storm.patience && turned_away(&error) => {
                storm.note(|returns| returns.turned_away += 1);
            }
            Err(error) => {
                return Err(LoadError::Setup(format!("it was not back after {} s: {error}", waited.as_secs())));
            }
        }
        sleep(RETRY).await;
    }
}

/// Whether another try makes sense: the server was busy, or the connection failed.
fn turned_away(error: &LoadError) -> bool {
    match error {
        LoadError::Io { .. } | LoadError::Closed { .. } => true,
        LoadError::Handshake { status, .. } => [429, 503].contains(status),
        _ => false,
    }
}

/// Opens and subscribes, after an offset if one is given; returns whether the streams were resumed there.
async fn open(storm: &Storm, streams: &mut Streams, from: Option<u64>) -> Result<(Caller, bool), LoadError> {
    let mut caller = Caller::new(Connection::open(&storm.ws, Proof::Bare, READ_BUFFER_BYTES).await?);
    caller.wait = storm.patience;
    let mut params = json!({"channel": "executions", "snap_orders": false, "snap_trades": false, "token": storm.token});
    if let Some(offset) = from {
        params["from_offset"] = offset.into();
    }
    let result = caller.call_between("subscribe", params, |frame| streams.read(frame)).await?;
    Ok((caller, result["warnings"].is_null()))
}

async fn settle(
    mut caller: Caller,
    mut streams: Streams,
    acknowledged: &OrderSet,
    deadline: Instant,
) -> Result<Vec<Check>, LoadError> {
    while streams.missing(acknowledged) > 0 {
        while let Received::Text(frame) = caller.connection.next_message()? {
            streams.read(frame)?;
        }
        caller.connection.flush().await?;
        if streams.missing(acknowledged) > 0 {
            match timeout_at(deadline, caller.connection.receive()).await {
                Ok(result) => result?,
                Err(_) => break,
            }
        }
    }
    Ok(streams.checks(acknowledged, None))
}

/// A token can open any number of sockets at once; the nonces of signed handshakes would have to arrive in order.
async fn token(target: &Target, user: &ServiceUser, nonces: &mut Nonces) -> Result<String, LoadError> {
    let nonce = nonces.next_nonce().to_string();
    let body = format!("nonce={nonce}");
    let signature = sign(&user.api_secret, TOKEN_PATH, &nonce, &body)?;
    let answer = target.web()?.post_signed(TOKEN_PATH, &body, &user.api_key, &signature).await?;
    let reported: serde_json::Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let token = reported["result"]["token"].as_str().map(str::to_owned);
    token.ok_or_else(|| LoadError::Setup(format!("no token was given: {}", answer.body)))
}

#[cfg(test)]
mod tests {
    use futures::{SinkExt, StreamExt};
    use tokio::net::TcpListener;
    use tokio_tungstenite::tungstenite::Message;

    use super::*;

    /// A server that accepts every subscription and sends nothing.
    async fn quiet() -> Endpoint {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::plain(listener.local_addr().unwrap());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
                    while let Some(Ok(Message::Text(request))) = socket.next().await {
                        let mut reply: serde_json::Value = serde_json::from_str(&request).unwrap();
                        reply["success"] = true.into();
                        socket.send(Message::text(reply.to_string())).await.unwrap();
                    }
                });
            }
        });
        endpoint
    }

    #[tokio::test]
    async fn a_return_counts_from_when_all_were_let_in_however_late_its_task_gets_to_it() {
        let late = Duration::from_secs(3);
        let since = Instant::now().checked_sub(late).unwrap();
        let (tell, phase) = watch::channel(Phase::Open(Wave { number: 0, since }));
        let storm = Storm {
            ws: quiet().await,
            token: "token".into(),
            run: 1,
            phase,
            patience: Duration::from_secs(10),
            doors: Semaphore::new(1),
            returns: Mutex::new(Returns { latencies: latency_histogram(), snapshots: 0, turned_away: 0 }),
        };
        let storm = Arc::new(storm);
        let (ready, mut is_ready) = mpsc::channel(1);
        let own = storm.clone();
        let ending = tokio::spawn(async move { socket(&own, ready).await });
        is_ready.recv().await.unwrap();
        tell.send_replace(Phase::Open(Wave { number: 1, since }));
        while storm.returns.lock().latencies.is_empty() {
            tokio::task::yield_now().await;
        }
        tell.send_replace(Phase::Settle(Wave { number: 1, since }, Arc::default()));
        ending.await.unwrap().unwrap();
        let returns = storm.returns.lock();
        assert!(returns.latencies.len() == 1 && returns.latencies.min() >= nanoseconds(late) / 100 * 99);
    }
}
