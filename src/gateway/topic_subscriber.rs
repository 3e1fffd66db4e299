//! One topic of market data for one socket.

use std::hint::black_box;
use std::sync::{Arc, Weak};

use bytes::Bytes;

use super::outgoing::Outgoing;
use super::send_queue::SendQueue;
use crate::market_data::Subscriber;

/// A topic reaches the socket as long as the session holds the subscriber's guard. The session drops it in its own turn, when
/// nothing is written directly: from then on nothing arrives, not even what waits in the queue.
#[derive(Debug)]
pub struct TopicSubscriber {
    queue: Arc<SendQueue>,
    wanted: Weak<()>,
}

impl TopicSubscriber {
    /// A subscriber for this socket, and the guard that keeps it subscribed.
    pub fn open(queue: &Arc<SendQueue>) -> (Arc<()>, TopicSubscriber) {
        let held = Arc::new(());
        let subscriber = TopicSubscriber { queue: Arc::clone(queue), wanted: Arc::downgrade(&held) };
        (held, subscriber)
    }

    fn is_wanted(&self) -> bool {
        self.wanted.strong_count() > 0
    }

    fn delivery(&self, frame: &Bytes) -> Vec<Outgoing> {
        vec![Outgoing::Frame(Weak::clone(&self.wanted), frame.clone())]
    }
}

impl Subscriber for TopicSubscriber {
    fn is_gone(&self) -> bool {
        !self.is_wanted() || self.queue.is_gone()
    }

    fn has_room(&self) -> bool {
        self.queue.has_room()
    }

    fn is_reading(&self) -> bool {
        self.queue.is_reading()
    }

    fn send(&self, frame: &Bytes) -> bool {
        // If it can be written directly, there is room and the socket is there.
        self.queue.write_direct(frame, || self.is_wanted())
            || self.is_wanted() && self.queue.has_room() && self.queue.send(self.delivery(frame))
    }

    fn prefetch(&self) {
        black_box(self.is_wanted());
        self.queue.prefetch();
    }

    fn queue(&self, frame: &Bytes) {
        self.queue.send(self.delivery(frame));
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::net::{IpAddr, Ipv4Addr};

    use futures::poll;
    use tokio::io::AsyncReadExt as _;

    use super::super::frame;
    use super::super::send_queue::Sockets;
    use super::super::socket::Socket;
    use super::super::test_gateway::TestGateway;
    use super::*;

    #[tokio::test]
    async fn nothing_is_written_or_queued_once_the_session_has_let_go() {
        let (socket, mut client) = Socket::pair().await;
        let direct_writer = socket.direct_writer().unwrap();
        let (guard, mut deliveries) = Sockets::new(128, 1).take(IpAddr::V4(Ipv4Addr::LOCALHOST));
        guard.queue.opened(direct_writer);
        let (held, subscriber) = TopicSubscriber::open(&guard.queue);
        let frame = Bytes::from_static(b"frame");
        assert!(subscriber.send(&frame), "the session is at work");
        let Outgoing::Frame(wanted, _) = deliveries.try_recv().unwrap().pop().unwrap() else { panic!("a frame") };
        guard.queue.written(1);
        let mut waiting = Box::pin(direct_writer.idle_while(pending::<()>()));
        assert!(poll!(&mut waiting).is_pending());
        assert!(subscriber.send(&frame) && deliveries.try_recv().is_err());
        client.read_exact(&mut [0; 5]).await.unwrap();
        assert!(!subscriber.is_gone() && wanted.strong_count() == 1);
        drop(held);
        assert!(subscriber.is_gone() && wanted.strong_count() == 0);
        assert!(!subscriber.send(&frame) && deliveries.try_recv().is_err());
        assert_eq!(client.try_read(&mut [0; 5]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    }

    #[tokio::test]
    async fn what_waits_is_left_out_once_the_session_has_let_go() {
        let mut server = TestGateway::new().await;
        server.frame("channel", "status").await;
        let [queue] = &server.gateway.sockets.all()[..] else { panic!("one socket") };
        let (_held, kept) = TopicSubscriber::open(queue);
        let (let_go, ended) = TopicSubscriber::open(queue);
        ended.queue(&frame::shared(r#"{"channel":"book","type":"snapshot"}"#));
        drop(let_go);
        kept.queue(&frame::shared(r#"{"channel":"book","type":"update"}"#));
        assert_eq!(server.frame("channel", "book").await["type"], "update");
    }
}
