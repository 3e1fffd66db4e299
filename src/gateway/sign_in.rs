//! Members sign in and out: `POST`, `GET` and `DELETE /session` (rules 15, 16), and invitations (rule 17). Password and
//! code are verified here; the engine spends the code.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::admission::counted_as;
use super::context::{Gateway, Unanswered};
use super::http_request::{COOKIE, body, check_origin, cookie};
use super::passwords::{bearer_hash, matching_step, new_bearer_token, new_totp_secret};
use super::peer::Peer;
use super::refusal::Refusal;
use crate::access::principal::Principal;
use crate::domain::ids::MemberId;
use crate::domain::limits::MEMBER_SESSION_US;
use crate::domain::time::Moment;
use crate::engine::command::Command;
use crate::engine::members::not_invited;
use crate::engine::query::Query;
use crate::engine::reject::{Code, Reject};
use crate::sequencer::handle::{Answer, Work};

/// Bytes of a password, least and most.
const PASSWORD_BYTES: std::ops::RangeInclusive<usize> = 10..=256;

/// `/session` and `/invitations/{token}`.
pub fn routes(gateway: Arc<Gateway>) -> Router {
    Router::new()
        .route("/session", post(sign_in).get(signed_in_now).delete(sign_out))
        .route("/invitations/{token}", post(accept))
        .with_state(gateway)
}

/// The hash of a request's cookie, unless its session was idle too long.
pub(super) fn session_hash(gateway: &Gateway, token: &str) -> Result<[u8; 32], Refusal> {
    let hash = bearer_hash(token);
    if gateway.activity.is_over(&hash, (gateway.clock)()) { Err(no_session()) } else { Ok(hash) }
}

fn no_session() -> Refusal {
    Refusal::new(StatusCode::UNAUTHORIZED, Code::InvalidSession)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SignIn {
    email: String,
    password: Zeroizing<String>,
    otp: String,
}

async fn sign_in(
    State(gateway): State<Arc<Gateway>>,
    Extension(Peer(peer)): Extension<Peer>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Response {
    match signed_in(&gateway, peer, &headers, &bytes).await {
        Ok(token) => {
            let cookie = session_cookie(&gateway, token.as_str(), MEMBER_SESSION_US / 1_000_000);
            (StatusCode::OK, [(header::SET_COOKIE, cookie)], Json(json!({"error": []}))).into_response()
        }
        Err(refusal) => {
            gateway.sign_in_refused(&headers, peer, &refusal);
            refusal.into_response()
        }
    }
}

/// The same answer whether e-mail, password or code is wrong: nobody learns which.
async fn signed_in(
    gateway: &Gateway,
    peer: IpAddr,
    headers: &HeaderMap,
    bytes: &Bytes,
) -> Result<Zeroizing<String>, Refusal> {
    check_origin(gateway, headers)?;
    let SignIn { email, password, otp } = body(headers, bytes)?;
    let now = (gateway.clock)();
    let attempt = Attempt::begin(gateway, &email, peer, now)?;
    let wrong = || {
        let reject = Reject::advised(Code::PermissionDenied, "e-mail, password or code is wrong");
        Refusal::new(StatusCode::UNAUTHORIZED, reject)
    };
    let found = gateway.directory.members(|members| {
        members.by_email(&email).map(|member| (member.id, member.password_hash.clone(), member.totp_sealed.clone()))
    });
    let (member, stored, sealed) = found.map_or((None, None, None), |(id, hash, totp)| (Some(id), hash, totp));
    // For an unknown address this takes as long as for a wrong password.
    let Some(right) = gateway.hashing.verify(stored, password).await else {
        attempt.take_back();
        return Err(Refusal::busy());
    };
    let step = member.zip(sealed).and_then(|(id, sealed)| gateway.code_step(id, &sealed, &otp));
    let (Some(member), true, Some(step)) = (member, right, step) else { return Err(wrong()) };
    let token = new_bearer_token();
    let command = Command::OpenMemberSession { member, step, cookie_hash: bearer_hash(&token) };
    match gateway.ask(Principal::public(peer), Work::Command(command)).await {
        Ok(_) => {
            attempt.succeeded();
            // The clock is read again: verifying the password took a while.
            gateway.activity.touch(bearer_hash(&token), (gateway.clock)());
            if let Some(former) = cookie(headers) {
                // Once its cookie is replaced, nobody could sign out of the former session. It may have ended already.
                if let Err(Unanswered::Unavailable) = end(gateway, Principal::SERVER, former).await {
                    gateway.activity.revoke(&bearer_hash(former));
                }
            }
            Ok(token)
        }
        Err(Unanswered::Refused(reject)) if reject.code == Code::CodeUsed => {
            attempt.take_back();
            Err(Refusal::new(StatusCode::UNAUTHORIZED, reject))
        }
        Err(Unanswered::Refused(_)) => Err(wrong()),
        Err(Unanswered::Unavailable) => {
            attempt.take_back();
            Err(Refusal::unavailable())
        }
    }
}

/// A sign-in attempt. Until it succeeds it counts as failed, for its account and address, and for its address.
struct Attempt<'a> {
    gateway: &'a Gateway,
    who: (String, IpAddr),
}

impl Attempt<'_> {
    fn begin<'a>(gateway: &'a Gateway, email: &str, peer: IpAddr, now: Moment) -> Result<Attempt<'a>, Refusal> {
        let who = (email.to_lowercase().chars().take(64).collect::<String>(), counted_as(peer));
        gateway.sign_ins.attempt(who.clone(), now).map_err(Refusal::throttled)?;
        if let Err(wait) = gateway.sprays.attempt(who.1, now) {
            gateway.sign_ins.take_back(&who);
            return Err(Refusal::throttled(wait));
        }
        Ok(Attempt { gateway, who })
    }

    /// It was not judged, or the input was not wrong.
    fn take_back(self) {
        self.gateway.sign_ins.take_back(&self.who);
        self.gateway.sprays.take_back(&self.who.1);
    }

    fn succeeded(self) {
        self.gateway.sign_ins.succeeded(&self.who);
        self.gateway.sprays.take_back(&self.who.1);
    }
}

