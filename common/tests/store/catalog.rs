//! Tenants, plans and keys: their rules, and that refusals leave nothing behind.

use common::{
    id::{KeyId, TenantId},
    key::{KeyStatus, Mode, NewKey, Pepper, ROTATION_GRACE_MAX_SECONDS, Secret},
    plan::{PlanId, PlanOutcome},
    store::{Changed, Store, StoreError},
    tenant::{TENANT_DEPTH_MAX, TenantKind, TenantStatus, lifecycle::NewTenant},
    time::Micros,
};

use crate::fixture::{Fixture, NOW, key, new_key, new_tenant, on_both_engines, plan, root};

on_both_engines!(
    a_tenant_reads_back_as_created,
    the_tree_keeps_its_rules,
    a_plan_at_creation_is_pinned_in_its_latest_version,
    status_changes_once,
    plans_are_versioned_and_all_or_none,
    a_key_reads_back_as_created,
    keys_keep_their_rules,
    rotation_gives_grace_and_keeps_the_rest,
    revoking_twice_changes_nothing,
);

async fn changes(store: &Store) -> Vec<Changed> {
    store.changes_after(0, 1000).await.unwrap().into_iter().map(|change| change.changed).collect()
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(result: Result<T, StoreError>, part: &str) {
    let error = result.unwrap_err();
    assert!(matches!(error, StoreError::Refused(_)), "{error:?}");
    assert!(error.to_string().contains(part), "{error}");
}

/// It is what the store holds that stands in the way.
#[track_caller]
fn assert_conflict<T: std::fmt::Debug>(result: Result<T, StoreError>, part: &str) {
    let error = result.unwrap_err();
    assert!(matches!(error, StoreError::Conflict(_)), "{error:?}");
    assert!(error.to_string().contains(part), "{error}");
}

async fn a_tenant_reads_back_as_created(fixture: Fixture) {
    let store = fixture.store().await;
    let first = root(&store).await;
    let new = NewTenant {
        name: "Zo\u{eb} & S\u{f6}hne 'GmbH'".into(),
        zone: "Asia/Kathmandu".parse().unwrap(),
        ..new_tenant(TenantKind::Customer, Some(first.id))
    };
    let second = store.create_tenant(&new, NOW).await.unwrap();
    assert_eq!(second.name, new.name);
    assert_eq!(store.tenant(second.id).await.unwrap(), second);
    let other_root = root(&store).await;
    assert_eq!(store.tenants().await.unwrap(), [first, second, other_root], "by creation, also within one instant");
    let missing = TenantId::generate();
    let error = store.tenant(missing).await.unwrap_err();
    assert_eq!(error.to_string(), format!("no tenant {missing}"));
}

async fn the_tree_keeps_its_rules(fixture: Fixture) {
    let store = fixture.store().await;
    let top = root(&store).await.id;
    let customer = store.create_tenant(&new_tenant(TenantKind::Customer, Some(top)), NOW).await.unwrap().id;
    let before = changes(&store).await;
    let create = async |new: NewTenant| store.create_tenant(&new, NOW).await;

    assert_refused(create(new_tenant(TenantKind::Root, Some(top))).await, "a root stands above");
    assert_refused(create(new_tenant(TenantKind::Customer, None)).await, "needs a parent");
    assert_refused(create(new_tenant(TenantKind::Reseller, None)).await, "needs a parent");
    assert_conflict(create(new_tenant(TenantKind::Customer, Some(customer))).await, "is a customer");
    assert_conflict(create(new_tenant(TenantKind::Reseller, Some(customer))).await, "is a customer");
    assert_refused(create(NewTenant { name: " ".into(), ..new_tenant(TenantKind::Root, None) }).await, "name is empty");
    let unknown = create(new_tenant(TenantKind::Customer, Some(TenantId::generate()))).await.unwrap_err();
    assert!(matches!(unknown, StoreError::NotFound { what: "tenant", .. }), "{unknown}");
    let plan: PlanId = "none".parse().unwrap();
    let unknown =
        create(NewTenant { plan: Some(plan), ..new_tenant(TenantKind::Customer, Some(top)) }).await.unwrap_err();
    assert!(matches!(unknown, StoreError::NotFound { what: "plan", .. }), "{unknown}");
    assert_eq!(changes(&store).await, before, "what was refused left no trace");
    assert_eq!(store.tenants().await.unwrap().len(), 2);

    let mut parent = top;
    for _ in 1..TENANT_DEPTH_MAX {
        parent = create(new_tenant(TenantKind::Reseller, Some(parent))).await.unwrap().id;
    }
    assert_conflict(create(new_tenant(TenantKind::Customer, Some(parent))).await, "at most 5");
}

async fn a_plan_at_creation_is_pinned_in_its_latest_version(fixture: Fixture) {
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

async fn status_changes_once(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await;
    for _ in 0..2 {
        let suspended = store.set_tenant_status(tenant.id, TenantStatus::Suspended, NOW).await.unwrap();
        assert_eq!(suspended.status, TenantStatus::Suspended);
    }
    assert_eq!(store.tenant(tenant.id).await.unwrap().status, TenantStatus::Suspended);
    assert_eq!(changes(&store).await, [Changed::Tenant(tenant.id), Changed::Tenant(tenant.id)]);
    let unknown = store.set_tenant_status(TenantId::generate(), TenantStatus::Active, NOW).await.unwrap_err();
    assert!(matches!(unknown, StoreError::NotFound { what: "tenant", .. }), "{unknown}");
}

async fn plans_are_versioned_and_all_or_none(fixture: Fixture) {
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

async fn a_key_reads_back_as_created(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    let new = NewKey { mode: Mode::Test, expires_at: Some(NOW.plus_seconds(60)), ..new_key(tenant) };
    let created = store.create_key(&new, NOW).await.unwrap();
    assert_eq!((created.hash, created.mode, created.expires_at), (new.hash, Mode::Test, new.expires_at));
    assert_eq!(store.key(created.id).await.unwrap(), created);
    let other_tenant = root(&store).await.id;
    let other = key(&store, other_tenant).await;
    assert_eq!(store.keys(Some(tenant)).await.unwrap(), std::slice::from_ref(&created));
    assert_eq!(store.keys(None).await.unwrap(), [created, other]);
}

async fn keys_keep_their_rules(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    let taken = key(&store, tenant).await;
    let before = changes(&store).await;
    let create = async |new: NewKey| store.create_key(&new, NOW).await;

    assert_refused(create(NewKey { name: "a\nb".into(), ..new_key(tenant) }).await, "control character");
    assert_refused(create(NewKey { expires_at: Some(NOW), ..new_key(tenant) }).await, "would have expired");
    assert_conflict(create(NewKey { hash: taken.hash, ..new_key(tenant) }).await, "has this secret already");
    let unknown = create(new_key(TenantId::generate())).await.unwrap_err();
    assert!(matches!(unknown, StoreError::NotFound { what: "tenant", .. }), "{unknown}");
    let unknown = store.revoke_key(KeyId::generate(), NOW).await.unwrap_err();
    assert!(matches!(unknown, StoreError::NotFound { what: "key", .. }), "{unknown}");
    assert_eq!(changes(&store).await, before, "what was refused left no trace");
}

async fn rotation_gives_grace_and_keeps_the_rest(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    let expiry = NOW.plus_seconds(1_000);
    let old = store.create_key(&NewKey { expires_at: Some(expiry), ..new_key(tenant) }, NOW).await.unwrap();
    let pepper = Pepper::new(b"another pepper for tests").unwrap();
    let hash = || pepper.hash(&Secret::generate(Mode::Live));
    let rotate = async |id, grace| store.rotate_key(id, hash(), pepper.id(), "wxyz", grace, NOW).await;

    assert_refused(rotate(old.id, ROTATION_GRACE_MAX_SECONDS + 1).await, "too long");
    let rotation = rotate(old.id, 60).await.unwrap();
    assert_eq!(rotation.old.expires_at, Some(NOW.plus_seconds(60)));
    assert_eq!(store.key(old.id).await.unwrap(), rotation.old);
    assert_eq!(store.key(rotation.new.id).await.unwrap(), rotation.new);
    let new = &rotation.new;
    assert_eq!((new.tenant, &new.name, new.mode, new.expires_at), (old.tenant, &old.name, old.mode, old.expires_at));
    assert_eq!((new.replaces, new.pepper_id.as_str(), new.hint.as_str()), (Some(old.id), pepper.id(), "wxyz"));
    let expected = [Changed::Tenant(tenant), Changed::Key(old.id), Changed::Key(new.id), Changed::Key(old.id)];
    assert_eq!(changes(&store).await, expected);

    let longer = rotate(new.id, 5_000).await.unwrap();
    assert_eq!(longer.old.expires_at, Some(expiry), "grace never prolongs a key");
    let at_once = rotate(longer.new.id, 0).await.unwrap();
    assert_eq!(at_once.old.status(NOW), KeyStatus::Expired);
    assert_conflict(rotate(at_once.old.id, 0).await, "is expired");
    store.revoke_key(at_once.new.id, NOW).await.unwrap();
    assert_conflict(rotate(at_once.new.id, 0).await, "is revoked");
}

async fn revoking_twice_changes_nothing(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    let key = key(&store, tenant).await;
    let first = store.revoke_key(key.id, NOW).await.unwrap();
    assert_eq!(first.revoked_at, Some(NOW));
    assert_eq!(store.revoke_key(key.id, NOW.plus_seconds(5)).await.unwrap(), first);
    assert_eq!(changes(&store).await.len(), 3);
    assert!(store.catalog().await.unwrap().keys.is_empty(), "a revoked key is served no more");
}
