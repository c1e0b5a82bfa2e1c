//! Shared by the targets: pieces in which bytes arrive, entries to write, and damage that happens
//! to bytes behind their owner's back.
//!
//! Damage knows nothing of checksums: nothing whole that was not there before can come of it.

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use ring::{PAYLOAD_WORDS, Payload};

/// More than this is not damage but other content.
const DAMAGES_MAX: usize = 16;

/// Something that happens to bytes; places are taken modulo their number.
#[derive(Debug, Clone, Arbitrary)]
pub enum Damage {
    /// A bit changes.
    Flip {
        /// In which byte.
        at: u32,
        /// The bit of that byte.
        bit: u8,
    },
    /// Bytes are gone.
    Zero {
        /// From where on.
        at: u32,
        /// Number of bytes.
        bytes: u16,
    },
    /// Bytes are found elsewhere, too.
    Copy {
        /// From where on.
        from: u32,
        /// Place that the bytes are copied to.
        to: u32,
        /// Number of bytes.
        bytes: u16,
    },
    /// The end is gone.
    Cut {
        /// From where on.
        at: u32,
    },
    /// Something follows that does not belong there.
    Extend {
        /// Number of bytes.
        bytes: u16,
        /// All of which are this one.
        value: u8,
    },
}

/// Lets all of it happen, up to a limit, one after the other.
pub fn inflict(damages: &[Damage], bytes: &mut Vec<u8>) {
    for damage in damages.iter().take(DAMAGES_MAX) {
        let place = |at: u32| at as usize % bytes.len().max(1);
        match *damage {
            Damage::Extend { bytes: count, value } => bytes.resize(bytes.len() + usize::from(count), value),
            Damage::Cut { at } => bytes.truncate(place(at)),
            Damage::Flip { at, bit } => {
                let place = place(at);
                bytes.iter_mut().skip(place).take(1).for_each(|byte| *byte ^= 1 << (bit % 8));
            }
            Damage::Zero { at, bytes: count } => {
                let place = place(at);
                bytes.iter_mut().skip(place).take(count.into()).for_each(|byte| *byte = 0);
            }
            Damage::Copy { from, to, bytes: count } => {
                let (from, to) = (place(from), place(to));
                let copied: Vec<_> = bytes.iter().skip(from).take(count.into()).copied().collect();
                bytes.iter_mut().skip(to).zip(copied).for_each(|(byte, copy)| *byte = copy);
            }
        }
    }
}

/// Payload of entry `number`.
pub fn payload(number: u64) -> Payload {
    std::array::from_fn(|word| number.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add((word % PAYLOAD_WORDS) as u64))
}

/// The ends of the pieces in which so many bytes arrive; cut as often as there are cuts, and never
/// beyond the end.
pub fn pieces(bytes: usize, cuts: &[u8]) -> Vec<usize> {
    let mut ends: Vec<usize> = cuts
        .iter()
        .scan(0, |end, cut| {
            *end += usize::from(*cut);
            Some(*end)
        })
        .take_while(|end| *end < bytes)
        .collect();
    ends.push(bytes);
    ends
}
