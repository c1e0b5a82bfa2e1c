//! `/v1/admin-keys`: the keys by which machines administer. Nobody hands out more than they have.

pub(super) mod rotate;

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use common::{
    admin::{AdminKey, AdminKeyFilter, AdminScope, AdminSecret, NewAdminKey, Role},
    id::{AdminKeyId, TenantId},
    key::KeyStatus,
    store::StoreError,
    time::Micros,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    access::{Caller, Unplaced},
    api::{
        Problem, Services,
        creator::CreatorDocument,
        idempotency::{self, Created, Creation},
        instant::Instant,
        keys::{self, KeyStatusWord, NO_STORE, find::FoundSecretBody},
        me::RoleWord,
        page::{self, ListDocument},
        parameters::{self, Named, Parameters, from_text},
    },
};

/// The name of this list in cursors.
const LIST: &str = "admin_keys";

/// An admin key.
#[derive(Serialize, ToSchema)]
#[schema(as = AdminKey)]
pub(in crate::api) struct AdminKeyDocument {
    /// Its public identifier.
    #[schema(value_type = String, example = "adk_01jd0000000000000000000000")]
    id: AdminKeyId,
    /// Where its role is held.
    #[schema(value_type = String, example = "ten_01jd0000000000000000000000")]
    tenant: TenantId,
    /// What people call it.
    #[schema(example = "deployment")]
    name: String,
    /// Its role there and below.
    #[schema(value_type = RoleWord)]
    role: Role,
    /// What of the role it is narrowed to; empty: all of it.
    #[schema(value_type = Vec<String>, example = json!(["keys:write"]))]
    scopes: Vec<AdminScope>,
    /// How it stands now.
    #[schema(value_type = KeyStatusWord)]
    status: KeyStatus,
    /// The secret's last four characters.
    hint: String,
    /// When it was created.
    created_at: Instant,
    /// From this instant on it is refused.
    #[schema(required = true)]
    expires_at: Option<Instant>,
    /// When it was revoked.
    #[schema(required = true)]
    revoked_at: Option<Instant>,
    /// The minute in which it was last accepted.
    #[schema(required = true)]
    last_used_at: Option<Instant>,
    /// Who made it; null where that was not written down.
    #[schema(required = true)]
    created_by: Option<CreatorDocument>,
}

/// An admin key that was created. The secret is shown this once.
#[derive(Serialize, ToSchema)]
#[schema(as = CreatedAdminKey)]
pub(in crate::api) struct CreatedAdminKeyDocument {
    /// The key.
    key: AdminKeyDocument,
    /// What the machine sends; left out if the key was created before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false, example = "adm_...")]
    secret: Option<String>,
}

/// An admin key to be created.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewAdminKey)]
pub(in crate::api) struct NewAdminKeyBody {
    /// Where its role is held.
    #[schema(value_type = String, example = "ten_01jd0000000000000000000000")]
    tenant: TenantId,
    /// What people call it: 1 to 200 characters, none of them a control character.
    #[schema(min_length = 1, max_length = 200, example = "deployment")]
    name: String,
    /// Its role there and below; not more than your own.
    #[schema(value_type = RoleWord)]
    role: Role,
    /// What of the role it is narrowed to: `read` or `write` of tenants, plans, subscriptions, keys, credit, usage, audit,
    /// `admin_keys`; all of the role unless stated.
    #[serde(default)]
    #[schema(value_type = Vec<String>, required = false, max_items = 16, example = json!(["keys:write", "usage:read"]))]
    scopes: Vec<AdminScope>,
    /// From this instant on it is refused. It ends with the credential that it is made with at the latest.
    expires_at: Option<Instant>,
}

/// Which admin keys.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct AdminKeyParameters {
    /// Those of this tenant and of everybody below it; all of yours unless stated.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<String>)]
    subtree_of: Option<TenantId>,
    /// Those whose name contains this text, in letters of either case.
    #[param(max_length = 200)]
    name: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Most items of the page; 50 unless stated.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<u32>,
}

