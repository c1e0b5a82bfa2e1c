//! The circuit breaker of an upstream: requests are refused at once while nearly all of them would
//! fail, or while too many are in progress.
//!
//! Closed, it counts requests and failures. Once enough of them fail, it opens and refuses
//! everything. When its time is over, it is half open: a few trials go through. If all of them are
//! served, it closes; if one fails, it opens for twice as long.
//!
//! Invariants: a closed breaker takes no lock; of the trials of a half-open one, no more than
//! `trials` are in progress; a request that was let through before the breaker opened decides about
//! no trial.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use tracing::{info, warn};

use super::{
    Upstream,
    window::{Window, now_ms},
};
use crate::{config::BreakerSettings, lock::locked};

/// State of a breaker for operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// Requests go through.
    Closed,
    /// A few requests go through on trial.
    HalfOpen,
    /// Requests are refused.
    Open,
}

/// The breaker of one upstream. It outlives changes of the configuration.
#[derive(Default)]
pub(super) struct Breaker {
    /// End of the time for which it is open, in milliseconds of [`now_ms`]; 0 while it is closed.
    open_until: AtomicU64,
    in_flight: AtomicU64,
    requests: Window,
    failures: Window,
    /// Requests that were refused.
    refused: AtomicU64,
    trials: Mutex<Trials>,
}

/// The trials of a breaker that is open.
#[derive(Default)]
struct Trials {
    /// Number of times that it has opened; tells the trials of one time from those of another.
    opened: u64,
    /// Number of times in a row.
    in_a_row: u32,
    in_progress: u32,
    good: u32,
}

/// The outcome of an opening or closing, for the log.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    Opened { for_ms: u64, failures: u64, requests: u64 },
    Closed,
}

/// A request that was let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Admitted {
    /// The time in which it is a trial.
    trial: Option<u64>,
}

/// A request that the breaker of its upstream has let through, until the request ends.
pub(crate) struct Passage {
    upstream: Arc<Upstream>,
    admitted: Admitted,
    is_decided: bool,
}

/// A request that the breaker has refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BreakerOpen {
    /// Seconds after which a request can succeed.
    pub(crate) retry_after_seconds: u64,
    /// True if too many requests are in progress, and the upstream is well otherwise.
    pub(crate) is_busy: bool,
}

impl Breaker {
    fn admit(&self, settings: &BreakerSettings, now_ms: u64) -> Result<Admitted, BreakerOpen> {
        let refused = |for_ms: u64, is_busy: bool| {
            self.refused.fetch_add(1, Ordering::Relaxed);
            BreakerOpen { retry_after_seconds: for_ms.div_ceil(1_000).max(1), is_busy }
        };
        let open_until = self.open_until.load(Ordering::Acquire);
        if now_ms < open_until {
            return Err(refused(open_until - now_ms, false));
        }
        let in_flight = self.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        if settings.most_in_flight.is_some_and(|most| in_flight > most) {
            self.in_flight.fetch_sub(1, Ordering::Relaxed);
            return Err(refused(1_000, true));
        }
        if open_until == 0 {
            return Ok(Admitted { trial: None });
        }
        let mut trials = locked(&self.trials);
        match self.open_until.load(Ordering::Acquire) {
            // Another trial has closed it meanwhile.
            0 => return Ok(Admitted { trial: None }),
            until if now_ms >= until && trials.in_progress + trials.good < settings.trials => {
                trials.in_progress += 1;
                return Ok(Admitted { trial: Some(trials.opened) });
            }
            _ => {}
        }
        drop(trials);
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        Err(refused(1_000, false))
    }

    /// Takes the outcome of a request.
    fn decide(&self, settings: &BreakerSettings, admitted: Admitted, is_good: bool, now_ms: u64) -> Option<Change> {
        match admitted.trial {
            Some(time) => self.decide_trial(settings, time, is_good, now_ms),
            None if self.open_until.load(Ordering::Acquire) != 0 => None,
            None => self.count(settings, is_good, now_ms),
        }
    }

    fn count(&self, settings: &BreakerSettings, is_good: bool, now_ms: u64) -> Option<Change> {
        let percent = settings.error_percent?;
        self.requests.add(now_ms);
        if is_good {
            return None;
        }
        self.failures.add(now_ms);
        let window = settings.window_seconds;
        let (requests, failures) = (self.requests.sum(now_ms, window), self.failures.sum(now_ms, window));
        if requests < settings.least_requests || failures * 100 < requests * u64::from(percent) {
            return None;
        }
        let mut trials = locked(&self.trials);
        // Another thread may have opened it already.
        (self.open_until.load(Ordering::Acquire) == 0)
            .then(|| self.open(settings, &mut trials, failures, requests, now_ms))
    }

