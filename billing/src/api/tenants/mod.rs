//! `/v1/tenants`: the tree as it exists for the caller.

pub(super) mod changes;
pub(super) mod limits;
pub(super) mod quotas;

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use common::{
    api::{
        page::ListDocument,
        tenant::{NewTenantBody, TenantDocument},
    },
    id::TenantId,
    tenant::{Tenant, TenantFilter, TenantKind, TenantStatus, lifecycle::NewTenant},
    time::Zone,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    etag::ETag,
    idempotency::{self, Created, Creation},
    page,
    parameters::{self, Named, Parameters, from_text},
    services::Services,
};
use crate::{
    access::{Caller, Unplaced},
    problem::Problem,
};

/// The name of this list in cursors.
const LIST: &str = "tenants";

/// Filter of tenants.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct TenantParameters {
    /// Only tenants right below this one.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<String>)]
    parent: Option<TenantId>,
    /// Only this tenant and every tenant below it.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<String>)]
    subtree_of: Option<TenantId>,
    /// Only tenants with this status. Deleted tenants are listed only if this asks for them.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<TenantStatus>)]
    status: Option<TenantStatus>,
    /// Only items whose name contains this text, upper or lower case.
    #[param(max_length = 200)]
    name: Option<String>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
    /// Most items of the page; 50 unless stated.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<u32>,
}

/// Create a tenant
#[utoipa::path(
    post,
    path = "/v1/tenants",
    tag = "tenants",
    request_body = NewTenantBody,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes the creation happen once")),
    responses(
        (status = 201, description = "Created", body = TenantDocument,
            headers(("ETag" = String, description = "Its revision"), ("Location" = String, description = "Its path"))),
        (status = 200, description = "Created before, under the same idempotency key", body = TenantDocument,
            headers(("ETag" = String, description = "Its revision"), ("Idempotency-Replayed" = bool, description = "`true`"))),
    ),
)]
pub(super) async fn create(
    State(services): State<Arc<Services>>,
    unplaced: Unplaced,
    creation: Creation<NewTenantBody>,
) -> Result<Response, Problem> {
    let NewTenantBody { name, parent, kind, zone, plan } = creation.body;
    let caller = unplaced.at(parent).await?;
    let default_kind = if parent.is_some() { TenantKind::Customer } else { TenantKind::Root };
    let new =
        NewTenant { parent, kind: kind.unwrap_or(default_kind), name, zone: zone.unwrap_or_else(Zone::utc), plan };
    let store = caller.creating(creation.idempotency);
    match Created::of(store.create_tenant(&new, services.clock.now()).await)? {
        Created::Now(tenant) => {
            let (location, etag) = (format!("/v1/tenants/{}", tenant.id), ETag(tenant.revision));
            Ok((etag, idempotency::created(&location, TenantDocument::from(tenant))).into_response())
        }
        Created::Before(subject) => {
            let tenant = store.tenant(idempotency::subject(&subject)?).await?;
            Ok((ETag(tenant.revision), idempotency::replayed(TenantDocument::from(tenant))).into_response())
        }
    }
}

/// List tenants
///
/// By creation. A tenant that is created while you page comes last.
#[utoipa::path(
    get,
    path = "/v1/tenants",
    tag = "tenants",
    params(TenantParameters),
    responses((status = 200, description = "A page of tenants", body = ListDocument<TenantDocument>)),
)]
pub(super) async fn list(
    caller: Caller,
    Parameters(parameters): Parameters<TenantParameters>,
) -> Result<Json<ListDocument<TenantDocument>>, Problem> {
    let TenantParameters { parent, subtree_of, status, name, cursor, limit } = parameters;
    let (page, name) = (page::request(LIST, cursor.as_deref(), limit)?, parameters::searched(name)?);
    let store = caller.store();
    if let Some(parent) = parent {
        store.tenant(parent).await?;
    }
    let found = store.tenants_page(&TenantFilter { parent, subtree_of, status, name }, page).await?;
    Ok(Json(page::list(LIST, found)))
}

/// Show a tenant
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}",
    tag = "tenants",
    params(("tenant" = String, Path, description = "Its id")),
    responses((status = 200, description = "The tenant", body = TenantDocument,
        headers(("ETag" = String, description = "Its revision")))),
)]
pub(super) async fn show(caller: Caller, Named(id): Named<TenantId>) -> Result<Response, Problem> {
    Ok(shown(caller.store().tenant(id).await?))
}

/// An answer with a tenant and its revision.
fn shown(tenant: Tenant) -> Response {
    (ETag(tenant.revision), Json(TenantDocument::from(tenant))).into_response()
}
