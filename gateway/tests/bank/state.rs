//! State of shared limits as callers see it: good enough to pace themselves by, and never above the
//! truth.

use std::time::{Duration, Instant};

use common::plan::{RateLimit, RateLimits};
use servers::Redis;
use tokio::time::sleep;

use crate::fixture::{Setup, per_second};

const PER_DAY: u64 = 200_000;

/// As the starter plan has them.
fn second_and_day() -> RateLimits {
    RateLimits { per_day: Some(RateLimit { limit: PER_DAY, burst: PER_DAY }), ..per_second(50, 50) }
}

#[tokio::test]
async fn a_limit_per_day_is_told_nearly_whole_and_the_one_per_second_first() {
    let redis = Redis::start().unwrap();
    let setup = Setup::fresh(&redis.url(), second_and_day());
    let gateways = [setup.start().await, Setup { is_fresh: false, ..setup.clone() }.start().await];
    let (start, mut admitted, mut told) = (Instant::now(), 0_u64, 0);
    for _ in 0..15 {
        for gateway in &gateways {
            admitted += u64::from(gateway.request().await.is_ok());
            let standing = gateway.standing();
            let refilled = PER_DAY as f64 / 86_400.0 * start.elapsed().as_secs_f64();
            let left = (PER_DAY - admitted) as f64 + refilled + 1.0;
            assert!(standing.iter().all(|limit| limit.remaining as f64 <= left), "{standing:?} after {admitted}");
            // On a machine that stood still meanwhile, a limit is not known.
            let [second, day] = &standing[..] else { continue };
            assert_eq!((second.policy, second.quota), ("key-second", 50), "{standing:?}");
            assert!(day.remaining > 0, "{standing:?} after {admitted}");
            told += u64::from(day.remaining > PER_DAY - 1_000);
            // As a client that goes by what it is told.
            sleep(Duration::from_millis(30)).await;
        }
    }
    assert!(told > 0, "the day was never told as it is");
}

#[tokio::test]
async fn no_answer_shows_an_emptiness_that_the_next_draw_would_end() {
    const BURST: u64 = 300;
    let redis = Redis::start().unwrap();
    let gateway = Setup::fresh(&redis.url(), crate::fixture::burst_of(BURST)).start().await;
    let (mut admitted, mut is_empty) = (0, false);
    while gateway.request().await.is_ok() {
        admitted += 1;
        assert!(!is_empty, "it was told that nothing is left before request {admitted}");
        for limit in gateway.standing().iter() {
            assert!(limit.remaining <= BURST - admitted, "{limit:?} after {admitted}");
            is_empty = limit.remaining == 0;
        }
    }
    let denial = gateway.request().await.unwrap_err();
    assert_eq!((denial.violated.policy, denial.violated.remaining), ("key-day", 0));
    assert_eq!((denial.limits[0].policy, denial.limits[0].remaining), ("key-day", 0));
}
