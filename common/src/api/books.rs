//! The state of the books: what an operator has to act on, and whether everything adds up.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::instant::Instant;
use crate::{id::TenantId, job::Job, outbox::OutboxDepth, time::Micros};

/// What is open in the books of the installation. All counts are 0 if there is nothing to do.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Books)]
pub struct BooksDocument {
    /// Time at which it was counted.
    pub as_of: Instant,
    /// Gaps in the numbers of streams that are neither filled nor accepted.
    pub open_gaps: u64,
    /// Journals of gateways that are gone and that nobody has accepted.
    pub lost_journals: u64,
    /// Messages that could not be booked and that nobody has resolved.
    pub dead_letters: u64,
    /// Usage that was set aside and that nobody has resolved.
    pub quarantined: u64,
    /// Streams of usage, the one that was heard of latest first; at most 100.
    pub streams: Vec<StreamDocument>,
    /// Jobs, by kind and issuer.
    pub jobs: Vec<JobDocument>,
    /// Messages that wait to be sent, by kind.
    pub outbox: Vec<OutboxDepthDocument>,
    /// Messages of the last 24 hours that were given up.
    pub given_up_messages: u64,
}

/// A stream of usage of a gateway.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = UsageStream)]
pub struct StreamDocument {
    /// The stream.
    pub stream: String,
    /// Entries that were booked, or are known to be missing.
    pub entries: u64,
    /// Time at which something of it was booked last.
    pub updated_at: Instant,
}

/// A job.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Job)]
pub struct JobDocument {
    /// Kind of work.
    #[schema(example = "issue_invoices")]
    pub kind: String,
    /// The issuer that it is for; null: all at once.
    #[schema(value_type = Option<String>, required = true)]
    pub issuer: Option<TenantId>,
    /// Its times: minute, hour, day, month, day of the week.
    #[schema(example = "5 * * * *")]
    pub cron: String,
    /// `waiting`, `due`, `running`, `retrying` or `stuck`.
    #[schema(example = "waiting")]
    pub state: String,
    /// Time of the next run or try.
    pub next_at: Instant,
    /// Time of the latest success.
    #[schema(required = true)]
    pub succeeded_at: Option<Instant>,
    /// Error of the latest try, if it failed.
    #[schema(required = true)]
    pub error: Option<String>,
}

/// Messages of one kind that wait to be sent.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = OutboxDepth)]
pub struct OutboxDepthDocument {
    /// `webhook`, `mail`, or `event` for events that no message was made of yet.
    #[schema(example = "webhook")]
    pub kind: String,
    /// Their number.
    pub pending: u64,
    /// Those of them that failed at least once.
    pub retrying: u64,
    /// Time at which the oldest was written.
    #[schema(required = true)]
    pub oldest: Option<Instant>,
}

/// Result of reconciling the books: everything that does not add up, in words.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = BooksAudit)]
pub struct BooksAuditDocument {
    /// Time at which it was compared.
    pub as_of: Instant,
    /// True if all that is booked adds up and nothing is open.
    pub clean: bool,
    /// Number of streams that were compared.
    pub streams: u64,
    /// Faults, in words; empty if it is clean.
    pub faults: Vec<String>,
}

impl JobDocument {
    /// The document of a job as it stands at `now`.
    pub fn of(job: Job, now: Micros) -> Self {
        let state = job.state(now).as_str().to_owned();
        Self {
            state,
            next_at: job.retry_at.unwrap_or(job.next_at).into(),
            succeeded_at: job.succeeded_at.map(Into::into),
            kind: job.kind,
            issuer: job.issuer,
            cron: job.cron,
            error: job.error,
        }
    }
}

impl From<OutboxDepth> for OutboxDepthDocument {
    fn from(OutboxDepth { kind, pending, retrying, oldest }: OutboxDepth) -> Self {
        Self { kind, pending, retrying, oldest: oldest.map(Into::into) }
    }
}
