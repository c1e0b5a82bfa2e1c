//! Usage reports.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::instant::Instant;
use crate::{
    id::{KeyId, TenantId},
    key::Mode,
    usage::{refusals::RefusalSum, report::UsageReportRow},
};

/// One sum. A dimension that rows are not grouped by is null.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = UsageRow)]
pub struct UsageDocument {
    /// Start of the hour, day or month.
    pub start: Instant,
    /// Its end.
    pub end: Instant,
    /// The time zone of that hour, day or month.
    #[schema(example = "Europe/Berlin")]
    pub zone: String,
    /// True if the report covers all of it. If not, `from` or `to` cuts it, and only hours that
    /// start between the two count.
    pub whole: bool,
    /// The tenant.
    #[schema(value_type = Option<String>, required = true)]
    pub tenant: Option<TenantId>,
    /// The key.
    #[schema(value_type = Option<String>, required = true)]
    pub key: Option<KeyId>,
    /// The route.
    #[schema(required = true)]
    pub route: Option<String>,
    /// The meter.
    #[schema(required = true)]
    pub meter: Option<String>,
    /// Live or test.
    #[schema(required = true)]
    pub mode: Option<Mode>,
    /// Requests.
    pub requests: u64,
    /// Requests among them whose client left before the answer: their records have status 499.
    pub aborted: u64,
    /// Units.
    pub units: u64,
    /// Units that are billed.
    pub billable_units: u64,
}

impl From<UsageReportRow> for UsageDocument {
    fn from(row: UsageReportRow) -> Self {
        let UsageReportRow {
            start,
            end,
            zone,
            whole,
            tenant,
            key,
            route,
            meter,
            mode,
            requests,
            aborted,
            units,
            billable_units,
        } = row;
        let (start, end) = (start.into(), end.into());
        Self { start, end, zone, whole, tenant, key, route, meter, mode, requests, aborted, units, billable_units }
    }
}

/// Requests that gateways refused for one reason.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Refusals)]
pub struct RefusalsDocument {
    /// The tenant, of sums by tenant; else null.
    #[schema(value_type = Option<String>, required = true)]
    pub tenant: Option<TenantId>,
    /// Its name.
    #[schema(required = true)]
    pub tenant_name: Option<String>,
    /// The reason: the code in the answers.
    #[schema(example = "quota_exceeded")]
    pub reason: String,
    /// Their number.
    pub count: u64,
}

impl From<RefusalSum> for RefusalsDocument {
    fn from(RefusalSum { tenant, reason, count }: RefusalSum) -> Self {
        let (tenant, tenant_name) = tenant.unzip();
        Self { tenant, tenant_name, reason, count }
    }
}
