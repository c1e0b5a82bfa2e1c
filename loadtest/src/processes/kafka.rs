//! Settings of Kafka's clients, for gateway and ingest.

use std::collections::BTreeMap;

use servers::Kafka;

/// Settings of a client of Kafka.
#[derive(Debug, Clone)]
pub struct KafkaAccess {
    /// Address of a first broker: `host:port`.
    pub brokers: String,
    /// Further properties of librdkafka, as for TLS and passwords.
    pub properties: BTreeMap<String, String>,
}

impl From<&Kafka> for KafkaAccess {
    fn from(kafka: &Kafka) -> Self {
        Self { brokers: kafka.bootstrap(), properties: kafka.client_properties() }
    }
}
