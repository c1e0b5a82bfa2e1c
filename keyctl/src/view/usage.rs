//! Sums of usage, by what they were asked for.

use std::collections::BTreeMap;

use common::{
    id::{KeyId, TenantId},
    key::Mode,
    store::{RefusalSum, UsageSum},
    time::Period,
};
use serde::Serialize;

use super::Instant;
use crate::output::{ListRow, Rows, View, or_dash};

/// The usage of a period.
#[derive(Debug, Serialize)]
pub(crate) struct UsageReport {
    period: Period,
    rows: Vec<UsageRow>,
}

/// What a row sums up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(untagged)]
pub(crate) enum Subject {
    /// All usage of a tenant; a tenant that the store does not know yet has no name.
    Tenant { tenant: TenantId, tenant_name: Option<String> },
    /// All usage of a key.
    Key { tenant: TenantId, key: KeyId, key_name: Option<String> },
    /// All usage through a route; refusals are not kept by route and have none.
    Route { route: Option<String> },
    /// All usage of an hour.
    Hour { hour: Instant },
}

/// Sums by subject and meter, as units of different meters do not add up.
#[derive(Debug, Default)]
pub(crate) struct UsageTotals(BTreeMap<Subject, BTreeMap<Option<String>, Counts>>);

#[derive(Debug, Serialize)]
struct UsageRow {
    #[serde(flatten)]
    subject: Subject,
    meter: Option<String>,
    #[serde(flatten)]
    counts: Counts,
}

#[derive(Debug, Default, Serialize)]
struct Counts {
    requests: u64,
    units: u64,
    billable_units: u64,
    test_requests: u64,
    refused_requests: u64,
}

impl UsageTotals {
    /// Adds forwarded requests.
    pub(crate) fn add_usage(&mut self, subject: Subject, usage: &UsageSum) {
        let counts = self.0.entry(subject).or_default().entry(Some(usage.meter.clone())).or_default();
        counts.requests = counts.requests.saturating_add(usage.requests);
        counts.units = counts.units.saturating_add(usage.units);
        if usage.mode == Mode::Test {
            counts.test_requests = counts.test_requests.saturating_add(usage.requests);
        } else if usage.billable {
            counts.billable_units = counts.billable_units.saturating_add(usage.units);
        }
    }

    /// Adds refused requests; add them after all usage. They have no meter, so they stand in the subject's first row,
    /// and every column adds up to what happened.
    pub(crate) fn add_refusals(&mut self, subject: Subject, refusals: &RefusalSum) {
        let meters = self.0.entry(subject).or_default();
        if meters.is_empty() {
            meters.insert(None, Counts::default());
        }
        for counts in meters.values_mut().take(1) {
            counts.refused_requests = counts.refused_requests.saturating_add(refusals.count);
        }
    }

    /// The sums as a report.
    pub(crate) fn into_report(self, period: Period) -> UsageReport {
        let rows = self.0.into_iter().flat_map(|(subject, meters)| {
            meters.into_iter().map(move |(meter, counts)| UsageRow { subject: subject.clone(), meter, counts })
        });
        UsageReport { period, rows: rows.collect() }
    }
}

impl View for UsageReport {
    fn table(&self) -> Rows {
        self.rows.table()
    }
}

impl ListRow for UsageRow {
    const COLUMNS: &'static [&'static str] =
        &["SUBJECT", "NAME", "METER", "REQUESTS", "UNITS", "BILLABLE", "TEST", "REFUSED"];

    fn cells(&self) -> Vec<String> {
        let (of, name) = match &self.subject {
            Subject::Tenant { tenant, tenant_name } => (tenant.to_string(), or_dash(tenant_name.as_ref())),
            Subject::Key { key, key_name, .. } => (key.to_string(), or_dash(key_name.as_ref())),
            Subject::Route { route } => (or_dash(route.as_ref()), "-".to_owned()),
            Subject::Hour { hour } => (hour.to_string(), "-".to_owned()),
        };
        let counts = &self.counts;
        let numbers =
            [counts.requests, counts.units, counts.billable_units, counts.test_requests, counts.refused_requests];
        [of, name, or_dash(self.meter.as_ref())].into_iter().chain(numbers.map(|number| number.to_string())).collect()
    }
}

#[cfg(test)]
mod tests {
    use common::time::Micros;

    use super::*;

    fn usage(meter: &str, mode: Mode, billable: bool, units: u64) -> UsageSum {
        UsageSum {
            hour: Micros(0),
            tenant: TenantId::from_u128(1),
            key: KeyId::from_u128(2),
            route: "api".into(),
            meter: meter.into(),
            mode,
            billable,
            requests: 1,
            units,
        }
    }

    fn subject(route: &str) -> Subject {
        Subject::Route { route: Some(route.into()) }
    }

    #[test]
    fn units_of_different_meters_never_mix_and_refusals_count_once() {
        let mut totals = UsageTotals::default();
        totals.add_usage(subject("api"), &usage("requests", Mode::Live, true, 1));
        totals.add_usage(subject("api"), &usage("requests", Mode::Live, false, 2));
        totals.add_usage(subject("api"), &usage("requests", Mode::Test, false, 4));
        totals.add_usage(subject("api"), &usage("tokens", Mode::Live, true, 100));
        let refusals = RefusalSum {
            hour: Micros(0),
            tenant: TenantId::from_u128(1),
            key: KeyId::from_u128(2),
            reason: "rate_limited".into(),
            count: 9,
        };
        totals.add_refusals(subject("api"), &refusals);
        totals.add_refusals(subject("idle"), &refusals);
        let report = serde_json::to_value(totals.into_report("2026-11".parse().unwrap())).unwrap();
        assert_eq!(
            report,
            serde_json::json!({ "period": "2026-11", "rows": [
                { "route": "api", "meter": "requests", "requests": 3, "units": 7, "billable_units": 1,
                  "test_requests": 1, "refused_requests": 9 },
                { "route": "api", "meter": "tokens", "requests": 1, "units": 100, "billable_units": 100,
                  "test_requests": 0, "refused_requests": 0 },
                { "route": "idle", "meter": null, "requests": 0, "units": 0, "billable_units": 0,
                  "test_requests": 0, "refused_requests": 9 },
            ] })
        );
    }
}
