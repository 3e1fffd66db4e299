//! One topic of market data on its way to one socket.

use std::hint::black_box;
use std::sync::{Arc, Weak};

use bytes::Bytes;

use super::outlet::Outlet;
use super::part::Part;
use crate::market_data::Subscriber;

/// What a topic comes out of for as long as the socket's session keeps it open. The session lets go of it in its own turn, when
/// nothing is passed: from then on nothing comes, of what waits in the queue neither.
#[derive(Debug)]
pub struct Tap {
    outlet: Arc<Outlet>,
    wanted: Weak<()>,
}

impl Tap {
    /// A tap of this socket, and what keeps it open.
    pub fn open(outlet: &Arc<Outlet>) -> (Arc<()>, Tap) {
        let held = Arc::new(());
        let tap = Tap { outlet: Arc::clone(outlet), wanted: Arc::downgrade(&held) };
        (held, tap)
    }

    fn is_wanted(&self) -> bool {
        self.wanted.strong_count() > 0
    }

    fn part(&self, frame: &Bytes) -> Vec<Part> {
        vec![Part::Frame(Weak::clone(&self.wanted), frame.clone())]
    }
}

impl Subscriber for Tap {
    fn is_gone(&self) -> bool {
        !self.is_wanted() || self.outlet.is_gone()
    }

    fn has_room(&self) -> bool {
        self.outlet.has_room()
    }

    fn is_reading(&self) -> bool {
        self.outlet.is_reading()
    }

    fn send(&self, frame: &Bytes) -> bool {
        // What can be passed has room, and is there.
        self.outlet.pass(frame, || self.is_wanted())
            || self.is_wanted() && self.outlet.has_room() && self.outlet.send(self.part(frame))
    }

    fn prefetch(&self) {
        black_box(self.is_wanted());
        self.outlet.prefetch();
    }

    fn queue(&self, frame: &Bytes) {
        self.outlet.send(self.part(frame));
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::net::{IpAddr, Ipv4Addr};

    use futures::poll;
    use tokio::io::AsyncReadExt as _;

    use super::super::frame;
    use super::super::outlet::Seats;
    use super::super::served::Served;
    use super::super::socket::Socket;
    use super::*;

    #[tokio::test]
    async fn nothing_is_passed_or_queued_once_the_session_has_let_go() {
        let (socket, mut client) = Socket::pair().await;
        let line = socket.line().unwrap();
        let (seat, mut parts) = Seats::new(128, 1).take(IpAddr::V4(Ipv4Addr::LOCALHOST));
        seat.0.opened(line);
        let (held, tap) = Tap::open(&seat.0);
        let frame = Bytes::from_static(b"frame");
        assert!(tap.send(&frame), "the session is at work");
        let Part::Frame(wanted, _) = parts.try_recv().unwrap().pop().unwrap() else { panic!("a frame") };
        seat.0.written(1);
        let mut waiting = Box::pin(line.rest(pending::<()>()));
        assert!(poll!(&mut waiting).is_pending());
        assert!(tap.send(&frame) && parts.try_recv().is_err());
        client.read_exact(&mut [0; 5]).await.unwrap();
        assert!(!tap.is_gone() && wanted.strong_count() == 1);
        drop(held);
        assert!(tap.is_gone() && wanted.strong_count() == 0);
        assert!(!tap.send(&frame) && parts.try_recv().is_err());
        assert_eq!(client.try_read(&mut [0; 5]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    }

    #[tokio::test]
    async fn what_waits_is_left_out_once_the_session_has_let_go() {
        let mut served = Served::new().await;
        served.frame("channel", "status").await;
        let [outlet] = &served.gateway.seats.all()[..] else { panic!("one socket") };
        let (_held, kept) = Tap::open(outlet);
        let (let_go, ended) = Tap::open(outlet);
        ended.queue(&frame::shared(r#"{"channel":"book","type":"snapshot"}"#));
        drop(let_go);
        kept.queue(&frame::shared(r#"{"channel":"book","type":"update"}"#));
        assert_eq!(served.frame("channel", "book").await["type"], "update");
    }
}
