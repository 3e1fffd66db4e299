//! How a session writes: directly if the socket accepts it, otherwise waiting, with limits.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use futures::SinkExt as _;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use super::close::Close;
use super::send_queue::SendQueue;
use super::session::{End, Session, WRITE_TIMEOUT};
use super::upgrade::WebSocket;

/// How long a write may be blocked before the peer counts as behind.
const BRIEF: Duration = Duration::from_millis(50);

/// Bytes that a peer that is behind must read to get more time: a byte at a time would keep its socket for ever.
const PROGRESS: usize = 64 * 1024;

/// A buffer that grew beyond this for one burst is given back.
const BUFFER_KEPT: usize = 64 * 1024;

impl Session {
    /// Writes what was rendered, without waiting if the socket accepts it.
    pub(super) async fn write(&mut self, socket: &mut WebSocket) -> Result<(), End> {
        if self.out.bytes.is_empty() && self.unwritten.is_empty() {
            return Ok(());
        }
        let written = {
            let taken = AtomicUsize::new(0);
            let mut whole = pin!(async {
                write_all(socket.get_mut(), &self.unwritten, &taken).await.map_err(|_| End::Gone)?;
                socket.flush().await.map_err(|_| End::Gone)?;
                let socket = socket.get_mut();
                write_all(socket, &self.out.bytes, &taken).await.map_err(|_| End::Gone)?;
                // Does nothing on a plain socket; TLS may hold a record back.
                socket.flush().await.map_err(|_| End::Gone)
            });
            match futures::poll!(whole.as_mut()) {
                Poll::Ready(written) => written,
                Poll::Pending => {
                    let written = Box::pin(patiently(whole, &taken, &self.queue, self.ping() * 2)).await;
                    self.queue.behind(false);
                    written
                }
            }
        };
        self.unwritten = Vec::new();
        self.out.bytes.clear();
        if self.out.bytes.capacity() > BUFFER_KEPT {
            self.out.bytes.shrink_to(BUFFER_KEPT);
        }
        self.wrote = true;
        written
    }
}

/// Writes all of it, counting what was accepted.
async fn write_all(socket: &mut (impl AsyncWrite + Unpin), mut bytes: &[u8], taken: &AtomicUsize) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = socket.write(bytes).await?;
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        taken.fetch_add(count, Ordering::Relaxed);
        bytes = &bytes[count..];
    }
    Ok(())
}

/// Waits until a peer that is behind has taken a write, only a little longer once too much more is waiting, the server
/// stops or its rights ended. Without progress for `dead_after` it is gone; TCP alone would try for 15 minutes.
async fn patiently(
    mut whole: Pin<&mut impl Future<Output = Result<(), End>>>,
    taken: &AtomicUsize,
    queue: &SendQueue,
    dead_after: Duration,
) -> Result<(), End> {
    if let Ok(written) = tokio::time::timeout(BRIEF, whole.as_mut()).await {
        return written;
    }
    queue.behind(true);
    let too_slow = loop {
        let before = taken.load(Ordering::Relaxed);
        let progress = poll_fn(|context| match whole.as_mut().poll(context) {
            Poll::Pending if taken.load(Ordering::Relaxed) >= before + PROGRESS => Poll::Ready(None),
            polled => polled.map(Some),
        });
        tokio::select! {
            biased;
            written = progress => if let Some(written) = written { return written },
            () = queue.too_slow() => break true,
            () = queue.stopping() => break false,
            () = queue.rights_end() => break false,
            () = tokio::time::sleep(dead_after) => return Err(End::Gone),
        }
    };
    match tokio::time::timeout(WRITE_TIMEOUT, whole).await {
        Ok(Ok(())) if too_slow => Err(End::Close(Close::SlowConsumer)),
        Ok(written) => written,
        Err(_) if too_slow => Err(End::Drop(Close::SlowConsumer)),
        Err(_) => Err(End::Gone),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use tokio::io::{AsyncReadExt as _, duplex};
    use tokio::time::{Instant, interval};

    use super::super::send_queue::Sockets;
    use super::*;
    use crate::domain::time::Moment;

    const DEAD_AFTER: Duration = Duration::from_secs(30);

    /// How a write of four times `each` bytes ends if the peer reads `each` every `every_s` seconds, after `befalls`.
    async fn written(each: usize, every_s: u64, befalls: impl FnOnce(&SendQueue)) -> Result<(), End> {
        let (mut socket, mut peer) = duplex(1_024);
        let (guard, _parts) = Sockets::new(128, 1).take(IpAddr::V4(Ipv4Addr::LOCALHOST));
        befalls(&guard.queue);
        let (taken, bytes) = (AtomicUsize::new(0), vec![0; 4 * each]);
        let whole = pin!(async { write_all(&mut socket, &bytes, &taken).await.map_err(|_| End::Gone) });
        let reading = async {
            let (mut every, mut room) = (interval(Duration::from_secs(every_s)), vec![0; each]);
            loop {
                every.tick().await;
                peer.read_exact(&mut room).await.unwrap();
            }
        };
        tokio::select! {
            written = patiently(whole, &taken, &guard.queue, DEAD_AFTER) => written,
            () = reading => unreachable!("it reads on"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn d4_55_a_peer_that_reads_steadily_has_all_the_time_it_takes_and_one_that_reads_next_to_nothing_has_not() {
        let began = Instant::now();
        assert!(matches!(written(PROGRESS + 1_024, 20, |_| ()).await, Ok(())));
        assert!(began.elapsed() > DEAD_AFTER, "{:?}", began.elapsed());
        assert!(matches!(written(PROGRESS / 4, 20, |_| ()).await, Err(End::Gone)));
    }

    #[tokio::test(start_paused = true)]
    async fn d2_27_a_peer_that_reads_steadily_keeps_no_socket_whose_rights_have_ended() {
        let began = Instant::now();
        assert!(matches!(written(PROGRESS + 1_024, 20, |queue| queue.revoked(Moment(1))).await, Err(End::Gone)));
        assert_eq!(began.elapsed(), BRIEF + WRITE_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn d4_54_a_peer_that_is_too_slow_is_told_so_if_it_takes_the_rest_in_time_and_is_cut_off_otherwise() {
        let in_time = written(1_024, 1, SendQueue::missed_some).await;
        assert!(matches!(in_time, Err(End::Close(Close::SlowConsumer))));
        let began = Instant::now();
        assert!(matches!(written(1_024, 20, SendQueue::missed_some).await, Err(End::Drop(Close::SlowConsumer))));
        assert_eq!(began.elapsed(), BRIEF + WRITE_TIMEOUT);
    }
}
