//! Plans and subscriptions in the store.

use std::collections::HashMap;

use async_trait::async_trait;
use common::{
    api::{
        plan::{AppliedPlanDocument, MigrationStart, PlanVersionDocument},
        subscription::SubscriptionDocument,
    },
    id::TenantId,
    plan::{
        Plan, PlanId,
        subscription::{Agreement, MIGRATED_AT_ONCE, PlanStart, Subscription},
    },
};

use super::{ALL, StoreBackend};
use crate::{
    backend::{NamedPlan, PlanRef, Plans, if_found, plans_in_force},
    error::Failure,
};

#[async_trait]
impl Plans for StoreBackend {
    async fn apply_plans(
        &self,
        owner: Option<TenantId>,
        plans: Vec<Plan>,
    ) -> Result<Vec<AppliedPlanDocument>, Failure> {
        let applied = self.store.apply_plans_of(owner, &plans, self.now).await?;
        Ok(applied.into_iter().map(Into::into).collect())
    }

    async fn plans(&self, owner: Option<TenantId>) -> Result<Vec<PlanVersionDocument>, Failure> {
        let found = self.store.plans_page(owner, None, u32::MAX).await?;
        Ok(found.items.into_iter().map(PlanVersionDocument::from).collect())
    }

    async fn plan(&self, plan: &NamedPlan, version: Option<i64>) -> Result<PlanVersionDocument, Failure> {
        Ok(self.store.plan_of(plan.owner, &plan.id, version).await?.into())
    }

    async fn plan_to_replace(
        &self,
        owner: Option<TenantId>,
        id: &PlanId,
    ) -> Result<Option<PlanVersionDocument>, Failure> {
        if owner.is_some() {
            return if_found(self.plan(&NamedPlan { owner, id: id.clone() }, None).await);
        }
        // Plans of the only root, or of the first one to come; tenants below may have others of
        // this name.
        let found = self.store.plans_page(None, None, u32::MAX).await?.items;
        for plan in found.into_iter().filter(|plan| plan.stored.plan.id == *id) {
            let is_top = match plan.stored.owner {
                Some(owner) => self.store.tenant(owner).await?.parent.is_none(),
                None => true,
            };
            if is_top {
                return Ok(Some(plan.into()));
            }
        }
        Ok(None)
    }

    async fn plan_versions(&self, plan: &NamedPlan) -> Result<Vec<PlanVersionDocument>, Failure> {
        let found = self.store.plan_versions(plan.owner, &plan.id, ALL).await?;
        Ok(found.items.into_iter().map(PlanVersionDocument::from).collect())
    }

    async fn set_plan_deprecated(&self, plan: &NamedPlan, deprecated: bool) -> Result<PlanVersionDocument, Failure> {
        self.store.deprecate_plan_of(plan.owner, &plan.id, deprecated, self.now).await?;
        self.plan(plan, None).await
    }

    async fn migrate_plan(&self, plan: &NamedPlan, starts: MigrationStart) -> Result<Vec<TenantId>, Failure> {
        let mut moved = Vec::new();
        loop {
            let tenants = self.store.migrate_plan(plan.owner, &plan.id, starts.into(), self.now).await?;
            self.patience.heard();
            let is_last = i64::try_from(tenants.len()).is_ok_and(|count| count < MIGRATED_AT_ONCE);
            moved.extend(tenants);
            if is_last {
                return Ok(moved);
            }
        }
    }

    async fn assign_plan(
        &self,
        tenant: TenantId,
        plan: &PlanId,
        version: Option<i64>,
        start: PlanStart,
        agreement: &Agreement,
    ) -> Result<SubscriptionDocument, Failure> {
        let assigned = self.store.assign_plan_by(tenant, plan, version, start, agreement, self.now).await?;
        self.with_terms(assigned).await
    }

    async fn end_subscription(&self, tenant: TenantId, end: PlanStart) -> Result<(), Failure> {
        Ok(self.store.end_subscription(tenant, end, self.now).await?)
    }

    async fn subscriptions_of(&self, tenant: TenantId) -> Result<Vec<SubscriptionDocument>, Failure> {
        let found = self.store.subscriptions_of(tenant).await?;
        let mut terms = self.store.billing_overrides_of(tenant).await?;
        let document = |one: Subscription| {
            let terms = terms.remove(&one.starts_at);
            SubscriptionDocument::of(one, self.now).with_terms(terms)
        };
        Ok(found.into_iter().map(document).collect())
    }

    async fn own_plans(&self, tenants: &[TenantId]) -> Result<HashMap<TenantId, PlanRef>, Failure> {
        let found: Vec<Subscription> = match tenants {
            [] => Vec::new(),
            [tenant] => self.store.subscription_at(*tenant, self.now).await?.into_iter().collect(),
            _ => self.store.subscriptions().await?,
        };
        Ok(plans_in_force(found.into_iter().map(|one| SubscriptionDocument::of(one, self.now)).collect()))
    }
}
