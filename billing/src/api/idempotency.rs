//! Idempotent creations: a creation with the header `Idempotency-Key` happens once, however often
//! it is requested.

use axum::{
    Json,
    extract::{FromRequest, Request},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use common::{acting::IdempotencyKey, api::problem::ProblemCode, store::StoreError};
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};

use super::body;
use crate::problem::Problem;

/// The header that makes a creation happen once.
pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The header of an answer to a repeated creation.
pub(super) const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Longest idempotency key, in characters.
const NAME_MAX_CHARS: usize = 255;

/// A request to create something: its body, and its idempotency key if the caller sent one.
pub(super) struct Creation<T> {
    pub(super) body: T,
    pub(super) idempotency: Option<IdempotencyKey>,
}

/// Outcome of a creation.
pub(super) enum Created<T> {
    /// Created now.
    Now(T),
    /// Created before; holds the id.
    Before(String),
}

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Creation<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let name = name(request.headers())?;
        let mut digest = Sha256::new();
        digest.update(format!("{} {}\n", request.method(), request.uri().path()));
        let bytes = body::read(request).await?;
        digest.update(&bytes);
        let fingerprint = hex(&digest.finalize());
        Ok(Self { body: body::parse(&bytes)?, idempotency: name.map(|key| IdempotencyKey { key, fingerprint }) })
    }
}

impl<T> Created<T> {
    /// The outcome by the result of the store.
    pub(super) fn of(result: Result<T, StoreError>) -> Result<Self, Problem> {
        match result {
            Ok(created) => Ok(Self::Now(created)),
            Err(StoreError::Replayed { subject }) => Ok(Self::Before(subject)),
            Err(error) => Err(error.into()),
        }
    }
}

/// The answer 201 to a creation, with the location of the new thing.
pub(super) fn created(location: &str, document: impl Serialize) -> Response {
    let location = HeaderValue::from_str(location).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::CREATED, [(header::LOCATION, location)], Json(document)).into_response()
}

/// The answer 200 to a repeated creation, with the current document.
pub(super) fn replayed(document: impl Serialize) -> Response {
    ([(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"))], Json(document)).into_response()
}

/// Parses the id of a thing that was created before.
pub(super) fn subject<T: std::str::FromStr>(subject: &str) -> Result<T, Problem> {
    // The idempotency key belongs to this path and body, so the id is of this kind.
    subject.parse().map_err(|_| Problem::new(ProblemCode::Internal, format!("{subject} is of another kind")))
}

fn name(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let text = value.to_str().ok().filter(|text| (1..=NAME_MAX_CHARS).contains(&text.len()));
    if let (Some(text), None) = (text, values.next()) {
        return Ok(Some(text.to_owned()));
    }
    let detail = format!("Idempotency-Key: one of 1 to {NAME_MAX_CHARS} visible ASCII characters");
    Err(Problem::new(ProblemCode::HeaderInvalid, detail))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
