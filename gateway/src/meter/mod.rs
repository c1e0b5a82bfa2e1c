//! Metering: each answered request becomes a record in the journal before its response leaves, and
//! the drain delivers the journal to the sink.
//!
//! Invariant: no record is dropped. A record stays in the journal until the sink has acknowledged
//! it.

mod disk;
mod drain;
mod error;
mod fullness;
mod journal;
mod lives;
mod metrics;
mod recovery;
mod refusals;
mod settings;
mod sink;
mod tenants;
#[cfg(test)]
mod tests;
pub(crate) mod units;

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use common::{
    id::{KeyId, TenantId},
    quota::QuotaHolder,
    time::{Clock as _, SystemClock},
    usage::{BATCH_MAX_ENTRIES, StreamId, UsageRecord},
};
pub use disk::journal_shortage;
use drain::Drain;
pub use error::MeterError;
use fullness::Fullness;
use journal::{Journal, Unrecovered};
use metrics::MeterMetrics;
use recovery::{DrainTasks, RecoveryProgress};
use refusals::Refusals;
pub use settings::{MeterSettings, OpenError, WhenFull};
pub use sink::{HttpSink, KafkaSettings, KafkaSink, NewTopic, PropertyError, SinkError, UsageSink};
use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{MissedTickBehavior, interval, timeout},
};

use crate::outage::Outage;

/// Time between two sums of refusals.
const REFUSALS_EVERY: Duration = Duration::from_secs(1);

/// Time between two updates of the gauges.
const GAUGES_EVERY: Duration = Duration::from_millis(250);

/// The meter of this life of the gateway.
pub struct Meter {
    journal: Journal,
    refusals: Refusals,
    metrics: MeterMetrics,
    fullness: Fullness,
    /// Failures to force records to disk.
    sync_outage: Outage,
    /// Absence of the journal's files.
    files_outage: Outage,
    progress: Arc<RecoveryProgress>,
    settings: MeterSettings,
}

impl Meter {
    /// Opens the journal and registers the metrics.
    pub fn open(settings: MeterSettings, registry: &prometheus::Registry) -> Result<Arc<Self>, OpenError> {
        check_name(&settings.gateway)?;
        let metrics = MeterMetrics::register(registry)?;
        let journal = Journal::open(&settings)?;
        let fullness = Fullness::new(settings.when_full, metrics.unmetered.clone(), metrics.tenants.clone());
        Ok(Arc::new(Self {
            journal,
            refusals: Refusals::default(),
            metrics,
            fullness,
            sync_outage: Outage::new("usage journal's disk"),
            files_outage: Outage::new("usage journal's files"),
            progress: Arc::default(),
            settings,
        }))
    }

    /// Name under which this life of this gateway draws quota from the store. Its journal holds
    /// what it used.
    pub fn quota_holder(&self) -> QuotaHolder {
        QuotaHolder { life: self.journal.life().clone(), lanes: self.journal.lane_count() }
    }

    /// Number of journal entries that the sink has not acknowledged.
    pub fn unacknowledged(&self) -> u64 {
        self.journal.unacknowledged()
    }

    /// Returns true if a request may be forwarded now: its record would find room, or requests are
    /// served unmetered.
    pub fn has_room(&self) -> bool {
        self.journal.has_room() || self.fullness.serves_unmetered()
    }

    /// Appends a record. Once this returns, the record survives a crash of this process, or the
    /// request is served unmetered.
    pub fn record(&self, record: &UsageRecord) -> Result<(), MeterError> {
        self.journal.append_request(record).or_else(|error| self.fullness.judge(record, error))
    }

    /// Counts a refusal by the gateway itself. Refusals are summed up and journaled each second.
    pub fn refused(&self, tenant: TenantId, key: KeyId, reason: &'static str) {
        self.refusals.count(tenant, key, reason);
    }

