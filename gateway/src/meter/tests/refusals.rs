//! Refusals arrive as sums.

use super::*;

#[tokio::test]
async fn refusals_are_summed_up_per_tenant_key_and_reason() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Unreliable::new(false);
    let running = start(settings(directory.path()), Arc::clone(&sink) as _);
    let (tenant, key) = (TenantId::from_u128(7), KeyId::from_u128(8));
    for _ in 0..1_000 {
        running.meter.refused(tenant, key, "rate_limited");
    }
    running.meter.refused(tenant, key, "quota_exceeded");
    let registry = running.registry.clone();
    running.stop().await;
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    for entry in locked(&sink.books.booked).values().flat_map(BTreeMap::values) {
        let UsageEntry::Refusals(refusals) = entry else { panic!("not a sum of refusals: {entry:?}") };
        assert_eq!((refusals.tenant, refusals.key), (tenant, key));
        *sums.entry(refusals.reason.to_string()).or_default() += refusals.count;
    }
    assert_eq!(sums, BTreeMap::from([("quota_exceeded".into(), 1), ("rate_limited".into(), 1_000)]));
    assert!(sink.books.count() < 20, "a flood must not fill the journal");
    let families = registry.gather();
    let shown = families.iter().find(|family| family.name() == "tollgate_refusals_total").unwrap();
    let total: f64 = shown.get_metric().iter().map(|metric| metric.get_counter().get_value()).sum();
    assert!((total - 1_001.0).abs() < 0.5, "{total}");
}

#[tokio::test]
async fn refusals_outlive_a_full_journal() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Unreliable::new(false);
    let small = MeterSettings { lanes: 1, budget_bytes: 64 * 1024, ..settings(directory.path()) };
    let meter = Meter::open(small, &Registry::new()).unwrap();
    while meter.record(&record(0)).is_ok() {}
    assert!(!meter.has_room());
    meter.refused(TenantId::from_u128(7), KeyId::from_u128(8), "journal_full");
    meter.flush_refusals();
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(Arc::clone(&meter).run(Arc::clone(&sink) as _, stopped));
    let is_sum = |entry: &UsageEntry| matches!(entry, UsageEntry::Refusals(sum) if sum.count == 1);
    eventually("the sum", async || locked(&sink.books.booked).values().flat_map(BTreeMap::values).any(is_sum)).await;
    stop.send_replace(true);
    task.await.unwrap();
}
