//! `billing run`: what was booked becomes a bill that is right to the cent.

use common::{
    id::TenantId,
    key::Mode,
    store::Store,
    tenant::{TenantKind, lifecycle::NewTenant},
    usage::{RefusalCount, UsageEntry, UsageRecord},
};
use serde_json::{Value, json};

use crate::deployment::{Deployment, batch, customer, instant, request, stderr, stdout};

async fn run(deployment: &Deployment, arguments: &[&str]) -> Value {
    let url = deployment.url();
    let output =
        deployment.run(&[&["run", "--dry-run", "--output", "json", "--store", &url], arguments].concat()).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn book(store: &Store, first_seq: u64, records: Vec<UsageRecord>) {
    let batch = batch(first_seq, records.into_iter().map(UsageEntry::Request));
    store.book_usage(&batch, instant("2026-11-22T00:00:00Z")).await.unwrap();
}

/// 3,200,000 billable units in November, and around them all that must not be billed.
async fn book_worked_example(store: &Store, tenant: TenantId) {
    let november = |units| request(tenant, "2026-11-10T12:00:00Z", units);
    book(store, 0, vec![november(3_200); 600]).await;
    book(store, 600, vec![request(tenant, "2026-11-30T23:59:59.999999Z", 3_200); 400]).await;
    let not_billed = vec![
        UsageRecord { mode: Mode::Test, ..november(1_000_000) },
        UsageRecord { billable: false, status: 502, ..november(1_000_000) },
        request(tenant, "2026-10-31T23:59:59.999999Z", 1_000_000),
        request(tenant, "2026-12-01T00:00:00Z", 1_000_000),
    ];
    book(store, 1_000, not_billed).await;
    let template = november(0);
    let refused = RefusalCount { at: template.at, tenant, key: template.key, reason: "rate_limited".into(), count: 17 };
    let refused = batch(1_004, [UsageEntry::Refusals(refused)]);
    store.book_usage(&refused, instant("2026-11-22T00:00:00Z")).await.unwrap();
}

#[tokio::test]
async fn worked_example_bills_103_80() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    let tenant = customer(&store, root, "Acme", "UTC", "growth").await.id;
    book_worked_example(&store, tenant).await;
    let expected = json!({
        "period": "2026-11",
        "dry_run": true,
        "invoices": [{
            "tenant": tenant, "name": "Acme", "plan": "growth", "plan_version": 1, "currency": "USD",
            "period_start": "2026-11-01T00:00:00Z", "period_end": "2026-12-01T00:00:00Z",
            "requests": 1_002, "billable_requests": 1_000, "billable_units": 3_200_000,
            "test_requests": 1, "refused_requests": 17,
            "lines": [
                { "kind": "flat_fee", "description": "Growth, flat fee", "meter": null, "quantity": 1,
                  "unit_price": null, "per": null, "amount": "99.00", "amount_minor": 9_900 },
                { "kind": "included", "description": "requests: up to 2,000,000", "meter": "requests",
                  "quantity": 2_000_000, "unit_price": null, "per": null, "amount": "0.00", "amount_minor": 0 },
                { "kind": "usage", "description": "requests: from 2,000,001 on", "meter": "requests",
                  "quantity": 1_200_000, "unit_price": "4.00", "per": 1_000_000,
                  "amount": "4.80", "amount_minor": 480 },
            ],
            "total": "103.80", "total_minor": 10_380,
        }],
        "unknown_tenants": [],
    });
    assert_eq!(run(&deployment, &["--period", "2026-11"]).await, expected);
    assert_eq!(run(&deployment, &["--period", "2026-11", "--tenant", &tenant.to_string()]).await, expected);
}

