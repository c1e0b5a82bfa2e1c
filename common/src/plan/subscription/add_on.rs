//! Add-ons: plans whose flat fee a tenant owes beside that of its subscription, so many times.

use std::collections::HashMap;

use serde::Serialize;
use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::{PlanStart, Subscription, rows::owner_of};
use crate::{
    id::TenantId,
    plan::{Plan, PlanId, PlanLimits, owner, versions},
    store::{
        Store, StoreError,
        audit_action::AuditAction,
        audit_log::{Audited, state},
        row::{corrupt, instant, instant_or_null, parsed},
        transaction::ChangeTransaction,
    },
    tenant::row as tenants,
    time::Micros,
};

/// Greatest quantity of an add-on.
pub const QUANTITY_MAX: u32 = 1_000_000;

macro_rules! select_add_ons {
    ($rest:literal) => {
        concat!(
            "SELECT tenant_id, plan_owner, plan_id, plan_version, quantity, starts_at, ends_at FROM add_ons ",
            $rest
        )
    };
}

/// An add-on of a tenant, over a half-open range of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AddOn {
    /// The tenant that owes it.
    pub tenant: TenantId,
    /// The tenant that the plan belongs to.
    pub plan_owner: TenantId,
    /// The plan.
    pub plan: PlanId,
    /// The version that is pinned.
    pub version: i64,
    /// Number of times that its flat fee is due.
    pub quantity: u32,
    /// From when on.
    pub starts_at: Micros,
    /// Until when, if it was ended.
    pub ends_at: Option<Micros>,
}

impl AddOn {
    /// The add-on as a subscription, which pins a plan in the same way.
    pub fn as_subscription(&self) -> Subscription {
        Subscription {
            tenant: self.tenant,
            plan_owner: self.plan_owner,
            plan: self.plan.clone(),
            version: self.version,
            starts_at: self.starts_at,
            ends_at: self.ends_at,
        }
    }
}

impl Store {
    /// Gives a tenant so many of an add-on from `start` on; none of it ends it. A change that was ahead is
    /// dropped, and the same again changes nothing. Gives the add-on's rows that are not over. Refused: a
    /// start in the past, too many, a plan that is more than a flat fee. A conflict: a plan that is not
    /// on offer or belongs to somebody above the actor, a deleted tenant.
    pub async fn set_add_on(
        &self,
        tenant: TenantId,
        plan: &PlanId,
        quantity: u32,
        start: PlanStart,
        now: Micros,
    ) -> Result<Vec<AddOn>, StoreError> {
        if quantity > QUANTITY_MAX {
            return Err(StoreError::refused(format!("quantity: use 0 to {QUANTITY_MAX}")));
        }
        let mut change = self.begin_change(now).await?;
        let zone = tenants::present(&mut change, tenant).await?.tenant.zone;
        let starts_at = start.instant(change.connection(), tenant, &zone, now).await?;
        let scope = change.scope();
        let version = versions::on_offer(change.connection(), scope, tenant, plan, None).await?;
        let plan_owner = owner_of(&version)?;
        if !owner::is_theirs(change.connection(), scope, &plan_owner.to_string()).await? {
            let reason = format!("{plan} belongs to a tenant above yours: only that one gives add-ons");
            return Err(StoreError::conflict(reason));
        }
        refuse_more_than_a_fee(&version.plan)?;
        let key = (tenant, plan_owner, plan);
        let before = of_plan(change.connection(), key, now).await?;
        let pinned = |one: &AddOn| (one.version, one.quantity, one.ends_at) == (version.version, quantity, None);
        let unchanged = match before.last() {
            Some(last) => pinned(last) && last.starts_at <= starts_at,
            None => quantity == 0,
        };
        if unchanged {
            return Ok(before);
        }
        end_at(change.connection(), key, starts_at, now).await?;
        if quantity > 0 {
            insert(change.connection(), key, version.version, quantity, starts_at).await?;
        }
        let after = of_plan(change.connection(), key, now).await?;
        audit(&mut change, tenant, plan, (&before, &after)).await?;
        change.commit().await?;
        Ok(after)
    }

