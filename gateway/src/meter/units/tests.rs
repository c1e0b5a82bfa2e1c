//! Frames as they pass: whatever the bytes and however they are split, counts are the same.

use std::{
    convert::Infallible,
    num::NonZeroU64,
    task::{Context, Poll, Waker},
};

use proptest::prelude::*;

use super::*;

/// Units that are there until they are spent, and what was recorded of them.
struct Supply {
    left: u64,
    held: u64,
    recorded: u64,
}

#[derive(Debug, PartialEq, Eq)]
struct Spent;

impl Supply {
    fn of(left: u64) -> Self {
        Self { left, held: 0, recorded: 0 }
    }
}

impl UnitSource for Supply {
    type Refusal = Spent;

    fn poll_hold(&mut self, units: u64, _context: &mut Context<'_>) -> Poll<Result<(), Spent>> {
        assert!(units > 0);
        let Some(left) = self.left.checked_sub(units) else { return Poll::Ready(Err(Spent)) };
        self.left = left;
        self.held += units;
        Poll::Ready(Ok(()))
    }

    fn record(&mut self, units: u64) -> Result<(), Spent> {
        self.held = self.held.checked_sub(units).expect("only what is held is recorded");
        self.recorded += units;
        Ok(())
    }
}

/// Units without end, of which nothing is held.
#[derive(Default)]
struct Endless {
    recorded: u64,
}

impl UnitSource for Endless {
    type Refusal = Infallible;

    fn poll_hold(&mut self, _units: u64, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn record(&mut self, units: u64) -> Result<(), Infallible> {
        self.recorded += units;
        Ok(())
    }
}

#[derive(Debug, Clone, Copy)]
struct Frame {
    opcode: u8,
    is_final: bool,
    is_masked: bool,
    /// RSV1, as a compressed message has it.
    is_compressed: bool,
    payload: usize,
}

impl Frame {
    fn new(opcode: u8, is_final: bool, payload: usize) -> Self {
        Self { opcode, is_final, is_masked: false, is_compressed: false, payload }
    }

