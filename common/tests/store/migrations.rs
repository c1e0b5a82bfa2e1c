//! Bringing the schema up to date, and refusing one that does not fit.

use common::{
    id::TenantId,
    store::{Migrated, Store, StoreError, Tally},
};

use crate::harness::{NOW, Place, STORE_VARIABLE, batch, on_both_engines, stream, units_of};

on_both_engines!(
    an_empty_database_is_brought_up_and_a_rerun_changes_nothing,
    many_processes_migrate_at_once,
    an_empty_database_is_not_taken_for_a_store,
    a_newer_schema_is_refused,
    sums_can_be_read_by_hand,
    what_the_first_schema_held_is_kept,
);

async fn an_empty_database_is_brought_up_and_a_rerun_changes_nothing(place: Place) {
    let (store, first) = Store::open_and_migrate(&place.url).await.unwrap();
    assert_eq!(first.from, 0);
    assert!(first.to >= 1);
    store.ping().await.unwrap();
    let (_, second) = Store::open_and_migrate(&place.url).await.unwrap();
    assert_eq!(second, Migrated { from: first.to, to: first.to });
    Store::open(&place.url).await.unwrap().ping().await.unwrap();
}

async fn many_processes_migrate_at_once(place: Place) {
    let processes: Vec<_> =
        (0..4).map(|_| place.helper("migrations::migrate_from_environment").spawn().unwrap()).collect();
    let mut from_nothing = 0;
    for process in processes {
        let output = process.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said} {}", String::from_utf8_lossy(&output.stderr));
        from_nothing += said.matches("migrated from 0").count();
    }
    assert_eq!(from_nothing, 1, "exactly one process does the work");
    let store = Store::open(&place.url).await.unwrap();
    assert_eq!(store.last_change().await.unwrap(), 0);
}

#[tokio::test]
#[ignore = "a helper process of other tests"]
async fn migrate_from_environment() {
    let url = std::env::var(STORE_VARIABLE).unwrap();
    let (_, migrated) = Store::open_and_migrate(&url).await.unwrap();
    println!("migrated from {}", migrated.from);
}

async fn an_empty_database_is_not_taken_for_a_store(place: Place) {
    if place.is_sqlite() {
        std::fs::write(place.url.trim_start_matches("sqlite://"), b"").unwrap();
    }
    let error = Store::open(&place.url).await.unwrap_err();
    assert!(matches!(error, StoreError::SchemaOlder { found: 0, .. }), "{error}");
    assert!(error.to_string().contains("billing migrate"), "{error}");
}

async fn a_newer_schema_is_refused(place: Place) {
    place.store().await;
    place.execute("INSERT INTO schema_migrations (version, name) VALUES (9999, 'of tomorrow')").await.unwrap();
    let opened = Store::open(&place.url).await.unwrap_err();
    assert!(matches!(opened, StoreError::SchemaNewer { found: 9999, .. }), "{opened}");
    let migrated = Store::open_and_migrate(&place.url).await.unwrap_err();
    assert!(matches!(migrated, StoreError::SchemaNewer { found: 9999, .. }), "{migrated}");
}

async fn sums_can_be_read_by_hand(place: Place) {
    let store = place.store().await;
    let tenant = crate::harness::root(&store).await.id;
    store.book_usage(&batch(&stream(1), 0, 3, tenant), NOW).await.unwrap();
    let readable = if place.is_sqlite() { "hour" } else { "to_char(hour AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')" };
    let statement = format!("SELECT {readable} || ' ' || tenant || ' ' || units FROM usage_hourly_v");
    let row = sqlx::query(sqlx::AssertSqlSafe(statement)).fetch_one(&mut place.connection().await).await.unwrap();
    assert_eq!(sqlx::Row::get::<String, _>(&row, 0), "2026-11-22 01:00:00 a root 3");
}

/// What version 1 of the schema held after two streams, a gap, and refusals.
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

async fn what_the_first_schema_held_is_kept(place: Place) {
    if place.is_sqlite() {
        std::fs::write(place.url.trim_start_matches("sqlite://"), b"").unwrap();
        place.execute(include_str!("../../../migrations/sqlite/0001_base.sql")).await.unwrap();
    } else {
        place.execute(include_str!("../../../migrations/postgres/0001_base.sql")).await.unwrap();
    }
    place.execute(BOOKS_OF_THE_FIRST_SCHEMA).await.unwrap();
    let (store, migrated) = Store::open_and_migrate(&place.url).await.unwrap();
    assert_eq!(migrated.from, 1);
    let audit = store.audit(None).await.unwrap();
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
    let audit = store.audit(None).await.unwrap();
    assert!(audit.is_clean(), "{:?}", audit.breaches);
    assert_eq!(audit.unpartitioned, 0);
}
