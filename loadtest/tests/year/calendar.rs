//! The days of the year, and the clock that the test sets.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use common::time::{Clock, Micros};

/// 2025-01-01T00:00:00Z. The year has passed: a gateway, whose clock is the machine's, has handed in
/// everything that is older than now, so that no month waits for it.
const BEGIN: Micros = Micros(1_735_689_600 * Micros::PER_SECOND);

/// The year, and two days in which December is issued and paid.
const DAYS: i64 = 367;

const MONTHS: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// A day of the year, on the clocks of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Day(i64);

/// A clock that stands where the test has put it.
#[derive(Debug, Clone)]
pub(crate) struct TestClock(Arc<AtomicI64>);

impl Day {
    /// All days, in their order.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..DAYS).map(Self)
    }

    /// A day of 2025 from month and day, or the first days of 2026 from month 13.
    pub(crate) fn of(month: usize, day: i64) -> Self {
        Self(MONTHS.iter().take(month - 1).sum::<i64>() + day - 1)
    }

    /// An instant of the day.
    pub(crate) fn at(self, hour: i64, minute: i64) -> Micros {
        BEGIN.plus_seconds((self.0 * 24 + hour) * 3_600 + minute * 60)
    }

    pub(crate) const fn plus(self, days: i64) -> Self {
        Self(self.0 + days)
    }

    /// Month from 1 to 13, and the day in it from 1 on.
    pub(crate) fn date(self) -> (usize, i64) {
        let mut left = self.0;
        for (place, length) in MONTHS.iter().enumerate() {
            if left < *length {
                return (place + 1, left + 1);
            }
            left -= length;
        }
        (13, left + 1)
    }
}

/// A day of 2025, written as in `03-15`.
pub(crate) fn day(text: &str) -> Day {
    let (month, day) = text.split_once('-').expect("a date as in 03-15");
    Day::of(month.parse().unwrap(), day.parse().unwrap())
}

impl fmt::Display for Day {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.at(0, 0).to_string().split('T').next().unwrap_or_default())
    }
}

impl TestClock {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicI64::new(BEGIN.0)))
    }

    pub(crate) fn set(&self, now: Micros) {
        self.0.store(now.0, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Micros {
        Micros(self.0.load(Ordering::SeqCst))
    }
}

#[test]
fn days_are_those_of_the_calendar() {
    assert_eq!(day("01-01").to_string(), "2025-01-01");
    assert_eq!(day("03-30").to_string(), "2025-03-30");
    assert_eq!(Day::all().last().map(|last| last.to_string()).as_deref(), Some("2026-01-02"));
    assert!(Day::all().all(|day| Day::of(day.date().0, day.date().1) == day));
}
