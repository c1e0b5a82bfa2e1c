//! Measures the CPU time of bringing usage from the journal to Kafka: of all threads, per record,
//! without the appending.
//!
//! `cargo run --release -p gateway --example drain_cost [records]` starts a real broker, appends
//! records at a steady pace from two threads with a lane each, as a gateway with two workers does,
//! and waits until the last of them is acknowledged. Build it on its own: the broker needs
//! `scripts/install.sh build test` once.
#![expect(clippy::print_stdout, reason = "the figures are for whoever started it")]

use std::{
    error::Error,
    fs,
    sync::Arc,
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
use gateway::meter::{KafkaSettings, KafkaSink, Meter, MeterSettings, UsageSink};
use servers::Kafka;
use tokio::sync::watch;

const RECORDS: u64 = 2_000_000;

const LANES: u16 = 2;

/// Records that a thread appends in one go, and the pause after it: 50,000 a second by each.
const PORTION: u64 = 500;
const PAUSE: Duration = Duration::from_millis(10);

fn main() -> Result<(), Box<dyn Error>> {
    let records = std::env::args().nth(1).map_or(Ok(RECORDS), |text| text.parse())?;
    let kafka = Kafka::start()?;
    kafka.create_topic("usage.events", 2)?;
    let directory = tempfile::tempdir()?;
    let settings = MeterSettings { lanes: LANES, ..MeterSettings::new(directory.path(), "cost") };
    let registry = prometheus::Registry::new();
    let meter = Meter::open(settings, &registry)?;
    let sink = Arc::new(KafkaSink::new(KafkaSettings {
        brokers: kafka.bootstrap(),
        topic: "usage.events".to_owned(),
        create_topic: None,
        properties: [].into(),
    })?);
    let background = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let (stop, stopped) = watch::channel(false);
    background.spawn(Arc::clone(&sink).find_topic(stopped.clone()));
    let draining = background.spawn(Arc::clone(&meter).run(sink as Arc<dyn UsageSink>, stopped));

    // Connections, topic and first batches do not count.
    append(&meter, 20_000);
    wait_until_drained(&registry);
    let (before, began) = (cpu_seconds("/proc/self/stat")?, Instant::now());
    let appending = append(&meter, records / u64::from(LANES));
    wait_until_drained(&registry);
    let (spent, elapsed) = (cpu_seconds("/proc/self/stat")? - before, began.elapsed().as_secs_f64());
    let drain = spent - appending;
    println!(
        "{records} records in {elapsed:.1} s ({:.0}/s): {:.3} us of CPU per record to drain, {:.3} us to append",
        records as f64 / elapsed,
        drain * 1e6 / records as f64,
        appending * 1e6 / records as f64,
    );
    let _ = stop.send(true);
    background.block_on(draining)?;
    Ok(())
}

/// Appends `count` records in each lane; the CPU seconds that this took.
fn append(meter: &Arc<Meter>, count: u64) -> f64 {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..LANES).map(|_| scope.spawn(|| append_steadily(meter, count))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_default()).sum()
    })
}

fn append_steadily(meter: &Meter, count: u64) -> f64 {
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
        prepaid: false,
    };
    let mut left = count;
    while left > 0 {
        let portion = left.min(PORTION);
        let appended = (0..portion).take_while(|_| meter.record(&record).is_ok()).count();
        left -= appended as u64;
        thread::sleep(PAUSE);
    }
    cpu_seconds("/proc/thread-self/stat").unwrap_or_default()
}

fn wait_until_drained(registry: &prometheus::Registry) {
    let waiting = || {
        let families = registry.gather();
        let entries = families.iter().find(|family| family.name() == "tollgate_journal_entries");
        entries.and_then(|family| family.get_metric().first()).map(|metric| metric.get_gauge().get_value())
    };
    // The gauge follows four times a second: once what was appended has been seen, it says zero
    // only when it is.
    thread::sleep(Duration::from_secs(1));
    while waiting().is_some_and(|entries| entries > 0.0) {
        thread::sleep(Duration::from_millis(50));
    }
}

/// User and system time of a process or thread, from its line in /proc, whose ticks are hundredths
/// of a second.
fn cpu_seconds(file: &str) -> Result<f64, Box<dyn Error>> {
    let line = fs::read_to_string(file)?;
    let (_, fields) = line.rsplit_once(") ").ok_or("a line of another form")?;
    let ticks = |index: usize| fields.split(' ').nth(index).ok_or("a short line")?.parse::<f64>().map_err(Box::from);
    let (user, system): (f64, Result<f64, Box<dyn Error>>) = (ticks(11)?, ticks(12));
    Ok((user + system?) / 100.0)
}
