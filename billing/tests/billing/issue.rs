//! `billing run` without `--dry-run`: periods that have ended become invoices, once.

use common::{
    id::TenantId,
    invoice::InvoiceFilter,
    plan::{PlanFile, subscription::PlanStart},
    store::{PageRequest, Store},
    tenant::{TenantKind, lifecycle::NewTenant},
    usage::{UsageEntry, UsageRecord},
};
use serde_json::{Value, json};

use crate::deployment::{Deployment, batch, customer, instant, request, stderr};

pub(crate) const DECEMBER: &str = "2026-12-02T00:00:00Z";

pub(crate) const ALL: PageRequest = PageRequest { after: None, limit: 1_000 };

pub(crate) async fn run(deployment: &Deployment, arguments: &[&str]) -> Value {
    let url = deployment.url();
    let output = deployment.run(&[&["run", "--output", "json", "--store", &url], arguments].concat()).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

pub(crate) async fn november(deployment: &Deployment) -> Value {
    run(deployment, &["--period", "2026-11", "--now", DECEMBER]).await
}

pub(crate) async fn december(deployment: &Deployment) -> Value {
    run(deployment, &["--period", "2026-12", "--now", "2027-01-02T00:00:00Z"]).await
}

pub(crate) async fn book(store: &Store, first_seq: u64, records: Vec<UsageRecord>) {
    let batch = batch(first_seq, records.into_iter().map(UsageEntry::Request));
    store.book_usage(&batch, instant(DECEMBER)).await.unwrap();
}

/// Plans of a tenant, written as YAML in one line each.
pub(crate) async fn plans(store: &Store, owner: Option<TenantId>, plans: &[&str]) {
    let text = plans.iter().fold("plans:\n".to_owned(), |text, plan| text + "  - { " + plan + " }\n");
    let plans = PlanFile::parse(&text, "test").unwrap().plans;
    let now = instant("2026-01-02T00:00:00Z");
    store.apply_plans_of(owner, &plans, now).await.unwrap();
}

pub(crate) async fn subscribe(store: &Store, tenant: TenantId, plan: &str, at: &str) {
    let plan = plan.parse().unwrap();
    store.assign_plan(tenant, &plan, None, PlanStart::Now, instant(at)).await.unwrap();
}

pub(crate) async fn tenant(store: &Store, parent: TenantId, kind: TenantKind, zone: &str) -> TenantId {
    let new =
        NewTenant { parent: Some(parent), kind, name: "Somebody".into(), zone: zone.parse().unwrap(), plan: None };
    store.create_tenant(&new, instant("2026-01-02T00:00:00Z")).await.unwrap().id
}

/// The lines of an issued invoice: description and amount.
pub(crate) async fn lines(store: &Store, issued: &Value) -> Vec<(String, i64)> {
    let invoice = store.invoice(issued["id"].as_str().unwrap().parse().unwrap()).await.unwrap();
    invoice.content.lines.into_iter().map(|line| (line.description, line.amount_minor)).collect()
}

#[tokio::test]
async fn ended_month_becomes_numbered_invoices_once() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    let acme = customer(&store, root, "Acme", "UTC", "growth").await.id;
    let beta = customer(&store, root, "Beta", "UTC", "free").await.id;
    book(&store, 0, vec![request(acme, "2026-11-10T12:00:00Z", 3_200_000)]).await;
    let first = november(&deployment).await;
    let shown = |invoice: &Value| (invoice["number"].clone(), invoice["tenant"].clone(), invoice["total"].clone());
    assert_eq!(shown(&first["issued"][0]), (json!("INV-000001"), json!(acme), json!("103.80")));
    assert_eq!(shown(&first["issued"][1]), (json!("INV-000002"), json!(beta), json!("0.00")));
    let again = november(&deployment).await;
    assert_eq!(again["issued"], json!([]));
    assert_eq!(again["before"], first["issued"]);
    let default = run(&deployment, &["--now", DECEMBER]).await;
    assert_eq!(default["before"], first["issued"], "the month that ended last");
    let audit = deployment.run(&["audit", "--store", &deployment.url()]).await;
    assert_eq!(audit.status.code(), Some(0), "{}", stderr(&audit));
}

