//! Kafka: a batch is one message under its stream's name, which keeps the stream on one partition and in order.
//!
//! The producer is idempotent and waits for all replicas; a batch counts as delivered when the broker says so. What was
//! not acknowledged in time is offered again, maybe a second time after all: whoever books usage drops it by its
//! number. It cannot overtake: the drain sends a stream's next batch when the one before is acknowledged, and a
//! straggler of a producer that gave up carries an older epoch, which brokers refuse.

mod context;
mod settings;
#[cfg(test)]
mod tests;
mod topic;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use common::usage::UsageBatch;
use context::Context;
use rdkafka::{
    error::KafkaError,
    producer::{FutureProducer, FutureRecord, Producer as _},
    types::RDKafkaErrorCode as Code,
};
pub use settings::{KafkaSettings, NewTopic, PropertyError};
use tokio::{sync::watch, time::sleep};

use super::{SinkError, UsageSink};
use crate::lock::locked;

/// How often a missing topic is looked for.
const TOPIC_RETRY: Duration = Duration::from_secs(1);

/// A Kafka topic.
pub struct KafkaSink {
    settings: KafkaSettings,
    /// Replaced when librdkafka declares it beyond repair.
    client: ArcSwap<Client>,
    topic_seen: AtomicBool,
    /// Held while the topic is looked for, so that lanes do not ask all at once.
    looking: tokio::sync::Mutex<()>,
    /// What was last found wrong with the topic.
    problem: Mutex<Option<String>>,
}

/// One producer and what it says.
struct Client {
    producer: FutureProducer<Context>,
    heard: Context,
}

impl KafkaSink {
    /// A sink; the brokers need not be there yet.
    pub fn new(settings: KafkaSettings) -> Result<Self, SinkError> {
        let client = Client::new(&settings)?;
        Ok(Self {
            settings,
            client: ArcSwap::from_pointee(client),
            topic_seen: AtomicBool::new(false),
            looking: tokio::sync::Mutex::default(),
            problem: Mutex::default(),
        })
    }

    /// Looks for the topic until it is there, so that a missing one is told before the first usage needs it.
    pub async fn find_topic(self: Arc<Self>, mut stopped: watch::Receiver<bool>) {
        let found = async {
            while self.ensure_topic().await.is_err() {
                sleep(TOPIC_RETRY).await;
            }
        };
        tokio::select! {
            () = found => {}
            _ = stopped.wait_for(|stop| *stop) => {}
        }
    }

    async fn ensure_topic(&self) -> Result<(), SinkError> {
        if self.topic_seen.load(Ordering::Acquire) {
            return Ok(());
        }
        let _one_at_a_time = self.looking.lock().await;
        if self.topic_seen.load(Ordering::Acquire) {
            return Ok(());
        }
        let outcome = topic::ensure(&self.settings, &self.client.load_full()).await;
        self.note(outcome.as_ref().err());
        outcome.inspect(|()| self.topic_seen.store(true, Ordering::Release))
    }

    /// Keeps what is wrong with the topic for whoever asks, and logs it when it is news.
    fn note(&self, error: Option<&SinkError>) {
        let told = error.filter(|error| matches!(error, SinkError::Topic { .. })).map(ToString::to_string);
        let mut problem = locked(&self.problem);
        if *problem == told || (told.is_none() && error.is_some()) {
            return;
        }
        if let Some(reason) = &told {
            tracing::error!(
                event = "topic_unusable",
                topic = self.settings.topic,
                reason,
                "usage stays in the journal"
            );
        }
        *problem = told;
    }

    fn failed(&self, client: &Arc<Client>, error: &KafkaError) -> SinkError {
        let reason = client.heard.explain(error);
        if let Some(fatal) = client.fatal_error() {
            self.replace(client, &fatal);
        }
        let advice = match error.rdkafka_error_code() {
            Some(Code::TopicAuthorizationFailed) => "allow this user to write to it",
            Some(Code::MessageSizeTooLarge) => {
                "not even one entry fits: raise `max.message.bytes` of the topic, and `message.max.bytes` of the brokers \
                 and in `usage.kafka.properties`"
            }
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition) => {
                self.topic_seen.store(false, Ordering::Release);
                return SinkError::Away(reason);
            }
            _ => return SinkError::Away(reason),
        };
        let unusable = SinkError::Topic { topic: self.settings.topic.clone(), reason: format!("{reason}; {advice}") };
        self.note(Some(&unusable));
        unusable
    }

    /// A fatal error ends a producer: everything in it fails, and it takes nothing more.
    fn replace(&self, broken: &Arc<Client>, reason: &str) {
        let _one_at_a_time = locked(&self.problem);
        if !Arc::ptr_eq(&self.client.load(), broken) {
            return;
        }
        match Client::new(&self.settings) {
            Ok(client) => {
                self.client.store(Arc::new(client));
                tracing::warn!(event = "producer_replaced", reason);
            }
            Err(error) => tracing::error!(event = "producer_not_replaced", reason, %error),
        }
    }
}

#[async_trait::async_trait]
impl UsageSink for KafkaSink {
    async fn deliver(&self, batch: &UsageBatch) -> Result<u64, SinkError> {
        self.ensure_topic().await?;
        let client = self.client.load_full();
        let key = batch.stream.to_string();
        let (mut payload, mut entries) = (batch.encode(), batch.entries.len());
        loop {
            match client.send(&self.settings.topic, &key, &payload).await {
                Ok(()) => {
                    client.heard.forget();
                    self.note(None);
                    return Ok(batch.first_seq + entries as u64);
                }
                // As much of it as fits into a message; the rest comes with the next call.
                Err(error) if is_too_large(&error) && entries > 1 => {
                    entries = entries.div_ceil(2);
                    payload = UsageBatch { entries: batch.entries[..entries].to_vec(), ..batch.clone() }.encode();
                }
                Err(error) => return Err(self.failed(&client, &error)),
            }
        }
    }

    fn away(&self) -> Option<String> {
        self.client.load().heard.away()
    }

    fn problem(&self) -> Option<String> {
        locked(&self.problem).clone()
    }
}

fn is_too_large(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(Code::MessageSizeTooLarge)
}

// === impl Client ===

impl Client {
    fn new(settings: &KafkaSettings) -> Result<Self, SinkError> {
        let heard = Context::default();
        let created = settings.client()?.create_with_context(heard.clone());
        // Single properties were fine; together they are not, or a file that they name is not there.
        created.map(|producer| Self { producer, heard }).map_err(|error| match error {
            KafkaError::ClientCreation(reason) => SinkError::Setup(format!("Kafka client: {reason}")),
            other => SinkError::Setup(other.to_string()),
        })
    }

    /// Sends a message and waits until the brokers have it.
    async fn send(&self, topic: &str, key: &str, payload: &[u8]) -> Result<(), KafkaError> {
        let record = FutureRecord::to(topic).key(key).payload(payload);
        let delivery = self.producer.send_result(record).map_err(|(error, _)| error)?;
        match delivery.await {
            Ok(sent) => sent.map(drop).map_err(|(error, _)| error),
            Err(_) => Err(KafkaError::Canceled),
        }
    }

    /// What broke the producer for good, if anything did.
    fn fatal_error(&self) -> Option<String> {
        self.producer.client().fatal_error().map(|(_, reason)| reason)
    }
}
