//! Items of `executions`, also the form of an order in `open_orders` and `query_orders`.

use super::Object;
use crate::domain::ids::ExecId;
use crate::domain::markets::Market;
use crate::domain::money::{Amount, Price, Quantity};
use crate::domain::orders::{CancelReason, Order, OrderStatus};
use crate::domain::terms::{Conditional, FeeCurrency, PriceSpec, Terms, Trigger};
use crate::domain::time::Moment;
use crate::engine::event::{Fill, Trade};
use crate::engine::reference::Reference;
use crate::history::PastFill;

/// Decimals of a percentage.
const PERCENT_DECIMALS: u8 = 4;

/// What an item reports.
#[derive(Clone, Copy, Debug)]
pub enum Execution<'a> {
    /// Accepted, not live yet; also in a snapshot.
    PendingNew,
    /// Live; also in a snapshot.
    New,
    /// One side of a fill.
    Trade(OneSide<'a>),
    /// Filled whole.
    Filled,
    /// Ended otherwise.
    Canceled(CancelReason),
    /// Changed by its owner.
    Amended,
    /// An iceberg shows its next slice.
    Refilled,
    /// Another change of it: its trigger was reached, or moved.
    Status,
}

/// One side of a fill.
#[derive(Clone, Copy, Debug)]
pub struct OneSide<'a> {
    trade_id: u64,
    price: Price,
    qty: Quantity,
    cost: Amount,
    fill: &'a Fill,
    maker: bool,
    exec_id: ExecId,
}