    fn decide_trial(&self, settings: &BreakerSettings, time: u64, is_good: bool, now_ms: u64) -> Option<Change> {
        let mut trials = locked(&self.trials);
        if trials.opened != time || self.open_until.load(Ordering::Acquire) == 0 {
            return None;
        }
        trials.in_progress = trials.in_progress.saturating_sub(1);
        if !is_good {
            return Some(self.open(settings, &mut trials, 1, 1, now_ms));
        }
        trials.good += 1;
        if trials.good < settings.trials {
            return None;
        }
        *trials = Trials { opened: trials.opened, ..Trials::default() };
        self.requests.clear();
        self.failures.clear();
        self.open_until.store(0, Ordering::Release);
        Some(Change::Closed)
    }

    fn open(
        &self,
        settings: &BreakerSettings,
        trials: &mut Trials,
        failures: u64,
        requests: u64,
        now_ms: u64,
    ) -> Change {
        let time = settings.open.saturating_mul(1 << trials.in_a_row.min(16)).min(settings.most_open);
        let for_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        *trials = Trials { opened: trials.opened + 1, in_a_row: trials.in_a_row + 1, ..Trials::default() };
        self.open_until.store(now_ms.saturating_add(for_ms), Ordering::Release);
        Change::Opened { for_ms, failures, requests }
    }

    /// The request has ended; if it decided nothing, another may be tried in its place.
    fn release(&self, admitted: Admitted, is_decided: bool) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        if let (Some(time), false) = (admitted.trial, is_decided) {
            let mut trials = locked(&self.trials);
            if trials.opened == time {
                trials.in_progress = trials.in_progress.saturating_sub(1);
            }
        }
    }

    pub(super) fn state(&self, now_ms: u64) -> BreakerState {
        match self.open_until.load(Ordering::Acquire) {
            0 => BreakerState::Closed,
            until if now_ms < until => BreakerState::Open,
            _ => BreakerState::HalfOpen,
        }
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Number of times that it has opened.
    pub(super) fn opened(&self) -> u64 {
        locked(&self.trials).opened
    }
}

impl Upstream {
    /// Lets a request through, unless the upstream's breaker is open. None if it has no breaker.
    pub(crate) fn pass(self: &Arc<Self>) -> Result<Option<Passage>, BreakerOpen> {
        let Some(settings) = &self.settings().breaker else { return Ok(None) };
        let admitted = self.shared().breaker.admit(settings, now_ms())?;
        Ok(Some(Passage { upstream: Arc::clone(self), admitted, is_decided: false }))
    }
}

impl Passage {
    /// The upstream has answered with this status.
    pub(crate) fn answered(&mut self, status: u16) {
        let is_bad = |settings: &BreakerSettings| settings.statuses.covers(status);
        self.decide(!self.upstream.settings().breaker.as_ref().is_some_and(is_bad));
    }

    /// The upstream has begun an answer that may last for hours. A trial does not wait for its end.
    pub(crate) fn begun(&mut self) {
        if self.admitted.trial.is_some() {
            self.decide(true);
        }
    }

    /// The upstream has not answered properly.
    pub(crate) fn failed(&mut self) {
        self.decide(false);
    }

