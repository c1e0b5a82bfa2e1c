//! The bound itself, and what clients are told.

use std::{cell::Cell, time::Instant};

use futures_util::future::join_all;
use gateway::limit::Limiter;
use servers::{Redis, eventually};

use crate::fixture::{Gateway, NOW, Setup, burst_of, per_second};

async fn fleet(setup: &Setup, count: usize) -> Vec<Gateway> {
    join_all((0..count).map(|_| setup.start())).await
}

/// Requests admitted by all gateways together while several tasks of each ask at once.
async fn storm(gateways: &[Gateway], seconds: f64) -> u64 {
    const TASKS: usize = 8;
    let all = gateways.iter().flat_map(|gateway| (0..TASKS).map(|_| gateway.storm(seconds)));
    join_all(all).await.into_iter().sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn gateways_at_once_admit_the_burst_and_what_refills() {
    const RATE: u64 = 400;
    const BURST: u64 = 150;
    let redis = Redis::start().unwrap();
    let setup = Setup::fresh(&redis.url(), per_second(RATE, BURST));
    let first = setup.start().await;
    let mut gateways = fleet(&Setup { is_fresh: false, ..setup }, 3).await;
    gateways.push(first);
    let start = Instant::now();
    let admitted = storm(&gateways, 3.0).await;
    let most = BURST as f64 + RATE as f64 * start.elapsed().as_secs_f64();
    assert!(admitted as f64 <= most, "{admitted} of at most {most}");
    assert!(admitted > BURST, "{admitted}: nothing refilled");
    assert!(gateways.iter().all(Gateway::is_shared));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn gateways_use_up_the_burst_and_not_one_more() {
    const BURST: u64 = 1_000;
    let redis = Redis::start().unwrap();
    let setup = Setup::fresh(&redis.url(), burst_of(BURST));
    let gateways = [setup.start().await, Setup { is_fresh: false, ..setup.clone() }.start().await];
    let admitted = Cell::new(0);
    // What one holds and does not use comes back to the other; only a lease that lapses first is
    // lost.
    eventually("most of the burst", async || {
        admitted.set(admitted.get() + storm(&gateways, 0.05).await);
        (admitted.get() >= BURST * 9 / 10).then_some(())
    })
    .await;
    let admitted = admitted.get() + storm(&gateways, 1.0).await;
    assert!(admitted <= BURST, "{admitted}");
}

#[tokio::test]
async fn the_first_request_of_a_cold_limit_is_admitted_and_told_no_more_than_the_truth() {
    const BURST: u64 = 50;
    let redis = Redis::start().unwrap();
    let gateway = Setup::fresh(&redis.url(), burst_of(BURST)).start().await;
    let mut left = BURST;
    for request in 0..BURST {
        match gateway.request().await {
            Ok(told) => {
                left -= 1;
                assert!(told <= left, "request {request}: {told} of {left}");
            }
            Err(denial) => assert!(request > 0, "{denial:?}"),
        }
    }
    assert!(left < BURST / 2, "{left} of {BURST} are left");
    gateway.stop().await;
}

#[tokio::test]
async fn requests_at_once_before_a_cold_limit_are_all_admitted() {
    let redis = Redis::start().unwrap();
    let gateway = Setup::fresh(&redis.url(), burst_of(500)).start().await;
    let requests = join_all((0..400).map(|_| gateway.request())).await;
    assert_eq!(requests.iter().filter(|request| request.is_ok()).count(), 400);
}

#[tokio::test]
async fn a_limit_that_is_lowered_below_what_is_out_grants_nothing_more() {
    let redis = Redis::start().unwrap();
    let high = Setup::fresh(&redis.url(), burst_of(100_000));
    let low = Setup { is_fresh: false, limits: burst_of(10), ..high.clone() };
    let (before, after) = (high.start().await, low.start().await);
    assert!(before.requests(2_000).await > 10);
    let admitted = after.requests(500).await;
    assert!(admitted <= 10, "{admitted}");
    assert!(after.is_shared() && before.is_shared());
}

#[tokio::test]
async fn deciding_allocates_nothing() {
    const REQUESTS: u64 = 1_000;
    let redis = Redis::start().unwrap();
    let gateway = Setup::fresh(&redis.url(), burst_of(1_000_000)).start().await;
    let decide = |limiter: &Limiter| {
        (0..REQUESTS).filter(|_| limiter.try_admit(gateway.caller.request("requests", 1, NOW)).is_ok()).count() as u64
    };
    // The first requests of a limit make its account; as many as come at once are drawn for.
    eventually("enough in hand", async || {
        decide(&gateway.limiter);
        gateway.request().await.ok().filter(|told| *told > 2 * REQUESTS)
    })
    .await;
    for limiter in [&Limiter::new(), &gateway.limiter] {
        let mut admitted = 0;
        let cost = allocation_counter::measure(|| admitted = decide(limiter));
        assert_eq!((admitted, cost.count_total), (REQUESTS, 0), "{cost:?}");
    }
}
