//! Assets: what balances are counted in.

use serde::{Deserialize, Serialize};

use super::ids::AssetId;
use super::money::Amount;
use super::text::AssetCode;

/// An asset, with the one deposit and withdrawal method that this version gives each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asset {
    /// Its number.
    pub id: AssetId,
    /// Its code on the wire, such as `BTC`.
    pub code: AssetCode,
    /// Decimals of an [`Amount`], 0–12.
    pub decimals: u8,
    /// Decimals that a page shows, at most `decimals`.
    pub display_decimals: u8,
    /// The method's name, such as `Bitcoin`.
    pub method: String,
    /// The network that deposits and withdrawals run on.
    pub network: String,
    /// The least gross amount of a withdrawal, as the venue operator set it.
    pub withdrawal_min: Amount,
    /// The fee of a withdrawal, taken out of the gross amount.
    pub withdrawal_fee: Amount,
    /// The least amount of a deposit.
    pub deposit_min: Amount,
}

impl Asset {
    /// The least gross amount that can be withdrawn: something is left after the fee.
    pub fn least_withdrawal(&self) -> Amount {
        self.withdrawal_min.max(self.withdrawal_fee.saturating_add(Amount(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_withdrawal_leaves_something_after_the_fee() {
        let asset = |min, fee| Asset {
            id: AssetId(1),
            code: AssetCode::from("BTC").unwrap(),
            decimals: 8,
            display_decimals: 4,
            method: String::new(),
            network: String::new(),
            withdrawal_min: Amount(min),
            withdrawal_fee: Amount(fee),
            deposit_min: Amount::ZERO,
        };
        for (min, fee, least) in [(0, 0, 1), (5, 3, 5), (3, 3, 4), (3, 5, 6)] {
            assert_eq!(asset(min, fee).least_withdrawal(), Amount(least), "{min} and a fee of {fee}");
        }
    }
}
