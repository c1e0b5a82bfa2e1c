//! Acknowledged batches survive `kill -9`; any other batch is there as a whole or not at all.

use std::{future::Future as _, io::Write as _, task::Poll};

use common::{id::TenantId, store::Store, usage::booking::Booking};
use servers::{Postgres, Process, eventually};

use crate::{
    fixture::{Fixture, NOW, STORE_VARIABLE, batch, on_both_engines, stream, units_of},
    positions::position,
};

on_both_engines!(
    killed_process_loses_no_acknowledged_usage,
    killed_process_leaves_position_equal_to_books,
    abandoned_booking_leaves_no_trace_in_next,
);

const ENTRIES_PER_BATCH: u64 = 20;

async fn killed_process_loses_no_acknowledged_usage(fixture: Fixture) {
    fixture.store().await.close().await;
    let acknowledged = run_and_kill(&fixture, "booking_survival::book_until_killed", 15 * ENTRIES_PER_BATCH).await;
    let store = Store::open(&fixture.url).await.unwrap();
    let tenant = TenantId::from_u128(1);
    let units = units_of(&store, tenant).await;
    assert!(units >= acknowledged, "{units} are left of {acknowledged}");
    assert_eq!(units % ENTRIES_PER_BATCH, 0, "no batch is there in part");
    fixture.assert_sums_match_records().await;
    // The sender, who does not know what arrived, sends all of it again.
    let again = store.book_usage(&batch(&stream(1), 0, 1_000, tenant), NOW).await.unwrap();
    assert_eq!((again.replayed, again.gap), (units.min(1_000), 0));
}

async fn killed_process_leaves_position_equal_to_books(fixture: Fixture) {
    fixture.store().await.close().await;
    let tenant = TenantId::from_u128(1);
    // Each life goes on where the last one was killed.
    for life in 1..=3 {
        let acknowledged = run_and_kill(&fixture, "booking_survival::book_messages_until_killed", 5 * life).await;
        let store = Store::open(&fixture.url).await.unwrap();
        let next = store.position("usage.events", 0).await.unwrap().unwrap().unsigned_abs();
        assert!(next >= acknowledged, "{acknowledged} messages were acknowledged, {next} are booked");
        assert_eq!(units_of(&store, tenant).await, next * ENTRIES_PER_BATCH);
        let audit = store.reconcile(None).await.unwrap();
        assert!(audit.is_clean(), "{:?}", audit.breaches);
        store.close().await;
    }
}

async fn abandoned_booking_leaves_no_trace_in_next(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = TenantId::from_u128(1);
    let batches: Vec<_> = (1..=5).map(|lane| batch(&stream(lane), 0, 4_000, tenant)).collect();
    // Given up after ever more steps, so in the midst of everything; then the connection serves
    // somebody else.
    for polls in 0..60_i64 {
        let booking = Booking { batches: &batches, ..Booking::default() };
        let mut given_up = Box::pin(store.book_all(&booking, NOW));
        let mut left = polls;
        let outcome = std::future::poll_fn(|context| {
            left -= 1;
            let polled = given_up.as_mut().poll(context);
            if left < 0 && polled.is_pending() { Poll::Ready(None) } else { polled.map(Some) }
        });
        if let Some(done) = outcome.await {
            done.unwrap();
        }
        drop(given_up);
        let other = batch(&stream(100), polls.unsigned_abs() * 3, 3, tenant);
        assert_eq!(store.book_usage(&other, NOW).await.unwrap().booked, 3);
    }
    store.book_all(&Booking { batches: &batches, ..Booking::default() }, NOW).await.unwrap();
    assert_eq!(units_of(&store, tenant).await, 20_000 + 180);
    let audit = store.reconcile(None).await.unwrap();
    assert!(audit.is_clean(), "{:?}", audit.breaches);
}

/// Runs a helper until it has acknowledged so much, kills it, and says how much it has acknowledged
/// in all.
async fn run_and_kill(fixture: &Fixture, helper: &str, enough: u64) -> u64 {
    let mut process = Process::captured("helper", fixture.helper(helper)).unwrap();
    process.start().unwrap();
    let acknowledged = |process: &Process| -> u64 {
        let lines = process.stdout().lines();
        let last = lines.iter().rev().find_map(|line| line.strip_prefix("acknowledged "));
        last.map_or(0, |number| number.parse().unwrap())
    };
    eventually("enough is acknowledged", async || {
        assert_eq!(process.ended().unwrap(), None, "the helper ended early");
        acknowledged(&process) >= enough
    })
    .await;
    process.kill().unwrap();
    acknowledged(&process)
}

#[tokio::test]
#[ignore = "a helper process of other tests"]
async fn book_messages_until_killed() {
    let store = Store::open(&std::env::var(STORE_VARIABLE).unwrap()).await.unwrap();
    let count = usize::try_from(ENTRIES_PER_BATCH).unwrap();
    let mut next = store.position("usage.events", 0).await.unwrap().unwrap_or_default();
    loop {
        // The stream begins anew with each message, so that a message booked twice would show in
        // the sums.
        let batches = [batch(&stream(u128::from(next.unsigned_abs())), 0, count, TenantId::from_u128(1))];
        let step = position(0, next, next + 1);
        let booking = Booking { batches: &batches, position: Some(&step), ..Booking::default() };
        store.book_all(&booking, NOW).await.unwrap();
        next += 1;
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "\nacknowledged {next}").unwrap();
        stdout.flush().unwrap();
    }
}

#[tokio::test]
#[ignore = "a helper process of other tests"]
async fn book_until_killed() {
    let store = Store::open(&std::env::var(STORE_VARIABLE).unwrap()).await.unwrap();
    let mut next_seq = 0;
    loop {
        let next = batch(&stream(1), next_seq, usize::try_from(ENTRIES_PER_BATCH).unwrap(), TenantId::from_u128(1));
        next_seq = store.book_usage(&next, NOW).await.unwrap().next_seq;
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "\nacknowledged {next_seq}").unwrap();
        stdout.flush().unwrap();
    }
}

#[tokio::test]
async fn killed_server_loses_no_acknowledged_usage() {
    let mut server = Postgres::start().unwrap();
    server.create_database("survival").unwrap();
    let (store, _) = Store::open_and_migrate(&server.url("survival")).await.unwrap();
    let tenant = TenantId::from_u128(1);
    store.book_usage(&batch(&stream(1), 0, 100, tenant), NOW).await.unwrap();
    server.kill().unwrap();
    assert!(store.book_usage(&batch(&stream(1), 100, 100, tenant), NOW).await.is_err());
    server.restart().unwrap();
    // The same store goes on: the pool replaces connections that have died.
    let outcome = store.book_usage(&batch(&stream(1), 0, 200, tenant), NOW).await.unwrap();
    assert_eq!((outcome.booked, outcome.replayed), (100, 100));
    assert_eq!(units_of(&store, tenant).await, 200);
}
