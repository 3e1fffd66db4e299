//! Causes events that others receive: trades in a market, withdrawals and votes on them, bytes for the raw fan-out.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::caller::{Caller, subscribe, subscription};
use crate::connection::{Connection, Received};
use crate::credentials::MemberLogin;
use crate::endpoint::{ANSWER_WAIT, bounded, within};
use crate::error::LoadError;
use crate::frames::text;
use crate::member::Session;
use crate::raw_fan_out::PUBLISH;
use crate::scenario::Withdrawal;
use crate::signature::Nonces;
use crate::target::Target;

const READ_BUFFER_BYTES: usize = 64 << 10;
/// The most that one vote may contain, so also the most withdrawals of a batch.
pub const VOTES_MAX: u16 = 50;

/// A source of events.
#[derive(Debug)]
pub enum Publisher {
    /// Market orders, which trade.
    Trades(Trades),
    /// Withdrawals, then their rejection, in turn.
    Approvals(Box<Approvals>),
    /// The raw fan-out's.
    Raw(TcpStream),
}

impl Publisher {
    /// Causes about `count` events and returns how many there were.
    ///
    /// # Errors
    /// The server refuses or does not answer in ten seconds, or a socket ended.
    pub async fn publish(&mut self, count: u16) -> Result<u64, LoadError> {
        match self {
            Self::Trades(trades) => bounded(ANSWER_WAIT, "wait for trades", trades.publish(count)).await,
            Self::Approvals(approvals) => {
                bounded(ANSWER_WAIT, "wait for withdrawals and votes", approvals.publish(count)).await
            }
            Self::Raw(stream) => {
                let events = vec![b'.'; usize::from(count)];
                within(ANSWER_WAIT, "publish", stream.write_all(&events)).await?;
                Ok(u64::from(count))
            }
        }
    }

    /// Connects to a raw fan-out.
    ///
    /// # Errors
    /// It does not listen.
    pub async fn raw(address: SocketAddr) -> Result<Self, LoadError> {
        let mut stream = within(ANSWER_WAIT, "connect to the raw fan-out", TcpStream::connect(address)).await?;
        stream.set_nodelay(true).map_err(LoadError::io("connect to the raw fan-out"))?;
        within(ANSWER_WAIT, "greet the raw fan-out", stream.write_all(PUBLISH.as_bytes())).await?;
        Ok(Self::Raw(stream))
    }
}

/// Buys and sells in turn, at the market.
#[derive(Debug)]
pub struct Trades {
    connection: Connection,
    symbol: String,
    quantity: String,
    orders: u64,
}

impl Trades {
    /// Connects with the target's first key.
    ///
    /// # Errors
    /// The handshake or the subscription to `executions` fails.
    pub async fn open(target: &Target, nonces: &mut Nonces, symbol: &str, quantity: &str) -> Result<Self, LoadError> {
        let connection = subscribe(target.open(nonces, 0, READ_BUFFER_BYTES).await?, "executions", symbol).await?;
        Ok(Self { connection, symbol: symbol.into(), quantity: quantity.into(), orders: 0 })
    }

    /// Sends all orders in one write and reads until each has ended; an order may trade more than once.
    async fn publish(&mut self, count: u16) -> Result<u64, LoadError> {
        for _ in 0..count {
            self.orders += 1;
            let side = if self.orders.is_multiple_of(2) { "sell" } else { "buy" };
            let request = json!({"method": "add_order", "req_id": self.orders, "params": {
                "order_type": "market", "side": side, "symbol": self.symbol, "order_qty": self.quantity}});
            text(&mut self.connection.out, |out| out.extend_from_slice(request.to_string().as_bytes()));
        }
        self.connection.flush().await?;
        let (mut trades, mut ended) = (0, 0);
        while ended < count {
            self.connection.receive().await?;
            while let Received::Text(message) = self.connection.next_message()? {
                let message: Value = serde_json::from_slice(message)
                    .map_err(|error| LoadError::Protocol(format!("not JSON: {error}")))?;
                if message["success"] == false {
                    let error = message["error"].as_str().unwrap_or_default().into();
                    return Err(LoadError::Refused { method: "add_order".into(), error });
                }
                for item in message["data"].as_array().into_iter().flatten() {
                    match item["exec_type"].as_str() {
                        Some("trade") => trades += 1,
                        Some("filled") => ended += 1,
                        Some("canceled" | "expired") => {
                            let reason = format!("a market order found nobody: {}", item["reason"]);
                            return Err(LoadError::Setup(reason));
                        }
                        _ => {}
                    }
                }
            }
        }
        Ok(trades)
    }
}

