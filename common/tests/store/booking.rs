//! Usage is booked exactly once, wherever and however often it comes from, and the sums say what
//! the records say.

use common::{
    id::{KeyId, TenantId},
    key::Mode,
    store::StoreError,
    tenant::{TenantKind, lifecycle::NewTenant},
    time::{Micros, Window},
    usage::{
        BATCH_MAX_ENTRIES, Booked, UsageBatch, UsageEntry, UsageRecord, booking::Booking, refusals::RefusalGroups,
        rollup::UsageFilter,
    },
};

use crate::fixture::{
    Fixture, NOW, batch, new_tenant, on_both_engines, refusals, request, root, stream, units_of, usage_of,
};

on_both_engines!(
    repeated_batch_is_booked_once,
    overlapping_batches_are_booked_once,
    gap_fills_late_and_in_parts,
    concurrent_duplicates_are_booked_once,
    concurrent_streams_do_not_deadlock,
    usage_of_unknown_tenant_is_kept,
    rollups_start_on_hours_of_tenant_zone,
    rollups_differ_by_key_route_meter_and_mode,
    repeated_refusals_are_counted_once,
    void_entries_are_booked_and_add_nothing,
    largest_batch_is_booked,
    overflowing_sum_is_refused_and_books_nothing,
    numbers_beyond_63_bits_are_refused,
    filter_selects_tenant_and_hours,
    many_batches_are_booked_in_one_transaction,
    concurrent_bookings_of_many_streams_do_not_deadlock,
);

fn booked(next_seq: u64, booked: u64, replayed: u64, gap: u64) -> Booked {
    Booked { next_seq, booked, replayed, gap, lost: 0, quarantined: 0, unknown_tenants: Vec::new() }
}

async fn repeated_batch_is_booked_once(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    let (lane, other_lane) = (stream(1), stream(2));
    assert_eq!(store.book_usage(&batch(&lane, 0, 10, tenant), NOW).await.unwrap(), booked(10, 10, 0, 0));
    assert_eq!(store.book_usage(&batch(&lane, 0, 10, tenant), NOW).await.unwrap(), booked(10, 0, 10, 0));
    assert_eq!(store.book_usage(&batch(&other_lane, 0, 10, tenant), NOW).await.unwrap(), booked(10, 10, 0, 0));
    assert_eq!(units_of(&store, tenant).await, 20);
    // Records may be dropped after some time: what was booked stays booked.
    fixture.execute("DELETE FROM usage_records").await.unwrap();
    assert_eq!(store.book_usage(&batch(&lane, 0, 10, tenant), NOW).await.unwrap(), booked(10, 0, 10, 0));
    assert_eq!(units_of(&store, tenant).await, 20);
}

async fn overlapping_batches_are_booked_once(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    let lane = stream(1);
    assert_eq!(store.book_usage(&batch(&lane, 0, 5, tenant), NOW).await.unwrap(), booked(5, 5, 0, 0));
    assert_eq!(store.book_usage(&batch(&lane, 3, 5, tenant), NOW).await.unwrap(), booked(8, 3, 2, 0));
    assert_eq!(units_of(&store, tenant).await, 8);
    fixture.assert_sums_match_records().await;
}

async fn gap_fills_late_and_in_parts(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    let lane = stream(1);
    // A stream begins at 0: what is missing before is a gap as well.
    assert_eq!(store.book_usage(&batch(&lane, 10, 2, tenant), NOW).await.unwrap(), booked(12, 2, 0, 10));
    assert_eq!(store.book_usage(&batch(&lane, 4, 2, tenant), NOW).await.unwrap(), booked(12, 2, 0, 0));
    assert_eq!(fixture.number("SELECT COUNT(*) FROM usage_gaps").await, 2, "the gap was split");
    assert_eq!(store.book_usage(&batch(&lane, 3, 5, tenant), NOW).await.unwrap(), booked(12, 3, 2, 0));
    assert_eq!(store.book_usage(&batch(&lane, 0, 14, tenant), NOW).await.unwrap(), booked(14, 7, 7, 0));
    assert_eq!(fixture.number("SELECT COUNT(*) FROM usage_gaps").await, 0, "the gap was closed");
    assert_eq!(store.book_usage(&batch(&lane, 0, 14, tenant), NOW).await.unwrap(), booked(14, 0, 14, 0));
    assert_eq!(units_of(&store, tenant).await, 14);
    assert_eq!(fixture.number("SELECT COUNT(DISTINCT seq) FROM usage_records").await, 14);
    fixture.assert_sums_match_records().await;
}

