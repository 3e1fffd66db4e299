//! Readers whose server delivers too little, too much or in the wrong order.

#![allow(clippy::unwrap_used, reason = "all of this is test code")]

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use load_tests::connection::{Connection, Proof};
use load_tests::endpoint::Endpoint;
use load_tests::error::LoadError;
use load_tests::readers::{Numbers, Readers};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

/// A server that sends these trades to whoever connects, one frame each.
async fn trades(ids: &'static [u64]) -> Connection {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::plain(listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        for id in ids {
            let frame = json!({"channel": "trade", "type": "update", "data": [{"trade_id": id}]});
            socket.send(Message::text(frame.to_string())).await.unwrap();
        }
        // Stays until the reader leaves.
        while let Some(Ok(_)) = socket.next().await {}
    });
    Connection::open(&endpoint, Proof::Bare, 4_096).await.unwrap()
}

#[tokio::test]
async fn readers_notice_events_that_are_missing_doubled_or_swapped() {
    for (ids, violations) in [(&[7, 8, 9][..], 0), (&[7, 9, 10], 1), (&[7, 8, 8], 1), (&[7, 9, 8], 2)] {
        let mut readers = Readers::new(vec![trades(ids).await], Numbers::TradeIds);
        readers.wait_for(3).await.unwrap();
        let check = readers.finish();
        assert_eq!((check.looked_at, check.violations), (3, violations), "{ids:?}: {check}");
    }
}

/// The first error of readers that were sent these trades, if each had to receive `each`.
async fn wrong(sent: &[&'static [u64]], each: u64) -> LoadError {
    let mut readers = Vec::new();
    for ids in sent {
        readers.push(trades(ids).await);
    }
    let mut readers = Readers::new(readers, Numbers::TradeIds);
    let in_all: usize = sent.iter().map(|ids| ids.len()).sum();
    let delivered = async {
        while readers.delivered() < in_all as u64 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), delivered).await.expect("all that was sent");
    // Nothing more will come, so the ten seconds need not really pass.
    tokio::time::pause();
    let wrong = readers.wait_for(each).await.unwrap_err();
    tokio::time::resume();
    wrong
}

#[tokio::test]
async fn an_event_that_does_not_reach_all_is_missing_whatever_others_have_had() {
    for sent in [&[&[7, 8][..], &[7]], &[&[7, 8, 9][..], &[7]]] {
        let error = wrong(sent, 2).await;
        assert!(matches!(error, LoadError::Undelivered { missing: 1 }), "{sent:?}: {error:?}");
    }
}

#[tokio::test]
async fn more_than_was_published_is_noticed() {
    let error = wrong(&[&[7, 8, 9], &[7, 8]], 2).await;
    assert!(matches!(error, LoadError::Surplus { surplus: 1 }), "{error:?}");
}

#[tokio::test]
async fn the_length_of_a_frame_is_that_since_it_was_last_asked_for() {
    let mut readers = Readers::new(vec![trades(&[7, 8]).await], Numbers::TradeIds);
    readers.wait_for(2).await.unwrap();
    assert!(readers.take_frame_bytes() > 50);
    assert_eq!(readers.take_frame_bytes(), 4, "nothing but a header since then");
}
