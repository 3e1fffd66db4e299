//! Requests about orders, with names and numbers as the client gave them.

use crate::domain::decimal::Decimal;
use crate::domain::ids::OrderId;
use crate::domain::orders::{OrderType, Side, TimeInForce};
use crate::domain::terms::{FeeCurrency, PriceReference, PriceType, SelfTrade};
use crate::domain::text::{ClientOrderId, Symbol};
use crate::domain::time::Moment;

/// `add_order`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceOrder {
    /// The market's symbol.
    pub symbol: Symbol,
    /// Buy or sell.
    pub side: Side,
    /// How it is priced.
    pub order_type: OrderType,
    /// How long it waits.
    pub time_in_force: TimeInForce,
    /// Refuse it if it would take.
    pub post_only: bool,
    /// Base quantity; `None` when a quote amount is given.
    pub order_qty: Option<Decimal>,
    /// The limit, absolute or as a distance.
    pub limit_price: Option<Decimal>,
    /// The client's id (rule 30).
    pub cl_ord_id: Option<ClientOrderId>,
    /// The client's group number.
    pub order_userref: Option<i64>,
    /// Check only.
    pub validate: bool,
    /// Refuse it after this moment.
    pub deadline: Option<Moment>,
    /// What only some orders have.
    pub terms: Option<Box<RequestedTerms>>,
}

/// What only some orders have, in the client's numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestedTerms {
    /// What makes it live.
    pub trigger: Option<RequestedTrigger>,
    /// How the limit is given.
    pub limit_price_type: Option<PriceType>,
    /// What an iceberg shows.
    pub display_qty: Option<Decimal>,
    /// A quote amount instead of a quantity.
    pub cash_order_qty: Option<Decimal>,
    /// Start.
    pub effective_time: Option<Moment>,
    /// End, of an order that is good till a date.
    pub expire_time: Option<Moment>,
    /// Where fees are taken from.
    pub fee_preference: FeeCurrency,
    /// What happens where it meets an order of its own Organization.
    pub stp_type: SelfTrade,
    /// What each fill places.
    pub conditional: Option<RequestedConditional>,
    /// It may only reduce a position.
    pub reduce_only: bool,
    /// It asks for borrowed funds.
    pub margin: bool,
    /// The institution's own name for its user.
    pub sender_sub_id: Option<ClientOrderId>,
}

/// A trigger as it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestedTrigger {
    /// The price watched.
    pub reference: PriceReference,
    /// The price, absolute or as a distance.
    pub price: Decimal,
    /// How it is given; when `None`, absolute, or for a trailing stop a distance in quote.
    pub price_type: Option<PriceType>,
}

/// A closing order as it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestedConditional {
    /// Its type.
    pub order_type: OrderType,
    /// Its limit, and how it is given.
    pub limit: Option<(Decimal, PriceType)>,
    /// Its trigger, and how it is given.
    pub trigger: Option<(Decimal, PriceType)>,
}

/// `amend_order`: what is `None` stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AmendOrder {
    /// One order.
    pub order: OrderRef,
    /// Its market.
    pub symbol: Option<Symbol>,
    /// The new quantity, filled part included.
    pub order_qty: Option<Decimal>,
    /// The new slice of an iceberg.
    pub display_qty: Option<Decimal>,
    /// The new limit, absolute or as a distance.
    pub limit_price: Option<Decimal>,
    /// How it is given.
    pub limit_price_type: Option<PriceType>,
    /// The new trigger, absolute or as a distance.
    pub trigger_price: Option<Decimal>,
    /// How it is given.
    pub trigger_price_type: Option<PriceType>,
    /// Refuse if the new limit would take.
    pub post_only: bool,
    /// Refuse it after this moment.
    pub deadline: Option<Moment>,
}

/// `edit_order`: a cancel and a new order in one; what is `None` is unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EditOrder {
    /// The order replaced.
    pub order: OrderId,
    /// Its market.
    pub symbol: Symbol,
    /// The new quantity, filled part included.
    pub order_qty: Option<Decimal>,
    /// The new limit.
    pub limit_price: Option<Decimal>,
    /// The new slice of an iceberg.
    pub display_qty: Option<Decimal>,
    /// The new group number.
    pub order_userref: Option<i64>,
    /// Where fees are taken from.
    pub fee_preference: Option<FeeCurrency>,
    /// Refuse it if it would take.
    pub post_only: Option<bool>,
    /// Check only.
    pub validate: bool,
    /// Refuse it after this moment.
    pub deadline: Option<Moment>,
}

/// Which order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderRef {
    /// Any order of the account.
    Id(OrderId),
    /// The caller's own order.
    ClientId(ClientOrderId),
    /// Every open order of the account in that group.
    UserRef(i64),
}
