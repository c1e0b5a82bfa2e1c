//! Plans, their versions and the subscriptions to them.

use std::collections::HashSet;

use serde::Serialize;
use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::{
    Changed, Store, StoreError,
    row::{corrupt, instant, instant_or_null, parsed},
};
use crate::{
    id::TenantId,
    plan::{Plan, PlanId, PlanVersion},
    tenant::validate_name,
    time::Micros,
};

macro_rules! select_plans {
    ($rest:literal) => {
        concat!("SELECT plan_id, version, body, created_at FROM plan_versions ", $rest)
    };
}

macro_rules! select_subscriptions {
    ($rest:literal) => {
        concat!("SELECT tenant_id, plan_id, plan_version, starts_at, ends_at FROM subscriptions ", $rest)
    };
}

/// What applying a plan did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PlanOutcome {
    /// The first version of a new plan.
    Created,
    /// A further version of a plan that had changed.
    Updated,
    /// Nothing: the latest version says the same.
    Unchanged,
}

/// A plan after it was applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AppliedPlan {
    /// The plan.
    pub id: PlanId,
    /// Its latest version now.
    pub version: i64,
    /// What applying it did.
    pub outcome: PlanOutcome,
}

/// A tenant's right to use a plan version, over a half-open range of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Subscription {
    /// Whose.
    pub tenant: TenantId,
    /// The plan.
    pub plan: PlanId,
    /// The version that is pinned.
    pub version: i64,
    /// From when on.
    pub starts_at: Micros,
    /// Until when, if it was ended.
    pub ends_at: Option<Micros>,
}

impl Store {
    /// Stores every plan that differs from its latest version as a new version: all of them or none. Subscriptions
    /// stay on the version they pin. Refused: a plan that makes no sense, one plan twice.
    pub async fn apply_plans(&self, plans: &[Plan], now: Micros) -> Result<Vec<AppliedPlan>, StoreError> {
        validate(plans)?;
        let mut change = self.begin_change(now).await?;
        let mut applied = Vec::with_capacity(plans.len());
        for plan in plans {
            applied.push(apply(change.connection(), plan, now).await?);
        }
        if applied.iter().any(|plan| plan.outcome != PlanOutcome::Unchanged) {
            change.record(Changed::Plans).await?;
            change.commit().await?;
        }
        Ok(applied)
    }

    /// The latest version of every plan, by id.
    pub async fn plans(&self) -> Result<Vec<PlanVersion>, StoreError> {
        let rows = sqlx::query(select_plans!(
            "AS stored WHERE version = (SELECT MAX(version) FROM plan_versions AS other \
             WHERE other.plan_id = stored.plan_id) ORDER BY plan_id"
        ))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read_version).collect()
    }

    /// One version of a plan; the latest if none is named.
    pub async fn plan(&self, id: &PlanId, version: Option<i64>) -> Result<PlanVersion, StoreError> {
        let Some(version) = version else {
            let mut connection = self.pool.acquire().await?;
            return latest(&mut connection, id).await?.ok_or_else(|| StoreError::not_found("plan", id));
        };
        let row = sqlx::query(select_plans!("WHERE plan_id = $1 AND version = $2"))
            .bind(id.as_str())
            .bind(version)
            .fetch_optional(&self.pool)
            .await?;
        read_version(&row.ok_or_else(|| StoreError::not_found("plan", &format!("{id}, version {version}")))?)
    }

    /// Every subscription, by tenant and start.
    pub async fn subscriptions(&self) -> Result<Vec<Subscription>, StoreError> {
        let rows = sqlx::query(select_subscriptions!("ORDER BY tenant_id, starts_at")).fetch_all(&self.pool).await?;
        rows.iter().map(read_subscription).collect()
    }

    /// The tenant's subscription in force at `at`.
    pub async fn subscription_at(&self, tenant: TenantId, at: Micros) -> Result<Option<Subscription>, StoreError> {
        let row = sqlx::query(select_subscriptions!(
            "WHERE tenant_id = $1 AND starts_at <= $2 AND (ends_at IS NULL OR ends_at > $2) \
             ORDER BY starts_at DESC LIMIT 1"
        ))
        .bind(tenant.to_string())
        .bind(at.0)
        .fetch_optional(&self.pool)
        .await?;
        row.as_ref().map(read_subscription).transpose()
    }
}

