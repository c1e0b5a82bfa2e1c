//! The sink that delivers to a Kafka topic. A batch is one message with its stream's name as key,
//! which keeps the stream on one partition and in order.
//!
//! The producer is idempotent and waits for all replicas; a batch is delivered when the broker
//! acknowledges it. A batch that is not acknowledged in time is offered again; if it arrives twice,
//! ingest drops the second by its number.
//!
//! Invariant: batches of a stream never change places. The drain sends the next batch when the one
//! before is acknowledged, and brokers refuse a delayed message of a producer that was given up,
//! because its epoch is older.

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
pub use settings::{KafkaSettings, NewTopic};
use tokio::{sync::watch, time::sleep};

use super::{error::SinkError, usage_sink::UsageSink};
use crate::lock::locked;

/// Time between two looks for a missing topic.
const TOPIC_RETRY: Duration = Duration::from_secs(1);

/// Delivers usage to a Kafka topic.
pub struct KafkaSink {
    settings: KafkaSettings,
    /// Replaced after a fatal error of librdkafka.
    client: ArcSwap<Client>,
    topic_seen: AtomicBool,
    /// Locked while the topic is looked for, so that lanes do not ask all at once.
    looking: tokio::sync::Mutex<()>,
    /// Last problem of the topic.
    problem: Mutex<Option<String>>,
}

/// A producer with the errors that it reports.
struct Client {
    producer: FutureProducer<Context>,
    heard: Context,
}

impl KafkaSink {
    /// Makes a sink. The brokers need not be up yet.
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

    /// Looks for the topic until it exists, so that a missing one is logged before the first usage
    /// needs it.
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

    /// Stores the problem of the topic, and logs it when it is new.
    fn note(&self, error: Option<&SinkError>) {
        let new = error.filter(|error| matches!(error, SinkError::Topic { .. })).map(ToString::to_string);
        let mut problem = locked(&self.problem);
        if *problem == new || (new.is_none() && error.is_some()) {
            return;
        }
        if let Some(reason) = &new {
            tracing::error!(
                event = "topic_unusable",
                topic = self.settings.topic,
                reason,
                consequence = "usage stays in the journal"
            );
        }
        *problem = new;
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

    /// Replaces a producer after a fatal error, which makes it fail all messages.
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
                // As many entries as fit into a message. The rest comes with the next call.
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
        // Each property is valid, but not all together, or a file that one names is missing.
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

    /// The fatal error of the producer, if it had one.
    fn fatal_error(&self) -> Option<String> {
        self.producer.client().fatal_error().map(|(_, reason)| reason)
    }
}
