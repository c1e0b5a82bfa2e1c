//! Metrics of ingest.

use std::time::Duration;

use common::usage::Booked;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts, Registry};

use super::{Burial, IngestError, Taken};

/// Counters and timings of ingest.
#[derive(Clone)]
pub struct IngestMetrics {
    batches: IntCounterVec,
    booked_entries: IntCounter,
    replayed_entries: IntCounter,
    gap_entries: IntCounter,
    lost_entries: IntCounter,
    quarantined_entries: IntCounter,
    undecodable_batches: IntCounter,
    dead_letters: IntCounter,
    seconds: Histogram,
}

/// The outcome of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchOutcome {
    /// At least one entry is new.
    Booked,
    /// Every entry was booked before.
    Replayed,
    /// The bytes are not a batch.
    Undecodable,
    /// It is a batch, and can never be booked.
    Refused,
    /// Refused before its bytes were looked at: wrong token, wrong type, too large, cut off.
    Rejected,
    /// The store cannot take it now.
    Unavailable,
    /// The store failed.
    Failed,
}

impl IngestMetrics {
    /// Metrics that `registry` collects. Every outcome is there from the start, at 0.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let batches = IntCounterVec::new(
            Opts::new("tollgate_ingest_batches_total", "Usage batches handed in, by how that ended"),
            &["outcome"],
        )?;
        let entries = IntCounterVec::new(
            Opts::new("tollgate_ingest_entries_total", "Usage entries of accepted batches: new, or booked before"),
            &["outcome"],
        )?;
        let gap_entries = IntCounter::new(
            "tollgate_usage_gap_entries_total",
            "Usage entries that opened a gap: skipped by their stream when first seen, or lost",
        )?;
        let lost_entries =
            IntCounter::new("tollgate_usage_lost_entries_total", "Usage entries that gateways have lost")?;
        let quarantined_entries = IntCounter::new(
            "tollgate_usage_quarantined_entries_total",
            "Usage entries that were set aside: of a time that cannot be, or of an unknown time zone",
        )?;
        let undecodable_batches =
            IntCounter::new("tollgate_ingest_undecodable_batches_total", "Usage batches that could not be decoded")?;
        let dead_letters = IntCounter::new(
            "tollgate_ingest_dead_letters_total",
            "Messages and batches that could not be booked and were put aside",
        )?;
        let seconds = Histogram::with_opts(HistogramOpts::new(
            "tollgate_ingest_seconds",
            "Time to decode and book a usage batch",
        ))?;
        registry.register(Box::new(batches.clone()))?;
        registry.register(Box::new(entries.clone()))?;
        registry.register(Box::new(gap_entries.clone()))?;
        registry.register(Box::new(lost_entries.clone()))?;
        registry.register(Box::new(quarantined_entries.clone()))?;
        registry.register(Box::new(undecodable_batches.clone()))?;
        registry.register(Box::new(dead_letters.clone()))?;
        registry.register(Box::new(seconds.clone()))?;
        for outcome in BatchOutcome::ALL {
            batches.with_label_values(&[outcome.as_str()]);
        }
        Ok(Self {
            batches,
            booked_entries: entries.with_label_values(&["booked"]),
            replayed_entries: entries.with_label_values(&["replayed"]),
            gap_entries,
            lost_entries,
            quarantined_entries,
            undecodable_batches,
            dead_letters,
            seconds,
        })
    }

    /// Counts a batch that was refused before its bytes were looked at.
    pub fn count_rejected(&self) {
        self.count(BatchOutcome::Rejected);
    }

    pub(super) fn observe(&self, elapsed: Duration, outcome: BatchOutcome) {
        self.seconds.observe(elapsed.as_secs_f64());
        self.count(outcome);
        if outcome == BatchOutcome::Undecodable {
            self.undecodable_batches.inc();
        }
    }

    pub(super) fn count_booked(&self, booked: &Booked) {
        self.booked_entries.inc_by(booked.booked);
        self.replayed_entries.inc_by(booked.replayed);
        self.gap_entries.inc_by(booked.gap + booked.lost);
        self.lost_entries.inc_by(booked.lost);
        self.quarantined_entries.inc_by(booked.quarantined);
    }

    pub(super) fn count_dead_letter(&self) {
        self.dead_letters.inc();
    }

    pub(super) fn count(&self, outcome: BatchOutcome) {
        self.batches.with_label_values(&[outcome.as_str()]).inc();
    }
}

impl BatchOutcome {
    const ALL: [Self; 7] = [
        Self::Booked,
        Self::Replayed,
        Self::Undecodable,
        Self::Refused,
        Self::Rejected,
        Self::Unavailable,
        Self::Failed,
    ];

    pub(super) fn of(taken: &Result<Taken, IngestError>) -> Self {
        match taken {
            Ok(Taken::Booked(booked)) if booked.booked == 0 => Self::Replayed,
            Ok(Taken::Booked(_)) => Self::Booked,
            Ok(Taken::Buried(Burial::Undecodable(_))) => Self::Undecodable,
            Ok(Taken::Buried(Burial::Refused(_))) => Self::Refused,
            Err(error) if error.is_temporary() => Self::Unavailable,
            Err(_) => Self::Failed,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Booked => "booked",
            Self::Replayed => "replayed",
            Self::Undecodable => "undecodable",
            Self::Refused => "refused",
            Self::Rejected => "rejected",
            Self::Unavailable => "unavailable",
            Self::Failed => "failed",
        }
    }
}
