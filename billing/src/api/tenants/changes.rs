//! Changes of a tenant: name, status, place in the tree, deletion.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use common::{
    api::tenant::{TenantDocument, TenantMoveBody, TenantUpdateBody},
    id::TenantId,
    tenant::{TenantStatus, TenantUpdate},
};

use super::shown;
use crate::{
    access::Caller,
    api::{body::Body, etag::IfMatch, parameters::Named, services::Services},
    problem::Problem,
};

/// Change a tenant
#[utoipa::path(
    patch,
    path = "/v1/tenants/{tenant}",
    tag = "tenants",
    params(
        ("tenant" = String, Path, description = "Its id"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` that the change is based on"),
    ),
    request_body = TenantUpdateBody,
    responses((status = 200, description = "The current tenant", body = TenantDocument,
        headers(("ETag" = String, description = "Its revision")))),
)]
pub(crate) async fn update(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(id): Named<TenantId>,
    IfMatch(expected): IfMatch,
    Body(body): Body<TenantUpdateBody>,
) -> Result<Response, Problem> {
    let update = TenantUpdate { name: body.name };
    Ok(shown(caller.store().update_tenant(id, &update, expected, services.clock.now()).await?))
}

/// Suspend a tenant
///
/// Its keys, and those of every tenant below it, are refused within a second. A second time changes
/// nothing.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/suspend",
    tag = "tenants",
    params(("tenant" = String, Path, description = "Its id")),
    responses((status = 200, description = "The current tenant", body = TenantDocument,
        headers(("ETag" = String, description = "Its revision")))),
)]
pub(crate) async fn suspend(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(id): Named<TenantId>,
) -> Result<Response, Problem> {
    set_status(&services, &caller, id, TenantStatus::Suspended).await
}

/// Resume a suspended tenant
///
/// A second time changes nothing.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/resume",
    tag = "tenants",
    params(("tenant" = String, Path, description = "Its id")),
    responses((status = 200, description = "The current tenant", body = TenantDocument,
        headers(("ETag" = String, description = "Its revision")))),
)]
pub(crate) async fn resume(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(id): Named<TenantId>,
) -> Result<Response, Problem> {
    set_status(&services, &caller, id, TenantStatus::Active).await
}

/// Move a tenant, with every tenant below it
///
/// A root cannot move, and no tenant can be below itself, below a customer or below another root.
/// Keys and admin keys whose creators are no longer above the tenant are revoked, with the keys
/// that they created. A tenant with a plan of a tenant that would no longer be above it needs
/// another plan first.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/move",
    tag = "tenants",
    params(
        ("tenant" = String, Path, description = "Its id"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` that the change is based on"),
    ),
    request_body = TenantMoveBody,
    responses((status = 200, description = "The current tenant", body = TenantDocument,
        headers(("ETag" = String, description = "Its revision")))),
)]
pub(crate) async fn relocate(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(id): Named<TenantId>,
    IfMatch(expected): IfMatch,
    Body(body): Body<TenantMoveBody>,
) -> Result<Response, Problem> {
    Ok(shown(caller.store().move_tenant(id, body.parent, expected, services.clock.now()).await?))
}

/// Delete a tenant
///
/// Its keys and admin keys are revoked and its subscription ends; its usage stays on the books.
/// Refused for a tenant with tenants below it. A second time changes nothing.
#[utoipa::path(
    delete,
    path = "/v1/tenants/{tenant}",
    tag = "tenants",
    params(
        ("tenant" = String, Path, description = "Its id"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` that the change is based on"),
    ),
    responses((status = 200, description = "The current tenant", body = TenantDocument,
        headers(("ETag" = String, description = "Its revision")))),
)]
pub(crate) async fn delete(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(id): Named<TenantId>,
    IfMatch(expected): IfMatch,
) -> Result<Response, Problem> {
    Ok(shown(caller.store().delete_tenant(id, expected, services.clock.now()).await?))
}

async fn set_status(
    services: &Services,
    caller: &Caller,
    id: TenantId,
    status: TenantStatus,
) -> Result<Response, Problem> {
    Ok(shown(caller.store().set_tenant_status(id, status, services.clock.now()).await?))
}
