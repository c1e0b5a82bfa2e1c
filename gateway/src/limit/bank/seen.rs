//! What the bank last said of a limit, for those who are told how it stands.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::limit::rate::Rate;

const NANOS_PER_MILLI: u64 = 1_000_000;

/// Bits of the word that hold tokens. What is more than fits is told as what fits.
const TOKEN_BITS: u32 = 24;
const MOST: u64 = (1 << TOKEN_BITS) - 1;

/// What was left when the bank last answered.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Tokens at the bank and in this gateway's hand (24 bits), and when the call was sent (40 bits, milliseconds: 34
    /// years). Zero: it never answered.
    left: AtomicU64,
    /// Tokens at the bank.
    level: AtomicU64,
}

/// How a limit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// What is left for certain.
    pub remaining: u64,
    /// What is probably left, unless others have used much in the last moments.
    pub likely: u64,
}

impl Seen {
    /// The bank answered a call sent at `sent`: it has `level` tokens left, and this gateway holds `held`.
    pub(super) fn set(&self, level: u64, held: u64, sent: u64) {
        self.level.store(level, Ordering::Relaxed);
        let word = (sent / NANOS_PER_MILLI) << TOKEN_BITS | level.saturating_add(held).min(MOST);
        self.left.store(word, Ordering::Release);
    }

    /// What is left, if `in_hand` are in hand: certainly those, and what was left at the last answer but for the most
    /// that can have been admitted since. That is known if other limits apply to whatever this one applies to
    /// (`covers`): over every stretch of time, all gateways together admit no more than their burst and rate, and no more than
    /// another burst on top where something fails.
    pub(super) fn standing<'a>(
        &self,
        rate: &Rate,
        in_hand: u64,
        covers: impl Iterator<Item = &'a Rate>,
        now: u64,
    ) -> Standing {
        let word = self.left.load(Ordering::Acquire);
        if word == 0 {
            return Standing { remaining: in_hand, likely: in_hand };
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
        Standing { remaining, likely: likely.min(rate.burst()).max(remaining) }
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
    fn what_is_certain_is_in_hand_or_was_left_but_for_what_faster_limits_let_through() {
        let day = rate(RateWindow::Day, 200_000, 200_000);
        let second = rate(RateWindow::Second, 50, 50);
        let standing = |seen: &Seen, covers: &[Rate], now| seen.standing(&day, 3, covers.iter(), now);
        let seen = Seen::default();
        assert_eq!(standing(&seen, &[second], 0), Standing { remaining: 3, likely: 3 });
        seen.set(199_970, 10, SECOND);
        let told = standing(&seen, &[second], SECOND + SECOND / 2);
        assert_eq!(told, Standing { remaining: 199_980 - 2 * 50 - 25 - 1, likely: 199_970 + 1 + 3 });
        assert_eq!(standing(&seen, &[], SECOND + SECOND / 2).remaining, 3, "nothing bounds what others use");
        let later = standing(&seen, &[second], 10_000 * SECOND);
        assert_eq!(later, Standing { remaining: 3, likely: 200_000 }, "others may have used it all");
    }

    #[test]
    fn more_than_fits_is_told_as_what_fits() {
        let day = rate(RateWindow::Day, 1 << 40, 1 << 40);
        let second = rate(RateWindow::Second, 1, 1);
        let seen = Seen::default();
        seen.set(1 << 40, 5, 0);
        let told = seen.standing(&day, 0, [second].iter(), 0);
        assert_eq!((told.remaining, told.likely), (MOST - 3, 1 << 40));
    }
}
