//! Hard quotas and credit of a tenant, as far as gateways have drawn on them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::quota::QuotaStanding;

/// The quotas of a tenant that gateways have drawn on.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = TenantQuotas)]
pub struct QuotasDocument {
    /// By meter, then by month; credit comes last.
    pub quotas: Vec<QuotaStandingDocument>,
}

/// State of one quota. The quota of a tenant that has tenants below it is shared with all of them.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = QuotaStanding)]
pub struct QuotaStandingDocument {
    /// The meter.
    pub meter: String,
    /// The month on the tenant's clock, or `prepaid` for credit.
    #[schema(example = "2026-11")]
    pub period: String,
    /// Units of the month, as gateways knew them when they last drew; or units paid for.
    pub limit: u64,
    /// Units that are used or leased to gateways.
    pub drawn: u64,
    /// Units that answers have used beyond the limit: paid first when there is more, and never
    /// billed beyond a hard cap.
    pub owed: u64,
    /// Units that gateways can still draw.
    pub left: u64,
}

impl From<QuotaStanding> for QuotaStandingDocument {
    fn from(QuotaStanding { meter, source, limit, drawn, owed, left }: QuotaStanding) -> Self {
        Self { meter, period: source.to_string(), limit, drawn, owed, left }
    }
}
