//! How sessions end when their server has lost a part of itself.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, advance, timeout};

use super::super::session::WRITE_TIMEOUT;
use super::super::test_gateway::{CLOCK, TestGateway, clock};
use super::super::token::Claims;
use super::BEAT;
use crate::access::principal::Actor;
use crate::domain::ids::{MarketId, Seq, ServiceUserId};
use crate::domain::markets::MarketStatus;
use crate::domain::time::Moment;
use crate::engine::event::Event;
use crate::engine::keys::KeyRef;
use crate::sequencer::Stamped;

const HOUR_US: u64 = 3_600_000_000;

/// A socket that follows the book.
async fn following() -> TestGateway {
    let mut server = TestGateway::new().await;
    server.send(json!({"method": "subscribe", "params": {"channel": "book", "symbol": ["BTC/USD"]}})).await;
    server.frame("channel", "book").await;
    server
}

/// The code that a follower of the book is closed with after `stop`.
async fn followers_end_after(stop: impl FnOnce(&mut TestGateway)) -> u16 {
    let mut server = following().await;
    stop(&mut server);
    server.closed().await
}

#[tokio::test]
async fn whoever_follows_market_data_that_fell_too_far_behind_is_closed() {
    assert_eq!(followers_end_after(|server| server.market_feed = None).await, 1013);
}

#[tokio::test]
async fn whoever_follows_market_data_that_has_failed_is_closed() {
    let event = Event::MarketStatusSet { market: MarketId(99), status: MarketStatus::Online };
    let stamped = Stamped { seq: Seq(1), at: Moment(0), by: Actor::Server, rate: None, event };
    let fail = |server: &mut TestGateway| {
        server.market_feed.as_mut().unwrap().feed(&Arc::new(vec![Arc::new(stamped)]));
    };
    assert_eq!(followers_end_after(fail).await, 1013);
}

/// The fan-out has the same code once it falls behind.
#[tokio::test]
async fn d4_54_a_follower_whom_not_all_could_be_told_is_closed_by_name() {
    let told = |server: &mut TestGateway| server.gateway.sockets.all().iter().for_each(|queue| queue.missed_some());
    assert_eq!(followers_end_after(told).await, 4008);
}

#[tokio::test]
async fn whoever_asks_for_market_data_that_has_stopped_is_refused_and_not_acknowledged_first() {
    let mut server = TestGateway::new().await;
    server.market_feed = None;
    // They share this thread.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert!(!server.gateway.market_data.is_running());
    server.send(json!({"method": "subscribe", "params": {"channel": "instrument"}})).await;
    let answer = server.frame("method", "subscribe").await;
    assert_eq!(answer["error"], "EService:Unavailable: retry in 100 ms");
}

/// Time is counted in beats. Every second beat comes a little late, so that its heartbeat is written less than a second
/// before the next one is due.
#[tokio::test]
async fn a_silent_subscription_has_a_heartbeat_in_each_second_however_late_the_one_before_was_written() {
    let mut server = following().await;
    let began = Instant::now();
    for _ in 0..4 {
        advance(BEAT + Duration::from_millis(3)).await;
        for _ in 0..2 {
            server.frame("channel", "heartbeat").await;
        }
    }
    assert!(began.elapsed() < 10 * BEAT, "8 took {:?}", began.elapsed());
}

/// How many public sockets the metrics count.
fn strangers(server: &TestGateway) -> i64 {
    server.gateway.metrics.open(Actor::Public)
}

#[tokio::test]
async fn d7_86_a_session_that_panics_is_counted_out_as_any_other() {
    let mut server = following().await;
    assert_eq!(strangers(&server), 1);
    CLOCK.set(None);
    server.send(json!({"method": "ping"})).await;
    server.cut_off().await;
    assert_eq!(strangers(&server), 0);
}

