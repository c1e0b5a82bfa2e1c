//! Problem details (RFC 9457): the one form and the one table of all errors that this interface answers with.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use common::store::StoreError;
use serde::Serialize;
use utoipa::ToSchema;

/// `Content-Type` of a problem document.
const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");

/// Seconds after which a caller may try again what could not be done now.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// An error as callers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    code: ProblemCode,
    detail: String,
    retry_after_seconds: Option<u64>,
}

/// Every error that there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProblemCode {
    /// No credential, or one that does not do.
    Unauthorized,
    /// The caller may not do this.
    Forbidden,
    /// No such path, or no such thing for this caller.
    NotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// The body is of another type.
    UnsupportedMediaType,
    /// The body is too large.
    BodyTooLarge,
    /// The body took too long.
    BodyTimeout,
    /// The body was cut off or garbled on its way.
    BodyUnreadable,
    /// The body is not the JSON that is expected.
    BodyInvalid,
    /// A parameter of the query is not one, or not as it should be.
    ParameterInvalid,
    /// A header is not as it should be.
    HeaderInvalid,
    /// The cursor is none that this list has handed out.
    CursorInvalid,
    /// The change would break a rule.
    Refused,
    /// As things stand, the change is not possible.
    Conflict,
    /// Somebody changed the thing since the caller read it.
    Stale,
    /// The idempotency key was used for another request.
    IdempotencyMismatch,
    /// Too many requests, or too many credentials that do not do.
    TooManyRequests,
    /// The store cannot do it now.
    StoreUnavailable,
    /// The identity provider does not answer, and its keys are not known.
    IdentityProviderUnavailable,
    /// Kafka does not answer.
    KafkaUnavailable,
    /// Kafka does not have the topic.
    TopicMissing,
    /// A fault on this side.
    Internal,
}

/// The document itself.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemDocument {
    /// Names the kind of problem; stable.
    #[schema(example = "urn:tollgate:problem:body_too_large")]
    r#type: String,
    /// The kind of problem in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// The kind of problem for programs.
    code: ProblemCode,
    /// What is wrong with this request.
    detail: String,
}

impl Problem {
    /// A problem of this kind; `detail` says what is wrong here.
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), retry_after_seconds: None }
    }

    /// The same, with the time after which it is worth another try.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after_seconds: Some(seconds), ..self }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::NotFound { .. } => ProblemCode::NotFound,
            StoreError::Refused(_) => ProblemCode::Refused,
            StoreError::Conflict(_) => ProblemCode::Conflict,
            StoreError::Stale { .. } => ProblemCode::Stale,
            StoreError::IdempotencyMismatch => ProblemCode::IdempotencyMismatch,
            StoreError::Locked(_)
            | StoreError::Unavailable { .. }
            | StoreError::ReadOnly(_)
            | StoreError::Database(_) => ProblemCode::StoreUnavailable,
            _ => ProblemCode::Internal,
        };
        // What a driver says is for operators.
        match code {
            ProblemCode::StoreUnavailable => {
                tracing::warn!(%error, "store_unavailable");
                Self::new(code, "the store cannot do it now; the log of billing says why")
            }
            ProblemCode::Internal => {
                tracing::error!(%error, "request_failed");
                Self::new(code, "this should not happen; the log of billing says why")
            }
            _ => Self::new(code, error.to_string()),
        }
    }
}

impl ProblemCode {
    /// Status, name and title: the table.
    const fn row(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized", "Not authorized"),
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden", "Not allowed"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found", "Not found"),
            Self::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed on this path")
            }
            Self::UnsupportedMediaType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "Unsupported content type")
            }
            Self::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "Body too large"),
            Self::BodyTimeout => (StatusCode::REQUEST_TIMEOUT, "body_timeout", "Body took too long"),
            Self::BodyUnreadable => (StatusCode::BAD_REQUEST, "body_unreadable", "Body not readable"),
            Self::BodyInvalid => (StatusCode::BAD_REQUEST, "body_invalid", "Body not as expected"),
            Self::ParameterInvalid => (StatusCode::BAD_REQUEST, "parameter_invalid", "Parameter not as expected"),
            Self::HeaderInvalid => (StatusCode::BAD_REQUEST, "header_invalid", "Header not as expected"),
            Self::CursorInvalid => (StatusCode::BAD_REQUEST, "cursor_invalid", "Not a cursor of this list"),
            Self::Refused => (StatusCode::UNPROCESSABLE_ENTITY, "refused", "Refused"),
            Self::Conflict => (StatusCode::CONFLICT, "conflict", "Not possible as things stand"),
            Self::Stale => (StatusCode::PRECONDITION_FAILED, "stale", "Changed since"),
            Self::IdempotencyMismatch => {
                (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_mismatch", "Idempotency key used for another request")
            }
            Self::TooManyRequests => (StatusCode::TOO_MANY_REQUESTS, "too_many_requests", "Too many requests"),
            Self::IdentityProviderUnavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, "identity_provider_unavailable", "Identity provider unavailable")
            }
            Self::StoreUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", "Store unavailable"),
            Self::KafkaUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "kafka_unavailable", "Kafka unavailable"),
            Self::TopicMissing => (StatusCode::SERVICE_UNAVAILABLE, "topic_missing", "Topic missing"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error"),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, name, title) = self.code.row();
        let document = ProblemDocument {
            r#type: format!("urn:tollgate:problem:{name}"),
            title,
            status: status.as_u16(),
            code: self.code,
            detail: self.detail,
        };
        let mut response = (status, Json(document)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, CONTENT_TYPE);
        match self.code {
            ProblemCode::Unauthorized => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            ProblemCode::StoreUnavailable
            | ProblemCode::IdentityProviderUnavailable
            | ProblemCode::KafkaUnavailable
            | ProblemCode::TopicMissing => {
                headers.insert(header::RETRY_AFTER, RETRY_AFTER_SECONDS);
            }
            _ => {}
        }
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}
