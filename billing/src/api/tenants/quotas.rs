//! `GET /v1/tenants/{tenant}/quotas`: how a tenant's hard quotas and its credit stand.

use axum::Json;
use common::{api::quota::QuotasDocument, id::TenantId};

use crate::{access::Caller, api::parameters::Named, problem::Problem};

/// Show how a tenant's hard quotas and its credit stand
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/quotas",
    tag = "tenants",
    params(("tenant" = String, Path, description = "Its id")),
    responses((status = 200, description = "The quotas that anybody has drawn from", body = QuotasDocument)),
)]
pub(crate) async fn quotas(caller: Caller, Named(tenant): Named<TenantId>) -> Result<Json<QuotasDocument>, Problem> {
    let quotas = caller.store().quotas(tenant).await?.into_iter().map(Into::into).collect();
    Ok(Json(QuotasDocument { quotas }))
}
