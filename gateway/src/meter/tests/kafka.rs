//! Through Kafka: brokers that refuse and go away delay records and lose none. The brokers are
//! librdkafka's own imitation.

use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    mocking::MockCluster,
    producer::DefaultProducerContext,
    types::{RDKafkaApiKey as Request, RDKafkaRespErr as Answer},
};

use super::*;

const TOPIC: &str = "usage.events";

const PARTITIONS: i32 = 4;

type Cluster = MockCluster<'static, DefaultProducerContext>;

fn cluster() -> Cluster {
    let cluster = Cluster::new(1).unwrap();
    cluster.create_topic(TOPIC, PARTITIONS, 1).unwrap();
    cluster
}

fn sink(cluster: &Cluster) -> Arc<KafkaSink> {
    let settings = KafkaSettings {
        brokers: cluster.bootstrap_servers(),
        topic: TOPIC.into(),
        create_topic: None,
        properties: [("message.timeout.ms".to_owned(), "500".to_owned())].into(),
    };
    Arc::new(KafkaSink::new(settings).unwrap())
}

/// Books the topic from its beginning, until there are this many entries.
fn books_of(cluster: &Cluster, entries: usize) -> Books {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", cluster.bootstrap_servers()).set("group.id", "reader");
    let consumer: BaseConsumer = client.create().unwrap();
    let mut partitions = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        partitions.add_partition_offset(TOPIC, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&partitions).unwrap();
    let books = Books::default();
    while books.count() < entries {
        let message = consumer.poll(Duration::from_secs(30)).expect("a message").unwrap();
        books.book(&UsageBatch::decode(message.payload().unwrap()).unwrap());
    }
    books
}

/// Records 200 requests while the sink fails, checks that none of them is freed, repairs it, and
/// checks that all arrive.
async fn lives_through(cluster: &Cluster, repair: impl FnOnce(&Cluster)) {
    let directory = tempfile::tempdir().unwrap();
    let sink = sink(cluster);
    let running = start(settings(directory.path()), Arc::clone(&sink) as _);
    for number in 0..200 {
        running.meter.record(&record(number)).unwrap();
    }
    eventually("attempts", async || running.metric("tollgate_sink_failures_total") >= 3.0).await;
    eventually("the backlog", async || running.metric("tollgate_journal_entries") >= 200.0).await;
    assert!(running.metric("tollgate_journal_acknowledged_total") < 1.0, "freed without an acknowledgement");
    repair(cluster);
    eventually("delivery", async || running.metric("tollgate_journal_acknowledged_total") >= 200.0).await;
    eventually("an empty backlog", async || running.metric("tollgate_journal_entries") < 1.0).await;
    running.stop().await;
    assert_eq!(sink.problem(), None);
    let books = books_of(cluster, 200);
    assert_eq!(books.units(), (0..200).collect::<Vec<_>>());
    books.assert_in_order();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_wait_while_brokers_refuse_them() {
    let cluster = cluster();
    cluster.request_errors(Request::Produce, &[Answer::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED; 1_000]);
    lives_through(&cluster, |cluster| cluster.clear_request_errors(Request::Produce)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_wait_while_brokers_are_gone() {
    let cluster = cluster();
    cluster.broker_down(-1).unwrap();
    lives_through(&cluster, |cluster| cluster.broker_up(-1).unwrap()).await;
}
