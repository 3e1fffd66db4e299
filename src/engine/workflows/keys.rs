//! Manage Access: Service Users are made, edited, rotated and removed. Approvers see an edit field by field.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{CredentialKind, Draft, GeneratedCredential, Governed, InitiationContext, difference, unchanged};
use crate::access::key::{KeySettings, SettingsChange};
use crate::access::operation::Operation;
use crate::access::scope::ScopeSet;
use crate::access::workflow::Workflow;
use crate::domain::canonical::Canonical;
use crate::domain::ids::{MemberId, OrganizationId, ServiceUserId};
use crate::domain::limits::{CLAIM_US, NETWORKS_MAX, OVERLAP_MAX_S, SERVICE_USERS_MAX};
use crate::domain::time::Moment;
use crate::engine::approvals::{Initiator, InitiatorId, Request};
use crate::engine::claims::{managed_by, rotated};
use crate::engine::electorate::keeps_approvers;
use crate::engine::fields::check_name;
use crate::engine::reject::{Code, Reject};
use crate::engine::service_users::{self, KeyStatus, Rotation, SecretClaim, ServiceUser, ServiceUserChange};
use crate::engine::state::State;
use crate::engine::transition::Transition;

/// A change of Service Users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyChange {
    /// `create_service_user`
    Create {
        /// Its name.
        name: String,
        /// Its scopes.
        scopes: ScopeSet,
        /// Its settings.
        settings: KeySettings,
    },
    /// `edit_service_user`; `None` leaves a field as it is.
    Edit {
        /// The Service User.
        service_user: ServiceUserId,
        /// New name.
        name: Option<String>,
        /// New scopes.
        scopes: Option<ScopeSet>,
        /// The settings to change.
        settings: SettingsChange,
        /// Turn off or on.
        disabled: Option<bool>,
    },
    /// `rotate_service_user_key`
    Rotate {
        /// The Service User.
        service_user: ServiceUserId,
        /// How long the old key stays good beside the new one, in seconds.
        overlap_s: u64,
    },
    /// `remove_service_user`
    Remove {
        /// The Service User.
        service_user: ServiceUserId,
    },
}

impl Governed for KeyChange {
    fn workflow(&self) -> Workflow {
        Workflow::ManageAccess
    }

    fn operation(&self) -> Operation {
        match self {
            KeyChange::Create { .. } => Operation::CreateServiceUser,
            KeyChange::Edit { .. } => Operation::EditServiceUser,
            KeyChange::Rotate { .. } => Operation::RotateServiceUserKey,
            KeyChange::Remove { .. } => Operation::RemoveServiceUser,
        }
    }

    fn needs(&self) -> CredentialKind {
        match self {
            KeyChange::Create { .. } | KeyChange::Rotate { .. } => CredentialKind::Key,
            KeyChange::Edit { .. } | KeyChange::Remove { .. } => CredentialKind::Nothing,
        }
    }

    fn check(&self, t: &Transition<'_>, context: &InitiationContext) -> Result<Draft, Reject> {
        let keys = &t.state().keys;
        if self.needs() == CredentialKind::Key {
            let Some(GeneratedCredential::Key { api_key, .. }) = &context.generated else {
                return Err(Reject::invalid("api_key", "a key must be drawn for it"));
            };
            if api_key.is_empty() || keys.is_taken(api_key) {
                return Err(Reject::field(Code::Exists, "api_key", "draw another one"));
            }
        }
        let draft = self.payload(t.state(), context.organization).map(Draft::from)?;
        self.strands_nothing(t.state(), context.organization, context.initiator.id(), context.strand_pending, t.now())?;
        Ok(draft)
    }

    fn recheck(&self, state: &State, request: &Request, now: Moment) -> Result<(), Reject> {
        unchanged(self.payload(state, request.organization)?, request)?;
        self.strands_nothing(state, request.organization, request.initiator.id(), request.strand_pending, now)
    }

    fn carry_out(&self, t: &mut Transition<'_>, request: &Request, at_once: bool) {
        let (user, change) = match self {
            KeyChange::Create { name, scopes, settings } => {
                let Some(user) = created(t, request, at_once, name, *scopes, settings) else { return };
                (user, ServiceUserChange::Created)
            }
            KeyChange::Edit { service_user, .. } => {
                // What is due for it comes first, and only then is it edited (rule 39).
                service_users::catch_up(t, *service_user);
                let before = t.state().keys.service_user(*service_user);
                let editor = match request.initiator {
                    Initiator::Member(member, _) => Some(member),
                    Initiator::ServiceUser(..) => before.editor,
                };
                (ServiceUser { editor, ..in_force(self.edited(before), t.now()) }, ServiceUserChange::Edited)
            }
            KeyChange::Rotate { service_user, overlap_s } => {
                let before = t.state().keys.service_user(*service_user).clone();
                let Some(user) = with_new_key(t, request, at_once, before, *overlap_s) else { return };
                (user, ServiceUserChange::Rotated)
            }
            KeyChange::Remove { service_user } => {
                let before = t.state().keys.service_user(*service_user).clone();
                let user =
                    ServiceUser { status: KeyStatus::Removed, claim: None, retiring: None, rotation: None, ..before };
                (user, ServiceUserChange::Removed)
            }
        };
        service_users::change(t, user, change);
    }
}

