//! What routes read from an HTTP request: the session's cookie, the Origin, a body in JSON.

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use serde::Deserialize;

use super::context::Gateway;
use super::inbound::{WireError, without_place};
use super::refusal::Refusal;
use crate::config::problem;
use crate::engine::reject::{Code, Reject};

/// The cookie's name.
pub(super) const COOKIE: &str = "countersign_session";

/// The session token of a request's cookie; an empty one, which is nobody's, if it is no text. What other cookies are
/// does not matter: browsers send whatever any application of the same host has set.
pub(super) fn cookie(headers: &HeaderMap) -> Option<&str> {
    let mut pairs = headers.get_all(header::COOKIE).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    let token = pairs.find_map(|pair| pair.trim_ascii().strip_prefix(COOKIE.as_bytes())?.strip_prefix(b"="))?;
    Some(std::str::from_utf8(token).unwrap_or_default())
}

/// The origin of the page that made the request.
pub(super) fn origin(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::ORIGIN).and_then(|value| value.to_str().ok())
}

/// Refuses a request whose Origin is missing or not exactly one of ours.
pub(super) fn check_origin(gateway: &Gateway, headers: &HeaderMap) -> Result<(), Refusal> {
    let refused = || Reject::field(Code::PermissionDenied, "origin", "it is not in the list");
    match origin(headers).is_some_and(|origin| gateway.origins.iter().any(|ours| ours == origin)) {
        true => Ok(()),
        false => Err(Refusal::new(StatusCode::FORBIDDEN, refused())),
    }
}

/// Whether a request says that its body is JSON; media types ignore case (RFC 9110, §8.3.1).
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let said = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    said.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// The JSON body of a request that says it is JSON.
pub(super) fn body<'a, T: Deserialize<'a>>(headers: &HeaderMap, bytes: &'a Bytes) -> Result<T, Refusal> {
    if !is_json(headers) {
        return Err(Refusal::invalid(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/json"));
    }
    let malformed = || Refusal::new(StatusCode::BAD_REQUEST, Code::MalformedRequest);
    // serde would take an array for a struct, member by member.
    let text =
        std::str::from_utf8(bytes).ok().filter(|text| text.trim_start().starts_with('{')).ok_or_else(malformed)?;
    serde_json::from_str(text).map_err(|error| {
        let message = error.to_string();
        if !error.is_data() {
            malformed()
        } else if message.starts_with("unknown field") {
            // Refusals are logged, and what was sent as a name may be a code or password.
            Refusal::invalid(StatusCode::BAD_REQUEST, problem(without_place(&message)))
        } else {
            Refusal { error: WireError::shape::<T>(text, "").text, ..malformed() }
        }
    })
}
