//! Plans: versions, and the owner of plans that were applied before there was a root.

use common::{
    plan::{PlanId, PlanOutcome},
    store::{Changed, StoreError},
    time::Micros,
};

use crate::fixture::{Fixture, NOW, assert_refused, changes, on_both_engines, plan, root};

on_both_engines!(plans_are_versioned_and_applied_all_or_none, plans_applied_before_first_root_go_to_it,);

async fn plans_are_versioned_and_applied_all_or_none(fixture: Fixture) {
    let store = fixture.store().await;
    let outcomes = async |plans: &[_]| -> Vec<_> {
        let applied = store.apply_plans(plans, NOW).await.unwrap();
        applied.into_iter().map(|plan| (plan.version, plan.outcome)).collect()
    };
    let first = [plan("starter", "29.00"), plan("growth", "99.00")];
    assert_eq!(outcomes(&first).await, [(1, PlanOutcome::Created), (1, PlanOutcome::Created)]);
    assert_eq!(outcomes(&first).await, [(1, PlanOutcome::Unchanged), (1, PlanOutcome::Unchanged)]);
    let second = [plan("starter", "29.00"), plan("growth", "109.00")];
    assert_eq!(outcomes(&second).await, [(1, PlanOutcome::Unchanged), (2, PlanOutcome::Updated)]);
    assert_eq!(changes(&store).await, [Changed::Plans, Changed::Plans], "one per application that changed something");

    let twice = [plan("new", "1.00"), plan("growth", "1.00"), plan("growth", "2.00")];
    assert_refused(store.apply_plans(&twice, NOW).await, "plan `growth`: is given twice");
    let mut invalid = plan("other", "1.00");
    invalid.flat_fee = "-1.00".into();
    assert_refused(store.apply_plans(&[plan("new", "1.00"), invalid], NOW).await, "plan `other`: flat_fee is negative");

    let stored = store.plans().await.unwrap();
    let ids: Vec<_> = stored.iter().map(|stored| (stored.plan.id.as_str(), stored.version)).collect();
    assert_eq!(ids, [("growth", 2), ("starter", 1)]);
    let growth: PlanId = "growth".parse().unwrap();
    assert_eq!(store.plan(&growth, None).await.unwrap().plan, second[1]);
    assert_eq!(store.plan(&growth, Some(1)).await.unwrap().plan, first[1]);
    let missing = store.plan(&growth, Some(3)).await.unwrap_err().to_string();
    assert_eq!(missing, "no plan growth, version 3");
}

async fn plans_applied_before_first_root_go_to_it(fixture: Fixture) {
    let store = fixture.store().await;
    store.apply_plans(&[plan("growth", "1.00"), plan("old", "2.00")], NOW).await.unwrap();
    store.deprecate_plan(&"old".parse().unwrap(), true, NOW).await.unwrap();
    assert!(store.plans().await.unwrap().iter().all(|stored| stored.owner.is_none()));
    let first = root(&store).await.id;
    let page = store.plans_page(Some(first), None, 100).await.unwrap();
    assert_eq!(page.items.iter().map(|one| one.deprecated).collect::<Vec<_>>(), [false, true]);
    let second = root(&store).await.id;
    assert_eq!(store.plans_page(Some(second), None, 100).await.unwrap().items, []);
    let unclear = store.apply_plans(&[plan("growth", "3.00")], NOW).await.unwrap_err();
    assert!(unclear.to_string().contains("name the tenant that the plans are to belong to"), "{unclear}");
    store.apply_plans_of(Some(second), &[plan("growth", "3.00")], NOW).await.unwrap();
    let growth = "growth".parse().unwrap();
    assert!(store.plan(&growth, None).await.unwrap_err().to_string().contains("several tenants"));
    assert_eq!(store.plan_of(Some(first), &growth, None).await.unwrap().stored.plan.flat_fee, "1.00");
    let late = Micros(NOW.0 + 1);
    store.delete_tenant(second, None, late).await.unwrap();
    let refused = store.apply_plans_of(Some(second), &[plan("growth", "4.00")], late).await.unwrap_err();
    assert!(matches!(refused, StoreError::Conflict(_)), "{refused}");
}
