//! Tenants: creation, status, names, lists, and what exists for whom.

use common::{
    acting::Scope,
    admin::AdminKeyFilter,
    id::TenantId,
    key::{KeyFilter, KeyUpdate},
    plan::PlanId,
    store::{Changed, PageRequest, StoreError},
    tenant::{TENANT_DEPTH_MAX, TenantFilter, TenantKind, TenantStatus, TenantUpdate, lifecycle::NewTenant},
};

use crate::fixture::{
    Fixture, NOW, PAGE, acting_person, assert_conflict, assert_refused, changes, customer, key, machine, new_key,
    new_tenant, on_both_engines, root,
};

on_both_engines!(
    created_tenant_reads_back,
    invalid_place_in_tree_is_refused_and_changes_nothing,
    repeated_suspension_changes_nothing,
    pages_show_each_tenant_once,
    name_search_ignores_case,
    foreign_tenant_looks_like_missing_tenant,
);

async fn created_tenant_reads_back(fixture: Fixture) {
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

async fn invalid_place_in_tree_is_refused_and_changes_nothing(fixture: Fixture) {
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

async fn repeated_suspension_changes_nothing(fixture: Fixture) {
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

async fn pages_show_each_tenant_once(fixture: Fixture) {
    let store = fixture.store().await;
    let top = root(&store).await.id;
    for _ in 0..7 {
        customer(&store, top).await;
    }
    let filter = common::tenant::TenantFilter { parent: Some(top), ..Default::default() };
    let (mut after, mut met, mut pages) = (None, Vec::new(), 0);
    loop {
        let page = store.tenants_page(&filter, PageRequest { after, limit: 3 }).await.unwrap();
        met.extend(page.items.into_iter().map(|tenant| tenant.id));
        pages += 1;
        // Somebody who comes meanwhile moves nothing.
        if pages == 1 {
            customer(&store, top).await;
        }
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    let mut once = met.clone();
    once.dedup();
    assert_eq!((met.len(), once.len(), pages), (8, 8, 3));
    let beyond = PageRequest { after: Some(i64::MAX), limit: 3 };
    assert_eq!(store.tenants_page(&filter, beyond).await.unwrap().items, []);
}

async fn name_search_ignores_case(fixture: Fixture) {
    let store = fixture.store().await;
    let top = root(&store).await.id;
    for name in ["Acme GmbH", "ACME 100%", "\u{d6}sterreich_Werke", "Other"] {
        let new = NewTenant { name: name.into(), ..new_tenant(TenantKind::Customer, Some(top)) };
        store.create_tenant(&new, NOW).await.unwrap();
    }
    let found = async |part: &str| {
        let filter = TenantFilter { parent: Some(top), name: Some(part.into()), ..TenantFilter::default() };
        store.tenants_page(&filter, PAGE).await.unwrap().items.len()
    };
    for (part, count) in [("acme", 2), ("ACME", 2), ("%", 1), ("_", 1), ("\u{f6}ster", 1), ("!", 0), ("", 4), ("'", 0)]
    {
        assert_eq!(found(part).await, count, "{part}");
    }
    key(&store, top).await;
    machine(&store, top).await;
    for (part, count) in [("KEY", 1), ("machine", 0)] {
        let filter = KeyFilter { name: Some(part.into()), ..KeyFilter::default() };
        assert_eq!(store.keys_page(&filter, PAGE).await.unwrap().items.len(), count, "{part}");
    }
    let filter = AdminKeyFilter { name: Some("Mach".into()), ..AdminKeyFilter::default() };
    assert_eq!(store.admin_keys_page(&filter, PAGE).await.unwrap().items.len(), 1);
}

async fn foreign_tenant_looks_like_missing_tenant(fixture: Fixture) {
    let store = fixture.store().await;
    let top = root(&store).await.id;
    let new = new_tenant(TenantKind::Reseller, Some(top));
    let (mine, other) = (store.create_tenant(&new, NOW).await.unwrap().id, customer(&store, top).await);
    let child = customer(&store, mine).await;
    let foreign = key(&store, other).await;
    let own = key(&store, child).await;
    let me = store.acting_as(acting_person("anna", Scope::Subtree(mine)));
    let unknown = TenantId::generate();
    let text = |error: StoreError, id: TenantId| error.to_string().replace(&id.to_string(), "ID");
    for hidden in [other, top] {
        let outside = text(me.tenant(hidden).await.unwrap_err(), hidden);
        assert_eq!(outside, text(me.tenant(unknown).await.unwrap_err(), unknown), "indistinguishable");
        assert!(me.set_tenant_status(hidden, TenantStatus::Suspended, NOW).await.is_err());
        assert!(me.update_tenant(hidden, &TenantUpdate { name: Some("x".into()) }, None, NOW).await.is_err());
        assert!(me.delete_tenant(hidden, None, NOW).await.is_err());
        assert!(me.move_tenant(child, hidden, None, NOW).await.is_err());
        assert!(me.create_key(&new_key(hidden), NOW).await.is_err());
        assert!(me.create_tenant(&new_tenant(TenantKind::Customer, Some(hidden)), NOW).await.is_err());
        assert!(me.subscriptions_of(hidden).await.is_err());
        assert!(me.effective_terms(hidden, NOW).await.is_err());
        let filter = KeyFilter { subtree_of: Some(hidden), ..KeyFilter::default() };
        assert!(me.keys_page(&filter, PAGE).await.is_err());
    }
    assert!(me.create_tenant(&new_tenant(TenantKind::Root, None), NOW).await.is_err());
    assert!(me.key(foreign.id).await.is_err() && me.revoke_key(foreign.id, NOW).await.is_err());
    assert!(me.update_key(foreign.id, &KeyUpdate::default(), None, NOW).await.is_err());
    assert_eq!(me.keys(None).await.unwrap().iter().map(|key| key.id).collect::<Vec<_>>(), [own.id]);
    assert_eq!(me.keys(Some(other)).await.unwrap(), []);
    assert_eq!(me.tenants().await.unwrap().len(), 2);
    assert_eq!(store.tenant(other).await.unwrap().status, TenantStatus::Active);
}
