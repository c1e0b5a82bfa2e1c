//! Rates: one atomic number per limit, debited by compare-and-swap.
//!
//! The number is the theoretical arrival time of the generic cell rate algorithm: the instant at
//! which the bucket will be full again. Over every stretch of time W, at most `burst + W /
//! interval` requests are admitted, and the interval is rounded up, so that this is never more than
//! `burst + rate x W`.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{LimitState, NANOS_PER_SECOND};
use crate::plan::{RateLimit, RateWindow};

/// Deepest bucket: 146 years of refill. It keeps sums of two times within 64 bits.
const DEPTH_MAX: u64 = u64::MAX / 4;

/// The terms of one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    policy: &'static str,
    limit: u64,
    window_seconds: u64,
    /// Nanoseconds in which one request refills, rounded up.
    interval: u64,
    /// Nanoseconds in which the empty bucket refills: as many intervals as the burst has requests.
    depth: u64,
}

/// The instant at which the bucket is full again.
#[derive(Debug, Default)]
pub struct RateCell(AtomicU64);

impl Rate {
    /// The terms of a limit that headers call `policy`.
    pub fn new(policy: &'static str, window: RateWindow, limit: RateLimit) -> Self {
        let interval = (window.seconds() * NANOS_PER_SECOND).div_ceil(limit.limit.max(1));
        let depth = u128::from(interval) * u128::from(limit.burst);
        let depth = u64::try_from(depth).unwrap_or(u64::MAX).min(DEPTH_MAX);
        Self { policy, limit: limit.limit, window_seconds: window.seconds(), interval, depth }
    }

    /// One of `gateways` equal parts of it. A part holds at least one request: a burst of fewer
    /// requests than there are gateways is then as many as there are gateways.
    #[inline]
    #[must_use]
    pub fn share(&self, gateways: u64) -> Self {
        let interval = self.interval.saturating_mul(gateways.max(1)).min(DEPTH_MAX);
        Self { interval, depth: self.depth.max(interval), ..*self }
    }

    /// Returns the time at which the bucket is full, if it has `left` requests at `now`.
    #[inline]
    pub fn full_at_with(&self, left: u64, now: u64) -> u64 {
        now.saturating_add(self.depth.saturating_sub(self.interval.saturating_mul(left)))
    }

    /// Requests per window.
    #[inline]
    pub const fn limit(&self) -> u64 {
        self.limit
    }

    /// Requests that may come at once.
    #[inline]
    pub const fn burst(&self) -> u64 {
        self.depth / self.interval
    }

    /// Nanoseconds in which one request refills.
    #[inline]
    pub const fn interval(&self) -> u64 {
        self.interval
    }

    /// Nanoseconds in which the empty bucket refills.
    #[inline]
    pub const fn depth(&self) -> u64 {
        self.depth
    }

    /// A number that other terms do not have, but for a chance of no account.
    #[inline]
    pub const fn fingerprint(&self) -> u64 {
        let Self { limit, interval, depth, .. } = self;
        interval.rotate_left(40) ^ depth.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ limit.rotate_left(20) ^ 1
    }

    /// The window in microseconds.
    #[inline]
    pub const fn window_micros(&self) -> u64 {
        self.window_seconds * 1_000_000
    }

    /// Returns the state of the limit at `now`, if its bucket is full at `full_at`.
    #[inline]
    pub fn state(&self, full_at: u64, now: u64) -> LimitState {
        let missing = full_at.saturating_sub(now);
        LimitState {
            policy: self.policy,
            quota: self.limit,
            window_seconds: self.window_seconds,
            remaining: self.remaining(full_at, now),
            reset_seconds: missing.div_ceil(NANOS_PER_SECOND),
        }
    }

    /// Returns the state of the limit with `remaining` requests.
    #[inline]
    pub fn state_with(&self, remaining: u64) -> LimitState {
        let missing = self.depth.saturating_sub(self.interval.saturating_mul(remaining));
        LimitState {
            policy: self.policy,
            quota: self.limit,
            window_seconds: self.window_seconds,
            remaining,
            reset_seconds: missing.div_ceil(NANOS_PER_SECOND),
        }
    }

    /// Whole requests left at `now`, if the bucket is full at `full_at`.
    #[inline]
    pub const fn remaining(&self, full_at: u64, now: u64) -> u64 {
        self.depth.saturating_sub(full_at.saturating_sub(now)) / self.interval
    }

    /// Returns the time at which the bucket is full after one more request, if that is admitted
    /// now; else the nanoseconds to wait.
    #[inline]
    fn after_one(&self, full_at: u64, now: u64) -> Result<u64, u64> {
        let after = full_at.max(now).saturating_add(self.interval);
        match (after - now).checked_sub(self.depth) {
            None | Some(0) => Ok(after),
            Some(wait) => Err(wait),
        }
    }
}

impl RateCell {
    /// Returns the time at which the bucket is full again.
    #[inline]
    pub fn full_at(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Starts the bucket anew; returns when it would have been full.
    #[inline]
    pub fn replace(&self, full_at: u64) -> u64 {
        self.0.swap(full_at, Ordering::AcqRel)
    }

    /// Nanoseconds until one request may pass; 0 if it may now. Nothing is debited.
    #[inline]
    pub fn wait(&self, rate: &Rate, now: u64) -> u64 {
        rate.after_one(self.full_at(), now).err().unwrap_or(0)
    }

    /// Debits one request and returns when the bucket will be full; or debits nothing, if it may
    /// not pass.
    #[inline]
    pub fn debit(&self, rate: &Rate, now: u64) -> Option<u64> {
        let debited =
            self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |full_at| rate.after_one(full_at, now).ok());
        // The update cannot fail at this value: it succeeded a moment ago with the same one.
        debited.ok().and_then(|before| rate.after_one(before, now).ok())
    }

