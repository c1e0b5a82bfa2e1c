//! The drain: delivers the journal to the sink, one task per lane, in order, each batch until the
//! sink has booked it. While the sink is away, the same task moves entries of the lane's ring to
//! the spool before the ring is full.

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

/// Time between two looks at an idle lane. A record reaches the sink well within 100 ms.
const IDLE_PAUSE: Duration = Duration::from_millis(25);

/// Pause after the first failed delivery. It doubles with each further one.
const RETRY_FIRST: Duration = Duration::from_millis(20);

/// Longest pause between two attempts.
const RETRY_MAX: Duration = Duration::from_secs(1);

/// Time between two log lines about a batch that the sink refuses for good.
const REFUSAL_LOG_EVERY: Duration = Duration::from_secs(10);

/// Age of a waiting entry from which on a sink that says it is away counts as away. Before that, it
/// may be an idle connection that was closed.
const WAITING_LONG: Duration = Duration::from_secs(1);

/// Time between two looks at the ring while a batch is being delivered.
const SPILL_LOOK_EVERY: Duration = Duration::from_millis(10);

/// Pause after a failure to write to the spool.
const SPILL_RETRY: Duration = Duration::from_secs(1);

/// Stands for the time of the oldest entry if no entry waits.
const NONE_WAITING: i64 = i64::MAX;

/// A lane that is being drained. Its reader is shared with the thread that writes to the spool.
struct DrainedLane {
    reader: Arc<Mutex<LaneReader>>,
    /// Time of the oldest entry that waits.
    oldest: Arc<AtomicI64>,
    spill_again: Option<Instant>,
}

/// State shared by the tasks of all lanes.
pub(super) struct Drain {
    sink: Arc<dyn UsageSink>,
    metrics: MeterMetrics,
    batch_entries: usize,
    outage: Outage,
    spool_outage: Outage,
    refusal_logged: Mutex<Option<Instant>>,
    /// Time of the oldest waiting entry, by lane.
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

    /// Time of the oldest entry that a lane is trying to deliver.
    pub(super) fn oldest(&self) -> Option<Micros> {
        let lanes = locked(&self.waiting_since);
        let oldest = lanes.iter().map(|lane| lane.load(Ordering::Acquire)).min();
        oldest.filter(|since| *since != NONE_WAITING).map(Micros)
    }

    /// Checks whether the sink is away: a delivery that waits for it may fail only much later.
    /// `age` is the age of the oldest waiting entry.
    pub(super) fn look_at_sink(&self, age: Duration) {
        if age >= WAITING_LONG
            && let Some(reason) = self.sink.away()
        {
            self.sink_fails(&SinkError::Away(reason));
        }
    }

    /// Logs the outage of the sink once, and counts the failure.
    fn sink_fails(&self, error: &SinkError) {
        self.metrics.sink_failures.inc();
        self.metrics.sink_away.set(1);
        self.outage.failed(error);
    }

    /// Drains a lane: a dead one to its end, a live one until `finish` is true and it is empty.
    pub(super) async fn run(self: Arc<Self>, reader: LaneReader, mut finish: watch::Receiver<bool>) {
        let is_dead = reader.is_dead();
        let mut lane = self.begin(reader);
        loop {
            // Read first, so that entries appended before the flag was set are seen.
            let last_round = is_dead || *finish.borrow_and_update();
            self.relieve(&mut lane).await;
            let read = locked(&lane.reader).read(self.batch_entries);
            match read {
                Ok(Some(chunk)) => self.deliver_chunk(&mut lane, &chunk).await,
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
        locked(&self.waiting_since).retain(|oldest| !Arc::ptr_eq(oldest, &lane.oldest));
    }

    fn begin(&self, reader: LaneReader) -> DrainedLane {
        let oldest = Arc::new(AtomicI64::new(NONE_WAITING));
        locked(&self.waiting_since).push(Arc::clone(&oldest));
        DrainedLane { reader: Arc::new(Mutex::new(reader)), oldest, spill_again: None }
    }

    async fn deliver_chunk(&self, lane: &mut DrainedLane, chunk: &Chunk) {
        let batch = &chunk.batch;
        self.count_missing(chunk);
        let oldest = batch.entries.iter().find_map(UsageEntry::at);
        lane.oldest.store(oldest.map_or(NONE_WAITING, |at| at.0), Ordering::Release);
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
        let entries = booked - batch.first_seq;
        self.metrics.acknowledged.inc_by(entries);
        self.metrics.tenants.booked(batch, usize::try_from(entries).unwrap_or(usize::MAX));
        lane.oldest.store(NONE_WAITING, Ordering::Release);
        if let Err(error) = locked(&lane.reader).acknowledge(booked) {
            tracing::error!(event = "journal_release_failed", stream = %batch.stream, position = booked, %error);
        }
    }

    /// Counts files whose entries cannot be reported to the sink, as not even their numbers are
    /// known.
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

    /// Moves entries to the spool if the lane's ring is half full.
    async fn relieve(&self, lane: &mut DrainedLane) {
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

    /// Offers a batch until at least its first entry is booked. Returns the number after its last
    /// booked entry.
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
        // The batch is kept and offered again. An operator has to find out why it is refused.
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

/// A random part of the pause, at least half of it, so that lanes and gateways do not retry all at
/// once.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::rng().random_range(0.5..=1.0))
}
