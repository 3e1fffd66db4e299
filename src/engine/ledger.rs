//! The double-entry ledger: who owns how much of what. Every movement is a set of postings that sums to
//! zero per asset; holds are numbers beside the wallet (rule 31).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::query::Balance;
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
    /// A customer's wallet; never negative.
    Account(AccountId, Wallet),
    /// The outside world; its balance is minus what customers brought in.
    Outside,
    /// Withdrawals that custody was given and has not settled.
    InTransit,
    /// Fees earned by the venue.
    Fees,
    /// What pays Earn rewards.
    EarnPool,
}

/// One line of a movement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posting {
    /// The party.
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

/// The wallets of one account in one asset, and what is held of its spot wallet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Wallets {
    main: Amount,
    flex: Amount,
    bonded: Amount,
    held: Amount,
}

impl Wallets {
    fn wallet(&mut self, wallet: Wallet) -> &mut Amount {
        match wallet {
            Wallet::Main => &mut self.main,
            Wallet::Flex => &mut self.flex,
            Wallet::Bonded => &mut self.bonded,
        }
    }

    fn total(&self) -> Amount {
        self.main.saturating_add(self.flex).saturating_add(self.bonded)
    }

    fn sound(&self) -> bool {
        self.flex.0 >= 0 && self.bonded.0 >= 0 && self.held.0 >= 0 && self.main >= self.held
    }
}

/// All balances: customers' by account and asset, counter-accounts' by party and asset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    accounts: Vec<Vec<Wallets>>,
    counters: BTreeMap<(Party, AssetId), Amount>,
}

impl Ledger {
    /// Whether this much more may come in from outside. The outside world's balance is minus the sum of all others, so
    /// these stay within range as long as it does.
    pub fn has_room(&self, asset: AssetId, amount: Amount) -> bool {
        amount.checked_sub(self.counter(Party::Outside, asset)).is_some()
    }

    /// Applies a movement. Sums saturate rather than wrap; whoever brings funds in checks [room](Ledger::has_room)
    /// first, so that none does.
    pub fn post(&mut self, postings: &[Posting]) {
        for posting in postings {
            let balance = match posting.party {
                Party::Account(account, wallet) => self.wallets_mut(account, posting.asset).wallet(wallet),
                counter => self.counters.entry((counter, posting.asset)).or_default(),
            };
            *balance = balance.saturating_add(posting.delta);
        }
    }

    /// Which law the movement just applied broke, if any: it must sum to zero per asset, leave no balance negative and
    /// no hold above the spot wallet, and carry the resulting balances.
    pub fn breach(&self, postings: &[Posting]) -> Option<String> {
        for (at, posting) in postings.iter().enumerate() {
            let of_asset = postings.iter().filter(|other| other.asset == posting.asset);
            if of_asset.map(|other| i128::from(other.delta.0)).sum::<i128>() != 0 {
                return Some(format!("the postings of {} do not sum to zero", posting.asset));
            }
            let Party::Account(account, _) = posting.party else { continue };
            let wallets = self.wallets(account, posting.asset);
            if !wallets.sound() {
                return Some(format!("{account} is overdrawn in {}", posting.asset));
            }
            let mut later = postings[at + 1..].iter();
            let last = !later.any(|other| owner(other) == Some(account) && other.asset == posting.asset);
            if last && wallets.total() != posting.balance {
                return Some(format!("{account} is told a wrong balance of {}", posting.asset));
            }
        }
        None
    }

    /// Whether every money law holds over all balances; the text names the first that does not.
    pub fn check(&self) -> Result<(), String> {
        let mut sums = BTreeMap::<AssetId, i128>::new();
        for (account, assets) in self.accounts.iter().enumerate() {
            for (asset, wallets) in assets.iter().enumerate() {
                if !wallets.sound() {
                    return Err(format!("{} is overdrawn in {}", AccountId::at(account), AssetId::at(asset)));
                }
                *sums.entry(AssetId::at(asset)).or_default() += i128::from(wallets.total().0);
            }
        }
        for ((_, asset), amount) in &self.counters {
            *sums.entry(*asset).or_default() += i128::from(amount.0);
        }
        match sums.into_iter().find(|(_, sum)| *sum != 0) {
            Some((asset, sum)) => Err(format!("{asset} sums to {sum} units instead of zero")),
            None => Ok(()),
        }
    }