#[tokio::test]
async fn repeated_run_gives_the_same_bytes() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    for (name, plan) in [("Acme", "growth"), ("Beta", "free"), ("Gamma", "enterprise")] {
        customer(&store, root, name, "UTC", plan).await;
    }
    let strangers = (90..99).map(|id| request(TenantId::from_u128(id), "2026-11-10T12:00:00Z", 5)).collect();
    book(&store, 0, strangers).await;
    let url = deployment.url();
    for output in ["json", "table"] {
        let arguments = ["run", "--period", "2026-11", "--dry-run", "--output", output, "--store", &url];
        let first = deployment.run(&arguments).await;
        assert_eq!(first.status.code(), Some(0));
        assert!(!first.stdout.is_empty());
        assert_eq!(deployment.run(&arguments).await, first);
    }
}

#[tokio::test]
async fn table_shows_lines_total_and_usage_on_no_invoice() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    let tenant = customer(&store, root, "Acme", "UTC", "growth").await.id;
    book_worked_example(&store, tenant).await;
    let stranger = TenantId::from_u128(99);
    let on_no_invoice =
        vec![request(stranger, "2026-11-10T12:00:00Z", 1_234), request(root, "2026-11-10T12:00:00Z", 5_678)];
    book(&store, 1_005, on_no_invoice).await;
    let output = deployment.run(&["run", "--period", "2026-11", "--dry-run", "--config", "billing.yaml"]).await;
    assert_eq!(output.status.code(), Some(0));
    let (shown, warned) = (stdout(&output), stderr(&output));
    for part in ["Acme", "1,200,000", "4.00 per 1,000,000", "4.80", "103.80 USD", "17 refused"] {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }
    assert!(warned.contains(&format!("1,234 units of tenant {stranger}")), "{warned}");
    assert!(warned.contains(&format!("5,678 billable units of tenant {root}")), "{warned}");
    let json = run(&deployment, &["--period", "2026-11"]).await;
    assert_eq!(json["unknown_tenants"], json!([{ "tenant": stranger, "units": 1_234 }]));
}

#[tokio::test]
async fn each_tenant_has_the_period_of_its_own_zone() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    let instants = ["2026-10-31T23:30:00Z", "2026-11-01T04:30:00Z", "2026-12-01T04:30:00Z"];
    let zones = [
        ("UTC", "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z", 1),
        ("Europe/Berlin", "2026-10-31T23:00:00Z", "2026-11-30T23:00:00Z", 2),
        ("America/New_York", "2026-11-01T04:00:00Z", "2026-12-01T05:00:00Z", 2),
        ("Asia/Kathmandu", "2026-10-31T18:15:00Z", "2026-11-30T18:15:00Z", 2),
    ];
    let mut next_seq = 0;
    for (zone, ..) in zones {
        let tenant = customer(&store, root, zone, zone, "growth").await.id;
        book(&store, next_seq, instants.map(|at| request(tenant, at, 1)).to_vec()).await;
        next_seq += instants.len() as u64;
    }
    let expected: Vec<_> =
        zones.map(|(zone, start, end, units)| (json!(zone), json!(start), json!(end), json!(units))).into();
    let november = run(&deployment, &["--period", "2026-11"]).await;
    assert_eq!(borders(&november), expected);

    // In this instant it is November in Berlin and Kathmandu only.
    let now = run(&deployment, &["--now", "2026-10-31T23:30:00Z"]).await;
    assert_eq!(now["period"], "2026-10");
    let starts: Vec<_> = borders(&now).into_iter().map(|(_, start, ..)| start).collect();
    assert_eq!(
        starts,
        ["2026-10-01T00:00:00Z", "2026-10-31T23:00:00Z", "2026-10-01T04:00:00Z", "2026-10-31T18:15:00Z"]
    );
}

fn borders(drafts: &Value) -> Vec<(Value, Value, Value, Value)> {
    let invoices = drafts["invoices"].as_array().unwrap();
    let border = |invoice: &Value| {
        let field = |name: &str| invoice[name].clone();
        (field("name"), field("period_start"), field("period_end"), field("billable_units"))
    };
    invoices.iter().map(border).collect()
}

