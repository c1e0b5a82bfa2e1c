//! Upgrades and rollbacks of the gateway: while the store has another schema, the gateway serves
//! what it knows, says so, and writes nothing.

use common::store::Store;
use serde_json::Value;
use servers::StoreFile;

use crate::support::{
    Customer, Fixture, eventually, now,
    process::{Gateway, command},
};

/// A store with a customer, and the snapshot that a gateway left.
async fn served_before(plan: &str) -> (Fixture, Customer, StoreFile) {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some(plan)).await;
    let first = fixture.gateway().await;
    assert_eq!(first.status("/", &customer.secret).await, 200);
    first.signal("TERM");
    assert!(first.ended().await.success());
    let file = StoreFile::at(fixture.path("store.db"));
    (fixture, customer, file)
}

async fn readiness(gateway: &Gateway) -> Value {
    serde_json::from_str(&gateway.admin("/health/ready").await.1).unwrap()
}

/// Waits until requests of the customer are answered so.
async fn becomes(gateway: &Gateway, customer: &Customer, status: u16) {
    eventually(&format!("{status}"), || async {
        (gateway.status("/", &customer.secret).await == status).then_some(())
    })
    .await;
}

async fn misfit_is(gateway: &Gateway, shown: f64) {
    eventually("the metric of the schema", || async {
        (gateway.metric("tollgate_store_schema_misfit").await == Some(shown)).then_some(())
    })
    .await;
}

/// Checks that the gateway serves from its snapshot and says why.
async fn serves_from_snapshot(gateway: &Gateway, customer: &Customer, why: &str) {
    gateway.wait_until_ready().await;
    assert_eq!(gateway.status("/", &customer.secret).await, 200);
    let report = readiness(gateway).await;
    assert_eq!((&report["status"], &report["catalog"]["source"]), (&"ready".into(), &"snapshot".into()));
    assert!(report["store_problem"].as_str().unwrap().contains(why), "{report}");
    misfit_is(gateway, 1.0).await;
    let told = gateway.logged("the reason", |line| line["event"] == "started_from_snapshot").await;
    assert!(told["reason"].as_str().unwrap().contains(why), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn gateway_older_than_the_store_serves_from_its_snapshot_and_follows_once_the_store_fits() {
    let (fixture, customer, file) = served_before("roomy").await;
    file.make_newer().await.unwrap();
    let gateway = Gateway::start(&fixture.config_file()).await;
    serves_from_snapshot(&gateway, &customer, "the store's schema has version 9999").await;

    file.make_current().await.unwrap();
    Store::open(&fixture.store_url).await.unwrap().revoke_key(customer.key, now()).await.unwrap();
    becomes(&gateway, &customer, 401).await;
    misfit_is(&gateway, 0.0).await;
    let report = readiness(&gateway).await;
    assert_eq!((&report["catalog"]["source"], &report["store_problem"]), (&"store".into(), &Value::Null));
    let told = gateway.log().iter().filter(|line| line["event"] == "store_schema_misfit").count();
    assert_eq!(told, 1, "told once, however often it is tried");
}

#[tokio::test(flavor = "multi_thread")]
async fn gateway_newer_than_the_store_serves_from_its_snapshot_until_the_store_is_migrated() {
    let (fixture, customer, _) = served_before("roomy").await;
    for file in ["store.db", "store.db-wal", "store.db-shm"] {
        let _ = std::fs::remove_file(fixture.path(file));
    }
    let missing = StoreFile::at(fixture.path("store.db")).create_older().await.unwrap();
    let gateway = Gateway::start(&fixture.config_file()).await;
    serves_from_snapshot(&gateway, &customer, &format!("pending: {missing}")).await;

    // The store that was migrated is an empty one here: nobody is known to it.
    Store::open_and_migrate(&fixture.store_url).await.unwrap();
    becomes(&gateway, &customer, 401).await;
    misfit_is(&gateway, 0.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn store_of_another_schema_grants_no_quota() {
    let (fixture, customer, file) = served_before("capped").await;
    file.make_newer().await.unwrap();
    let gateway = Gateway::start(&fixture.config_file()).await;
    gateway.wait_until_ready().await;
    assert_eq!(gateway.status("/", &customer.secret).await, 503);
    file.make_current().await.unwrap();
    becomes(&gateway, &customer, 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn running_gateway_tells_of_a_schema_that_was_changed_and_follows_on() {
    let fixture = Fixture::new().await;
    let gateway = fixture.gateway().await;
    let customer = fixture.customer(Some("roomy")).await;
    // Once it sees a change it has a connection, which it keeps.
    becomes(&gateway, &customer, 200).await;
    StoreFile::at(fixture.path("store.db")).make_newer().await.unwrap();
    misfit_is(&gateway, 1.0).await;
    assert!(readiness(&gateway).await["store_problem"].as_str().unwrap().contains("followed"));
    assert_eq!(gateway.status("/", &customer.secret).await, 200);
    fixture.store.revoke_key(customer.key, now()).await.unwrap();
    becomes(&gateway, &customer, 401).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_snapshot_a_newer_store_is_an_error_that_names_both_versions() {
    let fixture = Fixture::new().await;
    StoreFile::at(fixture.path("store.db")).make_newer().await.unwrap();
    fixture.configure(crate::support::ROUTES);
    let output = command(&fixture.config_file()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("version 9999") && told.contains("knows only"), "{told}");
}
