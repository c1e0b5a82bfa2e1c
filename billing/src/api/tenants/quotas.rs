//! `GET /v1/tenants/{tenant}/quotas`: a tenant's hard quotas and its credit.

use axum::Json;
use common::{api::quota::QuotasDocument, id::TenantId};

use crate::{access::Caller, api::parameters::Named, problem::Problem};

/// Show a tenant's hard quotas and credit
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/quotas",
    tag = "tenants",
    params(("tenant" = String, Path, description = "Its id")),
    responses((status = 200, description = "The quotas that gateways have drawn on", body = QuotasDocument)),
)]
pub(crate) async fn quotas(caller: Caller, Named(tenant): Named<TenantId>) -> Result<Json<QuotasDocument>, Problem> {
    let quotas = caller.store().quotas(tenant).await?.into_iter().map(Into::into).collect();
    Ok(Json(QuotasDocument { quotas }))
}
