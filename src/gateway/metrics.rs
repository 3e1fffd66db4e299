//! `/metrics`, in the Prometheus text format. Counters that change while the server works are atomic, without a lock;
//! the rest is computed when somebody scrapes. `docs/operations.md` says what each means and what to alert on.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use parking_lot::Mutex;

use super::close::{Close, GONE};
use super::context::Gateway;
use super::tls::Certificate;
use crate::access::principal::Actor;
use crate::domain::ids::Seq;
use crate::domain::time::Moment;
use crate::engine::event::Event;
use crate::engine::reject::Code;
use crate::sequencer::Stamped;
use crate::sequencer::stages::Stages;
use crate::telemetry::histogram::Histogram;

/// Kinds of socket, as in the label `kind`.
const KINDS: [&str; 4] = ["public", "service_user", "member", "venue"];

/// The statuses that handshakes are refused with; 0 stands for any other.
const STATUSES: [u16; 6] = [400, 401, 403, 429, 503, 0];

/// What is counted since the start.
#[derive(Debug, Default)]
pub struct Metrics {
    commits: AtomicU64,
    events: AtomicU64,
    orders: AtomicU64,
    /// The last event that is on disk.
    head: AtomicU64,
    /// The stamp of the last event that is on disk, in µs.
    stamp: AtomicU64,
    /// As in the last log line about it. It is not the current head, because each value is a time series of its own.
    head_told: Mutex<Option<(u64, [u8; 32])>>,
    market_data_waiting: AtomicUsize,
    history_waiting: AtomicUsize,
    sockets: [AtomicI64; KINDS.len()],
    closed: [AtomicU64; Close::ALL.len()],
    /// Sockets whose client left.
    gone: AtomicU64,
    handshakes: [AtomicU64; STATUSES.len()],
    sign_ins: AtomicU64,
    malformed: AtomicU64,
    refusals: Refusals,
    revocation: Histogram,
}

/// Refusals by code.
#[derive(Debug)]
struct Refusals([AtomicU64; Code::ALL.len()]);

impl Default for Refusals {
    fn default() -> Refusals {
        Refusals(std::array::from_fn(|_| Default::default()))
    }
}

impl Metrics {
    /// Records the last event that is on disk, and its stamp.
    pub(super) fn reached(&self, seq: Seq, stamp: Moment) {
        self.stamp.store(stamp.0, Ordering::Relaxed);
        self.head.store(seq.0, Ordering::Relaxed);
    }

    /// Records the journal's head, as logged every minute (rule 47).
    pub fn tell_head(&self, seq: u64, digest: [u8; 32]) {
        *self.head_told.lock() = Some((seq, digest));
    }

    /// Counts a batch that is on disk, and records how many wait for market data and history.
    pub(super) fn released(&self, events: &[Arc<Stamped>], market_data_waiting: usize, history_waiting: usize) {
        let Some(last) = events.last() else { return };
        let orders = events.iter().filter(|stamped| matches!(stamped.event, Event::OrderPlaced { .. })).count();
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.events.fetch_add(events.len() as u64, Ordering::Relaxed);
        self.orders.fetch_add(orders as u64, Ordering::Relaxed);
        self.reached(last.seq, last.at);
        self.market_data_waiting.store(market_data_waiting, Ordering::Relaxed);
        self.history_waiting.store(history_waiting, Ordering::Relaxed);
    }

