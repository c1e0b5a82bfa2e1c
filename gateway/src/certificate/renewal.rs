//! The moment of the next order: what the authority suggests (RFC 9773), or two thirds of the
//! certificate's life; after failures, later and later.
//!
//! Gateways that share a storage come to the same moment without asking each other: the random part
//! of it follows from the certificate.

use std::time::Duration;

use rand::RngExt as _;
use serde::{Deserialize, Serialize};

/// Last part of a certificate's life, as a divisor, that is left for failed orders whatever the
/// authority suggests.
const RESERVE: i64 = 6;

/// First pause after an authority could not be reached.
const AWAY_FIRST: Duration = Duration::from_secs(5);

/// Longest pause while an authority cannot be reached.
const AWAY_LONGEST: Duration = Duration::from_mins(5);

/// First pause after an authority has refused. With a factor of 3, fewer than 5 orders fail in an
/// hour, which is the limit of Let's Encrypt.
const REFUSED_FIRST: Duration = Duration::from_mins(1);

/// Longest pause while an authority refuses.
const REFUSED_LONGEST: Duration = Duration::from_hours(1);

/// The life of a certificate, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) not_before: i64,
    pub(super) not_after: i64,
    /// A number of the certificate's own, in which all who read it agree.
    pub(super) number: u64,
}

/// A time at which the authority suggests to renew, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) start: i64,
    pub(super) end: i64,
}

/// Failures since the last success, as they are stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct Failures {
    pub(super) count: u32,
    /// The moment before which nobody orders again, in seconds since 1970.
    pub(super) retry_at: i64,
}

impl Life {
    /// The moment at which the certificate is due to be renewed.
    pub(super) fn due(&self, suggested: Option<Window>) -> i64 {
        let length = (self.not_after - self.not_before).max(0);
        let latest = self.not_after - length / RESERVE;
        let window = suggested.unwrap_or_else(|| {
            let start = self.not_before + length * 3 / 5;
            Window { start, end: self.not_before + length * 2 / 3 }
        });
        let span = u64::try_from(window.end - window.start).unwrap_or(0);
        let offset = self.number % (span + 1);
        (window.start + i64::try_from(offset).unwrap_or(0)).min(latest)
    }
}

impl Failures {
    /// The failures after one more, at `now`.
    pub(super) fn and(self, is_refusal: bool, now: i64) -> Self {
        let (first, factor, longest) =
            if is_refusal { (REFUSED_FIRST, 3_u32, REFUSED_LONGEST) } else { (AWAY_FIRST, 2, AWAY_LONGEST) };
        let grown = first.saturating_mul(factor.saturating_pow(self.count)).min(longest);
        let pause = grown.mul_f64(rand::rng().random_range(0.75..=1.0));
        let seconds = i64::try_from(pause.as_secs()).unwrap_or(i64::MAX).max(1);
        Self { count: self.count.saturating_add(1), retry_at: now.saturating_add(seconds) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    #[test]
    fn certificate_is_due_at_about_two_thirds_of_its_life() {
        for number in 0..2_000 {
            let life = Life { not_before: 1_000, not_after: 1_000 + 90 * DAY, number: number * 7_919 };
            let due = life.due(None) - 1_000;
            assert!((54 * DAY..=60 * DAY).contains(&due), "{due}");
        }
        let short = Life { not_before: 0, not_after: 30, number: 1 };
        assert!((18..=20).contains(&short.due(None)));
    }

    #[test]
    fn suggested_window_counts_unless_it_ends_too_late() {
        let life = Life { not_before: 0, not_after: 90 * DAY, number: 123_456_789 };
        let due = life.due(Some(Window { start: 10 * DAY, end: 12 * DAY }));
        assert!((10 * DAY..=12 * DAY).contains(&due), "{due}");
        assert_eq!(life.due(Some(Window { start: 89 * DAY, end: 90 * DAY })), 75 * DAY);
        // A window in the past: at once.
        assert_eq!(life.due(Some(Window { start: -3_600, end: -3_600 })), -3_600);
        // An end before the start counts as the start.
        assert_eq!(life.due(Some(Window { start: DAY, end: 0 })), DAY);
    }

    #[test]
    fn pauses_grow_and_stay_below_the_limit_of_failures_in_an_hour() {
        let (mut failures, mut now, mut in_first_hour) = (Failures::default(), 0, 0);
        for _ in 0..20 {
            failures = failures.and(true, now);
            in_first_hour += u32::from(now < 3_600);
            let pause = failures.retry_at - now;
            assert!((45..=3_600).contains(&pause), "{pause}");
            now = failures.retry_at;
        }
        assert!(in_first_hour <= 5, "{in_first_hour}");
        let away = (0..20).fold(Failures::default(), |failures, _| failures.and(false, 0));
        assert!((225..=300).contains(&away.retry_at), "{}", away.retry_at);
        assert!((3..=5).contains(&Failures::default().and(false, 0).retry_at));
    }
}
