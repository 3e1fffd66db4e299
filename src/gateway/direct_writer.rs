//! The writing half of a plain socket, and who may write to it at the moment.
//!
//! A socket belongs to its session, but waking a session costs as much as the write it is woken for. So a frame for a
//! thousand sockets, or the reply to an order, is written directly to each socket whose session is idle, that is,
//! waiting with nothing half written. All other sessions get it through their queues, and so do sockets under TLS,
//! which have no direct writer.

use std::hint::black_box;
use std::io;
use std::os::fd::AsRawFd as _;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll, ready};

use futures::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;

/// The session may write.
const SESSION: u8 = 0;
/// Nobody writes: the session is idle.
const IDLE: u8 = 1;
/// A frame is being written directly, bypassing the session.
const DIRECT: u8 = 2;
/// The same, and the session waits for its end.
const AWAITED: u8 = 3;
/// A frame was written directly, but only in part; the session writes the rest before anything else.
const PARTIAL: u8 = 4;

/// The writing half of a socket. Dropping it closes this direction.
#[derive(Debug)]
pub struct DirectWriter {
    half: OwnedWriteHalf,
    turn: AtomicU8,
    /// Wakes the session when the direct write ends that it waits for.
    direct_ended: AtomicWaker,
    /// What is left of a frame that was written directly in part.
    unwritten: Mutex<Vec<u8>>,
    /// Something that the session or tungstenite writes is half written.
    half_written: AtomicBool,
    /// A frame was written directly since the session last checked.
    wrote_direct: AtomicBool,
}

/// How much of a frame the socket took at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectWrite {
    /// All of it.
    Whole,
    /// Some of it. The session has the rest and must be woken to write it.
    Partial,
    /// Nothing: the session is busy, or the socket is full or gone.
    Nothing,
}

/// How a session's idle time ended.
#[derive(Debug)]
pub enum Idle<T> {
    /// With what it waited for.
    Done(T),
    /// With what is left of a frame that was written directly in part: write it, then wait again.
    Unwritten(Vec<u8>),
}

impl DirectWriter {
    /// The writer of a socket whose session is busy.
    pub fn new(half: OwnedWriteHalf) -> DirectWriter {
        DirectWriter {
            half,
            turn: AtomicU8::new(SESSION),
            direct_ended: AtomicWaker::new(),
            unwritten: Mutex::default(),
            half_written: AtomicBool::new(false),
            wrote_direct: AtomicBool::new(false),
        }
    }

