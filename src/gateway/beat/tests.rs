//! How sessions end whose server has lost a part of itself.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::http::HeaderMap;
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::super::connection::Seats;
use super::super::context::{Gateway, Links};
use super::super::directory::Directory;
use super::super::release::{Desk, Feeds};
use super::super::secrets::MasterKey;
use super::super::subscriptions::RingLimits;
use super::super::token::Claims;
use super::super::{fan_out, frame, untrusted};
use super::*;
use crate::access::principal::Actor;
use crate::config::Config;
use crate::domain::ids::{MarketId, Seq, ServiceUserId};
use crate::domain::markets::MarketStatus;
use crate::domain::money::Price;
use crate::domain::time::Moment;
use crate::engine::event::Event;
use crate::engine::reference::Reference;
use crate::engine::service_users::KeyRef;
use crate::engine::state::State;
use crate::sequencer::{self, Sequencer, Stamped};
use crate::storage::memory::Disk;
use crate::storage::snapshots::Snapshots;
use crate::storage::{Journal, JournalReader, Storage};
use crate::{history, market_data};

const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

const MASTER: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// A gateway with a socket, and the parts behind it that may be lost. The sequencer does nothing.
struct Served {
    gateway: Arc<Gateway>,
    sequencer: Option<Sequencer<Desk>>,
    market_feed: Option<market_data::Feed>,
    client: WebSocketStream<TcpStream>,
}

impl Served {
    async fn new() -> Served {
        let config = Config::at(ADDRESS, "".into());
        let (dir, disk, seats) = (tempfile::tempdir().unwrap(), Disk::default(), Seats::within(&config.limits));
        let reader = JournalReader::Memory(disk.clone());
        let (storage, readers) = (Storage::Sqlite(dir.path().to_owned()), (reader.clone(), reader.clone()));
        let history = history::start(&storage, readers, history::feed().1, Duration::MAX, Seq(0)).await.unwrap().0;
        let state = State { reference: Reference::btc_usd(8, 0), ..State::default() };
        let directory = Arc::new(Directory::new(&state));
        let feeds = Feeds {
            market_data: market_data::feed().0,
            history: history::feed().0,
            fan_out: fan_out::feed().0,
            metrics: Arc::default(),
        };
        let rings = RingLimits { each: 1, all: 1 };
        let desk = Desk::new(Arc::clone(&directory), Arc::clone(&seats), Seq(0), &[], rings, feeds, clock);
        let (journal, snapshots) = (Journal::Memory(disk.journal().unwrap()), Snapshots::Memory(disk));
        let opened = sequencer::open(journal, &reader, &snapshots, clock, 64, config.rates.clone(), |_| desk);
        let (sequencer, handle) = opened.await.unwrap();
        let (market_feed, batches) = market_data::feed();
        let (reference, prices) = (state.reference, vec![Price(1)]);
        let market = market_data::Snapshot { reference, prices, ..market_data::Snapshot::default() };
        let links = Links {
            directory,
            handle,
            seats,
            market_data: market_data::start(market, oneshot::channel().1, batches, frame::shared),
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
        // What waits from here on waits for nothing but time.
        tokio::time::pause();
        Served { gateway, sequencer: Some(sequencer), market_feed: Some(market_feed), client }
    }

    async fn send(&mut self, message: Value) {
        self.client.send(Message::text(message.to_string())).await.unwrap();
    }

    /// Waits for a frame with this member.
    async fn frame(&mut self, name: &str, value: &str) {
        loop {
            let Some(Ok(Message::Text(text))) = self.client.next().await else { panic!("it has ended") };
            if serde_json::from_str::<Value>(&text).unwrap()[name] == value {
                return;
            }
        }
    }

    /// The code that the socket is closed with.
    async fn closed(mut self) -> u16 {
        loop {
            match self.client.next().await {
                Some(Ok(Message::Close(Some(close)))) => return close.code.into(),
                Some(Ok(Message::Text(_))) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

fn clock() -> Moment {
    Moment(0)
}

/// The code that a follower of the book is closed with after this.
async fn followers_end_after(stop: impl FnOnce(&mut Served)) -> u16 {
    let mut served = Served::new().await;
    served.send(json!({"method": "subscribe", "params": {"channel": "book", "symbol": ["BTC/USD"]}})).await;
    served.frame("channel", "book").await;
    stop(&mut served);
    served.closed().await
}

#[tokio::test]
async fn whoever_follows_market_data_that_fell_too_far_behind_is_closed() {
    assert_eq!(followers_end_after(|served| served.market_feed = None).await, 1013);
}

#[tokio::test]
async fn whoever_follows_market_data_that_has_failed_is_closed() {
    let event = Event::MarketStatusSet { market: MarketId(99), status: MarketStatus::Online };
    let stamped = Stamped { seq: Seq(1), at: Moment(0), by: Actor::Server, rate: None, event };
    let fail = |served: &mut Served| {
        served.market_feed.as_mut().unwrap().feed(&Arc::new(vec![Arc::new(stamped)]));
    };
    assert_eq!(followers_end_after(fail).await, 1013);
}

#[tokio::test]
async fn a_call_that_died_with_the_sequencer_is_not_taken_for_one_that_was_never_done() {
    let mut served = Served::new().await;
    let claims = Claims { key: KeyRef::ServiceUser(ServiceUserId(1)), credential_version: 1, issued_at: clock() };
    let token = served.gateway.tokens.mint(&claims);
    served.send(json!({"method": "key_info", "params": {"token": token}})).await;
    served.send(json!({"method": "ping"})).await;
    served.frame("method", "pong").await;
    served.sequencer = None;
    served.gateway.seats.stop();
    assert_eq!(served.closed().await, 1011);
}
