//! A gateway with one raw socket, and parts behind it that a test may take away.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use futures::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::context::{Dependencies, Gateway};
use super::directory::Directory;
use super::release::{Feeds, Releaser};
use super::secrets::MasterKey;
use super::send_queue::Sockets;
use super::subscriptions::RingLimits;
use super::token::Claims;
use super::{fan_out, frame, untrusted};
use crate::config::Config;
use crate::domain::ids::{Seq, ServiceUserId};
use crate::domain::money::Price;
use crate::domain::time::Moment;
use crate::engine::keys::KeyRef;
use crate::engine::reference::Reference;
use crate::engine::state::State;
use crate::sequencer::{Recovered, Sequencer};
use crate::storage::memory::Disk;
use crate::storage::snapshots::Snapshots;
use crate::storage::{Journal, JournalReader, Storage};
use crate::{history, market_data};

const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

const MASTER: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// The gateway and its socket. Time passes only while every task waits.
pub struct TestGateway {
    pub gateway: Arc<Gateway>,
    /// Does not run, so it answers nothing.
    pub sequencer: Option<Sequencer<Releaser>>,
    pub market_feed: Option<market_data::Feed>,
    pub history_feed: Option<history::Feed>,
    pub fan_out_feed: Option<fan_out::Feed>,
    /// The task of that feed.
    pub fan_out: Option<JoinHandle<()>>,
    client: WebSocketStream<TcpStream>,
    /// The data directory.
    _dir: TempDir,
}

impl TestGateway {
    pub async fn new() -> TestGateway {
        let dir = tempfile::tempdir().unwrap();
        let config = Config::at(ADDRESS, dir.path().to_owned());
        let (disk, sockets) = (Disk::default(), Sockets::within(&config.limits));
        let reader = JournalReader::Memory(disk.clone());
        let storage = Storage::Sqlite(dir.path().to_owned());
        let (history_feed, events) = history::feed();
        let history = history::start(&storage, &reader, events, Duration::MAX, Seq(0)).await.unwrap().0;
        let state = State { reference: Reference::btc_usd(8, 0), ..State::default() };
        let directory = Arc::new(Directory::new(&state));
        let feeds = Feeds {
            market_data: market_data::feed().0,
            history: history::feed().0,
            fan_out: fan_out::feed().0,
            metrics: Arc::default(),
        };
        let rings = RingLimits { each: 1, all: 1 };
        let releaser = Releaser::new(Arc::clone(&directory), Arc::clone(&sockets), Seq(0), &[], rings, feeds, clock);
        let (journal, snapshots) = (Journal::Memory(disk.journal().unwrap()), Snapshots::Memory(disk));
        let recovered = Recovered::of(journal, &reader, &snapshots).await.unwrap();
        let (sequencer, handle) = recovered.open(clock, 64, config.rates.clone(), releaser);
        let (market_feed, batches) = market_data::feed();
        let (fan_out_feed, incoming) = fan_out::feed();
        let (reference, prices) = (state.reference, vec![Price(1)]);
        let market = market_data::Snapshot { reference, prices, ..market_data::Snapshot::default() };
        let fan_out = tokio::spawn(fan_out::run(Arc::clone(&directory), incoming));
        let links = Dependencies {
            directory,
            handle,
            sockets,
            market_data: market_data::start(market, oneshot::channel().1, batches, frame::shared, clock),
            history,
            metrics: Arc::default(),
            stopping: watch::channel(false).1,
            dashboards: tokio::runtime::Handle::current(),
        };
        let gateway = Gateway::new(&config, ADDRESS, MasterKey::from_text(MASTER).unwrap(), clock, links);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (socket, shared) = (listener.accept().await.unwrap().0, Arc::clone(&gateway));
        tokio::spawn(async move { untrusted::socket(shared, &HeaderMap::new(), socket).await });
        let client = WebSocketStream::from_raw_socket(client, Role::Client, None).await;
        // From here on, whatever waits depends on nothing but time.
        tokio::time::pause();
        TestGateway {
            gateway,
            sequencer: Some(sequencer),
            market_feed: Some(market_feed),
            history_feed: Some(history_feed),
            fan_out_feed: Some(fan_out_feed),
            fan_out: Some(fan_out),
            client,
            _dir: dir,
        }
    }

    pub async fn send(&mut self, message: Value) {
        self.client.send(Message::text(message.to_string())).await.unwrap();
    }

    /// Sends bytes that need not be a frame.
    pub async fn send_raw(&mut self, bytes: &[u8]) {
        self.client.get_mut().write_all(bytes).await.unwrap();
    }

    /// Waits for a frame with this member and value.
    pub async fn frame(&mut self, name: &str, value: &str) -> Value {
        let frame = async {
            loop {
                let Some(Ok(Message::Text(text))) = self.client.next().await else { panic!("it has ended") };
                let frame: Value = serde_json::from_str(&text).unwrap();
                if frame[name] == value {
                    return frame;
                }
            }
        };
        soon(frame).await
    }

    /// A token of the first Service User, issued at that time.
    pub fn token(&self, issued_at: Moment) -> String {
        let claims = Claims { key: KeyRef::ServiceUser(ServiceUserId(1)), credential_version: 1, issued_at };
        self.gateway.tokens.mint(&claims)
    }

    /// Waits until the connection ends without a close frame.
    pub async fn cut_off(&mut self) {
        let cut = async {
            while let Some(Ok(message)) = self.client.next().await {
                assert!(!message.is_close(), "{message}");
            }
        };
        soon(cut).await;
    }

    /// The code that the socket is closed with.
    pub async fn closed(mut self) -> u16 {
        let closed = async {
            loop {
                match self.client.next().await {
                    Some(Ok(Message::Close(Some(close)))) => return close.code.into(),
                    Some(Ok(Message::Text(_))) => {}
                    other => panic!("{other:?}"),
                }
            }
        };
        soon(closed).await
    }
}

/// Waits with a time limit that uses no real time, since it passes only while all tasks wait: heartbeats never end.
async fn soon<T>(comes: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(3_600), comes).await.expect("it comes within an hour")
}

thread_local! {
    /// The time of the server's clock, until a test sets it; with `None`, reading it panics.
    pub static CLOCK: Cell<Option<Moment>> = const { Cell::new(Some(Moment(0))) };
}

/// The server's clock.
pub fn clock() -> Moment {
    CLOCK.get().expect("as the test asked")
}
