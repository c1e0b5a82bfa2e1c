//! Plans and their versions. [`super::subscriptions`] says who has them.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::{
    Changed, Store, StoreError,
    audit_log::{Audited, state},
    row::{corrupt, instant, parsed},
    transaction::ChangeTransaction,
};
use crate::{
    acting::Scope,
    plan::{Plan, PlanId, PlanVersion},
    tenant::validate_name,
    time::Micros,
};

macro_rules! select_plans {
    ($rest:literal) => {
        concat!("SELECT plan_id, version, body, created_at FROM plan_versions ", $rest)
    };
}

/// What applying a plan did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedPlan {
    /// The plan.
    pub id: PlanId,
    /// Its latest version now.
    pub version: i64,
    /// What applying it did.
    pub outcome: PlanOutcome,
}

impl Store {
    /// Stores every plan that differs from its latest version as a new version: all of them or none. Subscriptions
    /// stay on the version they pin. Refused: a plan that makes no sense, one plan twice.
    pub async fn apply_plans(&self, plans: &[Plan], now: Micros) -> Result<Vec<AppliedPlan>, StoreError> {
        validate(plans)?;
        let mut change = self.begin_change(now).await?;
        let mut applied = Vec::with_capacity(plans.len());
        for plan in plans {
            applied.push(apply(&mut change, plan, now).await?);
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
        let mut connection = self.pool.acquire().await?;
        let Some(version) = version else {
            return latest(&mut connection, id).await?.ok_or_else(|| StoreError::not_found("plan", id));
        };
        let found = version_of(&mut connection, id, version).await?;
        found.ok_or_else(|| StoreError::not_found("plan", &format!("{id}, version {version}")))
    }

    /// Every version of a plan, the latest first.
    pub async fn plan_versions(&self, id: &PlanId) -> Result<Vec<PlanVersion>, StoreError> {
        let rows = sqlx::query(select_plans!("WHERE plan_id = $1 ORDER BY version DESC"))
            .bind(id.as_str())
            .fetch_all(&self.pool)
            .await?;
        if rows.is_empty() {
            return Err(StoreError::not_found("plan", id));
        }
        rows.iter().map(read_version).collect()
    }

    /// Takes a plan off offer, or puts it back: whoever has it keeps it. A second time changes nothing.
    pub async fn deprecate_plan(&self, id: &PlanId, deprecated: bool, now: Micros) -> Result<(), StoreError> {
        let mut change = self.begin_change(now).await?;
        latest(change.connection(), id).await?.ok_or_else(|| StoreError::not_found("plan", id))?;
        if is_deprecated(change.connection(), id).await? == deprecated {
            return Ok(());
        }
        let statement = if deprecated {
            sqlx::query("INSERT INTO plan_deprecations (plan_id, deprecated_at) VALUES ($1, $2)")
                .bind(id.as_str())
                .bind(now.0)
        } else {
            sqlx::query("DELETE FROM plan_deprecations WHERE plan_id = $1").bind(id.as_str())
        };
        statement.execute(change.connection()).await?;
        change.record(Changed::Plans).await?;
        let action = if deprecated { "plan.deprecate" } else { "plan.restore" };
        audit(&mut change, action, id, None, None).await?;
        change.commit().await
    }

    /// Plans that are not on offer any more.
    pub async fn deprecated_plans(&self) -> Result<HashSet<PlanId>, StoreError> {
        let rows = sqlx::query("SELECT plan_id FROM plan_deprecations").fetch_all(&self.pool).await?;
        rows.iter().map(|row| parsed(row, "plan_id")).collect()
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

async fn apply(change: &mut ChangeTransaction, plan: &Plan, now: Micros) -> Result<AppliedPlan, StoreError> {
    let id = plan.id.clone();
    let stored = latest(change.connection(), &id).await?;
    let (version, outcome) = match &stored {
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
        .execute(change.connection())
        .await?;
    audit(change, "plan.apply", &id, stored.as_ref().map(|stored| &stored.plan), Some(plan)).await?;
    Ok(AppliedPlan { id, version, outcome })
}

/// A version of a plan, the latest if none is named, if new subscriptions may pin it.
pub(super) async fn on_offer(
    connection: &mut AnyConnection,
    id: &PlanId,
    version: Option<i64>,
) -> Result<PlanVersion, StoreError> {
    let found = match version {
        None => latest(&mut *connection, id).await?,
        Some(version) => version_of(&mut *connection, id, version).await?,
    };
    let found = found.ok_or_else(|| match version {
        None => StoreError::not_found("plan", id),
        Some(version) => StoreError::not_found("plan", &format!("{id}, version {version}")),
    })?;
    if is_deprecated(connection, id).await? {
        return Err(StoreError::conflict(format!("plan {id} is not on offer any more")));
    }
    Ok(found)
}

async fn is_deprecated(connection: &mut AnyConnection, id: &PlanId) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT plan_id FROM plan_deprecations WHERE plan_id = $1")
        .bind(id.as_str())
        .fetch_optional(connection)
        .await?;
    Ok(row.is_some())
}

/// One version of a plan, if there is one.
pub(super) async fn version_of(
    connection: &mut AnyConnection,
    id: &PlanId,
    version: i64,
) -> Result<Option<PlanVersion>, StoreError> {
    let row = sqlx::query(select_plans!("WHERE plan_id = $1 AND version = $2"))
        .bind(id.as_str())
        .bind(version)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(read_version).transpose()
}

/// What belongs to nobody is logged as the acting tenant's, if it is one's.
async fn audit(
    change: &mut ChangeTransaction,
    action: &str,
    id: &PlanId,
    before: Option<&Plan>,
    after: Option<&Plan>,
) -> Result<(), StoreError> {
    let tenant = match change.scope() {
        Scope::Everything => None,
        Scope::Subtree(tenant) => Some(tenant),
    };
    let before = before.map(state).transpose()?.flatten();
    let after = after.map(state).transpose()?.flatten();
    change.audit(Audited { action, subject_kind: "plan", subject: id.to_string(), tenant, before, after }).await
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

/// The latest version of a plan, if there is one.
pub(super) async fn latest(connection: &mut AnyConnection, id: &PlanId) -> Result<Option<PlanVersion>, StoreError> {
    let row = sqlx::query(select_plans!("WHERE plan_id = $1 ORDER BY version DESC LIMIT 1"))
        .bind(id.as_str())
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(read_version).transpose()
}

pub(super) fn read_version(row: &AnyRow) -> Result<PlanVersion, StoreError> {
    let body: String = row.try_get("body")?;
    Ok(PlanVersion {
        version: row.try_get("version")?,
        created_at: instant(row, "created_at")?,
        plan: serde_json::from_str(&body).map_err(|error| corrupt("plan", error))?,
    })
}
