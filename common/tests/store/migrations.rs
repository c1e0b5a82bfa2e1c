//! Bringing the schema up to date, and refusing one that does not fit.

use common::{
    id::TenantId,
    store::{Migrated, Store, StoreError},
    time::Micros,
    usage::{PaidBy, reconcile::Tally, rollup::UsageFilter},
};

use crate::fixture::{Fixture, NOW, STORE_VARIABLE, batch, on_both_engines, stream, units_of};

macro_rules! migrations_until_eight {
    ($engine:literal) => {
        [
            include_str!(concat!("../../../migrations/", $engine, "/0001_base.sql")),
            include_str!(concat!("../../../migrations/", $engine, "/0002_ingest.sql")),
            include_str!(concat!("../../../migrations/", $engine, "/0003_lost_usage.sql")),
            include_str!(concat!("../../../migrations/", $engine, "/0004_limit_bank.sql")),
            include_str!(concat!("../../../migrations/", $engine, "/0005_quotas.sql")),
            include_str!(concat!("../../../migrations/", $engine, "/0006_gap_settlements.sql")),
            include_str!(concat!("../../../migrations/", $engine, "/0007_control_plane.sql")),
            include_str!(concat!("../../../migrations/", $engine, "/0008_admin_key_use.sql")),
        ]
    };
}

on_both_engines!(
    empty_database_migrates_and_second_run_changes_nothing,
    concurrent_migrations_apply_each_step_once,
    empty_database_is_refused_without_migration,
    newer_schema_is_refused,
    older_schema_is_refused_unless_migrating,
    rollups_are_readable_in_sql,
    rows_of_first_schema_survive_migration,
    migration_gives_plans_top_ups_and_keys_an_owner,
    migration_files_usage_by_payer_and_place,
);

async fn empty_database_migrates_and_second_run_changes_nothing(fixture: Fixture) {
    let (store, first) = Store::open_and_migrate(&fixture.url).await.unwrap();
    assert_eq!(first.from, 0);
    assert!(first.to >= 1);
    store.ping().await.unwrap();
    let (_, second) = Store::open_and_migrate(&fixture.url).await.unwrap();
    assert_eq!(second, Migrated { from: first.to, to: first.to });
    Store::open(&fixture.url).await.unwrap().ping().await.unwrap();
}

async fn concurrent_migrations_apply_each_step_once(fixture: Fixture) {
    let processes: Vec<_> =
        (0..4).map(|_| fixture.helper("migrations::migrate_from_environment").spawn().unwrap()).collect();
    let mut from_nothing = 0;
    for process in processes {
        let output = process.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said} {}", String::from_utf8_lossy(&output.stderr));
        from_nothing += said.matches("migrated from 0").count();
    }
    assert_eq!(from_nothing, 1, "exactly one process does the work");
    let store = Store::open(&fixture.url).await.unwrap();
    assert_eq!(store.last_change().await.unwrap(), 0);
}

#[tokio::test]
#[ignore = "a helper process of other tests"]
async fn migrate_from_environment() {
    let url = std::env::var(STORE_VARIABLE).unwrap();
    let (_, migrated) = Store::open_and_migrate(&url).await.unwrap();
    println!("migrated from {}", migrated.from);
}

async fn empty_database_is_refused_without_migration(fixture: Fixture) {
    if fixture.is_sqlite() {
        std::fs::write(fixture.url.trim_start_matches("sqlite://"), b"").unwrap();
    }
    let error = Store::open(&fixture.url).await.unwrap_err();
    assert!(matches!(error, StoreError::SchemaOlder { found: 0, .. }), "{error}");
    assert!(error.to_string().contains("billing migrate"), "{error}");
}

async fn newer_schema_is_refused(fixture: Fixture) {
    fixture.store().await;
    fixture.execute("INSERT INTO schema_migrations (version, name) VALUES (9999, 'of tomorrow')").await.unwrap();
    let opened = Store::open(&fixture.url).await.unwrap_err();
    assert!(matches!(opened, StoreError::SchemaNewer { found: 9999, .. }), "{opened}");
    let migrated = Store::open_and_migrate(&fixture.url).await.unwrap_err();
    assert!(matches!(migrated, StoreError::SchemaNewer { found: 9999, .. }), "{migrated}");
}

