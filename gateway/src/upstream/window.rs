//! Counts of the last seconds, without a lock.
//!
//! Invariant: a count is never too high. It may miss what other threads add while a second begins.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

/// Seconds that a window can cover at most.
const SLOTS: usize = 64;

/// Bits of a slot that hold its count; the others hold its second.
const COUNT_BITS: u32 = 32;

/// Mask of the count.
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;

/// Milliseconds since the first call in this process.
pub(super) fn now_ms() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    // One more, so that zero is before everything.
    u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
}

/// Counts per second.
pub(super) struct Window([AtomicU64; SLOTS]);

impl Default for Window {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Window {
    /// Counts one more at a time.
    pub(super) fn add(&self, now_ms: u64) {
        let second = now_ms / 1_000 + 1;
        let (slot, mark) = (self.slot(second), (second & COUNT_MASK) << COUNT_BITS);
        let mut current = slot.load(Ordering::Relaxed);
        while current & !COUNT_MASK != mark {
            match slot.compare_exchange_weak(current, mark | 1, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(seen) => current = seen,
            }
        }
        slot.fetch_add(1, Ordering::Relaxed);
    }

    /// The count of the last `seconds`, the one that has begun included.
    pub(super) fn sum(&self, now_ms: u64, seconds: u64) -> u64 {
        let last = now_ms / 1_000 + 1;
        let first = last.saturating_sub(seconds.min(SLOTS as u64 - 1).saturating_sub(1)).max(1);
        let count = |second: u64| {
            let value = self.slot(second).load(Ordering::Relaxed);
            if value >> COUNT_BITS == second & COUNT_MASK { value & COUNT_MASK } else { 0 }
        };
        (first..=last).map(count).sum()
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        for slot in &self.0 {
            slot.store(0, Ordering::Relaxed);
        }
    }

    fn slot(&self, second: u64) -> &AtomicU64 {
        &self.0[usize::try_from(second % SLOTS as u64).unwrap_or(0)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_counts_the_last_seconds_and_forgets_the_others() {
        let window = Window::default();
        let counted = |at: u64| window.sum(at, 10);
        for at in [1, 2, 999, 5_000, 9_999] {
            window.add(at);
        }
        assert_eq!((counted(0), counted(9_999), counted(10_000), counted(14_999), counted(15_000)), (3, 5, 2, 2, 1));
        assert_eq!(counted(19_000), 0);
        // A minute later, the slots are used again.
        window.add(64_500);
        assert_eq!((counted(64_999), counted(74_999)), (1, 0));
        window.clear();
        assert_eq!(counted(64_999), 0);
    }

    #[test]
    fn threads_lose_no_count_within_a_second() {
        let window = Window::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|_| window.add(500)));
            }
        });
        assert_eq!(window.sum(500, 1), 40_000);
    }
}