#[tokio::test]
async fn two_runs_at_once_issue_each_invoice_once() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    for name in ["A", "B", "C", "D", "E"] {
        customer(&store, root, name, "UTC", "growth").await;
    }
    let (first, second) = tokio::join!(november(&deployment), november(&deployment));
    let count = |run: &Value| run["issued"].as_array().unwrap().len();
    assert_eq!(count(&first) + count(&second), 5);
    let found = store.invoices(InvoiceFilter::default(), ALL).await.unwrap().items;
    let numbers: Vec<_> = found.iter().map(|invoice| invoice.number.clone()).collect();
    assert_eq!(numbers, (1..=5).map(|number| format!("INV-{number:06}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn period_that_has_not_ended_for_long_enough_is_not_issued() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    customer(&store, root, "East", "Pacific/Kiritimati", "growth").await;
    customer(&store, root, "West", "Pacific/Niue", "growth").await;
    let at = |now| ["--period", "2026-11", "--now", now];
    let run_at = async |now| run(&deployment, &at(now)).await;
    let early = run_at("2026-11-30T10:59:00Z").await;
    assert_eq!((early["issued"].as_array().unwrap().len(), early["not_due"].as_array().unwrap().len()), (0, 2));
    assert_eq!(early["not_due"][0]["due_at"], "2026-11-30T11:00:00Z");
    let east = run_at("2026-11-30T11:00:00Z").await;
    assert_eq!((east["issued"].as_array().unwrap().len(), &east["not_due"][0]["name"]), (1, &json!("West")));
    let graceless = run(&deployment, &[&at("2026-12-01T11:00:00Z")[..], &["--grace", "0"]].concat()).await;
    assert_eq!((graceless["issued"].as_array().unwrap().len(), graceless["before"].as_array().unwrap().len()), (1, 1));
}

#[tokio::test]
async fn missing_usage_holds_invoices_back_unless_somebody_says_why() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    let acme = customer(&store, root, "Acme", "UTC", "growth").await.id;
    book(&store, 10, vec![request(acme, "2026-11-10T12:00:00Z", 1)]).await;
    let url = deployment.url();
    let arguments = ["run", "--period", "2026-11", "--now", DECEMBER, "--store", &url];
    let refused = deployment.run(&arguments).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("1 gaps are open"), "{}", stderr(&refused));
    assert!(store.invoices(InvoiceFilter::default(), ALL).await.unwrap().items.is_empty());
    run(&deployment, &["--period", "2026-11", "--now", DECEMBER, "--incomplete", "edge-1 burnt down"]).await;
    assert_eq!(store.invoices(InvoiceFilter::default(), ALL).await.unwrap().items.len(), 1);
    let log = store.audit_log(&common::store::AuditFilter::default(), ALL).await.unwrap().items;
    let entry = log.iter().find(|entry| entry.action == "invoice.incomplete_run").unwrap();
    assert_eq!(entry.after.as_ref().unwrap()["reason"], "edge-1 burnt down");
}

