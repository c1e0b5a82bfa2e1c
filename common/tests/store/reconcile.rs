//! The audit agrees with books that were kept well, and finds whatever somebody else did to them.

use common::{
    id::TenantId,
    store::Store,
    tenant::{TenantKind, lifecycle::NewTenant},
    time::{Micros, Window},
    usage::{
        UsageBatch, UsageEntry, UsageRecord,
        booking::Booking,
        reconcile::{BreachPlace, Tally},
    },
};

use crate::fixture::{Fixture, NOW, batch, new_tenant, on_both_engines, refusals, request, root, stream};

on_both_engines!(
    untouched_books_reconcile,
    each_planted_error_is_reported,
    rollups_without_records_are_checked,
    gaps_are_reported_and_are_no_breach,
    months_follow_time_zone_of_tenant,
    window_limits_check_to_its_hours,
    sums_beyond_63_bits_are_compared,
    empty_store_reconciles,
);

/// Two streams, a gap, an aborted request, a late batch, repetitions, refusals, a void and a lost
/// entry, an unknown tenant.
async fn fill(store: &Store) -> TenantId {
    let tenant = root(store).await.id;
    let mut mixed = batch(&stream(1), 0, 5, tenant);
    mixed.entries.push(UsageEntry::Request(UsageRecord { status: 499, ..request(tenant) }));
    mixed.entries.extend([refusals(tenant, 30), refusals(TenantId::from_u128(5), 12)]);
    let batches = [
        mixed.clone(),
        batch(&stream(1), 20, 4, tenant),
        batch(&stream(1), 10, 2, TenantId::from_u128(5)),
        mixed,
        batch(&stream(2), 0, 3, tenant),
        UsageBatch { stream: stream(2), first_seq: 3, entries: vec![UsageEntry::Void, UsageEntry::Lost] },
    ];
    store.book_all(&Booking { batches: &batches, ..Booking::default() }, NOW).await.unwrap();
    tenant
}

async fn untouched_books_reconcile(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = fill(&store).await;
    let audit = store.reconcile(None).await.unwrap();
    assert!(audit.is_clean(), "{:?}", audit.breaches);
    let lane = &audit.streams[0];
    assert_eq!(lane.stream, stream(1));
    assert_eq!((lane.acknowledged, lane.missing, lane.refusal_entries), (14, 10, 2));
    let twelve = Tally { requests: 12, units: 12 };
    assert_eq!((lane.booked, lane.recorded, lane.dropped), (twelve, Some(twelve), Tally::default()));
    let months: Vec<_> = audit.periods.iter().map(|period| (period.tenant, period.period.to_string())).collect();
    assert_eq!(months, [(TenantId::from_u128(5), "2026-11".into()), (tenant, "2026-11".into())]);
    let thirteen = Tally { requests: 13, units: 13 };
    assert_eq!((audit.periods[1].recorded, audit.periods[1].rolled_up), (thirteen, thirteen));
}

