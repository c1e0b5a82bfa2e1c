//! Pausing a subscription: fee, minimum and maximum do not count for the time, usage does.

use super::{
    BillingOverride, PlanStart, Subscription,
    assign::finish,
    billing_override,
    rows::{end_at, of, set_end, subscribe},
};
use crate::{
    id::TenantId,
    plan::versions,
    store::{Store, StoreError, audit_action::AuditAction},
    tenant::row as tenants,
    time::Micros,
};

/// The change that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    /// To be paused, up to an instant if there is one.
    Pause(Option<Micros>),
    /// To go on.
    Resume,
}

impl Change {
    const fn pauses(self) -> bool {
        matches!(self, Self::Pause(_))
    }

    const fn until(self) -> Option<Micros> {
        match self {
            Self::Pause(until) => until,
            Self::Resume => None,
        }
    }
}

impl Store {
    /// Pauses a tenant's own subscription from `start` on, up to `until` if there is one. The pause is a
    /// subscription by itself, to the same version and with the same terms; if it ends, the one that
    /// follows is ahead. A change that was ahead is dropped. Refused: a start in the past, an end that
    /// is not after it. A conflict: no subscription then, or one in its trial.
    pub async fn pause_subscription(
        &self,
        tenant: TenantId,
        start: PlanStart,
        until: Option<Micros>,
        now: Micros,
    ) -> Result<Subscription, StoreError> {
        self.set_paused(tenant, start, Change::Pause(until), now).await
    }

    /// Ends the pause of a tenant's subscription at `start`. Without a pause then, nothing changes.
    pub async fn resume_subscription(
        &self,
        tenant: TenantId,
        start: PlanStart,
        now: Micros,
    ) -> Result<Subscription, StoreError> {
        self.set_paused(tenant, start, Change::Resume, now).await
    }

    async fn set_paused(
        &self,
        tenant: TenantId,
        start: PlanStart,
        to: Change,
        now: Micros,
    ) -> Result<Subscription, StoreError> {
        let mut change = self.begin_change(now).await?;
        let zone = tenants::present(&mut change, tenant).await?.tenant.zone;
        let starts_at = start.instant(change.connection(), tenant, &zone, now).await?;
        if let Some(end) = to.until().filter(|end| *end <= starts_at) {
            return Err(StoreError::refused(format!("until: {end} is not after the start of the pause, {starts_at}")));
        }
        let before = of(change.connection(), tenant).await?;
        let terms = billing_override::of(change.connection(), tenant).await?;
        let in_force =
            |one: &&Subscription| one.starts_at <= starts_at && one.ends_at.is_none_or(|end| end > starts_at);
        let current = before
            .iter()
            .rfind(in_force)
            .ok_or_else(|| StoreError::conflict("the tenant has no plan of its own then"))?;
        let own = terms.get(&current.starts_at).cloned().unwrap_or_default();
        if own.trial {
            return Err(StoreError::conflict("the subscription is in its trial then: nothing is charged for it"));
        }
        if own.paused == to.pauses() && current.ends_at == to.until() {
            return Ok(current.clone());
        }
        let owner = current.plan_owner.to_string();
        let version = versions::version_of(change.connection(), &owner, &current.plan, current.version).await?;
        let version = version.ok_or_else(|| StoreError::not_found("plan", &current.plan))?;
        end_at(change.connection(), tenant, starts_at, now).await?;
        billing_override::drop_orphans(change.connection(), tenant).await?;
        subscribe(change.connection(), tenant, &version, starts_at).await?;
        let paused = BillingOverride { paused: to.pauses(), ..own.clone() };
        billing_override::write(change.connection(), tenant, starts_at, &paused).await?;
        if let Some(end) = to.until() {
            set_end(change.connection(), tenant, starts_at, end).await?;
            subscribe(change.connection(), tenant, &version, end).await?;
            let resumed = BillingOverride { paused: false, ..own };
            billing_override::write(change.connection(), tenant, end, &resumed).await?;
        }
        finish(&mut change, AuditAction::SubscriptionPause, tenant, &before).await?;
        let after = Subscription { starts_at, ends_at: to.until(), ..current.clone() };
        change.commit().await?;
        Ok(after)
    }
}
