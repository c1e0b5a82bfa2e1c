//! Plans and subscriptions through the API.

use std::collections::HashMap;

use async_trait::async_trait;
use common::{
    api::{
        me::MeDocument,
        plan::{AppliedPlanDocument, MigratedDocument, MigrationBody, MigrationStart, PlanVersionDocument, PlansBody},
        subscription::{AssignmentBody, SubscriptionDocument, When},
    },
    id::TenantId,
    plan::{
        Plan, PlanId,
        subscription::{Agreement, PlanStart},
    },
};
use reqwest::Method;

use super::ApiBackend;
use crate::{
    backend::{NamedPlan, PlanRef, Plans, if_found, plans_in_force},
    error::Failure,
};

#[async_trait]
impl Plans for ApiBackend {
    async fn apply_plans(
        &self,
        owner: Option<TenantId>,
        plans: Vec<Plan>,
    ) -> Result<Vec<AppliedPlanDocument>, Failure> {
        let call = self.call(Method::PUT, &["plans"]).query("owner", owner);
        Ok(call.with(&PlansBody { plans })?.list().await?)
    }

    async fn plans(&self, owner: Option<TenantId>) -> Result<Vec<PlanVersionDocument>, Failure> {
        Ok(self.get(&["plans"]).query("owner", owner).pages(usize::MAX).await?)
    }

    async fn plan(&self, plan: &NamedPlan, version: Option<i64>) -> Result<PlanVersionDocument, Failure> {
        let call = self.get(&["plans", plan.id.as_str()]).query("owner", plan.owner);
        Ok(call.query("version", version).read().await?)
    }

    async fn plan_to_replace(
        &self,
        owner: Option<TenantId>,
        id: &PlanId,
    ) -> Result<Option<PlanVersionDocument>, Failure> {
        let owner = match owner {
            Some(owner) => Some(owner),
            None => self.get(&["me"]).read::<MeDocument>().await?.tenant,
        };
        if_found(self.plan(&NamedPlan { owner, id: id.clone() }, None).await)
    }

    async fn plan_versions(&self, plan: &NamedPlan) -> Result<Vec<PlanVersionDocument>, Failure> {
        let call = self.get(&["plans", plan.id.as_str(), "versions"]).query("owner", plan.owner);
        Ok(call.pages(usize::MAX).await?)
    }

    async fn set_plan_deprecated(&self, plan: &NamedPlan, deprecated: bool) -> Result<PlanVersionDocument, Failure> {
        let verb = if deprecated { "deprecate" } else { "restore" };
        let call = self.call(Method::POST, &["plans", plan.id.as_str(), verb]).query("owner", plan.owner);
        Ok(call.read().await?)
    }

    async fn migrate_plan(&self, plan: &NamedPlan, starts: MigrationStart) -> Result<Vec<TenantId>, Failure> {
        let mut moved = Vec::new();
        loop {
            let call = self.call(Method::POST, &["plans", plan.id.as_str(), "migrate"]).query("owner", plan.owner);
            let migrated: MigratedDocument = call.with(&MigrationBody { starts })?.read().await?;
            moved.extend(migrated.tenants);
            if !migrated.more {
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
        let body = AssignmentBody {
            plan: plan.clone(),
            version,
            starts: When(start),
            trial_days: (agreement.trial_days > 0).then_some(agreement.trial_days),
            discount_percent: agreement.discount_percent.map(|percent| percent.to_string()),
            flat_fee: agreement.flat_fee.clone(),
            anchor_day: agreement.anchor_day,
        };
        let call = self.call(Method::POST, &["tenants", &tenant.to_string(), "subscriptions"]);
        Ok(call.with(&body)?.read().await?)
    }

    async fn end_subscription(&self, tenant: TenantId, end: PlanStart) -> Result<(), Failure> {
        let call = self.call(Method::DELETE, &["tenants", &tenant.to_string(), "subscriptions"]);
        Ok(call.query("ends", Some(When(end))).done().await?)
    }

    async fn subscriptions_of(&self, tenant: TenantId) -> Result<Vec<SubscriptionDocument>, Failure> {
        Ok(self.get(&["tenants", &tenant.to_string(), "subscriptions"]).pages(usize::MAX).await?)
    }

    async fn own_plans(&self, tenants: &[TenantId]) -> Result<HashMap<TenantId, PlanRef>, Failure> {
        Ok(plans_in_force(match tenants {
            [] => Vec::new(),
            [tenant] => self.subscriptions_of(*tenant).await?,
            _ => self.get(&["subscriptions"]).pages(usize::MAX).await?,
        }))
    }
}
