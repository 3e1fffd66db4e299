//! An HTTP answer that refuses a request.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::engine::reject::{Code, Reject};

/// Seconds after which to try again when there was no place, too many were waiting, or no answer came.
const CROWDED_S: u64 = 5;

/// `{"error": ["…"]}` with a status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: StatusCode,
    /// What is wrong, in the protocol's error form.
    pub error: String,
    /// Seconds after which another try makes sense.
    pub retry_after_s: Option<u64>,
}

impl Refusal {
    /// A refusal with this status.
    pub fn new(status: StatusCode, reject: impl Into<Reject>) -> Self {
        Self { status, error: reject.into().text(), retry_after_s: None }
    }

    /// A refusal that says when to try again.
    pub fn retry_after(status: StatusCode, reject: impl Into<Reject>, seconds: u64) -> Self {
        Self { retry_after_s: Some(seconds), ..Self::new(status, reject) }
    }

    /// When the engine does not answer, the storage does not accept writes, or the server is stopping.
    pub fn unavailable() -> Self {
        Self::retry_after(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, CROWDED_S)
    }

    /// There is no place for one more, whoever it is.
    pub fn busy() -> Self {
        Self::retry_after(StatusCode::SERVICE_UNAVAILABLE, Code::Busy, CROWDED_S)
    }

    /// For a client that failed too often; it may retry after `seconds`.
    pub fn throttled(seconds: u64) -> Self {
        Self::retry_after(StatusCode::TOO_MANY_REQUESTS, Code::TooManyTries, seconds)
    }

    /// When a request is invalid; `what` says what is wrong or what to do.
    pub fn invalid(status: StatusCode, what: &str) -> Self {
        Self::new(status, Reject::advised(Code::InvalidArguments, what))
    }

    /// For a peer whose address is at its connection limit.
    pub fn crowded() -> Self {
        let reject = Reject::advised(Code::TooManyTries, "too many connections from this address");
        Self::retry_after(StatusCode::TOO_MANY_REQUESTS, reject, CROWDED_S)
    }

    /// The whole answer, for a client that is turned away before its request was read.
    pub(super) fn unasked(&self) -> String {
        let body = self.body().to_string();
        let (status, length) = (self.status, body.len());
        let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n");
        let later = self.retry_after_s.map(|seconds| format!("retry-after: {seconds}\r\n")).unwrap_or_default();
        format!("{head}{later}connection: close\r\n\r\n{body}")
    }

    fn body(&self) -> Value {
        json!({ "error": [self.error] })
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            // RFC 9110 §15.5.6. What refuses a method takes GET alone.
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET"));
        }
        if self.status == StatusCode::UPGRADE_REQUIRED {
            // The protocol to upgrade to (RFC 6455 §4.2.2).
            let wanted = [(header::UPGRADE, "websocket"), (header::SEC_WEBSOCKET_VERSION, "13")];
            response.headers_mut().extend(wanted.map(|(name, value)| (name, HeaderValue::from_static(value))));
        }
        response
    }
}
