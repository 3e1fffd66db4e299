//! The closed loop: N connections, each with at most W requests in flight, on the caller's thread.
//!
//! Each connection reads all that is there, settles it, and sends as many new requests in one write. There is one clock
//! read per drain, so that a latency is measured from the write of its batch to the read that brought the reply.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::connection::{Connection, Received};
use crate::error::LoadError;
use crate::figures::{latency_histogram, nanoseconds};
use crate::frames::text;
use crate::in_flight::InFlight;
use crate::mix::{Mix, Request, RequestSource};
use crate::replies::{Message, Replies};

/// Connections × requests in flight on each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shape {
    /// How many sockets.
    pub connections: u16,
    /// Requests outstanding on each.
    pub in_flight: u16,
}

impl FromStr for Shape {
    type Err = LoadError;

    fn from_str(text: &str) -> Result<Self, LoadError> {
        let parts = text.split_once('x').and_then(|(left, right)| Some((left.parse().ok()?, right.parse().ok()?)));
        match parts {
            Some((connections @ 1.., in_flight @ 1..)) => Ok(Self { connections, in_flight }),
            Some(_) | None => Err(LoadError::Setup(format!("{text:?} is not CONNECTIONSxIN_FLIGHT, as in 64x16"))),
        }
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}x{}", self.connections, self.in_flight)
    }
}

impl Serialize for Shape {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// How long to run.
#[derive(Debug, Clone, Copy)]
pub struct Duty {
    /// Not measured, before the window.
    pub warm_up: Duration,
    /// The measured window.
    pub window: Duration,
    /// How long after the window the last replies may take before they count as missing.
    pub grace: Duration,
}

/// What a run gave. Everything but `sent` and `answered` counts replies inside the window only.
#[derive(Debug)]
pub struct Outcome {
    /// Latencies of accepted requests.
    pub latencies: Histogram<u32>,
    /// Accepted orders.
    pub orders: u64,
    /// Accepted cancels.
    pub cancels: u64,
    /// Refusals by the server's error text, over the whole run.
    pub refusals: BTreeMap<String, u64>,
    /// Channel frames.
    pub stream_frames: u64,
    /// Requests sent over the whole run.
    pub sent: u64,
    /// Replies matched over the whole run; equal to `sent` in a sound run.
    pub answered: u64,
}

impl Outcome {
    fn new() -> Self {
        Self {
            latencies: latency_histogram(),
            orders: 0,
            cancels: 0,
            refusals: BTreeMap::new(),
            stream_frames: 0,
            sent: 0,
            answered: 0,
        }
    }

    fn merge(&mut self, other: Self) {
        self.latencies.add(&other.latencies).expect("all latency histograms have the same bounds");
        self.orders += other.orders;
        self.cancels += other.cancels;
        self.stream_frames += other.stream_frames;
        self.sent += other.sent;
        self.answered += other.answered;
        for (error, count) in other.refusals {
            *self.refusals.entry(error).or_default() += count;
        }
    }

    /// Refused requests over the whole run.
    pub fn refused(&self) -> u64 {
        self.refusals.values().sum()
    }
}

/// Runs the load on connections that are open already, and closes them. `run` makes this run's `cl_ord_id`s unique.
///
/// # Errors
/// The first connection that fails, a reply too many (`Matching`) or too few (`Unanswered`). Refusals are no error
/// here; they are in the outcome.
pub async fn run(
    connections: Vec<Connection>,
    in_flight: u16,
    mix: std::sync::Arc<Mix>,
    duty: Duty,
    run: u64,
) -> Result<Outcome, LoadError> {
    let window_start = Instant::now() + duty.warm_up;
    let window_end = window_start + duty.window;
    let mut tasks = JoinSet::new();
    for (number, connection) in (0..).zip(connections) {
        let mix = mix.clone();
        tasks.spawn(async move {
            Worker {
                connection,
                source: RequestSource::new(&mix, run, number),
                in_flight: InFlight::new(usize::from(in_flight)),
                replies: Replies::default(),
                window_start,
                window_end,
                grace: duty.grace,
                outcome: Outcome::new(),
            }
            .work()
            .await
        });
    }
    let mut total = Outcome::new();
    while let Some(joined) = tasks.join_next().await {
        total.merge(joined.expect("a worker neither panics nor is cancelled")?);
    }
    match total.sent - total.answered {
        0 => Ok(total),
        missing => Err(LoadError::Unanswered { missing }),
    }
}

struct Worker<'a> {
    connection: Connection,
    source: RequestSource<'a>,
    in_flight: InFlight<Request>,
    replies: Replies,
    window_start: Instant,
    window_end: Instant,
    grace: Duration,
    outcome: Outcome,
}

