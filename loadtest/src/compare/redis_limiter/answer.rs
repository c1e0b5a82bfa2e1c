//! Answers: the decision and the state of each limit, in a document and in headers, as the
//! gateway's API has them.

use std::fmt::Write as _;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde::Serialize;

use super::{Limiter, Verdict, terms::Terms};

pub(super) type Answer = Response<Full<Bytes>>;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

const MICROS_PER_SECOND: u64 = 1_000_000;

#[derive(Serialize)]
struct Document<'a> {
    decision: &'static str,
    reason: Option<&'static str>,
    limits: Vec<Limit<'a>>,
    retry_after_ms: Option<u64>,
}

#[derive(Serialize)]
struct Limit<'a> {
    policy: &'a str,
    quota: u64,
    window_seconds: u64,
    remaining: u64,
    reset_seconds: u64,
}

/// The header `RateLimit-Policy`.
pub(super) fn policy(terms: &[Terms]) -> HeaderValue {
    let policies: Vec<_> = terms
        .iter()
        .map(|terms| format!("\"{}\";q={};w={}", terms.policy, terms.quota, terms.window_seconds))
        .collect();
    // Names and numbers are always a header.
    HeaderValue::try_from(policies.join(", ")).unwrap_or(HeaderValue::from_static(""))
}

/// The answer to a question.
pub(super) fn verdict(limiter: &Limiter, verdict: &Verdict) -> Answer {
    let Verdict::Known { wait, missing } = verdict else {
        return document(&denied("unknown_key", Vec::new()), HeaderMap::new());
    };
    let limits: Vec<_> =
        limiter.terms.iter().zip(missing).map(|(terms, missing)| Limit::new(terms, *missing)).collect();
    let mut headers = HeaderMap::new();
    headers.insert(POLICY, limiter.policy.clone());
    headers.extend(state(&limits).map(|state| (RATE_LIMIT, state)));
    if *wait == 0 {
        let allowed = Document { decision: "allow", reason: None, limits, retry_after_ms: None };
        return document(&allowed, headers);
    }
    headers.insert(header::RETRY_AFTER, wait.div_ceil(MICROS_PER_SECOND).into());
    let retry_after_ms = Some(wait.div_ceil(1_000));
    document(&Document { retry_after_ms, ..denied("rate_limited", limits) }, headers)
}

/// The header `RateLimit`.
fn state(limits: &[Limit<'_>]) -> Option<HeaderValue> {
    let mut state = String::with_capacity(32 * limits.len());
    for Limit { policy, remaining, reset_seconds, .. } in limits {
        let separator = if state.is_empty() { "" } else { ", " };
        let _ = write!(state, "{separator}\"{policy}\";r={remaining};t={reset_seconds}");
    }
    HeaderValue::try_from(state).ok()
}

/// An answer without a decision.
pub(super) fn plain(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(text.into()));
    *answer.status_mut() = status;
    answer
}

const fn denied<'a>(reason: &'static str, limits: Vec<Limit<'a>>) -> Document<'a> {
    Document { decision: "deny", reason: Some(reason), limits, retry_after_ms: None }
}

impl<'a> Limit<'a> {
    fn new(terms: &'a Terms, missing_us: u64) -> Self {
        Self {
            policy: &terms.policy,
            quota: terms.quota,
            window_seconds: terms.window_seconds,
            remaining: terms.remaining(missing_us).min(terms.quota),
            reset_seconds: missing_us.div_ceil(MICROS_PER_SECOND),
        }
    }
}

fn document(document: &Document<'_>, mut headers: HeaderMap) -> Answer {
    headers.insert(header::CONTENT_TYPE, JSON);
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    // Serializing plain strings and numbers cannot fail.
    let mut answer = plain(StatusCode::OK, serde_json::to_vec(document).unwrap_or_default());
    *answer.headers_mut() = headers;
    answer
}
