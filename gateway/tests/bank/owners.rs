//! Limits that many callers share: a pool of a tenant and everybody below it, and a route.

use std::cell::Cell;

use common::plan::RateLimits;
use gateway::{catalog::Caller, limit::Destination};
use servers::{Redis, eventually};

use crate::fixture::{Gateway, NOW, Setup, burst_of};

const BURST: u64 = 60;

async fn two(setup: Setup) -> [Gateway; 2] {
    [setup.start().await, Setup { is_fresh: false, ..setup }.start().await]
}

/// Requests admitted of 20. A cold limit may refuse some: tokens of one gateway are out of reach
/// for another.
async fn ask(gateway: &Gateway, caller: &Caller, to: Destination<'_>) -> u64 {
    let mut admitted = 0;
    for _ in 0..20 {
        admitted += u64::from(gateway.limiter.admit(caller.request(to, 1, NOW)).await.is_ok());
    }
    admitted
}

/// Asks until most of the burst is spent, and on: how many are admitted in all.
async fn spend(attempt: impl AsyncFn() -> u64) -> u64 {
    let admitted = Cell::new(0);
    let ask = async || admitted.set(admitted.get() + attempt().await);
    eventually("most of the burst is spent", async || {
        ask().await;
        (admitted.get() >= BURST * 9 / 10).then_some(())
    })
    .await;
    for _ in 0..10 {
        ask().await;
    }
    admitted.get()
}

#[tokio::test]
async fn a_pool_is_spent_by_everybody_below_at_every_gateway() {
    let redis = Redis::start().unwrap();
    let setup = Setup { pool: burst_of(BURST), ..Setup::fresh(&redis.url(), RateLimits::default()) };
    let [one, other] = two(setup).await;
    let admitted = spend(async || {
        ask(&one, &one.caller, "requests".into()).await + ask(&other, &other.customer, "requests".into()).await
    });
    assert!(admitted.await <= BURST);
    let denial = other.limiter.admit(other.caller.request("requests", 1, NOW)).await.err().unwrap();
    assert_eq!(denial.violated.policy, "pool-day");
}

#[tokio::test]
async fn a_route_is_shared_by_all_callers_at_every_gateway() {
    let redis = Redis::start().unwrap();
    let limits = "{ per_day: { limit: 1, burst: 60 } }";
    let setup = Setup { route: limits, ..Setup::fresh(&redis.url(), RateLimits::default()) };
    let [one, other] = two(setup).await;
    let admitted = spend(async || {
        ask(&one, &one.caller, (&*one.route).into()).await + ask(&other, &other.customer, (&*other.route).into()).await
    });
    assert!(admitted.await <= BURST);
    let denial = one.limiter.admit(one.caller.request(&*one.route, 1, NOW)).await.err().unwrap();
    assert_eq!(denial.violated.policy, "route-day");
    assert!(one.limiter.admit(one.caller.request("requests", 1, NOW)).await.is_ok(), "elsewhere, nothing is limited");
}
