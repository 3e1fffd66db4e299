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
pub struct RollingTotals(BTreeMap<(AccountId, AssetId), Counted>);

/// The withdrawals of one account and asset by id, which is the order of their times, and their sum, so that neither a
/// new one nor the total needs a look at all of them. Stored without the sum.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<WithdrawalId, (Moment, Amount)>")]
struct Counted {
    withdrawals: BTreeMap<WithdrawalId, (Moment, Amount)>,
    #[serde(skip_serializing)]
    sum: i128,
}

impl From<BTreeMap<WithdrawalId, (Moment, Amount)>> for Counted {
    fn from(withdrawals: BTreeMap<WithdrawalId, (Moment, Amount)>) -> Counted {
        let sum = withdrawals.values().map(|(_, amount)| i128::from(amount.0)).sum();
        Counted { withdrawals, sum }
    }
}

impl Counted {
    fn remove(&mut self, id: WithdrawalId) {
        if let Some((_, amount)) = self.withdrawals.remove(&id) {
            self.sum -= i128::from(amount.0);
        }
    }

    /// Those that are too old at `now`, the oldest first.
    fn expired(&self, now: Moment) -> impl Iterator<Item = (WithdrawalId, Amount)> {
        let expired = self.withdrawals.iter().take_while(move |(_, (at, _))| now >= at.plus_us(ROLLING_TOTAL_US));
        expired.map(|(id, (_, amount))| (*id, *amount))
    }
}

impl RollingTotals {
    /// Notes a new withdrawal.
    pub fn add(&mut self, new: &Withdrawal) {
        let counted = self.0.entry((new.account, new.asset)).or_default();
        let expired: Vec<WithdrawalId> = counted.expired(new.created_at).map(|(id, _)| id).collect();
        expired.into_iter().for_each(|id| counted.remove(id));
        counted.withdrawals.insert(new.id, (new.created_at, new.amount));
        counted.sum += i128::from(new.amount.0);
    }

    /// Forgets one that was canceled or could not be paid.
    pub fn remove(&mut self, ended: &Withdrawal) {
        if let Some(counted) = self.0.get_mut(&(ended.account, ended.asset)) {
            counted.remove(ended.id);
        }
    }

    /// The total at `now`.
    pub fn of(&self, account: AccountId, asset: AssetId, now: Moment) -> Amount {
        let Some(counted) = self.0.get(&(account, asset)) else { return Amount::ZERO };
        let expired: i128 = counted.expired(now).map(|(_, amount)| i128::from(amount.0)).sum();
        Amount(i64::try_from(counted.sum - expired).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::OrganizationId;
    use crate::engine::withdrawals::{WithdrawalAddress, WithdrawalStatus};

    const ACCOUNT: AccountId = AccountId(1);
    const ASSET: AssetId = AssetId(1);

    fn withdrawal(id: u64, created_at: Moment, amount: i64) -> Withdrawal {
        let nowhere =
            WithdrawalAddress { key: String::new(), method: String::new(), address: String::new(), tag: None };
        Withdrawal {
            id: WithdrawalId(id),
            organization: OrganizationId(1),
            account: ACCOUNT,
            service_user: None,
            asset: ASSET,
            amount: Amount(amount),
            fee: Amount::ZERO,
            address: nowhere,
            network: String::new(),
            client_id: None,
            request: None,
            created_at,
            status: WithdrawalStatus::Initial,
            reason: None,
            txid: None,
            held: Amount::ZERO,
        }
    }

    #[test]
    fn rule_21_the_total_is_the_sum_of_what_counts_whenever_it_is_asked_for() {
        let (mut totals, mut all) = (RollingTotals::default(), BTreeMap::new());
        let mut now = Moment(ROLLING_TOTAL_US);
        for id in 1..400 {
            now = now.plus_us(id * id % 11 * ROLLING_TOTAL_US / 40);
            let new = withdrawal(id, now, i64::try_from(id).unwrap());
            totals.add(&new);
            all.insert(id, new);
            if id % 3 == 0
                && let Some(ended) = all.remove(&(id - id % 5))
            {
                totals.remove(&ended);
            }
            if id % 7 == 0 {
                let bytes = postcard::to_allocvec(&totals).unwrap();
                totals = postcard::from_bytes(&bytes).unwrap();
            }
            for later in [0, ROLLING_TOTAL_US / 40, ROLLING_TOTAL_US - 1, ROLLING_TOTAL_US] {
                let at = now.plus_us(later);
                let counted = all.values().filter(|one| at < one.created_at.plus_us(ROLLING_TOTAL_US));
                let expected: i64 = counted.map(|one| one.amount.0).sum();
                assert_eq!(totals.of(ACCOUNT, ASSET, at), Amount(expected), "after {id}, {later} later");
            }
        }
    }

    #[test]
    fn a_total_beyond_64_bits_is_the_highest_amount() {
        let mut totals = RollingTotals::default();
        (1..=2).for_each(|id| totals.add(&withdrawal(id, Moment(0), i64::MAX)));
        assert_eq!(totals.of(ACCOUNT, ASSET, Moment(0)), Amount(i64::MAX));
        totals.remove(&withdrawal(1, Moment(0), i64::MAX));
        totals.remove(&withdrawal(2, Moment(0), i64::MAX));
        assert_eq!(totals.of(ACCOUNT, ASSET, Moment(0)), Amount::ZERO);
    }
}