async fn concurrent_duplicates_are_booked_once(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    let lane = stream(1);
    for round in 0..5 {
        let same = batch(&lane, round * 20, 20, tenant);
        let tasks: Vec<_> = (0..6)
            .map(|_| {
                let (store, same) = (store.clone(), same.clone());
                tokio::spawn(async move { store.book_usage(&same, NOW).await.unwrap().booked })
            })
            .collect();
        let mut total = 0;
        for task in tasks {
            total += task.await.unwrap();
        }
        assert_eq!(total, 20);
    }
    assert_eq!(units_of(&store, tenant).await, 100);
    fixture.assert_sums_match_records().await;
}

async fn concurrent_streams_do_not_deadlock(fixture: Fixture) {
    let store = fixture.store().await;
    let tenants: Vec<_> = (0..8).map(TenantId::from_u128).collect();
    let tasks: Vec<_> = (0..6_usize)
        .map(|lane| {
            let (store, mut tenants) = (store.clone(), tenants.clone());
            // Each meets the same sums in another order.
            tenants.rotate_left(lane);
            if lane % 2 == 0 {
                tenants.reverse();
            }
            tokio::spawn(async move {
                for round in 0..10 {
                    let entries = tenants.iter().map(|tenant| UsageEntry::Request(request(*tenant))).collect();
                    let batch = UsageBatch { stream: stream(lane as u128), first_seq: round * 8, entries };
                    store.book_usage(&batch, NOW).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    for tenant in tenants {
        assert_eq!(units_of(&store, tenant).await, 60);
    }
    fixture.assert_sums_match_records().await;
}

async fn usage_of_unknown_tenant_is_kept(fixture: Fixture) {
    let store = fixture.store().await;
    let known = root(&store).await.id;
    let unknown: Vec<_> = (1..=20).map(TenantId::from_u128).collect();
    let entries = unknown.iter().chain([&known]).map(|tenant| UsageEntry::Request(request(*tenant))).collect();
    let outcome = store.book_usage(&UsageBatch { stream: stream(1), first_seq: 0, entries }, NOW).await.unwrap();
    assert_eq!(outcome, Booked { unknown_tenants: unknown.clone(), ..booked(21, 21, 0, 0) });
    for tenant in unknown.iter().chain([&known]) {
        assert_eq!(units_of(&store, *tenant).await, 1);
    }
}

async fn rollups_start_on_hours_of_tenant_zone(fixture: Fixture) {
    let store = fixture.store().await;
    let new = NewTenant { zone: "Asia/Kathmandu".parse().unwrap(), ..new_tenant(TenantKind::Root, None) };
    let tenant = store.create_tenant(&new, NOW).await.unwrap().id;
    let at = |text: &str| text.parse::<Micros>().unwrap();
    let times = ["2026-11-22T01:14:59.999999Z", "2026-11-22T01:15:00Z", "2026-11-22T02:14:59Z"];
    let entries = times.map(|time| UsageEntry::Request(UsageRecord { at: at(time), ..request(tenant) }));
    let batch = UsageBatch { stream: stream(1), first_seq: 0, entries: entries.into() };
    store.book_usage(&batch, NOW).await.unwrap();
    let hours: Vec<_> = usage_of(&store, tenant).await.iter().map(|sum| (sum.hour, sum.requests)).collect();
    assert_eq!(hours, [(at("2026-11-22T00:15:00Z"), 1), (at("2026-11-22T01:15:00Z"), 2)]);
}

async fn rollups_differ_by_key_route_meter_and_mode(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    let base = request(tenant);
    let entries = vec![
        base.clone(),
        UsageRecord { units: 41, ..base.clone() },
        UsageRecord { route: "upload".into(), ..base.clone() },
        UsageRecord { meter: "tokens".into(), ..base.clone() },
        UsageRecord { key: KeyId::from_u128(8), ..base.clone() },
        UsageRecord { billable: false, status: 503, ..base.clone() },
        UsageRecord { mode: Mode::Test, ..base.clone() },
    ];
    let entries = entries.into_iter().map(UsageEntry::Request).collect();
    store.book_usage(&UsageBatch { stream: stream(1), first_seq: 0, entries }, NOW).await.unwrap();
    let sums = usage_of(&store, tenant).await;
    let main = sums.iter().find(|sum| sum.requests == 2).unwrap();
    assert_eq!((main.units, main.billable, main.mode, &*main.route), (42, true, Mode::Live, "search"));
    assert_eq!(sums.len(), 6);
    assert!(sums.iter().all(|sum| sum.mode == Mode::Live || !sum.billable), "test usage is never billed");
    assert_eq!(sums.iter().filter(|sum| !sum.billable).count(), 2);
    fixture.assert_sums_match_records().await;
}

async fn repeated_refusals_are_counted_once(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    let mut mixed = batch(&stream(1), 0, 2, tenant);
    mixed.entries.extend([refusals(tenant, 30), refusals(tenant, 12)]);
    for _ in 0..2 {
        store.book_usage(&mixed, NOW).await.unwrap();
    }
    let sums = store.refusals(&UsageFilter::default()).await.unwrap();
    assert_eq!(sums.len(), 1);
    assert_eq!((sums[0].count, sums[0].tenant, sums[0].reason.as_str()), (42, tenant, "rate_limited"));
    assert_eq!(units_of(&store, tenant).await, 2, "refusals are not usage");
    let always = Window { start: Micros(0), end: Micros(i64::MAX) };
    for subtree in [false, true] {
        for by_tenant in [false, true] {
            let groups = RefusalGroups { subtree, by_tenant };
            let sums = store.refusals_by_reason(tenant, groups, always).await.unwrap();
            assert_eq!((sums.len(), sums[0].count), (1, 42), "{groups:?}");
            assert_eq!(sums[0].tenant.as_ref().map(|(id, _)| *id), by_tenant.then_some(tenant), "{groups:?}");
        }
    }
}

async fn void_entries_are_booked_and_add_nothing(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    let lane = stream(1);
    let void = UsageBatch { stream: lane.clone(), first_seq: 0, entries: vec![UsageEntry::Void; 3] };
    assert_eq!(store.book_usage(&void, NOW).await.unwrap(), booked(3, 3, 0, 0));
    assert_eq!(store.book_usage(&void, NOW).await.unwrap(), booked(3, 0, 3, 0));
    let mixed = vec![UsageEntry::Void, UsageEntry::Request(request(tenant)), UsageEntry::Void];
    let mixed = UsageBatch { stream: lane, first_seq: 3, entries: mixed };
    assert_eq!(store.book_usage(&mixed, NOW).await.unwrap(), booked(6, 3, 0, 0));
    assert_eq!(units_of(&store, tenant).await, 1);
    fixture.assert_sums_match_records().await;
    let audit = store.reconcile(None).await.unwrap();
    assert!(audit.is_clean(), "{:?}", audit.breaches);
    assert_eq!((audit.streams[0].void_entries, audit.streams[0].refusal_entries), (5, 0));
    assert!(store.usage_gaps().await.unwrap().is_empty(), "nothing is missing");
}

async fn largest_batch_is_booked(fixture: Fixture) {
    let store = fixture.store().await;
    let entries: Vec<_> = (0..BATCH_MAX_ENTRIES as u128)
        .map(|number| UsageEntry::Request(request(TenantId::from_u128(number))))
        .collect();
    let largest = UsageBatch { stream: stream(1), first_seq: 0, entries };
    let outcome = store.book_usage(&largest, NOW).await.unwrap();
    assert_eq!((outcome.booked, outcome.unknown_tenants.len()), (4096, 4096));
    assert_eq!(store.usage(&UsageFilter::default()).await.unwrap().len(), 4096);
    fixture.assert_sums_match_records().await;
}

async fn overflowing_sum_is_refused_and_books_nothing(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    let huge = |count: usize, first_seq| {
        let entry = UsageEntry::Request(UsageRecord { units: i64::MAX as u64, ..request(tenant) });
        UsageBatch { stream: stream(1), first_seq, entries: vec![entry; count] }
    };
    store.book_usage(&huge(1, 0), NOW).await.unwrap();
    for too_much in [huge(1, 1), huge(2, 1), batch(&stream(1), 1, 1, tenant)] {
        let error = store.book_usage(&too_much, NOW).await.unwrap_err();
        assert!(matches!(error, StoreError::Refused(_)), "{error:?}");
        assert!(error.to_string().contains("a sum would exceed"), "{error}");
    }
    assert_eq!(units_of(&store, tenant).await, i64::MAX as u64);
    let other = TenantId::from_u128(5);
    assert_eq!(store.book_usage(&batch(&stream(1), 1, 1, other), NOW).await.unwrap().booked, 1, "1 is still free");
}

async fn numbers_beyond_63_bits_are_refused(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = TenantId::from_u128(1);
    let mut too_many_units = batch(&stream(1), 0, 1, tenant);
    too_many_units.entries = vec![UsageEntry::Request(UsageRecord { units: u64::MAX, ..request(tenant) })];
    let too_late = batch(&stream(1), u64::MAX - 1, 1, tenant);
    let empty = batch(&stream(1), 0, 0, tenant);
    for bad in [too_many_units, too_late, empty] {
        let error = store.book_usage(&bad, NOW).await.unwrap_err();
        assert!(matches!(error, StoreError::Refused(_)), "{error:?}");
    }
    let last = batch(&stream(1), i64::MAX as u64 - 1, 1, tenant);
    assert_eq!(store.book_usage(&last, NOW).await.unwrap().next_seq, i64::MAX as u64);
}

async fn filter_selects_tenant_and_hours(fixture: Fixture) {
    let store = fixture.store().await;
    let (one, other) = (TenantId::from_u128(1), TenantId::from_u128(2));
    let hour = |number: i64| Micros(NOW.0 - NOW.0 % 3_600_000_000).plus_seconds(number * 3_600);
    let entries = (0..3)
        .flat_map(|number| {
            [one, other].map(|tenant| UsageEntry::Request(UsageRecord { at: hour(number), ..request(tenant) }))
        })
        .collect();
    store.book_usage(&UsageBatch { stream: stream(1), first_seq: 0, entries }, NOW).await.unwrap();
    let found = async |tenant, window| -> Vec<_> {
        let sums = store.usage(&UsageFilter { tenant, window }).await.unwrap();
        sums.into_iter().map(|sum| (sum.hour, sum.tenant)).collect()
    };
    let window = Some(Window { start: hour(1), end: hour(2) });
    assert_eq!(found(Some(one), window).await, [(hour(1), one)], "the end is not inside");
    assert_eq!(found(None, window).await, [(hour(1), one), (hour(1), other)]);
    assert_eq!(found(None, None).await.len(), 6);
}

async fn many_batches_are_booked_in_one_transaction(fixture: Fixture) {
    let store = fixture.store().await;
    let known = root(&store).await.id;
    let unknown = TenantId::from_u128(3);
    let (lane, other_lane) = (stream(1), stream(2));
    let batches = [
        batch(&lane, 10, 2, known),
        batch(&other_lane, 0, 5, unknown),
        batch(&lane, 4, 7, known),
        batch(&lane, 12, 3, unknown),
        batch(&other_lane, 0, 5, known),
    ];
    let all = Booking { batches: &batches, ..Booking::default() };
    let with_unknown = |booked: Booked| Booked { unknown_tenants: vec![unknown], ..booked };
    assert_eq!(
        store.book_all(&all, NOW).await.unwrap(),
        [
            booked(12, 2, 0, 10),
            with_unknown(booked(5, 5, 0, 0)),
            booked(12, 6, 1, 0),
            with_unknown(booked(15, 3, 0, 0)),
            booked(5, 0, 5, 0),
        ]
    );
    assert_eq!((units_of(&store, known).await, units_of(&store, unknown).await), (8, 8));
    assert_eq!(fixture.number("SELECT COUNT(*) FROM usage_gaps").await, 1);
    fixture.assert_sums_match_records().await;
    // One that cannot be booked takes all others with it.
    let batches = [batch(&lane, 15, 5, known), batch(&lane, u64::MAX - 3, 1, known), batch(&lane, 20, 5, known)];
    let error = store.book_all(&Booking { batches: &batches, ..Booking::default() }, NOW).await.unwrap_err();
    assert!(matches!(error, StoreError::Refused(_)), "{error}");
    assert_eq!(units_of(&store, known).await, 8);
    assert_eq!(store.book_all(&Booking::default(), NOW).await.unwrap(), []);
}

async fn concurrent_bookings_of_many_streams_do_not_deadlock(fixture: Fixture) {
    let store = fixture.store().await;
    let tasks: Vec<_> = (0..4_u128)
        .map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                for round in 0..10 {
                    // All meet all streams and all sums, each in another order.
                    let mut batches: Vec<_> =
                        (1..=6).map(|lane| batch(&stream(lane), round * 4, 4, TenantId::from_u128(lane))).collect();
                    batches.rotate_left(usize::try_from(task).unwrap());
                    if task % 2 == 0 {
                        batches.reverse();
                    }
                    store.book_all(&Booking { batches: &batches, ..Booking::default() }, NOW).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    for lane in 1..=6 {
        assert_eq!(units_of(&store, TenantId::from_u128(lane)).await, 40);
    }
    fixture.assert_sums_match_records().await;
}
