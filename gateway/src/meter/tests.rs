//! From the meter to a sink that misbehaves: every record arrives, in order, and is freed by its receipt only.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::Mutex,
};

use common::{
    key::{Mode, Pepper},
    time::Micros,
    usage::{BATCH_PATH, UsageBatch, UsageEntry},
};
use prometheus::Registry;
use rand::RngExt as _;
use tokio::task::JoinHandle;

use super::*;
use crate::lock::locked;

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

    fn count(&self) -> usize {
        locked(&self.booked).values().map(BTreeMap::len).sum()
    }

    /// Units of all requests, in order.
    fn units(&self) -> Vec<u64> {
        let units = |entry: &UsageEntry| match entry {
            UsageEntry::Request(record) => Some(record.units),
            UsageEntry::Refusals(_) | UsageEntry::Void => None,
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
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waited = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), waited).await.unwrap_or_else(|_| panic!("never: {what}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_record_arrives_once_and_in_order_however_the_sink_behaves() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Unreliable::new(true);
    let running = start(settings(directory.path()), Arc::clone(&sink) as _);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let meter = &running.meter;
            scope.spawn(move || {
                for number in 0..250 {
                    meter.record(&record(thread * 250 + number)).unwrap();
                }
            });
        }
    });
    until("everything booked", || sink.books.count() == 1_000).await;
    running.stop().await;
    assert_eq!(sink.books.units(), (0..1_000).collect::<Vec<_>>());
    sink.books.assert_in_order();
}

#[tokio::test]
async fn while_the_sink_is_away_records_wait_and_metrics_say_so() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Unreliable::new(false);
    sink.away.send_replace(true);
    let running = start(settings(directory.path()), Arc::clone(&sink) as _);
    for number in 0..100 {
        running.meter.record(&record(number)).unwrap();
    }
    until("attempts", || running.metric("tollgate_sink_failures_total") >= 2.0).await;
    until("the backlog", || running.metric("tollgate_journal_entries") >= 100.0).await;
    until("its age", || running.metric("tollgate_journal_oldest_seconds") > 0.0).await;
    assert!(running.metric("tollgate_journal_bytes") >= 100.0 * 128.0);
    sink.away.send_replace(false);
    until("delivery", || sink.books.count() == 100).await;
    until("an empty backlog", || running.metric("tollgate_journal_entries") < 1.0).await;
    until("counters", || {
        running.metric("tollgate_journal_appended_total") >= 100.0
            && running.metric("tollgate_journal_acknowledged_total") >= 100.0
    })
    .await;
    assert!(running.metric("tollgate_journal_unreadable_slots_total") < 1.0);
    running.stop().await;
}

#[tokio::test]
async fn what_a_killed_process_left_is_delivered_by_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Unreliable::new(false);
    for life in 0..3 {
        // Never run, never stopped: only the files remain of it.
        let meter = Meter::open(settings(directory.path()), &Registry::new()).unwrap();
        for number in 0..50 {
            meter.record(&record(life * 50 + number)).unwrap();
        }
    }
    let running = start(settings(directory.path()), Arc::clone(&sink) as _);
    running.meter.record(&record(150)).unwrap();
    until("delivery", || sink.books.count() == 151).await;
    until("removal of what was left", || std::fs::read_dir(directory.path()).unwrap().count() == 1).await;
    running.stop().await;
    assert_eq!(sink.books.units(), (0..151).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_shutdown_empties_the_journal_or_leaves_the_rest_for_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Unreliable::new(false);
    sink.away.send_replace(true);
    let hasty = MeterSettings { shutdown_deadline: Duration::from_millis(50), ..settings(directory.path()) };
    let running = start(hasty, Arc::clone(&sink) as _);
    running.meter.record(&record(1)).unwrap();
    running.stop().await;
    assert_eq!(sink.books.count(), 0);
    sink.away.send_replace(false);
    let running = start(settings(directory.path()), Arc::clone(&sink) as _);
    running.meter.record(&record(2)).unwrap();
    running.stop().await;
    assert_eq!(sink.books.units(), [1, 2]);
}

