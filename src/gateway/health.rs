//! `/healthz`: whether the server takes anything.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;

use super::context::Gateway;

/// The route.
pub fn routes(gateway: Arc<Gateway>) -> Router {
    Router::new().route("/healthz", get(answer)).with_state(gateway)
}

async fn answer(State(gateway): State<Arc<Gateway>>) -> (StatusCode, &'static str) {
    if !gateway.handle.is_open() {
        return (StatusCode::SERVICE_UNAVAILABLE, "the journal has failed\n");
    }
    if *gateway.stopping.borrow() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    (StatusCode::OK, "ok\n")
}
