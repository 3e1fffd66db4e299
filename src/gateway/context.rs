//! What every route and session of the gateway shares.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::sync::{oneshot, watch};

use super::activity::Activity;
use super::admission::Admission;
use super::connection::Seats;
use super::directory::Directory;
use super::exports::Exports;
use super::metrics::Metrics;
use super::passwords::Hashing;
use super::presence::Presence;
use super::release::Ticket;
use super::secrets::MasterKey;
use super::throttle::Throttle;
use super::token::Tokens;
use crate::access::principal::{Actor, Principal};
use crate::access::tier::Tiers;
use crate::config::Limits;
use crate::domain::time::Moment;
use crate::engine::reject::{Code, Reject};
use crate::history::History;
use crate::market_data::MarketData;
use crate::sequencer::handle::{Answer, Handle, Submission, Work};

/// What every route and session shares.
pub struct Gateway {
    /// Names, keys and Members as released.
    pub directory: Arc<Directory>,
    /// The way into the sequencer.
    pub handle: Handle<Ticket>,
    /// Numbers for sockets.
    pub seats: Arc<Seats>,
    /// Seals and opens secrets.
    pub master: MasterKey,
    /// WebSocket tokens.
    pub tokens: Tokens,
    /// Public market data.
    pub market_data: MarketData,
    /// Orders, trades and ledger entries of the past.
    pub history: History,
    /// Files of trades and ledger entries.
    pub exports: Exports,
    /// Origins that cookies are accepted from.
    pub origins: Vec<String>,
    /// Failed signatures, by key and address (as `admission::counted_as` has it, here and below).
    pub signatures: Throttle<(String, IpAddr)>,
    /// Failed sign-ins, by e-mail and address.
    pub sign_ins: Throttle<(String, IpAddr)>,
    /// Failed sign-ins of any account, by address.
    pub sprays: Throttle<IpAddr>,
    /// Hashes passwords.
    pub hashing: Hashing,
    /// Who may open a socket.
    pub admission: Admission,
    /// What is counted for `/metrics`.
    pub metrics: Arc<Metrics>,
    /// Bounds on what one socket takes up.
    pub limits: Limits,
    /// Which Service Users are there, for cancel on disconnect.
    pub presence: Presence,
    /// When each Member's session was last used.
    pub activity: Activity,
    /// How fast keys may trade; told, the engine decides.
    pub tiers: Tiers,
    /// Whether the port speaks TLS: cookies are for it alone then.
    pub secure: bool,
    /// The server's clock.
    pub clock: fn() -> Moment,
    /// True once the server is stopping.
    pub stopping: watch::Receiver<bool>,
    /// Where Members' sessions run: an event for a thousand dashboards does not hold up an order.
    pub dashboards: tokio::runtime::Handle,
    /// Sockets opened since the start; names them in `status`.
    pub sockets_opened: AtomicU64,
}

/// Why the engine did not answer.
#[derive(Debug)]
pub enum Unanswered {
    /// It refused.
    Refused(Reject),
    /// The queue is full, the journal failed or takes no writes, or the server is stopping.
    Unavailable,
}

impl Gateway {
    /// Asks the engine on behalf of nobody in particular at `peer`.
    pub async fn ask(&self, peer: IpAddr, credential: u32, work: Work) -> Result<Answer, Unanswered> {
        self.open(peer, credential, work, Ticket::Ask).await
    }

    /// Asks with a ticket of the caller's making.
    pub async fn open(
        &self,
        peer: IpAddr,
        credential: u32,
        work: Work,
        ticket: impl FnOnce(oneshot::Sender<Option<crate::sequencer::handle::Outcome>>) -> Ticket,
    ) -> Result<Answer, Unanswered> {
        self.submit(Principal { actor: Actor::Public, peer, credential }, work, ticket).await
    }

    /// Asks on behalf of a principal without a socket: the server, or who asked for a link.
    pub async fn ask_as(&self, by: Principal, work: Work) -> Result<Answer, Unanswered> {
        self.submit(by, work, Ticket::Ask).await
    }

    async fn submit(
        &self,
        by: Principal,
        work: Work,
        ticket: impl FnOnce(oneshot::Sender<Option<crate::sequencer::handle::Outcome>>) -> Ticket,
    ) -> Result<Answer, Unanswered> {
        let (sender, answer) = oneshot::channel();
        let submitted = self.handle.submit(vec![Submission { by, work, ticket: ticket(sender) }]);
        submitted.map_err(|_| Unanswered::Unavailable)?;
        match answer.await {
            Ok(Some(Err(reject))) if reject.code == Code::ReadOnly => Err(Unanswered::Unavailable),
            Ok(Some(outcome)) => outcome.map_err(Unanswered::Refused),
            Ok(None) | Err(_) => Err(Unanswered::Unavailable),
        }
    }
}
