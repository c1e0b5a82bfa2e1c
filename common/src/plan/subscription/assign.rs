//! Giving a tenant a plan, and ending that it has one.

use super::{
    Agreement, PlanStart, Subscription, billing_override, pool_shares,
    rows::{end_at, of, owner_of, set_end, subscribe},
    told,
};
use crate::{
    event::emit,
    id::TenantId,
    plan::{PlanId, PlanVersion, owner, versions},
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

/// Seconds of a day of a trial.
const DAY_SECONDS: i64 = 86_400;

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
        self.assign_plan_by(tenant, plan, version, start, &Agreement::default(), now).await
    }

    /// Gives a tenant a plan by terms of its own. A trial is a subscription by itself, with the one
    /// that follows it ahead. Refused also: terms that make no sense. A conflict also: other terms
    /// than the plan's, for a plan of somebody above the actor.
    pub async fn assign_plan_by(
        &self,
        tenant: TenantId,
        plan: &PlanId,
        version: Option<i64>,
        start: PlanStart,
        agreement: &Agreement,
        now: Micros,
    ) -> Result<Subscription, StoreError> {
        let mut change = self.begin_change(now).await?;
        let zone = tenants::present(&mut change, tenant).await?.tenant.zone;
        let starts_at = start.instant(change.connection(), tenant, &zone, now).await?;
        let scope = change.scope();
        let version = versions::on_offer(change.connection(), scope, tenant, plan, version).await?;
        let plan_owner = owner_of(&version)?;
        agreement.check(&version.plan)?;
        if !agreement.is_none() && !owner::is_theirs(change.connection(), scope, &plan_owner.to_string()).await? {
            let reason = format!("{plan} belongs to a tenant above yours: only that one agrees on other terms");
            return Err(StoreError::conflict(reason));
        }
        let before = of(change.connection(), tenant).await?;
        let terms = billing_override::of(change.connection(), tenant).await?;
        let has_terms = |one: &Subscription| {
            let own = terms.get(&one.starts_at).cloned().unwrap_or_default();
            agreement.trial_days == 0 && own == agreement.after_trial()
        };
        let same = |one: &Subscription| {
            let pinned = (one.plan_owner, &one.plan, one.version, one.ends_at);
            pinned == (plan_owner, plan, version.version, None) && has_terms(one)
        };
        if let Some(unchanged) = before.last().filter(|one| same(one) && one.starts_at <= starts_at) {
            return Ok(unchanged.clone());
        }
        end_at(change.connection(), tenant, starts_at, now).await?;
        let ends_at = write(&mut change, tenant, &version, starts_at, agreement).await?;
        pool_shares::check_around(change.connection(), tenant, starts_at).await?;
        finish(&mut change, AuditAction::SubscriptionAssign, tenant, &before).await?;
        change.commit().await?;
        let (plan, version) = (plan.clone(), version.version);
        Ok(Subscription { tenant, plan_owner, plan, version, starts_at, ends_at })
    }

    /// The subscription that [`Store::assign_plan`] would give, without giving it: for previews.
    /// Refused: a start in the past. A conflict: a plan that is not on offer.
    pub async fn subscription_if_assigned(
        &self,
        tenant: TenantId,
        plan: &PlanId,
        version: Option<i64>,
        start: PlanStart,
        now: Micros,
    ) -> Result<Subscription, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let zone = tenants::find(&mut connection, self.acting.scope, tenant).await?.tenant.zone;
        let starts_at = start.instant(&mut connection, tenant, &zone, now).await?;
        let version = versions::on_offer(&mut connection, self.acting.scope, tenant, plan, version).await?;
        let (plan_owner, plan, version) = (owner_of(&version)?, plan.clone(), version.version);
        Ok(Subscription { tenant, plan_owner, plan, version, starts_at, ends_at: None })
    }

    /// Ends a tenant's own subscription, so that it has the plan of the nearest tenant above that
    /// has one; a change that was ahead is dropped. Without a subscription, nothing changes.
    /// Refused: a start in the past.
    pub async fn end_subscription(&self, tenant: TenantId, start: PlanStart, now: Micros) -> Result<(), StoreError> {
        let mut change = self.begin_change(now).await?;
        let zone = tenants::present(&mut change, tenant).await?.tenant.zone;
        let ends_at = start.instant(change.connection(), tenant, &zone, now).await?;
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

/// Writes a subscription and its terms; of a trial, also the subscription that follows it. Gives the
/// end of the first of them.
async fn write(
    change: &mut ChangeTransaction,
    tenant: TenantId,
    version: &PlanVersion,
    starts_at: Micros,
    agreement: &Agreement,
) -> Result<Option<Micros>, StoreError> {
    billing_override::drop_orphans(change.connection(), tenant).await?;
    subscribe(change.connection(), tenant, version, starts_at).await?;
    let (after, trial_seconds) = (agreement.after_trial(), i64::from(agreement.trial_days) * DAY_SECONDS);
    if trial_seconds == 0 {
        billing_override::write(change.connection(), tenant, starts_at, &after).await?;
        return Ok(None);
    }
    let end = starts_at.plus_seconds(trial_seconds);
    billing_override::write(change.connection(), tenant, starts_at, &agreement.in_trial()).await?;
    set_end(change.connection(), tenant, starts_at, end).await?;
    subscribe(change.connection(), tenant, version, end).await?;
    billing_override::write(change.connection(), tenant, end, &after).await?;
    Ok(Some(end))
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
    let now = change.now();
    emit(change.connection(), &[told::event(tenant, &after, now)], now).await?;
    let recent = |all: &[Subscription]| state(&all.iter().rev().take(2).rev().collect::<Vec<_>>());
    let (before, after) = (recent(before)?, recent(&after)?);
    let subject_kind = "subscription";
    change
        .audit(Audited { action, subject_kind, subject: tenant.to_string(), tenant: Some(tenant), before, after })
        .await
}
