//! The most telling drills in short form: fewer faults, outages of seconds.

use loadtest::drill::{DRILLS, Times};
use tokio::sync::Mutex;

/// Held by the drill that runs: several houses at once would starve each other.
static TURN: Mutex<()> = Mutex::const_new(());

async fn the_books_balance_after(name: &str, faults: u32) {
    let _turn = TURN.lock().await;
    let drill = DRILLS.iter().find(|drill| drill.name == name).unwrap_or_else(|| panic!("no drill {name}"));
    let outcome = drill.run(faults, Times::SHORT).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(outcome.ok && outcome.received > 0, "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_killed_loses_nothing() {
    the_books_balance_after("gateway-kill9", 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_that_are_killed_strand_no_quota_and_overshoot_none() {
    the_books_balance_after("quota-kill9", 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_whose_redis_fails_admit_no_more_than_stated() {
    the_books_balance_after("limits-fleet", 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_arrive_at_every_gateway() {
    the_books_balance_after("revocation", 14).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingester_that_is_killed_or_sleeps_loses_and_repeats_nothing() {
    the_books_balance_after("ingest-kill9", 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_killed_amid_a_batch_loses_nothing() {
    the_books_balance_after("broker-down", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_caught_up_with_and_nothing_is_refused() {
    the_books_balance_after("outage", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_requests_and_loses_nothing() {
    the_books_balance_after("spool-full", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_read_again_changes_nothing() {
    the_books_balance_after("replay", 1).await;
}
