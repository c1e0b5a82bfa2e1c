//! An estimate of what is left of a limit, made from the bank's last answer and shown to clients.

use std::sync::atomic::{AtomicU64, Ordering};

use common::limit::Rate;

const NANOS_PER_MILLI: u64 = 1_000_000;

/// Bits of the word that hold tokens. A larger number counts as the largest that fits.
const TOKEN_BITS: u32 = 24;
const MOST: u64 = (1 << TOKEN_BITS) - 1;

/// Tokens that were left when the bank last answered.
#[derive(Debug, Default)]
pub(super) struct LastLevel {
    /// Tokens at the bank and in this gateway's hand (24 bits), and the instant at which the call
    /// was sent (40 bits, milliseconds: 34 years). Zero before the first answer.
    left: AtomicU64,
    /// Tokens at the bank.
    level: AtomicU64,
}

/// Tokens left of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// Tokens that are certainly left.
    pub remaining: u64,
    /// Tokens that are probably left, unless other gateways used many since the last answer.
    pub likely: u64,
}

impl LastLevel {
    /// Stores the answer to a call sent at `sent`: `level` tokens are left at the bank, `held` at
    /// this gateway.
    pub(super) fn set(&self, level: u64, held: u64, sent: u64) {
        self.level.store(level, Ordering::Relaxed);
        let word = (sent / NANOS_PER_MILLI) << TOKEN_BITS | level.saturating_add(held).min(MOST);
        self.left.store(word, Ordering::Release);
    }

    /// Estimates what is left, with `in_hand` tokens in hand. Certainly left are the tokens in
    /// hand, and those left at the last answer less the most that all gateways can have admitted
    /// since. That is bounded by the limits `covers`, which apply to every request that this limit
    /// applies to: at most burst + rate x time, and another burst where something failed.
    pub(super) fn estimate<'a>(
        &self,
        rate: &Rate,
        in_hand: u64,
        covers: impl Iterator<Item = &'a Rate>,
        now: u64,
    ) -> Estimate {
        let word = self.left.load(Ordering::Acquire);
        if word == 0 {
            return Estimate { remaining: in_hand, likely: in_hand };
        }
        let since = now.saturating_sub((word >> TOKEN_BITS) * NANOS_PER_MILLI);
        let most = |rate: &Rate| {
            let bursts = rate.burst().saturating_mul(2);
            bursts.saturating_add(since / rate.interval().max(1)).saturating_add(1)
        };
        let certain = covers.map(most).min().map_or(0, |most| (word & MOST).saturating_sub(most));
        let refilled = since / rate.interval().max(1);
        let likely = self.level.load(Ordering::Relaxed).saturating_add(refilled).saturating_add(in_hand);
        let remaining = in_hand.max(certain);
        Estimate { remaining, likely: likely.min(rate.burst()).max(remaining) }
    }
}

#[cfg(test)]
mod tests {
    use common::plan::{RateLimit, RateWindow};

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn rate(window: RateWindow, limit: u64, burst: u64) -> Rate {
        Rate::new("test", window, RateLimit { limit, burst })
    }

    #[test]
    fn certain_remainder_is_in_hand_or_bounded_by_faster_limits() {
        let day = rate(RateWindow::Day, 200_000, 200_000);
        let second = rate(RateWindow::Second, 50, 50);
        let estimate = |last_level: &LastLevel, covers: &[Rate], now| last_level.estimate(&day, 3, covers.iter(), now);
        let last_level = LastLevel::default();
        assert_eq!(estimate(&last_level, &[second], 0), Estimate { remaining: 3, likely: 3 });
        last_level.set(199_970, 10, SECOND);
        let estimated = estimate(&last_level, &[second], SECOND + SECOND / 2);
        assert_eq!(estimated, Estimate { remaining: 199_980 - 2 * 50 - 25 - 1, likely: 199_970 + 1 + 3 });
        assert_eq!(estimate(&last_level, &[], SECOND + SECOND / 2).remaining, 3, "nothing bounds what others use");
        let later = estimate(&last_level, &[second], 10_000 * SECOND);
        assert_eq!(later, Estimate { remaining: 3, likely: 200_000 }, "others may have used it all");
    }

    #[test]
    fn larger_number_counts_as_the_largest_that_fits() {
        let day = rate(RateWindow::Day, 1 << 40, 1 << 40);
        let second = rate(RateWindow::Second, 1, 1);
        let last_level = LastLevel::default();
        last_level.set(1 << 40, 5, 0);
        let estimated = last_level.estimate(&day, 0, [second].iter(), 0);
        assert_eq!((estimated.remaining, estimated.likely), (MOST - 3, 1 << 40));
    }
}
