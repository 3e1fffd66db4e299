//! Governed changes, as Members ask for them.

use super::request::{Body, Parsed, params};
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
    let asked: p::CreateServiceUser<'_> = params(e)?;
    if asked.accounts.iter().flatten().any(|account| &**account != "main") {
        return Err(WireError::field("accounts", "give main, or leave it out"));
    }
    let settings = settings(asked.settings.as_deref())?.on(&KeySettings::default());
    let name = (*asked.name).to_owned();
    let change = KeyChange::Create { name, scopes: scopes(&asked.scopes)?, settings };
    initiate(Change::Keys(change), asked.manner())
}

pub(super) fn edit_service_user<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::EditServiceUser<'_> = params(e)?;
    let change = KeyChange::Edit {
        service_user: service_user(&asked.service_user_id)?,
        name: owned(&asked.name),
        scopes: asked.scopes.as_deref().map(scopes).transpose()?,
        settings: settings(asked.settings.as_deref())?,
        disabled: asked.disabled,
    };
    initiate(Change::Keys(change), asked.manner())
}

pub(super) fn rotate_service_user_key<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::RotateServiceUserKey<'_> = params(e)?;
    let service_user = service_user(&asked.service_user_id)?;
    let overlap_s = asked.overlap_s.unwrap_or(OVERLAP_S);
    initiate(Change::Keys(KeyChange::Rotate { service_user, overlap_s }), asked.manner())
}

pub(super) fn remove_service_user<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::RemoveServiceUser<'_> = params(e)?;
    let service_user = service_user(&asked.service_user_id)?;
    initiate(Change::Keys(KeyChange::Remove { service_user }), asked.manner())
}

pub(super) fn invite_member<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::InviteMember<'_> = params(e)?;
    let change = MemberChange::Invite {
        name: (*asked.name).to_owned(),
        email: (*asked.email).to_owned(),
        permissions: permissions(&asked.permissions)?,
    };
    initiate(Change::Members(change), asked.manner())
}

pub(super) fn edit_member<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::EditMember<'_> = params(e)?;
    let change = MemberChange::Edit {
        member: member(&asked.member_id)?,
        name: owned(&asked.name),
        permissions: asked.permissions.as_deref().map(permissions).transpose()?.unwrap_or_default(),
        suspended: asked.suspended,
    };
    initiate(Change::Members(change), asked.manner())
}

pub(super) fn reset_member<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::MemberRef<'_> = params(e)?;
    let member = member(&asked.member_id)?;
    initiate(Change::Members(MemberChange::Reset { member }), asked.manner())
}

pub(super) fn remove_member<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::MemberRef<'_> = params(e)?;
    let member = member(&asked.member_id)?;
    initiate(Change::Members(MemberChange::Remove { member }), asked.manner())
}

pub(super) fn set_policy<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::SetPolicy<'_> = params(e)?;
    let usual = PolicyTerms::of(asked.quorum);
    let rules = asked.rules.iter().flatten().map(|asked| rule(asked)).collect::<Result<_, _>>()?;
    let terms = PolicyTerms {
        reject_quorum: asked.reject_quorum.unwrap_or(usual.reject_quorum),
        allow_execute: asked.allow_execute.unwrap_or(usual.allow_execute),
        expires_after_s: asked.expires_after_s.unwrap_or(usual.expires_after_s),
        exclude_key_managers: asked.exclude_key_managers.unwrap_or(usual.exclude_key_managers),
        cool_down_s: asked.cool_down_s.unwrap_or(usual.cool_down_s),
        rules,
        ..usual
    };
    let change = PolicyChange::Set { workflow: word("workflow", &asked.workflow)?, terms };
    initiate(Change::Policies(change), asked.manner())
}

pub(super) fn remove_policy<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::RemovePolicy<'_> = params(e)?;
    let change = PolicyChange::Remove { workflow: word("workflow", &asked.workflow)? };
    initiate(Change::Policies(change), asked.manner())
}

pub(super) fn add_address<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::AddAddress<'_> = params(e)?;
    let address = WithdrawalAddress {
        key: (*asked.key).to_owned(),
        method: (*asked.method).to_owned(),
        address: (*asked.address).to_owned(),
        tag: owned(&asked.tag),
    };
    let asset = short("asset", &asked.asset)?;
    initiate(Change::Addresses(AddressChange::Add { asset, address }), asked.manner())
}

