//! Answers that a route gives by itself: a redirect, or a fixed answer. No upstream is asked.

use std::fmt::Write as _;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use pingora_core::Result;
use pingora_http::ResponseHeader;

use crate::pattern::{Filling, Template};

/// The answer of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// Headers beside those of the gateway.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Bytes,
    /// The location that a redirect leads to.
    pub location: Option<Template>,
    /// True if it is recorded as usage of the caller.
    pub metered: bool,
}

/// A redirect needs a host, and the request names none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the request has no usable `Host`, which the redirect needs")]
pub(crate) struct NoHost;

impl Reply {
    /// The header of the answer to a request.
    pub(crate) fn header(&self, filling: &Filling<'_>) -> Result<std::result::Result<ResponseHeader, NoHost>> {
        let mut response = ResponseHeader::build(self.status, Some(self.headers.len() + 8))?;
        for (name, value) in &self.headers {
            response.append_header(name, value)?;
        }
        if let Some(template) = &self.location {
            let Some(location) = template.fill(filling) else { return Ok(Err(NoHost)) };
            response.insert_header(header::LOCATION, as_location(&location))?;
        }
        if !has_no_body(self.status) {
            response.insert_header(header::CONTENT_LENGTH, self.body.len())?;
        }
        Ok(Ok(response))
    }
}

/// Returns true if an answer of this status never has a body.
pub(crate) fn has_no_body(status: StatusCode) -> bool {
    status.is_informational() || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED
}

/// The location as it is sent: what may not stand in a URL is escaped, and a path is no other host.
fn as_location(filled: &str) -> String {
    // `//evil.test` and `/\evil.test` are hosts to a browser.
    let path = filled.trim_start_matches(['/', '\\']);
    let start = if path.len() < filled.len() { "/" } else { "" };
    let mut location = start.to_owned();
    for byte in path.bytes() {
        if byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte) {
            location.push(char::from(byte));
        } else {
            // Writing into a string does not fail.
            let _ = write!(location, "%{byte:02X}");
        }
    }
    location
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::PathPattern;

    #[test]
    fn location_is_a_url_and_never_another_host() {
        let cases = [
            ("https://a.test/b?c=d#e", "https://a.test/b?c=d#e"),
            ("/a b\u{e4}", "/a%20b%C3%A4"),
            ("//evil.test/x", "/evil.test/x"),
            ("/\\evil.test", "/evil.test"),
            ("/a\"<>\\", "/a%22%3C%3E%5C"),
            ("/a\r\nX: y", "/a%0D%0AX:%20y"),
            ("/", "/"),
        ];
        for (filled, location) in cases {
            assert_eq!(as_location(filled), location, "{filled}");
        }
    }

    #[test]
    fn header_has_what_the_route_says_and_a_length() {
        let pattern = PathPattern::parse("/old/{id}").unwrap();
        let filling = Filling { pattern: &pattern, path: "/old/7", query: Some("a=b"), host: None };
        let mut reply = Reply {
            status: StatusCode::OK,
            headers: vec![(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"))],
            body: Bytes::from_static(b"hello"),
            location: None,
            metered: false,
        };
        let answer = reply.header(&filling).unwrap().unwrap();
        assert_eq!((answer.status.as_u16(), &answer.headers["content-length"]), (200, &HeaderValue::from_static("5")));
        reply.status = StatusCode::NO_CONTENT;
        assert!(!reply.header(&filling).unwrap().unwrap().headers.contains_key("content-length"));
        reply.location = Some(Template::parse("/new/{id}{query}", &pattern, true).unwrap());
        assert_eq!(reply.header(&filling).unwrap().unwrap().headers["location"], "/new/7?a=b");
        reply.location = Some(Template::parse("https://{host}/", &pattern, true).unwrap());
        assert_eq!(reply.header(&filling).unwrap().unwrap_err(), NoHost);
    }
}
