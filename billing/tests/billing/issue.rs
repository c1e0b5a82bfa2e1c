//! `billing run` without `--dry-run`: periods that have ended become invoices, once.

use common::{
    id::TenantId,
    invoice::{
        BillingDetails, InvoiceFilter,
        tax::{TaxRule, Treatment},
    },
    plan::{
        PlanFile,
        subscription::{Agreement, PlanStart},
    },
    store::{PageRequest, Store},
    tenant::{TenantKind, lifecycle::NewTenant},
    usage::{UsageEntry, UsageRecord},
};
use serde_json::{Value, json};

use crate::deployment::{Deployment, batch, customer, instant, request, stderr};

const DECEMBER: &str = "2026-12-02T00:00:00Z";

const ALL: PageRequest = PageRequest { after: None, limit: 1_000 };

pub(crate) async fn run(deployment: &Deployment, arguments: &[&str]) -> Value {
    let url = deployment.url();
    let output = deployment.run(&[&["run", "--output", "json", "--store", &url], arguments].concat()).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn november(deployment: &Deployment) -> Value {
    run(deployment, &["--period", "2026-11", "--now", DECEMBER]).await
}

async fn december(deployment: &Deployment) -> Value {
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

#[tokio::test]
async fn reseller_pays_wholesale_for_its_subtree_and_bills_retail() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    let reseller = tenant(&store, root, TenantKind::Reseller, "UTC").await;
    let own = tenant(&store, reseller, TenantKind::Customer, "UTC").await;
    let direct = tenant(&store, reseller, TenantKind::Customer, "UTC").await;
    let charge =
        |amount: &str| format!("charges: [{{ meter: requests, per_unit: {{ amount: '{amount}', per: 1000 }} }}]");
    let bulk = format!(
        "id: bulk, name: Bulk, currency: USD, flat_fee: '10.00', billing: {{ wholesale: true }}, {}",
        charge("1")
    );
    let list = format!("id: list, name: List, currency: USD, flat_fee: '5.00', {}", charge("4"));
    plans(&store, Some(root), &[&bulk, &list]).await;
    let retail = format!("id: retail, name: Retail, currency: USD, flat_fee: '7.00', {}", charge("3"));
    plans(&store, Some(reseller), &[&retail]).await;
    subscribe(&store, reseller, "bulk", "2026-02-01T00:00:00Z").await;
    subscribe(&store, own, "retail", "2026-02-01T00:00:00Z").await;
    subscribe(&store, direct, "list", "2026-02-01T00:00:00Z").await;
    let used = |tenant, units| request(tenant, "2026-11-10T12:00:00Z", units);
    book(&store, 0, vec![used(reseller, 1_000), used(own, 2_000), used(direct, 4_000)]).await;
    let issued = november(&deployment).await;
    let shown: Vec<_> = issued["issued"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["issuer"].clone(), one["tenant"].clone(), one["total"].as_str().unwrap().to_owned()))
        .collect();
    let bill = |issuer: TenantId, tenant: TenantId, total: &str| (json!(issuer), json!(tenant), total.to_owned());
    assert_eq!(shown, [bill(root, reseller, "17.00"), bill(reseller, own, "13.00"), bill(root, direct, "21.00"),]);
}

#[tokio::test]
async fn upgrade_on_the_17th_is_prorated_by_exact_time_across_a_change_of_clocks() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    plans(
        &store,
        None,
        &[
            "id: small, name: Small, currency: EUR, flat_fee: '30.00', billing: { prorate: true }",
            "id: large, name: Large, currency: EUR, flat_fee: '90.00', billing: { prorate: true }",
        ],
    )
    .await;
    let acme = tenant(&store, root, TenantKind::Customer, "Europe/Berlin").await;
    subscribe(&store, acme, "small", "2026-02-01T00:00:00Z").await;
    // October has 745 hours in Berlin; noon on the 17th is 396 hours into it.
    subscribe(&store, acme, "large", "2026-10-17T10:00:00Z").await;
    let issued = run(&deployment, &["--period", "2026-10", "--now", "2026-11-02T00:00:00Z"]).await;
    let amounts: Vec<_> = lines(&store, &issued["issued"][0]).await.into_iter().map(|(_, minor)| minor).collect();
    // 90 x 349 / 745 and 30 x 396 / 745.
    assert_eq!(amounts, [4_216, 1_595]);
}

