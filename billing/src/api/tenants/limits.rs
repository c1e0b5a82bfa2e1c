//! `GET /v1/tenants/{tenant}/limits`: the limits of a tenant, with the tenant that lowered each.

use std::sync::Arc;

use axum::{Json, extract::State};
use common::{api::limits::LimitsDocument, id::TenantId};

use crate::{
    access::Caller,
    api::{parameters::Named, services::Services},
    problem::Problem,
};

/// Show the limits of a tenant
///
/// Its own plan or the nearest above, lowered to the limits of every tenant above, with the tenant
/// that lowered each.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/limits",
    tag = "tenants",
    params(("tenant" = String, Path, description = "Its id")),
    responses((status = 200, description = "The limits now", body = LimitsDocument)),
)]
pub(crate) async fn limits(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(tenant): Named<TenantId>,
) -> Result<Json<LimitsDocument>, Problem> {
    let now = services.clock.now();
    let terms = caller.store().effective_terms(tenant, now).await?;
    Ok(Json(LimitsDocument::of(tenant, now, terms)))
}
