//! Usage of a month, on each tenant's own clock.

use common::{
    id::{KeyId, TenantId},
    key::Mode,
    time::Micros,
    usage::{ABORTED_STATUS, RefusalCount, StreamId, UsageBatch, UsageEntry, UsageRecord},
};
use serde_json::{Value, json};

use crate::fixture::{Fixture, text};

/// A tenant's key, for writing usage down.
struct User {
    tenant: TenantId,
    key: KeyId,
    mode: Mode,
}

impl User {
    fn new(fixture: &Fixture, name: &str, zone: &str, test: bool) -> Self {
        let root = fixture.root();
        let tenant = fixture.id(&["tenant", "create", "--name", name, "--parent", &root, "--time-zone", zone]);
        let create = ["key", "create", "--tenant", &tenant, "--name", "main"];
        let created = if test { fixture.json(&[&create[..], &["--test"]].concat()) } else { fixture.json(&create) };
        Self {
            tenant: tenant.parse().unwrap(),
            key: text(&created["key"]["id"]).parse().unwrap(),
            mode: if test { Mode::Test } else { Mode::Live },
        }
    }

    fn request(&self, at: &str, route: &str, units: u64, billable: bool) -> UsageEntry {
        self.ended(200, at, route, units, billable)
    }

    /// A request whose client left before the answer.
    fn aborted(&self, at: &str, route: &str, units: u64, billable: bool) -> UsageEntry {
        self.ended(ABORTED_STATUS, at, route, units, billable)
    }

    fn ended(&self, status: u16, at: &str, route: &str, units: u64, billable: bool) -> UsageEntry {
        UsageEntry::Request(UsageRecord {
            at: at.parse().unwrap(),
            tenant: self.tenant,
            key: self.key,
            route: route.into(),
            meter: "requests".into(),
            units,
            status,
            billable,
            mode: self.mode,
            prepaid: false,
        })
    }

    fn refusals(&self, at: &str, count: u64) -> UsageEntry {
        let reason = "rate_limited".into();
        UsageEntry::Refusals(RefusalCount {
            at: at.parse().unwrap(),
            tenant: self.tenant,
            key: self.key,
            reason,
            count,
        })
    }
}

async fn book(fixture: &Fixture, entries: Vec<UsageEntry>) {
    let batch = UsageBatch { stream: StreamId::new("edge-1", 1, 0).unwrap(), first_seq: 0, entries };
    fixture.store.book_usage(&batch, Micros(0)).await.unwrap();
}

fn row(labels: &Value, counts: [u64; 6]) -> Value {
    let mut row = labels.clone();
    let names = ["requests", "aborted", "units", "billable_units", "test_requests", "refused_requests"];
    for (name, count) in names.into_iter().zip(counts) {
        row[name] = json!(count);
    }
    row
}

