//! A transport's position moves with what is booked, and of two that book the same messages one
//! does.

use common::{
    id::TenantId,
    store::{Store, StoreError},
    usage::{UsageBatch, booking::Booking, positions::Position},
};

use crate::fixture::{Fixture, NOW, batch, on_both_engines, stream, units_of};

on_both_engines!(
    position_moves_with_booking,
    booking_from_wrong_position_is_refused,
    only_one_of_two_bookings_from_same_position_succeeds,
    reset_topic_is_booked_again_once,
    reset_partition_leaves_others,
    position_moves_without_batches,
    invalid_position_is_refused,
);

const TENANT: TenantId = TenantId::from_u128(1);

pub(crate) fn position(partition: i32, from: i64, to: i64) -> Position {
    Position { topic: "usage.events".into(), partition, from, to }
}

async fn book(store: &Store, batches: &[UsageBatch], position: &Position) -> Result<u64, StoreError> {
    let booking = Booking { batches, position: Some(position), ..Booking::default() };
    Ok(store.book_all(&booking, NOW).await?.iter().map(|booked| booked.booked).sum())
}

async fn position_moves_with_booking(fixture: Fixture) {
    let store = fixture.store().await;
    assert_eq!(store.position("usage.events", 0).await.unwrap(), None);
    // A topic need not begin at 0.
    assert_eq!(book(&store, &[batch(&stream(1), 0, 5, TENANT)], &position(0, 7, 9)).await.unwrap(), 5);
    assert_eq!(store.position("usage.events", 0).await.unwrap(), Some(9));
    assert_eq!(book(&store, &[batch(&stream(1), 5, 5, TENANT)], &position(0, 9, 10)).await.unwrap(), 5);
    assert_eq!(store.position("usage.events", 0).await.unwrap(), Some(10));
    assert_eq!(store.position("usage.events", 1).await.unwrap(), None, "partitions stand by themselves");
    assert_eq!(store.position("other", 0).await.unwrap(), None, "so do topics");
}

async fn booking_from_wrong_position_is_refused(fixture: Fixture) {
    let store = fixture.store().await;
    book(&store, &[batch(&stream(1), 0, 5, TENANT)], &position(0, 0, 4)).await.unwrap();
    for from in [0, 3, 5] {
        let error = book(&store, &[batch(&stream(2), 0, 5, TENANT)], &position(0, from, 9)).await.unwrap_err();
        assert!(
            matches!(error, StoreError::PositionMoved { partition: 0, expected, found: 4, .. } if expected == from),
            "{error}"
        );
    }
    assert_eq!(units_of(&store, TENANT).await, 5);
    assert_eq!(store.position("usage.events", 0).await.unwrap(), Some(4));
}

async fn only_one_of_two_bookings_from_same_position_succeeds(fixture: Fixture) {
    let store = fixture.store().await;
    for round in 0..10 {
        // Streams of their own: nothing but the position keeps them apart. The first round makes
        // the row.
        let tasks: Vec<_> = (0..4)
            .map(|zombie| {
                let store = store.clone();
                let batches = [batch(&stream(zombie + 1), round * 5, 5, TENANT)];
                let step = position(0, round.cast_signed(), round.cast_signed() + 1);
                tokio::spawn(async move { book(&store, &batches, &step).await })
            })
            .collect();
        let mut winners = 0;
        for task in tasks {
            match task.await.unwrap() {
                Ok(_) => winners += 1,
                Err(error) => assert!(matches!(error, StoreError::PositionMoved { .. }), "{error}"),
            }
        }
        assert_eq!(winners, 1);
    }
    assert_eq!(units_of(&store, TENANT).await, 50);
}

async fn reset_topic_is_booked_again_once(fixture: Fixture) {
    let store = fixture.store().await;
    let messages = [batch(&stream(1), 0, 5, TENANT), batch(&stream(2), 0, 5, TENANT)];
    for partition in [0, 1] {
        book(&store, &messages[..1], &position(partition, 0, 6)).await.unwrap();
    }
    assert_eq!(book(&store, &messages, &position(0, 6, 8)).await.unwrap(), 5);
    assert_eq!(store.reset_positions("usage.events", None).await.unwrap(), 2);
    assert_eq!(store.position("usage.events", 0).await.unwrap(), Some(0));
    // Who is still at it does not undo the reset.
    assert!(book(&store, &[], &position(0, 8, 9)).await.is_err());
    assert_eq!(book(&store, &messages, &position(0, 0, 8)).await.unwrap(), 0);
    assert_eq!(units_of(&store, TENANT).await, 10);
    assert_eq!(store.reset_positions("other", None).await.unwrap(), 0);
}

async fn reset_partition_leaves_others(fixture: Fixture) {
    let store = fixture.store().await;
    for partition in [0, 1, 2] {
        book(&store, &[], &position(partition, 0, 6)).await.unwrap();
    }
    assert_eq!(store.reset_positions("usage.events", Some(1)).await.unwrap(), 1);
    for (partition, expected) in [(0, 6), (1, 0), (2, 6)] {
        assert_eq!(store.position("usage.events", partition).await.unwrap(), Some(expected));
    }
    assert_eq!(store.reset_positions("usage.events", Some(3)).await.unwrap(), 0);
}

async fn position_moves_without_batches(fixture: Fixture) {
    let store = fixture.store().await;
    assert_eq!(book(&store, &[], &position(0, 0, 3)).await.unwrap(), 0);
    let seen_before = [batch(&stream(1), 0, 5, TENANT)];
    store.book_usage(&seen_before[0], NOW).await.unwrap();
    assert_eq!(book(&store, &seen_before, &position(0, 3, 4)).await.unwrap(), 0);
    assert_eq!(store.position("usage.events", 0).await.unwrap(), Some(4));
}

async fn invalid_position_is_refused(fixture: Fixture) {
    let store = fixture.store().await;
    for (from, to) in [(-1, 0), (5, 4)] {
        let error = book(&store, &[], &position(0, from, to)).await.unwrap_err();
        assert!(matches!(error, StoreError::Refused(_)), "{error}");
    }
}
