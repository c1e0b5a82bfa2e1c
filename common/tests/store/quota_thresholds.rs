//! Events at 80 % and at all of a quota, each once.

use common::{
    id::TenantId,
    plan::{Plan, PlanFile},
    store::{NewTenant, Store, ThresholdEvent},
    tenant::TenantKind,
    time::Micros,
    usage::{UsageBatch, UsageEntry, UsageRecord},
};

use crate::harness::{NOW, Place, new_tenant, on_both_engines, request, stream};

on_both_engines!(
    each_threshold_is_raised_once,
    only_what_is_billed_in_the_month_counts,
    whoever_looks_at_the_same_time_raises_it_once,
);

fn plan_with_quotas() -> Plan {
    let text = "plans: [{ id: metered, name: A plan, currency: USD, flat_fee: '0.00', quotas: [
        { meter: requests, per_month: 10, kind: soft }, { meter: tokens, per_month: 1000 }] }]";
    PlanFile::parse(text, "test").unwrap().plans.remove(0)
}

async fn tenant(store: &Store, zone: &str) -> TenantId {
    let plan = plan_with_quotas();
    store.apply_plans(std::slice::from_ref(&plan), NOW).await.unwrap();
    let new = NewTenant { zone: zone.parse().unwrap(), plan: Some(plan.id), ..new_tenant(TenantKind::Root, None) };
    store.create_tenant(&new, NOW).await.unwrap().id
}

async fn book(store: &Store, boot: u128, records: Vec<UsageRecord>) {
    let entries = records.into_iter().map(UsageEntry::Request).collect();
    store.book_usage(&UsageBatch { stream: stream(boot), first_seq: 0, entries }, NOW).await.unwrap();
}

async fn raise(store: &Store) -> Vec<(String, u8, u64)> {
    let brief = |event: ThresholdEvent| (event.meter, event.percent, event.used);
    let mut raised: Vec<_> = store.raise_threshold_events(NOW, NOW).await.unwrap().into_iter().map(brief).collect();
    raised.sort();
    raised
}

async fn each_threshold_is_raised_once(place: Place) {
    let store = place.store().await;
    let tenant = tenant(&store, "UTC").await;
    assert_eq!(raise(&store).await, []);
    book(&store, 1, vec![UsageRecord { units: 7, ..request(tenant) }]).await;
    assert_eq!(raise(&store).await, []);
    book(&store, 2, vec![request(tenant)]).await;
    assert_eq!(raise(&store).await, [("requests".to_owned(), 80, 8)]);
    assert_eq!(raise(&store).await, []);
    let tokens = UsageRecord { meter: "tokens".into(), units: i64::MAX as u64, ..request(tenant) };
    book(&store, 3, vec![UsageRecord { units: 5, ..request(tenant) }, tokens.clone()]).await;
    // As much again, in another hour: the sum of both is more than one column holds.
    book(&store, 4, vec![UsageRecord { at: Micros(NOW.0 - 7_200_000_000), ..tokens }]).await;
    let twice = 2 * i64::MAX as u64;
    let expected = [("requests", 100, 13), ("tokens", 80, twice), ("tokens", 100, twice)];
    assert_eq!(raise(&store).await, expected.map(|(meter, percent, used)| (meter.to_owned(), percent, used)));

    let events = store.threshold_events(Some(tenant)).await.unwrap();
    let found: Vec<_> =
        events.iter().map(|event| (&*event.meter, event.percent, event.limit, event.raised_at)).collect();
    assert_eq!(
        found,
        [
            ("requests", 80, 10, NOW),
            ("requests", 100, 10, NOW),
            ("tokens", 80, 1_000, NOW),
            ("tokens", 100, 1_000, NOW)
        ]
    );
    assert!(events.iter().all(|event| event.period.to_string() == "2026-11"));
    assert_eq!(store.threshold_events(None).await.unwrap(), events);
    assert_eq!(store.threshold_events(Some(TenantId::generate())).await.unwrap(), []);
}

async fn only_what_is_billed_in_the_month_counts(place: Place) {
    let store = place.store().await;
    let (tenant, other) = (tenant(&store, "Asia/Kathmandu").await, TenantId::generate());
    let zone: common::time::Zone = "Asia/Kathmandu".parse().unwrap();
    let window = "2026-11".parse::<common::time::Period>().unwrap().window(&zone).unwrap();
    let ten = UsageRecord { units: 10, ..request(tenant) };
    let elsewhere = [
        UsageRecord { at: Micros(window.start.0 - 1), ..ten.clone() },
        UsageRecord { at: window.end, ..ten.clone() },
        UsageRecord { billable: false, status: 503, ..ten.clone() },
        UsageRecord { mode: common::key::Mode::Test, ..ten.clone() },
        UsageRecord { meter: "bytes".into(), ..ten.clone() },
        UsageRecord { tenant: other, ..ten.clone() },
    ];
    book(&store, 1, elsewhere.to_vec()).await;
    assert_eq!(raise(&store).await, []);
    book(&store, 2, vec![UsageRecord { at: window.start, units: 9, ..ten.clone() }]).await;
    assert_eq!(raise(&store).await, [("requests".to_owned(), 80, 9)]);
    let before = store.raise_threshold_events(Micros(window.start.0 - 1), NOW).await.unwrap();
    assert_eq!(before, [], "the plan was not in force in the month before");
}

async fn whoever_looks_at_the_same_time_raises_it_once(place: Place) {
    let store = place.store().await;
    let tenant = tenant(&store, "UTC").await;
    book(&store, 1, vec![UsageRecord { units: 10, ..request(tenant) }]).await;
    let mut looks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let store = Store::open(&place.url).await.unwrap();
        looks.spawn(async move { store.raise_threshold_events(NOW, NOW).await.unwrap().len() });
    }
    assert_eq!(looks.join_all().await.into_iter().sum::<usize>(), 2);
}
