//! The backlog in Kafka: usage that gateways handed over and that is not booked yet.

use std::{collections::BTreeMap, time::Duration};

use common::store::Store;
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer as _},
};
use serde::Serialize;

use super::ReconcileError;
use crate::{config::IngestConfig, ingest::kafka::unbooked};

/// Longest that Kafka may take to answer one question.
const KAFKA_TIME_LIMIT: Duration = Duration::from_secs(5);

/// Messages in Kafka that are not booked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KafkaBacklog {
    /// The topic that gateways send usage to.
    pub topic: String,
    /// Messages of each partition that are not booked.
    pub partitions: BTreeMap<i32, i64>,
    /// Messages of all partitions that are not booked; absent if Kafka could not be asked.
    pub messages: Option<i64>,
    /// Reason why Kafka could not be asked.
    pub unknown: Option<String>,
}

impl KafkaBacklog {
    /// Usage that is not booked yet, in words; none if all of it is.
    pub fn incomplete(&self) -> Option<String> {
        match (&self.unknown, self.messages) {
            (Some(reason), _) => Some(format!("how much lies in Kafka is not known: {reason}")),
            (None, Some(0) | None) => None,
            (None, Some(messages)) => {
                Some(format!("{messages} messages of the topic {} in Kafka are not booked yet", self.topic))
            }
        }
    }

    fn unknown(topic: &str, reason: String) -> Self {
        Self { topic: topic.to_owned(), partitions: BTreeMap::new(), messages: None, unknown: Some(reason) }
    }
}

/// Compares the positions in the store with the ends of the partitions in Kafka. None if this store
/// is not fed through Kafka: nothing was ever booked from the topic, and `is_expected` is false, as
/// no brokers were named either.
///
/// `config` is the section of the settings, if settings were read.
pub async fn kafka_backlog(
    store: &Store,
    config: Option<&IngestConfig>,
    is_expected: bool,
) -> Result<Option<KafkaBacklog>, ReconcileError> {
    let defaults = IngestConfig::default();
    let topic = &config.unwrap_or(&defaults).topic;
    let positions = store.positions(topic).await?;
    if positions.is_empty() && !is_expected {
        return Ok(None);
    }
    let Some(config) = config else {
        let reason = "no settings were read: use --config, or set TOLLGATE_KAFKA".to_owned();
        return Ok(Some(KafkaBacklog::unknown(topic, reason)));
    };
    let config = config.clone();
    let topic = config.topic.clone();
    let asked = tokio::task::spawn_blocking(move || ask(&config, &positions)).await;
    let answer = asked.map_err(|error| error.to_string()).and_then(|answer| answer);
    Ok(Some(answer.unwrap_or_else(|reason| KafkaBacklog::unknown(&topic, reason))))
}

fn ask(config: &IngestConfig, positions: &BTreeMap<i32, i64>) -> Result<KafkaBacklog, String> {
    let mut properties = ClientConfig::new();
    for (name, value) in &config.properties {
        properties.set(name, value);
    }
    properties.set("bootstrap.servers", &config.brokers);
    properties.set("allow.auto.create.topics", "false");
    let client: BaseConsumer = properties.create().map_err(|error| error.to_string())?;
    let metadata = client.fetch_metadata(Some(&config.topic), KAFKA_TIME_LIMIT).map_err(|error| error.to_string())?;
    let described = metadata.topics().iter().find(|described| described.name() == config.topic);
    let described = described.filter(|described| described.error().is_none());
    let described = described.ok_or_else(|| format!("Kafka at {} has no topic {}", config.brokers, config.topic))?;
    let mut partitions = BTreeMap::new();
    for partition in described.partitions() {
        let number = partition.id();
        let (start, end) = client
            .fetch_watermarks(&config.topic, number, KAFKA_TIME_LIMIT)
            .map_err(|error| format!("partition {number}: {error}"))?;
        partitions.insert(number, unbooked(positions.get(&number).copied(), start, end));
    }
    let messages = partitions.values().fold(0_i64, |sum, messages| sum.saturating_add(*messages));
    Ok(KafkaBacklog { topic: config.topic.clone(), partitions, messages: Some(messages), unknown: None })
}
