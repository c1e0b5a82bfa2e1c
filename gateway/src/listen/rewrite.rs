//! The header of a request whose target is a URL, as it is handed on: with its path as the target,
//! and the URL's host as its only `Host` (RFC 9112, section 3.2.2).

use bytes::{BufMut as _, BytesMut};

/// Writes the header anew. `method`, `scheme` and `host` are the bytes that each of them takes in
/// the request line.
pub(super) fn to_origin_form(head: &[u8], method: usize, scheme: usize, host: usize, into: &mut BytesMut) {
    let authority = method + 1 + scheme;
    let (host, rest) = (&head[authority..authority + host], &head[authority + host..]);
    into.put_slice(&head[..=method]);
    if rest.first() != Some(&b'/') {
        into.put_u8(b'/');
    }
    let line_end = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |end| end + 1);
    let (request_line, fields) = rest.split_at(line_end);
    into.put_slice(request_line);
    into.put_slice(b"Host: ");
    into.put_slice(host);
    into.put_slice(b"\r\n");
    for line in fields.split_inclusive(|byte| *byte == b'\n') {
        if !line.get(..5).is_some_and(|name| name.eq_ignore_ascii_case(b"host:")) {
            into.put_slice(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::SizeLimits,
        listen::head::{HeadReader, Target},
    };

    fn rewritten(head: &str) -> String {
        let sizes = SizeLimits { header_bytes: 4_000, header_value_bytes: 1_000, path_bytes: 500, body_bytes: None };
        let read = HeadReader::default().read(head.as_bytes(), &sizes).unwrap().unwrap();
        let Target::Absolute { scheme, host } = read.target else { panic!("{head}") };
        let mut into = BytesMut::new();
        to_origin_form(head.as_bytes(), read.method, scheme, host, &mut into);
        String::from_utf8(into.to_vec()).unwrap()
    }

    #[test]
    fn host_of_the_target_replaces_the_header() {
        assert_eq!(
            rewritten("GET http://a.b:81/c?d=e HTTP/1.1\r\nX-A: b\r\nhost: other\r\nX-C: d\r\n\r\n"),
            "GET /c?d=e HTTP/1.1\r\nHost: a.b:81\r\nX-A: b\r\nX-C: d\r\n\r\n"
        );
        assert_eq!(rewritten("GET https://[::1] HTTP/1.0\r\n\r\n"), "GET / HTTP/1.0\r\nHost: [::1]\r\n\r\n");
        assert_eq!(
            rewritten("DELETE HTTP://a?b HTTP/1.1\r\nHost: a\r\n\r\n"),
            "DELETE /?b HTTP/1.1\r\nHost: a\r\n\r\n"
        );
    }
}
