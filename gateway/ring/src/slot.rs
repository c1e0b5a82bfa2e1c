//! One slot: publication stamp, payload, checksum.
//!
//! The stamp is the entry's number plus one and is written last: it publishes. The checksum decides
//! whether an entry is whole, and covers the number and the stream.

use crate::atomic::{AtomicU64, Ordering};

/// 64-bit words of payload in a slot. The model checker gets short slots, as each word multiplies
/// its schedules.
pub const PAYLOAD_WORDS: usize = if cfg!(loom) { 1 } else { 14 };

/// 64-bit words of a whole slot: 16, so that a slot is two cache lines.
pub const SLOT_WORDS: usize = PAYLOAD_WORDS + 2;

/// Bytes of a whole slot.
pub const SLOT_BYTES: usize = SLOT_WORDS * 8;

/// Payload of a slot.
pub type Payload = [u64; PAYLOAD_WORDS];

/// A whole slot outside of a ring.
pub type SlotBytes = [u8; SLOT_BYTES];

const STAMP: usize = 0;
const CHECKSUM: usize = 1 + PAYLOAD_WORDS;

/// Seal of a stream. It is part of every checksum, so that slots of another stream do not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seal(pub(crate) u64);

/// Result of reading a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// An entry, written in full.
    Entry(Payload),
    /// A number that was taken and, as far as is known, never published: the process died in
    /// between, and nobody relied on the entry.
    Void,
    /// An entry that was published, and is damaged or gone.
    Unreadable,
}

/// State of a slot, seen from one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Written in full.
    Whole(Payload),
    /// Not written in this lap, or only begun.
    Unpublished,
    /// Published with this number, and damaged since.
    Damaged,
    /// None of these.
    Unknown,
}

/// The words of one slot, read once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Words(pub(crate) [u64; SLOT_WORDS]);

impl Seal {
    /// The seal of the stream with this name.
    pub fn of(stream: &str) -> Self {
        let (words, rest) = stream.as_bytes().as_chunks::<8>();
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        let seal =
            words.iter().chain([&last]).fold(stream.len() as u64, |seal, word| mix(seal, u64::from_le_bytes(*word)));
        Self(seal)
    }
}

/// Writes an entry into a slot and publishes it.
pub(crate) fn publish(slot: &[AtomicU64], sequence: u64, payload: &Payload, seal: Seal) {
    for (word, value) in slot[1..].iter().zip(payload) {
        word.store(*value, Ordering::Relaxed);
    }
    slot[CHECKSUM].store(checksum(sequence, payload, seal), Ordering::Relaxed);
    slot[STAMP].store(stamp_of(sequence), Ordering::Release);
}

/// Returns true if entry `sequence` is the one that is published in a slot.
pub(crate) fn is_published(slot: &[AtomicU64], sequence: u64) -> bool {
    slot[STAMP].load(Ordering::Acquire) == stamp_of(sequence)
}

/// Returns true if entry `sequence`, or one of a later lap, is published in a slot.
#[cfg(not(loom))]
pub(crate) fn was_published(slot: &[AtomicU64], sequence: u64) -> bool {
    slot[STAMP].load(Ordering::Acquire) >= stamp_of(sequence)
}

impl Words {
    /// A copy of a slot's words.
    pub(crate) fn load(slot: &[AtomicU64]) -> Self {
        let mut words = [0; SLOT_WORDS];
        for (copy, word) in words.iter_mut().zip(slot) {
            *copy = word.load(Ordering::Acquire);
        }
        Self(words)
    }

    /// The number that the stamp states.
    pub(crate) const fn stated(&self) -> Option<u64> {
        self.0[STAMP].checked_sub(1)
    }

    /// The payload, if this is the whole entry `sequence`. The stamp does not count: an entry that
    /// was written in full and not published yet is whole.
    pub(crate) fn entry(&self, sequence: u64, seal: Seal) -> Option<Payload> {
        let payload = self.payload();
        (self.0[CHECKSUM] == checksum(sequence, &payload, seal)).then_some(payload)
    }

    /// State of entry `sequence` in a ring of `capacity` slots.
    pub(crate) fn state(&self, sequence: u64, capacity: u64, seal: Seal) -> State {
        if let Some(payload) = self.entry(sequence, seal) {
            return State::Whole(payload);
        }
        let lap_before = sequence.checked_sub(capacity);
        let untouched = match lap_before {
            Some(before) => self.entry(before, seal).is_some(),
            None => self.0[1..].iter().all(|word| *word == 0),
        };
        let begun = self.0[STAMP] == lap_before.map_or(0, stamp_of);
        if untouched || begun {
            State::Unpublished
        } else if self.0[STAMP] == stamp_of(sequence) {
            State::Damaged
        } else {
            State::Unknown
        }
    }

    fn payload(&self) -> Payload {
        std::array::from_fn(|index| self.0[1 + index])
    }
}

/// An entry as a slot outside of a ring.
pub fn encode(sequence: u64, payload: &Payload, seal: Seal) -> SlotBytes {
    let mut words = [0; SLOT_WORDS];
    words[STAMP] = stamp_of(sequence);
    words[1..CHECKSUM].copy_from_slice(payload);
    words[CHECKSUM] = checksum(sequence, payload, seal);
    let mut bytes = [0; SLOT_BYTES];
    for (chunk, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(words) {
        *chunk = word.to_ne_bytes();
    }
    bytes
}

/// Decodes a slot outside of a ring. None unless it is the whole entry `sequence` of the stream of
/// `seal`.
pub fn decode(bytes: &SlotBytes, sequence: u64, seal: Seal) -> Option<Payload> {
    let mut words = [0; SLOT_WORDS];
    for (word, chunk) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *word = u64::from_ne_bytes(*chunk);
    }
    Words(words).entry(sequence, seal)
}

const fn stamp_of(sequence: u64) -> u64 {
    sequence.wrapping_add(1)
}

/// A multiplicative hash over stream, number and payload. Each step is a bijection of the running
/// value for a fixed word, and of the word for a fixed running value: damage to one word is noticed
/// (but for a hash of 0, which counts as 1), any other with odds of 1 - 2^-64.
fn checksum(sequence: u64, payload: &Payload, seal: Seal) -> u64 {
    let seeded = mix(seal.0, sequence);
    // Two independent chains, so that the multiplications overlap.
    let (front, back) = payload.split_at(PAYLOAD_WORDS / 2);
    let front = front.iter().fold(seeded, |hash, word| mix(hash, *word));
    let back = back.iter().fold(!seeded, |hash, word| mix(hash, *word));
    // Zero means that nothing was written.
    mix(front, back.rotate_left(29)).max(1)
}

/// One step of the hash.
pub(crate) const fn mix(hash: u64, word: u64) -> u64 {
    let mixed = (hash ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed ^ (mixed >> 32)
}
