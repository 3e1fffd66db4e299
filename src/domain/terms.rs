//! What only some orders have: a trigger, a visible part, a start or an end, a closing order. It is behind one pointer,
//! so that plain limit orders, which are the most common, stay small.

use serde::{Deserialize, Serialize};

use super::money::{Amount, Price, Quantity};
use super::named::named;
use super::orders::{OrderType, Side};
use super::text::ClientOrderId;
use super::time::Moment;

named! {
    /// How a price of an order is given (docs.kraken.com, `add_order`, `price_type` and `limit_price_type`).
    pub enum PriceType {
        /// An absolute price.
        Static = "static",
        /// A percentage of the price that it refers to.
        Pct = "pct",
        /// A distance in the quote currency.
        Quote = "quote",
    }
}

/// An absolute price, or a distance from another price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PriceSpec {
    /// This price.
    Static(Price),
    /// A distance from the reference price in millionths of it; 10,000 are one percent.
    Pct(i64),
    /// A distance from the reference price in price units.
    Quote(i64),
}

impl PriceSpec {
    /// Whether it is a distance above zero, as a trailing stop needs; a percentage must also be below 100.
    pub fn is_distance(self) -> bool {
        matches!(self, PriceSpec::Pct(1..1_000_000) | PriceSpec::Quote(1..))
    }

    /// How it was given.
    pub fn price_type(self) -> PriceType {
        match self {
            PriceSpec::Static(_) => PriceType::Static,
            PriceSpec::Pct(_) => PriceType::Pct,
            PriceSpec::Quote(_) => PriceType::Quote,
        }
    }

    /// The resulting price, seen from `reference`, on a multiple of `increment`; `None` when that is not above zero or
    /// beyond 64 bits.
    pub fn resolve_from(self, reference: Price, increment: Price) -> Option<Price> {
        let distance = match self {
            PriceSpec::Static(price) => return Some(price),
            PriceSpec::Pct(ppm) => {
                i64::try_from(i128::from(reference.0).checked_mul(i128::from(ppm))? / 1_000_000).ok()?
            }
            PriceSpec::Quote(units) => units,
        };
        let price = reference.0.checked_add(distance)?;
        let price = price - price.rem_euclid(increment.0);
        (price > 0).then_some(Price(price))
    }

    /// The same distance in the other direction; an absolute price is unchanged.
    pub fn reversed(self) -> PriceSpec {
        match self {
            PriceSpec::Static(price) => PriceSpec::Static(price),
            PriceSpec::Pct(ppm) => PriceSpec::Pct(-ppm),
            PriceSpec::Quote(units) => PriceSpec::Quote(-units),
        }
    }
}

named! {
    /// Which price a trigger watches.
    #[derive(Default)]
    pub enum PriceReference {
        /// The last trade of the market.
        #[default]
        Last = "last",
        /// The index. No market has one here, so this is the last trade as well, as in v2 while the index is down.
        Index = "index",
    }
}

/// What makes a waiting order live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trigger {
    /// The price watched.
    pub reference: PriceReference,
    /// The trigger price as it was asked for.
    pub level: PriceSpec,
    /// Where it stands now.
    pub price: Price,
    /// The best price since a trailing stop began: highest for a sell, lowest for a buy.
    pub peak: Option<Price>,
    /// When it was reached, and by which price; `None` while it waits.
    pub fired: Option<(Moment, Price)>,
}

/// Which way a price must move to reach a trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TriggerDirection {
    /// Up to the trigger, or above it.
    Rising,
    /// Down to the trigger, or below it.
    Falling,
}

impl TriggerDirection {
    /// For an order of this type and side: a stop watches the losing direction, a take-profit the other.
    pub fn of(order_type: OrderType, side: Side) -> TriggerDirection {
        match (order_type.takes_profit(), side) {
            (false, Side::Buy) | (true, Side::Sell) => TriggerDirection::Rising,
            (false, Side::Sell) | (true, Side::Buy) => TriggerDirection::Falling,
        }
    }

    /// Whether `last` reaches `trigger`.
    pub fn reached(self, last: Price, trigger: Price) -> bool {
        match self {
            TriggerDirection::Rising => last >= trigger,
            TriggerDirection::Falling => last <= trigger,
        }
    }
}

