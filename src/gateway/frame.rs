//! Outgoing WebSocket frames, written straight into a connection's reused buffer.
//!
//! tungstenite allocates and copies for each message; on the hot path a frame is a header and one copy of what was
//! rendered into another reused buffer. Servers never mask (RFC 6455 §5.1), nothing is fragmented and no extension is
//! used, so a header is two, four or ten bytes.

use bytes::Bytes;

const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;

/// The size of the header for 126 to 65,535 bytes, as most messages have.
const USUAL_HEADER: usize = 4;
const MAX_CONTROL_PAYLOAD: usize = 125;

/// Frames to write, rendered in a reused buffer.
#[derive(Debug, Default)]
pub struct Frames {
    /// The frames, one behind the other.
    pub bytes: Vec<u8>,
    payload: String,
}

impl Frames {
    /// Appends a text frame whose payload `write` makes.
    pub fn text(&mut self, write: impl FnOnce(&mut String)) {
        self.payload.clear();
        write(&mut self.payload);
        push_text(&mut self.bytes, self.payload.as_bytes());
    }
}

/// Appends a text frame around a payload that exists already.
pub fn push_text(out: &mut Vec<u8>, payload: &[u8]) {
    let (header, used) = header(TEXT, payload.len());
    out.reserve(used + payload.len());
    out.extend_from_slice(&header[..used]);
    out.extend_from_slice(payload);
}

/// A text frame to be shared by many sockets.
pub fn shared(payload: &str) -> Bytes {
    let mut out = Vec::with_capacity(payload.len() + USUAL_HEADER);
    push_text(&mut out, payload.as_bytes());
    Bytes::from(out)
}

/// Appends a ping without a payload.
pub fn push_ping(out: &mut Vec<u8>) {
    out.extend_from_slice(&[PING, 0]);
}

/// Appends a close frame. A reason over 123 bytes is cut between characters.
pub fn push_close(out: &mut Vec<u8>, code: u16, reason: &str) {
    let reason = &reason.as_bytes()[..reason.floor_char_boundary(MAX_CONTROL_PAYLOAD - 2)];
    let (header, used) = header(CLOSE, 2 + reason.len());
    out.extend_from_slice(&header[..used]);
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(reason);
}

/// A header, and how many of its bytes are used.
fn header(first: u8, length: usize) -> ([u8; 10], usize) {
    let mut header = [0; 10];
    header[0] = first;
    if let Ok(length) = u16::try_from(length) {
        if length < 126 {
            header[1] = length as u8;
            return (header, 2);
        }
        header[1] = 126;
        header[2..4].copy_from_slice(&length.to_be_bytes());
        return (header, 4);
    }
    header[1] = 127;
    header[2..].copy_from_slice(&(length as u64).to_be_bytes());
    (header, 10)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use tokio_tungstenite::tungstenite::{Message, WebSocket, protocol::Role};

    use super::*;

    /// Decodes the bytes as a client does.
    fn read(bytes: Vec<u8>, count: usize) -> Vec<Message> {
        let mut socket = WebSocket::from_raw_socket(Cursor::new(bytes), Role::Client, None);
        (0..count).map(|_| socket.read().unwrap()).collect()
    }

    #[test]
    fn d1_02_frames_of_every_header_length_are_read_back() {
        let sizes = [0, 1, 125, 126, 127, 1000, 65_535, 65_536, 200_000];
        let texts: Vec<String> = sizes.iter().map(|&n| "aé☂".chars().cycle().take(n).collect()).collect();
        let ascii: Vec<String> = sizes.iter().map(|&n| "x".repeat(n)).collect();
        for texts in [texts, ascii] {
            let mut frames = Vec::new();
            texts.iter().for_each(|text| push_text(&mut frames, text.as_bytes()));
            let expected: Vec<_> = texts.iter().map(|text| Message::text(text.as_str())).collect();
            assert_eq!(read(frames, texts.len()), expected);
        }
    }

    #[test]
    fn d1_02_a_close_frame_carries_its_code_and_a_reason_that_fits() {
        for (reason, kept) in [("", ""), ("key revoked", "key revoked")] {
            let mut out = Vec::new();
            push_close(&mut out, 4001, reason);
            let [Message::Close(Some(close))] = &read(out, 1)[..] else { panic!("a close frame") };
            assert_eq!((u16::from(close.code), close.reason.as_str()), (4001, kept));
        }
        let mut out = Vec::new();
        push_close(&mut out, 1012, &"é".repeat(100));
        let [Message::Close(Some(close))] = &read(out, 1)[..] else { panic!("a close frame") };
        assert_eq!(close.reason.as_str(), "é".repeat(61));
    }
}
