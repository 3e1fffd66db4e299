//! `/healthz`: whether the server accepts commands, and all its parts are running.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::task::JoinHandle;

use super::context::Gateway;

/// Tasks that run until the server stops.
pub struct Tasks {
    /// Sends requests to Members.
    pub fan_out: JoinHandle<()>,
    /// Ends idle sessions.
    pub sweep: JoinHandle<()>,
    /// Makes the files of exports.
    pub exports: JoinHandle<()>,
}

/// What is checked.
type Parts = Arc<(Arc<Gateway>, Tasks)>;

/// The route.
pub fn routes(gateway: Arc<Gateway>, tasks: Tasks) -> Router {
    Router::new().route("/healthz", get(answer)).with_state(Arc::new((gateway, tasks)))
}

async fn answer(State(parts): State<Parts>) -> (StatusCode, &'static str) {
    let (gateway, tasks) = &*parts;
    if gateway.directory.is_read_only() {
        return (StatusCode::SERVICE_UNAVAILABLE, "the storage takes no writes; reads are served\n");
    }
    // Commands are still accepted without these, but only a restart brings them back.
    let needed = [
        (gateway.history.is_running(), "history has stopped; restart the server\n"),
        (gateway.market_data.is_running(), "market data has stopped; restart the server\n"),
        (!tasks.fan_out.is_finished(), "approvals has stopped; restart the server\n"),
        (!tasks.sweep.is_finished(), "idle session expiry has stopped; restart the server\n"),
        (!tasks.exports.is_finished(), "exports has stopped; restart the server\n"),
    ];
    let health = health(gateway.handle.is_open(), gateway.is_stopping());
    match needed.iter().find(|(runs, _)| !runs) {
        Some((_, stopped)) if health.0 == StatusCode::OK => (StatusCode::SERVICE_UNAVAILABLE, stopped),
        _ => health,
    }
}

/// `open`: the sequencer accepts commands; once its journal has failed, it does not.
fn health(open: bool, stopping: bool) -> (StatusCode, &'static str) {
    match (open, stopping) {
        (true, false) => (StatusCode::OK, "ok\n"),
        (_, true) => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
        (false, false) => (StatusCode::SERVICE_UNAVAILABLE, "the journal has failed\n"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::test_gateway::TestGateway;
    use super::*;

    #[test]
    fn only_a_server_that_takes_commands_is_healthy() {
        assert_eq!(health(true, false), (StatusCode::OK, "ok\n"));
        assert_eq!(health(false, false), (StatusCode::SERVICE_UNAVAILABLE, "the journal has failed\n"));
        for open in [true, false] {
            assert_eq!(health(open, true), (StatusCode::SERVICE_UNAVAILABLE, "stopping\n"), "it was told to");
        }
    }

    /// Makes a part fail.
    type Loss<'a> = &'a dyn Fn(&mut TestGateway);

    #[tokio::test]
    async fn d7_86_a_server_that_has_lost_a_part_of_itself_is_not_healthy() {
        let mut server = TestGateway::new().await;
        let gateway = Arc::clone(&server.gateway);
        let tasks = Tasks {
            fan_out: server.fan_out.take().unwrap(),
            sweep: tokio::spawn(std::future::pending()),
            exports: tokio::spawn(std::future::pending()),
        };
        let [sweep, exports] = [&tasks.sweep, &tasks.exports].map(JoinHandle::abort_handle);
        let parts = Arc::new((gateway, tasks));
        let reported = async || answer(State(Arc::clone(&parts))).await;
        let next = async |last: &str| {
            while reported().await.1 == last {
                tokio::task::yield_now().await;
            }
            reported().await
        };
        tokio::time::resume();
        let all = tokio::time::timeout(Duration::from_secs(20), async {
            assert_eq!(reported().await, (StatusCode::OK, "ok\n"));
            let mut last = "ok\n";
            let losses: [(Loss, &str); 5] = [
                (&|_| exports.abort(), "exports has stopped; restart the server\n"),
                (&|_| sweep.abort(), "idle session expiry has stopped; restart the server\n"),
                (&|server| server.fan_out_feed = None, "approvals has stopped; restart the server\n"),
                (&|server| server.market_feed = None, "market data has stopped; restart the server\n"),
                (&|server| server.history_feed = None, "history has stopped; restart the server\n"),
            ];
            for (lose, stopped) in losses {
                lose(&mut server);
                assert_eq!(next(last).await, (StatusCode::SERVICE_UNAVAILABLE, stopped));
                last = stopped;
            }
            server.sequencer = None;
            assert_eq!(reported().await.1, "the journal has failed\n", "which ends the others as well");
        });
        all.await.expect("each is noticed");
    }
}