    /// Counts a refusal by the engine.
    pub(super) fn refused(&self, code: Code) {
        self.refusals.0[code as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a message that never reached the engine, because it was malformed.
    pub(super) fn malformed(&self) {
        self.malformed.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an opened socket, by its actor.
    pub(super) fn opened(&self, actor: Actor) {
        self.sockets[kind(actor)].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a socket whose token was accepted: from now on it counts for this actor.
    pub(super) fn bound(&self, actor: Actor) {
        self.sockets[kind(Actor::Public)].fetch_sub(1, Ordering::Relaxed);
        self.opened(actor);
    }

    /// How many sockets of such an actor are open.
    #[cfg(test)]
    pub(super) fn open(&self, actor: Actor) -> i64 {
        self.sockets[kind(actor)].load(Ordering::Relaxed)
    }

    /// Counts the end of a socket, which was closed for `why` unless its client left.
    pub(super) fn closed(&self, actor: Actor, why: Option<Close>) {
        self.sockets[kind(actor)].fetch_sub(1, Ordering::Relaxed);
        why.map_or(&self.gone, |why| &self.closed[why as usize]).fetch_add(1, Ordering::Relaxed);
    }

    /// Records how long a socket stayed open after its right ended.
    pub(super) fn revoked(&self, took: Duration) {
        self.revocation.observe(took);
    }

    /// Counts a handshake that was answered with this status instead of 101.
    pub(super) fn handshake_refused(&self, status: u16) {
        self.handshakes[place(&STATUSES, status)].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a sign-in that failed.
    pub(super) fn sign_in_refused(&self) {
        self.sign_ins.fetch_add(1, Ordering::Relaxed);
    }

    /// Ended sockets by code.
    fn ends(&self) -> BTreeMap<u16, u64> {
        let mut counts = BTreeMap::from([(GONE, load(&self.gone))]);
        for (why, count) in Close::ALL.iter().zip(&self.closed) {
            *counts.entry(why.code()).or_default() += load(count);
        }
        counts
    }

    /// Refusals by text, of those that occurred.
    fn refusals(&self) -> BTreeMap<&'static str, u64> {
        // Several codes may share a text.
        let mut counts = BTreeMap::new();
        for (code, count) in Code::ALL.iter().zip(&self.refusals.0).filter(|(_, count)| load(count) > 0) {
            *counts.entry(code.text()).or_default() += load(count);
        }
        counts
    }
}

fn kind(actor: Actor) -> usize {
    match actor {
        Actor::Public | Actor::Server => 0,
        Actor::ServiceUser(_) => 1,
        Actor::Member(_) => 2,
        Actor::Venue(_) => 3,
    }
}

/// The index of a number in a list; an unknown one counts as the last.
fn place(list: &[u16], number: u16) -> usize {
    list.iter().position(|of| *of == number).unwrap_or(list.len() - 1)
}

/// What a scrape reads.
#[derive(Clone)]
pub struct Scrape {
    /// How long commands take at each stage.
    pub stages: Arc<Stages>,
    /// Queues, followers and what was counted.
    pub gateway: Arc<Gateway>,
    /// The port's certificate, under TLS.
    pub certificate: Option<Arc<Certificate>>,
    /// The directory whose files are measured.
    pub data_dir: PathBuf,
}

/// The route.
pub fn routes(scrape: Scrape) -> Router {
    Router::new().route("/metrics", get(answer)).with_state(scrape)
}

async fn answer(State(scrape): State<Scrape>) -> Response {
    let dir = scrape.data_dir.clone();
    let files = tokio::task::spawn_blocking(move || file_sizes(&dir)).await.unwrap_or_default();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], scrape.text(&files)).into_response()
}

/// The files of the data directory with their sizes, and its directories with the total in them.
fn file_sizes(dir: &Path) -> BTreeMap<String, u64> {
    let sized = entries(dir).filter_map(|(name, about)| match about.is_dir() {
        true => Some((name.clone(), entries(&dir.join(name)).map(|(_, about)| about.len()).sum())),
        false => about.is_file().then_some((name, about.len())),
    });
    sized.collect()
}

fn entries(dir: &Path) -> impl Iterator<Item = (String, Metadata)> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.metadata().ok()?)))
}

impl Scrape {
    fn text(&self, files: &BTreeMap<String, u64>) -> String {
        let mut page = Page(String::new());
        self.counted(&mut page);
        self.sockets(&mut page);
        self.followers(&mut page, files);
        let Stages { queue, engine, journal, release } = &*self.stages;
        page.family("countersign_stage_seconds", "histogram", "Time at each stage of a command.");
        for (stage, histogram) in [("queue", queue), ("engine", engine), ("journal", journal), ("release", release)] {
            histogram.write(&mut page.0, "countersign_stage_seconds", &format!("stage=\"{stage}\""));
        }
        let name = "countersign_revocation_seconds";
        page.family(name, "histogram", "From the event that ends a right to the close of a socket that had it.");
        self.gateway.metrics.revocation.write(&mut page.0, name, "");
        page.0
    }

