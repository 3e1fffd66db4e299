//! Deposits: the pool of addresses, who got which, and what was credited.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::admission::units;
use super::caller::ServiceCaller;
use super::event::Event;
use super::ledger::{Movement, Party, Wallet};
use super::query::Reply;
use super::reject::{Code, Reject};
use super::transition::Transition;
use super::venue::checked_name;
use crate::domain::decimal::Decimal;
use crate::domain::ids::{AccountId, AssetId, DepositId, OrganizationId};
use crate::domain::limits::PAGE_MAX;
use crate::domain::money::Amount;
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

/// A credited deposit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deposit {
    /// Its `refid`.
    pub id: DepositId,
    /// Whose.
    pub organization: OrganizationId,
    /// To which account.
    pub account: AccountId,
    /// Of which asset.
    pub asset: AssetId,
    /// What arrived.
    pub amount: Amount,
    /// The address it came to.
    pub address: DepositAddress,
    /// The venue operator's transaction id, its idempotency key.
    pub txid: String,
    /// When it was credited.
    pub at: Moment,
}

/// The pools and what came of them. Deposits are kept for ever: their txid is the operator's idempotency key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deposits {
    pools: BTreeMap<AssetId, VecDeque<DepositAddress>>,
    assigned: BTreeMap<(AccountId, AssetId), Vec<DepositAddress>>,
    /// Every address of every pool, and who got it.
    owners: BTreeMap<(AssetId, DepositAddress), Option<AccountId>>,
    all: BTreeMap<DepositId, Deposit>,
    by_txid: BTreeMap<(AssetId, String), DepositId>,
    by_account: BTreeMap<AccountId, Vec<DepositId>>,
}

impl Deposits {
    /// Folds an event in.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::DepositAddressesAdded { asset, addresses } => {
                self.pools.entry(*asset).or_default().extend(addresses.iter().cloned());
                self.owners.extend(addresses.iter().map(|address| ((*asset, address.clone()), None)));
            }
            Event::DepositAddressAssigned { account, asset, address } => {
                if let Some(pool) = self.pools.get_mut(asset) {
                    pool.retain(|pooled| pooled != address);
                }
                self.owners.insert((*asset, address.clone()), Some(*account));
                self.assigned.entry((*account, *asset)).or_default().push(address.clone());
            }
            Event::Deposited { deposit, .. } => {
                self.by_txid.insert((deposit.asset, deposit.txid.clone()), deposit.id);
                self.by_account.entry(deposit.account).or_default().push(deposit.id);
                self.all.insert(deposit.id, (**deposit).clone());
            }
            _ => {}
        }
    }

    /// Whether an address is in the asset's pool or was taken from it.
    pub fn knows(&self, asset: AssetId, address: &DepositAddress) -> bool {
        self.owners.contains_key(&(asset, address.clone()))
    }

    /// Deposits of an account, newest first, at most a page.
    pub fn of(&self, account: AccountId) -> Vec<Deposit> {
        let ids = self.by_account.get(&account).into_iter().flatten().rev();
        ids.take(PAGE_MAX).filter_map(|id| self.all.get(id).cloned()).collect()
    }
}

/// `deposit_addresses`: the account's, or a new one out of the pool.
pub fn addresses(t: &mut Transition<'_>, caller: ServiceCaller, asset: &AssetCode, new: bool) -> Result<Reply, Reject> {
    let asset = t.state().reference.find_asset(asset)?.id;
    let mut own = t.state().deposits.assigned.get(&(caller.account, asset)).cloned().unwrap_or_default();
    if !new && !own.is_empty() {
        return Ok(Reply::DepositAddresses(own));
    }
    let next = t.state().deposits.pools.get(&asset).and_then(VecDeque::front).cloned();
    let address = next.ok_or_else(|| {
        Reject::field(Code::NoDepositAddress, "asset", "the pool is empty; ask the venue operator for more")
    })?;
    t.emit(Event::DepositAddressAssigned { account: caller.account, asset, address: address.clone() });
    own.push(address);
    Ok(Reply::DepositAddresses(own))
}

/// `credit_deposit`: the same txid again answers the first result.
pub fn credit(
    t: &mut Transition<'_>,
    asset: &AssetCode,
    address: &DepositAddress,
    amount: Decimal,
    txid: &str,
) -> Result<Reply, Reject> {
    let state = t.state();
    let asset = state.reference.find_asset(asset)?.clone();
    let amount = Amount(units(amount, asset.decimals, "amount")?);
    checked_name("txid", txid)?;
    if let Some(first) =
        state.deposits.by_txid.get(&(asset.id, txid.to_owned())).and_then(|id| state.deposits.all.get(id))
    {
        return match first.amount == amount && first.address == *address {
            true => Ok(Reply::Deposit(Box::new(first.clone()))),
            false => Err(Reject::field(Code::ClientIdNotUnique, "txid", "it was credited with other terms")),
        };
    }
    if amount < asset.deposit_min {
        return Err(Reject::field(Code::InvalidFundingAmount, "amount", "below the asset's least deposit"));
    }
    let owner = state.deposits.owners.get(&(asset.id, address.clone())).copied().flatten();
    let account = owner
        .ok_or_else(|| Reject::field(Code::UnknownReference, "address", "name an address that an account was given"))?;
    let deposit = Deposit {
        id: DepositId(t.next_seq().0),
        organization: state.members.organization_of(account),
        account,
        asset: asset.id,
        amount,
        address: address.clone(),
        txid: txid.to_owned(),
        at: t.now(),
    };
    let spot = Party::Account(account, Wallet::Main);
    let postings = Movement::new(&state.ledger)
        .post(spot, asset.id, amount, Amount::ZERO)
        .post(Party::Outside, asset.id, -amount, Amount::ZERO)
        .postings();
    t.emit(Event::Deposited { deposit: Box::new(deposit.clone()), postings });
    Ok(Reply::Deposit(Box::new(deposit)))
}
