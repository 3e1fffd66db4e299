//! Many sockets that receive the same events: counting, timing and checking every delivery.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use memchr::memmem;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::checks::Check;
use crate::connection::{Connection, Received};
use crate::error::LoadError;
use crate::figures::{latency_histogram, nanoseconds};

/// Deliveries that take longer are missing.
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
pub struct Audience {
    count: u64,
    hall: Arc<Hall>,
    readers: JoinSet<Result<(), LoadError>>,
}

/// What all readers share.
#[derive(Debug)]
struct Hall {
    numbers: Numbers,
    delivered: AtomicU64,
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

/// How one batch of events came through.
#[derive(Debug, Clone, Copy)]
pub struct Delivery {
    /// From the publishing to the last delivery.
    pub total: Duration,
    /// From the first delivery to the last.
    pub burst: Duration,
}

impl Audience {
    /// Readers for connections that are subscribed already.
    pub fn new(connections: Vec<Connection>, numbers: Numbers) -> Self {
        let now = Instant::now();
        let batch = Batch { published: now, first: None, last: now, ages: latency_histogram() };
        let hall = Arc::new(Hall {
            numbers,
            delivered: AtomicU64::new(0),
            wanted: AtomicU64::new(u64::MAX),
            frames: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            complete: Notify::new(),
            batch: Mutex::new(batch),
            order: Mutex::new(Check::new("every reader: no event missing, doubled or out of order")),
        });
        let count = connections.len() as u64;
        let mut readers = JoinSet::new();
        for connection in connections {
            let hall = hall.clone();
            readers.spawn(async move { read(connection, &hall).await });
        }
        Self { count, hall, readers }
    }

    /// How many sockets read.
    pub fn readers(&self) -> u64 {
        self.count
    }

    /// Says that events are being published now.
    pub fn publish(&self) {
        self.hall.wanted.store(u64::MAX, Ordering::Relaxed);
        let mut batch = self.hall.batch.lock().unwrap_or_else(PoisonError::into_inner);
        (batch.published, batch.first) = (Instant::now(), None);
    }

    /// Waits until `deliveries` in all have been made since the start.
    ///
    /// # Errors
    /// They are not made in ten seconds, or a reader's socket ended.
    pub async fn wait_for(&mut self, deliveries: u64) -> Result<Delivery, LoadError> {
        self.hall.wanted.store(deliveries, Ordering::Relaxed);
        let hall = self.hall.clone();
        let complete = async {
            while hall.delivered.load(Ordering::Relaxed) < deliveries {
                hall.complete.notified().await;
            }
        };
        tokio::select! {
            reached = timeout(DELIVERY_WAIT, complete) => if reached.is_err() {
                let missing = deliveries - self.hall.delivered.load(Ordering::Relaxed);
                return Err(LoadError::Undelivered { missing });
            },
            Some(ended) = self.readers.join_next() => {
                return match ended {
                    Ok(Err(error)) => Err(error),
                    _ => Err(LoadError::Setup("a reader ended early".into())),
                };
            }
        }
        let batch = self.hall.batch.lock().unwrap_or_else(PoisonError::into_inner);
        let first = batch.first.unwrap_or(batch.published);
        Ok(Delivery { total: batch.last - batch.published, burst: batch.last - first })
    }

    /// Deliveries so far.
    pub fn delivered(&self) -> u64 {
        self.hall.delivered.load(Ordering::Relaxed)
    }

    /// Mean bytes of a frame, its header included as for frames of 126 bytes and more.
    pub fn frame_bytes(&self) -> usize {
        let (frames, bytes) = (self.hall.frames.load(Ordering::Relaxed), self.hall.bytes.load(Ordering::Relaxed));
        usize::try_from(bytes / frames.max(1)).unwrap_or(usize::MAX) + 4
    }

    /// Ages of frames since the last call: from the publishing to the read that brought them.
    pub fn take_ages(&self) -> Histogram<u32> {
        let mut batch = self.hall.batch.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut batch.ages, latency_histogram())
    }

    /// The check over all readers; the sockets are closed.
    pub fn finish(mut self) -> Check {
        self.readers.abort_all();
        let mut check = self.hall.order.lock().unwrap_or_else(PoisonError::into_inner).clone();
        check.looked_at = self.delivered();
        check
    }
}

async fn read(mut connection: Connection, hall: &Hall) -> Result<(), LoadError> {
    let key: &[u8] = match hall.numbers {
        Numbers::None => b"",
        Numbers::TradeIds => br#""trade_id":"#,
        Numbers::Offsets => br#""offset":"#,
    };
    let finder = memmem::Finder::new(key);
    let mut last = None;
    loop {
        let (mut events, mut frames, mut bytes) = (0, 0, 0);
        while let Received::Text(frame) = connection.next_message()? {
            let found = if key.is_empty() { 1 } else { count(frame, &finder, hall, &mut last) };
            if found > 0 {
                events += found;
                frames += 1;
                bytes += frame.len() as u64;
            }
        }
        if events > 0 {
            let now = Instant::now();
            let mut batch = hall.batch.lock().unwrap_or_else(PoisonError::into_inner);
            batch.first.get_or_insert(now);
            batch.last = now;
            let age = nanoseconds(now.saturating_duration_since(batch.published));
            batch.ages.saturating_record_n(age, u32::try_from(events).unwrap_or(u32::MAX));
            drop(batch);
            hall.frames.fetch_add(frames, Ordering::Relaxed);
            hall.bytes.fetch_add(bytes, Ordering::Relaxed);
            let delivered = hall.delivered.fetch_add(events, Ordering::Relaxed) + events;
            if delivered >= hall.wanted.load(Ordering::Relaxed) {
                hall.complete.notify_one();
            }
        }
        connection.flush().await?;
        connection.receive().await?;
    }
}

/// Counts the events of a frame and holds their numbers against the ones before.
fn count(frame: &[u8], finder: &memmem::Finder<'_>, hall: &Hall, last: &mut Option<u64>) -> u64 {
    let mut events = 0;
    for at in finder.find_iter(frame) {
        let digits = &frame[at + finder.needle().len()..];
        let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number = std::str::from_utf8(&digits[..length]).ok().and_then(|digits| digits.parse::<u64>().ok());
        let Some(number) = number else { continue };
        let follows = match (*last, hall.numbers) {
            (Some(last), Numbers::TradeIds) => number == last + 1,
            (Some(last), Numbers::Offsets) => number > last,
            (Some(_), Numbers::None) | (None, _) => true,
        };
        if !follows {
            let mut order = hall.order.lock().unwrap_or_else(PoisonError::into_inner);
            order.violated(format!("event {number} after {last:?}"));
        }
        *last = Some(number);
        events += 1;
    }
    events
}
