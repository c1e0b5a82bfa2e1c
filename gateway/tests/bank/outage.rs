//! A bank that is away: everybody admits their part, and nobody waits.

use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use servers::{Redis, RedisOptions, eventually};

use crate::fixture::{Gateway, Setup, burst_of, per_second};

/// Requests admitted of `times`; none of them may wait for anything.
fn requests_without_waiting(gateway: &Gateway, times: u32) -> u64 {
    let admitted = |_| {
        let Some(outcome) = gateway.request().now_or_never() else { panic!("the request waits") };
        u64::from(outcome.is_ok())
    };
    (0..times).map(admitted).sum()
}

#[tokio::test]
async fn nobody_waits_for_a_halted_bank_and_it_comes_back() {
    const BURST: u64 = 200;
    let redis = Redis::start().unwrap();
    let gateway = Setup::fresh(&redis.url(), burst_of(BURST)).start().await;
    let mut admitted = gateway.requests(20).await;
    redis.pause().unwrap();
    // At most one time-out, for those who come before it is noticed.
    admitted += eventually("the outage is noticed", async || {
        let admitted = gateway.requests(1).await;
        (!gateway.is_shared()).then_some(admitted)
    })
    .await;
    let alone = requests_without_waiting(&gateway, 100);
    assert!(alone > 0);
    admitted += alone;
    redis.resume().unwrap();
    eventually("the bank is back", async || gateway.is_shared()).await;
    admitted += gateway.requests(1_000).await;
    assert!(admitted <= BURST, "{admitted}");
}

#[tokio::test]
async fn gateways_alone_admit_their_parts_and_owe_them() {
    const RATE: u64 = 200;
    const BURST: u64 = 400;
    let mut redis = Redis::start().unwrap();
    let mut setup = Setup::fresh(&redis.url(), per_second(RATE, BURST));
    // A call that a busy machine holds up counts as cut off, which is another case with a bound of
    // its own.
    setup.settings.timeout = Duration::from_secs(5);
    let start = Instant::now();
    let gateways = [setup.start().await, Setup { is_fresh: false, ..setup.clone() }.start().await];
    let mut admitted = 0;
    for gateway in &gateways {
        admitted += gateway.requests(50).await;
    }
    // Each has seen the other by its next heartbeat.
    for gateway in &gateways {
        eventually("the gateways know of each other", async || gateway.bank.report().gateways == 2).await;
    }
    redis.kill().unwrap();
    for gateway in &gateways {
        eventually("the outage is noticed", async || !gateway.is_shared()).await;
    }
    for gateway in &gateways {
        admitted += requests_without_waiting(gateway, 1_000);
    }
    let returned = Instant::now();
    redis.restart().unwrap();
    for gateway in &gateways {
        eventually("the bank is back", async || gateway.is_shared()).await;
    }
    let unnoticed = returned.elapsed();
    for gateway in &gateways {
        admitted += gateway.requests(1_000).await;
    }
    // A gateway reckons with what was left when it last looked: the other may have taken what it
    // took in the beginning. Until it notices that the bank is back, it spends its share of the rate
    // beside the bank (docs/limits.md).
    let most = (BURST + 50) as f64 + RATE as f64 * (start.elapsed() + unnoticed).as_secs_f64();
    assert!(admitted as f64 <= most, "{admitted} of at most {most}");
}

#[tokio::test]
async fn without_a_bank_a_start_goes_on_alone() {
    let mut redis = Redis::start().unwrap();
    redis.kill().unwrap();
    let mut setup = Setup::fresh(&redis.url(), burst_of(90));
    setup.settings.gateways = 3;
    let gateway = setup.start().await;
    assert!(gateway.bank.report().problem.unwrap().contains("cannot be reached"));
    assert_eq!(requests_without_waiting(&gateway, 100), 30);
}

#[tokio::test]
async fn a_wrong_password_is_told_and_the_gateway_goes_on_alone() {
    let redis = Redis::start_with(RedisOptions { password: Some("right".into()), ..RedisOptions::default() }).unwrap();
    for url in [redis.url().replace("right", "wrong"), redis.url().replace(":right@", "")] {
        let gateway = Setup::fresh(&url, burst_of(10)).start().await;
        let problem = gateway.bank.report().problem.unwrap();
        assert!(problem.contains("refuses the user or password") && !problem.contains("wrong@"), "{problem}");
        assert_eq!(requests_without_waiting(&gateway, 20), 10);
    }
    let gateway = Setup::fresh(&redis.url(), burst_of(10)).start().await;
    assert!(gateway.is_shared());
}

#[tokio::test]
async fn what_is_no_redis_is_told_and_the_gateway_goes_on_alone() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let answer = b"HTTP/1.1 400 Bad Request\r\n\r\n";
            tokio::io::AsyncWriteExt::write_all(&mut client, answer).await.ok();
        }
    });
    let gateway = Setup::fresh(&url, burst_of(10)).start().await;
    assert!(gateway.bank.report().problem.is_some());
    assert_eq!(requests_without_waiting(&gateway, 20), 10);
    server.abort();
}
