//! From the journal to the sink: one task per lane, in order, again and again until the sink has booked it.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use common::{
    time::Micros,
    usage::{UsageBatch, UsageEntry},
};
use rand::RngExt as _;
use tokio::{sync::watch, time::sleep};

use super::{
    journal::{Chunk, LaneReader},
    metrics::MeterMetrics,
    sink::{SinkError, UsageSink},
};
use crate::{lock::locked, outage::Outage};

/// How often an idle lane is looked at: a record reaches the sink well within 100 ms.
const IDLE_PAUSE: Duration = Duration::from_millis(25);

/// Pause after the first failed delivery; it doubles with each further one.
const RETRY_FIRST: Duration = Duration::from_millis(20);

/// Longest pause between two attempts.
const RETRY_MAX: Duration = Duration::from_secs(1);

/// How often a batch that is refused for good is logged while it is offered again.
const REFUSAL_LOG_EVERY: Duration = Duration::from_secs(10);

/// No entry is waiting.
const NONE_WAITING: i64 = i64::MAX;

/// What the tasks of all lanes share.
pub(super) struct Drain {
    sink: Arc<dyn UsageSink>,
    metrics: MeterMetrics,
    batch_entries: usize,
    outage: Outage,
    refusal_logged: Mutex<Option<Instant>>,
    /// Per lane, when the entry was made that waits at its front.
    waiting_since: Mutex<Vec<Arc<AtomicI64>>>,
}

impl Drain {
    pub(super) fn new(sink: Arc<dyn UsageSink>, metrics: MeterMetrics, batch_entries: usize) -> Self {
        Self {
            sink,
            metrics,
            batch_entries,
            outage: Outage::new("usage sink"),
            refusal_logged: Mutex::default(),
            waiting_since: Mutex::default(),
        }
    }

    /// When the oldest entry was made that a lane is trying to deliver.
    pub(super) fn oldest(&self) -> Option<Micros> {
        let lanes = locked(&self.waiting_since);
        let oldest = lanes.iter().map(|lane| lane.load(Ordering::Acquire)).min();
        oldest.filter(|since| *since != NONE_WAITING).map(Micros)
    }

    /// Drains a lane: one that was left, to its end; one that is written, until `finish` is true and it is empty.
    pub(super) async fn run(self: Arc<Self>, mut lane: LaneReader, mut finish: watch::Receiver<bool>) -> LaneReader {
        let front = Arc::new(AtomicI64::new(NONE_WAITING));
        locked(&self.waiting_since).push(Arc::clone(&front));
        loop {
            // Looked at first: what was appended before the flag was set is then seen.
            let last_round = lane.is_left() || *finish.borrow_and_update();
            match lane.read(self.batch_entries) {
                Ok(chunk) if chunk.batch.is_some() || chunk.unreadable > 0 => {
                    self.hand_over(&mut lane, chunk, &front).await;
                }
                Ok(_) if last_round => return lane,
                Ok(_) => {
                    tokio::select! {
                        () = sleep(IDLE_PAUSE) => {}
                        _ = finish.changed() => {}
                    }
                }
                Err(error) => {
                    tracing::error!(event = "journal_read_failed", stream = %lane.stream(), %error);
                    sleep(RETRY_MAX).await;
                }
            }
        }
    }

    async fn hand_over(&self, lane: &mut LaneReader, chunk: Chunk, front: &AtomicI64) {
        if chunk.unreadable > 0 {
            self.metrics.unreadable.inc_by(chunk.unreadable);
            tracing::error!(
                event = "journal_slots_unreadable", stream = %lane.stream(), slots = chunk.unreadable, before = chunk.end,
            );
        }
        let mut position = chunk.end;
        if let Some(batch) = &chunk.batch {
            front.store(batch.entries.first().map_or(NONE_WAITING, |entry| made_at(entry).0), Ordering::Release);
            let booked = self.deliver(batch).await;
            self.metrics.acknowledged.inc_by(booked - batch.first_seq);
            position = booked;
            front.store(NONE_WAITING, Ordering::Release);
        }
        if let Err(error) = lane.acknowledge(position) {
            tracing::error!(event = "journal_release_failed", stream = %lane.stream(), position, %error);
        }
    }

    /// Offers a batch until at least its first entry is booked; returns the number after the last one of it that is.
    async fn deliver(&self, batch: &UsageBatch) -> u64 {
        let mut pause = RETRY_FIRST;
        loop {
            match self.sink.deliver(batch).await {
                Ok(next) if next > batch.first_seq => {
                    self.outage.over();
                    return next.min(batch.end_seq());
                }
                Ok(next) => self.failed(
                    batch,
                    &SinkError::Busy { status: 200, reason: format!("receipt ends at {next}, before the batch") },
                ),
                Err(error) => self.failed(batch, &error),
            }
            sleep(jittered(pause)).await;
            pause = (pause * 2).min(RETRY_MAX);
        }
    }

    fn failed(&self, batch: &UsageBatch, error: &SinkError) {
        self.metrics.sink_failures.inc();
        if !matches!(error, SinkError::Refused { .. }) {
            self.outage.failed(error);
            return;
        }
        // It would be refused for ever; it is kept and offered for ever. Somebody has to look at it.
        let mut logged = locked(&self.refusal_logged);
        if logged.is_none_or(|last| last.elapsed() >= REFUSAL_LOG_EVERY) {
            *logged = Some(Instant::now());
            tracing::error!(
                event = "usage_batch_refused", stream = %batch.stream, first_seq = batch.first_seq,
                entries = batch.entries.len(), %error,
            );
        }
    }
}

/// Half to all of a pause, so that lanes and gateways do not come back all at once.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::rng().random_range(0.5..=1.0))
}

fn made_at(entry: &UsageEntry) -> Micros {
    match entry {
        UsageEntry::Request(record) => record.at,
        UsageEntry::Refusals(refusals) => refusals.at,
    }
}