impl Worker<'_> {
    async fn work(mut self) -> Result<Outcome, LoadError> {
        let give_up = sleep_until(self.window_end + self.grace);
        tokio::select! {
            biased;
            result = self.drive() => result?,
            () = give_up => {}
        }
        Ok(self.outcome)
    }

    /// Sends and settles until the window is over and nothing is outstanding.
    async fn drive(&mut self) -> Result<(), LoadError> {
        self.send_requests(Instant::now());
        while self.in_flight.outstanding() > 0 {
            self.connection.flush().await?;
            self.connection.receive().await?;
            let now = Instant::now();
            self.settle_replies(now)?;
            if now < self.window_end {
                self.send_requests(now);
            }
        }
        Ok(())
    }

    fn send_requests(&mut self, now: Instant) {
        while self.in_flight.has_room() {
            let request = self.source.next_request();
            let req_id = self.in_flight.send(now.into_std(), request).expect("there is room");
            text(&mut self.connection.out, |out| self.source.render(request, req_id, out));
            self.outcome.sent += 1;
        }
    }

    fn settle_replies(&mut self, now: Instant) -> Result<(), LoadError> {
        let counted = self.window_start <= now && now < self.window_end;
        let now = now.into_std();
        while let Received::Text(message) = self.connection.next_message()? {
            match self.replies.read(message)? {
                Message::Accepted { req_id } => {
                    let (at, request) = self.in_flight.settle(req_id)?;
                    self.outcome.answered += 1;
                    self.source.accepted(request);
                    if counted {
                        self.outcome.latencies.saturating_record(nanoseconds(now - at));
                        match request {
                            Request::Limit(_) | Request::Market(_) => self.outcome.orders += 1,
                            Request::Cancel(_) => self.outcome.cancels += 1,
                        }
                    }
                }
                Message::Refused { req_id, error } => {
                    self.in_flight.settle(req_id)?;
                    self.outcome.answered += 1;
                    *self.outcome.refusals.entry(error).or_default() += 1;
                }
                Message::Stream => self.outcome.stream_frames += u64::from(counted),
            }
        }
        Ok(())
    }
}

/// Subscribes one connection to a private channel without its snapshot and waits for the acknowledgement.
///
/// # Errors
/// The server refuses, or closes the socket.
pub async fn subscribe(connection: &mut Connection, channel: &str) -> Result<(), LoadError> {
    let request = serde_json::json!({
        "method": "subscribe",
        "params": match channel {
            "executions" => serde_json::json!({"channel": channel, "snap_orders": false, "snap_trades": false}),
            _ => serde_json::json!({"channel": channel}),
        },
        "req_id": 1,
    });
    text(&mut connection.out, |out| out.extend_from_slice(request.to_string().as_bytes()));
    connection.flush().await?;
    let replies = Replies::default();
    loop {
        while let Received::Text(message) = connection.next_message()? {
            match replies.read(message)? {
                Message::Accepted { .. } => return Ok(()),
                Message::Refused { error, .. } => {
                    return Err(LoadError::Setup(format!("subscribing to {channel} was refused: {error}")));
                }
                Message::Stream => {}
            }
        }
        crate::endpoint::within("wait for a subscription", async {
            connection.receive().await.map_err(std::io::Error::other)
        })
        .await?;
    }
}
