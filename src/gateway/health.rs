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
    if gateway.directory.is_read_only() {
        return (StatusCode::SERVICE_UNAVAILABLE, "the storage takes no writes; reads are served\n");
    }
    health(gateway.handle.is_open(), *gateway.stopping.borrow())
}

/// `open`: the sequencer takes commands, which it no longer does once its journal has failed.
fn health(open: bool, stopping: bool) -> (StatusCode, &'static str) {
    match (open, stopping) {
        (true, false) => (StatusCode::OK, "ok\n"),
        (_, true) => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
        (false, false) => (StatusCode::SERVICE_UNAVAILABLE, "the journal has failed\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_server_that_takes_commands_is_healthy() {
        assert_eq!(health(true, false), (StatusCode::OK, "ok\n"));
        assert_eq!(health(false, false), (StatusCode::SERVICE_UNAVAILABLE, "the journal has failed\n"));
        for open in [true, false] {
            assert_eq!(health(open, true), (StatusCode::SERVICE_UNAVAILABLE, "stopping\n"), "it was told to");
        }
    }
}
