//! A store that cannot be used says why, where, and what to do, and never shows a password.

use std::{os::unix::fs::PermissionsExt as _, path::Path};

use common::{
    id::TenantId,
    store::{Store, StoreError},
    tenant::TenantKind,
    usage::{UsageEntry, UsageRecord},
};
use servers::{Unprivileged, free_port};
use sqlx::Connection as _;
use tempfile::TempDir;

use crate::fixture::{Fixture, NOW, batch, new_tenant, on_both_engines, request, stream};

on_both_engines!(
    locked_store_is_reported_as_locked,
    invalid_rows_are_refused_by_the_database,
    usage_that_the_database_refuses_is_not_retried,
);

async fn locked_store_is_reported_as_locked(fixture: Fixture) {
    let store = fixture.store().await;
    let mut holder = fixture.connection().await;
    let mut transaction = holder.begin().await.unwrap();
    sqlx::query("UPDATE change_head SET seq = seq").execute(&mut *transaction).await.unwrap();
    let error = store.create_tenant(&new_tenant(TenantKind::Root, None), NOW).await.unwrap_err();
    assert!(matches!(error, StoreError::Locked(_)), "{error}");
    transaction.rollback().await.unwrap();
    store.create_tenant(&new_tenant(TenantKind::Root, None), NOW).await.unwrap();
}

async fn invalid_rows_are_refused_by_the_database(fixture: Fixture) {
    let store = fixture.store().await;
    crate::fixture::root(&store).await;
    for statement in [
        "UPDATE tenants SET kind = 'emperor'",
        "UPDATE tenants SET name = ''",
        "UPDATE tenants SET kind = 'customer'",
        "UPDATE tenants SET depth = 6",
        "UPDATE change_head SET id = 2",
        "INSERT INTO changes (seq, kind, subject, at) VALUES (1, 'plans', NULL, 0)",
        "INSERT INTO plan_versions (owner_id, plan_id, version, body, created_at) VALUES ('', 'p', 1, 'not json', 0)",
        "INSERT INTO subscriptions (tenant_id, plan_owner, plan_id, plan_version, starts_at) \
         SELECT id, id, 'none', 1, 0 FROM tenants",
        "INSERT INTO usage_gaps (stream, from_seq, to_seq) VALUES ('unknown', 0, 1)",
        "INSERT INTO usage_hourly (tenant_id, hour, since, key_id, route, meter, mode, billable, paid, requests, units) \
         VALUES ('t', 0, 0, 'k', 'r', 'm', 'test', 1, 'charge', 1, 1)",
        "INSERT INTO quota_grants (tenant_id, meter, period, granted, updated_at) VALUES ('nobody', 'm', '2026-11', 0, 0)",
    ] {
        assert!(fixture.execute(statement).await.is_err(), "{statement} was accepted");
    }
}

async fn usage_that_the_database_refuses_is_not_retried(fixture: Fixture) {
    let store = fixture.store().await;
    let rules = if fixture.is_sqlite() {
        ["CREATE TRIGGER unlucky BEFORE INSERT ON usage_records WHEN NEW.units = 13 \
          BEGIN SELECT RAISE(ABORT, 'no 13'); END"]
        .as_slice()
    } else {
        &[
            "ALTER TABLE usage_records ADD CONSTRAINT unlucky CHECK (units <> 13)",
            // Not a rule that is broken, but a value that cannot be computed with.
            "ALTER TABLE usage_hourly ADD CONSTRAINT uncountable CHECK (1 / (units - 14) < 2)",
        ]
    };
    for rule in rules {
        fixture.execute(rule).await.unwrap();
    }
    let tenant = TenantId::from_u128(1);
    for units in if fixture.is_sqlite() { 13..14 } else { 13..15 } {
        let mut unbookable = batch(&stream(1), 0, 1, tenant);
        unbookable.entries = vec![UsageEntry::Request(UsageRecord { units, ..request(tenant) })];
        let error = store.book_usage(&unbookable, NOW).await.unwrap_err();
        assert!(
            matches!(&error, StoreError::Refused(reason) if reason.contains("the database refuses it")),
            "{error:?}"
        );
    }
    assert_eq!(store.book_usage(&batch(&stream(1), 0, 1, tenant), NOW).await.unwrap().booked, 1, "0 is still free");
}

