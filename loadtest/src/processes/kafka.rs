//! How the processes of the fleet reach Kafka.

use std::collections::BTreeMap;

use servers::Kafka;

/// What a client of Kafka is configured with.
#[derive(Debug, Clone)]
pub struct KafkaAccess {
    /// Where to start from: `host:port`.
    pub brokers: String,
    /// Further properties of librdkafka, as for TLS and passwords.
    pub properties: BTreeMap<String, String>,
}

impl From<&Kafka> for KafkaAccess {
    fn from(kafka: &Kafka) -> Self {
        Self { brokers: kafka.bootstrap(), properties: kafka.client_properties() }
    }
}
