//! A usage record is appended to the journal: what each answered request waits for. By one thread,
//! by two that each have a lane of their own, and by two that share one.
#![expect(clippy::expect_used, reason = "a benchmark of something else than success is worth nothing")]

use std::{
    sync::{Arc, Barrier},
    thread,
    time::{Duration, Instant},
};

use common::{
    id::{KeyId, TenantId},
    key::Mode,
    plan::REQUESTS_METER,
    time::Micros,
    usage::UsageRecord,
};
use criterion::{Criterion, criterion_group, criterion_main};
use gateway::meter::{Meter, MeterSettings};

/// Records that each thread appends to one journal: without a sink, a ring fills up and stays full.
const RECORDS_PER_THREAD: u64 = 30_000;

fn record(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("record");
    for (name, threads, lanes) in [("own_lane", 1, 1), ("two_threads_two_lanes", 2, 2), ("two_threads_one_lane", 2, 1)]
    {
        group.bench_function(name, |bencher| bencher.iter_custom(|count| append(count, threads, lanes)));
    }
    group.finish();
}

/// Measures the appending of `count` records by each thread, spread over as many journals as they
/// need.
fn append(count: u64, threads: u32, lanes: u16) -> Duration {
    let mut appending = Duration::ZERO;
    let mut left = count;
    while left > 0 {
        let directory = tempfile::tempdir().expect("a directory");
        let settings = MeterSettings { lanes, ..MeterSettings::new(directory.path(), "bench") };
        let meter = Meter::open(settings, &prometheus::Registry::new()).expect("a new journal");
        let share = left.min(RECORDS_PER_THREAD);
        appending += append_at_once(&meter, share, threads);
        left -= share;
    }
    appending
}

/// The mean time of threads that append `count` records each, all at once.
fn append_at_once(meter: &Arc<Meter>, count: u64, threads: u32) -> Duration {
    let start = Barrier::new(threads as usize);
    let total: Duration = thread::scope(|scope| {
        let append = || {
            let record = sample();
            meter.record(&record).expect("room in the journal");
            start.wait();
            let began = Instant::now();
            for _ in 0..count {
                meter.record(&record).expect("room in the journal");
            }
            began.elapsed()
        };
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(append)).collect();
        running.into_iter().map(|thread| thread.join().expect("a thread that ends")).sum()
    });
    total / threads
}

fn sample() -> UsageRecord {
    UsageRecord {
        at: Micros(1_793_491_200_000_000),
        tenant: TenantId::generate(),
        key: KeyId::generate(),
        route: "search".into(),
        meter: REQUESTS_METER.into(),
        units: 1,
        status: 200,
        billable: true,
        mode: Mode::Live,
        prepaid: false,
    }
}

criterion_group!(benches, record);
criterion_main!(benches);
