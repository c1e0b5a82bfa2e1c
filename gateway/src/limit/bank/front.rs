//! What every account has, whatever it counts: its name, its place in the queue for the bank, and how it stands with it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::{Notify, futures::Notified};

use super::SHARDS;

/// Why nothing can be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Short {
    /// There will be something after this many nanoseconds.
    Wait(u64),
    /// The bank has to be asked.
    Dry,
}

/// The part of an account that does not depend on what it counts.
pub(super) struct Front {
    name: Box<str>,
    shard: usize,
    /// In the bank's queue.
    queued: AtomicBool,
    /// At or below this much in hand, more is drawn.
    low_water: AtomicU64,
    /// Requests that found nothing since the last draw.
    unmet: AtomicU64,
    /// The bank said that there is nothing before this instant, in nanoseconds.
    dry_until: AtomicU64,
    /// The terms that the bank was last told.
    terms: AtomicU64,
    /// Told after every answer, and when there is none.
    answered: Notify,
}

impl Front {
    pub(super) fn new(name: impl Into<Box<str>>) -> Self {
        let name = name.into();
        Self {
            shard: shard(&name),
            name,
            queued: AtomicBool::new(false),
            low_water: AtomicU64::new(0),
            unmet: AtomicU64::new(0),
            dry_until: AtomicU64::new(0),
            terms: AtomicU64::new(0),
            answered: Notify::new(),
        }
    }

    /// The limit's name in the whole fleet.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The part of the bank that it belongs to.
    pub(super) const fn shard(&self) -> usize {
        self.shard
    }

    /// A request found nothing.
    pub(super) fn missed(&self) {
        self.unmet.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the caller is the one to put the account into the bank's queue: it runs low, or its terms have changed.
    pub(super) fn needs_draw(&self, terms: u64, now: u64, in_hand: impl Fn() -> u64) -> bool {
        let is_due = || {
            self.terms.load(Ordering::Relaxed) != terms
                || in_hand() <= self.low_water.load(Ordering::Relaxed) && self.dry_until.load(Ordering::Acquire) <= now
        };
        !self.queued.load(Ordering::Acquire) && is_due() && !self.queued.swap(true, Ordering::AcqRel)
    }

    /// Ends with the next answer, or when it is clear that there is none.
    pub(super) fn answered(&self) -> Notified<'_> {
        self.answered.notified()
    }

    /// Why nothing can be taken under these terms. What the bank said of other terms does not count: more may be allowed
    /// by now.
    pub(super) fn short(&self, terms: u64, now: u64) -> Short {
        if self.terms.load(Ordering::Relaxed) != terms {
            return Short::Dry;
        }
        match self.dry_until.load(Ordering::Acquire).saturating_sub(now) {
            0 => Short::Dry,
            wait => Short::Wait(wait),
        }
    }

    /// It leaves the queue for a draw with these terms. Returns how many requests found nothing since the last one.
    pub(super) fn begin_draw(&self, terms: u64) -> u64 {
        self.queued.store(false, Ordering::Release);
        self.terms.store(terms, Ordering::Relaxed);
        self.unmet.swap(0, Ordering::AcqRel)
    }

    pub(super) fn set_low_water(&self, low_water: u64) {
        self.low_water.store(low_water, Ordering::Relaxed);
    }

    pub(super) fn set_dry_until(&self, instant: u64) {
        self.dry_until.store(instant, Ordering::Release);
    }

    /// Whoever waits looks again.
    pub(super) fn wake(&self) {
        self.answered.notify_waiters();
    }
}

/// Every gateway must find the same.
fn shard(name: &str) -> usize {
    crc32fast::hash(name.as_bytes()) as usize % SHARDS
}