async fn older_schema_is_refused_unless_migrating(fixture: Fixture) {
    let nothing = Store::pending(&fixture.url).await.unwrap();
    assert_eq!(nothing.from, 0);
    assert_eq!(nothing.steps().next(), Some("0001_base"));
    let steps =
        if fixture.is_sqlite() { migrations_until_eight!("sqlite") } else { migrations_until_eight!("postgres") };
    if fixture.is_sqlite() {
        std::fs::write(fixture.url.trim_start_matches("sqlite://"), b"").unwrap();
    }
    let versions = "CREATE TABLE schema_migrations (version BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, \
                    applied_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP); \
                    INSERT INTO schema_migrations (version, name) VALUES (8, '0008_admin_key_use')";
    for step in steps.into_iter().chain([versions]) {
        fixture.execute(step).await.unwrap();
    }
    for _ in 0..2 {
        let refused = Store::open_or_create(&fixture.url).await.unwrap_err();
        assert!(matches!(refused, StoreError::SchemaOlder { found: 8, .. }), "{refused}");
        assert!(refused.to_string().contains("(pending: 0009_plan_owners, 0010_grants, "), "{refused}");
        let pending = Store::pending(&fixture.url).await.unwrap();
        assert_eq!((pending.from, pending.steps().next()), (8, Some("0009_plan_owners")));
    }
    let (_, migrated) = Store::open_and_migrate(&fixture.url).await.unwrap();
    assert_eq!((migrated.from, migrated.steps().next()), (8, Some("0009_plan_owners")));
    let (_, found) = Store::open_or_create(&fixture.url).await.unwrap();
    assert_eq!((found.from, found.steps().count()), (found.to, 0));
}

async fn rollups_are_readable_in_sql(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = crate::fixture::root(&store).await.id;
    store.book_usage(&batch(&stream(1), 0, 3, tenant), NOW).await.unwrap();
    let readable =
        if fixture.is_sqlite() { "hour" } else { "to_char(hour AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')" };
    let statement = format!("SELECT {readable} || ' ' || tenant || ' ' || units FROM usage_hourly_v");
    let row = sqlx::query(sqlx::AssertSqlSafe(statement)).fetch_one(&mut fixture.connection().await).await.unwrap();
    assert_eq!(sqlx::Row::get::<String, _>(&row, 0), "2026-11-22 01:00:00 a root 3");
}

/// A store of schema version 1 after two streams, a gap, and refusals.
const BOOKS_OF_THE_FIRST_SCHEMA: &str = "
    CREATE TABLE schema_migrations (version BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL,
        applied_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP);
    INSERT INTO schema_migrations (version, name) VALUES (1, '0001_base');
    INSERT INTO usage_streams (stream, next_seq, updated_at) VALUES
        ('edge-1/00000000000000000000000001/0', 6, 0), ('edge-1/00000000000000000000000002/0', 1, 0);
    INSERT INTO usage_gaps (stream, from_seq, to_seq) VALUES ('edge-1/00000000000000000000000001/0', 2, 4);
    INSERT INTO usage_records
        (stream, seq, at, hour, tenant_id, key_id, route, meter, units, status, mode, billable)
    SELECT 'edge-1/00000000000000000000000001/0', seq, 1795311000000000, 1795309200000000,
        'ten_00000000000000000000000001', 'key_00000000000000000000000007', 'search', 'requests', 9, 200, 'live', 1
    FROM (SELECT 0 AS seq UNION ALL SELECT 1 UNION ALL SELECT 5) AS seqs;
    INSERT INTO usage_hourly (tenant_id, hour, key_id, route, meter, mode, billable, requests, units) VALUES
        ('ten_00000000000000000000000001', 1795309200000000, 'key_00000000000000000000000007', 'search', 'requests',
         'live', 1, 3, 27);
    INSERT INTO refusals_hourly (tenant_id, hour, key_id, reason, count) VALUES
        ('ten_00000000000000000000000001', 1795309200000000, 'key_00000000000000000000000007', 'rate_limited', 42)";

