//! The only module that connects the parts; it defines the order of start and stop.
//!
//! Start: journal, recovery, the port is bound, first tick, projections, and only then the port opens; the history
//! catches up meanwhile.
//! Stop: sessions are notified and answered, the port closes, the sequencer ends, its shadow saves a snapshot, the head file
//! gets the last row, the fence is released, history has written everything.

mod port;
mod process_limits;
mod sequencer_thread;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::map_response;
use axum::response::{IntoResponse as _, Response};
use sequencer_thread::{Running, SequencerInputs};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::background::Background;
use crate::config::Config;
use crate::dashboard;
use crate::domain::time::Moment;
use crate::engine::command::Command;
use crate::gateway::activity;
use crate::gateway::context::{Dependencies, Gateway};
use crate::gateway::exports;
use crate::gateway::health::Tasks;
use crate::gateway::listener;
use crate::gateway::metrics::{self, Metrics, Scrape};
use crate::gateway::presence;
use crate::gateway::refusal::Refusal;
use crate::gateway::release::Feeds;
use crate::gateway::secrets::MasterKey;
use crate::gateway::send_queue::Sockets;
use crate::gateway::tls::{Certificate, Files, TlsError};
use crate::gateway::{fan_out, frame, handshake, health, rest_private, rest_public, sign_in};
use crate::history;
use crate::market_data;
use crate::sequencer::recovery::RecoveryError;
use crate::storage::history::HistoryError;
use crate::storage::journal::JournalError;
use crate::storage::{Storage, make_private};

/// How long a stop waits for history to write what was released.
const HISTORY_WAIT: Duration = Duration::from_secs(5);
/// Bytes of a request's body; beyond it 413. The largest legitimate one has an e-mail, a password and a code.
const BODY_BYTES_MAX: usize = 16 * 1024;

/// What a server needs to run.
#[derive(Debug)]
pub struct Plan {
    /// The settings.
    pub config: Config,
    /// Seals and opens secrets.
    pub master: MasterKey,
    /// Written first when the journal is empty.
    pub genesis: Option<Command>,
}

/// Why a server does not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The data is damaged or in use.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The history tables cannot be opened.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The port cannot be opened.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address and port.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The secrets in the journal were sealed under another key (rule 29).
    #[error("the master key does not open the secrets of this journal: give the one that `init` made with it")]
    MasterKey,
    /// The system cannot start a thread.
    #[error("no thread for the {name}: {source}")]
    Thread {
        /// The thread's name.
        name: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The system does not accept a signal handler.
    #[error("no handler for SIGXFSZ: {0}")]
    Signal(std::io::Error),
    /// The sequencer's thread, or its shadow's, ended without giving a reason.
    #[error("the sequencer ended without a reason; the log has the panic")]
    Sequencer,
}

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    sockets: Arc<Sockets>,
    listening: JoinHandle<()>,
    sequencer: oneshot::Receiver<Result<(), ServerError>>,
    /// Why the sequencer ended by itself, once known.
    failure: Option<ServerError>,
    projecting: JoinHandle<()>,
    dashboards: Background,
}