impl<'a> OneSide<'a> {
    /// For a live fill.
    pub fn of(trade: &Trade, fill: &'a Fill, exec_id: ExecId) -> OneSide<'a> {
        let Trade { trade_id, price, qty, cost, .. } = *trade;
        let maker = fill.order.id == trade.maker.order.id;
        OneSide { trade_id, price, qty, cost, fill, maker, exec_id }
    }

    /// For a fill from history.
    pub fn past(past: &'a PastFill) -> OneSide<'a> {
        let PastFill { trade_id, price, qty, cost, maker, offset, .. } = *past;
        OneSide { trade_id, price, qty, cost, fill: &past.fill, maker, exec_id: ExecId(offset) }
    }
}

/// Appends one item about `order` as it is after what happened at `at`.
pub fn item(out: &mut String, reference: &Reference, order: &Order, what: Execution<'_>, at: Moment, offset: u64) {
    let market = reference.market(order.market);
    let (exec_type, status) = match what {
        Execution::PendingNew => ("pending_new", OrderStatus::PendingNew),
        Execution::New => ("new", order.status),
        Execution::Trade(..) => ("trade", order.status),
        Execution::Filled => ("filled", OrderStatus::Filled),
        Execution::Canceled(CancelReason::Expired) => ("expired", OrderStatus::Expired),
        Execution::Canceled(_) => ("canceled", OrderStatus::Canceled),
        Execution::Amended => ("amended", order.status),
        Execution::Refilled => ("iceberg_refill", order.status),
        Execution::Status => ("status", order.status),
    };
    let mut object = Object::open(out);
    object.word("exec_type", exec_type).plain("order_id", order.id).word("order_status", status.name());
    if let Some(id) = &order.cl_ord_id {
        object.text("cl_ord_id", id);
    }
    object.integer("order_userref", order.userref.unwrap_or(0)).text("symbol", &market.symbol);
    object.word("side", order.side.name());
    object.word("order_type", order.order_type.name());
    object.number("order_qty", order.qty.0, market.qty_decimals);
    let distance = order.terms.as_ref().and_then(|terms| terms.limit);
    if let Some(limit) = order.limit.map(PriceSpec::Static).or(distance) {
        let (units, decimals) = number(limit, market);
        object.number("limit_price", units, decimals).word("limit_price_type", limit.price_type().name());
    }
    object.word("time_in_force", order.time_in_force.name());
    object.flag("post_only", order.post_only).number("cum_qty", order.filled.0, market.qty_decimals);
    object.number("cum_cost", order.cost.0, market.quote_decimals);
    object.number("avg_price", market.average(order.cost, order.filled).unwrap_or(0), market.price_decimals);
    if order.fee > Amount::ZERO && order.fee_in() == FeeCurrency::Quote && &*reference.asset(market.quote).code == "USD"
    {
        object.number("fee_usd_equiv", order.fee.0, market.quote_decimals);
    }
    if let Some(of) = &order.terms {
        terms(&mut object, market, of);
    }
    match what {
        Execution::Trade(side) => {
            object.plain("exec_id", side.exec_id).integer("trade_id", side.trade_id.cast_signed());
            object.number("last_qty", side.qty.0, market.qty_decimals);
            object.number("last_price", side.price.0, market.price_decimals);
            object.number("cost", side.cost.0, market.quote_decimals);
            object.word("liquidity_ind", if side.maker { "m" } else { "t" });
            let mut fee = String::new();
            let mut part = Object::open(&mut fee);
            let asset = reference.asset(if order.fee_in() == FeeCurrency::Base { market.base } else { market.quote });
            part.text("asset", &asset.code).number("qty", side.fill.fee.0, asset.decimals);
            part.close();
            object.raw("fees", &format!("[{fee}]"));
        }
        Execution::Canceled(reason) => {
            object.text("reason", cancel_reason(reason));
        }
        Execution::Amended => {
            object.text("reason", "User requested");
        }
        Execution::PendingNew | Execution::New | Execution::Filled | Execution::Refilled | Execution::Status => {}
    }
    object.plain("timestamp", at).integer("offset", offset.cast_signed());
    object.close();
}

/// A price, absolute or as a distance, as it was given.
fn number(level: PriceSpec, market: &Market) -> (i64, u8) {
    match level {
        PriceSpec::Static(price) => (price.0, market.price_decimals),
        PriceSpec::Pct(units) => (units, PERCENT_DECIMALS),
        PriceSpec::Quote(units) => (units, market.price_decimals),
    }
}

/// What only some orders have.
fn terms(object: &mut Object<'_>, market: &Market, of: &Terms) {
    if of.fee_in == FeeCurrency::Base {
        object.word("fee_ccy_pref", "fcib");
    }
    if let Some(display) = of.display {
        object.number("display_qty", display.size.0, market.qty_decimals);
        object.number("display_qty_remain", display.shown.0, market.qty_decimals);
    }
    if let Some(cash) = of.cash {
        object.number("cash_order_qty", cash.0, market.quote_decimals);
    }
    if let Some(at) = of.starts_at {
        object.plain("effective_time", at);
    }
    if let Some(at) = of.expires_at {
        object.plain("expire_time", at);
    }
    if let Some(trigger) = &of.trigger {
        object.written("triggers", |out| triggers(Object::open(out), market, trigger));
        object.number("stop_price", trigger.price.0, market.price_decimals);
    }
    if let Some(closing) = &of.conditional {
        object.written("contingent", |out| contingent(Object::open(out), market, closing));
    }
    if let Some(id) = &of.sender_sub_id {
        object.text("sender_sub_id", id);
    }
    if of.amended {
        object.flag("amended", true);
    }
}

fn triggers(mut object: Object<'_>, market: &Market, of: &Trigger) {
    let (units, decimals) = number(of.level, market);
    object.word("reference", of.reference.name());
    object.number("price", units, decimals).word("price_type", of.level.price_type().name());
    object.number("actual_price", of.price.0, market.price_decimals);
    if let Some(peak) = of.peak {
        object.number("peak_price", peak.0, market.price_decimals);
    }
    match of.fired {
        Some((at, last)) => {
            object.number("last_price", last.0, market.price_decimals);
            object.word("status", "triggered").plain("timestamp", at);
        }
        None => {
            object.word("status", "untriggered");
        }
    }
    object.close();
}

fn contingent(mut object: Object<'_>, market: &Market, of: &Conditional) {
    object.word("order_type", of.order_type.name());
    if let Some(level) = of.trigger {
        let (units, decimals) = number(level, market);
        object.number("trigger_price", units, decimals).word("trigger_price_type", level.price_type().name());
    }
    if let Some(level) = of.limit {
        let (units, decimals) = number(level, market);
        object.number("limit_price", units, decimals).word("limit_price_type", level.price_type().name());
    }
    object.close();
}

fn cancel_reason(reason: CancelReason) -> &'static str {
    match reason {
        CancelReason::UserRequested => "User requested",
        CancelReason::ImmediateOrCancel => "Immediate or cancel",
        CancelReason::SelfTrade => "Self trade prevention",
        CancelReason::KeyStopped => "Key stopped",
        CancelReason::FillOrKill => "Fill or kill: not enough to fill it whole",
        CancelReason::DeadMansSwitch => "Cancel all orders after: the timeout was reached",
        CancelReason::ByMember => "Canceled by a Member",
        CancelReason::Disconnected => "Canceled on disconnect",
        CancelReason::Expired => "Expired",
        CancelReason::AmendedToFilled => "Amended to no more than was filled",
        CancelReason::Edited => "Edited: another order took its place",
        CancelReason::InsufficientFunds => "Insufficient funds when it went live",
        CancelReason::NoLiquidity => "Nothing to trade with when it went live",
        CancelReason::PostOnly => "Post only order",
        CancelReason::MarketStatus => "The market was closed to it when it went live",
        CancelReason::OutOfBounds => "Below the market's minimum, no possible price, or too many trailing stops",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{MarketId, OrderId};
    use crate::domain::orders::{OrderType, Side, TimeInForce};
    use crate::domain::terms::PriceType;
    use crate::domain::text::ClientOrderId;
    use crate::wire::items as w;
    use crate::wire::leaf::Exact;

    fn reference() -> Reference {
        Reference::btc_usd(4, 1)
    }

    fn order() -> Order {
        Order {
            post_only: true,
            limit: Some(Price(400_001)),
            qty: Quantity(10_000_000),
            cl_ord_id: Some(ClientOrderId::from("demo-1").unwrap()),
            filled: Quantity(5_000_000),
            cost: Amount(20_000_000),
            fee: Amount(20_000),
            status: OrderStatus::PartiallyFilled,
            ..Order::waiting(7)
        }
    }

    /// Written by hand because it is the most common item; serde's rendering of the wire type is the reference.
    #[test]
    fn an_item_is_byte_for_byte_what_serde_writes() {
        let (reference, order, at) = (reference(), order(), Moment(1_716_480_000_000_001));
        let fill = Fill { order: order.clone(), fee: Amount(20_000) };
        let trade = Trade {
            trade_id: 9,
            market: MarketId(1),
            price: Price(400_000),
            qty: Quantity(5_000_000),
            cost: Amount(20_000_000),
            taker_side: Side::Sell,
            maker: fill.clone(),
            taker: Fill { order: Order { id: OrderId(8), ..order.clone() }, fee: Amount(0) },
            postings: Vec::new(),
        };
        let price = |units| Exact::new(units, 1);
        let qty = |units| Exact::new(units, 8);
        let mut expected = w::Execution {
            exec_type: "trade",
            order_id: OrderId(7).to_string(),
            order_status: OrderStatus::PartiallyFilled.into(),
            cl_ord_id: Some("demo-1".to_owned()),
            order_userref: 0,
            symbol: "BTC/USD".to_owned(),
            side: Side::Buy.into(),
            order_type: OrderType::Limit.into(),
            order_qty: qty(10_000_000),
            limit_price: Some(price(400_001)),
            limit_price_type: Some(PriceType::Static.into()),
            time_in_force: TimeInForce::Gtc.into(),
            post_only: true,
            cum_qty: qty(5_000_000),
            cum_cost: Exact::new(20_000_000, 4),
            avg_price: price(400_000),
            fee_usd_equiv: Some(Exact::new(20_000, 4)),
            terms: w::Terms::default(),
            exec_id: Some(ExecId(1_792).to_string()),
            trade_id: Some(9),
            last_qty: Some(qty(5_000_000)),
            last_price: Some(price(400_000)),
            cost: Some(Exact::new(20_000_000, 4)),
            liquidity_ind: Some("m"),
            fees: Some(vec![w::Fee { asset: "USD".to_owned(), qty: Exact::new(20_000, 4) }]),
            reason: None,
            ratecount: None,
            timestamp: "2024-05-23T16:00:00.000001Z".to_owned(),
            offset: 1_792,
        };
        let mut text = String::new();
        item(&mut text, &reference, &order, Execution::Trade(OneSide::of(&trade, &fill, ExecId(1_792))), at, 1_792);
        assert_eq!(text, serde_json::to_string(&expected).unwrap());
        expected = w::Execution {
            exec_type: "canceled",
            order_status: OrderStatus::Canceled.into(),
            exec_id: None,
            trade_id: None,
            last_qty: None,
            last_price: None,
            cost: None,
            liquidity_ind: None,
            fees: None,
            reason: Some("User requested"),
            ..expected
        };
        text.clear();
        item(&mut text, &reference, &order, Execution::Canceled(CancelReason::UserRequested), at, 1_792);
        assert_eq!(text, serde_json::to_string(&expected).unwrap());
    }
}
