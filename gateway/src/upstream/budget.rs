//! The budget of retries of an upstream: a part of the requests of the last seconds.
//!
//! Invariant: in each window, the retries are at most `percent` of the requests, or `least` if that
//! is more.

use std::sync::Mutex;

use super::window::Window;
use crate::{config::RetryBudget, lock::locked};

/// Requests and retries of the last seconds.
#[derive(Default)]
pub(super) struct Budget {
    requests: Window,
    retries: Mutex<Window>,
}

impl Budget {
    /// Counts a request that may be tried again.
    pub(super) fn count_request(&self, now_ms: u64) {
        self.requests.add(now_ms);
    }

    /// Takes one retry out of the budget. Returns false if none is left.
    pub(super) fn take_retry(&self, settings: &RetryBudget, now_ms: u64) -> bool {
        // Held only by requests that have failed.
        let retries = locked(&self.retries);
        let share = self.requests.sum(now_ms, settings.window_seconds) * settings.percent / 100;
        let is_left = retries.sum(now_ms, settings.window_seconds) < share.max(settings.least);
        if is_left {
            retries.add(now_ms);
        }
        is_left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: RetryBudget = RetryBudget { percent: 10, least: 3, window_seconds: 10 };

    fn taken(budget: &Budget, now_ms: u64) -> usize {
        (0..1_000).take_while(|_| budget.take_retry(&SETTINGS, now_ms)).count()
    }

    #[test]
    fn retries_are_a_part_of_the_requests_or_the_least_number() {
        let budget = Budget::default();
        assert_eq!(taken(&budget, 1_000), 3);
        assert_eq!(taken(&budget, 9_000), 0);
        (0..100).for_each(|_| budget.count_request(9_000));
        assert_eq!(taken(&budget, 9_000), 7);
        // The first three are forgotten, the seven of the ninth second are not.
        assert_eq!(taken(&budget, 11_000), 3);
        // So are the requests: the least number is left.
        assert_eq!(taken(&budget, 30_000), 3);
        let none = RetryBudget { least: 0, percent: 0, ..SETTINGS };
        assert!(!Budget::default().take_retry(&none, 1_000));
    }
}
