//! Bounds on the time that a peer may keep a process waiting, without a timer for each request.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// A timer that is set anew only when it would ring too late.
///
/// Most deadlines are never reached: they are replaced by later ones. The timer keeps the earlier
/// time, and looks when it rings whether the deadline is still ahead.
#[derive(Debug, Default)]
pub struct Alarm(Option<Pin<Box<Sleep>>>);

/// The pace that a peer has to keep: each wait is bounded, and the sum of waits is bounded by the
/// bytes moved meanwhile.
#[derive(Debug)]
pub struct Pace {
    rate: Rate,
    waited: Duration,
    moved: u64,
    since: Option<Instant>,
    alarm: Alarm,
}

/// The slowest pace that is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Longest time in which nothing moves.
    pub patience: Duration,
    /// Bytes that have to move in each second of waiting beyond that.
    pub bytes_per_second: u64,
}

impl Alarm {
    /// Ready once the deadline has passed.
    pub fn poll(&mut self, deadline: Instant, context: &mut Context<'_>) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        loop {
            if sleep.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            if sleep.deadline() >= deadline || Instant::now() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }
}

impl Pace {
    /// The pace of a transfer that begins.
    pub const fn new(rate: Rate) -> Self {
        Self { rate, waited: Duration::ZERO, moved: 0, since: None, alarm: Alarm(None) }
    }

    /// Begins another transfer.
    pub const fn restart(&mut self) {
        self.waited = Duration::ZERO;
        self.moved = 0;
        self.since = None;
    }

    /// So many bytes have moved.
    pub fn moved(&mut self, bytes: usize) {
        self.moved += bytes as u64;
        if let Some(since) = self.since.take() {
            // Beyond its patience, nobody was looking: that time is not the peer's.
            self.waited += since.elapsed().min(self.rate.patience);
        }
    }

    /// Nothing moves at the moment: ready once that has lasted too long.
    pub fn poll_too_slow(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let since = *self.since.get_or_insert_with(Instant::now);
        self.alarm.poll(since + self.left(), context)
    }

    /// Time for which nothing may move from now on.
    fn left(&self) -> Duration {
        let earned = Duration::from_secs(self.moved / self.rate.bytes_per_second.max(1));
        (self.rate.patience + earned).saturating_sub(self.waited).min(self.rate.patience)
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, task::Waker};

    use super::*;

    const RATE: Rate = Rate { patience: Duration::from_secs(10), bytes_per_second: 100 };

    fn left_after(waited_seconds: u64, moved: u64) -> u64 {
        Pace { waited: Duration::from_secs(waited_seconds), moved, ..Pace::new(RATE) }.left().as_secs()
    }

    #[test]
    fn wait_is_bounded_each_time_and_in_total() {
        assert_eq!(left_after(0, 0), 10);
        assert_eq!(left_after(4, 1), 6);
        assert_eq!(left_after(9, 99), 1);
        assert_eq!(left_after(10, 99), 0);
        assert_eq!(left_after(10, 300), 3);
        assert_eq!(left_after(400, 40_000), 10);
        assert_eq!(left_after(0, u64::MAX), 10);
    }

    #[tokio::test]
    async fn alarm_rings_at_last_deadline() {
        let (mut alarm, start) = (Alarm::default(), Instant::now());
        let mut context = Context::from_waker(Waker::noop());
        assert!(alarm.poll(start + Duration::from_hours(1), &mut context).is_pending());
        for milliseconds in [20, 40, 30] {
            let deadline = start + Duration::from_millis(milliseconds);
            poll_fn(|context| alarm.poll(deadline, context)).await;
            assert!(Instant::now() >= deadline);
        }
    }

    #[tokio::test]
    async fn stalled_peer_is_too_slow() {
        let rate = Rate { patience: Duration::from_millis(20), bytes_per_second: 100 };
        let (mut pace, start) = (Pace::new(rate), Instant::now());
        let mut context = Context::from_waker(Waker::noop());
        assert!(pace.poll_too_slow(&mut context).is_pending());
        pace.moved(1);
        poll_fn(|context| pace.poll_too_slow(context)).await;
        assert!(start.elapsed() >= rate.patience);
    }
}
