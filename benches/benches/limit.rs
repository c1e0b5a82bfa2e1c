//! A caller before four limits, two of its key and two of its tenant: admitted, and denied.
#![expect(clippy::expect_used, reason = "a benchmark of something else than success is worth nothing")]

mod fixture;

use common::plan::{PlanLimits, REQUESTS_METER, RateLimit, RateLimits};
use criterion::{Criterion, criterion_group, criterion_main};
use fixture::{Fixture, NOW};
use gateway::{catalog::Caller, limit::Limiter};

/// More than any benchmark can use up: a plan may not state more.
const PER_MINUTE: u64 = 600_000_000;
const PER_DAY: u64 = 864_000_000_000;

fn limit(criterion: &mut Criterion) {
    let limiter = Limiter::new();
    let mut group = criterion.benchmark_group("limit");

    let served = caller(PER_DAY);
    group.bench_function("admit_four_limits", |bencher| {
        bencher.iter(|| limiter.try_admit(served.request(REQUESTS_METER, 1, NOW)).expect("within all limits"));
    });

    let spent = caller(1);
    limiter.try_admit(spent.request(REQUESTS_METER, 1, NOW)).expect("the first request of the day");
    group.bench_function("deny_four_limits", |bencher| {
        bencher.iter(|| {
            limiter.try_admit(spent.request(REQUESTS_METER, 1, NOW)).err().expect("the second request of the day")
        });
    });
    group.finish();
}

fn caller(tenant_per_day: u64) -> Caller {
    let rates = |per_day: u64| RateLimits {
        per_minute: Some(RateLimit { limit: PER_MINUTE, burst: PER_MINUTE }),
        per_day: Some(RateLimit { limit: per_day, burst: per_day }),
        ..RateLimits::default()
    };
    let limits = PlanLimits { tenant: rates(tenant_per_day), key: rates(PER_DAY), ..PlanLimits::default() };
    let Fixture { authenticator, credentials } = Fixture::new(1, 1, limits);
    authenticator.authenticate(&credentials[0], NOW).map_err(|refusal| refusal.error).expect("a known key")
}

criterion_group!(benches, limit);
criterion_main!(benches);
