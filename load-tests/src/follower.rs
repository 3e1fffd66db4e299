//! Listeners on all private streams during a load, one for each principal, which check every frame.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::caller::{Caller, subscription};
use crate::checks::Check;
use crate::checks::balances::Balances;
use crate::connection::{Connection, Received};
use crate::credentials::{ServiceUser, VenueKey};
use crate::endpoint::{ANSWER_WAIT, Endpoint, bounded};
use crate::error::LoadError;
use crate::member::Session;
use crate::order_set::OrderSet;
use crate::side_thread::SideThread;
use crate::signature::Nonces;
use crate::streams::Streams;

const READ_BUFFER_BYTES: usize = 64 << 10;
const SETTLE_POLL: Duration = Duration::from_millis(100);

/// The principal whose streams are followed.
#[derive(Debug, Clone)]
pub enum Principal {
    /// Those of a key's account.
    ServiceUser(ServiceUser),
    /// The requests of a Member's Organization.
    Member(Session),
    /// The withdrawals that custody is sent.
    Venue(VenueKey),
}

impl Principal {
    /// Its name in a check.
    pub fn name(&self) -> &str {
        match self {
            Self::ServiceUser(user) => &user.name,
            Self::Member(session) => &session.name,
            Self::Venue(_) => "venue",
        }
    }

    /// Whatever the last channel sends after its snapshot, those before it must send as well.
    fn channels(&self) -> &'static [&'static str] {
        match self {
            Self::ServiceUser(_) => &["executions", "ledger", "earn", "deposits", "withdrawals", "balances"],
            Self::Member(_) => &["approvals", "withdrawals"],
            Self::Venue(_) => &["custody"],
        }
    }

    /// A query about present state that it may make, answered in the order of the journal. A venue operator has none.
    fn query(&self) -> (&'static str, Value) {
        match self {
            Self::ServiceUser(_) => ("get_balances", json!({})),
            Self::Member(_) => ("requests", json!({"limit": 1})),
            Self::Venue(_) => ("ping", json!({})),
        }
    }

    async fn open(&self, ws: &Endpoint, nonce: u64) -> Result<Connection, LoadError> {
        match self {
            Self::ServiceUser(user) => Connection::open(ws, user.proof(nonce), READ_BUFFER_BYTES).await,
            Self::Member(session) => session.open(READ_BUFFER_BYTES).await,
            Self::Venue(key) => Connection::open(ws, key.proof(nonce), READ_BUFFER_BYTES).await,
        }
    }
}

/// One listener for each, all on a thread of their own.
#[derive(Debug)]
pub struct Followers {
    _thread: SideThread,
    followers: Vec<(String, Follower)>,
    skipped: Vec<Check>,
}

