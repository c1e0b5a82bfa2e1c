//! The state of an account in the bank's queue, the same for rates and concurrency: when to draw,
//! and when to wait.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::{Notify, futures::Notified};

use super::SHARDS;

/// Reason why nothing can be taken from an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortage {
    /// Nothing for this many nanoseconds, and asking the bank does not help.
    Wait(u64),
    /// Nothing in hand, and the bank may have more.
    AskBank,
}

/// The state of one account in the bank's queue.
pub(super) struct QueueState {
    name: Box<str>,
    shard: usize,
    /// A request for a draw is in the queue.
    queued: AtomicBool,
    /// Amount in hand at or below which more is drawn.
    low_water: AtomicU64,
    /// Requests that found nothing since the last draw.
    unmet: AtomicU64,
    /// Instant until which the bank has nothing, by its last answer, in nanoseconds.
    empty_until: AtomicU64,
    /// Fingerprint of the terms in the last draw.
    terms: AtomicU64,
    /// Notified after every call, answered or not.
    answered: Notify,
}

impl QueueState {
    pub(super) fn new(name: impl Into<Box<str>>) -> Self {
        let name = name.into();
        Self {
            shard: shard(&name),
            name,
            queued: AtomicBool::new(false),
            low_water: AtomicU64::new(0),
            unmet: AtomicU64::new(0),
            empty_until: AtomicU64::new(0),
            terms: AtomicU64::new(0),
            answered: Notify::new(),
        }
    }

    /// Name of the limit, the same at all gateways.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Shard of the bank that keeps the limit.
    pub(super) const fn shard(&self) -> usize {
        self.shard
    }

    /// Counts a request that found nothing.
    pub(super) fn missed(&self) {
        self.unmet.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns true if the account runs low or its terms have changed, and the caller is the one
    /// who has to queue it.
    pub(super) fn needs_draw(&self, terms: u64, now: u64, in_hand: impl Fn() -> u64) -> bool {
        let is_due = || {
            self.terms.load(Ordering::Relaxed) != terms
                || in_hand() <= self.low_water.load(Ordering::Relaxed)
                    && self.empty_until.load(Ordering::Acquire) <= now
        };
        !self.queued.load(Ordering::Acquire) && is_due() && !self.queued.swap(true, Ordering::AcqRel)
    }

    /// Completes with the bank's next answer, or when the bank is found to be away.
    pub(super) fn answered(&self) -> Notified<'_> {
        self.answered.notified()
    }

    /// Returns why nothing can be taken under these terms. An answer to a draw under other terms
    /// does not count: more may be allowed by now.
    pub(super) fn shortage(&self, terms: u64, now: u64) -> Shortage {
        if self.terms.load(Ordering::Relaxed) != terms {
            return Shortage::AskBank;
        }
        match self.empty_until.load(Ordering::Acquire).saturating_sub(now) {
            0 => Shortage::AskBank,
            wait => Shortage::Wait(wait),
        }
    }

    /// Takes the account out of the queue for a draw under these terms. Returns the number of
    /// requests that found nothing since the last draw.
    pub(super) fn begin_draw(&self, terms: u64) -> u64 {
        self.queued.store(false, Ordering::Release);
        self.terms.store(terms, Ordering::Relaxed);
        self.unmet.swap(0, Ordering::AcqRel)
    }

    pub(super) fn set_low_water(&self, low_water: u64) {
        self.low_water.store(low_water, Ordering::Relaxed);
    }

    pub(super) fn set_empty_until(&self, instant: u64) {
        self.empty_until.store(instant, Ordering::Release);
    }

    /// Wakes the requests that wait for the account.
    pub(super) fn wake(&self) {
        self.answered.notify_waiters();
    }
}

/// Shard of a name. All gateways must compute the same one.
fn shard(name: &str) -> usize {
    crc32fast::hash(name.as_bytes()) as usize % SHARDS
}
