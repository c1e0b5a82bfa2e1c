//! `/v1/tenants/{tenant}/add-ons`: fees that a tenant owes beside that of its plan.

use std::sync::Arc;

use axum::{Json, extract::State};
use common::{
    api::subscription::{AddOnBody, AddOnsDocument, When},
    id::TenantId,
};

use super::{body::Body, parameters::Named, services::Services};
use crate::{access::Caller, problem::Problem};

/// List a tenant's add-ons
///
/// By start, including ended ones.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/add-ons",
    operation_id = "list_add_ons",
    tag = "subscriptions",
    params(("tenant" = String, Path, description = "The tenant's id")),
    responses((status = 200, description = "The add-ons", body = AddOnsDocument)),
)]
pub(super) async fn list(caller: Caller, Named(tenant): Named<TenantId>) -> Result<Json<AddOnsDocument>, Problem> {
    let add_ons = caller.store().add_ons_of(tenant).await?;
    Ok(Json(AddOnsDocument { items: add_ons.into_iter().map(Into::into).collect() }))
}

/// Set the quantity of an add-on
///
/// The flat fee of its plan is due so many times in each billing period; 0 ends it. At most one change is
/// scheduled: a new one replaces it. The same again changes nothing.
#[utoipa::path(
    put,
    path = "/v1/tenants/{tenant}/add-ons",
    operation_id = "set_add_on",
    tag = "subscriptions",
    params(("tenant" = String, Path, description = "The tenant's id")),
    request_body = AddOnBody,
    responses((status = 200, description = "What is in force of the add-on, or scheduled", body = AddOnsDocument)),
)]
pub(super) async fn set(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(tenant): Named<TenantId>,
    Body(AddOnBody { plan, quantity, starts: When(start) }): Body<AddOnBody>,
) -> Result<Json<AddOnsDocument>, Problem> {
    let add_ons = caller.store().set_add_on(tenant, &plan, quantity, start, services.clock.now()).await?;
    Ok(Json(AddOnsDocument { items: add_ons.into_iter().map(Into::into).collect() }))
}