impl Followers {
    /// Starts one for each. A venue key that the server refuses, because of networks, expiry or nonces, is skipped: the
    /// load does not need it.
    ///
    /// # Errors
    /// As [`Follower::start`].
    pub async fn start(
        ws: &Endpoint,
        principals: Vec<Principal>,
        nonces: &mut Nonces,
        run: u64,
        patience: Duration,
    ) -> Result<Self, LoadError> {
        let thread = SideThread::start("followers")?;
        let mut followers = Vec::with_capacity(principals.len());
        let mut skipped = Vec::new();
        for principal in principals {
            let (ws, name, nonce) = (ws.clone(), principal.name().to_owned(), nonces.next_nonce());
            let is_venue = matches!(principal, Principal::Venue(_));
            let started = thread.spawn(async move { Follower::start(&ws, principal, nonce, run, patience).await });
            match started.await.map_err(ended)? {
                Ok(follower) => followers.push((name, follower)),
                Err(refused @ LoadError::Handshake { .. }) if is_venue => {
                    skipped.push(Check::skipped(format!("{name} custody: not followed: {refused}")));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Self { _thread: thread, followers, skipped })
    }

    /// Ends them all. Follower n has placed `acknowledged(n)`. One that did not stay to the end is a failed check.
    pub async fn finish(self, acknowledged: impl Fn(usize) -> OrderSet) -> Vec<Check> {
        let mut checks = self.skipped;
        for (number, (owner, follower)) in self.followers.into_iter().enumerate() {
            match follower.finish(acknowledged(number)).await {
                Ok(reported) => checks.extend(reported),
                Err(error) => checks.push(Check::of_each(format!("{owner}: followed to the end"), [Err(error)])),
            }
        }
        checks
    }
}

fn ended(error: tokio::task::JoinError) -> LoadError {
    LoadError::Setup(format!("a follower ended early: {error}"))
}

/// How often a follower sends a request: a Member's session ends after `member_idle_s` without one.
const ACT: Duration = Duration::from_secs(60);
/// The refusal for a missing scope or permission on a channel.
const NO_SCOPE: &str = "EGeneral:Permission denied";

/// A running listener.
#[derive(Debug)]
pub struct Follower {
    finish: oneshot::Sender<OrderSet>,
    task: JoinHandle<Result<Vec<Check>, LoadError>>,
}

impl Follower {
    /// Subscribes to every private channel of the principal and listens; channels that it may not have are reported as
    /// skipped. Only orders of `run` are matched. After the load the streams have `patience` to send everything.
    ///
    /// # Errors
    /// The handshake fails, or a subscription is refused for another reason than a missing scope or permission.
    pub async fn start(
        ws: &Endpoint,
        principal: Principal,
        nonce: u64,
        run: u64,
        patience: Duration,
    ) -> Result<Self, LoadError> {
        let mut caller = Caller::new(principal.open(ws, nonce).await?);
        // After a load, the load's frames come before a reply.
        caller.wait = caller.wait.max(patience);
        let mut streams = Streams::new(principal.name(), run);
        for channel in principal.channels() {
            let asked = caller.subscribe(subscription(channel, ""), |frame| streams.read(frame)).await;
            match asked {
                Ok(()) => streams.follow(channel),
                Err(LoadError::Refused { error, .. }) if error.starts_with(NO_SCOPE) => {
                    streams.skip(channel, &error);
                }
                Err(LoadError::Refused { error, .. }) => {
                    return Err(LoadError::Refused { method: format!("subscribe to {channel}"), error });
                }
                Err(error) => return Err(error),
            }
        }
        let (finish, finished) = oneshot::channel();
        let ws = ws.clone();
        let task = tokio::spawn(async move {
            let acknowledged = listen(&mut caller, &mut streams, &principal, finished).await?;
            let deadline = Instant::now() + patience;
            let fresh = settle(&mut caller, &mut streams, (&ws, &principal), &acknowledged, deadline).await?;
            Ok(streams.checks(&acknowledged, fresh.as_ref()))
        });
        Ok(Self { finish, task })
    }

    /// Ends it once the streams have sent all of `acknowledged` and the balances agree with a fresh snapshot, or when
    /// its patience is over.
    ///
    /// # Errors
    /// The server closed the follower's socket, or sent an invalid frame.
    pub async fn finish(self, acknowledged: OrderSet) -> Result<Vec<Check>, LoadError> {
        // A follower that failed has dropped its end; its own error says why.
        let _ = self.finish.send(acknowledged);
        self.task.await.map_err(ended)?
    }
}

/// Reads frames until the load has ended, and returns what it had acknowledged.
async fn listen(
    caller: &mut Caller,
    streams: &mut Streams,
    principal: &Principal,
    mut finished: oneshot::Receiver<OrderSet>,
) -> Result<OrderSet, LoadError> {
    let mut act = tokio::time::interval_at(Instant::now() + ACT, ACT);
    loop {
        while let Received::Text(frame) = caller.connection.next_message()? {
            streams.read(frame)?;
        }
        caller.connection.flush().await?;
        tokio::select! {
            acknowledged = &mut finished => return Ok(acknowledged.unwrap_or_default()),
            result = caller.connection.receive() => result?,
            _ = act.tick() => {
                let (method, params) = principal.query();
                caller.ask(method, &params);
            }
        }
    }
}

/// Waits until the streams have caught up; returns the fresh snapshot of balances that they should agree with.
async fn settle(
    caller: &mut Caller,
    streams: &mut Streams,
    (ws, principal): (&Endpoint, &Principal),
    acknowledged: &OrderSet,
    deadline: Instant,
) -> Result<Option<Balances>, LoadError> {
    loop {
        // Its reply comes in the order of the journal, so after two of them all earlier frames have arrived.
        for _ in 0..2 {
            let (method, params) = principal.query();
            match caller.call_between(method, params, |frame| streams.read(frame)).await {
                Ok(_) | Err(LoadError::Refused { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let fresh = if streams.follows("balances") { Some(snapshot(ws, principal).await?) } else { None };
        let agrees = fresh.as_ref().is_none_or(|fresh| streams.balances().differences(fresh).is_empty());
        if agrees && streams.missing(acknowledged) == 0 && streams.is_even() || Instant::now() >= deadline {
            return Ok(fresh);
        }
        sleep(SETTLE_POLL).await;
    }
}

/// The balances that a new subscriber is sent.
async fn snapshot(ws: &Endpoint, principal: &Principal) -> Result<Balances, LoadError> {
    let mut caller = Caller::new(principal.open(ws, Nonces::default().next_nonce()).await?);
    let mut streams = Streams::new("fresh", 0);
    caller.subscribe(subscription("balances", ""), |frame| streams.read(frame)).await?;
    let reported = async {
        loop {
            while let Received::Text(frame) = caller.connection.next_message()? {
                streams.read(frame)?;
            }
            if streams.follows("balances") {
                return Ok(streams.balances().clone());
            }
            caller.connection.receive().await?;
        }
    };
    bounded(ANSWER_WAIT, "wait for a snapshot of balances", reported).await
}
