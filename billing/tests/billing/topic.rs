//! A topic of its own for each test on one real Kafka, and what has to come of the usage sent
//! there.

use std::{
    collections::BTreeSet,
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use common::{
    id::TenantId,
    store::Store,
    usage::{UsageBatch, UsageEntry, rollup::UsageFilter},
};
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    producer::{FutureProducer, FutureRecord},
};
use servers::{Kafka, Postgres, PostgresOptions, eventually};

use crate::deployment::{DEADLINE, Deployment, Server, batch_of_lane, request};

static KAFKA: LazyLock<Kafka> = LazyLock::new(|| Kafka::start().unwrap());

static POSTGRES: LazyLock<Postgres> =
    LazyLock::new(|| Postgres::start_with(PostgresOptions { fsync: false, ..PostgresOptions::default() }).unwrap());

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Short, as tests wait for it when they kill or pause a process.
pub(crate) const SHORT_SESSION: Duration = Duration::from_secs(2);

const AT: &str = "2026-11-10T12:00:00Z";

/// A topic, and a gateway's side of it.
pub(crate) struct Topic {
    pub(crate) name: String,
    bootstrap: String,
    producer: FutureProducer,
}

fn number() -> u32 {
    NUMBER.fetch_add(1, Ordering::Relaxed)
}

/// A deployment with a file as its store, and one on PostgreSQL.
pub(crate) fn deployments() -> [Deployment; 2] {
    [Deployment::new(), deployment_on_postgres()]
}

pub(crate) fn deployment_on_postgres() -> Deployment {
    let database = format!("billing_{}", number());
    POSTGRES.create_database(&database).unwrap();
    Deployment::with_store(Some(POSTGRES.url(&database)))
}

impl Topic {
    pub(crate) fn new(partitions: u32) -> Self {
        let topic = Self::missing();
        topic.create(partitions);
        topic
    }

    /// One that does not exist yet.
    pub(crate) fn missing() -> Self {
        Self::named(bootstrap())
    }

    /// One on a Kafka of the test's own.
    pub(crate) fn on(kafka: &Kafka, partitions: u32) -> Self {
        let topic = Self::named(kafka.bootstrap());
        kafka.create_topic(&topic.name, partitions).unwrap();
        topic
    }

    fn named(bootstrap: String) -> Self {
        let producer = client(&bootstrap).set("acks", "all").set("linger.ms", "0").create().unwrap();
        Self { name: format!("usage-{}", number()), bootstrap, producer }
    }

    pub(crate) fn create(&self, partitions: u32) {
        KAFKA.create_topic(&self.name, partitions).unwrap();
    }

    /// Sends bytes and waits until Kafka has them.
    pub(crate) async fn send(&self, partition: i32, payload: &[u8]) {
        let record = FutureRecord::<[u8], [u8]>::to(&self.name).partition(partition).payload(payload);
        self.producer.send(record, DEADLINE).await.unwrap();
    }

    /// Sends 10 requests of lane `partition`, from number `first_seq` on.
    pub(crate) async fn send_ten(&self, partition: i32, tenant: TenantId, first_seq: u64) {
        self.send(partition, &ten_requests(partition, tenant, first_seq).encode()).await;
    }

    /// Deletes the messages of partition 0 before `offset`.
    pub(crate) async fn delete_before(&self, offset: i64) {
        let admin: AdminClient<DefaultClientContext> = client(&self.bootstrap).create().unwrap();
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(&self.name, 0, Offset::Offset(offset)).unwrap();
        let deleted = admin.delete_records(&offsets, &AdminOptions::new()).await.unwrap();
        assert!(deleted.elements().iter().all(|element| element.error().is_ok()));
    }

    /// Settings of `billing ingest` for this topic, in a group of its own, with a session timeout
    /// of `session`.
    pub(crate) fn settings(&self, deployment: &Deployment, session: Duration, more: &str) {
        let text = format!(
            "listen: 127.0.0.1:0\nstore: {}\npepper_file: pepper\ningest:\n  late_days: 3650\n  listen: 127.0.0.1:0\n  brokers: {}\n  \
             topic: {}\n  group: {}\n  batch_wait_ms: 20\n  \
             properties: {{ session.timeout.ms: {}, heartbeat.interval.ms: 300 }}\n{more}",
            deployment.url(),
            self.bootstrap,
            self.name,
            self.name,
            session.as_millis(),
        );
        std::fs::write(deployment.path("billing.yaml"), text).unwrap();
    }

    /// Starts `billing ingest` on this topic.
    pub(crate) async fn ingest(&self, deployment: &Deployment) -> Server {
        self.settings(deployment, SHORT_SESSION, "");
        deployment.start(&["ingest", "--config", "billing.yaml"], "ingesting").await
    }
}

/// Address of the one Kafka.
pub(crate) fn bootstrap() -> String {
    KAFKA.bootstrap()
}

fn client(bootstrap: &str) -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", bootstrap);
    client
}

/// 10 requests of a lane, 1 unit each.
pub(crate) fn ten_requests(lane: i32, tenant: TenantId, first_seq: u64) -> UsageBatch {
    let entries = (0..10).map(|_| UsageEntry::Request(request(tenant, AT, 1)));
    batch_of_lane(u16::try_from(lane).unwrap(), first_seq, entries)
}

/// All requests and units that are summed up in a store.
pub(crate) async fn booked(store: &Store) -> (u64, u64) {
    let sums = store.usage(&UsageFilter::default()).await.unwrap();
    sums.iter().fold((0, 0), |(requests, units), sum| (requests + sum.requests, units + sum.units))
}

/// Waits until exactly so many requests of one unit each are booked.
pub(crate) async fn wait_for_books(store: &Store, requests: u64) {
    eventually(&format!("{requests} requests booked"), async || booked(store).await.0 >= requests).await;
    assert_eq!(booked(store).await, (requests, requests));
}

/// The partitions that a process has been assigned, by its log.
pub(crate) fn assigned_partitions(server: &Server) -> BTreeSet<i32> {
    server.log_of("partitions_changed").iter().fold(BTreeSet::new(), |mut assigned, line| {
        let partitions: Vec<i32> = serde_json::from_str(line["partitions"].as_str().unwrap()).unwrap();
        if line["is_assignment"].as_bool().unwrap() {
            assigned.extend(partitions);
        } else {
            assigned.retain(|partition| !partitions.contains(partition));
        }
        assigned
    })
}
