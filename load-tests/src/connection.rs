//! One client WebSocket: the upgrade, signed or bare, and batched frames in both directions.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::pin::Pin;
use std::task::Poll;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::endpoint::{Endpoint, status};
use crate::error::LoadError;
use crate::frames::{Frame, FrameReader, pong};
use crate::signature::sign;
use crate::socket::Socket;

const HEAD_BYTES_MAX: usize = 16 << 10;
/// The first byte of a TLS server's answer to a client that does not speak TLS.
const TLS_ALERT: char = '\u{15}';

/// What a client identifies itself with.
#[derive(Debug, Clone, Copy)]
pub enum Proof<'a> {
    /// Nothing: a baseline, or public channels only.
    Bare,
    /// A key, and a nonce greater than any that the server has seen for it.
    Key {
        /// Public part.
        api_key: &'a str,
        /// Base64 secret.
        api_secret: &'a str,
        /// See above.
        nonce: u64,
    },
    /// A Member's session, from an origin that the server knows.
    Cookie {
        /// `name=value`.
        cookie: &'a str,
        /// As in `http://127.0.0.1:8080`.
        origin: &'a str,
    },
}

impl std::fmt::Display for Proof<'_> {
    /// Describes the client that is refused; a key by its first characters.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bare => write!(formatter, "a client without a key"),
            Self::Key { api_key, .. } => write!(formatter, "key {api_key:.8}…"),
            Self::Cookie { .. } => write!(formatter, "a Member"),
        }
    }
}

/// An open socket. Requests are rendered into `out` and leave with [`Connection::flush`].
#[derive(Debug)]
pub struct Connection {
    stream: Socket,
    reader: FrameReader,
    /// Frames waiting for the next flush.
    pub out: Vec<u8>,
}

/// What a received frame means to the caller; control frames never reach it.
#[derive(Debug)]
pub enum Received<'a> {
    /// A text message.
    Text(&'a [u8]),
    /// All frames received so far are handled.
    Dry,
}

impl Connection {
    /// Connects, upgrades and authenticates. `buffer` is the initial size of the read buffer in bytes.
    ///
    /// # Errors
    /// `Handshake` with the server's status and body if it did not answer 101.
    pub async fn open(endpoint: &Endpoint, proof: Proof<'_>, buffer: usize) -> Result<Self, LoadError> {
        let mut stream = endpoint.connect().await?;
        let key = generate_key();
        let request = upgrade_request(endpoint, &key, proof)?;
        let sent = async {
            stream.write_all(request.as_bytes()).await?;
            stream.flush().await
        };
        endpoint.within("send the handshake", sent).await?;
        let answer = endpoint.within("read the handshake's answer", read_answer(&mut stream)).await?;
        let head_length = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
        let (head, rest) = answer.split_at(head_length);
        check_upgrade(endpoint, proof, &String::from_utf8_lossy(head), rest, &key)?;
        Ok(Self { stream, reader: FrameReader::new(buffer, rest), out: Vec::new() })
    }

    /// Sends what is in `out`.
    ///
    /// # Errors
    /// The socket is gone.
    pub async fn flush(&mut self) -> Result<(), LoadError> {
        if !self.out.is_empty() {
            self.stream.write_all(&self.out).await.map_err(LoadError::io("send requests"))?;
            self.stream.flush().await.map_err(LoadError::io("send requests"))?;
            self.out.clear();
        }
        Ok(())
    }

    /// Waits for bytes and takes what is there: in one system call, or under TLS what was decrypted. Cancel safe.
    ///
    /// # Errors
    /// The socket ended.
    pub async fn receive(&mut self) -> Result<(), LoadError> {
        match self.stream.read(self.reader.space()).await {
            Ok(0) => Err(LoadError::Closed { code: 1006, reason: "the socket ended".into() }),
            Ok(count) => {
                self.reader.filled(count);
                Ok(())
            }
            Err(error) => Err(ended(error)),
        }
    }

