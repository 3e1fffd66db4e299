//! A server for one socket: gateway, sequencer and projections as they are, on a journal in memory, with a clock that
//! stands still. Every wait ends as soon as nobody has anything to do, so history, which would read from disk, never
//! answers in time.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue};
use countersign::access::operation::{MemberRight, Operation, ServiceRight};
use countersign::config::Config;
use countersign::engine::state::State;
use countersign::gateway::context::{Dependencies, Gateway};
use countersign::gateway::credentials::Signed;
use countersign::gateway::directory::Directory;
use countersign::gateway::metrics::Metrics;
use countersign::gateway::release::{Feeds, Releaser};
use countersign::gateway::send_queue::Sockets;
use countersign::gateway::subscriptions::RingLimits;
use countersign::gateway::{fan_out, frame, untrusted};
use countersign::history::{self, History};
use countersign::market_data;
use countersign::sequencer::{Recovered, recovery};
use countersign::storage::memory::Disk;
use countersign::storage::snapshots::Snapshots;
use countersign::storage::{Journal, JournalReader, Storage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{oneshot, watch};

use super::genesis::api_key;
use super::world::{self, COOKIE, NOW, SECRET};

/// Long enough that everybody has done what there is to do: it goes by only then.
const QUIET: Duration = Duration::from_millis(1);
/// Where the server seems to listen; its own pages come from there.
const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

/// Who may open the socket: a Service User with every scope, a Member with all rights, the venue operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    Bot,
    Member,
    Venue,
}

impl Client {
    /// All of them, in the order of `world::principals`.
    pub const ALL: [Client; 3] = [Client::Bot, Client::Member, Client::Venue];

    /// Whether it may ask for this at all.
    pub fn may_ask(self, operation: Operation) -> bool {
        let row = operation.row();
        match self {
            Client::Bot => row.service_user != ServiceRight::No,
            Client::Member => row.member != MemberRight::No,
            Client::Venue => row.venue,
        }
    }

    /// The headers of its handshake.
    fn headers(self) -> HeaderMap {
        let signed = |key| {
            let nonce = NOW.0.to_string();
            let sign = Signed::handshake(&nonce).sign(&SECRET);
            [("api-key", api_key(key)), ("api-nonce", nonce), ("api-sign", sign)].into_iter().collect::<Vec<_>>()
        };
        let headers = match self {
            Client::Bot => signed(1),
            Client::Venue => signed(200),
            Client::Member => {
                vec![("origin", format!("http://{ADDRESS}")), ("cookie", format!("countersign_session={COOKIE}"))]
            }
        };
        let value = |text: String| HeaderValue::from_str(&text).expect("a header's value");
        headers.into_iter().map(|(name, text)| (name.parse().expect("a header's name"), value(text))).collect()
    }

    /// What the server sends this client on a socket that brings `frames`, up to its close, and the state that it leaves.
    pub fn converse(self, frames: &[u8]) -> (Vec<u8>, State) {
        let history = HISTORY.1.clone();
        let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
        runtime.block_on(async {
            let disk = world::disk();
            let (gateway, sockets) = start(&disk, history).await;
            let (client, served) = connection().await.expect("a connection on this host");
            let served = tokio::spawn(async move { untrusted::socket(gateway, &self.headers(), served).await });
            let (mut reading, mut writing) = client.into_split();
            let (mut sent, rest) = (Vec::new(), async {
                // A server that has closed takes no more.
                let _ = writing.write_all(frames).await;
                tokio::time::sleep(QUIET).await;
                sockets.stop();
            });
            let (read, ()) = tokio::join!(reading.read_to_end(&mut sent), rest);
            // One that closed with something unread has reset the connection.
            let _ = read;
            assert!(served.await.expect("a session does not panic"), "the handshake is sound");
            let state = recovery::recover(&reader(&disk), &snapshots(&disk)).await.expect("the journal is sound");
            (sent, state)
        })
    }
}

fn reader(disk: &Disk) -> JournalReader {
    JournalReader::Memory(disk.clone())
}

fn snapshots(disk: &Disk) -> Snapshots {
    Snapshots::Memory(disk.clone())
}

/// Both ends of a connection. Their ports are free again at once.
async fn connection() -> std::io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let (client, served) = tokio::try_join!(TcpStream::connect(listener.local_addr()?), listener.accept())?;
    client.set_zero_linger()?;
    Ok((client, served.0))
}

/// Recovers the server from the disk and lets it run.
async fn start(disk: &Disk, history: History) -> (Arc<Gateway>, Arc<Sockets>) {
    let config = Config::at(ADDRESS, "".into());
    let limits = &config.limits;
    let journal = Journal::Memory(disk.journal().expect("nobody else writes"));
    let sockets = Sockets::within(limits);
    let rings = RingLimits { each: limits.replay_ring, all: limits.replay_items };
    let metrics = Arc::new(Metrics::default());
    let (market_feed, market_batches) = market_data::feed();
    let (history_feed, _) = history::feed();
    let (fan_out_feed, fanned_out) = fan_out::feed();
    let recovered = Recovered::of(journal, &reader(disk), &snapshots(disk)).await.expect("the world is sound");
    let state = recovered.state();
    let (directory, market) = (Arc::new(Directory::new(state)), market_data::Snapshot::of(state, &[]));
    let feeds =
        Feeds { market_data: market_feed, history: history_feed, fan_out: fan_out_feed, metrics: Arc::clone(&metrics) };
    let releaser = Releaser::new(Arc::clone(&directory), Arc::clone(&sockets), state.seq, &[], rings, feeds, || NOW);
    let (sequencer, handle) = recovered.open(|| NOW, limits.submit_queue, config.rates.clone(), releaser);
    tokio::spawn(sequencer.run(std::future::pending()));
    tokio::spawn(fan_out::run(Arc::clone(&directory), fanned_out));
    let market_data = market_data::start(market, oneshot::channel().1, market_batches, frame::shared, || NOW);
    let links = Dependencies {
        directory,
        handle,
        sockets: Arc::clone(&sockets),
        market_data,
        history,
        metrics,
        stopping: watch::channel(false).1,
        dashboards: Handle::current(),
    };
    (Gateway::new(&config, ADDRESS, world::master(), || NOW, links), sockets)
}

/// Tables that nobody fills, and the runtime that opened them.
static HISTORY: LazyLock<(Runtime, History)> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let dir = tempfile::tempdir().expect("a directory");
    let journal = reader(&Disk::default());
    let history = runtime.block_on(async {
        let storage = Storage::Sqlite(dir.path().to_owned());
        let (kept, until) = (Duration::from_secs(60), Default::default());
        history::start(&storage, &journal, history::feed().1, kept, until).await
    });
    (runtime, history.expect("tables").0)
});
