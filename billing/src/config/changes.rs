//! The section `changes`: the Kafka topic that other systems hear of tenants, keys and plans from.

use std::collections::BTreeMap;

use common::kafka::{filled, properties_except, topic};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

const ALWAYS_SAFE: &str = "changes are always sent idempotently, and until all replicas have them";

/// Properties of the Kafka client that are not free: order and delivery rest on them, or a setting
/// stands for them.
const RESERVED_PROPERTIES: [(&str, &str); 14] = [
    ("bootstrap.servers", "set `changes.brokers` instead"),
    ("metadata.broker.list", "set `changes.brokers` instead"),
    ("enable.idempotence", ALWAYS_SAFE),
    ("enable.gapless.guarantee", ALWAYS_SAFE),
    ("acks", ALWAYS_SAFE),
    ("request.required.acks", ALWAYS_SAFE),
    ("max.in.flight", ALWAYS_SAFE),
    ("max.in.flight.requests.per.connection", ALWAYS_SAFE),
    ("message.timeout.ms", ALWAYS_SAFE),
    ("delivery.timeout.ms", ALWAYS_SAFE),
    ("partitioner", "what a tenant's changes have in common is their partition, whoever sends them"),
    ("transactional.id", "changes are sent without transactions: readers pass over numbers that they have seen"),
    ("allow.auto.create.topics", "create the topic yourself, with the partitions that it is to have"),
    ("test.mock.num.brokers", "name real brokers"),
];

/// The `changes` section: the Kafka topic that `billing serve` publishes to. No `Debug`: properties
/// may hold passwords.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ChangesConfig {
    /// Addresses of Kafka's brokers: `host:port`, several separated by commas. Without it, nothing
    /// is published.
    #[serde(deserialize_with = "brokers")]
    pub brokers: Option<String>,
    /// The topic.
    #[serde(deserialize_with = "topic")]
    pub topic: String,
    /// Further properties of librdkafka, such as `security.protocol`.
    #[serde(deserialize_with = "properties")]
    #[schemars(with = "BTreeMap<String, common::kafka::Scalar>")]
    pub properties: BTreeMap<String, String>,
}

impl Default for ChangesConfig {
    fn default() -> Self {
        Self { brokers: None, topic: "plans.changes".into(), properties: BTreeMap::new() }
    }
}

fn brokers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    filled(deserializer).map(Some)
}

fn properties<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    properties_except(deserializer, &RESERVED_PROPERTIES)
}

#[cfg(test)]
mod tests {
    use common::config;

    use super::*;

    fn parse(text: &str) -> Result<ChangesConfig, String> {
        config::parse(text, "billing.yaml").map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_is_published_unless_brokers_are_named() {
        assert_eq!(parse("topic: changes").ok().unwrap().brokers, None);
        assert_eq!(parse("brokers: kafka:9092").ok().unwrap().brokers.as_deref(), Some("kafka:9092"));
        assert!(parse("brokers: ''").is_err());
    }

    #[test]
    fn properties_that_order_and_delivery_rest_on_cannot_be_set() {
        for (name, _) in RESERVED_PROPERTIES {
            let error = parse(&format!("properties:\n  {name}: x\n")).err().unwrap();
            assert!(error.starts_with("billing.yaml:") && error.contains(name), "{error}");
        }
    }
}
