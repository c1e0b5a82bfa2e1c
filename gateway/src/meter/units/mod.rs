//! Units that are counted while bytes pass: bytes of requests and answers, messages and payload
//! bytes of a WebSocket.
//!
//! Invariant: units are held and recorded before the bytes that use them go on. What does not fit
//! into a hard quota or the credit does not pass.

mod bodies;
mod bytes;
mod frames;
mod header;
#[cfg(test)]
mod tests;

use std::task::{Context, Poll};

pub(crate) use bodies::BodyMeter;
pub(crate) use bytes::ByteCount;
pub(crate) use frames::{FrameCount, FrameMeter, Passed};
pub(crate) use header::{FrameHeader, HEADER_MAX_BYTES};

/// Status of the records that follow the first record of a connection or an answer: they carry the
/// units of what passed since.
pub(crate) const CONTINUED_STATUS: u16 = 100;

/// The source of the units that passing bytes use.
pub(crate) trait UnitSource {
    /// The reason for which there are no units.
    type Refusal;

    /// Holds as many units more, until they are recorded. The units may have to be waited for.
    fn poll_hold(&mut self, units: u64, context: &mut Context<'_>) -> Poll<Result<(), Self::Refusal>>;

    /// Records units that are held as used.
    fn record(&mut self, units: u64) -> Result<(), Self::Refusal>;
}
