//! A usage record is appended to the journal on disk: what each answered request waits for.
#![expect(clippy::expect_used, reason = "a benchmark of something else than success is worth nothing")]

use std::{
    sync::Arc,
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

/// Records of one journal, far below its budget: without a sink, it only grows.
const JOURNAL_RECORDS: u64 = 500_000;

fn record(criterion: &mut Criterion) {
    let record = UsageRecord {
        at: Micros(1_793_491_200_000_000),
        tenant: TenantId::generate(),
        key: KeyId::generate(),
        route: "search".into(),
        meter: REQUESTS_METER.into(),
        units: 1,
        status: 200,
        billable: true,
        mode: Mode::Live,
    };
    let mut group = criterion.benchmark_group("record");
    group.bench_function("append", |bencher| bencher.iter_custom(|count| append(&record, count)));
    group.finish();
}

/// Appends `count` records to as many journals as they take; only appending counts.
fn append(record: &UsageRecord, count: u64) -> Duration {
    let mut appending = Duration::ZERO;
    let mut left = count;
    while left > 0 {
        let directory = tempfile::tempdir().expect("a directory");
        let meter = open(&directory);
        let share = left.min(JOURNAL_RECORDS);
        let start = Instant::now();
        for _ in 0..share {
            meter.record(record).expect("room in the journal");
        }
        appending += start.elapsed();
        left -= share;
    }
    appending
}

fn open(directory: &tempfile::TempDir) -> Arc<Meter> {
    let settings = MeterSettings::new(directory.path(), "bench");
    Meter::open(settings, &prometheus::Registry::new()).expect("a new journal")
}

criterion_group!(benches, record);
criterion_main!(benches);
