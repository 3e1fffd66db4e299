//! `pay_earn_reward`: one sum for a strategy, split among the accounts in proportion to what each has earning
//! in it at that moment (rule 36).

use super::earn::{EarnOperation, EarnPayout, EarnStep, Strategy};
use super::event::Event;
use super::fields::{check_name, positive};
use super::ledger::{Movement, Party, Wallet};
use super::reject::{Code, Reject};
use super::reply::Reply;
use super::transition::Transition;
use crate::domain::decimal::Decimal;
use crate::domain::ids::{AccountId, EarnOperationId, StrategyId};
use crate::domain::money::Amount;
use crate::domain::text::ClientId;

/// `pay_earn_reward`: repeating a `client_id` answers the first payout. The whole sum goes from outside into the Earn
/// pool, and its parts leave the pool, which is afterwards as before.
pub fn pay(
    t: &mut Transition<'_>,
    strategy: StrategyId,
    amount: Decimal,
    client_id: ClientId,
) -> Result<Reply, Reject> {
    let state = t.state();
    let strategy = state.earn.find(strategy)?.clone();
    let amount = Amount(positive(amount, state.reference.asset(strategy.asset).decimals, "amount")?);
    check_name("client_id", &client_id)?;
    if let Some(first) = state.earn.payout(client_id) {
        return match first.strategy == strategy.id && first.amount == amount {
            true => Ok(Reply::EarnPaid(Box::new(first.clone()))),
            false => Err(Reject::field(Code::ClientIdNotUnique, "client_id", "it names another payout")),
        };
    }
    if !state.ledger.has_room(strategy.asset, amount) {
        return Err(Reject::invalid("amount", "the venue would hold more of the asset than can be counted; give less"));
    }
    let earning: Vec<(AccountId, Amount)> = state
        .earn
        .holders(strategy.id)
        .map(|(account, position)| (account, position.earning(&strategy, t.now())))
        .collect();
    let parts = split(amount, &earning);
    if parts.is_empty() {
        return Err(Reject::invalid("strategy_id", "nobody has funds earning in it"));
    }
    let payout = EarnPayout {
        id: EarnOperationId(t.next_seq().0),
        strategy: strategy.id,
        asset: strategy.asset,
        amount,
        accounts: parts.len() as u64,
        client_id,
        at: t.now(),
    };
    let postings = Movement::new(&t.state().ledger)
        .post(Party::Outside, strategy.asset, -amount, Amount::ZERO)
        .post(Party::EarnPool, strategy.asset, amount, Amount::ZERO)
        .postings();
    t.emit(Event::EarnPaid { payout: Box::new(payout.clone()), postings });
    for (account, part) in parts {
        reward(t, &strategy, account, part, client_id);
    }
    Ok(Reply::EarnPaid(Box::new(payout)))
}

/// Pays one account's part: added to the allocation, or to spot.
fn reward(t: &mut Transition<'_>, strategy: &Strategy, account: AccountId, amount: Amount, client_id: ClientId) {
    let state = t.state();
    let position = state.earn.position(strategy.id, account);
    let compounded = position.is_some_and(|position| strategy.compounds(position));
    let wallet = if compounded { strategy.lock.wallet() } else { Wallet::Main };
    let operation = EarnOperation {
        id: EarnOperationId(t.next_seq().0),
        organization: state.members.organization_of(account),
        account,
        service_user: None,
        strategy: strategy.id,
        asset: strategy.asset,
        amount,
        step: EarnStep::Rewarded { compounded, source: strategy.yield_source },
        auto_compound: None,
        client_id: Some(client_id),
        at: t.now(),
    };
    let postings = Movement::new(&state.ledger)
        .post(Party::EarnPool, strategy.asset, -amount, Amount::ZERO)
        .post(Party::Account(account, wallet), strategy.asset, amount, Amount::ZERO)
        .postings();
    t.emit(Event::Earned { operation: Box::new(operation), postings });
}

/// Splits a sum exactly, in proportion to the shares. Each part is rounded down; the units left over go one each to the
/// parts that lost most by rounding, among equal ones to the account opened first. Empty parts are left out, so an
/// empty result means that nobody has a share.
fn split(amount: Amount, shares: &[(AccountId, Amount)]) -> Vec<(AccountId, Amount)> {
    let whole: i128 = shares.iter().map(|(_, share)| i128::from(share.0)).sum();
    if whole == 0 {
        return Vec::new();
    }
    let product = |share: Amount| i128::from(amount.0) * i128::from(share.0);
    let mut parts: Vec<i64> = Vec::with_capacity(shares.len());
    for (_, share) in shares {
        // A share is no more than the whole, so its part is no more than the amount.
        parts.push(i64::try_from(product(*share) / whole).unwrap_or(0));
    }
    let left = amount.0 - parts.iter().sum::<i64>();
    let mut by_loss: Vec<usize> = (0..shares.len()).collect();
    by_loss.sort_by_key(|at| std::cmp::Reverse(product(shares[*at].1) % whole));
    for at in by_loss.into_iter().take(usize::try_from(left).unwrap_or(0)) {
        parts[at] += 1;
    }
    let named = shares.iter().zip(parts).map(|((account, _), part)| (*account, Amount(part)));
    named.filter(|(_, part)| *part > Amount::ZERO).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(amount: i64, shares: &[i64]) -> Vec<i64> {
        let shares: Vec<_> = shares.iter().enumerate().map(|(at, of)| (AccountId::at(at), Amount(*of))).collect();
        let split = split(Amount(amount), &shares);
        let of = |account| split.iter().find(|(named, _)| *named == account).map_or(0, |(_, part)| part.0);
        shares.iter().map(|(account, _)| of(*account)).collect()
    }

    #[test]
    fn a_split_is_exact_and_what_is_left_goes_to_who_lost_most() {
        assert_eq!(parts(100, &[1, 1, 2]), [25, 25, 50]);
        assert_eq!(parts(10, &[1, 1, 1]), [4, 3, 3], "of equal losses the first");
        assert_eq!(parts(10, &[1, 3, 3]), [2, 4, 4], "1.43, 4.29, 4.29");
        assert_eq!(parts(1, &[1, 5, 0]), [0, 1, 0]);
        assert_eq!(parts(5, &[0, 0]), [0, 0], "nobody has a share");
        let (most, half) = (i64::MAX, i64::MAX / 2);
        assert_eq!(parts(most, &[most, most]), [half + 1, half], "no overflow at the end of 64 bits");
    }
}
