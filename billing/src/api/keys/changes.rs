//! Changes of an API key: what it is for, its replacement, its end.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use common::{
    id::KeyId,
    key::{IpNet, KeyRotation, KeyUpdate, Secret},
};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::{KeyDocument, NO_STORE, networks, shown};
use crate::{
    access::Caller,
    api::{
        Problem, Services,
        body::Body,
        etag::IfMatch,
        idempotency::{self, Created, Creation},
        parameters::Named,
    },
};

/// What is to be changed of an API key; nothing else is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = KeyUpdate)]
pub(in crate::api) struct KeyUpdateBody {
    /// What people call it: 1 to 200 characters, none of them a control character.
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    /// What it may be used for, at most 32 names; none: every route.
    #[schema(max_items = 32)]
    scopes: Option<Vec<String>>,
    /// Where it may be used from, at most 32 ranges of addresses; none: from anywhere.
    #[serde(default, deserialize_with = "some_networks")]
    #[schema(value_type = Option<Vec<String>>, max_items = 32, example = json!(["203.0.113.0/24"]))]
    allowed_ips: Option<Vec<IpNet>>,
}

/// How an API key is to be replaced.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = KeyRotationRequest)]
pub(in crate::api) struct RotationBody {
    /// Seconds that the old key lives on, but not past its own expiry; none unless stated.
    #[serde(default)]
    #[schema(required = false, minimum = 0, maximum = 86_400, default = 0)]
    pub(in crate::api) grace_seconds: u32,
}

/// The two keys of a rotation. The secret of the new one is shown this once.
#[derive(Serialize, ToSchema)]
#[schema(as = RotatedKey)]
pub(in crate::api) struct RotatedKeyDocument {
    /// The new key, with the old one's tenant, name, mode, scopes, addresses and expiry.
    key: KeyDocument,
    /// What the client sends from now on; left out if the rotation happened before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false, example = "sk_live_...")]
    secret: Option<String>,
    /// The old key, which lives on until its grace has passed.
    old: KeyDocument,
}

/// Change an API key
#[utoipa::path(
    patch,
    path = "/v1/keys/{key}",
    tag = "keys",
    params(
        ("key" = String, Path, description = "Its id"),
        ("If-Match" = Option<String>, Header, description = "The ETag that the change was made from"),
    ),
    request_body = KeyUpdateBody,
    responses((status = 200, description = "The key as it is now", body = KeyDocument,
        headers(("ETag" = String, description = "Its revision")))),
)]
pub(in crate::api) async fn update(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(id): Named<KeyId>,
    IfMatch(expected): IfMatch,
    Body(KeyUpdateBody { name, scopes, allowed_ips }): Body<KeyUpdateBody>,
) -> Result<Response, Problem> {
    let now = services.clock.now();
    let update = KeyUpdate { name, scopes, allowed_ips };
    Ok(shown(caller.store().update_key(id, &update, expected, now).await?, now))
}

/// Replace an API key by a new one
#[utoipa::path(
    post,
    path = "/v1/keys/{key}/rotate",
    tag = "keys",
    params(
        ("key" = String, Path, description = "Its id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Names this rotation, which then happens once"),
    ),
    request_body = RotationBody,
    responses(
        (status = 201, description = "Rotated; the secret is shown this once", body = RotatedKeyDocument,
            headers(("Location" = String, description = "The path of the new key"))),
        (status = 200, description = "Rotated before, under the same idempotency key; without the secret",
            body = RotatedKeyDocument, headers(("Idempotency-Replayed" = bool, description = "`true`"))),
    ),
)]
pub(in crate::api) async fn rotate(
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
/// It is refused everywhere within a second, for good. A second time changes nothing.
#[utoipa::path(
    post,
    path = "/v1/keys/{key}/revoke",
    tag = "keys",
    params(("key" = String, Path, description = "Its id")),
    responses((status = 200, description = "The key as it is now", body = KeyDocument,
        headers(("ETag" = String, description = "Its revision")))),
)]
pub(in crate::api) async fn revoke(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(id): Named<KeyId>,
) -> Result<Response, Problem> {
    let now = services.clock.now();
    Ok(shown(caller.store().revoke_key(id, now).await?, now))
}

fn some_networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<IpNet>>, D::Error> {
    /// As a list of addresses is read when it has to be there.
    #[derive(Deserialize)]
    #[serde(transparent)]
    struct Networks(#[serde(deserialize_with = "networks")] Vec<IpNet>);

    Ok(Option::<Networks>::deserialize(deserializer)?.map(|Networks(networks)| networks))
}
