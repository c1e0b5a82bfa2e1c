//! `/v1/tenants/{tenant}/billing-details`: what invoices say of a tenant.

use std::sync::Arc;

use axum::{Json, extract::State};
use common::{id::TenantId, invoice::BillingDetails};

use super::{body::Body, parameters::Named, services::Services};
use crate::{access::Caller, problem::Problem};

/// Show a tenant's billing details
#[utoipa::path(
    get,
    operation_id = "show_billing_details",
    path = "/v1/tenants/{tenant}/billing-details",
    tag = "invoices",
    params(("tenant" = String, Path, description = "The tenant's id")),
    responses((status = 200, description = "The details; empty if none are stated", body = BillingDetails)),
)]
pub(super) async fn show(caller: Caller, Named(tenant): Named<TenantId>) -> Result<Json<BillingDetails>, Problem> {
    Ok(Json(caller.store().billing_details(tenant).await?))
}

/// Replace a tenant's billing details
///
/// Removes what is not stated. Invoices that are finalized keep the details that they had.
#[utoipa::path(
    put,
    operation_id = "replace_billing_details",
    path = "/v1/tenants/{tenant}/billing-details",
    tag = "invoices",
    params(("tenant" = String, Path, description = "The tenant's id")),
    request_body = BillingDetails,
    responses((status = 200, description = "The new details", body = BillingDetails)),
)]
pub(super) async fn replace(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(tenant): Named<TenantId>,
    Body(details): Body<BillingDetails>,
) -> Result<Json<BillingDetails>, Problem> {
    caller.store().set_billing_details(tenant, &details, services.clock.now()).await?;
    Ok(Json(details))
}
