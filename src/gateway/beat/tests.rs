//! How sessions end whose server has lost a part of itself.

use std::sync::Arc;

use serde_json::json;

use super::super::served::{Served, clock};
use super::super::token::Claims;
use crate::access::principal::Actor;
use crate::domain::ids::{MarketId, Seq, ServiceUserId};
use crate::domain::markets::MarketStatus;
use crate::domain::time::Moment;
use crate::engine::event::Event;
use crate::engine::service_users::KeyRef;
use crate::sequencer::Stamped;

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
