//! Giving a tenant a plan, and ending that it has one.

use super::{
    PlanStart, Subscription, pool_shares,
    rows::{end_at, of, owner_of, subscribe},
};
use crate::{
    id::TenantId,
    plan::{PlanId, versions},
    store::{
        Store, StoreError,
        audit_action::AuditAction,
        audit_log::{Audited, state},
        change_log::Changed,
        transaction::ChangeTransaction,
    },
    tenant::row as tenants,
    time::Micros,
};

impl Store {
    /// Gives a tenant a plan that is offered to it, in the latest version unless one is named; a
    /// change that was ahead is dropped. Refused: a start in the past. A conflict: a plan that is
    /// not on offer, a superseded version of a plan of somebody above the actor, a deleted tenant,
    /// more than is left of a partitioned pool.
    pub async fn assign_plan(
        &self,
        tenant: TenantId,
        plan: &PlanId,
        version: Option<i64>,
        start: PlanStart,
        now: Micros,
    ) -> Result<Subscription, StoreError> {
        let mut change = self.begin_change(now).await?;
        let zone = tenants::present(&mut change, tenant).await?.tenant.zone;
        let starts_at = start.instant(&zone, now)?;
        let scope = change.scope();
        let version = versions::on_offer(change.connection(), scope, tenant, plan, version).await?;
        let plan_owner = owner_of(&version)?;
        let before = of(change.connection(), tenant).await?;
        let same = |one: &Subscription| {
            (one.plan_owner, &one.plan, one.version, one.ends_at) == (plan_owner, plan, version.version, None)
        };
        if let Some(unchanged) = before.last().filter(|one| same(one) && one.starts_at <= starts_at) {
            return Ok(unchanged.clone());
        }
        end_at(change.connection(), tenant, starts_at, now).await?;
        subscribe(change.connection(), tenant, &version, starts_at).await?;
        pool_shares::check_around(change.connection(), tenant, starts_at).await?;
        finish(&mut change, AuditAction::SubscriptionAssign, tenant, &before).await?;
        change.commit().await?;
        let (plan, version) = (plan.clone(), version.version);
        Ok(Subscription { tenant, plan_owner, plan, version, starts_at, ends_at: None })
    }

    /// Ends a tenant's own subscription, so that it has the plan of the nearest tenant above that
    /// has one; a change that was ahead is dropped. Without a subscription, nothing changes.
    /// Refused: a start in the past.
    pub async fn end_subscription(&self, tenant: TenantId, start: PlanStart, now: Micros) -> Result<(), StoreError> {
        let mut change = self.begin_change(now).await?;
        let zone = tenants::present(&mut change, tenant).await?.tenant.zone;
        let ends_at = start.instant(&zone, now)?;
        let before = of(change.connection(), tenant).await?;
        if before.last().is_none_or(|last| last.ends_at.is_some_and(|end| end <= ends_at)) {
            return Ok(());
        }
        end_at(change.connection(), tenant, ends_at, now).await?;
        pool_shares::check_around(change.connection(), tenant, ends_at).await?;
        finish(&mut change, AuditAction::SubscriptionEnd, tenant, &before).await?;
        change.commit().await
    }
}

/// Tells gateways and the audit log of the subscriptions that a tenant has now.
pub(super) async fn finish(
    change: &mut ChangeTransaction,
    action: AuditAction,
    tenant: TenantId,
    before: &[Subscription],
) -> Result<(), StoreError> {
    change.record(Changed::Tenant(tenant)).await?;
    let after = of(change.connection(), tenant).await?;
    let recent = |all: &[Subscription]| state(&all.iter().rev().take(2).rev().collect::<Vec<_>>());
    let (before, after) = (recent(before)?, recent(&after)?);
    let subject_kind = "subscription";
    change
        .audit(Audited { action, subject_kind, subject: tenant.to_string(), tenant: Some(tenant), before, after })
        .await
}