pub(super) fn remove_address<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::RemoveAddress<'_> = params(e)?;
    let (asset, key) = (short("asset", &asked.asset)?, (*asked.key).to_owned());
    initiate(Change::Addresses(AddressChange::Remove { asset, key }), asked.manner())
}

pub(super) fn unfreeze<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::Unfreeze<'_> = params(e)?;
    initiate(Change::Unfreeze(Unfreeze { reason: (*asked.reason).to_owned() }), asked.manner())
}

pub(super) fn initiate_withdrawal<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::InitiateWithdrawal<'_> = params(e)?;
    let change = withdrawal_change(&asked.asset, &asked.key, asked.amount)?;
    initiate(Change::Withdrawal(change), asked.manner())
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

fn permissions(asked: &p::Permissions<'_>) -> Result<PermissionSets, WireError> {
    let by_workflow = [
        (Workflow::ManageAccess, &asked.manage_access),
        (Workflow::ManagePolicies, &asked.manage_policies),
        (Workflow::ManageAddresses, &asked.manage_addresses),
        (Workflow::InitiateWithdrawal, &asked.initiate_withdrawal),
    ];
    let permission = |name: &Word<'_, Permission>| word("permissions", name);
    let given = by_workflow.into_iter().filter_map(|(workflow, names)| Some((workflow, names.as_ref()?)));
    given.map(|(workflow, names)| Ok((workflow, names.iter().map(permission).collect::<Result<_, _>>()?))).collect()
}

fn rule(asked: &p::Rule<'_>) -> Result<Rule, WireError> {
    let id = |text: &str| {
        let member = MemberId::parse(text).map(InitiatorId::Member);
        member.or_else(|| ServiceUserId::parse(text).map(InitiatorId::ServiceUser))
    };
    let initiator = |text: &Text<'_>| parse_named("rules", text, id, "initiators are ids of Members and Service Users");
    let initiators = asked.initiators.as_ref().map(|all| all.iter().map(initiator).collect::<Result<_, _>>());
    Ok(Rule {
        asset: optional_short("rules", asked.asset.as_deref())?,
        amount_from: optional_decimal("amount_from", asked.amount_from)?,
        total_24h_from: optional_decimal("total_24h_from", asked.total_24h_from)?,
        keys: asked.keys.as_ref().map(|keys| keys.iter().map(|key| (**key).to_owned()).collect()),
        initiators: initiators.transpose()?,
        quorum: asked.quorum,
        allow_execute: asked.allow_execute,
    })
}

fn scopes(names: &[Word<'_, Scope>]) -> Result<ScopeSet, WireError> {
    let scope = |name: &Word<'_, Scope>| word("scopes", name);
    Ok(ScopeSet::of(&names.iter().map(scope).collect::<Result<Vec<_>, _>>()?))
}

fn settings(asked: Option<&p::Settings<'_>>) -> Result<SettingsChange, WireError> {
    let Some(asked) = asked else { return Ok(SettingsChange::default()) };
    let network = |text: &Text<'_>| network(text).map_err(|advice| WireError::field("settings.ip_allowlist", advice));
    let networks = |texts: &Vec<Text<'_>>| texts.iter().map(network).collect::<Result<Vec<_>, _>>();
    let date =
        |field, asked: &Option<Option<Text<'_>>>| asked.as_ref().map(|text| moment(field, text.as_deref())).transpose();
    Ok(SettingsChange {
        expires_at: date("settings.expires_at", &asked.expires_at)?,
        query_start: date("settings.query_start", &asked.query_start)?,
        query_end: date("settings.query_end", &asked.query_end)?,
        allow_websocket: asked.allow_websocket,
        nonce_window: asked.nonce_window,
        ip_allowlist: asked.ip_allowlist.as_ref().map(networks).transpose()?,
        on_stop: optional_word("settings.on_stop", asked.on_stop.as_deref())?,
        cancel_on_disconnect: asked.cancel_on_disconnect,
    })
}
