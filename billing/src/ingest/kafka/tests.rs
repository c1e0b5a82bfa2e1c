//! Brokers and a store that misbehave: what is in the topic is booked once, or put aside, and
//! nothing holds up the rest. The brokers are librdkafka's own imitation.

use std::time::Instant;

use common::{
    id::{KeyId, TenantId},
    key::Mode,
    time::{Micros, SystemClock},
    usage::{StreamId, UsageBatch, UsageEntry, UsageRecord, reconcile::Reconciliation},
};
use rdkafka::{
    ClientConfig,
    mocking::MockCluster,
    producer::{DefaultProducerContext, FutureProducer, FutureRecord},
    types::{RDKafkaApiKey as Request, RDKafkaRespErr as Answer},
};
use sqlx::Connection as _;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::*;

const PARTITIONS: i32 = 2;

/// Entries of one batch.
const ENTRIES: u64 = 10;

/// Entries of a batch to each partition.
const ROUND: u64 = ENTRIES * PARTITIONS.unsigned_abs() as u64;

const TENANT: TenantId = TenantId::from_u128(1);

/// So that tests need not wait for a client that had no time to leave its group, or that has met
/// with errors.
const IMPATIENT: [(&str, &str); 5] = [
    ("session.timeout.ms", "6000"),
    ("heartbeat.interval.ms", "500"),
    ("retry.backoff.ms", "10"),
    ("fetch.error.backoff.ms", "10"),
    ("reconnect.backoff.max.ms", "100"),
];

const PATIENCE: Duration = Duration::from_mins(1);

/// Brokers, a topic, and a store that its usage is booked into.
struct Fixture {
    cluster: MockCluster<'static, DefaultProducerContext>,
    producer: FutureProducer,
    directory: TempDir,
    store: Store,
    config: IngestConfig,
}

/// Somebody who books.
struct Ingester {
    registry: Registry,
    stopper: Stopper,
    task: JoinHandle<Result<(), KafkaIngestError>>,
}

impl Fixture {
    async fn new() -> Self {
        let cluster = MockCluster::new(1).unwrap();
        let mut config = IngestConfig { brokers: cluster.bootstrap_servers(), batch_wait_ms: 10, ..Default::default() };
        cluster.create_topic(&config.topic, PARTITIONS, 1).unwrap();
        for (name, value) in IMPATIENT {
            config.properties.insert(name.into(), value.into());
        }
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", &config.brokers).set("linger.ms", "0");
        let directory = tempfile::tempdir().unwrap();
        let (store, _) = Store::open_and_migrate(&url(&directory)).await.unwrap();
        Self { cluster, producer: client.create().unwrap(), directory, store, config }
    }

    /// Sends batch `number` to every partition.
    async fn send_round(&self, number: u64) {
        for partition in 0..PARTITIONS {
            self.send(partition, number, 1).await;
        }
    }

    /// Sends a batch of a partition's own stream and waits until the brokers have it.
    async fn send(&self, partition: i32, number: u64, units: u64) {
        let stream = StreamId::new("edge-1", 1, u16::try_from(partition).unwrap()).unwrap();
        let entries = vec![UsageEntry::Request(record(units)); usize::try_from(ENTRIES).unwrap()];
        let payload = UsageBatch { stream, first_seq: number * ENTRIES, entries }.encode();
        let message = FutureRecord::<[u8], _>::to(&self.config.topic).partition(partition).payload(&payload);
        self.producer.send(message, PATIENCE).await.unwrap();
    }

    fn ingest(&self) -> Ingester {
        let registry = Registry::new();
        let ingest = KafkaIngest::new(&self.config, self.store.clone(), Arc::new(SystemClock), &registry).unwrap();
        let (stopper, stop) = Stop::new();
        Ingester { registry, stopper, task: tokio::spawn(ingest.run(stop)) }
    }

    async fn audit(&self) -> Reconciliation {
        let audit = self.store.reconcile(None).await.unwrap();
        assert!(audit.is_clean(), "{:?}", audit.breaches);
        audit
    }

    /// Waits until so many requests are booked.
    async fn wait_for(&self, requests: u64) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let booked: i64 = self.audit().await.streams.iter().map(|stream| stream.booked.requests).sum();
            if booked >= requests.cast_signed() {
                return;
            }
            assert!(Instant::now() < deadline, "{booked} of {requests} are booked");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Checks that exactly the first so many batches of every partition are booked, and nothing was
    /// put aside.
    async fn assert_booked(&self, batches: u64) {
        let audit = self.audit().await;
        let expected = (batches * ENTRIES).cast_signed();
        assert_eq!(audit.streams.len(), usize::try_from(PARTITIONS).unwrap());
        for stream in &audit.streams {
            assert_eq!((stream.acknowledged, stream.missing), (expected, 0), "{}", stream.stream);
            assert_eq!((stream.booked.requests, stream.booked.units), (expected, expected), "{}", stream.stream);
        }
        assert_eq!(self.store.dead_letter_count().await.unwrap(), 0);
    }
}

