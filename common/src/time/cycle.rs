//! Billing cycles: the periods of a subscription, one after the other without gap or overlap.
//!
//! Invariant: a period begins at the instant at which the one before ends, on the clocks of the
//! payer. The n-th period is counted from the anchor and never from the period before it: an anchor
//! on the 31st stays there, whatever short months lie between.

use std::str::FromStr;

use jiff::{ToSpan, civil, tz::TimeZone};
use serde::{Deserialize, Serialize};

use super::{Micros, TimeError, Window, Zone};

/// Length of a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum CycleUnit {
    /// Seven days.
    Week,
    /// A month.
    #[default]
    Month,
    /// Three months.
    Quarter,
    /// Twelve months.
    Year,
}

/// The instants at which periods begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Alignment {
    /// With the weeks, months, quarters or years of the calendar; the first period is cut.
    #[default]
    Calendar,
    /// At the time of day and on the day of the month at which the first one began, or on the last
    /// day of a month that has no such day.
    Anniversary,
}

/// A period of a cycle, and the part of it that one bill is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CyclePeriod {
    /// The period as the cycle has it: what a fee is for.
    pub whole: Window,
    /// The part that is billed; all of it, unless a change of cycle cuts it.
    pub window: Window,
}

impl CyclePeriod {
    /// A period that nothing cuts.
    pub const fn uncut(whole: Window) -> Self {
        Self { whole, window: whole }
    }
}

/// The periods of a subscription.
#[derive(Debug, Clone)]
pub struct Cycle {
    unit: CycleUnit,
    anchor: civil::DateTime,
    clock: TimeZone,
}

impl Cycle {
    /// The periods of a subscription that began at `start`, on the clocks of `zone`.
    pub fn new(unit: CycleUnit, alignment: Alignment, start: Micros, zone: &Zone) -> Result<Self, TimeError> {
        let clock = zone.clock()?;
        let local = start.timestamp()?.to_zoned(clock.clone()).datetime();
        let anchor = match alignment {
            Alignment::Anniversary => local,
            Alignment::Calendar => unit.calendar_start(local.date())?.to_datetime(civil::Time::midnight()),
        };
        Ok(Self { unit, anchor, clock })
    }

    /// The periods that begin on this day of the month, from 1 to 31, at midnight; the last day of a
    /// month that has no such day. Number 0 begins at the last such day up to `start`.
    pub fn on_day(unit: CycleUnit, day: i8, start: Micros, zone: &Zone) -> Result<Self, TimeError> {
        let clock = zone.clock()?;
        let date = start.timestamp()?.to_zoned(clock.clone()).date();
        let mut month = date.first_of_month();
        let anchor = loop {
            match civil::Date::new(month.year(), month.month(), day) {
                Ok(anchor) if anchor <= date => break anchor,
                // At most one month in two lacks a day that another month has.
                Ok(_) | Err(_) if (1..=31).contains(&day) => {
                    month = month.checked_sub(1.month()).map_err(|_| TimeError::OutOfRange)?;
                }
                Ok(_) | Err(_) => return Err(TimeError::OutOfRange),
            }
        };
        Ok(Self { unit, anchor: anchor.to_datetime(civil::Time::midnight()), clock })
    }

    /// The period with this number; number 0 begins at the anchor.
    pub fn period(&self, number: i64) -> Result<Window, TimeError> {
        let next = number.checked_add(1).ok_or(TimeError::OutOfRange)?;
        Ok(Window { start: self.start(number)?, end: self.start(next)? })
    }

    /// The number of the period that holds an instant.
    pub fn number_at(&self, at: Micros) -> Result<i64, TimeError> {
        let local = at.timestamp()?.to_zoned(self.clock.clone()).datetime();
        let mut number = self.unit.count_between(self.anchor, local);
        // The clock's months may begin a little earlier or later than the count says.
        while self.start(number)? > at {
            number -= 1;
        }
        while self.start(number + 1)? <= at {
            number += 1;
        }
        Ok(number)
    }

    /// The period that holds an instant.
    pub fn period_at(&self, at: Micros) -> Result<Window, TimeError> {
        self.period(self.number_at(at)?)
    }

    /// The first instant of a period. A time of day that a change of clocks skips is the same time
    /// after it; of one that comes twice, the first counts.
    fn start(&self, number: i64) -> Result<Micros, TimeError> {
        let local = self.unit.after(self.anchor, number).ok_or(TimeError::OutOfRange)?;
        let start = local.to_zoned(self.clock.clone()).map_err(|_| TimeError::OutOfRange)?;
        Ok(Micros(start.timestamp().as_microsecond()))
    }
}

impl CycleUnit {
    /// Most days of a period.
    pub const fn days_at_most(self) -> i64 {
        match self {
            Self::Week => 7,
            Self::Month => 31,
            Self::Quarter => 92,
            Self::Year => 366,
        }
    }

