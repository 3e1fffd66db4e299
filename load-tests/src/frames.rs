//! A small WebSocket client codec: text out, text and control frames in.
//!
//! The load client must cost less than the server it measures. A general library allocates and copies per message; here
//! a request is rendered directly into the socket's output buffer and a reply is a slice of its input buffer. The mask
//! is four zero bytes: a legal mask that does not change the payload, while the server still has to unmask.

use crate::error::LoadError;

/// Largest frame accepted from a server. Snapshots can be big; this only bounds a broken peer.
const FRAME_BYTES_MAX: usize = 64 << 20;
/// A request longer than this would need the 64-bit length form, which no request of ours does.
const REQUEST_BYTES_MAX: usize = 65_535;

const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;
const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;
const MASK: [u8; 4] = [0; 4];

/// Appends one masked text frame whose payload `render` writes.
pub fn text(out: &mut Vec<u8>, render: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[FINAL | TEXT, MASKED | 126, 0, 0, 0, 0, 0, 0]);
    render(out);
    let length = out.len() - start - 8;
    assert!(length <= REQUEST_BYTES_MAX, "a load request is short");
    if let (true, Ok(short)) = (length < 126, u8::try_from(length)) {
        out[start + 1] = MASKED | short;
        out.copy_within(start + 8.., start + 6);
        out.truncate(out.len() - 2);
    } else {
        let long = u16::try_from(length).expect("bounded above");
        out[start + 2..start + 4].copy_from_slice(&long.to_be_bytes());
    }
}

/// Appends the answer to a ping.
pub fn pong(out: &mut Vec<u8>, payload: &[u8]) {
    let length = u8::try_from(payload.len()).expect("a control frame has at most 125 bytes");
    out.extend_from_slice(&[FINAL | PONG, MASKED | length]);
    out.extend_from_slice(&MASK);
    out.extend_from_slice(payload);
}

