//! Whatever is lost, repeated, reordered or sent at once: the sums are those of the distinct numbers that arrived.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU64, Ordering},
};

use common::{
    id::TenantId,
    store::{Booked, Booking, Store},
    usage::{UsageBatch, UsageEntry, UsageRecord},
};
use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError, TestRunner},
};
use tokio::{runtime::Handle, task::block_in_place};

use crate::harness::{NOW, Place, on_both_engines, request, stream, usage_of};

on_both_engines!(sums_are_those_of_the_distinct_numbers);

/// Where a delivery starts and how many entries it has.
type Delivery = (u64, usize);

async fn sums_are_those_of_the_distinct_numbers(place: Place) {
    let store = place.store().await;
    let cases = AtomicU64::new(0);
    // Short ranges over few numbers meet each other in every way; a group arrives at once, or is booked as one.
    let group = (any::<bool>(), prop::collection::vec((0_u64..40, 1_usize..12), 1..4));
    let deliveries = prop::collection::vec(group, 1..10);
    let mut runner = TestRunner::new(Config { cases: 40, failure_persistence: None, ..Config::default() });
    let result = block_in_place(|| {
        runner.run(&deliveries, |deliveries| {
            // A stream and a tenant of its own, as all cases share the store.
            let case = cases.fetch_add(1, Ordering::Relaxed);
            Handle::current().block_on(deliver(&store, u128::from(case), &deliveries))
        })
    });
    result.unwrap();
    place.assert_sums_match_records().await;
    let audit = store.audit(None).await.unwrap();
    assert!(audit.is_clean(), "{:?}", audit.breaches);
}

/// Each number has units of its own, so that one taken for another shows.
fn units(seq: u64) -> u64 {
    seq * seq + 1
}

fn numbered(case: u128, (first_seq, count): Delivery) -> UsageBatch {
    let tenant = TenantId::from_u128(case);
    let entry = |seq| UsageEntry::Request(UsageRecord { units: units(seq), ..request(tenant) });
    UsageBatch { stream: stream(case), first_seq, entries: (first_seq..).take(count).map(entry).collect() }
}

async fn deliver(store: &Store, case: u128, deliveries: &[(bool, Vec<Delivery>)]) -> Result<(), TestCaseError> {
    let mut arrived = BTreeSet::new();
    let mut booked = 0;
    for (as_one, group) in deliveries {
        let batches = group.iter().map(|delivery| numbered(case, *delivery)).collect();
        let outcomes = if *as_one { book_as_one(store, batches).await } else { book_at_once(store, batches).await };
        for (outcome, (first_seq, count)) in outcomes.iter().zip(group) {
            prop_assert_eq!(outcome.booked + outcome.replayed, *count as u64);
            booked += outcome.booked;
            arrived.extend((*first_seq..).take(*count));
        }
    }
    prop_assert_eq!(booked, arrived.len() as u64);
    let sums = usage_of(store, TenantId::from_u128(case)).await;
    prop_assert_eq!(sums.len(), 1);
    prop_assert_eq!(sums[0].requests, arrived.len() as u64);
    prop_assert_eq!(sums[0].units, arrived.iter().map(|seq| units(*seq)).sum::<u64>());

    // And every number that is missing can still come.
    let end = arrived.last().unwrap() + 1;
    let all = store.book_usage(&numbered(case, (0, usize::try_from(end).unwrap())), NOW).await.unwrap();
    prop_assert_eq!((all.booked, all.next_seq, all.gap), (end - arrived.len() as u64, end, 0));
    Ok(())
}

async fn book_as_one(store: &Store, batches: Vec<UsageBatch>) -> Vec<Booked> {
    store.book_all(&Booking { batches: &batches, ..Booking::default() }, NOW).await.unwrap()
}

async fn book_at_once(store: &Store, batches: Vec<UsageBatch>) -> Vec<Booked> {
    let tasks: Vec<_> = batches
        .into_iter()
        .map(|batch| {
            let store = store.clone();
            tokio::spawn(async move { store.book_usage(&batch, NOW).await.unwrap() })
        })
        .collect();
    let mut outcomes = Vec::new();
    for task in tasks {
        outcomes.push(task.await.unwrap());
    }
    outcomes
}
