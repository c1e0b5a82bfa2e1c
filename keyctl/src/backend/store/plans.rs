//! Plans and subscriptions in the store.

use std::collections::HashMap;

use async_trait::async_trait;
use common::{
    id::TenantId,
    plan::{Plan, PlanId},
    store::{AppliedPlan, PlanStart, Subscription},
};

use super::StoreBackend;
use crate::{
    backend::Plans,
    error::Failure,
    view::{PlanRef, PlanView, SubscriptionView},
};

#[async_trait]
impl Plans for StoreBackend {
    async fn apply_plans(&self, plans: &[Plan]) -> Result<Vec<AppliedPlan>, Failure> {
        Ok(self.store.apply_plans(plans, self.now).await?)
    }

    async fn plans(&self) -> Result<Vec<PlanView>, Failure> {
        let deprecated = self.store.deprecated_plans().await?;
        let found = self.store.plans().await?.into_iter();
        let views = found.map(|stored| {
            let is_deprecated = deprecated.contains(&stored.plan.id);
            PlanView::new(stored, is_deprecated)
        });
        Ok(views.collect())
    }

    async fn plan(&self, id: &PlanId, version: Option<i64>) -> Result<PlanView, Failure> {
        let stored = self.store.plan(id, version).await?;
        Ok(PlanView::new(stored, self.store.deprecated_plans().await?.contains(id)))
    }

    async fn plan_versions(&self, id: &PlanId) -> Result<Vec<PlanView>, Failure> {
        let found = self.store.plan_versions(id).await?;
        let deprecated = self.store.deprecated_plans().await?.contains(id);
        Ok(found.into_iter().map(|stored| PlanView::new(stored, deprecated)).collect())
    }

    async fn set_plan_deprecated(&self, id: &PlanId, deprecated: bool) -> Result<PlanView, Failure> {
        self.store.deprecate_plan(id, deprecated, self.now).await?;
        Ok(PlanView::new(self.store.plan(id, None).await?, deprecated))
    }

    async fn migrate_plan(&self, id: &PlanId, start: PlanStart) -> Result<Vec<TenantId>, Failure> {
        Ok(self.store.migrate_plan(id, start, self.now).await?)
    }

    async fn assign_plan(
        &self,
        tenant: TenantId,
        plan: &PlanId,
        version: Option<i64>,
        start: PlanStart,
    ) -> Result<SubscriptionView, Failure> {
        let assigned = self.store.assign_plan(tenant, plan, version, start, self.now).await?;
        Ok(SubscriptionView::new(assigned, self.now))
    }

    async fn end_subscription(&self, tenant: TenantId, end: PlanStart) -> Result<(), Failure> {
        Ok(self.store.end_subscription(tenant, end, self.now).await?)
    }

    async fn subscriptions_of(&self, tenant: TenantId) -> Result<Vec<SubscriptionView>, Failure> {
        let found = self.store.subscriptions_of(tenant).await?;
        Ok(found.into_iter().map(|one| SubscriptionView::new(one, self.now)).collect())
    }

    async fn own_plans(&self, tenants: &[TenantId]) -> Result<HashMap<TenantId, PlanRef>, Failure> {
        let found: Vec<Subscription> = match tenants {
            [] => Vec::new(),
            [tenant] => self.store.subscription_at(*tenant, self.now).await?.into_iter().collect(),
            _ => self.store.subscriptions().await?,
        };
        let views = found.into_iter().map(|subscription| SubscriptionView::new(subscription, self.now));
        Ok(views.filter_map(SubscriptionView::into_plan_in_force).collect())
    }
}
