//! Answers of the gateway itself: problem details (RFC 9457), from one table of codes.
//!
//! Whatever room refuses, it hands over a [`Problem`]; only this room knows how it looks on the
//! wire. Rate headers are made here as well, for refusals and for forwarded answers alike.

mod code;
pub(crate) mod grpc;
mod limits;

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
pub use code::Code;
use common::{dunning::Unpaid, id::InvoiceId};
use http::{StatusCode, header};
pub use limits::{RateHeaders, rate_headers, told_remaining};
use pingora_http::ResponseHeader;
use serde::Serialize;

use crate::{
    auth::{AuthError, TokenRefusal, failures::TooManyFailures},
    limit::{Denial, DenialReason, LimitState},
    route::{PathError, RouteError},
};

/// `Content-Type` of a problem.
pub const PROBLEM_CONTENT_TYPE: &str = "application/problem+json";

/// The challenge of a 401.
const CHALLENGE: &str = "Bearer realm=\"api\"";

/// The same for a token that was refused (RFC 6750).
const TOKEN_CHALLENGE: &str = "Bearer realm=\"api\", error=\"invalid_token\"";

/// Seconds after which a token is worth another try whose issuer did not tell its keys.
const TOKEN_RETRY_SECONDS: u64 = 10;

/// The reason for which the gateway itself answers a request.
#[derive(Debug, Clone)]
pub struct Problem {
    code: Code,
    status: StatusCode,
    detail: Cow<'static, str>,
    allow: Option<String>,
    limits: Vec<LimitState>,
    violated: Option<&'static str>,
    retry_after_seconds: Option<u64>,
    unpaid: Option<Arc<Unpaid>>,
}

/// A problem as clients read it.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    code: &'static str,
    detail: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    request_id: &'a str,
    #[serde(rename = "violated-policies", skip_serializing_if = "Option::is_none")]
    violated_policies: Option<[&'static str; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    invoice: Option<InvoiceId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pay_at: Option<&'a str>,
}

impl Problem {
    /// A problem; `detail` says what about this request, and never holds a credential.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            status: code.status(),
            detail: detail.into(),
            allow: None,
            limits: Vec::new(),
            violated: None,
            retry_after_seconds: None,
            unpaid: None,
        }
    }

    /// The upstream is not asked at all for so many seconds.
    pub fn upstream_unavailable(detail: &'static str, seconds: u64) -> Self {
        let problem = Self::new(Code::UpstreamUnavailable, detail).retry_after(seconds);
        Self { status: StatusCode::SERVICE_UNAVAILABLE, ..problem }
    }

    /// The same, with a time after which a retry makes sense.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    /// The same, with the methods that are served instead.
    #[must_use]
    pub fn allow(mut self, methods: &str) -> Self {
        self.allow = Some(methods.to_owned());
        self
    }

    /// Its code.
    pub const fn code(&self) -> Code {
        self.code
    }

    /// The status that it is answered with.
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// Text about this request in particular.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The methods that are served instead, if the method is the reason.
    pub fn allowed(&self) -> Option<&str> {
        self.allow.as_deref()
    }

    /// State of the caller's limits, if a limit is the reason.
    pub fn limits(&self) -> &[LimitState] {
        &self.limits
    }

    /// Whole seconds after which a retry makes sense, if it does at all.
    pub const fn retry_after_seconds(&self) -> Option<u64> {
        self.retry_after_seconds
    }

    /// The body.
    pub fn body(&self, request_id: &str) -> Bytes {
        let document = Document {
            kind: format!("urn:tollgate:problem:{}", self.code.as_str()),
            title: self.code.title(),
            status: self.status.as_u16(),
            code: self.code.as_str(),
            detail: &self.detail,
            request_id,
            violated_policies: self.violated.map(|policy| [policy]),
            retry_after_seconds: self.retry_after_seconds,
            invoice: self.unpaid.as_ref().map(|unpaid| unpaid.invoice),
            pay_at: self.unpaid.as_ref().and_then(|unpaid| unpaid.pay_at.as_deref()),
        };
        // Serializing plain strings and numbers cannot fail; a client would still get status and
        // headers.
        serde_json::to_vec(&document).unwrap_or_default().into()
    }

    /// The header that goes with a body of `length` bytes.
    pub fn header(&self, request_id: &str, length: usize) -> pingora_core::Result<ResponseHeader> {
        let mut response = ResponseHeader::build(self.status, Some(12))?;
        response.insert_header(header::CONTENT_TYPE, PROBLEM_CONTENT_TYPE)?;
        response.insert_header(header::CONTENT_LENGTH, length)?;
        response.insert_header(header::CACHE_CONTROL, "no-store")?;
        if !request_id.is_empty() {
            response.insert_header("X-Request-Id", request_id)?;
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = if self.code == Code::InvalidToken { TOKEN_CHALLENGE } else { CHALLENGE };
            response.insert_header(header::WWW_AUTHENTICATE, challenge)?;
        }
        if let Some(allow) = &self.allow {
            response.insert_header(header::ALLOW, allow.as_str())?;
        }
        if let Some(seconds) = self.retry_after_seconds {
            response.insert_header(header::RETRY_AFTER, seconds)?;
        }
        for (name, value) in rate_headers(&self.limits) {
            response.insert_header(name, value)?;
        }
        Ok(response)
    }
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        let problem = Self::new((&error).into(), error.to_string());
        match error {
            AuthError::Unpaid(unpaid) => Self { unpaid: Some(unpaid), ..problem },
            AuthError::BudgetSpent { retry_after_seconds, .. } => problem.retry_after(retry_after_seconds),
            _ => problem,
        }
    }
}