impl Ingester {
    fn metric(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name).unwrap();
        family.get_metric().iter().map(|metric| metric.get_counter().get_value()).sum()
    }

    async fn stop(self) {
        self.stopper.stop();
        self.task.await.unwrap().unwrap();
    }
}

fn url(directory: &TempDir) -> String {
    format!("sqlite://{}/tollgate.db", directory.path().display())
}

fn record(units: u64) -> UsageRecord {
    UsageRecord {
        at: Micros(1_795_311_000_000_000),
        tenant: TENANT,
        key: KeyId::from_u128(7),
        route: "search".into(),
        meter: "requests".into(),
        units,
        status: 200,
        billable: true,
        mode: Mode::Live,
        prepaid: false,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetch_errors_neither_lose_nor_double_usage() {
    let fixture = Fixture::new().await;
    let ingester = fixture.ingest();
    let errors = [
        Answer::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        Answer::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
        Answer::RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE,
        Answer::RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE,
        Answer::RD_KAFKA_RESP_ERR_UNKNOWN,
        Answer::RD_KAFKA_RESP_ERR__TRANSPORT,
    ];
    for (number, error) in (0..).zip(errors) {
        fixture.cluster.request_errors(Request::Fetch, &[error]);
        fixture.send_round(number).await;
        fixture.wait_for((number + 1) * ROUND).await;
    }
    fixture.assert_booked(errors.len() as u64).await;
    assert!(ingester.metric("tollgate_ingest_lost_messages_total") < 1.0);
    ingester.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failing_group_delays_usage_and_loses_none() {
    let fixture = Fixture::new().await;
    fixture.send_round(0).await;
    let cluster = &fixture.cluster;
    cluster.request_errors(Request::FindCoordinator, &[Answer::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE; 2]);
    cluster.request_errors(Request::JoinGroup, &[Answer::RD_KAFKA_RESP_ERR_NOT_COORDINATOR; 2]);
    cluster.request_errors(Request::SyncGroup, &[Answer::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS]);
    cluster.request_errors(Request::ListOffsets, &[Answer::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE; 2]);
    // What Kafka is told of offsets is for dashboards only.
    cluster.request_errors(Request::OffsetCommit, &[Answer::RD_KAFKA_RESP_ERR_UNKNOWN; 100]);
    let ingester = fixture.ingest();
    fixture.wait_for(ROUND).await;
    fixture.assert_booked(1).await;
    ingester.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarted_brokers_are_read_on() {
    let fixture = Fixture::new().await;
    let ingester = fixture.ingest();
    for number in 0..3 {
        fixture.send_round(number).await;
        fixture.wait_for((number + 1) * ROUND).await;
        fixture.cluster.broker_down(-1).unwrap();
        fixture.cluster.broker_up(-1).unwrap();
    }
    fixture.assert_booked(3).await;
    ingester.stop().await;
    // Whoever comes next begins where the books end, and books nothing again.
    let next = fixture.ingest();
    fixture.send_round(3).await;
    fixture.wait_for(4 * ROUND).await;
    fixture.assert_booked(4).await;
    assert!((next.metric("tollgate_ingest_entries_total") - ROUND as f64).abs() < 0.5);
    next.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batch_that_the_database_refuses_is_put_aside_alone() {
    let fixture = Fixture::new().await;
    let mut connection = sqlx::SqliteConnection::connect(&url(&fixture.directory)).await.unwrap();
    let rule = "CREATE TRIGGER unlucky BEFORE INSERT ON usage_records WHEN NEW.units = 13 \
                BEGIN SELECT RAISE(ABORT, 'no 13'); END";
    sqlx::raw_sql(rule).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    for (number, units) in [(0, 1), (1, 13), (2, 1)] {
        fixture.send(0, number, units).await;
    }
    let ingester = fixture.ingest();
    fixture.wait_for(2 * ENTRIES).await;
    // Each entry of the batch is refused, and each has a dead letter of its own.
    let letters = fixture.store.dead_letters(100, 0).await.unwrap();
    assert_eq!(letters.len() as u64, ENTRIES);
    assert!(letters.iter().all(|letter| letter.topic.starts_with("entry ")));
    assert!(letters.iter().all(|letter| letter.reason == "the database refuses it: no 13"));
    assert!((ingester.metric("tollgate_ingest_dead_letters_total") - ENTRIES as f64).abs() < 0.5);
    ingester.stop().await;
}
