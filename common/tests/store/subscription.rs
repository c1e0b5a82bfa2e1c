//! Subscriptions: the version that they pin, changes ahead, and migration.

use common::{
    plan::subscription::{Agreement, BillingOverride, PlanStart},
    tenant::{TenantKind, lifecycle::NewTenant},
    time::Micros,
};

use crate::fixture::{
    Fixture, NOW, assert_conflict, below, customer, new_tenant, on_both_engines, person_at, plan, root,
};

on_both_engines!(
    plan_at_creation_is_pinned_in_latest_version,
    plan_change_and_migration_keep_past_subscriptions,
    terms_of_its_own_are_agreed_on_by_the_owner_of_the_plan,
    trial_is_a_subscription_with_the_next_one_ahead,
    change_ahead_makes_no_trial_or_pause_longer,
);

async fn plan_at_creation_is_pinned_in_latest_version(fixture: Fixture) {
    let store = fixture.store().await;
    store.apply_plans(&[plan("growth", "99.00")], NOW).await.unwrap();
    store.apply_plans(&[plan("growth", "109.00")], NOW).await.unwrap();
    let new = NewTenant { plan: Some("growth".parse().unwrap()), ..new_tenant(TenantKind::Root, None) };
    let tenant = store.create_tenant(&new, NOW).await.unwrap();
    store.apply_plans(&[plan("growth", "119.00")], NOW).await.unwrap();

    let subscription = store.subscription_at(tenant.id, NOW).await.unwrap().unwrap();
    assert_eq!((subscription.version, subscription.starts_at, subscription.ends_at), (2, NOW, None));
    assert_eq!(store.subscriptions().await.unwrap(), [subscription]);
    assert_eq!(store.subscription_at(tenant.id, Micros(NOW.0 - 1)).await.unwrap(), None, "not before it starts");
    let catalog = store.catalog().await.unwrap();
    assert_eq!(catalog.plans.iter().map(|plan| plan.version).collect::<Vec<_>>(), [2], "only what is pinned");
    assert_eq!(catalog.subscriptions.len(), 1);
}

async fn plan_change_and_migration_keep_past_subscriptions(fixture: Fixture) {
    let store = fixture.store().await;
    store.apply_plans(&[plan("a", "1.00"), plan("b", "2.00")], NOW).await.unwrap();
    let (a, b) = ("a".parse().unwrap(), "b".parse().unwrap());
    let top = root(&store).await.id;
    let new = NewTenant { plan: Some(a), ..new_tenant(TenantKind::Customer, Some(top)) };
    let tenant = store.create_tenant(&new, NOW).await.unwrap().id;
    let spans = async || {
        let all = store.subscriptions_of(tenant).await.unwrap();
        all.into_iter().map(|one| (one.plan.to_string(), one.version, one.starts_at, one.ends_at)).collect::<Vec<_>>()
    };
    // 2026-12-01T00:00:00Z.
    let period_end = Micros(1_796_083_200_000_000);
    let later = NOW.plus_seconds(60);
    let ahead = store.assign_plan(tenant, &b, None, PlanStart::PeriodEnd, later).await.unwrap();
    assert_eq!(ahead.starts_at, period_end);
    let changed = [("a".to_owned(), 1, NOW, Some(period_end)), ("b".into(), 1, period_end, None)];
    assert_eq!(spans().await, changed);
    // Another change ahead takes the place of the first.
    let at = NOW.plus_seconds(3_600);
    store.assign_plan(tenant, &b, None, PlanStart::At(at), later).await.unwrap();
    assert_eq!(spans().await, [("a".to_owned(), 1, NOW, Some(at)), ("b".into(), 1, at, None)]);
    let after = at.plus_seconds(60);
    store.apply_plans(&[plan("b", "3.00")], after).await.unwrap();
    assert_eq!(store.migrate_plan(None, &b, PlanStart::Now, after).await.unwrap(), [tenant]);
    assert_eq!(store.migrate_plan(None, &b, PlanStart::Now, after).await.unwrap(), []);
    let expected = [("a".to_owned(), 1, NOW, Some(at)), ("b".into(), 1, at, Some(after)), ("b".into(), 2, after, None)];
    assert_eq!(spans().await, expected, "what was in force stays");
    store.deprecate_plan(&b, true, after).await.unwrap();
    let error = store.assign_plan(top, &b, None, PlanStart::Now, after).await.unwrap_err();
    assert!(error.to_string().contains("not on offer"), "{error}");
    assert_eq!(store.subscription_at(tenant, after).await.unwrap().unwrap().version, 2, "who has it keeps it");
    store.deprecate_plan(&b, false, after).await.unwrap();
    store.assign_plan(top, &b, Some(1), PlanStart::Now, after).await.unwrap();
}

fn discount(percent: i64) -> Agreement {
    Agreement { discount_percent: Some(percent.into()), ..Agreement::default() }
}

