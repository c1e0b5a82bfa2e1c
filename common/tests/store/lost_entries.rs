//! An entry that a gateway reports as lost is an open gap, reported once, and filled if the entry
//! arrives after all.

use common::{
    id::TenantId,
    store::Store,
    usage::{Booked, StreamId, UsageBatch, UsageEntry},
};

use crate::fixture::{Fixture, NOW, batch, on_both_engines, request, stream, units_of};

on_both_engines!(
    lost_entries_open_gap_and_later_ones_are_booked,
    late_lost_entry_is_booked,
    booked_entry_reported_as_lost_stays_booked,
    lost_entries_within_gap_are_counted_as_lost,
);

const TENANT: TenantId = TenantId::from_u128(1);

/// A batch in which `.` is a request of one unit and `x` a lost entry.
fn drawn(stream: &StreamId, first_seq: u64, picture: &str) -> UsageBatch {
    let entry = |sign| match sign {
        '.' => UsageEntry::Request(request(TENANT)),
        _ => UsageEntry::Lost,
    };
    UsageBatch { stream: stream.clone(), first_seq, entries: picture.chars().map(entry).collect() }
}

async fn book(store: &Store, first_seq: u64, picture: &str) -> Booked {
    store.book_usage(&drawn(&stream(1), first_seq, picture), NOW).await.unwrap()
}

/// Open gaps: from, to, and whether lost.
async fn gaps(store: &Store) -> Vec<(u64, u64, bool)> {
    store.usage_gaps().await.unwrap().iter().map(|gap| (gap.from, gap.to, gap.lost)).collect()
}

/// Checks the books and gives acknowledged, lost and missing entries of the one stream.
async fn audited(store: &Store) -> (i64, i64, i64) {
    let audit = store.reconcile(None).await.unwrap();
    assert!(audit.is_clean(), "{:?}", audit.breaches);
    let lane = &audit.streams[0];
    assert_eq!(lane.acknowledged, lane.booked.requests + lane.refusal_entries + lane.void_entries + lane.lost_entries);
    (lane.acknowledged, lane.lost_entries, lane.missing)
}

async fn lost_entries_open_gap_and_later_ones_are_booked(fixture: Fixture) {
    let store = fixture.store().await;
    let booked = book(&store, 0, "..xx.x").await;
    assert_eq!((booked.next_seq, booked.booked, booked.lost, booked.gap), (6, 6, 3, 0));
    assert_eq!(gaps(&store).await, [(2, 4, true), (5, 6, true)]);
    assert_eq!(audited(&store).await, (6, 3, 0));
    assert_eq!(units_of(&store, TENANT).await, 3);
    let again = book(&store, 0, "..xx.x").await;
    assert_eq!((again.booked, again.replayed, again.lost), (0, 6, 0), "told once");
    assert_eq!(book(&store, 6, "..").await.booked, 2);
    assert_eq!(gaps(&store).await.len(), 2);
    fixture.assert_sums_match_records().await;
}

async fn late_lost_entry_is_booked(fixture: Fixture) {
    let store = fixture.store().await;
    book(&store, 0, ".xxx.").await;
    let late = book(&store, 2, ".").await;
    assert_eq!((late.booked, late.replayed, late.next_seq), (1, 0, 5));
    assert_eq!(gaps(&store).await, [(1, 2, true), (3, 4, true)]);
    assert_eq!(audited(&store).await, (5, 2, 0));
    // So is a number that turns out to have never had an entry.
    let void = UsageBatch { stream: stream(1), first_seq: 1, entries: vec![UsageEntry::Void] };
    assert_eq!(store.book_usage(&void, NOW).await.unwrap().booked, 1);
    assert_eq!(book(&store, 0, ".....").await.booked, 1);
    assert_eq!(gaps(&store).await, []);
    assert_eq!((audited(&store).await, units_of(&store, TENANT).await), ((5, 0, 0), 4));
}

async fn booked_entry_reported_as_lost_stays_booked(fixture: Fixture) {
    let store = fixture.store().await;
    store.book_usage(&batch(&stream(1), 0, 5, TENANT), NOW).await.unwrap();
    let lost = book(&store, 3, "xxx").await;
    assert_eq!((lost.booked, lost.replayed, lost.lost), (1, 2, 1));
    assert_eq!(gaps(&store).await, [(5, 6, true)]);
    assert_eq!((audited(&store).await, units_of(&store, TENANT).await), ((6, 1, 0), 5));
}

async fn lost_entries_within_gap_are_counted_as_lost(fixture: Fixture) {
    let store = fixture.store().await;
    assert_eq!(book(&store, 10, ".").await.gap, 10);
    let lost = book(&store, 4, "x").await;
    assert_eq!((lost.booked, lost.lost, lost.gap), (1, 1, 0));
    assert_eq!(gaps(&store).await, [(0, 4, false), (4, 5, true), (5, 10, false)]);
    assert_eq!(audited(&store).await, (2, 1, 9));
    book(&store, 0, "..........").await;
    assert_eq!((gaps(&store).await, audited(&store).await), (Vec::new(), (11, 0, 0)));
}
