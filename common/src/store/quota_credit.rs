//! Prepaid credit: units that were paid for in advance, top-up by top-up. Their sum is the limit of what gateways draw,
//! as [`super::quota`] says; a top-up raises it in the transaction that writes it down.

use serde::Serialize;
use sqlx::Row as _;

use super::{
    QuotaSource, Store, StoreError,
    audit_log::{Audited, state},
    idempotency,
    row::{count, instant, parsed},
    scope,
};
use crate::{id::TenantId, plan::validate_meter, time::Micros};

/// Longest reference of a top-up, in characters.
const REFERENCE_MAX_CHARS: usize = 200;

/// Units that were paid for at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TopUp {
    /// What the payment is known by, such as an order number. The same one adds once.
    pub reference: String,
    /// Whose credit.
    pub tenant: TenantId,
    /// What the units are of.
    pub meter: String,
    /// How many.
    pub units: u64,
    /// When they were added.
    pub added_at: Micros,
}

/// How a tenant's credit for one meter stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Credit {
    /// Whose credit.
    pub tenant: TenantId,
    /// What the units are of.
    pub meter: String,
    /// Units paid for.
    pub paid: u64,
    /// Units that are used, or in the hands of gateways.
    pub drawn: u64,
    /// Units that gateways can still draw.
    pub left: u64,
}

impl Store {
    /// Adds units to a tenant's credit and says how it stands. The same top-up again, by its reference, changes nothing;
    /// another one under the same reference is refused, as is one of no units or beyond 63 bits in sum.
    pub async fn add_credit(&self, top_up: &TopUp) -> Result<Credit, StoreError> {
        let units = checked_units(top_up)?;
        let mut write = self.begin_change(top_up.added_at).await?;
        idempotency::refuse_repetition(&mut write).await?;
        write.require(top_up.tenant, "tenant", &top_up.tenant).await?;
        let inserted = sqlx::query(
            "INSERT INTO quota_top_ups (reference, tenant_id, meter, units, added_at) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (reference) DO NOTHING",
        )
        .bind(top_up.reference.clone())
        .bind(top_up.tenant.to_string())
        .bind(top_up.meter.clone())
        .bind(units)
        .bind(top_up.added_at.0)
        .execute(write.connection())
        .await
        .map_err(|error| unknown_tenant(top_up.tenant, error))?;
        if inserted.rows_affected() == 0 {
            drop(write);
            return self.credit_of_known(top_up).await;
        }
        let row = sqlx::query(
            "INSERT INTO quota_grants (tenant_id, meter, period, granted, limit_units, updated_at) \
             VALUES ($1, $2, $3, 0, $4, $5) ON CONFLICT (tenant_id, meter, period) DO UPDATE \
             SET limit_units = quota_grants.limit_units + excluded.limit_units, updated_at = excluded.updated_at \
             RETURNING granted, limit_units",
        )
        .bind(top_up.tenant.to_string())
        .bind(top_up.meter.clone())
        .bind(QuotaSource::Credit.to_string())
        .bind(units)
        .bind(top_up.added_at.0)
        .fetch_one(write.connection())
        .await?;
        let (drawn, paid) = (count(&row, "granted")?, count(&row, "limit_units")?);
        let (action, subject_kind, tenant) = ("credit.add", "credit", Some(top_up.tenant));
        let subject = top_up.reference.clone();
        write.audit(Audited { action, subject_kind, subject, tenant, before: None, after: state(top_up)? }).await?;
        idempotency::remember(&mut write, &top_up.reference).await?;
        write.commit().await?;
        Ok(Credit::new(top_up.tenant, top_up.meter.clone(), paid, drawn))
    }

    /// How a tenant's credit stands, by meter.
    pub async fn credit(&self, tenant: TenantId) -> Result<Vec<Credit>, StoreError> {
        self.require_tenant(tenant).await?;
        let rows = sqlx::query(
            "SELECT meter, granted, limit_units FROM quota_grants WHERE tenant_id = $1 AND period = $2 ORDER BY meter",
        )
        .bind(tenant.to_string())
        .bind(QuotaSource::Credit.to_string())
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                let (paid, drawn) = (count(row, "limit_units")?, count(row, "granted")?);
                Ok(Credit::new(tenant, row.try_get("meter")?, paid, drawn))
            })
            .collect()
    }

    /// Every top-up of a tenant, oldest first.
    pub async fn top_ups(&self, tenant: TenantId) -> Result<Vec<TopUp>, StoreError> {
        self.require_tenant(tenant).await?;
        let rows = sqlx::query(
            "SELECT reference, tenant_id, meter, units, added_at FROM quota_top_ups WHERE tenant_id = $1 \
             ORDER BY added_at, reference",
        )
        .bind(tenant.to_string())
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(TopUp {
                    reference: row.try_get("reference")?,
                    tenant: parsed(row, "tenant_id")?,
                    meter: row.try_get("meter")?,
                    units: count(row, "units")?,
                    added_at: instant(row, "added_at")?,
                })
            })
            .collect()
    }

    async fn require_tenant(&self, tenant: TenantId) -> Result<(), StoreError> {
        let mut connection = self.pool.acquire().await?;
        if scope::holds_tenant(&mut connection, self.acting.scope, tenant).await? {
            return Ok(());
        }
        Err(StoreError::not_found("tenant", &tenant))
    }

    /// The credit after a top-up whose reference is known, if that was the same.
    async fn credit_of_known(&self, top_up: &TopUp) -> Result<Credit, StoreError> {
        let known = self.top_ups(top_up.tenant).await?;
        let is_same = |known: &TopUp| {
            (&known.reference, &known.meter, known.units) == (&top_up.reference, &top_up.meter, top_up.units)
        };
        if !known.iter().any(is_same) {
            let reason = format!("another top-up has the reference `{}`; nothing was added", top_up.reference);
            return Err(StoreError::conflict(reason));
        }
        let credit = self.credit(top_up.tenant).await?.into_iter().find(|credit| credit.meter == top_up.meter);
        credit.ok_or_else(|| StoreError::not_found("credit", &top_up.meter))
    }
}

impl TopUp {
    /// A reference for a payment that has none of its own, unique without coordination.
    pub fn made_up_reference() -> String {
        ulid::Ulid::generate().to_string().to_ascii_lowercase()
    }
}

impl Credit {
    fn new(tenant: TenantId, meter: String, paid: u64, drawn: u64) -> Self {
        Self { tenant, meter, paid, drawn, left: paid.saturating_sub(drawn) }
    }
}

fn checked_units(top_up: &TopUp) -> Result<i64, StoreError> {
    validate_meter(&top_up.meter).map_err(|error| StoreError::refused(error.to_string()))?;
    let reference = &top_up.reference;
    if reference.is_empty() || reference.chars().count() > REFERENCE_MAX_CHARS || reference.contains(char::is_control) {
        return Err(StoreError::refused(format!(
            "a reference has 1 to {REFERENCE_MAX_CHARS} characters, none of them a control character"
        )));
    }
    let units = i64::try_from(top_up.units).ok().filter(|units| *units > 0);
    units.ok_or_else(|| StoreError::refused(format!("units must be 1 to {}", i64::MAX)))
}

fn unknown_tenant(tenant: TenantId, error: sqlx::Error) -> StoreError {
    match &error {
        sqlx::Error::Database(reason) if reason.is_foreign_key_violation() => StoreError::not_found("tenant", &tenant),
        _ => error.into(),
    }
}