async fn rows_of_first_schema_survive_migration(fixture: Fixture) {
    if fixture.is_sqlite() {
        std::fs::write(fixture.url.trim_start_matches("sqlite://"), b"").unwrap();
        fixture.execute(include_str!("../../../migrations/sqlite/0001_base.sql")).await.unwrap();
    } else {
        fixture.execute(include_str!("../../../migrations/postgres/0001_base.sql")).await.unwrap();
    }
    fixture.execute(BOOKS_OF_THE_FIRST_SCHEMA).await.unwrap();
    let (store, migrated) = Store::open_and_migrate(&fixture.url).await.unwrap();
    assert_eq!(migrated.from, 1);
    let audit = store.reconcile(None).await.unwrap();
    assert!(audit.is_clean(), "{:?}", audit.breaches);
    assert_eq!(audit.streams[0].booked, Tally { requests: 3, units: 27 });
    assert_eq!((audit.streams[0].refusal_entries, audit.streams[0].missing), (1, 2));
    assert_eq!(audit.streams[1].refusal_entries, 1);
    let gap = store.usage_gaps().await.unwrap().remove(0);
    assert_eq!((gap.from, gap.to, gap.opened_at), (2, 4, None));
    // It goes on from there.
    store.ensure_partitions(NOW, 1).await.unwrap();
    let tenant = TenantId::from_u128(1);
    let booked = store.book_usage(&batch(&stream(1), 0, 7, tenant), NOW).await.unwrap();
    assert_eq!((booked.booked, booked.replayed), (3, 4));
    assert_eq!(units_of(&store, tenant).await, 30);
    let audit = store.reconcile(None).await.unwrap();
    assert!(audit.is_clean(), "{:?}", audit.breaches);
    assert_eq!(audit.unpartitioned, 0);
}

