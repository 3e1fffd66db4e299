//! What each record moves, computed from the records alone: deposits, withdrawals, Earn and its rewards (rules 32, 33,
//! 36, 37). That every movement sums to zero says nothing about who gets it.

use std::collections::BTreeMap;

use countersign::domain::ids::{AccountId, AssetId, DepositId, EarnOperationId, StrategyId};
use countersign::domain::money::Amount;
use countersign::engine::deposits::{Deposit, DepositStatus};
use countersign::engine::earn::{EarnOperation, EarnPayout, EarnStep, LockType};
use countersign::engine::event::Event;
use countersign::engine::ledger::{Party, Wallet};
use countersign::engine::withdrawals::{Withdrawal, WithdrawalStatus};

/// Changes of balances.
type Moves = Vec<(Party, AssetId, i64)>;

#[derive(Default)]
pub struct Money {
    deposits: BTreeMap<DepositId, Deposit>,
    locks: BTreeMap<StrategyId, LockType>,
    operations: BTreeMap<EarnOperationId, EarnOperation>,
    earning: BTreeMap<(StrategyId, AccountId), i64>,
    /// The payout whose parts follow: its amount, and what each account had earning.
    payout: Option<(Amount, BTreeMap<AccountId, i64>)>,
    /// What is left of it.
    pool: i64,
}

impl Money {
    /// Checks what the next event moves. `before` is the earlier form of a withdrawal.
    pub fn see(&mut self, event: &Event, before: Option<&Withdrawal>) {
        let expected = match event {
            Event::DepositChanged { deposit, .. } => self.deposit(deposit),
            Event::WithdrawalChanged { withdrawal, .. } => withdrawn(withdrawal, before),
            Event::Earned { operation, .. } => self.earned(operation),
            Event::EarnPaid { payout, .. } => self.paid(payout),
            Event::StrategyAdded(strategy) => {
                self.locks.insert(strategy.id, strategy.lock);
                return;
            }
            _ => return,
        };
        let sums = |moves: Moves| {
            let mut sums = BTreeMap::new();
            moves.into_iter().for_each(|(party, asset, delta)| *sums.entry((party, asset)).or_default() += delta);
            sums.retain(|_, sum: &mut i64| *sum != 0);
            sums
        };
        let told = event.postings().iter().map(|of| (of.party, of.asset, of.delta.0)).collect();
        assert_eq!(sums(told), sums(expected), "law 2: {event:?} moves something else");
    }

    /// The end of a batch.
    pub fn end(&self) {
        assert_eq!(self.pool, 0, "rule 33: a part of a reward was paid to nobody");
    }

    fn deposit(&mut self, now: &Deposit) -> Moves {
        let before = self.deposits.insert(now.id, now.clone());
        if let Some(before) = before {
            let same = Deposit { status: now.status, ..before.clone() } == *now;
            assert!(same && before.status == DepositStatus::Pending, "rule 36: {before:?} became {now:?}");
        }
        match now.status {
            DepositStatus::Success => both(Party::Outside, main(now.account), now.asset, now.amount.0),
            DepositStatus::Pending | DepositStatus::Failure => Vec::new(),
        }
    }

