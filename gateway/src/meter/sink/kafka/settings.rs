//! Settings of the Kafka client. The gateway fixes those on which delivery depends; operators may
//! set all others.

use std::{collections::BTreeMap, fmt};

use common::kafka::{CONNECTIONS, PRODUCER, layered};
use rdkafka::{ClientConfig, error::KafkaError};

use super::super::error::PropertyError;

/// Settings on which delivery or order of usage depends, each with the setting to use instead, or
/// the reason.
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

/// Defaults, which `properties` may override, beside those of connections.
///
/// A batch is a message of hundreds of records already: waiting for more would only delay it. A
/// silent broker is given up after 10 s, and its batches are offered again. zstd takes half the
/// bytes of lz4 on batches, for the same processor time per record within what can be measured next
/// to making the batch.
const DEFAULTS: [(&str, &str); 6] = [
    ("client.id", "tollgate-gateway"),
    ("compression.type", "zstd"),
    ("linger.ms", "0"),
    ("message.timeout.ms", "10000"),
    ("request.timeout.ms", "10000"),
    ("socket.timeout.ms", "10000"),
];

/// Settings of the Kafka sink.
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaSettings {
    /// Brokers to connect to first: `host:port`, with commas between several.
    pub brokers: String,
    /// The topic of batches.
    pub topic: String,
    /// Size of the topic that is created if it is missing. None: a missing topic is an error.
    pub create_topic: Option<NewTopic>,
    /// Further settings of librdkafka. They may hold passwords.
    pub properties: BTreeMap<String, String>,
}

/// Size of a topic to create.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewTopic {
    /// Number of partitions, and so of workers that can book usage at once.
    pub partitions: u16,
    /// Number of brokers that hold each partition.
    pub replication: u16,
}

impl KafkaSettings {
    /// Makes the client's configuration. An error if librdkafka does not take one of the
    /// properties.
    pub fn client(&self) -> Result<ClientConfig, PropertyError> {
        for (name, value) in &self.properties {
            if let Some((_, reason)) = OWN.iter().find(|(own, _)| own == name) {
                return Err(PropertyError { name: name.clone(), reason: format!("cannot be set: {reason}") });
            }
            check(name, value)?;
        }
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", &self.brokers);
        for (name, value) in layered(DEFAULTS.into_iter().chain(CONNECTIONS), &self.properties, PRODUCER) {
            client.set(name, value);
        }
        Ok(client)
    }
}

/// Checks one property with librdkafka. Several at once would be checked in no fixed order.
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
    /// Leaves out the values of properties, which may be passwords.
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
    fn properties_reach_the_client_and_fixed_settings_stay() {
        let client = with("security.protocol", "SASL_SSL").unwrap();
        assert_eq!(client.get("security.protocol"), Some("SASL_SSL"));
        assert_eq!(with("compression.type", "lz4").unwrap().get("compression.type"), Some("lz4"));
        for (name, value) in PRODUCER {
            assert_eq!(client.get(name), Some(value));
        }
        let native = client.create_native_config().unwrap();
        assert_eq!(native.get("security.protocol").unwrap(), "sasl_ssl");
    }

    #[test]
    fn property_that_librdkafka_does_not_take_is_named() {
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
    fn fixed_setting_cannot_be_set() {
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
