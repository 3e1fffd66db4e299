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
    /// The least gross amount of a withdrawal.
    pub withdrawal_min: Amount,
    /// The fee of a withdrawal, taken out of the gross amount.
    pub withdrawal_fee: Amount,
    /// The least amount of a deposit.
    pub deposit_min: Amount,
}
