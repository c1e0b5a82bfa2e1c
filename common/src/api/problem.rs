//! Problem details (RFC 9457): the form of every error of the business API.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The document of an error.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemDocument {
    /// Names the kind of problem; stable.
    #[schema(example = "urn:tollgate:problem:body_too_large")]
    pub r#type: String,
    /// The kind of problem in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The kind of problem for programs.
    pub code: ProblemCode,
    /// The fault of this request, in a sentence.
    pub detail: String,
}

/// All error codes of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProblemCode {
    /// The credential is missing or not accepted.
    Unauthorized,
    /// The caller's role or scopes do not allow the operation.
    Forbidden,
    /// The path does not exist, or the thing does not exist for this caller.
    NotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// The body has a content type that the operation does not take.
    UnsupportedMediaType,
    /// The body is too large.
    BodyTooLarge,
    /// The body took too long to arrive.
    BodyTimeout,
    /// The body was cut off or garbled on its way.
    BodyUnreadable,
    /// The body is not the JSON that the operation expects.
    BodyInvalid,
    /// A query parameter is unknown, repeated or malformed.
    ParameterInvalid,
    /// A header is malformed.
    HeaderInvalid,
    /// The cursor was not handed out by this list.
    CursorInvalid,
    /// The request breaks a rule.
    Refused,
    /// Conflict: the request is valid but contradicts current state.
    Conflict,
    /// The thing has changed since the caller read it.
    Stale,
    /// The idempotency key was used for another request.
    IdempotencyMismatch,
    /// Too many requests of the tenant, or too many failed logins from the address.
    TooManyRequests,
    /// The store is not available at the moment.
    StoreUnavailable,
    /// The identity provider does not answer, and its keys are not known.
    IdentityProviderUnavailable,
    /// The payment provider does not answer.
    PaymentProviderUnavailable,
    /// Kafka does not answer.
    KafkaUnavailable,
    /// Kafka does not have the topic.
    TopicMissing,
    /// Documents cannot be typeset here.
    DocumentsUnavailable,
    /// A fault of the server.
    Internal,
}
