//! What an outlet takes, and what it leaves to be told.

use std::future::pending;
use std::net::Ipv4Addr;

use futures::{FutureExt as _, poll};

use super::super::socket::Socket;
use super::*;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn frames(count: usize) -> Vec<Part> {
    (0..count).map(|_| frame(&Bytes::from_static(b"frame"))).collect()
}

fn frame(bytes: &Bytes) -> Part {
    Part::Frame(Weak::new(), bytes.clone())
}

#[tokio::test]
async fn nothing_is_taken_or_passed_once_something_was_refused() {
    let (socket, client) = Socket::pair().await;
    let line = socket.line().unwrap();
    let (seat, mut parts) = Seats::new(4, 1).take(HERE);
    let outlet = &seat.0;
    outlet.opened(line);
    outlet.submitted(1);
    outlet.behind(true);
    assert!(outlet.send(frames(3)));
    assert!(!outlet.send(frames(2)), "there is room for one");
    assert!(outlet.too_slow().now_or_never().is_some());
    assert!(!outlet.send(frames(1)), "it would be told behind a hole");
    // The session writes what it has and is at rest again before it is asked whether it was too slow.
    outlet.written(parts.try_recv().unwrap().len());
    assert!(parts.try_recv().is_err());
    let mut waiting = Box::pin(line.rest(pending::<()>()));
    assert!(poll!(&mut waiting).is_pending());
    let frame = Bytes::from_static(b"frame");
    assert!(!outlet.pass(&frame, || true) && !outlet.pass_replies(1, || Some(&frame)) && !outlet.send(frames(1)));
    assert!(parts.try_recv().is_err());
    assert_eq!(client.try_read(&mut [0; 8]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

/// On a busy machine a session that was not run for 40 ms lost its peer, which was reading.
#[test]
fn d4_54_a_session_that_has_not_had_its_turn_is_not_a_slow_consumer() {
    let slow = |outlet: &Outlet| outlet.too_slow().now_or_never().is_some();
    let (seat, mut parts) = Seats::new(4, 1).take(HERE);
    let outlet = &seat.0;
    (0..BURST).for_each(|_| assert!(outlet.send(frames(4))));
    assert!(!slow(outlet));
    // It writes all but the last, and its peer takes that in time or not.
    (1..BURST).for_each(|_| outlet.written(parts.try_recv().unwrap().len()));
    outlet.behind(true);
    assert!(!slow(outlet), "no more waits than may");
    outlet.behind(false);
    assert!(outlet.send(frames(1)));
    outlet.behind(true);
    assert!(slow(outlet));
    let (seat, mut parts) = Seats::new(4, 1).take(HERE);
    assert!(seat.0.send(frames(5)) && parts.try_recv().is_ok());
    seat.0.behind(true);
    assert!(!slow(&seat.0), "one delivery alone is written, however long it takes");
    let (seat, _parts) = Seats::new(2_048, 1).take(HERE);
    (0..2_048).for_each(|_| assert!(seat.0.send(frames(1))));
    assert!(!slow(&seat.0), "commits may be small");
    let (seat, _parts) = Seats::new(4, 1).take(HERE);
    assert!(seat.0.send(frames(4 * BURST)) && !seat.0.send(frames(1)) && slow(&seat.0), "there is a bound to it");
}

/// A frame that counted as one part let a socket that did not read hold thousands of snapshots.
#[test]
fn d4_54_a_frame_counts_by_its_length_and_leaves_room_for_answers() {
    let seats = Seats::new(1_024, 1);
    let (seat, mut parts) = seats.take(HERE);
    let outlet = &seat.0;
    let snapshot = Bytes::from(vec![0; 100 * PART_BYTES + 1]);
    let mut queued = 0;
    while outlet.has_room() {
        assert!(outlet.send(vec![frame(&snapshot)]));
        queued += 1;
    }
    assert_eq!(queued, 6, "the sixth finds a little less than half of the queue taken");
    assert_eq!(seats.bytes_waiting(), 6 * 101 * PART_BYTES);
    assert!(outlet.send(frames(300)), "an answer, or items of a private channel");
    let mut write = || outlet.written(outlet.weight(&parts.try_recv().unwrap()));
    (0..6).for_each(|_| write());
    assert!(!outlet.is_reading(), "most of the answer waits");
    write();
    assert!(outlet.is_reading() && seats.bytes_waiting() == 0);
    // Longer than the whole queue, for a peer that is behind.
    outlet.behind(true);
    let book = Bytes::from(vec![0; 5_000 * PART_BYTES]);
    assert!(outlet.send(vec![frame(&book)]) && outlet.send(vec![frame(&book)]));
    assert!(!outlet.has_room() && outlet.send(frames(512)), "there is room for answers beside it");
    assert!(outlet.too_slow().now_or_never().is_none());
}

#[test]
fn d4_54_of_small_frames_there_is_room_for_so_many() {
    let (seat, mut parts) = Seats::new(1_024, 1).take(HERE);
    let outlet = &seat.0;
    (0..MARKET_DATA_MAX).for_each(|_| assert!(outlet.has_room() && outlet.send(frames(1))));
    assert!(!outlet.has_room(), "a snapshot is worth more now");
    let mut write = || outlet.written(outlet.weight(&parts.try_recv().unwrap()));
    (0..MARKET_DATA_MAX / 2).for_each(|_| write());
    assert!(outlet.has_room() && !outlet.is_reading());
    write();
    assert!(outlet.is_reading());
}

#[test]
fn whoever_comes_and_goes_before_anything_came_for_them_leaves_no_notice() {
    let seats = Seats::new(4, 1);
    for _ in 0..10_000 {
        drop(seats.take(HERE));
    }
    assert_eq!(seats.notices(), []);
    let (seat, _parts) = seats.take(HERE);
    let outlet = Arc::clone(&seat.0);
    assert!(outlet.sit() && outlet.sit());
    drop(seat);
    assert_eq!(seats.notices(), [Notice::Gone(outlet.seat)]);
    let (seat, _parts) = seats.take(HERE);
    let outlet = Arc::clone(&seat.0);
    drop(seat);
    assert!(!outlet.sit(), "nobody would ever take it from its seat");
}
