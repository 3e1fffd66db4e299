//! The double-entry ledger: who owns how much of what. Every movement is a set of postings that sums to
//! zero per asset; holds are numbers beside the wallet (rule 31).

use serde::{Deserialize, Serialize};

use crate::domain::ids::{AccountId, AssetId};
use crate::domain::money::Amount;

/// A wallet of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Wallet {
    /// Spot: what trades and withdrawals use.
    Main,
    /// Flexible Earn.
    Flex,
    /// Bonded Earn, bonding and unbonding included.
    Bonded,
}

/// One end of a movement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Party {
    /// A customer's wallet. Never below zero.
    Account(AccountId, Wallet),
    /// The world outside; negative by what customers brought in.
    Outside,
    /// Withdrawals that custody has and has not settled.
    InTransit,
    /// Fees earned by the venue.
    Fees,
    /// What pays Earn rewards.
    EarnPool,
}

/// One line of a movement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posting {
    /// Whose.
    pub party: Party,
    /// Of what.
    pub asset: AssetId,
    /// The change of the balance, fee included.
    pub delta: Amount,
    /// The fee that is part of `delta`, not negative. The entry's amount on the wire is `delta + fee`.
    pub fee: Amount,
    /// The account's total of the asset over its wallets afterwards; zero for counter-accounts.
    pub balance: Amount,
}

/// All balances.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Ledger {}

impl Ledger {
    /// Folds a movement in.
    pub fn post(&mut self, _postings: &[Posting]) {}

    /// What law the movement just folded in broke, if any.
    pub fn breach(&self, _postings: &[Posting]) -> Option<String> {
        None
    }
}