/// A store of version 8: two roots, plans that one, both or none of them used, top-ups, and keys
/// with their makers.
const STORE_BEFORE_OWNERS: &str = "
    CREATE TABLE schema_migrations (version BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL,
        applied_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP);
    INSERT INTO schema_migrations (version, name) VALUES (8, '0008_admin_key_use');
    INSERT INTO tenants (id, parent_id, kind, name, status, zone, path, depth, created_seq, created_at) VALUES
        ('ten_00000000000000000000000001', NULL, 'root', 'one', 'active', 'UTC',
         '/ten_00000000000000000000000001/', 1, 1, 0),
        ('ten_00000000000000000000000002', NULL, 'root', 'two', 'active', 'UTC',
         '/ten_00000000000000000000000002/', 1, 2, 0),
        ('ten_00000000000000000000000003', 'ten_00000000000000000000000001', 'customer', 'c', 'active', 'UTC',
         '/ten_00000000000000000000000001/ten_00000000000000000000000003/', 2, 3, 0);
    INSERT INTO plan_versions (plan_id, version, body, created_at)
    SELECT plan_id, version, '{\"id\": \"' || plan_id || '\", \"name\": \"P\", \"currency\": \"USD\", \"flat_fee\": \"1.00\"}', 0
    FROM (SELECT 'ours' AS plan_id, 1 AS version UNION ALL SELECT 'ours', 2 UNION ALL SELECT 'shared', 1
          UNION ALL SELECT 'unused', 1) AS plans;
    INSERT INTO plan_deprecations (plan_id, deprecated_at) VALUES ('shared', 1);
    INSERT INTO subscriptions (tenant_id, plan_id, plan_version, starts_at, ends_at) VALUES
        ('ten_00000000000000000000000003', 'ours', 1, 0, 9), ('ten_00000000000000000000000003', 'shared', 1, 9, NULL),
        ('ten_00000000000000000000000002', 'shared', 1, 0, NULL);
    INSERT INTO quota_grants (tenant_id, meter, period, granted, updated_at, limit_units) VALUES
        ('ten_00000000000000000000000003', 'tokens', 'prepaid', 0, 0, 12);
    INSERT INTO quota_top_ups (reference, tenant_id, meter, units, added_at) VALUES
        ('b', 'ten_00000000000000000000000003', 'tokens', 5, 2), ('a', 'ten_00000000000000000000000003', 'tokens', 7, 1);
    INSERT INTO admin_keys (id, tenant_id, name, role, scopes, hash, pepper_id, hint, created_at) VALUES
        ('adk_00000000000000000000000001', 'ten_00000000000000000000000001', 'k', 'admin', '',
         'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'p', 'abcd', 5);
    INSERT INTO keys (id, tenant_id, name, mode, hash, pepper_id, hint, created_seq, created_at) VALUES
        ('key_00000000000000000000000001', 'ten_00000000000000000000000003', 'k', 'live',
         'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb', 'p', 'abcd', 4, 0);
    INSERT INTO audit_log (at, actor_kind, actor, action, subject_kind, subject, tenant_id) VALUES
        (0, 'admin_key', 'adk_00000000000000000000000001', 'key.create', 'key', 'key_00000000000000000000000001',
         'ten_00000000000000000000000003')";

async fn migration_gives_plans_top_ups_and_keys_an_owner(fixture: Fixture) {
    let (sqlite, postgres) = (migrations_until_eight!("sqlite"), migrations_until_eight!("postgres"));
    if fixture.is_sqlite() {
        std::fs::write(fixture.url.trim_start_matches("sqlite://"), b"").unwrap();
    }
    for step in if fixture.is_sqlite() { sqlite } else { postgres } {
        fixture.execute(step).await.unwrap();
    }
    fixture.execute(STORE_BEFORE_OWNERS).await.unwrap();
    let (store, migrated) = Store::open_and_migrate(&fixture.url).await.unwrap();
    assert_eq!(migrated.from, 8);
    let (one, two, customer) = (TenantId::from_u128(1), TenantId::from_u128(2), TenantId::from_u128(3));
    let owned = async |owner| -> Vec<_> {
        let page = store.plans_page(Some(owner), None, 100).await.unwrap();
        page.items.into_iter().map(|one| (one.stored.plan.id.to_string(), one.stored.version, one.deprecated)).collect()
    };
    let shared = ("shared".to_owned(), 1, true);
    let unused = ("unused".to_owned(), 1, false);
    assert_eq!(owned(one).await, [("ours".to_owned(), 2, false), shared.clone(), unused.clone()]);
    assert_eq!(owned(two).await, [shared, unused]);
    let held = store.subscriptions_of(customer).await.unwrap();
    assert!(held.iter().all(|subscription| subscription.plan_owner == one) && held.len() == 2, "{held:?}");
    let pinned = store.catalog().await.unwrap().plans;
    assert_eq!(pinned.len(), 3, "each root's own of what somebody has: {pinned:?}");
    let top_ups = store.top_ups(customer).await.unwrap();
    assert_eq!(top_ups.iter().map(|one| (one.reference.as_str(), one.units)).collect::<Vec<_>>(), [("a", 7), ("b", 5)]);
    let made = store.keys(Some(customer)).await.unwrap().remove(0).created_by.unwrap();
    assert_eq!((made.name.as_deref(), made.tenant), (Some("adk_00000000000000000000000001"), Some(one)));
    assert!(store.has_owner().await.unwrap(), "the bootstrap token had ended with this admin key");
}

/// A root (1), two resellers (2, 3) and a customer (4) that was moved from the first to the second
/// at 01:50. The customer inherited a plan that takes tokens from credit, until its reseller
/// changed to another at 01:40. In the hour of 01:00 it used 1, 2, 4, 8 tokens at 01:30,
/// 01:39:59.999999, 01:40 and 01:50, and 16 tokens and 32 requests without records; in the hour of
/// 02:00 64 tokens.
const USAGE_WITHOUT_PAYMENT: &str = r#"
    CREATE TABLE schema_migrations (version BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL,
        applied_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP);
    INSERT INTO schema_migrations (version, name) VALUES (8, '0008_admin_key_use');
    INSERT INTO tenants (id, parent_id, kind, name, status, zone, path, depth, created_seq, created_at) VALUES
        ('ten_00000000000000000000000001', NULL, 'root', 'root', 'active', 'UTC',
         '/ten_00000000000000000000000001/', 1, 1, 0),
        ('ten_00000000000000000000000002', 'ten_00000000000000000000000001', 'reseller', 'a', 'active', 'UTC',
         '/ten_00000000000000000000000001/ten_00000000000000000000000002/', 2, 2, 0),
        ('ten_00000000000000000000000003', 'ten_00000000000000000000000001', 'reseller', 'b', 'active', 'UTC',
         '/ten_00000000000000000000000001/ten_00000000000000000000000003/', 2, 3, 0),
        ('ten_00000000000000000000000004', 'ten_00000000000000000000000003', 'customer', 'c', 'active', 'UTC',
         '/ten_00000000000000000000000001/ten_00000000000000000000000003/ten_00000000000000000000000004/', 3, 4, 0);
    INSERT INTO plan_versions (plan_id, version, body, created_at) VALUES
        ('credit', 1, '{"id":"credit","name":"C","currency":"USD","flat_fee":"0","prepaid":["tokens"]}', 0),
        ('other', 1, '{"id":"other","name":"O","currency":"USD","flat_fee":"0"}', 0);
    INSERT INTO subscriptions (tenant_id, plan_id, plan_version, starts_at, ends_at) VALUES
        ('ten_00000000000000000000000002', 'credit', 1, 0, 1795311600000000),
        ('ten_00000000000000000000000002', 'other', 1, 1795311600000000, NULL),
        ('ten_00000000000000000000000003', 'credit', 1, 0, NULL);
    INSERT INTO audit_log (at, actor_kind, actor, action, subject_kind, subject, tenant_id, before, after) VALUES
        (1795312200000000, 'operator', 'me', 'tenant.move', 'tenant', 'ten_00000000000000000000000004',
         'ten_00000000000000000000000004', '{"parent":"ten_00000000000000000000000002"}',
         '{"parent":"ten_00000000000000000000000003"}');
    INSERT INTO usage_streams (stream, next_seq, updated_at, requests, units, dropped_requests, dropped_units) VALUES
        ('edge-1/00000000000000000000000001/0', 7, 0, 7, 127, 2, 48);
    INSERT INTO usage_records
        (stream, seq, at, hour, tenant_id, key_id, route, meter, units, status, mode, billable)
    SELECT 'edge-1/00000000000000000000000001/0', seq, at, hour, 'ten_00000000000000000000000004',
        'key_00000000000000000000000007', 'search', 'tokens', units, 200, 'live', 1
    FROM (SELECT 0 AS seq, 1795311000000000 AS at, 1795309200000000 AS hour, 1 AS units
          UNION ALL SELECT 1, 1795311599999999, 1795309200000000, 2
          UNION ALL SELECT 2, 1795311600000000, 1795309200000000, 4
          UNION ALL SELECT 3, 1795312200000000, 1795309200000000, 8
          UNION ALL SELECT 6, 1795312800000000, 1795312800000000, 64) AS used;
    INSERT INTO usage_hourly (tenant_id, hour, key_id, route, meter, mode, billable, requests, units, dropped_requests,
        dropped_units) VALUES
        ('ten_00000000000000000000000004', 1795309200000000, 'key_00000000000000000000000007', 'search', 'tokens',
         'live', 1, 5, 31, 1, 16),
        ('ten_00000000000000000000000004', 1795309200000000, 'key_00000000000000000000000007', 'search', 'requests',
         'live', 1, 1, 32, 1, 32),
        ('ten_00000000000000000000000004', 1795312800000000, 'key_00000000000000000000000007', 'search', 'tokens',
         'live', 1, 1, 64, 0, 0)"#;

async fn migration_files_usage_by_payer_and_place(fixture: Fixture) {
    let steps =
        if fixture.is_sqlite() { migrations_until_eight!("sqlite") } else { migrations_until_eight!("postgres") };
    if fixture.is_sqlite() {
        std::fs::write(fixture.url.trim_start_matches("sqlite://"), b"").unwrap();
    }
    for step in steps.into_iter().chain([USAGE_WITHOUT_PAYMENT]) {
        fixture.execute(step).await.unwrap();
    }
    let (store, migrated) = Store::open_and_migrate(&fixture.url).await.unwrap();
    assert_eq!(migrated.from, 8);
    let audit = store.reconcile(None).await.unwrap();
    assert!(audit.is_clean(), "{:?}", audit.breaches);

    let customer: TenantId = "ten_00000000000000000000000004".parse().unwrap();
    let tenant = |number: u8| format!("ten_0000000000000000000000000{number}").parse::<TenantId>().unwrap();
    let parents = store.tenant_parents().await.unwrap();
    let spans: Vec<_> = parents.iter().map(|span| (span.tenant, span.parent, span.starts_at.0, span.ends_at)).collect();
    let moved = Micros(1_795_312_200_000_000);
    assert_eq!(
        spans,
        [
            (tenant(2), tenant(1), i64::MIN, None),
            (tenant(3), tenant(1), i64::MIN, None),
            (customer, tenant(2), i64::MIN, Some(moved)),
            (customer, tenant(3), moved.0, None),
        ]
    );
    let sums = store.usage(&UsageFilter::default()).await.unwrap();
    let mut filed: Vec<_> =
        sums.iter().map(|sum| (sum.meter.clone(), sum.since.0, sum.paid, sum.requests, sum.units)).collect();
    filed.sort();
    let (hour, changed) = (1_795_309_200_000_000, 1_795_311_600_000_000);
    let tokens = |since, paid, requests, units| ("tokens".to_owned(), since, paid, requests, units);
    assert_eq!(
        filed,
        [
            ("requests".to_owned(), moved.0, PaidBy::Charge, 1, 32),
            tokens(hour, PaidBy::Credit, 2, 3),
            tokens(changed, PaidBy::Charge, 1, 4),
            tokens(moved.0, PaidBy::Credit, 2, 24),
            tokens(hour + 3_600_000_000, PaidBy::Credit, 1, 64),
        ]
    );
}