async fn each_planted_error_is_reported(fixture: Fixture) {
    // What somebody does, and where it must show.
    let mut errors = vec![
        ("DELETE FROM usage_records WHERE seq = 2 AND stream LIKE '%1/0'", ["stream", "hour"].as_slice()),
        ("UPDATE usage_records SET units = units + 1 WHERE seq = 2", &["stream", "hour"]),
        ("UPDATE usage_records SET hour = hour - 3600000000 WHERE seq = 2", &["hour"]),
        ("UPDATE usage_records SET tenant_id = 'ten_00000000000000000000000009' WHERE seq = 2", &["hour"]),
        ("UPDATE usage_records SET billable = 0 WHERE seq = 2", &["hour"]),
        ("UPDATE usage_records SET paid = 'credit' WHERE seq = 2", &["hour"]),
        ("UPDATE usage_records SET since = hour + 1 WHERE seq = 2", &["hour"]),
        ("UPDATE usage_hourly SET paid = 'credit' WHERE paid = 'charge'", &["hour"]),
        (
            "UPDATE usage_records SET stream = 'edge-9/00000000000000000000000001/0' WHERE seq = 2 AND stream LIKE '%2/0'",
            &["stream"],
        ),
        ("UPDATE usage_hourly SET requests = requests + 1", &["hour", "total"]),
        ("UPDATE usage_hourly SET units = units + 1", &["hour", "total"]),
        ("UPDATE usage_hourly SET dropped_requests = 1", &["hour", "total"]),
        ("UPDATE usage_hourly SET dropped_units = 1", &["hour", "total"]),
        ("UPDATE usage_hourly SET aborted = 0 WHERE aborted = 1", &["hour"]),
        ("UPDATE usage_hourly SET aborted = aborted + 1", &["hour"]),
        ("UPDATE usage_hourly SET dropped_aborted = 1", &["hour"]),
        ("UPDATE usage_records SET status = 499 WHERE seq = 2", &["hour"]),
        ("UPDATE usage_records SET status = 200 WHERE status = 499", &["hour"]),
        ("DELETE FROM usage_hourly WHERE tenant_id = 'ten_00000000000000000000000005'", &["hour", "total"]),
        ("UPDATE refusals_hourly SET count = count - 1", &["total"]),
        ("UPDATE usage_streams SET requests = requests + 1", &["stream", "total"]),
        ("UPDATE usage_streams SET units = units + 1", &["stream", "total"]),
        ("UPDATE usage_streams SET refusal_entries = refusal_entries + 1", &["stream"]),
        ("UPDATE usage_streams SET void_entries = void_entries + 1", &["stream"]),
        ("UPDATE usage_streams SET lost_entries = lost_entries + 1", &["stream"]),
        ("UPDATE usage_gaps SET lost = 1 - lost", &["stream"]),
        ("UPDATE usage_streams SET refused = refused + 1", &["total"]),
        ("UPDATE usage_streams SET dropped_requests = 1", &["stream", "total"]),
        ("UPDATE usage_streams SET dropped_units = 1", &["stream", "total"]),
        ("UPDATE usage_streams SET next_seq = next_seq + 1", &["stream"]),
        ("DELETE FROM usage_gaps WHERE from_seq = 8", &["stream"]),
        ("DELETE FROM usage_gaps; DELETE FROM usage_streams", &["stream", "total"]),
    ];
    if !fixture.is_sqlite() {
        // SQLite's primary key refuses it.
        errors.push(("INSERT INTO usage_records SELECT * FROM usage_records WHERE seq = 2", &["stream", "hour"]));
    }
    for (statement, expected) in errors {
        let fixture = if fixture.is_sqlite() { Fixture::sqlite() } else { Fixture::postgres() };
        let store = fixture.store().await;
        fill(&store).await;
        fixture.execute(statement).await.unwrap();
        let audit = store.reconcile(None).await.unwrap();
        let mut found: Vec<_> = audit
            .breaches
            .iter()
            .map(|breach| match breach.place {
                BreachPlace::Stream { .. } => "stream",
                BreachPlace::Hour { .. } => "hour",
                BreachPlace::Total => "total",
            })
            .collect();
        found.dedup();
        assert_eq!(found, expected, "{statement}: {:?}", audit.breaches);
        for breach in &audit.breaches {
            let text = breach.to_string();
            assert!(text.contains(": ") && text.contains(breach.left.what), "{text}");
        }
        store.close().await;
    }
}

async fn rollups_without_records_are_checked(fixture: Fixture) {
    let store = fixture.store().await.keeping_records(false);
    fill(&store).await;
    assert_eq!(fixture.number("SELECT COUNT(*) FROM usage_records").await, 0);
    let audit = store.reconcile(None).await.unwrap();
    assert!(audit.is_clean(), "{:?}", audit.breaches);
    assert_eq!(audit.streams[0].dropped, Tally { requests: 12, units: 12 });
    // Records and sums alone may be mixed in one hour.
    store
        .clone()
        .keeping_records(true)
        .book_usage(&batch(&stream(2), 5, 3, TenantId::from_u128(5)), NOW)
        .await
        .unwrap();
    let audit = store.reconcile(None).await.unwrap();
    assert!(audit.is_clean(), "{:?}", audit.breaches);
    assert_eq!(audit.streams[1].recorded, Some(Tally { requests: 3, units: 3 }));
    fixture.execute("UPDATE usage_hourly SET requests = requests + 1").await.unwrap();
    assert!(!store.reconcile(None).await.unwrap().is_clean());
}

