//! Changes of an API key: update, rotation, revocation.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use common::{
    api::key::{KeyDocument, KeyUpdateBody, RotatedKeyDocument, RotationBody},
    id::KeyId,
    key::{KeyRotation, Secret},
};

use super::shown;
use crate::{
    access::Caller,
    api::{
        body::Body,
        etag::IfMatch,
        idempotency::{self, Created, Creation},
        parameters::Named,
        secret::NO_STORE,
        services::Services,
    },
    problem::Problem,
};

/// Change an API key
#[utoipa::path(
    patch,
    path = "/v1/keys/{key}",
    tag = "keys",
    params(
        ("key" = String, Path, description = "Its id"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` that the change is based on"),
    ),
    request_body = KeyUpdateBody,
    responses((status = 200, description = "The current key", body = KeyDocument,
        headers(("ETag" = String, description = "Its revision")))),
)]
pub(crate) async fn update(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(id): Named<KeyId>,
    IfMatch(expected): IfMatch,
    Body(body): Body<KeyUpdateBody>,
) -> Result<Response, Problem> {
    let now = services.clock.now();
    Ok(shown(caller.store().update_key(id, &body.into(), expected, now).await?, now))
}

/// Replace an API key by a new one
#[utoipa::path(
    post,
    path = "/v1/keys/{key}/rotate",
    tag = "keys",
    params(
        ("key" = String, Path, description = "Its id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes the rotation happen once"),
    ),
    request_body = RotationBody,
    responses(
        (status = 201, description = "Rotated; the secret is shown this once", body = RotatedKeyDocument,
            headers(("Location" = String, description = "The path of the new key"))),
        (status = 200, description = "Rotated before, under the same idempotency key; without the secret",
            body = RotatedKeyDocument, headers(("Idempotency-Replayed" = bool, description = "`true`"))),
    ),
)]
pub(crate) async fn rotate(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(id): Named<KeyId>,
    creation: Creation<RotationBody>,
) -> Result<Response, Problem> {
    let grace_seconds = creation.body.grace_seconds;
    let (store, now) = (caller.creating(creation.idempotency), services.clock.now());
    let secret = Secret::generate(store.key(id).await?.mode);
    let hash = services.pepper.hash(&secret);
    let rotated = store.rotate_key(id, hash, services.pepper.id(), secret.hint(), grace_seconds, now).await;
    match Created::of(rotated)? {
        Created::Now(KeyRotation { old, new }) => {
            let location = format!("/v1/keys/{}", new.id);
            let (key, old) = (KeyDocument::of(new, now), KeyDocument::of(old, now));
            let document = RotatedKeyDocument { key, secret: Some(secret.expose().into()), old };
            Ok((NO_STORE, idempotency::created(&location, document)).into_response())
        }
        Created::Before(subject) => {
            let key = KeyDocument::of(store.key(idempotency::subject(&subject)?).await?, now);
            let old = KeyDocument::of(store.key(id).await?, now);
            Ok((NO_STORE, idempotency::replayed(RotatedKeyDocument { key, secret: None, old })).into_response())
        }
    }
}

/// Revoke an API key
///
/// Every gateway refuses the key within a second, for good. A second time changes nothing.
#[utoipa::path(
    post,
    path = "/v1/keys/{key}/revoke",
    tag = "keys",
    params(("key" = String, Path, description = "Its id")),
    responses((status = 200, description = "The current key", body = KeyDocument,
        headers(("ETag" = String, description = "Its revision")))),
)]
pub(crate) async fn revoke(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(id): Named<KeyId>,
) -> Result<Response, Problem> {
    let now = services.clock.now();
    Ok(shown(caller.store().revoke_key(id, now).await?, now))
}
