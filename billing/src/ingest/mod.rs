//! Taking usage batches: decoded, booked exactly once, and whatever is odd about them said aloud. Here the way over
//! HTTP; [`kafka`] is the other.
//!
//! A batch that was not booked is answered with an error, so that the gateway keeps it and sends it again; one that
//! never can be is put into the dead letters, so that what comes after it is not held up. Gaps, unknown tenants and dead
//! letters raise a log line and a metric each.

pub mod kafka;
mod metrics;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use common::{
    store::{Booked, Booking, NewDeadLetter, Store, StoreError},
    time::Clock,
    usage::{StreamId, UsageBatch},
};
pub use metrics::{BatchOutcome, IngestMetrics};

/// Longest that a gateway waits for its batch to be booked. What is booked after that is found booked on the next try.
const BOOKING_TIME_LIMIT: Duration = Duration::from_secs(30);

/// How many unknown tenants of one batch a log line names.
const UNKNOWN_TENANTS_LOGGED: usize = 10;

/// Why a batch was not booked.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store did not answer in time.
    #[error("the store did not answer within {} s", BOOKING_TIME_LIMIT.as_secs())]
    TimedOut,
    /// The booking task ended without a result.
    #[error("booking was interrupted: {0}")]
    Interrupted(tokio::task::JoinError),
}

impl IngestError {
    /// Whether the same batch may well be booked a moment later, as when a server restarts or a disk is full.
    pub const fn is_temporary(&self) -> bool {
        match self {
            Self::TimedOut => true,
            Self::Store(error) => matches!(
                error,
                StoreError::Locked(_)
                    | StoreError::Unavailable { .. }
                    | StoreError::ReadOnly(_)
                    | StoreError::Database(_)
            ),
            Self::Interrupted(_) => false,
        }
    }
}

/// What became of a batch that a gateway need not keep any longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It is booked, now or before.
    Booked(Booked),
    /// It can never be booked and is among the dead letters.
    Buried(Burial),
}

/// Why a batch is among the dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Burial {
    /// The bytes are not a batch.
    Undecodable(String),
    /// The store never takes it.
    Refused(String),
}

/// Where batches come in.
#[derive(Clone)]
pub struct Intake {
    store: Store,
    clock: Arc<dyn Clock>,
    metrics: IngestMetrics,
}

impl Intake {
    /// An intake that books into `store`.
    pub fn new(store: Store, clock: Arc<dyn Clock>, metrics: IngestMetrics) -> Self {
        Self { store, clock, metrics }
    }

    /// The metrics that this intake counts in.
    pub fn metrics(&self) -> &IngestMetrics {
        &self.metrics
    }

    /// Decodes and books one batch, or buries it; `origin` is whose it claims to be.
    pub async fn take(&self, bytes: &[u8], origin: &str) -> Result<Taken, IngestError> {
        let started = Instant::now();
        let taken = self.book_or_bury(bytes, origin).await;
        self.metrics.observe(started.elapsed(), BatchOutcome::of(&taken));
        if let Err(error) = &taken {
            tracing::error!(%error, "batch_not_booked");
        }
        taken
    }

    async fn book_or_bury(&self, bytes: &[u8], origin: &str) -> Result<Taken, IngestError> {
        // A task of its own: a gateway that hangs up must not cancel it between the commit and the report of a gap,
        // which a replay would not show again.
        let (intake, bytes, origin) = (self.clone(), bytes.to_vec(), origin.to_owned());
        let taking = tokio::spawn(async move {
            let burial = match UsageBatch::decode(&bytes) {
                Ok(batch) => match intake.book(&batch).await {
                    Err(StoreError::Refused(reason)) => Burial::Refused(reason),
                    booked => return booked.map(Taken::Booked),
                },
                Err(error) => Burial::Undecodable(error.to_string()),
            };
            intake.bury(bytes, &origin, &burial).await?;
            Ok(Taken::Buried(burial))
        });
        match tokio::time::timeout(BOOKING_TIME_LIMIT, taking).await {
            Ok(Ok(taken)) => Ok(taken?),
            Ok(Err(interrupted)) => Err(IngestError::Interrupted(interrupted)),
            Err(_) => Err(IngestError::TimedOut),
        }
    }

    async fn book(&self, batch: &UsageBatch) -> Result<Booked, StoreError> {
        let booked = self.store.book_usage(batch, self.clock.now()).await?;
        self.metrics.count_booked(&booked);
        report(&batch.stream, batch.first_seq, &booked);
        Ok(booked)
    }

    async fn bury(&self, bytes: Vec<u8>, origin: &str, burial: &Burial) -> Result<(), StoreError> {
        let (size, reason) = (bytes.len(), burial.reason());
        let letter = NewDeadLetter::of_http(origin, bytes, reason.to_owned());
        let booking = Booking { dead_letters: std::slice::from_ref(&letter), ..Booking::default() };
        self.store.book_all(&booking, self.clock.now()).await?;
        self.metrics.count_dead_letter();
        tracing::error!(origin, bytes = size, reason, "dead_letter");
        Ok(())
    }
}

impl Burial {
    /// Why it cannot be booked.
    pub fn reason(&self) -> &str {
        match self {
            Self::Undecodable(reason) | Self::Refused(reason) => reason,
        }
    }
}

fn report(stream: &StreamId, first_seq: u64, booked: &Booked) {
    tracing::debug!(%stream, first_seq, booked = booked.booked, replayed = booked.replayed, "batch_booked");
    if booked.gap > 0 || booked.lost > 0 {
        tracing::warn!(%stream, first_seq, gap = booked.gap, lost = booked.lost, "usage_gap");
    }
    if !booked.unknown_tenants.is_empty() {
        let named = &booked.unknown_tenants[..booked.unknown_tenants.len().min(UNKNOWN_TENANTS_LOGGED)];
        tracing::warn!(%stream, first_seq, tenants = ?named, count = booked.unknown_tenants.len(), "unknown_tenants");
    }
}
