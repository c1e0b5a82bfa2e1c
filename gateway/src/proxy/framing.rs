//! The framing of an upstream's answer. An answer must not reach a client if clients and proxies
//! would read its end in more than one way (RFC 9112, section 6.3).

use http::{HeaderMap, Version, header};
use pingora_http::ResponseHeader;

use crate::{
    answer::{Code, Problem},
    listen::head::bytes::number,
};

/// Refuses an answer whose end is not said in one way only.
pub(super) fn check(response: &ResponseHeader) -> Result<(), Problem> {
    let headers = &response.headers;
    if headers.contains_key(header::CONTENT_LENGTH) && content_length(headers).is_none() {
        return Err(refused("the upstream's answer has not exactly one `Content-Length` that is a number"));
    }
    if let Some(first) = headers.get(header::TRANSFER_ENCODING) {
        let is_only = headers.get_all(header::TRANSFER_ENCODING).iter().nth(1).is_none();
        if !(is_only && first.as_bytes().eq_ignore_ascii_case(b"chunked")) || response.version == Version::HTTP_10 {
            return Err(refused("the upstream's answer has a `Transfer-Encoding` other than `chunked`"));
        }
    }
    Ok(())
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    let mut values = headers.get_all(header::CONTENT_LENGTH).iter();
    let (value, None) = (values.next()?, values.next()) else {
        return None;
    };
    number(value.as_bytes())
}

fn refused(detail: &'static str) -> Problem {
    Problem::new(Code::UpstreamFailed, detail)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn is_good(headers: &[(&'static str, &[u8])]) -> bool {
        let mut response = ResponseHeader::build(200, None).unwrap();
        for (name, value) in headers {
            // As Pingora makes them: of whatever bytes came.
            let value = HeaderValue::from_bytes(value).unwrap();
            response.append_header(*name, value).unwrap();
        }
        check(&response).is_ok()
    }

    #[test]
    fn answer_that_ends_in_one_way_is_good() {
        assert!(is_good(&[]));
        assert!(is_good(&[("content-length", b"0"), ("x-a", b"r\xe9sum\xe9\t")]));
        assert!(is_good(&[("transfer-encoding", b"Chunked")]));
    }

    #[test]
    fn answer_that_ends_in_several_ways_is_refused() {
        for lengths in [&["3, 3"][..], &["3", "3"], &["3", "4"], &[""], &["+3"], &["03"], &["3;a"], &["-1"]] {
            let headers: Vec<_> = lengths.iter().map(|length| ("content-length", length.as_bytes())).collect();
            assert!(!is_good(&headers), "{lengths:?}");
        }
        for codings in [&["gzip, chunked"][..], &["gzip"], &["chunked, chunked"], &["chunked", "chunked"], &[""]] {
            let headers: Vec<_> = codings.iter().map(|coding| ("transfer-encoding", coding.as_bytes())).collect();
            assert!(!is_good(&headers), "{codings:?}");
        }
    }
}
