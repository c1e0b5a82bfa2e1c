//! The periods of a bill: those of the cycles of its plans, one after the other.
//!
//! A change to a plan of another cycle ends the period at that instant, and the periods of the new
//! cycle begin there. A plan of the same cycle keeps the days at which periods begin. A trial does not
//! count as the beginning: periods count from its end.

use sqlx::AnyConnection;

use super::{BillingOverride, Subscription, billing_override, rows};
use crate::{
    id::TenantId,
    plan::{BillingTerms, versions},
    store::StoreError,
    time::{Alignment, Cycle, CyclePeriod, CycleUnit, Micros, Period, TimeError, Window, Zone},
};

/// The cycles of one bill over time.
#[derive(Debug)]
pub struct BillCycles {
    zone: Zone,
    stretches: Vec<Stretch>,
}

/// A time in which one cycle is in force.
#[derive(Debug)]
struct Stretch {
    cycle: Cycle,
    /// Periods are cut to it.
    bounds: Window,
}

/// The rule by which periods begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rule {
    unit: CycleUnit,
    alignment: Alignment,
    /// The day of the month that was agreed on.
    day: Option<i8>,
}

/// A subscription, and what says of its cycle; none of a plan that could not be read, which counts as
/// one of calendar months.
pub type CycleTerms<'a> = (&'a Subscription, Option<&'a BillingTerms>, &'a BillingOverride);

/// Subscriptions with one rule, before its periods are computed.
struct Found {
    rule: Rule,
    start: Micros,
    /// The instant from which periods count.
    anchor: Micros,
    in_trial: bool,
    end: Option<Micros>,
}

impl BillCycles {
    /// The cycles of a tenant's subscriptions to plans of one issuer, by start.
    pub fn new<'a>(terms: impl IntoIterator<Item = CycleTerms<'a>>, zone: &Zone) -> Result<Self, TimeError> {
        let mut found: Vec<Found> = Vec::new();
        for (subscription, billing, own) in terms {
            let (rule, start, in_trial) = (Rule::of(billing, own), subscription.starts_at, own.trial);
            match found.last_mut().filter(|last| last.goes_on(rule, start)) {
                Some(last) => {
                    if last.in_trial {
                        (last.anchor, last.in_trial) = (start, in_trial);
                    }
                    last.end = subscription.ends_at;
                }
                None => found.push(Found { rule, start, anchor: start, in_trial, end: subscription.ends_at }),
            }
        }
        let mut stretches = Vec::new();
        for (place, one) in found.iter().enumerate() {
            let is_cut = place > 0 || !one.rule.is_of_calendar();
            let start = if is_cut { one.start } else { Micros(i64::MIN) };
            let end = found.get(place + 1).map_or(Micros(i64::MAX), |next| next.start);
            stretches.push(Stretch { cycle: one.rule.cycle(one.anchor, zone)?, bounds: Window { start, end } });
        }
        Ok(Self { zone: zone.clone(), stretches })
    }

    /// The time zone of the periods.
    pub const fn zone(&self) -> &Zone {
        &self.zone
    }

    /// The period that holds an instant.
    pub fn period_at(&self, at: Micros) -> Result<Option<CyclePeriod>, TimeError> {
        let Some(stretch) = self.stretches.iter().find(|stretch| stretch.bounds.contains(at)) else { return Ok(None) };
        stretch.period(stretch.cycle.number_at(at)?).map(Some)
    }

    /// The periods that end within a month or with it, by start.
    pub fn ending_in(&self, month: Window) -> Result<Vec<CyclePeriod>, TimeError> {
        let mut found = Vec::new();
        for stretch in &self.stretches {
            let bounds = stretch.bounds;
            if bounds.start >= month.end || bounds.end <= month.start {
                continue;
            }
            let mut number = stretch.cycle.number_at(month.start.max(bounds.start))?;
            loop {
                let period = stretch.period(number)?;
                if period.window.end > month.end || period.window.length() == 0 {
                    break;
                }
                if period.window.end > month.start {
                    found.push(period);
                }
                number += 1;
            }
        }
        Ok(found)
    }
}

