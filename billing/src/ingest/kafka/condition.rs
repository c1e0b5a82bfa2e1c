//! The condition of ingest: every fault is logged once when it begins and once when it ends.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::KafkaMetrics;

/// The time after an outage of the brokers in which the group may still count this process twice.
const REJOINING: Duration = Duration::from_mins(1);

/// A reason why no messages arrive from Kafka.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KafkaTrouble {
    /// It does not answer, or refuses us.
    Unreachable(String),
    /// It answers, and does not have the topic.
    TopicMissing(String),
}

/// The outages of Kafka and of the store, shared by all tasks that notice them.
#[derive(Debug)]
pub struct Condition {
    state: Mutex<State>,
    /// Wakes the task that asks Kafka, so that an outage is not noticed only when it is asked next.
    doubted: Notify,
    metrics: KafkaMetrics,
}

#[derive(Debug)]
struct State {
    /// None before the first answer.
    kafka: Option<Result<(), KafkaTrouble>>,
    /// The client's last error.
    kafka_error: Option<String>,
    /// The last time that a broker was out of reach.
    contact_lost: Option<Instant>,
    /// Partitions that cannot be booked, and since when there are any.
    unbooked: BTreeSet<i32>,
    outage_since: Option<Instant>,
}

impl Condition {
    /// Nothing has been heard of Kafka yet.
    pub fn new(metrics: KafkaMetrics) -> Self {
        let state =
            State { kafka: None, kafka_error: None, contact_lost: None, unbooked: BTreeSet::new(), outage_since: None };
        Self { state: Mutex::new(state), doubted: Notify::new(), metrics }
    }

    /// Asks for Kafka to be looked at now: the client has no connection left.
    pub(super) fn doubt_kafka(&self) {
        self.doubted.notify_one();
    }

    /// Waits until Kafka is to be looked at now.
    pub(super) async fn kafka_doubted(&self) {
        self.doubted.notified().await;
    }

    /// The current fault between this process and Kafka, if any.
    pub fn kafka_trouble(&self) -> Option<KafkaTrouble> {
        match &self.lock().kafka {
            None => Some(KafkaTrouble::Unreachable("Kafka has not answered yet".into())),
            Some(answer) => answer.clone().err(),
        }
    }

    /// The client says what went wrong; whether it matters shows when Kafka is asked next.
    pub(super) fn note_kafka_error(&self, reason: &str) {
        self.lock().kafka_error = Some(reason.to_owned());
    }

    /// A broker was lost, or did not answer for as long as a session lasts.
    pub(super) fn contact_is_lost(&self) {
        self.lock().contact_lost = Some(Instant::now());
    }

    /// Returns true if a broker was out of reach within the last minute.
    pub(super) fn contact_was_lost_lately(&self) -> bool {
        self.lock().contact_lost.is_some_and(|at| at.elapsed() < REJOINING)
    }

    /// Kafka answers and has the topic.
    pub(super) fn kafka_answers(&self, partitions: usize) {
        let mut state = self.lock();
        state.kafka_error = None;
        if state.kafka.replace(Ok(())) != Some(Ok(())) {
            tracing::info!(event = "kafka_reached", partitions);
        }
    }

    /// Kafka does not answer.
    pub(super) fn kafka_is_unreachable(&self, reason: &str) {
        let mut state = self.lock();
        state.contact_lost = Some(Instant::now());
        let reason = match &state.kafka_error {
            Some(said) => format!("{reason}; the client said last: {said}"),
            None => reason.to_owned(),
        };
        self.trouble(&mut state, KafkaTrouble::Unreachable(reason));
    }

    /// Kafka answers and does not have the topic; `advice` says which, and how to make it.
    pub(super) fn topic_is_missing(&self, advice: String) {
        self.trouble(&mut self.lock(), KafkaTrouble::TopicMissing(advice));
    }

    fn trouble(&self, state: &mut State, trouble: KafkaTrouble) {
        let is_known = match (&state.kafka, &trouble) {
            (Some(Err(before)), now) => std::mem::discriminant(before) == std::mem::discriminant(now),
            (Some(Ok(())) | None, _) => false,
        };
        if !is_known {
            self.metrics.kafka_outages.inc();
            match &trouble {
                KafkaTrouble::Unreachable(reason) => tracing::error!(event = "kafka_unreachable", reason),
                KafkaTrouble::TopicMissing(reason) => tracing::error!(event = "topic_missing", reason),
            }
        }
        state.kafka = Some(Err(trouble));
    }

    /// A partition could not be booked; it is tried again.
    pub(super) fn store_fails(&self, partition: i32, reason: &str) {
        let mut state = self.lock();
        state.unbooked.insert(partition);
        if state.outage_since.is_none() {
            state.outage_since = Some(Instant::now());
            self.metrics.store_outages.inc();
            self.metrics.store_down.set(1);
            tracing::error!(event = "store_unavailable", partition, reason);
        }
    }

    /// A partition was booked, or is no longer ours.
    pub(super) fn store_answers(&self, partition: i32) {
        let mut state = self.lock();
        state.unbooked.remove(&partition);
        if state.unbooked.is_empty()
            && let Some(since) = state.outage_since.take()
        {
            self.metrics.store_down.set(0);
            tracing::info!(event = "store_available", seconds = since.elapsed().as_secs());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