async fn gaps_are_reported_and_are_no_breach(fixture: Fixture) {
    let store = fixture.store().await;
    fill(&store).await;
    store.book_usage(&batch(&stream(1), 14, 2, TenantId::from_u128(5)), NOW.plus_seconds(60)).await.unwrap();
    let gaps: Vec<_> = store.usage_gaps().await.unwrap();
    let of = |boot| gaps.iter().filter(move |gap| gap.stream == stream(boot)).map(|gap| (gap.from, gap.to, gap.lost));
    assert_eq!(of(1).collect::<Vec<_>>(), [(8, 10, false), (12, 14, false), (16, 20, false)]);
    assert_eq!(of(2).collect::<Vec<_>>(), [(4, 5, true)]);
    assert!(gaps.iter().all(|gap| gap.opened_at == Some(NOW)), "a rest keeps its age");
    let audit = store.reconcile(None).await.unwrap();
    assert!(audit.is_clean());
    assert_eq!(audit.streams[0].missing, 8);
    let lane = &audit.streams[1];
    assert_eq!((lane.acknowledged, lane.missing, lane.void_entries, lane.lost_entries), (5, 0, 1, 1));
}

async fn months_follow_time_zone_of_tenant(fixture: Fixture) {
    let store = fixture.store().await;
    let new = NewTenant { zone: "Asia/Tokyo".parse().unwrap(), ..new_tenant(TenantKind::Root, None) };
    let tenant = store.create_tenant(&new, NOW).await.unwrap().id;
    // 15:00 in London is midnight in Tokyo. And a clock gone mad belongs to no month, but is
    // checked.
    let times = ["2026-11-30T14:59:59Z", "2026-11-30T15:00:00Z"].map(|text| text.parse().unwrap());
    let entries: Vec<_> = times
        .into_iter()
        .chain([Micros(i64::MAX), Micros(-1)])
        .map(|at| UsageEntry::Request(UsageRecord { at, ..request(tenant) }))
        .collect();
    store.book_usage(&UsageBatch { stream: stream(1), first_seq: 0, entries }, NOW).await.unwrap();
    let audit = store.reconcile(None).await.unwrap();
    assert!(audit.is_clean(), "{:?}", audit.breaches);
    let months: Vec<_> = audit.periods.iter().map(|audit| (audit.period.to_string(), audit.rolled_up.units)).collect();
    assert_eq!(months, [("1970-01".into(), 1), ("2026-11".into(), 1), ("2026-12".into(), 1)]);
}

async fn window_limits_check_to_its_hours(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = TenantId::from_u128(5);
    let hour = |number: i64| Micros(NOW.0 - NOW.0 % 3_600_000_000).plus_seconds(number * 3_600);
    let entries = (0..3)
        .flat_map(|number| [hour(number), hour(number).plus_seconds(3_599)])
        .map(|at| UsageEntry::Request(UsageRecord { at, ..request(tenant) }))
        .collect();
    store.book_usage(&UsageBatch { stream: stream(1), first_seq: 0, entries }, NOW).await.unwrap();
    let audit_of = async |first: i64, end: i64| {
        store.reconcile(Some(Window { start: hour(first), end: hour(end) })).await.unwrap()
    };
    let audit = audit_of(1, 2).await;
    assert!(audit.is_clean(), "{:?}", audit.breaches);
    assert_eq!(audit.periods[0].recorded, Tally { requests: 2, units: 2 });
    assert_eq!((audit.streams[0].acknowledged, audit.streams[0].recorded), (6, None));
    fixture
        .execute("UPDATE usage_hourly SET units = 5 WHERE hour = (SELECT MAX(hour) FROM usage_hourly)")
        .await
        .unwrap();
    assert!(audit_of(1, 2).await.is_clean());
    assert_eq!(audit_of(1, 3).await.breaches.len(), 1);
}

async fn sums_beyond_63_bits_are_compared(fixture: Fixture) {
    let store = fixture.store().await;
    let entries = (1..=5)
        .map(|tenant| {
            let units = i64::MAX as u64 - 7;
            UsageEntry::Request(UsageRecord { units, ..request(TenantId::from_u128(tenant)) })
        })
        .collect();
    store.book_usage(&UsageBatch { stream: stream(1), first_seq: 0, entries }, NOW).await.unwrap();
    let audit = store.reconcile(None).await.unwrap();
    assert!(audit.is_clean(), "{:?}", audit.breaches);
    fixture.execute("UPDATE usage_records SET units = units - 1 WHERE seq = 0").await.unwrap();
    assert_eq!(store.reconcile(None).await.unwrap().breaches.len(), 2);
}

async fn empty_store_reconciles(fixture: Fixture) {
    let audit = fixture.store().await.reconcile(None).await.unwrap();
    assert_eq!(audit, common::usage::reconcile::Reconciliation::default());
}
