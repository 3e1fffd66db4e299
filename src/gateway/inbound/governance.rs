//! What Members send besides changes: queries about requests, votes, freezes, what a policy requires.

use super::change::withdrawal_change;
use super::request::{Body, Parsed, parse_params};
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
    let params: p::Requests<'_> = parse_params(e)?;
    let filter = RequestFilter {
        state: optional_word("state", params.state.as_deref())?,
        workflow: optional_word("workflow", params.workflow.as_deref())?,
        before: cursor(&params.cursor, RequestId::parse)?,
        limit: Some(limit(params.limit)?),
    };
    Ok((params.token, Body::Query(Query::Requests(filter))))
}

pub(super) fn request_info<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::RequestRef<'_> = parse_params(e)?;
    Ok((params.token, Body::Query(Query::Request(request_id(&params.request_id)?))))
}

pub(super) fn cancel_request<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::RequestRef<'_> = parse_params(e)?;
    Ok((params.token, Body::Command(Command::CancelRequest(request_id(&params.request_id)?))))
}

pub(super) fn approve<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::Vote<'_> = parse_params(e)?;
    let (ballots, comment) = (ballots(&params.requests)?, owned(&params.comment));
    let command = Command::Vote { decision: Decision::Approve, ballots, step: None, comment };
    Ok((params.token, Body::Coded(command, params.otp.as_ref().map(Text::owned))))
}

pub(super) fn reject<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::Reject<'_> = parse_params(e)?;
    let (ballots, comment) = (ballots(&params.requests)?, Some((*params.reason).to_owned()));
    let command = Command::Vote { decision: Decision::Reject, ballots, step: None, comment };
    Ok((params.token, Body::Coded(command, None)))
}

pub(super) fn execute<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::Vote<'_> = parse_params(e)?;
    let (ballots, comment) = (ballots(&params.requests)?, owned(&params.comment));
    let command = Command::Execute { ballots, step: None, comment };
    Ok((params.token, Body::Coded(command, params.otp.as_ref().map(Text::owned))))
}

pub(super) fn claim_secret<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::ClaimSecret<'_> = parse_params(e)?;
    let command = Command::ClaimSecret { request: request_id(&params.request_id)?, step: None };
    Ok((params.token, Body::Coded(command, Some(params.otp.owned()))))
}

pub(super) fn freeze<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::Freeze<'_> = parse_params(e)?;
    let scope = word("scope", &params.scope)?;
    Ok((params.token, Body::Command(Command::Freeze { scope, reason: (*params.reason).to_owned() })))
}

pub(super) fn cancel_orders<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::CancelOrders<'_> = parse_params(e)?;
    Ok((params.token, Body::Command(Command::CancelOrders(service_user(&params.service_user_id)?))))
}

pub(super) fn policy_explain<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::PolicyExplain<'_> = parse_params(e)?;
    let change = withdrawal_change(&params.asset, &params.key, params.amount)?;
    let service_user = params.service_user_id.as_deref().map(service_user).transpose()?;
    Ok((params.token, Body::Query(Query::Explain { change, service_user })))
}

fn ballots(ballots: &[Object<p::Ballot<'_>>]) -> Result<Vec<Ballot>, WireError> {
    if !(1..=VOTES_MAX).contains(&ballots.len()) {
        return Err(WireError::field("requests", "name 1 to 50 requests"));
    }
    let read = |ballot: &Object<p::Ballot<'_>>| {
        Ok(Ballot { request: request_id(&ballot.request_id)?, digest: (*ballot.digest).to_owned() })
    };
    ballots.iter().map(read).collect()
}
