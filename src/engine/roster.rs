//! Members and Service Users: each by number, and those of each Organization.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::domain::ids::OrganizationId;

/// What a [`Roster`] lists. Nothing in it moves to another Organization.
pub trait Listed {
    /// Its place by number, counted from 0.
    fn index(&self) -> usize;
    /// Where it belongs.
    fn organization(&self) -> OrganizationId;
}

/// The current records of one kind, removed ones included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roster<T> {
    all: Vec<T>,
    by_organization: BTreeMap<OrganizationId, Vec<usize>>,
}

impl<T> Default for Roster<T> {
    fn default() -> Roster<T> {
        Roster { all: Vec::new(), by_organization: BTreeMap::new() }
    }
}

impl<T: Listed> Roster<T> {
    /// Stores the current version of a record and returns the one before; a new record's number must be the next.
    pub fn put(&mut self, record: T) -> Option<T> {
        if let Some(old) = self.all.get_mut(record.index()) {
            return Some(std::mem::replace(old, record));
        }
        self.by_organization.entry(record.organization()).or_default().push(self.all.len());
        self.all.push(record);
        None
    }

    /// Every record, by number.
    pub fn all(&self) -> &[T] {
        &self.all
    }

    /// The record at this place.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.all.get_mut(index)
    }

    /// The records that an Organization has or had, by number.
    pub fn of(&self, organization: OrganizationId) -> impl Iterator<Item = &T> {
        self.by_organization.get(&organization).into_iter().flatten().map(|index| &self.all[*index])
    }
}

/// Stored as just the list of records.
impl<T: Serialize> Serialize for Roster<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.all.serialize(serializer)
    }
}

impl<'de, T: Listed + Deserialize<'de>> Deserialize<'de> for Roster<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Roster<T>, D::Error> {
        let mut roster = Roster::default();
        for record in Vec::<T>::deserialize(deserializer)? {
            if record.index() != roster.all.len() {
                return Err(serde::de::Error::custom("a record out of order"));
            }
            roster.put(record);
        }
        Ok(roster)
    }
}
