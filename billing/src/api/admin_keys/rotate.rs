//! Rotation of an admin key: the old key is accepted for a while, so that its machine can change
//! over.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use common::{
    admin::{AdminKeyRotation, AdminSecret},
    api::{
        admin_key::{AdminKeyDocument, RotatedAdminKeyDocument},
        key::RotationBody,
    },
    id::AdminKeyId,
};

use crate::{
    access::Caller,
    api::{
        idempotency::{self, Created, Creation},
        parameters::Named,
        secret::NO_STORE,
        services::Services,
    },
    problem::Problem,
};

/// Replace an admin key by a new one
///
/// For callers that may create the new key. The new key ends with the credential that creates it at
/// the latest, and is revoked with the admin key that creates it.
#[utoipa::path(
    post,
    path = "/v1/admin-keys/{admin_key}/rotate",
    tag = "access",
    params(
        ("admin_key" = String, Path, description = "Its id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes the rotation happen once"),
    ),
    request_body = RotationBody,
    responses(
        (status = 201, description = "Rotated; the secret is shown this once", body = RotatedAdminKeyDocument,
            headers(("Location" = String, description = "The path of the new key"))),
        (status = 200, description = "Rotated before, under the same idempotency key; without the secret",
            body = RotatedAdminKeyDocument, headers(("Idempotency-Replayed" = bool, description = "`true`"))),
    ),
)]
pub(crate) async fn rotate(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(id): Named<AdminKeyId>,
    creation: Creation<RotationBody>,
) -> Result<Response, Problem> {
    let grace_seconds = creation.body.grace_seconds;
    let (store, now) = (caller.creating(creation.idempotency), services.clock.now());
    let old = store.admin_key(id).await?;
    caller.principal.may_grant(old.role, &old.scopes)?;
    let secret = AdminSecret::generate();
    let hash = services.pepper.hash_admin(&secret);
    let rotated = store.rotate_admin_key(id, hash, services.pepper.id(), secret.hint(), grace_seconds, now).await;
    match Created::of(rotated)? {
        Created::Now(AdminKeyRotation { old, new }) => {
            let location = format!("/v1/admin-keys/{}", new.id);
            let (key, old) = (AdminKeyDocument::of(new, now), AdminKeyDocument::of(old, now));
            let document = RotatedAdminKeyDocument { key, secret: Some(secret.expose().into()), old };
            Ok((NO_STORE, idempotency::created(&location, document)).into_response())
        }
        Created::Before(subject) => {
            let key = AdminKeyDocument::of(store.admin_key(idempotency::subject(&subject)?).await?, now);
            let old = AdminKeyDocument::of(store.admin_key(id).await?, now);
            Ok((NO_STORE, idempotency::replayed(RotatedAdminKeyDocument { key, secret: None, old })).into_response())
        }
    }
}
