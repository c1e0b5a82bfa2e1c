//! Requests whose client left before the answer are counted beside all others, and stay counted.

use std::path::Path;

use common::{
    id::TenantId,
    store::Store,
    tenant::TenantKind::{Customer, Reseller},
    time::{Micros, Window},
    usage::{
        ABORTED_STATUS, UsageBatch, UsageEntry, UsageRecord,
        quarantine::QuarantineAction,
        report::{UsageDimension, UsageQuery, UsageStep},
    },
};
use sqlx::AssertSqlSafe;

use crate::fixture::{Fixture, NOW, new_tenant, on_both_engines, request, root, stream, usage_of};

on_both_engines!(
    aborted_requests_are_counted_with_and_without_records,
    accepted_quarantined_aborted_requests_are_counted,
    aborted_requests_count_for_parent_of_their_time,
    aborted_requests_stay_counted_after_records_are_dropped,
    report_shows_aborted_requests,
    rollup_with_more_aborted_than_requests_is_refused,
    migration_counts_aborted_requests_of_kept_records,
    migration_of_too_small_rollup_succeeds_and_reconcile_reports_it,
);

const DAY: i64 = 86_400;

fn with_status(tenant: TenantId, status: u16, at: Micros) -> UsageEntry {
    UsageEntry::Request(UsageRecord { status, at, ..request(tenant) })
}

/// Books a request with each status at each of the times.
async fn book(store: &Store, first_seq: u64, tenant: TenantId, times: &[Micros], statuses: &[u16]) {
    let entries: Vec<_> =
        times.iter().flat_map(|at| statuses.iter().map(|status| with_status(tenant, *status, *at))).collect();
    store.book_usage(&UsageBatch { stream: stream(1), first_seq, entries }, NOW).await.unwrap();
}

/// Requests and aborted requests of each sum.
async fn counts(store: &Store, tenant: TenantId) -> Vec<(u64, u64)> {
    usage_of(store, tenant).await.iter().map(|sum| (sum.requests, sum.aborted)).collect()
}

async fn assert_clean(store: &Store) {
    let audit = store.reconcile(None).await.unwrap();
    assert!(audit.is_clean(), "{:?}", audit.breaches);
}

async fn aborted_requests_are_counted_with_and_without_records(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    book(&store, 0, tenant, &[NOW], &[200, ABORTED_STATUS, 500, ABORTED_STATUS]).await;
    assert_eq!(counts(&store, tenant).await, [(4, 2)]);
    fixture.assert_sums_match_records().await;
    book(&store, 4, tenant, &[NOW], &[ABORTED_STATUS, 498]).await;
    book(&store, 0, tenant, &[NOW], &[ABORTED_STATUS; 6]).await;
    assert_eq!(counts(&store, tenant).await, [(6, 3)], "what comes again is not counted again");
    let sparing = store.clone().keeping_records(false);
    book(&sparing, 6, tenant, &[NOW], &[ABORTED_STATUS, 200]).await;
    assert_eq!(counts(&store, tenant).await, [(8, 4)]);
    assert_clean(&store).await;
}

async fn accepted_quarantined_aborted_requests_are_counted(fixture: Fixture) {
    let store = fixture.store().await.setting_aside_later_than(Some(10));
    let tenant = root(&store).await.id;
    let old = NOW.plus_seconds(-90 * DAY);
    book(&store, 0, tenant, &[old], &[ABORTED_STATUS, ABORTED_STATUS]).await;
    assert_eq!(counts(&store, tenant).await, []);
    let ids: Vec<_> = store.quarantine(10, 0).await.unwrap().into_iter().map(|entry| entry.id).collect();
    for (id, action) in ids.into_iter().zip([QuarantineAction::Accept, QuarantineAction::MoveTo(NOW)]) {
        store.resolve_quarantined(id, action, "ada", "a note", NOW).await.unwrap();
    }
    assert_eq!(counts(&store, tenant).await, [(1, 1), (1, 1)]);
    fixture.assert_sums_match_records().await;
    assert_clean(&store).await;
}

async fn aborted_requests_count_for_parent_of_their_time(fixture: Fixture) {
    let store = fixture.store().await;
    let top = root(&store).await.id;
    let create = async |kind, parent| store.create_tenant(&new_tenant(kind, Some(parent)), NOW).await.unwrap().id;
    let (old, new) = (create(Reseller, top).await, create(Reseller, top).await);
    let customer = create(Customer, old).await;
    let moved_at = NOW.plus_seconds(60);
    store.move_tenant(customer, new, None, moved_at).await.unwrap();
    book(&store, 0, customer, &[NOW], &[ABORTED_STATUS, 200]).await;
    book(&store, 2, customer, &[moved_at], &[ABORTED_STATUS, ABORTED_STATUS, 200]).await;
    assert_eq!(counts(&store, customer).await, [(2, 1), (3, 2)]);
    for (reseller, expected) in [(old, [(2, 1)]), (new, [(3, 2)])] {
        assert_eq!(reported(&store, &query(reseller, UsageStep::Day, &[])).await, expected);
    }
    fixture.assert_sums_match_records().await;
    assert_clean(&store).await;
}

