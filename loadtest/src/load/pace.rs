//! Pace of the requests.

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use nix::sys::{
    time::TimeSpec,
    timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
};
use tokio::sync::Semaphore;

use super::{Load, Stages};

/// Shortest time between two wake-ups; at higher rates, several requests become due at once.
const TICK_MIN: Duration = Duration::from_micros(20);

/// Pace of the requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// On each connection, the next as soon as the last is answered.
    Closed,
    /// At a fixed rate, whatever the server does, on whichever connection is free.
    Open {
        /// Requests per second, over all connections.
        per_second: u32,
    },
}

/// A request that is due.
pub(super) struct Due {
    /// Counts from 0.
    pub(super) number: u64,
    /// The moment from which its latency runs.
    pub(super) since: Instant,
}

/// Hands out the requests of one run.
pub(super) struct Schedule {
    start: Instant,
    deadline: Instant,
    /// Lowered when the run is ended early.
    max_requests: AtomicU64,
    per_second: Option<u32>,
    taken: AtomicU64,
    due: Semaphore,
    stages: Stages,
}

impl Schedule {
    pub(super) fn new(load: &Load) -> Self {
        let start = Instant::now();
        let per_second = match load.pace {
            Pace::Closed => None,
            Pace::Open { per_second } => Some(per_second),
        };
        let by_time = per_second.map_or(u64::MAX, |rate| due_after(load.duration, rate).max(1));
        Self {
            start,
            deadline: start + load.duration,
            max_requests: AtomicU64::new(load.max_requests.unwrap_or(u64::MAX).min(by_time)),
            per_second,
            taken: AtomicU64::new(0),
            due: Semaphore::new(0),
            stages: load.stages.clone(),
        }
    }

    pub(super) fn start(&self) -> Instant {
        self.start
    }

    /// The next request, once it is due; none once the run is over.
    pub(super) async fn next(&self) -> Option<Due> {
        let Some(rate) = self.per_second else {
            let now = Instant::now();
            let goes_on = now < self.deadline && !self.stages.are_over();
            let number = goes_on.then(|| self.taken.fetch_add(1, Ordering::Relaxed))?;
            return (number < self.most()).then_some(Due { number, since: now });
        };
        self.due.acquire().await.ok()?.forget();
        let number = self.taken.fetch_add(1, Ordering::SeqCst);
        if number + 1 >= self.most() {
            self.due.close();
        }
        Some(Due { number, since: self.start + due_time(number, rate) })
    }

    /// Requests that became due and were never sent: every connection was busy until the end.
    pub(super) fn unsent(&self) -> u64 {
        let taken = self.taken.load(Ordering::Relaxed);
        self.per_second.map_or(0, |_| self.most().saturating_sub(taken))
    }

    /// Lets requests become due as time passes, until the last one is or the run is over. Blocks
    /// its thread: the runtime's own timers tick in milliseconds, and that would be counted as
    /// latency.
    pub(super) fn keep_time(&self) -> io::Result<()> {
        let Some(rate) = self.per_second else { return Ok(()) };
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC)?;
        let period = (Duration::from_secs(1) / rate).max(TICK_MIN);
        timer.set(Expiration::Interval(TimeSpec::from_duration(period)), TimerSetTimeFlags::empty())?;
        let mut released = 0;
        while released < self.most() && !self.due.is_closed() {
            if self.stages.are_over() {
                self.end_at(released);
                break;
            }
            let due = (due_after(self.start.elapsed(), rate) + 1).min(self.most());
            self.due.add_permits(usize::try_from(due - released).unwrap_or(0));
            released = due;
            timer.wait()?;
        }
        Ok(())
    }

    /// Of the requests, only the first `released` are ever due. Whoever takes the last one closes
    /// the loop: either it sees the new end, or it was taken before this looks.
    fn end_at(&self, released: u64) {
        self.max_requests.store(released, Ordering::SeqCst);
        if self.taken.load(Ordering::SeqCst) >= released {
            self.due.close();
        }
    }

    fn most(&self) -> u64 {
        self.max_requests.load(Ordering::SeqCst)
    }

    /// Returns true if requests become due as time passes.
    pub(super) fn is_open_loop(&self) -> bool {
        self.per_second.is_some()
    }

    /// Ends the open loop: no request becomes due any more.
    pub(super) fn close(&self) {
        self.due.close();
    }
}

/// Number of whole periods of `rate` in `elapsed`.
fn due_after(elapsed: Duration, rate: u32) -> u64 {
    u64::try_from(elapsed.as_nanos() * u128::from(rate) / 1_000_000_000).unwrap_or(u64::MAX)
}

/// Time from the start until request `number` is due.
fn due_time(number: u64, rate: u32) -> Duration {
    let nanos = u128::from(number) * 1_000_000_000 / u128::from(rate);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_loop_requests_are_due_evenly_and_never_early() {
        for rate in [1, 3, 2_000, 999_983] {
            for number in [0, 1, 7, 1_000_003] {
                let due = due_time(number, rate);
                let rounding = Duration::from_nanos(1);
                assert_eq!(due_after(due + rounding, rate), number, "{rate} {number}");
                assert!(number == 0 || due_after(due.saturating_sub(rounding), rate) < number, "{rate} {number}");
            }
        }
    }
}