#[tokio::test]
async fn gateway_that_has_not_handed_in_its_usage_holds_invoices_back() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    customer(&store, root, "Acme", "UTC", "growth").await;
    let life = common::usage::StreamId::new("edge-1", 7, 0).unwrap().life();
    store.begin_life(&life, instant("2026-11-20T00:00:00Z")).await.unwrap();
    store.handed_in(&life, instant("2026-11-30T23:00:00Z")).await.unwrap();
    let url = deployment.url();
    let arguments = ["run", "--period", "2026-11", "--now", DECEMBER, "--store", &url];
    let refused = deployment.run(&arguments).await;
    assert!(stderr(&refused).contains("up to 2026-11-30T23:00:00Z only"), "{}", stderr(&refused));
    store.handed_in(&life, instant("2026-12-01T23:00:00Z")).await.unwrap();
    assert_eq!(november(&deployment).await["issued"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn late_usage_is_a_line_of_the_next_invoice_that_names_its_period() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    let acme = customer(&store, root, "Acme", "UTC", "growth").await.id;
    book(&store, 0, vec![request(acme, "2026-11-10T12:00:00Z", 1_900_000)]).await;
    assert_eq!(november(&deployment).await["issued"][0]["total"], "99.00");
    book(&store, 1, vec![request(acme, "2026-11-11T12:00:00Z", 1_300_000)]).await;
    let issued = december(&deployment).await;
    let found = lines(&store, &issued["issued"][0]).await;
    let expected = [
        ("Growth, flat fee", 9_900),
        ("requests: up to 2,000,000", 0),
        ("requests: up to 2,000,000 (late)", 0),
        ("requests: from 2,000,001 on (late)", 480),
    ];
    assert_eq!(found, expected.map(|(text, minor)| (text.to_owned(), minor)), "as one bill for all: 103.80");
    let id = issued["issued"][0]["id"].as_str().unwrap().parse().unwrap();
    let late = store.invoice(id).await.unwrap().content.lines[3].period.unwrap();
    assert_eq!((late.start, late.end), (instant("2026-11-01T00:00:00Z"), instant("2026-12-01T00:00:00Z")));
    let january = run(&deployment, &["--period", "2027-01", "--now", "2027-02-02T00:00:00Z"]).await;
    assert_eq!(january["issued"][0]["total"], "99.00", "late once, and no second time");
}

#[tokio::test]
async fn last_usage_of_a_tenant_that_has_left_is_billed() {
    // bencher#951: cancelling loses the final usage.
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    let acme = customer(&store, root, "Acme", "UTC", "growth").await.id;
    store.end_subscription(acme, PlanStart::Now, instant("2026-11-20T00:00:00Z")).await.unwrap();
    november(&deployment).await;
    book(&store, 0, vec![request(acme, "2026-11-19T12:00:00Z", 3_000_000)]).await;
    let issued = december(&deployment).await;
    assert_eq!(issued["issued"][0]["total"], "4.00");
}

#[tokio::test]
async fn void_invoice_is_issued_anew_with_all_usage() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    let acme = customer(&store, root, "Acme", "UTC", "growth").await.id;
    book(&store, 0, vec![request(acme, "2026-11-10T12:00:00Z", 3_200_000)]).await;
    let first = november(&deployment).await;
    let id = first["issued"][0]["id"].as_str().unwrap().parse().unwrap();
    store.void_invoice(id, "a test", instant(DECEMBER)).await.unwrap();
    book(&store, 1, vec![request(acme, "2026-11-10T12:00:00Z", 1_000_000)]).await;
    let again = november(&deployment).await;
    assert_eq!((&again["issued"][0]["number"], &again["issued"][0]["total"]), (&json!("INV-000002"), &json!("107.80")));
    assert_eq!(december(&deployment).await["issued"][0]["total"], "99.00");
}

#[tokio::test]
async fn invoice_whose_late_usage_is_billed_cannot_be_voided_before_that_bill() {
    // Found by the simulation of money, history 7: the late usage was billed by both.
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    let acme = customer(&store, root, "Acme", "UTC", "growth").await.id;
    let id = |run: &Value| run["issued"][0]["id"].as_str().unwrap().parse().unwrap();
    let first = id(&november(&deployment).await);
    book(&store, 0, vec![request(acme, "2026-11-10T12:00:00Z", 3_200_000)]).await;
    let second = id(&december(&deployment).await);
    let refused = store.void_invoice(first, "a test", instant("2027-01-03T00:00:00Z")).await.unwrap_err();
    assert!(refused.to_string().contains("INV-000002 bills late usage"), "{refused}");
    for invoice in [second, first] {
        store.void_invoice(invoice, "a test", instant("2027-01-03T00:00:00Z")).await.unwrap();
    }
    assert_eq!(november(&deployment).await["issued"][0]["total"], "103.80");
    assert_eq!(december(&deployment).await["issued"][0]["total"], "99.00");
}

#[tokio::test]
async fn tenant_whose_invoice_is_refused_stops_no_other_of_its_batch() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    let [acme, ..] = [
        customer(&store, root, "Acme", "UTC", "growth").await.id,
        customer(&store, root, "Beta", "UTC", "growth").await.id,
    ];
    let pool = sqlx::SqlitePool::connect(&deployment.url()).await.unwrap();
    let details = r#"INSERT INTO billing_details (tenant_id, body, updated_at) VALUES ($1, '{"legal_name": 1}', 0)"#;
    sqlx::query(details).bind(acme.to_string()).execute(&pool).await.unwrap();
    let url = deployment.url();
    let arguments = ["run", "--period", "2026-11", "--now", DECEMBER, "--store", &url, "--output", "json"];
    let output = deployment.run(&arguments).await;
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let run: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&run["failed"][0]["name"], run["issued"].as_array().unwrap().len()), (&json!("Acme"), 1));
    assert_eq!(run["issued"][0]["number"], "INV-000001");
}
