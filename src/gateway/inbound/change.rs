//! Governed changes, as Members ask for them.

use super::request::{Body, Parsed, parse_params};
use super::values::{
    client_id, decimal, member, moment, optional_decimal, optional_short, optional_word, owned, parse_named,
    service_user, short, word,
};
use super::{Message, WireError};
use crate::access::key::{KeySettings, SettingsChange, network};
use crate::access::scope::{Scope, ScopeSet};
use crate::access::workflow::{Permission, Workflow};
use crate::domain::ids::{MemberId, ServiceUserId};
use crate::engine::approvals::InitiatorId;
use crate::engine::command::{Command, Initiation};
use crate::engine::policy::{PolicyTerms, Rule};
use crate::engine::withdrawals::WithdrawalAddress;
use crate::engine::workflows::Change;
use crate::engine::workflows::addresses::AddressChange;
use crate::engine::workflows::keys::KeyChange;
use crate::engine::workflows::members::{MemberChange, PermissionSets};
use crate::engine::workflows::policies::PolicyChange;
use crate::engine::workflows::unfreeze::Unfreeze;
use crate::engine::workflows::withdrawal::WithdrawalChange;
use crate::wire::leaf::{Number, Text, Word};
use crate::wire::params as p;

/// How long the old key stays valid beside its successor by default, seconds.
const OVERLAP_S: u64 = 3_600;

pub(super) fn create_service_user<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::CreateServiceUser<'_> = parse_params(e)?;
    if params.accounts.iter().flatten().any(|account| &**account != "main") {
        return Err(WireError::field("accounts", "give main, or leave it out"));
    }
    let settings = settings(params.settings.as_deref())?.on(&KeySettings::default());
    let name = (*params.name).to_owned();
    let change = KeyChange::Create { name, scopes: scopes(&params.scopes)?, settings };
    initiate(Change::Keys(change), params.manner())
}

pub(super) fn edit_service_user<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::EditServiceUser<'_> = parse_params(e)?;
    let change = KeyChange::Edit {
        service_user: service_user(&params.service_user_id)?,
        name: owned(&params.name),
        scopes: params.scopes.as_deref().map(scopes).transpose()?,
        settings: settings(params.settings.as_deref())?,
        disabled: params.disabled,
    };
    initiate(Change::Keys(change), params.manner())
}

pub(super) fn rotate_service_user_key<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::RotateServiceUserKey<'_> = parse_params(e)?;
    let service_user = service_user(&params.service_user_id)?;
    let overlap_s = params.overlap_s.unwrap_or(OVERLAP_S);
    initiate(Change::Keys(KeyChange::Rotate { service_user, overlap_s }), params.manner())
}

pub(super) fn remove_service_user<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::RemoveServiceUser<'_> = parse_params(e)?;
    let service_user = service_user(&params.service_user_id)?;
    initiate(Change::Keys(KeyChange::Remove { service_user }), params.manner())
}

pub(super) fn invite_member<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::InviteMember<'_> = parse_params(e)?;
    let change = MemberChange::Invite {
        name: (*params.name).to_owned(),
        email: (*params.email).to_owned(),
        permissions: permissions(&params.permissions)?,
    };
    initiate(Change::Members(change), params.manner())
}

pub(super) fn edit_member<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::EditMember<'_> = parse_params(e)?;
    let change = MemberChange::Edit {
        member: member(&params.member_id)?,
        name: owned(&params.name),
        permissions: params.permissions.as_deref().map(permissions).transpose()?.unwrap_or_default(),
        suspended: params.suspended,
    };
    initiate(Change::Members(change), params.manner())
}

pub(super) fn reset_member<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::MemberRef<'_> = parse_params(e)?;
    let member = member(&params.member_id)?;
    initiate(Change::Members(MemberChange::Reset { member }), params.manner())
}

pub(super) fn remove_member<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::MemberRef<'_> = parse_params(e)?;
    let member = member(&params.member_id)?;
    initiate(Change::Members(MemberChange::Remove { member }), params.manner())
}

pub(super) fn set_policy<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::SetPolicy<'_> = parse_params(e)?;
    let usual = PolicyTerms::of(params.quorum);
    let rules = params.rules.iter().flatten().map(|of| rule(of)).collect::<Result<_, _>>()?;
    let terms = PolicyTerms {
        reject_quorum: params.reject_quorum.unwrap_or(usual.reject_quorum),
        allow_execute: params.allow_execute.unwrap_or(usual.allow_execute),
        expires_after_s: params.expires_after_s.unwrap_or(usual.expires_after_s),
        exclude_key_managers: params.exclude_key_managers.unwrap_or(usual.exclude_key_managers),
        cool_down_s: params.cool_down_s.unwrap_or(usual.cool_down_s),
        rules,
        ..usual
    };
    let change = PolicyChange::Set { workflow: word("workflow", &params.workflow)?, terms };
    initiate(Change::Policies(change), params.manner())
}

pub(super) fn remove_policy<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::RemovePolicy<'_> = parse_params(e)?;
    let change = PolicyChange::Remove { workflow: word("workflow", &params.workflow)? };
    initiate(Change::Policies(change), params.manner())
}

