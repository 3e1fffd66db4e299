//! Public market data: a projection of released events with books, checksums, trades and tickers of its own
//! (rule 44). It runs on a task of its own; the release step only hands it batches and never waits.

mod book;
mod candles;
mod frames;
mod projection;
mod ticker;

pub use projection::{Snapshot, start};

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::domain::ids::{MarketId, Seq};
use crate::domain::markets::EventTrigger;
use crate::sequencer::Events;

/// Batches that may wait for the projection; it takes each in microseconds.
const BATCHES_MAX: usize = 65_536;
/// Requests that may wait; sessions wait for room.
const REQUESTS_MAX: usize = 4_096;

/// Depths of a book that may be subscribed to.
pub const DEPTHS: [u32; 5] = [10, 25, 100, 500, 1_000];

/// Depths of `level3` that may be subscribed to.
pub const ORDER_DEPTHS: [u32; 3] = [10, 100, 1_000];

/// Where the frames of a topic go.
pub trait Subscriber: Send + Sync + 'static {
    /// Whether nobody is there any more, or wants more. That is how a subscription ends.
    fn is_gone(&self) -> bool;
    /// Whether a frame would be taken now.
    fn has_room(&self) -> bool;
    /// Whether most of what waited for it has been written: it reads.
    fn is_reading(&self) -> bool;
    /// Hands a frame over, at once if it can be written; `false` when there is no room for it.
    fn send(&self, frame: &Bytes) -> bool;
    /// Reads ahead what `send` reads, so that with many subscribers the waits for their memory overlap.
    fn prefetch(&self) {}
    /// Queues a frame behind what the subscriber is about to receive.
    fn queue(&self, frame: &Bytes);
}

/// What is subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// `instrument`: all assets and markets.
    Instrument,
    /// A channel of one market.
    Market(MarketId, Channel),
}

impl Topic {
    /// Its channel, if it is of that market.
    pub fn channel_of(self, market: MarketId) -> Option<Channel> {
        match self {
            Topic::Market(of, channel) if of == market => Some(channel),
            _ => None,
        }
    }

    /// Whether it is of candles, of which nothing is sent until those of the past are there.
    fn is_ohlc(self) -> bool {
        matches!(self, Topic::Market(_, Channel::Ohlc { .. }))
    }
}

/// A channel that each market has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// `ticker`
    Ticker {
        /// What brings a frame.
        trigger: EventTrigger,
    },
    /// `book`
    Book {
        /// Levels on each side, one of [`DEPTHS`].
        depth: u32,
    },
    /// `level3`
    Level3 {
        /// Levels on each side, one of [`ORDER_DEPTHS`].
        depth: u32,
    },
    /// `trade`
    Trade,
    /// `ohlc`
    Ohlc {
        /// Minutes of a candle, one of [`INTERVALS`](crate::domain::candles::INTERVALS).
        interval: u32,
    },
}

struct Request {
    topic: Topic,
    subscriber: Arc<dyn Subscriber>,
    snapshot: bool,
}

/// The sessions' end.
#[derive(Clone)]
pub struct MarketData {
    requests: mpsc::Sender<Request>,
}

impl MarketData {
    /// Subscribes; the snapshot, if wanted, is the first frame. `false` when the projection has stopped.
    pub async fn subscribe(&self, topic: Topic, subscriber: Arc<dyn Subscriber>, snapshot: bool) -> bool {
        self.requests.send(Request { topic, subscriber, snapshot }).await.is_ok()
    }

    /// Whether subscribers still get updates: not once the projection has stopped, whatever the cause.
    pub fn is_running(&self) -> bool {
        !self.requests.is_closed()
    }
}

/// The projection's end of the feed.
pub struct Incoming {
    batches: mpsc::Receiver<Events>,
    announced: Arc<AtomicU64>,
}

/// A feed and its other end, so that the release step exists before the projection.
pub fn feed() -> (Feed, Incoming) {
    let (sender, batches) = mpsc::channel(BATCHES_MAX);
    let announced = Arc::new(AtomicU64::new(0));
    (Feed { batches: Some(sender), announced: Arc::clone(&announced) }, Incoming { batches, announced })
}

/// The release step's end.
pub struct Feed {
    batches: Option<mpsc::Sender<Events>>,
    announced: Arc<AtomicU64>,
}

impl Feed {
    /// Batches that wait for the projection.
    pub fn waiting(&self) -> usize {
        self.batches.as_ref().map_or(0, |batches| batches.max_capacity() - batches.capacity())
    }

    /// Says that a batch up to this event will be fed: whoever asks for market data from now on waits for it. So an answer
    /// can go out before its batch is fed, and who asks after that answer still finds what it reported.
    pub fn announce(&self, last: Seq) {
        self.announced.store(last.0, Ordering::Release);
    }

    /// Hands a batch over. A projection that falls 65,536 batches behind is stopped rather than wrong: its
    /// subscribers' sockets are closed, and whoever subscribes is refused from then on.
    pub fn feed(&mut self, batch: &Events) {
        let Some(batches) = &self.batches else { return };
        if batches.try_send(Arc::clone(batch)).is_err() {
            tracing::error!("market data fell too far behind and stops");
            self.batches = None;
        }
    }
}