/// The visible part of an iceberg order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Display {
    /// How much each slice shows.
    pub size: Quantity,
    /// What is left of the present slice.
    pub shown: Quantity,
}

named! {
    /// What happens where two orders of one Organization would meet (`stp_type`).
    #[derive(Default)]
    pub enum SelfTrade {
        /// The incoming order ends.
        #[default]
        CancelNewest = "cancel_newest",
        /// The resting order ends, and the incoming one continues.
        CancelOldest = "cancel_oldest",
        /// Both end.
        CancelBoth = "cancel_both",
    }
}

named! {
    /// In which currency an order pays its fees (`fee_preference`).
    #[derive(Default)]
    pub enum FeeCurrency {
        /// In what prices are in (rule 34).
        #[default]
        Quote = "quote",
        /// In what is bought or sold.
        Base = "base",
    }
}

/// A closing order (`conditional`): every fill places an order of the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conditional {
    /// Its type; not market or iceberg.
    pub order_type: OrderType,
    /// Its limit, seen from the fill's price, or from the trigger if it has one.
    pub limit: Option<PriceSpec>,
    /// Its trigger, seen from the fill's price.
    pub trigger: Option<PriceSpec>,
}

/// What only some orders have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// What makes it live.
    pub trigger: Option<Trigger>,
    /// The limit of a trailing stop-limit, seen from its trigger.
    pub limit: Option<PriceSpec>,
    /// What it shows in the book.
    pub display: Option<Display>,
    /// The quote amount that the quantity was made from (`cash_order_qty`).
    pub cash: Option<Amount>,
    /// It waits until then.
    pub starts_at: Option<Moment>,
    /// It ends then.
    pub expires_at: Option<Moment>,
    /// Where its fees are taken from.
    pub fee_in: FeeCurrency,
    /// What happens where it meets an order of its own Organization.
    pub self_trade: SelfTrade,
    /// What each of its fills places.
    pub conditional: Option<Conditional>,
    /// Only echoed; groups nothing, since self-trade prevention is by Organization (rule 7).
    pub sender_sub_id: Option<ClientOrderId>,
    /// Whether it was amended.
    pub amended: bool,
}

impl Terms {
    /// The terms as they were asked for, without what has changed since.
    pub fn requested(&self) -> Terms {
        let trigger = self.trigger.map(|of| Trigger { price: Price::default(), peak: None, fired: None, ..of });
        let display = self.display.map(|of| Display { shown: of.size, ..of });
        Terms { trigger, display, amended: false, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_land_on_the_increment() {
        let from = |level: PriceSpec| level.resolve_from(Price(10_003), Price(5)).map(|price| price.0);
        assert_eq!(from(PriceSpec::Static(Price(7))), Some(7));
        assert_eq!(from(PriceSpec::Pct(-10_000)), Some(9_900), "100.03 less 1 % is 99.03, on 0.05");
        assert_eq!(from(PriceSpec::Pct(10_000)), Some(10_100));
        assert_eq!(from(PriceSpec::Quote(-3)), Some(10_000));
        assert_eq!(from(PriceSpec::Quote(-10_003)), None);
        assert_eq!(from(PriceSpec::Quote(i64::MAX)), None);
        assert_eq!(PriceSpec::Pct(i64::MAX).resolve_from(Price(i64::MAX), Price(1)), None);
    }

    #[test]
    fn stops_and_profits_watch_opposite_ways() {
        for (order_type, side, watch) in [
            (OrderType::StopLoss, Side::Sell, TriggerDirection::Falling),
            (OrderType::TrailingStopLimit, Side::Buy, TriggerDirection::Rising),
            (OrderType::TakeProfit, Side::Sell, TriggerDirection::Rising),
            (OrderType::TakeProfitLimit, Side::Buy, TriggerDirection::Falling),
        ] {
            assert_eq!(TriggerDirection::of(order_type, side), watch);
        }
        assert!(
            TriggerDirection::Falling.reached(Price(9), Price(9))
                && !TriggerDirection::Falling.reached(Price(10), Price(9))
        );
    }
}
