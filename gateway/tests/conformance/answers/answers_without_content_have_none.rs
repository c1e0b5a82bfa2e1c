//! Answers to HEAD, and those of 204 and 304, have no content (RFC 9110, sections 9.3.2, 15.3.5 and
//! 15.4.5; RFC 9112, section 6.3).

use crate::suite::{Bad, Case, Good, case};

pub(super) const CASES: &[Case] = &[
    case("COMP-HEAD-NO-BODY", "HEAD / HTTP/1.1\r\nHOST\r\n", Good),
    case("HEAD keeps the length", "HEAD / HTTP/1.1\r\nHOST\r\n", Good)
        .answered("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        .gets(&["content-length: 100", ">"]),
    case("HEAD keeps the coding", "HEAD / HTTP/1.1\r\nHOST\r\n", Good)
        .answered("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        .gets(&["=HTTP/1.1 200 OK", ">"]),
    case("204", "GET / HTTP/1.1\r\nHOST\r\n", Good).answered("HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n").gets(&[
        "=HTTP/1.1 204 No Content",
        "-content-length",
        "-transfer-encoding",
        "x-a: b",
    ]),
    case("204 with a length", "GET / HTTP/1.1\r\nHOST\r\n", Good)
        .answered("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n")
        .gets(&["-content-length", "-transfer-encoding"]),
    case("204 with a coding", "GET / HTTP/1.1\r\nHOST\r\n", Good)
        .answered("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        .gets(&["-content-length", "-transfer-encoding"]),
    case("304 keeps the length", "GET / HTTP/1.1\r\nHOST\r\n", Good)
        .answered("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 100\r\n\r\n")
        .gets(&["=HTTP/1.1 304 Not Modified", "etag: \"a\""]),
    case("HEAD that is refused", "HEAD / HTTP/1.1\r\nHost: a, b\r\n\r\n", Bad).gets(&[">", "content-length:"]),
];
