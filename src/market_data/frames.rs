//! Frames of the public channels.

use serde::Serialize;

use super::book::{Change, Ladder, Queued};
use super::ticker::Figures;
use crate::domain::assets::Asset;
use crate::domain::candles::{Candle, MINUTE_US};
use crate::domain::markets::Market;
use crate::domain::money::{Amount, Price, Quantity};
use crate::domain::prints::Print;
use crate::domain::time::Moment;
use crate::engine::reference::Reference;
use crate::wire::leaf::Exact;
use crate::wire::market_data as w;

#[derive(Serialize)]
struct Frame<T> {
    channel: &'static str,
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<String>,
    data: T,
}

fn frame(channel: &'static str, snapshot: bool, data: impl Serialize) -> String {
    timed(channel, snapshot, None, data)
}

fn timed(channel: &'static str, snapshot: bool, timestamp: Option<String>, data: impl Serialize) -> String {
    let r#type = if snapshot { "snapshot" } else { "update" };
    serde_json::to_string(&Frame { channel, r#type, timestamp, data }).expect("wire types are JSON")
}

/// A `book` frame; the checksum is of the book after it.
pub fn book(market: &Market, snapshot: bool, sides: (&Ladder, &Ladder), checksum: u32, at: Moment) -> String {
    let levels = |ladder: &Ladder| ladder.iter().map(|(price, qty)| level(market, *price, *qty)).collect();
    let (bids, asks) = (levels(sides.0), levels(sides.1));
    let symbol = market.symbol.to_string();
    frame("book", snapshot, [w::Book { symbol, bids, asks, checksum, timestamp: at.to_string() }])
}

fn level(market: &Market, price: Price, qty: Quantity) -> w::Level {
    w::Level { price: Exact::new(price.0, market.price_decimals), qty: Exact::new(qty.0, market.qty_decimals) }
}

/// An order of `level3`; what happened to it, in an update.
pub fn queued(market: &Market, of: &Queued, event: Option<Change>) -> w::Level3Order {
    w::Level3Order {
        event: event.map(|change| match change {
            Change::Add => "add",
            Change::Modify => "modify",
            Change::Delete => "delete",
        }),
        order_id: of.id.to_string(),
        limit_price: Exact::new(of.price.0, market.price_decimals),
        order_qty: Exact::new(of.qty.0, market.qty_decimals),
        timestamp: of.at.to_string(),
    }
}

/// A `level3` frame; the checksum is of the book after it.
pub fn level3(
    market: &Market,
    snapshot: bool,
    (bids, asks): (Vec<w::Level3Order>, Vec<w::Level3Order>),
    checksum: u32,
    at: Moment,
) -> String {
    let symbol = market.symbol.to_string();
    frame("level3", snapshot, [w::Level3 { symbol, bids, asks, checksum, timestamp: at.to_string() }])
}

/// An `ohlc` frame, which has a time at top level as well.
pub fn ohlc<'a>(
    market: &Market,
    snapshot: bool,
    interval: u32,
    candles: impl Iterator<Item = &'a Candle>,
    at: Moment,
) -> String {
    let price = |price: Price| Exact::new(price.0, market.price_decimals);
    let item = |of: &Candle| w::Ohlc {
        symbol: market.symbol.to_string(),
        open: price(of.open),
        high: price(of.high),
        low: price(of.low),
        close: price(of.close),
        vwap: price(vwap(market, of.cost, of.volume, (of.low, of.high))),
        trades: of.trades,
        volume: Exact::new(of.volume.0, market.qty_decimals),
        interval_begin: of.begin.to_string(),
        interval,
        timestamp: of.begin.plus_us(u64::from(interval) * MINUTE_US).to_string(),
    };
    let data: Vec<w::Ohlc> = candles.map(item).collect();
    timed("ohlc", snapshot, Some(at.to_string()), data)
}

/// Quote by base traded. Each trade's quote is rounded down, which of small ones would make less than any was at.
fn vwap(market: &Market, cost: Amount, volume: Quantity, (low, high): (Price, Price)) -> Price {
    market.average(cost, volume).map_or(high, |average| Price(average).clamp(low, high))
}

/// A change in hundredths of a per cent of what was before, which is above zero: to the nearest, halves away from zero.
fn hundredths(change: i64, before: i64) -> i64 {
    let (scaled, before) = (i128::from(change) * 10_000, i128::from(before));
    i64::try_from((scaled + scaled.signum() * (before / 2)) / before).unwrap_or(i64::MAX)
}

/// A `ticker` frame.
pub fn ticker(market: &Market, snapshot: bool, best: (&Ladder, &Ladder), of: &Figures, at: Moment) -> String {
    let price = |units: i64| Exact::new(units, market.price_decimals);
    let qty = |units: i64| Exact::new(units, market.qty_decimals);
    let top = |ladder: &Ladder| ladder.first().map_or((0, 0), |(price, qty)| (price.0, qty.0));
    let ((bid, bid_qty), (ask, ask_qty)) = (top(best.0), top(best.1));
    let change = of.last.0 - of.open.0;
    let per_cent = match of.open.0 {
        0 => 0,
        open => hundredths(change, open),
    };
    let item = w::Ticker {
        symbol: market.symbol.to_string(),
        bid: price(bid),
        bid_qty: qty(bid_qty),
        ask: price(ask),
        ask_qty: qty(ask_qty),
        last: price(of.last.0),
        volume: qty(of.volume.0),
        vwap: price(vwap(market, of.cost, of.volume, (of.low, of.high)).0),
        low: price(of.low.0),
        high: price(of.high.0),
        change: price(change),
        change_pct: Exact::new(per_cent, 2),
        timestamp: at.to_string(),
    };
    frame("ticker", snapshot, [item])
}

/// A `trade` frame.
pub fn trades<'a>(market: &Market, snapshot: bool, prints: impl Iterator<Item = &'a Print>) -> String {
    let item = |print: &Print| w::Trade {
        symbol: market.symbol.to_string(),
        side: print.side.into(),
        price: Exact::new(print.price.0, market.price_decimals),
        qty: Exact::new(print.qty.0, market.qty_decimals),
        ord_type: if print.order_type.is_limit() { "limit" } else { "market" },
        trade_id: print.trade_id,
        timestamp: print.at.to_string(),
    };
    frame("trade", snapshot, prints.map(item).collect::<Vec<_>>())
}

