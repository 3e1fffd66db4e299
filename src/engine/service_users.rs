//! Service Users and venue operators: keys, settings, nonces, and what happens when a key stops.

use serde::{Deserialize, Serialize};

use super::event::Event;
use crate::access::key::KeySettings;
use crate::access::scope::ScopeSet;
use crate::domain::ids::{AccountId, MemberId, OrganizationId, RequestId, ServiceUserId, VenueKeyId};
use crate::domain::time::Moment;

/// Whether a key is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyStatus {
    /// Made, its secret not claimed yet: cannot authenticate (rule 28).
    Unclaimed,
    /// Good.
    Active,
    /// Turned off by a Member; can be turned on again.
    Disabled,
    /// Past its expiration.
    Expired,
    /// Removed for good.
    Removed,
}

/// A Service User as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceUser {
    /// Its number.
    pub id: ServiceUserId,
    /// Where it belongs.
    pub organization: OrganizationId,
    /// The account it acts on (rule 7).
    pub account: AccountId,
    /// Descriptive name, unique in the Organization.
    pub name: String,
    /// The public part of its key.
    pub api_key: String,
    /// The secret, sealed under the master key.
    pub secret_sealed: Vec<u8>,
    /// Goes up with each new secret; a new secret resets the nonce history.
    pub credential: u32,
    /// Whether the key is good.
    pub status: KeyStatus,
    /// What it may ask for.
    pub scopes: ScopeSet,
    /// Its settings.
    pub settings: KeySettings,
    /// The Member who created, last edited, rotated or claimed it; none for keys made at genesis (rule 22).
    pub managers: Vec<MemberId>,
    /// The request that created it, until its secret is claimed.
    pub claim: Option<Claim>,
}

/// Who may still take a created key's secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The request that made the key.
    pub request: RequestId,
    /// Its initiator.
    pub member: MemberId,
    /// Void from here.
    pub until: Moment,
}

/// A venue operator's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VenueKey {
    /// Its number.
    pub id: VenueKeyId,
    /// Descriptive name.
    pub name: String,
    /// The public part.
    pub api_key: String,
    /// The secret, sealed under the master key.
    pub secret_sealed: Vec<u8>,
    /// As for a Service User.
    pub credential: u32,
    /// Expiration, nonce window and address list.
    pub settings: KeySettings,
}

/// Whose nonce history, or whose sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum KeyRef {
    /// A Service User's.
    ServiceUser(ServiceUserId),
    /// A venue operator's.
    Venue(VenueKeyId),
}

/// Why a Service User's record changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServiceUserChange {
    /// Made.
    Created,
    /// Scopes, settings, name or `disabled` edited.
    Edited,
    /// Its secret was claimed.
    Claimed,
    /// Its expiration came.
    Expired,
    /// Its query end date passed.
    QueryEnded,
    /// Removed.
    Removed,
}

/// All keys and their nonce histories.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Keys {}

impl Keys {
    /// Folds an event in.
    pub fn apply(&mut self, _event: &Event) {}
}