impl AdminKeyDocument {
    fn of(key: AdminKey, now: Micros) -> Self {
        let status = key.status(now);
        Self {
            id: key.id,
            tenant: key.tenant,
            name: key.name,
            role: key.role,
            scopes: key.scopes,
            status,
            hint: key.hint,
            created_at: key.created_at.into(),
            expires_at: key.expires_at.map(Into::into),
            revoked_at: key.revoked_at.map(Into::into),
            last_used_at: key.last_used_at.map(Into::into),
            created_by: key.created_by.map(Into::into),
        }
    }
}

/// Create an admin key
///
/// Nobody hands out more than they have, nor for longer: it ends with the credential that it is made with at the latest,
/// and is revoked with the admin key that it was made with.
#[utoipa::path(
    post,
    path = "/v1/admin-keys",
    tag = "access",
    request_body = NewAdminKeyBody,
    params(("Idempotency-Key" = Option<String>, Header, description = "Names this creation, which then happens once")),
    responses(
        (status = 201, description = "Created; the secret is shown this once", body = CreatedAdminKeyDocument,
            headers(("Location" = String, description = "Its path"))),
        (status = 200, description = "Created before, under the same idempotency key; without the secret",
            body = CreatedAdminKeyDocument, headers(("Idempotency-Replayed" = bool, description = "`true`"))),
    ),
)]
pub(in crate::api) async fn create(
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
        expires_at: expires_at.map(|Instant(at)| at),
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
/// By creation, revoked ones too.
#[utoipa::path(
    get,
    path = "/v1/admin-keys",
    tag = "access",
    params(AdminKeyParameters),
    responses((status = 200, description = "A page of admin keys", body = ListDocument<AdminKeyDocument>)),
)]
pub(in crate::api) async fn list(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Parameters(parameters): Parameters<AdminKeyParameters>,
) -> Result<Json<ListDocument<AdminKeyDocument>>, Problem> {
    let AdminKeyParameters { subtree_of, name, cursor, limit } = parameters;
    let (page, name) = (page::request(LIST, cursor.as_deref(), limit)?, parameters::searched(name)?);
    let now = services.clock.now();
    let found = caller.store().admin_keys_page(&AdminKeyFilter { subtree_of, name }, page).await?;
    Ok(Json(ListDocument::of(LIST, found.map(|key| AdminKeyDocument::of(key, now)))))
}

/// Find an admin key by its secret
///
/// For a secret that has leaked: the answer says which admin key it is, and not the secret. One that is not in your
/// subtree is not found.
#[utoipa::path(
    post,
    path = "/v1/admin-keys/find",
    tag = "access",
    request_body = FoundSecretBody,
    responses((status = 200, description = "The key", body = AdminKeyDocument)),
)]
pub(in crate::api) async fn find(
    State(services): State<Arc<Services>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let (store, secret) = (caller.store(), keys::find::secret_of(request).await?);
    let unknown = || keys::find::nobodys("admin key");
    let secret = AdminSecret::parse(secret.as_bytes()).map_err(|_| unknown())?;
    let found = store.admin_key_by_hash(&services.pepper.hash_admin(&secret)).await?.ok_or_else(unknown)?;
    // By its id it is found in the caller's subtree alone.
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
pub(in crate::api) async fn show(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(id): Named<AdminKeyId>,
) -> Result<Json<AdminKeyDocument>, Problem> {
    Ok(Json(AdminKeyDocument::of(caller.store().admin_key(id).await?, services.clock.now())))
}

/// Revoke an admin key
///
/// It is refused from now on, and so are the admin keys that were made with it. A second time changes nothing.
#[utoipa::path(
    post,
    path = "/v1/admin-keys/{admin_key}/revoke",
    tag = "access",
    params(("admin_key" = String, Path, description = "Its id")),
    responses((status = 200, description = "The key as it is now", body = AdminKeyDocument)),
)]
pub(in crate::api) async fn revoke(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(id): Named<AdminKeyId>,
) -> Result<Json<AdminKeyDocument>, Problem> {
    let now = services.clock.now();
    let revoked = caller.store().revoke_admin_key(id, now).await?;
    Ok(Json(AdminKeyDocument::of(revoked, now)))
}
