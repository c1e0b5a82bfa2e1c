//! Jobs and their runs, for people to look at.

use sqlx::{Row as _, any::AnyRow};

use super::{Job, JobRun, issuer};
use crate::store::{
    Store, StoreError,
    row::{corrupt, instant, instant_or_null, parsed},
};

impl Store {
    /// All jobs, by kind and issuer.
    pub async fn jobs(&self) -> Result<Vec<Job>, StoreError> {
        let rows = sqlx::query(
            "SELECT kind, issuer_id, cron, zone, next_at, retry_at, attempt, worker, lease_until, started_at, \
             succeeded_at, error FROM jobs ORDER BY kind, issuer_id",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read).collect()
    }

    /// The latest runs, newest first, of one kind of job or of all.
    pub async fn job_runs(&self, kind: Option<&str>, limit: u32) -> Result<Vec<JobRun>, StoreError> {
        let rows = sqlx::query(
            "SELECT kind, issuer_id, due_at, attempt, worker, started_at, ended_at, outcome, detail FROM job_runs \
             WHERE ($1 = '' OR kind = $1) ORDER BY seq DESC LIMIT $2",
        )
        .bind(kind.unwrap_or_default().to_owned())
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read_run).collect()
    }
}

fn read(row: &AnyRow) -> Result<Job, StoreError> {
    Ok(Job {
        kind: row.try_get("kind")?,
        issuer: issuer(row.try_get("issuer_id")?).map_err(|error| corrupt("issuer", error))?,
        cron: row.try_get("cron")?,
        zone: row.try_get("zone")?,
        next_at: instant(row, "next_at")?,
        retry_at: instant_or_null(row, "retry_at")?,
        attempt: row.try_get("attempt")?,
        worker: row.try_get("worker")?,
        lease_until: instant_or_null(row, "lease_until")?,
        started_at: instant_or_null(row, "started_at")?,
        succeeded_at: instant_or_null(row, "succeeded_at")?,
        error: row.try_get("error")?,
    })
}

fn read_run(row: &AnyRow) -> Result<JobRun, StoreError> {
    Ok(JobRun {
        kind: row.try_get("kind")?,
        issuer: issuer(row.try_get("issuer_id")?).map_err(|error| corrupt("issuer", error))?,
        due_at: instant(row, "due_at")?,
        attempt: row.try_get("attempt")?,
        worker: row.try_get("worker")?,
        started_at: instant(row, "started_at")?,
        ended_at: instant(row, "ended_at")?,
        outcome: parsed(row, "outcome")?,
        detail: row.try_get("detail")?,
    })
}
