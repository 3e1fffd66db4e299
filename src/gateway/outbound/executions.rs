//! Items of `executions`, also the form of an order in `open_orders` and `query_orders`.

use super::Object;
use crate::domain::ids::ExecId;
use crate::domain::markets::Market;
use crate::domain::orders::{CancelReason, Order, OrderStatus, OrderType, Side, TimeInForce};
use crate::domain::time::Moment;
use crate::engine::event::{Fill, Trade};
use crate::engine::reference::Reference;

/// What an item tells.
#[derive(Clone, Copy, Debug)]
pub enum Execution<'a> {
    /// Accepted, not live yet.
    PendingNew,
    /// Live; also an open order of a snapshot.
    New,
    /// One side of a fill.
    Trade(&'a Trade, &'a Fill, ExecId),
    /// Filled whole.
    Filled,
    /// Ended otherwise.
    Canceled(CancelReason),
}

/// Appends one item about `order` as it stands after what happened at `at`.
pub fn item(out: &mut String, reference: &Reference, order: &Order, what: Execution<'_>, at: Moment, offset: u64) {
    let market = reference.market(order.market);
    let (exec_type, status) = match what {
        Execution::PendingNew => ("pending_new", "pending_new"),
        Execution::New => ("new", status(order.status)),
        Execution::Trade(..) => ("trade", status(order.status)),
        Execution::Filled => ("filled", "filled"),
        Execution::Canceled(_) => ("canceled", "canceled"),
    };
    let mut object = Object::open(out);
    object.plain("exec_type", exec_type).plain("order_id", order.id).plain("order_status", status);
    if let Some(id) = &order.cl_ord_id {
        object.text("cl_ord_id", id);
    }
    object.literal("order_userref", order.userref.unwrap_or(0)).text("symbol", &market.symbol);
    object.plain("side", if order.side == Side::Buy { "buy" } else { "sell" });
    object.plain("order_type", if order.order_type == OrderType::Limit { "limit" } else { "market" });
    object.number("order_qty", order.qty.0, market.qty_decimals);
    if let Some(limit) = order.limit {
        object.number("limit_price", limit.0, market.price_decimals).plain("limit_price_type", "static");
    }
    object.plain("time_in_force", if order.time_in_force == TimeInForce::Gtc { "GTC" } else { "IOC" });
    object.literal("post_only", order.post_only).number("cum_qty", order.filled.0, market.qty_decimals);
    object.number("cum_cost", order.cost.0, market.quote_decimals);
    object.number("avg_price", average(order, market), market.price_decimals);
    match what {
        Execution::Trade(trade, fill, exec_id) => {
            let maker = fill.order.id == trade.maker.order.id;
            object.plain("exec_id", exec_id).literal("trade_id", trade.trade_id);
            object.number("last_qty", trade.qty.0, market.qty_decimals);
            object.number("last_price", trade.price.0, market.price_decimals);
            object.number("cost", trade.cost.0, market.quote_decimals);
            object.plain("liquidity_ind", if maker { "m" } else { "t" });
            let mut fee = String::new();
            let mut part = Object::open(&mut fee);
            part.text("asset", &reference.asset(market.quote).code);
            part.number("qty", fill.fee.0, market.quote_decimals);
            part.close();
            object.raw("fees", &format!("[{fee}]"));
        }
        Execution::Canceled(reason) => {
            object.text("reason", cancel_reason(reason));
        }
        Execution::PendingNew | Execution::New | Execution::Filled => {}
    }
    object.plain("timestamp", at).literal("offset", offset);
    object.close();
}

fn status(status: OrderStatus) -> &'static str {
    match status {
        OrderStatus::New => "new",
        OrderStatus::PartiallyFilled => "partially_filled",
        OrderStatus::Filled => "filled",
        OrderStatus::Canceled => "canceled",
    }
}

fn cancel_reason(reason: CancelReason) -> &'static str {
    match reason {
        CancelReason::UserRequested => "User requested",
        CancelReason::ImmediateOrCancel => "Immediate or cancel",
        CancelReason::SelfTrade => "Self trade prevention",
        CancelReason::KeyStopped => "Key stopped",
    }
}

/// `cost ÷ filled` in price units, rounded down; zero before the first fill.
fn average(order: &Order, market: &Market) -> i64 {
    if order.filled.0 == 0 {
        return 0;
    }
    let up = u32::from(market.price_decimals) + u32::from(market.qty_decimals);
    let scaled = i128::from(order.cost.0).saturating_mul(10i128.pow(up));
    let units = scaled / i128::from(order.filled.0) / 10i128.pow(u32::from(market.quote_decimals));
    i64::try_from(units).unwrap_or(i64::MAX)
}