    fn bytes(self) -> Vec<u8> {
        let first = self.opcode | u8::from(self.is_final) << 7 | u8::from(self.is_compressed) << 6;
        let mask = u8::from(self.is_masked) << 7;
        let mut bytes = vec![first];
        match u16::try_from(self.payload) {
            Ok(small @ ..126) => bytes.push(mask | u8::try_from(small).unwrap()),
            Ok(medium) => {
                bytes.push(mask | 0x7e);
                bytes.extend(medium.to_be_bytes());
            }
            Err(_) => {
                bytes.push(mask | 0x7f);
                bytes.extend((self.payload as u64).to_be_bytes());
            }
        }
        bytes.extend(std::iter::repeat_n(0xA5, if self.is_masked { 4 } else { 0 }));
        bytes.extend(std::iter::repeat_n(b'x', self.payload));
        bytes
    }
}

fn per(bytes: u64) -> FrameCount {
    FrameCount::Bytes(ByteCount::new(NonZeroU64::new(bytes).unwrap()))
}

/// Offers the bytes in pieces. Returns the bytes that went on, and whether there were units for all.
fn offer<S: UnitSource>(meter: &mut FrameMeter, source: &mut S, bytes: &[u8], pieces: &[usize]) -> (Vec<u8>, bool) {
    let (mut on, mut from) = (Vec::new(), 0);
    let mut pieces = pieces.iter().cycle();
    while from < bytes.len() {
        let piece = (*pieces.next().unwrap()).clamp(1, bytes.len() - from);
        let mut offered = &bytes[from..from + piece];
        while !offered.is_empty() {
            let mut context = Context::from_waker(Waker::noop());
            let Poll::Ready(Ok(passed)) = meter.poll_pass(offered, source, &mut context) else { return (on, false) };
            assert!(passed.taken > 0 && passed.until <= passed.taken);
            on.extend_from_slice(passed.before());
            on.extend_from_slice(&offered[..passed.until]);
            offered = &offered[passed.taken..];
        }
        from += piece;
    }
    (on, true)
}

/// Units that frames use in all.
fn units(count: FrameCount, frames: &[Frame]) -> u64 {
    let bytes: Vec<u8> = frames.iter().flat_map(|frame| frame.bytes()).collect();
    let mut source = Endless::default();
    let (on, is_all) = offer(&mut FrameMeter::new(count), &mut source, &bytes, &[usize::MAX]);
    assert!(is_all && on == bytes);
    source.recorded
}

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CONTINUED: u8 = 0;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

#[test]
fn message_counts_once_whatever_its_fragments_and_controls_in_between_cost_nothing() {
    let frames = [
        Frame::new(PING, true, 125),
        Frame::new(TEXT, false, 10),
        Frame::new(CONTINUED, false, 0),
        Frame::new(PONG, true, 4),
        Frame::new(CONTINUED, true, 70_000),
        Frame::new(BINARY, true, 0),
        Frame::new(CLOSE, true, 2),
    ];
    assert_eq!(units(FrameCount::Messages, &frames), 2);
    assert_eq!(units(per(1), &frames), 70_010);
    assert_eq!(units(per(1024), &frames), 69, "one unit for each 1,024 bytes that were begun, over all frames");
}

#[test]
fn frames_that_break_the_rules_are_never_free() {
    let cases = [
        ("a continuation of nothing", vec![Frame::new(CONTINUED, true, 5)], 1),
        ("a message within another", vec![Frame::new(TEXT, false, 1), Frame::new(TEXT, true, 1)], 2),
        ("a long ping", vec![Frame::new(PING, true, 126)], 1),
        ("a ping in fragments", vec![Frame::new(PING, false, 5)], 1),
        ("an opcode that is none", vec![Frame::new(3, true, 5), Frame::new(11, true, 5)], 2),
    ];
    for (name, frames, expected) in cases {
        assert_eq!(units(FrameCount::Messages, &frames), expected, "{name}");
        assert_eq!(units(per(1), &frames), frames.iter().map(|frame| frame.payload as u64).sum::<u64>(), "{name}");
    }
}

#[test]
fn frame_without_units_does_not_even_begin() {
    let (first, second) = (Frame::new(TEXT, true, 300).bytes(), Frame::new(TEXT, true, 300).bytes());
    for (count, units) in [(FrameCount::Messages, 1), (per(1), 599), (per(100), 5)] {
        for pieces in [vec![1], vec![7, 100], vec![usize::MAX]] {
            let mut supply = Supply::of(units);
            let bytes = [&first[..], &second].concat();
            let (on, is_all) = offer(&mut FrameMeter::new(count), &mut supply, &bytes, &pieces);
            assert!(!is_all && on == first, "{count:?} {pieces:?} {}", on.len());
            assert_eq!(supply.held, 0, "{count:?}");
        }
    }
}

#[test]
fn units_of_a_frame_are_recorded_as_its_bytes_pass() {
    let bytes = Frame::new(BINARY, true, 1000).bytes();
    let mut supply = Supply::of(5_000);
    let mut meter = FrameMeter::new(per(1));
    let (on, _) = offer(&mut meter, &mut supply, &bytes[..504], &[100]);
    assert_eq!((on.len(), supply.recorded, supply.held), (504, 500, 500));
    offer(&mut meter, &mut supply, &bytes[504..], &[100]);
    assert_eq!((supply.recorded, supply.held), (1000, 0));
}

fn frames() -> impl Strategy<Value = Vec<Frame>> {
    let payload = prop_oneof![0_usize..140, Just(65_535), Just(65_536), 120_usize..1_000];
    let frame = (0_u8..16, any::<[bool; 3]>(), payload).prop_map(|(opcode, flags, payload)| {
        let [is_final, is_masked, is_compressed] = flags;
        Frame { opcode, is_final, is_masked, is_compressed, payload }
    });
    proptest::collection::vec(frame, 1..12)
}

fn counts() -> impl Strategy<Value = FrameCount> {
    prop_oneof![Just(FrameCount::Messages), (1_u64..3_000).prop_map(per)]
}

proptest! {
    #[test]
    fn counts_do_not_depend_on_how_the_stream_is_split(
        frames in frames(), count in counts(), pieces in proptest::collection::vec(1_usize..70_000, 1..6),
        left in 0_u64..40,
    ) {
        let bytes: Vec<u8> = frames.iter().flat_map(|frame| frame.bytes()).collect();
        let (mut whole, mut split) = (Endless::default(), Endless::default());
        let (on, _) = offer(&mut FrameMeter::new(count), &mut whole, &bytes, &[usize::MAX]);
        prop_assert!(on == bytes);
        let (on, _) = offer(&mut FrameMeter::new(count), &mut split, &bytes, &pieces);
        prop_assert!(on == bytes);
        prop_assert_eq!(whole.recorded, split.recorded);

        let (mut whole, mut split) = (Supply::of(left), Supply::of(left));
        let (on, is_all) = offer(&mut FrameMeter::new(count), &mut whole, &bytes, &[usize::MAX]);
        let (same, is_all_split) = offer(&mut FrameMeter::new(count), &mut split, &bytes, &pieces);
        prop_assert!(on == same && is_all == is_all_split && bytes.starts_with(&on));
        prop_assert_eq!((whole.recorded, whole.held), (split.recorded, 0));
        prop_assert!(whole.recorded <= left);
    }

    #[test]
    fn any_bytes_are_passed_as_they_are(
        bytes in proptest::collection::vec(any::<u8>(), 0..600), count in counts(),
        pieces in proptest::collection::vec(1_usize..40, 1..6),
    ) {
        let (mut whole, mut split) = (Endless::default(), Endless::default());
        let (on, _) = offer(&mut FrameMeter::new(count), &mut whole, &bytes, &[usize::MAX]);
        prop_assert!(bytes.starts_with(&on) && bytes.len() - on.len() < HEADER_MAX_BYTES);
        let (same, _) = offer(&mut FrameMeter::new(count), &mut split, &bytes, &pieces);
        prop_assert!(on == same);
        prop_assert_eq!(whole.recorded, split.recorded);
    }
}
