//! A limit on how long a peer may take to read an HTTP answer. hyper has none: it times the next request only after the
//! answer is written, so a peer that does not read would keep its connection for ever.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// A stream whose writes fail once unflushed data has waited for too long, however much was taken meanwhile.
#[derive(Debug)]
pub struct Deadline<S> {
    stream: S,
    patience: Duration,
    /// Runs from the first write that had to wait to the moment when everything is flushed.
    late: Option<Pin<Box<Sleep>>>,
}

impl<S: Unpin> Deadline<S> {
    /// A stream whose peer has `patience` for each flush.
    pub fn new(stream: S, patience: Duration) -> Deadline<S> {
        Deadline { stream, patience, late: None }
    }

    /// The stream, without a bound.
    pub fn into_inner(self) -> S {
        self.stream
    }

    fn stream(&mut self) -> Pin<&mut S> {
        Pin::new(&mut self.stream)
    }

    fn bounded<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            return polled;
        }
        let patience = self.patience;
        let late = self.late.get_or_insert_with(|| Box::pin(sleep(patience)));
        late.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Deadline<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Deadline<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = self.stream().poll_write(cx, buf);
        self.bounded(cx, polled)
    }

    /// hyper flushes when it has nothing left to write.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = self.stream().poll_flush(cx);
        if polled.is_ready() {
            self.late = None;
        }
        self.bounded(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = self.stream().poll_shutdown(cx);
        self.bounded(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = self.stream().poll_write_vectored(cx, bufs);
        self.bounded(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::time::{Instant, advance};

    use super::*;

    const TEST_TIMEOUT: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn d7_79_a_peer_has_so_long_for_each_flush_and_no_longer_for_taking_a_little_now_and_then() {
        let (ours, mut peer) = duplex(8);
        let mut stream = Deadline::new(ours, TEST_TIMEOUT);
        for _ in 0..3 {
            stream.write_all(&[0; 8]).await.unwrap();
            stream.flush().await.unwrap();
            let taken = async {
                advance(TEST_TIMEOUT / 2).await;
                peer.read_exact(&mut [0; 16]).await
            };
            let (written, taken) = tokio::join!(stream.write_all(&[0; 8]), taken);
            assert!(written.is_ok() && taken.is_ok(), "it took its time, and was in time");
            stream.flush().await.unwrap();
        }
        let start = Instant::now();
        let little = async {
            loop {
                peer.read_u8().await.unwrap();
                advance(TEST_TIMEOUT / 10).await;
            }
        };
        let written = tokio::select! {
            written = stream.write_all(&[0; 1_000]) => written,
            () = little => unreachable!(),
        };
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut);
        let waited = start.elapsed();
        assert!((TEST_TIMEOUT..TEST_TIMEOUT * 2).contains(&waited), "{waited:?}");
    }
}
