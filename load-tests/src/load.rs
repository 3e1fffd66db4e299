//! The order load: N connections on the caller's thread, in a closed or an open loop.
//!
//! Each connection reads all that is there, settles it, and sends what is due in one write. The clock is read once per
//! drain: a latency is measured up to the read that brought the reply. Throughput counts replies within the window.
//! Latency counts, in a closed loop, all requests under way within the window, in an open loop all that were due in it;
//! both include those answered after its end, or a stall across the end would be lost.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::arrival::{Arrival, Arrivals, Pacer, Schedule};
use crate::connection::{Connection, Received};
use crate::error::LoadError;
use crate::frames::text;
use crate::in_flight::InFlight;
use crate::mix::{Mix, Request, RequestSource};
use crate::order_set::OrderSet;
use crate::replies::{Message, Replies, reason};
use crate::timeline::Timeline;

/// Requests that an open loop may have outstanding on one connection; further ones wait when due, and are late.
const OPEN_IN_FLIGHT: usize = 4_096;
/// An open loop's request that is sent later than this after it was due is reported as late.
const LATE: Duration = Duration::from_millis(2);

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

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Shape {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// How long to run.
#[derive(Debug, Clone, Copy)]
pub struct LoadTiming {
    /// Time before the window that is not measured.
    pub warm_up: Duration,
    /// The measured window.
    pub window: Duration,
    /// How long after the window the last replies may take before they count as missing. An open loop may also send its
    /// backlog for that long, whose replies may then take as long again.
    pub grace: Duration,
}

/// What to send and how.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Closed or open.
    pub arrival: Arrival,
    /// The requests.
    pub mix: Arc<Mix>,
    /// How long.
    pub timing: LoadTiming,
    /// Makes this run's `cl_ord_id`s unique.
    pub run: u64,
}

/// The result of a run.
#[derive(Debug)]
pub struct Outcome {
    /// Latencies of accepted requests: in a closed loop all that were under way in the window, in an open loop all that
    /// were due in it; those never sent count with their age.
    pub latencies: Histogram<u32>,
    /// The same over time.
    pub timeline: Timeline,
    /// What was counted.
    pub tally: Tally,
}

/// The counts of one connection, or of all together: replies inside the window, unless stated otherwise.
#[derive(Debug, Default)]
pub struct Tally {
    /// Accepted orders.
    pub orders: u64,
    /// Accepted cancels.
    pub cancels: u64,
    /// Accepted amends.
    pub amends: u64,
    /// Refusals by the server's error text, over the whole run.
    pub refusals: BTreeMap<String, u64>,
    /// Refusals in the window, by the same rule as the latencies of accepted requests.
    pub refused_in_window: u64,
    /// Refused cancels, over the whole run.
    pub cancels_refused: u64,
    /// Channel frames.
    pub stream_frames: u64,
    /// Requests sent over the whole run.
    pub sent: u64,
    /// Replies matched over the whole run; equal to `sent` in a sound run.
    pub answered: u64,
    /// Requests of an open loop that were sent more than 2 ms after they were due, over the whole run. Their latency
    /// counts from when they were due.
    pub late: u64,
    /// Requests of an open loop that were due and could not be sent, not even within the grace period after the window.
    pub unsent: u64,
    /// Orders accepted over the whole run.
    pub acknowledged: OrderSet,
}

impl Tally {
    /// Refused requests over the whole run.
    pub fn refused(&self) -> u64 {
        self.refusals.values().sum()
    }

    fn merge(&mut self, other: Self) {
        self.orders += other.orders;
        self.cancels += other.cancels;
        self.amends += other.amends;
        self.refused_in_window += other.refused_in_window;
        self.cancels_refused += other.cancels_refused;
        self.stream_frames += other.stream_frames;
        self.sent += other.sent;
        self.answered += other.answered;
        self.late += other.late;
        self.unsent += other.unsent;
        self.acknowledged.merge(other.acknowledged);
        for (error, count) in other.refusals {
            *self.refusals.entry(error).or_default() += count;
        }
    }
}

