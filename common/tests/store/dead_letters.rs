//! A message that cannot be booked is kept once, with the position behind it, until an operator has
//! dealt with it.

use common::{
    id::TenantId,
    store::{Store, StoreError},
    usage::{booking::Booking, dead_letters::NewDeadLetter},
};

use crate::{
    fixture::{Fixture, NOW, batch, on_both_engines, stream, units_of},
    positions::position,
};

on_both_engines!(
    dead_letters_are_kept_with_position,
    repeated_letter_is_kept_once,
    letters_are_listed_in_pages,
    any_reason_and_payload_can_be_kept,
    replay_books_and_resolves,
    failed_replay_resolves_nothing,
    only_one_of_two_replays_books,
    letter_can_be_discarded,
);

const TENANT: TenantId = TenantId::from_u128(1);

fn letter(offset: i64) -> NewDeadLetter {
    NewDeadLetter {
        topic: "usage.events".into(),
        partition: 2,
        offset,
        payload: vec![0, 255, 7],
        reason: "batch is not readable".into(),
    }
}

async fn keep(store: &Store, letters: &[NewDeadLetter], from: i64, to: i64) -> Result<(), StoreError> {
    let position = position(2, from, to);
    let booking = Booking { dead_letters: letters, position: Some(&position), ..Booking::default() };
    store.book_all(&booking, NOW).await.map(drop)
}

async fn dead_letters_are_kept_with_position(fixture: Fixture) {
    let store = fixture.store().await;
    let batches = [batch(&stream(1), 0, 5, TENANT)];
    let (letters, step) = ([letter(0)], position(2, 0, 2));
    let booking = Booking { batches: &batches, dead_letters: &letters, position: Some(&step) };
    assert_eq!(store.book_all(&booking, NOW).await.unwrap().len(), 1);
    assert!(matches!(store.book_all(&booking, NOW).await.unwrap_err(), StoreError::PositionMoved { .. }));
    let kept = store.dead_letters(10, 0).await.unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!((kept[0].topic.as_str(), kept[0].partition, kept[0].offset), ("usage.events", 2, 0));
    assert_eq!((kept[0].payload_bytes, kept[0].reason.as_str()), (3, "batch is not readable"));
    assert_eq!((kept[0].arrived_at, kept[0].resolved_at), (NOW, None));
    assert_eq!(store.dead_letter(kept[0].id).await.unwrap(), kept[0]);
    assert_eq!(store.dead_letter_payload(kept[0].id).await.unwrap(), [0, 255, 7]);
    // A batch that is refused takes the letter and the position with it.
    let refused = [batch(&stream(1), 0, 0, TENANT)];
    let (letters, step) = ([letter(3)], position(2, 2, 4));
    let booking = Booking { batches: &refused, dead_letters: &letters, position: Some(&step) };
    assert!(store.book_all(&booking, NOW).await.is_err());
    assert_eq!(store.dead_letter_count().await.unwrap(), 1);
    assert_eq!(store.position("usage.events", 2).await.unwrap(), Some(2));
}

async fn repeated_letter_is_kept_once(fixture: Fixture) {
    let store = fixture.store().await;
    keep(&store, &[letter(0), letter(1)], 0, 2).await.unwrap();
    let first = store.dead_letters(10, 0).await.unwrap();
    store.resolve_dead_letter(first[0].id, NOW).await.unwrap();
    store.reset_positions("usage.events", None).await.unwrap();
    keep(&store, &[letter(0), letter(1)], 0, 2).await.unwrap();
    assert_eq!(store.dead_letters(10, 0).await.unwrap(), first[1..], "what is resolved stays so");
}

async fn letters_are_listed_in_pages(fixture: Fixture) {
    let store = fixture.store().await;
    let letters: Vec<_> = (0..5).map(letter).collect();
    keep(&store, &letters, 0, 5).await.unwrap();
    let mut offsets = Vec::new();
    let mut after = 0;
    loop {
        let page = store.dead_letters(2, after).await.unwrap();
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { break };
        after = last.id;
        offsets.extend(page.iter().map(|letter| letter.offset));
    }
    assert_eq!(offsets, [0, 1, 2, 3, 4]);
}

