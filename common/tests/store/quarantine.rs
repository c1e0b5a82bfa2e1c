//! Usage of a time that cannot be, and of tenants in a zone that nobody knows: set aside, counted,
//! and let in.

use common::{
    id::TenantId,
    store::{Store, StoreError},
    time::Micros,
    usage::{RefusalCount, UsageBatch, UsageEntry, UsageRecord, quarantine::QuarantineAction},
};

use crate::{
    fixture::{Fixture, NOW, on_both_engines, request, root, stream, units_of},
    quota::{draw, of_requests},
};

on_both_engines!(
    usage_of_any_time_is_booked_or_quarantined,
    quarantined_entry_is_resolved_once,
    unknown_zone_quarantines_usage_of_its_tenant_only,
    moved_usage_counts_against_quota_of_new_month,
);

const DAY: i64 = 86_400_000_000;

/// A store that sets aside what is of more than ten days before the month.
async fn strict(fixture: &Fixture) -> Store {
    fixture.store().await.setting_aside_later_than(Some(10))
}

fn at(tenant: TenantId, at: Micros, units: u64) -> UsageEntry {
    UsageEntry::Request(UsageRecord { at, units, ..request(tenant) })
}

async fn book(store: &Store, first_seq: u64, entries: Vec<UsageEntry>) -> u64 {
    let batch = UsageBatch { stream: stream(1), first_seq, entries };
    store.book_usage(&batch, NOW).await.unwrap().quarantined
}

async fn assert_clean(store: &Store) {
    let audit = store.reconcile(None).await.unwrap();
    assert!(audit.is_clean(), "{:?}", audit.breaches);
}

async fn usage_of_any_time_is_booked_or_quarantined(fixture: Fixture) {
    for keep in [true, false] {
        let store = strict(&fixture).await.keeping_records(keep);
        let tenant = root(&store).await.id;
        let first = store.reconcile(None).await.unwrap().streams.first().map_or(0, |stream| stream.acknowledged);
        let times = [i64::MIN, 0, NOW.0 - 50 * DAY, NOW.0, NOW.0 + 3_600_000_000, NOW.0 + 3_600_000_001, i64::MAX];
        let mut entries: Vec<_> = times.into_iter().map(|time| at(tenant, Micros(time), 2)).collect();
        let refusals = RefusalCount {
            at: Micros(i64::MAX),
            tenant,
            key: common::id::KeyId::from_u128(5),
            reason: "rate_limited".into(),
            count: 9,
        };
        entries.push(UsageEntry::Refusals(refusals));
        let first = first.unsigned_abs();
        assert_eq!(book(&store, first, entries.clone()).await, 6);
        assert_eq!(book(&store, first, entries).await, 0, "a repetition changes nothing");
        assert_eq!(units_of(&store, tenant).await, 4);
        assert_clean(&store).await;
    }
    let store = strict(&fixture).await;
    assert_eq!(store.quarantine_count().await.unwrap(), 12);
    let reasons: Vec<_> =
        store.quarantine(6, 0).await.unwrap().into_iter().map(|entry| (entry.at.0, entry.reason)).collect();
    let expected = [
        (i64::MIN, "too_late"),
        (0, "too_late"),
        (NOW.0 - 50 * DAY, "too_late"),
        (NOW.0 + 3_600_000_001, "too_early"),
        (i64::MAX, "too_early"),
        (i64::MAX, "too_early"),
    ];
    assert_eq!(reasons, expected.map(|(at, reason)| (at, reason.to_owned())));
}

async fn quarantined_entry_is_resolved_once(fixture: Fixture) {
    let store = strict(&fixture).await;
    let tenant = root(&store).await.id;
    let old = Micros(NOW.0 - 90 * DAY);
    book(&store, 0, vec![at(tenant, old, 3), at(tenant, Micros(0), 5), at(tenant, Micros(i64::MAX), 7)]).await;
    let ids: Vec<_> = store.quarantine(10, 0).await.unwrap().into_iter().map(|entry| entry.id).collect();
    let actions = [QuarantineAction::Accept, QuarantineAction::MoveTo(NOW), QuarantineAction::Discard];
    let units = [3, 8, 8];
    for ((id, action), units) in ids.iter().zip(actions).zip(units) {
        let unsaid = store.resolve_quarantined(*id, action, "", "a note", NOW).await.unwrap_err();
        assert!(matches!(unsaid, StoreError::Refused(_)), "{unsaid}");
        let entry = store.resolve_quarantined(*id, action, "ada", "a note", NOW).await.unwrap();
        assert_eq!(store.quarantined(*id).await.unwrap(), entry);
        assert_eq!(units_of(&store, tenant).await, units);
        assert_clean(&store).await;
        let again = store.resolve_quarantined(*id, QuarantineAction::Accept, "bob", "again", NOW).await.unwrap_err();
        assert!(matches!(&again, StoreError::Conflict(reason) if reason.contains("ada")), "{again}");
    }
    assert_eq!(store.quarantine_count().await.unwrap(), 0);
    let missing = store.resolve_quarantined(4_711, QuarantineAction::Accept, "ada", "a note", NOW).await.unwrap_err();
    assert!(matches!(missing, StoreError::NotFound { .. }), "{missing}");
    fixture.assert_sums_match_records().await;
}

async fn unknown_zone_quarantines_usage_of_its_tenant_only(fixture: Fixture) {
    let store = fixture.store().await;
    let (lost, other) = (root(&store).await.id, root(&store).await.id);
    fixture
        .execute(
            "UPDATE tenants SET zone = 'posix/Mars/Olympus' WHERE created_seq = (SELECT MIN(created_seq) FROM tenants)",
        )
        .await
        .unwrap();
    assert_eq!(book(&store, 0, vec![at(lost, NOW, 3), at(other, NOW, 5)]).await, 1);
    assert_eq!(units_of(&store, other).await, 5);
    let entry = store.quarantine(10, 0).await.unwrap().remove(0);
    assert_eq!((entry.tenant, &*entry.reason), (lost, "unknown_zone"));
    let unknown =
        store.resolve_quarantined(entry.id, QuarantineAction::Accept, "ada", "a note", NOW).await.unwrap_err();
    assert!(matches!(&unknown, StoreError::Conflict(reason) if reason.contains("IANA")), "{unknown}");
    fixture.execute("UPDATE tenants SET zone = 'Europe/Berlin' WHERE zone = 'posix/Mars/Olympus'").await.unwrap();
    store.resolve_quarantined(entry.id, QuarantineAction::Accept, "ada", "a note", NOW).await.unwrap();
    assert_eq!(units_of(&store, lost).await, 3);
    assert_clean(&store).await;
}

async fn moved_usage_counts_against_quota_of_new_month(fixture: Fixture) {
    let store = strict(&fixture).await;
    let tenant = root(&store).await.id;
    assert_eq!(draw(&store, 1, of_requests(tenant, 20, 15)).await, 15);
    book(&store, 0, vec![at(tenant, Micros(0), 30)]).await;
    let entry = store.quarantine(10, 0).await.unwrap().remove(0);
    store.resolve_quarantined(entry.id, QuarantineAction::MoveTo(NOW), "ada", "a note", NOW).await.unwrap();
    let quota = store.quotas(tenant).await.unwrap().remove(0);
    assert_eq!((quota.drawn, quota.owed), (20, 25), "what is beyond the cap is owed");
}
