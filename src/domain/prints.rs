//! Public trades, and which of them are kept across a restart.

use super::candles::Candle;
use super::ids::MarketId;
use super::money::{Price, Quantity};
use super::orders::{OrderType, Side};
use super::time::Moment;

/// Trades in the snapshot of `trade`.
pub const PRINTS_KEPT: usize = 50;

/// A public trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Print {
    /// The trade's number in its book.
    pub trade_id: u64,
    /// The taker's side.
    pub side: Side,
    /// The taker's order type.
    pub order_type: OrderType,
    /// The price.
    pub price: Price,
    /// The quantity.
    pub qty: Quantity,
    /// When.
    pub at: Moment,
}

/// The trades before a restart, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MarketPast {
    /// The last candles of each market and interval, that in minutes.
    pub candles: Vec<(MarketId, u32, Candle)>,
    /// The last minutes with trades of each market, at least a day's worth.
    pub minutes: Vec<(MarketId, Candle)>,
    /// The last trades of each market.
    pub prints: Vec<(MarketId, Print)>,
}
