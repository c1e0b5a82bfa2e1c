//! The borders of the frames of a WebSocket (RFC 6455, section 5.2), on the way to the client:
//! a frame of the gateway's own may stand between two others only.

use crate::meter::units::{FrameHeader, HEADER_MAX_BYTES};

/// The end of the header of the answer that upgrades the connection.
const ANSWER_END: &[u8] = b"\r\n\r\n";

/// Follows the bytes that the client is sent, from the answer that upgrades its connection on.
#[derive(Debug)]
pub(super) enum Frames {
    /// In that answer, of whose end so many bytes were seen.
    Answer(usize),
    /// In the header of a frame.
    Header { bytes: [u8; HEADER_MAX_BYTES], have: usize },
    /// In the payload of a frame.
    Payload(u64),
}

const NEXT_FRAME: Frames = Frames::Header { bytes: [0; HEADER_MAX_BYTES], have: 0 };

impl Default for Frames {
    fn default() -> Self {
        Self::Answer(0)
    }
}

impl Frames {
    /// Returns true if the next byte begins a frame.
    pub(super) const fn is_between(&self) -> bool {
        matches!(self, Self::Header { have: 0, .. })
    }

    /// Returns how many of the bytes belong to the answer.
    pub(super) fn of_answer(&self, bytes: &[u8]) -> usize {
        let Self::Answer(mut seen) = *self else { return 0 };
        let is_last = |byte: &u8| {
            seen = after(seen, *byte);
            seen == ANSWER_END.len()
        };
        bytes.iter().position(is_last).map_or(bytes.len(), |last| last + 1)
    }

    /// Reads on.
    pub(super) fn read(&mut self, mut bytes: &[u8]) {
        while let [first, rest @ ..] = bytes {
            match self {
                Self::Answer(seen) => {
                    *seen = after(*seen, *first);
                    if *seen == ANSWER_END.len() {
                        *self = NEXT_FRAME;
                    }
                    bytes = rest;
                }
                Self::Header { bytes: header, have } => {
                    header[*have] = *first;
                    *have += 1;
                    if let Some(header) = FrameHeader::read(&header[..*have]) {
                        *self = if header.payload == 0 { NEXT_FRAME } else { Self::Payload(header.payload) };
                    }
                    bytes = rest;
                }
                Self::Payload(left) => {
                    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    *left -= taken as u64;
                    if *left == 0 {
                        *self = NEXT_FRAME;
                    }
                    bytes = &bytes[taken..];
                }
            }
        }
    }
}

/// The bytes seen of the end of an answer after one byte more.
fn after(seen: usize, byte: u8) -> usize {
    if byte == ANSWER_END[seen] { seen + 1 } else { usize::from(byte == ANSWER_END[0]) }
}

/// A frame that ends a WebSocket, as a server sends it.
pub(super) fn close(code: u16, reason: &str) -> Vec<u8> {
    // The payload of a control frame has at most 125 bytes.
    let reason = &reason.as_bytes()[..reason.len().min(123)];
    let mut frame = vec![0x88];
    frame.extend(u8::try_from(reason.len() + 2));
    frame.extend(code.to_be_bytes());
    frame.extend_from_slice(reason);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(length: usize, is_masked: bool) -> Vec<u8> {
        let mask = if is_masked { 0x80 } else { 0 };
        let mut frame = vec![0x82];
        match u8::try_from(length) {
            Ok(small @ ..126) => frame.push(mask | small),
            _ if length < 65_536 => {
                frame.push(mask + 126);
                frame.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                frame.push(mask + 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend(std::iter::repeat_n(7, if is_masked { 4 } else { 0 }));
        frame.extend(std::iter::repeat_n(b'x', length));
        frame
    }

    #[test]
    fn frames_end_where_their_length_says() {
        let answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";
        for is_masked in [false, true] {
            for length in [0, 1, 125, 126, 300, 65_535, 65_536, 100_000] {
                for piece in [1, 7, 4_096, usize::MAX] {
                    let bytes = [&answer[..], &frame(length, is_masked), &frame(3, is_masked)].concat();
                    let mut frames = Frames::default();
                    assert!(!frames.is_between());
                    for part in bytes[..bytes.len() - 1].chunks(piece) {
                        frames.read(part);
                    }
                    assert!(!frames.is_between(), "{length} {piece}");
                    frames.read(&bytes[bytes.len() - 1..]);
                    assert!(frames.is_between(), "{length} {piece}");
                }
            }
        }
    }

    #[test]
    fn answer_ends_with_its_empty_line_only() {
        let mut frames = Frames::default();
        frames.read(b"HTTP/1.1 101 x\r\nA: b\r\r\n\r");
        assert!(!frames.is_between());
        frames.read(b"\n");
        assert!(frames.is_between());
    }

    #[test]
    fn close_is_one_frame() {
        let bytes = close(1008, "the key was revoked");
        assert_eq!(bytes[..4], [0x88, 21, 0x03, 0xF0]);
        let mut frames = NEXT_FRAME;
        frames.read(&bytes);
        assert!(frames.is_between());
        assert_eq!(close(1001, &"r".repeat(300)).len(), 127);
    }
}
