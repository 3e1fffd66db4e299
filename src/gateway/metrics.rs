//! `/metrics`, in the Prometheus text form.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::engine::event::Event;
use crate::sequencer::Stamped;

/// What is counted since the start.
#[derive(Debug, Default)]
pub struct Metrics {
    commits: AtomicU64,
    events: AtomicU64,
    orders: AtomicU64,
    offset: AtomicU64,
}

impl Metrics {
    /// Counts a batch that is on disk.
    pub(super) fn released(&self, events: &[Arc<Stamped>]) {
        let Some(last) = events.last() else { return };
        let orders = events.iter().filter(|stamped| matches!(stamped.event, Event::OrderPlaced { .. })).count();
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.events.fetch_add(events.len() as u64, Ordering::Relaxed);
        self.orders.fetch_add(orders as u64, Ordering::Relaxed);
        self.offset.store(last.seq.snapshot_offset(), Ordering::Relaxed);
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (name, kind, help, value) in [
            ("countersign_journal_commits_total", "counter", "Group commits synced to disk.", &self.commits),
            ("countersign_journal_events_total", "counter", "Events journalled.", &self.events),
            ("countersign_orders_accepted_total", "counter", "Orders accepted.", &self.orders),
            ("countersign_journal_head_offset", "gauge", "Offset of the last event released.", &self.offset),
        ] {
            let value = value.load(Ordering::Relaxed);
            writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}")
                .expect("writing to a String succeeds");
        }
        text
    }
}

/// The route.
pub fn routes(metrics: Arc<Metrics>) -> Router {
    Router::new().route("/metrics", get(answer)).with_state(metrics)
}

async fn answer(State(metrics): State<Arc<Metrics>>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], metrics.text()).into_response()
}