fn validate(plans: &[Plan]) -> Result<(), StoreError> {
    let mut seen = HashSet::new();
    for plan in plans {
        let refuse = |reason: &dyn std::fmt::Display| StoreError::refused(format!("plan `{}`: {reason}", plan.id));
        plan.validate().map_err(|error| refuse(&error))?;
        validate_name(&plan.name).map_err(|error| refuse(&error))?;
        if !seen.insert(&plan.id) {
            return Err(refuse(&"is given twice"));
        }
    }
    Ok(())
}

async fn apply(connection: &mut AnyConnection, plan: &Plan, now: Micros) -> Result<AppliedPlan, StoreError> {
    let id = plan.id.clone();
    let (version, outcome) = match latest(&mut *connection, &id).await? {
        Some(stored) if stored.plan == *plan => {
            return Ok(AppliedPlan { id, version: stored.version, outcome: PlanOutcome::Unchanged });
        }
        Some(stored) => (stored.version + 1, PlanOutcome::Updated),
        None => (1, PlanOutcome::Created),
    };
    let body = serde_json::to_string(plan).map_err(|error| StoreError::refused(error.to_string()))?;
    sqlx::query("INSERT INTO plan_versions (plan_id, version, body, created_at) VALUES ($1, $2, $3, $4)")
        .bind(id.as_str())
        .bind(version)
        .bind(body)
        .bind(now.0)
        .execute(connection)
        .await?;
    Ok(AppliedPlan { id, version, outcome })
}

/// Subscribes a tenant to the latest version of a plan from `now` on.
pub(super) async fn subscribe(
    connection: &mut AnyConnection,
    tenant: TenantId,
    plan: &PlanId,
    now: Micros,
) -> Result<(), StoreError> {
    let plan = latest(&mut *connection, plan).await?.ok_or_else(|| StoreError::not_found("plan", plan))?;
    sqlx::query("INSERT INTO subscriptions (tenant_id, plan_id, plan_version, starts_at) VALUES ($1, $2, $3, $4)")
        .bind(tenant.to_string())
        .bind(plan.plan.id.as_str())
        .bind(plan.version)
        .bind(now.0)
        .execute(connection)
        .await?;
    Ok(())
}

/// Subscriptions that did not end before `cutoff`.
pub(super) async fn subscriptions_since(
    connection: &mut AnyConnection,
    cutoff: Micros,
) -> Result<Vec<Subscription>, StoreError> {
    let rows =
        sqlx::query(select_subscriptions!("WHERE ends_at IS NULL OR ends_at > $1 ORDER BY tenant_id, starts_at"))
            .bind(cutoff.0)
            .fetch_all(connection)
            .await?;
    rows.iter().map(read_subscription).collect()
}

/// Every plan version that a subscription pins which did not end before `cutoff`.
pub(super) async fn pinned_since(
    connection: &mut AnyConnection,
    cutoff: Micros,
) -> Result<Vec<PlanVersion>, StoreError> {
    let rows = sqlx::query(select_plans!(
        "AS stored WHERE EXISTS (SELECT 1 FROM subscriptions WHERE subscriptions.plan_id = stored.plan_id \
         AND subscriptions.plan_version = stored.version AND (ends_at IS NULL OR ends_at > $1)) \
         ORDER BY plan_id, version"
    ))
    .bind(cutoff.0)
    .fetch_all(connection)
    .await?;
    rows.iter().map(read_version).collect()
}

async fn latest(connection: &mut AnyConnection, id: &PlanId) -> Result<Option<PlanVersion>, StoreError> {
    let row = sqlx::query(select_plans!("WHERE plan_id = $1 ORDER BY version DESC LIMIT 1"))
        .bind(id.as_str())
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(read_version).transpose()
}

fn read_version(row: &AnyRow) -> Result<PlanVersion, StoreError> {
    let body: String = row.try_get("body")?;
    Ok(PlanVersion {
        version: row.try_get("version")?,
        created_at: instant(row, "created_at")?,
        plan: serde_json::from_str(&body).map_err(|error| corrupt("plan", error))?,
    })
}

fn read_subscription(row: &AnyRow) -> Result<Subscription, StoreError> {
    Ok(Subscription {
        tenant: parsed(row, "tenant_id")?,
        plan: parsed(row, "plan_id")?,
        version: row.try_get("plan_version")?,
        starts_at: instant(row, "starts_at")?,
        ends_at: instant_or_null(row, "ends_at")?,
    })
}
