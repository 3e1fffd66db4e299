//! Every Member by number, and the Members of each Organization.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::members::Member;
use crate::domain::ids::{MemberId, OrganizationId};

/// All Members. Nobody moves to another Organization.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster {
    all: Vec<Member>,
    by_organization: BTreeMap<OrganizationId, Vec<MemberId>>,
}

impl Roster {
    /// Stores a Member's current record; a new Member's number must be the next.
    pub fn put(&mut self, member: Member) {
        match self.all.get_mut(member.id.index()) {
            Some(old) => *old = member,
            None => {
                let of = self.by_organization.entry(member.organization).or_default();
                of.push(MemberId::at(self.all.len()));
                self.all.push(member);
            }
        }
    }

    /// Every Member, by number.
    pub fn all(&self) -> &[Member] {
        &self.all
    }

    /// A Member's record.
    pub fn get_mut(&mut self, id: MemberId) -> Option<&mut Member> {
        self.all.get_mut(id.index())
    }

    /// The Members that an Organization has or had, by number.
    pub fn of(&self, organization: OrganizationId) -> impl Iterator<Item = &Member> {
        self.by_organization.get(&organization).into_iter().flatten().map(|id| &self.all[id.index()])
    }
}

/// Stored as just the list of Members.
impl Serialize for Roster {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.all.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Roster {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Roster, D::Error> {
        let mut roster = Roster::default();
        for member in Vec::<Member>::deserialize(deserializer)? {
            if member.id.index() != roster.all.len() {
                return Err(serde::de::Error::custom("a Member out of order"));
            }
            roster.put(member);
        }
        Ok(roster)
    }
}
