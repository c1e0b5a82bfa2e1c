//! Admissions beyond a limit, as far as a client can prove them.
//!
//! A client knows of a request when it was sent and when its answer was here; it was admitted at
//! some moment between. So it counts in a window only if it was both sent and answered within: then
//! it was admitted within, whatever that moment was. A window that counts more requests than the
//! limit allows for its length is thus a proof, and one that does not is none of the opposite: a
//! request that overlaps the window's ends is counted as if it were admitted outside.
//!
//! Windows that begin when a request is sent and end when an answer is here suffice: every other
//! one has such a window within that counts the same and is no longer.

use std::time::Instant;

use crate::load::Exchange;

/// A bucket that holds `burst` and refills at `rate` per second, with what a fault allows on top.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bound {
    pub(super) rate: f64,
    pub(super) burst: f64,
    pub(super) on_top: Option<OnTop>,
}

/// So many requests more, in windows that touch this time.
#[derive(Debug, Clone, Copy)]
pub(super) struct OnTop {
    pub(super) requests: f64,
    pub(super) from: Instant,
    pub(super) until: Instant,
}

impl Bound {
    fn allows(&self, from: Instant, until: Instant) -> f64 {
        let on_top = self.on_top.filter(|on_top| from <= on_top.until && on_top.from <= until);
        let seconds = until.saturating_duration_since(from).as_secs_f64();
        self.burst + self.rate * seconds + on_top.map_or(0.0, |on_top| on_top.requests)
    }

    /// Requests above the bound in the worst of all windows; 0 if no window exceeds it.
    pub(super) fn exceeded_by(&self, admitted: &[Exchange]) -> f64 {
        let mut by_end = admitted.to_vec();
        by_end.sort_by_key(|exchange| exchange.received);
        let worst_from = |begin: Instant| {
            let within = by_end.iter().filter(|exchange| exchange.sent >= begin).zip(1_u32..);
            within.map(|(last, count)| f64::from(count) - self.allows(begin, last.received)).fold(0.0, f64::max)
        };
        admitted.iter().map(|first| worst_from(first.sent)).fold(0.0, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const BOUND: Bound = Bound { rate: 10.0, burst: 5.0, on_top: None };

    /// Requests by the milliseconds at which they were sent and answered.
    fn exchanges(start: Instant, times: impl IntoIterator<Item = (u64, u64)>) -> Vec<Exchange> {
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let exchange =
            |(sent, received)| Exchange { due: at(sent), sent: at(sent), received: at(received), status: 200 };
        times.into_iter().map(exchange).collect()
    }

    #[test]
    fn requests_within_a_window_are_counted() {
        let start = Instant::now();
        // Nine within 200 ms, which 5 + 2 are allowed in; a long quiet time before does not excuse
        // them.
        let burst = (0..9).map(|number| (10_000 + number, 10_200));
        let admitted = exchanges(start, burst.chain([(0, 1)]));
        assert!((BOUND.exceeded_by(&admitted) - 2.0).abs() < 1e-9);
    }

    #[test]
    fn requests_across_a_window_end_are_not_counted() {
        let start = Instant::now();
        let early = (0..5).map(|_| (0, 1_000));
        let late = (0..5).map(|_| (999, 1_500));
        assert!(BOUND.exceeded_by(&exchanges(start, early.chain(late))) <= 0.0);
    }

    #[test]
    fn fault_raises_the_bound_of_the_windows_that_touch_it() {
        let start = Instant::now();
        let admitted = exchanges(start, (0..8).map(|_| (1_000, 1_000)));
        let bound = |from, until| {
            let at = |milliseconds| start + Duration::from_millis(milliseconds);
            Bound { on_top: Some(OnTop { requests: 3.0, from: at(from), until: at(until) }), ..BOUND }
        };
        assert!(bound(900, 1_100).exceeded_by(&admitted) <= 0.0);
        assert!((bound(0, 999).exceeded_by(&admitted) - 3.0).abs() < 1e-9);
        assert!((bound(1_001, 2_000).exceeded_by(&admitted) - 3.0).abs() < 1e-9);
    }

    proptest! {
        /// A bucket admits; when its client sends and hears of it is arbitrary.
        #[test]
        fn exact_bucket_never_exceeds_the_bound(arrivals in prop::collection::vec((0..400_u64, 0..50_u64, 0..50_u64), 1..200)) {
            let (mut level, mut now) = (BOUND.burst, 100);
            let mut admitted = Vec::new();
            for (pause, before, after) in arrivals {
                now += pause;
                level = (level + BOUND.rate * pause as f64 / 1e3).min(BOUND.burst);
                if level >= 1.0 {
                    level -= 1.0;
                    admitted.push((now - before, now + after));
                }
            }
            prop_assert!(BOUND.exceeded_by(&exchanges(Instant::now(), admitted)) < 1e-6);
        }

        /// All that fits, each heard of at once, and one more.
        #[test]
        fn one_request_too_many_exceeds_the_bound(quiet in 0..5_000_u64, refilled in 0..200_u64) {
            let fits = std::iter::repeat_n(0, 5).chain(1..=refilled);
            let times = fits.chain([refilled]).map(|tenths| quiet + 100 * tenths);
            let excess = BOUND.exceeded_by(&exchanges(Instant::now(), times.map(|time| (time, time))));
            prop_assert!((excess - 1.0).abs() < 1e-6);
        }
    }
}
