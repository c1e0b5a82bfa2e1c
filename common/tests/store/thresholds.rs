//! Events at 80 % and at all of a quota, each once.

use common::{
    id::TenantId,
    plan::{Plan, PlanFile, subscription::PlanStart},
    quota::thresholds::ThresholdEvent,
    store::{PageRequest, Store},
    tenant::{TenantKind, lifecycle::NewTenant},
    time::Micros,
    usage::{UsageBatch, UsageEntry, UsageRecord},
};

use crate::fixture::{Fixture, NOW, new_tenant, on_both_engines, request, stream};

on_both_engines!(
    each_threshold_is_raised_once,
    inherited_lowered_and_shared_quotas_raise_events,
    only_billed_usage_of_month_counts,
    concurrent_checks_raise_event_once,
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

async fn events(store: &Store, subtree_of: Option<TenantId>) -> Vec<ThresholdEvent> {
    store.threshold_events(subtree_of, PageRequest { after: None, limit: 100 }).await.unwrap().items
}

fn capped(id: &str, quota: &str) -> Plan {
    let text = format!(
        "plans: [{{ id: {id}, name: A plan, currency: USD, flat_fee: '0.00', quotas: [{{ meter: requests, {quota} }}] }}]"
    );
    PlanFile::parse(&text, "test").unwrap().plans.remove(0)
}

async fn assign(store: &Store, tenant: TenantId, plan: Plan) {
    store.apply_plans(std::slice::from_ref(&plan), NOW).await.unwrap();
    store.assign_plan(tenant, &plan.id, None, PlanStart::Now, NOW).await.unwrap();
}

async fn inherited_lowered_and_shared_quotas_raise_events(fixture: Fixture) {
    let store = fixture.store().await;
    let create = async |kind, parent| store.create_tenant(&new_tenant(kind, parent), NOW).await.unwrap().id;
    let root = create(TenantKind::Root, None).await;
    let reseller = create(TenantKind::Reseller, Some(root)).await;
    let inherits = create(TenantKind::Customer, Some(reseller)).await;
    let lowered = create(TenantKind::Customer, Some(reseller)).await;
    assign(&store, root, capped("soft", "per_month: 40, kind: soft")).await;
    assign(&store, reseller, capped("shared", "per_month: 20")).await;
    assign(&store, lowered, capped("large", "per_month: 1000")).await;
    let use_units =
        async |boot, tenant, units| book(&store, boot, vec![UsageRecord { units, ..request(tenant) }]).await;
    let mut told = std::collections::BTreeSet::new();
    let mut raise = async || {
        let raised = store.raise_threshold_events(NOW, NOW).await.unwrap();
        let mut new: Vec<_> =
            raised.iter().map(|event| (event.tenant, event.percent, event.limit, event.used)).collect();
        new.sort_unstable();
        assert!(new.iter().all(|event| told.insert(*event)), "raised twice: {new:?}");
        new
    };
    let sorted = |mut events: Vec<(TenantId, u8, u64, u64)>| {
        events.sort_unstable();
        events
    };
    use_units(1, inherits, 10).await;
    assert_eq!(raise().await, []);
    // Together 16 of the reseller's 20.
    use_units(2, lowered, 6).await;
    assert_eq!(raise().await, [(reseller, 80, 20, 16)]);
    use_units(3, inherits, 6).await;
    assert_eq!(raise().await, sorted(vec![(reseller, 100, 20, 22), (inherits, 80, 20, 16)]));
    use_units(4, lowered, 14).await;
    assert_eq!(raise().await, sorted(vec![(lowered, 80, 20, 20), (lowered, 100, 20, 20)]));
    // Nobody is told of a soft quota for what those below use, only of what the tenant itself does.
    use_units(5, root, 32).await;
    assert_eq!(raise().await, [(root, 80, 40, 32)]);
    // An upgrade: the new limit has thresholds of its own.
    assign(&store, reseller, capped("shared", "per_month: 45")).await;
    assert_eq!(raise().await, [(reseller, 80, 45, 36)]);
    use_units(6, inherits, 9).await;
    assert_eq!(raise().await, [(reseller, 100, 45, 45)]);
    let seen = events(&store, Some(reseller)).await;
    assert_eq!(seen.iter().filter(|event| event.tenant == root).count(), 0);
    assert_eq!(seen.len(), 7);
}

async fn each_threshold_is_raised_once(fixture: Fixture) {
    let store = fixture.store().await;
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
    // An event holds as much of it as a column does.
    let twice = i64::MAX as u64;
    let expected = [("requests", 100, 13), ("tokens", 80, twice), ("tokens", 100, twice)];
    assert_eq!(raise(&store).await, expected.map(|(meter, percent, used)| (meter.to_owned(), percent, used)));

    let mut events = events(&store, Some(tenant)).await;
    events.sort_by_key(|event| (event.meter.clone(), event.percent));
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
    let newest_first: Vec<_> = self::events(&store, None).await.iter().map(|event| event.seq).collect();
    assert!(newest_first.len() == 4 && newest_first.is_sorted_by(|one, next| one > next), "{newest_first:?}");
    let page = PageRequest { after: None, limit: 3 };
    let first = store.threshold_events(None, page).await.unwrap();
    let rest = store.threshold_events(None, PageRequest { after: first.next, limit: 3 }).await.unwrap();
    assert_eq!((first.items.len(), rest.items.len(), rest.next), (3, 1, None));
    store.threshold_events(Some(TenantId::generate()), page).await.unwrap_err();
}

async fn only_billed_usage_of_month_counts(fixture: Fixture) {
    let store = fixture.store().await;
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

async fn concurrent_checks_raise_event_once(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = tenant(&store, "UTC").await;
    book(&store, 1, vec![UsageRecord { units: 10, ..request(tenant) }]).await;
    let mut looks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let store = Store::open(&fixture.url).await.unwrap();
        looks.spawn(async move { store.raise_threshold_events(NOW, NOW).await.unwrap().len() });
    }
    assert_eq!(looks.join_all().await.into_iter().sum::<usize>(), 2);
}
