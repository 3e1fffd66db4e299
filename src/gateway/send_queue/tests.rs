//! What a send queue accepts, and which notices it leaves.

use std::future::pending;
use std::net::Ipv4Addr;

use futures::{FutureExt as _, poll};

use super::super::socket::Socket;
use super::*;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn frames(count: usize) -> Vec<Outgoing> {
    (0..count).map(|_| frame(&Bytes::from_static(b"frame"))).collect()
}

fn frame(bytes: &Bytes) -> Outgoing {
    Outgoing::Frame(Weak::new(), bytes.clone())
}

#[tokio::test]
async fn nothing_is_taken_or_written_once_something_was_refused() {
    let (socket, client) = Socket::pair().await;
    let direct_writer = socket.direct_writer().unwrap();
    let (socket, mut deliveries) = Sockets::new(4, 1).take(HERE);
    let queue = &socket.queue;
    queue.opened(direct_writer);
    queue.submitted(1);
    queue.behind(true);
    assert!(queue.send(frames(3)));
    assert!(!queue.send(frames(2)), "there is room for one");
    assert!(queue.too_slow().now_or_never().is_some());
    assert!(!queue.send(frames(1)), "it would be told behind a hole");
    // The session writes what it has and is idle again before it checks whether it was too slow.
    queue.written(deliveries.try_recv().unwrap().len());
    assert!(deliveries.try_recv().is_err());
    let mut waiting = Box::pin(direct_writer.idle_while(pending::<()>()));
    assert!(poll!(&mut waiting).is_pending());
    let frame = Bytes::from_static(b"frame");
    assert!(
        !queue.write_direct(&frame, || true)
            && !queue.write_replies_direct(1, || Some(&frame))
            && !queue.send(frames(1))
    );
    assert!(deliveries.try_recv().is_err());
    assert_eq!(client.try_read(&mut [0; 8]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

/// On a busy machine a session that was not run for 40 ms used to lose its peer, although the peer was reading.
#[test]
fn d4_54_a_session_that_has_not_had_its_turn_is_not_a_slow_consumer() {
    let slow = |queue: &SendQueue| queue.too_slow().now_or_never().is_some();
    let (socket, mut deliveries) = Sockets::new(4, 1).take(HERE);
    let queue = &socket.queue;
    (0..BURST).for_each(|_| assert!(queue.send(frames(4))));
    assert!(!slow(queue));
    // It writes all but the last delivery, and its peer reads that in time or not.
    (1..BURST).for_each(|_| queue.written(deliveries.try_recv().unwrap().len()));
    queue.behind(true);
    assert!(!slow(queue), "no more waits than may");
    queue.behind(false);
    assert!(queue.send(frames(1)));
    queue.behind(true);
    assert!(slow(queue));
    let (socket, mut deliveries) = Sockets::new(4, 1).take(HERE);
    assert!(socket.queue.send(frames(5)) && deliveries.try_recv().is_ok());
    socket.queue.behind(true);
    assert!(!slow(&socket.queue), "one delivery alone is written, however long it takes");
    let (socket, _parts) = Sockets::new(2_048, 1).take(HERE);
    (0..2_048).for_each(|_| assert!(socket.queue.send(frames(1))));
    assert!(!slow(&socket.queue), "commits may be small");
    let (socket, _parts) = Sockets::new(4, 1).take(HERE);
    assert!(
        socket.queue.send(frames(4 * BURST)) && !socket.queue.send(frames(1)) && slow(&socket.queue),
        "there is a bound to it"
    );
}

/// When a frame counted as one, a socket that did not read could hold thousands of snapshots.
#[test]
fn d4_54_a_frame_counts_by_its_length_and_leaves_room_for_answers() {
    let sockets = Sockets::new(1_024, 1);
    let (socket, mut deliveries) = sockets.take(HERE);
    let queue = &socket.queue;
    let snapshot = Bytes::from(vec![0; 100 * MESSAGE_BYTES + 1]);
    let mut queued = 0;
    while queue.has_room() {
        assert!(queue.send(vec![frame(&snapshot)]));
        queued += 1;
    }
    assert_eq!(queued, 6, "the sixth finds a little less than half of the queue taken");
    assert_eq!(sockets.bytes_waiting(), 6 * 101 * MESSAGE_BYTES);
    assert!(queue.send(frames(300)), "an answer, or items of a private channel");
    let mut write = || queue.written(queue.weight(&deliveries.try_recv().unwrap()));
    (0..6).for_each(|_| write());
    assert!(!queue.is_reading(), "most of the answer waits");
    write();
    assert!(queue.is_reading() && sockets.bytes_waiting() == 0);
    // Longer than the whole queue, for a peer that is behind.
    queue.behind(true);
    let book = Bytes::from(vec![0; 5_000 * MESSAGE_BYTES]);
    assert!(queue.send(vec![frame(&book)]) && queue.send(vec![frame(&book)]));
    assert!(!queue.has_room() && queue.send(frames(512)), "there is room for answers beside it");
    assert!(queue.too_slow().now_or_never().is_none());
}

#[test]
fn d4_54_of_small_frames_there_is_room_for_so_many() {
    let (socket, mut deliveries) = Sockets::new(1_024, 1).take(HERE);
    let queue = &socket.queue;
    (0..MARKET_DATA_MAX).for_each(|_| assert!(queue.has_room() && queue.send(frames(1))));
    assert!(!queue.has_room(), "a snapshot is worth more now");
    let mut write = || queue.written(queue.weight(&deliveries.try_recv().unwrap()));
    (0..MARKET_DATA_MAX / 2).for_each(|_| write());
    assert!(queue.has_room() && !queue.is_reading());
    write();
    assert!(queue.is_reading());
}

#[test]
fn whoever_comes_and_goes_before_anything_came_for_them_leaves_no_notice() {
    let sockets = Sockets::new(4, 1);
    for _ in 0..10_000 {
        drop(sockets.take(HERE));
    }
    assert_eq!(sockets.notices(), []);
    let (socket, _parts) = sockets.take(HERE);
    let queue = Arc::clone(&socket.queue);
    assert!(queue.keep() && queue.keep());
    drop(socket);
    assert_eq!(sockets.notices(), [Notice::Gone(queue.slot)]);
    let (socket, _parts) = sockets.take(HERE);
    let queue = Arc::clone(&socket.queue);
    drop(socket);
    assert!(!queue.keep(), "nobody would ever take it from its slot");
}
