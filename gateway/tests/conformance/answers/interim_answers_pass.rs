//! Interim answers pass to the client, but for 101 that nobody asked for (RFC 9110, section 15.2).

use crate::suite::{Case, Good, case};

pub(super) const CASES: &[Case] = &[
    case("103 with its fields", "GET / HTTP/1.1\r\nHOST\r\n", Good)
        .answered("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .gets(&["+HTTP/1.1 103 Early Hints", "=HTTP/1.1 200 OK", ">ok"]),
    case("several", "GET / HTTP/1.1\r\nHOST\r\n", Good)
        .answered("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n")
        .gets(&["+HTTP/1.1 102 Processing", "+HTTP/1.1 103 Early Hints", "=HTTP/1.1 204 No Content"]),
    case("100 that nobody waits for", "GET / HTTP/1.1\r\nHOST\r\n", Good)
        .answered("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .gets(&[">ok"]),
    case("length of an interim answer means nothing", "GET / HTTP/1.1\r\nHOST\r\n", Good)
        .answered("HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .gets(&[">ok"]),
];
