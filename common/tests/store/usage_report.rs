//! Usage reports: sums, time zones and pages.

use std::collections::BTreeMap;

use common::{
    acting::Scope,
    id::TenantId,
    store::Store,
    tenant::{TenantKind, lifecycle::NewTenant},
    time::{Micros, Window},
    usage::{
        UsageBatch, UsageEntry, UsageRecord,
        report::{UsageCursor, UsageDimension, UsageQuery, UsageReportRow, UsageStep},
    },
};

use crate::fixture::{Fixture, NOW, acting_person, new_tenant, on_both_engines, request, root, stream};

on_both_engines!(reports_add_up_in_every_time_zone,);

async fn all(store: &Store, mut query: UsageQuery) -> Vec<UsageReportRow> {
    let (mut rows, mut cursors): (Vec<UsageReportRow>, Vec<UsageCursor>) = (Vec::new(), Vec::new());
    loop {
        let report = store.usage_report(&query).await.unwrap();
        rows.extend(report.rows);
        match report.next {
            None => return rows,
            Some(next) => {
                assert!(!cursors.contains(&next), "a report that never ends");
                cursors.push(next.clone());
                query.after = Some(next);
            }
        }
    }
}

async fn reports_add_up_in_every_time_zone(fixture: Fixture) {
    let store = fixture.store().await;
    let top = root(&store).await.id;
    let zoned = |zone: &str| NewTenant { zone: zone.parse().unwrap(), ..new_tenant(TenantKind::Customer, Some(top)) };
    let mut tenants = Vec::new();
    for zone in ["UTC", "Asia/Kathmandu", "America/New_York"] {
        tenants.push(store.create_tenant(&zoned(zone), NOW).await.unwrap().id);
    }
    let mut entries = Vec::new();
    for hour in 0..60 {
        for (index, tenant) in tenants.iter().enumerate() {
            let at = NOW.plus_seconds(hour * 3_600);
            let meter = if hour % 2 == 0 { "requests" } else { "pages" };
            let units = 1 + u64::try_from(index).unwrap();
            entries.push(UsageEntry::Request(UsageRecord { at, units, meter: meter.into(), ..request(*tenant) }));
        }
    }
    let batch = UsageBatch { stream: stream(1), first_seq: 0, entries };
    store.book_usage(&batch, NOW).await.unwrap();
    let query = |step, group_by: &[UsageDimension], limit| UsageQuery {
        tenant: top,
        subtree: true,
        key: None,
        route: None,
        meter: None,
        mode: None,
        window: Window { start: NOW.plus_seconds(-86_400), end: NOW.plus_seconds(86_400 * 5) },
        step,
        group_by: group_by.to_vec(),
        after: None,
        limit,
    };
    for step in [UsageStep::Hour, UsageStep::Day, UsageStep::Month] {
        for group_by in [&[][..], &[UsageDimension::Tenant], &[UsageDimension::Meter, UsageDimension::Tenant]] {
            let whole = all(&store, query(step, group_by, 1_000)).await;
            let paged = all(&store, query(step, group_by, 3)).await;
            assert_eq!(whole, paged, "pages are the report, {step:?} {group_by:?}");
            let units: u64 = whole.iter().map(|row| row.units).sum();
            assert_eq!(units, 60 * (1 + 2 + 3), "{step:?} {group_by:?}");
        }
    }
    let days = all(&store, query(UsageStep::Day, &[UsageDimension::Tenant], 1_000)).await;
    let mut starts: BTreeMap<TenantId, Vec<Micros>> = BTreeMap::new();
    for row in &days {
        starts.entry(row.tenant.unwrap()).or_default().push(row.start);
    }
    // 2026-11-21T18:15Z is midnight in Kathmandu, 2026-11-21T05:00Z in New York.
    assert_eq!(starts[&tenants[1]][0], Micros(1_795_284_900_000_000));
    assert_eq!(starts[&tenants[2]][0], Micros(1_795_237_200_000_000));
    let one = UsageQuery {
        tenant: tenants[0],
        subtree: false,
        meter: Some("pages".into()),
        ..query(UsageStep::Month, &[], 9)
    };
    let rows = all(&store, one).await;
    assert_eq!((rows.len(), rows[0].units, rows[0].requests), (1, 30, 30));
    let mine = store.acting_as(acting_person("anna", Scope::Subtree(tenants[0])));
    assert!(mine.usage_report(&query(UsageStep::Day, &[], 9)).await.is_err());
}
