//! Headers that belong to one connection and never pass to the next: hop-by-hop headers, framing,
//! and the gaps of HTTP/1.0; and those by which intermediaries count themselves.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use pingora_core::Result;
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;
use smallvec::SmallVec;

use crate::{
    answer::{Code, Problem},
    listen::head::bytes::trim,
};

const PROXY: &str = "proxy";

const MAX_FORWARDS: &str = "max-forwards";

/// Every token in all lines of a header, without white space around it.
pub(super) fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    headers
        .get_all(name)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|token| !token.is_empty())
}

/// Lets the client's connection end after this request if any line of `Connection` says so. A
/// client of HTTP/1.0 is sent no interim answers.
pub(super) fn apply_connection_header(session: &mut Session) {
    let request = session.req_header();
    let is_old = request.version < Version::HTTP_11;
    let (mut closes, mut stays) = (false, false);
    for token in tokens(&request.headers, &header::CONNECTION) {
        closes |= token.eq_ignore_ascii_case(b"close");
        stays |= token.eq_ignore_ascii_case(b"keep-alive");
    }
    if closes || (is_old && !stays) {
        session.set_keepalive(None);
    }
    if is_old {
        session.set_ignore_info_resp(true);
    }
}

/// Names the gateway in `Via`, behind those who forwarded the request before it (RFC 9110, section
/// 7.6.3), with the version that `client` spoke.
pub(super) fn sign(headers: &mut HeaderMap, client: Version) {
    let signature = match client {
        Version::HTTP_10 => "1.0 tollgate",
        Version::HTTP_2 => "2.0 tollgate",
        _ => "1.1 tollgate",
    };
    headers.append(header::VIA, HeaderValue::from_static(signature));
}

/// The number of times that a request may still be forwarded, if it says so. Only `OPTIONS` can, as
/// `TRACE` is not served (RFC 9110, section 7.6.2). A number that is too large is the largest.
pub(super) fn forwards_left(request: &RequestHeader) -> std::result::Result<Option<u32>, Problem> {
    if request.method != Method::OPTIONS {
        return Ok(None);
    }
    let mut values = request.headers.get_all(MAX_FORWARDS).iter();
    let (Some(value), more) = (values.next(), values.next()) else { return Ok(None) };
    let digits = trim(value.as_bytes());
    if more.is_some() || digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Problem::new(Code::InvalidRequest, "`Max-Forwards` is not one decimal number"));
    }
    let add = |number: u32, digit: &u8| number.saturating_mul(10).saturating_add(u32::from(digit - b'0'));
    Ok(Some(digits.iter().fold(0, add)))
}

/// Counts the request as forwarded once more, if it says how often it may be.
pub(super) fn count_forward(request: &mut RequestHeader) -> Result<()> {
    match forwards_left(request) {
        Ok(Some(left)) => request.insert_header(MAX_FORWARDS, left.saturating_sub(1).to_string()),
        _ => Ok(()),
    }
}

/// Removes from a request for the upstream what was meant for the gateway only and Pingora leaves.
pub(super) fn strip_request(headers: &mut HeaderMap, client: Version) {
    let doomed: SmallVec<[HeaderName; 2]> = headers.keys().filter(|name| is_for_proxies(name)).cloned().collect();
    for name in &doomed {
        headers.remove(name);
    }
    if client < Version::HTTP_11 {
        // Nobody there could be told to go on.
        headers.remove(header::EXPECT);
    }
}

/// Tells the upstream that the connection carries no other request.
pub(super) fn announce_close(request: &mut RequestHeader) -> Result<()> {
    request.insert_header(header::CONNECTION, HeaderValue::from_static("close"))
}

/// Returns true if the upstream announces the end of the connection in a place where Pingora does
/// not look: in a line of `Connection` behind the first, or in one that is not UTF-8.
pub(super) fn hides_close(headers: &HeaderMap) -> bool {
    let closes =
        |line: &[u8]| line.split(|byte| *byte == b',').any(|token| token.trim_ascii().eq_ignore_ascii_case(b"close"));
    let mut lines = headers.get_all(header::CONNECTION).iter().map(HeaderValue::as_bytes);
    let Some(first) = lines.next() else { return false };
    if closes(first) { std::str::from_utf8(first).is_err() } else { lines.any(closes) }
}

/// Removes from an upstream's answer what was meant for the gateway only: hop-by-hop headers, and
/// those that `Connection` names. What frames the body stays.
pub(super) fn strip_response(status: StatusCode, headers: &mut HeaderMap) {
    let named = tokens(headers, &header::CONNECTION)
        .filter_map(|token| HeaderName::from_bytes(token).ok())
        .filter(|name| !is_framing(name));
    let mut doomed: SmallVec<[HeaderName; 4]> = named.collect();
    doomed.extend(headers.keys().filter(|name| is_hop_by_hop(name)).cloned());
    for name in &doomed {
        headers.remove(name);
    }
    if status.is_informational() || status == StatusCode::NO_CONTENT {
        headers.remove(header::TRANSFER_ENCODING);
        headers.remove(header::CONTENT_LENGTH);
    }
}

