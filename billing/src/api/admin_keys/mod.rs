//! `/v1/admin-keys`: the keys by which machines use this API. A caller grants at most its own role
//! and scopes.

pub(super) mod rotate;

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use common::{
    admin::{AdminKeyFilter, AdminSecret, NewAdminKey},
    api::{
        admin_key::{AdminKeyDocument, CreatedAdminKeyDocument, NewAdminKeyBody},
        key::FoundSecretBody,
        page::ListDocument,
    },
    id::{AdminKeyId, TenantId},
    store::StoreError,
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    access::{Caller, Unplaced},
    api::{
        idempotency::{self, Created, Creation},
        page,
        parameters::{self, Named, Parameters, from_text},
        secret::{self, NO_STORE},
        services::Services,
    },
    problem::Problem,
};

/// The name of this list in cursors.
const LIST: &str = "admin_keys";

/// Filter of admin keys.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct AdminKeyParameters {
    /// Only admin keys of this tenant and of every tenant below it; the caller's tenant unless
    /// stated.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<String>)]
    subtree_of: Option<TenantId>,
    /// Only items whose name contains this text, upper or lower case.
    #[param(max_length = 200)]
    name: Option<String>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
    /// Most items of the page; 50 unless stated.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<u32>,
}

/// Create an admin key
///
/// With at most the role, scopes and lifetime of the caller: the key ends with the credential that
/// creates it at the latest, and is revoked with the admin key that creates it.
#[utoipa::path(
    post,
    path = "/v1/admin-keys",
    tag = "access",
    request_body = NewAdminKeyBody,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes the creation happen once")),
    responses(
        (status = 201, description = "Created; the secret is shown this once", body = CreatedAdminKeyDocument,
            headers(("Location" = String, description = "Its path"))),
        (status = 200, description = "Created before, under the same idempotency key; without the secret",
            body = CreatedAdminKeyDocument, headers(("Idempotency-Replayed" = bool, description = "`true`"))),
    ),
)]
pub(crate) async fn create(
    State(services): State<Arc<Services>>,
    unplaced: Unplaced,
    creation: Creation<NewAdminKeyBody>,
) -> Result<Response, Problem> {
    let NewAdminKeyBody { tenant, name, role, scopes, expires_at } = creation.body;
    let caller = unplaced.at(Some(tenant)).await?;
    caller.principal.may_grant(role, &scopes)?;
    let (store, now) = (caller.creating(creation.idempotency), services.clock.now());
    let secret = AdminSecret::generate();
    let new = NewAdminKey {
        tenant,
        name,
        role,
        scopes,
        hash: services.pepper.hash_admin(&secret),
        pepper_id: services.pepper.id().into(),
        hint: secret.hint().into(),
        expires_at: expires_at.map(Into::into),
    };
    match Created::of(store.create_admin_key(&new, now).await)? {
        Created::Now(key) => {
            let location = format!("/v1/admin-keys/{}", key.id);
            let key = AdminKeyDocument::of(key, now);
            let document = CreatedAdminKeyDocument { key, secret: Some(secret.expose().into()) };
            Ok((NO_STORE, idempotency::created(&location, document)).into_response())
        }
        Created::Before(subject) => {
            let key = AdminKeyDocument::of(store.admin_key(idempotency::subject(&subject)?).await?, now);
            Ok((NO_STORE, idempotency::replayed(CreatedAdminKeyDocument { key, secret: None })).into_response())
        }
    }
}

/// List admin keys
///
/// By creation, including revoked ones.
#[utoipa::path(
    get,
    path = "/v1/admin-keys",
    tag = "access",
    params(AdminKeyParameters),
    responses((status = 200, description = "A page of admin keys", body = ListDocument<AdminKeyDocument>)),
)]
pub(crate) async fn list(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Parameters(parameters): Parameters<AdminKeyParameters>,
) -> Result<Json<ListDocument<AdminKeyDocument>>, Problem> {
    let AdminKeyParameters { subtree_of, name, cursor, limit } = parameters;
    let (page, name) = (page::request(LIST, cursor.as_deref(), limit)?, parameters::searched(name)?);
    let now = services.clock.now();
    let found = caller.store().admin_keys_page(&AdminKeyFilter { subtree_of, name }, page).await?;
    Ok(Json(page::list(LIST, found.map(|key| AdminKeyDocument::of(key, now)))))
}

/// Find an admin key by its secret
///
/// For a secret that has leaked. The answer does not contain the secret. An admin key outside the
/// caller's subtree is not found.
#[utoipa::path(
    post,
    path = "/v1/admin-keys/find",
    tag = "access",
    request_body = FoundSecretBody,
    responses((status = 200, description = "The key", body = AdminKeyDocument)),
)]
pub(crate) async fn find(
    State(services): State<Arc<Services>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let (store, secret) = (caller.store(), secret::searched(request).await?);
    let unknown = || secret::not_found("admin key");
    let secret = AdminSecret::parse(secret.as_bytes()).map_err(|_| unknown())?;
    let found = store.admin_key_by_hash(&services.pepper.hash_admin(&secret)).await?.ok_or_else(unknown)?;
    // The search by id finds it in the caller's subtree only.
    let key = store.admin_key(found.id).await.map_err(|error| match error {
        StoreError::NotFound { .. } => unknown(),
        error => error.into(),
    })?;
    Ok((NO_STORE, Json(AdminKeyDocument::of(key, services.clock.now()))).into_response())
}

/// Show an admin key
#[utoipa::path(
    get,
    path = "/v1/admin-keys/{admin_key}",
    tag = "access",
    params(("admin_key" = String, Path, description = "Its id")),
    responses((status = 200, description = "The key", body = AdminKeyDocument)),
)]
pub(crate) async fn show(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(id): Named<AdminKeyId>,
) -> Result<Json<AdminKeyDocument>, Problem> {
    Ok(Json(AdminKeyDocument::of(caller.store().admin_key(id).await?, services.clock.now())))
}

/// Revoke an admin key
///
/// The key is refused from now on, and so are the admin keys that it created. A second time changes
/// nothing.
#[utoipa::path(
    post,
    path = "/v1/admin-keys/{admin_key}/revoke",
    tag = "access",
    params(("admin_key" = String, Path, description = "Its id")),
    responses((status = 200, description = "The current key", body = AdminKeyDocument)),
)]
pub(crate) async fn revoke(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(id): Named<AdminKeyId>,
) -> Result<Json<AdminKeyDocument>, Problem> {
    let now = services.clock.now();
    let revoked = caller.store().revoke_admin_key(id, now).await?;
    Ok(Json(AdminKeyDocument::of(revoked, now)))
}
