//! What each account withdrew of an asset in the last 24 hours, by creation: pending, released or settled (rule 21).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::withdrawals::Withdrawal;
use crate::domain::ids::{AccountId, AssetId, WithdrawalId};
use crate::domain::limits::ROLLING_TOTAL_US;
use crate::domain::money::Amount;
use crate::domain::time::Moment;

/// The withdrawals that still count, by account and asset; older ones are dropped when the next one is added.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollingTotals(BTreeMap<(AccountId, AssetId), BTreeMap<WithdrawalId, (Moment, Amount)>>);

impl RollingTotals {
    /// Notes a new withdrawal.
    pub fn add(&mut self, new: &Withdrawal) {
        let counted = self.0.entry((new.account, new.asset)).or_default();
        counted.retain(|_, (at, _)| counts(*at, new.created_at));
        counted.insert(new.id, (new.created_at, new.amount));
    }

    /// Forgets one that was canceled or could not be paid.
    pub fn remove(&mut self, ended: &Withdrawal) {
        if let Some(counted) = self.0.get_mut(&(ended.account, ended.asset)) {
            counted.remove(&ended.id);
        }
    }

    /// The total at `now`.
    pub fn of(&self, account: AccountId, asset: AssetId, now: Moment) -> Amount {
        let counted = self.0.get(&(account, asset)).into_iter().flatten();
        let recent = counted.filter(|(_, (at, _))| counts(*at, now));
        recent.fold(Amount::ZERO, |sum, (_, (_, amount))| sum.saturating_add(*amount))
    }
}

fn counts(at: Moment, now: Moment) -> bool {
    now < at.plus_us(ROLLING_TOTAL_US)
}
