//! Deposits: the pool of addresses, which account has which, and what was deposited to them.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::caller::ServiceCaller;
use super::command::Credit;
use super::event::Event;
use super::fields::check_txid;
use super::ledger::{Movement, Party, Posting, Wallet};
use super::reject::{Code, Reject};
use super::reply::Reply;
use super::transfers::{Transfer, Transfers, amount, find_asset};
use super::transition::Transition;
use crate::domain::ids::{AccountId, AssetId, DepositId, OrganizationId};
use crate::domain::limits::{ACCOUNT_DEPOSIT_ADDRESSES_MAX, DEPOSIT_POOL_LOW};
use crate::domain::money::Amount;
use crate::domain::named::named;
use crate::domain::text::AssetCode;
use crate::domain::time::Moment;

/// A deposit address of the venue operator's pool.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DepositAddress {
    /// The address.
    pub address: String,
    /// Tag or memo.
    pub tag: Option<String>,
}

/// An address that was assigned to an account. Deposits to it are credited for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnAddress {
    /// The address.
    pub address: DepositAddress,
    /// Whether a deposit has come to it.
    pub used: bool,
}

named! {
    /// Where a deposit is.
    pub enum DepositStatus {
        /// Seen, not credited yet.
        Pending = "Pending",
        /// Credited.
        Success = "Success",
        /// It will not be credited.
        Failure = "Failure",
    }
}

/// A deposit as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deposit {
    /// Its `refid`.
    pub id: DepositId,
    /// The Organization.
    pub organization: OrganizationId,
    /// To which account.
    pub account: AccountId,
    /// Of which asset.
    pub asset: AssetId,
    /// The asset's method.
    pub method: String,
    /// The network of the method.
    pub network: String,
    /// What arrived.
    pub amount: Amount,
    /// The address it came to.
    pub address: DepositAddress,
    /// The venue operator's transaction id, its idempotency key.
    pub txid: String,
    /// When it was first reported.
    pub created_at: Moment,
    /// Its status.
    pub status: DepositStatus,
}

impl Transfer for Deposit {
    const KIND: &'static str = "deposit";

    fn id(&self) -> u64 {
        self.id.0
    }

    fn account(&self) -> AccountId {
        self.account
    }

    fn asset(&self) -> AssetId {
        self.asset
    }

    fn method(&self) -> &str {
        &self.method
    }

    fn created_at(&self) -> Moment {
        self.created_at
    }

    fn is_open(&self) -> bool {
        self.status == DepositStatus::Pending
    }
}

/// What was reported under a transaction id, kept for ever: the operator may repeat a report, but not contradict it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ReportedDeposit {
    id: DepositId,
    amount: Amount,
    address: DepositAddress,
    status: DepositStatus,
}

/// The pools, the assigned addresses and the deposits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deposits {
    pools: BTreeMap<AssetId, VecDeque<DepositAddress>>,
    own: BTreeMap<(AccountId, AssetId), Vec<OwnAddress>>,
    /// Every address of every pool, and who got it.
    owners: BTreeMap<(AssetId, DepositAddress), Option<AccountId>>,
    transfers: Transfers<Deposit>,
    reported: BTreeMap<(AssetId, String), ReportedDeposit>,
}

impl Deposits {
    /// Applies an event.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::DepositAddressesAdded { asset, addresses } => {
                self.pools.entry(*asset).or_default().extend(addresses.iter().cloned());
                self.owners.extend(addresses.iter().map(|address| ((*asset, address.clone()), None)));
            }
            Event::DepositAddressAssigned { account, asset, address, .. } => {
                if let Some(pool) = self.pools.get_mut(asset) {
                    pool.pop_front_if(|front| front == address);
                }
                self.owners.insert((*asset, address.clone()), Some(*account));
                let own = OwnAddress { address: address.clone(), used: false };
                self.own.entry((*account, *asset)).or_default().push(own);
            }
            Event::DepositChanged { deposit, .. } => self.changed(deposit),
            _ => {}
        }
    }

    fn changed(&mut self, new: &Deposit) {
        let reported =
            ReportedDeposit { id: new.id, amount: new.amount, address: new.address.clone(), status: new.status };
        self.reported.insert((new.asset, new.txid.clone()), reported);
        let own = self.own.get_mut(&(new.account, new.asset)).into_iter().flatten();
        own.filter(|own| own.address == new.address).for_each(|own| own.used = true);
        self.transfers.put(new);
    }

    /// Whether an address is in the asset's pool or was taken from it.
    pub fn knows(&self, asset: AssetId, address: &DepositAddress) -> bool {
        self.owners.contains_key(&(asset, address.clone()))
    }

    /// Pending deposits, and the snapshot of an account's channel.
    pub fn transfers(&self) -> &Transfers<Deposit> {
        &self.transfers
    }

    /// The pools that hold fewer than [`DEPOSIT_POOL_LOW`] addresses, and how many each has left.
    pub fn low_pools(&self) -> Vec<(AssetId, usize)> {
        let low = self.pools.iter().filter(|(_, pool)| pool.len() < DEPOSIT_POOL_LOW);
        low.map(|(asset, pool)| (*asset, pool.len())).collect()
    }
}

