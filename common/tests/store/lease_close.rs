//! Quota that a dead gateway still held: it goes back once, when the last usage of that life is
//! booked, and never while any of it is missing.

use common::{
    id::TenantId,
    quota::{QuotaDraw, QuotaSource},
    store::Store,
    time::Micros,
    usage::{StreamId, UsageBatch, UsageEntry, UsageRecord},
};

use crate::{
    fixture::{Fixture, NOW, new_tenant, on_both_engines, request, root},
    quota::{draw, month, november, of_requests, refund},
};

on_both_engines!(
    leases_close_when_last_stream_has_ended,
    streams_ending_at_once_close_leases_once,
    lost_usage_holds_units_back_until_it_arrives,
    only_billed_units_use_the_lease,
    usage_counts_in_month_of_record,
    usage_beyond_drawn_units_is_granted_afterwards,
    usage_beyond_limit_is_owed_whether_reported_or_not,
    usage_counts_against_leases_of_all_ancestors,
);

pub(crate) fn lane(boot: u128, lane: u16) -> StreamId {
    StreamId::new("edge-1", boot, lane).unwrap()
}

pub(crate) async fn book(store: &Store, stream: &StreamId, first_seq: u64, entries: Vec<UsageEntry>) {
    let batch = UsageBatch { stream: stream.clone(), first_seq, entries };
    store.book_usage(&batch, NOW).await.unwrap();
}

fn requests(tenant: TenantId, count: usize) -> Vec<UsageEntry> {
    vec![UsageEntry::Request(request(tenant)); count]
}

pub(crate) async fn granted(store: &Store, tenant: TenantId) -> u64 {
    store.quota_granted(tenant, "requests", november()).await.unwrap()
}

async fn leases_close_when_last_stream_has_ended(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    draw(&store, 1, of_requests(tenant, 100, 60)).await;
    draw(&store, 2, of_requests(tenant, 100, 30)).await;
    refund(&store, 1, tenant, 10).await.unwrap();
    book(&store, &lane(1, 0), 0, requests(tenant, 7)).await;
    book(&store, &lane(1, 0), 7, vec![UsageEntry::End]).await;
    assert_eq!(granted(&store, tenant).await, 80, "the other stream may have used the rest");
    let mut last = requests(tenant, 3);
    last.extend([UsageEntry::Void, UsageEntry::End]);
    book(&store, &lane(1, 1), 0, last.clone()).await;
    assert_eq!(granted(&store, tenant).await, 40);
    let left: Vec<_> = store.quota_leases().await.unwrap().into_iter().map(|lease| lease.drawn).collect();
    assert_eq!(left, [30], "the other life goes on");

    book(&store, &lane(1, 1), 0, last).await;
    book(&store, &lane(1, 0), 7, vec![UsageEntry::End]).await;
    assert_eq!(granted(&store, tenant).await, 40, "a repetition changes nothing");
    assert!(store.reconcile(None).await.unwrap().is_clean());
}

async fn streams_ending_at_once_close_leases_once(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    for boot in 0..12 {
        draw(&store, boot, of_requests(tenant, 1_000, 50)).await;
        let ends = [0, 1].map(|number| {
            let (store, stream) = (store.clone(), lane(boot, number));
            tokio::spawn(async move { book(&store, &stream, 0, vec![UsageEntry::End]).await })
        });
        for end in ends {
            end.await.unwrap();
        }
        assert_eq!(granted(&store, tenant).await, 0, "life {boot}");
    }
}

async fn lost_usage_holds_units_back_until_it_arrives(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    draw(&store, 1, of_requests(tenant, 100, 60)).await;
    book(&store, &lane(1, 0), 1, vec![UsageEntry::Lost, UsageEntry::End]).await;
    book(&store, &lane(1, 1), 0, vec![UsageEntry::End]).await;
    assert_eq!(granted(&store, tenant).await, 60, "one entry is lost, and one was skipped");
    book(&store, &lane(1, 0), 0, requests(tenant, 1)).await;
    assert_eq!(granted(&store, tenant).await, 60, "one is still lost");
    book(&store, &lane(1, 0), 1, requests(tenant, 1)).await;
    assert_eq!(granted(&store, tenant).await, 2);
}

async fn only_billed_units_use_the_lease(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    let other = store.create_tenant(&new_tenant(common::tenant::TenantKind::Root, None), NOW).await.unwrap().id;
    draw(&store, 1, of_requests(tenant, 100, 60)).await;
    let base = request(tenant);
    let entries = [
        UsageRecord { units: 5, ..base.clone() },
        UsageRecord { units: 6, billable: false, status: 502, ..base.clone() },
        UsageRecord { units: 7, mode: common::key::Mode::Test, ..base.clone() },
        UsageRecord { units: 8, meter: "tokens".into(), ..base.clone() },
        UsageRecord { units: 9, tenant: other, ..base },
    ];
    book(&store, &lane(1, 0), 0, entries.into_iter().map(UsageEntry::Request).collect()).await;
    let leases = store.quota_leases().await.unwrap();
    assert_eq!(leases.iter().map(|lease| (lease.drawn, lease.used)).collect::<Vec<_>>(), [(60, 5)]);
}

