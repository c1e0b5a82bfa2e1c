//! The header of a frame of a WebSocket (RFC 6455, section 5.2).

/// Most bytes of a frame's header.
pub(crate) const HEADER_MAX_BYTES: usize = 14;

/// Most payload bytes of a control frame.
const CONTROL_MAX_BYTES: u64 = 125;

/// The header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    first: u8,
    /// Its own length in bytes, with the mask.
    pub(crate) bytes: usize,
    /// Length of the payload in bytes.
    pub(crate) payload: u64,
}

impl FrameHeader {
    /// Reads the header that `bytes` begin with. None if it is not complete.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let [first, second, ..] = *bytes else { return None };
        let extended = match second & 0x7F {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = if second & 0x80 == 0 { 0 } else { 4 };
        let length = 2 + extended + mask;
        let extended = bytes.get(..length)?.get(2..2 + extended)?;
        let payload = match extended {
            [] => u64::from(second & 0x7F),
            extended => extended.iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
        };
        Some(Self { first, bytes: length, payload })
    }

    /// Returns true if it is the last frame of its message.
    pub(super) const fn is_final(self) -> bool {
        self.first & 0x80 != 0
    }

    /// Returns true for a close, a ping or a pong that keeps the rules. One that breaks them counts
    /// as a message, so that nothing passes for free in its shape.
    pub(super) const fn is_control(self) -> bool {
        matches!(self.opcode(), 8..=10) && self.is_final() && self.payload <= CONTROL_MAX_BYTES
    }

    /// Returns true if it continues a message.
    pub(super) const fn is_continuation(self) -> bool {
        self.opcode() == 0
    }

    const fn opcode(self) -> u8 {
        self.first & 0x0F
    }
}
