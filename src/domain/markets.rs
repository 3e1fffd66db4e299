//! Markets: a base asset priced in a quote asset, with the precisions and minima of its orders.

use serde::{Deserialize, Serialize};

use super::ids::{AssetId, MarketId};
use super::money::{Amount, Price, Quantity, divide_up};
use super::named::named;
use super::text::Symbol;

named! {
    /// What may be done in a market (docs.kraken.com, `instrument`).
    #[derive(Default)]
    pub enum MarketStatus {
        /// Everything.
        #[default]
        Online = "online",
        /// Cancels only.
        CancelOnly = "cancel_only",
        /// Post-only limit orders and cancels.
        PostOnly = "post_only",
        /// Limit orders and cancels.
        LimitOnly = "limit_only",
        /// What reduces a position, and cancels; nobody has positions here.
        ReduceOnly = "reduce_only",
        /// Cancels only, during maintenance.
        Maintenance = "maintenance",
    }
}

named! {
    /// What triggers a frame of `ticker` (docs.kraken.com, `ticker`, `event_trigger`).
    #[derive(PartialOrd, Ord, Hash)]
    pub enum EventTrigger {
        /// A trade.
        Trades = "trades",
        /// A trade, or a change of the best prices.
        Bbo = "bbo",
    }
}

/// A market. Precisions are decimals; increments and minima are in the units of their type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Market {
    /// Its number.
    pub id: MarketId,
    /// `BASE/QUOTE`.
    pub symbol: Symbol,
    /// The asset bought and sold.
    pub base: AssetId,
    /// The asset that prices are in.
    pub quote: AssetId,
    /// Decimals of the base asset's amounts.
    pub base_decimals: u8,
    /// Decimals of the quote asset's amounts.
    pub quote_decimals: u8,
    /// Decimals of a [`Price`].
    pub price_decimals: u8,
    /// Decimals of a [`Quantity`], at most `base_decimals`.
    pub qty_decimals: u8,
    /// Prices are multiples of this.
    pub price_increment: Price,
    /// Quantities are multiples of this.
    pub qty_increment: Quantity,
    /// The least quantity of an order.
    pub qty_min: Quantity,
    /// The least cost of an order, in quote units.
    pub cost_min: Amount,
    /// Maker fee in parts per million of cost.
    pub maker_ppm: u32,
    /// Taker fee in parts per million of cost.
    pub taker_ppm: u32,
}

impl Market {
    /// `floor(price × qty)` in quote units, the same number on both sides (rule 34); `None` beyond 64 bits.
    pub fn cost(&self, price: Price, qty: Quantity) -> Option<Amount> {
        self.product(price, qty.0, self.qty_decimals, |product, by| product / by)
    }

    /// `floor(price × amount)` in quote units, of an amount of the base asset; `None` beyond 64 bits.
    pub fn value(&self, price: Price, amount: Amount) -> Option<Amount> {
        self.product(price, amount.0, self.base_decimals, |product, by| product / by)
    }

    /// `ceil(price × qty)` in quote units, what a buy holds before its fee.
    pub fn cost_up(&self, price: Price, qty: Quantity) -> Option<Amount> {
        self.product(price, qty.0, self.qty_decimals, divide_up)
    }

    /// `price × units × 10^-decimals` in quote units; `divide` does the rounding.
    fn product(&self, price: Price, units: i64, decimals: u8, divide: impl Fn(i128, i128) -> i128) -> Option<Amount> {
        let product = i128::from(price.0) * i128::from(units);
        let units = match self.scale(decimals) {
            scale if scale >= 0 => divide(product, power(scale)),
            scale => product.checked_mul(power(scale))?,
        };
        i64::try_from(units).ok().map(Amount)
    }

    /// The largest quantity whose cost at `price` is within `cash`; `None` beyond 64 bits.
    pub fn affordable(&self, price: Price, cash: Amount) -> Option<Quantity> {
        let cash = match self.scale(self.qty_decimals) {
            scale if scale >= 0 => i128::from(cash.0).checked_mul(power(scale))?,
            scale => i128::from(cash.0) / power(scale),
        };
        i64::try_from(cash / i128::from(price.0)).ok().map(Quantity)
    }