#[tokio::test]
async fn minimum_is_filled_up_and_maximum_is_kept_with_late_usage_too() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    let per_unit = "charges: [{ meter: requests, per_unit: { amount: '1', per: 1 } }]";
    let terms = "billing: { minimum_spend: '50.00', maximum_spend: '100.00' }";
    let plan = format!("id: committed, name: Committed, currency: USD, flat_fee: '10.00', {per_unit}, {terms}");
    plans(&store, None, &[&plan]).await;
    let (low, high) = (
        tenant(&store, root, TenantKind::Customer, "UTC").await,
        tenant(&store, root, TenantKind::Customer, "UTC").await,
    );
    for one in [low, high] {
        subscribe(&store, one, "committed", "2026-02-01T00:00:00Z").await;
    }
    let used = |tenant, units| request(tenant, "2026-11-10T12:00:00Z", units);
    book(&store, 0, vec![used(low, 15), used(high, 80)]).await;
    let issued = november(&deployment).await;
    assert_eq!((&issued["issued"][0]["total"], &issued["issued"][1]["total"]), (&json!("50.00"), &json!("90.00")));
    book(&store, 2, vec![used(low, 30), used(high, 30)]).await;
    let next = december(&deployment).await;
    // December alone is filled up to 50.00; of November, 55 and 100 are due in all.
    assert_eq!((&next["issued"][0]["total"], &next["issued"][1]["total"]), (&json!("55.00"), &json!("60.00")));
}

#[tokio::test]
async fn currencies_and_taxes_are_those_of_plan_and_tenant() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    let charge = |amount| format!("charges: [{{ meter: requests, per_unit: {{ amount: '{amount}', per: 1 }} }}]");
    plans(
        &store,
        None,
        &[
            &format!("id: yen, name: Yen, currency: JPY, flat_fee: '0', {}", charge("0.5")),
            &format!("id: dinar, name: Dinar, currency: KWD, flat_fee: '0', {}", charge("0.0012")),
        ],
    )
    .await;
    let (yen, dinar) = (
        tenant(&store, root, TenantKind::Customer, "Asia/Tokyo").await,
        tenant(&store, root, TenantKind::Customer, "Asia/Kuwait").await,
    );
    subscribe(&store, yen, "yen", "2026-02-01T00:00:00Z").await;
    subscribe(&store, dinar, "dinar", "2026-02-01T00:00:00Z").await;
    let tax = TaxRule { treatment: Treatment::Exclusive, percent: "10".parse().unwrap() };
    let details = BillingDetails { tax: Some(tax), ..BillingDetails::default() };
    store.set_billing_details(yen, &details, instant(DECEMBER)).await.unwrap();
    book(&store, 0, vec![request(yen, "2026-11-10T12:00:00Z", 1_235), request(dinar, "2026-11-10T12:00:00Z", 4_270)])
        .await;
    let issued = november(&deployment).await;
    let of = |place: usize| (issued["issued"][place]["currency"].clone(), issued["issued"][place]["total"].clone());
    assert_eq!(of(0), (json!("JPY"), json!("680")), "618 and 62 of tax");
    assert_eq!(of(1), (json!("KWD"), json!("5.124")));
}

