//! Taking usage batches: decoded, booked exactly once, and whatever is odd about them said aloud. Here the way over
//! HTTP; [`kafka`] is the other.
//!
//! A batch that was not booked is answered with an error, so that the gateway keeps it and sends it again. Gaps,
//! unknown tenants and undecodable bytes raise a log line and a metric each.

pub mod kafka;
mod metrics;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use common::{
    store::{Booked, Store, StoreError},
    time::Clock,
    usage::{BatchError, StreamId, UsageBatch},
};
pub use metrics::{BatchOutcome, IngestMetrics};

/// Longest that a gateway waits for its batch to be booked. What is booked after that is found booked on the next try.
const BOOKING_TIME_LIMIT: Duration = Duration::from_secs(30);

/// How many unknown tenants of one batch a log line names.
const UNKNOWN_TENANTS_LOGGED: usize = 10;

/// Why a batch was not booked.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The bytes are not a batch: sending them again cannot help.
    #[error(transparent)]
    Undecodable(#[from] BatchError),
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
            Self::Undecodable(_) | Self::Interrupted(_) => false,
        }
    }
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

    /// Decodes and books one batch.
    pub async fn take(&self, bytes: &[u8]) -> Result<Booked, IngestError> {
        let started = Instant::now();
        let taken = self.decode_and_book(bytes).await;
        self.metrics.observe(started.elapsed(), BatchOutcome::of(&taken));
        if let Err(error @ (IngestError::Store(_) | IngestError::TimedOut | IngestError::Interrupted(_))) = &taken {
            tracing::error!(%error, "batch_not_booked");
        }
        taken
    }

    async fn decode_and_book(&self, bytes: &[u8]) -> Result<Booked, IngestError> {
        let batch = UsageBatch::decode(bytes).inspect_err(|error| {
            tracing::warn!(%error, bytes = bytes.len(), "batch_undecodable");
        })?;
        // A task of its own: a gateway that hangs up must not cancel it between the commit and the report of a gap,
        // which a replay would not show again.
        let intake = self.clone();
        let booking = tokio::spawn(async move { intake.book(&batch).await });
        match tokio::time::timeout(BOOKING_TIME_LIMIT, booking).await {
            Ok(Ok(booked)) => Ok(booked?),
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
