//! Service Users and venue operators: keys, settings, nonces, and what happens when a key stops.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::approvals::InitiatorId;
use super::caller::{Caller, ServiceCaller};
use super::event::Event;
use super::members::Members;
use super::nonces::Nonces;
use super::reject::{Code, Reject};
use super::reply::{Bound, Reply};
use super::state::State;
use super::transition::Transition;
use super::{decisions, trading};
use crate::access::key::{KeySettings, OnStop};
use crate::access::principal::{Actor, Credential, Principal};
use crate::access::scope::{Scope, ScopeSet};
use crate::domain::ids::{AccountId, MemberId, OrderId, OrganizationId, RequestId, ServiceUserId, VenueKeyId};
use crate::domain::named::named;
use crate::domain::orders::CancelReason;
use crate::domain::time::Moment;

named! {
    /// The status of a key.
    pub enum KeyStatus {
        /// Made, its secret not claimed yet: cannot authenticate (rule 28).
        Unclaimed = "unclaimed",
        /// Good.
        Active = "active",
        /// Turned off by a Member; can be turned on again.
        Disabled = "disabled",
        /// Past its expiration.
        Expired = "expired",
        /// Removed for good.
        Removed = "removed",
    }
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
    /// Increases with each new secret; a new secret resets the nonce history.
    pub credential: u32,
    /// Whether the key is good.
    pub status: KeyStatus,
    /// What it may ask for.
    pub scopes: ScopeSet,
    /// Its settings.
    pub settings: KeySettings,
    /// The Members who created, rotated or claimed it, removed ones too; none for keys made at genesis (rule 22).
    pub managers: Vec<MemberId>,
    /// The Member who edited it last.
    pub editor: Option<MemberId>,
    /// Who may still take the secret of its first key, or of `rotation`.
    pub claim: Option<SecretClaim>,
    /// The key that replaces this one once it is claimed.
    pub rotation: Option<Rotation>,
    /// The key before, still valid for a while beside the present one.
    pub retiring: Option<PreviousKey>,
    /// Whether its query end date has passed (rule 10).
    pub query_ended: bool,
}

/// A generated key whose secret nobody has yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    /// The public part.
    pub api_key: String,
    /// The secret, sealed under the master key.
    pub secret_sealed: Vec<u8>,
    /// How long the present key stays good beside it, in seconds.
    pub overlap_s: u64,
}

/// A key that has a successor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviousKey {
    /// The public part.
    pub api_key: String,
    /// The secret, sealed under the master key.
    pub secret_sealed: Vec<u8>,
    /// Its version.
    pub credential: u32,
    /// Good until here.
    pub until: Moment,
}

/// Who may still take a created key's secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretClaim {
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
    /// Whether it has expired.
    pub expired: bool,
}

/// A key, as the owner of a nonce history or of sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum KeyRef {
    /// A Service User's.
    ServiceUser(ServiceUserId),
    /// A venue operator's.
    Venue(VenueKeyId),
}

impl KeyRef {
    /// The actor that uses it.
    pub fn actor(self) -> Actor {
        match self {
            KeyRef::ServiceUser(id) => Actor::ServiceUser(id),
            KeyRef::Venue(id) => Actor::Venue(id),
        }
    }
}

/// Why a Service User's record changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServiceUserChange {
    /// Made.
    Created,
    /// Scopes, settings, name or `disabled` edited.
    Edited,
    /// A successor of its key was generated, or replaced it.
    Rotated,
    /// The key before the present one is no longer good.
    Retired,
    /// A secret was claimed.
    Claimed,
    /// Its expiration came.
    Expired,
    /// Its query end date passed.
    QueryEnded,
    /// Removed.
    Removed,
}

/// All keys and their nonce histories.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keys {
    service_users: Vec<ServiceUser>,
    venue_keys: Vec<VenueKey>,
    by_api_key: BTreeMap<String, KeyRef>,
    /// By key and version of its credential: a new secret starts without nonces (rule 2).
    nonces: BTreeMap<(KeyRef, u32), Nonces>,
    last_seen: BTreeMap<KeyRef, Moment>,
}

