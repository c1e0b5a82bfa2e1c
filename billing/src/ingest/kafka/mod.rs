//! Usage through Kafka, booked exactly once through any failure of this process, of Kafka or of the
//! store.
//!
//! A worker per partition gathers messages into transactions. Invariant: each transaction moves the
//! partition's position in the store, and only from the position at which the worker began. So of
//! two workers with the same messages, after a rebalance or a pause that outlasted the session, one
//! books and the other is refused. Offsets that are committed to Kafka only feed dashboards.
//!
//! [`consumer`] is the client, [`rebalance`] receives the assigned partitions, [`workers`] gives
//! each a [`worker`], which reads a [`page`] of messages and books it. [`offsets`] seeks within a
//! partition, [`watch`] looks at the topic from outside, [`condition`] is the state that `/health`
//! reads.

mod condition;
mod consumer;
mod lag;
mod metrics;
mod offsets;
mod page;
mod rebalance;
mod stop;
#[cfg(test)]
mod tests;
mod watch;
mod worker;
mod workers;

use std::{sync::Arc, time::Duration};

use common::{store::Store, time::Clock};
pub use condition::{Condition, KafkaTrouble};
use consumer::UsageConsumer;
use lag::Lag;
pub(crate) use lag::unbooked;
pub use metrics::KafkaMetrics;
use page::PageLimits;
use prometheus::Registry;
use rdkafka::{
    consumer::Consumer as _,
    error::{KafkaError, RDKafkaErrorCode},
};
pub use stop::{Stop, Stopper};
use tokio::sync::{mpsc, oneshot};
use workers::Workers;

use super::IngestMetrics;
use crate::config::IngestConfig;

/// Longest time that leaving the group may take.
const LEAVE_TIME_LIMIT: Duration = Duration::from_secs(5);

/// Interval of checks whether the client is still in use.
const LEAVE_POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Reason why ingest from Kafka ended.
#[derive(Debug, thiserror::Error)]
pub enum KafkaIngestError {
    /// A property of the client is unknown, or has an invalid value.
    #[error("`{name}` in `ingest.properties`: {reason}")]
    Property {
        /// The property.
        name: String,
        /// Error of the client, without the value, which may be a password.
        reason: String,
    },
    /// The client cannot be created.
    #[error("cannot create a Kafka client: {0}; check `ingest` in the settings")]
    Client(KafkaError),
    /// Another process joined the group under the same name; the brokers let only the later one in.
    #[error(
        "another process took over the name `{name}` in the group `{group}`; give each `billing ingest` an `ingest.name` \
         of its own"
    )]
    NameTaken {
        /// The name of both.
        name: String,
        /// The consumer group.
        group: String,
    },
    /// The client failed for good.
    #[error("the Kafka client failed: {0}")]
    Failed(KafkaError),
    /// A worker ended although it was not told to stop.
    #[error("the worker of a partition was interrupted: {0}")]
    Interrupted(tokio::task::JoinError),
}

/// Reason why ingest cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum IngestSetupError {
    /// The metrics conflict.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The client cannot be created.
    #[error(transparent)]
    Kafka(#[from] KafkaIngestError),
}

/// Books the usage of a topic until it is told to stop.
pub struct KafkaIngest {
    config: IngestConfig,
    services: Services,
    shared: Arc<Shared>,
    changes: mpsc::UnboundedReceiver<rebalance::Change>,
}

/// Services that outlive a membership in the group: they stay when the process joins the group
/// again.
#[derive(Clone)]
struct Services {
    store: Store,
    clock: Arc<dyn Clock>,
    condition: Arc<Condition>,
    metrics: KafkaMetrics,
    batches: IngestMetrics,
}

/// One membership in the group, shared by all workers.
struct Shared {
    services: Services,
    consumer: Arc<UsageConsumer>,
    topic: String,
    group: String,
    /// Name of this process in the group, if it has one.
    name: Option<String>,
    limits: PageLimits,
    lag: Lag,
}

impl KafkaIngest {
    /// Prepares to book the topic of `config` into `store`. Reading starts with
    /// [`KafkaIngest::run`].
    pub fn new(
        config: &IngestConfig,
        store: Store,
        clock: Arc<dyn Clock>,
        registry: &Registry,
    ) -> Result<Self, IngestSetupError> {
        let metrics = KafkaMetrics::register(registry)?;
        let batches = IngestMetrics::register(registry)?;
        let condition = Arc::new(Condition::new(metrics.clone()));
        Ok(Self::with_client(config.clone(), Services { store, clock, condition, metrics, batches })?)
    }