#[tokio::test]
async fn period_before_every_subscription_bills_nobody() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    customer(&store, root, "Acme", "UTC", "growth").await;
    assert_eq!(run(&deployment, &["--period", "2026-01"]).await["invoices"], json!([]));
    assert_eq!(run(&deployment, &["--period", "2026-02"]).await["invoices"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn invalid_command_line_exits_2() {
    let deployment = Deployment::new();
    let url = deployment.url();
    let both = deployment.run(&["run", "--dry-run", "--incomplete", "x", "--store", &url]).await;
    assert_eq!(both.status.code(), Some(2));
    assert!(stderr(&both).contains("--incomplete"), "{}", stderr(&both));
    for arguments in [["--period", "2026-13"], ["--now", "yesterday"], ["--tenant", "acme"], ["--output", "xml"]] {
        let output = deployment.run(&[&["run", "--dry-run", "--store", &url], &arguments[..]].concat()).await;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains(arguments[1]), "{}", stderr(&output));
    }
    assert!(!deployment.path("tollgate.db").exists());
}

#[tokio::test]
async fn unknown_tenant_is_named() {
    let deployment = Deployment::new();
    deployment.store().await;
    let stranger = TenantId::from_u128(99).to_string();
    let output = deployment.run(&["run", "--dry-run", "--tenant", &stranger, "--store", &deployment.url()]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains(&stranger), "{}", stderr(&output));
}

#[tokio::test]
async fn store_of_another_schema_is_named_and_left_alone() {
    let deployment = Deployment::new();
    let arguments = ["run", "--dry-run", "--config", "billing.yaml"];
    let missing = deployment.run(&arguments).await;
    assert_eq!(missing.status.code(), Some(1));
    assert!(stderr(&missing).contains("tollgate.db"), "{}", stderr(&missing));
    assert!(!deployment.path("tollgate.db").exists());

    std::fs::write(deployment.path("tollgate.db"), "").unwrap();
    let older = deployment.run(&arguments).await;
    assert_eq!(older.status.code(), Some(1));
    assert!(stderr(&older).contains("billing migrate"), "{}", stderr(&older));

    std::fs::write(deployment.path("tollgate.db"), "this is not a database, only some text of a few bytes").unwrap();
    let foreign = deployment.run(&arguments).await;
    assert_eq!(foreign.status.code(), Some(1));
    assert!(stderr(&foreign).starts_with("error: "), "{}", stderr(&foreign));
}

#[tokio::test]
async fn tenant_that_inherits_a_plan_is_billed_to_its_subscriber() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    let tenant = |kind, parent, name: &str, plan: Option<&str>| NewTenant {
        parent: Some(parent),
        kind,
        name: name.into(),
        zone: "UTC".parse().unwrap(),
        plan: plan.map(|plan| plan.parse().unwrap()),
    };
    let now = instant("2026-11-01T00:00:00Z");
    let create = async |new: NewTenant| store.create_tenant(&new, now).await.unwrap().id;
    let reseller = create(tenant(TenantKind::Reseller, root, "Reseller", Some("growth"))).await;
    let inheriting = create(tenant(TenantKind::Customer, reseller, "Inheriting", None)).await;
    let own = create(tenant(TenantKind::Customer, reseller, "Own", Some("starter"))).await;
    let orphan = create(tenant(TenantKind::Customer, root, "Orphan", None)).await;
    let at = "2026-11-10T12:00:00Z";
    let used = [(reseller, 1_000_000), (inheriting, 2_200_000), (own, 7), (orphan, 5)];
    let records = used.into_iter().map(|(tenant, units)| request(tenant, at, units)).collect();
    book(&store, 0, records).await;
    let drafts = run(&deployment, &["--period", "2026-11"]).await;
    let invoices = drafts["invoices"].as_array().unwrap();
    let billed: Vec<_> = invoices.iter().map(|invoice| (&invoice["name"], &invoice["billable_units"])).collect();
    assert_eq!(billed, [(&json!("Reseller"), &json!(3_200_000)), (&json!("Own"), &json!(7))]);
    assert_eq!(invoices[0]["total"], "103.80", "one allowance for all who share the plan");
    let alone = run(&deployment, &["--period", "2026-11", "--tenant", &reseller.to_string()]).await;
    assert_eq!(alone["invoices"], json!([invoices[0]]));
}
