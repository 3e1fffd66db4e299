//! What every route and session of the gateway shares.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use axum::http::StatusCode;
use tokio::sync::{oneshot, watch};

use super::activity::Activity;
use super::admission::Admission;
use super::directory::Directory;
use super::exports::Exports;
use super::listener::stopped;
use super::metrics::Metrics;
use super::passwords::Hashing;
use super::presence::Presence;
use super::refusal::Refusal;
use super::release::{Ticket, Waiting};
use super::secrets::MasterKey;
use super::send_queue::Sockets;
use super::throttle::Throttle;
use super::token::Tokens;
use crate::access::principal::{Actor, Credential, Principal};
use crate::access::tier::Tiers;
use crate::config::{Config, Limits};
use crate::domain::time::Moment;
use crate::engine::reject::{Code, Reject};
use crate::history::History;
use crate::market_data::MarketData;
use crate::sequencer::handle::{Answer, Handle, Submission, Work};

/// Failures in a minute, of one account or key from one address or of one session, before further attempts must wait.
const FAILURES_MAX: u32 = 10;
/// Failed sign-ins in a minute, of any account, from one address.
const SPRAYED_MAX: u32 = 100;

/// Log lines about refusals in a minute for one address; further ones are left out.
const REFUSALS_LOGGED_MAX: u32 = 100;

/// What the gateway is connected to.
pub struct Dependencies {
    /// Names, keys and Members as released.
    pub directory: Arc<Directory>,
    /// The way into the sequencer.
    pub handle: Handle<Ticket>,
    /// The open sockets.
    pub sockets: Arc<Sockets>,
    /// Public market data.
    pub market_data: MarketData,
    /// Orders, trades and ledger entries of the past.
    pub history: History,
    /// What is counted for `/metrics`.
    pub metrics: Arc<Metrics>,
    /// True once the server is stopping.
    pub stopping: watch::Receiver<bool>,
    /// The runtime of Members' sessions: sending an event to a thousand dashboards must not delay an order.
    pub dashboards: tokio::runtime::Handle,
}

/// What every route and session shares: the [`Dependencies`], and what was made from the settings.
pub struct Gateway {
    pub(super) directory: Arc<Directory>,
    pub(super) handle: Handle<Ticket>,
    pub(super) sockets: Arc<Sockets>,
    pub(super) market_data: MarketData,
    pub(super) history: History,
    pub(super) metrics: Arc<Metrics>,
    stopping: watch::Receiver<bool>,
    pub(super) dashboards: tokio::runtime::Handle,
    /// Seals and opens secrets.
    pub(super) master: MasterKey,
    /// WebSocket tokens.
    pub(super) tokens: Tokens,
    /// Files of trades and ledger entries.
    pub(super) exports: Exports,
    /// Origins that cookies are accepted from.
    pub(super) origins: Vec<String>,
    /// Failed signatures, by key and address (as `admission::counted_as` has it, here and below).
    pub(super) signatures: Throttle<(String, IpAddr)>,
    /// Failed sign-ins, by e-mail and address.
    pub(super) sign_ins: Throttle<(String, IpAddr)>,
    /// Failed sign-ins of any account, by address.
    pub(super) sprays: Throttle<IpAddr>,
    /// Wrong codes for actions, by session.
    pub(super) codes: Throttle<Credential>,
    /// Refusals in the log, by address.
    pub(super) refusal_log_limit: Throttle<IpAddr>,
    /// Hashes passwords.
    pub(super) hashing: Hashing,
    /// Who may open a socket.
    pub(super) admission: Admission,
    /// Limits on the resources of one socket.
    pub(super) limits: Limits,
    /// Which Service Users are connected, for cancel on disconnect.
    pub(super) presence: Presence,
    /// When each Member's session was last used.
    pub(super) activity: Activity,
    /// How fast keys may trade, for acknowledgements; the engine decides.
    pub(super) tiers: Tiers,
    /// Whether browsers reach it by TLS only: then cookies are `Secure`.
    pub(super) secure: bool,
    /// The server's clock.
    pub(super) clock: fn() -> Moment,
    /// Sockets opened since the start; the number identifies a socket in `status`.
    pub(super) sockets_opened: AtomicU64,
}

