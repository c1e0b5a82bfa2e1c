//! Days of the calendar, as documents state them.

use std::fmt;

use super::{Micros, TimeError, Zone};

/// A day of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    /// Year.
    pub year: i16,
    /// Month, from 1.
    pub month: i8,
    /// Day of the month, from 1.
    pub day: i8,
}

impl Zone {
    /// The day on this zone's clocks that holds `at`.
    pub fn date(&self, at: Micros) -> Result<Date, TimeError> {
        let date = at.timestamp()?.to_zoned(self.clock()?).date();
        Ok(Date { year: date.year(), month: date.month(), day: date.day() })
    }
}

impl fmt::Display for Date {
    /// ISO 8601, as in `2026-11-30`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&format!("{:04}-{:02}-{:02}", self.year, self.month, self.day))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn date_is_that_of_the_zones_clocks() {
        let at: Micros = "2026-10-31T23:30:00Z".parse().unwrap();
        let date = |zone: &str| zone.parse::<Zone>().unwrap().date(at).unwrap().to_string();
        assert_eq!([date("UTC"), date("Europe/Berlin")], ["2026-10-31", "2026-11-01"]);
    }
}
