//! A client's byte stream, plain or under TLS: the one type that hyper, tungstenite and the sessions work on.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio_rustls::server::TlsStream;

use super::line::Line;

/// A connection.
#[derive(Debug)]
pub enum Socket {
    /// As it is; the line is gone once this direction was closed.
    Plain(OwnedReadHalf, Option<Arc<Line>>),
    /// Under TLS; boxed, because its state is large and most connections have none.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Socket {
    /// A connection as it is.
    pub fn plain(stream: TcpStream) -> Socket {
        let (read, write) = stream.into_split();
        Socket::Plain(read, Some(Arc::new(Line::new(write))))
    }

    /// Where frames for many may be written past the session.
    pub fn line(&self) -> Option<&Arc<Line>> {
        match self {
            Socket::Plain(_, line) => line.as_ref(),
            Socket::Tls(_) => None,
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Plain(read, _) => Pin::new(read).poll_read(cx, buf),
            Socket::Tls(socket) => Pin::new(socket).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Plain(_, Some(line)) => line.poll_write(cx, buf),
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
            Socket::Plain(_, line) => {
                drop(line.take());
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
            Socket::Plain(_, Some(line)) => line.poll_write_vectored(cx, bufs),
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
