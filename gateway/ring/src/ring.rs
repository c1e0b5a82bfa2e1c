//! Appending, reading and freeing.

use std::ops::{Deref, Range};

use crate::{
    SLOTS_MAX,
    atomic::{AtomicU64, Ordering},
    header::{self, DELIVERED_AT, FREED_AT, HEADER_WORDS},
    slot::{self, Found, Payload, SLOT_WORDS, Seal, Words},
};

/// Error: every slot holds an entry that was not acknowledged yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// Keeps words that different threads write on different cache lines.
#[repr(align(128))]
pub(crate) struct Apart<T>(pub(crate) T);

/// A ring over memory `M`: a header, then slots.
pub struct Ring<M> {
    pub(crate) memory: M,
    pub(crate) seal: Seal,
    /// A power of two.
    pub(crate) capacity: u64,
    /// Number that the next entry gets.
    pub(crate) head: Apart<AtomicU64>,
    /// Number after the last acknowledged entry; mirrored into the header for recovery.
    pub(crate) tail: Apart<AtomicU64>,
    /// Number before which every entry was published and then flushed.
    #[cfg(not(loom))]
    pub(crate) flushed: AtomicU64,
}

impl<M: Deref<Target = [AtomicU64]>> Ring<M> {
    /// Words that a ring of this many slots takes.
    pub const fn words_of(slots: usize) -> usize {
        HEADER_WORDS + slots * SLOT_WORDS
    }

    /// Makes an empty ring over zeroed memory. It has as many slots as fit, rounded down to a power
    /// of two. None if not even one fits.
    pub fn new(memory: M, seal: Seal) -> Option<Self> {
        let fit = memory.len().checked_sub(HEADER_WORDS)? / SLOT_WORDS;
        let capacity = 1 << fit.checked_ilog2()?;
        if capacity > SLOTS_MAX {
            return None;
        }
        header::write(&memory[..HEADER_WORDS], capacity, seal);
        Some(Self {
            memory,
            seal,
            capacity,
            head: Apart(AtomicU64::new(0)),
            tail: Apart(AtomicU64::new(0)),
            #[cfg(not(loom))]
            flushed: AtomicU64::new(0),
        })
    }

    /// Slots in the ring.
    pub const fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Appends an entry and returns its number. When this returns, the entry survives a crash of
    /// the process.
    pub fn append(&self, payload: &Payload) -> Result<u64, Full> {
        let mut head = self.head.0.load(Ordering::Relaxed);
        loop {
            // Acquire: what the reader read of the slot happened before it is written again.
            let tail = self.tail.0.load(Ordering::Acquire);
            if head.wrapping_sub(tail) >= self.capacity {
                // The head may be older than the tail; only a current one proves that the ring is
                // full.
                let current = self.head.0.load(Ordering::Relaxed);
                if current == head {
                    return Err(Full);
                }
                head = current;
                continue;
            }
            match self.head.0.compare_exchange_weak(head, head + 1, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => break,
                Err(current) => head = current,
            }
        }
        slot::publish(self.slot(head), head, payload, self.seal);
        Ok(head)
    }

    /// Numbers that were taken and are not acknowledged.
    pub fn pending(&self) -> Range<u64> {
        let tail = self.tail.0.load(Ordering::Acquire);
        tail..self.head.0.load(Ordering::Acquire).max(tail)
    }

    /// Calls `take` for the entries from number `from` on, at most `limit`, up to the first that is
    /// not published. Returns how many there were. A published entry that is not whole means that
    /// the memory itself was damaged.
    pub fn read(&self, from: u64, limit: usize, mut take: impl FnMut(Found)) -> usize {
        for (count, sequence) in (from..).take(limit).enumerate() {
            let slot = self.slot(sequence);
            if !slot::is_published(slot, sequence) {
                return count;
            }
            take(Words::load(slot).entry(sequence, self.seal).map_or(Found::Unreadable, Found::Entry));
        }
        limit
    }

    /// Frees every slot before number `end`, whose entries were read and are safe elsewhere. Only
    /// one reader may do so.
    pub fn acknowledge(&self, end: u64) {
        let end = end.min(self.pending().end);
        if end > self.tail.0.load(Ordering::Relaxed) {
            // First in the file, so that a slot that is written again never counts as one that
            // waits.
            self.memory[FREED_AT].store(header::mark(end, self.seal), Ordering::Release);
            self.tail.0.store(end, Ordering::Release);
        }
    }

    /// Stores that every entry before number `end` was delivered, wherever it was kept after it was
    /// freed. Call this before they are freed: entries that are neither delivered nor in the ring
    /// must be elsewhere, or count as lost.
    pub fn mark_delivered(&self, end: u64) {
        self.memory[DELIVERED_AT].store(header::mark(end, self.seal), Ordering::Release);
    }

    pub(crate) fn slot(&self, sequence: u64) -> &[AtomicU64] {
        #[expect(clippy::cast_possible_truncation, reason = "below the number of slots")]
        let start = HEADER_WORDS + (sequence & (self.capacity - 1)) as usize * SLOT_WORDS;
        &self.memory[start..start + SLOT_WORDS]
    }
}
