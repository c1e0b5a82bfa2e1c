//! The header of a ring: identity of the file, and positions that recovery needs.

use crate::{
    atomic::{AtomicU64, Ordering},
    slot::{Seal, mix},
};

/// Words of the header: as long as a slot, so that no slot crosses a page.
pub(crate) const HEADER_WORDS: usize = 16;

/// Magic and version.
const MAGIC: u64 = u64::from_le_bytes(*b"TGRING\0\x01");

const CHECKSUM_AT: usize = 3;

/// Word with the number of the first slot that is not free.
pub(crate) const FREED_AT: usize = 4;

/// Word with a number above all numbers that were taken before the last flush.
pub(crate) const TAKEN_AT: usize = 5;

/// Word with the number below which every entry was published and then flushed.
pub(crate) const FLUSHED_AT: usize = 6;

/// Word with the number below which every entry was delivered, in the ring or elsewhere.
pub(crate) const DELIVERED_AT: usize = 7;

const MARKS: [usize; 4] = [FREED_AT, TAKEN_AT, FLUSHED_AT, DELIVERED_AT];

/// Writes the header of an empty ring.
pub(crate) fn write(words: &[AtomicU64], slots: u64, seal: Seal) {
    for (word, value) in words.iter().zip(identity(slots, seal)) {
        word.store(value, Ordering::Relaxed);
    }
    for at in MARKS {
        words[at].store(mark(0, seal), Ordering::Relaxed);
    }
}

/// The number of slots that an intact header states.
pub(crate) fn slots(words: &[u64]) -> Option<(u64, Seal)> {
    let (stated, seal) = (*words.get(1)?, Seal(*words.get(2)?));
    let intact = words.get(..=CHECKSUM_AT)? == identity(stated, seal);
    (intact && stated.is_power_of_two()).then_some((stated, seal))
}

fn identity(slots: u64, seal: Seal) -> [u64; CHECKSUM_AT + 1] {
    let checksum = [MAGIC, slots, seal.0].into_iter().fold(0, mix);
    [MAGIC, slots, seal.0, checksum]
}

/// A position with a check of its own in one word, so that no crash leaves half of it. 48 bits
/// outlast every process.
pub(crate) const fn mark(position: u64, seal: Seal) -> u64 {
    (position << 16) | (mix(seal.0, position) >> 48)
}

/// The position that a mark states, if it is intact.
pub(crate) fn position(word: u64, seal: Seal) -> Option<u64> {
    let position = word >> 16;
    (mark(position, seal) == word).then_some(position)
}
