//! Records go by whole days, once they are old and billed; what they said stays, and can still be
//! checked.

use common::{
    id::TenantId,
    store::{Store, StoreError},
    tenant::{TenantKind, lifecycle::NewTenant},
    time::Micros,
    usage::{
        UsageBatch, UsageEntry, UsageRecord,
        retention::{Dropped, Partitions},
    },
};

use crate::fixture::{Fixture, NOW, STORE_VARIABLE, batch, new_tenant, on_both_engines, request, stream, units_of};

on_both_engines!(
    records_of_billed_days_are_dropped_and_books_still_reconcile,
    unbilled_or_unfinished_days_stay,
    hour_across_two_days_loses_part_of_its_records,
    many_records_are_dropped_in_chunks,
);

const TENANT: TenantId = TenantId::from_u128(1);
const DAY: i64 = 86_400;

/// Start of the day that lies so many days from that of `NOW`.
fn day(offset: i64) -> Micros {
    Micros(NOW.0 - NOW.0 % (DAY * Micros::PER_SECOND)).plus_seconds(offset * DAY)
}

fn at(times: impl IntoIterator<Item = Micros>, first_seq: u64, tenant: TenantId) -> UsageBatch {
    let entries = times.into_iter().map(|at| UsageEntry::Request(UsageRecord { at, ..request(tenant) })).collect();
    UsageBatch { stream: stream(1), first_seq, entries }
}

/// A record in the first and the last instant of each of the last four days.
async fn four_days(store: &Store) {
    store.ensure_partitions(day(-2), 2).await.unwrap();
    let times = (-3..=0).flat_map(|offset| [day(offset), Micros(day(offset + 1).0 - 1)]);
    store.book_usage(&at(times, 0, TENANT), NOW).await.unwrap();
}

async fn assert_clean(store: &Store) {
    let audit = store.reconcile(None).await.unwrap();
    assert!(audit.is_clean(), "{:?}", audit.breaches);
    assert_eq!(audit.unpartitioned, 0);
}

async fn records_of_billed_days_are_dropped_and_books_still_reconcile(fixture: Fixture) {
    let store = fixture.store().await;
    four_days(&store).await;
    let dropped = store.drop_records_before(day(-1), NOW, NOW).await.unwrap();
    assert_eq!(dropped, Dropped { days: vec![day(-3), day(-2)], records: 4, unbilled: Vec::new() });
    assert_eq!(fixture.number("SELECT COUNT(*) FROM usage_records").await, 4);
    assert_eq!(fixture.number("SELECT COUNT(*) FROM usage_records WHERE at < 1795219200000000").await, 0);
    assert_eq!(units_of(&store, TENANT).await, 8, "sums are never dropped");
    assert_clean(&store).await;
    let again = store.drop_records_before(day(-1), NOW, NOW).await.unwrap();
    assert_eq!(again, Dropped::default());
    let replayed = store.book_usage(&batch(&stream(1), 0, 8, TENANT), NOW).await.unwrap();
    assert_eq!((replayed.booked, replayed.replayed), (0, 8), "what is gone is not booked again");
    fixture.execute("UPDATE usage_hourly SET units = 2 WHERE hour < 1795219200000000").await.unwrap();
    assert!(!store.reconcile(None).await.unwrap().is_clean(), "what is gone is still checked");
}

async fn unbilled_or_unfinished_days_stay(fixture: Fixture) {
    let store = fixture.store().await;
    four_days(&store).await;
    // Billed until some hour of the second day.
    let dropped = store.drop_records_before(day(0), day(-2).plus_seconds(7_200), NOW).await.unwrap();
    assert_eq!(dropped, Dropped { days: vec![day(-3)], records: 2, unbilled: vec![day(-2), day(-1)] });
    let dropped = store.drop_records_before(day(30), day(30), NOW).await.unwrap();
    assert_eq!((dropped.days, dropped.records), (vec![day(-2), day(-1)], 4));
    assert_eq!(dropped.unbilled, [day(0)], "today is not over");
    let dropped = store.drop_records_before(day(0), Micros(i64::MIN), NOW).await.unwrap();
    assert_eq!(dropped, Dropped::default());
    assert_clean(&store).await;
}

async fn hour_across_two_days_loses_part_of_its_records(fixture: Fixture) {
    let store = fixture.store().await;
    store.ensure_partitions(day(-1), 1).await.unwrap();
    let new = NewTenant { zone: "Asia/Kathmandu".parse().unwrap(), ..new_tenant(TenantKind::Root, None) };
    let tenant = store.create_tenant(&new, NOW).await.unwrap().id;
    // An hour of Kathmandu begins at a quarter past.
    let times = [day(0).plus_seconds(-600), day(0).plus_seconds(600)];
    store.book_usage(&at(times, 0, tenant), NOW).await.unwrap();
    assert_eq!(store.drop_records_before(day(0), NOW, NOW).await.unwrap().records, 1);
    assert_clean(&store).await;
    assert_eq!(units_of(&store, tenant).await, 2);
}