async fn aborted_requests_stay_counted_after_records_are_dropped(fixture: Fixture) {
    let store = fixture.store().await;
    store.ensure_partitions(NOW.plus_seconds(-2 * DAY), 3).await.unwrap();
    let tenant = root(&store).await.id;
    let times = [NOW.plus_seconds(-2 * DAY), NOW];
    book(&store, 0, tenant, &times, &[ABORTED_STATUS, 200]).await;
    assert_eq!(store.drop_records_before(NOW, NOW, NOW).await.unwrap().records, 2);
    assert_eq!(counts(&store, tenant).await, [(2, 1), (2, 1)]);
    assert_clean(&store).await;
    fixture.execute("UPDATE usage_hourly SET aborted = 2 WHERE dropped_requests > 0").await.unwrap();
    let audit = store.reconcile(None).await.unwrap();
    assert_eq!(audit.breaches.len(), 1, "{:?}", audit.breaches);
    let said = audit.breaches[0].to_string();
    assert!(said.ends_with(": 1 aborted requests recorded or dropped, 2 rolled up"), "{said}");
}

fn query(tenant: TenantId, step: UsageStep, group_by: &[UsageDimension]) -> UsageQuery {
    UsageQuery {
        tenant,
        subtree: true,
        key: None,
        route: None,
        meter: None,
        mode: None,
        window: Window { start: NOW.plus_seconds(-DAY), end: NOW.plus_seconds(2 * DAY) },
        step,
        group_by: group_by.to_vec(),
        after: None,
        limit: 100,
    }
}

async fn reported(store: &Store, query: &UsageQuery) -> Vec<(u64, u64)> {
    let rows = store.usage_report(query).await.unwrap().rows;
    rows.iter().map(|row| (row.requests, row.aborted)).collect()
}

async fn report_shows_aborted_requests(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    let times = [NOW, NOW.plus_seconds(3_600), NOW.plus_seconds(DAY)];
    book(&store, 0, tenant, &times, &[ABORTED_STATUS, 200, 404]).await;
    let of = async |step, group_by: &[UsageDimension]| reported(&store, &query(tenant, step, group_by)).await;
    assert_eq!(of(UsageStep::Hour, &[UsageDimension::Key]).await, [(3, 1); 3]);
    assert_eq!(of(UsageStep::Day, &[UsageDimension::Meter]).await, [(6, 2), (3, 1)]);
    assert_eq!(of(UsageStep::Month, &[]).await, [(9, 3)]);
}

async fn rollup_with_more_aborted_than_requests_is_refused(fixture: Fixture) {
    let store = fixture.store().await;
    book(&store, 0, root(&store).await.id, &[NOW], &[ABORTED_STATUS]).await;
    for statement in [
        "UPDATE usage_hourly SET aborted = 2",
        "UPDATE usage_hourly SET aborted = -1",
        "UPDATE usage_hourly SET dropped_aborted = -1",
    ] {
        assert!(fixture.execute(statement).await.is_err(), "{statement}");
    }
}