    fn with_client(config: IngestConfig, services: Services) -> Result<Self, KafkaIngestError> {
        let (report, changes) = mpsc::unbounded_channel();
        let context = rebalance::Context::new(report, Arc::clone(&services.condition));
        let shared = Shared {
            services: services.clone(),
            consumer: Arc::new(consumer::create(&config, context)?),
            topic: config.topic.clone(),
            group: config.group.clone(),
            name: config.member_name(),
            limits: PageLimits { entries: config.batch_entries, wait: Duration::from_millis(config.batch_wait_ms) },
            lag: Lag::new(services.metrics.clone()),
        };
        Ok(Self { config, services, shared: Arc::new(shared), changes })
    }

    /// The state of ingest, for `/health`.
    pub fn condition(&self) -> Arc<Condition> {
        Arc::clone(&self.services.condition)
    }

    /// Books until `stop`, then finishes the transactions in hand and leaves the group.
    ///
    /// A client whose broker is out of reach for a while joins a second time, and may still commit
    /// as the member that it was: the group then shuts it out, as if two processes had one name. So
    /// shortly after a broker was out of reach, the process joins once more instead of giving up
    /// its name.
    pub async fn run(mut self, stop: Stop) -> Result<(), KafkaIngestError> {
        loop {
            let (config, services) = (self.config.clone(), self.services.clone());
            match self.run_as_member(stop.clone()).await {
                Err(KafkaIngestError::NameTaken { name, group }) if services.condition.contact_was_lost_lately() => {
                    tracing::warn!(event = "group_joined_again", name, group);
                    self = Self::with_client(config, services)?;
                }
                ended => return ended,
            }
        }
    }

    async fn run_as_member(mut self, stop: Stop) -> Result<(), KafkaIngestError> {
        let mut workers = Workers::new(Arc::clone(&self.shared));
        let watching = tokio::spawn(watch::watch(Arc::clone(&self.shared), stop.clone()));
        let ended = loop {
            tokio::select! {
                biased;
                () = stop.told() => break Ok(()),
                Some(change) = self.changes.recv() => workers.apply(change),
                Some(ended) = workers.ended() => if let Err(error) = ended {
                    break Err(KafkaIngestError::Interrupted(error));
                },
                // Serves rebalances, too: it has to be asked for as long as the group counts on
                // this process.
                received = self.shared.consumer.recv() => match received {
                    Ok(message) => workers.restart(rdkafka::Message::partition(&message)),
                    Err(error @ KafkaError::MessageConsumptionFatal(_)) => break Err(self.shared.fatal(error)),
                    Err(error) => tracing::debug!(event = "kafka_error", %error),
                },
            }
        };
        workers.stop().await;
        drop(workers);
        watching.abort();
        // The task holds the client until it has ended.
        let _ = watching.await;
        leave(self.shared).await;
        ended
    }
}

impl Shared {
    /// Explains why the client failed for good.
    fn fatal(&self, error: KafkaError) -> KafkaIngestError {
        let is_fenced =
            self.consumer.client().fatal_error().is_some_and(|(code, _)| code == RDKafkaErrorCode::FencedInstanceId);
        match &self.name {
            Some(name) if is_fenced => KafkaIngestError::NameTaken { name: name.clone(), group: self.group.clone() },
            _ => KafkaIngestError::Failed(error),
        }
    }
}

/// Leaves the group, so that others take over at once instead of after the session timeout.
async fn leave(shared: Arc<Shared>) {
    let (left, gone) = oneshot::channel();
    // The client leaves when it is dropped, which blocks; a thread of its own holds up nothing
    // else.
    let leaving = std::thread::Builder::new().name("kafka-leave".into()).spawn(move || {
        let mut client = Arc::clone(&shared.consumer);
        drop(shared);
        // A question to Kafka may still be open, and must not be the one that drops the client.
        while let Err(still_shared) = Arc::try_unwrap(client) {
            client = still_shared;
            std::thread::sleep(LEAVE_POLL_INTERVAL);
        }
        // The receiver is gone if this took too long.
        let _ = left.send(());
    });
    if leaving.is_ok() && tokio::time::timeout(LEAVE_TIME_LIMIT, gone).await.is_err() {
        tracing::warn!(event = "group_not_left", seconds = LEAVE_TIME_LIMIT.as_secs());
    }
}
