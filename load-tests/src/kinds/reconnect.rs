//! A reconnect storm: every socket is lost at once, all come back at once, and each must be told what it missed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use crate::arrival::Arrival;
use crate::caller::Caller;
use crate::checks::Check;
use crate::connection::{Connection, Proof, Received};
use crate::credentials::ServiceUser;
use crate::endpoint::Endpoint;
use crate::error::LoadError;
use crate::figures::{Figures, latency_histogram, nanoseconds};
use crate::follower::Streams;
use crate::load::Shape;
use crate::machine::require_open_files;
use crate::order_set::OrderSet;
use crate::orders::measure;
use crate::record::Series;
use crate::scenario::Reconnect;
use crate::signature::{Nonces, sign};
use crate::stage::{Contestant, Stage};
use crate::target::Target;

const READ_BUFFER_BYTES: usize = 4 << 10;
/// How long all sockets stay away.
const AWAY: Duration = Duration::from_millis(200);
const TOKEN_PATH: &str = "/0/private/GetWebSocketsToken";

/// Where the storm is: sockets are open during wave n, away between the waves, and settle at the end.
#[derive(Debug, Clone)]
enum Phase {
    Open(u32),
    Away,
    Settle(Arc<OrderSet>),
}

/// What the sockets share.
struct Storm {
    ws: Endpoint,
    token: String,
    run: u64,
    phase: watch::Receiver<Phase>,
    patience: Duration,
    returns: Mutex<(hdrhistogram::Histogram<u32>, u64)>,
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
    stage.conclude("p99 of returning, ms", |round| Some(round.get("returns")?.figures.p99_us / 1_000.0));
    stage.conclude("last return, ms", |round| Some(round.get("returns")?.figures.max_us / 1_000.0));
    Ok(())
}

async fn storm(stage: &mut Stage, settings: &Reconnect, round: u32) -> Result<(), LoadError> {
    let target = stage.target()?.clone();
    let user = target.users.first().ok_or_else(|| LoadError::Setup("this scenario needs a key".into()))?;
    let token = token(&target, user, &mut stage.nonces).await?;
    let shape = Shape { connections: 4, in_flight: 1 };
    let load = stage.load(Contestant::Countersign, shape, Arrival::open(settings.rate)?, &settings.mix)?;
    let (tell, phase) = watch::channel(Phase::Open(0));
    let returns = Mutex::new((latency_histogram(), 0));
    let patience = stage.scenario.general.patience();
    let storm = Arc::new(Storm { ws: target.ws.clone(), token, run: load.plan.run, phase, patience, returns });
    let mut sockets = JoinSet::new();
    let (ready, mut is_ready) = tokio::sync::mpsc::channel(1);
    for _ in 0..settings.connections {
        let (storm, ready) = (storm.clone(), ready.clone());
        sockets.spawn(async move { socket(&storm, ready).await });
    }
    drop(ready);
    // Every socket must be there before the first order, or it would miss orders of before its time.
    for _ in 0..settings.connections {
        if is_ready.recv().await.is_none() {
            break;
        }
    }
    let waves = settings.waves.max(1);
    let between = load.plan.duty.window / waves;
    let waving = async {
        for wave in 1..=waves {
            sleep(between.saturating_sub(AWAY * 2)).await;
            tell.send_replace(Phase::Away);
            sleep(AWAY).await;
            tell.send_replace(Phase::Open(wave));
        }
    };
    let (measured, ()) = tokio::join!(measure(&target, &mut stage.nonces, &load, stage.progress), waving);
    let (measurement, outcome) = measured?;
    tell.send_replace(Phase::Settle(Arc::new(outcome.acknowledged.clone())));
    let mut checks: Vec<Check> = Vec::new();
    while let Some(joined) = sockets.join_next().await {
        let told = joined.map_err(|error| LoadError::Setup(format!("a socket ended early: {error}")))??;
        for check in told {
            match checks.iter_mut().find(|known| known.name == check.name) {
                Some(known) => known.merge(check),
                None => checks.push(check),
            }
        }
    }
    let during = Series::of_outcome("orders meanwhile", round, measurement.figures, &outcome, &measurement.cpu);
    stage.add(during);
    let (latencies, snapshots) =
        std::mem::replace(&mut *storm.returns.lock().unwrap_or_else(PoisonError::into_inner), (latency_histogram(), 0));
    let figures = Figures::new(&latencies, load.plan.duty.window);
    let mut returns = Series::of_latencies("returns", round, figures, &latencies).with_cpu(&measurement.cpu);
    returns.extra.insert("told to take a snapshot".into(), crate::figures::to_f64(snapshots));
    stage.add(returns);
    let named = checks.into_iter().map(|check| Check { name: format!("round {round}: {}", check.name), ..check });
    stage.record.checks.extend(named);
    Ok(())
}

