//! All limits of a request together: all or nothing.

mod concurrency;
mod mix;

use std::sync::{
    Barrier,
    atomic::{AtomicU64, Ordering},
};

use common::{
    key::{KeyHash, Mode, Pepper, Secret},
    time::Micros,
};
use proptest::prelude::*;

use super::*;
use crate::catalog::{
    Caller, Catalog, Standing,
    fixture::{Rows, plan},
};

const NOW: Micros = Micros(1_800_000_000_000_000);

fn hash() -> KeyHash {
    Pepper::new(b"a pepper for tests").unwrap().hash(&Secret::generate(Mode::Live))
}

/// Callers with keys of their own, of one tenant whose plan has these terms.
fn callers<const N: usize>(terms: &str, mode: Mode) -> (Catalog, [Caller; N]) {
    let mut rows = Rows::three_levels(NOW).with_plan(plan("test", terms));
    let hashes: [KeyHash; N] = std::array::from_fn(|_| hash());
    for hash in hashes {
        rows.add_key(2, hash, mode);
    }
    let catalog = Catalog::from_rows(rows.into_catalog(), NOW);
    let callers = hashes.map(|hash| {
        let key = catalog.key(&hash).unwrap();
        let Standing::Served(tenant) = catalog.standing(key.tenant) else { panic!("not served") };
        Caller { key, tenant }
    });
    (catalog, callers)
}

fn remaining(limits: &[LimitState], policy: &str) -> u64 {
    limits.iter().find(|limit| limit.policy == policy).expect("a limit of this name").remaining
}

#[test]
fn every_limit_of_key_and_tenant_is_named_and_counted() {
    let terms = "limits:\n  tenant: { per_second: 9, per_minute: 8, per_day: 7 }\n  key: { per_second: 6, per_minute: 5, per_day: 4 }";
    let (_catalog, [caller]) = callers(terms, Mode::Live);
    let limiter = Limiter::with_clock(Clock::manual());
    limiter.try_admit(caller.request("requests", 1, NOW)).unwrap();
    let limits = limiter.states(caller.request("requests", 1, NOW));
    let states: Vec<_> =
        limits.iter().map(|limit| (limit.policy, limit.quota, limit.window_seconds, limit.remaining)).collect();
    assert_eq!(
        states,
        [
            ("key-day", 4, 86_400, 3),
            ("key-minute", 5, 60, 4),
            ("key-second", 6, 1, 5),
            ("tenant-day", 7, 86_400, 6),
            ("tenant-minute", 8, 60, 7),
            ("tenant-second", 9, 1, 8),
        ]
    );
}

#[test]
fn a_plan_without_limits_admits() {
    let (_catalog, [caller]) = callers("", Mode::Live);
    let limiter = Limiter::new();
    limiter.try_admit(caller.request("requests", 1, NOW)).unwrap();
    assert!(limiter.states(caller.request("requests", 1, NOW)).is_empty());
}

#[test]
fn a_denial_names_the_limit_and_when_to_come_back() {
    let terms = "limits:\n  tenant: { per_minute: { limit: 6, burst: 2 } }\n  key: { per_second: 100 }";
    let (_catalog, [caller]) = callers(terms, Mode::Live);
    let clock = Clock::manual();
    let limiter = Limiter::with_clock(clock.clone());
    for _ in 0..2 {
        limiter.try_admit(caller.request("requests", 1, NOW)).unwrap();
    }
    let denial = limiter.try_admit(caller.request("requests", 1, NOW)).err().unwrap();
    assert_eq!(denial.reason, DenialReason::RateLimited);
    assert_eq!((denial.violated.policy, denial.violated.remaining), ("tenant-minute", 0));
    assert_eq!(denial.retry_after_seconds, 10);
    clock.advance(Duration::from_secs(denial.retry_after_seconds));
    assert!(limiter.try_admit(caller.request("requests", 1, NOW)).is_ok());
}

#[test]
fn one_keys_burst_leaves_the_other_keys_their_own() {
    let (_catalog, [one, other]) = callers("limits:\n  key: { per_second: 3 }", Mode::Live);
    let limiter = Limiter::with_clock(Clock::manual());
    for _ in 0..3 {
        limiter.try_admit(one.request("requests", 1, NOW)).unwrap();
    }
    assert!(limiter.try_admit(one.request("requests", 1, NOW)).is_err());
    limiter.try_admit(other.request("requests", 1, NOW)).unwrap();
    assert_eq!(remaining(&limiter.states(other.request("requests", 1, NOW)), "key-second"), 2);
}

proptest! {
    #[test]
    fn a_denial_consumes_nothing_of_any_limit(
        key in 1_u64..6,
        tenant in 1_u64..12,
        steps in prop::collection::vec((0_usize..2, 0_u64..400), 1..80),
    ) {
        let terms = format!("limits:\n  tenant: {{ per_second: {tenant}, per_day: 30 }}\n  key: {{ per_second: {key} }}");
        let (_catalog, callers) = callers::<2>(&terms, Mode::Live);
        let clock = Clock::manual();
        let limiter = Limiter::with_clock(clock.clone());
        for (who, pause) in steps {
            clock.advance(Duration::from_millis(pause));
            if let Err(denial) = limiter.try_admit(callers[who].request("requests", 1, NOW)) {
                prop_assert!(denial.retry_after_seconds >= 1);
                prop_assert!(denial.limits.iter().any(|limit| limit.remaining == 0));
                let again = limiter.try_admit(callers[who].request("requests", 1, NOW)).err();
                prop_assert_eq!(again, Some(denial), "the denial changed something");
            }
        }
    }
}

/// Asks with two keys from many threads for far more than there is. Returns the number of admitted
/// requests, and the state of each limit after it.
fn storm(terms: &str) -> (u64, [Vec<LimitState>; 2]) {
    const THREADS: usize = 4;
    let (_catalog, callers) = callers::<2>(terms, Mode::Live);
    // Time stands still: what is admitted is the burst, exactly.
    let limiter = Limiter::with_clock(Clock::manual());
    let (admitted, start) = (AtomicU64::new(0), Barrier::new(THREADS * callers.len()));
    std::thread::scope(|scope| {
        for caller in &callers {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    start.wait();
                    for _ in 0..1_000 {
                        if limiter.try_admit(caller.request("requests", 1, NOW)).is_ok() {
                            admitted.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        }
    });
    let left =
        callers.each_ref().map(|caller| limiter.try_admit(caller.request("requests", 1, NOW)).err().unwrap().limits);
    (admitted.into_inner(), left)
}

#[test]
fn threads_at_once_get_the_burst_of_their_keys_and_denials_cost_the_tenant_nothing() {
    let terms = "limits:
  tenant: { per_day: { limit: 1, burst: 3000 } }
  key: { per_day: { limit: 1, burst: 1000 } }";
    let (admitted, left) = storm(terms);
    assert_eq!(admitted, 2_000);
    assert_eq!(left.map(|limits| remaining(&limits, "tenant-day")), [1_000, 1_000]);
}

#[test]
fn threads_at_once_get_the_burst_of_their_tenant_and_denials_cost_the_keys_nothing() {
    let terms = "limits:
  tenant: { per_day: { limit: 1, burst: 1000 } }
  key: { per_day: { limit: 1, burst: 3000 } }";
    let (admitted, left) = storm(terms);
    assert_eq!(admitted, 1_000);
    assert_eq!(left.map(|limits| remaining(&limits, "key-day")).iter().sum::<u64>(), 5_000);
}
