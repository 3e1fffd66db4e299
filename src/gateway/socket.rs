//! A client's byte stream, plain or under TLS: the one type that hyper, tungstenite and the sessions work on.
//!
//! It reads all that has arrived at once, however small the reader's buffer is: tungstenite keeps its buffer for as
//! long as the socket is open, so that is small, and a burst of orders would cost a system call for every few of them.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio_rustls::server::TlsStream;

use super::direct_writer::DirectWriter;

/// Bytes read from the system at once.
const READ_BYTES: usize = 16 << 10;

thread_local! {
    /// A shared buffer to read into; its bytes do not stay.
    static ROOM: RefCell<[u8; READ_BYTES]> = const { RefCell::new([0; READ_BYTES]) };
}

/// A connection.
#[derive(Debug)]
pub enum Socket {
    /// Plain; the writer is gone once the writing direction was closed.
    Plain(Reading, Option<Arc<DirectWriter>>),
    /// With TLS; boxed, because its state is large and most connections have none.
    Tls(Box<TlsStream<TcpStream>>),
}

/// The reading half of a plain connection.
#[derive(Debug)]
pub struct Reading {
    half: OwnedReadHalf,
    /// What was read but did not fit into the reader's buffer.
    ahead: Bytes,
}

impl Reading {
    fn poll(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return ROOM.with_borrow_mut(|room| {
                let mut room = ReadBuf::new(room);
                ready!(Pin::new(&mut self.half).poll_read(cx, &mut room))?;
                let (now, later) = room.filled().split_at(room.filled().len().min(buf.remaining()));
                buf.put_slice(now);
                self.ahead = Bytes::copy_from_slice(later);
                Poll::Ready(Ok(()))
            });
        }
        buf.put_slice(&self.ahead.split_to(self.ahead.len().min(buf.remaining())));
        if self.ahead.is_empty() {
            // Even an empty `Bytes` would keep its whole buffer alive.
            self.ahead = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl Socket {
    /// A plain connection.
    pub fn plain(stream: TcpStream) -> Socket {
        let (read, write) = stream.into_split();
        Socket::Plain(Reading { half: read, ahead: Bytes::new() }, Some(Arc::new(DirectWriter::new(write))))
    }

    /// What writes frames directly, bypassing the session.
    pub fn direct_writer(&self) -> Option<&Arc<DirectWriter>> {
        match self {
            Socket::Plain(_, direct_writer) => direct_writer.as_ref(),
            Socket::Tls(_) => None,
        }
    }
}

#[cfg(test)]
impl Socket {
    /// A plain connection on this host, and its client's end.
    pub async fn pair() -> (Socket, TcpStream) {
        let listener = tokio::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Socket::plain(listener.accept().await.unwrap().0), client)
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Plain(reading, _) => reading.poll(cx, buf),
            Socket::Tls(socket) => Pin::new(socket).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Plain(_, Some(direct_writer)) => direct_writer.poll_write(cx, buf),
            Socket::Plain(_, None) => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Socket::Tls(socket) => Pin::new(socket).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Plain(..) => Poll::Ready(Ok(())),
            Socket::Tls(socket) => Pin::new(socket).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Plain(_, direct_writer) => {
                drop(direct_writer.take());
                Poll::Ready(Ok(()))
            }
            Socket::Tls(socket) => Pin::new(socket).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Plain(_, Some(direct_writer)) => direct_writer.poll_write_vectored(cx, bufs),
            Socket::Plain(_, None) => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Socket::Tls(socket) => Pin::new(socket).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Socket::Plain(..) => true,
            Socket::Tls(socket) => socket.is_write_vectored(),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn what_was_read_ahead_comes_in_order_and_the_end_after_it() {
        let (mut socket, mut client) = Socket::pair().await;
        let sent: Vec<u8> = (0..3 * READ_BYTES + 7).map(|at| (at % 251) as u8).collect();
        client.write_all(&sent).await.unwrap();
        drop(client);
        let mut read = Vec::new();
        // With a small buffer, with one as large as is read at once, and with a larger one.
        for room in [1, 100, 1_536, READ_BYTES, 2 * READ_BYTES].into_iter().cycle() {
            let mut some = vec![0; room];
            let count = socket.read(&mut some).await.unwrap();
            if count == 0 {
                break;
            }
            read.extend_from_slice(&some[..count]);
        }
        assert!(read == sent);
    }
}
