//! `billing drop-records`: billed records go, and the books still reconcile.

use common::usage::{UsageEntry, UsageRecord};
use serde_json::{Value, json};

use crate::deployment::{Deployment, batch, customer, instant, request, stdout};

#[tokio::test]
async fn dropped_records_stay_in_the_sums_and_unbilled_days_stay() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    let tenant = customer(&store, root, "Acme", "UTC", "growth").await.id;
    let at = |time| UsageEntry::Request(UsageRecord { ..request(tenant, time, 1) });
    let entries = [at("2026-10-01T12:00:00Z"), at("2026-10-02T12:00:00Z"), at("2026-10-03T12:00:00Z")];
    store.book_usage(&batch(0, entries), instant("2026-10-03T12:00:01Z")).await.unwrap();
    let arguments = ["--before", "2026-10-04T00:00:00Z", "--billed-until", "2026-10-03T00:00:00Z"];
    let url = deployment.url();
    let command = [&["drop-records", "--output", "json", "--store", &url][..], &arguments].concat();
    let output = deployment.run(&command).await;
    let dropped: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!((output.status.code(), &dropped["records"]), (Some(0), &json!(2)), "{dropped}");
    assert_eq!(dropped["unbilled"], json!([instant("2026-10-03T00:00:00Z").0]));
    let audit = deployment.run(&["audit", "--output", "json", "--store", &url]).await;
    let report: Value = serde_json::from_str(&stdout(&audit)).unwrap();
    assert_eq!((audit.status.code(), &report["periods"][0]["rolled_up"]["requests"]), (Some(0), &json!(3)), "{report}");
    assert_eq!(report["periods"][0]["dropped"]["requests"], 2);
    let again = deployment.run(&command).await;
    assert_eq!(serde_json::from_str::<Value>(&stdout(&again)).unwrap()["records"], 0, "a second run drops nothing");
}
