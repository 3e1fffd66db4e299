//! The ledger entries that an event creates: one for each posting on a customer's account.

use serde::{Deserialize, Serialize};

use super::earn::{EarnStep, YieldSource};
use super::event::Event;
use super::ledger::{Party, Posting, Wallet};
use crate::domain::ids::{AccountId, DepositId, EarnOperationId, ExecId, LedgerId, Seq, WithdrawalId};
use crate::domain::time::Moment;

/// What moved the money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// A fill.
    Trade(ExecId),
    /// A deposit.
    Deposit(DepositId),
    /// A withdrawal, or its reversal.
    Withdrawal(WithdrawalId),
    /// Into Earn.
    IntoEarn(EarnOperationId),
    /// Out of Earn.
    OutOfEarn(EarnOperationId),
    /// An Earn reward, from this kind of source.
    Reward(EarnOperationId, YieldSource),
}

/// Every `type` of an entry.
pub const TYPES: [&str; 6] = ["trade", "deposit", "withdrawal", "transfer", "staking", "reward"];

impl Source {
    /// `type`, `subtype` and `category` of the entry in a spot wallet (`spot`) or an Earn wallet (rule 33).
    pub const fn names(self, spot: bool) -> (&'static str, Option<&'static str>, &'static str) {
        match (self, spot) {
            (Source::Trade(_), _) => ("trade", None, "trade"),
            (Source::Deposit(_), _) => ("deposit", None, "deposit"),
            (Source::Withdrawal(_), _) => ("withdrawal", None, "withdrawal"),
            // v2 lists no category for moves between a customer's own wallets; here it is `instant`.
            (Source::IntoEarn(_), true) => ("transfer", Some("spottostaking"), "instant"),
            (Source::IntoEarn(_), false) => ("transfer", Some("stakingfromspot"), "instant"),
            (Source::OutOfEarn(_), true) => ("transfer", Some("spotfromstaking"), "instant"),
            (Source::OutOfEarn(_), false) => ("transfer", Some("stakingtospot"), "instant"),
            (Source::Reward(_, YieldSource::Staking), _) => ("staking", None, "staking-rewards"),
            (Source::Reward(_, YieldSource::OffChain), _) => ("reward", None, "reward-bonus"),
        }
    }
}

/// An entry of an account's ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its id, which is its offset.
    pub id: LedgerId,
    /// The account.
    pub account: AccountId,
    /// In which wallet.
    pub wallet: Wallet,
    /// The posting.
    pub posting: Posting,
    /// What moved it.
    pub source: Source,
    /// When.
    pub at: Moment,
}

/// The index of the taker's side among a trade's execution items; the maker's is the first.
pub const TAKER_TRADE: u8 = 2;

/// The ledger entries of one side of the trade at `seq`: base, then quote.
pub fn of_fill(seq: Seq, maker: bool) -> [LedgerId; 2] {
    let first = if maker { 2 } else { 0 };
    [first, first + 1].map(|index| LedgerId(seq.offset(index)))
}

/// The entries of the event at `seq`, at most 255, in order of its postings.
pub fn entries(seq: Seq, at: Moment, event: &Event) -> impl Iterator<Item = Entry> + '_ {
    let numbered = (0..u8::MAX).zip(event.postings());
    numbered.filter_map(move |(index, posting)| {
        let Party::Account(account, wallet) = posting.party else { return None };
        let source = source(seq, index, event)?;
        Some(Entry { id: LedgerId(seq.offset(index)), account, wallet, posting: *posting, source, at })
    })
}

fn source(seq: Seq, index: u8, event: &Event) -> Option<Source> {
    Some(match event {
        // The taker's two postings come first.
        Event::Traded(_) if index < 2 => Source::Trade(ExecId(seq.offset(TAKER_TRADE))),
        Event::Traded(_) => Source::Trade(ExecId(seq.offset(0))),
        Event::DepositChanged { deposit, .. } => Source::Deposit(deposit.id),
        Event::WithdrawalChanged { withdrawal, .. } => Source::Withdrawal(withdrawal.id),
        Event::Earned { operation, .. } => match operation.step {
            EarnStep::Bonding(_) | EarnStep::Allocated => Source::IntoEarn(operation.id),
            EarnStep::Rewarded { source, .. } => Source::Reward(operation.id, source),
            EarnStep::ExitQueue(_) | EarnStep::Unbonding(_) | EarnStep::Deallocated => Source::OutOfEarn(operation.id),
        },
        _ => return None,
    })
}