async fn terms_of_its_own_are_agreed_on_by_the_owner_of_the_plan(fixture: Fixture) {
    let store = fixture.store().await;
    let top = root(&store).await.id;
    store.apply_plans(&[plan("a", "10.00")], NOW).await.unwrap();
    let a = "a".parse().unwrap();
    let reseller = below(&store, TenantKind::Reseller, top).await;
    let shop = customer(&store, reseller).await;
    let at_reseller = person_at(&store, "jane", reseller);
    let refused = at_reseller.assign_plan_by(shop, &a, None, PlanStart::Now, &discount(10), NOW).await;
    assert_conflict(refused, "belongs to a tenant above yours");
    at_reseller.assign_plan(shop, &a, None, PlanStart::Now, NOW).await.unwrap();
    let later = NOW.plus_seconds(60);
    store.assign_plan_by(shop, &a, None, PlanStart::Now, &discount(10), later).await.unwrap();
    let twice = NOW.plus_seconds(120);
    let same = store.assign_plan_by(shop, &a, None, PlanStart::Now, &discount(10), twice).await.unwrap();
    assert_eq!(same.starts_at, later, "the same terms again change nothing");
    let terms = store.billing_overrides_of(shop).await.unwrap();
    let expected = BillingOverride { discount_percent: Some(10.into()), ..BillingOverride::NONE };
    assert_eq!(terms, [(later, expected)].into());
    store.assign_plan(shop, &a, None, PlanStart::Now, twice).await.unwrap();
    assert_eq!(store.subscriptions_of(shop).await.unwrap().len(), 3, "without terms it is another subscription");
}

async fn trial_is_a_subscription_with_the_next_one_ahead(fixture: Fixture) {
    let store = fixture.store().await;
    let top = root(&store).await.id;
    store.apply_plans(&[plan("a", "10.00"), plan("b", "20.00")], NOW).await.unwrap();
    let (a, b) = ("a".parse().unwrap(), "b".parse().unwrap());
    let shop = customer(&store, top).await;
    let trial = Agreement { trial_days: 14, ..Agreement::default() };
    let first = store.assign_plan_by(shop, &a, None, PlanStart::Now, &trial, NOW).await.unwrap();
    let end = NOW.plus_seconds(14 * 86_400);
    assert_eq!((first.starts_at, first.ends_at), (NOW, Some(end)));
    let starts = async || {
        let all = store.subscriptions_of(shop).await.unwrap();
        all.into_iter().map(|one| (one.plan.to_string(), one.starts_at, one.ends_at)).collect::<Vec<_>>()
    };
    assert_eq!(starts().await, [("a".to_owned(), NOW, Some(end)), ("a".into(), end, None)]);
    // Another plan in the trial drops what was to follow it, and the trial stays what it was.
    let later = NOW.plus_seconds(60);
    store.assign_plan_by(shop, &b, None, PlanStart::Now, &discount(5), later).await.unwrap();
    assert_eq!(starts().await, [("a".to_owned(), NOW, Some(later)), ("b".into(), later, None)]);
    let terms = store.billing_overrides_of(shop).await.unwrap();
    assert_eq!((terms.len(), terms[&NOW].trial, terms[&later].trial), (2, true, false));
}

async fn change_ahead_makes_no_trial_or_pause_longer(fixture: Fixture) {
    let store = fixture.store().await;
    let top = root(&store).await.id;
    store.apply_plans(&[plan("a", "10.00"), plan("b", "20.00")], NOW).await.unwrap();
    let (a, b) = ("a".parse().unwrap(), "b".parse().unwrap());
    let day = |days: i64| NOW.plus_seconds(days * 86_400);
    let trial = Agreement { trial_days: 14, ..Agreement::default() };
    let starts = async |tenant| {
        let all = store.subscriptions_of(tenant).await.unwrap();
        all.into_iter().map(|one| (one.plan.to_string(), one.starts_at, one.ends_at)).collect::<Vec<_>>()
    };
    let tried = customer(&store, top).await;
    store.assign_plan_by(tried, &a, None, PlanStart::Now, &trial, NOW).await.unwrap();
    store.assign_plan(tried, &b, None, PlanStart::At(day(40)), day(1)).await.unwrap();
    let expected = [("a", 0, Some(14)), ("a", 14, Some(40)), ("b", 40, None)];
    let expected =
        expected.map(|(plan, start, end): (&str, i64, Option<i64>)| (plan.to_owned(), day(start), end.map(day)));
    assert_eq!(starts(tried).await, expected);
    // Another change takes its place, and one that comes before the end of the trial cuts it.
    store.end_subscription(tried, PlanStart::At(day(30)), day(2)).await.unwrap();
    assert_eq!(starts(tried).await, [expected[0].clone(), ("a".into(), day(14), Some(day(30)))]);
    store.assign_plan(tried, &b, None, PlanStart::At(day(5)), day(3)).await.unwrap();
    assert_eq!(starts(tried).await, [("a".into(), NOW, Some(day(5))), ("b".into(), day(5), None)]);
    let terms = store.billing_overrides_of(tried).await.unwrap();
    assert_eq!((terms.len(), terms[&NOW].trial), (1, true));
    let paused = customer(&store, top).await;
    store.assign_plan(paused, &a, None, PlanStart::Now, NOW).await.unwrap();
    store.pause_subscription(paused, PlanStart::At(day(2)), Some(day(9)), day(1)).await.unwrap();
    store.assign_plan(paused, &b, None, PlanStart::At(day(20)), day(3)).await.unwrap();
    let found: Vec<_> = starts(paused).await.into_iter().map(|(plan, start, _)| (plan, start)).collect();
    assert_eq!(found, [("a".into(), NOW), ("a".into(), day(2)), ("a".into(), day(9)), ("b".into(), day(20))]);
}
