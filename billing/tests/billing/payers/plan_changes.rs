//! A plan that changes within a month: each unit is billed by the plan of its own time.

use billing::invoice::to_json;
use common::{plan::subscription::PlanStart, tenant::TenantKind};
use serde_json::{Value, json};

use super::{Books, line, lines, tokens, total};
use crate::{
    deployment::{Deployment, instant, request},
    topic::deployments,
};

#[tokio::test]
async fn units_paid_from_credit_are_not_billed_by_the_plan_that_follows() {
    for deployment in deployments() {
        let mut books = Books::at(deployment).await;
        let tenant = books.tenant(TenantKind::Customer, books.root, "UTC", Some("credit")).await;
        books.book(vec![tokens(tenant, "2026-11-10T12:05:00Z", 10, true); 5]).await;
        books.assign(tenant, "metered", "2026-11-10T12:30:00Z").await;
        books.book([tokens(tenant, "2026-11-10T12:40:00Z", 2, false)]).await;
        let drafts = books.drafts("2026-11").await;
        assert_eq!(total(&drafts, tenant), "2.00");
        assert_eq!(
            lines(&drafts, tenant),
            [line("tokens: from 1 on", 2, "2.00"), line("tokens: paid from credit", 50, "0.00")]
        );
        // A request that was admitted by credit before the change and is told of after it.
        books.book([tokens(tenant, "2026-11-10T12:29:59Z", 7, true)]).await;
        assert_eq!(total(&books.drafts("2026-11").await, tenant), "2.00");
        books.assert_in_order().await;
    }
}

#[tokio::test]
async fn units_that_were_owed_stay_owed_under_the_plan_that_follows() {
    for deployment in deployments() {
        let mut books = Books::at(deployment).await;
        for (next, free) in [
            ("credit", line("tokens: prepaid, used without credit", 3, "0.00")),
            ("none", line("tokens: not part of the plan", 3, "0.00")),
        ] {
            let tenant = books.tenant(TenantKind::Customer, books.root, "UTC", Some("metered")).await;
            books.book([tokens(tenant, "2026-11-10T12:05:00Z", 50, false)]).await;
            books.assign(tenant, next, "2026-11-10T12:30:00Z").await;
            books.book([tokens(tenant, "2026-11-10T12:40:00Z", 3, false)]).await;
            let drafts = books.drafts("2026-11").await;
            assert_eq!(total(&drafts, tenant), "50.00", "{next}");
            assert_eq!(lines(&drafts, tenant), [line("Metered, tokens: from 1 on", 50, "50.00"), free]);
        }
        books.assert_in_order().await;
    }
}

#[tokio::test]
async fn units_that_were_free_stay_free_under_the_plan_that_follows() {
    let mut books = Books::at(Deployment::new()).await;
    let tenant = books.tenant(TenantKind::Customer, books.root, "UTC", Some("none")).await;
    books.book([tokens(tenant, "2026-11-10T12:05:00Z", 50, false)]).await;
    books.assign(tenant, "metered", "2026-11-10T12:30:00Z").await;
    books.book([tokens(tenant, "2026-11-10T12:40:00Z", 3, false)]).await;
    assert_eq!(total(&books.drafts("2026-11").await, tenant), "3.00");
}

#[tokio::test]
async fn last_plan_that_prices_a_meter_prices_all_of_it_with_one_allowance() {
    let mut books = Books::at(Deployment::new()).await;
    let tenant = books.tenant(TenantKind::Customer, books.root, "UTC", Some("starter")).await;
    books.book([request(tenant, "2026-11-10T12:00:00Z", 1_200_000)]).await;
    books.assign(tenant, "growth", "2026-11-15T00:00:00Z").await;
    books.book([request(tenant, "2026-11-20T12:00:00Z", 2_000_000)]).await;
    assert_eq!(total(&books.drafts("2026-11").await, tenant), "103.80");
}

#[tokio::test]
async fn ended_plan_rates_nothing_after_its_end() {
    for deployment in deployments() {
        let mut books = Books::at(deployment).await;
        let reseller = books.tenant(TenantKind::Reseller, books.root, "UTC", Some("growth")).await;
        let below = books.tenant(TenantKind::Customer, reseller, "UTC", Some("starter")).await;
        let alone = books.tenant(TenantKind::Customer, books.root, "UTC", Some("starter")).await;
        for tenant in [below, alone] {
            let end = instant("2026-11-10T08:30:00Z");
            books.store.end_subscription(tenant, PlanStart::Now, end).await.unwrap();
            let used = ["2026-11-10T08:29:59Z", "2026-11-10T08:30:00Z", "2026-11-25T00:00:00Z"];
            books.book(used.map(|at| request(tenant, at, 1_000_000))).await;
        }
        let drafts = books.drafts("2026-11").await;
        let units = |tenant| drafts.invoices.iter().find(|one| one.tenant == tenant).unwrap().counts.billable_units;
        assert_eq!([below, alone, reseller].map(units), [1_000_000, 1_000_000, 2_000_000]);
        let json: Value = serde_json::from_str(&to_json(&drafts).unwrap()).unwrap();
        assert_eq!(json["unsubscribed_tenants"], json!([{ "tenant": alone, "units": 2_000_000 }]));
        assert_eq!(json["failed"], Value::Null);
    }
}
