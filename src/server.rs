//! The only file that joins the parts; start and stop order.
//!
//! Start: journal, recovery, first tick, and only then the port. Stop: the port first, then the sequencer
//! answers all that it accepted and saves a snapshot.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};

use crate::domain::time::Moment;
use crate::engine::command::Command;
use crate::gateway::directory::Directory;
use crate::gateway::listener;
use crate::gateway::public::{self, Public};
use crate::gateway::release::{Desk, Ticket};
use crate::sequencer;
use crate::sequencer::handle::Handle;
use crate::sequencer::recovery::RecoveryError;
use crate::storage::journal::JournalError;

/// What a server needs to run.
#[derive(Debug)]
pub struct Plan {
    /// Where to listen; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// The data directory.
    pub data_dir: PathBuf,
    /// Bounds of the listener.
    pub limits: listener::Limits,
    /// Written first when the journal is empty.
    pub genesis: Option<Command>,
}

/// Why a server does not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The data is not sound or not free.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The port cannot be had.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The sequencer's thread ended without a word.
    #[error("the sequencer died")]
    Sequencer,
}

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    listening: tokio::task::JoinHandle<()>,
    handle: Handle<Ticket>,
    sequencer: oneshot::Receiver<Result<(), JournalError>>,
}

impl Server {
    /// Recovers, runs the first tick and opens the port.
    pub async fn start(plan: Plan) -> Result<Server, ServerError> {
        let Plan { listen, data_dir, limits, genesis } = plan;
        let (started, running) = oneshot::channel();
        let (ended, sequencer) = oneshot::channel();
        std::thread::Builder::new()
            .name("sequencer".to_owned())
            .spawn(move || sequence(data_dir, genesis, started, ended))
            .map_err(|_| ServerError::Sequencer)?;
        let (directory, handle) = running.await.map_err(|_| ServerError::Sequencer)??;
        let listener = TcpListener::bind(listen).await;
        let listener = listener.map_err(|source| ServerError::Listen { address: listen, source })?;
        let address = listener.local_addr().map_err(|source| ServerError::Listen { address: listen, source })?;
        let (stop, stopping) = watch::channel(false);
        let routes = public::routes(Public { directory, clock: wall_clock });
        let listening = tokio::spawn(listener::serve(listener, routes, limits, stopping));
        tracing::info!(%address, "listening");
        Ok(Server { address, stop, listening, handle, sequencer })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until the sequencer ends by itself, which only a failed journal makes it do.
    pub async fn failed(&mut self) -> ServerError {
        match (&mut self.sequencer).await {
            Ok(Err(error)) => ServerError::Journal(error),
            Ok(Ok(())) | Err(_) => ServerError::Sequencer,
        }
    }

    /// Stops: no new connection, then everything accepted is answered and a snapshot saved.
    pub async fn stop(self) -> Result<(), ServerError> {
        let Server { stop, listening, handle, sequencer, .. } = self;
        // The listener holds a receiver as long as it runs; if it is gone there is nobody to tell.
        let _ = stop.send(true);
        if let Err(error) = listening.await {
            tracing::error!(%error, "the listener ended badly");
        }
        drop(handle);
        sequencer.await.map_err(|_| ServerError::Sequencer)?.map_err(ServerError::Journal)
    }
}

type Started = Result<(Arc<Directory>, Handle<Ticket>), ServerError>;

/// The sequencer's thread: a small runtime of its own that awaits the journal.
fn sequence(
    data_dir: PathBuf,
    genesis: Option<Command>,
    started: oneshot::Sender<Started>,
    ended: oneshot::Sender<Result<(), JournalError>>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "no runtime for the sequencer");
            return;
        }
    };
    runtime.block_on(async move {
        let mut directory = None;
        let opened = sequencer::open(&data_dir, wall_clock, |engine| {
            let copy = Arc::new(Directory::new(engine.state()));
            directory = Some(Arc::clone(&copy));
            Desk::new(copy)
        });
        let ready = match opened.await {
            Ok((mut sequencer, handle)) => match sequencer.start(genesis).await {
                Ok(()) => Ok((sequencer, handle)),
                Err(error) => Err(ServerError::Journal(error)),
            },
            Err(error) => Err(ServerError::Recovery(error)),
        };
        match ready {
            Ok((sequencer, handle)) => {
                let directory = directory.expect("made when the sequencer was opened");
                // Who starts a server waits for this; if that task is gone, so is the handle, and `run` ends.
                let _ = started.send(Ok((directory, handle)));
                let _ = ended.send(sequencer.run().await);
            }
            Err(error) => {
                let _ = started.send(Err(error));
            }
        }
    });
}

/// The wall clock, in microseconds; before 1970 it is 1970.
pub fn wall_clock() -> Moment {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Moment(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
