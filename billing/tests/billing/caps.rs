//! Hard quotas on bills: what was used beyond one is told and not billed, in no month and whatever
//! changes.

use billing::invoice::{Drafts, PeriodChoice, draft, to_json};
use common::{
    id::TenantId,
    plan::{PlanFile, REQUESTS_METER, subscription::PlanStart},
    quota::{QuotaDraw, QuotaHolder, QuotaSource},
    store::Store,
    tenant::{TenantKind, lifecycle::NewTenant},
    usage::UsageEntry,
};

use crate::{
    deployment::{batch, instant, request},
    topic::deployments,
};

const PLANS: &str = "
plans:
  - id: capped
    name: Capped
    currency: USD
    flat_fee: '0.00'
    charges: [{ meter: requests, tiers: [{ price: { amount: '1.00', per: 1 } }] }]
    quotas: [{ meter: requests, per_month: 20 }]
  - id: roomy
    name: Roomy
    currency: USD
    flat_fee: '0.00'
    charges: [{ meter: requests, tiers: [{ price: { amount: '1.00', per: 1 } }] }]
    quotas: [{ meter: requests, per_month: 27 }]
  - id: open
    name: Open
    currency: USD
    flat_fee: '0.00'
    charges: [{ meter: requests, tiers: [{ price: { amount: '1.00', per: 1 } }] }]
";

async fn plans(store: &Store) {
    let plans = PlanFile::parse(PLANS, "plans.yaml").unwrap().plans;
    store.apply_plans(&plans, instant("2026-01-01T00:00:00Z")).await.unwrap();
}

async fn tenant(store: &Store, parent: TenantId, kind: TenantKind, zone: &str, plan: Option<&str>) -> TenantId {
    let plan = plan.map(|plan| plan.parse().unwrap());
    let new = NewTenant { parent: Some(parent), kind, name: format!("in {zone}"), zone: zone.parse().unwrap(), plan };
    store.create_tenant(&new, instant("2026-02-01T00:00:00Z")).await.unwrap().id
}

/// Requests of 15 units each: of whom and when.
async fn book(store: &Store, used: &[(TenantId, &str)]) {
    let entries = used.iter().map(|(tenant, at)| UsageEntry::Request(request(*tenant, at, 15)));
    store.book_usage(&batch(0, entries), instant("2026-12-31T00:00:00Z")).await.unwrap();
}

async fn drafts(store: &Store, period: &str, only: Option<TenantId>) -> Drafts {
    let choice = PeriodChoice::Named(period.parse().unwrap());
    let drafts = draft(store, choice, only).await.unwrap();
    let again = draft(store, choice, only).await.unwrap();
    assert_eq!(to_json(&drafts).unwrap(), to_json(&again).unwrap(), "again gives the same bytes");
    assert!(drafts.failed.is_empty(), "{:?}", drafts.failed);
    drafts
}

/// Total, and units beyond a hard quota.
fn billed(drafts: &Drafts, tenant: TenantId) -> (String, i128) {
    let invoice = drafts.invoices.iter().find(|invoice| invoice.tenant == tenant).unwrap();
    let beyond = invoice.lines.iter().filter(|line| line.description == "requests: beyond the hard quota");
    let beyond = beyond.map(|line| line.quantity).sum();
    let on_lines: i128 = invoice.lines.iter().skip(1).map(|line| line.quantity).sum();
    assert_eq!(on_lines, i128::from(invoice.counts.billable_units), "every unit stands on one line");
    (invoice.total.digits(), beyond)
}

#[tokio::test]
async fn owed_units_are_on_no_invoice_before_a_plan_of_the_same_month_pays_them() {
    for deployment in deployments() {
        let (store, root) = deployment.store().await;
        plans(&store).await;
        let acme = tenant(&store, root, TenantKind::Customer, "UTC", Some("capped")).await;
        // As the gateway of the batch has drawn them: 20, and 15 and 15 were used.
        let life = batch(0, []).stream.life();
        let source = QuotaSource::Month("2026-11".parse().unwrap());
        let draw =
            |wanted, beyond| QuotaDraw { tenant: acme, meter: REQUESTS_METER, source, limit: 20, wanted, beyond };
        let holder = QuotaHolder { life, lanes: 1 };
        for draw in [draw(20, 0), draw(0, 10)] {
            store.draw_quotas(&holder, &[draw], instant("2026-11-02T00:00:00Z")).await.unwrap();
        }
        book(&store, &[(acme, "2026-11-02T00:00:00Z"), (acme, "2026-11-03T00:00:00Z"), (acme, "2026-12-02T00:00:00Z")])
            .await;
        assert_eq!(store.quotas(acme).await.unwrap()[0].owed, 10);
        assert_eq!(billed(&drafts(&store, "2026-11", None).await, acme), ("20.00".into(), 10));
        assert_eq!(billed(&drafts(&store, "2026-12", None).await, acme), ("15.00".into(), 0), "no debt of November");

        let roomy = "roomy".parse().unwrap();
        store.assign_plan(acme, &roomy, None, PlanStart::Now, instant("2026-11-20T00:00:00Z")).await.unwrap();
        assert_eq!(billed(&drafts(&store, "2026-11", None).await, acme), ("27.00".into(), 3));
        assert_eq!(billed(&drafts(&store, "2026-12", None).await, acme), ("15.00".into(), 0));
    }
}

#[tokio::test]
async fn shared_quota_caps_the_invoices_of_all_descendants_on_its_own_clock() {
    for deployment in deployments() {
        let (store, root) = deployment.store().await;
        plans(&store).await;
        let reseller = tenant(&store, root, TenantKind::Reseller, "Asia/Tokyo", Some("capped")).await;
        let own = tenant(&store, reseller, TenantKind::Customer, "America/Sao_Paulo", Some("open")).await;
        let inherited = tenant(&store, reseller, TenantKind::Customer, "UTC", None).await;
        book(
            &store,
            &[
                // November in Tokyo, October in UTC: the quota of November is used up early.
                (inherited, "2026-10-31T16:00:00Z"),
                (own, "2026-11-10T00:00:00Z"),
                // December in Tokyo, November in São Paulo.
                (own, "2026-11-30T16:00:00Z"),
                (inherited, "2026-12-10T00:00:00Z"),
            ],
        )
        .await;
        let november = drafts(&store, "2026-11", None).await;
        assert_eq!(billed(&november, reseller), ("15.00".into(), 0));
        assert_eq!(billed(&november, own), ("20.00".into(), 10), "5 of November and 15 of December in Tokyo");
        assert_eq!(billed(&drafts(&store, "2026-11", Some(own)).await, own), ("20.00".into(), 10), "alone as with all");
        let december = drafts(&store, "2026-12", None).await;
        assert_eq!(billed(&december, reseller), ("5.00".into(), 10));
        assert_eq!(billed(&december, own), ("0.00".into(), 0));
    }
}
