//! `POST /v1/usage/batches`: usage from gateways.
//!
//! Checked in this order: token, content type, size and arrival of the body, the batch itself.
//! Without the token, nothing of the body is read. A batch that arrived whole and can never be
//! booked becomes a dead letter and is acknowledged: the gateway goes on, the numbers show as a
//! gap, and a later version may still read the batch.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use common::{
    api::{
        batch::{BookedDocument, DeadLetterDocument},
        problem::{ProblemCode, ProblemDocument},
    },
    key::IngestToken,
    usage::{BATCH_CONTENT_TYPE, BATCH_MAX_BYTES, BATCH_PATH, BATCH_STREAM_HEADER, StreamId},
};

use super::{body::read_up_to, services::Services};
use crate::{
    ingest::{IngestError, Taken},
    problem::Problem,
};

/// Hand in a usage batch
///
/// Booked exactly once per stream and number: the same batch again changes nothing. After 408, any
/// 5xx or no answer, keep the batch and hand it in again. After 200 or 202, drop it.
#[utoipa::path(
    post,
    path = BATCH_PATH,
    tag = "usage",
    security(("ingest_token" = [])),
    params((
        "X-Usage-Stream" = Option<String>, Header,
        description = "The batch's stream, which names the gateway of an unreadable batch",
    )),
    request_body(content_type = BATCH_CONTENT_TYPE, description = "Protobuf, at most 4 MiB"),
    responses(
        (status = 200, description = "Booked, now or before", body = BookedDocument),
        (status = 202, description = "Not a batch, or a batch that can never be booked: stored as a dead letter",
            body = DeadLetterDocument),
        (status = 400, description = "The body was cut off", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 401, description = "The token is missing or wrong", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 408, description = "The body took too long", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 413, description = "More than 4 MiB", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 415, description = "Another content type", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 429, description = "Too many failed logins from this address", body = ProblemDocument,
            content_type = "application/problem+json", headers(("Retry-After" = u32, description = "Seconds"))),
        (status = 500, description = "The store failed", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 503, description = "The store is locked or unavailable", body = ProblemDocument,
            content_type = "application/problem+json", headers(("Retry-After" = u32, description = "Seconds"))),
    ),
)]
pub(super) async fn take_batch(State(services): State<Arc<Services>>, request: Request) -> Result<Response, Problem> {
    let origin = origin(request.headers());
    let bytes = authorized_body(&services.ingest_token, request).await.inspect_err(|problem| {
        // Any client may cause this, so it must not fill the logs; the metric shows it.
        tracing::debug!(event = "batch_rejected", ?problem);
        services.intake.metrics().count_rejected();
    })?;
    Ok(match services.intake.take(&bytes, &origin).await? {
        Taken::Booked(booked) => Json(BookedDocument::from(booked)).into_response(),
        Taken::Buried(burial) => {
            let document = DeadLetterDocument { dead_letter: burial.reason().to_owned() };
            (StatusCode::ACCEPTED, Json(document)).into_response()
        }
    })
}

/// The stream that the request names.
fn origin(headers: &HeaderMap) -> String {
    let stream = headers.get(BATCH_STREAM_HEADER).and_then(|value| value.to_str().ok()?.parse::<StreamId>().ok());
    stream.map_or_else(|| "unknown".to_owned(), |stream| stream.to_string())
}

async fn authorized_body(token: &IngestToken, request: Request) -> Result<Bytes, Problem> {
    authorize(token, request.headers())?;
    require_batch_type(request.headers())?;
    read_up_to(request.into_body(), BATCH_MAX_BYTES, "a batch").await
}

fn authorize(token: &IngestToken, headers: &HeaderMap) -> Result<(), Problem> {
    let refuse = |detail: &str| Err(Problem::new(ProblemCode::Unauthorized, detail));
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return refuse("exactly one Authorization header is needed: Bearer and the ingest token");
    };
    let presented = value.to_str().ok().and_then(|value| value.split_once(' '));
    match presented {
        Some((scheme, presented)) if scheme.eq_ignore_ascii_case("bearer") && token.matches(presented) => Ok(()),
        _ => refuse("not the ingest token: gateway and billing need the same pepper"),
    }
}

fn require_batch_type(headers: &HeaderMap) -> Result<(), Problem> {
    let stated = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = stated.split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case(BATCH_CONTENT_TYPE) {
        return Ok(());
    }
    Err(Problem::new(ProblemCode::UnsupportedMediaType, format!("Content-Type must be {BATCH_CONTENT_TYPE}")))
}

impl From<IngestError> for Problem {
    fn from(error: IngestError) -> Self {
        let code = if error.is_temporary() { ProblemCode::StoreUnavailable } else { ProblemCode::Internal };
        // The error of the driver is for operators, and was logged.
        Self::new(code, "the batch was not booked: hand it in again; the log of billing says why")
    }
}

#[cfg(test)]
mod tests {
    use common::store::StoreError;

    use super::*;

    #[test]
    fn temporary_store_error_is_503_with_retry_after() {
        let answer = |error: StoreError| Problem::from(IngestError::Store(error)).into_response();
        let locked = answer(StoreError::Locked("busy".into()));
        assert_eq!(locked.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(locked.headers()[header::RETRY_AFTER], "1");
        let corrupt = answer(StoreError::Corrupt { what: "tenant", reason: "no".into() });
        assert_eq!(corrupt.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!corrupt.headers().contains_key(header::RETRY_AFTER));
    }
}
