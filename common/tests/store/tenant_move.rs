//! A tenant that moves: earlier usage stays with the tree of its time.

use common::{
    tenant::TenantKind::{Customer, Reseller},
    usage::{StreamId, UsageBatch, UsageEntry, UsageRecord},
};

use crate::{
    fixture::{Fixture, NOW, below, on_both_engines, request, root},
    quota::{draw, of_requests},
};

on_both_engines!(usage_counts_against_quotas_of_parents_at_its_time,);

async fn usage_counts_against_quotas_of_parents_at_its_time(fixture: Fixture) {
    let store = fixture.store().await;
    let top = root(&store).await.id;
    let old = below(&store, Reseller, top).await;
    let new = below(&store, Reseller, top).await;
    let (customer, stayed) = (below(&store, Customer, old).await, below(&store, Customer, old).await);
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
        vec![record(customer, 69, 3), record(customer, 70, 5), record(customer, 71, 7), record(stayed, 71, 11)];
    let stream = StreamId::new("edge-1", 1, 0).unwrap();
    store.book_usage(&UsageBatch { stream, first_seq: 0, entries }, moved_at.plus_seconds(9)).await.unwrap();
    let leases = store.quota_leases().await.unwrap();
    let used = |reseller| leases.iter().find(|lease| lease.tenant == reseller).unwrap().used;
    assert_eq!((used(old), used(new)), (3 + 11, 5 + 7));
}
