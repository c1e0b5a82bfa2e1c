//! UTC days, in which records are kept and dropped.

use crate::time::Micros;

/// Microseconds of a day; UTC has no other.
const MICROS: i64 = 86_400 * Micros::PER_SECOND;

/// A UTC day, by its number since 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Day(i64);

impl Day {
    /// The day that holds `at`.
    pub(super) const fn of(at: Micros) -> Self {
        Self(at.0.div_euclid(MICROS))
    }

    /// Its first instant.
    pub(super) const fn start(self) -> Micros {
        Micros(self.0.saturating_mul(MICROS))
    }

    /// The first instant after it.
    pub(super) const fn end(self) -> Micros {
        self.plus(1).start()
    }

    /// So many days later.
    pub(super) const fn plus(self, days: i64) -> Self {
        Self(self.0.saturating_add(days))
    }

    /// The name of its partition, as in `usage_records_20261122`.
    pub(super) fn partition(self) -> String {
        let date: String = self.start().to_string().chars().take_while(|character| *character != 'T').collect();
        format!("usage_records_{}", date.replace('-', ""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn day_is_half_open() {
        let at = |text: &str| text.parse::<Micros>().unwrap();
        let day = Day::of(at("2026-11-22T00:00:00Z"));
        assert_eq!(Day::of(at("2026-11-22T23:59:59.999999Z")), day);
        assert_eq!(Day::of(at("2026-11-21T23:59:59.999999Z")), day.plus(-1));
        assert_eq!((day.start(), day.end()), (at("2026-11-22T00:00:00Z"), at("2026-11-23T00:00:00Z")));
        assert_eq!(day.partition(), "usage_records_20261122");
    }
}
