//! The candles of one market, by interval.

use std::collections::{BTreeMap, VecDeque};

use crate::domain::candles::{CANDLES_MAX, Candle, INTERVALS};
use crate::domain::time::Moment;
use crate::engine::event::Trade;

/// The last candles of each interval, oldest first.
#[derive(Debug, Default)]
pub struct Candles {
    series: BTreeMap<u32, VecDeque<Candle>>,
}

impl Candles {
    /// Takes in a candle that was kept, or what one trade comes to: added to the last one of the same stretch.
    pub fn add(&mut self, interval: u32, candle: Candle) {
        let series = self.series.entry(interval).or_default();
        match series.back_mut() {
            Some(last) if last.begin == candle.begin => last.add(&candle),
            _ => {
                if series.len() == CANDLES_MAX {
                    series.pop_front();
                }
                series.push_back(candle);
            }
        }
    }

    /// Puts what was before these in front of them.
    pub fn follow(&mut self, before: Candles) {
        let later = std::mem::replace(self, before);
        for (interval, series) in later.series {
            series.into_iter().for_each(|candle| self.add(interval, candle));
        }
    }

    /// Adds a trade to every interval.
    pub fn traded(&mut self, trade: &Trade, at: Moment) {
        for interval in INTERVALS {
            self.add(interval, Candle::of(at, interval, trade.price, trade.qty, trade.cost));
        }
    }

    /// The candles of an interval, oldest first.
    pub fn of(&self, interval: u32) -> impl Iterator<Item = &Candle> {
        self.series.get(&interval).into_iter().flatten()
    }
}
