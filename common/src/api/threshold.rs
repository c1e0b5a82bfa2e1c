//! Events of quotas that are mostly or fully used.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::instant::Instant;
use crate::{id::TenantId, quota::thresholds::ThresholdEvent, time::Period};

/// A tenant has used 80 % or all of a quota.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = ThresholdEvent)]
pub struct ThresholdDocument {
    /// Time at which it was noticed.
    pub raised_at: Instant,
    /// The tenant whose quota it is.
    #[schema(value_type = String)]
    pub tenant: TenantId,
    /// The meter.
    pub meter: String,
    /// The month on the tenant's clock.
    #[schema(value_type = String, example = "2026-11")]
    pub period: Period,
    /// The part that is used, in percent: 80 or 100.
    pub percent: u8,
    /// Units that the tenant had for the month when it was noticed.
    pub limit: u64,
    /// Units that were billed by then.
    pub used: u64,
}

impl From<ThresholdEvent> for ThresholdDocument {
    fn from(event: ThresholdEvent) -> Self {
        let ThresholdEvent { seq: _, tenant, meter, period, percent, limit, used, raised_at } = event;
        Self { raised_at: raised_at.into(), tenant, meter, period, percent, limit, used }
    }
}