/// One socket through all waves.
async fn socket(storm: &Storm, ready: tokio::sync::mpsc::Sender<()>) -> Result<Vec<Check>, LoadError> {
    let mut streams = Streams::new("all sockets'", storm.run);
    let mut phase = storm.phase.clone();
    let mut caller = open(storm, &mut streams, None).await?;
    if ready.send(()).await.is_err() {
        return Err(LoadError::Setup("the storm was called off".into()));
    }
    drop(ready);
    let mut wave = 0;
    loop {
        while let Received::Text(frame) = caller.connection.next_message()? {
            streams.read(frame)?;
        }
        caller.connection.flush().await?;
        let now = phase.borrow_and_update().clone();
        match now {
            Phase::Open(same) if same == wave => {}
            Phase::Settle(acknowledged) => {
                return settle(caller, streams, &acknowledged, Instant::now() + storm.patience).await;
            }
            Phase::Away | Phase::Open(_) => {
                drop(caller);
                // The sender is there until all sockets have ended.
                let _ = phase.wait_for(|phase| !matches!(phase, Phase::Away)).await;
                if let Phase::Open(next) = &*phase.borrow() {
                    wave = *next;
                }
                caller = open(storm, &mut streams, Some(Instant::now())).await?;
                continue;
            }
        }
        tokio::select! {
            result = caller.connection.receive() => result?,
            _ = phase.changed() => {}
        }
    }
}

/// Opens and subscribes from where the streams had come to; `since` is the moment at which all were let in again.
async fn open(storm: &Storm, streams: &mut Streams, since: Option<Instant>) -> Result<Caller, LoadError> {
    let mut caller = Caller::new(Connection::open(&storm.ws, Proof::Bare, READ_BUFFER_BYTES).await?);
    let mut params = json!({"channel": "executions", "snap_orders": false, "snap_trades": false, "token": storm.token});
    if let Some(offset) = streams.resume("executions") {
        params["from_offset"] = offset.into();
    }
    let result = caller.call_between("subscribe", params, |frame| streams.read(frame)).await?;
    if let Some(since) = since {
        let mut returns = storm.returns.lock().unwrap_or_else(PoisonError::into_inner);
        returns.0.saturating_record(nanoseconds(since.elapsed()));
        returns.1 += u64::from(!result["warnings"].is_null());
    }
    Ok(caller)
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
    Ok(streams.checks_of_orders(acknowledged))
}

/// A token opens any number of sockets at once; a signed handshake's nonces would have to arrive in order.
async fn token(target: &Target, user: &ServiceUser, nonces: &mut Nonces) -> Result<String, LoadError> {
    let nonce = nonces.next_nonce().to_string();
    let body = format!("nonce={nonce}");
    let signature = sign(&user.api_secret, TOKEN_PATH, &nonce, &body)?;
    let answer = target.web()?.post_signed(TOKEN_PATH, &body, &user.api_key, &signature).await?;
    let told: serde_json::Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let token = told["result"]["token"].as_str().map(str::to_owned);
    token.ok_or_else(|| LoadError::Setup(format!("no token was given: {}", answer.body)))
}