    /// What may be spent or held: spot minus holds.
    pub fn available(&self, account: AccountId, asset: AssetId) -> Amount {
        let wallets = self.wallets(account, asset);
        Amount(wallets.main.0 - wallets.held.0)
    }

    /// What is held of spot.
    pub fn held(&self, account: AccountId, asset: AssetId) -> Amount {
        self.wallets(account, asset).held
    }

    /// A wallet's balance.
    pub fn balance(&self, account: AccountId, asset: AssetId, wallet: Wallet) -> Amount {
        *self.wallets(account, asset).wallet(wallet)
    }

    /// The account's total of an asset over its wallets.
    pub fn total(&self, account: AccountId, asset: AssetId) -> Amount {
        self.wallets(account, asset).total()
    }

    /// A counter-account's balance.
    pub fn counter(&self, party: Party, asset: AssetId) -> Amount {
        self.counters.get(&(party, asset)).copied().unwrap_or_default()
    }

    /// Every asset of which the account has or holds something.
    pub fn balances(&self, account: AccountId) -> Vec<Balance> {
        let assets = self.accounts.get(account.index()).map(Vec::as_slice).unwrap_or_default();
        let used = assets.iter().enumerate().filter(|(_, wallets)| **wallets != Wallets::default());
        used.map(|(asset, wallets)| Balance {
            asset: AssetId::at(asset),
            wallets: [(Wallet::Main, wallets.main), (Wallet::Flex, wallets.flex), (Wallet::Bonded, wallets.bonded)],
            held: wallets.held,
        })
        .collect()
    }

    /// Changes what is held; part of applying the event that says so.
    pub fn hold(&mut self, account: AccountId, asset: AssetId, delta: Amount) {
        let held = &mut self.wallets_mut(account, asset).held;
        *held = held.saturating_add(delta);
    }

    fn wallets(&self, account: AccountId, asset: AssetId) -> Wallets {
        let assets = self.accounts.get(account.index());
        assets.and_then(|assets| assets.get(asset.index())).copied().unwrap_or_default()
    }

    fn wallets_mut(&mut self, account: AccountId, asset: AssetId) -> &mut Wallets {
        let (row, column) = (account.index(), asset.index());
        if self.accounts.len() <= row {
            self.accounts.resize_with(row + 1, Vec::new);
        }
        let assets = &mut self.accounts[row];
        if assets.len() <= column {
            assets.resize(column + 1, Wallets::default());
        }
        &mut assets[column]
    }
}

fn owner(posting: &Posting) -> Option<AccountId> {
    match posting.party {
        Party::Account(account, _) => Some(account),
        Party::Outside | Party::InTransit | Party::Fees | Party::EarnPool => None,
    }
}

/// Builds the postings of one movement, with each customer's balance after it.
#[derive(Debug)]
pub struct Movement<'a> {
    ledger: &'a Ledger,
    postings: Vec<Posting>,
}

impl<'a> Movement<'a> {
    /// A movement on top of the balances in `ledger`.
    pub fn new(ledger: &'a Ledger) -> Movement<'a> {
        Movement { ledger, postings: Vec::with_capacity(5) }
    }

    /// Adds a posting; `fee` is the fee part of `delta`.
    pub fn post(mut self, party: Party, asset: AssetId, delta: Amount, fee: Amount) -> Movement<'a> {
        let mut posting = Posting { party, asset, delta, fee, balance: Amount::ZERO };
        if let Some(account) = owner(&posting) {
            let earlier = self.postings.iter().filter(|other| owner(other) == Some(account) && other.asset == asset);
            let moved = earlier.fold(delta, |sum, other| sum.saturating_add(other.delta));
            posting.balance = self.ledger.total(account, asset).saturating_add(moved);
        }
        self.postings.push(posting);
        self
    }

    /// The lines.
    pub fn postings(self) -> Vec<Posting> {
        self.postings
    }
}
