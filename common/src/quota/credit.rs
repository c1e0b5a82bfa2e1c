//! Prepaid credit: units that were paid for in advance, top-up by top-up. Their sum is the limit of
//! what gateways draw, as [`crate::quota`] says; a top-up raises it in the transaction that writes
//! it down. A correction is a top-up of negative units with a reason; it takes back no more than
//! gateways can still draw. What is owed is paid first.
//!
//! Invariant: only whoever is at a root, or above all, makes credit. What a tenant below grants
//! moves from its own credit, and what it takes back goes there: nobody gives what was not paid for
//! further up.

use serde::Serialize;
use sqlx::{Row as _, any::AnyRow};

use super::{
    QuotaSource, QuotaStanding,
    rows::{lock_quotas, write_quotas},
    stand::Stand,
};
use crate::{
    acting::Scope,
    id::TenantId,
    name::validate_name,
    plan::validate_meter,
    store::{
        Page, PageRequest, Store, StoreError,
        audit_action::AuditAction,
        audit_log::{Audited, state},
        idempotency,
        row::{instant, parsed},
        scope,
        transaction::ChangeTransaction,
    },
    tenant::row as tenants,
    time::Micros,
};

/// Most units of one top-up: a slip of a key adds no more than can be corrected, and sums stay far
/// from 63 bits.
pub const TOP_UP_UNITS_MAX: i64 = 1_000_000_000_000_000;

/// Most meters that a tenant has credit for.
const METERS_MAX: i64 = 100;

/// Units that were paid for at once, or taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TopUp {
    /// Reference of the payment, such as an order number; unique per tenant. A repeated reference
    /// adds once.
    pub reference: String,
    /// Whose credit.
    pub tenant: TenantId,
    /// Meter of the units.
    pub meter: String,
    /// Number of units; negative if taken back.
    pub units: i64,
    /// Reason; a correction states one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Time at which they were added.
    pub added_at: Micros,
}

/// State of a tenant's credit for one meter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Credit {
    /// Whose credit.
    pub tenant: TenantId,
    /// Meter of the units.
    pub meter: String,
    /// Units paid for.
    pub paid: u64,
    /// Units that are used, or in the hands of gateways.
    pub drawn: u64,
    /// Units that answers have used beyond what was paid for: the next top-up pays them first.
    pub owed: u64,
    /// Units that gateways can still draw.
    pub left: u64,
}

impl Store {
    /// Adds units to a tenant's credit, or takes some back, and says how it stands. The same top-up
    /// again, by its reference, changes nothing. Refused: no units or too many, a correction
    /// without a reason. A conflict: another top-up of the tenant with this reference, a correction
    /// of more than is left, a deleted tenant.
    pub async fn add_credit(&self, top_up: &TopUp) -> Result<Credit, StoreError> {
        validate(top_up)?;
        let mut write = self.begin_change(top_up.added_at).await?;
        idempotency::refuse_repetition(&mut write).await?;
        tenants::present(&mut write, top_up.tenant).await?;
        let granting = granting_tenant(&mut write, top_up.tenant).await?;
        if !insert(&mut write, top_up, granting).await? {
            drop(write);
            return self.known(top_up).await;
        }
        let stand = change_credit(&mut write, top_up, granting).await?;
        let action = if top_up.units < 0 { AuditAction::CreditCorrect } else { AuditAction::CreditAdd };
        let (subject_kind, tenant) = ("credit", Some(top_up.tenant));
        let subject = top_up.reference.clone();
        write.audit(Audited { action, subject_kind, subject, tenant, before: None, after: state(top_up)? }).await?;
        idempotency::remember(&mut write, &top_up.reference).await?;
        write.commit().await?;
        Ok(Credit::new(top_up.tenant, top_up.meter.clone(), stand))
    }

