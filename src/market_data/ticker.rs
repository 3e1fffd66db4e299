//! The last 24 hours of one market, in minutes, and the last trades.

use std::collections::VecDeque;

use crate::domain::candles::{Candle, DAY_MINUTES, MINUTE_US};
use crate::domain::money::{Amount, Price, Quantity};
use crate::domain::prints::{PRINTS_KEPT, Print};
use crate::domain::time::Moment;
use crate::engine::event::Trade;

/// What the window comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// The last price.
    pub last: Price,
    /// The price of the window's first trade; the last price where it has none, as for the next two.
    pub open: Price,
    /// The highest.
    pub high: Price,
    /// The lowest.
    pub low: Price,
    /// Base traded, in quantity units.
    pub volume: Quantity,
    /// Quote paid for it, in the quote asset's units.
    pub cost: Amount,
}

/// Trades of a market.
#[derive(Debug, Default)]
pub struct Tape {
    last: Price,
    minutes: VecDeque<Candle>,
    prints: VecDeque<Print>,
}

impl Tape {
    /// Of a market whose last trade was at this price.
    pub fn of(last: Price) -> Tape {
        Tape { last, ..Tape::default() }
    }

    /// Adds a trade. Returns it as subscribers get it.
    pub fn traded(&mut self, trade: &Trade, at: Moment) -> Print {
        let (price, qty) = (trade.price, trade.qty);
        let order_type = trade.taker.order.order_type;
        let (trade_id, side) = (trade.trade_id, trade.taker_side);
        let print = Print { trade_id, side, order_type, price, qty, at };
        self.print(print);
        self.minute(Candle::of(at, 1, price, qty, trade.cost));
        self.last = price;
        self.forget(at);
        print
    }

    /// Adds what a minute came to, or a part of it.
    pub fn minute(&mut self, candle: Candle) {
        match self.minutes.back_mut() {
            Some(minute) if minute.begin == candle.begin => minute.add(&candle),
            _ => self.minutes.push_back(candle),
        }
    }

    /// Adds a trade to those that are sent one by one.
    pub fn print(&mut self, print: Print) {
        if self.prints.len() == PRINTS_KEPT {
            self.prints.pop_front();
        }
        self.prints.push_back(print);
    }

    /// Puts what was before these in front of them, in a market whose last trade was at this price.
    pub fn follow(&mut self, before: Tape, last: Price) {
        let later = std::mem::replace(self, Tape { last, ..before });
        later.minutes.into_iter().for_each(|candle| self.minute(candle));
        later.prints.into_iter().for_each(|print| self.print(print));
    }

    /// The last price.
    pub fn last(&self) -> Price {
        self.last
    }

    fn forget(&mut self, now: Moment) {
        self.minutes.drain(..self.before_day(now));
    }

    /// How many minutes are before the day that ends with `now`.
    fn before_day(&self, now: Moment) -> usize {
        let last = (now.0 / MINUTE_US).saturating_sub(DAY_MINUTES as u64);
        self.minutes.partition_point(|minute| minute.begin.0 / MINUTE_US <= last)
    }

    /// The window's figures as of `now`. It forgets nothing: a clock may be set back.
    pub fn figures(&self, now: Moment) -> Figures {
        let first = self.before_day(now);
        let minutes = || self.minutes.range(first..);
        let fit = |sum: i128| i64::try_from(sum).unwrap_or(i64::MAX);
        Figures {
            last: self.last,
            open: minutes().next().map_or(self.last, |minute| minute.open),
            high: minutes().map(|minute| minute.high).max().unwrap_or(self.last),
            low: minutes().map(|minute| minute.low).min().unwrap_or(self.last),
            volume: Quantity(fit(minutes().map(|minute| i128::from(minute.volume.0)).sum())),
            cost: Amount(fit(minutes().map(|minute| i128::from(minute.cost.0)).sum())),
        }
    }

    /// The last trades, oldest first.
    pub fn prints(&self) -> impl Iterator<Item = &Print> {
        self.prints.iter()
    }
}