#[tokio::test]
async fn refusals_are_summed_up_per_tenant_key_and_reason() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Unreliable::new(false);
    let running = start(settings(directory.path()), Arc::clone(&sink) as _);
    let (tenant, key) = (TenantId::from_u128(7), KeyId::from_u128(8));
    for _ in 0..1_000 {
        running.meter.refused(tenant, key, "rate_limited");
    }
    running.meter.refused(tenant, key, "quota_exceeded");
    let registry = running.registry.clone();
    running.stop().await;
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    for entry in locked(&sink.books.booked).values().flat_map(BTreeMap::values) {
        let UsageEntry::Refusals(refusals) = entry else { panic!("not a sum of refusals: {entry:?}") };
        assert_eq!((refusals.tenant, refusals.key), (tenant, key));
        *sums.entry(refusals.reason.to_string()).or_default() += refusals.count;
    }
    assert_eq!(sums, BTreeMap::from([("quota_exceeded".into(), 1), ("rate_limited".into(), 1_000)]));
    assert!(sink.books.count() < 20, "a flood must not fill the journal");
    let families = registry.gather();
    let shown = families.iter().find(|family| family.name() == "tollgate_refusals_total").unwrap();
    let total: f64 = shown.get_metric().iter().map(|metric| metric.get_counter().get_value()).sum();
    assert!((total - 1_001.0).abs() < 0.5, "{total}");
}

#[tokio::test]
async fn refusals_outlive_a_full_journal() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Unreliable::new(false);
    let small = MeterSettings { lanes: 1, budget_bytes: 64 * 1024, ..settings(directory.path()) };
    let meter = Meter::open(small, &Registry::new()).unwrap();
    while meter.record(&record(0)).is_ok() {}
    assert!(!meter.has_room());
    meter.refused(TenantId::from_u128(7), KeyId::from_u128(8), "journal_full");
    meter.flush_refusals();
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(Arc::clone(&meter).run(Arc::clone(&sink) as _, stopped));
    let is_sum = |entry: &UsageEntry| matches!(entry, UsageEntry::Refusals(sum) if sum.count == 1);
    until("the sum", || locked(&sink.books.booked).values().flat_map(BTreeMap::values).any(is_sum)).await;
    stop.send_replace(true);
    task.await.unwrap();
}

/// Settings that leave room for a few hundred records.
fn cramped(directory: &Path, when_full: WhenFull) -> MeterSettings {
    MeterSettings { lanes: 1, budget_bytes: 64 * 1024, when_full, ..settings(directory) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_longer_than_the_rings_last_is_spooled_and_brought_home_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Unreliable::new(true);
    sink.away.send_replace(true);
    let running = start(cramped(directory.path(), WhenFull::Reject), Arc::clone(&sink) as _);
    let mut appended = 0;
    while running.metric("tollgate_spool_bytes") < 20_000.0 {
        if running.meter.record(&record(appended)).is_ok() {
            appended += 1;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    sink.away.send_replace(false);
    for _ in 0..500 {
        until("room", || running.meter.has_room()).await;
        running.meter.record(&record(appended)).unwrap();
        appended += 1;
    }
    until("everything booked", || sink.books.count() as u64 == appended).await;
    until("an empty spool", || running.metric("tollgate_spool_bytes") < 1.0).await;
    running.stop().await;
    assert_eq!(sink.books.units(), (0..appended).collect::<Vec<_>>());
    sink.books.assert_in_order();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn once_the_disk_budget_is_spent_requests_are_refused_and_what_is_kept_arrives() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Unreliable::new(false);
    sink.away.send_replace(true);
    let running = start(cramped(directory.path(), WhenFull::Reject), Arc::clone(&sink) as _);
    let mut appended = 0;
    // Full also once the spool has taken what it can.
    until("a full journal", || {
        while running.meter.has_room() {
            running.meter.record(&record(appended)).unwrap();
            appended += 1;
        }
        running.metric("tollgate_spool_bytes") > 30_000.0
    })
    .await;
    assert!(appended > 300, "{appended}");
    while running.meter.record(&record(appended)).is_ok() {
        appended += 1;
    }
    sink.away.send_replace(false);
    until("everything booked", || sink.books.count() as u64 == appended).await;
    until("room", || running.meter.has_room()).await;
    running.stop().await;
    assert_eq!(sink.books.units(), (0..appended).collect::<Vec<_>>());
    sink.books.assert_in_order();
}

#[tokio::test]
async fn requests_may_be_served_unmetered_and_are_counted_then() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Unreliable::new(false);
    let settings = cramped(directory.path(), WhenFull::ServeUnmetered);
    let registry = Registry::new();
    let meter = Meter::open(settings, &registry).unwrap();
    for number in 0..1_000 {
        assert!(meter.has_room());
        meter.record(&record(number)).unwrap();
    }
    assert!(matches!(meter.record(&UsageRecord { status: 1, ..record(0) }), Err(MeterError::Invalid(_))));
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(Arc::clone(&meter).run(Arc::clone(&sink) as _, stopped));
    let running = Running { meter, registry, stop, task };
    let unmetered = || running.metric("tollgate_unmetered_requests_total");
    until("the rest booked", || (sink.books.count() as f64 + unmetered() - 1_000.0).abs() < 0.5).await;
    assert!(unmetered() > 500.0);
    running.meter.record(&record(1_000)).unwrap();
    until("the next one booked", || sink.books.units().contains(&1_000)).await;
    running.stop().await;
}

#[tokio::test]
async fn a_gateway_that_dies_is_drained_by_another_on_the_same_host() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Unreliable::new(false);
    let running = start(settings(directory.path()), Arc::clone(&sink) as _);
    let doomed =
        Meter::open(MeterSettings { gateway: "edge-2".into(), ..settings(directory.path()) }, &Registry::new())
            .unwrap();
    doomed.record(&record(7)).unwrap();
    drop(doomed);
    until("delivery", || sink.books.units() == [7]).await;
    until("removal of what was left", || std::fs::read_dir(directory.path()).unwrap().count() == 1).await;
    assert!(locked(&sink.books.booked).keys().all(|stream| stream.gateway() == "edge-2"));
    running.stop().await;
}

#[test]
fn what_cannot_work_is_refused_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let open = |settings| Meter::open(settings, &Registry::new()).err().expect("a refusal").to_string();
    let name = open(MeterSettings::new(directory.path(), "edge/1"));
    assert!(name.contains("`edge/1` is not a gateway name"), "{name}");
    assert!(open(MeterSettings::new(directory.path(), ".hidden")).contains("is not a gateway name"));
    let budget = open(MeterSettings { budget_bytes: 1_000, ..MeterSettings::new(directory.path(), "edge-1") });
    assert!(budget.contains("1000 bytes"), "{budget}");
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let path = open(MeterSettings::new(&file, "edge-1"));
    assert!(path.contains("file") && path.contains("check that"), "{path}");
}

