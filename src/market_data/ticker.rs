//! The last 24 hours of one market, in minutes, and the last trades.

use std::collections::VecDeque;

use crate::domain::money::{Amount, Price, Quantity};
use crate::domain::orders::{OrderType, Side};
use crate::domain::time::Moment;
use crate::engine::event::Trade;

/// Trades in the snapshot of `trade`.
pub const TRADES_MAX: usize = 50;
const MINUTE_US: u64 = 60_000_000;
const MINUTES: u64 = 24 * 60;

/// A public trade.
#[derive(Clone, Copy, Debug)]
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

#[derive(Clone, Copy, Debug)]
struct Minute {
    number: u64,
    open: Price,
    high: Price,
    low: Price,
    volume: i128,
    cost: i128,
}

/// What the window comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// The last price.
    pub last: Price,
    /// The price before the window's first trade changed it.
    pub open: Price,
    /// The highest.
    pub high: Price,
    /// The lowest.
    pub low: Price,
    /// Base traded.
    pub volume: Quantity,
    /// Quote paid ÷ base traded, in the market's quote and quantity units.
    pub cost: Amount,
}

/// Trades of a market.
#[derive(Debug, Default)]
pub struct Tape {
    last: Price,
    minutes: VecDeque<Minute>,
    prints: VecDeque<Print>,
}

impl Tape {
    /// Adds a trade. Returns it as it is told.
    pub fn traded(&mut self, trade: &Trade, at: Moment) -> Print {
        let (price, qty) = (trade.price, trade.qty);
        if self.prints.len() == TRADES_MAX {
            self.prints.pop_front();
        }
        let order_type = trade.taker.order.order_type;
        let (trade_id, side) = (trade.trade_id, trade.taker_side);
        let print = Print { trade_id, side, order_type, price, qty, at };
        self.prints.push_back(print);
        let number = at.0 / MINUTE_US;
        if self.minutes.back().is_none_or(|minute| minute.number != number) {
            self.minutes.push_back(Minute { number, open: price, high: price, low: price, volume: 0, cost: 0 });
        }
        if let Some(minute) = self.minutes.back_mut() {
            minute.high = minute.high.max(price);
            minute.low = minute.low.min(price);
            minute.volume += i128::from(qty.0);
            minute.cost += i128::from(trade.cost.0);
        }
        self.last = price;
        self.forget(at);
        print
    }

    fn forget(&mut self, now: Moment) {
        let first = (now.0 / MINUTE_US).saturating_sub(MINUTES);
        while self.minutes.front().is_some_and(|minute| minute.number <= first) {
            self.minutes.pop_front();
        }
    }

    /// The window's figures as of `now`.
    pub fn figures(&mut self, now: Moment) -> Figures {
        self.forget(now);
        let fit = |sum: i128| i64::try_from(sum).unwrap_or(i64::MAX);
        Figures {
            last: self.last,
            open: self.minutes.front().map_or(self.last, |minute| minute.open),
            high: self.minutes.iter().map(|minute| minute.high).max().unwrap_or(self.last),
            low: self.minutes.iter().map(|minute| minute.low).min().unwrap_or(self.last),
            volume: Quantity(fit(self.minutes.iter().map(|minute| minute.volume).sum())),
            cost: Amount(fit(self.minutes.iter().map(|minute| minute.cost).sum())),
        }
    }

    /// The last trades, oldest first.
    pub fn prints(&self) -> impl Iterator<Item = &Print> {
        self.prints.iter()
    }
}
