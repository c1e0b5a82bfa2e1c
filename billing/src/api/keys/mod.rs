//! `/v1/keys`: API keys. A secret is in the answer that creates the key, and in no other.

pub(super) mod changes;
pub(super) mod find;

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use common::{
    api::{
        key::{CreatedKeyDocument, KeyDocument, NewKeyBody},
        network::Network,
        page::ListDocument,
    },
    id::{KeyId, TenantId},
    key::{Key, KeyFilter, KeyStatus, Mode, NewKey, Secret},
    time::Micros,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    etag::ETag,
    idempotency::{self, Created, Creation},
    page,
    parameters::{self, Named, Parameters, from_text},
    secret::NO_STORE,
    services::Services,
};
use crate::{
    access::{Caller, Unplaced},
    problem::Problem,
};

/// The name of this list in cursors.
const LIST: &str = "keys";

/// Filter of API keys.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyParameters {
    /// Only keys of this tenant.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<String>)]
    tenant: Option<TenantId>,
    /// Only keys of this tenant and of every tenant below it.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<String>)]
    subtree_of: Option<TenantId>,
    /// Only keys that currently have this status.
    #[param(value_type = Option<KeyStatus>)]
    status: Option<KeyStatus>,
    /// Only items whose name contains this text, upper or lower case.
    #[param(max_length = 200)]
    name: Option<String>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
    /// Most items of the page; 50 unless stated.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<u32>,
}

/// Create an API key
#[utoipa::path(
    post,
    path = "/v1/keys",
    tag = "keys",
    request_body = NewKeyBody,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes the creation happen once")),
    responses(
        (status = 201, description = "Created; the secret is shown this once", body = CreatedKeyDocument,
            headers(("ETag" = String, description = "Its revision"), ("Location" = String, description = "Its path"))),
        (status = 200, description = "Created before, under the same idempotency key; without the secret",
            body = CreatedKeyDocument,
            headers(("ETag" = String, description = "Its revision"), ("Idempotency-Replayed" = bool, description = "`true`"))),
    ),
)]
pub(super) async fn create(
    State(services): State<Arc<Services>>,
    unplaced: Unplaced,
    creation: Creation<NewKeyBody>,
) -> Result<Response, Problem> {
    let NewKeyBody { tenant, name, mode, expires_at, scopes, allowed_ips } = creation.body;
    let caller = unplaced.at(Some(tenant)).await?;
    let (store, now) = (caller.creating(creation.idempotency), services.clock.now());
    let mode = mode.unwrap_or(Mode::Live);
    let secret = Secret::generate(mode);
    let new = NewKey {
        tenant,
        name,
        mode,
        hash: services.pepper.hash(&secret),
        pepper_id: services.pepper.id().into(),
        hint: secret.hint().into(),
        expires_at: expires_at.map(Into::into),
        scopes,
        allowed_ips: Network::ranges(allowed_ips),
    };
    match Created::of(store.create_key(&new, now).await)? {
        Created::Now(key) => {
            let (location, etag) = (format!("/v1/keys/{}", key.id), ETag(key.revision));
            let document = CreatedKeyDocument { key: KeyDocument::of(key, now), secret: Some(secret.expose().into()) };
            Ok((etag, NO_STORE, idempotency::created(&location, document)).into_response())
        }
        Created::Before(subject) => {
            let key = store.key(idempotency::subject(&subject)?).await?;
            let etag = ETag(key.revision);
            let document = CreatedKeyDocument { key: KeyDocument::of(key, now), secret: None };
            Ok((etag, NO_STORE, idempotency::replayed(document)).into_response())
        }
    }
}

/// List API keys
///
/// By creation. A key that is created while you page comes last.
#[utoipa::path(
    get,
    path = "/v1/keys",
    tag = "keys",
    params(KeyParameters),
    responses((status = 200, description = "A page of keys", body = ListDocument<KeyDocument>)),
)]
pub(super) async fn list(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Parameters(parameters): Parameters<KeyParameters>,
) -> Result<Json<ListDocument<KeyDocument>>, Problem> {
    let KeyParameters { tenant, subtree_of, status, name, cursor, limit } = parameters;
    let (page, name) = (page::request(LIST, cursor.as_deref(), limit)?, parameters::searched(name)?);
    let (store, now) = (caller.store(), services.clock.now());
    if let Some(tenant) = tenant {
        store.tenant(tenant).await?;
    }
    let filter = KeyFilter { tenant, subtree_of, status: status.map(|status| (status, now)), name };
    let found = store.keys_page(&filter, page).await?;
    Ok(Json(page::list(LIST, found.map(|key| KeyDocument::of(key, now)))))
}

/// Show an API key
#[utoipa::path(
    get,
    path = "/v1/keys/{key}",
    tag = "keys",
    params(("key" = String, Path, description = "Its id")),
    responses((status = 200, description = "The key", body = KeyDocument,
        headers(("ETag" = String, description = "Its revision")))),
)]
pub(super) async fn show(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(id): Named<KeyId>,
) -> Result<Response, Problem> {
    Ok(shown(caller.store().key(id).await?, services.clock.now()))
}

/// An answer with a key and its revision.
fn shown(key: Key, now: Micros) -> Response {
    (ETag(key.revision), Json(KeyDocument::of(key, now))).into_response()
}
