//! The most telling drills in short form: fewer faults, outages of seconds.

use loadtest::drill::{DRILLS, Times};
use tokio::sync::Mutex;

/// Held by the drill that runs: several deployments at once would starve each other.
static TURN: Mutex<()> = Mutex::const_new(());

async fn the_books_balance_after(name: &str, faults: u32) {
    let _turn = TURN.lock().await;
    let drill = DRILLS.iter().find(|drill| drill.name == name).unwrap_or_else(|| panic!("no drill {name}"));
    let outcome = drill.run(faults, Times::SHORT).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(outcome.ok && outcome.received > 0, "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_gateway_loses_no_usage() {
    the_books_balance_after("gateway-kill9", 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_gateways_strand_no_quota_and_overshoot_none() {
    the_books_balance_after("quota-kill9", 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_with_failing_redis_admit_no_more_than_the_bound() {
    the_books_balance_after("limits-fleet", 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_arrive_at_every_gateway() {
    the_books_balance_after("revocation", 14).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reloads_and_an_upgrade_fail_no_request_of_any_protocol() {
    the_books_balance_after("reload-upgrade", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_or_paused_ingester_loses_and_repeats_nothing() {
    the_books_balance_after("ingest-kill9", 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broker_killed_amid_a_batch_loses_nothing() {
    the_books_balance_after("broker-down", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broker_outage_is_caught_up_with_and_no_request_is_refused() {
    the_books_balance_after("outage", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn full_disk_refuses_requests_and_loses_nothing() {
    the_books_balance_after("spool-full", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replayed_topic_changes_nothing() {
    the_books_balance_after("replay", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_servers_fail_no_request_that_may_be_repeated() {
    the_books_balance_after("upstream-faults", 6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_billing_invoices_nobody_twice_and_misses_nobody() {
    the_books_balance_after("billing-kill9", 6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn month_of_many_tenants_is_closed_with_clean_books() {
    the_books_balance_after("close-month", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_collector_and_failing_provider_charge_nobody_twice_and_forget_nobody() {
    the_books_balance_after("payments-kill9", 6).await;
}
