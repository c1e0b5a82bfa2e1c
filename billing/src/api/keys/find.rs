//! `POST /v1/keys/find`: the API key that has a secret, for a secret that has leaked.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use common::{
    api::key::{FoundSecretBody, KeyDocument},
    key::Secret,
};

use crate::{
    access::Caller,
    api::{
        etag::ETag,
        secret::{self, NO_STORE},
        services::Services,
    },
    problem::Problem,
};

/// Find an API key by its secret
///
/// For a secret that has leaked. The answer does not contain the secret. A key outside the caller's
/// subtree is not found.
#[utoipa::path(
    post,
    path = "/v1/keys/find",
    tag = "keys",
    request_body = FoundSecretBody,
    responses((status = 200, description = "The key", body = KeyDocument,
        headers(("ETag" = String, description = "Its revision")))),
)]
pub(crate) async fn find(
    State(services): State<Arc<Services>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let secret = secret::searched(request).await?;
    let secret = Secret::parse(secret.as_bytes()).map_err(|_| secret::not_found("API key"))?;
    let found = caller.store().key_by_hash(&services.pepper.hash(&secret)).await?;
    let key = found.ok_or_else(|| secret::not_found("API key"))?;
    let document = KeyDocument::of(key, services.clock.now());
    Ok((NO_STORE, ETag(document.revision), Json(document)).into_response())
}
