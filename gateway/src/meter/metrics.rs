//! Metrics of the journal and its sink.

use prometheus::{Gauge, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use super::tenants::TenantFigures;

/// Metrics of the meter.
#[derive(Clone)]
pub(super) struct MeterMetrics {
    pub(super) entries: IntGauge,
    pub(super) oldest_seconds: Gauge,
    pub(super) bytes: IntGauge,
    pub(super) appended: IntCounter,
    pub(super) acknowledged: IntCounter,
    pub(super) unreadable: IntCounter,
    pub(super) unreadable_files: IntCounter,
    pub(super) void: IntCounter,
    pub(super) spooled_bytes: IntGauge,
    pub(super) files_missing: IntGauge,
    pub(super) unrecovered: IntGauge,
    pub(super) unmetered: IntCounter,
    pub(super) sink_failures: IntCounter,
    pub(super) sink_away: IntGauge,
    pub(super) refusals: IntCounterVec,
    pub(super) tenants: TenantFigures,
}

impl MeterMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name, help| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let gauge = |name, help| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let oldest_seconds =
            Gauge::new("tollgate_journal_oldest_seconds", "Age of the oldest entry that is not acknowledged")?;
        registry.register(Box::new(oldest_seconds.clone()))?;
        let counters = |name, help, labels: &[&str]| {
            let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counters.clone()))?;
            Ok::<_, prometheus::Error>(counters)
        };
        Ok(Self {
            entries: gauge("tollgate_journal_entries", "Journal entries that the sink has not acknowledged")?,
            oldest_seconds,
            bytes: gauge("tollgate_journal_bytes", "Disk taken by entries that are not acknowledged")?,
            appended: counter("tollgate_journal_appended_total", "Entries appended to the journal")?,
            acknowledged: counter("tollgate_journal_acknowledged_total", "Entries that the sink has booked")?,
            unreadable: counter("tollgate_journal_unreadable_slots_total", "Slots that cannot be read: usage lost")?,
            unreadable_files: counter(
                "tollgate_journal_unreadable_files_total",
                "Files of earlier lives of which nothing can be read: usage may be lost",
            )?,
            void: counter(
                "tollgate_journal_void_slots_total",
                "Numbers taken by a process that died before it wrote: nothing lost",
            )?,
            spooled_bytes: gauge("tollgate_spool_bytes", "Disk taken by the spool and by rings of earlier lives")?,
            files_missing: gauge(
                "tollgate_journal_files_missing",
                "1 while files of the journal are not where they were made: usage not sent yet is at risk",
            )?,
            unrecovered: gauge(
                "tollgate_journal_unfetched_lives",
                "Earlier lives of gateways whose usage cannot be read, or is held by another process",
            )?,
            unmetered: counter(
                "tollgate_unmetered_requests_total",
                "Requests served although their usage could not be recorded",
            )?,
            sink_failures: counter(
                "tollgate_sink_failures_total",
                "Batches that the sink did not take, and looks at a sink that was away",
            )?,
            sink_away: gauge("tollgate_sink_away", "1 while the sink does not take usage")?,
            refusals: counters("tollgate_refusals_total", "Requests that the gateway itself refused", &["reason"])?,
            tenants: TenantFigures::register(registry)?,
        })
    }
}
