//! What was acknowledged is there after `kill -9`, and what was not is there whole or not at all.

use std::io::{BufRead as _, BufReader, Write as _};

use common::{id::TenantId, store::Store};
use stack::Postgres;

use crate::harness::{NOW, Place, STORE_VARIABLE, batch, on_both_engines, stream, units_of};

on_both_engines!(a_killed_process_loses_nothing_that_was_acknowledged);

const ENTRIES_PER_BATCH: u64 = 20;

async fn a_killed_process_loses_nothing_that_was_acknowledged(place: Place) {
    place.store().await.close().await;
    let mut process = place.helper("survival::book_until_killed").spawn().unwrap();
    let mut acknowledged = 0;
    for line in BufReader::new(process.stdout.take().unwrap()).lines() {
        if let Some(next_seq) = line.unwrap().strip_prefix("acknowledged ") {
            acknowledged = next_seq.parse().unwrap();
        }
        if acknowledged >= 15 * ENTRIES_PER_BATCH {
            process.kill().unwrap();
        }
    }
    process.wait().unwrap();
    assert!(acknowledged >= 15 * ENTRIES_PER_BATCH, "the helper ended early");

    let store = Store::open(&place.url).await.unwrap();
    let tenant = TenantId::from_u128(1);
    let units = units_of(&store, tenant).await;
    assert!(units >= acknowledged, "{units} are left of {acknowledged}");
    assert_eq!(units % ENTRIES_PER_BATCH, 0, "no batch is there in part");
    place.assert_sums_match_records().await;
    // The sender, who does not know what arrived, sends all of it again.
    let again = store.book_usage(&batch(&stream(1), 0, 1_000, tenant), NOW).await.unwrap();
    assert_eq!((again.replayed, again.gap), (units.min(1_000), 0));
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
async fn a_killed_server_loses_nothing_that_was_acknowledged() {
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
