//! Jobs: work that is due at times of a calendar, as rows of the store.
//!
//! Invariants: a job is run by one worker at a time, which holds its latest claim, and whose lease
//! has not run out; it stays due until it has succeeded, and what was missed meanwhile is caught up
//! once; a worker that has lost its lease changes nothing of the job.

mod claim;
mod list;
mod schedule;

use std::{fmt, str::FromStr};

pub use claim::{Claim, Ended};
use serde::Serialize;

use crate::{
    id::{IdError, TenantId},
    time::Micros,
    word::UnknownWord,
};

/// A job that is due for longer than this is stuck.
pub const STUCK_SECONDS: i64 = 900;

/// The name of a job.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobName {
    /// Kind of work.
    pub kind: String,
    /// For whom; none: for all at once.
    pub issuer: Option<TenantId>,
}

/// A job as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Job {
    /// Kind of work.
    pub kind: String,
    /// For whom; none: for all at once.
    pub issuer: Option<TenantId>,
    /// Its times.
    pub cron: String,
    /// The clock that they are on.
    pub zone: String,
    /// Time at which it is due; in the past until it has been done.
    pub next_at: Micros,
    /// Time of the next try, after one that failed.
    pub retry_at: Option<Micros>,
    /// Tries since it was due.
    pub attempt: i64,
    /// The worker that runs it now.
    pub worker: Option<String>,
    /// Until when that worker has it.
    pub lease_until: Option<Micros>,
    /// Begin of the latest try.
    pub started_at: Option<Micros>,
    /// Time of the latest success.
    pub succeeded_at: Option<Micros>,
    /// Error of the latest try, if it failed.
    pub error: Option<String>,
}

/// State of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// It waits for its time.
    Waiting,
    /// It is due, and nobody has it yet.
    Due,
    /// A worker runs it.
    Running,
    /// Its latest try failed; it will be tried again.
    Retrying,
    /// It is due for too long.
    Stuck,
}

/// A run of a job that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JobRun {
    /// Kind of work.
    pub kind: String,
    /// For whom; none: for all at once.
    pub issuer: Option<TenantId>,
    /// Time at which it was due.
    pub due_at: Micros,
    /// Number of the try.
    pub attempt: i64,
    /// The worker.
    pub worker: String,
    /// Its begin.
    pub started_at: Micros,
    /// Its end.
    pub ended_at: Micros,
    /// Its end.
    pub outcome: RunOutcome,
    /// The work that was done, or the error.
    pub detail: String,
}

/// The end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunOutcome {
    /// The work is done.
    Done,
    /// The work failed.
    Failed,
    /// The worker's lease ran out: it died, or hangs.
    Lost,
}

impl JobName {
    /// Work for all at once.
    pub fn whole(kind: &str) -> Self {
        Self { kind: kind.to_owned(), issuer: None }
    }

    /// The issuer as the store holds it.
    fn stored_issuer(&self) -> String {
        self.issuer.map(|issuer| issuer.to_string()).unwrap_or_default()
    }
}

/// Reads an issuer as the store holds it.
fn issuer(text: &str) -> Result<Option<TenantId>, IdError> {
    if text.is_empty() { Ok(None) } else { text.parse().map(Some) }
}

impl fmt::Display for JobName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.issuer {
            None => formatter.pad(&self.kind),
            Some(issuer) => formatter.pad(&format!("{} of {issuer}", self.kind)),
        }
    }
}

impl Job {
    /// Its name.
    pub fn name(&self) -> JobName {
        JobName { kind: self.kind.clone(), issuer: self.issuer }
    }

    /// Returns true if it is due for too long.
    pub fn is_stuck(&self, now: Micros) -> bool {
        self.next_at.plus_seconds(STUCK_SECONDS) < now
    }

    /// Its state.
    pub fn state(&self, now: Micros) -> JobState {
        let is_running = self.lease_until.is_some_and(|until| until > now);
        match () {
            () if self.is_stuck(now) => JobState::Stuck,
            () if is_running => JobState::Running,
            () if self.retry_at.is_some() => JobState::Retrying,
            () if self.next_at <= now => JobState::Due,
            () => JobState::Waiting,
        }
    }
}

impl RunOutcome {
    /// The word in the store and in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Lost => "lost",
        }
    }
}

impl FromStr for RunOutcome {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        let known = [Self::Done, Self::Failed, Self::Lost].into_iter().find(|outcome| outcome.as_str() == word);
        known.ok_or_else(|| UnknownWord::new("outcome of a run", "done, failed, lost", word))
    }
}

impl JobState {
    /// The word for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Due => "due",
            Self::Running => "running",
            Self::Retrying => "retrying",
            Self::Stuck => "stuck",
        }
    }
}