/// Frames an answer in a way that the client understands. The version is the gateway's own.
pub(super) fn frame(session: &mut Session, response: &mut ResponseHeader) -> std::result::Result<(), Problem> {
    response.set_version(Version::HTTP_11);
    if session.req_header().version == Version::HTTP_11 || response.status.is_informational() {
        return Ok(());
    }
    if !response.headers.contains_key(header::TRANSFER_ENCODING) {
        return Ok(());
    }
    let is_chunked_only = |token: &[u8]| token.eq_ignore_ascii_case(b"chunked");
    if !tokens(&response.headers, &header::TRANSFER_ENCODING).all(is_chunked_only) {
        let detail = "the upstream's answer is encoded in a way that only clients of HTTP/1.1 can read";
        return Err(Problem::new(Code::UpstreamFailed, detail));
    }
    // The end of the connection, or of the stream, is the end of the answer.
    response.remove_header(&header::TRANSFER_ENCODING);
    session.set_keepalive(None);
    Ok(())
}

/// Says that the connection now carries another protocol.
pub(super) fn announce_upgrade(response: &mut ResponseHeader, protocol: &str) -> Result<()> {
    response.insert_header(header::CONNECTION, HeaderValue::from_static("Upgrade"))?;
    response.insert_header(header::UPGRADE, protocol)
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(name.as_str(), "connection" | "keep-alive" | "te" | "trailer" | "upgrade" | "http2-settings")
        || is_for_proxies(name)
}

/// `Proxy-Connection` and its kin; and `Proxy`, which CGI turns into the variable `HTTP_PROXY`.
fn is_for_proxies(name: &HeaderName) -> bool {
    name.as_str().strip_prefix(PROXY).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

fn is_framing(name: &HeaderName) -> bool {
    matches!(name.as_str(), "content-length" | "transfer-encoding")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripped(status: StatusCode, lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        strip_response(status, &mut headers);
        headers
    }

    #[test]
    fn hop_by_hop_headers_of_an_answer_are_removed() {
        let answer = stripped(
            StatusCode::OK,
            &[
                ("Connection", "keep-alive, X-Internal"),
                ("Connection", " x-other ,, Content-Length"),
                ("Keep-Alive", "timeout=5"),
                ("Proxy-Connection", "keep-alive"),
                ("Proxy-Authenticate", "Basic"),
                ("Proxy-Authentication-Info", "x"),
                ("Trailer", "X-Sum"),
                ("TE", "trailers"),
                ("Upgrade", "h2c"),
                ("X-Internal", "secret"),
                ("X-Other", "secret"),
                ("Content-Length", "5"),
                ("Proxied", "kept"),
            ],
        );
        let mut left: Vec<&str> = answer.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["content-length", "proxied"]);
    }

    #[test]
    fn close_is_found_wherever_pingora_does_not_look() {
        let hidden = |lines: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::CONNECTION, HeaderValue::from_bytes(line).unwrap());
            }
            hides_close(&headers)
        };
        let seen: [&[&[u8]]; 6] =
            [&[], &[b"close"], &[b"x, Close"], &[b"close", b"close"], &[b"keep-alive"], &[b"x-close"]];
        for seen in seen {
            assert!(!hidden(seen), "{seen:?}");
        }
        let unseen: [&[&[u8]]; 3] = [&[b"keep-alive", b"close"], &[b"x", b"y", b"z , CLOSE"], &[b"\xff, close"]];
        for unseen in unseen {
            assert!(hidden(unseen), "{unseen:?}");
        }
    }

    #[test]
    fn answers_without_a_body_are_not_framed() {
        for status in [StatusCode::EARLY_HINTS, StatusCode::NO_CONTENT] {
            let answer = stripped(status, &[("Transfer-Encoding", "chunked"), ("Content-Length", "5"), ("A", "b")]);
            assert_eq!(answer.len(), 1, "{status}");
        }
    }

    #[test]
    fn requests_lose_what_is_for_proxies() {
        let names = ["proxy", "proxy-foo", "proxy-status", "expect", "proxied"].map(HeaderName::from_static);
        let mut headers: HeaderMap = names.into_iter().map(|name| (name, HeaderValue::from_static("x"))).collect();
        strip_request(&mut headers, Version::HTTP_11);
        assert_eq!(headers.len(), 2);
        strip_request(&mut headers, Version::HTTP_10);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["proxied"]);
    }
}
