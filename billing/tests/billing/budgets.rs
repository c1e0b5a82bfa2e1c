//! Budgets in money: what counts, whose part of a bill it is, and what becomes of it.

use billing::budget::{BudgetError, Counted, count_all, set};
use common::{
    budget::{Budget, BudgetScope, NewBudget},
    id::{KeyId, TenantId},
    job::RunOutcome,
    key::{Key, NewKey, Secret},
    money::{Currency, Money},
    store::Store,
    tenant::TenantKind,
    time::{Clock as _, SystemClock},
    usage::UsageRecord,
};
use serde_json::json;

use crate::{
    deployment::{Deployment, instant, request},
    issue::{book, plans, subscribe, tenant},
    topic::deployments,
};

const NOW: &str = "2026-11-20T12:00:00Z";

/// The first 10 units cost 1.00 each, all others 0.10.
const TIERS: &str = "id: pro, name: Pro, currency: EUR, flat_fee: '50.00', charges: [{ meter: requests, tiers: [\
                     { up_to: 10, price: { amount: '1', per: 1 } }, { price: { amount: '0.10', per: 1 } }] }]";

fn budget(tenant: TenantId, scope: BudgetScope, minor: i64) -> NewBudget {
    NewBudget { tenant, scope, amount: Money::from_minor(minor, Currency::EUR), hard: true, thresholds: vec![100] }
}

async fn key(store: &Store, tenant: TenantId) -> Key {
    let secret = Secret::generate(common::key::Mode::Live);
    let pepper = common::key::Pepper::new(b"0123456789abcdef").unwrap();
    store.create_key(&NewKey::new(tenant, "key", &secret, &pepper), instant("2026-10-01T00:00:00Z")).await.unwrap()
}

fn used(tenant: TenantId, key: KeyId, at: &str, units: u64) -> UsageRecord {
    UsageRecord { key, ..request(tenant, at, units) }
}

fn spent(budget: &Budget) -> Option<i64> {
    budget.standing.map(|standing| standing.spent.minor())
}

async fn count(store: &Store, now: &str) -> Counted {
    count_all(store, instant(now)).await.unwrap()
}

#[tokio::test]
async fn scopes_have_their_part_of_the_bill_that_their_usage_is_on() {
    for deployment in deployments() {
        let (store, root) = deployment.store().await;
        plans(&store, None, &[TIERS]).await;
        let reseller = tenant(&store, root, TenantKind::Reseller, "UTC").await;
        let shop = tenant(&store, reseller, TenantKind::Customer, "UTC").await;
        subscribe(&store, reseller, "pro", "2026-10-01T00:00:00Z").await;
        let (first, second) = (key(&store, reseller).await.id, key(&store, reseller).await.id);
        let (theirs, at) = (key(&store, shop).await.id, "2026-11-10T12:00:00Z");
        let records = vec![
            used(reseller, first, at, 20),
            used(reseller, second, at, 10),
            used(shop, theirs, at, 30),
            // Of the month before.
            used(shop, theirs, "2026-10-31T23:59:59Z", 1_000),
        ];
        book(&store, 0, records).await;
        // 10 x 1.00 + 50 x 0.10: the fee does not count.
        for (tenant, scope, expected) in [
            (reseller, BudgetScope::Subtree, 1_500),
            (reseller, BudgetScope::Own, 750),
            (reseller, BudgetScope::Key(first), 500),
            (reseller, BudgetScope::Key(second), 250),
            (shop, BudgetScope::Subtree, 750),
            (shop, BudgetScope::Own, 750),
            (shop, BudgetScope::Key(theirs), 750),
        ] {
            let new = budget(tenant, scope, 751);
            let set = set((&store, &store), &new, instant(NOW)).await.unwrap();
            assert_eq!((spent(&set), set.is_refusing()), (Some(expected), expected > 751), "{tenant} {scope}");
        }
        let root_budget = set((&store, &store), &budget(root, BudgetScope::Subtree, 1), instant(NOW)).await.unwrap();
        assert_eq!(spent(&root_budget), None, "nobody is billed for the root");
        assert_eq!(count(&store, NOW).await, Counted { counted: 8, ..Counted::default() }, "nothing has changed");

        book(&store, 4, vec![used(reseller, first, "2026-11-20T12:00:00Z", 40)]).await;
        // 10 x 1.00 + 90 x 0.10 = 19.00, of which 70, 60 and 30 of 100 units are theirs.
        let counted = count(&store, NOW).await;
        let mut noted: Vec<_> = counted
            .noted
            .iter()
            .map(|one| (one.budget.set.scope, spent(&one.budget).unwrap(), one.refuses_now))
            .collect();
        noted.sort_unstable();
        assert_eq!(noted, [(BudgetScope::Own, 1_330, true), (BudgetScope::Key(first), 1_140, true)]);
        assert_eq!(count(&store, "2026-11-20T12:01:00Z").await.noted, []);
        // Another month begins.
        let december = count(&store, "2026-12-01T00:00:00Z").await;
        assert_eq!((december.counted, december.noted.len(), december.failed), (8, 0, None));
        let left: Vec<_> = store.budgets(reseller).await.unwrap().iter().map(spent).collect();
        assert_eq!(left, [Some(0); 4]);
    }
}

