//! Events in any order, in parts of any size and repeated at will come to the same sums.

use common::{
    id::TenantId,
    key::Mode,
    store::Store,
    time::Micros,
    usage::{event::UsageEvent, rollup::UsageRollup},
};
use proptest::prelude::*;

use crate::{
    fixture::{Fixture, NOW, customer, root, usage_of},
    usage_event::{assert_clean, correction},
};

/// An event, without its tenant and id.
#[derive(Debug, Clone)]
struct Used {
    minutes_ago: i64,
    meter: &'static str,
    units: u64,
    is_test: bool,
}

/// Events, and the order in which they come: their numbers, some of them several times.
type Reports = (Vec<Used>, Vec<(usize, bool)>, Vec<(usize, Option<u64>)>);

fn reports() -> impl Strategy<Value = Reports> {
    let used = (0..5_000_i64, prop_oneof![Just("requests"), Just("tokens")], 0..1_000_u64, prop::bool::weighted(0.1))
        .prop_map(|(minutes_ago, meter, units, is_test)| Used { minutes_ago, meter, units, is_test });
    prop::collection::vec(used, 1..12).prop_flat_map(|events| {
        let count = events.len();
        let repeated = prop::collection::vec((0..count, any::<bool>()), 0..20);
        let corrected = prop::collection::vec((0..count, prop::option::of(0..1_000_u64)), 0..6);
        (Just(events), repeated, Just((0..count).collect::<Vec<_>>()).prop_shuffle(), corrected).prop_map(
            |(events, mut repeated, shuffled, corrected)| {
                repeated.extend(shuffled.into_iter().map(|number| (number, true)));
                (events, repeated, corrected)
            },
        )
    })
}

fn event(tenant: TenantId, number: usize, used: &Used) -> UsageEvent {
    UsageEvent {
        tenant,
        source: format!("/{tenant}"),
        id: number.to_string(),
        at: Some(NOW.plus_seconds(-60 * used.minutes_ago)),
        meter: used.meter.into(),
        units: used.units,
        mode: if used.is_test { Mode::Test } else { Mode::Live },
    }
}

/// Sums without their tenant.
async fn sums(store: &Store, tenant: TenantId) -> Vec<UsageRollup> {
    let sums = usage_of(store, tenant).await;
    sums.into_iter().map(|sum| UsageRollup { tenant: TenantId::from_u128(0), ..sum }).collect()
}

async fn check(store: &Store, top: TenantId, (events, order, corrected): Reports) {
    let (ordered, mixed) = (customer(store, top).await, customer(store, top).await);
    for (number, used) in events.iter().enumerate() {
        store.record_usage_events(&[event(ordered, number, used)], NOW).await.unwrap();
    }
    let mut part = Vec::new();
    for (place, (number, ends_part)) in order.iter().enumerate() {
        part.push(event(mixed, *number, &events[*number]));
        if *ends_part || place + 1 == order.len() {
            let now = Micros(NOW.0 + i64::try_from(place).unwrap());
            store.record_usage_events(&std::mem::take(&mut part), now).await.unwrap();
        }
    }
    assert_eq!(sums(store, ordered).await, sums(store, mixed).await);
    for tenant in [ordered, mixed] {
        let mut units: Vec<Option<u64>> = events.iter().map(|used| Some(used.units)).collect();
        for (number, corrected) in &corrected {
            let correction = correction(&event(tenant, *number, &events[*number]), *corrected);
            let done = store.correct_usage_event(&correction, NOW).await;
            match (units[*number], corrected, done) {
                (None, Some(_), done) => assert!(done.is_err(), "{done:?}"),
                (_, corrected, done) => {
                    done.unwrap();
                    units[*number] = *corrected;
                }
            }
        }
        let found: u64 = usage_of(store, tenant).await.iter().map(|sum| sum.units).sum();
        assert_eq!(found, units.iter().flatten().sum::<u64>());
    }
    assert_eq!(sums(store, ordered).await, sums(store, mixed).await);
}

/// Runs as many cases on one store, each with tenants of its own.
fn run(fixture: &Fixture, cases: u32) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (store, top) = runtime.block_on(async {
        let store = fixture.store().await;
        let top = root(&store).await.id;
        (store, top)
    });
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig { cases, ..ProptestConfig::default() });
    let checked = runner.run(&reports(), |reports| {
        runtime.block_on(check(&store, top, reports));
        Ok(())
    });
    checked.unwrap();
    runtime.block_on(assert_clean(&store));
}

#[test]
fn sqlite_sums_do_not_depend_on_order() {
    run(&Fixture::sqlite(), 32);
}

#[test]
fn postgres_sums_do_not_depend_on_order() {
    run(&Fixture::postgres(), 16);
}