/// One frame from the server.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A whole text message.
    Text(&'a [u8]),
    /// To be answered with [`pong`].
    Ping(&'a [u8]),
    /// Needs no answer, whether solicited or not.
    Pong,
    /// The server is leaving.
    Close {
        /// 1005 where the frame carried none.
        code: u16,
        /// The server's words.
        reason: String,
    },
}

/// Cuts the byte stream of one socket into frames, in place.
#[derive(Debug)]
pub struct FrameReader {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl FrameReader {
    /// A reader with `capacity` bytes at first (it grows for larger frames), holding what followed the handshake.
    pub fn new(capacity: usize, already_read: &[u8]) -> Self {
        let mut buffer = vec![0; capacity.max(already_read.len() + 16)];
        buffer[..already_read.len()].copy_from_slice(already_read);
        Self { buffer, start: 0, end: already_read.len() }
    }

    /// Room for the next bytes from the socket; never empty.
    pub fn space(&mut self) -> &mut [u8] {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        &mut self.buffer[self.end..]
    }

    /// `count` bytes were written into [`FrameReader::space`].
    pub fn filled(&mut self, count: usize) {
        self.end += count;
        debug_assert!(self.end <= self.buffer.len());
    }

    /// Whether the next frame, whole or not, is a ping, pong or close.
    pub fn next_is_control(&self) -> bool {
        self.start < self.end && self.buffer[self.start] & 0x08 != 0
    }

    /// The next whole frame, or `None` until more bytes come.
    ///
    /// # Errors
    /// `Protocol` for what a server may not send here: masked, fragmented, binary, compressed or oversized frames.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, LoadError> {
        let bytes = &self.buffer[self.start..self.end];
        let Some((head, payload_length)) = header(bytes)? else { return Ok(None) };
        let first = bytes[0];
        if bytes.len() < head + payload_length {
            return Ok(None);
        }
        let payload = &self.buffer[self.start + head..self.start + head + payload_length];
        self.start += head + payload_length;
        if first & 0xF0 != FINAL {
            return Err(LoadError::Protocol(format!("a fragmented or compressed frame (first byte {first:#04x})")));
        }
        Ok(Some(match first & 0x0F {
            TEXT => Frame::Text(payload),
            PING if payload.len() <= 125 => Frame::Ping(payload),
            PONG => Frame::Pong,
            CLOSE => close(payload),
            opcode => return Err(LoadError::Protocol(format!("a frame with opcode {opcode:#x}"))),
        }))
    }
}

/// Header length and payload length, once the header is complete.
fn header(bytes: &[u8]) -> Result<Option<(usize, usize)>, LoadError> {
    let Some(&second) = bytes.get(1) else { return Ok(None) };
    if second & MASKED != 0 {
        return Err(LoadError::Protocol("a masked frame from the server".into()));
    }
    let (head, length) = match second {
        126 => match bytes.get(2..4) {
            Some(field) => (4, u64::from(u16::from_be_bytes(field.try_into().expect("two bytes")))),
            None => return Ok(None),
        },
        127 => match bytes.get(2..10) {
            Some(field) => (10, u64::from_be_bytes(field.try_into().expect("eight bytes"))),
            None => return Ok(None),
        },
        short => (2, u64::from(short)),
    };
    match usize::try_from(length) {
        Ok(length) if length <= FRAME_BYTES_MAX => Ok(Some((head, length))),
        _ => Err(LoadError::Protocol(format!("a frame of {length} bytes"))),
    }
}

fn close(payload: &[u8]) -> Frame<'static> {
    match payload.split_first_chunk::<2>() {
        Some((code, reason)) => {
            Frame::Close { code: u16::from_be_bytes(*code), reason: String::from_utf8_lossy(reason).into_owned() }
        }
        None => Frame::Close { code: 1005, reason: String::new() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server_text(payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![FINAL | TEXT];
        match payload.len() {
            length @ 0..126 => bytes.push(length as u8),
            length @ 126..65_536 => {
                bytes.push(126);
                bytes.extend_from_slice(&(length as u16).to_be_bytes());
            }
            length => {
                bytes.push(127);
                bytes.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        bytes.extend_from_slice(payload);
        bytes
    }

    #[test]
    fn frames_are_found_however_the_bytes_are_cut() {
        let payloads: Vec<Vec<u8>> =
            [0usize, 1, 125, 126, 300, 65_535, 65_536].iter().map(|&length| vec![b'x'; length]).collect();
        let stream: Vec<u8> = payloads.iter().flat_map(|payload| server_text(payload)).collect();
        for step in [1, 7, 4_096, stream.len()] {
            let mut reader = FrameReader::new(64, &[]);
            let mut found = Vec::new();
            for chunk in stream.chunks(step) {
                let mut chunk = chunk;
                while !chunk.is_empty() {
                    let space = reader.space();
                    let count = chunk.len().min(space.len());
                    space[..count].copy_from_slice(&chunk[..count]);
                    reader.filled(count);
                    chunk = &chunk[count..];
                }
                while let Some(frame) = reader.next_frame().unwrap() {
                    let Frame::Text(payload) = frame else { panic!("not text: {frame:?}") };
                    found.push(payload.to_vec());
                }
            }
            assert_eq!(found, payloads, "chunks of {step}");
        }
    }

    #[test]
    fn requests_use_the_shortest_length_form() {
        for length in [0usize, 5, 125, 126, 200, 65_535] {
            let mut out = b"before".to_vec();
            text(&mut out, |out| out.extend(std::iter::repeat_n(b'q', length)));
            let frame = &out[6..];
            let head = if length < 126 { 2 } else { 4 };
            assert_eq!(frame.len(), head + 4 + length);
            assert_eq!(frame[0], 0x81);
            assert_eq!(usize::from(frame[1] & 0x7F), length.min(126));
            assert!(frame[head + 4..].iter().all(|&byte| byte == b'q'));
        }
    }

    #[test]
    fn a_close_frame_gives_code_and_reason() {
        let mut reader = FrameReader::new(64, &[0x88, 6, 0x0F, 0xA1, b'g', b'o', b'n', b'e']);
        assert_eq!(reader.next_frame().unwrap(), Some(Frame::Close { code: 4001, reason: "gone".into() }));
    }

    #[test]
    fn what_a_server_may_not_send_is_an_error() {
        let cases: [(&str, &[u8]); 4] = [
            ("masked", &[0x81, 0x81, 0, 0, 0, 0, b'x']),
            ("fragment", &[0x01, 1, b'x']),
            ("binary", &[0x82, 1, b'x']),
            ("oversized", &[0x81, 127, 0xFF, 0, 0, 0, 0, 0, 0, 0]),
        ];
        for (name, bytes) in cases {
            let mut reader = FrameReader::new(64, bytes);
            assert!(matches!(reader.next_frame(), Err(LoadError::Protocol(_))), "{name}");
        }
    }
}
