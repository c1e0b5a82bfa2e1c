//! Bringing the schema up to date, and refusing one that does not fit.

use common::store::{Migrated, Store, StoreError};

use crate::harness::{Place, STORE_VARIABLE, on_both_engines};

on_both_engines!(
    an_empty_database_is_brought_up_and_a_rerun_changes_nothing,
    many_processes_migrate_at_once,
    an_empty_database_is_not_taken_for_a_store,
    a_newer_schema_is_refused,
    sums_can_be_read_by_hand,
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
    store
        .book_usage(&crate::harness::batch(&crate::harness::stream(1), 0, 3, tenant), crate::harness::NOW)
        .await
        .unwrap();
    let readable = if place.is_sqlite() { "hour" } else { "to_char(hour AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')" };
    let statement = format!("SELECT {readable} || ' ' || tenant || ' ' || units FROM usage_hourly_v");
    let row = sqlx::query(sqlx::AssertSqlSafe(statement)).fetch_one(&mut place.connection().await).await.unwrap();
    assert_eq!(sqlx::Row::get::<String, _>(&row, 0), "2026-11-22 01:00:00 a root 3");
}
