//! Claims: one worker at a time has a job, for as long as it renews its lease.

use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::{JobName, RunOutcome, issuer};
use crate::{
    store::{
        Store, StoreError,
        row::{corrupt, instant, instant_or_null},
    },
    time::{Cron, Micros, Zone},
};

/// Wait before the second try; each further one is twice as long.
const RETRY_SECONDS: i64 = 10;

/// Longest wait between two tries.
const RETRY_SECONDS_MAX: i64 = 3_600;

/// Runs are kept this long.
const RUNS_KEPT_SECONDS: i64 = 90 * 86_400;

/// Longest error or result that is kept, in characters.
const DETAIL_MAX_CHARS: usize = 1_000;

/// Jobs that one look considers.
const CANDIDATES: i64 = 20;

/// A job that a worker has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The job.
    pub job: JobName,
    /// Time at which it was due.
    pub due_at: Micros,
    /// Number of the try, from 1 on.
    pub attempt: i64,
    /// The worker.
    pub worker: String,
    /// True if the lease of another worker ran out before.
    pub taken_over: bool,
    /// Begin of the run.
    pub started_at: Micros,
    number: i64,
    cron: String,
    zone: String,
}

/// The end of a run, for the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The work is done; with what was done.
    Done(String),
    /// The work failed; with the error.
    Failed(String),
}

impl Store {
    /// Claims the job of these kinds that is due for longest, for `lease_seconds` from now; none if
    /// none is due.
    pub async fn claim_job(
        &self,
        worker: &str,
        kinds: &[&str],
        lease_seconds: i64,
        now: Micros,
    ) -> Result<Option<Claim>, StoreError> {
        let rows = sqlx::query(
            "SELECT kind, issuer_id FROM jobs WHERE COALESCE(retry_at, next_at) <= $1 \
             AND (lease_until IS NULL OR lease_until <= $1) ORDER BY COALESCE(retry_at, next_at), kind, issuer_id LIMIT $2",
        )
        .bind(now.0)
        .bind(CANDIDATES)
        .fetch_all(&self.pool)
        .await?;
        for row in &rows {
            let kind: String = row.try_get("kind")?;
            if !kinds.contains(&kind.as_str()) {
                continue;
            }
            let issuer = issuer(row.try_get("issuer_id")?).map_err(|error| corrupt("issuer", error))?;
            let job = JobName { kind, issuer };
            if let Some(claim) = self.claim(job, worker, lease_seconds, now).await? {
                return Ok(Some(claim));
            }
        }
        Ok(None)
    }

    /// Claims a job, unless somebody else was faster.
    async fn claim(
        &self,
        job: JobName,
        worker: &str,
        lease_seconds: i64,
        now: Micros,
    ) -> Result<Option<Claim>, StoreError> {
        let mut write = self.begin_write().await?;
        let before = lock(write.connection(), &job).await?;
        let Some(before) = before.filter(|before| before.is_free(now)) else { return Ok(None) };
        if let Some(worker) = &before.worker {
            let (outcome, detail) = (RunOutcome::Lost, "the lease of the worker ran out".to_owned());
            let (due_at, attempt) = (before.next_at, before.attempt);
            let lost = (due_at, attempt, worker.as_str(), before.started_at.unwrap_or(now));
            insert_run(write.connection(), &job, lost, (outcome, &detail), now).await?;
        }
        sqlx::query(
            "UPDATE jobs SET claim = claim + 1, attempt = attempt + 1, worker = $1, lease_until = $2, started_at = $3 \
             WHERE kind = $4 AND issuer_id = $5",
        )
        .bind(worker.to_owned())
        .bind(now.plus_seconds(lease_seconds).0)
        .bind(now.0)
        .bind(job.kind.clone())
        .bind(job.stored_issuer())
        .execute(write.connection())
        .await?;
        write.commit().await?;
        Ok(Some(Claim {
            job,
            due_at: before.next_at,
            attempt: before.attempt + 1,
            worker: worker.to_owned(),
            taken_over: before.worker.is_some(),
            started_at: now,
            number: before.claim + 1,
            cron: before.cron,
            zone: before.zone,
        }))
    }

