//! `/v2`: who may open a socket. A signed request is checked before 101 (rules 2–4), a cookie needs an exact Origin
//! (rule 16), and a request with neither gets public data until a token binds its socket (rule 6).

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{Extension, Router};
use tokio::runtime::Handle;

use super::admission::counted_as;
use super::context::{Gateway, Unanswered};
use super::credentials::Signed;
use super::http_request::{check_origin, cookie, origin};
use super::peer::Peer;
use super::refusal::Refusal;
use super::release::{Ticket, Waiting};
use super::send_queue::SendQueue;
use super::session::{self, Opened};
use super::sign_in::session_hash;
use super::upgrade::Upgrade;
use crate::access::principal::{Actor, Credential, Principal};
use crate::engine::command::Command;
use crate::engine::keys::KeyRef;
use crate::engine::query::{Query, View};
use crate::engine::reject::{Code, Reject};
use crate::engine::reply::Reply;
use crate::sequencer::handle::{Answer, Work};

/// The WebSocket's route.
pub fn routes(gateway: Arc<Gateway>) -> Router {
    Router::new().route("/v2", any(open)).with_state(gateway)
}

async fn open(
    State(gateway): State<Arc<Gateway>>,
    Extension(Peer(peer)): Extension<Peer>,
    headers: HeaderMap,
    upgrade: Result<Upgrade, Refusal>,
) -> Response {
    let opened = match upgrade {
        Ok(upgrade) => judge(&gateway, &headers, peer).await.map(|opened| (upgrade, opened)),
        Err(refusal) => Err(refusal),
    };
    match opened {
        Ok((upgrade, opened)) => {
            let sessions = match opened.principal.actor {
                Actor::Member(_) => gateway.dashboards.clone(),
                _ => Handle::current(),
            };
            upgrade.accept(sessions, move |socket| session::run(gateway, socket, opened))
        }
        Err(refusal) => {
            gateway.handshake_refused(&headers, peer, &refusal);
            refusal.into_response()
        }
    }
}

/// Whom a new socket of `peer` belongs to, and its place; or why it is refused.
pub(super) async fn judge(gateway: &Gateway, headers: &HeaderMap, peer: IpAddr) -> Result<Opened, Refusal> {
    if gateway.is_stopping() {
        return Err(Refusal::unavailable());
    }
    let admitted = gateway.admission.sockets.enter(peer).ok_or_else(Refusal::crowded)?;
    let (guard, deliveries) = gateway.sockets.take(peer);
    let principal = authenticate(gateway, headers, &guard.queue).await?;
    Ok(Opened { guard, admitted, deliveries, principal, origin: origin(headers).map(str::to_owned) })
}

/// Whom the socket belongs to.
async fn authenticate(gateway: &Gateway, headers: &HeaderMap, queue: &Arc<SendQueue>) -> Result<Principal, Refusal> {
    let bare = Principal::public(queue.peer);
    let ticket = |answer| Ticket::Open(Arc::clone(queue), answer);
    if let Some(signature) = Signature::of(headers)? {
        let (key, version) = open_signed(gateway, &signature, queue.peer, ticket).await?;
        return Ok(Principal { actor: key.actor(), credential: Credential::Key(version), ..bare });
    }
    let Some(token) = cookie(headers) else { return Ok(bare) };
    check_origin(gateway, headers)?;
    let query = Work::Query(Query::BindMember(session_hash(gateway, token)?));
    let opened = gateway.ask_with(bare, query, ticket).await;
    let answer = opened.map_err(|why| why.over_http(StatusCode::UNAUTHORIZED))?;
    match answer {
        Answer::View(View::Bound(bound)) => Ok(Principal { actor: bound.actor, credential: bound.credential, ..bare }),
        _ => Err(Refusal::unavailable()),
    }
}

/// A signed request: the key, its signature and what was signed.
pub(super) struct Signature<'a> {
    /// The public part of the key.
    pub api_key: &'a str,
    /// The signature.
    pub api_sign: &'a str,
    /// What was signed.
    pub signed: Signed<'a>,
}

impl Signature<'_> {
    /// The signature of a handshake, from its three headers; `None` if it has none of them.
    pub fn of(headers: &HeaderMap) -> Result<Option<Signature<'_>>, Refusal> {
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or(""));
        let [api_key, nonce, api_sign] = ["api-key", "api-nonce", "api-sign"].map(text);
        if api_key.or(nonce).or(api_sign).is_none() {
            return Ok(None);
        }
        let needed =
            |code, header| Refusal::new(StatusCode::UNAUTHORIZED, Reject::field(code, header, "this header is needed"));
        let api_key = api_key.ok_or_else(|| needed(Code::InvalidKey, "API-Key"))?;
        let nonce = nonce.ok_or_else(|| needed(Code::InvalidNonce, "API-Nonce"))?;
        let api_sign = api_sign.ok_or_else(|| needed(Code::InvalidSignature, "API-Sign"))?;
        Ok(Some(Signature { api_key, api_sign, signed: Signed::handshake(nonce) }))
    }
}

/// Verifies a signature and has the engine check key and nonce; returns the key and the version of its secret.
pub(super) async fn open_signed(
    gateway: &Gateway,
    signature: &Signature<'_>,
    peer: IpAddr,
    ticket: impl FnOnce(Waiting) -> Ticket,
) -> Result<(KeyRef, u32), Refusal> {
    let now = (gateway.clock)();
    let Signature { api_key, api_sign, signed } = signature;
    let who = (api_key.chars().take(64).collect::<String>(), counted_as(peer));
    if let Some(wait) = gateway.signatures.wait_s(&who, now) {
        return Err(Refusal::throttled(wait));
    }
    let unauthorized = |reject: Reject| Refusal::new(StatusCode::UNAUTHORIZED, reject);
    let refused = |refusal: Reject| {
        gateway.signatures.count(who.clone(), now);
        unauthorized(refusal)
    };
    let unknown = || refused(Reject::of(Code::InvalidKey));
    let (key, version, sealed) = gateway.directory.keys(|keys| keys.verification(api_key)).ok_or_else(unknown)?;
    let secret = gateway.master.open(api_key.as_bytes(), &sealed).map_err(|_| unknown())?;
    if !signed.verify(&secret, api_sign) {
        return Err(refused(Reject::of(Code::InvalidSignature)));
    }
    let no_number = || refused(Reject::field(Code::InvalidNonce, "nonce", "give an integer below 2^64"));
    // Only digits: `parse` would also accept a sign.
    let digits = Some(signed.nonce).filter(|nonce| nonce.bytes().all(|byte| byte.is_ascii_digit()));
    let nonce = digits.and_then(|nonce| nonce.parse().ok()).ok_or_else(no_number)?;
    if let Some(wait) = gateway.sockets.admissions.wait_s(&key.actor(), now) {
        return Err(Refusal::throttled(wait));
    }
    let work = Work::Command(Command::OpenSession { key, nonce });
    let by = Principal { credential: Credential::Key(version), ..Principal::public(peer) };
    match gateway.ask_with(by, work, ticket).await {
        Ok(Answer::Reply(Reply::Bound(_), _)) => {
            gateway.signatures.succeeded(&who);
            Ok((key, version))
        }
        Err(Unanswered::Refused(reject)) => Err(match reject.code {
            Code::PermissionDenied => Refusal::new(StatusCode::FORBIDDEN, reject),
            _ => unauthorized(reject),
        }),
        Ok(_) | Err(Unanswered::Unavailable) => Err(Refusal::unavailable()),
    }
}
