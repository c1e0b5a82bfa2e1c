//! Changes of what is on offer: new versions of plans, and plans that are taken off offer or put
//! back.

use std::collections::HashSet;

use super::{
    Plan, PlanId, owner,
    versions::{AppliedPlan, PlanOutcome, is_deprecated, latest},
};
use crate::{
    id::TenantId,
    name::validate_name,
    store::{
        Store, StoreError,
        audit_action::AuditAction,
        audit_log::{Audited, state},
        change_log::Changed,
        row::parsed,
        transaction::ChangeTransaction,
    },
    tenant::row::present,
    time::Micros,
};

/// Most plans that one change may apply.
pub const PLANS_AT_ONCE_MAX: usize = 100;

/// Most plans that a tenant may own.
pub const PLANS_OF_OWNER_MAX: i64 = 1_000;

/// Columns by which rows name a plan.
struct Named<'a> {
    owner: &'a str,
    id: &'a PlanId,
}

impl Store {
    /// Applies plans that belong to the actor's tenant or, for those who see everything, to the
    /// only root. Before there is a root, plans wait for the first one.
    pub async fn apply_plans(&self, plans: &[Plan], now: Micros) -> Result<Vec<AppliedPlan>, StoreError> {
        self.apply_plans_of(None, plans, now).await
    }

    /// Stores every plan that differs from its latest version as a new version of `owner`'s: all of
    /// them or none. Subscriptions stay on the version they pin. Refused: a plan that makes no
    /// sense, one plan twice, too many plans. A conflict: a deleted owner.
    pub async fn apply_plans_of(
        &self,
        owner: Option<TenantId>,
        plans: &[Plan],
        now: Micros,
    ) -> Result<Vec<AppliedPlan>, StoreError> {
        validate(plans)?;
        let mut change = self.begin_change(now).await?;
        let scope = change.scope();
        let owner = match owner {
            Some(owner) => Some(owner),
            None => owner::default_owner(change.connection(), scope).await?,
        };
        if let Some(owner) = owner {
            present(&mut change, owner).await?;
        }
        let mut applied = Vec::with_capacity(plans.len());
        for plan in plans {
            applied.push(apply(&mut change, owner, plan, now).await?);
        }
        check_count(&mut change, owner).await?;
        if applied.iter().any(|plan| plan.outcome != PlanOutcome::Unchanged) {
            change.record(Changed::Plans).await?;
            change.commit().await?;
        }
        Ok(applied)
    }

    /// Takes a plan off offer, or puts it back: whoever has it keeps it. A second time changes
    /// nothing.
    pub async fn deprecate_plan(&self, id: &PlanId, deprecated: bool, now: Micros) -> Result<(), StoreError> {
        self.deprecate_plan_of(None, id, deprecated, now).await
    }

    /// The same, of a plan of `owner`.
    pub async fn deprecate_plan_of(
        &self,
        owner: Option<TenantId>,
        id: &PlanId,
        deprecated: bool,
        now: Micros,
    ) -> Result<(), StoreError> {
        let mut change = self.begin_change(now).await?;
        let owner = writable(&mut change, owner, id).await?;
        latest(change.connection(), &owner, id).await?.ok_or_else(|| StoreError::not_found("plan", id))?;
        if is_deprecated(change.connection(), &owner, id).await? == deprecated {
            return Ok(());
        }
        let plan = Named { owner: &owner, id };
        let statement = if deprecated {
            sqlx::query("INSERT INTO plan_deprecations (owner_id, plan_id, deprecated_at) VALUES ($1, $2, $3)")
                .bind(plan.owner)
                .bind(id.as_str())
                .bind(now.0)
        } else {
            sqlx::query("DELETE FROM plan_deprecations WHERE owner_id = $1 AND plan_id = $2")
                .bind(plan.owner)
                .bind(id.as_str())
        };
        statement.execute(change.connection()).await?;
        change.record(Changed::Plans).await?;
        let action = if deprecated { AuditAction::PlanDeprecate } else { AuditAction::PlanRestore };
        audit(&mut change, action, plan, None, None).await?;
        change.commit().await
    }
}

