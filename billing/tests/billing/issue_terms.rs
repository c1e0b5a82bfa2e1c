//! What `billing run` issues by the terms of plans, subscriptions and tenants.

use common::{
    id::TenantId,
    invoice::{
        BillingDetails, InvoiceFilter,
        tax::{TaxRule, Treatment},
    },
    plan::subscription::{Agreement, PlanStart},
    tenant::TenantKind,
};
use serde_json::{Value, json};

use crate::{
    deployment::{Deployment, customer, instant, request, stderr},
    issue::{ALL, DECEMBER, book, december, lines, november, plans, run, subscribe, tenant},
};

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
