//! The header of an HTTP/2 request, held to the same rules as one of HTTP/1.1 (RFC 9113, section
//! 8), and written as one: with its host in `Host`, and a path as its target.
//!
//! The protocol's library has checked the form of names and values, the pseudo-headers, and that no
//! header of HTTP/1.1's connections is there (`Connection`, `Transfer-Encoding`, `Upgrade`). It
//! resets the stream of a request that breaks these rules, and one whose body is not as long as
//! `Content-Length` says.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header, request::Parts, uri};

use crate::{
    answer::{Code, Problem},
    config::HEADER_COUNT_MAX,
    listen::head::{METHOD_MAX_BYTES, METHODS, NAME_MAX_BYTES, bytes::number, is_host, path_and_query},
};

/// Reads a header, or says which rule it breaks.
pub(crate) fn read(mut parts: Parts) -> Result<Parts, Problem> {
    check_method(&parts.method)?;
    check_fields(&parts.headers)?;
    let target = std::mem::take(&mut parts.uri).into_parts();
    // The protocol's library keeps no scheme without an authority; it has checked that there is one.
    let scheme = target.scheme.as_ref().map(uri::Scheme::as_str);
    if !matches!((scheme, &target.authority), (Some("http" | "https"), _) | (None, None)) {
        return Err(refused("`:scheme` is neither `http` nor `https`"));
    }
    let host = host(target.authority.as_ref(), &parts.headers)?;
    let path = target.path_and_query.ok_or_else(|| refused("there is no `:path`"))?;
    check_path(&parts.method, path.as_str().as_bytes())?;
    if let Some(host) = host {
        parts.headers.insert(header::HOST, host);
    }
    join_cookies(&mut parts.headers);
    parts.uri = Uri::from(path);
    Ok(parts)
}

fn check_method(method: &Method) -> Result<(), Problem> {
    if matches!(*method, Method::CONNECT | Method::TRACE) {
        let detail = "the gateway serves neither CONNECT nor TRACE";
        return Err(Problem::new(Code::MethodNotAllowed, detail).allow(METHODS));
    }
    if method.as_str().len() > METHOD_MAX_BYTES {
        let detail = format!("the method is too long: at most {METHOD_MAX_BYTES} characters are allowed");
        return Err(Problem::new(Code::InvalidRequest, detail));
    }
    Ok(())
}

fn check_path(method: &Method, path: &[u8]) -> Result<(), Problem> {
    match path {
        [b'/', ..] => path_and_query(path),
        b"*" if *method == Method::OPTIONS => Ok(()),
        b"*" => Err(refused("the target `*` is for OPTIONS only")),
        _ => Err(refused("`:path` must begin with a slash")),
    }
}

/// The value for `Host`, unless there is one already. One that names another host than `:authority`
/// is refused.
fn host(authority: Option<&uri::Authority>, headers: &HeaderMap) -> Result<Option<HeaderValue>, Problem> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (first, more) = (hosts.next(), hosts.next());
    if more.is_some() {
        return Err(refused("there is more than one `Host`"));
    }
    if first.is_some_and(|host| !is_host(host.as_bytes())) {
        return Err(refused("`Host` is not a host name with an optional port"));
    }
    let Some(authority) = authority else {
        return if first.is_some() { Ok(None) } else { Err(refused("there is neither `:authority` nor `Host`")) };
    };
    if !is_host(authority.as_str().as_bytes()) {
        return Err(refused("`:authority` is not a host name with an optional port"));
    }
    match first {
        Some(host) if host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()) => Ok(None),
        Some(_) => Err(refused("`Host` and `:authority` name different hosts")),
        None => HeaderValue::from_str(authority.as_str())
            .map(Some)
            .map_err(|_| refused("`:authority` is not a host name with an optional port")),
    }
}

fn check_fields(headers: &HeaderMap) -> Result<(), Problem> {
    if headers.len() > HEADER_COUNT_MAX {
        let detail = format!("there are more than {HEADER_COUNT_MAX} headers");
        return Err(Problem::new(Code::HeadersTooLarge, detail));
    }
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    for (name, value) in headers {
        let bytes = value.as_bytes();
        if name.as_str().len() > NAME_MAX_BYTES {
            let detail = format!("the name of a header has more than {NAME_MAX_BYTES} bytes");
            return Err(Problem::new(Code::HeadersTooLarge, detail));
        }
        if is_space(bytes.first()) || is_space(bytes.last()) {
            return Err(of_field(name, "has a space at an end of its value"));
        }
    }
    let is_continue = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    if !headers.get_all(header::EXPECT).iter().all(is_continue) {
        return Err(Problem::new(Code::ExpectationFailed, "`Expect` is not `100-continue`"));
    }
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    match (lengths.next(), lengths.next()) {
        (_, Some(_)) => Err(refused("there is more than one `Content-Length`")),
        (Some(length), None) if number(length.as_bytes()).is_none_or(|length| i64::try_from(length).is_err()) => {
            Err(refused("`Content-Length` is not one decimal number"))
        }
        _ => Ok(()),
    }
}

