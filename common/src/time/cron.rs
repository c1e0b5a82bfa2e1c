//! Cron expressions: five fields (minute, hour, day of month, month, day of week), on the clock of
//! a zone.
//!
//! Invariant: a schedule of every hour follows elapsed time through changes of the clock. Any other
//! schedule runs once for each matching time of the calendar: a time that the clock skips runs as
//! much later as the clock was put forward, and a time that comes twice runs the first time.

use std::{fmt, str::FromStr};

use jiff::civil::{Date, DateTime, Time};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{Micros, Zone};

/// Days that are looked through for the next run: a 29th of February comes within eight years, on
/// a certain day of the week within forty.
const DAYS_MAX: usize = 366 * 41;

/// Minutes of two days, which hold a run of every schedule of every hour on its days.
const MINUTES_MAX: usize = 2 * 24 * 60;

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// The reason why a text is no cron expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// Not five fields.
    #[error("`{0}` is not a cron expression: write minute, hour, day, month and day of the week, as in 30 2 1 * *")]
    Fields(String),
    /// A field is not one.
    #[error("`{text}` is not a {what} of a cron expression: use {low} to {high}, *, a-b, */n and lists with commas")]
    Field {
        /// The field as written.
        text: String,
        /// Its name.
        what: &'static str,
        /// Least value.
        low: u8,
        /// Greatest value.
        high: u8,
    },
    /// No day matches.
    #[error("`{0}` never comes")]
    Never(String),
}

/// A schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    text: String,
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// True if a day has to match by both its number and its day of the week; false if either does.
    by_both: bool,
}

/// One of the fields.
struct Field {
    what: &'static str,
    low: u8,
    high: u8,
    names: &'static [&'static str],
}

const MINUTE: Field = Field { what: "minute", low: 0, high: 59, names: &[] };
const HOUR: Field = Field { what: "hour", low: 0, high: 23, names: &[] };
const DAY: Field = Field { what: "day", low: 1, high: 31, names: &[] };
const MONTH: Field = Field { what: "month", low: 1, high: 12, names: &MONTHS };
const WEEKDAY: Field = Field { what: "day of the week", low: 0, high: 7, names: &WEEKDAYS };

impl Cron {
    /// The first run after `after`, on the clock of `zone`; none beyond the years that can be
    /// computed with, and of a zone that is not known.
    pub fn next(&self, after: Micros, zone: &Zone) -> Option<Micros> {
        let clock = zone.clock().ok()?;
        let start = after.timestamp().ok()?.to_zoned(clock.clone());
        let mut date = start.date();
        for _ in 0..DAYS_MAX {
            if self.is_on(date) {
                let found = if self.is_hourly() {
                    self.in_elapsed_time(after.max(day_start(date, zone)?), after, date, zone)
                } else {
                    self.times().filter_map(|time| instant(date, time, zone)).filter(|at| *at > after).min()
                };
                if found.is_some() {
                    return found;
                }
            }
            date = date.tomorrow().ok()?;
        }
        None
    }

    fn is_hourly(&self) -> bool {
        self.hours == range(HOUR.low, HOUR.high)
    }

    fn is_on(&self, date: Date) -> bool {
        let has = |set: u64, value: i8| set & (1 << value) != 0;
        let day = has(self.days, date.day());
        let weekday = has(self.weekdays, date.weekday().to_sunday_zero_offset());
        has(self.months, date.month()) && if self.by_both { day && weekday } else { day || weekday }
    }

    /// The times of a day that match, in order.
    fn times(&self) -> impl Iterator<Item = Time> {
        let hours = (0..24_i8).filter(|hour| self.hours & (1 << hour) != 0);
        hours.flat_map(|hour| {
            let minutes = (0..60_i8).filter(|minute| self.minutes & (1 << minute) != 0);
            minutes.filter_map(move |minute| Time::new(hour, minute, 0, 0).ok())
        })
    }

    /// The first minute of a day after an instant that matches, minute by minute as they pass.
    fn in_elapsed_time(&self, from: Micros, after: Micros, date: Date, zone: &Zone) -> Option<Micros> {
        let clock = zone.clock().ok()?;
        let first = from.minute();
        for minute in 0..MINUTES_MAX {
            let at = first.plus_seconds(60 * i64::try_from(minute).ok()?);
            let local = at.timestamp().ok()?.to_zoned(clock.clone());
            if local.date() > date {
                return None;
            }
            if at > after && local.date() == date && local.second() == 0 && self.minutes & (1 << local.minute()) != 0 {
                return Some(at);
            }
        }
        None
    }
}

