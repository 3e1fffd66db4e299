//! Balances rebuilt from a snapshot and the ledger entries after it, to be compared with a fresh snapshot.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::LoadError;

/// Decimal places kept; no asset has more.
const PLACES: usize = 18;

/// An item of `balances` or `ledger`: in a snapshot it has `wallets`, in an update it is a ledger entry.
#[derive(Debug, Deserialize)]
pub struct Item<'a> {
    /// Position in the stream.
    pub offset: u64,
    #[serde(borrow)]
    asset: Cow<'a, str>,
    #[serde(borrow)]
    r#type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    ref_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    wallets: Option<Vec<Wallet<'a>>>,
    #[serde(borrow)]
    amount: Option<&'a RawValue>,
    #[serde(borrow)]
    fee: Option<&'a RawValue>,
    #[serde(borrow)]
    wallet_type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    wallet_id: Option<Cow<'a, str>>,
}

#[derive(Debug, Deserialize)]
struct Wallet<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    balance: &'a RawValue,
}

impl Item<'_> {
    /// The ledger entry that an update is.
    ///
    /// # Errors
    /// It is none.
    pub fn entry(&self) -> Result<Entry, LoadError> {
        let (Some(amount), Some(kind), Some(id)) = (self.amount, &self.wallet_type, &self.wallet_id) else {
            return Err(LoadError::Protocol(format!("an update for {} is no ledger entry", self.asset)));
        };
        let place = [&self.asset, kind, id].map(|part| part.clone().into_owned());
        let fee = self.fee.map_or(Ok(0), |fee| units(fee.get()))?;
        Ok(Entry { offset: self.offset, place, amount: units(amount.get())?, fee })
    }

    /// The private channel with the cause of a ledger entry, unless that is an order, and the id there.
    pub fn cause(&self) -> Option<(&'static str, &str)> {
        let channel = match self.r#type.as_deref()? {
            "deposit" => "deposits",
            "withdrawal" => "withdrawals",
            "transfer" | "staking" | "reward" => "earn",
            _ => return None,
        };
        Some((channel, self.ref_id.as_deref().unwrap_or_default()))
    }
}

/// Asset, wallet type and wallet id.
type Place = [String; 3];

/// A ledger entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Position in the stream.
    pub offset: u64,
    place: Place,
    amount: i128,
    fee: i128,
}

impl std::fmt::Display for Entry {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { offset, place: [asset, kind, id], amount, fee } = self;
        write!(formatter, "{amount}e-{PLACES} less {fee}e-{PLACES} {asset} in {kind}/{id} at {offset}")
    }
}

/// What is in each wallet, in units of 10^-18.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Balances {
    wallets: BTreeMap<Place, i128>,
}

impl Balances {
    /// Takes a snapshot's item.
    ///
    /// # Errors
    /// A balance that is no decimal number.
    pub fn set(&mut self, item: &Item<'_>) -> Result<(), LoadError> {
        for Wallet { r#type, id, balance } in item.wallets.iter().flatten() {
            let place = [&item.asset, r#type, id].map(|part| part.clone().into_owned());
            self.wallets.insert(place, units(balance.get())?);
        }
        Ok(())
    }

    /// Adds a ledger entry: its amount minus its fee.
    pub fn add(&mut self, entry: &Entry) {
        *self.wallets.entry(entry.place.clone()).or_default() += entry.amount - entry.fee;
    }

    /// Wallets in which the two differ, in words. An empty wallet is the same as none.
    pub fn differences(&self, fresh: &Self) -> Vec<String> {
        let mut places: Vec<&Place> = self.wallets.keys().chain(fresh.wallets.keys()).collect();
        places.sort();
        places.dedup();
        let of = |balances: &Self, place: &Place| balances.wallets.get(place).copied().unwrap_or(0);
        let differ = places.into_iter().filter(|place| of(self, place) != of(fresh, place));
        differ
            .map(|place| {
                let [asset, kind, id] = place;
                let (rebuilt, reported) = (of(self, place), of(fresh, place));
                format!("{asset} in {kind}/{id}: rebuilt {rebuilt}e-{PLACES}, the snapshot says {reported}e-{PLACES}")
            })
            .collect()
    }

    /// How many wallets it knows.
    pub fn len(&self) -> u64 {
        self.wallets.len() as u64
    }

    /// Whether it knows none.
    pub fn is_empty(&self) -> bool {
        self.wallets.is_empty()
    }
}

/// A decimal number of JSON, exactly, in units of 10^-18.
fn units(text: &str) -> Result<i128, LoadError> {
    let refuse = || LoadError::Protocol(format!("{text} is not an amount"));
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() || fraction.len() > PLACES {
        return Err(refuse());
    }
    let padded = format!("{whole}{fraction:0<PLACES$}");
    if !padded.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(refuse());
    }
    let units: i128 = padded.parse().map_err(|_| refuse())?;
    Ok(if negative { -units } else { units })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(text: &str) -> Item<'_> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_snapshot_and_its_deltas_give_the_next_snapshot() {
        let mut rebuilt = Balances::default();
        let before =
            r#"{"asset":"USD","balance":12.5,"wallets":[{"type":"spot","id":"main","balance":12.5}],"offset":9}"#;
        rebuilt.set(&item(before)).unwrap();
        let entry = r#"{"asset":"USD","amount":-9.9969,"fee":0.0400,"balance":2.4631,"wallet_type":"spot","wallet_id":"main","offset":10}"#;
        rebuilt.add(&item(entry).entry().unwrap());
        let mut fresh = Balances::default();
        let after = r#"{"asset":"USD","wallets":[{"type":"spot","id":"main","balance":2.463100}],"offset":11}"#;
        fresh.set(&item(after)).unwrap();
        let empty = r#"{"asset":"BTC","wallets":[{"type":"spot","id":"main","balance":0.0}],"offset":11}"#;
        fresh.set(&item(empty)).unwrap();
        assert_eq!(rebuilt.differences(&fresh), Vec::<String>::new());
        rebuilt.add(&item(entry).entry().unwrap());
        assert_eq!(rebuilt.differences(&fresh).len(), 1, "an entry that came twice");
    }

    #[test]
    fn amounts_are_exact_and_anything_else_is_refused() {
        assert_eq!(units("0.000000000000000001").unwrap(), 1);
        assert_eq!(units("-1000000.0000").unwrap(), -1_000_000_000_000_000_000_000_000);
        for wrong in ["", "-", ".5", "1e5", "\"1\"", "1.2.3", "0.0000000000000000001"] {
            assert!(units(wrong).is_err(), "{wrong}");
        }
    }
}