/// Runs the load on connections that are open already, and closes them.
///
/// # Errors
/// The first connection that fails, a reply too many (`Matching`) or too few (`Unanswered`). Refusals are no error
/// here; they are in the outcome.
pub async fn run(connections: Vec<Connection>, plan: &Plan) -> Result<Outcome, LoadError> {
    let start = Instant::now();
    let window_start = start + plan.timing.warm_up;
    let window_end = window_start + plan.timing.window;
    let timeline = Arc::new(Mutex::new(Timeline::new(window_start, plan.timing.window)));
    let count = u16::try_from(connections.len()).unwrap_or(u16::MAX);
    let pacer = match plan.arrival {
        Arrival::Closed { .. } => None,
        Arrival::Open { .. } => Some(Pacer::start(start)?),
    };
    let mut tasks = JoinSet::new();
    for (number, connection) in (0..).zip(connections) {
        let (plan, timeline) = (plan.clone(), timeline.clone());
        let marks = pacer.as_ref().map(Pacer::marks);
        tasks.spawn(async move {
            let depth = match plan.arrival {
                Arrival::Closed { in_flight } => usize::from(in_flight),
                Arrival::Open { .. } => OPEN_IN_FLIGHT,
            };
            let worker = Worker {
                connection,
                number,
                source: RequestSource::new(&plan.mix, plan.run, number),
                in_flight: InFlight::new(depth),
                replies: Replies::default(),
                timeline: &timeline,
                window: window_start..window_end,
                by_due: marks.is_some(),
                tally: Tally::default(),
            };
            match (plan.arrival, marks) {
                (Arrival::Open { per_second }, Some(marks)) => {
                    let schedule = Schedule::new(per_second, number, count);
                    worker.open(Arrivals::new(schedule, start, window_end), marks, plan.timing.grace).await
                }
                _ => worker.closed(window_end + plan.timing.grace).await,
            }
        });
    }
    let mut tally = Tally::default();
    while let Some(joined) = tasks.join_next().await {
        tally.merge(joined.expect("a worker neither panics nor is cancelled")?);
    }
    let timeline = Arc::into_inner(timeline).expect("all workers have ended");
    let timeline = timeline.into_inner();
    if tally.sent > tally.answered {
        return Err(LoadError::Unanswered { missing: tally.sent - tally.answered });
    }
    Ok(Outcome { latencies: timeline.latencies(), timeline, tally })
}

struct Worker<'a> {
    connection: Connection,
    number: u16,
    source: RequestSource<'a>,
    in_flight: InFlight<Request>,
    replies: Replies,
    timeline: &'a Mutex<Timeline>,
    window: std::ops::Range<Instant>,
    /// A latency counts in the window in which its request was due; in a closed loop, was under way.
    by_due: bool,
    tally: Tally,
}