/// A key that asks for withdrawals and a Member who rejects them, which frees the funds again.
#[derive(Debug)]
pub struct Approvals {
    bot: Caller,
    member: Caller,
    withdrawal: Withdrawal,
    /// Requests that wait for a vote, with their digests.
    pending: Vec<Value>,
}

/// A Member who may vote. An approval needs a code each time and does not free the funds, so the votes are rejections.
const VOTER: &str = "Bob";

impl Approvals {
    /// Connects with the target's first key, and as the voter.
    ///
    /// # Errors
    /// The handshake, the sign-in or the subscription fails.
    pub async fn open(
        target: &Target,
        nonces: &mut Nonces,
        session: &Session,
        withdrawal: &Withdrawal,
    ) -> Result<Self, LoadError> {
        let bot = Caller::new(target.open(nonces, 0, READ_BUFFER_BYTES).await?);
        let mut member = Caller::new(session.open(READ_BUFFER_BYTES).await?);
        member.subscribe(subscription("approvals", ""), |_| Ok(())).await?;
        Ok(Self { bot, member, withdrawal: withdrawal.clone(), pending: Vec::new() })
    }

    /// A Member of the voter's Organization, whose code nobody else in this run needs: the one listed after the voter,
    /// else any other, or the only one there is.
    pub fn onlooker(target: &Target) -> Option<&MemberLogin> {
        let voter = Self::voter(target).ok()?;
        let is_other = |member: &&MemberLogin| member.email != voter.email;
        let after = target.members.iter().skip_while(is_other).find(is_other);
        after.or_else(|| target.members.iter().find(is_other)).or(Some(voter))
    }

    /// The Member who votes: Bob in the demo's world, else the first.
    ///
    /// # Errors
    /// The keys file has no Member.
    pub fn voter(target: &Target) -> Result<&MemberLogin, LoadError> {
        let found = target.members.iter().find(|member| member.name == VOTER).or(target.members.first());
        found.ok_or_else(|| LoadError::Setup("this scenario needs Members in the keys file".into()))
    }

    /// Requests that many withdrawals and waits until each can be voted on.
    ///
    /// # Errors
    /// The server refuses or does not answer in ten seconds, or a socket ended.
    pub async fn ask(&mut self, count: u16) -> Result<(), LoadError> {
        bounded(ANSWER_WAIT, "wait for withdrawals", self.withdraw(usize::from(count))).await
    }

    /// Rejects the request that has waited longest; `None` if none waits.
    pub async fn vote(&mut self) -> Option<Result<(), LoadError>> {
        let oldest = self.pending.drain(..self.pending.len().min(1)).next()?;
        Some(self.reject(vec![oldest]).await)
    }

    /// One withdrawal each, or the rejection of those that wait: the same number of events either way.
    async fn publish(&mut self, count: u16) -> Result<u64, LoadError> {
        if self.pending.is_empty() {
            self.withdraw(usize::from(count)).await?;
            return Ok(u64::from(count));
        }
        let requests = std::mem::take(&mut self.pending);
        let count = requests.len() as u64;
        self.reject(requests).await.map(|()| count)
    }

