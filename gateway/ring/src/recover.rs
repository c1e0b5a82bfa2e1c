//! Recovery: reads the ring of a dead process.

use crate::{
    SLOTS_MAX,
    header::{self, DELIVERED_AT, FLUSHED_AT, FREED_AT, HEADER_WORDS, TAKEN_AT},
    slot::{Found, SLOT_WORDS, Seal, State, Words},
};

/// The ring of a dead process, as far as it can be read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovered {
    /// Number of the first slot.
    pub first: u64,
    /// The slots that were not acknowledged, in order.
    pub slots: Vec<Found>,
    /// Number before which every entry was delivered. Entries between it and `first` are kept
    /// elsewhere.
    pub delivered: Option<u64>,
    /// The header was damaged: the acknowledged entries, or the number of all entries, may not be
    /// known.
    pub header_damaged: bool,
}

/// Error: the memory is no ring, or the ring of another stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotARing {
    /// Neither header nor length make sense.
    #[error("it is not a ring: its header is damaged and its length is not that of one")]
    Shapeless,
    /// The header is intact and names another stream.
    #[error("it is the ring of another stream")]
    Foreign,
}

impl Recovered {
    /// Number after the last slot.
    pub fn end(&self) -> u64 {
        self.first.saturating_add(self.slots.len() as u64)
    }
}

/// Reads a ring that no process writes to. Whatever the memory holds, this neither panics nor
/// invents entries: an entry proves its number and stream by its checksum. Memory shorter than a
/// header is a ring that was never used.
pub fn recover(memory: &[u64], seal: Seal) -> Result<Recovered, NotARing> {
    let Some((header, slots)) = memory.split_at_checked(HEADER_WORDS) else {
        return Ok(Recovered { header_damaged: true, ..Recovered::default() });
    };
    let slots = slots.as_chunks::<SLOT_WORDS>().0;
    let stated = header::slots(header);
    let capacity = match stated {
        Some((_, found)) if found != seal => return Err(NotARing::Foreign),
        Some((capacity, _)) => capacity,
        None => slots.len() as u64,
    };
    if !capacity.is_power_of_two() || capacity > SLOTS_MAX {
        return Err(NotARing::Shapeless);
    }
    let position = |at: usize| header::position(header[at], seal);
    let (taken, flushed, delivered) = (position(TAKEN_AT), position(FLUSHED_AT), position(DELIVERED_AT));
    let remains = Remains { slots, capacity, seal, flushed: flushed.unwrap_or(0) };
    let (first, slots, position_is_good) = remains.read(position(FREED_AT), taken);
    let marks_are_whole = taken.is_some() && flushed.is_some() && delivered.is_some();
    let header_damaged = stated.is_none() || !marks_are_whole || !position_is_good;
    Ok(Recovered { first, slots, delivered, header_damaged })
}

/// The slots of a dead ring. They are fewer than its capacity if the file was cut short.
struct Remains<'m> {
    slots: &'m [[u64; SLOT_WORDS]],
    capacity: u64,
    seal: Seal,
    /// Below this number, every entry was published.
    flushed: u64,
}

impl Remains<'_> {
    /// Returns the first number, the slots from there on, and true if the position in the header
    /// was used.
    fn read(&self, freed: Option<u64>, taken: Option<u64>) -> (u64, Vec<Found>, bool) {
        // The slots say where the ring stands; the positions save repetition, and tell of slots
        // that are gone.
        let proven = self.proven_end();
        let plausible = |taken: &u64| taken.saturating_sub(freed.unwrap_or(proven)) <= self.capacity;
        let stated = [taken, Some(self.flushed)].into_iter().flatten().filter(plausible).max();
        let end = proven.max(stated.unwrap_or(0));
        let oldest = end.saturating_sub(self.capacity);
        let believed = freed.filter(|freed| (oldest..=end).contains(freed));
        let first = believed.unwrap_or(oldest);
        let mut found = Vec::new();
        let mut known = 0;
        for sequence in first..first.saturating_add(self.capacity) {
            let state = self.state(sequence);
            found.push(match state {
                State::Whole(payload) => Found::Entry(payload),
                State::Unpublished if sequence >= self.flushed => Found::Void,
                State::Unpublished | State::Damaged | State::Unknown => Found::Unreadable,
            });
            // Beyond the end, only slots that state that they were published belong to the ring.
            if sequence < end || matches!(state, State::Whole(_) | State::Damaged) {
                known = found.len();
            }
        }
        found.truncate(known);
        (first, found, believed.is_some())
    }

    /// The number after the highest entry that is whole and stamped.
    fn proven_end(&self) -> u64 {
        let whole = |(index, words): (u64, &[u64; SLOT_WORDS])| {
            let words = Words(*words);
            let sequence = words.stated()?;
            let in_place = sequence & (self.capacity - 1) == index;
            (in_place && words.entry(sequence, self.seal).is_some()).then_some(sequence)
        };
        (0..self.capacity).zip(self.slots).filter_map(whole).max().map_or(0, |last| last.saturating_add(1))
    }

    fn state(&self, sequence: u64) -> State {
        let index = usize::try_from(sequence & (self.capacity - 1)).unwrap_or(usize::MAX);
        self.slots.get(index).map_or(State::Unknown, |words| Words(*words).state(sequence, self.capacity, self.seal))
    }
}