#[tokio::test]
async fn opening_missing_file_creates_nothing() {
    let fixture = Fixture::sqlite();
    let error = Store::open(&fixture.url).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("billing migrate") && text.contains(&fixture.url), "{text}");
    assert!(!Path::new(fixture.url.trim_start_matches("sqlite://")).exists());
}

#[tokio::test]
async fn migration_creates_missing_directory() {
    let directory = TempDir::new().unwrap();
    let url = format!("sqlite://{}/not/yet/tollgate.db", directory.path().display());
    assert!(Store::open(&url).await.is_err(), "opening alone makes nothing");
    Store::open_and_migrate(&url).await.unwrap();
}

#[tokio::test]
async fn error_names_directory_that_cannot_be_created() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let url = format!("sqlite://{}/below/tollgate.db", file.display());
    let error = Store::open_and_migrate(&url).await.unwrap_err().to_string();
    assert!(error.contains(&format!("{}/below", file.display())), "{error}");
}

#[tokio::test]
async fn directory_is_refused_as_store_file() {
    let directory = TempDir::new().unwrap();
    let error = Store::open_and_migrate(&format!("sqlite://{}", directory.path().display())).await.unwrap_err();
    assert!(error.to_string().contains("it is a directory"), "{error}");
}

#[tokio::test]
async fn file_that_is_no_database_is_refused() {
    let fixture = Fixture::sqlite();
    std::fs::write(fixture.url.trim_start_matches("sqlite://"), "plain text, and enough of it. ".repeat(100)).unwrap();
    for error in
        [Store::open(&fixture.url).await.unwrap_err(), Store::open_and_migrate(&fixture.url).await.unwrap_err()]
    {
        assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
        assert!(error.to_string().contains("not a database"), "{error}");
    }
}

// On one thread: privileges over files are the thread's own.
#[tokio::test]
async fn unwritable_file_is_reported_as_read_only() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("tollgate.db");
    let url = format!("sqlite://{}", path.display());
    Store::open_and_migrate(&url).await.unwrap().0.close().await;
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o444)).unwrap();
    let opened = {
        let _unprivileged = Unprivileged::enter();
        Store::open(&url).await
    };
    let error = opened.unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly(_)), "{error}");
    assert!(error.to_string().contains("tollgate.db"), "{error}");
}

#[tokio::test]
async fn read_only_server_is_reported_as_read_only() {
    let fixture = Fixture::postgres();
    fixture.store().await;
    fixture
        .execute(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', \
             current_database()); END $$",
        )
        .await
        .unwrap();
    let store = Store::open(&fixture.url).await.unwrap();
    assert_eq!(store.last_change().await.unwrap(), 0);
    let error = store.create_tenant(&new_tenant(TenantKind::Root, None), NOW).await.unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly(_)), "{error}");
}

#[tokio::test]
async fn error_names_unreachable_server_without_password() {
    let url = format!("postgres://ann:s3cret@127.0.0.1:{}/tollgate", free_port().unwrap());
    let error = Store::open(&url).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
    for text in [error.to_string(), format!("{error:?}")] {
        assert!(text.contains("127.0.0.1") && !text.contains("s3cret"), "{text}");
    }
}

#[tokio::test]
async fn error_names_missing_database() {
    let fixture = Fixture::postgres();
    let error = Store::open(&format!("{}_not", fixture.url)).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
    assert!(error.to_string().contains("does not exist"), "{error}");
}

#[tokio::test]
async fn path_with_any_character_opens() {
    let directory = TempDir::new().unwrap();
    let odd = directory.path().join("my data #1 50%/sub");
    std::fs::create_dir_all(&odd).unwrap();
    let url = format!("sqlite://{}/../sub/a b#c%20.db", odd.display());
    Store::open_and_migrate(&url).await.unwrap();
    Store::open(&url).await.unwrap().ping().await.unwrap();
    assert!(odd.join("a b#c%20.db").exists());
}
