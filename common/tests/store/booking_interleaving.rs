//! Whatever is lost, repeated, reordered or sent at once: the sums are those of the distinct
//! entries that arrived, and what is missing of them is known.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicU64, Ordering},
};

use common::{
    id::TenantId,
    store::Store,
    usage::{Booked, UsageBatch, UsageEntry, UsageRecord, booking::Booking},
};
use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError, TestRunner},
};
use tokio::{runtime::Handle, task::block_in_place};

use crate::fixture::{Fixture, NOW, on_both_engines, request, stream, usage_of};

on_both_engines!(any_interleaving_of_deliveries_books_each_number_once);

/// First number of a delivery, and for each entry true if it is there; else the entry is reported
/// as lost.
type Delivery = (u64, Vec<bool>);

async fn any_interleaving_of_deliveries_books_each_number_once(fixture: Fixture) {
    let store = fixture.store().await;
    let cases = AtomicU64::new(0);
    // Short ranges over few numbers meet each other in every way; a group arrives at once, or is
    // booked as one.
    let delivery = (0_u64..40, prop::collection::vec(prop::bool::weighted(0.8), 1..12));
    let group = (any::<bool>(), prop::collection::vec(delivery, 1..4));
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
    fixture.assert_sums_match_records().await;
    let audit = store.reconcile(None).await.unwrap();
    assert!(audit.is_clean(), "{:?}", audit.breaches);
}

/// Each number has units of its own, so that one taken for another shows.
fn units(seq: u64) -> u64 {
    seq * seq + 1
}

fn numbered(case: u128, (first_seq, entries): &Delivery) -> UsageBatch {
    let tenant = TenantId::from_u128(case);
    let entry = |(seq, is_there): (u64, &bool)| match is_there {
        true => UsageEntry::Request(UsageRecord { units: units(seq), ..request(tenant) }),
        false => UsageEntry::Lost,
    };
    let entries = (*first_seq..).zip(entries).map(entry).collect();
    UsageBatch { stream: stream(case), first_seq: *first_seq, entries }
}

async fn deliver(store: &Store, case: u128, deliveries: &[(bool, Vec<Delivery>)]) -> Result<(), TestCaseError> {
    let (mut arrived, mut lost) = (BTreeSet::new(), BTreeSet::new());
    let mut booked = 0;
    for (as_one, group) in deliveries {
        let batches = group.iter().map(|delivery| numbered(case, delivery)).collect();
        let outcomes = if *as_one { book_as_one(store, batches).await } else { book_at_once(store, batches).await };
        for (outcome, (first_seq, entries)) in outcomes.iter().zip(group) {
            prop_assert_eq!(outcome.booked + outcome.replayed, entries.len() as u64);
            booked += outcome.booked - outcome.lost;
            for (seq, is_there) in (*first_seq..).zip(entries) {
                if *is_there { &mut arrived } else { &mut lost }.insert(seq);
            }
        }
    }
    prop_assert_eq!(booked, arrived.len() as u64);
    let sums = usage_of(store, TenantId::from_u128(case)).await;
    prop_assert!(sums.len() <= 1);
    let total = sums.first().map_or((0, 0), |sum| (sum.requests, sum.units));
    prop_assert_eq!(total, (arrived.len() as u64, arrived.iter().map(|seq| units(*seq)).sum::<u64>()));

    let end = arrived.union(&lost).last().unwrap() + 1;
    let missing = |seq: &u64| !arrived.contains(seq);
    let gaps: Vec<_> = store.usage_gaps().await.unwrap();
    let gaps = gaps.iter().filter(|gap| gap.stream == stream(case));
    let open: BTreeMap<_, _> = gaps.flat_map(|gap| (gap.from..gap.to).map(|seq| (seq, gap.lost))).collect();
    let expected: BTreeMap<_, _> = (0..end).filter(missing).map(|seq| (seq, lost.contains(&seq))).collect();
    prop_assert_eq!(open, expected);

    // And every number that is missing can still come.
    let all = (0, vec![true; usize::try_from(end).unwrap()]);
    let all = store.book_usage(&numbered(case, &all), NOW).await.unwrap();
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