/// Bytes of an unfinished message are no sign of life: the pings in between find nobody.
#[tokio::test]
async fn d7_79_a_message_that_comes_a_byte_at_a_time_keeps_no_socket() {
    let mut server = following().await;
    let (gone, began) = (Duration::from_secs(2 * server.gateway.limits.ping_s as u64), Instant::now());
    // The head of a text of 200 bytes, and zeros.
    for byte in [0x81, 0xfe, 0, 200].into_iter().chain([0; 21]) {
        server.send_raw(&[byte]).await;
        advance(BEAT).await;
    }
    timeout(2 * gone, server.cut_off()).await.expect("it is cut off");
    assert!((gone..gone + 3 * BEAT).contains(&began.elapsed()), "{:?}", began.elapsed());
}

/// A client may name the token of a subscription as long as that lasts, or take a fresh token for each message.
#[tokio::test]
async fn rule_5_the_token_that_bound_a_socket_stays_good_there_and_so_do_those_that_were_used_last() {
    let mut server = TestGateway::new().await;
    let tokens: Vec<String> = (0..20).map(|issued_at| server.token(Moment(issued_at))).collect();
    // With the second in use until one comes that there is no room for.
    for token in tokens[..8].iter().chain([&tokens[1]]).chain(&tokens[8..10]) {
        server.send(json!({"method": "key_info", "params": {"token": token}})).await;
    }
    server.send(json!({"method": "ping"})).await;
    server.frame("method", "pong").await;
    CLOCK.set(Some(Moment(0).plus_us(HOUR_US)));
    let known = [true, true, false, false, true, true, true, true, true, true, false];
    for (number, (token, known)) in tokens.iter().zip(known).enumerate() {
        let params = json!({"channel": "executions", "token": token});
        server.send(json!({"method": "unsubscribe", "params": params})).await;
        let refused = server.frame("method", "unsubscribe").await;
        let error = if known { "EGeneral:Invalid arguments:channel" } else { "ESession:Invalid session" };
        assert!(refused["error"].as_str().unwrap().starts_with(error), "{number}: {refused}");
    }
}

/// The engine has not judged the first one yet.
#[tokio::test]
async fn rule_6_a_token_of_another_principal_is_refused_also_while_the_first_is_judged() {
    let mut server = TestGateway::new().await;
    let other = Claims { key: KeyRef::ServiceUser(ServiceUserId(2)), credential_version: 1, issued_at: clock() };
    for token in [server.token(clock()), server.gateway.tokens.mint(&other)] {
        server.send(json!({"method": "key_info", "params": {"token": token}})).await;
    }
    let refused = server.frame("method", "key_info").await;
    assert!(refused["error"].as_str().unwrap().ends_with("this socket belongs to another principal"), "{refused}");
}

#[tokio::test]
async fn a_call_that_died_with_the_sequencer_is_not_taken_for_one_that_was_never_done() {
    let mut server = following().await;
    let token = server.token(clock());
    server.send(json!({"method": "key_info", "params": {"token": token}})).await;
    server.send(json!({"method": "ping"})).await;
    server.frame("method", "pong").await;
    // Without the sequencer market data ends, too.
    (server.sequencer, server.market_feed) = (None, None);
    server.gateway.sockets.stop();
    assert_eq!(server.closed().await, 1011);
}

/// Law 9: the client has a right to the answer, but not to keep its socket until the disk responds.
#[tokio::test]
async fn a_socket_to_be_closed_waits_for_its_answers_as_long_as_a_stopping_server_waits_for_history() {
    let mut server = following().await;
    let token = server.token(clock());
    server.send(json!({"method": "key_info", "params": {"token": token}})).await;
    server.send(json!({"method": "ping"})).await;
    server.frame("method", "pong").await;
    let began = Instant::now();
    // A binary frame that is no text.
    server.send_raw(&[0x82, 0x81, 0, 0, 0, 0, 0xff]).await;
    assert_eq!(server.closed().await, 1007);
    assert!((WRITE_TIMEOUT..WRITE_TIMEOUT + 2 * BEAT).contains(&began.elapsed()), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_server_that_has_failed_names_no_time_to_try_again() {
    let mut server = TestGateway::new().await;
    server.sequencer = None;
    let token = server.token(clock());
    server.send(json!({"method": "key_info", "params": {"token": token}})).await;
    assert_eq!(server.frame("method", "key_info").await["error"], "EService:Unavailable");
}
