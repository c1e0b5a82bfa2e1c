//! Brokers that refuse: what is published comes in order, and nothing is left out. The brokers are
//! librdkafka's own imitation.

use std::collections::{BTreeMap, BTreeSet};

use common::{
    id::TenantId,
    tenant::{TenantKind, TenantUpdate, lifecycle::NewTenant},
    time::SystemClock,
};
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{Consumer as _, StreamConsumer},
    mocking::MockCluster,
    types::{RDKafkaApiKey as Request, RDKafkaRespErr as Answer},
};
use serde_json::Value;
use tempfile::TempDir;

use super::*;

const PATIENCE: Duration = Duration::from_mins(1);
const PARTITIONS: i32 = 2;

async fn store(directory: &TempDir) -> Store {
    let url = format!("sqlite://{}/tollgate.db", directory.path().display());
    Store::open_and_migrate(&url).await.unwrap().0
}

async fn root(store: &Store, name: &str) -> TenantId {
    let zone = "UTC".parse().unwrap();
    let new = NewTenant { parent: None, kind: TenantKind::Root, name: name.into(), zone, plan: None };
    store.create_tenant(&new, SystemClock.now()).await.unwrap().id
}

async fn rename(store: &Store, tenant: TenantId, name: &str) {
    let update = TenantUpdate { name: Some(name.into()) };
    store.update_tenant(tenant, &update, None, SystemClock.now()).await.unwrap();
}

fn reader(brokers: &str, topic: &str) -> StreamConsumer {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", brokers).set("group.id", "reader").set("enable.auto.commit", "false");
    let consumer: StreamConsumer = client.create().unwrap();
    let mut partitions = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        partitions.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&partitions).unwrap();
    consumer
}

/// The numbers that came, by key, until all up to `last` have.
async fn read_until(consumer: &StreamConsumer, last: i64) -> BTreeMap<String, Vec<i64>> {
    let mut came = BTreeMap::<_, Vec<_>>::new();
    let mut seen = BTreeSet::new();
    let all = async {
        while seen.len() < usize::try_from(last).unwrap() {
            let message = consumer.recv().await.unwrap();
            let value: Value = serde_json::from_slice(message.payload().unwrap()).unwrap();
            let seq = value["seq"].as_i64().unwrap();
            seen.insert(seq);
            came.entry(String::from_utf8(message.key().unwrap().to_vec()).unwrap()).or_default().push(seq);
        }
    };
    let all = tokio::time::timeout(PATIENCE, all).await;
    assert!(all.is_ok(), "{came:?}");
    came
}

/// Whoever passes over numbers that it has seen sees each tenant's changes in order.
fn assert_ordered(came: &BTreeMap<String, Vec<i64>>) {
    for (key, numbers) in came {
        let mut last = 0;
        let mut seen = BTreeSet::new();
        for number in numbers {
            if seen.insert(*number) {
                assert!(*number > last, "{key}: {numbers:?}");
                last = *number;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_messages_are_delivered_later_in_order() {
    let cluster = MockCluster::new(1).unwrap();
    let mut config = ChangesConfig::default();
    // Real brokers refuse a batch when the one before it is missing, so the client takes a batch
    // that came for word of all before it. The imitation lets it pass: with two under way, a
    // refused one would be lost and called delivered.
    config.properties.insert("max.in.flight.requests.per.connection".into(), "1".into());
    cluster.create_topic(&config.topic, PARTITIONS, 1).unwrap();
    let brokers = cluster.bootstrap_servers();
    let directory = tempfile::tempdir().unwrap();
    let store = store(&directory).await;
    let tenants = [root(&store, "A").await, root(&store, "B").await, root(&store, "C").await];
    let registry = Registry::new();
    let publisher = Publisher::new(store.clone(), Arc::new(SystemClock), &config, &brokers, &registry).unwrap();
    let publishing = tokio::spawn(publisher.publish());
    let refusals = [
        Answer::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        Answer::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
        // Nothing that trying again would mend: the client gives such a message up.
        Answer::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
        Answer::RD_KAFKA_RESP_ERR_INVALID_MSG,
    ];
    for (round, refusal) in refusals.into_iter().enumerate() {
        cluster.request_errors(Request::Produce, &[refusal]);
        for number in 0..3 {
            for tenant in tenants {
                rename(&store, tenant, &format!("{round} {number}")).await;
            }
        }
    }
    let last = store.last_change().await.unwrap();
    assert_eq!(last, 3 + 4 * 3 * 3);
    let came = read_until(&reader(&brokers, &config.topic), last).await;
    assert_eq!(came.keys().cloned().collect::<BTreeSet<_>>(), BTreeSet::from(tenants.map(|id| id.to_string())));
    assert_ordered(&came);
    publishing.abort();
}

#[tokio::test]
async fn unknown_property_is_named_without_its_value() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(&directory).await;
    let mut config = ChangesConfig::default();
    config.properties.insert("sasl.pasword".into(), "s3cret".into());
    let error = Publisher::new(store, Arc::new(SystemClock), &config, "127.0.0.1:1", &Registry::new()).err().unwrap();
    let error = error.to_string();
    assert!(error.contains("`sasl.pasword` in `changes.properties`") && !error.contains("s3cret"), "{error}");
}

#[test]
fn messages_in_flight_together_have_different_keys() {
    let message = |key: &str| Message { key: key.into(), payload: String::new() };
    let mut wave = wave::Wave::default();
    assert!(wave.add(message("a")).is_ok() && wave.add(message("b")).is_ok());
    assert_eq!(wave.add(message("a")).err().unwrap().key, "a");
    assert_eq!(wave.into_messages().len(), 2);
}
