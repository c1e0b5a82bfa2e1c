//! Days of the calendar, as documents state them.

use std::{fmt, str::FromStr};

use jiff::civil;

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

impl Date {
    /// A day of the calendar, if there is one with these numbers.
    pub fn new(year: i16, month: i8, day: i8) -> Option<Self> {
        civil::Date::new(year, month, day).is_ok().then_some(Self { year, month, day })
    }
}

impl FromStr for Date {
    type Err = String;

    /// Reads ISO 8601, as in `2026-11-30`.
    fn from_str(text: &str) -> Result<Self, String> {
        let refused =
            || format!("`{}` is not a date: write it as in 2026-11-30", text.chars().take(40).collect::<String>());
        let is_iso = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        let date: civil::Date = is_iso.then(|| text.parse().ok()).flatten().ok_or_else(refused)?;
        Ok(Self { year: date.year(), month: date.month(), day: date.day() })
    }
}

impl Zone {
    /// The instant at which a day begins on this zone's clocks.
    pub fn start_of(&self, date: Date) -> Result<Micros, TimeError> {
        let date = civil::Date::new(date.year, date.month, date.day).map_err(|_| TimeError::OutOfRange)?;
        let midnight = date.to_zoned(self.clock()?).map_err(|_| TimeError::OutOfRange)?;
        Ok(Micros(midnight.timestamp().as_microsecond()))
    }

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

    #[test]
    fn date_is_read_as_it_is_written_and_begins_at_midnight() {
        let date: Date = "2026-11-01".parse().unwrap();
        assert_eq!(date.to_string(), "2026-11-01");
        let berlin: Zone = "Europe/Berlin".parse().unwrap();
        assert_eq!(berlin.start_of(date).unwrap().to_string(), "2026-10-31T23:00:00Z");
        for text in ["2026-02-30", "2026-1-1", "01.11.2026", "", "2026-11-01T00:00:00Z", "-026-11-01"] {
            assert!(text.parse::<Date>().is_err(), "{text}");
        }
        assert_eq!(Date::new(2026, 2, 29), None);
    }
}
