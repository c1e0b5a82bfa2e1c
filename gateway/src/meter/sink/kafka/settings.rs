//! How to reach Kafka, and with which promises: some settings of librdkafka are the gateway's own, all others are free.

use std::{collections::BTreeMap, fmt};

use rdkafka::{ClientConfig, error::KafkaError};

/// Settings that decide whether usage can get lost or change places, and which other setting says them.
const OWN: [(&str, &str); 12] = [
    ("bootstrap.servers", "write it as `brokers`"),
    ("metadata.broker.list", "write it as `brokers`"),
    ("enable.idempotence", ALWAYS_SAFE),
    ("enable.gapless.guarantee", ALWAYS_SAFE),
    ("acks", ALWAYS_SAFE),
    ("request.required.acks", ALWAYS_SAFE),
    ("max.in.flight", ALWAYS_SAFE),
    ("max.in.flight.requests.per.connection", ALWAYS_SAFE),
    ("partitioner", "a stream has to stay on its partition, whichever gateway sends it"),
    ("transactional.id", "the gateway sends without transactions: repeats are recognised where usage is booked"),
    ("allow.auto.create.topics", "say with `create_topic` how the topic is to be made"),
    ("test.mock.num.brokers", "name real brokers"),
];

const ALWAYS_SAFE: &str = "the gateway always sends idempotently and waits for all replicas";

/// What holds unless `properties` say otherwise.
///
/// A batch is a message of hundreds of records already: waiting for more would only delay it. A broker that went
/// silent is given up after 10 s; what was not acknowledged is offered again. zstd: half the bytes of lz4 on batches,
/// for the same processor time per record within what can be measured next to making the batch.
const DEFAULTS: [(&str, &str); 8] = [
    ("compression.type", "zstd"),
    ("linger.ms", "0"),
    ("message.timeout.ms", "10000"),
    ("request.timeout.ms", "10000"),
    ("socket.timeout.ms", "10000"),
    ("socket.keepalive.enable", "true"),
    ("reconnect.backoff.ms", "50"),
    ("reconnect.backoff.max.ms", "1000"),
];

/// What the gateway never leaves open. Java's own clients partition alike: every gateway puts a stream where it was.
const PROMISES: [(&str, &str); 4] = [
    ("enable.idempotence", "true"),
    ("acks", "all"),
    ("partitioner", "murmur2_random"),
    ("allow.auto.create.topics", "false"),
];

/// Where usage goes in Kafka.
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaSettings {
    /// Where to start from: `host:port`, several of them with commas between.
    pub brokers: String,
    /// The topic of batches.
    pub topic: String,
    /// How to make the topic if it is missing; without it, the gateway never makes one.
    pub create_topic: Option<NewTopic>,
    /// Further settings of librdkafka. They may hold passwords.
    pub properties: BTreeMap<String, String>,
}

/// How a missing topic is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewTopic {
    /// How many partitions: as many workers can book usage at once.
    pub partitions: u16,
    /// How many brokers hold each of them.
    pub replication: u16,
}

/// A setting of librdkafka that is none, or not for operators.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Kafka property `{name}`: {reason}")]
pub struct PropertyError {
    /// The property.
    pub name: String,
    /// What is wrong with it.
    pub reason: String,
}

impl KafkaSettings {
    /// The client's configuration, if librdkafka takes every property of it.
    pub fn client(&self) -> Result<ClientConfig, PropertyError> {
        for (name, value) in &self.properties {
            if let Some((_, reason)) = OWN.iter().find(|(own, _)| own == name) {
                return Err(PropertyError { name: name.clone(), reason: format!("cannot be set: {reason}") });
            }
            check(name, value)?;
        }
        let mut client = ClientConfig::new();
        client.set("client.id", "tollgate-gateway").set("bootstrap.servers", &self.brokers);
        for (name, value) in DEFAULTS {
            client.set(name, value);
        }
        for (name, value) in &self.properties {
            client.set(name, value);
        }
        for (name, value) in PROMISES {
            client.set(name, value);
        }
        Ok(client)
    }
}

/// Asks librdkafka for its opinion of one property; all at once would be judged in no order.
fn check(name: &str, value: &str) -> Result<(), PropertyError> {
    let refuse = |reason: String| Err(PropertyError { name: name.to_owned(), reason });
    match ClientConfig::new().set(name, value).create_native_config() {
        Ok(_) => Ok(()),
        Err(KafkaError::ClientConfig(_, reason, ..)) => refuse(reason),
        Err(KafkaError::Nul(_)) => refuse("contains a NUL character".into()),
        Err(error) => refuse(error.to_string()),
    }
}

impl fmt::Debug for KafkaSettings {
    /// Without the values of properties: among them are passwords.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("KafkaSettings")
            .field("brokers", &self.brokers)
            .field("topic", &self.topic)
            .field("create_topic", &self.create_topic)
            .field("properties", &self.properties.keys())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, value: &str) -> Result<ClientConfig, PropertyError> {
        let properties = [(name.to_owned(), value.to_owned())].into();
        let settings =
            KafkaSettings { brokers: "127.0.0.1:1".into(), topic: "usage".into(), create_topic: None, properties };
        settings.client()
    }

    #[test]
    fn properties_reach_the_client_and_keep_its_promises() {
        let client = with("security.protocol", "SASL_SSL").unwrap();
        assert_eq!(client.get("security.protocol"), Some("SASL_SSL"));
        assert_eq!(with("compression.type", "lz4").unwrap().get("compression.type"), Some("lz4"));
        for (name, value) in PROMISES {
            assert_eq!(client.get(name), Some(value));
        }
        let native = client.create_native_config().unwrap();
        assert_eq!(native.get("security.protocol").unwrap(), "sasl_ssl");
    }

    #[test]
    fn a_property_that_librdkafka_does_not_take_is_named() {
        let cases = [
            ("security.protocol", "tls", "Invalid value"),
            ("securty.protocol", "ssl", "No such configuration property"),
            ("message.timeout.ms", "soon", "Invalid value"),
            ("compression.type", "zip", "Invalid value"),
            ("linger.ms\0", "1", "NUL character"),
        ];
        for (name, value, reason) in cases {
            let error = with(name, value).unwrap_err();
            assert_eq!(error.name, name);
            assert!(error.reason.contains(reason), "{error}");
        }
    }

    #[test]
    fn what_would_break_a_promise_cannot_be_set() {
        for (name, _) in OWN {
            let error = with(name, "1").unwrap_err().to_string();
            assert!(error.contains(&format!("`{name}`: cannot be set")), "{error}");
        }
    }

    #[test]
    fn passwords_are_not_printed() {
        let properties = [("sasl.password".to_owned(), "hidden".to_owned())].into();
        let settings = KafkaSettings { brokers: String::new(), topic: String::new(), create_topic: None, properties };
        let printed = format!("{settings:?}");
        assert!(printed.contains("sasl.password") && !printed.contains("hidden"), "{printed}");
    }
}
