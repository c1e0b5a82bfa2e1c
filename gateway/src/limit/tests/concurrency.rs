//! Pools, routes and concurrency limits, one by one.

use common::plan::{RateLimit, RateLimits};

use super::{mix::route, *};

/// A customer's key and one of the reseller above it, whose plan has a pool.
fn reseller_and_customer(pool: &str) -> (Catalog, [Caller; 2]) {
    let mut rows = Rows::three_levels(NOW);
    rows.subscribe(1, plan("reseller", &format!("limits:\n  pool: {pool}")));
    let hashes = [hash(), hash()];
    rows.add_key(1, hashes[0], Mode::Live);
    rows.add_key(2, hashes[1], Mode::Live);
    let catalog = Catalog::from_rows(rows.into_catalog(), NOW);
    let callers = hashes.map(|hash| {
        let key = catalog.key(&hash).unwrap();
        let Standing::Served(tenant) = catalog.standing(key.tenant) else { panic!("not served") };
        Caller { key, tenant }
    });
    (catalog, callers)
}

#[test]
fn a_pool_is_spent_by_everybody_below_its_reseller() {
    let (_catalog, [reseller, customer]) = reseller_and_customer("{ per_hour: { limit: 1, burst: 3 } }");
    let limiter = Limiter::with_clock(Clock::manual());
    for (caller, left) in [(&customer, 2), (&reseller, 1), (&customer, 0)] {
        limiter.try_admit(caller.request("requests", 1, NOW)).unwrap();
        assert_eq!(remaining(&limiter.states(caller.request("requests", 1, NOW)), "pool-hour"), left);
    }
    for caller in [&reseller, &customer] {
        let denial = limiter.try_admit(caller.request("requests", 1, NOW)).err().unwrap();
        assert_eq!((denial.violated.policy, denial.retry_after_seconds), ("pool-hour", 3_600));
    }
}

#[test]
fn of_two_pools_the_stricter_is_told() {
    let mut rows = Rows::three_levels(NOW);
    rows.subscribe(0, plan("root", "limits:\n  pool: { per_day: 5, per_minute: 4 }"));
    rows.subscribe(1, plan("reseller", "limits:\n  pool: { per_day: 3, per_minute: 9 }"));
    let hash = hash();
    rows.add_key(2, hash, Mode::Live);
    let catalog = Catalog::from_rows(rows.into_catalog(), NOW);
    let key = catalog.key(&hash).unwrap();
    let Standing::Served(tenant) = catalog.standing(key.tenant) else { panic!("not served") };
    let limiter = Limiter::with_clock(Clock::manual());
    let limits = limiter.states((Caller { key, tenant }).request("requests", 1, NOW));
    let told: Vec<_> = limits.iter().map(|limit| (limit.policy, limit.quota)).collect();
    assert_eq!(told, [("pool-day", 3), ("pool-minute", 4)]);
}

#[test]
fn a_route_keeps_its_bucket_when_its_limits_change() {
    let (_catalog, [one, other]) = callers::<2>("", Mode::Live);
    let limiter = Limiter::with_clock(Clock::manual());
    let burst_of = |burst| RateLimits { per_day: Some(RateLimit { limit: 1, burst }), ..RateLimits::default() };
    let before = route(&burst_of(2), &limiter);
    assert!(limiter.try_admit(one.request(&before, 1, NOW)).is_ok());
    assert!(limiter.try_admit(other.request(&before, 1, NOW)).is_ok());
    let denial = limiter.try_admit(one.request(&route(&burst_of(2), &limiter), 1, NOW)).err().unwrap();
    assert_eq!((denial.violated.policy, denial.retry_after_seconds), ("route-day", 86_400));
    assert!(limiter.try_admit(one.request("requests", 1, NOW)).is_ok(), "elsewhere, nothing is limited");
}

#[test]
fn a_slot_is_held_until_the_request_ends_however_it_ends() {
    let (_catalog, [caller]) = callers("limits:\n  key: { concurrent: 2, per_day: 100 }", Mode::Live);
    let limiter = Limiter::with_clock(Clock::manual());
    let answered = limiter.try_admit(caller.request("requests", 1, NOW)).unwrap().settle(1);
    let failed = limiter.try_admit(caller.request("requests", 1, NOW)).unwrap();
    assert_eq!(remaining(&limiter.states(caller.request("requests", 1, NOW)), "key-concurrent"), 0);
    let denial = limiter.try_admit(caller.request("requests", 1, NOW)).err().unwrap();
    assert_eq!((denial.reason, denial.violated.policy), (DenialReason::ConcurrencyLimited, "key-concurrent"));
    assert_eq!(remaining(&denial.limits, "key-day"), 98, "the denial cost nothing of the day");
    drop(failed);
    let next = limiter.try_admit(caller.request("requests", 1, NOW)).unwrap();
    drop(answered);
    let last = limiter.try_admit(caller.request("requests", 1, NOW)).unwrap();
    assert_eq!(remaining(&limiter.states(caller.request("requests", 1, NOW)), "key-concurrent"), 0);
    drop((next, last));
}

#[tokio::test]
async fn a_peek_takes_no_slot_and_sees_that_there_is_none() {
    let (_catalog, [caller]) = callers("limits:\n  tenant: { concurrent: 1 }", Mode::Live);
    let limiter = Limiter::with_clock(Clock::manual());
    for _ in 0..3 {
        assert_eq!(remaining(&limiter.peek(caller.request("requests", 1, NOW)).await.unwrap(), "tenant-concurrent"), 1);
    }
    let held = limiter.try_admit(caller.request("requests", 1, NOW)).unwrap();
    let denial = limiter.peek(caller.request("requests", 1, NOW)).await.err().unwrap();
    assert_eq!(denial.reason, DenialReason::ConcurrencyLimited);
    drop(held);
    assert!(limiter.peek(caller.request("requests", 1, NOW)).await.is_ok());
}

#[test]
fn threads_at_once_never_have_more_under_way_than_the_limit() {
    const MOST: u64 = 3;
    let terms = format!("limits:\n  tenant: {{ concurrent: {MOST} }}\n  key: {{ concurrent: 2 }}");
    let (_catalog, callers) = callers::<2>(&terms, Mode::Live);
    let limiter = Limiter::with_clock(Clock::manual());
    let (under_way, most_seen, start) = (AtomicU64::new(0), AtomicU64::new(0), Barrier::new(8));
    std::thread::scope(|scope| {
        for caller in callers.iter().cycle().take(8) {
            scope.spawn(|| {
                start.wait();
                for _ in 0..2_000 {
                    if let Ok(admission) = limiter.try_admit(caller.request("requests", 1, NOW)) {
                        most_seen.fetch_max(under_way.fetch_add(1, Ordering::AcqRel) + 1, Ordering::AcqRel);
                        std::thread::yield_now();
                        under_way.fetch_sub(1, Ordering::AcqRel);
                        drop(admission);
                    }
                }
            });
        }
    });
    assert!((1..=MOST).contains(&most_seen.into_inner()));
    let left = limiter.states(callers[0].request("requests", 1, NOW));
    assert_eq!((remaining(&left, "tenant-concurrent"), remaining(&left, "key-concurrent")), (MOST, 2));
}
