//! Changes out: what happens to tenants, keys and plans, published to a Kafka topic for other
//! systems.
//!
//! The change log is the outbox: a change stands in it from the transaction that made it. A
//! [`Publisher`] reads it in order, loads what each change touched, sends it under the tenant's id,
//! and moves the position in the store once the brokers have it. So every change comes at least
//! once. Those of a tenant come in order, as its next message is not sent before the one before is
//! delivered, and one that is on its way is never given up.
//!
//! Several publishers repeat each other and do no harm: none begins behind a gap, so the first time
//! that a number comes up for a tenant, all before it have come.

mod message;
mod metrics;
mod producer;
mod wave;

use std::{sync::Arc, time::Duration};

use common::{
    change::DatedChange,
    store::{Store, StoreError},
    time::{Clock, Micros},
};
use message::Message;
pub use metrics::PublishMetrics;
use producer::Producer;
use prometheus::Registry;
use rdkafka::error::KafkaError;
use tokio::time::sleep;

use crate::config::ChangesConfig;

/// Interval between looks for changes.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Most changes that are loaded at a time.
const PAGE: u32 = 500;

/// Waits after failures, from the first to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Interval between looks at the lag while brokers do not answer.
const LAG_INTERVAL: Duration = Duration::from_secs(1);

/// The time that brokers may leave messages unanswered before it is logged. The wait goes on all
/// the same.
const SILENCE: Duration = Duration::from_secs(5);

/// A failure to set up publishing.
#[derive(Debug, thiserror::Error)]
pub enum PublishSetupError {
    /// A property of the client is not one, or has a value that it cannot have.
    #[error("`{name}` in `changes.properties`: {reason}")]
    Property {
        /// The property.
        name: String,
        /// The client's reason, without the value, which may be a password.
        reason: String,
    },
    /// The client cannot be created.
    #[error("Kafka client: {0}")]
    Client(KafkaError),
    /// The metrics do not fit together.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// A reason why changes are not published at the moment. Everything is tried again.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    /// The store refuses or does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A message cannot be written as JSON.
    #[error("change {seq} cannot be written as JSON: {source}")]
    Json { seq: i64, source: serde_json::Error },
    /// Kafka answers, and does not have the topic.
    #[error(
        "Kafka has no topic {0}; create it, as with `kafka-topics.sh --bootstrap-server HOST:PORT --create --topic {0} \
         --partitions 3`, or correct `changes.topic`"
    )]
    TopicMissing(String),
    /// Kafka does not answer, or refuses us.
    #[error("{0}")]
    Kafka(String),
}

/// Publishes changes, for ever.
pub struct Publisher {
    store: Store,
    clock: Arc<dyn Clock>,
    producer: Producer,
    /// Its position in the store goes by this name.
    sink: String,
    metrics: PublishMetrics,
    /// The event logged last.
    told: Option<&'static str>,
}

impl Publisher {
    /// A publisher to `brokers`, which need not be there yet.
    pub fn new(
        store: Store,
        clock: Arc<dyn Clock>,
        config: &ChangesConfig,
        brokers: &str,
        registry: &Registry,
    ) -> Result<Self, PublishSetupError> {
        let metrics = PublishMetrics::register(registry)?;
        let producer = Producer::new(config, brokers)?;
        Ok(Self { store, clock, producer, sink: format!("kafka:{}", config.topic), metrics, told: None })
    }

