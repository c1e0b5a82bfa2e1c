//! The answers to calls of gRPC: a refusal is an answer of 200 whose header carries the status
//! ("trailers only"), and statuses of gRPC and of HTTP stand for each other.

use std::fmt::Write as _;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, Version, header};
use pingora_http::{RequestHeader, ResponseHeader};

use super::Problem;

const CONTENT_TYPE: &str = "application/grpc";
const STATUS: &str = "grpc-status";
const MESSAGE: &str = "grpc-message";

/// The form in which a client reads a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A problem document.
    Document,
    /// A status of gRPC.
    Grpc,
}

impl Shape {
    /// The form for the client of a request.
    pub fn of(request: &RequestHeader) -> Self {
        Self::for_client(request.version, &request.headers)
    }

    /// The form for a client that sent these headers. Calls of gRPC come by HTTP/2 only.
    pub fn for_client(version: Version, headers: &HeaderMap) -> Self {
        if version == Version::HTTP_2 && is_grpc(headers) { Self::Grpc } else { Self::Document }
    }
}

impl Problem {
    /// Header and body for a client that reads problems in this form.
    pub fn answer(&self, request_id: &str, shape: Shape) -> pingora_core::Result<(ResponseHeader, Bytes)> {
        if shape == Shape::Document {
            let body = self.body(request_id);
            return Ok((self.header(request_id, body.len())?, body));
        }
        let mut header = self.header(request_id, 0)?;
        header.set_status(StatusCode::OK)?;
        header.remove_header(&header::CONTENT_LENGTH);
        header.insert_header(header::CONTENT_TYPE, CONTENT_TYPE)?;
        for (name, value) in &self.trailers() {
            header.insert_header(name, value.clone())?;
        }
        Ok((header, Bytes::new()))
    }

    /// The trailers that end a call whose answer has begun.
    pub fn trailers(&self) -> HeaderMap {
        let mut trailers = HeaderMap::with_capacity(2);
        trailers.insert(STATUS, status(self.status()).into());
        let message = escaped(&format!("{}: {}", self.code().as_str(), self.detail()));
        // Escaped text is visible ASCII.
        if let Ok(message) = HeaderValue::try_from(message) {
            trailers.insert(MESSAGE, message);
        }
        trailers
    }
}

/// Returns true if headers say that the body is of gRPC, which has names for encodings of its
/// messages: `application/grpc+proto`.
fn is_grpc(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return false };
    let rest = value.as_bytes().strip_prefix(CONTENT_TYPE.as_bytes());
    rest.is_some_and(|rest| matches!(rest, [] | [b'+' | b';' | b' ', ..]))
}

/// The status of gRPC in headers or trailers.
pub(crate) fn status_in(headers: &HeaderMap) -> Option<u16> {
    headers.get(STATUS)?.to_str().ok()?.parse().ok()
}

/// The status of gRPC for one of HTTP that the gateway itself answers with.
pub(crate) const fn status(http: StatusCode) -> u16 {
    match http {
        StatusCode::BAD_REQUEST | StatusCode::URI_TOO_LONG | StatusCode::EXPECTATION_FAILED => 3,
        StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => 4,
        StatusCode::FORBIDDEN => 7,
        StatusCode::PAYMENT_REQUIRED
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
        | StatusCode::TOO_MANY_REQUESTS => 8,
        StatusCode::CONFLICT => 10,
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::HTTP_VERSION_NOT_SUPPORTED => 12,
        StatusCode::INTERNAL_SERVER_ERROR => 13,
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE => 14,
        StatusCode::UNAUTHORIZED => 16,
        _ => 2,
    }
}

/// The status of HTTP that stands for one of gRPC, in usage and for `billable`.
pub(crate) const fn http_status(status: u16) -> u16 {
    match status {
        0 => 200,
        1 => 499,
        3 | 9 | 11 => 400,
        4 => 504,
        5 => 404,
        6 | 10 => 409,
        7 => 403,
        8 => 429,
        12 => 501,
        14 => 503,
        16 => 401,
        _ => 500,
    }
}

/// The status of HTTP by which the server of a call is judged: a failure only where the server
/// says that it failed, whatever the client asked. A client can bring about `DEADLINE_EXCEEDED` and
/// `UNIMPLEMENTED` by itself.
pub(crate) const fn judged_status(status: u16) -> u16 {
    match status {
        2 | 13 | 15 => 500,
        14 => 503,
        _ => 200,
    }
}

/// A text as `grpc-message` carries it: visible ASCII, all else escaped byte by byte.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            escaped.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::Code;

    fn headers(content_type: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(content_type))])
    }

    #[test]
    fn calls_are_known_by_their_content_type_and_version() {
        for call in ["application/grpc", "application/grpc+proto", "application/grpc;charset=utf-8"] {
            assert_eq!(Shape::for_client(Version::HTTP_2, &headers(call)), Shape::Grpc, "{call}");
            assert_eq!(Shape::for_client(Version::HTTP_11, &headers(call)), Shape::Document, "{call}");
        }
        for other in ["application/grpc-web", "application/grpcx", "application/json"] {
            assert_eq!(Shape::for_client(Version::HTTP_2, &headers(other)), Shape::Document, "{other}");
        }
    }

    #[test]
    fn each_code_has_a_status_that_is_an_error() {
        let documentation = include_str!("../../../docs/grpc.md");
        for code in Code::ALL {
            let (http, grpc) = (code.status().as_u16(), status(code.status()));
            assert!((1..=16).contains(&grpc) && grpc != 2, "{code:?}");
            let row = documentation.lines().find(|line| line.starts_with(&format!("| {http} ")));
            assert!(row.is_some_and(|row| row.contains(&format!("| {grpc} `"))), "{code:?}: docs/grpc.md has {row:?}");
        }
        assert_eq!(status(StatusCode::SERVICE_UNAVAILABLE), 14);
    }

    #[test]
    fn refusal_is_answered_in_the_header() {
        let problem = Problem::new(Code::RateLimited, "100 % of it is ü\n").retry_after(3);
        let (header, body) = problem.answer("r-1", Shape::Grpc).unwrap();
        assert_eq!((header.status, body.len()), (StatusCode::OK, 0));
        assert_eq!(header.headers["content-type"], "application/grpc");
        assert_eq!(header.headers["grpc-status"], "8");
        assert_eq!(header.headers["grpc-message"], "rate_limited: 100 %25 of it is %C3%BC%0A");
        assert_eq!(header.headers["retry-after"], "3");
        assert_eq!(header.headers["x-request-id"], "r-1");
        assert!(!header.headers.contains_key("content-length"));
        let (header, body) = problem.answer("r-1", Shape::Document).unwrap();
        assert_eq!((header.status.as_u16(), header.headers["content-length"].clone()), (429, body.len().into()));
    }

    #[test]
    fn status_is_read_as_a_number() {
        let status = |value| status_in(&HeaderMap::from_iter([("grpc-status".parse().unwrap(), value)]));
        assert_eq!(status(HeaderValue::from_static("14")), Some(14));
        assert_eq!(status(HeaderValue::from_static("x")), None);
        assert_eq!(status_in(&HeaderMap::new()), None);
        assert_eq!([0, 1, 5, 13, 14, 99].map(http_status), [200, 499, 404, 500, 503, 500]);
    }
}
