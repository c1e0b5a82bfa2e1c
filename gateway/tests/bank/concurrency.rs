//! Requests under way, of all gateways together.

use std::{
    cell::RefCell,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use common::plan::RateLimits;
use gateway::limit::{Admission, DenialReason};
use servers::{Redis, eventually};

use crate::fixture::{Gateway, Setup};

const LIMIT: usize = 12;

async fn fleet(redis: &Redis, count: usize) -> Vec<Gateway> {
    let limits = RateLimits { concurrent: Some(LIMIT as u64), ..RateLimits::default() };
    let setup = Setup::fresh(&redis.url(), limits);
    let mut gateways = vec![setup.start().await];
    for _ in 1..count {
        gateways.push(Setup { is_fresh: false, ..setup.clone() }.start().await);
    }
    gateways
}

/// Begins requests until as many are under way as may be, as soon as the bank has them.
async fn begin_as_many(gateway: &Gateway) -> Vec<Admission> {
    let in_use = RefCell::new(Vec::new());
    eventually("every slot is taken", async || {
        let begun = gateway.begin_all().await;
        in_use.borrow_mut().extend(begun);
        (in_use.borrow().len() >= LIMIT).then_some(())
    })
    .await;
    let in_use = in_use.into_inner();
    assert_eq!(in_use.len(), LIMIT);
    in_use
}

#[tokio::test]
async fn one_gateway_may_serve_the_whole_limit_and_others_none_beside_it() {
    let redis = Redis::start().unwrap();
    let gateways = fleet(&redis, 3).await;
    let mut in_use = begin_as_many(&gateways[0]).await;
    for gateway in &gateways {
        let denial = gateway.begin().await.err().unwrap();
        assert_eq!((denial.reason, denial.violated.policy), (DenialReason::ConcurrencyLimited, "key-concurrent"));
    }
    in_use.truncate(LIMIT - 2);
    // What the first does not need comes back to whoever asks.
    let _elsewhere = eventually("a slot elsewhere", async || gateways[1].begin().await.ok()).await;
    assert_eq!(gateways[1].standing()[0].quota, LIMIT as u64);
    assert!(gateways.iter().all(Gateway::is_shared));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn gateways_at_once_never_serve_more_than_the_limit() {
    const TASKS: usize = 8;
    const REQUESTS: usize = 150;
    let redis = Redis::start().unwrap();
    let (in_use, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut tasks = tokio::task::JoinSet::new();
    for gateway in fleet(&redis, 3).await.into_iter().map(Arc::new) {
        for _ in 0..TASKS {
            let (gateway, in_use, most) = (Arc::clone(&gateway), Arc::clone(&in_use), Arc::clone(&most));
            tasks.spawn(async move {
                let mut served = 0;
                for _ in 0..REQUESTS {
                    if let Ok(admission) = gateway.begin().await {
                        most.fetch_max(in_use.fetch_add(1, Ordering::AcqRel) + 1, Ordering::AcqRel);
                        tokio::time::sleep(Duration::from_millis(3)).await;
                        in_use.fetch_sub(1, Ordering::AcqRel);
                        drop(admission);
                        served += 1;
                    } else {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                }
                assert!(gateway.is_shared(), "the bank went away: {:?}", gateway.bank.report());
                served
            });
        }
    }
    let served: usize = tasks.join_all().await.into_iter().sum();
    assert!(served > LIMIT, "{served}");
    assert!(most.load(Ordering::Acquire) <= LIMIT, "{most:?} at once");
}

#[tokio::test]
async fn permits_of_a_dead_gateway_are_free_after_its_lease() {
    let redis = Redis::start().unwrap();
    let mut gateways = fleet(&redis, 2).await;
    let survivor = gateways.pop().unwrap();
    let gone = gateways.pop().unwrap();
    let in_use = begin_as_many(&gone).await;
    assert!(survivor.begin().await.is_err());
    // Its process is gone: nobody reports any more, and nothing is given back.
    gone.crash();
    assert_eq!(begin_as_many(&survivor).await.len(), LIMIT);
    std::mem::forget(in_use);
}

#[tokio::test]
async fn gateways_without_the_bank_serve_their_shares_and_the_surplus_drains() {
    let redis = Redis::start().unwrap();
    let gateways = fleet(&redis, 2).await;
    let mut first = begin_as_many(&gateways[0]).await;
    for gateway in &gateways {
        eventually("the gateways know of each other", async || gateway.bank.report().gateways == 2).await;
    }
    redis.pause().unwrap();
    for gateway in &gateways {
        eventually("the outage is noticed", async || !gateway.is_shared()).await;
    }
    let second = gateways[1].begin_all().await;
    assert_eq!(second.len(), LIMIT / 2, "its part of the limit");
    redis.resume().unwrap();
    for gateway in &gateways {
        eventually("the bank is back", async || gateway.is_shared()).await;
    }
    // Both keep what they serve, and nobody begins more before it is below the limit.
    first.truncate(LIMIT / 2 + 1);
    assert!(gateways[1].begin().await.is_err());
    first.truncate(LIMIT / 2 - 2);
    let next = eventually("there is room again", async || gateways[1].begin().await.ok()).await;
    drop((first, second, next));
}