#[tokio::test]
async fn explained_invoice_is_computed_again_from_its_frozen_usage() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    let acme = customer(&store, root, "Acme", "UTC", "growth").await.id;
    book(&store, 0, vec![request(acme, "2026-11-10T12:00:00Z", 2_000_001)]).await;
    november(&deployment).await;
    let url = deployment.url();
    let explain = async |arguments: &[&str]| {
        let output = deployment.run(&[&["explain", "--store", &url], arguments].concat()).await;
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let text = explain(&["INV-000001"]).await;
    for part in [
        "line 2: requests: from 2,000,001 on: 1 x 4.00 per 1,000,000 = 0.000004, rounded to 0.00 USD",
        "usage requests: 2,000,001 units of 1 requests under plan 0 of these",
        "computing it again from this usage gives the same lines",
        "computing it again from all that is booked now gives the same lines",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    book(&store, 1, vec![request(acme, "2026-11-11T12:00:00Z", 1_000_000)]).await;
    let json: Value = serde_json::from_str(&explain(&["INV-000001", "2", "--output", "json"]).await).unwrap();
    assert_eq!(json["invoice"]["lines"].as_array().unwrap().len(), 1);
    assert_eq!((&json["from_frozen_usage"], &json["from_booked_usage"]), (&json!("same"), &json!("differs")));
    let unknown = deployment.run(&["explain", "INV-000009", "--store", &url]).await;
    assert!(stderr(&unknown).contains("INV-000009"), "{}", stderr(&unknown));
}

#[tokio::test]
async fn simulation_shows_what_each_tenant_would_pay_by_another_plan() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    let acme = customer(&store, root, "Acme", "UTC", "growth").await.id;
    customer(&store, root, "Beta", "UTC", "free").await;
    book(&store, 0, vec![request(acme, "2026-11-10T12:00:00Z", 3_200_000)]).await;
    let plan = "plans: [{ id: growth-2, name: Growth, currency: USD, flat_fee: '120.00' }]";
    std::fs::write(deployment.path("dearer.yaml"), plan).unwrap();
    let url = deployment.url();
    let arguments = ["simulate", "--plan", "dearer.yaml", "--for", "growth", "--from", "2026-10", "--to", "2026-11"];
    let output = deployment.run(&[&arguments[..], &["--store", &url, "--output", "json"]].concat()).await;
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let shown: Vec<_> = found["bills"]
        .as_array()
        .unwrap()
        .iter()
        .map(|bill| (bill["period"].as_str().unwrap(), bill["now"].as_str().unwrap(), bill["then"].as_str().unwrap()))
        .collect();
    assert_eq!(shown, [("2026-10", "99.00", "120.00"), ("2026-11", "103.80", "120.00")]);
    assert!(store.invoices(InvoiceFilter::default(), ALL).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn trial_is_free_and_a_discount_is_taken_off_each_line() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    let charge = "charges: [{ meter: requests, per_unit: { amount: '1', per: 1 } }]";
    let plan = format!("id: pro, name: Pro, currency: EUR, flat_fee: '90.00', billing: {{ prorate: true }}, {charge}");
    plans(&store, None, &[&plan]).await;
    let acme = tenant(&store, root, TenantKind::Customer, "UTC").await;
    let percent = Some("10".parse().unwrap());
    let agreement =
        Agreement { trial_days: 10, discount_percent: percent, flat_fee: Some("30.00".into()), anchor_day: None };
    let (plan, start) = ("pro".parse().unwrap(), instant("2026-11-01T00:00:00Z"));
    store.assign_plan_by(acme, &plan, None, PlanStart::Now, &agreement, start).await.unwrap();
    let in_trial = request(acme, "2026-11-10T23:59:59.999999Z", 100);
    book(&store, 0, vec![in_trial, request(acme, "2026-11-11T00:00:00Z", 50)]).await;
    let issued = november(&deployment).await;
    let expected = [
        ("Pro, flat fee from 2026-11-11T00:00:00Z up to 2026-12-01T00:00:00Z", 2_000),
        ("requests: from 1 on", 5_000),
        ("requests: used in the trial", 0),
        ("10 % off", -200),
        ("requests: 10 % off", -500),
    ];
    assert_eq!(lines(&store, &issued["issued"][0]).await, expected.map(|(text, minor)| (text.to_owned(), minor)));
    assert_eq!(december(&deployment).await["issued"][0]["total"], "27.00");
    for (agreement, field) in [
        (Agreement { discount_percent: Some("120".parse().unwrap()), ..Agreement::default() }, "discount_percent: "),
        (Agreement { flat_fee: Some("-1".into()), ..Agreement::default() }, "flat_fee: "),
        (Agreement { trial_days: 367, ..Agreement::default() }, "trial_days: "),
    ] {
        let refused = store.assign_plan_by(acme, &plan, None, PlanStart::Now, &agreement, start).await.unwrap_err();
        assert!(refused.to_string().contains(field), "{refused}");
    }
}