/// Joins the lines of `Cookie`, which HTTP/2 may split and HTTP/1.1 may not (RFC 9113, section
/// 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut lines = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes);
    if lines.by_ref().take(2).count() < 2 {
        return;
    }
    let all: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    // Values that were good stay good with `; ` between them.
    if let Ok(joined) = HeaderValue::from_bytes(&all.join(&b"; "[..])) {
        headers.insert(header::COOKIE, joined);
    }
}

fn of_field(name: &HeaderName, fault: &str) -> Problem {
    let told = name.as_str();
    Problem::new(Code::InvalidRequest, format!("the header `{}` {fault}", &told[..told.len().min(64)]))
}

fn refused(detail: &'static str) -> Problem {
    Problem::new(Code::InvalidRequest, detail)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn parts(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn code(method: &str, uri: &str, headers: &[(&str, &str)]) -> Result<(), &'static str> {
        read(parts(method, uri, headers)).map(drop).map_err(|problem| problem.code().as_str())
    }

    #[test]
    fn request_is_written_with_path_as_target_and_one_host() {
        let read = read(parts("GET", "https://api.example.com:8443/a/b?c=d", &[("x-a", "b")])).unwrap();
        assert_eq!(read.uri.to_string(), "/a/b?c=d");
        assert_eq!(read.headers[header::HOST], "api.example.com:8443");
        assert_eq!(read.headers["x-a"], "b");
        let same = [("host", "API.example.com")];
        assert_eq!(code("GET", "http://api.example.com/", &same), Ok(()));
        // `Host` alone is enough.
        assert_eq!(code("GET", "/a", &same), Ok(()));
        assert_eq!(code("GET", "/a", &[]), Err("invalid_request"));
    }

    #[test]
    fn cookies_are_joined_in_order() {
        let cookies = [("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("cookie", "c=3")];
        let read = read(parts("GET", "http://a/", &cookies)).unwrap();
        let all: Vec<_> = read.headers.get_all(header::COOKIE).iter().collect();
        assert_eq!(all, ["a=1; b=2; c=3"]);
    }

    #[test]
    fn requests_that_can_be_read_in_two_ways_are_refused() {
        let invalid = Err("invalid_request");
        assert_eq!(code("GET", "http://a/", &[("host", "b")]), invalid);
        assert_eq!(code("GET", "http://a/", &[("host", "a"), ("host", "a")]), invalid);
        assert_eq!(code("GET", "http://a/", &[("host", "a:80")]), invalid);
        assert_eq!(code("GET", "http://user@a/", &[]), invalid);
        assert_eq!(code("GET", "http://a:99999/", &[]), invalid);
        assert_eq!(code("GET", "ftp://a/", &[]), invalid);
        assert_eq!(code("GET", "http://a/\"b\"", &[]), invalid);
        assert_eq!(code("POST", "http://a/", &[("content-length", "1"), ("content-length", "1")]), invalid);
        for length in ["+1", "01", "1,1", "x", "99999999999999999999"] {
            assert_eq!(code("POST", "http://a/", &[("content-length", length)]), invalid, "{length}");
        }
        assert_eq!(code("POST", "http://a/", &[("content-length", "0")]), Ok(()));
        let mut spaced = parts("GET", "http://a/", &[]);
        spaced.headers.insert("x-a", HeaderValue::from_static(" b"));
        assert_eq!(read(spaced).unwrap_err().code(), Code::InvalidRequest);
    }

    #[test]
    fn limits_and_methods_have_their_own_codes() {
        assert_eq!(code("TRACE", "http://a/", &[]), Err("method_not_allowed"));
        assert_eq!(code(&"M".repeat(33), "http://a/", &[]), Err("invalid_request"));
        assert_eq!(code("GET", "http://a/", &[("expect", "more")]), Err("expectation_failed"));
        assert_eq!(code("GET", "http://a/", &[("expect", "100-Continue")]), Ok(()));
        let long = "n".repeat(257);
        assert_eq!(code("GET", "http://a/", &[(&long, "b")]), Err("headers_too_large"));
        let names: Vec<String> = (0..257).map(|index| format!("x-{index}")).collect();
        let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "a")).collect();
        assert_eq!(code("GET", "http://a/", &many), Err("headers_too_large"));
    }
}
