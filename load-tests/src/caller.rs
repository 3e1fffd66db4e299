//! Single requests and their replies on a connection: subscribing, queries, and whatever is not load.

use std::time::Duration;

use serde_json::{Value, json};

use crate::connection::{Connection, Received};
use crate::endpoint::{ANSWER_WAIT, bounded};
use crate::error::LoadError;
use crate::frames::text;

/// Far above the ids that a load's connections use, and exact in a double.
const FIRST_REQ_ID: u64 = 1 << 52;

/// A connection on which requests are made one at a time.
#[derive(Debug)]
pub struct Caller {
    /// The connection; channel frames that arrive between a request and its reply go to `call`'s callback.
    pub connection: Connection,
    /// Longest wait for a reply, whatever else arrives in the meantime.
    pub wait: Duration,
    req_id: u64,
}

impl Caller {
    /// Takes over a connection.
    pub fn new(connection: Connection) -> Self {
        Self { connection, wait: ANSWER_WAIT, req_id: FIRST_REQ_ID }
    }

    /// Sends a request and waits for the reply's `result`; other messages are dropped.
    ///
    /// # Errors
    /// `Refused` with the server's text, no reply in time, or the socket ended.
    pub async fn call(&mut self, method: &str, params: Value) -> Result<Value, LoadError> {
        self.call_between(method, params, |_| Ok(())).await
    }

    /// The same; channel frames that arrive in the meantime are passed to `between`.
    ///
    /// # Errors
    /// As for `call`, and what `between` finds wrong.
    pub async fn call_between(
        &mut self,
        method: &str,
        params: Value,
        mut between: impl FnMut(&[u8]) -> Result<(), LoadError>,
    ) -> Result<Value, LoadError> {
        let wanted = format!("\"req_id\":{}", self.ask(method, &params));
        let answered = async {
            loop {
                self.connection.flush().await?;
                while let Received::Text(message) = self.connection.next_message()? {
                    if memchr::memmem::find(message, wanted.as_bytes()).is_none() {
                        between(message)?;
                        continue;
                    }
                    return result(method, message);
                }
                self.connection.receive().await?;
            }
        };
        bounded(self.wait, &format!("wait for the reply to {method}"), answered).await
    }

    /// Appends a request to the output; returns its `req_id`.
    pub fn ask(&mut self, method: &str, params: &Value) -> u64 {
        self.req_id += 1;
        let request = json!({"method": method, "params": params, "req_id": self.req_id}).to_string();
        text(&mut self.connection.out, |out| out.extend_from_slice(request.as_bytes()));
        self.req_id
    }

    /// Checks that the server still answers on this socket, whatever else it sends before.
    ///
    /// # Errors
    /// No answer in time, or the socket ended.
    pub async fn ping(&mut self) -> Result<(), LoadError> {
        match self.call("ping", json!({})).await {
            // A pong has no `success`.
            Ok(_) | Err(LoadError::Refused { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Subscribes to a channel; frames before the acknowledgement are given to `between`.
    ///
    /// # Errors
    /// As for `call_between`.
    pub async fn subscribe(
        &mut self,
        params: Value,
        between: impl FnMut(&[u8]) -> Result<(), LoadError>,
    ) -> Result<(), LoadError> {
        self.call_between("subscribe", params, between).await.map(drop)
    }
}

fn result(method: &str, message: &[u8]) -> Result<Value, LoadError> {
    let mut reply: Value = serde_json::from_slice(message)
        .map_err(|error| LoadError::Protocol(format!("the reply to {method} is not JSON: {error}")))?;
    if reply["success"] == true {
        return Ok(reply["result"].take());
    }
    Err(LoadError::Refused { method: method.into(), error: reply["error"].as_str().unwrap_or_default().into() })
}

/// Subscribes one connection to a channel without history and waits for the acknowledgement.
///
/// # Errors
/// The server refuses, or closes the socket.
pub async fn subscribe(connection: Connection, channel: &str, symbol: &str) -> Result<Connection, LoadError> {
    let mut caller = Caller::new(connection);
    caller.subscribe(subscription(channel, symbol), |_| Ok(())).await?;
    Ok(caller.connection)
}

/// The parameters of a subscription without history, as far as the channel allows that.
pub fn subscription(channel: &str, symbol: &str) -> Value {
    match channel {
        "executions" => json!({"channel": channel, "snap_orders": false, "snap_trades": false}),
        "trade" => json!({"channel": channel, "symbol": [symbol], "snapshot": false}),
        "approvals" => json!({"channel": channel, "snapshot": false}),
        "book" | "ticker" => json!({"channel": channel, "symbol": [symbol]}),
        _ => json!({"channel": channel}),
    }
}
