//! The reference for fan-outs: one frame, made once, written to every socket directly.
//!
//! A client that connects with a WebSocket upgrade is a reader. One that sends the line `PUBLISH` is the publisher:
//! each further byte is one event. All events that are readable at once go out in one write to each reader.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// What the publisher sends instead of an upgrade.
pub const PUBLISH: &str = "PUBLISH\r\n\r\n";
const HEAD_BYTES_MAX: usize = 4_096;
/// Events that one write carries at most.
const EVENTS_MAX: usize = 256;

/// Serves on `listener` until it is dropped; a frame has `bytes` bytes in all, at least 4.
///
/// # Errors
/// The listener fails.
pub async fn serve(listener: TcpListener, bytes: usize) -> std::io::Result<()> {
    let frame: Arc<[u8]> = frame(bytes).into();
    let readers = Arc::new(Mutex::new(Vec::new()));
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (frame, readers) = (frame.clone(), readers.clone());
        tokio::spawn(async move {
            // A failed socket is gone; reporting that is the client's task.
            let _ = serve_one(stream, &frame, &readers).await;
        });
    }
}

async fn serve_one(mut stream: TcpStream, frame: &[u8], readers: &Mutex<Vec<TcpStream>>) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|bytes| bytes == b"\r\n\r\n") && head.len() < HEAD_BYTES_MAX {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let Some(first_events) = head.strip_prefix(PUBLISH.as_bytes()) else {
        let head = String::from_utf8_lossy(&head);
        let header = |line: &str| line.strip_prefix("Sec-WebSocket-Key: ").map(str::to_owned);
        let accept = derive_accept_key(head.lines().find_map(header).unwrap_or_default().as_bytes());
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        // Locked until the reader is added: a client that has read the answer must get the next event.
        let mut readers = readers.lock().await;
        stream.write_all(answer.as_bytes()).await?;
        readers.push(stream);
        return Ok(());
    };
    publish(frame, first_events.len(), readers).await;
    let mut events = [0_u8; EVENTS_MAX];
    loop {
        match stream.read(&mut events).await? {
            0 => return Ok(()),
            count => publish(frame, count, readers).await,
        }
    }
}

/// Writes this many events to every reader, each in one write if its buffer has room.
async fn publish(frame: &[u8], count: usize, readers: &Mutex<Vec<TcpStream>>) {
    let bytes = frame.repeat(count);
    for reader in readers.lock().await.iter_mut() {
        let written = match reader.try_write(&bytes) {
            Ok(written) => written,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(_) => continue,
        };
        if written < bytes.len() {
            // Its buffer is full; a reader that has left does not concern the others.
            let _ = reader.write_all(&bytes[written..]).await;
        }
    }
}

/// A text frame of a server.
fn frame(bytes: usize) -> Vec<u8> {
    let (head, payload) = if bytes < 128 { (2, bytes.saturating_sub(2)) } else { (4, bytes - 4) };
    let mut frame = vec![b'x'; head + payload];
    frame[0] = 0x81;
    match (head, u8::try_from(payload), u16::try_from(payload)) {
        (2, Ok(short), _) => frame[1] = short,
        (_, _, Ok(long)) => {
            frame[1] = 126;
            frame[2..4].copy_from_slice(&long.to_be_bytes());
        }
        // Longer frames are not used for events.
        (_, _, Err(_)) => frame.truncate(0),
    }
    frame
}

/// A listener on any free port of this machine's loopback.
///
/// # Errors
/// The address cannot be had.
pub async fn listen() -> std::io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::{Frame, FrameReader};

    #[test]
    fn frames_are_as_long_as_asked_for() {
        for bytes in [4, 100, 127, 128, 300, 5_000] {
            let frame = frame(bytes);
            assert_eq!(frame.len(), bytes);
            let mut reader = FrameReader::new(64, &frame);
            assert!(matches!(reader.next_frame().unwrap(), Some(Frame::Text(_))), "{bytes}");
            assert_eq!(reader.next_frame().unwrap(), None);
        }
    }
}
