//! A tenant that moves: what it did and used before stays with the tree of that time.

use common::{
    acting::{Acting, Actor, ActorKind, Scope},
    id::TenantId,
    store::{AuditFilter, PageRequest, Store, StoreError},
    tenant::{
        TenantKind::{self, Customer, Reseller},
        TenantUpdate,
    },
    usage::{StreamId, UsageBatch, UsageEntry, UsageRecord},
};

use crate::{
    fixture::{Fixture, NOW, new_tenant, on_both_engines, request, root},
    quota::{draw, of_requests},
};

on_both_engines!(
    usage_counts_against_the_quotas_above_its_own_time,
    entries_of_the_audit_log_belong_to_the_tree_of_their_time,
);

async fn create(store: &Store, kind: TenantKind, parent: TenantId) -> TenantId {
    store.create_tenant(&new_tenant(kind, Some(parent)), NOW).await.unwrap().id
}

async fn usage_counts_against_the_quotas_above_its_own_time(fixture: Fixture) {
    let store = fixture.store().await;
    let top = root(&store).await.id;
    let old = create(&store, Reseller, top).await;
    let new = create(&store, Reseller, top).await;
    let (customer, settled) = (create(&store, Customer, old).await, create(&store, Customer, old).await);
    for reseller in [old, new] {
        draw(&store, 1, of_requests(reseller, 100, 40)).await;
    }
    let moved_at = NOW.plus_seconds(70);
    store.move_tenant(customer, new, None, moved_at).await.unwrap();
    let record = |tenant, seconds, units| {
        UsageEntry::Request(UsageRecord { at: NOW.plus_seconds(seconds), units, ..request(tenant) })
    };
    // Booked after the move, all within one quarter of an hour.
    let entries =
        vec![record(customer, 69, 3), record(customer, 70, 5), record(customer, 71, 7), record(settled, 71, 11)];
    let stream = StreamId::new("edge-1", 1, 0).unwrap();
    store.book_usage(&UsageBatch { stream, first_seq: 0, entries }, moved_at.plus_seconds(9)).await.unwrap();
    let leases = store.quota_leases().await.unwrap();
    let used = |reseller| leases.iter().find(|lease| lease.tenant == reseller).unwrap().used;
    assert_eq!((used(old), used(new)), (3 + 11, 5 + 7));
}

async fn entries_of_the_audit_log_belong_to_the_tree_of_their_time(fixture: Fixture) {
    let store = fixture.store().await;
    let top = root(&store).await.id;
    let old = create(&store, Reseller, top).await;
    let new = create(&store, Reseller, top).await;
    let customer = create(&store, Customer, old).await;
    let below = create(&store, Customer, top).await;
    for (seconds, name) in [(10, "before"), (30, "after")] {
        if name == "after" {
            store.move_tenant(customer, new, None, NOW.plus_seconds(20)).await.unwrap();
        }
        let update = TenantUpdate { name: Some(name.into()) };
        store.update_tenant(customer, &update, None, NOW.plus_seconds(seconds)).await.unwrap();
    }
    let seen = async |scope, subtree_of| {
        let actor = Actor { kind: ActorKind::Person, name: "anna".into(), address: None, request_id: None };
        let looking = store.acting_as(Acting { actor, scope, idempotency: None, until: None });
        let filter = AuditFilter { subtree_of, ..AuditFilter::default() };
        let page = looking.audit_log(&filter, PageRequest { after: None, limit: 100 }).await?;
        let of_customer = page.items.iter().rev().filter(|entry| entry.tenant == Some(customer));
        Ok::<_, StoreError>(of_customer.map(|entry| entry.action.clone()).collect::<Vec<_>>())
    };
    let (before, after) = (vec!["tenant.create", "tenant.update"], vec!["tenant.move", "tenant.update"]);
    let all = [before.clone(), after.clone()].concat();
    for within in [None, Some(customer)] {
        assert_eq!(seen(Scope::Subtree(old), within).await.unwrap(), before, "{within:?}");
        assert_eq!(seen(Scope::Subtree(new), within).await.unwrap(), after, "{within:?}");
        for scope in [Scope::Everything, Scope::Subtree(top), Scope::Subtree(customer)] {
            assert_eq!(seen(scope, within).await.unwrap(), all, "{scope:?} {within:?}");
        }
    }
    let foreign = seen(Scope::Subtree(below), Some(customer)).await;
    assert!(matches!(foreign, Err(StoreError::NotFound { .. })), "{foreign:?}");
}
