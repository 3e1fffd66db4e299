//! Converts events to rows of the tables, and back.

use serde::{Deserialize, Serialize};

use super::audit::{self, SeenVotes};
use super::transfers;
use crate::domain::candles::{Candle, INTERVALS};
use crate::domain::ids::Seq;
use crate::domain::money::{Amount, Price, Quantity};
use crate::domain::orders::{CancelReason, Order};
use crate::domain::prints::Print;
use crate::domain::time::Moment;
use crate::engine::entries::{Entry, TAKER_TRADE, entries};
use crate::engine::event::{Event, Fill, Trade};
use crate::sequencer::Stamped;
use crate::storage::history::{CandleRow, HistoryBatch, LedgerRow, OrderRow, Stored, TradeRow};

/// An order of the past.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosedOrder {
    /// As its last event left it.
    pub order: Order,
    /// Why it was canceled.
    pub reason: Option<CancelReason>,
    /// When its last event was.
    pub at: Moment,
    /// That event's offset.
    pub offset: u64,
}

/// One side of a fill of the past.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastFill {
    /// The trade's number in its book.
    pub trade_id: u64,
    /// The price.
    pub price: Price,
    /// The quantity.
    pub qty: Quantity,
    /// What it cost, before the fee.
    pub cost: Amount,
    /// The order afterwards, and the fee.
    pub fill: Fill,
    /// Whether the order was resting before.
    pub maker: bool,
    /// When.
    pub at: Moment,
    /// The offset of its execution.
    pub offset: u64,
}

impl PastFill {
    /// The trade as anybody may see it, of the taker's side.
    pub fn print(&self) -> Print {
        let PastFill { trade_id, price, qty, at, .. } = *self;
        let Order { side, order_type, .. } = self.fill.order;
        Print { trade_id, side, order_type, price, qty, at }
    }
}

/// Adds the rows of an event to a batch.
pub fn add(batch: &mut HistoryBatch, seen: &mut SeenVotes, stamped: &Stamped) {
    let Stamped { seq, at, event, .. } = stamped;
    match event {
        Event::Traded(trade) => {
            side(batch, trade, &trade.maker, 0, stamped);
            side(batch, trade, &trade.taker, TAKER_TRADE, stamped);
            candles(batch, trade, stamped);
        }
        Event::DepositChanged { deposit, .. } => batch.transfers.extend(transfers::row(&**deposit)),
        Event::WithdrawalChanged { withdrawal, .. } => batch.transfers.extend(transfers::row(&**withdrawal)),
        Event::OrderCanceled { order, reason } => {
            batch.orders.push(order_row(order, Some(*reason), *seq, 0, *at));
        }
        _ => {}
    }
    batch.audit.extend(audit::rows(stamped, seen));
    batch.ledger_entries.extend(entries(*seq, *at, event).map(|entry| ledger_row(&entry)));
}

/// Adds a trade to each candle of the batch that it belongs to.
fn candles(batch: &mut HistoryBatch, trade: &Trade, stamped: &Stamped) {
    let (market, seq) = (u64::from(trade.market.0), stamped.seq.0);
    for interval in INTERVALS {
        let candle = Candle::of(stamped.at, interval, trade.price, trade.qty, trade.cost);
        let same =
            |row: &&mut CandleRow| (row.market, row.interval, row.begin_us) == (market, interval, candle.begin.0);
        // The latest intervals of a batch are at its end.
        match batch.candles.iter_mut().rev().take(INTERVALS.len() * 2).find(same) {
            Some(row) => {
                let (mut before, first) = (read_candle(row), row.seqs.0);
                before.add(&candle);
                *row = candle_row(market, interval, &before, (first, seq));
            }
            None => batch.candles.push(candle_row(market, interval, &candle, (seq, seq))),
        }
    }
}

fn candle_row(market: u64, interval: u32, of: &Candle, seqs: (u64, u64)) -> CandleRow {
    CandleRow {
        market,
        interval,
        begin_us: of.begin.0,
        prices: [of.open.0, of.high.0, of.low.0, of.close.0],
        trades: of.trades,
        volume: of.volume.0,
        cost: of.cost.0,
        seqs,
    }
}

/// A candle of the table.
pub(super) fn read_candle(row: &CandleRow) -> Candle {
    let [open, high, low, close] = row.prices.map(Price);
    let (begin, volume, cost) = (Moment(row.begin_us), Quantity(row.volume), Amount(row.cost));
    Candle { begin, open, high, low, close, trades: row.trades, volume, cost }
}

fn side(batch: &mut HistoryBatch, trade: &Trade, fill: &Fill, index: u8, stamped: &Stamped) {
    let (order, at) = (&fill.order, stamped.at);
    // An order is history once it has closed; open ones come from the engine (rule 40).
    if !order.is_open() {
        batch.orders.push(order_row(order, None, stamped.seq, index + 1, at));
    }
    let offset = stamped.seq.offset(index);
    let body = bytes(&PastFill {
        trade_id: trade.trade_id,
        price: trade.price,
        qty: trade.qty,
        cost: trade.cost,
        fill: fill.clone(),
        maker: index != TAKER_TRADE,
        at,
        offset,
    });
    batch.trades.push(TradeRow {
        stored: Stored { at_us: at.0, id: offset, body },
        account: order.account.0.into(),
        market: trade.market.0.into(),
    });
}

fn order_row(order: &Order, reason: Option<CancelReason>, seq: Seq, index: u8, at: Moment) -> OrderRow {
    let offset = seq.offset(index);
    let body = bytes(&ClosedOrder { order: order.clone(), reason, at, offset });
    OrderRow {
        stored: Stored { at_us: at.0, id: order.id.0, body },
        account: order.account.0.into(),
        market: order.market.0.into(),
        service_user: order.owner.0.into(),
        cl_ord_id: order.cl_ord_id.map(|id| id.to_string()),
        userref: order.userref,
    }
}

fn ledger_row(entry: &Entry) -> LedgerRow {
    let (kind, ..) = entry.source.names(true);
    LedgerRow {
        stored: Stored { at_us: entry.at.0, id: entry.id.0, body: bytes(entry) },
        account: entry.account.0.into(),
        asset: entry.posting.asset.0.into(),
        kind: kind.to_owned(),
    }
}

/// A record as the tables keep it.
pub(super) fn bytes(record: &impl Serialize) -> Vec<u8> {
    postcard::to_allocvec(record).expect("records are plain data")
}

/// Reads a row's body; `None` if it is not in the form that this release writes.
pub fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Option<T> {
    postcard::from_bytes(body).ok()
}
