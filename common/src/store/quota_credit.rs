//! Prepaid credit: units that were paid for in advance, top-up by top-up. Their sum is the limit of what gateways draw,
//! as [`super::quota`] says; a top-up raises it in the transaction that writes it down. A correction is a top-up of
//! negative units with a reason; it takes back no more than gateways can still draw.

use serde::Serialize;
use sqlx::{Row as _, any::AnyRow};

use super::{
    Page, PageRequest, QuotaSource, Store, StoreError,
    audit_log::{AuditAction, Audited, state},
    idempotency,
    row::{count, instant, parsed},
    scope, tenants,
    transaction::ChangeTransaction,
};
use crate::{id::TenantId, plan::validate_meter, tenant::validate_name, time::Micros};

/// Most units of one top-up: a slip of a key adds no more than can be corrected, and sums stay far from 63 bits.
pub const TOP_UP_UNITS_MAX: i64 = 1_000_000_000_000_000;

/// Most meters that a tenant has credit for.
const METERS_MAX: i64 = 100;

/// Units that were paid for at once, or taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TopUp {
    /// What the payment is known by, such as an order number; the tenant's own. The same one adds once.
    pub reference: String,
    /// Whose credit.
    pub tenant: TenantId,
    /// What the units are of.
    pub meter: String,
    /// How many; negative: taken back.
    pub units: i64,
    /// Why. A correction states it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
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
    /// Adds units to a tenant's credit, or takes some back, and says how it stands. The same top-up again, by its
    /// reference, changes nothing. Refused: no units or too many, a correction without a reason. A conflict: another
    /// top-up of the tenant with this reference, a correction of more than is left, a deleted tenant.
    pub async fn add_credit(&self, top_up: &TopUp) -> Result<Credit, StoreError> {
        validate(top_up)?;
        let mut write = self.begin_change(top_up.added_at).await?;
        idempotency::refuse_repetition(&mut write).await?;
        tenants::present(&mut write, top_up.tenant).await?;
        if !insert(&mut write, top_up).await? {
            return known(&mut write, top_up).await;
        }
        let (drawn, paid) = change_limit(&mut write, top_up).await?;
        let action = if top_up.units < 0 { AuditAction::CreditCorrect } else { AuditAction::CreditAdd };
        let (subject_kind, tenant) = ("credit", Some(top_up.tenant));
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
        Ok(self.top_ups_page(tenant, PageRequest { after: None, limit: u32::MAX }).await?.items)
    }

    /// Top-ups of a tenant in pages, oldest first.
    pub async fn top_ups_page(&self, tenant: TenantId, page: PageRequest) -> Result<Page<TopUp>, StoreError> {
        self.require_tenant(tenant).await?;
        let rows = sqlx::query(
            "SELECT seq, reference, tenant_id, meter, units, reason, added_at FROM quota_top_ups \
             WHERE tenant_id = $1 AND seq > $2 ORDER BY seq LIMIT $3",
        )
        .bind(tenant.to_string())
        .bind(page.begin())
        .bind(page.rows())
        .fetch_all(&self.pool)
        .await?;
        let found: Result<Vec<_>, StoreError> = rows.iter().map(|row| Ok((row.try_get("seq")?, read(row)?))).collect();
        Ok(page.page(found?))
    }

    async fn require_tenant(&self, tenant: TenantId) -> Result<(), StoreError> {
        let mut connection = self.pool.acquire().await?;
        if scope::holds_tenant(&mut connection, self.acting.scope, tenant).await? {
            return Ok(());
        }
        Err(StoreError::not_found("tenant", &tenant))
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

/// Writes a top-up down; false: the tenant has one with this reference.
async fn insert(write: &mut ChangeTransaction, top_up: &TopUp) -> Result<bool, StoreError> {
    let inserted = sqlx::query(
        "INSERT INTO quota_top_ups (tenant_id, reference, seq, meter, units, reason, added_at) \
         SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), COALESCE(MAX(seq), 0) + 1, CAST($3 AS TEXT), CAST($4 AS BIGINT), \
         CAST($5 AS TEXT), CAST($6 AS BIGINT) FROM quota_top_ups WHERE tenant_id = $1 \
         ON CONFLICT (tenant_id, reference) DO NOTHING",
    )
    .bind(top_up.tenant.to_string())
    .bind(&top_up.reference)
    .bind(&top_up.meter)
    .bind(top_up.units)
    .bind(top_up.reason.as_deref())
    .bind(top_up.added_at.0)
    .execute(write.connection())
    .await?;
    Ok(inserted.rows_affected() > 0)
}

/// Raises or lowers what gateways may draw; gives what they have drawn, and what is paid for.
async fn change_limit(write: &mut ChangeTransaction, top_up: &TopUp) -> Result<(u64, u64), StoreError> {
    let (tenant, period) = (top_up.tenant.to_string(), QuotaSource::Credit.to_string());
    let changed = sqlx::query(
        "UPDATE quota_grants SET limit_units = limit_units + $4, updated_at = $5 WHERE tenant_id = $1 AND meter = $2 \
         AND period = $3 AND ($4 > 0 OR limit_units + $4 >= granted) RETURNING granted, limit_units",
    )
    .bind(&tenant)
    .bind(&top_up.meter)
    .bind(&period)
    .bind(top_up.units)
    .bind(top_up.added_at.0)
    .fetch_optional(write.connection())
    .await?;
    if let Some(row) = changed {
        return Ok((count(&row, "granted")?, count(&row, "limit_units")?));
    }
    if top_up.units < 0 {
        let reason = format!(
            "less than {} units of {} are left: a correction takes back what no gateway has drawn",
            top_up.units.unsigned_abs(),
            top_up.meter
        );
        return Err(StoreError::conflict(reason));
    }
    refuse_meters(write, top_up).await?;
    sqlx::query(
        "INSERT INTO quota_grants (tenant_id, meter, period, granted, limit_units, updated_at) \
         VALUES ($1, $2, $3, 0, $4, $5)",
    )
    .bind(&tenant)
    .bind(&top_up.meter)
    .bind(&period)
    .bind(top_up.units)
    .bind(top_up.added_at.0)
    .execute(write.connection())
    .await?;
    Ok((0, top_up.units.unsigned_abs()))
}

/// Refuses one meter more than a tenant may have credit for.
async fn refuse_meters(write: &mut ChangeTransaction, top_up: &TopUp) -> Result<(), StoreError> {
    let row = sqlx::query("SELECT COUNT(*) AS meters FROM quota_grants WHERE tenant_id = $1 AND period = $2")
        .bind(top_up.tenant.to_string())
        .bind(QuotaSource::Credit.to_string())
        .fetch_one(write.connection())
        .await?;
    if row.try_get::<i64, _>("meters")? < METERS_MAX {
        return Ok(());
    }
    Err(StoreError::conflict(format!("{} has credit for {METERS_MAX} meters already", top_up.tenant)))
}

/// The credit after a top-up whose reference the tenant has, if that was the same.
async fn known(write: &mut ChangeTransaction, top_up: &TopUp) -> Result<Credit, StoreError> {
    let row = sqlx::query(
        "SELECT top_ups.meter, units, granted, limit_units FROM quota_top_ups AS top_ups JOIN quota_grants AS grants \
         ON grants.tenant_id = top_ups.tenant_id AND grants.meter = top_ups.meter AND grants.period = $3 \
         WHERE top_ups.tenant_id = $1 AND reference = $2",
    )
    .bind(top_up.tenant.to_string())
    .bind(&top_up.reference)
    .bind(QuotaSource::Credit.to_string())
    .fetch_one(write.connection())
    .await?;
    if (row.try_get::<String, _>("meter")?, row.try_get::<i64, _>("units")?) != (top_up.meter.clone(), top_up.units) {
        let reason = format!("another top-up has the reference `{}`; nothing was added", top_up.reference);
        return Err(StoreError::conflict(reason));
    }
    let (drawn, paid) = (count(&row, "granted")?, count(&row, "limit_units")?);
    Ok(Credit::new(top_up.tenant, top_up.meter.clone(), paid, drawn))
}

fn read(row: &AnyRow) -> Result<TopUp, StoreError> {
    Ok(TopUp {
        reference: row.try_get("reference")?,
        tenant: parsed(row, "tenant_id")?,
        meter: row.try_get("meter")?,
        units: row.try_get("units")?,
        reason: row.try_get("reason")?,
        added_at: instant(row, "added_at")?,
    })
}

fn validate(top_up: &TopUp) -> Result<(), StoreError> {
    let refuse = |what: &str, error: &dyn std::fmt::Display| Err(StoreError::refused(format!("{what}: {error}")));
    if let Err(error) = validate_meter(&top_up.meter) {
        return refuse("meter", &error);
    }
    if let Err(error) = validate_name(&top_up.reference) {
        return refuse("reference", &error);
    }
    if let Some(Err(error)) = top_up.reason.as_deref().map(validate_name) {
        return refuse("reason", &error);
    }
    if top_up.units == 0 || top_up.units.unsigned_abs() > TOP_UP_UNITS_MAX.unsigned_abs() {
        return refuse("units", &format!("must be 1 to {TOP_UP_UNITS_MAX}, or as many below 0 to take some back"));
    }
    if top_up.units < 0 && top_up.reason.is_none() {
        return refuse("reason", &"units are taken back with a reason only");
    }
    Ok(())
}
