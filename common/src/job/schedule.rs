//! Rows of jobs: made for every kind and issuer, and kept to their schedule.

use sqlx::{Row as _, any::AnyRow};

use super::JobName;
use crate::{
    id::TenantId,
    store::{
        Store, StoreError,
        row::{parsed, zone},
    },
    time::{Cron, Micros, Zone},
};

impl Store {
    /// Makes sure that there is a job. Its first run is at the first time of its schedule; another
    /// schedule or time zone than before counts from now on.
    pub async fn ensure_job(&self, name: &JobName, cron: &Cron, zone: &Zone, now: Micros) -> Result<(), StoreError> {
        let row = sqlx::query("SELECT cron, zone FROM jobs WHERE kind = $1 AND issuer_id = $2")
            .bind(name.kind.clone())
            .bind(name.stored_issuer())
            .fetch_optional(&self.pool)
            .await?;
        if let Some(row) = row {
            let known: (String, String) = (row.try_get("cron")?, row.try_get("zone")?);
            if known == (cron.to_string(), zone.name().to_owned()) {
                return Ok(());
            }
        }
        let next = cron.next(now, zone).ok_or_else(|| StoreError::refused(format!("{cron} never comes in {zone}")))?;
        let mut write = self.begin_write().await?;
        sqlx::query(
            "INSERT INTO jobs (kind, issuer_id, cron, zone, next_at) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (kind, issuer_id) DO UPDATE SET cron = excluded.cron, zone = excluded.zone, \
             next_at = CASE WHEN jobs.next_at <= $6 THEN jobs.next_at ELSE excluded.next_at END \
             WHERE jobs.cron <> excluded.cron OR jobs.zone <> excluded.zone",
        )
        .bind(name.kind.clone())
        .bind(name.stored_issuer())
        .bind(cron.to_string())
        .bind(zone.name().to_owned())
        .bind(next.0)
        .bind(now.0)
        .execute(write.connection())
        .await?;
        write.commit().await
    }

    /// Tenants that issue invoices: roots and resellers, each with the clock that its jobs are on.
    pub async fn job_issuers(&self) -> Result<Vec<(TenantId, Zone)>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, zone FROM tenants WHERE kind IN ('root', 'reseller') AND deleted_at IS NULL ORDER BY id",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(|row: &AnyRow| Ok((parsed(row, "id")?, zone(row)?.or_utc()))).collect()
    }

    /// Removes jobs of issuers that are deleted.
    pub async fn drop_jobs_of_deleted(&self) -> Result<u64, StoreError> {
        let gone = sqlx::query(
            "SELECT 1 FROM jobs JOIN tenants ON tenants.id = issuer_id WHERE deleted_at IS NOT NULL LIMIT 1",
        )
        .fetch_optional(&self.pool)
        .await?;
        if gone.is_none() {
            return Ok(0);
        }
        let mut write = self.begin_write().await?;
        let done =
            sqlx::query("DELETE FROM jobs WHERE issuer_id IN (SELECT id FROM tenants WHERE deleted_at IS NOT NULL)")
                .execute(write.connection())
                .await?;
        write.commit().await?;
        Ok(done.rows_affected())
    }

    /// Makes a job due now, whatever its schedule.
    pub async fn make_job_due(&self, name: &JobName, now: Micros) -> Result<(), StoreError> {
        let mut write = self.begin_write().await?;
        let done = sqlx::query(
            "UPDATE jobs SET next_at = CASE WHEN next_at < $1 THEN next_at ELSE $1 END, retry_at = NULL \
             WHERE kind = $2 AND issuer_id = $3",
        )
        .bind(now.0)
        .bind(name.kind.clone())
        .bind(name.stored_issuer())
        .execute(write.connection())
        .await?;
        if done.rows_affected() == 0 {
            return Err(StoreError::not_found("job", name));
        }
        write.commit().await
    }
}
