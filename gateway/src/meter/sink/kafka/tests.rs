//! Misbehaving brokers, as librdkafka imitates them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use common::{
    id::{KeyId, TenantId},
    key::Mode,
    time::Micros,
    usage::{StreamId, UsageBatch, UsageEntry, UsageRecord},
};
use rdkafka::{
    mocking::MockCluster,
    producer::DefaultProducerContext,
    types::{RDKafkaApiKey as Request, RDKafkaRespErr as Answer},
};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use super::{KafkaSettings, KafkaSink};
use crate::meter::{SinkError, UsageSink as _};

const TOPIC: &str = "usage.events";

const PATIENCE: Duration = Duration::from_secs(30);

type Cluster = MockCluster<'static, DefaultProducerContext>;

fn cluster() -> Cluster {
    let cluster = Cluster::new(1).unwrap();
    cluster.create_topic(TOPIC, 4, 1).unwrap();
    cluster
}

fn sink(cluster: &Cluster, properties: &[(&str, &str)]) -> Arc<KafkaSink> {
    let properties: BTreeMap<_, _> =
        properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let brokers = cluster.bootstrap_servers();
    Arc::new(KafkaSink::new(KafkaSettings { brokers, topic: TOPIC.into(), create_topic: None, properties }).unwrap())
}

fn batch(first_seq: u64) -> UsageBatch {
    batch_of(first_seq, vec![UsageEntry::Request(record()); 3])
}

fn batch_of(first_seq: u64, entries: Vec<UsageEntry>) -> UsageBatch {
    UsageBatch { stream: StreamId::new("edge-1", 7, 0).unwrap(), first_seq, entries }
}

fn record() -> UsageRecord {
    UsageRecord {
        at: Micros(1),
        tenant: TenantId::from_u128(1),
        key: KeyId::from_u128(2),
        route: "search".into(),
        meter: "requests".into(),
        units: 1,
        status: 200,
        billable: true,
        mode: Mode::Live,
        prepaid: false,
    }
}