impl Keys {
    /// Folds an event in.
    pub fn apply(&mut self, at: Moment, event: &Event) {
        match event {
            Event::VenueKeyChanged(key) => {
                self.by_api_key.insert(key.api_key.clone(), KeyRef::Venue(key.id));
                put(&mut self.venue_keys, key.id.index(), key.clone());
            }
            Event::ServiceUserChanged { service_user, .. } => {
                let (id, new) = (service_user.id, (**service_user).clone());
                self.by_api_key.insert(new.api_key.clone(), KeyRef::ServiceUser(id));
                if let Some(rotation) = &new.rotation {
                    self.by_api_key.insert(rotation.api_key.clone(), KeyRef::ServiceUser(id));
                }
                put(&mut self.service_users, id.index(), new);
            }
            Event::NonceUsed { key, credential, nonce } => {
                let window = self.settings(*key).map_or(0, |settings| settings.nonce_window);
                self.nonces.entry((*key, *credential)).or_default().record(*nonce, window);
                self.last_seen.insert(*key, at);
            }
            _ => {}
        }
    }

    /// The Service User of a number that appears in an event or record.
    pub fn service_user(&self, id: ServiceUserId) -> &ServiceUser {
        &self.service_users[id.index()]
    }

    /// A Service User of that Organization that is not removed.
    pub fn find(&self, organization: OrganizationId, id: ServiceUserId) -> Result<&ServiceUser, Reject> {
        let found = self.find_ever(organization, id)?;
        if found.status == KeyStatus::Removed { Err(unknown_service_user()) } else { Ok(found) }
    }

    /// The same, including removed ones, whose orders may still be there.
    pub fn find_ever(&self, organization: OrganizationId, id: ServiceUserId) -> Result<&ServiceUser, Reject> {
        let found = self.service_users.get(id.index()).filter(|user| user.organization == organization);
        found.ok_or_else(unknown_service_user)
    }

    /// The Service Users of an Organization that are not removed, oldest first.
    pub fn of(&self, organization: OrganizationId) -> Vec<ServiceUser> {
        let all = self.service_users.iter();
        all.filter(|user| user.organization == organization && user.status != KeyStatus::Removed).cloned().collect()
    }

    /// Every Service User, removed ones included, by number.
    pub fn all(&self) -> &[ServiceUser] {
        &self.service_users
    }

    /// Every venue operator's key, by number.
    pub fn venue_keys(&self) -> &[VenueKey] {
        &self.venue_keys
    }

    /// The number of the Service User that is made next.
    pub fn next_id(&self) -> ServiceUserId {
        ServiceUserId::at(self.service_users.len())
    }

    /// When a key last signed.
    pub fn last_seen(&self, key: KeyRef) -> Option<Moment> {
        self.last_seen.get(&key).copied()
    }

    /// What is needed to verify a signature of that key: whose it is, its version and its sealed secret.
    pub fn verification(&self, api_key: &str) -> Option<(KeyRef, u32, Vec<u8>)> {
        let key = *self.by_api_key.get(api_key)?;
        match key {
            KeyRef::ServiceUser(id) => {
                let user = self.service_users.get(id.index())?;
                if user.api_key == api_key {
                    return Some((key, user.credential, user.secret_sealed.clone()));
                }
                let retiring = user.retiring.as_ref().filter(|retiring| retiring.api_key == api_key)?;
                Some((key, retiring.credential, retiring.secret_sealed.clone()))
            }
            KeyRef::Venue(id) => {
                let venue = self.venue_keys.get(id.index())?;
                Some((key, venue.credential, venue.secret_sealed.clone()))
            }
        }
    }

    /// Whether the public part of a key is taken.
    pub fn is_taken(&self, api_key: &str) -> bool {
        self.by_api_key.contains_key(api_key)
    }

    /// The Service User whose key a request made.
    pub fn made_by(&self, request: RequestId) -> Option<&ServiceUser> {
        self.service_users.iter().find(|user| user.claim.is_some_and(|claim| claim.request == request))
    }

    /// The Service User as a caller, if its key is good at `now` from `peer` with that credential.
    pub fn admit(
        &self,
        id: ServiceUserId,
        peer: IpAddr,
        credential: Credential,
        now: Moment,
    ) -> Result<ServiceCaller, Reject> {
        let user = self.service_users.get(id.index()).ok_or(Code::InvalidKey)?;
        match user.status {
            KeyStatus::Unclaimed | KeyStatus::Removed => return Err(Reject::of(Code::InvalidKey)),
            KeyStatus::Disabled => return Err(denied("api_key", "the key is disabled")),
            KeyStatus::Expired | KeyStatus::Active => {}
        }
        admit(&user.settings, user.admits_credential(credential, now), peer, now)?;
        Ok(ServiceCaller { id, organization: user.organization, account: user.account, scopes: user.scopes })
    }

