//! Usage through Kafka, booked exactly once whatever happens to this process, to Kafka or to the store.
//!
//! A worker per partition gathers messages into transactions. Each moves the partition's position in the store, on
//! condition that it still stands where the worker began: of two that hold the same messages, after a rebalance or a
//! pause that outlasted the session, one books and the other is told. What Kafka itself is told of offsets only feeds
//! dashboards.
//!
//! Read it in that order: [`consumer`] is the client, [`rebalance`] hears which partitions are ours, [`workers`] gives
//! each a [`worker`], which reads a [`page`] of messages and puts it into the store. [`offsets`] is where in a
//! partition to read, [`watch`] looks at the topic from outside, [`condition`] is what `/health` tells.

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

/// Longest that Kafka may take to let go of this process.
const LEAVE_TIME_LIMIT: Duration = Duration::from_secs(5);

/// How often to look whether anybody else still uses the client.
const LEAVE_POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Why usage cannot be taken from Kafka, now or later.
#[derive(Debug, thiserror::Error)]
pub enum KafkaIngestError {
    /// A property of the client is not one, or has a value that it cannot have.
    #[error("`{name}` in `ingest.properties`: {reason}")]
    Property {
        /// The property.
        name: String,
        /// What the client says; not the value, which may be a password.
        reason: String,
    },
    /// The client cannot be made.
    #[error("cannot make a Kafka client: {0}; check `ingest` in the settings")]
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
    /// The client gave up for good.
    #[error("the Kafka client failed: {0}")]
    Failed(KafkaError),
    /// A worker ended without having been told to.
    #[error("the worker of a partition was interrupted: {0}")]
    Interrupted(tokio::task::JoinError),
}

/// Why ingest cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum IngestSetupError {
    /// The metrics do not fit together.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// There is no client.
    #[error(transparent)]
    Kafka(#[from] KafkaIngestError),
}

/// Books the usage of a topic until it is told to stop.
pub struct KafkaIngest {
    config: IngestConfig,
    base: Base,
    shared: Arc<Shared>,
    changes: mpsc::UnboundedReceiver<rebalance::Change>,
}

/// What stays when the process joins the group again.
#[derive(Clone)]
struct Base {
    store: Store,
    clock: Arc<dyn Clock>,
    condition: Arc<Condition>,
    metrics: KafkaMetrics,
    batches: IngestMetrics,
}

/// What all workers have in common.
struct Shared {
    consumer: Arc<UsageConsumer>,
    store: Store,
    clock: Arc<dyn Clock>,
    topic: String,
    group: String,
    /// Name of this process in the group, if it has one.
    name: Option<String>,
    limits: PageLimits,
    condition: Arc<Condition>,
    lag: Lag,
    metrics: KafkaMetrics,
    batches: IngestMetrics,
}

impl KafkaIngest {
    /// Prepares to book into `store` what `config` points at; nothing is read before [`KafkaIngest::run`].
    pub fn new(
        config: &IngestConfig,
        store: Store,
        clock: Arc<dyn Clock>,
        registry: &Registry,
    ) -> Result<Self, IngestSetupError> {
        let metrics = KafkaMetrics::register(registry)?;
        let batches = IngestMetrics::register(registry)?;
        let condition = Arc::new(Condition::new(metrics.clone()));
        Ok(Self::with_client(config.clone(), Base { store, clock, condition, metrics, batches })?)
    }

    fn with_client(config: IngestConfig, base: Base) -> Result<Self, KafkaIngestError> {
        let (report, changes) = mpsc::unbounded_channel();
        let Base { store, clock, condition, metrics, batches } = base.clone();
        let context = rebalance::Context::new(report, Arc::clone(&condition));
        let shared = Shared {
            consumer: Arc::new(consumer::create(&config, context)?),
            store,
            clock,
            topic: config.topic.clone(),
            group: config.group.clone(),
            name: config.member_name(),
            limits: PageLimits { entries: config.batch_entries, wait: Duration::from_millis(config.batch_wait_ms) },
            condition,
            lag: Lag::new(metrics.clone()),
            metrics,
            batches,
        };
        Ok(Self { config, base, shared: Arc::new(shared), changes })
    }

    /// How it is doing, for `/health`.
    pub fn condition(&self) -> Arc<Condition> {
        Arc::clone(&self.shared.condition)
    }

    /// Books until `stop`, then finishes the transactions in hand and leaves the group.
    ///
    /// A client whose broker is out of reach for a while joins a second time, and may still commit as the member that it
    /// was: the group then shuts it out, as if two processes had one name. So shortly after a broker was out of reach,
    /// the process joins once more instead of giving up its name.
    pub async fn run(mut self, stop: Stop) -> Result<(), KafkaIngestError> {
        loop {
            let (config, base) = (self.config.clone(), self.base.clone());
            match self.run_as_member(stop.clone()).await {
                Err(KafkaIngestError::NameTaken { name, group }) if base.condition.contact_was_lost_lately() => {
                    tracing::warn!(name, group, "group_joined_again");
                    self = Self::with_client(config, base)?;
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
                // Serves rebalances, too: it has to be asked for as long as the group counts on this process.
                received = self.shared.consumer.recv() => match received {
                    Ok(message) => workers.restart(rdkafka::Message::partition(&message)),
                    Err(error @ KafkaError::MessageConsumptionFatal(_)) => break Err(self.shared.fatal(error)),
                    Err(error) => tracing::debug!(%error, "kafka_error"),
                },
            }
        };
        workers.stop().await;
        drop(workers);
        watching.abort();
        // It has let go of the client only when it is over.
        let _ = watching.await;
        leave(self.shared).await;
        ended
    }
}

impl Shared {
    /// Explains why the client gave up.
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
    // The client leaves when it is dropped, which blocks; a thread of its own holds up nothing if that takes too long.
    let leaving = std::thread::Builder::new().name("kafka-leave".into()).spawn(move || {
        let mut client = Arc::clone(&shared.consumer);
        drop(shared);
        // Somebody may just be asking Kafka something, and must not be the one who has to wait for the end.
        while let Err(still_shared) = Arc::try_unwrap(client) {
            client = still_shared;
            std::thread::sleep(LEAVE_POLL_INTERVAL);
        }
        // Nobody waits any more if it took too long.
        let _ = left.send(());
    });
    if leaving.is_ok() && tokio::time::timeout(LEAVE_TIME_LIMIT, gone).await.is_err() {
        tracing::warn!(seconds = LEAVE_TIME_LIMIT.as_secs(), "group_not_left");
    }
}
