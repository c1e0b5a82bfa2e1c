//! Subscriptions: the right of a tenant to use a plan, over half-open ranges of time.
//!
//! A tenant has one plan of its own at a time, and at most one change of it ahead. A past range
//! never changes: a change of plan starts now or later.

pub mod add_on;
mod assign;
mod billing_override;
pub mod cycles;
mod list;
mod migrate;
mod pause;
pub(crate) mod pool_shares;
pub(crate) mod rows;
mod terms;
pub(crate) mod told;

use serde::Serialize;
use sqlx::AnyConnection;

pub use self::{
    billing_override::{Agreement, BillingOverride, TRIAL_DAYS_MAX},
    migrate::MIGRATED_AT_ONCE,
};
use super::PlanId;
use crate::{
    id::TenantId,
    store::StoreError,
    time::{Micros, Zone},
};

/// A tenant's right to use a plan version, over a half-open range of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Subscription {
    /// Whose.
    pub tenant: TenantId,
    /// The tenant that the plan belongs to.
    pub plan_owner: TenantId,
    /// The plan.
    pub plan: PlanId,
    /// The version that is pinned.
    pub version: i64,
    /// From when on.
    pub starts_at: Micros,
    /// Until when, if it was ended.
    pub ends_at: Option<Micros>,
}

/// From when on a change of plan counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanStart {
    /// From now on.
    Now,
    /// From this instant on, which has not passed.
    At(Micros),
    /// From the end of the tenant's billing period on.
    PeriodEnd,
}

impl PlanStart {
    /// Returns true if a tenant on this clock has such an instant: months of a zone that is not
    /// known have no end.
    fn exists(self, tenant: TenantId, zone: &Zone) -> bool {
        let exists = self != Self::PeriodEnd || zone.is_known();
        if !exists {
            tracing::warn!(event = "plan_not_migrated", %tenant, %zone, reason = "the time zone is not known");
        }
        exists
    }

    async fn instant(
        self,
        connection: &mut AnyConnection,
        tenant: TenantId,
        zone: &Zone,
        now: Micros,
    ) -> Result<Micros, StoreError> {
        match self {
            Self::Now => Ok(now),
            Self::At(at) if at < now => {
                Err(StoreError::refused(format!("{at} has passed: a plan can change from now on, or later")))
            }
            Self::At(at) => Ok(at),
            Self::PeriodEnd => cycles::period_end(connection, tenant, zone, now).await,
        }
    }
}