    /// Sends what it can of `out` and takes what has arrived, whichever is possible first. Cancel safe. A sender that
    /// must not wait for the server to read uses this instead of [`Connection::flush`] and [`Connection::receive`].
    ///
    /// # Errors
    /// The socket ended.
    pub async fn advance(&mut self) -> Result<(), LoadError> {
        let Self { stream, reader, out } = self;
        let mut stream = Pin::new(stream);
        poll_fn(|context| {
            let mut moved = Poll::Pending;
            if !out.is_empty()
                && let Poll::Ready(sent) = stream.as_mut().poll_write(context, out).map_err(ended)?
            {
                out.drain(..sent);
                moved = Poll::Ready(Ok(()));
            }
            // Under TLS, written bytes may still wait to be sent.
            let _ = stream.as_mut().poll_flush(context).map_err(ended)?;
            let mut space = ReadBuf::new(reader.space());
            if stream.as_mut().poll_read(context, &mut space).map_err(ended)?.is_ready() {
                match space.filled().len() {
                    0 => return Poll::Ready(Err(LoadError::Closed { code: 1006, reason: "the socket ended".into() })),
                    count => reader.filled(count),
                }
                moved = Poll::Ready(Ok(()));
            }
            moved
        })
        .await
    }

    /// The next text message already received. Pings are answered (with the next flush), pongs dropped.
    ///
    /// # Errors
    /// `Closed` when the server says so, `Protocol` for what it may not send.
    pub fn next_message(&mut self) -> Result<Received<'_>, LoadError> {
        // Control frames are answered in the loop, before a text frame is borrowed and returned.
        while self.reader.next_is_control() {
            match self.reader.next_frame()? {
                Some(Frame::Ping(payload)) => pong(&mut self.out, payload),
                Some(Frame::Close { code, reason }) => return Err(LoadError::Closed { code, reason }),
                Some(Frame::Pong | Frame::Text(_)) => {}
                None => return Ok(Received::Dry),
            }
        }
        match self.reader.next_frame()? {
            Some(Frame::Text(payload)) => Ok(Received::Text(payload)),
            Some(Frame::Ping(_) | Frame::Pong | Frame::Close { .. }) | None => Ok(Received::Dry),
        }
    }
}

/// A reset counts as a close without a reason.
fn ended(error: std::io::Error) -> LoadError {
    match error.kind() {
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof => {
            LoadError::Closed { code: 1006, reason: error.to_string() }
        }
        _ => LoadError::Io { what: "use a socket".into(), source: error },
    }
}

fn upgrade_request(endpoint: &Endpoint, key: &str, proof: Proof<'_>) -> Result<String, LoadError> {
    let Endpoint { authority, path, .. } = endpoint;
    let mut request = format!(
        "GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
    );
    match proof {
        Proof::Bare => {}
        Proof::Key { api_key, api_secret, nonce } => {
            let nonce = nonce.to_string();
            let signature = sign(api_secret, path, &nonce, "")?;
            request += &format!("API-Key: {api_key}\r\nAPI-Nonce: {nonce}\r\nAPI-Sign: {signature}\r\n");
        }
        Proof::Cookie { cookie, origin } => {
            request += &format!("Cookie: {cookie}\r\nOrigin: {origin}\r\n");
        }
    }
    Ok(request + "\r\n")
}

/// Reads until the head is whole (plus whatever came with it), or the peer ends.
async fn read_answer(stream: &mut Socket) -> std::io::Result<Vec<u8>> {
    let mut answer = Vec::with_capacity(1_024);
    while !answer.windows(4).any(|bytes| bytes == b"\r\n\r\n") && answer.len() < HEAD_BYTES_MAX {
        if stream.read_buf(&mut answer).await? == 0 {
            break;
        }
    }
    Ok(answer)
}

fn check_upgrade(endpoint: &Endpoint, proof: Proof<'_>, head: &str, rest: &[u8], key: &str) -> Result<(), LoadError> {
    let at = format!("{}{}", endpoint.authority, endpoint.path);
    let Some(status) = status(head) else {
        let is_alert = endpoint.trust.is_none() && head.starts_with(TLS_ALERT);
        let advice = if is_alert { ": if it speaks TLS, its address is wss://…" } else { "" };
        return Err(LoadError::Protocol(format!("{at} does not answer a handshake in HTTP{advice}")));
    };
    if status != 101 {
        let (who, body) = (proof.to_string(), String::from_utf8_lossy(rest).into_owned());
        return Err(LoadError::Handshake { at, who, status, body });
    }
    let accept = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find_map(|(name, value)| name.trim().eq_ignore_ascii_case("sec-websocket-accept").then_some(value.trim()));
    if accept != Some(derive_accept_key(key.as_bytes()).as_str()) {
        return Err(LoadError::Protocol("the handshake's Sec-WebSocket-Accept is wrong".into()));
    }
    Ok(())
}
