//! What an outlet takes, and what it leaves to be told.

use std::future::pending;
use std::net::Ipv4Addr;

use futures::{FutureExt as _, poll};
use tokio::net::{TcpListener, TcpStream};

use super::super::socket::Socket;
use super::*;
use crate::market_data::Subscriber as _;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn frames(count: usize) -> Vec<Part> {
    (0..count).map(|_| Part::Frame(Bytes::from_static(b"frame"))).collect()
}

#[tokio::test]
async fn nothing_is_taken_or_passed_once_something_was_refused() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let socket = Socket::plain(listener.accept().await.unwrap().0);
    let line = socket.line().unwrap();
    let (seat, mut parts) = Seats::new(4, 1).take(HERE);
    let outlet = &seat.0;
    outlet.opened(line);
    outlet.submitted(1);
    assert!(outlet.send(frames(3)));
    assert!(!outlet.send(frames(2)), "there is room for one");
    assert!(outlet.too_slow().now_or_never().is_some());
    assert!(!outlet.send(frames(1)), "it would be told behind a hole");
    outlet.queue(&Bytes::from_static(b"frame"));
    // The session writes what it has and is at rest again before it is asked whether it was too slow.
    outlet.written(parts.try_recv().unwrap().len());
    assert!(parts.try_recv().is_err());
    let mut waiting = Box::pin(line.rest(pending::<()>()));
    assert!(poll!(&mut waiting).is_pending());
    let frame = Bytes::from_static(b"frame");
    assert!(!outlet.pass(&frame, None) && !outlet.pass_replies(1, || Some(&frame)) && !outlet.send(frames(1)));
    assert!(parts.try_recv().is_err());
    assert_eq!(client.try_read(&mut [0; 8]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}
