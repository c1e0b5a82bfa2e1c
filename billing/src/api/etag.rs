//! Revisions: an answer carries its revision as `ETag`, and a change may name the revision that it
//! is based on.

use std::convert::Infallible;

use axum::{
    extract::FromRequestParts,
    http::{HeaderValue, header, request::Parts},
    response::{IntoResponse, IntoResponseParts, Response, ResponseParts},
};
use common::api::problem::ProblemCode;

use crate::problem::Problem;

/// The header `ETag`: the revision in quotes.
pub(super) struct ETag(pub(super) i64);

impl IntoResponseParts for ETag {
    type Error = Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Infallible> {
        if let Ok(value) = HeaderValue::from_str(&format!("\"{}\"", self.0)) {
            parts.headers_mut().insert(header::ETAG, value);
        }
        Ok(parts)
    }
}

impl IntoResponse for ETag {
    fn into_response(self) -> Response {
        (self, ()).into_response()
    }
}

/// The header `If-Match`: the revision that a change is based on. The change is refused if the
/// thing has changed since.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct IfMatch(pub(super) Option<i64>);

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let mut values = parts.headers.get_all(header::IF_MATCH).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(Self(None)),
            (Some(value), None) => value.to_str().ok().and_then(parse).ok_or_else(invalid),
            _ => Err(invalid()),
        }
    }
}

/// Parses `*`, or one entity tag. A weak or foreign tag matches nothing, as no revision is 0.
fn parse(value: &str) -> Option<IfMatch> {
    let value = value.trim();
    if value == "*" {
        return Some(IfMatch(None));
    }
    let tag = value.strip_prefix("W/").unwrap_or(value).strip_prefix('"')?.strip_suffix('"')?;
    if tag.contains('"') {
        return None;
    }
    let revision = tag.parse().ok().filter(|_| !value.starts_with("W/"));
    Some(IfMatch(Some(revision.unwrap_or(0))))
}

fn invalid() -> Problem {
    Problem::new(ProblemCode::HeaderInvalid, "If-Match: send the ETag that the change is based on, or *")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_strong_tag_with_a_revision_can_match() {
        assert_eq!(parse("\"3\""), Some(IfMatch(Some(3))));
        assert_eq!(parse("*"), Some(IfMatch(None)));
        for foreign in ["W/\"3\"", "\"abc\"", "\"\""] {
            assert_eq!(parse(foreign), Some(IfMatch(Some(0))), "{foreign}");
        }
        for garbled in ["3", "\"3", "", "\"3\", \"4\""] {
            assert_eq!(parse(garbled), None, "{garbled}");
        }
    }
}
