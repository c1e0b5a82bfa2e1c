//! Which plan a tenant has of its own, and from when on.

use common::{
    id::TenantId,
    plan::{PlanId, subscription::Subscription},
    time::Micros,
};
use serde::{Deserialize, Serialize};

use super::{Instant, PlanRef};
use crate::output::{ListRow, Rows, View, or_dash};

/// A subscription as it is shown.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SubscriptionView {
    tenant: TenantId,
    plan_owner: TenantId,
    plan: PlanId,
    version: i64,
    starts_at: Instant,
    ends_at: Option<Instant>,
    status: SubscriptionStatus,
}

/// How it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SubscriptionStatus {
    Ended,
    Current,
    Scheduled,
}

/// A tenant whose plan was brought to another version.
#[derive(Debug, Serialize)]
pub(crate) struct MovedTenant {
    pub(crate) tenant: TenantId,
}

impl SubscriptionView {
    /// `subscription` as it stands at `now`.
    pub(crate) fn new(subscription: Subscription, now: Micros) -> Self {
        let Subscription { tenant, plan_owner, plan, version, starts_at, ends_at } = subscription;
        let status = if ends_at.is_some_and(|end| end <= now) {
            SubscriptionStatus::Ended
        } else if starts_at <= now {
            SubscriptionStatus::Current
        } else {
            SubscriptionStatus::Scheduled
        };
        let (starts_at, ends_at) = (Instant(starts_at), ends_at.map(Instant));
        Self { tenant, plan_owner, plan, version, starts_at, ends_at, status }
    }

    /// Who has which plan by it now.
    pub(crate) fn into_plan_in_force(self) -> Option<(TenantId, PlanRef)> {
        let is_in_force = self.status == SubscriptionStatus::Current;
        is_in_force.then_some((self.tenant, PlanRef { id: self.plan, version: self.version }))
    }
}

impl SubscriptionStatus {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::Current => "current",
            Self::Scheduled => "scheduled",
        }
    }
}

impl View for SubscriptionView {
    fn table(&self) -> Rows {
        Rows::properties([
            ("tenant", self.tenant.to_string()),
            ("plan", format!("{} v{}", self.plan, self.version)),
            ("starts", self.starts_at.to_string()),
            ("ends", or_dash(self.ends_at)),
            ("status", self.status.as_str().to_owned()),
        ])
    }
}

impl ListRow for SubscriptionView {
    const COLUMNS: &'static [&'static str] = &["PLAN", "VERSION", "STARTS", "ENDS", "STATUS"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.plan.to_string(),
            self.version.to_string(),
            self.starts_at.to_string(),
            or_dash(self.ends_at),
            self.status.as_str().to_owned(),
        ]
    }
}

impl ListRow for MovedTenant {
    const COLUMNS: &'static [&'static str] = &["TENANT"];

    fn cells(&self) -> Vec<String> {
        vec![self.tenant.to_string()]
    }
}
