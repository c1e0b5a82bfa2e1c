//! The limit on frames of a kind that a client may send: a burst, and so many a second beyond.

use std::time::Instant;

/// Bytes sent to the client that earn it one more frame: who receives much has much to acknowledge.
const BYTES_PER_FRAME: u64 = 64;

/// A budget of frames.
#[derive(Debug)]
pub(super) struct Budget {
    left: u32,
    burst: u32,
    per_second: u32,
    filled_at: Instant,
}

impl Budget {
    pub(super) fn new(burst: u32, per_second: u32) -> Self {
        Self { left: burst, burst, per_second, filled_at: Instant::now() }
    }

    /// Takes one frame; false if that is one too many. `earned`: bytes sent to the client since the
    /// budget was last filled, reset once they count.
    pub(super) fn take(&mut self, earned: &mut u64) -> bool {
        if self.left == 0 {
            self.fill(Instant::now(), earned);
        }
        let is_left = self.left > 0;
        self.left = self.left.saturating_sub(1);
        is_left
    }

    /// The clock is read only when the budget is spent.
    fn fill(&mut self, now: Instant, earned: &mut u64) {
        let seconds = now.saturating_duration_since(self.filled_at).as_secs_f64();
        let by_time = seconds * f64::from(self.per_second);
        let by_bytes = std::mem::take(earned) / BYTES_PER_FRAME;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float saturates")]
        let by_time = by_time as u64;
        let filled = by_time.saturating_add(by_bytes).min(u64::from(self.burst));
        self.left = u32::try_from(filled).unwrap_or(self.burst);
        self.filled_at = now;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn burst_is_allowed_and_then_only_the_rate() {
        let mut budget = Budget::new(10, 5);
        let mut earned = 0;
        assert!((0..10).all(|_| budget.take(&mut earned)));
        assert!(!budget.take(&mut earned));
        budget.fill(budget.filled_at + Duration::from_secs(1), &mut earned);
        assert_eq!(budget.left, 5);
        budget.fill(budget.filled_at + Duration::from_hours(1), &mut earned);
        assert_eq!(budget.left, 10);
    }

    #[test]
    fn bytes_sent_earn_frames_once() {
        let mut budget = Budget::new(10, 0);
        let mut earned = 0;
        assert!((0..10).all(|_| budget.take(&mut earned)));
        earned = 3 * BYTES_PER_FRAME + 1;
        assert!((0..3).all(|_| budget.take(&mut earned)));
        assert!(!budget.take(&mut earned));
        assert_eq!(earned, 0);
    }
}
