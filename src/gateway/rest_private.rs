//! `/0/private/`: the one signed REST call that stock clients make, for the token that binds their socket
//! (rules 4, 5). Every answer is HTTP 200 with `{"error": […]}`, as they expect.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::routing::{any, post};
use axum::{Extension, Json, Router};
use serde_json::{Value, json};

use super::context::Gateway;
use super::credentials::Signed;
use super::handshake::{Signature, open_signed};
use super::http_request::is_json;
use super::peer::Peer;
use super::refusal::Refusal;
use super::release::Ticket;
use super::token::{Claims, LIFETIME_S};
use crate::engine::keys::KeyRef;
use crate::engine::reject::Code;

/// The routes under `/0/private/`.
pub fn routes(gateway: Arc<Gateway>) -> Router {
    Router::new()
        .route("/0/private/GetWebSocketsToken", post(token).fallback(unknown))
        .route("/0/private/", any(unknown))
        .route("/0/private/{*method}", any(unknown))
        .with_state(gateway)
}

async fn unknown() -> Json<Value> {
    Json(json!({"error": [Code::UnknownMethod.text()]}))
}

async fn token(
    State(gateway): State<Arc<Gateway>>,
    Extension(Peer(peer)): Extension<Peer>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    match judge(&gateway, peer, uri.path(), &headers, &body).await {
        Ok((key, credential_version)) => {
            let claims = Claims { key, credential_version, issued_at: (gateway.clock)() };
            Ok(Json(json!({"error": [], "result": {"token": gateway.tokens.mint(&claims), "expires": LIFETIME_S}})))
        }
        Err(refusal) => {
            gateway.handshake_refused(&headers, peer, &refusal);
            // The reason after the second colon is our own; v2's clients match what comes before it.
            let error = refusal.error.splitn(3, ':').take(2).collect::<Vec<_>>().join(":");
            Err(Refusal { status: StatusCode::OK, error, ..refusal })
        }
    }
}

/// The key that the token is for, or why there is none.
async fn judge(
    gateway: &Gateway,
    peer: IpAddr,
    path: &str,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<(KeyRef, u32), Refusal> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let missing = |code: Code| Refusal::new(StatusCode::UNAUTHORIZED, code);
    let api_key = text("api-key").ok_or_else(|| missing(Code::InvalidKey))?;
    let api_sign = text("api-sign").ok_or_else(|| missing(Code::InvalidSignature))?;
    let nonce = nonce(headers, body).ok_or_else(|| missing(Code::InvalidNonce))?;
    let signature = Signature { api_key, api_sign, signed: Signed { path, nonce: &nonce, body } };
    open_signed(gateway, &signature, peer, Ticket::Ask).await
}

/// The `nonce` as it is written in the body, form-encoded or JSON.
pub(super) fn nonce<'a>(headers: &HeaderMap, body: &'a Bytes) -> Option<Cow<'a, str>> {
    let body = std::str::from_utf8(body).ok()?;
    if is_json(headers) {
        let read: Value = serde_json::from_str(body).ok()?;
        return match read.get("nonce")? {
            Value::String(text) => Some(Cow::Owned(text.clone())),
            Value::Number(number) => Some(Cow::Owned(number.to_string())),
            _ => None,
        };
    }
    body.split('&').find_map(|pair| pair.strip_prefix("nonce=")).map(Cow::Borrowed)
}