    /// Returns the state of a tenant's credit, by meter.
    pub async fn credit(&self, tenant: TenantId) -> Result<Vec<Credit>, StoreError> {
        let quotas = self.quotas(tenant).await?.into_iter().filter(|quota| quota.source == QuotaSource::Credit);
        let credit = |QuotaStanding { meter, limit, drawn, owed, left, .. }| Credit {
            tenant,
            meter,
            paid: limit,
            drawn,
            owed,
            left,
        };
        Ok(quotas.map(credit).collect())
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

    /// The credit after a top-up whose reference the tenant has, if that was the same.
    async fn known(&self, top_up: &TopUp) -> Result<Credit, StoreError> {
        let row = sqlx::query("SELECT meter, units FROM quota_top_ups WHERE tenant_id = $1 AND reference = $2")
            .bind(top_up.tenant.to_string())
            .bind(&top_up.reference)
            .fetch_one(&self.pool)
            .await?;
        let (meter, units): (String, i64) = (row.try_get("meter")?, row.try_get("units")?);
        if (&meter, units) != (&top_up.meter, top_up.units) {
            let reason = format!("another top-up has the reference `{}`; nothing was added", top_up.reference);
            return Err(StoreError::conflict(reason));
        }
        let credit = self.credit(top_up.tenant).await?.into_iter().find(|credit| credit.meter == meter);
        credit.ok_or_else(|| StoreError::not_found("credit", &meter))
    }
}

impl TopUp {
    /// A reference for a payment that has none of its own, unique without coordination.
    pub fn made_up_reference() -> String {
        ulid::Ulid::generate().to_string().to_ascii_lowercase()
    }
}

impl Credit {
    fn new(tenant: TenantId, meter: String, stand: Stand) -> Self {
        let [paid, drawn, owed, left] =
            [stand.limit, stand.granted, stand.owed, stand.left()].map(|units| units.max(0).unsigned_abs());
        Self { tenant, meter, paid, drawn, owed, left }
    }
}

/// Writes a top-up down; false: the tenant has one with this reference.
async fn insert(write: &mut ChangeTransaction, top_up: &TopUp, granting: Option<TenantId>) -> Result<bool, StoreError> {
    let inserted = sqlx::query(
        "INSERT INTO quota_top_ups (tenant_id, reference, seq, meter, units, reason, added_at, moved_from) \
         SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), COALESCE(MAX(seq), 0) + 1, CAST($3 AS TEXT), CAST($4 AS BIGINT), \
         CAST($5 AS TEXT), CAST($6 AS BIGINT), CAST($7 AS TEXT) FROM quota_top_ups WHERE tenant_id = $1 \
         ON CONFLICT (tenant_id, reference) DO NOTHING",
    )
    .bind(top_up.tenant.to_string())
    .bind(&top_up.reference)
    .bind(&top_up.meter)
    .bind(top_up.units)
    .bind(top_up.reason.as_deref())
    .bind(top_up.added_at.0)
    .bind(granting.map(|tenant| tenant.to_string()))
    .execute(write.connection())
    .await?;
    Ok(inserted.rows_affected() > 0)
}

/// Raises or lowers what gateways may draw, and the other way round for the tenant that grants it;
/// says how it stands then.
async fn change_credit(
    write: &mut ChangeTransaction,
    top_up: &TopUp,
    granting: Option<TenantId>,
) -> Result<Stand, StoreError> {
    if top_up.units > 0 {
        refuse_meters(write, top_up).await?;
    } else if let Some(granting) = granting {
        refuse_what_was_not_moved(write, top_up, granting).await?;
    }
    let now = write.now();
    let mut tenants: Vec<_> = granting.into_iter().chain([top_up.tenant]).collect();
    tenants.sort_unstable();
    let keys: Vec<_> = tenants.iter().map(|tenant| (*tenant, &*top_up.meter, QuotaSource::Credit)).collect();
    let mut changed = Vec::with_capacity(keys.len());
    let mut own = None;
    for (key, mut stand) in keys.iter().zip(lock_quotas(write.connection(), &keys, now).await?) {
        let is_own = key.0 == top_up.tenant;
        let units = if is_own { top_up.units } else { -top_up.units };
        if units < 0 && stand.left() < -units {
            return Err(too_little(top_up, stand, granting));
        }
        stand.set_limit(stand.limit.checked_add(units).ok_or_else(|| too_much(top_up))?);
        own = own.or(is_own.then_some(stand));
        changed.push((*key, stand));
    }
    write_quotas(write.connection(), &changed, now).await?;
    own.ok_or_else(|| StoreError::not_found("credit", &top_up.meter))
}

/// The tenant whose credit pays for grants of the actor; none for those at a root or above all.
async fn granting_tenant(write: &mut ChangeTransaction, to: TenantId) -> Result<Option<TenantId>, StoreError> {
    let Scope::Subtree(tenant) = write.scope() else { return Ok(None) };
    let path = scope::path_of(write.connection(), tenant).await?;
    if path.is_none_or(|path| path == format!("/{tenant}/")) {
        return Ok(None);
    }
    if tenant == to {
        return Err(StoreError::conflict("a tenant below the root cannot grant credit to itself"));
    }
    Ok(Some(tenant))
}

/// Refuses to take back more than the tenant that does so has ever moved.
async fn refuse_what_was_not_moved(
    write: &mut ChangeTransaction,
    top_up: &TopUp,
    granting: TenantId,
) -> Result<(), StoreError> {
    let row = sqlx::query(
        "SELECT CAST(COALESCE(SUM(units), 0) AS BIGINT) AS moved FROM quota_top_ups \
         WHERE tenant_id = $1 AND meter = $2 AND moved_from = $3",
    )
    .bind(top_up.tenant.to_string())
    .bind(&top_up.meter)
    .bind(granting.to_string())
    .fetch_one(write.connection())
    .await?;
    // The correction is written down already.
    if row.try_get::<i64, _>("moved")? >= 0 {
        return Ok(());
    }
    Err(StoreError::conflict(format!("{granting} can take back no more than it has granted")))
}

fn too_little(top_up: &TopUp, stand: Stand, granting: Option<TenantId>) -> StoreError {
    let (units, meter) = (top_up.units.unsigned_abs(), &top_up.meter);
    StoreError::conflict(match granting.filter(|_| top_up.units > 0) {
        None => {
            format!("less than {units} units of {meter} are left: a correction takes back what no gateway has drawn")
        }
        Some(tenant) => format!(
            "{tenant} has {} units of {meter} left to give: what it grants moves from its own credit, which whoever is \
             above adds to",
            stand.left()
        ),
    })
}

fn too_much(top_up: &TopUp) -> StoreError {
    let (units, meter) = (top_up.units, &top_up.meter);
    StoreError::conflict(format!(
        "with {units} more, the credit for {meter} would exceed {} units, which is the most that there can be; correct \
         the top-up that was a mistake, if there is one",
        i64::MAX
    ))
}

/// Refuses one meter more than a tenant may have credit for.
async fn refuse_meters(write: &mut ChangeTransaction, top_up: &TopUp) -> Result<(), StoreError> {
    let row =
        sqlx::query("SELECT COUNT(*) AS meters FROM quota_grants WHERE tenant_id = $1 AND period = $2 AND meter <> $3")
            .bind(top_up.tenant.to_string())
            .bind(QuotaSource::Credit.to_string())
            .bind(&top_up.meter)
            .fetch_one(write.connection())
            .await?;
    if row.try_get::<i64, _>("meters")? < METERS_MAX {
        return Ok(());
    }
    Err(StoreError::conflict(format!("{} has credit for {METERS_MAX} meters already", top_up.tenant)))
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