    /// Writes whole frames directly if the session is idle. `frames` is called once the session is locked out;
    /// `None` if they are not wanted any more.
    pub fn write_direct<'a>(&self, frames: impl FnOnce() -> Option<&'a [u8]>) -> DirectWrite {
        if self.turn.compare_exchange(IDLE, DIRECT, Ordering::Acquire, Ordering::Relaxed).is_err() {
            return DirectWrite::Nothing;
        }
        let frames = frames().unwrap_or_default();
        let written = if frames.is_empty() { 0 } else { self.stream().try_write(frames).unwrap_or(0) };
        let (turn, taken) = match written {
            // Full or gone? The session will find out.
            0 => (IDLE, DirectWrite::Nothing),
            all if all == frames.len() => (IDLE, DirectWrite::Whole),
            some => {
                *self.unwritten.lock() = frames[some..].to_vec();
                (PARTIAL, DirectWrite::Partial)
            }
        };
        self.wrote_direct.fetch_or(taken != DirectWrite::Nothing, Ordering::Relaxed);
        if self.turn.swap(turn, Ordering::AcqRel) == AWAITED {
            self.direct_ended.wake();
        }
        taken
    }

    /// Prefetches what writing a frame reads first.
    pub fn prefetch(&self) {
        black_box((self.turn.load(Ordering::Relaxed), self.stream().as_raw_fd()));
    }

    /// Whether a frame was written directly since the last call.
    pub fn wrote_direct(&self) -> bool {
        self.wrote_direct.swap(false, Ordering::Relaxed)
    }

    /// Waits for `next` while the session is idle; it must have nothing to write.
    ///
    /// What `next` writes itself, such as tungstenite's answer to a ping, is written while the session has the turn.
    pub async fn idle_while<T>(&self, next: impl Future<Output = T>) -> Idle<T> {
        let mut next = pin!(next);
        std::future::poll_fn(|context| {
            if let Some(unwritten) = ready!(self.take_turn(context)) {
                return Poll::Ready(Idle::Unwritten(unwritten));
            }
            let polled = next.as_mut().poll(context);
            // While something is half written, only the session may write.
            if polled.is_pending() && !self.half_written.load(Ordering::Relaxed) {
                self.turn.store(IDLE, Ordering::Release);
            }
            polled.map(Idle::Done)
        })
        .await
    }

    /// Takes the turn for the session; returns the rest of a frame written directly in part, to be written first.
    ///
    /// A direct write takes a few µs, but its thread may be preempted in it, for milliseconds: the session waits as a
    /// task, so that its thread serves others meanwhile.
    fn take_turn(&self, context: &mut Context<'_>) -> Poll<Option<Vec<u8>>> {
        loop {
            match self.turn.compare_exchange(IDLE, SESSION, Ordering::Acquire, Ordering::Acquire) {
                Ok(_) | Err(SESSION) => return Poll::Ready(None),
                Err(PARTIAL) => {
                    self.turn.store(SESSION, Ordering::Relaxed);
                    return Poll::Ready(Some(std::mem::take(&mut self.unwritten.lock())));
                }
                Err(_) => self.direct_ended.register(context.waker()),
            }
            // Whoever ends the write after this sees that it is awaited.
            match self.turn.compare_exchange(DIRECT, AWAITED, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) | Err(AWAITED) => return Poll::Pending,
                Err(_) => {}
            }
        }
    }

    fn stream(&self) -> &TcpStream {
        self.half.as_ref()
    }

    /// As in `AsyncWrite`, for the session.
    pub fn poll_write(&self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.write_with(context, bytes.len(), |stream| stream.try_write(bytes))
    }

    /// As in `AsyncWrite`, for the session.
    pub fn poll_write_vectored(&self, context: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let length = bytes.iter().map(|slice| slice.len()).sum();
        self.write_with(context, length, |stream| stream.try_write_vectored(bytes))
    }

    fn write_with(
        &self,
        context: &mut Context<'_>,
        length: usize,
        write: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream().poll_write_ready(context))?;
            match write(self.stream()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok(written) => {
                    self.half_written.store(written < length, Ordering::Relaxed);
                    return Poll::Ready(Ok(written));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::{Arc, Weak};
    use std::task::{Wake, Waker};

    use bytes::Bytes;
    use futures::poll;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::super::outgoing::Outgoing;
    use super::super::send_queue::Sockets;
    use super::super::socket::Socket;
    use super::*;

    fn delivery(frame: &Bytes) -> Vec<Outgoing> {
        vec![Outgoing::Frame(Weak::new(), frame.clone())]
    }

    #[tokio::test]
    async fn a_frame_is_written_directly_while_the_session_waits_and_at_no_other_time() {
        let (socket, mut client) = Socket::pair().await;
        let direct_writer = Arc::clone(socket.direct_writer().unwrap());
        let frame = || Some(b"frame".as_slice());
        assert_eq!(direct_writer.write_direct(frame), DirectWrite::Nothing, "the session is not idle yet");
        let (wake, woken) = tokio::sync::oneshot::channel();
        let mut waiting = Box::pin(direct_writer.idle_while(woken));
        assert!(poll!(&mut waiting).is_pending());
        assert_eq!(direct_writer.write_direct(|| None), DirectWrite::Nothing, "nobody wants it any more");
        assert_eq!(direct_writer.write_direct(frame), DirectWrite::Whole);
        assert!(direct_writer.wrote_direct() && !direct_writer.wrote_direct());
        wake.send(()).unwrap();
        assert!(matches!(poll!(&mut waiting), Poll::Ready(Idle::Done(Ok(())))));
        assert_eq!(direct_writer.write_direct(frame), DirectWrite::Nothing, "the session is at work");
        let mut read = [0; 5];
        client.read_exact(&mut read).await.unwrap();
        assert_eq!(read, *b"frame");
        drop(waiting);
        drop((direct_writer, socket));
        assert_eq!(client.read(&mut read).await.unwrap(), 0, "it was written once, and the direction is closed");
    }

    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Woken>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn a_session_that_goes_on_during_a_direct_write_waits_for_its_end_and_holds_no_thread() {
        let (socket, mut client) = Socket::pair().await;
        let direct_writer = Arc::clone(socket.direct_writer().unwrap());
        let (go_on, going_on) = tokio::sync::oneshot::channel();
        let mut waiting = Box::pin(direct_writer.idle_while(going_on));
        let woken = Arc::new(Woken(AtomicBool::new(false)));
        let waker = Waker::from(Arc::clone(&woken));
        let mut context = Context::from_waker(&waker);
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        go_on.send(()).unwrap();
        let written = direct_writer.write_direct(|| {
            woken.0.store(false, Ordering::Relaxed);
            // The second time it waits already.
            assert!(waiting.as_mut().poll(&mut context).is_pending());
            assert!(waiting.as_mut().poll(&mut context).is_pending());
            assert!(!woken.0.load(Ordering::Relaxed));
            Some(b"frame")
        });
        assert_eq!(written, DirectWrite::Whole);
        assert!(woken.0.load(Ordering::Relaxed), "the write has ended");
        assert!(matches!(waiting.as_mut().poll(&mut context), Poll::Ready(Idle::Done(Ok(())))));
        let mut read = [0; 5];
        client.read_exact(&mut read).await.unwrap();
        assert_eq!(read, *b"frame");
    }

    #[tokio::test]
    async fn what_the_socket_does_not_take_is_left_to_the_session_and_nothing_is_written_before_it() {
        let (mut socket, mut client) = Socket::pair().await;
        let direct_writer = Arc::clone(socket.direct_writer().unwrap());
        let mut waiting = Box::pin(direct_writer.idle_while(pending::<()>()));
        assert!(poll!(&mut waiting).is_pending());
        // More than the buffers of both ends can take.
        let large: Vec<u8> = (0..64 << 20).map(|at: u32| (at % 251) as u8).collect();
        assert_eq!(direct_writer.write_direct(|| Some(&large)), DirectWrite::Partial);
        assert_eq!(direct_writer.write_direct(|| Some(&large)), DirectWrite::Nothing);
        let Poll::Ready(Idle::Unwritten(unwritten)) = poll!(&mut waiting) else { panic!("the session is told") };
        assert!(large.ends_with(&unwritten) && unwritten.len() < large.len());
        // Now the session has half written something: still no frame is written directly.
        let mut writing = Box::pin(socket.write_all(&unwritten));
        assert!(poll!(&mut writing).is_pending());
        let mut waiting = Box::pin(direct_writer.idle_while(pending::<()>()));
        assert!(poll!(&mut waiting).is_pending());
        assert_eq!(direct_writer.write_direct(|| Some(&large)), DirectWrite::Nothing);
        let mut read = vec![0; large.len()];
        let (wrote, got) = tokio::join!(writing, client.read_exact(&mut read));
        wrote.unwrap();
        got.unwrap();
        assert!(read == large);
    }

    #[tokio::test]
    async fn replies_are_written_directly_to_an_idle_session_which_is_woken_only_if_it_may_wait_for_them() {
        let (socket, mut client) = Socket::pair().await;
        let direct_writer = Arc::clone(socket.direct_writer().unwrap());
        let (guard, mut deliveries) = Sockets::new(128, 1).take(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let queue = &guard.queue;
        queue.opened(&direct_writer);
        assert_eq!(queue.in_flight_max(), 16);
        queue.submitted(18);
        let replies = || Some(b"replies".as_slice());
        assert!(!queue.write_replies_direct(2, replies), "the session is at work");
        let mut waiting = Box::pin(direct_writer.idle_while(pending::<()>()));
        assert!(poll!(&mut waiting).is_pending());
        assert!(!queue.write_replies_direct(2, || None), "they are not all to orders");
        assert_eq!(queue.in_flight(), 18);
        assert!(queue.write_replies_direct(3, replies));
        assert!(deliveries.try_recv().unwrap().is_empty(), "it may wait to read on");
        assert!(queue.write_replies_direct(3, replies));
        assert!(deliveries.try_recv().is_err(), "it was reading all along");
        queue.stop();
        assert!(queue.write_replies_direct(12, replies));
        assert!(deliveries.try_recv().unwrap().is_empty(), "it may wait to end");
        assert_eq!(queue.in_flight(), 0);
        queue.submitted(1);
        queue.send(delivery(&Bytes::from_static(b"before")));
        assert!(!queue.write_replies_direct(1, replies), "something waits before them");
        let mut read = [0; 21];
        client.read_exact(&mut read).await.unwrap();
        assert_eq!(read, *b"repliesrepliesreplies");
    }

    /// A stand-in for the session: writes what is queued, and the rest of frames written directly.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn frames_arrive_whole_and_in_order_however_they_go() {
        const FRAMES: u32 = 20_000;
        let (mut socket, mut client) = Socket::pair().await;
        let direct_writer = Arc::clone(socket.direct_writer().unwrap());
        let sockets = Sockets::new(usize::MAX >> 1, 1);
        let (guard, mut deliveries) = sockets.take(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let queue = Arc::clone(&guard.queue);
        queue.opened(&direct_writer);
        let session = tokio::spawn(async move {
            loop {
                match direct_writer.idle_while(deliveries.recv()).await {
                    Idle::Done(Some(delivery)) => {
                        let weight = guard.queue.weight(&delivery);
                        for outgoing in delivery {
                            let Outgoing::Frame(_, frame) = outgoing else { panic!("a frame") };
                            socket.write_all(&frame).await.unwrap();
                        }
                        guard.queue.written(weight);
                    }
                    Idle::Done(None) => return,
                    Idle::Unwritten(unwritten) => socket.write_all(&unwritten).await.unwrap(),
                }
            }
        });
        let sending = tokio::spawn(async move {
            let mut direct = 0;
            for number in 0..FRAMES {
                // Of various lengths, so that one of them is cut somewhere when the buffers are full.
                let mut frame = number.to_be_bytes().to_vec();
                frame.resize(8 + (number as usize * 7_919) % 3_000, number as u8);
                let length = (frame.len() as u32).to_be_bytes();
                frame[4..8].copy_from_slice(&length);
                while !queue.has_room() {
                    tokio::task::yield_now().await;
                }
                let frame = Bytes::from(frame);
                direct += u32::from(
                    queue.write_direct(&frame, || true) || {
                        queue.send(delivery(&frame));
                        false
                    },
                );
                if number % 64 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            direct
        });
        for number in 0..FRAMES {
            let (got, length) = (client.read_u32().await.unwrap(), client.read_u32().await.unwrap());
            assert_eq!(got, number);
            let mut rest = vec![0; length as usize - 8];
            client.read_exact(&mut rest).await.unwrap();
            assert!(rest.iter().all(|byte| *byte == number as u8), "frame {number} is not whole");
        }
        assert!(sending.await.unwrap() > 0, "some were written directly");
        session.abort();
    }
}
