//! What was used: each answered request becomes a record in the journal before its response leaves, and the drain
//! hands the journal to the sink. Nothing is dropped: what the sink has not acknowledged stays in the journal.

mod drain;
mod journal;
mod metrics;
mod refusals;
mod sink;
#[cfg(test)]
mod tests;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use common::{
    id::{KeyId, TenantId},
    time::{Clock as _, SystemClock},
    usage::{BATCH_MAX_ENTRIES, StreamId, UsageRecord},
};
use drain::Drain;
use journal::{Journal, LaneReader, LeftBoot};
use metrics::MeterMetrics;
use refusals::Refusals;
pub use sink::{HttpSink, SinkError, UsageSink};
use tokio::{
    sync::watch,
    task::{JoinSet, spawn_blocking},
    time::{MissedTickBehavior, interval, timeout},
};

use crate::lock::locked;

/// How often refusals are summed up.
const REFUSALS_EVERY: Duration = Duration::from_secs(1);

/// How often the gauges are brought up to date.
const GAUGES_EVERY: Duration = Duration::from_millis(250);

/// The meter room's front.
pub struct Meter {
    journal: Journal,
    refusals: Refusals,
    metrics: MeterMetrics,
    settings: MeterSettings,
    /// What earlier lives left, until it is drained.
    left: Mutex<Vec<LeftBoot>>,
}

/// What operators set. [`MeterSettings::new`] has the defaults.
#[derive(Debug, Clone)]
pub struct MeterSettings {
    /// Where the journal lives; it must survive restarts, and gateways on one host may share it.
    pub directory: PathBuf,
    /// This gateway's name, in every stream: letters, digits, `-`, `_` and `.`.
    pub gateway: String,
    /// Independent append-only lanes, at best one per worker thread.
    pub lanes: u16,
    /// Disk that the journal may fill before requests are refused.
    pub budget_bytes: u64,
    /// How often appended records are forced to disk: what a power cut (not a crash) may lose.
    pub fsync_interval: Duration,
    /// Most records in one batch.
    pub batch_entries: usize,
    /// How long a graceful shutdown may take to empty the journal; the rest waits for the next start.
    pub shutdown_deadline: Duration,
}

