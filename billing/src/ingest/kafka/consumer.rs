//! The Kafka client: its properties, and the few of them that booking exactly once rests on.

use common::kafka::layered;
use rdkafka::{
    ClientConfig,
    config::{FromClientConfigAndContext as _, RDKafkaLogLevel},
    consumer::StreamConsumer,
    error::KafkaError,
};

use super::{KafkaIngestError, rebalance::Context};
use crate::config::IngestConfig;

/// The client of this process.
pub(super) type UsageConsumer = StreamConsumer<Context>;

/// Properties that the settings may override. The queue of a partition bounds memory while the
/// store cannot keep up: the client stops fetching once it is full.
const DEFAULTS: [(&str, &str); 9] = [
    ("client.id", "tollgate-billing"),
    // A killed process holds its partitions for this long. 6 s is the least that brokers accept
    // unless told otherwise.
    ("session.timeout.ms", "6000"),
    ("heartbeat.interval.ms", "1500"),
    // Only partitions that move to another process are interrupted when the group changes.
    ("partition.assignment.strategy", "cooperative-sticky"),
    ("queued.max.messages.kbytes", "16384"),
    ("queued.min.messages", "2000"),
    // How soon new partitions are noticed.
    ("topic.metadata.refresh.interval.ms", "30000"),
    ("socket.keepalive.enable", "true"),
    ("log.connection.close", "false"),
];

/// Properties that the settings cannot change. Booked offsets are committed to Kafka for dashboards
/// only. A position that is gone from the topic is noticed by the number of the next message.
const FIXED: [(&str, &str); 4] = [
    ("enable.auto.commit", "true"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "earliest"),
    ("allow.auto.create.topics", "false"),
];

/// A client that has not subscribed to anything.
pub(super) fn create(config: &IngestConfig, context: Context) -> Result<UsageConsumer, KafkaIngestError> {
    let mut properties = ClientConfig::new();
    // The client reports a session that timed out by a warning only.
    properties.set_log_level(RDKafkaLogLevel::Warning);
    for (name, value) in layered(DEFAULTS, &config.properties, FIXED) {
        properties.set(name, value);
    }
    properties.set("bootstrap.servers", &config.brokers);
    properties.set("group.id", &config.group);
    // Static membership: a restarted process is known by its name and gets its partitions back
    // without a rebalance.
    if let Some(name) = config.member_name() {
        properties.set("group.instance.id", name);
    }
    UsageConsumer::from_config_and_context(&properties, context).map_err(|error| match error {
        KafkaError::ClientConfig(_, reason, name, _) => KafkaIngestError::Property { name, reason },
        other => KafkaIngestError::Client(other),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use prometheus::Registry;
    use tokio::sync::mpsc;

    use super::*;
    use crate::ingest::kafka::{Condition, KafkaMetrics};

    fn refusal(name: &str, value: &str) -> String {
        let mut config = IngestConfig::default();
        config.properties.insert(name.into(), value.into());
        let condition = Condition::new(KafkaMetrics::register(&Registry::new()).unwrap());
        let context = Context::new(mpsc::unbounded_channel().0, Arc::new(condition));
        create(&config, context).err().unwrap().to_string()
    }

    #[tokio::test]
    async fn unknown_property_is_named() {
        let error = refusal("sasl.pasword", "s3cret");
        assert!(error.contains("`sasl.pasword`") && !error.contains("s3cret"), "{error}");
        let error = refusal("security.protocol", "s3cret");
        assert!(error.contains("`security.protocol`"), "{error}");
    }
}
