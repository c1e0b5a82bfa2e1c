//! A tenant that moves within the tree: each unit is billed to the payer of its own time.

use billing::invoice::to_json;
use common::{
    acting::{Acting, Scope},
    id::TenantId,
    plan::subscription::PlanStart,
    tenant::TenantKind,
    time::Window,
    usage::report::{UsageDimension, UsageQuery, UsageStep},
};

use super::{Books, total};
use crate::{
    deployment::{instant, request},
    topic::deployments,
};

/// Two resellers, a customer of the first, and what they owe for October.
async fn october(books: &mut Books) -> (TenantId, TenantId, TenantId) {
    let first = books.tenant(TenantKind::Reseller, books.root, "UTC", Some("growth")).await;
    let second = books.tenant(TenantKind::Reseller, books.root, "UTC", Some("starter")).await;
    let customer = books.tenant(TenantKind::Customer, first, "UTC", None).await;
    books.book([request(customer, "2026-10-10T12:00:00Z", 5_000_000)]).await;
    (first, second, customer)
}

#[tokio::test]
async fn moved_tenant_changes_no_ended_month() {
    for deployment in deployments() {
        let mut books = Books::at(deployment).await;
        let (first, second, customer) = october(&mut books).await;
        let before = to_json(&books.drafts("2026-10").await).unwrap();
        books.store.move_tenant(customer, second, None, instant("2026-11-28T10:20:30Z")).await.unwrap();
        let drafts = books.drafts("2026-10").await;
        assert_eq!((total(&drafts, first), total(&drafts, second)), ("111.00".into(), "29.00".into()));
        assert_eq!(to_json(&drafts).unwrap(), before);

        // A move in mid-hour splits the hour; what comes late goes where it was used.
        books.book([request(customer, "2026-11-28T10:20:30Z", 700_000)]).await;
        books.book([request(customer, "2026-11-28T10:20:29.999999Z", 3_000_000)]).await;
        let november = books.drafts("2026-11").await;
        assert_eq!((total(&november, first), total(&november, second)), ("103.00".into(), "30.00".into()));
        // And back again.
        books.store.move_tenant(customer, first, None, instant("2026-11-28T10:40:00Z")).await.unwrap();
        books.book([request(customer, "2026-11-28T10:50:00Z", 1_000_000)]).await;
        let november = books.drafts("2026-11").await;
        assert_eq!((total(&november, first), total(&november, second)), ("107.00".into(), "30.00".into()));
        books.assert_in_order().await;
    }
}

#[tokio::test]
async fn moved_reseller_takes_its_descendants_along_from_then_on() {
    for deployment in deployments() {
        let mut books = Books::at(deployment).await;
        let above = books.tenant(TenantKind::Reseller, books.root, "UTC", Some("growth")).await;
        let middle = books.tenant(TenantKind::Reseller, above, "UTC", None).await;
        let other = books.tenant(TenantKind::Reseller, books.root, "UTC", Some("starter")).await;
        let customer = books.tenant(TenantKind::Customer, middle, "UTC", None).await;
        books.store.move_tenant(middle, other, None, instant("2026-11-10T10:30:00Z")).await.unwrap();
        let used = [("10:29:59", 2_000_000), ("10:30:00", 600_000)];
        books.book(used.map(|(at, units)| request(customer, &format!("2026-11-10T{at}Z"), units))).await;
        // The plan of those who were above once counts for its own time too.
        books.store.end_subscription(above, PlanStart::Now, instant("2026-11-20T00:00:00Z")).await.unwrap();
        let drafts = books.drafts("2026-11").await;
        assert_eq!((total(&drafts, above), total(&drafts, other)), ("99.00".into(), "29.50".into()));
        let billed = |tenant| drafts.invoices.iter().find(|one| one.tenant == tenant).unwrap().counts.billable_units;
        assert_eq!((billed(above), billed(other)), (2_000_000, 600_000));
        books.assert_in_order().await;
    }
}

/// A report in days on the subtree of a tenant, as that tenant sees it: by tenant, the units of
/// October and November.
async fn seen_by(books: &Books, tenant: TenantId) -> Vec<(TenantId, String, u64)> {
    let acting = Acting { scope: Scope::Subtree(tenant), ..Acting::program("test") };
    let query = UsageQuery {
        tenant,
        subtree: true,
        key: None,
        route: None,
        meter: None,
        mode: None,
        window: Window { start: instant("2026-10-01T00:00:00Z"), end: instant("2026-12-01T00:00:00Z") },
        step: UsageStep::Month,
        group_by: vec![UsageDimension::Tenant],
        after: None,
        limit: 100,
    };
    let report = books.store.acting_as(acting).usage_report(&query).await.unwrap();
    report.rows.iter().map(|row| (row.tenant.unwrap(), row.start.to_string()[..7].to_owned(), row.units)).collect()
}

#[tokio::test]
async fn each_payer_sees_its_own_part_of_the_usage_of_a_moved_tenant() {
    for deployment in deployments() {
        let mut books = Books::at(deployment).await;
        let (first, second, customer) = october(&mut books).await;
        books.store.move_tenant(customer, second, None, instant("2026-11-28T10:20:30Z")).await.unwrap();
        books.book([request(customer, "2026-11-28T10:20:00Z", 3), request(customer, "2026-11-28T10:21:00Z", 4)]).await;
        let month = |month: &str, units| (customer, month.to_owned(), units);
        assert_eq!(seen_by(&books, first).await, [month("2026-10", 5_000_000), month("2026-11", 3)]);
        assert_eq!(seen_by(&books, second).await, [month("2026-11", 4)]);
        assert_eq!(seen_by(&books, books.root).await, [month("2026-10", 5_000_000), month("2026-11", 7)]);
        assert_eq!(seen_by(&books, customer).await, [month("2026-10", 5_000_000), month("2026-11", 7)]);
    }
}
