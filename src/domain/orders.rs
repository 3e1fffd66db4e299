//! Orders as they stand after an event. Every order event carries the whole record, so that streams and
//! history need no state of their own.

use serde::{Deserialize, Serialize};

use super::ids::{AccountId, MarketId, OrderId, OrganizationId, ServiceUserId};
use super::money::{Amount, Price, Quantity};
use super::named::named;
use super::terms::{FeeCurrency, PriceType, SelfTrade, Terms, Trigger};
use super::text::ClientOrderId;
use super::time::Moment;

named! {
    /// Which way an order trades.
    #[derive(PartialOrd, Ord, Hash)]
    pub enum Side {
        /// Base in, quote out.
        Buy = "buy",
        /// Quote in, base out.
        Sell = "sell",
    }
}

impl Side {
    /// The other side.
    pub fn opposite(self) -> Side {
        match self {
            Side::Buy => Side::Sell,
            Side::Sell => Side::Buy,
        }
    }
}

named! {
    /// How an order is priced and when it goes live (docs.kraken.com, `add_order`, `order_type`).
    pub enum OrderType {
        /// At its limit or better.
        Limit = "limit",
        /// At whatever the book has now; the rest is canceled.
        Market = "market",
        /// A limit order that shows only a part of itself.
        Iceberg = "iceberg",
        /// A market order once the price has moved against it.
        StopLoss = "stop-loss",
        /// A limit order once the price has moved against it.
        StopLossLimit = "stop-loss-limit",
        /// A market order once the price has moved in its favour.
        TakeProfit = "take-profit",
        /// A limit order once the price has moved in its favour.
        TakeProfitLimit = "take-profit-limit",
        /// A stop whose trigger follows the price at a distance.
        TrailingStop = "trailing-stop",
        /// A trailing stop that becomes a limit order.
        TrailingStopLimit = "trailing-stop-limit",
    }
}

impl OrderType {
    /// Whether it has a limit once it is live; the others take whatever the book has.
    pub fn is_limit(self) -> bool {
        match self {
            OrderType::Limit
            | OrderType::Iceberg
            | OrderType::StopLossLimit
            | OrderType::TakeProfitLimit
            | OrderType::TrailingStopLimit => true,
            OrderType::Market | OrderType::StopLoss | OrderType::TakeProfit | OrderType::TrailingStop => false,
        }
    }

    /// Whether it waits for a trigger.
    pub fn is_triggered(self) -> bool {
        !matches!(self, OrderType::Limit | OrderType::Market | OrderType::Iceberg)
    }

    /// Whether its trigger follows the price.
    pub fn trails(self) -> bool {
        matches!(self, OrderType::TrailingStop | OrderType::TrailingStopLimit)
    }

    /// The type of its trigger's price when none is given.
    pub fn usual_price_type(self) -> PriceType {
        if self.trails() { PriceType::Quote } else { PriceType::Static }
    }

    /// Whether its trigger is on the profit side.
    pub fn takes_profit(self) -> bool {
        matches!(self, OrderType::TakeProfit | OrderType::TakeProfitLimit)
    }
}

named! {
    /// How long an order stays open.
    pub enum TimeInForce {
        /// Until canceled.
        Gtc = "GTC",
        /// Until canceled, or the time that it names.
        Gtd = "GTD",
        /// Not at all: what does not fill immediately is canceled.
        Ioc = "IOC",
        /// Not at all: it fills whole immediately, or is canceled.
        Fok = "FOK",
    }
}

impl TimeInForce {
    /// Whether what does not fill immediately may wait in the book.
    pub fn waits(self) -> bool {
        matches!(self, TimeInForce::Gtc | TimeInForce::Gtd)
    }
}

named! {
    /// Where an order is in its life.
    pub enum OrderStatus {
        /// Accepted, and waiting for its start.
        PendingNew = "pending_new",
        /// Live, or watching for its trigger; nothing filled.
        New = "new",
        /// Live, partly filled.
        PartiallyFilled = "partially_filled",
        /// Ended, filled whole.
        Filled = "filled",
        /// Ended otherwise.
        Canceled = "canceled",
        /// Ended because its time was over.
        Expired = "expired",
    }
}