    /// Whether a Service User may ask for withdrawals at `now`: its key is good and has the scope.
    pub fn may_withdraw(&self, id: ServiceUserId, now: Moment) -> bool {
        let user = self.service_user(id);
        user.status == KeyStatus::Active && !user.settings.expired(now) && user.scopes.holds(Scope::Withdraw)
    }

    /// As [`Keys::admit`], for a venue operator.
    fn admit_venue(&self, id: VenueKeyId, peer: IpAddr, credential: Credential, now: Moment) -> Result<(), Reject> {
        let key = self.venue_keys.get(id.index()).ok_or(Code::InvalidKey)?;
        admit(&key.settings, Credential::Key(key.credential) == credential, peer, now)
    }

    fn settings(&self, key: KeyRef) -> Option<&KeySettings> {
        match key {
            KeyRef::ServiceUser(id) => self.service_users.get(id.index()).map(|user| &user.settings),
            KeyRef::Venue(id) => self.venue_keys.get(id.index()).map(|key| &key.settings),
        }
    }
}

/// Stores the current version of a record; a new one's place is the next.
fn put<T>(records: &mut Vec<T>, at: usize, new: T) {
    match records.get_mut(at) {
        Some(old) => *old = new,
        None => records.push(new),
    }
}

impl ServiceUser {
    /// Whether its key worked once and no longer does (rule 9).
    fn has_stopped(&self) -> bool {
        matches!(self.status, KeyStatus::Disabled | KeyStatus::Expired | KeyStatus::Removed)
    }

    /// Whether the withdrawals that it has asked for may keep waiting (rule 9).
    pub fn may_have_requests(&self) -> bool {
        self.scopes.holds(Scope::Withdraw) && !self.has_stopped()
    }

    /// Whether a Member manages it, and so may be kept from voting on its requests (rule 22). Members are compared by
    /// e-mail: who was removed and invited again has another number, and may still have the secret.
    pub fn is_managed_by(&self, members: &Members, member: MemberId) -> bool {
        let email = |id: MemberId| &members.member(id).email;
        self.editor.iter().chain(&self.managers).any(|manager| email(*manager) == email(member))
    }

    /// Whether a credential is still stored, even if its time is over.
    pub fn bears(&self, credential: Credential) -> bool {
        let is = |version| credential == Credential::Key(version);
        is(self.credential) || self.retiring.as_ref().is_some_and(|retiring| is(retiring.credential))
    }

    /// Whether a credential is valid at `now`: the present one, or the one before it during the overlap.
    fn admits_credential(&self, credential: Credential, now: Moment) -> bool {
        let is = |version| credential == Credential::Key(version);
        let retiring = self.retiring.as_ref().filter(|retiring| now < retiring.until);
        is(self.credential) || retiring.is_some_and(|retiring| is(retiring.credential))
    }
}

/// The caller behind a key, if it is valid at `now` for the principal `by`, and the Organization is not frozen as a
/// whole (rule 27).
pub fn admit_key(state: &State, key: KeyRef, by: &Principal, now: Moment) -> Result<Caller, Reject> {
    match key {
        KeyRef::ServiceUser(id) => {
            let caller = state.keys.admit(id, by.peer, by.credential, now)?;
            state.freezes.admit_key(caller.organization)?;
            Ok(Caller::Service(caller))
        }
        KeyRef::Venue(id) => {
            state.keys.admit_venue(id, by.peer, by.credential, now)?;
            Ok(Caller::Venue)
        }
    }
}

fn unknown_service_user() -> Reject {
    Reject::field(Code::UnknownSubject, "service_user_id", "name a Service User of your Organization")
}

fn denied(field: &'static str, why: &str) -> Reject {
    Reject::field(Code::PermissionDenied, field, why)
}

/// Checks the settings that concern a socket: expiry, address, Allow WebSocket (rules 4, 8).
fn admit(settings: &KeySettings, same_credential: bool, peer: IpAddr, now: Moment) -> Result<(), Reject> {
    if !same_credential {
        Err(Reject::of(Code::InvalidKey))
    } else if settings.expired(now) {
        Err(denied("api_key", "the key has expired"))
    } else if !settings.admits_peer(peer) {
        Err(denied("ip", "the key's allow-list does not hold this address"))
    } else if !settings.allow_websocket {
        Err(denied("api_key", "Allow WebSocket is off for this key"))
    } else {
        Ok(())
    }
}