async fn usage_counts_in_month_of_record(fixture: Fixture) {
    let store = fixture.store().await;
    let zone: common::time::Zone = "Asia/Kathmandu".parse().unwrap();
    let new = common::tenant::lifecycle::NewTenant {
        zone: zone.clone(),
        ..new_tenant(common::tenant::TenantKind::Root, None)
    };
    let tenant = store.create_tenant(&new, NOW).await.unwrap().id;
    let end = month().window(&zone).unwrap().end;
    for period in [month(), month().next()] {
        draw(
            &store,
            1,
            common::quota::QuotaDraw { source: QuotaSource::Month(period), ..of_requests(tenant, 100, 10) },
        )
        .await;
    }
    let at = |at: i64, units| UsageEntry::Request(UsageRecord { at: Micros(at), units, ..request(tenant) });
    book(&store, &lane(1, 0), 0, vec![at(end.0 - 1, 3), at(end.0, 4)]).await;
    let used: Vec<_> =
        store.quota_leases().await.unwrap().into_iter().map(|lease| (lease.source, lease.used)).collect();
    assert_eq!(used, [(november(), 3), (QuotaSource::Month(month().next()), 4)]);
}

async fn usage_beyond_drawn_units_is_granted_afterwards(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    for (boot, drawn, used, granted_then) in [(1, 10, 40, 40), (2, 10, 500, 100)] {
        draw(&store, boot, of_requests(tenant, 100, drawn)).await;
        let record = UsageRecord { units: used, ..request(tenant) };
        book(&store, &lane(boot, 0), 0, vec![UsageEntry::Request(record), UsageEntry::End]).await;
        book(&store, &lane(boot, 1), 0, vec![UsageEntry::End]).await;
        assert_eq!(granted(&store, tenant).await, granted_then);
    }
}

async fn usage_beyond_limit_is_owed_whether_reported_or_not(fixture: Fixture) {
    let store = fixture.store().await;
    for tells in [false, true] {
        let tenant = root(&store).await.id;
        let (first, next) = if tells { (11, 12) } else { (21, 22) };
        assert_eq!(draw(&store, first, of_requests(tenant, 20, 20)).await, 20);
        let record = UsageRecord { units: 30, ..request(tenant) };
        if tells {
            let beyond = QuotaDraw { beyond: 10, ..of_requests(tenant, 20, 1) };
            assert_eq!(draw(&store, first, beyond).await, 0);
        }
        book(&store, &lane(first, 0), 0, vec![UsageEntry::Request(record)]).await;
        let stands = async || {
            let quota = store.quotas(tenant).await.unwrap().remove(0);
            (quota.limit, quota.drawn, quota.owed, quota.left)
        };
        assert_eq!(stands().await, (20, 20, 10, 0), "before the life has ended; it tells: {tells}");
        book(&store, &lane(first, 0), 1, vec![UsageEntry::End]).await;
        book(&store, &lane(first, 1), 0, vec![UsageEntry::End]).await;
        assert_eq!(stands().await, (20, 20, 10, 0), "it tells: {tells}");
        // A raised limit pays the debt first.
        assert_eq!(draw(&store, next, of_requests(tenant, 25, 5)).await, 0);
        assert_eq!(stands().await, (25, 25, 5, 0));
        assert_eq!(draw(&store, next, of_requests(tenant, 40, 50)).await, 10);
        assert_eq!(stands().await, (40, 40, 0, 0));
    }
}

async fn usage_counts_against_leases_of_all_ancestors(fixture: Fixture) {
    use common::tenant::TenantKind::{Customer, Reseller, Root};
    let store = fixture.store().await;
    let create = async |kind, parent, zone: &str| {
        let new = common::tenant::lifecycle::NewTenant { zone: zone.parse().unwrap(), ..new_tenant(kind, parent) };
        store.create_tenant(&new, NOW).await.unwrap().id
    };
    let root = create(Root, None, "UTC").await;
    let reseller = create(Reseller, Some(root), "Asia/Kathmandu").await;
    let customer = create(Customer, Some(reseller), "America/New_York").await;
    let sibling = create(Customer, Some(reseller), "UTC").await;
    for tenant in [root, reseller, customer] {
        draw(&store, 1, of_requests(tenant, 100, 40)).await;
    }
    // Still November in New York, December in Kathmandu.
    let end = month().window(&"Asia/Kathmandu".parse().unwrap()).unwrap().end;
    let record = |tenant, at, units, prepaid| {
        UsageEntry::Request(UsageRecord { at: Micros(at), units, prepaid, ..request(tenant) })
    };
    let entries = vec![
        record(customer, end.0 - 1, 3, false),
        record(customer, end.0, 5, false),
        record(customer, end.0 - 1, 7, true),
        record(sibling, end.0 - 1, 11, false),
    ];
    book(&store, &lane(1, 0), 0, entries).await;
    let used: std::collections::HashMap<_, _> =
        store.quota_leases().await.unwrap().into_iter().map(|lease| (lease.tenant, lease.used)).collect();
    // Credit pays for seven units: none of the customer's own month, and all of those above.
    assert_eq!((used[&customer], used[&reseller], used[&root]), (8, 21, 26));
    book(&store, &lane(1, 0), 4, vec![UsageEntry::End]).await;
    book(&store, &lane(1, 1), 0, vec![UsageEntry::End]).await;
    assert_eq!((granted(&store, customer).await, granted(&store, reseller).await), (8, 21));
    assert_eq!(granted(&store, root).await, 26);
}
