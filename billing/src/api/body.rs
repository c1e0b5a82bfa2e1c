//! Bodies: content type, size, time of arrival, and strict parsing of JSON.
//!
//! A body that is too large is read to its end, and dropped, before it is refused, as far as that is
//! within bounds: a client that is still sending when the connection is closed may never see the
//! answer.

use std::time::Duration;

use axum::{
    body::{Body as RequestBody, Bytes},
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use common::api::problem::ProblemCode;
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// Largest JSON body, in bytes.
pub(super) const BODY_MAX_BYTES: usize = 1 << 20;

/// Longest time until a body has arrived.
pub(super) const BODY_TIME_LIMIT: Duration = Duration::from_secs(30);

/// Most bytes of a refused body that are read and dropped.
const DROPPED_MAX_BYTES: usize = 64 << 20;

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

/// Reads a whole body of at most so many bytes with one of these content types, and says with which.
pub(super) async fn read_as_up_to(
    request: Request,
    media_types: &'static [&'static str],
    most: usize,
    what: &str,
) -> Result<(Bytes, &'static str), Problem> {
    let media_type = require(request.headers(), media_types)?;
    Ok((read_up_to(request.into_body(), most, what).await?, media_type))
}

async fn read_bytes(request: Request) -> Result<Bytes, Problem> {
    read_up_to(request.into_body(), BODY_MAX_BYTES, "a body").await
}

/// Reads a whole body of at most so many bytes; `what` names it in problems.
pub(super) async fn read_up_to(body: RequestBody, most: usize, what: &str) -> Result<Bytes, Problem> {
    match tokio::time::timeout(BODY_TIME_LIMIT, collect(body, most)).await {
        Ok(Ok(Some(bytes))) => Ok(bytes),
        Ok(Ok(None)) => Err(Problem::new(ProblemCode::BodyTooLarge, format!("{what} has at most {most} bytes"))),
        Ok(Err(error)) => Err(Problem::new(ProblemCode::BodyUnreadable, format!("the body cannot be read: {error}"))),
        Err(_) => {
            let seconds = BODY_TIME_LIMIT.as_secs();
            Err(Problem::new(ProblemCode::BodyTimeout, format!("the body did not arrive within {seconds} s")))
        }
    }
}

/// The bytes of a body; none if there are more than `most`.
async fn collect(body: RequestBody, most: usize) -> Result<Option<Bytes>, axum::Error> {
    let mut parts = body.into_data_stream();
    let (mut bytes, mut came) = (Vec::new(), 0_usize);
    while let Some(part) = parts.next().await {
        let part = part?;
        came = came.saturating_add(part.len());
        if came <= most {
            bytes.extend_from_slice(&part);
        } else if came > DROPPED_MAX_BYTES.max(most) {
            break;
        }
    }
    Ok((came <= most).then(|| bytes.into()))
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