/// Judges a verified signature (rules 2–4): the key must be good, its nonce fresh.
pub fn open_session(t: &mut Transition<'_>, by: &Principal, key: KeyRef, nonce: u64) -> Result<Reply, Reject> {
    admit_key(t.state(), key, by, t.now())?;
    let Credential::Key(credential) = by.credential else { return Err(Reject::of(Code::InvalidKey)) };
    let keys = &t.state().keys;
    let window = keys.settings(key).map_or(0, |settings| settings.nonce_window);
    let used = keys.nonces.get(&(key, credential));
    if used.is_some_and(|used| !used.admits(nonce, window)) {
        let highest = used.and_then(Nonces::highest).unwrap_or_default();
        let advice = format!("use one above {highest}, or unused within {window} below it; server time is {}", t.now());
        return Err(Reject::field(Code::InvalidNonce, "nonce", advice));
    }
    t.emit(Event::NonceUsed { key, credential, nonce });
    Ok(Reply::Bound(Bound::of(key.actor(), by.credential, t.state().seq)))
}

/// Puts a changed record into force, with everything that follows in the same journal entry (rule 9): a key that
/// stopped loses its orders, unless `on_stop` keeps them, and its pending withdrawals; one without Withdraw only these.
pub fn change(t: &mut Transition<'_>, user: ServiceUser, change: ServiceUserChange) {
    let (id, organization, account) = (user.id, user.organization, user.account);
    let cancels = user.has_stopped() && user.settings.on_stop == OnStop::Cancel;
    let asks = user.may_have_requests();
    t.emit(Event::ServiceUserChanged { service_user: Box::new(user), change });
    if cancels {
        trading::cancel_owned_by(t, account, id, CancelReason::KeyStopped);
    }
    if !asks {
        let asker = InitiatorId::ServiceUser(id);
        decisions::cancel_of(t, organization, asker, None, "its key stopped or lost Withdraw");
    }
}

/// Cancels the orders of a Service User that has disconnected. What happens to them when a key stops is decided by
/// `on_stop` alone (rule 9).
pub fn disconnected(t: &mut Transition<'_>, id: ServiceUserId) -> Vec<OrderId> {
    let user = t.state().keys.all().get(id.index()).filter(|user| user.status == KeyStatus::Active);
    let Some(account) = user.map(|user| user.account) else { return Vec::new() };
    trading::cancel_owned_by(t, account, id, CancelReason::Disconnected)
}

/// Stops the keys that have expired, and records query end dates that have passed.
pub fn tick(t: &mut Transition<'_>) {
    let now = t.now();
    let ends = |key: &&VenueKey| key.settings.expired(now) && !key.expired;
    let ended: Vec<VenueKey> = t.state().keys.venue_keys.iter().filter(ends).cloned().collect();
    for key in ended {
        t.emit(Event::VenueKeyChanged(VenueKey { expired: true, ..key }));
    }
    let retires = |user: &ServiceUser| user.retiring.as_ref().is_some_and(|retiring| retiring.until <= now);
    let query_ends = |user: &ServiceUser| user.settings.query_dates.has_ended(now) && !user.query_ended;
    let due = |user: &&ServiceUser| {
        retires(user) || user.status == KeyStatus::Active && (user.settings.expired(now) || query_ends(user))
    };
    let due: Vec<ServiceUser> = t.state().keys.service_users.iter().filter(due).cloned().collect();
    for mut user in due {
        if retires(&user) {
            user.retiring = None;
            change(t, user.clone(), ServiceUserChange::Retired);
        }
        if expire(t, user.id) {
            continue;
        }
        if user.status == KeyStatus::Active && query_ends(&user) {
            user.query_ended = true;
            change(t, user, ServiceUserChange::QueryEnded);
        }
    }
}

/// Stops a key if it has expired; returns whether it has.
pub fn expire(t: &mut Transition<'_>, id: ServiceUserId) -> bool {
    let user = t.state().keys.service_user(id);
    if user.status != KeyStatus::Active || !user.settings.expired(t.now()) {
        return false;
    }
    let user = ServiceUser { status: KeyStatus::Expired, ..user.clone() };
    change(t, user, ServiceUserChange::Expired);
    true
}