/// The Service User that a request creates. If it is created by the command that asks for it, the reply has its secret;
/// else its initiator claims it.
fn created(
    t: &Transition<'_>,
    request: &Request,
    at_once: bool,
    name: &str,
    scopes: ScopeSet,
    settings: &KeySettings,
) -> Option<ServiceUser> {
    let (Initiator::Member(member, _), Some(GeneratedCredential::Key { api_key, secret_sealed })) =
        (&request.initiator, &request.generated)
    else {
        return None;
    };
    Some(ServiceUser {
        id: t.state().keys.next_id(),
        organization: request.organization,
        account: request.account,
        name: name.to_owned(),
        api_key: api_key.clone(),
        secret_sealed: secret_sealed.clone(),
        credential: 1,
        status: if at_once { KeyStatus::Active } else { KeyStatus::Unclaimed },
        scopes,
        settings: settings.clone(),
        managers: vec![*member],
        editor: None,
        claim: claim(t, request, *member, at_once),
        rotation: None,
        retiring: None,
        query_ended: false,
    })
}

fn claim(t: &Transition<'_>, request: &Request, member: MemberId, at_once: bool) -> Option<SecretClaim> {
    (!at_once).then(|| SecretClaim { request: request.id, member, until: t.now().plus_us(CLAIM_US) })
}

/// The record with a new key: in force at once, or waiting to be claimed while the old one stays in use.
fn with_new_key(
    t: &Transition<'_>,
    request: &Request,
    at_once: bool,
    before: ServiceUser,
    overlap_s: u64,
) -> Option<ServiceUser> {
    let (Initiator::Member(member, _), Some(GeneratedCredential::Key { api_key, secret_sealed })) =
        (&request.initiator, &request.generated)
    else {
        return None;
    };
    let managers = managed_by(&before, *member);
    let rotation = Some(Rotation { api_key: api_key.clone(), secret_sealed: secret_sealed.clone(), overlap_s });
    let user = ServiceUser { managers, rotation, claim: claim(t, request, *member, at_once), ..before };
    Some(if at_once { rotated(t.state(), user, t.now()) } else { user })
}

/// The record with its dates applied.
fn in_force(user: ServiceUser, now: Moment) -> ServiceUser {
    let expired = user.settings.expired(now);
    let status = match user.status {
        KeyStatus::Active if expired => KeyStatus::Expired,
        KeyStatus::Expired if !expired => KeyStatus::Active,
        status => status,
    };
    let query_ended = user.settings.query_dates.has_ended(now);
    ServiceUser { status, query_ended, ..user }
}

impl KeyChange {
    /// Refuses to make a Member manager of a key if its pending requests would lack approvers, unless that is accepted
    /// (rule 23). An edit that stops the key or removes Withdraw ends them.
    fn strands_nothing(
        &self,
        state: &State,
        organization: OrganizationId,
        initiator: InitiatorId,
        strand_pending: bool,
        now: Moment,
    ) -> Result<(), Reject> {
        let (KeyChange::Edit { service_user, .. } | KeyChange::Rotate { service_user, .. }) = self else {
            return Ok(());
        };
        let InitiatorId::Member(member) = initiator else { return Ok(()) };
        let before = state.keys.find(organization, *service_user)?;
        if matches!(self, KeyChange::Edit { .. }) && before.settings.expired(now) {
            // Its requests end before it works again.
            return Ok(());
        }
        let after = in_force(self.edited(before), now);
        if !after.may_have_requests() {
            return Ok(());
        }
        let in_hand = match self {
            KeyChange::Rotate { .. } => ServiceUser { managers: managed_by(before, member), ..after },
            _ => ServiceUser { editor: Some(member), ..after },
        };
        keeps_approvers(state, &in_hand, strand_pending)
    }

