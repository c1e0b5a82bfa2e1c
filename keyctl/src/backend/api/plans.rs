//! Plans and subscriptions, as the API has them.

use std::collections::HashMap;

use async_trait::async_trait;
use common::{
    id::TenantId,
    plan::{AppliedPlan, Plan, PlanId, subscription::PlanStart},
};
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::{ApiBackend, start_text};
use crate::{
    backend::{NamedPlan, Plans, if_found},
    error::Failure,
    view::{Instant, PlanRef, PlanView, SubscriptionView},
};

/// A version of a plan.
#[derive(Deserialize)]
struct PlanDocument {
    owner: Option<TenantId>,
    version: i64,
    created_at: Instant,
    deprecated: bool,
    plan: Plan,
}

/// Who was brought to another version.
#[derive(Deserialize)]
struct MigratedDocument {
    tenants: Vec<TenantId>,
    #[serde(default)]
    more: bool,
}

impl From<PlanDocument> for PlanView {
    fn from(PlanDocument { owner, version, created_at, deprecated, plan }: PlanDocument) -> Self {
        Self { plan, owner, version, deprecated, created_at }
    }
}

#[async_trait]
impl Plans for ApiBackend {
    async fn apply_plans(&self, owner: Option<TenantId>, plans: &[Plan]) -> Result<Vec<AppliedPlan>, Failure> {
        let call = self.call(Method::PUT, &["plans"]).query("owner", owner);
        Ok(call.with(json!({ "plans": plans })).list().await?)
    }

    async fn plans(&self, owner: Option<TenantId>) -> Result<Vec<PlanView>, Failure> {
        let found: Vec<PlanDocument> = self.get(&["plans"]).query("owner", owner).pages(usize::MAX).await?;
        Ok(found.into_iter().map(Into::into).collect())
    }

    async fn plan(&self, plan: &NamedPlan, version: Option<i64>) -> Result<PlanView, Failure> {
        let call = self.get(&["plans", plan.id.as_str()]).query("owner", plan.owner);
        let found: PlanDocument = call.query("version", version).read().await?;
        Ok(found.into())
    }

    async fn plan_to_replace(&self, owner: Option<TenantId>, id: &PlanId) -> Result<Option<PlanView>, Failure> {
        #[derive(Deserialize)]
        struct Me {
            tenant: Option<TenantId>,
        }

        let owner = match owner {
            Some(owner) => Some(owner),
            None => self.get(&["me"]).read::<Me>().await?.tenant,
        };
        if_found(self.plan(&NamedPlan { owner, id: id.clone() }, None).await)
    }

    async fn plan_versions(&self, plan: &NamedPlan) -> Result<Vec<PlanView>, Failure> {
        let call = self.get(&["plans", plan.id.as_str(), "versions"]).query("owner", plan.owner);
        let found: Vec<PlanDocument> = call.pages(usize::MAX).await?;
        Ok(found.into_iter().map(Into::into).collect())
    }

    async fn set_plan_deprecated(&self, plan: &NamedPlan, deprecated: bool) -> Result<PlanView, Failure> {
        let verb = if deprecated { "deprecate" } else { "restore" };
        let call = self.call(Method::POST, &["plans", plan.id.as_str(), verb]).query("owner", plan.owner);
        let changed: PlanDocument = call.read().await?;
        Ok(changed.into())
    }

    async fn migrate_plan(&self, plan: &NamedPlan, start: PlanStart) -> Result<Vec<TenantId>, Failure> {
        let mut moved = Vec::new();
        loop {
            let call = self.call(Method::POST, &["plans", plan.id.as_str(), "migrate"]).query("owner", plan.owner);
            let migrated: MigratedDocument = call.with(json!({ "starts": start_text(start) })).read().await?;
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
    ) -> Result<SubscriptionView, Failure> {
        let body = json!({ "plan": plan, "version": version, "starts": start_text(start) });
        let call = self.call(Method::POST, &["tenants", &tenant.to_string(), "subscriptions"]);
        Ok(call.with(body).read().await?)
    }

    async fn end_subscription(&self, tenant: TenantId, end: PlanStart) -> Result<(), Failure> {
        let call = self.call(Method::DELETE, &["tenants", &tenant.to_string(), "subscriptions"]);
        Ok(call.query("ends", Some(start_text(end))).done().await?)
    }

    async fn subscriptions_of(&self, tenant: TenantId) -> Result<Vec<SubscriptionView>, Failure> {
        Ok(self.get(&["tenants", &tenant.to_string(), "subscriptions"]).pages(usize::MAX).await?)
    }

    async fn own_plans(&self, tenants: &[TenantId]) -> Result<HashMap<TenantId, PlanRef>, Failure> {
        let found: Vec<SubscriptionView> = match tenants {
            [] => Vec::new(),
            [tenant] => self.subscriptions_of(*tenant).await?,
            _ => self.get(&["subscriptions"]).pages(usize::MAX).await?,
        };
        Ok(found.into_iter().filter_map(SubscriptionView::into_plan_in_force).collect())
    }
}
