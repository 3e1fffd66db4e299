//! The one table of how a movement of money is named on the wire (rule 33).

/// What moved money in an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Movement {
    /// One side of a fill.
    Trade,
    /// A deposit was credited.
    Deposit,
    /// A withdrawal was released, or its debit reversed.
    Withdrawal,
    /// Out of spot, into Earn.
    IntoEarn,
    /// Out of Earn, into spot.
    OutOfEarn,
    /// A reward of staking.
    StakingReward,
    /// A reward of another source.
    OtherReward,
}

impl Movement {
    /// `type`, `subtype` and `category` of the entry in a spot wallet (`spot`) or an Earn wallet.
    pub const fn names(self, spot: bool) -> (&'static str, Option<&'static str>, &'static str) {
        match (self, spot) {
            (Movement::Trade, _) => ("trade", None, "trade"),
            (Movement::Deposit, _) => ("deposit", None, "deposit"),
            (Movement::Withdrawal, _) => ("withdrawal", None, "withdrawal"),
            // v2 lists no category for moves between a customer's own wallets; this one says they are at once.
            (Movement::IntoEarn, true) => ("transfer", Some("spottostaking"), "instant"),
            (Movement::IntoEarn, false) => ("transfer", Some("stakingfromspot"), "instant"),
            (Movement::OutOfEarn, true) => ("transfer", Some("spotfromstaking"), "instant"),
            (Movement::OutOfEarn, false) => ("transfer", Some("stakingtospot"), "instant"),
            (Movement::StakingReward, _) => ("staking", None, "staking-rewards"),
            (Movement::OtherReward, _) => ("reward", None, "reward-bonus"),
        }
    }
}