async fn many_records_are_dropped_in_chunks(fixture: Fixture) {
    let store = fixture.store().await;
    store.ensure_partitions(day(-1), 1).await.unwrap();
    for lane in 1..=4_u128 {
        for part in 0..2 {
            let mut batch = at((0..4_000).map(|second| day(-1).plus_seconds(second)), part * 4_001, TENANT);
            batch.entries.push(UsageEntry::Request(request(TENANT)));
            batch.stream = stream(lane);
            store.book_usage(&batch, NOW).await.unwrap();
        }
    }
    let dropped = store.drop_records_before(day(0), NOW, NOW).await.unwrap();
    assert_eq!(dropped.records, 32_000);
    assert_eq!(fixture.number("SELECT COUNT(*) FROM usage_records").await, 8);
    assert_clean(&store).await;
}

#[tokio::test]
async fn sqlite_makes_no_partitions() {
    let store = Fixture::sqlite().store().await;
    assert_eq!(store.ensure_partitions(NOW, 3).await.unwrap(), Partitions::default());
}

#[tokio::test]
async fn concurrent_processes_make_partitions_ahead() {
    let fixture = Fixture::postgres();
    let store = fixture.store().await;
    let processes: Vec<_> =
        (0..4).map(|_| fixture.helper("retention::ensure_from_environment").spawn().unwrap()).collect();
    let mut made: Vec<Micros> = Vec::new();
    for process in processes {
        let output = process.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said} {}", String::from_utf8_lossy(&output.stderr));
        made.extend(said.lines().filter_map(|line| line.strip_prefix("made ")).map(|at| at.parse::<Micros>().unwrap()));
    }
    assert_eq!(made, (-1..=3).map(day).collect::<Vec<_>>(), "one process makes them all, in order");
    four_days(&store).await;
    assert_eq!(store.reconcile(None).await.unwrap().unpartitioned, 0);
}

#[tokio::test]
#[ignore = "a helper process of other tests"]
async fn ensure_from_environment() {
    let store = Store::open(&std::env::var(STORE_VARIABLE).unwrap()).await.unwrap();
    for day in store.ensure_partitions(NOW, 3).await.unwrap().made {
        println!("\nmade {day}");
    }
}

#[tokio::test]
async fn unpartitioned_records_move_into_new_partition() {
    let fixture = Fixture::postgres();
    let store = fixture.store().await;
    let times = [day(-300), day(-3), day(0), day(3), Micros(0), Micros(i64::MAX)];
    store.book_usage(&at(times, 0, TENANT), NOW).await.unwrap();
    assert_eq!(store.reconcile(None).await.unwrap().unpartitioned, 6);
    let partitions = store.ensure_partitions(NOW, 1).await.unwrap();
    assert_eq!(partitions.made, [-300, -3, -1, 0, 1].map(day));
    assert_eq!((partitions.moved, partitions.unpartitioned), (3, 3), "clocks that are years off make no partitions");
    assert_eq!(
        store.ensure_partitions(NOW, 1).await.unwrap(),
        Partitions { unpartitioned: 3, ..Partitions::default() }
    );
    let audit = store.reconcile(None).await.unwrap();
    assert!(audit.is_clean(), "{:?}", audit.breaches);
    fixture.assert_sums_match_records().await;
}

/// Does what may find a lock taken, as its caller would do it again.
async fn until_unlocked(step: impl AsyncFn() -> Result<(), StoreError>) {
    loop {
        match step().await {
            Err(StoreError::Locked(_)) => {}
            done => return done.unwrap(),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn bookings_succeed_while_partitions_are_made_and_dropped() {
    let fixture = Fixture::postgres();
    let store = fixture.store().await;
    let booking = async {
        for round in 0..60 {
            let times = (-5..=5).map(|offset| day(offset).plus_seconds(1));
            let batch = at(times, round * 11, TENANT);
            until_unlocked(async || store.book_usage(&batch, NOW).await.map(drop)).await;
        }
    };
    let upkeep = async {
        for round in 0..10 {
            until_unlocked(async || store.ensure_partitions(day(round - 5), 1).await.map(drop)).await;
            until_unlocked(async || store.drop_records_before(day(round - 5), NOW, NOW).await.map(drop)).await;
        }
    };
    tokio::join!(booking, upkeep);
    store.ensure_partitions(NOW, 5).await.unwrap();
    assert_clean(&store).await;
    assert_eq!(units_of(&store, TENANT).await, 660);
}
