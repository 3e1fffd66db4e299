//! What Members ask for: votes, and governed changes.

use super::request::{Body, Parsed, params};
use super::values::{decimal, moment, optional_short, owned, request_id, service_user, short, workflow};
use super::{Envelope, WireError};
use crate::access::key::{KeySettings, OnStop, SettingsChange};
use crate::access::operation::Operation;
use crate::access::scope::{Scope, ScopeSet};
use crate::domain::limits::{REQUEST_EXPIRY_US, VOTES_MAX};
use crate::engine::approvals::Decision;
use crate::engine::command::{Ballot, Change, Command, Initiation};
use crate::engine::policy::PolicyTerms;
use crate::engine::withdrawals::WithdrawalAddress;
use crate::wire::leaf::Text;
use crate::wire::params as p;

/// Votes, Execute and the claim of a secret.
pub(super) fn coded<'a>(operation: Operation, e: &Envelope<'a>) -> Parsed<'a> {
    match operation {
        Operation::Reject => {
            let asked: p::Reject<'_> = params(e)?;
            let (ballots, comment) = (ballots(&asked.requests)?, Some((*asked.reason).to_owned()));
            let command = Command::Vote { decision: Decision::Reject, ballots, step: None, comment };
            Ok((asked.token, Body::Coded(command, None)))
        }
        Operation::ClaimSecret => {
            let asked: p::ClaimSecret<'_> = params(e)?;
            let command = Command::ClaimSecret { request: request_id(&asked.request_id)?, step: 0 };
            Ok((asked.token, Body::Coded(command, Some((*asked.otp).to_owned()))))
        }
        _ => {
            let asked: p::Vote<'_> = params(e)?;
            let (ballots, comment) = (ballots(&asked.requests)?, owned(&asked.comment));
            let command = match operation {
                Operation::Execute => Command::Execute { ballots, step: 0, comment },
                _ => Command::Vote { decision: Decision::Approve, ballots, step: None, comment },
            };
            Ok((asked.token, Body::Coded(command, owned(&asked.otp))))
        }
    }
}

/// A governed change.
pub(super) fn initiate<'a>(operation: Operation, e: &Envelope<'a>) -> Parsed<'a> {
    match operation {
        Operation::CreateServiceUser => create_service_user(params(e)?),
        Operation::EditServiceUser => edit_service_user(params(e)?),
        Operation::RemoveServiceUser => {
            let asked: p::RemoveServiceUser<'_> = params(e)?;
            let change = Change::RemoveServiceUser { service_user: service_user(&asked.service_user_id)? };
            changed(change, asked.execute, asked.client_id, asked.strand_pending, asked.otp, asked.token)
        }
        Operation::SetPolicy => {
            let asked: p::SetPolicy<'_> = params(e)?;
            let terms = PolicyTerms {
                quorum: asked.quorum,
                reject_quorum: asked.reject_quorum.unwrap_or(1),
                allow_execute: asked.allow_execute.unwrap_or(false),
                expires_after_s: asked.expires_after_s.unwrap_or(REQUEST_EXPIRY_US / 1_000_000),
                exclude_key_managers: asked.exclude_key_managers.unwrap_or(false),
            };
            let change = Change::SetPolicy { workflow: workflow(&asked.workflow)?, terms };
            changed(change, asked.execute, asked.client_id, asked.strand_pending, asked.otp, asked.token)
        }
        Operation::AddAddress => {
            let asked: p::AddAddress<'_> = params(e)?;
            let address = WithdrawalAddress {
                key: (*asked.key).to_owned(),
                method: (*asked.method).to_owned(),
                address: (*asked.address).to_owned(),
                tag: owned(&asked.tag),
            };
            let change = Change::AddAddress { asset: short("asset", &asked.asset)?, address };
            changed(change, asked.execute, asked.client_id, None, asked.otp, asked.token)
        }
        _ => {
            let asked: p::InitiateWithdrawal<'_> = params(e)?;
            let change = Change::Withdraw {
                asset: short("asset", &asked.asset)?,
                key: (*asked.key).to_owned(),
                amount: decimal("amount", asked.amount)?,
            };
            changed(change, asked.execute, asked.client_id, None, asked.otp, asked.token)
        }
    }
}

