//! How fast a Service User may trade: thresholds, decay and open orders by tier (docs.kraken.com, guide
//! `spot-ratelimits`). Which Organization is in which tier is a setting of the server; it decides on refusals only,
//! never on what the journal says.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::domain::ids::OrganizationId;

/// A tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// 60, less 1 a second; 60 open orders a pair.
    Starter,
    /// 125, less 2.34 a second; 80 open orders a pair.
    Intermediate,
    /// 180, less 3.75 a second; 225 open orders a pair.
    #[default]
    Pro,
    /// Nothing is counted; for load tests and market makers.
    Unlimited,
}

/// What a tier admits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// A key's counter of a pair may reach this, in hundredths.
    pub threshold: u64,
    /// The counter falls by this much a second, in hundredths.
    pub decay: u64,
    /// Open orders that an account may have in one pair.
    pub open_orders: usize,
}

impl Tier {
    /// What the tier allows; `None` for no limit.
    pub fn allowance(self) -> Option<Allowance> {
        let (threshold, decay, open_orders) = match self {
            Tier::Starter => (6_000, 100, 60),
            Tier::Intermediate => (12_500, 234, 80),
            Tier::Pro => (18_000, 375, 225),
            Tier::Unlimited => return None,
        };
        Some(Allowance { threshold, decay, open_orders })
    }
}

/// Which Organization is in which tier: the `rates` settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tiers {
    /// The tier of every Organization not named below.
    pub tier: Tier,
    /// The tiers of the Organizations named by id, such as `ORG2`.
    #[serde(deserialize_with = "by_id")]
    pub organizations: BTreeMap<OrganizationId, Tier>,
}

fn by_id<'de, D: Deserializer<'de>>(settings: D) -> Result<BTreeMap<OrganizationId, Tier>, D::Error> {
    let named = BTreeMap::<String, Tier>::deserialize(settings)?;
    let known = |(name, tier): (String, Tier)| match OrganizationId::parse(&name) {
        Some(id) => Ok((id, tier)),
        None => Err(D::Error::custom(format!("{name:?} is not the id of an Organization such as \"ORG2\""))),
    };
    named.into_iter().map(known).collect()
}

impl Tiers {
    /// Everybody in one tier.
    pub fn all(tier: Tier) -> Tiers {
        Tiers { tier, organizations: BTreeMap::new() }
    }

    /// The tier of an Organization.
    pub fn of(&self, organization: OrganizationId) -> Tier {
        self.organizations.get(&organization).copied().unwrap_or(self.tier)
    }
}
