//! `POST /v1/keys/find`: which key a secret belongs to, for whoever has found one where it should not be.
//!
//! What holds: no answer, no log line and no error says anything of the secret.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use common::key::Secret;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{KeyDocument, NO_STORE};
use crate::{
    access::Caller,
    api::{Problem, ProblemCode, Services, body, etag::ETag},
};

/// A secret that was found.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FoundSecret)]
pub(in crate::api) struct FoundSecretBody {
    /// The secret; it stands in no answer and in no log.
    #[schema(write_only, example = "sk_live_...")]
    secret: String,
}

/// The secret that a request asks about. What is wrong with the body is not quoted, as it may be the secret.
pub(in crate::api) async fn secret_of(request: Request) -> Result<String, Problem> {
    let bytes = body::read(request).await?;
    let FoundSecretBody { secret } = common::json::from_slice(&bytes).map_err(|error| {
        let place = format!("line {} column {}", error.line(), error.column());
        let detail = format!("the body must be an object whose only member is `secret`, a text; it is not at {place}");
        Problem::new(ProblemCode::BodyInvalid, detail)
    })?;
    Ok(secret.trim().to_owned())
}

/// No key of the caller's has a secret.
pub(in crate::api) fn nobodys(what: &str) -> Problem {
    Problem::new(ProblemCode::NotFound, format!("no {what} of yours has this secret"))
}

/// Find an API key by its secret
///
/// For a secret that has leaked: the answer says which key it is, and not the secret. A key that is not in your subtree is
/// not found.
#[utoipa::path(
    post,
    path = "/v1/keys/find",
    tag = "keys",
    request_body = FoundSecretBody,
    responses((status = 200, description = "The key", body = KeyDocument,
        headers(("ETag" = String, description = "Its revision")))),
)]
pub(in crate::api) async fn find(
    State(services): State<Arc<Services>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let secret = secret_of(request).await?;
    let secret = Secret::parse(secret.as_bytes()).map_err(|_| nobodys("API key"))?;
    let found = caller.store().key_by_hash(&services.pepper.hash(&secret)).await?;
    let key = found.ok_or_else(|| nobodys("API key"))?;
    let document = KeyDocument::of(key, services.clock.now());
    Ok((NO_STORE, ETag(document.revision), axum::Json(document)).into_response())
}
