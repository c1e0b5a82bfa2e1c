//! Headers of a message as one map, without the spelling of their names.
//!
//! Pingora keeps beside each header how its name was written, in a second map that every change has
//! to follow, and reads the name of each header that is set from its text. The gateway sets about
//! ten headers in each direction. It gives the spelling up, which means nothing (RFC 9110, section
//! 5.1), and sets headers by names that are known when the program is built.

use http::{HeaderMap, HeaderName, Request, Response, request, response};
use pingora_http::{RequestHeader, ResponseHeader};

/// The header by which a request is named in logs and answers.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Changes a request. Its target must be in origin form, or `*`: another form is not kept.
pub(super) fn edit_request<R>(request: &mut RequestHeader, edit: impl FnOnce(&mut request::Parts) -> R) -> R {
    let nothing = Request::new(()).into_parts().0;
    let mut parts = request::Parts::from(std::mem::replace(request, nothing.into()));
    let outcome = edit(&mut parts);
    *request = parts.into();
    outcome
}

/// Changes the headers of an answer.
pub(super) fn edit_answer<R>(answer: &mut ResponseHeader, edit: impl FnOnce(&mut HeaderMap) -> R) -> R {
    let own_phrase = answer.get_reason_phrase().filter(|phrase| Some(*phrase) != answer.status.canonical_reason());
    let own_phrase = own_phrase.map(str::to_owned);
    let nothing = Response::new(()).into_parts().0;
    let mut parts = response::Parts::from(std::mem::replace(answer, nothing.into()));
    let outcome = edit(&mut parts.headers);
    *answer = parts.into();
    if own_phrase.is_some() {
        // It was read as a phrase before, and is never refused.
        let _ = answer.set_reason_phrase(own_phrase.as_deref());
    }
    outcome
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Method, Version};

    use super::*;

    #[test]
    fn request_keeps_all_but_the_spelling_of_its_headers() {
        let mut request = RequestHeader::build("POST", b"/a/b?c=%20d", None).unwrap();
        request.set_version(Version::HTTP_11);
        request.append_header("X-Twice", "1").unwrap();
        request.append_header("x-tWICE", "2").unwrap();
        edit_request(&mut request, |parts| parts.headers.insert(REQUEST_ID, HeaderValue::from_static("r")));
        assert_eq!(
            (&request.method, request.raw_path(), request.version),
            (&Method::POST, &b"/a/b?c=%20d"[..], Version::HTTP_11)
        );
        let mut wire = Vec::new();
        request.header_to_h1_wire(&mut wire);
        assert_eq!(String::from_utf8(wire).unwrap(), "x-twice: 1\r\nx-twice: 2\r\nx-request-id: r\r\n");
    }

    #[test]
    fn answer_keeps_its_status_and_its_own_phrase() {
        for (phrase, told) in
            [(None, "Not Found"), (Some("Not Found"), "Not Found"), (Some("Gone fishing"), "Gone fishing")]
        {
            let mut answer = ResponseHeader::build(404, None).unwrap();
            answer.set_reason_phrase(phrase).unwrap();
            answer.set_version(Version::HTTP_11);
            answer.append_header("X-A", "1").unwrap();
            edit_answer(&mut answer, |headers| headers.insert(REQUEST_ID, HeaderValue::from_static("r")));
            assert_eq!((answer.status.as_u16(), answer.get_reason_phrase()), (404, Some(told)));
            assert_eq!((answer.version, answer.headers.len()), (Version::HTTP_11, 2));
        }
    }
}
