//! Orders as they stand after an event. Every order event carries the whole record, so that streams and
//! history need no state of their own.

use serde::{Deserialize, Serialize};

use super::ids::{AccountId, MarketId, OrderId, OrganizationId, ServiceUserId};
use super::money::{Amount, Price, Quantity};
use super::text::ClientOrderId;
use super::time::Moment;

/// Which way an order trades.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Side {
    /// Base in, quote out.
    Buy,
    /// Quote in, base out.
    Sell,
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

/// How an order is priced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OrderType {
    /// At its limit or better.
    Limit,
    /// At whatever the book has now; the rest is canceled.
    Market,
}

/// How long an order waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TimeInForce {
    /// Until canceled.
    Gtc,
    /// Not at all: what does not fill at once is canceled.
    Ioc,
    /// Not at all, and whole or not at all.
    Fok,
}

impl TimeInForce {
    /// All three.
    pub const ALL: [TimeInForce; 3] = [TimeInForce::Gtc, TimeInForce::Ioc, TimeInForce::Fok];

    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            TimeInForce::Gtc => "GTC",
            TimeInForce::Ioc => "IOC",
            TimeInForce::Fok => "FOK",
        }
    }

    /// The one of that name, in any case.
    pub fn parse(name: &str) -> Option<TimeInForce> {
        TimeInForce::ALL.into_iter().find(|of| of.name().eq_ignore_ascii_case(name))
    }
}

/// Where an order is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OrderStatus {
    /// Live, nothing filled.
    New,
    /// Live, partly filled.
    PartiallyFilled,
    /// Ended, filled whole.
    Filled,
    /// Ended otherwise.
    Canceled,
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
    /// A Member canceled it, or froze the Organization.
    ByMember,
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
    /// Limit or market.
    pub order_type: OrderType,
    /// Time in force.
    pub time_in_force: TimeInForce,
    /// Refused rather than taking.
    pub post_only: bool,
    /// The limit; `None` for a market order.
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
    /// Fees so far, in quote.
    pub fee: Amount,
    /// Still held for it: quote for a buy, base for a sell.
    pub held: Amount,
    /// Where it is.
    pub status: OrderStatus,
}

impl Order {
    /// What may still fill.
    pub fn remaining(&self) -> Quantity {
        self.qty.minus(self.filled)
    }

    /// Whether it may still trade.
    pub fn is_open(&self) -> bool {
        match self.status {
            OrderStatus::New | OrderStatus::PartiallyFilled => true,
            OrderStatus::Filled | OrderStatus::Canceled => false,
        }
    }
}