/// Why an order ended without being filled whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CancelReason {
    /// `cancel_order` or `cancel_all`.
    UserRequested,
    /// The remainder of an immediate-or-cancel or market order.
    ImmediateOrCancel,
    /// It would have traded with an order of its own Organization.
    SelfTrade,
    /// Its key was removed, disabled or expired.
    KeyStopped,
    /// A fill-or-kill order that could not be filled whole.
    FillOrKill,
    /// The account's dead man's switch fired.
    DeadMansSwitch,
    /// A Member canceled it, or froze the Organization with scope `all`.
    ByMember,
    /// Its Service User had no socket for too long.
    Disconnected,
    /// Its time was over.
    Expired,
    /// It was amended to no more than it had filled.
    AmendedToFilled,
    /// `edit_order` put another in its place.
    Edited,
    /// When it was to go live, there was too little to trade with or to hold.
    InsufficientFunds,
    /// When it was to go live, there was nothing to trade with.
    NoLiquidity,
    /// When it was to go live, it would have taken although it is post-only.
    PostOnly,
    /// When it was to go live, its market did not accept it.
    MarketStatus,
    /// When it was to be placed or to go live, it was below the market's least quantity or cost, had no possible price, or
    /// there were as many trailing stops as there may be.
    OutOfBounds,
}

/// An order as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Its id, also its place in time priority.
    pub id: OrderId,
    /// The Organization, for self-trade prevention.
    pub organization: OrganizationId,
    /// The account that pays and receives.
    pub account: AccountId,
    /// The Service User that placed it.
    pub owner: ServiceUserId,
    /// Its market.
    pub market: MarketId,
    /// Buy or sell.
    pub side: Side,
    /// How it is priced.
    pub order_type: OrderType,
    /// Time in force.
    pub time_in_force: TimeInForce,
    /// It is refused if it would take.
    pub post_only: bool,
    /// The limit; `None` for an order without one, and for a trailing stop-limit that still waits.
    pub limit: Option<Price>,
    /// What was asked for.
    pub qty: Quantity,
    /// The client's id, unique among the Service User's open and recent orders (rule 30).
    pub cl_ord_id: Option<ClientOrderId>,
    /// The client's group number.
    pub userref: Option<i64>,
    /// When it was accepted.
    pub opened_at: Moment,
    /// Filled so far.
    pub filled: Quantity,
    /// Quote paid or received so far, before fees.
    pub cost: Amount,
    /// Fees so far, in the currency of its fees.
    pub fee: Amount,
    /// Still held for it: quote for a buy, base for a sell. Nothing while it waits for its start or trigger.
    pub held: Amount,
    /// Its status.
    pub status: OrderStatus,
    /// What only some orders have.
    pub terms: Option<Box<Terms>>,
}

impl Order {
    /// What may still fill.
    pub fn remaining(&self) -> Quantity {
        self.qty.minus(self.filled)
    }

    /// What it shows in the book: all that may fill, or an iceberg's current slice.
    pub fn visible(&self) -> Quantity {
        self.terms.as_ref().and_then(|terms| terms.display).map_or_else(|| self.remaining(), |display| display.shown)
    }

    /// Whether it has not ended.
    pub fn is_open(&self) -> bool {
        match self.status {
            OrderStatus::PendingNew | OrderStatus::New | OrderStatus::PartiallyFilled => true,
            OrderStatus::Filled | OrderStatus::Canceled | OrderStatus::Expired => false,
        }
    }

    /// Whether it is open and not live: before its start, or before its trigger. Such orders are in no book and hold
    /// nothing.
    pub fn waits(&self) -> bool {
        self.is_open()
            && (self.status == OrderStatus::PendingNew || self.trigger().is_some_and(|trigger| trigger.fired.is_none()))
    }

    /// Its trigger.
    pub fn trigger(&self) -> Option<&Trigger> {
        self.terms.as_ref().and_then(|terms| terms.trigger.as_ref())
    }

    /// Whether its time is over at `now`.
    pub fn is_expired(&self, now: Moment) -> bool {
        self.terms.as_ref().and_then(|terms| terms.expires_at).is_some_and(|end| end <= now)
    }

    /// What happens where it meets an order of its own Organization.
    pub fn self_trade(&self) -> SelfTrade {
        self.terms.as_ref().map_or(SelfTrade::CancelNewest, |terms| terms.self_trade)
    }

    /// In which currency it pays its fees.
    pub fn fee_in(&self) -> FeeCurrency {
        self.terms.as_ref().map_or(FeeCurrency::Quote, |terms| terms.fee_in)
    }
}

#[cfg(test)]
impl Order {
    /// An open order that holds nothing, for tests.
    pub fn waiting(id: u64) -> Order {
        Order {
            id: OrderId(id),
            organization: OrganizationId::at(0),
            account: AccountId::at(0),
            owner: ServiceUserId::at(0),
            market: MarketId::at(0),
            side: Side::Buy,
            order_type: OrderType::Limit,
            time_in_force: TimeInForce::Gtc,
            post_only: false,
            limit: Some(Price(1)),
            qty: Quantity(1),
            cl_ord_id: None,
            userref: None,
            opened_at: Moment(id),
            filled: Quantity(0),
            cost: Amount::ZERO,
            fee: Amount::ZERO,
            held: Amount::ZERO,
            status: OrderStatus::PendingNew,
            terms: None,
        }
    }
}
