//! What deposits and withdrawals have in common: the engine keeps the open ones; ended ones are in history (rule 40),
//! except each account's last ones, which the snapshot of a channel shows.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;

use serde::{Deserialize, Serialize};

use super::fields::positive;
use super::reject::{Code, Reject};
use super::state::State;
use crate::domain::assets::Asset;
use crate::domain::cursor::Cursor;
use crate::domain::decimal::Decimal;
use crate::domain::ids::{AccountId, AssetId};
use crate::domain::limits::RECENT_TRANSFERS_MAX;
use crate::domain::money::Amount;
use crate::domain::text::AssetCode;
use crate::domain::time::{Moment, Period};

/// A deposit or a withdrawal.
pub trait Transfer: Clone {
    /// How the history tables tell the two apart.
    const KIND: &'static str;

    /// The number in its `refid`: later ones have higher numbers.
    fn id(&self) -> u64;
    /// Whose it is.
    fn account(&self) -> AccountId;
    /// Of which asset.
    fn asset(&self) -> AssetId;
    /// By which method.
    fn method(&self) -> &str;
    /// When it began, which is the time that query dates bound (rule 10).
    fn created_at(&self) -> Moment;
    /// Whether it can still change.
    fn is_open(&self) -> bool;
}

/// Which deposits or withdrawals; `None` admits all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransferFilter {
    /// Of this asset.
    pub asset: Option<AssetCode>,
    /// By this method.
    pub method: Option<String>,
    /// The one with this `refid`.
    pub id: Option<u64>,
    /// Made in this time.
    pub period: Period,
    /// Older than the last one of the previous page.
    pub before: Option<Cursor>,
    /// At most this many, the newest first.
    pub limit: usize,
}

impl TransferFilter {
    /// Whether it admits one; `asset` is the asset that it names.
    pub fn admits(&self, asset: Option<AssetId>, of: &impl Transfer) -> bool {
        asset.is_none_or(|only| only == of.asset())
            && self.method.as_deref().is_none_or(|only| only == of.method())
            && self.id.is_none_or(|only| only == of.id())
            && self.period.holds(of.created_at())
            && self.before.is_none_or(|before| Cursor { at: of.created_at(), id: of.id() } < before)
    }
}

/// All open deposits or withdrawals, and each account's last ended ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfers<T> {
    open: BTreeMap<u64, T>,
    by_account: BTreeMap<AccountId, BTreeSet<u64>>,
    ended: BTreeMap<AccountId, VecDeque<T>>,
}

impl<T> Default for Transfers<T> {
    fn default() -> Transfers<T> {
        Transfers { open: BTreeMap::new(), by_account: BTreeMap::new(), ended: BTreeMap::new() }
    }
}

impl<T: Transfer> Transfers<T> {
    /// Stores its current version, and returns the previous one if it was open.
    pub fn put(&mut self, new: &T) -> Option<T> {
        let open = self.by_account.entry(new.account()).or_default();
        if new.is_open() {
            open.insert(new.id());
            return self.open.insert(new.id(), new.clone());
        }
        open.remove(&new.id());
        let ended = self.ended.entry(new.account()).or_default();
        if ended.len() == RECENT_TRANSFERS_MAX {
            ended.pop_front();
        }
        ended.push_back(new.clone());
        self.open.remove(&new.id())
    }

    /// The open one of that number.
    pub fn get(&self, id: u64) -> Option<&T> {
        self.open.get(&id)
    }

    /// The open ones of an account that a filter admits, newest first, and one more than its limit, to show that more
    /// follow.
    pub fn open(&self, account: AccountId, filter: &TransferFilter, asset: Option<AssetId>) -> Vec<T> {
        // Numbers and times have one order.
        let (first, end) = match (filter.id, filter.before) {
            (Some(id), _) => (id, Bound::Included(id)),
            (None, Some(before)) => (0, Bound::Excluded(before.id)),
            (None, None) => (0, Bound::Unbounded),
        };
        let ids = self.by_account.get(&account).into_iter();
        let ids = ids.flat_map(|ids| ids.range((Bound::Included(first), end)).rev());
        let all = ids.filter_map(|id| self.open.get(id));
        let all = all.take_while(|of| filter.period.from.is_none_or(|from| from <= of.created_at()));
        all.filter(|of| filter.admits(asset, *of)).take(filter.limit + 1).cloned().collect()
    }

    /// How many of an account are open.
    pub fn open_count(&self, account: AccountId) -> usize {
        self.by_account.get(&account).map_or(0, BTreeSet::len)
    }

    /// The snapshot of an account's channel: the open ones and the last ended ones, newest first.
    pub fn recent(&self, account: AccountId) -> Vec<T> {
        let open = self.by_account.get(&account).into_iter().flatten().filter_map(|id| self.open.get(id));
        let mut all: Vec<T> = open.chain(self.ended.get(&account).into_iter().flatten()).cloned().collect();
        all.sort_by_key(|of| std::cmp::Reverse(of.id()));
        all
    }
}

/// The asset that a client names, or v2's text for an unknown one.
pub fn find_asset<'a>(state: &'a State, code: &AssetCode) -> Result<&'a Asset, Reject> {
    state.reference.find_asset(code).map_err(|reject| Reject { code: Code::UnknownFundingAsset, ..reject })
}

/// A positive amount of an asset.
pub fn amount(number: Decimal, asset: &Asset) -> Result<Amount, Reject> {
    let units = positive(number, asset.decimals, "amount");
    units.map(Amount).map_err(|reject| Reject { code: Code::InvalidFundingAmount, ..reject })
}