    async fn withdraw(&mut self, count: usize) -> Result<(), LoadError> {
        let Withdrawal { asset, key, amount } = &self.withdrawal;
        for number in 1..=count {
            let request = json!({"method": "withdraw", "req_id": number,
                "params": {"asset": asset, "key": key, "amount": amount}});
            text(&mut self.bot.connection.out, |out| out.extend_from_slice(request.to_string().as_bytes()));
        }
        self.bot.connection.flush().await?;
        let mut answered = 0;
        while answered < count {
            while let Received::Text(message) = self.bot.connection.next_message()? {
                let reply: Value = serde_json::from_slice(message).unwrap_or_default();
                if reply["success"] == false {
                    let error = reply["error"].as_str().unwrap_or_default().into();
                    return Err(LoadError::Refused { method: "withdraw".into(), error });
                }
                answered += usize::from(reply["method"] == "withdraw");
            }
            if answered < count {
                self.bot.connection.receive().await?;
            }
        }
        while self.pending.len() < count {
            self.member.connection.receive().await?;
            while let Received::Text(message) = self.member.connection.next_message()? {
                self.pending.extend(pending(message));
            }
        }
        Ok(())
    }

    async fn reject(&mut self, requests: Vec<Value>) -> Result<(), LoadError> {
        let count = requests.len();
        let result = self.member.call("reject", json!({"requests": requests, "reason": "load test"})).await?;
        all_voted("reject", count, &result)
    }
}

/// Checks that each of `count` votes at once was accepted.
///
/// # Errors
/// `Refused` for the first that was not, `Protocol` if not all are answered.
pub fn all_voted(method: &str, count: usize, result: &Value) -> Result<(), LoadError> {
    let outcomes = result["requests"].as_array().map_or(&[][..], Vec::as_slice);
    match outcomes.iter().find(|outcome| outcome["success"] != true) {
        Some(outcome) => Err(LoadError::Refused { method: method.into(), error: outcome["error"].to_string() }),
        None if outcomes.len() == count => Ok(()),
        None => Err(LoadError::Protocol(format!("{method} of {count} requests has {} outcomes", outcomes.len()))),
    }
}

/// Requests in an update of `approvals` that wait for a vote.
fn pending(message: &[u8]) -> Vec<Value> {
    let frame: Value = serde_json::from_slice(message).unwrap_or_default();
    if frame["channel"] != "approvals" || frame["type"] != "update" {
        return Vec::new();
    }
    let items = frame["data"].as_array().into_iter().flatten();
    let waiting = items.filter(|item| item["state"] == "pending" && item["action"] == "withdraw");
    waiting.map(|item| json!({"request_id": item["request_id"], "digest": item["digest"]})).collect()
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::connection::Proof;
    use crate::endpoint::Endpoint;

    /// A socket to a server that reads and never sends anything.
    async fn silent() -> Connection {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::plain(listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
            while let Some(Ok(_)) = futures::StreamExt::next(&mut socket).await {}
        });
        Connection::open(&endpoint, Proof::Bare, 4_096).await.unwrap()
    }

    #[test]
    fn votes_count_as_accepted_only_if_each_has_an_outcome_that_says_so() {
        let accepted = json!({"success": true});
        let judged = |outcomes: Value| all_voted("reject", 2, &json!({"requests": outcomes}));
        assert!(judged(json!([accepted, accepted])).is_ok());
        assert!(matches!(
            judged(json!([accepted, {"success": false, "error": "no"}])),
            Err(LoadError::Refused { error, .. }) if error.contains("no")
        ));
        for missing in [json!([accepted]), json!([]), Value::Null] {
            assert!(matches!(judged(missing), Err(LoadError::Protocol(_))));
        }
    }

    #[tokio::test]
    async fn a_server_that_does_not_answer_is_not_waited_for_without_end() {
        let (bot, member) = (Caller::new(silent().await), Caller::new(silent().await));
        let approvals = Approvals { bot, member, withdrawal: Withdrawal::default(), pending: Vec::new() };
        let (symbol, quantity) = ("BTC/USD".into(), "1".into());
        let trades = Trades { connection: silent().await, symbol, quantity, orders: 0 };
        tokio::time::pause();
        for mut publisher in [Publisher::Approvals(Box::new(approvals)), Publisher::Trades(trades)] {
            let error = publisher.publish(1).await.unwrap_err();
            assert!(
                matches!(&error, LoadError::Io { source, .. } if source.kind() == std::io::ErrorKind::TimedOut),
                "{error:?}"
            );
        }
    }
}
