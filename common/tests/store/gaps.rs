//! Gaps that are accepted: no longer waited for, written down for ever, and filled all the same by
//! what turns up.

use common::{
    id::TenantId,
    store::{Store, StoreError},
    usage::{UsageBatch, UsageEntry, gaps::Acceptance},
};

use crate::fixture::{Fixture, NOW, batch, on_both_engines, stream, units_of};

on_both_engines!(
    accepted_gap_keeps_name_time_and_reason,
    late_entries_of_accepted_gap_are_booked_once,
    all_gaps_of_stream_are_accepted_at_once,
    entry_lost_in_accepted_gap_reopens_it,
    only_existing_gap_can_be_accepted,
    only_one_of_concurrent_acceptances_succeeds,
    concurrent_acceptance_and_booking_keep_gaps_consistent,
);

const TENANT: TenantId = TenantId::from_u128(1);

fn acceptance(reason: &str) -> Acceptance {
    Acceptance { at: NOW.plus_seconds(60), by: "ada".into(), reason: reason.into() }
}

async fn book(store: &Store, first_seq: u64, entries: usize) -> u64 {
    store.book_usage(&batch(&stream(1), first_seq, entries, TENANT), NOW).await.unwrap().booked
}

/// From, to, and whether accepted.
async fn gaps(store: &Store) -> Vec<(u64, u64, bool)> {
    store.usage_gaps().await.unwrap().iter().map(|gap| (gap.from, gap.to, gap.accepted.is_some())).collect()
}

async fn missing(store: &Store) -> i64 {
    let audit = store.reconcile(None).await.unwrap();
    assert!(audit.is_clean(), "{:?}", audit.breaches);
    audit.streams[0].missing
}

async fn accepted_gap_keeps_name_time_and_reason(fixture: Fixture) {
    let store = fixture.store().await;
    book(&store, 5, 5).await;
    let accepted = store.accept_gaps(&stream(1), Some(0..5), acceptance("disk gone")).await.unwrap();
    assert_eq!(accepted, store.usage_gaps().await.unwrap());
    assert_eq!(accepted[0].accepted, Some(acceptance("disk gone")));
    assert_eq!((accepted[0].from, accepted[0].to, accepted[0].lost), (0, 5, false));
    assert_eq!(missing(&store).await, 5, "it stays missing");
    let written = store.accepted_gaps().await.unwrap().remove(0);
    assert_eq!((written.stream, written.from, written.to, written.missing), (stream(1), 0, 5, 5));
    assert_eq!(written.acceptance, acceptance("disk gone"));
}

async fn late_entries_of_accepted_gap_are_booked_once(fixture: Fixture) {
    let store = fixture.store().await;
    book(&store, 10, 5).await;
    store.accept_gaps(&stream(1), None, acceptance("gone")).await.unwrap();
    for expected in [3, 0] {
        assert_eq!(book(&store, 4, 3).await, expected);
        assert_eq!(units_of(&store, TENANT).await, 8);
        assert_eq!(gaps(&store).await, [(0, 4, true), (7, 10, true)], "the rest stays accepted");
    }
    assert_eq!(missing(&store).await, 7);
    assert_eq!(store.accepted_gaps().await.unwrap()[0].missing, 7);
    assert_eq!(book(&store, 0, 15).await, 7);
    assert_eq!((gaps(&store).await, missing(&store).await, units_of(&store, TENANT).await), (Vec::new(), 0, 15));
    let written = store.accepted_gaps().await.unwrap();
    assert_eq!((written.len(), written[0].from, written[0].to, written[0].missing), (1, 0, 10, 0));
    // What is skipped after that is a gap of its own.
    book(&store, 20, 1).await;
    assert_eq!(gaps(&store).await, [(15, 20, false)]);
    fixture.assert_sums_match_records().await;
}

async fn all_gaps_of_stream_are_accepted_at_once(fixture: Fixture) {
    let store = fixture.store().await;
    book(&store, 2, 2).await;
    book(&store, 6, 2).await;
    store.book_usage(&batch(&stream(2), 3, 1, TENANT), NOW).await.unwrap();
    store.accept_gaps(&stream(1), Some(0..2), acceptance("first")).await.unwrap();
    let accepted = store.accept_gaps(&stream(1), None, acceptance("the rest")).await.unwrap();
    assert_eq!(accepted.iter().map(|gap| (gap.from, gap.to)).collect::<Vec<_>>(), [(4, 6)]);
    assert_eq!(gaps(&store).await, [(0, 2, true), (4, 6, true), (0, 3, false)], "no other stream is touched");
    assert_eq!(store.accept_gaps(&stream(1), None, acceptance("again")).await.unwrap(), []);
    let reasons: Vec<_> =
        store.accepted_gaps().await.unwrap().into_iter().map(|accepted| accepted.acceptance.reason).collect();
    assert_eq!(reasons, ["first", "the rest"]);
}

