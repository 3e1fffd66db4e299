//! Many sockets that receive the same events: counting, timing and checking every delivery.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use memchr::memmem;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::checks::Check;
use crate::connection::{Connection, Received};
use crate::error::LoadError;
use crate::figures::{latency_histogram, nanoseconds};

/// Deliveries that take longer than this count as missing.
const DELIVERY_WAIT: Duration = Duration::from_secs(10);

/// How an event's number is found in a frame, and how numbers follow one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbers {
    /// Every frame is one event without a number.
    None,
    /// `"trade_id"` counts up by one.
    TradeIds,
    /// `"offset"` rises.
    Offsets,
}

/// Sockets that read, each in a task of its own.
#[derive(Debug)]
pub struct Readers {
    /// Events that each of them should have received so far.
    wanted: u64,
    state: Arc<ReadersState>,
    readers: JoinSet<Result<(), LoadError>>,
}

/// What all readers share.
#[derive(Debug)]
struct ReadersState {
    numbers: Numbers,
    /// Events that each reader has received.
    had: Vec<AtomicU64>,
    /// Their sum.
    delivered: AtomicU64,
    /// The sum from which on each reader must be checked.
    wanted: AtomicU64,
    frames: AtomicU64,
    bytes: AtomicU64,
    complete: Notify,
    batch: Mutex<Batch>,
    order: Mutex<Check>,
}

#[derive(Debug)]
struct Batch {
    published: Instant,
    first: Option<Instant>,
    last: Instant,
    ages: Histogram<u32>,
}

impl ReadersState {
    /// Deliveries that are missing if each reader should have received `each` events.
    fn missing(&self, each: u64) -> u64 {
        self.had.iter().map(|had| each.saturating_sub(had.load(Ordering::Relaxed))).sum()
    }
}

impl Readers {
    /// Readers for connections that are subscribed already.
    pub fn new(connections: Vec<Connection>, numbers: Numbers) -> Self {
        let now = Instant::now();
        let batch = Batch { published: now, first: None, last: now, ages: latency_histogram() };
        let state = Arc::new(ReadersState {
            numbers,
            had: connections.iter().map(|_| AtomicU64::new(0)).collect(),
            delivered: AtomicU64::new(0),
            wanted: AtomicU64::new(u64::MAX),
            frames: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            complete: Notify::new(),
            batch: Mutex::new(batch),
            order: Mutex::new(Check::new("every reader: no event missing, doubled or out of order")),
        });
        let mut readers = JoinSet::new();
        for (number, connection) in connections.into_iter().enumerate() {
            let state = state.clone();
            readers.spawn(async move { read(connection, &state, &state.had[number]).await });
        }
        Self { wanted: 0, state, readers }
    }

    /// Marks that events are being published now.
    pub fn publish(&self) {
        self.state.wanted.store(u64::MAX, Ordering::Relaxed);
        let mut batch = self.state.batch.lock();
        (batch.published, batch.first) = (Instant::now(), None);
    }

    /// Waits until every reader has received `events` more than before, and returns the time from the first delivery to
    /// the last.
    ///
    /// # Errors
    /// They do not arrive in ten seconds, there were more than that, or a reader's socket ended.
    pub async fn wait_for(&mut self, events: u64) -> Result<Duration, LoadError> {
        self.wanted += events;
        let (each, state) = (self.wanted, self.state.clone());
        let in_all = each * state.had.len() as u64;
        state.wanted.store(in_all, Ordering::Relaxed);
        let complete = async {
            // A reader that received too many does not make up for one that received too few.
            while state.missing(each) > 0 {
                state.complete.notified().await;
            }
        };
        tokio::select! {
            waited = timeout(DELIVERY_WAIT, complete) => {
                if waited.is_err() {
                    return Err(LoadError::Undelivered { missing: state.missing(each) });
                }
            }
            Some(ended) = self.readers.join_next() => {
                return match ended {
                    Ok(Err(error)) => Err(error),
                    _ => Err(LoadError::Setup("a reader ended early".into())),
                };
            }
        }
        let surplus = self.delivered() - in_all;
        if surplus > 0 {
            return Err(LoadError::Surplus { surplus });
        }
        let batch = state.batch.lock();
        Ok(batch.last - batch.first.unwrap_or(batch.last))
    }

