//! The disk budget of the spools of all lanes.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// The budget, and the bytes taken of it.
#[derive(Debug)]
pub(super) struct Budget {
    limit: u64,
    taken: AtomicU64,
}

/// Bytes taken of a budget. Dropping it gives them back.
#[derive(Debug)]
pub(super) struct Share {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Budget {
    pub(super) fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { limit, taken: AtomicU64::new(0) })
    }

    pub(super) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    pub(super) fn free(&self) -> u64 {
        self.limit.saturating_sub(self.taken())
    }

    /// Takes `bytes`, if that many are free.
    pub(super) fn take(self: &Arc<Self>, bytes: u64) -> Option<Share> {
        let fits = |taken: u64| taken.checked_add(bytes).filter(|sum| *sum <= self.limit);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).ok()?;
        Some(Share { budget: Arc::clone(self), bytes })
    }

    /// Counts `bytes` that are on disk already, even beyond the limit.
    pub(super) fn found(self: &Arc<Self>, bytes: u64) -> Share {
        self.taken.fetch_add(bytes, Ordering::Relaxed);
        Share { budget: Arc::clone(self), bytes }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