    /// Months of a period; none for a week.
    const fn months(self) -> Option<i64> {
        match self {
            Self::Week => None,
            Self::Month => Some(1),
            Self::Quarter => Some(3),
            Self::Year => Some(12),
        }
    }

    /// The first day of the period of the calendar that holds a day. Weeks begin on Monday.
    fn calendar_start(self, day: civil::Date) -> Result<civil::Date, TimeError> {
        let month = match self {
            Self::Week => {
                let since_monday = i64::from(day.weekday().to_monday_zero_offset());
                return day.checked_sub(since_monday.days()).map_err(|_| TimeError::OutOfRange);
            }
            Self::Month => day.month(),
            Self::Quarter => (day.month() - 1) / 3 * 3 + 1,
            Self::Year => 1,
        };
        civil::Date::new(day.year(), month, 1).map_err(|_| TimeError::OutOfRange)
    }

    fn after(self, anchor: civil::DateTime, number: i64) -> Option<civil::DateTime> {
        let span = match self.months() {
            Some(months) => jiff::Span::new().try_months(number.checked_mul(months)?).ok()?,
            None => jiff::Span::new().try_weeks(number).ok()?,
        };
        anchor.checked_add(span).ok()
    }

    /// About so many periods lie between two times.
    fn count_between(self, anchor: civil::DateTime, at: civil::DateTime) -> i64 {
        match self.months() {
            Some(months) => {
                let month = |time: civil::DateTime| i64::from(time.year()) * 12 + i64::from(time.month());
                (month(at) - month(anchor)).div_euclid(months)
            }
            None => i64::from((at.date() - anchor.date()).get_days()).div_euclid(7),
        }
    }
}