    /// Publishes until it is dropped. What was on its way then is sent again by the next one.
    pub async fn publish(mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.pass_on().await {
                Ok(0) => sleep(POLL_INTERVAL).await,
                Ok(_) => pause = FIRST_PAUSE,
                Err(trouble) => {
                    self.tell(&trouble);
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Publishes up to a page of changes and says how many.
    async fn pass_on(&mut self) -> Result<usize, Trouble> {
        let next = self.store.sink_position(&self.sink).await?;
        let changes = self.store.changes_from(next, PAGE).await?;
        self.show_lag(&changes).await?;
        // A missing topic is told before the first change needs it.
        self.producer.ensure_topic().await?;
        if changes.is_empty() {
            self.all_is_well();
            return Ok(0);
        }
        let mut rest = &changes[..];
        while !rest.is_empty() {
            let messages = self.load_wave(rest).await?;
            let delivered = self.deliver(&messages, rest).await;
            let (done, undone) = rest.split_at(*delivered.as_ref().unwrap_or_else(|(done, _)| done));
            if let Some(last) = done.last() {
                self.store.advance_sink(&self.sink, last.change.seq + 1, self.clock.now()).await?;
                self.metrics.published.inc_by(done.len() as u64);
            }
            rest = undone;
            self.show_lag(rest).await?;
            delivered.map_err(|(_, trouble)| trouble)?;
            self.all_is_well();
        }
        Ok(changes.len())
    }

    /// The messages of as many changes as may be under way at once.
    async fn load_wave(&self, changes: &[DatedChange]) -> Result<Vec<Message>, Trouble> {
        let mut wave = wave::Wave::default();
        for change in changes {
            let message = message::load(&self.store, change, self.clock.now()).await?;
            if let Err(_next_time) = wave.add(message) {
                break;
            }
        }
        Ok(wave.into_messages())
    }

    /// Sends a wave and waits until the brokers have all of it. Else it says how many, from the
    /// first on, they have.
    async fn deliver(&mut self, wave: &[Message], changes: &[DatedChange]) -> Result<usize, (usize, Trouble)> {
        let (mut done, mut failure) = (0, None);
        let deliveries: Vec<_> = wave.iter().map(|message| self.producer.send(message)).collect();
        for delivery in deliveries {
            // All are waited for, so that nothing of this wave comes after a message of the next.
            let outcome = self.wait_for(delivery, &changes[done..]).await;
            if failure.is_none() {
                match outcome {
                    Ok(()) => done += 1,
                    Err(trouble) => failure = Some(trouble),
                }
            }
        }
        failure.map_or(Ok(done), |trouble| Err((done, trouble)))
    }

    /// Waits for one message, and tells when the brokers are silent for long.
    async fn wait_for(&mut self, delivery: producer::Delivery, pending: &[DatedChange]) -> Result<(), Trouble> {
        let mut outcome = std::pin::pin!(delivery.outcome());
        let mut waited = Duration::ZERO;
        loop {
            tokio::select! {
                outcome = &mut outcome => return outcome.map_err(|error| self.producer.explain(&error)),
                () = sleep(LAG_INTERVAL) => waited += LAG_INTERVAL,
            }
            // The store may be away too; that comes to light when it is needed.
            let _ = self.show_lag(pending).await;
            if waited >= SILENCE {
                self.tell(&self.producer.silence(waited));
            }
        }
    }

    /// Shows how much is not published, beginning with `pending`.
    async fn show_lag(&self, pending: &[DatedChange]) -> Result<(), StoreError> {
        let Some(oldest) = pending.first() else {
            self.metrics.pending.set(0);
            self.metrics.lag_seconds.set(0);
            return Ok(());
        };
        let age = self.clock.now().0.saturating_sub(oldest.at.0) / Micros::PER_SECOND;
        self.metrics.lag_seconds.set(age.max(0));
        self.metrics.pending.set(self.store.last_change().await? + 1 - oldest.change.seq);
        Ok(())
    }

    /// Tells of trouble when it begins or becomes another.
    fn tell(&mut self, trouble: &Trouble) {
        let event = trouble.event();
        self.metrics.down.set(1);
        if self.told != Some(event) {
            tracing::error!(event, reason = %trouble, topic = self.producer.topic());
            self.told = Some(event);
        }
    }

    /// Tells when trouble has ended.
    fn all_is_well(&mut self) {
        self.metrics.down.set(0);
        if let Some(after) = self.told.take() {
            tracing::info!(event = "changes_published_again", after, topic = self.producer.topic());
        }
    }
}

impl Trouble {
    const fn event(&self) -> &'static str {
        match self {
            Self::Store(_) => "changes_not_read",
            Self::Json { .. } => "change_not_written",
            Self::TopicMissing(_) => "changes_topic_missing",
            Self::Kafka(_) => "changes_not_published",
        }
    }
}

#[cfg(test)]
mod tests;
