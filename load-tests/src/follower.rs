//! A listener on all private streams of one key while a load runs, which checks every frame.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::caller::{Caller, subscription};
use crate::checks::Check;
use crate::checks::balances::{Balances, Item};
use crate::checks::causes::Causes;
use crate::checks::entries::{Entries, Side};
use crate::checks::numbering::Numbering;
use crate::connection::{Connection, Received};
use crate::credentials::ServiceUser;
use crate::endpoint::{ANSWER_WAIT, Endpoint, bounded};
use crate::error::LoadError;
use crate::mix::{own_order, run_prefix};
use crate::order_set::OrderSet;
use crate::side_thread::SideThread;
use crate::signature::Nonces;

/// `balances` comes last: what it tells after its snapshot, the others must tell as well.
const CHANNELS: [&str; 6] = ["executions", "ledger", "earn", "deposits", "withdrawals", "balances"];
const READ_BUFFER_BYTES: usize = 64 << 10;
const SETTLE_POLL: Duration = Duration::from_millis(100);

/// A listener for each key, all on a thread of their own.
#[derive(Debug)]
pub struct Followers {
    _thread: SideThread,
    followers: Vec<(String, Follower)>,
}

impl Followers {
    /// Starts one for each key.
    ///
    /// # Errors
    /// As [`Follower::start`].
    pub async fn start(
        ws: &Endpoint,
        users: &[ServiceUser],
        nonces: &mut Nonces,
        run: u64,
        patience: Duration,
    ) -> Result<Self, LoadError> {
        let thread = SideThread::start("followers")?;
        let mut followers = Vec::with_capacity(users.len());
        for user in users {
            let (ws, follows, nonce) = (ws.clone(), user.clone(), nonces.next_nonce());
            let started = thread.spawn(async move { Follower::start(&ws, &follows, nonce, run, patience).await });
            followers.push((user.name.clone(), started.await.map_err(ended)??));
        }
        Ok(Self { _thread: thread, followers })
    }

    /// Ends them all. Key n of them has placed `acknowledged(n)`. One that was not there to the end is a check that failed.
    pub async fn finish(self, acknowledged: impl Fn(usize) -> OrderSet) -> Vec<Check> {
        let mut checks = Vec::new();
        for (number, (owner, follower)) in self.followers.into_iter().enumerate() {
            match follower.finish(acknowledged(number)).await {
                Ok(told) => checks.extend(told),
                Err(error) => {
                    let mut lost = Check::new(format!("{owner}: followed to the end"));
                    lost.looked_at = 1;
                    lost.violated(error.to_string());
                    checks.push(lost);
                }
            }
        }
        checks
    }
}

fn ended(error: tokio::task::JoinError) -> LoadError {
    LoadError::Setup(format!("a follower ended early: {error}"))
}

/// What a key without the scope for a channel is told.
const NO_SCOPE: &str = "EGeneral:Permission denied";

/// A running listener.
#[derive(Debug)]
pub struct Follower {
    finish: oneshot::Sender<OrderSet>,
    task: JoinHandle<Result<Vec<Check>, LoadError>>,
}

