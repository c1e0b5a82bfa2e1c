//! Plans and subscriptions, as the API has them.

use std::collections::HashMap;

use async_trait::async_trait;
use common::{
    id::TenantId,
    plan::{Plan, PlanId},
    store::{AppliedPlan, PlanStart},
};
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::{ApiBackend, start_text};
use crate::{
    backend::Plans,
    error::Failure,
    view::{Instant, PlanRef, PlanView, SubscriptionView},
};

/// A version of a plan.
#[derive(Deserialize)]
struct PlanDocument {
    version: i64,
    created_at: Instant,
    deprecated: bool,
    plan: Plan,
}

/// Who was brought to another version.
#[derive(Deserialize)]
struct MigratedDocument {
    tenants: Vec<TenantId>,
}

impl From<PlanDocument> for PlanView {
    fn from(PlanDocument { version, created_at, deprecated, plan }: PlanDocument) -> Self {
        Self { plan, version, deprecated, created_at }
    }
}

#[async_trait]
impl Plans for ApiBackend {
    async fn apply_plans(&self, plans: &[Plan]) -> Result<Vec<AppliedPlan>, Failure> {
        Ok(self.call(Method::PUT, &["plans"]).with(json!({ "plans": plans })).list().await?)
    }

    async fn plans(&self) -> Result<Vec<PlanView>, Failure> {
        let found: Vec<PlanDocument> = self.get(&["plans"]).list().await?;
        Ok(found.into_iter().map(Into::into).collect())
    }

    async fn plan(&self, id: &PlanId, version: Option<i64>) -> Result<PlanView, Failure> {
        let found: PlanDocument = self.get(&["plans", id.as_str()]).query("version", version).read().await?;
        Ok(found.into())
    }

    async fn plan_versions(&self, id: &PlanId) -> Result<Vec<PlanView>, Failure> {
        let found: Vec<PlanDocument> = self.get(&["plans", id.as_str(), "versions"]).list().await?;
        Ok(found.into_iter().map(Into::into).collect())
    }

    async fn set_plan_deprecated(&self, id: &PlanId, deprecated: bool) -> Result<PlanView, Failure> {
        let verb = if deprecated { "deprecate" } else { "restore" };
        let changed: PlanDocument = self.call(Method::POST, &["plans", id.as_str(), verb]).read().await?;
        Ok(changed.into())
    }

    async fn migrate_plan(&self, id: &PlanId, start: PlanStart) -> Result<Vec<TenantId>, Failure> {
        let call = self.call(Method::POST, &["plans", id.as_str(), "migrate"]);
        let migrated: MigratedDocument = call.with(json!({ "starts": start_text(start) })).read().await?;
        Ok(migrated.tenants)
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
        Ok(self.get(&["tenants", &tenant.to_string(), "subscriptions"]).list().await?)
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