impl Server {
    /// Recovers, runs the first tick and opens the port. A start that is refused for the port or the master key has written
    /// nothing to the journal.
    ///
    /// # Errors
    /// When the stored data cannot be read or is damaged, another process uses it, the master key does not open its
    /// secrets, or the port or the certificate cannot be used.
    pub async fn start(plan: Plan) -> Result<Server, ServerError> {
        let Plan { config, master, genesis } = plan;
        process_limits::open_files(config.limits.max_connections);
        process_limits::file_size().map_err(ServerError::Signal)?;
        let certificate = certificate(&config)?;
        let storage = storage(&config)?;
        let sockets = Sockets::within(&config.limits);
        let metrics = Arc::new(Metrics::default());
        let (market_feed, market_batches) = market_data::feed();
        let (history_feed, history_batches) = history::feed();
        let (fan_out_feed, fanned_out) = fan_out::feed();
        let inputs = SequencerInputs {
            config: config.clone(),
            storage: storage.clone(),
            master,
            genesis,
            sockets: Arc::clone(&sockets),
            feeds: Feeds {
                market_data: market_feed,
                history: history_feed,
                fan_out: fan_out_feed,
                metrics: Arc::clone(&metrics),
            },
        };
        let (running, sequencer) = sequencer_thread::start(inputs).await?;
        let Running { master, port, directory, handle, seq, market, journal, stages } = running;
        let (listener, address) = port.listen()?;
        let (stop, stopping) = watch::channel(false);
        let kept = Duration::from_secs(config.limits.replay_s as u64);
        let (history, past, projecting) = history::start(&storage, &journal, history_batches, kept, seq).await?;
        let dashboards = Background::start("dashboards").map_err(no_thread("dashboards"))?;
        let fan_out = dashboards.handle().spawn(fan_out::run(Arc::clone(&directory), fanned_out));
        let market_data = market_data::start(market, past, market_batches, frame::shared, wall_clock);
        let links = Dependencies {
            directory,
            handle,
            sockets: Arc::clone(&sockets),
            market_data,
            history,
            metrics: Arc::clone(&metrics),
            stopping: stopping.clone(),
            dashboards: dashboards.handle(),
        };
        let gateway = Gateway::new(&config, address, master, wall_clock, links);
        let tasks = Tasks {
            fan_out,
            sweep: tokio::spawn(activity::sweep(Arc::clone(&gateway))),
            exports: tokio::spawn(exports::make(Arc::clone(&gateway))),
        };
        tokio::spawn(presence::follow_settings(Arc::clone(&gateway)));
        let (data_dir, certified) = (config.data_dir.clone(), certificate.clone());
        let scrape = Scrape { stages, gateway: Arc::clone(&gateway), certificate: certified, data_dir };
        let routes = routes(gateway, tasks, scrape);
        let options = listener_options(&config, certificate.as_ref(), metrics);
        if let Some(certificate) = certificate {
            tokio::spawn(certificate.follow(stopping.clone()));
        }
        let listening = tokio::spawn(listener::serve(listener, routes, options, stopping));
        tracing::info!(%address, "listening");
        Ok(Server { address, stop, sockets, listening, sequencer, failure: None, projecting, dashboards })
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until the sequencer ends by itself, which only happens when the journal fails, and returns why. The
    /// sockets are still open: call [`stop`](Server::stop) next.
    pub async fn failed(&mut self) -> &ServerError {
        let failure = match self.failure.take() {
            Some(failure) => failure,
            None => match (&mut self.sequencer).await {
                Ok(Err(error)) => error,
                Ok(Ok(())) | Err(_) => ServerError::Sequencer,
            },
        };
        self.failure.insert(failure)
    }

    /// Stops: no new connection, then everything accepted is answered and a snapshot saved.
    ///
    /// # Errors
    /// When the journal has failed, now or earlier; the sockets are closed in order then, too.
    pub async fn stop(self) -> Result<(), ServerError> {
        let Server { stop, sockets, listening, sequencer, failure, mut projecting, dashboards, .. } = self;
        // The listener has a receiver as long as it runs; if it is gone, nobody needs the signal.
        let _ = stop.send(true);
        sockets.stop();
        if let Err(error) = listening.await {
            tracing::error!(%error, "the listener task failed");
        }
        // The dashboards' sessions have ended: the listener has waited for them.
        drop(dashboards);
        let ended = match failure {
            Some(failure) => Err(failure),
            None => sequencer.await.unwrap_or(Err(ServerError::Sequencer)),
        };
        // It ends once it has written what the sequencer released.
        if tokio::time::timeout(HISTORY_WAIT, &mut projecting).await.is_err() {
            projecting.abort();
            tracing::warn!("the history tables are behind the journal; the next start continues from there");
        }
        ended
    }
}

/// The refusal to start a thread of this name.
fn no_thread(name: &'static str) -> impl Fn(std::io::Error) -> ServerError {
    move |source| ServerError::Thread { name, source }
}

/// The configured storage. Creates the data directory, which is needed even if a database holds most of the data.
///
/// # Errors
/// When the directory cannot be made.
pub fn storage(config: &Config) -> Result<Storage, JournalError> {
    let unavailable = |error| JournalError::Unavailable(format!("{}: {error}", config.data_dir.display()));
    make_private(&config.data_dir).map_err(unavailable)?;
    Ok(match &config.database {
        Some(database) => Storage::Postgres(database.clone()),
        None => Storage::Sqlite(config.data_dir.clone()),
    })
}

/// All routes of the port.
fn routes(gateway: Arc<Gateway>, tasks: Tasks, scrape: Scrape) -> axum::Router {
    rest_public::routes(Arc::clone(&gateway))
        .merge(metrics::routes(scrape))
        .merge(health::routes(Arc::clone(&gateway), tasks))
        .merge(rest_private::routes(Arc::clone(&gateway)))
        .merge(exports::routes(Arc::clone(&gateway)))
        .merge(dashboard::routes())
        .merge(sign_in::routes(Arc::clone(&gateway)))
        .merge(handshake::routes(gateway))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(map_response(unread))
}

/// Requests refused before their route sees them, such as a body beyond the limit: gives them the usual error body.
async fn unread(response: Response) -> Response {
    let status = response.status();
    let in_text = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => {
            Refusal::invalid(status, &format!("a body has at most {BODY_BYTES_MAX} bytes")).into_response()
        }
        StatusCode::BAD_REQUEST if in_text => Refusal::invalid(status, "the request cannot be read").into_response(),
        _ => response,
    }
}

/// The listener's options by the settings.
fn listener_options(
    config: &Config,
    certificate: Option<&Arc<Certificate>>,
    metrics: Arc<Metrics>,
) -> listener::Options {
    let Config { limits, trusted_proxies, .. } = config;
    listener::Options {
        max_connections: limits.max_connections,
        connections_per_address: limits.connections_per_address,
        trusted_proxies: trusted_proxies.clone(),
        tls: certificate.map(Certificate::acceptor),
        metrics,
    }
}

/// The certificate of the port, if it speaks TLS.
fn certificate(config: &Config) -> Result<Option<Arc<Certificate>>, TlsError> {
    let files = config.tls.certificate.clone().zip(config.tls.key.clone());
    files.map(|(certificate, key)| Certificate::open(Files { certificate, key })).transpose()
}

/// The wall clock, in microseconds; times before 1970 count as 1970.
pub fn wall_clock() -> Moment {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Moment(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