#[tokio::test]
async fn budget_in_another_currency_than_the_bill_is_refused() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    plans(&store, None, &[TIERS]).await;
    let acme = tenant(&store, root, TenantKind::Customer, "UTC").await;
    subscribe(&store, acme, "pro", "2026-10-01T00:00:00Z").await;
    let new = NewBudget { amount: Money::from_minor(5, Currency::USD), ..budget(acme, BudgetScope::Own, 1) };
    let refused = set((&store, &store), &new, instant(NOW)).await.unwrap_err();
    assert!(matches!(refused, BudgetError::Currency { .. }) && refused.to_string().contains("EUR"), "{refused}");
    assert_eq!(store.budgets(acme).await.unwrap(), []);
    // The plan comes to be in another currency later.
    set((&store, &store), &budget(acme, BudgetScope::Own, 100), instant(NOW)).await.unwrap();
    plans(&store, None, &["id: other, name: Other, currency: USD, flat_fee: '1.00'"]).await;
    subscribe(&store, acme, "other", "2026-11-20T13:00:00Z").await;
    let counted = count(&store, "2026-12-20T12:00:00Z").await;
    assert!(counted.failed.unwrap().ends_with("the bill is in USD"));
    assert_eq!(spent(&store.budgets(acme).await.unwrap()[0]), None);
    // The job does not fail with it: it would come later and later, for the budgets of everybody.
    for at in ["2026-12-20T12:00:00Z", "2026-12-20T12:02:00Z"] {
        deployment.run(&["jobs", "run", "--now", at, "--store", &deployment.url()]).await;
    }
    let run = store.job_runs(Some("count_budgets"), 1).await.unwrap().remove(0);
    assert!(run.outcome == RunOutcome::Done && run.detail.contains("not counted"), "{run:?}");
}

#[tokio::test]
async fn progressive_invoices_do_not_lower_what_was_spent() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    let plan = "id: big, name: Big, currency: EUR, flat_fee: '0.00', billing: { invoice_at: '5.00' }, \
                charges: [{ meter: requests, per_unit: { amount: '1', per: 1 } }]";
    plans(&store, None, &[plan]).await;
    let acme = tenant(&store, root, TenantKind::Customer, "UTC").await;
    subscribe(&store, acme, "big", "2026-10-01T00:00:00Z").await;
    book(&store, 0, vec![request(acme, "2026-11-10T12:00:00Z", 7)]).await;
    let issued = crate::issue::run(&deployment, &["--now", NOW]).await;
    let totals: Vec<_> = issued["issued"].as_array().unwrap().iter().map(|one| one["total"].clone()).collect();
    assert_eq!(totals, [json!("0.00"), json!("7.00")], "of October, and of November so far");
    let set = set((&store, &store), &budget(acme, BudgetScope::Subtree, 700), instant(NOW)).await.unwrap();
    assert_eq!((spent(&set), set.is_refusing()), (Some(700), true));
}

#[tokio::test]
async fn serving_process_counts_budgets() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    plans(&store, None, &[TIERS]).await;
    let acme = tenant(&store, root, TenantKind::Customer, "UTC").await;
    let now = SystemClock.now();
    subscribe(&store, acme, "pro", &now.plus_seconds(-60).to_string()).await;
    store.set_budget(&budget(acme, BudgetScope::Own, 100), now).await.unwrap();
    book(&store, 0, vec![UsageRecord { at: now, ..request(acme, NOW, 1) }]).await;
    let server = deployment.serve().await;
    let told = server.logged("budget_reached").await;
    assert_eq!((&told["tenant"], &told["refused"]), (&json!(acme), &json!(true)), "{told}");
}