#[tokio::test]
async fn month_is_summed_by_tenant_key_route_and_hour() {
    let fixture = Fixture::new().await;
    let live = User::new(&fixture, "Live", "UTC", false);
    let test = User::new(&fixture, "Test", "UTC", true);
    let entries = vec![
        live.request("2026-11-10T10:10:00Z", "search", 3, true),
        live.aborted("2026-11-10T10:50:00Z", "search", 2, false),
        live.request("2026-11-10T11:00:00Z", "upload", 1, true),
        test.aborted("2026-11-10T10:20:00Z", "search", 5, true),
        live.refusals("2026-11-10T10:30:00Z", 7),
    ];
    book(&fixture, entries).await;
    let rows = |by: &str| {
        let report = fixture.json(&["usage", "show", "--period", "2026-11", "--by", by]);
        assert_eq!(report["period"], "2026-11");
        report["rows"].clone()
    };

    let of_live = [3, 1, 6, 4, 0, 7];
    let of_test = [1, 1, 5, 0, 1, 0];
    let tenant = |user: &User, name: &str| json!({ "tenant": user.tenant, "tenant_name": name, "meter": "requests" });
    assert_eq!(rows("tenant"), json!([row(&tenant(&live, "Live"), of_live), row(&tenant(&test, "Test"), of_test)]));
    let key = |user: &User| json!({ "tenant": user.tenant, "key": user.key, "key_name": "main", "meter": "requests" });
    assert_eq!(rows("key"), json!([row(&key(&live), of_live), row(&key(&test), of_test)]));
    assert_eq!(
        rows("route"),
        json!([
            row(&json!({ "route": null, "meter": null }), [0, 0, 0, 0, 0, 7]),
            row(&json!({ "route": "search", "meter": "requests" }), [3, 2, 10, 3, 1, 0]),
            row(&json!({ "route": "upload", "meter": "requests" }), [1, 0, 1, 1, 0, 0]),
        ])
    );
    let table = fixture.keyctl(&["usage", "show", "--period", "2026-11", "--by", "route"]).stdout;
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0][3..5], ["REQUESTS", "ABORTED"], "{table}");
    assert!(lines.iter().any(|line| line[0] == "search" && line[3..5] == ["3", "2"]), "{table}");
    assert_eq!(
        rows("hour"),
        json!([
            row(&json!({ "hour": "2026-11-10T10:00:00Z", "meter": "requests" }), [3, 2, 10, 3, 1, 7]),
            row(&json!({ "hour": "2026-11-10T11:00:00Z", "meter": "requests" }), [1, 0, 1, 1, 0, 0]),
        ])
    );
}

#[tokio::test]
async fn month_begins_on_each_tenants_own_clock() {
    let fixture = Fixture::new().await;
    let berlin = User::new(&fixture, "Berlin", "Europe/Berlin", false);
    let utc = User::new(&fixture, "UTC", "UTC", false);
    let new_york = User::new(&fixture, "New York", "America/New_York", false);
    // Already November in Berlin, still October everywhere else.
    let at = "2026-10-31T23:30:00Z";
    // Still November in New York alone.
    let late = "2026-12-01T03:30:00Z";
    let users = [&berlin, &utc, &new_york];
    let entries = users.iter().flat_map(|user| [at, late].map(|at| user.request(at, "api", 1, true))).collect();
    book(&fixture, entries).await;

    let tenants_of = |period: &str| {
        let report = fixture.json(&["usage", "show", "--period", period]);
        let rows = report["rows"].as_array().unwrap().clone();
        assert!(rows.iter().all(|row| row["requests"] == 1), "{report}");
        rows.iter().map(|row| text(&row["tenant_name"])).collect::<Vec<_>>()
    };
    assert_eq!(tenants_of("2026-10"), ["UTC", "New York"]);
    assert_eq!(tenants_of("2026-11"), ["Berlin", "New York"]);
    assert_eq!(tenants_of("2026-12"), ["Berlin", "UTC"]);

    let berlin_id = berlin.tenant.to_string();
    let october = fixture.json(&["usage", "show", "--period", "2026-10", "--tenant", &berlin_id]);
    assert_eq!(october["rows"], json!([]));
}

#[tokio::test]
async fn usage_of_an_unknown_tenant_is_not_hidden() {
    let fixture = Fixture::new().await;
    let stranger = User { tenant: TenantId::generate(), key: KeyId::generate(), mode: Mode::Live };
    book(&fixture, vec![stranger.request("2026-11-10T10:10:00Z", "api", 4, true)]).await;
    let report = fixture.json(&["usage", "show", "--period", "2026-11"]);
    assert_eq!(report["rows"][0]["tenant"], stranger.tenant.to_string());
    assert_eq!((&report["rows"][0]["tenant_name"], &report["rows"][0]["units"]), (&json!(null), &json!(4)));
}

