//! Service Users: their records, and what happens when the key of one changes or stops.

use serde::{Deserialize, Serialize};

use super::approvals::InitiatorId;
use super::event::Event;
use super::members::Members;
use super::roster::Listed;
use super::transition::Transition;
use super::{decisions, trading};
use crate::access::key::{KeySettings, OnStop};
use crate::access::principal::Credential;
use crate::access::scope::{Scope, ScopeSet};
use crate::domain::ids::{AccountId, MemberId, OrderId, OrganizationId, RequestId, ServiceUserId};
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

impl SecretClaim {
    /// Whether the secret can still be claimed at `now`.
    pub fn is_open(&self, now: Moment) -> bool {
        now < self.until
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

impl Listed for ServiceUser {
    fn index(&self) -> usize {
        self.id.index()
    }

    fn organization(&self) -> OrganizationId {
        self.organization
    }
}

impl ServiceUser {
    /// When time changes it next: its previous key retires, or, while it is active, it expires or its query dates end.
    pub(super) fn due_at(&self) -> Option<Moment> {
        let retires = self.retiring.as_ref().map(|retiring| retiring.until);
        let expires = self.settings.expires_at;
        let query_ends = self.settings.query_dates.until.filter(|_| !self.query_ended);
        let of_active = [expires, query_ends].into_iter().flatten().filter(|_| self.status == KeyStatus::Active);
        of_active.chain(retires).min()
    }

    /// Whether its key worked once and no longer does (rule 9).
    fn has_stopped(&self) -> bool {
        matches!(self.status, KeyStatus::Disabled | KeyStatus::Expired | KeyStatus::Removed)
    }

    /// Whether the withdrawals that it has asked for may keep waiting (rule 9).
    pub fn may_have_requests(&self) -> bool {
        self.scopes.holds(Scope::Withdraw) && !self.has_stopped()
    }

    /// Whether a Member manages it, and so may be kept from voting on its requests (rule 22). Who was removed and invited
    /// again may still have the secret.
    pub fn is_managed_by(&self, members: &Members, member: MemberId) -> bool {
        self.editor.iter().chain(&self.managers).any(|manager| members.are_one_person(*manager, member))
    }

    /// Whether a credential is still stored, even if its time is over.
    pub fn bears(&self, credential: Credential) -> bool {
        let is = |version| credential == Credential::Key(version);
        is(self.credential) || self.retiring.as_ref().is_some_and(|retiring| is(retiring.credential))
    }

    /// Whether a credential is valid at `now`: the present one, or the one before it during the overlap.
    pub(super) fn admits_credential(&self, credential: Credential, now: Moment) -> bool {
        let is = |version| credential == Credential::Key(version);
        let retiring = self.retiring.as_ref().filter(|retiring| now < retiring.until);
        is(self.credential) || retiring.is_some_and(|retiring| is(retiring.credential))
    }
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

/// Does what is due for the keys of Service Users: stops those that have expired, and records query end dates that have
/// passed.
pub fn tick(t: &mut Transition<'_>) {
    while !t.is_long()
        && let Some(user) = t.state().keys.due(t.now()).cloned()
    {
        advance(t, user);
    }
}

/// Does one of the things that are due for a Service User.
fn advance(t: &mut Transition<'_>, mut user: ServiceUser) {
    if user.retiring.as_ref().is_some_and(|retiring| retiring.until <= t.now()) {
        user.retiring = None;
        change(t, user, ServiceUserChange::Retired);
    } else if !expire(t, user.id) {
        user.query_ended = true;
        change(t, user, ServiceUserChange::QueryEnded);
    }
}

/// Does all that is due for a Service User.
pub fn catch_up(t: &mut Transition<'_>, id: ServiceUserId) {
    loop {
        let user = t.state().keys.service_user(id);
        if user.due_at().is_none_or(|due| due > t.now()) {
            return;
        }
        advance(t, user.clone());
    }
}

/// Stops a key if it has expired; returns whether it has.
fn expire(t: &mut Transition<'_>, id: ServiceUserId) -> bool {
    let user = t.state().keys.service_user(id);
    if user.status != KeyStatus::Active || !user.settings.expired(t.now()) {
        return false;
    }
    let user = ServiceUser { status: KeyStatus::Expired, ..user.clone() };
    change(t, user, ServiceUserChange::Expired);
    true
}