    /// Gives back a debit made `elapsed` nanoseconds ago.
    ///
    /// A bucket that was full, or would have been but for this debit, has refilled that much of it
    /// already: giving back the whole would let the same stretch of time refill it twice.
    #[inline]
    pub fn undo(&self, rate: &Rate, elapsed: u64) {
        self.give_back(rate.interval, elapsed);
    }

    /// The same for a request that refills in `interval` nanoseconds.
    #[inline]
    pub fn give_back(&self, interval: u64, elapsed: u64) {
        self.0.fetch_sub(interval.saturating_sub(elapsed), Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn window() -> impl Strategy<Value = RateWindow> {
        prop::sample::select(vec![RateWindow::Second, RateWindow::Minute, RateWindow::Hour, RateWindow::Day])
    }

    proptest! {
        #[test]
        fn any_window_admits_at_most_burst_plus_rate(
            window in window(),
            limit in 1_u64..2_000,
            burst in 1_u64..50,
            // Pauses as parts per thousand of the time in which one request refills.
            pauses in prop::collection::vec(prop_oneof![3 => Just(1_000_u64), 4 => 0_u64..1_500, 1 => 0_u64..60_000], 1..400),
        ) {
            let rate = Rate::new("test", window, RateLimit { limit, burst });
            let cell = RateCell::default();
            let (mut now, mut admitted) = (0_u64, Vec::new());
            for pause in pauses {
                now += u64::try_from(u128::from(rate.interval) * u128::from(pause) / 1_000).unwrap();
                let could = rate.state(cell.full_at(), now).remaining;
                let full_at = cell.debit(&rate, now);
                prop_assert_eq!(full_at.is_some(), could > 0, "remaining must be the truth");
                if let Some(full_at) = full_at {
                    prop_assert_eq!(rate.state(full_at, now).remaining, could - 1);
                    admitted.push(now);
                }
            }
            let window_nanos = u128::from(window.seconds() * NANOS_PER_SECOND);
            for (first, start) in admitted.iter().enumerate() {
                for (last, end) in admitted.iter().enumerate().skip(first) {
                    let count = (last - first + 1) as u128;
                    // count <= burst + limit * (end - start) / window, without rounding.
                    let most = u128::from(burst) * window_nanos + u128::from(limit) * u128::from(end - start);
                    prop_assert!(count * window_nanos <= most, "{count} in {} ns", end - start);
                }
            }
        }

        #[test]
        fn denied_request_passes_after_wait_and_not_before(
            window in window(),
            limit in 1_u64..1_000_000,
            burst in 1_u64..100,
        ) {
            let rate = Rate::new("test", window, RateLimit { limit, burst });
            let cell = RateCell::default();
            while cell.debit(&rate, 0).is_some() {}
            let wait = cell.wait(&rate, 0);
            prop_assert!(wait > 0);
            prop_assert!(cell.debit(&rate, wait - 1).is_none());
            prop_assert!(cell.debit(&rate, wait).is_some());
        }

        #[test]
        fn extreme_limits_neither_overflow_nor_refuse_all(
            window in window(),
            limit in 1_u64..=u64::MAX,
            burst in 1_u64..=u64::MAX,
            now in 0..u64::MAX / 4,
        ) {
            let rate = Rate::new("test", window, RateLimit { limit, burst });
            let cell = RateCell::default();
            prop_assert!(cell.debit(&rate, now).is_some());
            prop_assert!(rate.state(cell.full_at(), now).remaining < burst);
        }

        #[test]
        fn undone_debit_admits_nothing_extra(
            burst in 1_u64..5,
            steps in prop::collection::vec((0_u64..700_000_000, any::<bool>()), 1..100),
        ) {
            // Ten per second. Debits that are to be undone stay in the cell until the next step.
            let rate = Rate::new("test", RateWindow::Second, RateLimit { limit: 10, burst });
            let cell = RateCell::default();
            let (mut now, mut admitted, mut pending) = (0, Vec::new(), None);
            for (pause, undone) in steps {
                now += pause;
                let debited = cell.debit(&rate, now).is_some();
                if let Some(since) = pending.take() {
                    cell.undo(&rate, now - since);
                }
                match (debited, undone) {
                    (true, true) => pending = Some(now),
                    (true, false) => admitted.push(now),
                    (false, _) => {}
                }
            }
            for (first, start) in admitted.iter().enumerate() {
                for (last, end) in admitted.iter().enumerate().skip(first) {
                    prop_assert!((last - first + 1) as u64 * 100_000_000 <= burst * 100_000_000 + end - start);
                }
            }
        }
    }

    #[test]
    fn undone_debit_is_returned() {
        let rate = Rate::new("test", RateWindow::Second, RateLimit { limit: 10, burst: 1 });
        let cell = RateCell::default();
        assert!(cell.debit(&rate, 0).is_some());
        assert!(cell.debit(&rate, 0).is_none());
        cell.undo(&rate, 0);
        assert!(cell.debit(&rate, 0).is_some());
    }

    #[test]
    fn plan_change_does_not_refill_bucket() {
        let small = Rate::new("test", RateWindow::Day, RateLimit { limit: 10, burst: 10 });
        let large = Rate::new("test", RateWindow::Day, RateLimit { limit: 1_000, burst: 1_000 });
        let cell = RateCell::default();
        while cell.debit(&small, 0).is_some() {}
        assert!(cell.debit(&large, 0).is_none());
        assert!(cell.debit(&large, large.interval).is_some(), "it refills at the new rate");
    }
}