    fn counted(&self, page: &mut Page) {
        let Metrics { commits, events, orders, head, stamp, head_told, malformed, sign_ins, .. } =
            &*self.gateway.metrics;
        page.family("countersign_build_info", "gauge", "The version that runs; always 1.");
        page.labelled("countersign_build_info", "version", env!("CARGO_PKG_VERSION"), 1);
        let halted = u8::from(self.gateway.directory.is_halted());
        page.one("countersign_halted", "gauge", "1 while the venue is halted, else 0.", halted);
        page.one("countersign_journal_commits_total", "counter", "Group commits synced to disk.", load(commits));
        page.one("countersign_journal_events_total", "counter", "Events journalled.", load(events));
        page.one("countersign_orders_accepted_total", "counter", "Orders accepted.", load(orders));
        let offset = Seq(load(head)).snapshot_offset();
        page.one("countersign_journal_head_offset", "gauge", "Offset of the last event released.", offset);
        let stamp = load(stamp) / 1_000_000;
        page.one("countersign_journal_head_seconds", "gauge", "Stamp of that event, in seconds since 1970.", stamp);
        page.family("countersign_journal_head_info", "gauge", "The journal's head of the last minute; always 1.");
        if let Some((seq, digest)) = *head_told.lock() {
            let digest = hex::encode(digest);
            page.line(format_args!("countersign_journal_head_info{{seq=\"{seq}\",digest=\"{digest}\"}} 1"));
        }
        page.family("countersign_commands_refused_total", "counter", "Refusals by the engine, by code.");
        for (code, count) in self.gateway.metrics.refusals() {
            page.labelled("countersign_commands_refused_total", "code", code, count);
        }
        page.one("countersign_messages_malformed_total", "counter", "Messages not understood.", load(malformed));
        page.one("countersign_sign_ins_refused_total", "counter", "Sign-ins that failed.", load(sign_ins));
    }

    fn sockets(&self, page: &mut Page) {
        page.family("countersign_sockets", "gauge", "Open WebSockets, by who is behind them.");
        for (kind, count) in KINDS.iter().zip(&self.gateway.metrics.sockets) {
            page.labelled("countersign_sockets", "kind", kind, count.load(Ordering::Relaxed));
        }
        page.family("countersign_sockets_closed_total", "counter", "Ended WebSockets, by close code.");
        for (code, count) in self.gateway.metrics.ends() {
            page.labelled("countersign_sockets_closed_total", "code", code, count);
        }
        page.family("countersign_handshakes_refused_total", "counter", "Handshakes refused, by HTTP status.");
        for (status, count) in STATUSES.iter().zip(&self.gateway.metrics.handshakes) {
            page.labelled("countersign_handshakes_refused_total", "status", status, load(count));
        }
        let name = "countersign_certificate_end_seconds";
        page.family(name, "gauge", "When the port's certificate ends, in seconds since 1970.");
        if let Some(end) = self.certificate.as_ref().and_then(|certificate| certificate.end()) {
            page.line(format_args!("{name} {end}"));
        }
    }

    fn followers(&self, page: &mut Page, files: &BTreeMap<String, u64>) {
        let Metrics { head, market_data_waiting, history_waiting, .. } = &*self.gateway.metrics;
        let waiting = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        let bytes = self.gateway.sockets.bytes_waiting();
        page.one("countersign_send_queue_bytes", "gauge", "Bytes that wait to be written, on all sockets.", bytes);
        let submitted = self.gateway.handle.waiting();
        page.one("countersign_submit_queue", "gauge", "Submissions that wait for the engine.", submitted);
        let lag = load(head).saturating_sub(self.gateway.history.last());
        page.one("countersign_history_lag_events", "gauge", "Events released and not in the history tables yet.", lag);
        let batches = waiting(history_waiting);
        page.one("countersign_history_queue_batches", "gauge", "Batches that wait for the history tables.", batches);
        let batches = waiting(market_data_waiting);
        page.one("countersign_market_data_queue_batches", "gauge", "Batches that wait for market data.", batches);
        page.family("countersign_data_bytes", "gauge", "Bytes of the files in the data directory.");
        for (file, bytes) in files {
            page.labelled("countersign_data_bytes", "file", file, bytes);
        }
    }
}

fn load(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

/// The text being written.
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}").expect("writing to a String succeeds");
    }

    fn labelled(&mut self, name: &str, label: &str, value: impl Display, count: impl Display) {
        self.line(format_args!("{name}{{{label}=\"{value}\"}} {count}"));
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.line(format_args!("{name} {value}"));
    }

    fn line(&mut self, sample: impl Display) {
        writeln!(self.0, "{sample}").expect("writing to a String succeeds");
    }
}