    /// Deliveries so far.
    pub fn delivered(&self) -> u64 {
        self.state.delivered.load(Ordering::Acquire)
    }

    /// Mean bytes of a frame since the last call, its header included as for frames of 126 bytes and more.
    pub fn take_frame_bytes(&self) -> usize {
        let (frames, bytes) =
            (self.state.frames.swap(0, Ordering::Relaxed), self.state.bytes.swap(0, Ordering::Relaxed));
        usize::try_from(bytes / frames.max(1)).unwrap_or(usize::MAX) + 4
    }

    /// Ages of frames since the last call: from publishing to the read that returned them.
    pub fn take_ages(&self) -> Histogram<u32> {
        let mut batch = self.state.batch.lock();
        std::mem::replace(&mut batch.ages, latency_histogram())
    }

    /// The check over all readers; the sockets are closed.
    pub fn finish(mut self) -> Check {
        self.readers.abort_all();
        let mut check = self.state.order.lock().clone();
        check.looked_at = self.delivered();
        let surplus = check.looked_at.saturating_sub(self.wanted * self.state.had.len() as u64);
        if surplus > 0 {
            check.violated(LoadError::Surplus { surplus }.to_string());
        }
        check
    }
}

async fn read(mut connection: Connection, state: &ReadersState, had: &AtomicU64) -> Result<(), LoadError> {
    let key: &[u8] = match state.numbers {
        Numbers::None => b"",
        Numbers::TradeIds => br#""trade_id":"#,
        Numbers::Offsets => br#""offset":"#,
    };
    let finder = memmem::Finder::new(key);
    let mut last = None;
    loop {
        let (mut events, mut frames, mut bytes) = (0, 0, 0);
        while let Received::Text(frame) = connection.next_message()? {
            let found = if key.is_empty() { 1 } else { count(frame, &finder, state, &mut last) };
            if found > 0 {
                events += found;
                frames += 1;
                bytes += frame.len() as u64;
            }
        }
        if events > 0 {
            let now = Instant::now();
            let mut batch = state.batch.lock();
            batch.first.get_or_insert(now);
            batch.last = now;
            let age = nanoseconds(now.saturating_duration_since(batch.published));
            batch.ages.saturating_record_n(age, u32::try_from(events).unwrap_or(u32::MAX));
            drop(batch);
            state.frames.fetch_add(frames, Ordering::Relaxed);
            state.bytes.fetch_add(bytes, Ordering::Relaxed);
            had.fetch_add(events, Ordering::Relaxed);
            // Acquire and release: whoever sees this sum also sees each reader's count.
            let delivered = state.delivered.fetch_add(events, Ordering::AcqRel) + events;
            if delivered >= state.wanted.load(Ordering::Relaxed) {
                state.complete.notify_one();
            }
        }
        connection.flush().await?;
        connection.receive().await?;
    }
}

/// Counts the events of a frame and compares their numbers with the ones before.
fn count(frame: &[u8], finder: &memmem::Finder<'_>, state: &ReadersState, last: &mut Option<u64>) -> u64 {
    let mut events = 0;
    for at in finder.find_iter(frame) {
        let digits = &frame[at + finder.needle().len()..];
        let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number = std::str::from_utf8(&digits[..length]).ok().and_then(|digits| digits.parse::<u64>().ok());
        let Some(number) = number else { continue };
        let follows = match (*last, state.numbers) {
            (Some(last), Numbers::TradeIds) => number == last + 1,
            (Some(last), Numbers::Offsets) => number > last,
            (Some(_), Numbers::None) | (None, _) => true,
        };
        if !follows {
            let mut order = state.order.lock();
            order.violated(format!("event {number} after {last:?}"));
        }
        *last = Some(number);
        events += 1;
    }
    events
}