impl Worker<'_> {
    /// Sends whenever there is room until the window is over and nothing is outstanding.
    async fn closed(mut self, give_up: Instant) -> Result<Tally, LoadError> {
        let drive = async {
            self.fill(Instant::now());
            while self.in_flight.outstanding() > 0 {
                self.connection.flush().await?;
                self.connection.receive().await?;
                let now = Instant::now();
                self.settle_replies(now)?;
                if now < self.window.end {
                    self.fill(now);
                }
            }
            Ok::<_, LoadError>(())
        };
        tokio::select! {
            biased;
            result = drive => result?,
            () = sleep_until(give_up) => {}
        }
        Ok(self.tally)
    }

    /// Sends what is due at each tick, whatever is outstanding.
    async fn open(
        mut self,
        mut arrivals: Arrivals,
        mut marks: tokio::sync::watch::Receiver<u64>,
        grace: Duration,
    ) -> Result<Tally, LoadError> {
        let mut sends = true;
        let give_up = sleep_until(self.window.end + grace);
        tokio::pin!(give_up);
        loop {
            let ended = Instant::now() >= self.window.end;
            let waiting = sends && !arrivals.is_over();
            if ended && !waiting && self.in_flight.outstanding() == 0 {
                break;
            }
            tokio::select! {
                biased;
                result = self.connection.advance() => {
                    result?;
                    self.settle_replies(Instant::now())?;
                }
                changed = marks.changed(), if !ended || waiting => {
                    if changed.is_err() {
                        break;
                    }
                    let passed = *marks.borrow_and_update();
                    while self.in_flight.has_room() && let Some(due) = arrivals.take(passed) {
                        self.send(due);
                        self.tally.late += u64::from(due.elapsed() > LATE);
                    }
                }
                () = &mut give_up => {
                    if !waiting {
                        break;
                    }
                    // The last requests have only just been sent.
                    sends = false;
                    give_up.as_mut().reset(Instant::now() + grace);
                }
            }
        }
        self.count_unsent(arrivals);
        Ok(self.tally)
    }

    /// Requests that were due and never sent count with their age, the least that they can have taken.
    fn count_unsent(&mut self, mut arrivals: Arrivals) {
        let mut timeline = self.timeline.lock();
        while let Some(due) = arrivals.take(u64::MAX) {
            timeline.latency(due, due.elapsed());
            self.tally.unsent += 1;
        }
    }

    fn fill(&mut self, now: Instant) {
        while self.in_flight.has_room() {
            self.send(now);
        }
    }

    fn send(&mut self, at: Instant) {
        let request = self.source.next_request();
        let req_id = self.in_flight.send(at, request).expect("there is room");
        text(&mut self.connection.out, |out| self.source.render(request, req_id, out));
        self.tally.sent += 1;
    }

    /// The moment that counts for a request sent, or due, at `at` and answered at `now`. A closed loop sends nothing
    /// after the window, so what is answered after its start was under way in it.
    fn counts_at(&self, at: Instant, now: Instant) -> Instant {
        match self.by_due {
            true => at,
            false if now < self.window.start => now,
            false => at.max(self.window.start),
        }
    }

    fn settle_replies(&mut self, now: Instant) -> Result<(), LoadError> {
        let mut timeline = self.timeline.lock();
        let counted = self.window.contains(&now);
        while let Received::Text(message) = self.connection.next_message()? {
            match self.replies.read(message)? {
                Message::Accepted { req_id } => {
                    let (at, request) = self.in_flight.settle(req_id)?;
                    self.tally.answered += 1;
                    self.source.accepted(request);
                    if let Request::Limit(order) | Request::Market(order) = request {
                        self.tally.acknowledged.insert(self.number, order_number(order));
                    }
                    timeline.latency(self.counts_at(at, now), now.saturating_duration_since(at));
                    if timeline.reply(now) {
                        match request {
                            Request::Limit(_) | Request::Market(_) => self.tally.orders += 1,
                            Request::Cancel(_) => self.tally.cancels += 1,
                            Request::Amend(..) => self.tally.amends += 1,
                        }
                    }
                }
                Message::Refused { req_id, error } => {
                    let (at, request) = self.in_flight.settle(req_id)?;
                    self.tally.answered += 1;
                    self.tally.refused_in_window += u64::from(self.window.contains(&self.counts_at(at, now)));
                    self.tally.cancels_refused += u64::from(matches!(request, Request::Cancel(_)));
                    *self.tally.refusals.entry(reason(&error)).or_default() += 1;
                }
                Message::Stream => self.tally.stream_frames += u64::from(counted),
            }
        }
        Ok(())
    }
}

/// As many of its bits as fit into a `cl_ord_id`.
fn order_number(order: u64) -> u32 {
    u32::try_from(order & u64::from(u32::MAX)).expect("masked")
}