pub(super) fn add_address<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::AddAddress<'_> = parse_params(e)?;
    let address = WithdrawalAddress {
        key: (*params.key).to_owned(),
        method: (*params.method).to_owned(),
        address: (*params.address).to_owned(),
        tag: owned(&params.tag),
    };
    let asset = short("asset", &params.asset)?;
    initiate(Change::Addresses(AddressChange::Add { asset, address }), params.manner())
}

pub(super) fn remove_address<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::RemoveAddress<'_> = parse_params(e)?;
    let (asset, key) = (short("asset", &params.asset)?, (*params.key).to_owned());
    initiate(Change::Addresses(AddressChange::Remove { asset, key }), params.manner())
}

pub(super) fn unfreeze<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::Unfreeze<'_> = parse_params(e)?;
    initiate(Change::Unfreeze(Unfreeze { reason: (*params.reason).to_owned() }), params.manner())
}

pub(super) fn initiate_withdrawal<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::InitiateWithdrawal<'_> = parse_params(e)?;
    let change = withdrawal_change(&params.asset, &params.key, params.amount)?;
    initiate(Change::Withdrawal(change), params.manner())
}

fn initiate<'a>(change: Change, manner: p::Manner<'a>) -> Parsed<'a> {
    let initiation = Initiation {
        execute: manner.execute.unwrap_or(false),
        step: None,
        client_id: client_id(manner.client_id.as_deref())?,
        strand_pending: manner.strand_pending.unwrap_or(false),
        generated: None,
    };
    let command = Command::Initiate(Box::new(change), initiation);
    Ok((manner.token, Body::Coded(command, manner.otp.as_ref().map(Text::owned))))
}

/// A withdrawal from its texts.
pub(super) fn withdrawal_change(asset: &str, key: &str, amount: Number<'_>) -> Result<WithdrawalChange, WireError> {
    Ok(WithdrawalChange { asset: short("asset", asset)?, key: key.to_owned(), amount: decimal("amount", amount)? })
}

fn permissions(lists: &p::Permissions<'_>) -> Result<PermissionSets, WireError> {
    let by_workflow = [
        (Workflow::ManageAccess, &lists.manage_access),
        (Workflow::ManagePolicies, &lists.manage_policies),
        (Workflow::ManageAddresses, &lists.manage_addresses),
        (Workflow::InitiateWithdrawal, &lists.initiate_withdrawal),
    ];
    let permission = |name: &Word<'_, Permission>| word("permissions", name);
    let given = by_workflow.into_iter().filter_map(|(workflow, names)| Some((workflow, names.as_ref()?)));
    given.map(|(workflow, names)| Ok((workflow, names.iter().map(permission).collect::<Result<_, _>>()?))).collect()
}

fn rule(rule: &p::Rule<'_>) -> Result<Rule, WireError> {
    let id = |text: &str| {
        let member = MemberId::parse(text).map(InitiatorId::Member);
        member.or_else(|| ServiceUserId::parse(text).map(InitiatorId::ServiceUser))
    };
    let initiator = |text: &Text<'_>| parse_named("rules", text, id, "initiators are ids of Members and Service Users");
    let initiators = rule.initiators.as_ref().map(|all| all.iter().map(initiator).collect::<Result<_, _>>());
    Ok(Rule {
        asset: optional_short("rules", rule.asset.as_deref())?,
        amount_from: optional_decimal("amount_from", rule.amount_from)?,
        total_24h_from: optional_decimal("total_24h_from", rule.total_24h_from)?,
        keys: rule.keys.as_ref().map(|keys| keys.iter().map(|key| (**key).to_owned()).collect()),
        initiators: initiators.transpose()?,
        quorum: rule.quorum,
        allow_execute: rule.allow_execute,
    })
}

fn scopes(names: &[Word<'_, Scope>]) -> Result<ScopeSet, WireError> {
    let scope = |name: &Word<'_, Scope>| word("scopes", name);
    Ok(ScopeSet::of(&names.iter().map(scope).collect::<Result<Vec<_>, _>>()?))
}

fn settings(settings: Option<&p::Settings<'_>>) -> Result<SettingsChange, WireError> {
    let Some(settings) = settings else { return Ok(SettingsChange::default()) };
    let network = |text: &Text<'_>| network(text).map_err(|advice| WireError::field("settings.ip_allowlist", advice));
    let networks = |texts: &Vec<Text<'_>>| texts.iter().map(network).collect::<Result<Vec<_>, _>>();
    let date =
        |field, value: &Option<Option<Text<'_>>>| value.as_ref().map(|text| moment(field, text.as_deref())).transpose();
    Ok(SettingsChange {
        expires_at: date("settings.expires_at", &settings.expires_at)?,
        query_start: date("settings.query_start", &settings.query_start)?,
        query_end: date("settings.query_end", &settings.query_end)?,
        allow_websocket: settings.allow_websocket,
        nonce_window: settings.nonce_window,
        ip_allowlist: settings.ip_allowlist.as_ref().map(networks).transpose()?,
        on_stop: optional_word("settings.on_stop", settings.on_stop.as_deref())?,
        cancel_on_disconnect: settings.cancel_on_disconnect,
    })
}