/// The instant at which a day begins on the clock of a zone.
fn day_start(date: Date, zone: &Zone) -> Option<Micros> {
    let midnight = date.to_zoned(zone.clock().ok()?).ok()?;
    Some(Micros(midnight.timestamp().as_microsecond()))
}

/// The instant of a local time: the first of two, and the one behind a gap.
fn instant(date: Date, time: Time, zone: &Zone) -> Option<Micros> {
    let zoned = DateTime::from_parts(date, time).to_zoned(zone.clock().ok()?).ok()?;
    Some(Micros(zoned.timestamp().as_microsecond()))
}

/// All values from one to another.
const fn range(low: u8, high: u8) -> u64 {
    (u64::MAX >> (63 - (high - low))) << low
}

impl Field {
    /// The values of a field as written.
    fn parse(&self, text: &str) -> Result<u64, CronError> {
        let refuse = || CronError::Field {
            text: text.chars().take(40).collect(),
            what: self.what,
            low: self.low,
            high: self.high,
        };
        let parts: Option<Vec<u64>> = text.split(',').map(|part| self.part(part)).collect();
        let set = parts.ok_or_else(refuse)?.into_iter().fold(0, |set, part| set | part);
        if set == 0 { Err(refuse()) } else { Ok(set) }
    }

    /// `*`, `a`, `a-b`, each with a step or without one.
    fn part(&self, part: &str) -> Option<u64> {
        let (span, step) = match part.split_once('/') {
            Some((span, step)) => (span, Some(number(step).filter(|step| *step > 0)?)),
            None => (part, None),
        };
        let (low, high) = match span.split_once('-') {
            _ if span == "*" => (self.low, self.high),
            Some((low, high)) => (self.value(low)?, self.value(high)?),
            // A step without an end runs to the last value.
            None => (self.value(span)?, if step.is_some() { self.high } else { self.value(span)? }),
        };
        if low > high {
            return None;
        }
        let values = (low..=high).step_by(usize::from(step.unwrap_or(1)));
        Some(values.fold(0, |set, value| set | (1 << value)))
    }

    fn value(&self, text: &str) -> Option<u8> {
        let named = self.names.iter().position(|name| text.eq_ignore_ascii_case(name));
        let value = match named {
            Some(place) => self.low.checked_add(u8::try_from(place).ok()?)?,
            None => number(text)?,
        };
        (self.low..=self.high).contains(&value).then_some(value)
    }
}

fn number(text: &str) -> Option<u8> {
    let is_number = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

impl FromStr for Cron {
    type Err = CronError;

    fn from_str(text: &str) -> Result<Self, CronError> {
        let fields: Vec<_> = text.split_ascii_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            return Err(CronError::Fields(text.chars().take(80).collect()));
        };
        let weekdays = WEEKDAY.parse(weekday)?;
        let cron = Self {
            text: fields.join(" "),
            minutes: MINUTE.parse(minute)?,
            hours: HOUR.parse(hour)?,
            days: DAY.parse(day)?,
            months: MONTH.parse(month)?,
            // 7 is Sunday, as 0 is.
            weekdays: (weekdays | (weekdays >> 7)) & range(0, 6),
            by_both: day.starts_with('*') || weekday.starts_with('*'),
        };
        match cron.next(Micros(0), &Zone::utc()) {
            Some(_) => Ok(cron),
            None => Err(CronError::Never(cron.text)),
        }
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.text)
    }
}

impl Serialize for Cron {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Cron {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn runs(cron: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let (cron, zone): (Cron, Zone) = (cron.parse().unwrap(), zone.parse().unwrap());
        let first = after.parse().unwrap();
        let next = |at: &Micros| cron.next(*at, &zone);
        std::iter::successors(next(&first), next).take(count).map(|at| at.to_string()).collect()
    }

