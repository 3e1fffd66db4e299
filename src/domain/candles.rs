//! Candles: the trades of a market over an interval, summed up.

use super::money::{Amount, Price, Quantity};
use super::time::Moment;

/// A minute, µs.
pub const MINUTE_US: u64 = 60_000_000;

/// The intervals of candles, in minutes (docs.kraken.com, `ohlc`).
pub const INTERVALS: [u32; 9] = [1, 5, 15, 30, 60, 240, 1_440, 10_080, 21_600];

/// Minutes that the figures of `ticker` cover.
pub const DAY_MINUTES: usize = 24 * 60;

/// Candles kept of each market and interval.
pub const CANDLES_MAX: usize = 720;

/// The trades of one interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candle {
    /// The start of the stretch; stretches are counted from 1970.
    pub begin: Moment,
    /// The first price.
    pub open: Price,
    /// The highest.
    pub high: Price,
    /// The lowest.
    pub low: Price,
    /// The last.
    pub close: Price,
    /// How many trades.
    pub trades: u64,
    /// Base traded.
    pub volume: Quantity,
    /// Quote paid for it.
    pub cost: Amount,
}

impl Candle {
    /// A candle of one trade.
    pub fn of(at: Moment, interval: u32, price: Price, qty: Quantity, cost: Amount) -> Candle {
        let stretch = u64::from(interval) * MINUTE_US;
        let begin = Moment(at.0 - at.0 % stretch);
        Candle { begin, open: price, high: price, low: price, close: price, trades: 1, volume: qty, cost }
    }

    /// Adds later trades of the same interval.
    pub fn add(&mut self, later: &Candle) {
        self.high = self.high.max(later.high);
        self.low = self.low.min(later.low);
        self.close = later.close;
        self.trades += later.trades;
        self.volume = Quantity(self.volume.0.saturating_add(later.volume.0));
        self.cost = self.cost.saturating_add(later.cost);
    }
}