    /// What an approver is shown, if the change is sound in this state.
    fn payload(&self, state: &State, organization: OrganizationId) -> Result<Canonical, Reject> {
        match self {
            KeyChange::Create { name, scopes, settings } => {
                if state.keys.of(organization).count() >= SERVICE_USERS_MAX {
                    return Err(Reject::advised(
                        Code::LimitReached,
                        format!("at most {SERVICE_USERS_MAX} Service Users; remove one first"),
                    ));
                }
                check_terms(state, organization, None, name, settings)?;
                Ok(Canonical::object([
                    ("name", Canonical::text(name)),
                    ("account", Canonical::text("main")),
                    ("scopes", scope_names(*scopes)),
                    ("settings", Canonical::object(settings_members(settings))),
                ]))
            }
            KeyChange::Edit { service_user, disabled, .. } => {
                let before = state.keys.find(organization, *service_user)?;
                if *disabled == Some(true) && before.status == KeyStatus::Unclaimed {
                    return Err(Reject::invalid("disabled", "nobody has claimed the key yet; remove it instead"));
                }
                let after = self.edited(before);
                check_terms(state, organization, Some(*service_user), &after.name, &after.settings)?;
                let changes = differences(before, &after);
                if changes.is_empty() {
                    return Err(Reject::invalid("params", "name at least one change"));
                }
                Ok(Canonical::object([
                    ("service_user_id", Canonical::text(service_user)),
                    ("name", Canonical::text(&before.name)),
                    ("changes", Canonical::List(changes)),
                ]))
            }
            KeyChange::Rotate { service_user, overlap_s } => {
                let user = state.keys.find(organization, *service_user)?;
                if *overlap_s > OVERLAP_MAX_S {
                    return Err(Reject::invalid("overlap_s", "give at most seven days"));
                }
                Ok(Canonical::object([
                    ("service_user_id", Canonical::text(service_user)),
                    ("name", Canonical::text(&user.name)),
                    ("credential", Canonical::count(user.credential.into())),
                    ("overlap_s", Canonical::count(*overlap_s)),
                ]))
            }
            KeyChange::Remove { service_user } => {
                let user = state.keys.find(organization, *service_user)?;
                Ok(Canonical::object([
                    ("service_user_id", Canonical::text(service_user)),
                    ("name", Canonical::text(&user.name)),
                ]))
            }
        }
    }

    /// The record with the edit applied; its dates are not checked yet.
    fn edited(&self, before: &ServiceUser) -> ServiceUser {
        let mut after = before.clone();
        if let KeyChange::Edit { name, scopes, settings, disabled, .. } = self {
            after.name = name.clone().unwrap_or(after.name);
            after.scopes = scopes.unwrap_or(after.scopes);
            after.settings = settings.on(&after.settings);
            match (disabled, after.status) {
                (Some(true), KeyStatus::Active | KeyStatus::Expired) => after.status = KeyStatus::Disabled,
                (Some(false), KeyStatus::Disabled) => after.status = KeyStatus::Active,
                _ => {}
            }
        }
        after
    }
}

fn check_terms(
    state: &State,
    organization: OrganizationId,
    except: Option<ServiceUserId>,
    name: &str,
    settings: &KeySettings,
) -> Result<(), Reject> {
    check_name("name", name)?;
    let taken = |user: &ServiceUser| user.name == name && Some(user.id) != except;
    if state.keys.of(organization).any(taken) {
        return Err(Reject::field(Code::Exists, "name", "choose another name"));
    }
    if settings.ip_allowlist.len() > NETWORKS_MAX {
        return Err(Reject::field(Code::LimitReached, "settings.ip_allowlist", "give at most 100 networks"));
    }
    if settings.query_dates.is_empty() {
        return Err(Reject::invalid("settings.query_end", "must be after query_start"));
    }
    Ok(())
}

fn differences(before: &ServiceUser, after: &ServiceUser) -> Vec<Canonical> {
    let shown = |user: &ServiceUser| -> BTreeMap<_, _> {
        let others = [
            ("name", Canonical::text(&user.name)),
            ("scopes", scope_names(user.scopes)),
            ("disabled", Canonical::Bool(user.status == KeyStatus::Disabled)),
        ];
        settings_members(&user.settings).into_iter().chain(others).collect()
    };
    let (old, new) = (shown(before), shown(after));
    old.into_iter().zip(new.into_values()).filter_map(|((field, from), to)| difference(field, from, to)).collect()
}

fn scope_names(scopes: ScopeSet) -> Canonical {
    Canonical::List(scopes.iter().map(|scope| Canonical::text(scope.name())).collect())
}

fn settings_members(settings: &KeySettings) -> [(&'static str, Canonical); 8] {
    let KeySettings { expires_at, query_dates, allow_websocket, nonce_window, ip_allowlist, .. } = settings;
    let date = |at: &Option<Moment>| Canonical::optional(at.as_ref());
    [
        ("expires_at", date(expires_at)),
        ("query_start", date(&query_dates.from)),
        ("query_end", date(&query_dates.until)),
        ("allow_websocket", Canonical::Bool(*allow_websocket)),
        // As text: a window may exceed JSON's exact integers.
        ("nonce_window", Canonical::text(nonce_window)),
        ("ip_allowlist", Canonical::List(ip_allowlist.iter().map(Canonical::text).collect())),
        ("on_stop", Canonical::text(settings.on_stop.name())),
        ("cancel_on_disconnect", Canonical::Bool(settings.cancel_on_disconnect)),
    ]
}
