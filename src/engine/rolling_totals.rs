//! What each account withdrew of an asset in the last 24 hours, by creation: pending, released or settled (rule 21).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::withdrawals::Withdrawal;
use crate::domain::ids::{AccountId, AssetId, WithdrawalId};
use crate::domain::limits::ROLLING_TOTAL_US;
use crate::domain::money::Amount;
use crate::domain::time::Moment;

/// The withdrawals that may still count, by account and asset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollingTotals(BTreeMap<(AccountId, AssetId), Counted>);

/// Old withdrawals that a new one drops. More than the one that it adds, so that a backlog shrinks; few, so that none
/// pays for all of them.
const DROPPED_PER_WITHDRAWAL: usize = 8;

/// The withdrawals of one account and asset by id, which is the order of their times, and their sums, so that neither a
/// new one nor a total needs a look at all of them. Stored without the sums.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<WithdrawalId, (Moment, Amount)>")]
struct Counted {
    withdrawals: BTreeMap<WithdrawalId, (Moment, Amount)>,
    #[serde(skip_serializing)]
    sums: SumsByTime,
}

impl From<BTreeMap<WithdrawalId, (Moment, Amount)>> for Counted {
    fn from(withdrawals: BTreeMap<WithdrawalId, (Moment, Amount)>) -> Counted {
        let mut sums = SumsByTime::default();
        withdrawals.values().for_each(|(at, amount)| sums.add(*at, i128::from(amount.0)));
        Counted { withdrawals, sums }
    }
}

impl Counted {
    fn insert(&mut self, new: &Withdrawal) {
        self.withdrawals.insert(new.id, (new.created_at, new.amount));
        self.sums.add(new.created_at, i128::from(new.amount.0));
    }

    fn remove(&mut self, id: WithdrawalId) {
        if let Some((at, amount)) = self.withdrawals.remove(&id) {
            self.sums.add(at, -i128::from(amount.0));
        }
    }
}

/// Bits of a time that one level of sums leaves out, beyond those that the level below leaves out.
const LEVEL_BITS: u32 = 8;
/// The highest level: its stretches last 71 minutes, so that a day has few of them.
const LEVEL_MAX: u32 = 4;

/// Sums of amounts over stretches of time, from microseconds up, each 256 of the level below. A total is made of at
/// most 255 stretches of each level, whatever was added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct SumsByTime(BTreeMap<(u32, u64), i128>);

impl SumsByTime {
    fn add(&mut self, at: Moment, amount: i128) {
        for level in 0..=LEVEL_MAX {
            let stretch = (level, at.0 >> (level * LEVEL_BITS));
            let sum = self.0.entry(stretch).or_default();
            *sum += amount;
            if *sum == 0 {
                self.0.remove(&stretch);
            }
        }
    }

    /// The sum of everything at `from` or later.
    fn since(&self, from: Moment) -> i128 {
        let (mut total, mut first) = (0, from.0);
        for level in 0..LEVEL_MAX {
            // Up to where a stretch of the next level begins.
            let end = first.next_multiple_of(1 << LEVEL_BITS);
            total += self.0.range((level, first)..(level, end)).map(|(_, sum)| sum).sum::<i128>();
            first = end >> LEVEL_BITS;
        }
        total + self.0.range((LEVEL_MAX, first)..).map(|(_, sum)| sum).sum::<i128>()
    }
}

impl RollingTotals {
    /// Notes a new withdrawal.
    pub fn add(&mut self, new: &Withdrawal) {
        let counted = self.0.entry((new.account, new.asset)).or_default();
        for _ in 0..DROPPED_PER_WITHDRAWAL {
            let Some((id, (at, _))) = counted.withdrawals.first_key_value() else { break };
            if *at >= first_that_counts(new.created_at) {
                break;
            }
            counted.remove(*id);
        }
        counted.insert(new);
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
        let total = counted.sums.since(first_that_counts(now));
        Amount(i64::try_from(total).unwrap_or(i64::MAX))
    }
}

/// The first time of a withdrawal that counts at `now`.
fn first_that_counts(now: Moment) -> Moment {
    Moment(now.0.checked_sub(ROLLING_TOTAL_US).map_or(0, |expired| expired + 1))
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
    fn sums_by_time_are_exact_from_any_microsecond_on() {
        let mut sums = SumsByTime::default();
        // One a second for two days and more, at uneven microseconds.
        let at = |second: u64| Moment(second * 1_000_000 + second * 7_919 % 1_000_000);
        let seconds = 200_000;
        (0..seconds).for_each(|second| sums.add(at(second), 1));
        for since in (0..=seconds).step_by(997) {
            let later = Moment(at(since).0 + 1);
            assert_eq!(sums.since(at(since)), i128::from(seconds - since), "from {since} on");
            assert_eq!(sums.since(later), i128::from(seconds - (since + 1).min(seconds)), "after {since}");
        }
        let highest = sums.0.range((LEVEL_MAX, 0)..).count();
        assert!(highest < 60, "{highest} at the highest level");
        (0..seconds).for_each(|second| sums.add(at(second), -1));
        assert_eq!(sums, SumsByTime::default());
    }

    #[test]
    fn a_backlog_of_old_ones_shrinks_a_few_at_a_time() {
        let mut totals = RollingTotals::default();
        (1..=100).for_each(|id| totals.add(&withdrawal(id, Moment(id), 1)));
        let later = Moment(2 * ROLLING_TOTAL_US);
        assert_eq!(totals.of(ACCOUNT, ASSET, later), Amount::ZERO);
        let held = |totals: &RollingTotals| totals.0[&(ACCOUNT, ASSET)].withdrawals.len();
        totals.add(&withdrawal(101, later, 5));
        assert_eq!((held(&totals), totals.of(ACCOUNT, ASSET, later)), (93, Amount(5)));
        (102..=115).for_each(|id| totals.add(&withdrawal(id, later, 5)));
        assert_eq!((held(&totals), totals.of(ACCOUNT, ASSET, later)), (15, Amount(75)));
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
