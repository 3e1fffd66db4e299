//! What each record moves, computed from the records alone: deposits, withdrawals, Earn and its rewards (rules 26, 32,
//! 33, 36, 37). That every movement sums to zero says nothing about who gets it.

use std::collections::BTreeMap;

use countersign::access::principal::Actor;
use countersign::domain::ids::{AccountId, AssetId, DepositId, EarnOperationId, OrganizationId, StrategyId};
use countersign::domain::money::Amount;
use countersign::domain::time::Moment;
use countersign::engine::deposits::{Deposit, DepositAddress, DepositStatus};
use countersign::engine::earn::{EarnOperation, EarnPayout, EarnStep, LockType};
use countersign::engine::event::Event;
use countersign::engine::ledger::{Party, Wallet};
use countersign::engine::state::State;
use countersign::engine::withdrawals::{Withdrawal, WithdrawalAddress, WithdrawalStatus};
use countersign::sequencer::Stamped;

/// Changes of balances.
type Moves = Vec<(Party, AssetId, i64)>;

#[derive(Default)]
pub struct Money {
    /// Whose deposits an address is for.
    owners: BTreeMap<(AssetId, DepositAddress), AccountId>,
    deposits: BTreeMap<DepositId, Deposit>,
    /// Of a withdrawal.
    fees: BTreeMap<AssetId, Amount>,
    /// Where funds may go by name, and from when.
    addresses: BTreeMap<(OrganizationId, AssetId, String), (WithdrawalAddress, Moment)>,
    strategies: BTreeMap<StrategyId, (LockType, AssetId)>,
    operations: BTreeMap<EarnOperationId, EarnOperation>,
    earning: BTreeMap<(StrategyId, AccountId), i64>,
    /// The payout whose parts follow: its amount, and what each account had earning.
    payout: Option<(Amount, BTreeMap<AccountId, i64>)>,
    /// What is left of it.
    pool: i64,
}

impl Money {
    /// Checks what the next event moves. `before` is the earlier form of a withdrawal.
    pub fn see(&mut self, stamped: &Stamped, before: Option<&Withdrawal>) {
        let event = &stamped.event;
        let expected = match event {
            Event::DepositChanged { deposit, .. } => self.deposit(deposit, stamped.by),
            Event::WithdrawalChanged { withdrawal, .. } => self.withdrawn(withdrawal, before, stamped.at),
            Event::Earned { operation, .. } => self.earned(operation),
            Event::EarnPaid { payout, .. } => self.paid(payout),
            _ => return self.learn(event),
        };
        let sums = |moves: Moves| {
            let mut sums = BTreeMap::new();
            moves.into_iter().for_each(|(party, asset, delta)| *sums.entry((party, asset)).or_default() += delta);
            without_zeros(sums)
        };
        let told = event.postings().iter().map(|of| (of.party, of.asset, of.delta.0)).collect();
        assert_eq!(sums(told), sums(expected), "law 2: {event:?} moves something else");
    }

    /// The end of a batch.
    pub fn end(&self) {
        assert_eq!(self.pool, 0, "rule 33: a part of a reward was paid to nobody");
    }

    fn learn(&mut self, event: &Event) {
        match event {
            Event::AssetAdded(asset) => drop(self.fees.insert(asset.id, asset.withdrawal_fee)),
            Event::StrategyAdded(of) => drop(self.strategies.insert(of.id, (of.lock, of.asset))),
            Event::DepositAddressAssigned { account, asset, address, .. } => {
                let other = self.owners.insert((*asset, address.clone()), *account);
                assert_eq!(other, None, "rule 36: an address for two: {event:?}");
            }
            Event::AddressAdded { organization, asset, address, usable_at } => {
                let name = (*organization, *asset, address.key.clone());
                self.addresses.insert(name, (address.clone(), *usable_at));
            }
            Event::AddressRemoved { organization, asset, key } => {
                self.addresses.remove(&(*organization, *asset, key.clone()));
            }
            _ => {}
        }
    }

    /// Compares what each account has in Earn with the wallets kept in `balances` and with the engine's positions.
    pub fn compare(&self, balances: &BTreeMap<(Party, AssetId), i64>, state: &State) {
        let mut wallets = BTreeMap::<(Party, AssetId), i64>::new();
        let mut add = |strategy: &StrategyId, account: AccountId, amount: i64| {
            let (lock, asset) = self.strategies[strategy];
            *wallets.entry((Party::Account(account, lock.wallet()), asset)).or_default() += amount;
        };
        for ((strategy, account), earning) in &self.earning {
            add(strategy, *account, *earning);
            let there = state.earn.position(*strategy, *account).map_or(Amount::ZERO, |of| of.allocated);
            assert_eq!(there, Amount(*earning), "rule 33: what {account} has earning in {strategy:?}");
        }
        let under_way = self.operations.values().filter(|of| of.step.until().is_some());
        under_way.for_each(|of| add(&of.strategy, of.account, of.amount.0));
        let of_earn =
            balances.iter().filter(|((party, _), _)| matches!(party, Party::Account(_, Wallet::Flex | Wallet::Bonded)));
        let told = of_earn.map(|(wallet, balance)| (*wallet, *balance)).collect();
        assert_eq!(without_zeros(told), without_zeros(wallets), "rule 33: wallets and what is in Earn");
    }

    fn deposit(&mut self, now: &Deposit, by: Actor) -> Moves {
        let owner = self.owners.get(&(now.asset, now.address.clone()));
        // Genesis has deposits of its own, to an address that is nobody's.
        let is_theirs = owner == Some(&now.account) || by == Actor::Server;
        assert!(is_theirs, "rule 36: not to {owner:?}, whose address it is: {now:?}");
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
        let (lock, asset) = self.strategies[&now.strategy];
        let EarnOperation { account, amount: Amount(amount), .. } = *now;
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

    /// What a withdrawal moves on its way, and that nothing of it changes but its state.
    fn withdrawn(&self, now: &Withdrawal, before: Option<&Withdrawal>, at: Moment) -> Moves {
        let Withdrawal { amount: Amount(amount), fee: Amount(fee), asset, status, .. } = *now;
        if let Some(before) = before {
            let Withdrawal { reason, txid, held, .. } = now.clone();
            let same = Withdrawal { status, reason, txid, held, ..before.clone() } == *now;
            assert!(same, "rule 25: other terms than were asked for: {before:?} became {now:?}");
        }
        assert_eq!(now.fee, self.fees[&asset], "rule 32: {now:?}");
        if matches!(status, WithdrawalStatus::Initial | WithdrawalStatus::Pending) {
            let listed = self.addresses.get(&(now.organization, asset, now.address.key.clone()));
            let there = listed.is_some_and(|(address, usable_at)| *address == now.address && *usable_at <= at);
            assert!(there, "rule 26: to an address that may not be used: {listed:?}, {now:?}");
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
}

fn without_zeros(mut sums: BTreeMap<(Party, AssetId), i64>) -> BTreeMap<(Party, AssetId), i64> {
    sums.retain(|_, sum| *sum != 0);
    sums
}

fn main(account: AccountId) -> Party {
    Party::Account(account, Wallet::Main)
}

fn both(from: Party, to: Party, asset: AssetId, amount: i64) -> Moves {
    vec![(from, asset, -amount), (to, asset, amount)]
}
