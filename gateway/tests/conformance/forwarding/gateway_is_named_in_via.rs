//! The gateway adds itself to `Via` in each request (RFC 9110, section 7.6.3).

use crate::suite::{Case, Good, GoodAndOver, case};

pub(super) const CASES: &[Case] = &[
    case("no other before it", "GET / HTTP/1.1\r\nHOST\r\n", Good).sees(&["via: 1.1 tollgate"]),
    case("version is that of the client", "GET / HTTP/1.0\r\nHOST\r\n", GoodAndOver).sees(&["via: 1.0 tollgate"]),
    case("others stand before it", "GET / HTTP/1.1\r\nHOSTVia: 1.0 fred, 1.1 p.example.com (squid)\r\n\r\n", Good)
        .sees(&["via: 1.0 fred, 1.1 p.example.com (squid), 1.1 tollgate"]),
    case("others stand in several lines", "GET / HTTP/1.1\r\nHOSTVia: 1.0 fred\r\nVia: 1.1 b\r\n\r\n", Good)
        .sees(&["via: 1.0 fred, 1.1 b, 1.1 tollgate"]),
    case("that of an answer passes", "GET / HTTP/1.1\r\nHOST\r\n", Good)
        .answered("HTTP/1.1 200 OK\r\nVia: 1.1 cache\r\nContent-Length: 2\r\n\r\nok")
        .gets(&["via: 1.1 cache"]),
];
