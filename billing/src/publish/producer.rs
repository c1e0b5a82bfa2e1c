//! The Kafka client: its properties, those that order and delivery rest on, and whether the topic
//! is there.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use common::kafka::{CONNECTIONS, PRODUCER, layered};
use rdkafka::{
    ClientConfig, ClientContext,
    config::{FromClientConfigAndContext as _, RDKafkaLogLevel},
    error::KafkaError,
    producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer as _},
    types::{RDKafkaErrorCode as Code, RDKafkaRespErr as Answer},
};
use tokio::task::spawn_blocking;

use super::{Message, PublishSetupError, Trouble};
use crate::config::ChangesConfig;

/// Longest that Kafka may take to describe the topic.
const DESCRIBE_TIME_LIMIT: Duration = Duration::from_secs(5);

/// Properties that the settings may override, beside those of every connection.
const DEFAULTS: [(&str, &str); 3] =
    [("client.id", "tollgate-billing"), ("linger.ms", "0"), ("log.connection.close", "false")];

/// A property that the settings cannot change, beside those of every producer. A message is never
/// given up, since it could still arrive late.
const FIXED: (&str, &str) = ("message.timeout.ms", "0");

/// Sends to one topic.
pub(super) struct Producer {
    properties: ClientConfig,
    topic: String,
    client: FutureProducer<Ear>,
    heard: Ear,
    topic_seen: bool,
}

/// The pending delivery of one message.
pub(super) struct Delivery(Result<DeliveryFuture, KafkaError>);

/// Keeps the client's own errors, as "timed out" alone does not say why.
#[derive(Clone, Default)]
struct Ear {
    last_error: Arc<Mutex<Option<String>>>,
}

impl Producer {
    pub(super) fn new(config: &ChangesConfig, brokers: &str) -> Result<Self, PublishSetupError> {
        let mut properties = ClientConfig::new();
        let (defaults, fixed) = (DEFAULTS.into_iter().chain(CONNECTIONS), PRODUCER.into_iter().chain([FIXED]));
        for (name, value) in layered(defaults, &config.properties, fixed) {
            properties.set(name, value);
        }
        properties.set("bootstrap.servers", brokers);
        let heard = Ear::default();
        let client = create(&properties, &heard).map_err(|error| match error {
            KafkaError::ClientConfig(_, reason, name, _) => PublishSetupError::Property { name, reason },
            other => PublishSetupError::Client(other),
        })?;
        Ok(Self { properties, topic: config.topic.clone(), client, heard, topic_seen: false })
    }

    pub(super) fn topic(&self) -> &str {
        &self.topic
    }

    /// Makes sure that the topic is there, until it was seen once.
    pub(super) async fn ensure_topic(&mut self) -> Result<(), Trouble> {
        if !self.topic_seen {
            self.look().await?;
            self.topic_seen = true;
        }
        Ok(())
    }

    async fn look(&self) -> Result<(), Trouble> {
        let (client, topic) = (self.client.clone(), self.topic.clone());
        let asked = spawn_blocking(move || client.client().fetch_metadata(Some(&topic), DESCRIBE_TIME_LIMIT));
        let metadata = match asked.await {
            Ok(Ok(metadata)) => metadata,
            Ok(Err(error)) => return Err(Trouble::Kafka(self.heard.explain(&error))),
            Err(error) => return Err(Trouble::Kafka(error.to_string())),
        };
        let described = metadata.topics().iter().find(|described| described.name() == self.topic);
        match described.map(|described| (described.error(), described.partitions().is_empty())) {
            Some((None, false)) => Ok(()),
            Some((Some(Answer::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART), _) | (None, true)) | None => {
                Err(Trouble::TopicMissing(self.topic.clone()))
            }
            Some((Some(error), _)) => Err(Trouble::Kafka(format!("Kafka refuses to describe the topic: {error:?}"))),
        }
    }

    /// Hands a message to the client, which sends it when it can.
    pub(super) fn send(&self, message: &Message) -> Delivery {
        let record = FutureRecord::to(&self.topic).key(&message.key).payload(&message.payload);
        Delivery(self.client.send_result(record).map_err(|(error, _)| error))
    }

    /// Explains why a message was not delivered. A topic that is gone is looked for from now on,
    /// and a client beyond repair is replaced.
    pub(super) fn explain(&mut self, error: &KafkaError) -> Trouble {
        let reason = self.heard.explain(error);
        if self.client.client().fatal_error().is_some() {
            match create(&self.properties, &self.heard) {
                Ok(client) => self.client = client,
                Err(error) => return Trouble::Kafka(format!("{reason}; no other client can be made: {error}")),
            }
        }
        self.topic_seen = false;
        Trouble::Kafka(reason)
    }

    /// That brokers have left a message unanswered for so long.
    pub(super) fn silence(&self, waited: Duration) -> Trouble {
        let waited = format!("no answer for {} s", waited.as_secs());
        Trouble::Kafka(match self.heard.last_error() {
            Some(last) => format!("{waited}; {last}"),
            None => waited,
        })
    }
}

fn create(properties: &ClientConfig, heard: &Ear) -> Result<FutureProducer<Ear>, KafkaError> {
    FutureProducer::from_config_and_context(properties, heard.clone())
}

impl Delivery {
    /// Waits until the brokers have the message, or refuse it.
    pub(super) async fn outcome(self) -> Result<(), KafkaError> {
        match self.0?.await {
            Ok(sent) => sent.map(drop).map_err(|(error, _)| error),
            Err(_) => Err(KafkaError::Canceled),
        }
    }
}

impl Ear {
    fn last_error(&self) -> Option<String> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn explain(&self, error: &KafkaError) -> String {
        let code = error.rdkafka_error_code().map_or_else(|| error.to_string(), |code| code.to_string());
        match self.last_error() {
            Some(last) => format!("{code}; {last}"),
            None => code,
        }
    }
}

impl ClientContext for Ear {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(event = "kafka_client", facility, text = message);
            }
            _ => tracing::debug!(event = "kafka_client", facility, text = message),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // Follows upon the error of the last broker, and says less.
        if error.rdkafka_error_code() != Some(Code::AllBrokersDown) {
            *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
        }
    }
}