/// Offers a batch as the drain does, until it is taken.
async fn deliver(sink: &KafkaSink, first_seq: u64) -> u64 {
    let offered = async {
        loop {
            if let Ok(next) = sink.deliver(&batch(first_seq)).await {
                return next;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, offered).await.expect("delivered at last")
}

#[tokio::test(flavor = "multi_thread")]
async fn batch_counts_as_delivered_when_the_brokers_acknowledge_it() {
    let cluster = cluster();
    let sink = sink(&cluster, &[]);
    assert_eq!(sink.deliver(&batch(0)).await.unwrap(), 3);
    assert_eq!(sink.deliver(&batch(3)).await.unwrap(), 6);
    assert_eq!(sink.problem(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn passing_errors_are_retried() {
    let cluster = cluster();
    let sink = sink(&cluster, &[("retry.backoff.ms", "10")]);
    let passing = [
        Answer::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        Answer::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
        Answer::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        Answer::RD_KAFKA_RESP_ERR__TRANSPORT,
    ];
    cluster.request_errors(Request::Produce, &passing);
    cluster.request_errors(Request::InitProducerId, &[Answer::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS]);
    assert_eq!(deliver(&sink, 0).await, 3);
    assert_eq!(deliver(&sink, 3).await, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_brokers_end_in_an_error_that_says_so() {
    let cluster = cluster();
    let sink = sink(&cluster, &[("message.timeout.ms", "300"), ("socket.timeout.ms", "300")]);
    assert_eq!(deliver(&sink, 0).await, 3);
    cluster.broker_round_trip_time(-1, Duration::from_secs(2)).unwrap();
    let error = sink.deliver(&batch(3)).await.unwrap_err();
    assert!(matches!(&error, SinkError::Away(reason) if reason.contains("timed out")), "{error}");
    cluster.broker_round_trip_time(-1, Duration::ZERO).unwrap();
    assert_eq!(deliver(&sink, 3).await, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_that_are_down_are_named_and_used_again_later() {
    let cluster = cluster();
    let sink = sink(&cluster, &[("message.timeout.ms", "500")]);
    assert_eq!(deliver(&sink, 0).await, 3);
    cluster.broker_down(-1).unwrap();
    let error = sink.deliver(&batch(3)).await.unwrap_err();
    assert!(matches!(&error, SinkError::Away(reason) if reason.contains("127.0.0.1")), "{error}");
    cluster.broker_up(-1).unwrap();
    assert_eq!(deliver(&sink, 3).await, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_topic_is_reported_until_it_exists() {
    let cluster = cluster();
    cluster.topic_error(TOPIC, Answer::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART).unwrap();
    let sink = sink(&cluster, &[]);
    let (_stop, stopped) = watch::channel(false);
    let search = tokio::spawn(Arc::clone(&sink).find_topic(stopped));
    let told = sink.deliver(&batch(0)).await.unwrap_err().to_string();
    for part in ["`usage.events`", "`usage.kafka.topic`", "does not exist", "`usage.kafka.create_topic`"] {
        assert!(told.contains(part), "{told}");
    }
    assert_eq!(sink.problem(), Some(told));
    cluster.topic_error(TOPIC, Answer::RD_KAFKA_RESP_ERR_NO_ERROR).unwrap();
    timeout(PATIENCE, search).await.expect("found").unwrap();
    assert_eq!(sink.problem(), None);
    assert_eq!(deliver(&sink, 0).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn producer_is_replaced_after_a_fatal_error() {
    let cluster = cluster();
    let sink = sink(&cluster, &[]);
    cluster.request_errors(Request::InitProducerId, &[Answer::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED]);
    let before = sink.client.load_full();
    assert!(sink.deliver(&batch(0)).await.is_err());
    assert!(before.fatal_error().is_some());
    assert_eq!(deliver(&sink, 0).await, 3);
    assert!(!Arc::ptr_eq(&before, &sink.client.load_full()));
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_permission_to_write_is_reported_until_it_is_granted() {
    let cluster = cluster();
    let sink = sink(&cluster, &[]);
    cluster.request_errors(Request::Produce, &[Answer::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED]);
    let told = sink.deliver(&batch(0)).await.unwrap_err().to_string();
    for part in ["`usage.events`", "`usage.kafka.topic`", "uthorization", "allow this user to write"] {
        assert!(told.contains(part), "{told}");
    }
    assert_eq!(sink.problem(), Some(told));
    assert_eq!(deliver(&sink, 0).await, 3);
    assert_eq!(sink.problem(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn batch_that_is_too_large_for_a_message_is_sent_in_parts() {
    let cluster = cluster();
    let sink = sink(&cluster, &[("message.max.bytes", "1000")]);
    let long = |number: usize| UsageRecord { route: format!("{number:0>250}").into(), ..record() };
    let large = batch_of(0, (0..5).map(|number| UsageEntry::Request(long(number))).collect());
    assert!(large.encode().len() > 1_000);
    let taken = sink.deliver(&large).await.unwrap();
    assert_eq!(taken, 3, "of 5 entries of some 300 bytes");
    assert_eq!(sink.deliver(&batch_of(3, large.entries[3..].to_vec())).await.unwrap(), 5);
    // The brokers may be stricter than the client.
    cluster.request_errors(Request::Produce, &[Answer::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE]);
    assert_eq!(sink.deliver(&batch(5)).await.unwrap(), 7);
    assert_eq!(sink.problem(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn entry_that_is_too_large_for_a_message_is_an_error_with_advice() {
    let cluster = cluster();
    let sink = sink(&cluster, &[]);
    cluster.request_errors(Request::Produce, &[Answer::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE]);
    let one = batch_of(0, vec![UsageEntry::Request(record())]);
    let told = sink.deliver(&one).await.unwrap_err().to_string();
    assert!(told.contains("oo large") && told.contains("raise `max.message.bytes` of the topic"), "{told}");
    assert_eq!(sink.problem(), Some(told));
    assert_eq!(sink.deliver(&one).await.unwrap(), 1);
    assert_eq!(sink.problem(), None);
}

#[test]
fn contradictory_settings_are_refused_at_the_start() {
    let properties = [("security.protocol", "ssl"), ("ssl.ca.location", "/nowhere/ca.pem")];
    let properties = properties.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let settings = KafkaSettings { brokers: "127.0.0.1:1".into(), topic: TOPIC.into(), create_topic: None, properties };
    let Err(error) = KafkaSink::new(settings) else { panic!("a sink without its certificates") };
    assert!(error.to_string().contains("ssl.ca.location"), "{error}");
}