    /// Delivers the journal to the sink until `shutdown` turns true, then empties it within the
    /// deadline. Call it once. Requests should have ended by then: records that come later wait for
    /// the next start.
    pub async fn run(self: Arc<Self>, sink: Arc<dyn UsageSink>, mut shutdown: watch::Receiver<bool>) {
        let batch_entries = self.settings.batch_entries.clamp(1, BATCH_MAX_ENTRIES);
        let drain = Arc::new(Drain::new(sink, self.metrics.clone(), batch_entries));
        let (finish, finishing) = watch::channel(false);
        let mut tasks = DrainTasks::new(Arc::clone(&drain), Arc::clone(&self.progress), finishing);
        tasks.start(self.journal.readers());
        tasks.recover(&self).await;
        tokio::select! {
            _ = shutdown.wait_for(|stop| *stop) => {}
            () = tasks.keep_recovering(&self) => {}
            () = self.keep_synced() => {}
            () = self.keep_gauges(&drain) => {}
            () = self.keep_refusals() => {}
        }
        self.flush_refusals();
        self.sync().await;
        finish.send_replace(true);
        if timeout(self.settings.shutdown_deadline, tasks.finished()).await.is_err() {
            tracing::warn!(event = "journal_not_emptied", entries = self.journal.unacknowledged());
        }
        self.show(&drain);
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
        let looked = spawn_blocking(move || (meter.journal.sync(), meter.journal.look_for_files()));
        // An error: the runtime is ending.
        let Ok((synced, missing)) = looked.await else { return };
        match synced {
            Ok(()) => self.sync_outage.over(),
            Err(error) => self.sync_outage.failed(&error),
        }
        match missing {
            None => self.files_outage.over(),
            Some(file) => self.files_outage.failed(&MissingFile(file)),
        }
    }

    /// Problem of the journal that an operator must solve: usage is at risk, or cannot be
    /// recovered. None if all is well.
    pub fn journal_problem(&self) -> Option<String> {
        if self.journal.files_are_missing() {
            return Some(
                "files of the usage journal are gone; what is not sent yet is lost if this process dies".into(),
            );
        }
        let Unrecovered { unusable, locked } = self.journal.unrecovered();
        match (unusable, locked) {
            (0, 0) => None,
            (0, locked) => Some(format!("usage of {locked} earlier lives is held by another process; see the log")),
            (unusable, _) => Some(format!("usage of {unusable} earlier lives cannot be read; see the log")),
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
        self.fullness.look(self.journal.has_room());
        let metrics = &self.metrics;
        metrics.files_missing.set(i64::from(self.journal.files_are_missing()));
        let Unrecovered { unusable, locked } = self.journal.unrecovered();
        metrics.unrecovered.set(i64::try_from(unusable + locked).unwrap_or(i64::MAX));
        metrics.entries.set(signed(self.journal.unacknowledged()));
        metrics.bytes.set(signed(self.journal.unacknowledged_bytes()));
        metrics.spooled_bytes.set(signed(self.journal.spooled_bytes()));
        metrics.appended.inc_by(self.journal.appended().saturating_sub(metrics.appended.get()));
        let age = drain.oldest().map_or(0, |oldest| SystemClock.now().0.saturating_sub(oldest.0).max(0));
        let age = Duration::from_micros(age.unsigned_abs());
        metrics.oldest_seconds.set(age.as_secs_f64());
        drain.look_at_sink(age);
    }

    async fn keep_refusals(&self) {
        let mut ticks = ticks(REFUSALS_EVERY);
        loop {
            ticks.tick().await;
            self.flush_refusals();
        }
    }

    fn flush_refusals(&self) {
        if let Err(error) = self.refusals.flush(&self.journal, &self.metrics, SystemClock.now()) {
            tracing::warn!(event = "refusals_not_journaled", %error);
        }
    }
}

/// A file of the journal that is missing.
struct MissingFile(PathBuf);

impl fmt::Display for MissingFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.0.display();
        write!(
            formatter,
            "{file} is gone: usage that is not sent yet is lost if this process dies. Bring the directory back, or \
             restart the gateway once tollgate_journal_entries is 0"
        )
    }
}

/// Checks that the name can be part of a stream and of a visible directory.
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
