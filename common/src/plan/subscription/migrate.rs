//! Bringing the subscribers of a plan to its latest version.

use super::{
    PlanStart,
    assign::finish,
    billing_override, pool_shares,
    rows::{end_at, of, subscribe},
};
use crate::{
    acting::Scope,
    id::TenantId,
    plan::{PlanId, PlanVersion, apply::writable, versions},
    store::{
        Store, StoreError,
        audit_action::AuditAction,
        row::{parsed, zone},
        scope::PathRange,
        transaction::ChangeTransaction,
    },
    time::{Micros, Zone},
};

/// Most tenants that one migration of a plan moves, so that no transaction holds up all other
/// changes for long.
pub const MIGRATED_AT_ONCE: i64 = 1_000;

impl Store {
    /// Brings tenants that have an older version of a plan, in the actor's scope, to its latest
    /// one, with the terms that were agreed on; at once, or each at the end of its billing period. Who
    /// has a change of plan ahead is left out. Gives those who were moved, at most [`MIGRATED_AT_ONCE`]: nobody else is left if
    /// they are fewer.
    pub async fn migrate_plan(
        &self,
        owner: Option<TenantId>,
        plan: &PlanId,
        start: PlanStart,
        now: Micros,
    ) -> Result<Vec<TenantId>, StoreError> {
        let mut change = self.begin_change(now).await?;
        let owner = writable(&mut change, owner, plan).await?;
        let latest = versions::latest(change.connection(), &owner, plan).await?;
        let latest = latest.ok_or_else(|| StoreError::not_found("plan", plan))?;
        let mut outdated = outdated(&mut change, &owner, &latest).await?;
        outdated.retain(|(tenant, zone)| start.exists(*tenant, zone));
        for (tenant, zone) in &outdated {
            let starts_at = start.instant(change.connection(), *tenant, zone, now).await?;
            let before = of(change.connection(), *tenant).await?;
            let terms = billing_override::of(change.connection(), *tenant).await?;
            let terms = before.last().and_then(|last| terms.get(&last.starts_at)).cloned().unwrap_or_default();
            end_at(change.connection(), *tenant, starts_at, now).await?;
            billing_override::drop_orphans(change.connection(), *tenant).await?;
            subscribe(change.connection(), *tenant, &latest, starts_at).await?;
            billing_override::write(change.connection(), *tenant, starts_at, &terms).await?;
            pool_shares::check_around(change.connection(), *tenant, starts_at).await?;
            finish(&mut change, AuditAction::SubscriptionMigrate, *tenant, &before).await?;
        }
        change.commit().await?;
        Ok(outdated.into_iter().map(|(tenant, _)| tenant).collect())
    }
}

/// Tenants that have an older version of a plan and no change ahead, with their clocks.
async fn outdated(
    change: &mut ChangeTransaction,
    owner: &str,
    latest: &PlanVersion,
) -> Result<Vec<(TenantId, Zone)>, StoreError> {
    let (scope, now): (Scope, Micros) = (change.scope(), change.now());
    let paths = PathRange::of(change.connection(), scope).await?;
    let rows = sqlx::query(
        "SELECT tenants.id, tenants.zone FROM subscriptions JOIN tenants ON tenants.id = subscriptions.tenant_id \
         WHERE plan_id = $1 AND plan_version < $2 AND starts_at <= $3 AND ends_at IS NULL \
         AND path >= $4 AND path < $5 AND deleted_at IS NULL AND plan_owner = $6 ORDER BY created_seq LIMIT $7",
    )
    .bind(latest.plan.id.as_str())
    .bind(latest.version)
    .bind(now.0)
    .bind(paths.from)
    .bind(paths.before)
    .bind(owner)
    .bind(MIGRATED_AT_ONCE)
    .fetch_all(change.connection())
    .await?;
    rows.iter().map(|row| Ok((parsed(row, "id")?, zone(row)?))).collect()
}
