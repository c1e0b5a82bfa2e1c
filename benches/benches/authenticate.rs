//! A credential becomes a caller: checksum, keyed hash and look-up among 100,000 keys.
#![expect(clippy::expect_used, reason = "a benchmark of something else than success is worth nothing")]

mod fixture;

use common::{
    key::{Mode, Secret},
    plan::PlanLimits,
};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use fixture::{Fixture, NOW, credential};
use gateway::auth::API_KEY_HEADER;
use http::{HeaderMap, HeaderValue};

const TENANTS: u32 = 1_000;
const KEYS: u32 = 100_000;

/// Requests whose headers the caches hold.
const AT_ONCE: u64 = 32;

fn authenticate(criterion: &mut Criterion) {
    let Fixture { authenticator, credentials } = Fixture::new(TENANTS, KEYS, PlanLimits::default());
    let mut group = criterion.benchmark_group("authenticate");

    // A prime stride visits every key before any again, so that no cache holds the one that comes
    // next. The headers that carry it were just read.
    let mut next = 0;
    group.bench_function("known_key", |bencher| {
        let arrive = || {
            next = (next + 7_919) % credentials.len();
            let value = HeaderValue::from_bytes(credentials[next][API_KEY_HEADER].as_bytes());
            HeaderMap::from_iter([(API_KEY_HEADER, value.expect("letters and digits"))])
        };
        let authenticate = |headers: &mut HeaderMap| {
            authenticator.authenticate(headers, NOW).map_err(|refusal| refusal.error).expect("a known key")
        };
        bencher.iter_batched_ref(arrive, authenticate, BatchSize::NumIterations(AT_ONCE));
    });

    let stranger = credential(&Secret::generate(Mode::Live));
    group.bench_function("unknown_key", |bencher| {
        bencher.iter(|| authenticator.authenticate(&stranger, NOW).err().expect("an unknown key"));
    });

    let mistyped = credential_with_typo();
    group.bench_function("mistyped_key", |bencher| {
        bencher.iter(|| authenticator.authenticate(&mistyped, NOW).err().expect("a wrong checksum"));
    });
    group.finish();
}

fn credential_with_typo() -> http::HeaderMap {
    let secret = Secret::generate(Mode::Live);
    let mut bytes = secret.expose().as_bytes().to_vec();
    bytes[20] = if bytes[20] == b'a' { b'b' } else { b'a' };
    let value = http::HeaderValue::from_bytes(&bytes).expect("letters and digits");
    http::HeaderMap::from_iter([(http::HeaderName::from_static("x-api-key"), value)])
}

criterion_group!(benches, authenticate);
criterion_main!(benches);
