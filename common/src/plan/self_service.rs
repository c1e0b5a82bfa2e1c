//! Plans to which tenants change by themselves, without a tenant above: the owner of a plan says
//! which these are.

use super::{
    PlanId,
    apply::writable,
    owner,
    subscription::{PlanStart, Subscription},
    versions::{is_self_service, latest, missing},
};
use crate::{
    id::TenantId,
    store::{Store, StoreError, audit_action::AuditAction, audit_log::Audited},
    time::Micros,
};

impl Store {
    /// Says whether tenants below its owner may change to a plan by themselves. The same again
    /// changes nothing.
    pub async fn set_plan_self_service(
        &self,
        owner: Option<TenantId>,
        id: &PlanId,
        allowed: bool,
        now: Micros,
    ) -> Result<(), StoreError> {
        let mut change = self.begin_change(now).await?;
        let owner = writable(&mut change, owner, id).await?;
        latest(change.connection(), &owner, id).await?.ok_or_else(|| missing(id, None))?;
        if is_self_service(change.connection(), &owner, id).await? == allowed {
            return Ok(());
        }
        let statement = if allowed {
            sqlx::query("INSERT INTO plan_self_service (owner_id, plan_id, allowed_at) VALUES ($1, $2, $3)")
                .bind(&owner)
                .bind(id.as_str())
                .bind(now.0)
        } else {
            sqlx::query("DELETE FROM plan_self_service WHERE owner_id = $1 AND plan_id = $2")
                .bind(&owner)
                .bind(id.as_str())
        };
        statement.execute(change.connection()).await?;
        let (action, subject) = (AuditAction::PlanSelfService, id.to_string());
        let tenant = owner.parse().ok();
        let after = Some(serde_json::json!({ "allowed": allowed }));
        change.audit(Audited { action, subject_kind: "plan", subject, tenant, before: None, after }).await?;
        change.commit().await
    }

    /// Gives a tenant a plan that it chose by itself, in the latest version. A conflict: a plan that
    /// is not on offer, or that its owner has not opened to such changes.
    pub async fn choose_plan(
        &self,
        tenant: TenantId,
        plan: &PlanId,
        start: PlanStart,
        now: Micros,
    ) -> Result<Subscription, StoreError> {
        self.require_self_service(tenant, plan).await?;
        self.assign_plan(tenant, plan, None, start, now).await
    }

    /// Refuses a plan that the tenant may not choose by itself.
    async fn require_self_service(&self, tenant: TenantId, plan: &PlanId) -> Result<(), StoreError> {
        self.require_tenant(tenant).await?;
        let mut connection = self.pool.acquire().await?;
        let owner = owner::offered(&mut connection, tenant, plan).await?;
        if is_self_service(&mut connection, &owner, plan).await? {
            return Ok(());
        }
        Err(StoreError::conflict(format!("plan {plan} cannot be chosen here: ask the tenant above to assign it")))
    }
}