/// `deposit_addresses`: the account's, newest first; takes a new one from the pool if it has none or asks for one.
pub fn addresses(
    t: &mut Transition<'_>,
    caller: ServiceCaller,
    code: &AssetCode,
    method: Option<&str>,
    new: bool,
) -> Result<Reply, Reject> {
    let asset = find_asset(t.state(), code)?;
    if method.is_some_and(|method| method != asset.method) {
        return Err(Reject::invalid("method", "name the asset's method, or leave it out"));
    }
    let asset = asset.id;
    let deposits = &t.state().deposits;
    let mut own = deposits.own.get(&(caller.account, asset)).cloned().unwrap_or_default();
    if new || own.is_empty() {
        if own.len() >= ACCOUNT_DEPOSIT_ADDRESSES_MAX {
            let advice = "use one that the account has; all of them are credited";
            return Err(Reject::field(Code::TooManyAddresses, "new", advice));
        }
        let pool = deposits.pools.get(&asset);
        let address = pool.and_then(VecDeque::front).cloned().ok_or_else(|| {
            Reject::field(Code::NoDepositAddress, "asset", "the pool is empty; ask the venue operator for more")
        })?;
        let left = pool.map_or(0, |pool| u32::try_from(pool.len() - 1).unwrap_or(u32::MAX));
        own.push(OwnAddress { address: address.clone(), used: false });
        t.emit(Event::DepositAddressAssigned { account: caller.account, asset, address, left });
    }
    own.reverse();
    Ok(Reply::DepositAddresses(own))
}

/// `credit_deposit`: reports a deposit, or what became of it. Repeating a report gets the same answer; a result is
/// final.
pub fn credit(t: &mut Transition<'_>, credit: &Credit) -> Result<Reply, Reject> {
    let Credit { asset, address, txid, status, .. } = credit;
    let state = t.state();
    let asset = find_asset(state, asset)?.clone();
    let amount = amount(credit.amount, &asset)?;
    check_txid(txid)?;
    let reported = state.deposits.reported.get(&(asset.id, txid.clone()));
    if let Some(reported) = reported {
        if reported.amount != amount || reported.address != *address {
            return Err(Reject::field(Code::ClientIdNotUnique, "txid", "it was announced with other terms"));
        }
        let repeated = reported.status == *status || *status == DepositStatus::Pending;
        if repeated {
            return Ok(Reply::Deposit { id: reported.id, txid: txid.clone(), status: reported.status });
        }
        if reported.status != DepositStatus::Pending {
            return Err(Reject::field(Code::AlreadyFinished, "txid", "the other result was given before"));
        }
    }
    if amount < asset.deposit_min {
        return Err(Reject::field(Code::InvalidFundingAmount, "amount", "below the asset's least deposit"));
    }
    if *status == DepositStatus::Success && !state.ledger.has_room(asset.id, amount) {
        return Err(Reject::field(
            Code::InvalidFundingAmount,
            "amount",
            "the venue would hold more of the asset than can be counted; give less",
        ));
    }
    let pending = reported.and_then(|reported| state.deposits.transfers.get(reported.id.0)).cloned();
    let deposit = match pending {
        Some(pending) => Deposit { status: *status, ..pending },
        None => {
            let owner = state.deposits.owners.get(&(asset.id, address.clone())).copied().flatten();
            let advice = "name an address that an account was given, with its tag as it was given";
            let account = owner.ok_or_else(|| Reject::field(Code::UnknownReference, "address", advice))?;
            Deposit {
                id: DepositId(t.next_seq().0),
                organization: state.members.organization_of(account),
                account,
                asset: asset.id,
                method: asset.method,
                network: asset.network,
                amount,
                address: address.clone(),
                txid: txid.clone(),
                created_at: t.now(),
                status: *status,
            }
        }
    };
    let reply = Reply::Deposit { id: deposit.id, txid: txid.clone(), status: *status };
    let postings = match status {
        DepositStatus::Success => credited(t, &deposit),
        DepositStatus::Pending | DepositStatus::Failure => Vec::new(),
    };
    t.emit(Event::DepositChanged { deposit: Box::new(deposit), postings });
    Ok(reply)
}

fn credited(t: &Transition<'_>, deposit: &Deposit) -> Vec<Posting> {
    Movement::new(&t.state().ledger)
        .post(Party::Account(deposit.account, Wallet::Main), deposit.asset, deposit.amount, Amount::ZERO)
        .post(Party::Outside, deposit.asset, -deposit.amount, Amount::ZERO)
        .postings()
}
