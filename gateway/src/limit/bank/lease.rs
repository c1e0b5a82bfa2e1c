//! A lease: the tokens that a gateway holds of one limit and the instant at which they lapse, in
//! one atomic word.
//!
//! The request path only takes tokens; the bank's worker reports and adds them.
//!
//! Invariant: no token exists twice. A request that another limit refuses puts its token back only
//! if no report came in between: the bank already counts a token that was missing in a report as
//! spent, so it is forfeited.

use std::sync::atomic::{AtomicU64, Ordering};

/// Most tokens in hand: the largest number of 24 bits.
pub(super) const MOST: u64 = (1 << 24) - 1;

/// The word: tokens (24 bits), reports (8 bits, wrapping), lapses (32 bits, milliseconds,
/// wrapping).
#[derive(Debug, Default)]
pub(super) struct Lease(AtomicU64);

/// Milliseconds of the monotonic clock, modulo 2^32 (49 days). A lease lasts one second and the
/// next report empties a lapsed one, so that no old lease becomes valid again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tick(u32);

#[derive(Clone, Copy)]
struct Word {
    tokens: u64,
    reports: u8,
    lapses: Tick,
}

/// Receipt for one token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Taken {
    reports: u8,
    /// Tokens left in hand.
    pub(super) left: u64,
}

impl Lease {
    /// Takes one token, if the lease is valid and at least `keep` tokens stay in hand.
    pub(super) fn take(&self, now: Tick, keep: u64) -> Option<Taken> {
        let mut taken = None;
        let _ = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
            let word = Word::from(word);
            taken = (word.is_valid(now) && word.tokens > keep)
                .then(|| Taken { reports: word.reports, left: word.tokens - 1 });
            taken.map(|taken| Word { tokens: taken.left, ..word }.into())
        });
        taken
    }

    /// Tokens that can be taken at `now`.
    pub(super) fn in_hand(&self, now: Tick) -> u64 {
        let word = Word::from(self.0.load(Ordering::Acquire));
        if word.is_valid(now) { word.tokens } else { 0 }
    }

    /// Puts one token back, unless a report came in between.
    pub(super) fn put_back(&self, taken: Taken) {
        let _ = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
            let word = Word::from(word);
            (word.reports == taken.reports && word.tokens < MOST)
                .then(|| Word { tokens: word.tokens + 1, ..word }.into())
        });
    }

    /// Lowers the tokens in hand to `most`. Returns the tokens kept and the tokens to give back to
    /// the bank; lapsed tokens are dropped. Tokens taken before this call cannot be put back any
    /// more.
    pub(super) fn report(&self, now: Tick, most: u64) -> (u64, u64) {
        let (mut held, mut returned) = (0, 0);
        let _ = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
            let word = Word::from(word);
            let in_hand = if word.is_valid(now) { word.tokens } else { 0 };
            held = in_hand.min(most);
            returned = in_hand - held;
            Some(Word { tokens: held, reports: word.reports.wrapping_add(1), ..word }.into())
        });
        (held, returned)
    }

    /// Adds granted tokens. All tokens in hand lapse at `lapses` from now on.
    pub(super) fn add(&self, granted: u64, lapses: Tick) {
        let _ = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
            let word = Word::from(word);
            Some(Word { tokens: word.tokens.saturating_add(granted).min(MOST), lapses, ..word }.into())
        });
    }
}

impl Tick {
    pub(super) fn of_nanos(nanos: u64) -> Self {
        Self(low(nanos / 1_000_000))
    }

    /// Returns true if this instant lies after `now`.
    fn is_after(self, now: Self) -> bool {
        self.0.wrapping_sub(now.0).cast_signed() > 0
    }
}

/// The lower 32 bits.
#[expect(clippy::cast_possible_truncation, reason = "the upper half is dropped on purpose")]
const fn low(number: u64) -> u32 {
    number as u32
}

impl Word {
    fn is_valid(self, now: Tick) -> bool {
        self.tokens > 0 && self.lapses.is_after(now)
    }
}

impl From<u64> for Word {
    fn from(word: u64) -> Self {
        Self { tokens: word >> 40, reports: (word >> 32).to_le_bytes()[0], lapses: Tick(low(word)) }
    }
}

impl From<Word> for u64 {
    fn from(word: Word) -> Self {
        word.tokens << 40 | Self::from(word.reports) << 32 | Self::from(word.lapses.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Tick {
        Tick::of_nanos(millis * 1_000_000)
    }

    #[test]
    fn tokens_can_be_taken_until_none_is_left_or_they_lapse() {
        let lease = Lease::default();
        assert_eq!(lease.take(at(0), 0), None);
        lease.add(2, at(1_000));
        assert_eq!(lease.take(at(999), 0).map(|taken| taken.left), Some(1));
        assert_eq!(lease.take(at(1_000), 0), None, "the rest has lapsed");
        assert_eq!(lease.report(at(1_000), MOST), (0, 0));
        lease.add(1, at(2_000));
        assert_eq!(lease.in_hand(at(1_001)), 1, "what has lapsed and was reported so does not come back");
    }

    #[test]
    fn token_can_be_put_back_only_before_the_next_report() {
        let lease = Lease::default();
        lease.add(2, at(1_000));
        let taken = lease.take(at(0), 0).unwrap();
        lease.put_back(taken);
        assert_eq!(lease.in_hand(at(0)), 2);
        let taken = lease.take(at(0), 0).unwrap();
        assert_eq!(lease.report(at(0), MOST), (1, 0));
        lease.put_back(taken);
        assert_eq!(lease.in_hand(at(0)), 1, "the bank was told that it is spent");
    }

    #[test]
    fn tokens_beyond_the_most_are_given_back() {
        let lease = Lease::default();
        lease.add(5, at(1_000));
        assert_eq!(lease.report(at(0), 2), (2, 3));
        assert_eq!(lease.report(at(0), 0), (0, 2));
        assert_eq!(lease.take(at(0), 0), None);
    }

    #[test]
    fn lease_stays_valid_when_the_clock_wraps() {
        let before = at((1 << 32) - 10);
        let lease = Lease::default();
        lease.add(1, at((1 << 32) + 500));
        assert_eq!(lease.in_hand(before), 1);
        assert_eq!(lease.in_hand(at((1 << 32) + 499)), 1);
        assert_eq!(lease.in_hand(at((1 << 32) + 500)), 0);
    }

    #[test]
    fn tokens_beyond_24_bits_are_dropped() {
        let lease = Lease::default();
        lease.add(MOST, at(1_000));
        lease.add(5, at(1_000));
        assert_eq!(lease.in_hand(at(0)), MOST);
    }
}
