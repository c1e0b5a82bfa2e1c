//! Units by the bytes of the bodies of an exchange: of the request, of its answer, or of both.
//!
//! Invariant: the units of an answer's bytes are known before the bytes go on. Those that its
//! header announces are known with the header, as far as one read of a connection may give them.

use super::ByteCount;

/// Most bytes of an answer whose units are known with its header.
pub(crate) const AHEAD_MAX_BYTES: u64 = 64 * 1024;

/// The bodies of one exchange, each counted by itself or not at all.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyMeter {
    request: Option<ByteCount>,
    answer: Option<ByteCount>,
    /// Bytes of the answer that were counted with its header and have still to pass.
    ahead: u64,
}

impl BodyMeter {
    /// Nothing has passed yet.
    pub(crate) const fn new(request: Option<ByteCount>, answer: Option<ByteCount>) -> Self {
        Self { request, answer, ahead: 0 }
    }

    /// Counts bytes of the request. Returns the units that they use.
    pub(crate) fn request(&mut self, bytes: u64) -> u64 {
        self.request.as_mut().map_or(0, |count| count.pass(bytes))
    }

    /// Counts the bytes of an answer that its header announces, as far as they are counted with it.
    /// Returns the units that they use.
    pub(crate) fn begin_answer(&mut self, announced: u64) -> u64 {
        let Some(count) = &mut self.answer else { return 0 };
        self.ahead = announced.min(AHEAD_MAX_BYTES);
        count.pass(self.ahead)
    }

    /// Counts bytes of the answer that have come. Returns the units that they use beyond those that
    /// were counted with the header.
    pub(crate) fn answer(&mut self, bytes: u64) -> u64 {
        let Some(count) = &mut self.answer else { return 0 };
        let known = bytes.min(self.ahead);
        self.ahead -= known;
        count.pass(bytes - known)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;

    fn count(per: u64) -> Option<ByteCount> {
        NonZeroU64::new(per).map(ByteCount::new)
    }

    #[test]
    fn each_direction_is_rounded_up_by_itself() {
        let mut meter = BodyMeter::new(count(100), count(100));
        assert_eq!((meter.request(1), meter.request(99), meter.request(1)), (1, 0, 1));
        assert_eq!((meter.begin_answer(0), meter.answer(1), meter.answer(100), meter.answer(99)), (0, 1, 1, 0));
    }

    #[test]
    fn direction_that_is_not_counted_costs_nothing() {
        let mut meter = BodyMeter::new(None, count(1));
        assert_eq!((meter.request(1_000), meter.answer(5)), (0, 5));
        let mut meter = BodyMeter::new(count(1), None);
        assert_eq!((meter.request(1_000), meter.begin_answer(7), meter.answer(5)), (1_000, 0, 0));
    }

    #[test]
    fn announced_bytes_are_counted_once() {
        let mut meter = BodyMeter::new(None, count(1));
        assert_eq!(meter.begin_answer(10), 10);
        assert_eq!((meter.answer(4), meter.answer(6), meter.answer(3)), (0, 0, 3), "more came than was announced");
    }

    #[test]
    fn long_answer_is_counted_with_its_header_as_far_as_one_read_goes() {
        let mut meter = BodyMeter::new(None, count(1_024));
        assert_eq!(meter.begin_answer(1 << 20), 64);
        let passed: Vec<u64> = (0..16).map(|_| meter.answer(1 << 16)).collect();
        assert_eq!(passed[0], 0, "counted before");
        assert_eq!(passed.iter().sum::<u64>(), 1_024 - 64);
    }
}