    #[test]
    fn next_run_is_on_clock_of_zone() {
        assert_eq!(
            runs("30 2 1 * *", "UTC", "2026-11-22T01:30:00Z", 2),
            ["2026-12-01T02:30:00Z", "2027-01-01T02:30:00Z"]
        );
        assert_eq!(
            runs("0 0 1 * *", "Pacific/Kiritimati", "2026-11-22T01:30:00Z", 1),
            ["2026-11-30T10:00:00Z"],
            "the month begins in the east"
        );
        assert_eq!(
            runs("*/20 * * * *", "UTC", "2026-11-22T01:40:00Z", 2),
            ["2026-11-22T02:00:00Z", "2026-11-22T02:20:00Z"]
        );
        assert_eq!(
            runs("15 9 * * mon-fri", "UTC", "2026-11-20T09:15:00Z", 2),
            ["2026-11-23T09:15:00Z", "2026-11-24T09:15:00Z"]
        );
        assert_eq!(runs("0 0 29 2 *", "UTC", "2026-11-20T09:15:00Z", 1), ["2028-02-29T00:00:00Z"]);
        // Day of the month or of the week, if both are given; 7 is Sunday.
        assert_eq!(
            runs("0 0 25 * 7", "UTC", "2026-11-22T00:00:00Z", 2),
            ["2026-11-25T00:00:00Z", "2026-11-29T00:00:00Z"]
        );
    }

    #[test]
    fn daily_run_comes_once_through_changes_of_clock() {
        // 02:30 is skipped on 2026-03-29, and comes twice on 2026-10-25.
        assert_eq!(
            runs("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2),
            ["2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"]
        );
        assert_eq!(
            runs("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
            ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
        );
        // A midnight that the clock skips.
        assert_eq!(runs("0 0 6 9 *", "America/Santiago", "2026-09-01T00:00:00Z", 1), ["2026-09-06T04:00:00Z"]);
    }

    #[test]
    fn hourly_run_follows_elapsed_time() {
        let autumn = runs("0 * * * *", "Europe/Berlin", "2026-10-24T23:30:00Z", 4);
        assert_eq!(
            autumn,
            ["2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z", "2026-10-25T03:00:00Z"]
        );
        let spring = runs("0 * * * *", "Europe/Berlin", "2026-03-28T23:30:00Z", 3);
        assert_eq!(spring, ["2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"]);
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "* * * *", "* * * * * *", "@daily"] {
            assert!(matches!(text.parse::<Cron>(), Err(CronError::Fields(_))), "{text}");
        }
        for text in [
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 8",
            "5-1 * * * *",
            "*/0 * * * *",
            ", * * * *",
            "1,,2 * * * *",
            "-1 * * * *",
            "1.5 * * * *",
            "+1 * * * *",
            "* * * foo *",
            "*/x * * * *",
        ] {
            assert!(matches!(text.parse::<Cron>(), Err(CronError::Field { .. })), "{text}");
        }
        assert_eq!("0 0 31 2 *".parse::<Cron>(), Err(CronError::Never("0 0 31 2 *".into())));
    }

    proptest! {
        #[test]
        fn next_run_matches_and_nothing_between_does(
            minute in 0..60_u8, hour in 0..24_u8, step in 1..30_u8, hourly in any::<bool>(),
            at in 1_700_000_000_i64..1_900_000_000,
        ) {
            let text = if hourly { format!("{minute}/{step} * * * *") } else { format!("{minute} {hour} * * *") };
            let (cron, zone): (Cron, Zone) = (text.parse().unwrap(), "UTC".parse().unwrap());
            let after = Micros(at * Micros::PER_SECOND);
            let next = cron.next(after, &zone).unwrap();
            prop_assert!(next > after && next.0 % Micros::PER_MINUTE == 0);
            let matches = |at: Micros| {
                let minutes = at.seconds().rem_euclid(86_400) / 60;
                let (hours, minutes) = (minutes / 60, minutes % 60);
                if hourly {
                    minutes >= i64::from(minute) && (minutes - i64::from(minute)) % i64::from(step) == 0
                } else {
                    (hours, minutes) == (i64::from(hour), i64::from(minute))
                }
            };
            prop_assert!(matches(next));
            let mut between = after.minute().plus_seconds(60);
            while between < next {
                prop_assert!(!matches(between), "{between}");
                between = between.plus_seconds(60);
            }
        }
    }
}
