//! Recording usage allocates nothing, once the names of route and meter were seen.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use allocation_counter::measure;
use common::{
    id::{KeyId, TenantId},
    key::Mode,
    time::Micros,
    usage::UsageRecord,
};
use gateway::meter::{Meter, MeterSettings};

fn record() -> UsageRecord {
    UsageRecord {
        at: Micros(1_793_491_200_000_000),
        tenant: TenantId::generate(),
        key: KeyId::generate(),
        route: "search".into(),
        meter: "requests".into(),
        units: 1,
        status: 200,
        billable: true,
        mode: Mode::Live,
        prepaid: false,
    }
}

fn open(directory: &tempfile::TempDir) -> Arc<Meter> {
    Meter::open(MeterSettings::new(directory.path(), "edge-1"), &prometheus::Registry::new()).unwrap()
}

#[test]
fn appending_a_record_allocates_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (meter, record) = (open(&directory), record());
    let first = measure(|| meter.record(&record).unwrap());
    assert!(first.count_total > 0, "new names are kept: the counter counts");
    let later = measure(|| {
        for _ in 0..10_000 {
            assert!(meter.has_room());
            meter.record(&record).unwrap();
        }
    });
    assert_eq!(later.count_total, 0, "{later:?}");
}
