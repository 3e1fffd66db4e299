//! Manage Access: Service Users are made, edited and removed. Approvers see an edit field by field.

use std::collections::BTreeMap;

use super::Action;
use crate::access::key::{KeySettings, OnStop};
use crate::access::scope::ScopeSet;
use crate::domain::canonical::Canonical;
use crate::domain::ids::{OrganizationId, ServiceUserId};
use crate::domain::limits::{CLAIM_US, NETWORKS_MAX, SERVICE_USERS_MAX};
use crate::domain::time::Moment;
use crate::engine::approvals::{Initiator, Request};
use crate::engine::caller::MemberCaller;
use crate::engine::command::Change;
use crate::engine::reject::{Code, Reject};
use crate::engine::service_users::{self, Claim, KeyStatus, ServiceUser, ServiceUserChange, managed_by};
use crate::engine::state::State;
use crate::engine::transition::Transition;
use crate::engine::venue::checked_name;

pub(super) fn check(state: &State, caller: MemberCaller, change: &Change) -> Result<(Action, Canonical), Reject> {
    let organization = caller.organization;
    let action = match change {
        Change::CreateServiceUser { name, scopes, settings, api_key, secret_sealed } => {
            if state.keys.of(organization).len() >= SERVICE_USERS_MAX {
                return Err(Reject::of(Code::LimitReached));
            }
            if api_key.is_empty() || state.keys.is_taken(api_key) {
                return Err(Reject::field(Code::Exists, "api_key", "draw another one"));
            }
            Action::CreateServiceUser {
                name: name.clone(),
                account: caller.account,
                scopes: *scopes,
                settings: settings.clone(),
                api_key: api_key.clone(),
                secret_sealed: secret_sealed.clone(),
            }
        }
        Change::EditServiceUser { service_user, name, scopes, settings, disabled } => Action::EditServiceUser {
            service_user: *service_user,
            name: name.clone(),
            scopes: *scopes,
            settings: settings.clone(),
            disabled: *disabled,
        },
        Change::RemoveServiceUser { service_user } => Action::RemoveServiceUser { service_user: *service_user },
        Change::SetPolicy { .. } | Change::AddAddress { .. } | Change::Withdraw { .. } => {
            unreachable!("other workflows have their own files")
        }
    };
    let payload = payload(state, organization, &action)?;
    Ok((action, payload))
}

/// What an approver sees, and whether the action is sound on the state as it is.
fn payload(state: &State, organization: OrganizationId, action: &Action) -> Result<Canonical, Reject> {
    match action {
        Action::CreateServiceUser { name, scopes, settings, .. } => {
            check_terms(state, organization, None, name, settings)?;
            Ok(Canonical::object([
                ("name", Canonical::text(name)),
                ("account", Canonical::text("main")),
                ("scopes", scope_names(*scopes)),
                ("settings", Canonical::Object(settings_members(settings))),
            ]))
        }
        Action::EditServiceUser { service_user, .. } => {
            let before = state.keys.find(organization, *service_user)?;
            let after = edited(before, action);
            check_terms(state, organization, Some(*service_user), &after.name, &after.settings)?;
            let changes = differences(before, &after);
            if changes.is_empty() {
                return Err(Reject::field(Code::InvalidArguments, "params", "name at least one change"));
            }
            Ok(Canonical::object([
                ("service_user_id", Canonical::text(service_user)),
                ("name", Canonical::text(&before.name)),
                ("changes", Canonical::List(changes)),
            ]))
        }
        Action::RemoveServiceUser { service_user } => {
            let user = state.keys.find(organization, *service_user)?;
            Ok(Canonical::object([
                ("service_user_id", Canonical::text(service_user)),
                ("name", Canonical::text(&user.name)),
            ]))
        }
        Action::SetPolicy { .. } | Action::AddAddress { .. } | Action::Withdraw { .. } => {
            unreachable!("other workflows have their own files")
        }
    }
}

fn check_terms(
    state: &State,
    organization: OrganizationId,
    except: Option<ServiceUserId>,
    name: &str,
    settings: &KeySettings,
) -> Result<(), Reject> {
    checked_name("name", name)?;
    let taken = |user: &ServiceUser| user.name == name && Some(user.id) != except;
    if state.keys.of(organization).iter().any(taken) {
        return Err(Reject::field(Code::Exists, "name", "choose another name"));
    }
    if settings.ip_allowlist.len() > NETWORKS_MAX {
        return Err(Reject::field(Code::LimitReached, "ip_allowlist", "give at most 100 networks"));
    }
    if settings.query_start.zip(settings.query_end).is_some_and(|(start, end)| start >= end) {
        return Err(Reject::field(Code::InvalidArguments, "query_end", "must be after query_start"));
    }
    Ok(())
}

