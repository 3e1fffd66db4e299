//! What Members send besides changes: queries about requests, votes, freezes, what a policy requires.

use super::change::withdrawal_change;
use super::request::{Body, Parsed, params};
use super::values::{cursor, limit, optional_word, owned, request_id, service_user, word};
use super::{Message, WireError};
use crate::domain::ids::RequestId;
use crate::domain::limits::VOTES_MAX;
use crate::engine::approvals::Decision;
use crate::engine::command::{Ballot, Command};
use crate::engine::query::{Query, RequestFilter};
use crate::wire::leaf::{Object, Text};
use crate::wire::params as p;

pub(super) fn requests<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::Requests<'_> = params(e)?;
    let filter = RequestFilter {
        state: optional_word("state", asked.state.as_deref())?,
        workflow: optional_word("workflow", asked.workflow.as_deref())?,
        before: cursor(&asked.cursor, RequestId::parse)?,
        limit: Some(limit(asked.limit)?),
    };
    Ok((asked.token, Body::Query(Query::Requests(filter))))
}

pub(super) fn request_info<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::RequestRef<'_> = params(e)?;
    Ok((asked.token, Body::Query(Query::Request(request_id(&asked.request_id)?))))
}

pub(super) fn cancel_request<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::RequestRef<'_> = params(e)?;
    Ok((asked.token, Body::Command(Command::CancelRequest(request_id(&asked.request_id)?))))
}

pub(super) fn approve<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::Vote<'_> = params(e)?;
    let (ballots, comment) = (ballots(&asked.requests)?, owned(&asked.comment));
    let command = Command::Vote { decision: Decision::Approve, ballots, step: None, comment };
    Ok((asked.token, Body::Coded(command, asked.otp.as_ref().map(Text::owned))))
}

pub(super) fn reject<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::Reject<'_> = params(e)?;
    let (ballots, comment) = (ballots(&asked.requests)?, Some((*asked.reason).to_owned()));
    let command = Command::Vote { decision: Decision::Reject, ballots, step: None, comment };
    Ok((asked.token, Body::Coded(command, None)))
}

pub(super) fn execute<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::Vote<'_> = params(e)?;
    let (ballots, comment) = (ballots(&asked.requests)?, owned(&asked.comment));
    let command = Command::Execute { ballots, step: None, comment };
    Ok((asked.token, Body::Coded(command, asked.otp.as_ref().map(Text::owned))))
}

pub(super) fn claim_secret<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::ClaimSecret<'_> = params(e)?;
    let command = Command::ClaimSecret { request: request_id(&asked.request_id)?, step: None };
    Ok((asked.token, Body::Coded(command, Some(asked.otp.owned()))))
}

pub(super) fn freeze<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::Freeze<'_> = params(e)?;
    let scope = word("scope", &asked.scope)?;
    Ok((asked.token, Body::Command(Command::Freeze { scope, reason: (*asked.reason).to_owned() })))
}

pub(super) fn cancel_orders<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::CancelOrders<'_> = params(e)?;
    Ok((asked.token, Body::Command(Command::CancelOrders(service_user(&asked.service_user_id)?))))
}

pub(super) fn policy_explain<'a>(e: &Message<'a>) -> Parsed<'a> {
    let asked: p::PolicyExplain<'_> = params(e)?;
    let change = withdrawal_change(&asked.asset, &asked.key, asked.amount)?;
    let service_user = asked.service_user_id.as_deref().map(service_user).transpose()?;
    Ok((asked.token, Body::Query(Query::Explain { change, service_user })))
}

fn ballots(asked: &[Object<p::Ballot<'_>>]) -> Result<Vec<Ballot>, WireError> {
    if !(1..=VOTES_MAX).contains(&asked.len()) {
        return Err(WireError::field("requests", "name 1 to 50 requests"));
    }
    let ballot = |asked: &Object<p::Ballot<'_>>| {
        Ok(Ballot { request: request_id(&asked.request_id)?, digest: (*asked.digest).to_owned() })
    };
    asked.iter().map(ballot).collect()
}
