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
    id::TenantId,
    plan::PlanId,
    tenant::{Tenant, TenantFilter, TenantKind, TenantStatus, lifecycle::NewTenant},
    time::Zone,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    Problem, Services,
    etag::ETag,
    idempotency::{self, Created, Creation},
    instant::Instant,
    page::{self, ListDocument},
    parameters::{self, Named, Parameters, from_text},
};
use crate::access::{Caller, Unplaced};

/// The name of this list in cursors.
const LIST: &str = "tenants";

/// A tenant.
#[derive(Serialize, ToSchema)]
#[schema(as = Tenant)]
pub(super) struct TenantDocument {
    /// Its identifier.
    #[schema(value_type = String, example = "ten_01jd0000000000000000000000")]
    id: TenantId,
    /// The tenant above; only a root has none.
    #[schema(value_type = Option<String>, required = true)]
    parent: Option<TenantId>,
    /// Its place in the tree.
    #[schema(value_type = KindWord)]
    kind: TenantKind,
    /// What people call it.
    #[schema(example = "Acme GmbH")]
    name: String,
    /// Whether its keys are served.
    #[schema(value_type = StatusWord)]
    status: TenantStatus,
    /// The clock on which its billing periods start and end.
    #[schema(value_type = String, example = "Europe/Berlin")]
    zone: Zone,
    /// When it was created.
    created_at: Instant,
    /// Counts its changes, from 1; the `ETag` in quotes.
    revision: i64,
}

/// A tenant's place in the tree: a root sells the API, a reseller sells it on, a customer uses it.
#[derive(ToSchema)]
#[schema(as = TenantKind, rename_all = "lowercase")]
#[expect(dead_code, reason = "it only describes the words of the domain's own type")]
pub(super) enum KindWord {
    Root,
    Reseller,
    Customer,
}

/// Whether a tenant is served. A suspended tenant's whole subtree is refused; a deleted one is kept for its bills.
#[derive(ToSchema)]
#[schema(as = TenantStatus, rename_all = "lowercase")]
#[expect(dead_code, reason = "it only describes the words of the domain's own type")]
pub(super) enum StatusWord {
    Active,
    Suspended,
    Deleted,
}

/// A tenant to be created.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewTenant)]
pub(super) struct NewTenantBody {
    /// What people call it: 1 to 200 characters, none of them a control character.
    #[schema(min_length = 1, max_length = 200, example = "Acme GmbH")]
    name: String,
    /// The tenant above; none for a root.
    #[schema(value_type = Option<String>, example = "ten_01jd0000000000000000000000")]
    parent: Option<TenantId>,
    /// Its place in the tree; `customer` under a parent, `root` without one.
    #[schema(value_type = Option<KindWord>)]
    kind: Option<TenantKind>,
    /// The clock of its billing periods, by its name in the IANA database; `UTC` unless stated. It never changes.
    #[schema(value_type = Option<String>, example = "Europe/Berlin")]
    zone: Option<Zone>,
    /// A plan to start with, in its latest version; without one, the nearest plan above counts.
    #[schema(value_type = Option<String>, example = "growth")]
    plan: Option<PlanId>,
}

/// Which tenants.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct TenantParameters {
    /// Those right below this tenant.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<String>)]
    parent: Option<TenantId>,
    /// This tenant and everybody below it.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<String>)]
    subtree_of: Option<TenantId>,
    /// Those that stand so. Deleted ones are left out unless they are asked for.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<StatusWord>)]
    status: Option<TenantStatus>,
    /// Those whose name contains this text, in letters of either case.
    #[param(max_length = 200)]
    name: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Most items of the page; 50 unless stated.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<u32>,
}

impl From<Tenant> for TenantDocument {
    fn from(tenant: Tenant) -> Self {
        let Tenant { id, parent, kind, name, status, zone, created_at, revision } = tenant;
        Self { id, parent, kind, name, status, zone, created_at: created_at.into(), revision }
    }
}

/// Create a tenant
#[utoipa::path(
    post,
    path = "/v1/tenants",
    tag = "tenants",
    request_body = NewTenantBody,
    params(("Idempotency-Key" = Option<String>, Header, description = "Names this creation, which then happens once")),
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
/// By creation. A tenant that is created meanwhile comes last.
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
    Ok(Json(ListDocument::of(LIST, found)))
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

/// A tenant, with its revision.
fn shown(tenant: Tenant) -> Response {
    (ETag(tenant.revision), Json(TenantDocument::from(tenant))).into_response()
}
