//! Sums of usage, by what they were asked for.

use std::collections::BTreeMap;

use common::{
    id::{KeyId, TenantId},
    key::Mode,
    time::Period,
    usage::{
        report::UsageReportRow,
        rollup::{RefusalSum, UsageSum},
    },
};
use serde::{Deserialize, Serialize};

use super::Instant;
use crate::output::{ListRow, Rows, View, or_dash};

/// The usage of a period.
#[derive(Debug, Serialize)]
pub(crate) struct UsageReport {
    period: Period,
    rows: Vec<UsageRow>,
}

/// Usage, told apart by everything that it can be told apart by.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Used {
    /// Start of the hour, or of the month.
    pub(crate) start: Instant,
    pub(crate) tenant: TenantId,
    pub(crate) key: KeyId,
    pub(crate) route: String,
    meter: String,
    mode: Mode,
    requests: u64,
    aborted: u64,
    units: u64,
    billable_units: u64,
}

/// A row of a report. What was not grouped by is left open.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ReportRow {
    start: Instant,
    end: Instant,
    zone: String,
    whole: bool,
    tenant: Option<TenantId>,
    key: Option<KeyId>,
    route: Option<String>,
    meter: Option<String>,
    mode: Option<Mode>,
    requests: u64,
    aborted: u64,
    units: u64,
    billable_units: u64,
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
    aborted: u64,
    units: u64,
    billable_units: u64,
    test_requests: u64,
    /// None if refusals cannot be told.
    refused_requests: Option<u64>,
}

impl From<UsageSum> for Used {
    fn from(sum: UsageSum) -> Self {
        Self {
            start: Instant(sum.hour),
            tenant: sum.tenant,
            key: sum.key,
            route: sum.route,
            meter: sum.meter,
            mode: sum.mode,
            requests: sum.requests,
            aborted: sum.aborted,
            units: sum.units,
            billable_units: if sum.billable && sum.mode == Mode::Live { sum.units } else { 0 },
        }
    }
}

impl From<UsageReportRow> for ReportRow {
    fn from(row: UsageReportRow) -> Self {
        let UsageReportRow {
            start,
            end,
            zone,
            whole,
            tenant,
            key,
            route,
            meter,
            mode,
            requests,
            aborted,
            units,
            billable_units,
        } = row;
        let (start, end) = (Instant(start), Instant(end));
        Self { start, end, zone, whole, tenant, key, route, meter, mode, requests, aborted, units, billable_units }
    }
}

impl UsageTotals {
    /// Adds forwarded requests.
    pub(crate) fn add_usage(&mut self, subject: Subject, usage: &Used) {
        let counts = self.0.entry(subject).or_default().entry(Some(usage.meter.clone())).or_default();
        counts.requests = counts.requests.saturating_add(usage.requests);
        counts.aborted = counts.aborted.saturating_add(usage.aborted);
        counts.units = counts.units.saturating_add(usage.units);
        counts.billable_units = counts.billable_units.saturating_add(usage.billable_units);
        if usage.mode == Mode::Test {
            counts.test_requests = counts.test_requests.saturating_add(usage.requests);
        }
    }

    /// Says that refusals are told; those that are not added did not happen.
    pub(crate) fn with_refusals(&mut self) {
        for counts in self.0.values_mut().flat_map(BTreeMap::values_mut) {
            counts.refused_requests = Some(0);
        }
    }

    /// Adds refused requests, after [`Self::with_refusals`]. They have no meter, so they stand in the subject's first row,
    /// and every column adds up to what happened.
    pub(crate) fn add_refusals(&mut self, subject: Subject, refusals: &RefusalSum) {
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

impl ListRow for ReportRow {
    const COLUMNS: &'static [&'static str] = &[
        "START", "ZONE", "WHOLE", "TENANT", "KEY", "ROUTE", "METER", "MODE", "REQUESTS", "ABORTED", "UNITS", "BILLABLE",
    ];
    const DROPPABLE: &'static [&'static str] = &["WHOLE", "ZONE", "MODE", "TENANT", "ABORTED", "BILLABLE"];

    fn cells(&self) -> Vec<String> {
        let labels = [
            self.start.to_string(),
            self.zone.clone(),
            if self.whole { "yes" } else { "no" }.to_owned(),
            or_dash(self.tenant),
            or_dash(self.key),
            or_dash(self.route.as_ref()),
            or_dash(self.meter.as_ref()),
            or_dash(self.mode),
        ];
        let numbers = [self.requests, self.aborted, self.units, self.billable_units];
        labels.into_iter().chain(numbers.map(|number| number.to_string())).collect()
    }
}

#[cfg(test)]
mod tests {
    use common::{time::Micros, usage::PaidBy};

    use super::*;

    fn usage(meter: &str, mode: Mode, billable: bool, units: u64) -> Used {
        let sum = UsageSum {
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
        let refusals = RefusalSum {
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