impl Stretch {
    fn period(&self, number: i64) -> Result<CyclePeriod, TimeError> {
        let whole = self.cycle.period(number)?;
        Ok(CyclePeriod { whole, window: whole.within(&self.bounds) })
    }
}

impl Found {
    /// Returns true if a subscription with this rule that begins at `start` has the same periods.
    fn goes_on(&self, rule: Rule, start: Micros) -> bool {
        self.rule == rule && (rule.is_of_calendar() || self.end == Some(start))
    }
}

impl Rule {
    fn of(billing: Option<&BillingTerms>, own: &BillingOverride) -> Self {
        let (unit, alignment) = billing.map(|terms| (terms.cycle, terms.alignment)).unwrap_or_default();
        Self { unit, alignment, day: own.anchor_day }
    }

    fn is_of_calendar(self) -> bool {
        self.day.is_none() && self.alignment == Alignment::Calendar
    }

    fn cycle(self, anchor: Micros, zone: &Zone) -> Result<Cycle, TimeError> {
        match self.day {
            Some(day) => Cycle::on_day(self.unit, day, anchor, zone),
            None => Cycle::new(self.unit, self.alignment, anchor, zone),
        }
    }
}

/// The end of the billing period of a tenant that holds `at`: that of its plan, or the calendar month if
/// it has none of its own.
pub(super) async fn period_end(
    connection: &mut AnyConnection,
    tenant: TenantId,
    zone: &Zone,
    at: Micros,
) -> Result<Micros, StoreError> {
    let all = rows::of(connection, tenant).await?;
    let issuer = all.iter().rfind(|one| one.starts_at <= at).map(|one| one.plan_owner);
    let terms = billing_override::of(connection, tenant).await?;
    let mut plans = Vec::new();
    for one in all.iter().filter(|one| Some(one.plan_owner) == issuer) {
        let version = versions::version_of(connection, &one.plan_owner.to_string(), &one.plan, one.version).await?;
        plans.push((one, version.map(|version| version.plan.billing)));
    }
    let terms = plans.iter().map(|(one, billing)| {
        let own = terms.get(&one.starts_at).unwrap_or(&BillingOverride::NONE);
        (*one, billing.as_ref(), own)
    });
    let period = BillCycles::new(terms, zone).and_then(|cycles| match cycles.period_at(at)? {
        Some(period) => Ok(period.window),
        None => Period::containing(at, zone)?.window(zone),
    });
    period.map(|window| window.end).map_err(|error| StoreError::refused(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A subscription from one day of 2026 up to another, if it ends, and its cycle.
    struct Given(&'static str, Option<&'static str>, CycleUnit, Alignment, BillingOverride);

    fn instant(day: &str) -> Micros {
        format!("{day}T00:00:00Z").parse().unwrap()
    }

    fn cycles(given: &[Given]) -> BillCycles {
        let of = |one: &Given| {
            let subscription = Subscription {
                tenant: TenantId::from_u128(1),
                plan_owner: TenantId::from_u128(2),
                plan: "a".parse().unwrap(),
                version: 1,
                starts_at: instant(one.0),
                ends_at: one.1.map(instant),
            };
            (subscription, BillingTerms { cycle: one.2, alignment: one.3, ..BillingTerms::default() }, one.4.clone())
        };
        let given: Vec<_> = given.iter().map(of).collect();
        let terms = given.iter().map(|(subscription, billing, own)| (subscription, Some(billing), own));
        BillCycles::new(terms, &Zone::utc()).unwrap()
    }

    /// The windows of periods that end in a month, as days.
    fn ending_in(cycles: &BillCycles, month: &str) -> Vec<(String, String)> {
        let month: Period = month.parse().unwrap();
        let found = cycles.ending_in(month.window(&Zone::utc()).unwrap()).unwrap();
        let day = |at: Micros| at.to_string()[..10].to_owned();
        found.iter().map(|period| (day(period.window.start), day(period.window.end))).collect()
    }

    fn days(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(start, end)| ((*start).to_owned(), (*end).to_owned())).collect()
    }

    #[test]
    fn months_of_the_calendar_are_whole_whenever_a_plan_began() {
        let plain = BillingOverride::NONE;
        let cycles = cycles(&[
            Given("2026-01-17", Some("2026-02-09"), CycleUnit::Month, Alignment::Calendar, plain.clone()),
            Given("2026-02-12", None, CycleUnit::Month, Alignment::Calendar, plain),
        ]);
        assert_eq!(ending_in(&cycles, "2026-01"), days(&[("2026-01-01", "2026-02-01")]));
        assert_eq!(ending_in(&cycles, "2026-02"), days(&[("2026-02-01", "2026-03-01")]));
    }

    #[test]
    fn plan_of_the_same_cycle_keeps_the_anniversary_and_a_later_one_has_its_own() {
        let of = |start, end| Given(start, end, CycleUnit::Month, Alignment::Anniversary, BillingOverride::NONE);
        let cycles = cycles(&[
            of("2026-01-31", Some("2026-02-10")),
            of("2026-02-10", Some("2026-04-03")),
            of("2026-06-20", None),
        ]);
        assert_eq!(ending_in(&cycles, "2026-02"), days(&[("2026-01-31", "2026-02-28")]));
        assert_eq!(ending_in(&cycles, "2026-04"), days(&[("2026-03-31", "2026-04-30")]));
        assert_eq!(ending_in(&cycles, "2026-06"), days(&[("2026-05-31", "2026-06-20")]));
        assert_eq!(ending_in(&cycles, "2026-07"), days(&[("2026-06-20", "2026-07-20")]));
    }

    #[test]
    fn change_of_cycle_cuts_the_period() {
        let cycles = cycles(&[
            Given("2026-01-01", Some("2026-03-10"), CycleUnit::Month, Alignment::Calendar, BillingOverride::NONE),
            Given("2026-03-10", None, CycleUnit::Year, Alignment::Anniversary, BillingOverride::NONE),
        ]);
        assert_eq!(ending_in(&cycles, "2026-03"), days(&[("2026-03-01", "2026-03-10")]));
        let cut = cycles.period_at(instant("2026-03-05")).unwrap().unwrap();
        assert_eq!(cut.whole.end, instant("2026-04-01"));
        assert_eq!(ending_in(&cycles, "2026-04"), []);
        assert_eq!(ending_in(&cycles, "2027-03"), days(&[("2026-03-10", "2027-03-10")]));
    }

    #[test]
    fn periods_count_from_the_end_of_a_trial() {
        let trial = BillingOverride { trial: true, ..BillingOverride::NONE };
        let cycles = cycles(&[
            Given("2026-01-20", Some("2026-02-03"), CycleUnit::Month, Alignment::Anniversary, trial),
            Given("2026-02-03", None, CycleUnit::Month, Alignment::Anniversary, BillingOverride::NONE),
        ]);
        assert_eq!(ending_in(&cycles, "2026-02"), days(&[("2026-01-20", "2026-02-03")]));
        assert_eq!(ending_in(&cycles, "2026-03"), days(&[("2026-02-03", "2026-03-03")]));
    }

    #[test]
    fn weeks_that_end_in_a_month_are_all_of_it() {
        let given = Given("2026-01-07", None, CycleUnit::Week, Alignment::Calendar, BillingOverride::NONE);
        let expected = [
            ("2026-01-26", "2026-02-02"),
            ("2026-02-02", "2026-02-09"),
            ("2026-02-09", "2026-02-16"),
            ("2026-02-16", "2026-02-23"),
        ];
        assert_eq!(ending_in(&cycles(&[given]), "2026-02"), days(&expected));
    }

    #[test]
    fn day_that_was_agreed_on_is_kept_through_short_months() {
        let agreed = BillingOverride { anchor_day: Some(31), ..BillingOverride::NONE };
        let given = Given("2026-01-07", None, CycleUnit::Month, Alignment::Calendar, agreed);
        let cycles = cycles(&[given]);
        assert_eq!(ending_in(&cycles, "2026-01"), days(&[("2026-01-07", "2026-01-31")]));
        assert_eq!(ending_in(&cycles, "2026-02"), days(&[("2026-01-31", "2026-02-28")]));
        assert_eq!(ending_in(&cycles, "2026-03"), days(&[("2026-02-28", "2026-03-31")]));
    }
}