    /// `cost ÷ qty` in price units, rounded to the nearest; `None` when nothing was traded.
    pub fn average(&self, cost: Amount, qty: Quantity) -> Option<i64> {
        if qty.0 == 0 {
            return None;
        }
        let up = u32::from(self.price_decimals) + u32::from(self.qty_decimals);
        let scaled = i128::from(cost.0).saturating_mul(10i128.pow(up));
        let divisor = i128::from(qty.0) * power(self.quote_decimals.into());
        let units = scaled.saturating_add(divisor / 2) / divisor;
        Some(i64::try_from(units).unwrap_or(i64::MAX))
    }

    /// The quantity in units of the base asset; `None` beyond 64 bits.
    pub fn base_amount(&self, qty: Quantity) -> Option<Amount> {
        let factor = i64::try_from(power(i32::from(self.base_decimals) - i32::from(self.qty_decimals))).ok()?;
        qty.0.checked_mul(factor).map(Amount)
    }

    /// How many decimals the product of a price and a number with `decimals` of them has beyond the quote asset's.
    fn scale(&self, decimals: u8) -> i32 {
        i32::from(self.price_decimals) + i32::from(decimals) - i32::from(self.quote_decimals)
    }
}

/// Ten to the exponent's magnitude.
fn power(exponent: i32) -> i128 {
    10i128.pow(exponent.unsigned_abs())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// BTC/USD with this many quote decimals.
    pub(crate) fn market(quote_decimals: u8) -> Market {
        Market {
            id: MarketId(1),
            symbol: Symbol::from("BTC/USD").unwrap(),
            base: AssetId(1),
            quote: AssetId(2),
            base_decimals: 10,
            quote_decimals,
            price_decimals: 1,
            qty_decimals: 8,
            price_increment: Price(1),
            qty_increment: Quantity(1),
            qty_min: Quantity(1),
            cost_min: Amount(0),
            maker_ppm: 0,
            taker_ppm: 0,
        }
    }

    #[test]
    fn cost_is_floored_and_holds_are_raised() {
        let (price, qty) = (Price(452_852), Quantity(100_001));
        // 45285.2 × 0.00100001 = 45.285652852
        assert_eq!(market(4).cost(price, qty), Some(Amount(452_856)));
        assert_eq!(market(4).cost_up(price, qty), Some(Amount(452_857)));
        assert_eq!(market(9).cost(price, qty), Some(Amount(45_285_652_852)));
        assert_eq!(market(11).cost_up(price, qty), Some(Amount(4_528_565_285_200)));
        assert_eq!(market(4).base_amount(qty), Some(Amount(10_000_100)));
    }

    #[test]
    fn an_average_is_rounded_to_the_nearest() {
        let average = |cost, qty| market(4).average(Amount(cost), Quantity(qty));
        assert_eq!(average(0, 0), None);
        // One fill of 0.12345678 at 60000.1 costs 7407.4191, rounded down.
        let cost = market(4).cost(Price(600_001), Quantity(12_345_678)).unwrap();
        assert_eq!(average(cost.0, 12_345_678), Some(600_001));
        for (cost, rounded) in [(10_004, 10), (10_499, 10), (10_500, 11), (10_999, 11), (11_000, 11)] {
            assert_eq!(average(cost, 100_000_000), Some(rounded), "{cost}");
        }
        assert_eq!(average(i64::MAX, 1), Some(i64::MAX), "at the most");
    }

    #[test]
    fn what_does_not_fit_is_none() {
        assert_eq!(market(12).cost(Price(i64::MAX), Quantity(i64::MAX)), None);
        assert_eq!(market(0).cost_up(Price(i64::MAX), Quantity(i64::MAX)), None);
        assert_eq!(market(4).base_amount(Quantity(i64::MAX)), None);
    }
}