/// The record with the edit made, its status not looked at yet.
fn edited(before: &ServiceUser, action: &Action) -> ServiceUser {
    let mut after = before.clone();
    if let Action::EditServiceUser { name, scopes, settings, disabled, .. } = action {
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

fn differences(before: &ServiceUser, after: &ServiceUser) -> Vec<Canonical> {
    let shown = |user: &ServiceUser| {
        let mut members = settings_members(&user.settings);
        members.insert("name".to_owned(), Canonical::text(&user.name));
        members.insert("scopes".to_owned(), scope_names(user.scopes));
        members.insert("disabled".to_owned(), Canonical::Bool(user.status == KeyStatus::Disabled));
        members
    };
    let (old, new) = (shown(before), shown(after));
    let changed = old.into_iter().zip(new.into_values()).filter(|((_, from), to)| from != to);
    let change =
        |((field, from), to)| Canonical::object([("field", Canonical::text(field)), ("from", from), ("to", to)]);
    changed.map(change).collect()
}

fn scope_names(scopes: ScopeSet) -> Canonical {
    Canonical::List(scopes.iter().map(|scope| Canonical::text(scope.name())).collect())
}

fn settings_members(settings: &KeySettings) -> BTreeMap<String, Canonical> {
    let KeySettings { expires_at, query_start, query_end, allow_websocket, nonce_window, ip_allowlist, on_stop } =
        settings;
    let date = |at: &Option<Moment>| Canonical::optional(at.as_ref());
    let on_stop = match on_stop {
        OnStop::Cancel => "cancel",
        OnStop::Keep => "keep",
    };
    [
        ("expires_at", date(expires_at)),
        ("query_start", date(query_start)),
        ("query_end", date(query_end)),
        ("allow_websocket", Canonical::Bool(*allow_websocket)),
        // As text: a window may be wider than JSON's exact integers.
        ("nonce_window", Canonical::text(nonce_window)),
        ("ip_allowlist", Canonical::List(ip_allowlist.iter().map(Canonical::text).collect())),
        ("on_stop", Canonical::text(on_stop)),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}

/// Approved was what approvers saw; if it would come to something else now, it is not done.
pub(super) fn recheck(state: &State, request: &Request) -> Result<(), Reject> {
    match payload(state, request.organization, &request.action)? == request.payload {
        true => Ok(()),
        false => Err(Reject::field(Code::DigestChanged, "service_user_id", "it changed since this was asked for")),
    }
}

pub(super) fn carry_out(t: &mut Transition<'_>, request: &Request, at_once: bool) {
    let Initiator::Member(member, _) = request.initiator else { return };
    match &request.action {
        Action::CreateServiceUser { name, account, scopes, settings, api_key, secret_sealed } => {
            // Asked for and made in one command: the secret is in that reply. Else its initiator claims it.
            let until = t.now().plus_us(CLAIM_US);
            let (status, claim) = match at_once {
                true => (KeyStatus::Active, None),
                false => (KeyStatus::Unclaimed, Some(Claim { request: request.id, member, until })),
            };
            let user = ServiceUser {
                id: t.state().keys.next_id(),
                organization: request.organization,
                account: *account,
                name: name.clone(),
                api_key: api_key.clone(),
                secret_sealed: secret_sealed.clone(),
                credential: 1,
                status,
                scopes: *scopes,
                settings: settings.clone(),
                managers: vec![member],
                claim,
                query_ended: false,
            };
            service_users::change(t, user, ServiceUserChange::Created);
        }
        Action::EditServiceUser { service_user, .. } => {
            let before = t.state().keys.service_user(*service_user);
            let mut after = edited(before, &request.action);
            after.managers = managed_by(before, member);
            after.query_ended = after.settings.query_end.is_some_and(|end| end <= t.now());
            let expired = after.settings.expired(t.now());
            after.status = match after.status {
                KeyStatus::Active if expired => KeyStatus::Expired,
                KeyStatus::Expired if !expired => KeyStatus::Active,
                status => status,
            };
            service_users::change(t, after, ServiceUserChange::Edited);
        }
        Action::RemoveServiceUser { service_user } => {
            let before = t.state().keys.service_user(*service_user).clone();
            let after = ServiceUser { status: KeyStatus::Removed, claim: None, ..before };
            service_users::change(t, after, ServiceUserChange::Removed);
        }
        Action::SetPolicy { .. } | Action::AddAddress { .. } | Action::Withdraw { .. } => {}
    }
}