/// An `instrument` frame.
pub fn instrument(reference: &Reference, snapshot: bool, assets: &[Asset], markets: &[Market]) -> String {
    let asset = |of: &Asset| w::Asset {
        id: of.code.to_string(),
        status: "enabled",
        precision: of.decimals,
        precision_display: of.display_decimals,
        borrowable: false,
        collateral_value: Exact::new(0, 2),
        class: "currency",
    };
    let pair = |of: &Market| w::Pair {
        symbol: of.symbol.to_string(),
        base: reference.asset(of.base).code.to_string(),
        quote: reference.asset(of.quote).code.to_string(),
        status: reference.status(of.id).into(),
        qty_precision: of.qty_decimals,
        qty_increment: Exact::new(of.qty_increment.0, of.qty_decimals),
        qty_min: Exact::new(of.qty_min.0, of.qty_decimals),
        price_precision: of.price_decimals,
        price_increment: Exact::new(of.price_increment.0, of.price_decimals),
        cost_precision: of.quote_decimals,
        cost_min: Exact::new(of.cost_min.0, of.quote_decimals),
        marginable: false,
        has_index: false,
        tick_size: Exact::new(of.price_increment.0, of.price_decimals),
    };
    let data = w::Instrument { assets: assets.iter().map(asset).collect(), pairs: markets.iter().map(pair).collect() };
    frame("instrument", snapshot, data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::markets::tests::market;

    #[test]
    fn a_change_in_per_cent_is_rounded_to_the_nearest() {
        for (change, before, reported) in [(-130, 10_495, -124), (410, 10_085, 407), (1, 20_000, 1), (-1, 20_000, -1)] {
            assert_eq!(hundredths(change, before), reported, "{change} of {before}");
        }
    }

    #[test]
    fn a_vwap_lies_where_trades_were() {
        let market = market(4);
        // 0.00010009 at 99913.6 cost 10.0003, which is 99913.1 each.
        let (price, qty) = (Price(999_136), Quantity(10_009));
        let cost = market.cost(price, qty).unwrap();
        assert_eq!(market.average(cost, qty), Some(999_131));
        assert_eq!(vwap(&market, cost, qty, (price, price)), price);
        let both = (Price(999_000), price);
        assert_eq!(vwap(&market, cost, qty, both), Price(999_131));
        assert_eq!(vwap(&market, Amount::ZERO, Quantity::ZERO, both), price, "without trades all three are the last");
    }
}
