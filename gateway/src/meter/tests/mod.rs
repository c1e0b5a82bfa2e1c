//! From the meter to a sink that misbehaves: every record arrives, in order, and is freed by its
//! receipt only.

mod delivery;
mod ends;
mod full;
mod http;
mod kafka;
mod refusals;

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::Mutex,
};

use common::{
    key::Mode,
    usage::{UsageBatch, UsageEntry},
};
use prometheus::Registry;
use rand::RngExt as _;
use servers::eventually;
use tokio::task::JoinHandle;

use super::*;
use crate::lock::locked;

/// Lives of which there is a directory.
fn journals(directory: &Path) -> usize {
    let names = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_str().is_some_and(|name| name.contains('@'))).count()
}

/// Books like the real one: once per stream and number.
#[derive(Default)]
struct Books {
    booked: Mutex<HashMap<StreamId, BTreeMap<u64, UsageEntry>>>,
    /// Numbers in the order in which they first came, per stream.
    order: Mutex<HashMap<StreamId, Vec<u64>>>,
}

impl Books {
    fn book(&self, batch: &UsageBatch) -> u64 {
        let (mut booked, mut order) = (locked(&self.booked), locked(&self.order));
        let stream = booked.entry(batch.stream.clone()).or_default();
        let order = order.entry(batch.stream.clone()).or_default();
        for (seq, entry) in (batch.first_seq..).zip(&batch.entries) {
            let before = stream.insert(seq, entry.clone());
            assert!(before.as_ref().is_none_or(|before| before == entry), "number {seq} changed its content");
            if before.is_none() {
                order.push(seq);
            }
        }
        stream.last_key_value().map_or(0, |(last, _)| last + 1)
    }

    /// Entries, but for those that say that a stream has ended.
    fn count(&self) -> usize {
        locked(&self.booked).values().flat_map(BTreeMap::values).filter(|entry| **entry != UsageEntry::End).count()
    }

    /// Units of all requests, in order.
    fn units(&self) -> Vec<u64> {
        let units = |entry: &UsageEntry| match entry {
            UsageEntry::Request(record) => Some(record.units),
            _ => None,
        };
        let mut all: Vec<_> =
            locked(&self.booked).values().flat_map(|stream| stream.values().filter_map(units)).collect();
        all.sort_unstable();
        all
    }

    fn assert_in_order(&self) {
        for (stream, order) in &*locked(&self.order) {
            assert!(order.is_sorted(), "{stream} arrived out of order");
        }
    }
}

/// A sink that fails, books without a receipt, or is slow, at random; or is away altogether.
struct Unreliable {
    books: Books,
    away: watch::Sender<bool>,
    misbehaves: bool,
}

impl Unreliable {
    fn new(misbehaves: bool) -> Arc<Self> {
        Arc::new(Self { books: Books::default(), away: watch::Sender::new(false), misbehaves })
    }
}

#[async_trait::async_trait]
impl UsageSink for Unreliable {
    async fn deliver(&self, batch: &UsageBatch) -> Result<u64, SinkError> {
        let away = || Err(SinkError::Away("no".into()));
        if *self.away.borrow() {
            return away();
        }
        let mood = rand::rng().random_range(0..if self.misbehaves { 6 } else { 1 });
        match mood {
            1 => away(),
            2 => Err(SinkError::Refused { status: 422, reason: "no".into() }),
            3 => {
                // Booked, but nobody is told.
                self.books.book(batch);
                away()
            }
            4 => {
                tokio::task::yield_now().await;
                // Half of it.
                let half = batch.entries.len().div_ceil(2);
                Ok(self.books.book(&UsageBatch { entries: batch.entries[..half].to_vec(), ..batch.clone() }))
            }
            _ => Ok(self.books.book(batch)),
        }
    }
}

struct Running {
    meter: Arc<Meter>,
    registry: Registry,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

fn settings(directory: &Path) -> MeterSettings {
    MeterSettings {
        batch_entries: 20,
        shutdown_deadline: Duration::from_mins(1),
        ..MeterSettings::new(directory, "edge-1")
    }
}

fn start(settings: MeterSettings, sink: Arc<dyn UsageSink>) -> Running {
    let registry = Registry::new();
    let meter = Meter::open(settings, &registry).unwrap();
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(Arc::clone(&meter).run(sink, stopped));
    Running { meter, registry, stop, task }
}

impl Running {
    async fn stop(self) {
        self.stop.send_replace(true);
        self.task.await.unwrap();
    }

    fn metric(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name).unwrap_or_else(|| panic!("no metric {name}"));
        family.get_metric().iter().map(|metric| metric.get_counter().get_value() + metric.get_gauge().get_value()).sum()
    }
}

fn record(units: u64) -> UsageRecord {
    UsageRecord {
        at: SystemClock.now(),
        tenant: TenantId::from_u128(7),
        key: KeyId::from_u128(8),
        route: "search".into(),
        meter: "requests".into(),
        units,
        status: 200,
        billable: true,
        mode: Mode::Live,
        prepaid: false,
    }
}
