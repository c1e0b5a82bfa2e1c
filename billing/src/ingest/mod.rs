//! Taking usage batches: decoded, booked exactly once, and whatever is odd about them said aloud.
//! Here the way over HTTP; [`kafka`] is the other.
//!
//! A batch that was not booked is answered with an error, so that the gateway keeps it and sends it
//! again; one that never can be is put into the dead letters, so that what comes after it is not
//! held up. Gaps, unknown tenants and dead letters raise a log line and a metric each.

pub(crate) mod apart;
pub mod kafka;
mod metrics;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use common::{
    store::{Store, StoreError},
    time::Clock,
    usage::{ApartBatch, Booked, StreamId, UsageBatch, booking::Booking, dead_letters::NewDeadLetter},
};
pub use metrics::{BatchOutcome, IngestMetrics};

/// Longest that a gateway waits for its batch to be booked. What is booked after that is found
/// booked on the next try.
const BOOKING_TIME_LIMIT: Duration = Duration::from_secs(30);

/// Most unknown tenants of one batch that a log line names.
const UNKNOWN_TENANTS_LOGGED: usize = 10;

/// A failure to book a batch.
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
    /// Returns true if the same batch may well be booked a moment later, as when a server restarts
    /// or a disk is full.
    pub const fn is_temporary(&self) -> bool {
        match self {
            Self::TimedOut
            | Self::Store(
                StoreError::Locked(_)
                | StoreError::Unavailable { .. }
                | StoreError::ReadOnly(_)
                | StoreError::Database(_),
            ) => true,
            Self::Interrupted(_)
            | Self::Store(
                StoreError::Url { .. }
                | StoreError::SchemaOlder { .. }
                | StoreError::SchemaNewer { .. }
                | StoreError::NotFound { .. }
                | StoreError::Refused(_)
                | StoreError::Conflict(_)
                | StoreError::Stale { .. }
                | StoreError::Replayed { .. }
                | StoreError::IdempotencyMismatch
                | StoreError::PositionMoved { .. }
                | StoreError::Corrupt { .. },
            ) => false,
        }
    }
}

/// The outcome of a batch that its gateway need not keep any longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It is booked, now or before.
    Booked(Booked),
    /// It can never be booked and is among the dead letters.
    Buried(Burial),
}

/// A reason to keep a batch as a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Burial {
    /// The bytes are not a batch.
    Undecodable(String),
    /// The store never takes it.
    Refused(String),
}

/// Books batches, whichever way they come in.
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
            tracing::error!(event = "batch_not_booked", %error);
        }
        taken
    }

    async fn book_or_bury(&self, bytes: &[u8], origin: &str) -> Result<Taken, IngestError> {
        // A task of its own: a gateway that hangs up must not cancel it between the commit and the
        // report of a gap, which a replay would not show again.
        let (intake, bytes, origin) = (self.clone(), bytes.to_vec(), origin.to_owned());
        let taking = tokio::spawn(async move {
            match UsageBatch::decode_apart(&bytes) {
                Ok(apart) => intake.book_readable(apart).await,
                Err(error) => {
                    let burial = Burial::Undecodable(error.to_string());
                    intake.bury(&[NewDeadLetter::of_http(&origin, bytes, burial.reason().to_owned())]).await?;
                    Ok(Taken::Buried(burial))
                }
            }
        });
        match tokio::time::timeout(BOOKING_TIME_LIMIT, taking).await {
            Ok(Ok(taken)) => Ok(taken?),
            Ok(Err(interrupted)) => Err(IngestError::Interrupted(interrupted)),
            Err(_) => Err(IngestError::TimedOut),
        }
    }

    /// Books what can be booked of a batch, and buries the rest entry by entry.
    async fn book_readable(&self, ApartBatch { stream, batches, unread }: ApartBatch) -> Result<Taken, StoreError> {
        let unreadable = apart::letters_of(&stream, unread);
        if !unreadable.is_empty() {
            self.bury(&unreadable).await?;
        }
        let (mut taken, mut refused) = (None, Vec::new());
        for batch in batches {
            match self.book(&batch).await {
                Ok(booked) => taken = Some(booked),
                Err(StoreError::Refused(_)) => refused.extend(self.book_apart(batch).await?),
                Err(error) => return Err(error),
            }
        }
        let reason = |letters: &[NewDeadLetter]| {
            let first = letters.first().map_or("", |letter| &letter.reason);
            format!("{} of its entries, the others are booked: {first}", letters.len())
        };
        Ok(match (&*unreadable, &*refused, taken) {
            ([], [], Some(booked)) => Taken::Booked(booked),
            (unreadable, [], _) => Taken::Buried(Burial::Undecodable(reason(unreadable))),
            (_, refused, _) => Taken::Buried(Burial::Refused(reason(refused))),
        })
    }

    async fn book_apart(&self, batch: UsageBatch) -> Result<Vec<NewDeadLetter>, StoreError> {
        let stream = batch.stream.clone();
        let apart = apart::book_apart(&self.store, batch, self.clock.now()).await?;
        for (first_seq, booked) in &apart.booked {
            self.metrics.count_booked(booked);
            report(&stream, *first_seq, booked);
        }
        self.tell(&apart.letters);
        Ok(apart.letters)
    }

    async fn book(&self, batch: &UsageBatch) -> Result<Booked, StoreError> {
        let booked = self.store.book_usage(batch, self.clock.now()).await?;
        self.metrics.count_booked(&booked);
        report(&batch.stream, batch.first_seq, &booked);
        Ok(booked)
    }

    async fn bury(&self, letters: &[NewDeadLetter]) -> Result<(), StoreError> {
        let booking = Booking { dead_letters: letters, ..Booking::default() };
        self.store.book_all(&booking, self.clock.now()).await?;
        self.tell(letters);
        Ok(())
    }

    fn tell(&self, letters: &[NewDeadLetter]) {
        for letter in letters {
            self.metrics.count_dead_letter();
            let (origin, bytes, reason) = (&letter.topic, letter.payload.len(), &letter.reason);
            tracing::error!(event = "dead_letter", origin, bytes, reason);
        }
    }
}

impl Burial {
    /// The reason in words.
    pub fn reason(&self) -> &str {
        match self {
            Self::Undecodable(reason) | Self::Refused(reason) => reason,
        }
    }
}

fn report(stream: &StreamId, first_seq: u64, booked: &Booked) {
    tracing::debug!(event = "batch_booked", %stream, first_seq, booked = booked.booked, replayed = booked.replayed);
    if booked.gap > 0 || booked.lost > 0 {
        tracing::warn!(event = "usage_gap", %stream, first_seq, gap = booked.gap, lost = booked.lost);
    }
    if booked.quarantined > 0 {
        tracing::warn!(event = "usage_quarantined", %stream, first_seq, entries = booked.quarantined);
    }
    if !booked.unknown_tenants.is_empty() {
        let named = &booked.unknown_tenants[..booked.unknown_tenants.len().min(UNKNOWN_TENANTS_LOGGED)];
        tracing::warn!(event = "unknown_tenants", %stream, first_seq, tenants = ?named, count = booked.unknown_tenants.len());
    }
}
