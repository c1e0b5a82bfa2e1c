//! The gateway's whole decision about one request: the headers' credential becomes a caller, and
//! the caller is admitted before four limits, two of its key and two of its tenant. By one key
//! again and again, and by another of 100,000 each time.
#![expect(clippy::expect_used, reason = "a benchmark of something else than success is worth nothing")]

mod fixture;

use common::plan::{PlanLimits, REQUESTS_METER, RateLimit, RateLimits};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use fixture::{Fixture, NOW};
use gateway::{
    auth::{API_KEY_HEADER, Authenticator},
    limit::Limiter,
};
use http::{HeaderMap, HeaderValue};

/// As in the command `gateway`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TENANTS: u32 = 1_000;
const KEYS: u32 = 100_000;

/// More than any benchmark can use up: a plan may not state more.
const PER_MINUTE: u64 = 600_000_000;
const PER_DAY: u64 = 864_000_000_000;

/// Requests whose headers the caches hold.
const AT_ONCE: u64 = 32;

fn decide(criterion: &mut Criterion) {
    let rates = RateLimits {
        per_minute: Some(RateLimit { limit: PER_MINUTE, burst: PER_MINUTE }),
        per_day: Some(RateLimit { limit: PER_DAY, burst: PER_DAY }),
        ..RateLimits::default()
    };
    let limits = PlanLimits { tenant: rates.clone(), key: rates, ..PlanLimits::default() };
    let Fixture { authenticator, credentials } = Fixture::new(TENANTS, KEYS, limits);
    let limiter = Limiter::new();
    let mut group = criterion.benchmark_group("decide");
    // A prime stride visits every key before any again, so that no cache holds the one that comes
    // next.
    for (name, stride) in [("same_key", 0), ("another_key", 7_919)] {
        let mut next = 0;
        group.bench_function(name, |bencher| {
            let arrive = || {
                next = (next + stride) % credentials.len();
                arrived(&credentials[next])
            };
            bencher.iter_batched_ref(
                arrive,
                |headers| admit(&authenticator, &limiter, headers),
                BatchSize::NumIterations(AT_ONCE),
            );
        });
    }
    group.finish();
}

/// Headers that were just read.
fn arrived(credential: &HeaderMap) -> HeaderMap {
    let value = HeaderValue::from_bytes(credential[API_KEY_HEADER].as_bytes()).expect("letters and digits");
    HeaderMap::from_iter([(API_KEY_HEADER, value)])
}

fn admit(authenticator: &Authenticator, limiter: &Limiter, headers: &HeaderMap) {
    let caller = authenticator.authenticate(headers, NOW).map_err(|refusal| refusal.error).expect("a known key");
    drop(limiter.try_admit(caller.request(REQUESTS_METER, 1, NOW)).expect("within all limits"));
}

criterion_group!(benches, decide);
criterion_main!(benches);