    fn earned(&mut self, now: &EarnOperation) -> Moves {
        let lock = self.locks[&now.strategy];
        let EarnOperation { account, asset, amount: Amount(amount), .. } = *now;
        let (spot, earn) = (main(account), Party::Account(account, lock.wallet()));
        let before = self.operations.insert(now.id, now.clone());
        if let Some(before) = &before {
            let same = EarnOperation { step: now.step, at: now.at, ..before.clone() } == *now;
            let over = before.step.until().is_some_and(|until| until <= now.at);
            assert!(same && over, "rule 33: {before:?} became {now:?}");
        }
        let earning = self.earning.entry((now.strategy, account)).or_default();
        let moves = match (before.map(|before| before.step), now.step) {
            (None, EarnStep::Bonding(_)) => both(spot, earn, asset, amount),
            (None, EarnStep::Allocated) => {
                *earning += amount;
                both(spot, earn, asset, amount)
            }
            (Some(EarnStep::Bonding(_)), EarnStep::Allocated) => {
                *earning += amount;
                Vec::new()
            }
            (None, EarnStep::ExitQueue(_) | EarnStep::Unbonding(_)) => {
                *earning -= amount;
                Vec::new()
            }
            (None, EarnStep::Deallocated) => {
                *earning -= amount;
                both(earn, spot, asset, amount)
            }
            (Some(EarnStep::ExitQueue(_)), EarnStep::Unbonding(_)) => Vec::new(),
            (Some(EarnStep::ExitQueue(_) | EarnStep::Unbonding(_)), EarnStep::Deallocated) => {
                both(earn, spot, asset, amount)
            }
            (None, EarnStep::Rewarded { compounded, .. }) => {
                *earning += if compounded { amount } else { 0 };
                self.pool -= amount;
                let (whole, shares) = self.payout.as_ref().expect("a payout comes first");
                let all: i128 = shares.values().map(|share| i128::from(*share)).sum();
                let exact = i128::from(whole.0) * i128::from(shares[&account]) / all;
                let fair = (0..=1).contains(&(i128::from(amount) - exact));
                assert!(fair, "rule 33: not the part of {account} of {whole:?} by {shares:?}: {now:?}");
                both(Party::EarnPool, if compounded { earn } else { spot }, asset, amount)
            }
            (before, _) => panic!("rule 33: from {before:?} to {now:?}"),
        };
        assert!(self.earning[&(now.strategy, account)] >= 0, "rule 33: it takes out more than earns: {now:?}");
        moves
    }

    fn paid(&mut self, payout: &EarnPayout) -> Moves {
        let mut shares = BTreeMap::new();
        let earning = self.earning.iter().filter(|((strategy, _), _)| *strategy == payout.strategy);
        earning.for_each(|((_, account), earning)| *shares.entry(*account).or_default() += earning);
        for of in self.operations.values().filter(|of| of.strategy == payout.strategy) {
            // What is bonded by now earns, even if no tick has told so.
            if matches!(of.step, EarnStep::Bonding(until) if until <= payout.at) {
                *shares.entry(of.account).or_default() += of.amount.0;
            }
        }
        self.payout = Some((payout.amount, shares));
        self.pool += payout.amount.0;
        both(Party::Outside, Party::EarnPool, payout.asset, payout.amount.0)
    }
}

fn main(account: AccountId) -> Party {
    Party::Account(account, Wallet::Main)
}

fn both(from: Party, to: Party, asset: AssetId, amount: i64) -> Moves {
    vec![(from, asset, -amount), (to, asset, amount)]
}

/// What a withdrawal moves on its way, and that nothing of it changes but its state.
fn withdrawn(now: &Withdrawal, before: Option<&Withdrawal>) -> Moves {
    let Withdrawal { amount: Amount(amount), fee: Amount(fee), asset, status, .. } = *now;
    if let Some(before) = before {
        let Withdrawal { reason, txid, held, .. } = now.clone();
        let same = Withdrawal { status, reason, txid, held, ..before.clone() } == *now;
        assert!(same, "rule 25: other terms than were asked for: {before:?} became {now:?}");
    }
    let held = if status == WithdrawalStatus::Initial { amount } else { 0 };
    assert_eq!(now.held, Amount(held), "rule 31: {now:?}");
    let customer = main(now.account);
    let pay = |from, to, amount| both(from, to, asset, amount);
    match status {
        WithdrawalStatus::Initial | WithdrawalStatus::Canceled => Vec::new(),
        WithdrawalStatus::Pending => {
            [pay(customer, Party::InTransit, amount - fee), pay(customer, Party::Fees, fee)].concat()
        }
        WithdrawalStatus::Success => pay(Party::InTransit, Party::Outside, amount - fee),
        WithdrawalStatus::Returned => {
            [pay(Party::InTransit, customer, amount - fee), pay(Party::Fees, customer, fee)].concat()
        }
    }
}
