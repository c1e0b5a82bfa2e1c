//! Plans, their versions and the subscriptions to them.

use serde::Serialize;

use super::{Store, StoreError};
use crate::{
    id::TenantId,
    plan::{Plan, PlanId, PlanVersion},
    time::Micros,
};

/// What applying a plan did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PlanOutcome {
    /// The first version of a new plan.
    Created,
    /// A further version of a plan that had changed.
    Updated,
    /// Nothing: the latest version says the same.
    Unchanged,
}

/// A plan after it was applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AppliedPlan {
    /// The plan.
    pub id: PlanId,
    /// Its latest version now.
    pub version: i64,
    /// What applying it did.
    pub outcome: PlanOutcome,
}

/// A tenant's right to use a plan version, over a half-open range of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Subscription {
    /// Whose.
    pub tenant: TenantId,
    /// The plan.
    pub plan: PlanId,
    /// The version that is pinned.
    pub version: i64,
    /// From when on.
    pub starts_at: Micros,
    /// Until when, if it was ended.
    pub ends_at: Option<Micros>,
}

impl Store {
    /// Stores every plan that differs from its latest version as a new version: all of them or none. Subscriptions
    /// stay on the version they pin.
    pub async fn apply_plans(&self, plans: &[Plan], now: Micros) -> Result<Vec<AppliedPlan>, StoreError> {
        let _ = (plans, now);
        todo!()
    }

    /// The latest version of every plan, by id.
    pub async fn plans(&self) -> Result<Vec<PlanVersion>, StoreError> {
        todo!()
    }

    /// One version of a plan; the latest if none is named.
    pub async fn plan(&self, id: &PlanId, version: Option<i64>) -> Result<PlanVersion, StoreError> {
        let _ = (id, version);
        todo!()
    }

    /// Every subscription, by tenant and start.
    pub async fn subscriptions(&self) -> Result<Vec<Subscription>, StoreError> {
        todo!()
    }

    /// The tenant's subscription in force at `at`.
    pub async fn subscription_at(&self, tenant: TenantId, at: Micros) -> Result<Option<Subscription>, StoreError> {
        let _ = (tenant, at);
        todo!()
    }
}
