//! From the journal to the sink: one task per lane, in order, again and again until the sink has booked it. While the
//! sink is away, the same task sees to it that the lane's ring does not fill up.

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
use tokio::{sync::watch, task::spawn_blocking, time::sleep};

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

/// Age of a waiting entry from which on a sink that says it is away is believed: idle connections are closed, too.
const WAITING_LONG: Duration = Duration::from_secs(1);

/// How often the ring is looked at while a batch is on its way.
const SPILL_LOOK_EVERY: Duration = Duration::from_millis(10);

/// Pause after the spool took nothing.
const SPILL_RETRY: Duration = Duration::from_secs(1);

/// No entry is waiting.
const NONE_WAITING: i64 = i64::MAX;

/// A lane being drained, shared with the thread that writes to its spool.
struct LaneInHand {
    reader: Arc<Mutex<LaneReader>>,
    /// When the entry was made that waits at its front.
    front: Arc<AtomicI64>,
    spill_again: Option<Instant>,
}

/// What the tasks of all lanes share.
pub(super) struct Drain {
    sink: Arc<dyn UsageSink>,
    metrics: MeterMetrics,
    batch_entries: usize,
    outage: Outage,
    spool_outage: Outage,
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
            spool_outage: Outage::new("usage spool"),
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

    /// Looks whether the sink is away, from time to time: a delivery that waits for it may fail only much later. `age` is
    /// that of the oldest entry waiting.
    pub(super) fn look_at_sink(&self, age: Duration) {
        if age >= WAITING_LONG
            && let Some(reason) = self.sink.away()
        {
            self.sink_fails(&SinkError::Away(reason));
        }
    }

    /// Tells of the sink's outage, once, and counts it.
    fn sink_fails(&self, error: &SinkError) {
        self.metrics.sink_failures.inc();
        self.metrics.sink_away.set(1);
        self.outage.failed(error);
    }

    /// Drains a lane: one that was left, to its end; one that is written, until `finish` is true and it is empty.
    pub(super) async fn run(self: Arc<Self>, reader: LaneReader, mut finish: watch::Receiver<bool>) {
        let is_left = reader.is_left();
        let mut lane = self.enter(reader);
        loop {
            // Looked at first: what was appended before the flag was set is then seen.
            let last_round = is_left || *finish.borrow_and_update();
            self.relieve(&mut lane).await;
            let read = locked(&lane.reader).read(self.batch_entries);
            match read {
                Ok(Some(chunk)) => self.hand_over(&mut lane, &chunk).await,
                Ok(None) if last_round => break,
                Ok(None) => {
                    tokio::select! {
                        () = sleep(IDLE_PAUSE) => {}
                        _ = finish.changed() => {}
                    }
                }
                Err(error) => {
                    tracing::error!(event = "journal_read_failed", stream = %locked(&lane.reader).stream(), %error);
                    sleep(RETRY_MAX).await;
                }
            }
        }
        locked(&self.waiting_since).retain(|front| !Arc::ptr_eq(front, &lane.front));
    }

    fn enter(&self, reader: LaneReader) -> LaneInHand {
        let front = Arc::new(AtomicI64::new(NONE_WAITING));
        locked(&self.waiting_since).push(Arc::clone(&front));
        LaneInHand { reader: Arc::new(Mutex::new(reader)), front, spill_again: None }
    }

    async fn hand_over(&self, lane: &mut LaneInHand, chunk: &Chunk) {
        let batch = &chunk.batch;
        self.count_missing(chunk);
        let oldest = batch.entries.iter().find_map(UsageEntry::at);
        lane.front.store(oldest.map_or(NONE_WAITING, |at| at.0), Ordering::Release);
        let booked = {
            let mut delivery = std::pin::pin!(self.deliver(batch));
            loop {
                tokio::select! {
                    biased;
                    booked = &mut delivery => break booked,
                    () = sleep(SPILL_LOOK_EVERY) => self.relieve(lane).await,
                }
            }
        };
        self.metrics.acknowledged.inc_by(booked - batch.first_seq);
        lane.front.store(NONE_WAITING, Ordering::Release);
        if let Err(error) = locked(&lane.reader).acknowledge(booked) {
            tracing::error!(event = "journal_release_failed", stream = %batch.stream, position = booked, %error);
        }
    }

    /// Counts what cannot be told to the sink, as not even its numbers are known.
    pub(super) fn count_unreadable_files(&self, files: u64) {
        self.metrics.unreadable_files.inc_by(files);
    }

    fn count_missing(&self, chunk: &Chunk) {
        let Chunk { batch: UsageBatch { stream, first_seq, .. }, void, unreadable } = chunk;
        self.metrics.void.inc_by(*void);
        self.metrics.unreadable.inc_by(*unreadable);
        if *void > 0 {
            tracing::warn!(event = "journal_slots_void", %stream, slots = void, from = first_seq);
        }
        if *unreadable > 0 {
            tracing::error!(event = "journal_slots_unreadable", %stream, slots = unreadable, from = first_seq);
        }
    }

    /// Moves entries to the spool, if the lane's ring is filling up.
    async fn relieve(&self, lane: &mut LaneInHand) {
        if lane.spill_again.is_some_and(|again| Instant::now() < again) || !locked(&lane.reader).is_filling() {
            return;
        }
        let reader = Arc::clone(&lane.reader);
        lane.spill_again = match spawn_blocking(move || locked(&reader).spill()).await {
            Ok(Ok(())) => {
                self.spool_outage.over();
                None
            }
            Ok(Err(error)) => {
                self.spool_outage.failed(&error);
                Some(Instant::now() + SPILL_RETRY)
            }
            // The runtime is ending.
            Err(_) => Some(Instant::now() + SPILL_RETRY),
        };
    }

    /// Offers a batch until at least its first entry is booked; returns the number after the last one of it that is.
    pub(super) async fn deliver(&self, batch: &UsageBatch) -> u64 {
        let mut pause = RETRY_FIRST;
        loop {
            match self.sink.deliver(batch).await {
                Ok(next) if next > batch.first_seq => {
                    self.metrics.sink_away.set(0);
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
        if !matches!(error, SinkError::Refused { .. }) {
            self.sink_fails(error);
            return;
        }
        self.metrics.sink_failures.inc();
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