    /// Renews the lease of a claim; false if somebody else has the job.
    pub async fn renew_job(&self, claim: &Claim, lease_seconds: i64, now: Micros) -> Result<bool, StoreError> {
        let mut write = self.begin_write().await?;
        let done = sqlx::query(
            "UPDATE jobs SET lease_until = $1 WHERE kind = $2 AND issuer_id = $3 AND claim = $4 AND worker = $5",
        )
        .bind(now.plus_seconds(lease_seconds).0)
        .bind(claim.job.kind.clone())
        .bind(claim.job.stored_issuer())
        .bind(claim.number)
        .bind(claim.worker.clone())
        .execute(write.connection())
        .await?;
        write.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// Ends a run: a job that is done is due again at the next time of its schedule from now on, and
    /// one that failed is tried again after a while. False if somebody else has the job: then
    /// nothing is changed.
    pub async fn end_job(&self, claim: &Claim, ended: &Ended, now: Micros) -> Result<bool, StoreError> {
        let mut write = self.begin_write().await?;
        let current = lock(write.connection(), &claim.job).await?;
        if current.is_none_or(|job| job.claim != claim.number || job.worker.as_ref() != Some(&claim.worker)) {
            return Ok(false);
        }
        let (outcome, detail) = match ended {
            Ended::Done(detail) => {
                succeed(write.connection(), claim, now).await?;
                (RunOutcome::Done, detail)
            }
            Ended::Failed(error) => {
                fail(write.connection(), claim, error, now).await?;
                (RunOutcome::Failed, error)
            }
        };
        let run = (claim.due_at, claim.attempt, claim.worker.as_str(), claim.started_at);
        insert_run(write.connection(), &claim.job, run, (outcome, detail), now).await?;
        sqlx::query("DELETE FROM job_runs WHERE ended_at < $1")
            .bind(now.plus_seconds(-RUNS_KEPT_SECONDS).0)
            .execute(write.connection())
            .await?;
        write.commit().await?;
        Ok(true)
    }
}

/// A locked job.
struct Locked {
    cron: String,
    zone: String,
    next_at: Micros,
    retry_at: Option<Micros>,
    attempt: i64,
    claim: i64,
    worker: Option<String>,
    lease_until: Option<Micros>,
    started_at: Option<Micros>,
}

impl Locked {
    fn is_free(&self, now: Micros) -> bool {
        self.retry_at.unwrap_or(self.next_at) <= now && self.lease_until.is_none_or(|until| until <= now)
    }
}

async fn lock(connection: &mut AnyConnection, job: &JobName) -> Result<Option<Locked>, StoreError> {
    let row = sqlx::query(
        "UPDATE jobs SET claim = claim WHERE kind = $1 AND issuer_id = $2 \
         RETURNING cron, zone, next_at, retry_at, attempt, claim, worker, lease_until, started_at",
    )
    .bind(job.kind.clone())
    .bind(job.stored_issuer())
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(locked).transpose()
}

fn locked(row: &AnyRow) -> Result<Locked, StoreError> {
    Ok(Locked {
        cron: row.try_get("cron")?,
        zone: row.try_get("zone")?,
        next_at: instant(row, "next_at")?,
        retry_at: instant_or_null(row, "retry_at")?,
        attempt: row.try_get("attempt")?,
        claim: row.try_get("claim")?,
        worker: row.try_get("worker")?,
        lease_until: instant_or_null(row, "lease_until")?,
        started_at: instant_or_null(row, "started_at")?,
    })
}

async fn succeed(connection: &mut AnyConnection, claim: &Claim, now: Micros) -> Result<(), StoreError> {
    let cron: Cron = claim.cron.parse().map_err(|error| corrupt("schedule", error))?;
    let next = cron.next(now, &Zone::stored(&claim.zone).or_utc());
    let next = next.ok_or_else(|| corrupt("schedule", format!("{cron} never comes")))?;
    sqlx::query(
        "UPDATE jobs SET next_at = $1, retry_at = NULL, attempt = 0, worker = NULL, lease_until = NULL, \
         succeeded_at = $2, error = NULL WHERE kind = $3 AND issuer_id = $4",
    )
    .bind(next.0)
    .bind(now.0)
    .bind(claim.job.kind.clone())
    .bind(claim.job.stored_issuer())
    .execute(connection)
    .await?;
    Ok(())
}

async fn fail(connection: &mut AnyConnection, claim: &Claim, error: &str, now: Micros) -> Result<(), StoreError> {
    let doublings = u32::try_from(claim.attempt - 1).unwrap_or(0).min(16);
    let wait = (RETRY_SECONDS << doublings).min(RETRY_SECONDS_MAX);
    sqlx::query(
        "UPDATE jobs SET retry_at = $1, worker = NULL, lease_until = NULL, error = $2 \
         WHERE kind = $3 AND issuer_id = $4",
    )
    .bind(now.plus_seconds(wait).0)
    .bind(shortened(error))
    .bind(claim.job.kind.clone())
    .bind(claim.job.stored_issuer())
    .execute(connection)
    .await?;
    Ok(())
}

async fn insert_run(
    connection: &mut AnyConnection,
    job: &JobName,
    (due_at, attempt, worker, started_at): (Micros, i64, &str, Micros),
    (outcome, detail): (RunOutcome, &str),
    now: Micros,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO job_runs (kind, issuer_id, due_at, attempt, worker, started_at, ended_at, outcome, detail) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(job.kind.clone())
    .bind(job.stored_issuer())
    .bind(due_at.0)
    .bind(attempt)
    .bind(worker.to_owned())
    .bind(started_at.0)
    .bind(now.0)
    .bind(outcome.as_str())
    .bind(shortened(detail))
    .execute(connection)
    .await?;
    Ok(())
}

fn shortened(text: &str) -> String {
    let printable = |character: char| if character.is_control() { ' ' } else { character };
    text.chars().map(printable).take(DETAIL_MAX_CHARS).collect()
}
