//! The frames of one direction of a WebSocket, counted as they pass.
//!
//! A message is counted at its first frame; fragments that follow cost nothing more, nor do control
//! frames in between. Bytes are those of the payload as it is on the wire, of data frames only. A
//! frame goes on whole or not at all: the units of all of it are held before its header goes on.

use std::task::{Context, Poll};

use super::{ByteCount, FrameHeader, HEADER_MAX_BYTES, UnitSource};

/// The way in which frames are counted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum FrameCount {
    /// One unit for each message.
    Messages,
    /// Units by payload bytes.
    Bytes(ByteCount),
}

/// Counts the frames of one direction.
#[derive(Debug)]
pub(crate) struct FrameMeter {
    count: FrameCount,
    place: Place,
    /// True from the first frame of a message until its last.
    is_in_message: bool,
}

/// The place of the next byte.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// In a header, of which some bytes are kept back.
    Header(Kept),
    /// In a payload that has so many bytes left.
    Payload { left: u64, is_data: bool },
}

/// The beginning of a header whose end has not come.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Kept {
    bytes: [u8; HEADER_MAX_BYTES],
    count: usize,
}

/// The outcome for bytes that were offered: the kept bytes go on first, then the bytes offered up
/// to `until`. Bytes from there to `taken` are kept back; the others are to be offered again.
#[derive(Debug, Default)]
pub(crate) struct Passed {
    kept: Kept,
    pub(crate) until: usize,
    pub(crate) taken: usize,
}

/// A frame whose header has come, and what it costs.
struct Due {
    header: FrameHeader,
    /// Header bytes among those that were offered.
    offered: usize,
    /// Units of the whole frame.
    units: u64,
    is_in_message: bool,
}

impl Kept {
    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.count]
    }

    /// This header with `more` behind it, as far as a header goes.
    fn with(mut self, more: &[u8]) -> Self {
        let room = more.len().min(HEADER_MAX_BYTES - self.count);
        self.bytes[self.count..self.count + room].copy_from_slice(&more[..room]);
        self.count += room;
        self
    }
}

impl Passed {
    /// Bytes of earlier offers that go on before those of this one.
    pub(crate) fn before(&self) -> &[u8] {
        self.kept.as_slice()
    }
}

impl FrameMeter {
    /// A direction of which nothing has passed.
    pub(crate) fn new(count: FrameCount) -> Self {
        Self { count, place: Place::Header(Kept::default()), is_in_message: false }
    }

    /// Takes as many of the bytes as may go on now, with their units recorded. Takes at least one
    /// byte, or fails, or waits for units.
    pub(crate) fn poll_pass<S: UnitSource>(
        &mut self,
        bytes: &[u8],
        source: &mut S,
        context: &mut Context<'_>,
    ) -> Poll<Result<Passed, S::Refusal>> {
        let (mut passed, mut used) = (Passed::default(), 0);
        while passed.taken < bytes.len() {
            let rest = &bytes[passed.taken..];
            match self.place {
                Place::Payload { left, is_data } => {
                    let count = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    used += self.pass_payload(left, count as u64, is_data);
                    passed.taken += count;
                    passed.until = passed.taken;
                }
                Place::Header(kept) => {
                    let Some(due) = self.due(kept, rest) else {
                        self.place = Place::Header(kept.with(rest));
                        passed.taken = bytes.len();
                        break;
                    };
                    let held = if due.units == 0 { Poll::Ready(Ok(())) } else { source.poll_hold(due.units, context) };
                    match held {
                        Poll::Ready(Ok(())) => {}
                        // What may go on does so first.
                        _ if passed.taken > 0 => break,
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(Err(refusal)) => return Poll::Ready(Err(refusal)),
                    }
                    if kept.count > 0 {
                        passed.kept = kept;
                    }
                    used += self.begin(&due);
                    passed.taken += due.offered;
                    passed.until = passed.taken;
                }
            }
        }
        let recorded = if used == 0 { Ok(()) } else { source.record(used) };
        Poll::Ready(recorded.map(|()| passed))
    }

    /// The frame whose header ends in `rest`, if it does.
    fn due(&self, kept: Kept, rest: &[u8]) -> Option<Due> {
        let header = FrameHeader::read(kept.with(rest).as_slice())?;
        let offered = header.bytes - kept.count;
        if header.is_control() {
            return Some(Due { header, offered, units: 0, is_in_message: self.is_in_message });
        }
        let continues = header.is_continuation() && self.is_in_message;
        let units = match self.count {
            FrameCount::Messages => u64::from(!continues),
            FrameCount::Bytes(count) => count.units_of(header.payload),
        };
        Some(Due { header, offered, units, is_in_message: !header.is_final() })
    }

    /// Begins a frame. Returns the units that its header uses.
    const fn begin(&mut self, due: &Due) -> u64 {
        let is_data = !due.header.is_control();
        self.is_in_message = due.is_in_message;
        self.place = Self::after(due.header.payload, is_data);
        match self.count {
            FrameCount::Messages => due.units,
            FrameCount::Bytes(_) => 0,
        }
    }

    /// Counts payload bytes. Returns the units that they use.
    fn pass_payload(&mut self, left: u64, count: u64, is_data: bool) -> u64 {
        self.place = Self::after(left - count, is_data);
        match &mut self.count {
            FrameCount::Bytes(bytes) if is_data => bytes.pass(count),
            _ => 0,
        }
    }

    const fn after(left: u64, is_data: bool) -> Place {
        match left {
            0 => Place::Header(Kept { bytes: [0; HEADER_MAX_BYTES], count: 0 }),
            _ => Place::Payload { left, is_data },
        }
    }
}