impl From<TokenRefusal> for Problem {
    fn from(refusal: TokenRefusal) -> Self {
        let problem = Self::new((&refusal).into(), refusal.to_string());
        if problem.code == Code::TokenIssuerUnavailable { problem.retry_after(TOKEN_RETRY_SECONDS) } else { problem }
    }
}

impl From<PathError> for Problem {
    fn from(error: PathError) -> Self {
        Self::new(Code::InvalidRequest, error.to_string())
    }
}

impl From<RouteError> for Problem {
    fn from(error: RouteError) -> Self {
        let problem = Self::new((&error).into(), error.to_string());
        match error {
            RouteError::NotFound | RouteError::Path(_) | RouteError::Header { .. } => problem,
            RouteError::MethodNotAllowed { allow } => Self { allow: Some(allow), ..problem },
        }
    }
}

impl From<TooManyFailures> for Problem {
    fn from(refused: TooManyFailures) -> Self {
        let seconds = refused.retry_after.as_secs().max(1);
        let detail = format!("too many failed API keys from this address; try again in {seconds} s");
        Self::new(Code::TooManyFailures, detail).retry_after(seconds)
    }
}

impl From<Denial> for Problem {
    fn from(denial: Denial) -> Self {
        let violated = denial.violated;
        if denial.reason == DenialReason::CreditSpent {
            let detail = "the prepaid credit is spent; requests are served again once credit is added";
            return Self {
                limits: denial.limits,
                violated: Some(violated.policy),
                ..Self::new(denial.reason.into(), detail)
            };
        }
        let LimitState { policy, quota, window_seconds, .. } = violated;
        let terms = if violated.is_concurrency() {
            format!("{quota} at once")
        } else {
            format!("{quota} per {window_seconds} s")
        };
        let detail = format!("limit `{policy}` ({terms}) is reached; try again in {} s", denial.retry_after_seconds);
        Self {
            limits: denial.limits,
            violated: Some(violated.policy),
            ..Self::new(denial.reason.into(), detail).retry_after(denial.retry_after_seconds)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_unique_words_and_errors_only() {
        let words: HashSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(words.len(), Code::ALL.len());
        for code in Code::ALL {
            assert!(code.as_str().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{code:?}");
            assert!(code.status().as_u16() >= 400, "{code:?}");
        }
    }

    #[test]
    fn problem_is_a_complete_document() {
        let problem = Problem::new(Code::UpstreamTimeout, "no answer within 60 s");
        let body: serde_json::Value = serde_json::from_slice(&problem.body("r-1")).unwrap();
        assert_eq!(
            body,
            serde_json::json!({
                "type": "urn:tollgate:problem:upstream_timeout",
                "title": "The upstream did not answer in time",
                "status": 504,
                "code": "upstream_timeout",
                "detail": "no answer within 60 s",
                "request_id": "r-1",
            })
        );
        let header = problem.header("r-1", 10).unwrap();
        assert_eq!(header.status, 504);
        assert_eq!(header.headers["content-type"], PROBLEM_CONTENT_TYPE);
        assert_eq!(header.headers["x-request-id"], "r-1");
    }

    #[test]
    fn refusals_carry_the_headers_that_belong_to_them() {
        let unauthorized = Problem::from(AuthError::Missing).header("r", 0).unwrap();
        assert_eq!(unauthorized.headers["www-authenticate"], CHALLENGE);
        let method = Problem::from(RouteError::MethodNotAllowed { allow: "GET, HEAD".into() }).header("r", 0).unwrap();
        assert_eq!(method.headers["allow"], "GET, HEAD");
        let state = LimitState { policy: "key-second", quota: 5, window_seconds: 1, remaining: 0, reset_seconds: 1 };
        let denial =
            Denial { reason: DenialReason::RateLimited, violated: state, limits: vec![state], retry_after_seconds: 2 };
        let problem = Problem::from(denial);
        let limited = problem.header("r", 0).unwrap();
        assert_eq!(limited.status, 429);
        assert_eq!(limited.headers["retry-after"], "2");
        assert_eq!(limited.headers["x-ratelimit-remaining"], "0");
        let body: serde_json::Value = serde_json::from_slice(&problem.body("r")).unwrap();
        assert_eq!(body["violated-policies"], serde_json::json!(["key-second"]));
    }
}
