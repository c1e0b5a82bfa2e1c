//! Totals of a month by tenant, key, route or hour.

use std::collections::BTreeMap;

use common::{
    api::instant::Instant,
    id::{KeyId, TenantId},
    key::Mode,
    time::Period,
    usage::rollup::RefusalRollup,
};
use serde::Serialize;

use crate::{
    backend::Used,
    output::{ListRow, Rows, View, or_dash},
};

/// The usage of a period.
#[derive(Debug, Serialize)]
pub(super) struct UsageReport {
    period: Period,
    rows: Vec<UsageRow>,
}

/// Subject of a row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(untagged)]
pub(super) enum Subject {
    /// Usage of a tenant; a tenant that the store does not know has no name.
    Tenant { tenant: TenantId, tenant_name: Option<String> },
    /// Usage of a key.
    Key { tenant: TenantId, key: KeyId, key_name: Option<String> },
    /// Usage through a route; refusals have no route.
    Route { route: Option<String> },
    /// Usage of an hour.
    Hour { hour: Instant },
}

/// Sums by subject and meter, as units of different meters do not add up.
#[derive(Debug, Default)]
pub(super) struct UsageTotals(BTreeMap<Subject, BTreeMap<Option<String>, Counts>>);

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
    aborted: u64,
    units: u64,
    billable_units: u64,
    test_requests: u64,
    /// None if the backend does not tell refusals.
    refused_requests: Option<u64>,
}

impl UsageTotals {
    /// Adds forwarded requests.
    pub(super) fn add_usage(&mut self, subject: Subject, usage: &Used) {
        let counts = self.0.entry(subject).or_default().entry(Some(usage.meter.clone())).or_default();
        counts.requests = counts.requests.saturating_add(usage.requests);
        counts.aborted = counts.aborted.saturating_add(usage.aborted);
        counts.units = counts.units.saturating_add(usage.units);
        counts.billable_units = counts.billable_units.saturating_add(usage.billable_units);
        if usage.mode == Mode::Test {
            counts.test_requests = counts.test_requests.saturating_add(usage.requests);
        }
    }

    /// Declares that refusals are known: a row without added refusals has none.
    pub(super) fn with_refusals(&mut self) {
        for counts in self.0.values_mut().flat_map(BTreeMap::values_mut) {
            counts.refused_requests = Some(0);
        }
    }

    /// Adds refused requests, after [`Self::with_refusals`]. They have no meter, so they count in
    /// the subject's first row, and every column adds up.
    pub(super) fn add_refusals(&mut self, subject: Subject, refusals: &RefusalRollup) {
        let meters = self.0.entry(subject).or_default();
        if meters.is_empty() {
            meters.insert(None, Counts::default());
        }
        for counts in meters.values_mut().take(1) {
            let refused = counts.refused_requests.unwrap_or_default();
            counts.refused_requests = Some(refused.saturating_add(refusals.count));
        }
    }

    /// The sums as a report.
    pub(super) fn into_report(self, period: Period) -> UsageReport {
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
        &["SUBJECT", "NAME", "METER", "REQUESTS", "ABORTED", "UNITS", "BILLABLE", "TEST", "REFUSED"];
    const DROPPABLE: &'static [&'static str] = &["TEST", "REFUSED", "ABORTED", "NAME"];

    fn cells(&self) -> Vec<String> {
        let (of, name) = match &self.subject {
            Subject::Tenant { tenant, tenant_name } => (tenant.to_string(), or_dash(tenant_name.as_ref())),
            Subject::Key { key, key_name, .. } => (key.to_string(), or_dash(key_name.as_ref())),
            Subject::Route { route } => (or_dash(route.as_ref()), "-".to_owned()),
            Subject::Hour { hour } => (hour.to_string(), "-".to_owned()),
        };
        let counts = &self.counts;
        let numbers = [counts.requests, counts.aborted, counts.units, counts.billable_units, counts.test_requests];
        let labels = [of, name, or_dash(self.meter.as_ref())];
        let refused = or_dash(counts.refused_requests);
        labels.into_iter().chain(numbers.map(|number| number.to_string())).chain([refused]).collect()
    }
}

#[cfg(test)]
mod tests {
    use common::{
        time::Micros,
        usage::{PaidBy, rollup::UsageRollup},
    };

    use super::*;

    fn usage(meter: &str, mode: Mode, billable: bool, units: u64) -> Used {
        let sum = UsageRollup {
            hour: Micros(0),
            since: Micros(0),
            tenant: TenantId::from_u128(1),
            key: KeyId::from_u128(2),
            route: "api".into(),
            meter: meter.into(),
            mode,
            billable,
            paid: if billable { PaidBy::Charge } else { PaidBy::Nothing },
            requests: 1,
            aborted: u64::from(mode == Mode::Test),
            units,
        };
        sum.into()
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
        let refusals = RefusalRollup {
            hour: Micros(0),
            tenant: TenantId::from_u128(1),
            key: KeyId::from_u128(2),
            reason: "rate_limited".into(),
            count: 9,
        };
        totals.with_refusals();
        totals.add_refusals(subject("api"), &refusals);
        totals.add_refusals(subject("idle"), &refusals);
        let report = serde_json::to_value(totals.into_report("2026-11".parse().unwrap())).unwrap();
        assert_eq!(
            report,
            serde_json::json!({ "period": "2026-11", "rows": [
                { "route": "api", "meter": "requests", "requests": 3, "aborted": 1, "units": 7, "billable_units": 1,
                  "test_requests": 1, "refused_requests": 9 },
                { "route": "api", "meter": "tokens", "requests": 1, "aborted": 0, "units": 100, "billable_units": 100,
                  "test_requests": 0, "refused_requests": 0 },
                { "route": "idle", "meter": null, "requests": 0, "aborted": 0, "units": 0, "billable_units": 0,
                  "test_requests": 0, "refused_requests": 9 },
            ] })
        );
    }
}
