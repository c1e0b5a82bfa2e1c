//! A field of an answer with CR, LF or NUL is not passed on, and a folded one in one line (RFC 9110,
//! section 5.5; RFC 9112, section 5.2).

use crate::suite::{BadGateway, Case, Good, case};

pub(super) const CASES: &[Case] = &[
    case("folded field", "GET / HTTP/1.1\r\nHOST\r\n", Good)
        .answered("HTTP/1.1 200 OK\r\nX-A: b\r\n c: d\r\nContent-Length: 2\r\n\r\nok")
        .gets(&["x-a: b c: d", ">ok"]),
    case("field folded by a tab", "GET / HTTP/1.1\r\nHOST\r\n", Good)
        .answered("HTTP/1.1 200 OK\r\nX-A: b\r\n\tc\r\nContent-Length: 2\r\n\r\nok")
        .gets(&["x-a: b c", ">ok"]),
    case("bare CR in an answer", "POST / HTTP/1.1\r\nHOST\r\n", BadGateway)
        .answered("HTTP/1.1 200 OK\r\nX-A: b\rSet-Cookie: c\r\nContent-Length: 2\r\n\r\nok"),
    case("NUL in an answer", "POST / HTTP/1.1\r\nHOST\r\n", BadGateway)
        .answered("HTTP/1.1 200 OK\r\nX-A: b\0c\r\nContent-Length: 2\r\n\r\nok"),
    case("control character in an answer", "POST / HTTP/1.1\r\nHOST\r\n", BadGateway)
        .answered("HTTP/1.1 200 OK\r\nX-A: b\x0bc\r\nContent-Length: 2\r\n\r\nok"),
    case("name with a space in an answer", "POST / HTTP/1.1\r\nHOST\r\n", BadGateway)
        .answered("HTTP/1.1 200 OK\r\nX A: b\r\nContent-Length: 2\r\n\r\nok"),
    case("no colon in an answer", "POST / HTTP/1.1\r\nHOST\r\n", BadGateway)
        .answered("HTTP/1.1 200 OK\r\nnothing\r\nContent-Length: 2\r\n\r\nok"),
    case("space before the colon is removed", "GET / HTTP/1.1\r\nHOST\r\n", Good)
        .answered("HTTP/1.1 200 OK\r\nX-A : b\r\nContent-Length: 2\r\n\r\nok")
        .gets(&["x-a: b", ">ok"]),
    case("folded field of an interim answer", "GET / HTTP/1.1\r\nHOST\r\n", Good)
        .answered("HTTP/1.1 103 Early Hints\r\nLink: a\r\n b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .gets(&["+HTTP/1.1 103 Early Hints", ">ok"]),
    case("lines that end with LF are written with CR LF", "GET / HTTP/1.1\r\nHOST\r\n", Good)
        .answered("HTTP/1.1 200 OK\nX-A: b\nContent-Length: 2\n\nok")
        .gets(&["=HTTP/1.1 200 OK", "x-a: b", ">ok"]),
];