/// Why the engine did not answer.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// It refused.
    Refused(Reject),
    /// The queue is full, the journal failed or takes no writes, or the server is stopping.
    Unavailable,
}

impl Unanswered {
    /// The HTTP answer, with this status if the engine refused.
    pub(super) fn over_http(self, status: StatusCode) -> Refusal {
        match self {
            Unanswered::Refused(reject) => Refusal::new(status, reject),
            Unanswered::Unavailable => Refusal::unavailable(),
        }
    }
}

impl Gateway {
    /// A gateway with these settings that listens on `address`.
    pub fn new(
        config: &Config,
        address: SocketAddr,
        master: MasterKey,
        clock: fn() -> Moment,
        links: Dependencies,
    ) -> Arc<Gateway> {
        let Dependencies { directory, handle, sockets, market_data, history, metrics, stopping, dashboards } = links;
        let limits = &config.limits;
        // When the open sessions were last used is unknown after a start, so it counts as now.
        let open =
            directory.members(|members| members.sessions().all().map(|open| open.cookie_hash).collect::<Vec<_>>());
        let activity = Activity::new(Duration::from_secs(limits.member_idle_s as u64), open.into_iter(), clock());
        Arc::new(Gateway {
            directory,
            handle,
            sockets,
            tokens: Tokens::new(&master),
            master,
            market_data,
            history,
            exports: Exports::under(&config.data_dir),
            origins: config.origins(address),
            signatures: Throttle::new(FAILURES_MAX),
            sign_ins: Throttle::new(FAILURES_MAX),
            sprays: Throttle::new(SPRAYED_MAX),
            codes: Throttle::new(FAILURES_MAX),
            refusal_log_limit: Throttle::new(REFUSALS_LOGGED_MAX),
            hashing: Hashing::default(),
            admission: Admission::new(limits.connections_per_address, limits.pending_handshakes),
            metrics,
            limits: limits.clone(),
            presence: Presence::new(Duration::from_secs(limits.disconnect_grace_s as u64)),
            activity,
            tiers: config.rates.clone(),
            secure: config.has_secure_origins(),
            clock,
            stopping,
            dashboards,
            sockets_opened: AtomicU64::new(0),
        })
    }

    /// Whether the server is stopping.
    pub(super) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Waits until the server is stopping.
    pub(super) async fn stopping(&self) {
        stopped(&mut self.stopping.clone()).await;
    }

    /// Asks the engine on behalf of a principal that has no socket.
    pub(super) async fn ask(&self, by: Principal, work: Work) -> Result<Answer, Unanswered> {
        self.ask_with(by, work, Ticket::Ask).await
    }

    /// As `ask`, with a ticket that the caller makes. All but the server itself wait for a turn, so that a storm of
    /// clients does not fill the engine's queue and block those already connected.
    pub(super) async fn ask_with(
        &self,
        by: Principal,
        work: Work,
        ticket: impl FnOnce(Waiting) -> Ticket,
    ) -> Result<Answer, Unanswered> {
        let turn = match by.actor {
            Actor::Server => None,
            _ => self.admission.turn().await,
        };
        let (sender, answer) = oneshot::channel();
        let ticket = ticket(Waiting::new(sender, turn));
        let submitted = self.handle.submit(vec![Submission { by, work, ticket }]);
        submitted.map_err(|_| Unanswered::Unavailable)?;
        match answer.await {
            Ok(Some(Err(reject))) if reject.code == Code::ReadOnly => Err(Unanswered::Unavailable),
            Ok(Some(outcome)) => outcome.map_err(Unanswered::Refused),
            Ok(None) | Err(_) => Err(Unanswered::Unavailable),
        }
    }
}
