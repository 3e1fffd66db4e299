//! Money as integers with the unit in the type.
//!
//! An [`Amount`] counts units of its asset's precision, a [`Quantity`] units of a market's quantity
//! precision, a [`Price`] units of a market's price precision. Products go through 128 bits.

use serde::{Deserialize, Serialize};

/// A signed sum of one asset, in units of 10^-decimals of that asset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Amount(pub i64);

/// A base quantity, in units of 10^-qty_decimals of its market; never negative once validated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Quantity(pub i64);

/// A price, in units of 10^-price_decimals of its market; positive once validated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Price(pub i64);

impl Amount {
    /// Nothing.
    pub const ZERO: Amount = Amount(0);

    /// The sum, or `None` on overflow.
    pub fn checked_add(self, other: Amount) -> Option<Amount> {
        self.0.checked_add(other.0).map(Amount)
    }

    /// The difference, or `None` on overflow.
    pub fn checked_sub(self, other: Amount) -> Option<Amount> {
        self.0.checked_sub(other.0).map(Amount)
    }

    /// The sum, or the limit of the range on overflow.
    pub fn saturating_add(self, other: Amount) -> Amount {
        Amount(self.0.saturating_add(other.0))
    }

    /// The difference, or the limit of the range on overflow.
    pub fn saturating_sub(self, other: Amount) -> Amount {
        Amount(self.0.saturating_sub(other.0))
    }

    /// `ceil(self × ppm / 1,000,000)`: a fee of `ppm` parts per million of a non-negative amount.
    pub fn fee(self, ppm: u32) -> Option<Amount> {
        let product = i128::from(self.0).checked_mul(i128::from(ppm))?;
        i64::try_from(divide_up(product, 1_000_000)).ok().map(Amount)
    }
}

impl std::ops::Neg for Amount {
    type Output = Amount;

    fn neg(self) -> Amount {
        Amount(self.0.checked_neg().expect("amounts stay far from the end of 64 bits"))
    }
}

impl Quantity {
    /// Nothing.
    pub const ZERO: Quantity = Quantity(0);

    /// What is left of `self` after `other`; `other ≤ self`.
    pub fn minus(self, other: Quantity) -> Quantity {
        assert!(other <= self, "a quantity never goes below zero");
        Quantity(self.0 - other.0)
    }
}

/// `ceil(product / divisor)` for a non-negative product and a positive divisor.
pub fn divide_up(product: i128, divisor: i128) -> i128 {
    (product + divisor - 1) / divisor
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fee_is_rounded_up() {
        assert_eq!(Amount(10_000).fee(2_600), Some(Amount(26)));
        assert_eq!(Amount(10_001).fee(2_600), Some(Amount(27)));
        assert_eq!(Amount(0).fee(2_600), Some(Amount(0)));
        assert_eq!(Amount(1).fee(1), Some(Amount(1)));
        assert_eq!(Amount(i64::MAX).fee(u32::MAX), None);
    }
}
