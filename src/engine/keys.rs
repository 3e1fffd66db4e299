//! All keys, of Service Users and of venue operators: finding one, admitting it, and its nonces.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::caller::{Caller, ServiceCaller};
use super::event::Event;
use super::nonces::Nonces;
use super::reject::{Code, Reject};
use super::reply::{Bound, Reply};
use super::roster::Roster;
use super::service_users::{KeyStatus, ServiceUser};
use super::state::State;
use super::transition::Transition;
use crate::access::key::KeySettings;
use crate::access::principal::{Actor, Credential, Principal};
use crate::access::scope::Scope;
use crate::domain::ids::{OrganizationId, RequestId, ServiceUserId, VenueKeyId};
use crate::domain::time::Moment;

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

/// All keys and their nonce histories.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keys {
    service_users: Roster<ServiceUser>,
    /// When time changes one of them next.
    service_users_due: BTreeSet<(Moment, ServiceUserId)>,
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
                match self.venue_keys.get_mut(key.id.index()) {
                    Some(old) => *old = key.clone(),
                    None => self.venue_keys.push(key.clone()),
                }
            }
            Event::ServiceUserChanged { service_user, .. } => {
                let id = service_user.id;
                self.by_api_key.insert(service_user.api_key.clone(), KeyRef::ServiceUser(id));
                if let Some(rotation) = &service_user.rotation {
                    self.by_api_key.insert(rotation.api_key.clone(), KeyRef::ServiceUser(id));
                }
                let before = self.service_users.put((**service_user).clone());
                if let Some(due) = before.and_then(|before| before.due_at()) {
                    self.service_users_due.remove(&(due, id));
                }
                self.service_users_due.extend(service_user.due_at().map(|due| (due, id)));
            }
            Event::NonceUsed { key, credential, nonce } => {
                let window = self.settings(*key).map_or(0, |settings| settings.nonce_window);
                self.nonces.entry((*key, *credential)).or_default().record(*nonce, window);
                self.last_seen.insert(*key, at);
            }
            _ => {}
        }
    }

    /// Whether anybody has proved to have this version of a key's secret.
    pub(super) fn has_signed(&self, key: KeyRef, credential: u32) -> bool {
        self.nonces.contains_key(&(key, credential))
    }

    /// The Service User of a number that appears in an event or record.
    pub fn service_user(&self, id: ServiceUserId) -> &ServiceUser {
        &self.service_users.all()[id.index()]
    }

    /// A Service User of that Organization that is not removed.
    pub fn find(&self, organization: OrganizationId, id: ServiceUserId) -> Result<&ServiceUser, Reject> {
        let found = self.find_ever(organization, id)?;
        if found.status == KeyStatus::Removed { Err(unknown_service_user()) } else { Ok(found) }
    }

    /// The same, including removed ones, whose orders may still be there.
    pub fn find_ever(&self, organization: OrganizationId, id: ServiceUserId) -> Result<&ServiceUser, Reject> {
        let found = self.service_users.all().get(id.index()).filter(|user| user.organization == organization);
        found.ok_or_else(unknown_service_user)
    }

    /// The Service Users of an Organization that are not removed, oldest first.
    pub fn of(&self, organization: OrganizationId) -> impl Iterator<Item = &ServiceUser> {
        self.service_users.of(organization).filter(|user| user.status != KeyStatus::Removed)
    }

    /// Every Service User, removed ones included, by number.
    pub fn all(&self) -> &[ServiceUser] {
        self.service_users.all()
    }

    /// Every venue operator's key, by number.
    pub fn venue_keys(&self) -> &[VenueKey] {
        &self.venue_keys
    }

    /// The number of the Service User that is made next.
    pub fn next_id(&self) -> ServiceUserId {
        ServiceUserId::at(self.service_users.all().len())
    }

    /// The Service User that time changed first, if it has changed one.
    pub(super) fn due(&self, now: Moment) -> Option<&ServiceUser> {
        let (_, id) = self.service_users_due.first().filter(|(at, _)| *at <= now)?;
        Some(self.service_user(*id))
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
                let user = self.service_users.all().get(id.index())?;
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

    /// The Service User of an Organization whose key a request made.
    pub fn made_by(&self, organization: OrganizationId, request: RequestId) -> Option<&ServiceUser> {
        let mut all = self.service_users.of(organization);
        all.find(|user| user.claim.is_some_and(|claim| claim.request == request))
    }

    /// The Service User as a caller, if its key is good at `now` from `peer` with that credential.
    pub fn admit(
        &self,
        id: ServiceUserId,
        peer: IpAddr,
        credential: Credential,
        now: Moment,
    ) -> Result<ServiceCaller, Reject> {
        let user = self.service_users.all().get(id.index()).ok_or(Code::InvalidKey)?;
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
            KeyRef::ServiceUser(id) => self.service_users.all().get(id.index()).map(|user| &user.settings),
            KeyRef::Venue(id) => self.venue_keys.get(id.index()).map(|key| &key.settings),
        }
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

/// Records which keys of venue operators have expired.
pub fn tick(t: &mut Transition<'_>) {
    let now = t.now();
    let ends = |key: &&VenueKey| key.settings.expired(now) && !key.expired;
    let ended: Vec<VenueKey> = t.state().keys.venue_keys.iter().filter(ends).cloned().collect();
    for key in ended {
        t.emit(Event::VenueKeyChanged(VenueKey { expired: true, ..key }));
    }
}
