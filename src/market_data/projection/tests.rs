//! What followers are told while candles of the past are still being read, and while a batch is on its way.

use std::sync::Mutex;

use super::super::feed;
use super::*;
use crate::access::principal::Actor;
use crate::domain::markets::MarketStatus;
use crate::domain::money::{Amount, Quantity};
use crate::domain::orders::OrderType;

/// Keeps what it is sent.
#[derive(Default)]
struct Kept(Mutex<Vec<serde_json::Value>>);

impl Subscriber for Kept {
    fn id(&self) -> usize {
        1
    }

    fn is_gone(&self) -> bool {
        false
    }

    fn has_room(&self) -> bool {
        true
    }

    fn is_reading(&self) -> bool {
        true
    }

    fn send(&self, frame: &Bytes) {
        self.0.lock().unwrap().push(serde_json::from_slice(frame).unwrap());
    }

    fn queue(&self, frame: &Bytes) {
        self.send(frame);
    }
}

fn of_btc_usd() -> Snapshot {
    Snapshot { reference: Reference::btc_usd(8, 0), ..Snapshot::default() }
}

fn plain(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// Of one trade in a minute.
fn traded(minute: u64, price: i64) -> Candle {
    Candle::of(Moment(minute * MINUTE_US), 1, Price(price), Quantity(1), Amount(price))
}

#[tokio::test]
async fn candles_are_told_once_those_of_the_past_are_there_in_front_of_those_since() {
    let mut projection = Projection::new(of_btc_usd(), plain);
    let (early, late) = (Arc::new(Kept::default()), Arc::new(Kept::default()));
    let topic = Topic { channel: Operation::Ohlc, market: Some(MarketId(1)), depth: 1, bbo: false };
    projection.subscribe(topic, Arc::<Kept>::clone(&early), true).await;
    let candles = &mut projection.markets[0].candles;
    candles.add(1, traded(2, 40));
    candles.add(1, traded(3, 50));
    let (side, order_type, at) = (Side::Buy, OrderType::Market, Moment(3 * MINUTE_US));
    projection.markets[0].fresh = vec![Print { trade_id: 1, side, order_type, price: Price(50), qty: Quantity(1), at }];
    projection.publish(MarketId(1)).await;
    projection.catch_up().await;
    assert_eq!(*early.0.lock().unwrap(), Vec::<serde_json::Value>::new());

    projection.remember([traded(1, 20), traded(2, 30)].map(|candle| (MarketId(1), 1, candle)).into());
    projection.catch_up().await;
    projection.subscribe(topic, Arc::<Kept>::clone(&late), true).await;
    for told in [early, late] {
        let told = told.0.lock().unwrap();
        let [snapshot] = told.as_slice() else { panic!("{told:?}") };
        let candles = snapshot["data"].as_array().unwrap().iter();
        let candles: Vec<_> =
            candles.map(|of| (of["open"].as_i64(), of["close"].as_i64(), of["trades"].as_i64())).collect();
        let of = |open, close, trades| (Some(open), Some(close), Some(trades));
        assert_eq!(
            (&snapshot["type"], candles),
            (&"snapshot".into(), vec![of(20, 20, 1), of(30, 40, 2), of(50, 50, 1)])
        );
    }
}

/// Rule 50: answers go out before the batch is fed, and who asks after an answer finds what it told.
#[tokio::test]
async fn who_asks_once_a_batch_was_announced_is_answered_as_of_it() {
    let (mut feed, incoming) = feed();
    let (_candles, past) = oneshot::channel();
    let market_data = start(of_btc_usd(), past, incoming, plain);
    feed.announce(Seq(1));
    let asked = Arc::new(Kept::default());
    let topic = Topic { channel: Operation::Instrument, market: None, depth: 0, bbo: false };
    assert!(market_data.subscribe(topic, Arc::<Kept>::clone(&asked), true).await);
    // On this one thread the projection has come as far as it can.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert!(asked.0.lock().unwrap().is_empty(), "the batch is still to come");
    let event = Event::MarketStatusSet { market: MarketId(1), status: MarketStatus::PostOnly };
    let stamped = Stamped { seq: Seq(1), at: Moment(1), by: Actor::Server, rate: None, event };
    feed.feed(&Arc::new(vec![Arc::new(stamped)]));
    while asked.0.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    let told = asked.0.lock().unwrap();
    assert_eq!((&told[0]["type"], &told[0]["data"]["pairs"][0]["status"]), (&"snapshot".into(), &"post_only".into()));
}
