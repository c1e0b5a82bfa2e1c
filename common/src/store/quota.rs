//! Hard quotas: blocks of units drawn from one row per tenant, meter and month.
//!
//! Sum of grants - refunds <= limit, always, whatever the number of gateways: the row is the only source.

use sqlx::Row as _;

use super::{Store, StoreError};
use crate::{
    id::TenantId,
    time::{Micros, Period},
};

impl Store {
    /// Draws up to `wanted` units from what `limit` leaves; 0 once it is spent. Never grants beyond `limit`, also
    /// when it was lowered below what is out.
    pub async fn draw_quota(
        &self,
        tenant: TenantId,
        meter: &str,
        period: Period,
        limit: u64,
        wanted: u64,
        now: Micros,
    ) -> Result<u64, StoreError> {
        let mut write = self.begin_write().await?;
        // Locks the row, whether it was there or not, so that nobody else draws before this has committed.
        let row = sqlx::query(
            "INSERT INTO quota_grants (tenant_id, meter, period, granted, updated_at) VALUES ($1, $2, $3, 0, $4) \
             ON CONFLICT (tenant_id, meter, period) DO UPDATE SET updated_at = excluded.updated_at RETURNING granted",
        )
        .bind(tenant.to_string())
        .bind(meter)
        .bind(period.to_string())
        .bind(now.0)
        .fetch_one(write.connection())
        .await
        .map_err(|error| unknown_tenant(tenant, error))?;
        let left = stored_units(limit).saturating_sub(row.try_get("granted")?);
        let grant = left.clamp(0, stored_units(wanted));
        if grant == 0 {
            return Ok(0);
        }
        sqlx::query(
            "UPDATE quota_grants SET granted = granted + $1 WHERE tenant_id = $2 AND meter = $3 AND period = $4",
        )
        .bind(grant)
        .bind(tenant.to_string())
        .bind(meter)
        .bind(period.to_string())
        .execute(write.connection())
        .await?;
        write.commit().await?;
        Ok(grant.unsigned_abs())
    }

    /// Gives back units that were drawn and not used.
    pub async fn refund_quota(
        &self,
        tenant: TenantId,
        meter: &str,
        period: Period,
        unused: u64,
        now: Micros,
    ) -> Result<(), StoreError> {
        let mut write = self.begin_write().await?;
        sqlx::query(
            "UPDATE quota_grants SET granted = CASE WHEN granted > $1 THEN granted - $1 ELSE 0 END, updated_at = $2 \
             WHERE tenant_id = $3 AND meter = $4 AND period = $5",
        )
        .bind(stored_units(unused))
        .bind(now.0)
        .bind(tenant.to_string())
        .bind(meter)
        .bind(period.to_string())
        .execute(write.connection())
        .await?;
        write.commit().await
    }
}

/// The store counts to 63 bits; what is beyond can never be drawn.
fn stored_units(units: u64) -> i64 {
    i64::try_from(units).unwrap_or(i64::MAX)
}

fn unknown_tenant(tenant: TenantId, error: sqlx::Error) -> StoreError {
    match &error {
        sqlx::Error::Database(reason) if reason.is_foreign_key_violation() => StoreError::not_found("tenant", &tenant),
        _ => error.into(),
    }
}