/// Owner of a plan that is to be changed: the actor is at the owner or above it.
pub(crate) async fn writable(
    change: &mut ChangeTransaction,
    owner: Option<TenantId>,
    id: &PlanId,
) -> Result<String, StoreError> {
    let scope = change.scope();
    let owner = owner::meant(change.connection(), scope, owner, id).await?;
    if owner::is_theirs(change.connection(), scope, &owner).await? {
        return Ok(owner);
    }
    Err(StoreError::not_found("plan", id))
}

/// Gives the plans that were applied before there was a root to the first one.
pub(crate) async fn adopt(change: &mut ChangeTransaction, root: TenantId) -> Result<(), StoreError> {
    let waiting = sqlx::query("SELECT DISTINCT plan_id FROM plan_versions WHERE owner_id = '' ORDER BY plan_id")
        .fetch_all(change.connection())
        .await?;
    if waiting.is_empty() {
        return Ok(());
    }
    let owner = root.to_string();
    for statement in [
        "UPDATE plan_versions SET owner_id = $1 WHERE owner_id = ''",
        "UPDATE plan_deprecations SET owner_id = $1 WHERE owner_id = ''",
    ] {
        sqlx::query(statement).bind(&owner).execute(change.connection()).await?;
    }
    for row in &waiting {
        let id: PlanId = parsed(row, "plan_id")?;
        let after = latest(change.connection(), &owner, &id).await?.map(|stored| stored.plan);
        audit(change, AuditAction::PlanAdopt, Named { owner: &owner, id: &id }, None, after.as_ref()).await?;
    }
    change.record(Changed::Plans).await?;
    Ok(())
}

fn validate(plans: &[Plan]) -> Result<(), StoreError> {
    if plans.len() > PLANS_AT_ONCE_MAX {
        let reason = format!("{} plans at once are too many: apply at most {PLANS_AT_ONCE_MAX}", plans.len());
        return Err(StoreError::refused(reason));
    }
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

async fn check_count(change: &mut ChangeTransaction, owner: Option<TenantId>) -> Result<(), StoreError> {
    let row = sqlx::query("SELECT COUNT(*) AS owned FROM plan_versions WHERE owner_id = $1 AND version = 1")
        .bind(owner::text(owner))
        .fetch_one(change.connection())
        .await?;
    let count: i64 = sqlx::Row::try_get(&row, "owned")?;
    if count <= PLANS_OF_OWNER_MAX {
        return Ok(());
    }
    Err(StoreError::conflict(format!("there would be {count} plans: a tenant owns at most {PLANS_OF_OWNER_MAX}")))
}

async fn apply(
    change: &mut ChangeTransaction,
    owner: Option<TenantId>,
    plan: &Plan,
    now: Micros,
) -> Result<AppliedPlan, StoreError> {
    let (id, owner) = (plan.id.clone(), owner::text(owner));
    let stored = latest(change.connection(), &owner, &id).await?;
    let (version, outcome) = match &stored {
        Some(stored) if stored.plan == *plan => {
            return Ok(AppliedPlan { id, version: stored.version, outcome: PlanOutcome::Unchanged });
        }
        Some(stored) => (stored.version + 1, PlanOutcome::Updated),
        None => (1, PlanOutcome::Created),
    };
    let body = serde_json::to_string(plan).map_err(|error| StoreError::refused(error.to_string()))?;
    sqlx::query("INSERT INTO plan_versions (owner_id, plan_id, version, body, created_at) VALUES ($1, $2, $3, $4, $5)")
        .bind(&owner)
        .bind(id.as_str())
        .bind(version)
        .bind(body)
        .bind(now.0)
        .execute(change.connection())
        .await?;
    let before = stored.as_ref().map(|stored| &stored.plan);
    audit(change, AuditAction::PlanApply, Named { owner: &owner, id: &id }, before, Some(plan)).await?;
    Ok(AppliedPlan { id, version, outcome })
}

/// Logs a change of a plan as one of its owner's.
async fn audit(
    change: &mut ChangeTransaction,
    action: AuditAction,
    plan: Named<'_>,
    before: Option<&Plan>,
    after: Option<&Plan>,
) -> Result<(), StoreError> {
    let before = before.map(state).transpose()?.flatten();
    let after = after.map(state).transpose()?.flatten();
    let (subject, tenant) = (plan.id.to_string(), plan.owner.parse().ok());
    change.audit(Audited { action, subject_kind: "plan", subject, tenant, before, after }).await
}