fn create_service_user(asked: p::CreateServiceUser<'_>) -> Parsed<'_> {
    if asked.accounts.iter().flatten().any(|account| &**account != "main") {
        return Err(WireError::field("accounts", "give main, or leave it out"));
    }
    let change = Change::CreateServiceUser {
        name: (*asked.name).to_owned(),
        scopes: scopes(&asked.scopes)?,
        settings: settings(asked.settings.as_ref())?.on(&KeySettings::default()),
        api_key: String::new(),
        secret_sealed: Vec::new(),
    };
    changed(change, asked.execute, asked.client_id, None, asked.otp, asked.token)
}

fn edit_service_user(asked: p::EditServiceUser<'_>) -> Parsed<'_> {
    let change = Change::EditServiceUser {
        service_user: service_user(&asked.service_user_id)?,
        name: owned(&asked.name),
        scopes: asked.scopes.as_deref().map(scopes).transpose()?,
        settings: settings(asked.settings.as_ref())?,
        disabled: asked.disabled,
    };
    changed(change, asked.execute, asked.client_id, asked.strand_pending, asked.otp, asked.token)
}

fn changed<'a>(
    change: Change,
    execute: Option<bool>,
    client_id: Option<Text<'a>>,
    strand_pending: Option<bool>,
    otp: Option<Text<'a>>,
    token: Option<Text<'a>>,
) -> Parsed<'a> {
    let initiation = Initiation {
        execute: execute.unwrap_or(false),
        step: None,
        client_id: optional_short("client_id", client_id.as_deref())?,
        strand_pending: strand_pending.unwrap_or(false),
    };
    Ok((token, Body::Coded(Command::Initiate(Box::new(change), initiation), owned(&otp))))
}

fn ballots(asked: &[p::Ballot<'_>]) -> Result<Vec<Ballot>, WireError> {
    if !(1..=VOTES_MAX).contains(&asked.len()) {
        return Err(WireError::field("requests", "name 1 to 50 requests"));
    }
    let ballot = |asked: &p::Ballot<'_>| {
        Ok(Ballot { request: request_id(&asked.request_id)?, digest: (*asked.digest).to_owned() })
    };
    asked.iter().map(ballot).collect()
}

fn scopes(names: &[Text<'_>]) -> Result<ScopeSet, WireError> {
    let scope = |name: &Text<'_>| Scope::parse(name).ok_or_else(|| WireError::field("scopes", "give scopes by name"));
    Ok(ScopeSet::of(&names.iter().map(scope).collect::<Result<Vec<_>, _>>()?))
}

fn settings(asked: Option<&p::Settings<'_>>) -> Result<SettingsChange, WireError> {
    let Some(asked) = asked else { return Ok(SettingsChange::default()) };
    let network = |text: &Text<'_>| {
        let net = text.parse().or_else(|_| text.parse().map(|address: std::net::IpAddr| address.into()));
        net.map_err(|_| WireError::field("ip_allowlist", "give addresses or networks such as 10.0.0.0/8"))
    };
    let networks = |texts: &Vec<Text<'_>>| texts.iter().map(network).collect::<Result<Vec<_>, _>>();
    let date =
        |field, asked: &Option<Option<Text<'_>>>| asked.as_ref().map(|text| moment(field, text.as_deref())).transpose();
    Ok(SettingsChange {
        expires_at: date("expires_at", &asked.expires_at)?,
        query_start: date("query_start", &asked.query_start)?,
        query_end: date("query_end", &asked.query_end)?,
        allow_websocket: asked.allow_websocket,
        nonce_window: asked.nonce_window,
        ip_allowlist: asked.ip_allowlist.as_ref().map(networks).transpose()?,
        on_stop: match asked.on_stop.as_deref() {
            None => None,
            Some("cancel") => Some(OnStop::Cancel),
            Some("keep") => Some(OnStop::Keep),
            Some(_) => return Err(WireError::field("on_stop", "give cancel or keep")),
        },
    })
}
