//! The frames that a client sends, found in its bytes (RFC 9113, section 4.1): their headers only.

/// Bytes that a client begins an HTTP/2 connection with.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes of a frame's header.
pub(super) const HEADER_BYTES: usize = 9;

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const CONTINUATION: u8 = 9;
const DATA: u8 = 0;
const PUSH_PROMISE: u8 = 5;
pub(super) const GOAWAY: u8 = 7;

const END_HEADERS: u8 = 4;

/// A kind of frame, as far as the gateway bounds how many of it may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `RST_STREAM`: the client takes a request back.
    Reset,
    /// Frames that carry no part of a request: `SETTINGS`, `PING`, `WINDOW_UPDATE`, `PRIORITY`, and
    /// those of unknown types.
    Control,
    /// All others, which are bounded by other means.
    Other,
}

/// Follows the frames of one client.
#[derive(Debug)]
pub(super) struct FrameReader {
    state: State,
    /// True from the begin of a request's or trailers' header to the end of its last frame.
    is_in_header: bool,
}

#[derive(Debug)]
enum State {
    /// So many bytes of the preface are still to come.
    Preface(usize),
    Header {
        bytes: [u8; HEADER_BYTES],
        have: usize,
    },
    /// So many bytes of the payload are still to come; `ends_header`: a header is complete behind
    /// them.
    Payload {
        left: usize,
        ends_header: bool,
    },
}

const NEXT_FRAME: State = State::Header { bytes: [0; HEADER_BYTES], have: 0 };

impl FrameReader {
    pub(super) const fn new() -> Self {
        Self { state: State::Preface(PREFACE.len()), is_in_header: false }
    }

    /// Returns true if a header has begun and is not complete.
    pub(super) const fn is_in_header(&self) -> bool {
        self.is_in_header
    }

    /// Reads on, and calls `on_frame` for each frame that begins.
    pub(super) fn read(&mut self, mut bytes: &[u8], mut on_frame: impl FnMut(Kind)) {
        while !bytes.is_empty() {
            match &mut self.state {
                State::Preface(left) => {
                    let taken = (*left).min(bytes.len());
                    *left -= taken;
                    bytes = &bytes[taken..];
                    if *left == 0 {
                        self.state = NEXT_FRAME;
                    }
                }
                State::Header { bytes: header, have } => {
                    let taken = (HEADER_BYTES - *have).min(bytes.len());
                    header[*have..*have + taken].copy_from_slice(&bytes[..taken]);
                    *have += taken;
                    bytes = &bytes[taken..];
                    if *have == HEADER_BYTES {
                        let header = *header;
                        on_frame(self.begin(&header));
                    }
                }
                State::Payload { left, ends_header } => {
                    let taken = (*left).min(bytes.len());
                    *left -= taken;
                    bytes = &bytes[taken..];
                    if *left == 0 {
                        self.is_in_header &= !*ends_header;
                        self.state = NEXT_FRAME;
                    }
                }
            }
        }
    }

    fn begin(&mut self, header: &[u8; HEADER_BYTES]) -> Kind {
        let length = usize::from(header[0]) << 16 | usize::from(header[1]) << 8 | usize::from(header[2]);
        let (kind, flags) = (header[3], header[4]);
        let is_header = matches!(kind, HEADERS | CONTINUATION);
        let ends_header = is_header && flags & END_HEADERS != 0;
        self.is_in_header |= is_header;
        self.state = State::Payload { left: length, ends_header };
        if length == 0 {
            self.is_in_header &= !ends_header;
            self.state = NEXT_FRAME;
        }
        match kind {
            RST_STREAM => Kind::Reset,
            DATA | HEADERS | CONTINUATION | PUSH_PROMISE | GOAWAY => Kind::Other,
            _ => Kind::Control,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut bytes = length[1..].to_vec();
        bytes.extend([kind, flags, 0, 0, 0, 1]);
        bytes.extend(payload);
        bytes
    }

    fn kinds(bytes: &[u8], piece: usize) -> (Vec<Kind>, bool) {
        let (mut reader, mut kinds) = (FrameReader::new(), Vec::new());
        for part in bytes.chunks(piece) {
            reader.read(part, |kind| kinds.push(kind));
        }
        (kinds, reader.is_in_header())
    }

    #[test]
    fn frames_are_found_however_bytes_arrive() {
        let mut bytes = PREFACE.to_vec();
        bytes.extend(frame(4, 0, &[]));
        bytes.extend(frame(1, END_HEADERS, &[3; 300]));
        bytes.extend(frame(0, 1, b"body"));
        bytes.extend(frame(3, 0, &[0; 4]));
        bytes.extend(frame(6, 0, &[0; 8]));
        bytes.extend(frame(0xEE, 0, &vec![0; 70_000]));
        bytes.extend(frame(3, 0, &[0; 4]));
        let expected =
            [Kind::Control, Kind::Other, Kind::Other, Kind::Reset, Kind::Control, Kind::Control, Kind::Reset];
        for piece in [1, 2, 9, 10, 24, 25, 1_000, bytes.len()] {
            let (found, is_in_header) = kinds(&bytes, piece);
            assert_eq!(found, expected, "{piece}");
            assert!(!is_in_header, "{piece}");
        }
    }

    #[test]
    fn header_is_open_until_its_last_frame_is_complete() {
        let open = |frames: &[Vec<u8>]| {
            let bytes = [PREFACE, &frames.concat()].concat();
            kinds(&bytes, bytes.len()).1
        };
        assert!(open(&[frame(1, 0, b"abc")]));
        assert!(open(&[frame(1, 0, b"abc"), frame(9, 0, b"")]));
        assert!(!open(&[frame(1, 0, b"abc"), frame(9, END_HEADERS, b"")]));
        assert!(!open(&[frame(1, 0, b"abc"), frame(9, END_HEADERS, b"def")]));
        let mut cut = frame(1, END_HEADERS, b"abc");
        cut.pop();
        assert!(open(&[cut]));
    }
}