async fn any_reason_and_payload_can_be_kept(fixture: Fixture) {
    let store = fixture.store().await;
    let odd = NewDeadLetter { reason: format!("`\0\u{1b}{}`", "x".repeat(5_000)), payload: Vec::new(), ..letter(0) };
    keep(&store, &[odd], 0, 1).await.unwrap();
    let kept = store.dead_letters(1, 0).await.unwrap().remove(0);
    assert!(kept.reason.starts_with("`\u{fffd}\u{fffd}xxx"), "{}", kept.reason);
    assert!(kept.reason.len() < 2_000);
    assert!(store.dead_letter_payload(kept.id).await.unwrap().is_empty());
}

async fn replay_books_and_resolves(fixture: Fixture) {
    let store = fixture.store().await;
    keep(&store, &[letter(0)], 0, 1).await.unwrap();
    let id = store.dead_letters(1, 0).await.unwrap()[0].id;
    let later = NOW.plus_seconds(60);
    let booked = store.replay_dead_letter(id, &batch(&stream(1), 0, 5, TENANT), later).await.unwrap();
    assert_eq!((booked.booked, units_of(&store, TENANT).await), (5, 5));
    assert_eq!(store.dead_letter(id).await.unwrap().resolved_at, Some(later));
    assert_eq!(store.dead_letter_count().await.unwrap(), 0);
    let error = store.replay_dead_letter(id, &batch(&stream(1), 5, 5, TENANT), later).await.unwrap_err();
    assert!(error.to_string().contains("was resolved at 2026-11-22T01:31:00Z"), "{error}");
    assert_eq!(units_of(&store, TENANT).await, 5);
}

async fn failed_replay_resolves_nothing(fixture: Fixture) {
    let store = fixture.store().await;
    keep(&store, &[letter(0)], 0, 1).await.unwrap();
    let id = store.dead_letters(1, 0).await.unwrap()[0].id;
    assert!(store.replay_dead_letter(id, &batch(&stream(1), 0, 0, TENANT), NOW).await.is_err());
    assert_eq!(store.dead_letter_count().await.unwrap(), 1);
    let error = store.replay_dead_letter(id + 1, &batch(&stream(1), 0, 5, TENANT), NOW).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound { .. }), "{error}");
    assert_eq!(units_of(&store, TENANT).await, 0);
    // What was booked by other means resolves the letter all the same.
    store.book_usage(&batch(&stream(1), 0, 5, TENANT), NOW).await.unwrap();
    let booked = store.replay_dead_letter(id, &batch(&stream(1), 0, 5, TENANT), NOW).await.unwrap();
    assert_eq!((booked.booked, booked.replayed), (0, 5));
    assert_eq!(store.dead_letter_count().await.unwrap(), 0);
}

async fn only_one_of_two_replays_books(fixture: Fixture) {
    let store = fixture.store().await;
    keep(&store, &[letter(0)], 0, 1).await.unwrap();
    let id = store.dead_letters(1, 0).await.unwrap()[0].id;
    let tasks: Vec<_> = (1..=4)
        .map(|lane| {
            let store = store.clone();
            // Streams of their own: nothing but the letter keeps them apart.
            tokio::spawn(async move { store.replay_dead_letter(id, &batch(&stream(lane), 0, 5, TENANT), NOW).await })
        })
        .collect();
    let mut replayed = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => replayed += 1,
            Err(error) => assert!(matches!(error, StoreError::Refused(_)), "{error}"),
        }
    }
    assert_eq!((replayed, units_of(&store, TENANT).await), (1, 5));
}

async fn letter_can_be_discarded(fixture: Fixture) {
    let store = fixture.store().await;
    keep(&store, &[letter(0)], 0, 1).await.unwrap();
    let id = store.dead_letters(1, 0).await.unwrap()[0].id;
    store.resolve_dead_letter(id, NOW).await.unwrap();
    store.resolve_dead_letter(id, NOW.plus_seconds(60)).await.unwrap();
    assert_eq!(store.dead_letter(id).await.unwrap().resolved_at, Some(NOW));
    for error in [
        store.resolve_dead_letter(id + 1, NOW).await.unwrap_err(),
        store.dead_letter(id + 1).await.unwrap_err(),
        store.dead_letter_payload(id + 1).await.unwrap_err(),
    ] {
        assert_eq!(error.to_string(), format!("no dead letter {}", id + 1));
    }
}