impl Gateway {
    /// The step of a Member's code, if it is valid now or one step before or after.
    pub fn code_step(&self, member: MemberId, sealed: &[u8], code: &str) -> Option<u64> {
        let secret = self.master.open(&totp_context(member), sealed).ok()?;
        let secret = std::str::from_utf8(&secret).ok()?;
        matching_step(secret, code, (self.clock)().0 / 1_000_000)
    }
}

/// The context that a TOTP secret is sealed with, so that it opens for no other Member.
pub fn totp_context(member: MemberId) -> Vec<u8> {
    format!("totp {member}").into_bytes()
}

/// Whether the cookie's session is open: 200 or 401. A page cannot learn that from a refused upgrade.
async fn signed_in_now(
    State(gateway): State<Arc<Gateway>>,
    Extension(Peer(peer)): Extension<Peer>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refusal> {
    let token = cookie(&headers).ok_or_else(no_session)?;
    let hash = session_hash(&gateway, token)?;
    let bound = gateway.ask(Principal::public(peer), Work::Query(Query::BindMember(hash))).await;
    bound.map_err(|why| why.over_http(StatusCode::UNAUTHORIZED))?;
    Ok(Json(json!({"error": []})))
}

async fn sign_out(
    State(gateway): State<Arc<Gateway>>,
    Extension(Peer(peer)): Extension<Peer>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Refusal> {
    check_origin(&gateway, &headers)?;
    let token = cookie(&headers).ok_or_else(no_session)?;
    let ended = end(&gateway, Principal::public(peer), token).await;
    ended.map_err(|why| why.over_http(StatusCode::UNAUTHORIZED))?;
    Ok(([(header::SET_COOKIE, session_cookie(&gateway, "", 0))], Json(json!({"error": []}))))
}

/// The header that makes a browser keep a session's token for so many seconds; with 0 it forgets the one it has.
fn session_cookie(gateway: &Gateway, token: &str, seconds: u64) -> String {
    let secure = if gateway.secure { "; Secure" } else { "" };
    format!("{COOKIE}={token}; HttpOnly; SameSite=Strict; Path=/; Max-Age={seconds}{secure}")
}

/// Ends the session of a cookie and its sockets.
async fn end(gateway: &Gateway, by: Principal, token: &str) -> Result<Answer, Unanswered> {
    let command = Command::CloseMemberSession { cookie_hash: bearer_hash(token) };
    gateway.ask(by, Work::Command(command)).await
}

/// First `password`, which is answered with the TOTP secret; then `otp`, which confirms it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Acceptance {
    password: Option<Zeroizing<String>>,
    otp: Option<String>,
}

async fn accept(
    State(gateway): State<Arc<Gateway>>,
    Extension(Peer(peer)): Extension<Peer>,
    Path(token): Path<String>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Json<Value>, Refusal> {
    let acceptance: Acceptance = body(&headers, &bytes)?;
    let token_hash = bearer_hash(&token);
    let now = (gateway.clock)();
    let invited = gateway
        .directory
        .members(|members| members.invited(&token_hash, now).map(|member| (member.id, member.totp_sealed.clone())));
    let (member, sealed) = invited.ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, not_invited()))?;
    let (command, answer) = match (acceptance.password, acceptance.otp) {
        (Some(password), None) if PASSWORD_BYTES.contains(&password.len()) => {
            let secret = new_totp_secret();
            let totp_sealed = gateway.master.seal(&totp_context(member), secret.as_bytes());
            let password_hash = gateway.hashing.hash(password).await.ok_or_else(Refusal::busy)?;
            let answer = json!({"error": [], "totp_secret": secret.as_str()});
            (Command::AcceptInvitation { token_hash, password_hash, totp_sealed }, answer)
        }
        (Some(_), None) => return Err(bad("password", "give 10 to 256 bytes")),
        (None, Some(otp)) => {
            let totp_sealed = sealed.unwrap_or_default();
            let step = gateway.code_step(member, &totp_sealed, &otp);
            let step = step.ok_or_else(|| bad("otp", "it is wrong, or no password was set yet"))?;
            (Command::ConfirmInvitation { token_hash, totp_sealed, step }, json!({"error": []}))
        }
        _ => return Err(bad("password", "give password first, then otp")),
    };
    let accepted = gateway.ask(Principal::public(peer), Work::Command(command)).await;
    accepted.map_err(|why| why.over_http(StatusCode::BAD_REQUEST))?;
    Ok(Json(answer))
}

fn bad(field: &'static str, advice: &str) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, Reject::invalid(field, advice))
}