#[tokio::test]
async fn current_month_is_the_default_and_missing_tenant_is_not_found() {
    let fixture = Fixture::new().await;
    let report = fixture.json(&["usage", "show"]);
    assert!(report["period"].as_str().unwrap().parse::<common::time::Period>().is_ok(), "{report}");
    assert_eq!(fixture.keyctl(&["usage", "show", "--tenant", "ten_01jd0000000000000000000000"]).code, 3);
}

#[tokio::test]
async fn report_sums_by_the_requested_dimensions() {
    let fixture = Fixture::new().await;
    let live = User::new(&fixture, "Live", "UTC", false);
    let test = User::new(&fixture, "Test", "UTC", true);
    let entries = vec![
        live.request("2026-11-10T10:10:00Z", "search", 3, true),
        live.aborted("2026-11-10T11:50:00Z", "upload", 2, false),
        live.request("2026-11-11T10:00:00Z", "search", 1, true),
        test.request("2026-11-10T10:20:00Z", "search", 5, true),
    ];
    book(&fixture, entries).await;
    let tenant = live.tenant.to_string();
    let report = |words: &[&str]| {
        let window = ["--from", "2026-11-01T00:00Z", "--to", "2026-12-01T00:00Z"];
        fixture.json(&[&["usage", "report", "--tenant", &tenant], &window[..], words].concat())
    };
    let row = |(start, end): (&str, &str), labels: &Value, counts: [u64; 4]| {
        let mut row = json!({
            "start": start, "end": end, "zone": "UTC", "whole": true, "tenant": null, "key": null, "route": null, "meter": null, "mode": null,
            "requests": counts[0], "aborted": counts[1], "units": counts[2], "billable_units": counts[3],
        });
        for (name, label) in labels.as_object().unwrap() {
            row[name] = label.clone();
        }
        row
    };
    let tenth = ("2026-11-10T00:00:00Z", "2026-11-11T00:00:00Z");
    let eleventh = ("2026-11-11T00:00:00Z", "2026-11-12T00:00:00Z");
    let november = ("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z");
    let requests = json!({ "meter": "requests" });
    assert_eq!(report(&[]), json!([row(tenth, &requests, [2, 1, 5, 3]), row(eleventh, &requests, [1, 0, 1, 1])]));
    let by_route = [
        row(november, &json!({ "route": "search", "mode": "live" }), [2, 0, 4, 4]),
        row(november, &json!({ "route": "upload", "mode": "live" }), [1, 1, 2, 0]),
    ];
    assert_eq!(report(&["--step", "month", "--by", "route,mode"]), json!(by_route));
    let an_hour = row(("2026-11-10T10:00:00Z", "2026-11-10T11:00:00Z"), &requests, [1, 0, 3, 3]);
    assert_eq!(report(&["--step", "hour"])[0], an_hour);
    assert_eq!(report(&["--route", "upload", "--mode", "live"]), json!([row(tenth, &requests, [1, 1, 2, 0])]));
    assert_eq!(report(&["--mode", "test"]), json!([]));
    let table = fixture.keyctl(&["usage", "report", "--tenant", &tenant, "--from", "2026-11-01T00:00Z"]).stdout;
    assert!(table.starts_with("START") && table.contains("REQUESTS  ABORTED"), "{table}");
}

#[tokio::test]
async fn report_without_tenants_or_time_is_refused() {
    let fixture = Fixture::new().await;
    let root = fixture.root();
    let report = ["usage", "report", "--tenant", &root];
    let backwards = ["--from", "2026-12-01T00:00Z", "--to", "2026-11-01T00:00Z"];
    assert_eq!(fixture.keyctl(&[&report[..], &backwards].concat()).code, 2);
    assert_eq!(fixture.keyctl(&[&report[..], &["--by", "colour"]].concat()).code, 2);
    assert_eq!(fixture.keyctl(&["usage", "report"]).code, 2);
    assert_eq!(fixture.keyctl(&["usage", "report", "--tenant", "ten_01jd0000000000000000000000"]).code, 3);
}