impl FromStr for CycleUnit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "week" => Ok(Self::Week),
            "month" => Ok(Self::Month),
            "quarter" => Ok(Self::Quarter),
            "year" => Ok(Self::Year),
            _ => Err(format!("`{text}` is not a billing period: use week, month, quarter or year")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ZONES: [&str; 9] = [
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Asia/Kathmandu",
        "Australia/Lord_Howe",
        "Pacific/Apia",
        "Pacific/Kiritimati",
        "America/Havana",
        "America/Sao_Paulo",
    ];

    fn cycle(unit: CycleUnit, alignment: Alignment, start: &str, zone: &str) -> Cycle {
        Cycle::new(unit, alignment, start.parse().unwrap(), &zone.parse().unwrap()).unwrap()
    }

    fn starts(cycle: &Cycle, count: i64) -> Vec<String> {
        (0..count).map(|number| cycle.period(number).unwrap().start.to_string()).collect()
    }

    #[test]
    fn anchor_on_the_31st_is_kept_through_short_months() {
        let cycle = cycle(CycleUnit::Month, Alignment::Anniversary, "2028-01-31T00:00:00Z", "UTC");
        let days: Vec<String> = starts(&cycle, 5).iter().map(|start| start[..10].to_owned()).collect();
        assert_eq!(days, ["2028-01-31", "2028-02-29", "2028-03-31", "2028-04-30", "2028-05-31"]);
    }

    #[test]
    fn day_of_the_month_is_the_last_one_of_months_that_lack_it() {
        let berlin = "Europe/Berlin".parse().unwrap();
        let cycle = Cycle::on_day(CycleUnit::Month, 31, "2027-03-10T12:00:00Z".parse().unwrap(), &berlin).unwrap();
        let expected = ["2027-01-30T23:00:00Z", "2027-02-27T23:00:00Z", "2027-03-30T22:00:00Z", "2027-04-29T22:00:00Z"];
        assert_eq!(starts(&cycle, 4), expected);
        assert!(Cycle::on_day(CycleUnit::Month, 32, Micros(0), &berlin).is_err());
        assert!(Cycle::on_day(CycleUnit::Month, 0, Micros(0), &berlin).is_err());
    }

    #[test]
    fn agreed_day_is_the_first_day_of_the_period_that_it_falls_into() {
        let start = |day, at: &str| {
            let cycle = Cycle::on_day(CycleUnit::Month, day, at.parse().unwrap(), &Zone::utc()).unwrap();
            cycle.period(0).unwrap().start.to_string()
        };
        assert_eq!(start(15, "2026-03-15T00:00:00Z"), "2026-03-15T00:00:00Z");
        assert_eq!(start(15, "2026-03-14T23:59:59Z"), "2026-02-15T00:00:00Z");
        assert_eq!(start(30, "2026-03-01T00:00:00Z"), "2026-01-30T00:00:00Z");
        assert_eq!(start(1, "2026-01-01T00:00:00Z"), "2026-01-01T00:00:00Z");
        let quarter =
            Cycle::on_day(CycleUnit::Quarter, 31, "2026-01-31T10:00:00Z".parse().unwrap(), &Zone::utc()).unwrap();
        assert_eq!(starts(&quarter, 3), ["2026-01-31T00:00:00Z", "2026-04-30T00:00:00Z", "2026-07-31T00:00:00Z"]);
    }

    #[test]
    fn units_have_their_names_and_no_period_is_longer_than_they_say() {
        for (unit, name, days) in [
            (CycleUnit::Week, "week", 7),
            (CycleUnit::Month, "month", 31),
            (CycleUnit::Quarter, "quarter", 92),
            (CycleUnit::Year, "year", 366),
        ] {
            assert_eq!((name.parse(), unit.days_at_most()), (Ok(unit), days));
            let cycle = cycle(unit, Alignment::Calendar, "2024-05-17T12:00:00Z", "UTC");
            let lengths = (0..60).map(|number| cycle.period(number).unwrap().length() / (86_400 * 1_000_000));
            assert_eq!(lengths.max(), Some(i128::from(days)), "{name}");
        }
        assert!("day".parse::<CycleUnit>().unwrap_err().contains("week, month, quarter or year"));
        assert_eq!(CyclePeriod::uncut(Window { start: Micros(1), end: Micros(2) }).window.end, Micros(2));
    }

    #[test]
    fn instant_belongs_to_the_period_that_begins_with_it() {
        for unit in [CycleUnit::Week, CycleUnit::Month, CycleUnit::Quarter, CycleUnit::Year] {
            let cycle = cycle(unit, Alignment::Anniversary, "2026-01-31T12:30:00Z", "Europe/Berlin");
            for number in [-25, -1, 0, 1, 2, 3, 14, 60] {
                let period = cycle.period(number).unwrap();
                assert_eq!(cycle.number_at(period.start).unwrap(), number, "{unit:?}");
                assert_eq!(cycle.number_at(Micros(period.end.0 - 1)).unwrap(), number, "{unit:?}");
                assert_eq!(cycle.period_at(period.start).unwrap(), period);
            }
        }
    }

    #[test]
    fn anniversary_of_a_leap_day_is_the_28th_in_other_years() {
        let cycle = cycle(CycleUnit::Year, Alignment::Anniversary, "2028-02-29T10:00:00Z", "UTC");
        let expected = ["2028-02-29T10:00:00Z", "2029-02-28T10:00:00Z", "2030-02-28T10:00:00Z"];
        assert_eq!(starts(&cycle, 3), expected);
        assert_eq!(cycle.period(4).unwrap().start.to_string(), "2032-02-29T10:00:00Z");
    }

    #[test]
    fn time_of_day_that_the_clock_skips_is_an_hour_later_once() {
        let cycle = cycle(CycleUnit::Month, Alignment::Anniversary, "2026-02-28T01:30:00Z", "Europe/Berlin");
        // 02:30 in Berlin; on 28 March 2027 the clock goes from 02:00 to 03:00.
        let skipped = cycle.period(13).unwrap();
        assert_eq!(skipped.start.to_string(), "2027-03-28T01:30:00Z");
        assert_eq!(skipped.end.to_string(), "2027-04-28T00:30:00Z");
    }

    #[test]
    fn calendar_periods_begin_with_the_calendar_of_the_zone() {
        let start = "2023-02-01T12:00:00Z";
        let first = |unit, zone| cycle(unit, Alignment::Calendar, start, zone).period(0).unwrap().start.to_string();
        assert_eq!(first(CycleUnit::Week, "UTC"), "2023-01-30T00:00:00Z");
        assert_eq!(first(CycleUnit::Month, "Pacific/Kiritimati"), "2023-01-31T10:00:00Z");
        assert_eq!(first(CycleUnit::Quarter, "Europe/Berlin"), "2022-12-31T23:00:00Z");
        assert_eq!(first(CycleUnit::Year, "America/New_York"), "2023-01-01T05:00:00Z");
    }

    proptest! {
        #[test]
        fn every_instant_is_in_one_period_and_periods_touch(
            (start, at) in (1_300_000_000_i64..2_000_000_000, 1_300_000_000_i64..2_000_000_000),
            zone in prop::sample::select(ZONES.to_vec()),
            unit in prop::sample::select(vec![CycleUnit::Week, CycleUnit::Month, CycleUnit::Quarter, CycleUnit::Year]),
            alignment in prop::sample::select(vec![Alignment::Calendar, Alignment::Anniversary]),
        ) {
            let micros = |seconds: i64| Micros(seconds * Micros::PER_SECOND);
            let cycle = Cycle::new(unit, alignment, micros(start), &zone.parse().unwrap()).unwrap();
            let number = cycle.number_at(micros(at)).unwrap();
            let period = cycle.period(number).unwrap();
            prop_assert!(period.contains(micros(at)));
            prop_assert!(period.length() > 0);
            prop_assert_eq!(cycle.period(number + 1).unwrap().start, period.end);
            prop_assert!(cycle.period(0).unwrap().contains(micros(start)));
        }
    }
}
