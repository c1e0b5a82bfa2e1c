//! Problem details (RFC 9457): the form of every error answer, and the table of error codes.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use common::{
    api::problem::{ProblemCode, ProblemDocument},
    store::StoreError,
};

/// `Content-Type` of a problem document.
const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");

/// Seconds after which a caller may repeat a request that failed because of an outage.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// An error as the caller sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    code: ProblemCode,
    detail: String,
    retry_after_seconds: Option<u64>,
}

impl Problem {
    /// A problem of this kind; `detail` says what is wrong here.
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), retry_after_seconds: None }
    }

    /// The kind of problem.
    pub const fn code(&self) -> ProblemCode {
        self.code
    }

    /// The fault, in a sentence.
    pub fn detail(&self) -> &str {
        &self.detail
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
            StoreError::Url { .. }
            | StoreError::SchemaOlder { .. }
            | StoreError::SchemaNewer { .. }
            | StoreError::Replayed { .. }
            | StoreError::PositionMoved { .. }
            | StoreError::Corrupt { .. } => ProblemCode::Internal,
        };
        // The error of the driver is for operators.
        match code {
            ProblemCode::StoreUnavailable => {
                tracing::warn!(event = "store_unavailable", %error);
                Self::new(code, "the store is not available at the moment; the log of billing says why")
            }
            ProblemCode::Internal => {
                tracing::error!(event = "request_failed", %error);
                Self::new(code, "this should not happen; the log of billing says why")
            }
            _ => Self::new(code, error.to_string()),
        }
    }
}

/// Status, name and title of each error code.
const fn row(code: ProblemCode) -> (StatusCode, &'static str, &'static str) {
    match code {
        ProblemCode::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized", "Not authorized"),
        ProblemCode::Forbidden => (StatusCode::FORBIDDEN, "forbidden", "Not allowed"),
        ProblemCode::NotFound => (StatusCode::NOT_FOUND, "not_found", "Not found"),
        ProblemCode::MethodNotAllowed => {
            (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed on this path")
        }
        ProblemCode::UnsupportedMediaType => {
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "Unsupported content type")
        }
        ProblemCode::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "Body too large"),
        ProblemCode::BodyTimeout => (StatusCode::REQUEST_TIMEOUT, "body_timeout", "Body took too long"),
        ProblemCode::BodyUnreadable => (StatusCode::BAD_REQUEST, "body_unreadable", "Body not readable"),
        ProblemCode::BodyInvalid => (StatusCode::BAD_REQUEST, "body_invalid", "Body not as expected"),
        ProblemCode::ParameterInvalid => (StatusCode::BAD_REQUEST, "parameter_invalid", "Parameter not as expected"),
        ProblemCode::HeaderInvalid => (StatusCode::BAD_REQUEST, "header_invalid", "Header not as expected"),
        ProblemCode::CursorInvalid => (StatusCode::BAD_REQUEST, "cursor_invalid", "Not a cursor of this list"),
        ProblemCode::Refused => (StatusCode::UNPROCESSABLE_ENTITY, "refused", "Refused"),
        ProblemCode::Conflict => (StatusCode::CONFLICT, "conflict", "Contradicts current state"),
        ProblemCode::Stale => (StatusCode::PRECONDITION_FAILED, "stale", "Changed since it was read"),
        ProblemCode::IdempotencyMismatch => {
            (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_mismatch", "Idempotency key used for another request")
        }
        ProblemCode::TooManyRequests => (StatusCode::TOO_MANY_REQUESTS, "too_many_requests", "Too many requests"),
        ProblemCode::IdentityProviderUnavailable => {
            (StatusCode::SERVICE_UNAVAILABLE, "identity_provider_unavailable", "Identity provider unavailable")
        }
        ProblemCode::StoreUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", "Store unavailable"),
        ProblemCode::PaymentProviderUnavailable => {
            (StatusCode::SERVICE_UNAVAILABLE, "payment_provider_unavailable", "Payment provider unavailable")
        }
        ProblemCode::KafkaUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "kafka_unavailable", "Kafka unavailable"),
        ProblemCode::TopicMissing => (StatusCode::SERVICE_UNAVAILABLE, "topic_missing", "Topic missing"),
        ProblemCode::DocumentsUnavailable => {
            (StatusCode::SERVICE_UNAVAILABLE, "documents_unavailable", "Documents unavailable")
        }
        ProblemCode::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error"),
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, name, title) = row(self.code);
        let document = ProblemDocument {
            r#type: format!("urn:tollgate:problem:{name}"),
            title: title.to_owned(),
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
            | ProblemCode::PaymentProviderUnavailable
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
