//! `GET /v1/tenants/{tenant}/quotas`: how a tenant's hard quotas and its credit stand.

use axum::Json;
use common::{
    id::TenantId,
    quota::{QuotaSource, QuotaStanding},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::{Problem, parameters::Named};
use crate::access::Caller;

/// The quotas of a tenant that anybody has drawn from.
#[derive(Serialize, ToSchema)]
#[schema(as = TenantQuotas)]
pub(in crate::api) struct QuotasDocument {
    /// By meter, then by month; credit comes last.
    quotas: Vec<QuotaStandingDocument>,
}

/// How one quota stands. One of a tenant that has others below it is shared with all of them.
#[derive(Serialize, ToSchema)]
#[schema(as = QuotaStanding)]
pub(in crate::api) struct QuotaStandingDocument {
    /// What is counted.
    meter: String,
    /// The month on the tenant's clock, or `prepaid` for credit.
    #[schema(value_type = String, example = "2026-11")]
    period: QuotaSource,
    /// Units of the month, as gateways knew them when they last drew; or units paid for.
    limit: u64,
    /// Units that are used, or in the hands of gateways.
    drawn: u64,
    /// Units that answers have used beyond the limit: paid first when there is more, and never billed beyond a hard cap.
    owed: u64,
    /// Units that gateways can still draw.
    left: u64,
}

impl From<QuotaStanding> for QuotaStandingDocument {
    fn from(QuotaStanding { meter, source: period, limit, drawn, owed, left }: QuotaStanding) -> Self {
        Self { meter, period, limit, drawn, owed, left }
    }
}

/// Show how a tenant's hard quotas and its credit stand
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/quotas",
    tag = "tenants",
    params(("tenant" = String, Path, description = "Its id")),
    responses((status = 200, description = "The quotas that anybody has drawn from", body = QuotasDocument)),
)]
pub(in crate::api) async fn quotas(
    caller: Caller,
    Named(tenant): Named<TenantId>,
) -> Result<Json<QuotasDocument>, Problem> {
    let quotas = caller.store().quotas(tenant).await?.into_iter().map(Into::into).collect();
    Ok(Json(QuotasDocument { quotas }))
}
