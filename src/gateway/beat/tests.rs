//! How sessions end whose server has lost a part of itself.

use std::sync::Arc;

use serde_json::json;

use super::super::served::{CLOCK, Served, clock};
use crate::access::principal::Actor;
use crate::domain::ids::{MarketId, Seq};
use crate::domain::markets::MarketStatus;
use crate::domain::time::Moment;
use crate::engine::event::Event;
use crate::sequencer::Stamped;

const HOUR_US: u64 = 3_600_000_000;

/// A socket that follows the book.
async fn following() -> Served {
    let mut served = Served::new().await;
    served.send(json!({"method": "subscribe", "params": {"channel": "book", "symbol": ["BTC/USD"]}})).await;
    served.frame("channel", "book").await;
    served
}

/// The code that a follower of the book is closed with after this.
async fn followers_end_after(stop: impl FnOnce(&mut Served)) -> u16 {
    let mut served = following().await;
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

/// How many sockets of strangers the numbers tell of.
fn strangers(served: &Served) -> i64 {
    served.gateway.metrics.open(Actor::Public)
}

#[tokio::test]
async fn d7_86_a_session_that_panics_is_counted_out_as_any_other() {
    let mut served = following().await;
    assert_eq!(strangers(&served), 1);
    CLOCK.set(None);
    served.send(json!({"method": "ping"})).await;
    served.cut_off().await;
    assert_eq!(strangers(&served), 0);
}

/// Subscriptions name it as long as they last, and clients may take a fresh one for each message.
#[tokio::test]
async fn rule_5_the_token_that_bound_a_socket_stays_good_there_whatever_came_after_it() {
    let mut served = Served::new().await;
    let tokens: Vec<String> = (0..20).map(|issued_at| served.token(Moment(issued_at))).collect();
    for token in &tokens {
        served.send(json!({"method": "key_info", "params": {"token": token}})).await;
    }
    served.send(json!({"method": "ping"})).await;
    served.frame("method", "pong").await;
    CLOCK.set(Some(Moment(0).plus_us(HOUR_US)));
    for (token, error) in tokens.iter().zip(["EGeneral:Invalid arguments:channel", "ESession:Invalid session"]) {
        let params = json!({"channel": "executions", "token": token});
        served.send(json!({"method": "unsubscribe", "params": params})).await;
        let refused = served.frame("method", "unsubscribe").await;
        assert!(refused["error"].as_str().unwrap().starts_with(error), "{refused}");
    }
}

#[tokio::test]
async fn a_call_that_died_with_the_sequencer_is_not_taken_for_one_that_was_never_done() {
    let mut served = following().await;
    let token = served.token(clock());
    served.send(json!({"method": "key_info", "params": {"token": token}})).await;
    served.send(json!({"method": "ping"})).await;
    served.frame("method", "pong").await;
    // Its end is market data's, too.
    (served.sequencer, served.market_feed) = (None, None);
    served.gateway.seats.stop();
    assert_eq!(served.closed().await, 1011);
}