    /// Only the first outcome counts.
    fn decide(&mut self, is_good: bool) {
        let Some(settings) = &self.upstream.settings().breaker else { return };
        if std::mem::replace(&mut self.is_decided, true) {
            return;
        }
        let change = self.upstream.shared().breaker.decide(settings, self.admitted, is_good, now_ms());
        let upstream = &*self.upstream.settings().name;
        match change {
            None => {}
            Some(Change::Opened { for_ms, failures, requests }) => {
                warn!(event = "breaker_opened", upstream, open_ms = for_ms, failures, requests);
            }
            Some(Change::Closed) => info!(event = "breaker_closed", upstream),
        }
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        self.upstream.shared().breaker.release(self.admitted, self.is_decided);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::Statuses;

    fn settings() -> BreakerSettings {
        BreakerSettings {
            most_in_flight: None,
            error_percent: Some(50),
            least_requests: 10,
            window_seconds: 10,
            open: Duration::from_secs(5),
            most_open: Duration::from_secs(15),
            trials: 2,
            statuses: Statuses::default(),
        }
    }

    /// A request that ends like this at once.
    fn request(breaker: &Breaker, settings: &BreakerSettings, is_good: bool, now_ms: u64) -> Option<Change> {
        let admitted = breaker.admit(settings, now_ms).unwrap();
        let change = breaker.decide(settings, admitted, is_good, now_ms);
        breaker.release(admitted, true);
        change
    }

    /// A breaker that has opened at one second, for five.
    fn opened(settings: &BreakerSettings) -> Breaker {
        let breaker = Breaker::default();
        (0..9).for_each(|_| assert_eq!(request(&breaker, settings, false, 1_000), None));
        let opens = Change::Opened { for_ms: 5_000, failures: 10, requests: 10 };
        assert_eq!(request(&breaker, settings, false, 1_000), Some(opens));
        breaker
    }

    #[test]
    fn breaker_opens_once_the_part_of_failures_is_reached_among_enough_requests() {
        let (breaker, settings) = (Breaker::default(), settings());
        (0..20).for_each(|_| assert_eq!(request(&breaker, &settings, true, 1_000), None));
        (0..19).for_each(|_| assert_eq!(request(&breaker, &settings, false, 5_000), None));
        assert_eq!(breaker.state(5_000), BreakerState::Closed);
        assert!(matches!(request(&breaker, &settings, false, 5_000), Some(Change::Opened { failures: 20, .. })));
        assert_eq!((breaker.state(5_000), breaker.state(9_999)), (BreakerState::Open, BreakerState::Open));
        let refused = breaker.admit(&settings, 6_500).unwrap_err();
        assert_eq!(refused, BreakerOpen { retry_after_seconds: 4, is_busy: false });
        assert_eq!((breaker.refused(), breaker.opened()), (1, 1));
    }

    #[test]
    fn failures_that_are_long_ago_do_not_count() {
        let (breaker, settings) = (Breaker::default(), settings());
        (0..9).for_each(|_| assert_eq!(request(&breaker, &settings, false, 1_000), None));
        (0..9).for_each(|_| assert_eq!(request(&breaker, &settings, false, 20_000), None));
        assert_eq!(breaker.state(20_000), BreakerState::Closed);
    }

    #[test]
    fn half_open_breaker_closes_after_good_trials_and_lets_no_more_through_until_then() {
        let settings = settings();
        let breaker = opened(&settings);
        assert_eq!(breaker.state(6_000), BreakerState::HalfOpen);
        let trials = [breaker.admit(&settings, 6_000).unwrap(), breaker.admit(&settings, 6_000).unwrap()];
        assert!(breaker.admit(&settings, 6_000).is_err());
        assert_eq!(breaker.decide(&settings, trials[0], true, 6_100), None);
        assert!(breaker.admit(&settings, 6_100).is_err());
        assert_eq!(breaker.decide(&settings, trials[1], true, 6_200), Some(Change::Closed));
        for trial in trials {
            breaker.release(trial, true);
        }
        assert_eq!(breaker.state(6_200), BreakerState::Closed);
        // Earlier failures are forgotten.
        assert_eq!(request(&breaker, &settings, false, 6_300), None);
    }

    #[test]
    fn trial_that_fails_opens_the_breaker_for_twice_as_long_up_to_the_longest_time() {
        let settings = settings();
        let breaker = opened(&settings);
        for (at, for_ms) in [(6_000, 10_000), (16_000, 15_000), (31_000, 15_000)] {
            let change = request(&breaker, &settings, false, at);
            assert_eq!(change, Some(Change::Opened { for_ms, failures: 1, requests: 1 }), "{at}");
        }
    }

    #[test]
    fn request_from_before_the_opening_decides_no_trial() {
        let settings = settings();
        let breaker = Breaker::default();
        let early = breaker.admit(&settings, 1_000).unwrap();
        for _ in 0..10 {
            request(&breaker, &settings, false, 1_000);
        }
        let trial = breaker.admit(&settings, 6_000).unwrap();
        assert_eq!(breaker.decide(&settings, early, false, 6_000), None);
        assert_eq!(breaker.state(6_000), BreakerState::HalfOpen);
        // It opens again; the trial of the first time is late.
        let other = breaker.admit(&settings, 6_000).unwrap();
        assert!(breaker.decide(&settings, other, false, 6_000).is_some());
        assert_eq!(breaker.decide(&settings, trial, true, 6_001), None);
        assert_eq!(breaker.state(6_001), BreakerState::Open);
    }

    #[test]
    fn trial_without_an_outcome_makes_room_for_another() {
        let settings = settings();
        let breaker = opened(&settings);
        let trials = [breaker.admit(&settings, 6_000).unwrap(), breaker.admit(&settings, 6_000).unwrap()];
        assert!(breaker.admit(&settings, 6_000).is_err());
        breaker.release(trials[0], false);
        assert!(breaker.admit(&settings, 6_000).is_ok());
    }

    #[test]
    fn requests_in_progress_are_limited_and_a_refused_one_takes_no_place() {
        let settings = BreakerSettings { most_in_flight: Some(2), error_percent: None, ..settings() };
        let breaker = Breaker::default();
        let admitted = [breaker.admit(&settings, 1).unwrap(), breaker.admit(&settings, 1).unwrap()];
        for _ in 0..3 {
            assert!(breaker.admit(&settings, 1).unwrap_err().is_busy);
        }
        // Failures open nothing without `error_percent`.
        assert_eq!(breaker.decide(&settings, admitted[0], false, 1), None);
        breaker.release(admitted[0], true);
        assert!(breaker.admit(&settings, 1).is_ok());
    }
}
