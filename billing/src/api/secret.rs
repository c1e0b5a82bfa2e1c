//! Answers with secrets, and searches by a secret that has leaked, for API keys and admin keys
//! alike.
//!
//! Invariant: of a secret that a caller searches for, no answer, no log line and no error says
//! anything.

use axum::{
    extract::Request,
    http::{HeaderName, header},
};
use common::api::{key::FoundSecretBody, problem::ProblemCode};

use super::body;
use crate::problem::Problem;

/// Keeps an answer with a secret out of every cache.
pub(super) const NO_STORE: [(HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];

/// The secret in the body of a search. An error does not quote the body, as it may be the secret.
pub(super) async fn searched(request: Request) -> Result<String, Problem> {
    let bytes = body::read(request).await?;
    let FoundSecretBody { secret } = common::json::from_slice(&bytes).map_err(|error| {
        let place = format!("line {} column {}", error.line(), error.column());
        let detail = format!("the body must be an object whose only member is `secret`, a text; it is not at {place}");
        Problem::new(ProblemCode::BodyInvalid, detail)
    })?;
    Ok(secret.trim().to_owned())
}

/// No key of this kind in the caller's subtree has the secret.
pub(super) fn not_found(what: &str) -> Problem {
    Problem::new(ProblemCode::NotFound, format!("no {what} of yours has this secret"))
}
