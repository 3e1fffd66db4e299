//! Frames of the public channels, with v2's fields (docs.kraken.com, `ticker`, `book`, `level3`, `trade`, `ohlc`,
//! `instrument` and `status`).
#![allow(missing_docs, reason = "fields are the wire's; v2's pages say what they mean")]

use schemars::JsonSchema;
use serde::Serialize;

use super::items::records;
use super::leaf::{Exact, Word};
use crate::domain::markets::MarketStatus;
use crate::domain::orders::Side;

records! {
    /// A price level; a quantity of zero removes it.
    Level { price: Exact, qty: Exact }
    /// The one item of a `book` frame.
    Book { symbol: String, bids: Vec<Level>, asks: Vec<Level>, checksum: u32, timestamp: String }
    /// An order of `level3`, sorted by price and queue position; updates have `event`.
    Level3Order { event?: &'static str, order_id: String, limit_price: Exact, order_qty: Exact, timestamp: String }
    /// The one item of a `level3` frame.
    Level3 {
        symbol: String,
        bids: Vec<Level3Order>,
        asks: Vec<Level3Order>,
        checksum: u32,
        timestamp: String,
    }
    /// An item of `ohlc`.
    Ohlc {
        symbol: String,
        open: Exact,
        high: Exact,
        low: Exact,
        close: Exact,
        vwap: Exact,
        trades: u64,
        volume: Exact,
        interval_begin: String,
        interval: u32,
        timestamp: String,
    }
    /// The one item of a `ticker` frame.
    Ticker {
        symbol: String,
        bid: Exact,
        bid_qty: Exact,
        ask: Exact,
        ask_qty: Exact,
        last: Exact,
        volume: Exact,
        vwap: Exact,
        low: Exact,
        high: Exact,
        change: Exact,
        change_pct: Exact,
        timestamp: String,
    }
    /// An item of `trade`.
    Trade {
        symbol: String,
        side: Word<'static, Side>,
        price: Exact,
        qty: Exact,
        ord_type: &'static str,
        trade_id: u64,
        timestamp: String,
    }
    /// An asset of `instrument`.
    Asset {
        id: String,
        status: &'static str,
        precision: u8,
        precision_display: u8,
        borrowable: bool,
        collateral_value: Exact,
        class: &'static str,
    }
    /// A pair of `instrument`.
    Pair {
        symbol: String,
        base: String,
        quote: String,
        status: Word<'static, MarketStatus>,
        qty_precision: u8,
        qty_increment: Exact,
        qty_min: Exact,
        price_precision: u8,
        price_increment: Exact,
        cost_precision: u8,
        cost_min: Exact,
        marginable: bool,
        has_index: bool,
        tick_size: Exact,
    }
    /// The data of `instrument`, an object.
    Instrument { assets: Vec<Asset>, pairs: Vec<Pair> }
    /// The item of `status`.
    Status {
        api_version: &'static str,
        connection_id: u64,
        system: &'static str,
        version: &'static str,
        /// Sent to Members when a freeze of their Organization begins or ends: `withdrawals`, `all` or `none`.
        frozen?: &'static str,
        /// Sent to a Member whose permissions or KYC status changed: `changed`.
        rights?: &'static str,
        /// Sent to Members who may list the others when the venue operator or an invitation changed one of these:
        /// `changed`.
        members?: &'static str,
    }
}