#[tokio::test]
async fn the_http_sink_hands_over_what_billing_takes_and_reads_its_receipt() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let token = Pepper::new(b"a pepper for tests").unwrap().ingest_token();
    let (listener, address) = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    };
    let sink = HttpSink::new(&format!("http://{address}/"), &token).unwrap();
    let entries = vec![UsageEntry::Request(UsageRecord { at: Micros(5), ..record(3) })];
    let batch = UsageBatch { stream: StreamId::new("edge-1", 7, 0).unwrap(), first_seq: 9, entries };
    let (delivered, request) =
        tokio::join!(sink.deliver(&batch), answer_once(&listener, "200 OK", "{\"next_seq\":10}"));
    assert_eq!(delivered.unwrap(), 10);
    let (head, body) = request;
    assert!(head.starts_with(&format!("POST {BATCH_PATH} HTTP/1.1\r\n")), "{head}");
    assert!(
        head.to_ascii_lowercase().contains("content-type: application/vnd.tollgate.usage-batch+protobuf"),
        "{head}"
    );
    assert!(head.contains(&format!("Bearer {}", token.expose())));
    assert_eq!(UsageBatch::decode(&body).unwrap(), batch);
    let (refused, _) = tokio::join!(sink.deliver(&batch), answer_once(&listener, "400 Bad Request", "entry 0: no"));
    assert!(matches!(refused, Err(SinkError::Refused { status: 400, ref reason }) if reason == "entry 0: no"));
    drop(listener);
    assert!(matches!(sink.deliver(&batch).await, Err(SinkError::Away(_))));
}

#[test]
fn a_sink_without_an_address_is_refused() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let token = Pepper::new(b"a pepper for tests").unwrap().ingest_token();
    for url in ["", "billing:8090", "ftp://billing", "http://"] {
        let error = HttpSink::new(url, &token).err().expect("a refusal").to_string();
        assert!(error.contains("is not the address"), "{error}");
    }
}

/// Takes one request and answers it; returns its head and body.
async fn answer_once(listener: &tokio::net::TcpListener, status: &str, body: &str) -> (String, Vec<u8>) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (mut socket, _) = listener.accept().await.unwrap();
    let mut received = Vec::new();
    let head_end = loop {
        if let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        assert!(socket.read_buf(&mut received).await.unwrap() > 0, "cut short");
    };
    let head = String::from_utf8(received[..head_end].to_vec()).unwrap();
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    while received.len() < head_end + length.unwrap_or(0) {
        assert!(socket.read_buf(&mut received).await.unwrap() > 0, "cut short");
    }
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    socket.write_all(answer.as_bytes()).await.unwrap();
    (head, received[head_end..].to_vec())
}