    /// The add-ons of a tenant, ended ones included, by start.
    pub async fn add_ons_of(&self, tenant: TenantId) -> Result<Vec<AddOn>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        tenants::find(&mut connection, self.acting.scope, tenant).await?;
        let rows = sqlx::query(select_add_ons!("WHERE tenant_id = $1 ORDER BY starts_at, plan_id"))
            .bind(tenant.to_string())
            .fetch_all(&mut *connection)
            .await?;
        rows.iter().map(read).collect()
    }

    /// The add-ons of all tenants, each tenant's by start.
    pub async fn add_ons(&self) -> Result<HashMap<TenantId, Vec<AddOn>>, StoreError> {
        let rows = sqlx::query(select_add_ons!("ORDER BY starts_at, plan_id")).fetch_all(&self.pool).await?;
        let mut found: HashMap<TenantId, Vec<AddOn>> = HashMap::new();
        for add_on in rows.iter().map(read) {
            let add_on = add_on?;
            found.entry(add_on.tenant).or_default().push(add_on);
        }
        Ok(found)
    }
}

/// Refuses a plan that prices or allows something: that is what a subscription is for.
fn refuse_more_than_a_fee(plan: &Plan) -> Result<(), StoreError> {
    let has_more = !plan.charges.is_empty() || !plan.quotas.is_empty() || !plan.prepaid.is_empty();
    if has_more || plan.limits != PlanLimits::default() {
        let reason = format!("plan: {} has more than a flat fee: assign it as the tenant's plan instead", plan.id);
        return Err(StoreError::refused(reason));
    }
    Ok(())
}

type Key<'a> = (TenantId, TenantId, &'a PlanId);

/// Drops what would start later than `now` or at `end`, and ends what is in force at `end`.
async fn end_at(
    connection: &mut AnyConnection,
    (tenant, owner, plan): Key<'_>,
    end: Micros,
    now: Micros,
) -> Result<(), StoreError> {
    for statement in [
        "DELETE FROM add_ons WHERE tenant_id = $1 AND plan_owner = $2 AND plan_id = $3 \
         AND (starts_at > $5 OR starts_at >= $4)",
        "UPDATE add_ons SET ends_at = $4 WHERE tenant_id = $1 AND plan_owner = $2 AND plan_id = $3 \
         AND (ends_at IS NULL OR ends_at > $5) AND starts_at < $4",
    ] {
        sqlx::query(statement)
            .bind(tenant.to_string())
            .bind(owner.to_string())
            .bind(plan.as_str())
            .bind(end.0)
            .bind(now.0)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

async fn insert(
    connection: &mut AnyConnection,
    (tenant, owner, plan): Key<'_>,
    version: i64,
    quantity: u32,
    starts_at: Micros,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO add_ons (tenant_id, plan_owner, plan_id, plan_version, quantity, starts_at) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(tenant.to_string())
    .bind(owner.to_string())
    .bind(plan.as_str())
    .bind(version)
    .bind(i64::from(quantity))
    .bind(starts_at.0)
    .execute(connection)
    .await?;
    Ok(())
}

/// The rows of one add-on that are not over, by start.
async fn of_plan(
    connection: &mut AnyConnection,
    (tenant, owner, plan): Key<'_>,
    now: Micros,
) -> Result<Vec<AddOn>, StoreError> {
    let rows = sqlx::query(select_add_ons!(
        "WHERE tenant_id = $1 AND plan_owner = $2 AND plan_id = $3 AND (ends_at IS NULL OR ends_at > $4) \
         ORDER BY starts_at"
    ))
    .bind(tenant.to_string())
    .bind(owner.to_string())
    .bind(plan.as_str())
    .bind(now.0)
    .fetch_all(connection)
    .await?;
    rows.iter().map(read).collect()
}

fn read(row: &AnyRow) -> Result<AddOn, StoreError> {
    let quantity: i64 = row.try_get("quantity")?;
    Ok(AddOn {
        tenant: parsed(row, "tenant_id")?,
        plan_owner: parsed(row, "plan_owner")?,
        plan: parsed(row, "plan_id")?,
        version: row.try_get("plan_version")?,
        quantity: u32::try_from(quantity).map_err(|error| corrupt("quantity", error))?,
        starts_at: instant(row, "starts_at")?,
        ends_at: instant_or_null(row, "ends_at")?,
    })
}

async fn audit(
    change: &mut ChangeTransaction,
    tenant: TenantId,
    plan: &PlanId,
    (before, after): (&[AddOn], &[AddOn]),
) -> Result<(), StoreError> {
    let (action, subject_kind, subject) = (AuditAction::AddOnSet, "add_on", plan.to_string());
    let (before, after) = (state(&before)?, state(&after)?);
    change.audit(Audited { action, subject_kind, subject, tenant: Some(tenant), before, after }).await
}