/// Why usage cannot be recorded now.
#[derive(Debug, thiserror::Error)]
pub enum MeterError {
    /// The disk budget is spent: the sink has been away for too long.
    #[error("usage journal is full")]
    Full,
    /// The disk refused.
    #[error("usage journal cannot be written: {0}")]
    Io(#[from] std::io::Error),
    /// The record says something that no sink would take.
    #[error("usage record is invalid: {0}")]
    Invalid(&'static str),
}

/// Why the meter cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The journal's directory cannot be used.
    #[error("cannot open the usage journal in {path}: {source}; check that the directory is writable and not full")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The gateway's name cannot be part of a stream.
    #[error("`{name}` is not a gateway name: use 1 to 128 letters, digits, -, _ and ., with a letter or digit first")]
    Gateway {
        /// The name.
        name: String,
    },
    /// Too little disk to work with.
    #[error("a journal budget of {budget} bytes is too small for its lanes: allow at least {least}")]
    Budget {
        /// As configured.
        budget: u64,
        /// What would do.
        least: u64,
    },
    /// The metrics are registered already.
    #[error("cannot register the usage journal's metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

impl MeterSettings {
    /// Defaults: 4 lanes, 1 GiB, 50 ms, 512 entries, 10 s.
    pub fn new(directory: impl Into<PathBuf>, gateway: impl Into<String>) -> Self {
        Self {
            directory: directory.into(),
            gateway: gateway.into(),
            lanes: 4,
            budget_bytes: 1 << 30,
            fsync_interval: Duration::from_millis(50),
            batch_entries: 512,
            shutdown_deadline: Duration::from_secs(10),
        }
    }
}

impl Meter {
    /// Opens the journal, finds what earlier lives left, and registers the metrics.
    pub fn open(settings: MeterSettings, registry: &prometheus::Registry) -> Result<Arc<Self>, OpenError> {
        check_name(&settings.gateway)?;
        let metrics = MeterMetrics::register(registry)?;
        let (journal, left) = Journal::open(&settings)?;
        let meter = Self { journal, refusals: Refusals::default(), metrics, settings, left: Mutex::new(left) };
        meter.metrics.entries.set(signed(meter.journal.unacknowledged()));
        Ok(Arc::new(meter))
    }

    /// Whether a record would find room now; asked before a request is forwarded.
    pub fn has_room(&self) -> bool {
        self.journal.has_room()
    }

    /// Appends a record; once this returns, the record survives a crash of this process.
    pub fn record(&self, record: &UsageRecord) -> Result<(), MeterError> {
        self.journal.append_request(record)
    }

    /// Counts a refusal by the gateway itself; summed up and journaled each second.
    pub fn refused(&self, tenant: TenantId, key: KeyId, reason: &'static str) {
        self.refusals.count(tenant, key, reason);
    }

    /// Hands the journal to the sink until `shutdown` turns true, then empties it within the deadline. Call it once;
    /// requests should have ended when it is told to stop, as what they record later waits for the next start.
    pub async fn run(self: Arc<Self>, sink: Arc<dyn UsageSink>, mut shutdown: watch::Receiver<bool>) {
        let batch_entries = self.settings.batch_entries.clamp(1, BATCH_MAX_ENTRIES);
        let drain = Arc::new(Drain::new(sink, self.metrics.clone(), batch_entries));
        let (finish, finishing) = watch::channel(false);
        let mut lanes = self.start_lanes(&drain, &finishing);
        tokio::select! {
            _ = shutdown.wait_for(|stop| *stop) => {}
            () = self.keep_synced() => {}
            () = self.keep_gauges(&drain) => {}
            () = self.keep_refusals() => {}
        }
        self.flush_refusals();
        self.sync().await;
        finish.send_replace(true);
        let emptied = timeout(self.settings.shutdown_deadline, async { while lanes.join_next().await.is_some() {} });
        if emptied.await.is_err() {
            tracing::warn!(event = "journal_not_emptied", entries = self.journal.unacknowledged());
        }
        self.show(&drain);
    }

    /// One task per lane; lanes of earlier lives together with the removal of their files.
    fn start_lanes(self: &Arc<Self>, drain: &Arc<Drain>, finishing: &watch::Receiver<bool>) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        for boot in std::mem::take(&mut *locked(&self.left)) {
            tasks.spawn(drain_left(boot, Arc::clone(drain), finishing.clone()));
        }
        match self.journal.readers() {
            Ok(lanes) => spawn_lanes(&mut tasks, lanes, drain, finishing),
            Err(error) => tracing::error!(event = "journal_not_drained", %error),
        }
        tasks
    }

    async fn keep_synced(self: &Arc<Self>) {
        let mut ticks = ticks(self.settings.fsync_interval.max(Duration::from_millis(1)));
        loop {
            ticks.tick().await;
            self.sync().await;
        }
    }

    async fn sync(self: &Arc<Self>) {
        let meter = Arc::clone(self);
        let outcome = spawn_blocking(move || meter.journal.sync()).await;
        if let Ok(Err(error)) = outcome {
            tracing::error!(event = "journal_sync_failed", %error);
        }
    }

    async fn keep_gauges(&self, drain: &Drain) {
        let mut ticks = ticks(GAUGES_EVERY);
        loop {
            ticks.tick().await;
            self.show(drain);
        }
    }

    fn show(&self, drain: &Drain) {
        let metrics = &self.metrics;
        metrics.entries.set(signed(self.journal.unacknowledged()));
        metrics.bytes.set(signed(self.journal.unacknowledged_bytes()));
        metrics.appended.inc_by(self.journal.appended().saturating_sub(metrics.appended.get()));
        let age = drain.oldest().map_or(0, |oldest| SystemClock.now().0.saturating_sub(oldest.0).max(0));
        metrics.oldest_seconds.set(Duration::from_micros(age.unsigned_abs()).as_secs_f64());
    }

    async fn keep_refusals(&self) {
        let mut ticks = ticks(REFUSALS_EVERY);
        loop {
            ticks.tick().await;
            self.flush_refusals();
        }
    }

    fn flush_refusals(&self) {
        if let Err(error) = self.refusals.flush(&self.journal, &self.metrics.refusals, SystemClock.now()) {
            tracing::warn!(event = "refusals_not_journaled", %error);
        }
    }
}

/// Drains what one earlier life left, then removes it.
async fn drain_left(mut boot: LeftBoot, drain: Arc<Drain>, finishing: watch::Receiver<bool>) {
    let mut lanes = JoinSet::new();
    spawn_lanes(&mut lanes, std::mem::take(&mut boot.lanes), &drain, &finishing);
    while let Some(drained) = lanes.join_next().await {
        if let Err(error) = drained {
            tracing::error!(event = "journal_lane_failed", %error);
            return;
        }
    }
    if let Err(error) = boot.remove() {
        tracing::warn!(event = "journal_not_removed", %error);
    }
}

fn spawn_lanes(tasks: &mut JoinSet<()>, lanes: Vec<LaneReader>, drain: &Arc<Drain>, finishing: &watch::Receiver<bool>) {
    for lane in lanes {
        let (drain, finishing) = (Arc::clone(drain), finishing.clone());
        tasks.spawn(async move {
            drain.run(lane, finishing).await;
        });
    }
}

/// The name must fit a stream, and a directory that is not hidden.
fn check_name(name: &str) -> Result<(), OpenError> {
    if StreamId::new(name, 0, 0).is_ok() && name.starts_with(|first: char| first.is_ascii_alphanumeric()) {
        return Ok(());
    }
    Err(OpenError::Gateway { name: name.chars().take(160).collect() })
}

fn ticks(every: Duration) -> tokio::time::Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