/// A store of version 15: in one hour a sum from its start, one from 01:40 and one of which records
/// were dropped, and two sums without an aborted request.
const STORE_WITHOUT_ABORTED: &str = "
    CREATE TABLE schema_migrations (version BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL,
        applied_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP);
    INSERT INTO schema_migrations (version, name) VALUES (15, '0015_gateway_lives');
    INSERT INTO usage_streams (stream, next_seq, updated_at, requests, units, dropped_requests, dropped_units) VALUES
        ('edge-1/00000000000000000000000001/0', 10, 0, 10, 10, 2, 2);
    INSERT INTO usage_records
        (stream, seq, at, hour, since, tenant_id, key_id, route, meter, units, status, mode, billable, paid)
    SELECT 'edge-1/00000000000000000000000001/0', seq, at, 1795309200000000, since, 'ten_00000000000000000000000001',
        'key_00000000000000000000000007', route, 'requests', 1, status, 'live', billable,
        CASE billable WHEN 1 THEN 'charge' ELSE 'none' END
    FROM (SELECT 0 AS seq, 1795311000000000 AS at, CAST(NULL AS BIGINT) AS since, 'search' AS route, 499 AS status,
                 1 AS billable
          UNION ALL SELECT 1, 1795311000000000, NULL, 'search', 499, 1
          UNION ALL SELECT 2, 1795311000000000, NULL, 'search', 200, 1
          UNION ALL SELECT 3, 1795311600000000, 1795311600000000, 'search', 499, 1
          UNION ALL SELECT 4, 1795311600000000, 1795311600000000, 'search', 200, 1
          UNION ALL SELECT 5, 1795311000000000, NULL, 'search', 500, 0
          UNION ALL SELECT 6, 1795311000000000, NULL, 'upload', 200, 1
          UNION ALL SELECT 7, 1795311000000000, NULL, 'ship', 499, 1) AS used;
    INSERT INTO usage_hourly (tenant_id, hour, since, key_id, route, meter, mode, billable, paid, requests, units,
        dropped_requests, dropped_units)
    SELECT 'ten_00000000000000000000000001', 1795309200000000, since, 'key_00000000000000000000000007', route,
        'requests', 'live', billable, CASE billable WHEN 1 THEN 'charge' ELSE 'none' END, requests, requests, dropped,
        dropped
    FROM (SELECT 1795309200000000 AS since, 'search' AS route, 1 AS billable, 3 AS requests, 0 AS dropped
          UNION ALL SELECT 1795311600000000, 'search', 1, 2, 0
          UNION ALL SELECT 1795309200000000, 'search', 0, 1, 0
          UNION ALL SELECT 1795309200000000, 'upload', 1, 1, 0
          UNION ALL SELECT 1795309200000000, 'ship', 1, 3, 2) AS sums";

/// The steps until the fifteenth, in their order.
fn steps_until_fifteen(fixture: &Fixture) -> Vec<String> {
    let engine = if fixture.is_sqlite() { "sqlite" } else { "postgres" };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations").join(engine);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files[..15].iter().map(|file| std::fs::read_to_string(file).unwrap()).collect()
}

async fn fill_fifteen(fixture: &Fixture) {
    if fixture.is_sqlite() {
        std::fs::write(fixture.url.trim_start_matches("sqlite://"), b"").unwrap();
    }
    let mut connection = fixture.connection().await;
    for step in steps_until_fifteen(fixture) {
        sqlx::raw_sql(AssertSqlSafe(step)).execute(&mut connection).await.unwrap();
    }
    fixture.execute(STORE_WITHOUT_ABORTED).await.unwrap();
}

async fn migration_of_too_small_rollup_succeeds_and_reconcile_reports_it(fixture: Fixture) {
    fill_fifteen(&fixture).await;
    fixture.execute("UPDATE usage_hourly SET requests = 1 WHERE requests = 3 AND route = 'search'").await.unwrap();
    let (store, _) = Store::open_and_migrate(&fixture.url).await.unwrap();
    let audit = store.reconcile(None).await.unwrap();
    let said: Vec<_> = audit.breaches.iter().map(ToString::to_string).collect();
    assert!(said[0].ends_with(": 3 requests recorded, reported or dropped, 1 rolled up"), "{said:?}");
    assert!(said[1].ends_with(": 2 aborted requests recorded or dropped, 1 rolled up"), "{said:?}");
}

async fn migration_counts_aborted_requests_of_kept_records(fixture: Fixture) {
    fill_fifteen(&fixture).await;
    let (store, migrated) = Store::open_and_migrate(&fixture.url).await.unwrap();
    assert_eq!((migrated.from, migrated.steps().next()), (15, Some("0016_aborted_requests")));
    let sums = usage_of(&store, TenantId::from_u128(1)).await;
    let counted: Vec<_> = sums
        .iter()
        .map(|sum| (sum.route.as_str(), sum.billable, sum.since > sum.hour, sum.requests, sum.aborted))
        .collect();
    let expected = [
        ("search", true, false, 3, 2),
        ("search", false, false, 1, 0),
        ("search", true, true, 2, 1),
        ("ship", true, false, 3, 1),
        ("upload", true, false, 1, 0),
    ];
    assert_eq!(counted.len(), expected.len());
    assert!(expected.iter().all(|sum| counted.contains(sum)), "{counted:?}");
    assert_clean(&store).await;
    let told = "SELECT CAST(SUM(aborted) AS BIGINT) FROM usage_hourly_v";
    assert_eq!(fixture.number(told).await, 4, "sums read by hand tell them, too");
    // It goes on from there.
    store.ensure_partitions(NOW, 1).await.unwrap();
    book(&store, 10, TenantId::from_u128(1), &[NOW], &[ABORTED_STATUS]).await;
    let aborted: u64 = usage_of(&store, TenantId::from_u128(1)).await.iter().map(|sum| sum.aborted).sum();
    assert_eq!(aborted, 5);
    assert_clean(&store).await;
}
