//! JSON bodies: content type, size, time of arrival, and strict parsing.

use std::time::Duration;

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, header},
};
use common::api::problem::ProblemCode;
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// Largest JSON body, in bytes.
pub(super) const BODY_MAX_BYTES: usize = 1 << 20;

/// Longest time until a body has arrived.
pub(super) const BODY_TIME_LIMIT: Duration = Duration::from_secs(30);

/// The body of a request, read from JSON.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        Ok(Self(parse(&read(request).await?)?))
    }
}

/// Reads a whole body with the content type of JSON.
pub(super) async fn read(request: Request) -> Result<Bytes, Problem> {
    Ok(read_as(request, &["application/json"]).await?.0)
}

/// Reads a whole body with one of these content types, and says with which.
pub(super) async fn read_as(
    request: Request,
    media_types: &'static [&'static str],
) -> Result<(Bytes, &'static str), Problem> {
    let media_type = require(request.headers(), media_types)?;
    Ok((read_bytes(request).await?, media_type))
}

async fn read_bytes(request: Request) -> Result<Bytes, Problem> {
    let too_large = || Problem::new(ProblemCode::BodyTooLarge, format!("a body has at most {BODY_MAX_BYTES} bytes"));
    match tokio::time::timeout(BODY_TIME_LIMIT, Bytes::from_request(request, &())).await {
        Ok(Ok(bytes)) if bytes.len() > BODY_MAX_BYTES => Err(too_large()),
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(too_large()),
        Ok(Err(rejection)) => Err(Problem::new(ProblemCode::BodyUnreadable, rejection.body_text())),
        Err(_) => {
            let seconds = BODY_TIME_LIMIT.as_secs();
            Err(Problem::new(ProblemCode::BodyTimeout, format!("the body did not arrive within {seconds} s")))
        }
    }
}

/// Parses a body; a problem names the position of the fault. Repeated members, an array in place of
/// an object, and more than 127 levels are refused.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    common::json::from_slice(bytes).map_err(|error| {
        let detail: String = error.to_string().chars().take(500).collect();
        Problem::new(ProblemCode::BodyInvalid, detail)
    })
}

fn require(headers: &HeaderMap, media_types: &'static [&'static str]) -> Result<&'static str, Problem> {
    let stated = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = stated.split(';').next().unwrap_or_default().trim();
    media_types.iter().copied().find(|known| media_type.eq_ignore_ascii_case(known)).ok_or_else(|| {
        let detail = format!("Content-Type must be {}", media_types.join(" or "));
        Problem::new(ProblemCode::UnsupportedMediaType, detail)
    })
}
