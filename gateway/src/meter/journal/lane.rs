//! A lane that this process writes: a ring in a file of its own.

use std::sync::atomic::{AtomicU64, Ordering};

use common::usage::StreamId;
use ring::{Full, MappedWords, Ring};

use super::slot::Slot;

/// A lane that is being written.
pub(super) struct Lane {
    pub(super) stream: StreamId,
    pub(super) ring: Ring<MappedWords>,
    /// Number after the last entry that the sink has acknowledged. Entries after it may be in the
    /// spool.
    booked: AtomicU64,
}

impl Lane {
    pub(super) const fn new(stream: StreamId, ring: Ring<MappedWords>) -> Self {
        Self { stream, ring, booked: AtomicU64::new(0) }
    }

    /// Appends a slot. Once this returns, the slot is in the page cache and survives a crash of
    /// this process.
    pub(super) fn append(&self, slot: &Slot) -> Result<(), Full> {
        self.ring.append(&slot.encode()).map(drop)
    }

    /// Returns true if more than `margin` slots are free.
    pub(super) fn has_room(&self, margin: u64) -> bool {
        let pending = self.ring.pending();
        pending.end - pending.start + margin < self.ring.capacity()
    }

    /// Number after the last entry.
    pub(super) fn appended(&self) -> u64 {
        self.ring.pending().end
    }

    /// Entries that the sink has not acknowledged, in the ring and in the spool.
    pub(super) fn backlog(&self) -> u64 {
        let booked = self.booked.load(Ordering::Acquire);
        self.appended().saturating_sub(booked)
    }

    /// Entries that the sink has acknowledged.
    pub(super) fn acknowledged(&self) -> u64 {
        self.booked.load(Ordering::Acquire)
    }

    /// Frees all entries before `position`, which the sink has acknowledged.
    pub(super) fn free(&self, position: u64) {
        self.ring.mark_delivered(position);
        self.ring.acknowledge(position);
        self.booked.store(position, Ordering::Release);
    }
}