impl Follower {
    /// Subscribes to every private channel that the key may have, and listens from then on; the others are told as
    /// skipped. Only orders of `run` are told apart. After the load the streams have `patience` to tell everything.
    ///
    /// # Errors
    /// The handshake fails, or a subscription is refused for another reason than a missing scope.
    pub async fn start(
        ws: &Endpoint,
        user: &ServiceUser,
        nonce: u64,
        run: u64,
        patience: Duration,
    ) -> Result<Self, LoadError> {
        let connection = Connection::open(ws, user.proof(nonce), READ_BUFFER_BYTES).await?;
        let mut caller = Caller::new(connection);
        // After a load, its frames come before a reply.
        caller.wait = caller.wait.max(patience);
        let mut streams = Streams::new(&user.name, run);
        for channel in CHANNELS {
            let asked = caller.subscribe(subscription(channel, ""), |frame| streams.read(frame)).await;
            match asked {
                Ok(()) => streams.follow(channel),
                Err(LoadError::Refused { error, .. }) if error.starts_with(NO_SCOPE) => {
                    streams.ended.push(Check::skipped(format!("{} {channel}: not followed: {error}", user.name)));
                }
                Err(LoadError::Refused { error, .. }) => {
                    return Err(LoadError::Refused { method: format!("subscribe to {channel}"), error });
                }
                Err(error) => return Err(error),
            }
        }
        let (finish, finished) = oneshot::channel();
        let (ws, user) = (ws.clone(), user.clone());
        let task = tokio::spawn(async move {
            let acknowledged = listen(&mut caller.connection, &mut streams, finished).await?;
            let deadline = Instant::now() + patience;
            settle(&mut caller, &mut streams, (&ws, &user), &acknowledged, deadline).await?;
            Ok(streams.checks())
        });
        Ok(Self { finish, task })
    }

    /// Ends it once the streams have told all of `acknowledged` and the balances agree with a fresh snapshot, or when its
    /// patience is at an end.
    ///
    /// # Errors
    /// The server closed the follower's socket, or sent what is no frame.
    pub async fn finish(self, acknowledged: OrderSet) -> Result<Vec<Check>, LoadError> {
        // A follower that failed has dropped its end; its own error says why.
        let _ = self.finish.send(acknowledged);
        self.task.await.map_err(ended)?
    }
}

/// Reads frames until the load has ended and gives what it had acknowledged.
async fn listen(
    connection: &mut Connection,
    streams: &mut Streams,
    mut finished: oneshot::Receiver<OrderSet>,
) -> Result<OrderSet, LoadError> {
    loop {
        while let Received::Text(frame) = connection.next_message()? {
            streams.read(frame)?;
        }
        connection.flush().await?;
        tokio::select! {
            acknowledged = &mut finished => return Ok(acknowledged.unwrap_or_default()),
            result = connection.receive() => result?,
        }
    }
}