async fn entry_lost_in_accepted_gap_reopens_it(fixture: Fixture) {
    let store = fixture.store().await;
    book(&store, 5, 1).await;
    store.accept_gaps(&stream(1), None, acceptance("gone")).await.unwrap();
    let lost = UsageBatch { stream: stream(1), first_seq: 2, entries: vec![UsageEntry::Lost] };
    assert_eq!(store.book_usage(&lost, NOW).await.unwrap().lost, 1);
    assert_eq!(gaps(&store).await, [(0, 2, true), (2, 3, false), (3, 5, true)]);
    store.accept_gaps(&stream(1), Some(2..3), acceptance("lost")).await.unwrap();
    assert_eq!(store.book_usage(&lost, NOW).await.unwrap().lost, 0, "once");
    assert_eq!(gaps(&store).await, [(0, 2, true), (2, 3, true), (3, 5, true)]);
    assert!(store.usage_gaps().await.unwrap()[1].lost);
    assert_eq!(book(&store, 0, 5).await, 5);
    assert_eq!((missing(&store).await, units_of(&store, TENANT).await), (0, 6));
}

async fn only_existing_gap_can_be_accepted(fixture: Fixture) {
    let store = fixture.store().await;
    book(&store, 5, 5).await;
    let unknown = store.accept_gaps(&stream(9), None, acceptance("gone")).await.unwrap_err();
    assert!(matches!(unknown, StoreError::NotFound { .. }), "{unknown}");
    for numbers in [0..4, 1..5, 5..6, 0..6] {
        let error = store.accept_gaps(&stream(1), Some(numbers), acceptance("gone")).await.unwrap_err();
        assert!(error.to_string().contains("is not a gap of the stream now"), "{error}");
    }
    for (by, reason) in [("", "gone"), ("ada", ""), ("ada", " \t"), ("a\0da", "gone"), ("ada", &*"x".repeat(1_001))] {
        let wrong = Acceptance { by: by.into(), reason: reason.into(), ..acceptance("") };
        let error = store.accept_gaps(&stream(1), Some(0..5), wrong).await.unwrap_err();
        assert!(matches!(error, StoreError::Refused(_)), "{error}");
    }
    assert_eq!((gaps(&store).await, store.accepted_gaps().await.unwrap()), (vec![(0, 5, false)], Vec::new()));
}

async fn only_one_of_concurrent_acceptances_succeeds(fixture: Fixture) {
    let store = fixture.store().await;
    book(&store, 5, 5).await;
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.accept_gaps(&stream(1), Some(0..5), acceptance("gone")).await })
        })
        .collect();
    let mut taken = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => taken += 1,
            Err(error) => assert!(error.to_string().contains("was accepted at"), "{error}"),
        }
    }
    assert_eq!((taken, store.accepted_gaps().await.unwrap().len()), (1, 1));
}

async fn concurrent_acceptance_and_booking_keep_gaps_consistent(fixture: Fixture) {
    let store = fixture.store().await;
    book(&store, 40, 1).await;
    let second = store.clone();
    let accepting =
        tokio::spawn(async move { second.accept_gaps(&stream(1), None, acceptance("gone")).await.unwrap() });
    let books: Vec<_> = (0..20)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { book(&store, number * 2, 1).await })
        })
        .collect();
    let accepted = accepting.await.unwrap();
    for booked in books {
        assert_eq!(booked.await.unwrap(), 1);
    }
    assert_eq!((missing(&store).await, units_of(&store, TENANT).await), (20, 21));
    let gaps = store.usage_gaps().await.unwrap();
    assert!(gaps.iter().all(|gap| gap.accepted.is_some() && gap.to - gap.from == 1), "{gaps:?}");
    let written = store.accepted_gaps().await.unwrap();
    assert_eq!((written.len(), written.iter().map(|accepted| accepted.missing).sum::<u64>()), (accepted.len(), 20));
}