/// Waits until the streams have caught up, then looks at what is missing and what differs.
async fn settle(
    caller: &mut Caller,
    streams: &mut Streams,
    (ws, user): (&Endpoint, &ServiceUser),
    acknowledged: &OrderSet,
    deadline: Instant,
) -> Result<(), LoadError> {
    loop {
        // The reply to a query of present state comes in the order of the journal, so that two of them have all
        // earlier frames before them.
        for _ in 0..2 {
            match caller.call_between("get_balances", serde_json::json!({}), |frame| streams.read(frame)).await {
                Ok(_) | Err(LoadError::Refused { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let fresh = if streams.numbering.contains_key("balances") { Some(snapshot(ws, user).await?) } else { None };
        let missing = streams.missing(acknowledged);
        let differences = fresh.as_ref().map_or(Vec::new(), |fresh| streams.balances.differences(fresh));
        let is_told = missing == 0 && differences.is_empty() && streams.entries.is_even() && streams.causes.is_even();
        if is_told || Instant::now() >= deadline {
            streams.judge_orders(acknowledged);
            streams.rebuilt.looked_at = fresh.map_or(0, |fresh| fresh.len());
            differences.into_iter().for_each(|difference| streams.rebuilt.violated(difference));
            return Ok(());
        }
        sleep(SETTLE_POLL).await;
    }
}

/// What a new subscriber is told.
async fn snapshot(ws: &Endpoint, user: &ServiceUser) -> Result<Balances, LoadError> {
    let connection = Connection::open(ws, user.proof(Nonces::default().next_nonce()), READ_BUFFER_BYTES).await?;
    let mut caller = Caller::new(connection);
    let mut streams = Streams::new("fresh", 0);
    caller.subscribe(subscription("balances", ""), |frame| streams.read(frame)).await?;
    let told = async {
        loop {
            while let Received::Text(frame) = caller.connection.next_message()? {
                streams.read(frame)?;
            }
            if streams.numbering.contains_key("balances") {
                return Ok(streams.balances);
            }
            caller.connection.receive().await?;
        }
    };
    bounded(ANSWER_WAIT, "wait for a snapshot of balances", told).await
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow)]
    channel: Cow<'a, str>,
    #[serde(borrow, default)]
    r#type: Cow<'a, str>,
    sequence: Option<u64>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Placed<'a> {
    offset: u64,
    #[serde(borrow, default)]
    exec_type: Cow<'a, str>,
    #[serde(borrow)]
    cl_ord_id: Option<Cow<'a, str>>,
    /// Of a deposit, a withdrawal or a movement of Earn.
    #[serde(borrow, alias = "operation_id")]
    refid: Option<Cow<'a, str>>,
}

/// What the streams have told so far.
#[derive(Debug)]
pub struct Streams {
    owner: String,
    run_prefix: String,
    numbering: BTreeMap<String, Numbering>,
    balances: Balances,
    entries: Entries,
    causes: Causes,
    seen: OrderSet,
    /// Verdicts on subscriptions that have ended, or never were.
    ended: Vec<Check>,
    repeated: Check,
    placed: Check,
    rebuilt: Check,
}

impl Streams {
    /// Nothing told yet to the key of this name.
    pub fn new(owner: &str, run: u64) -> Self {
        Self {
            owner: owner.into(),
            run_prefix: run_prefix(run),
            numbering: BTreeMap::new(),
            balances: Balances::default(),
            entries: Entries::new(owner),
            causes: Causes::default(),
            seen: OrderSet::default(),
            ended: Vec::new(),
            repeated: Check::new(format!("{owner} executions: each order new once")),
            placed: Check::new(format!("{owner} executions: each acknowledged order seen")),
            rebuilt: Check::new(format!("{owner} balances: rebuilt from deltas = fresh snapshot")),
        }
    }

    /// Takes one message; what is not on a private channel is ignored.
    ///
    /// # Errors
    /// `Protocol` for a message that is not as a frame must be.
    pub fn read(&mut self, message: &[u8]) -> Result<(), LoadError> {
        let wrong = |error: serde_json::Error| {
            let shown: String = String::from_utf8_lossy(message).chars().take(300).collect();
            LoadError::Protocol(format!("a frame that is not as it must be ({error}): {shown}"))
        };
        let frame: Frame<'_> = match serde_json::from_slice(message) {
            Ok(frame) => frame,
            // A reply has no channel.
            Err(_) if memchr::memmem::find(message, br#""method""#).is_some() => return Ok(()),
            Err(error) => return Err(wrong(error)),
        };
        let (Some(data), true) = (frame.data, CHANNELS.contains(&&*frame.channel)) else { return Ok(()) };
        let is_snapshot = frame.r#type == "snapshot";
        self.follow(&frame.channel);
        let numbering = self.numbering.get_mut(&*frame.channel).expect("followed above");
        numbering.frame(frame.sequence);
        if frame.channel == "balances" || frame.channel == "ledger" {
            for item in serde_json::from_str::<Vec<Item<'_>>>(data.get()).map_err(wrong)? {
                self.moved(&frame.channel, is_snapshot, &item)?;
            }
            return Ok(());
        }
        for item in serde_json::from_str::<Vec<Placed<'_>>>(data.get()).map_err(wrong)? {
            if is_snapshot {
                numbering.snapshot(item.offset);
                continue;
            }
            numbering.item(item.offset);
            if let Some(id) = item.refid {
                self.causes.told(&frame.channel, item.offset, id);
            }
            let own = item.cl_ord_id.filter(|_| item.exec_type == "new");
            if let Some((connection, order)) = own.and_then(|id| own_order(&self.run_prefix, &id)) {
                self.repeated.looked_at += 1;
                if !self.seen.insert(connection, order) {
                    self.repeated.violated(format!("order {order} of connection {connection} is new again"));
                }
            }
        }
        Ok(())
    }

    /// Notes that a channel is followed: it may have to tell something, even if it never does.
    fn follow(&mut self, channel: &str) {
        if !self.numbering.contains_key(channel) {
            self.numbering.insert(channel.to_owned(), Numbering::new(&self.owner, channel, 0));
        }
    }

    /// Takes an item of `balances` or `ledger`. What `balances` tells, the channel of its cause must tell as well, if it is
    /// followed.
    fn moved(&mut self, channel: &str, is_snapshot: bool, item: &Item<'_>) -> Result<(), LoadError> {
        let is_balance = channel == "balances";
        let numbering = self.numbering.get_mut(channel).expect("it is followed");
        if is_snapshot {
            numbering.snapshot(item.offset);
            if is_balance {
                self.balances.set(item)?;
                self.entries.snapshot(item.offset);
            }
            return Ok(());
        }
        numbering.item(item.offset);
        let entry = item.entry()?;
        if is_balance {
            self.balances.add(&entry);
            self.numbering.get_mut("ledger").into_iter().for_each(Numbering::due);
            if let Some((due, id)) = item.cause()
                && self.numbering.contains_key(due)
            {
                self.causes.due(due, item.offset, id);
            }
        }
        if ["balances", "ledger"].iter().all(|both| self.numbering.contains_key(*both)) {
            self.entries.told(if is_balance { Side::Balances } else { Side::Ledger }, entry);
        }
        Ok(())
    }

    /// Ends a subscription that is to be resumed after the offset given, from which its next one is followed; `None` where
    /// it has told nothing yet.
    pub fn resume(&mut self, channel: &str) -> Option<u64> {
        let numbering = self.numbering.remove(channel)?;
        let offset = numbering.offset();
        self.ended.extend(numbering.checks());
        self.numbering.insert(channel.into(), Numbering::new(&self.owner, channel, offset));
        (offset > 0).then_some(offset)
    }

    /// How many of these orders were not seen yet.
    pub fn missing(&self, acknowledged: &OrderSet) -> u64 {
        acknowledged.missing_in(&self.seen)
    }

    /// The verdicts.
    pub fn checks(self) -> Vec<Check> {
        let numbering = self.numbering.into_values().flat_map(Numbering::checks);
        self.ended
            .into_iter()
            .chain(numbering)
            .chain(self.entries.check())
            .chain(self.causes.checks(&self.owner))
            .chain([self.repeated, self.placed, self.rebuilt])
            .collect()
    }

    /// The verdicts of a listener to `executions` alone, who should have seen these orders.
    pub fn checks_of_orders(mut self, acknowledged: &OrderSet) -> Vec<Check> {
        self.judge_orders(acknowledged);
        let rebuilt = self.rebuilt.name.clone();
        self.checks().into_iter().filter(|check| check.name != rebuilt).collect()
    }

    fn judge_orders(&mut self, acknowledged: &OrderSet) {
        let missing = self.missing(acknowledged);
        self.placed.looked_at = acknowledged.len();
        if missing > 0 {
            self.placed.violated(format!("{missing} orders were acknowledged and never seen"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_characters_in_what_others_wrote_are_read() {
        let mut streams = Streams::new("Bot", 1);
        let own = format!("{}00010000000a", run_prefix(1));
        let frame = format!(
            r#"{{"channel":"executions","type":"update","sequence":1,"data":[
                {{"exec_type":"new","cl_ord_id":"\"quoted\" \u00e9","offset":256}},
                {{"exec_type":"new","offset":257}},
                {{"exec_type":"ne\u0077","cl_ord_id":"{own}","offset":258}}]}}"#
        );
        streams.read(frame.as_bytes()).unwrap();
        let balances = r#"{"channel":"balances","type":"update","sequence":1,"data":[
            {"asset":"a\"b","amount":1,"wallet_type":"spot","wallet_id":"m\u00e4in","offset":256}]}"#;
        streams.read(balances.as_bytes()).unwrap();
        assert_eq!(streams.seen.len(), 1);
        assert!(streams.balances.differences(&Balances::default())[0].starts_with("a\"b in spot/mäin"));
    }
}
